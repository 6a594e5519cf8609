package desk

import "testing"

// Whoever says that something is gone is counted with others who do, in every language of the form; and her words tell her language where they are many enough.
func TestWordsTellALossAndALanguage(t *testing.T) {
	for words, want := range map[string]struct {
		lost   bool
		locale string
	}{
		"My site is gone!":                                               {true, ""},
		"We cannot access anything":                                      {true, ""},
		"Unsere Website ist weg.":                                        {true, "de"},
		"Seit heute früh können wir uns nicht einloggen":                 {true, "de"},
		"Notre site a disparu":                                           {true, ""},
		"Je ne peux plus me connecter depuis ce matin":                   {true, "fr"},
		"Nuestro sitio ha desaparecido":                                  {true, "es"},
		"No puedo acceder a la wiki":                                     {true, ""},
		"Nosso site sumiu":                                               {true, ""},
		"Não consigo acessar a wiki":                                     {true, "pt-BR"},
		"Notre site a disparu, aidez-nous, je ne peux plus rien ouvrir":  {true, "fr"},
		"Nuestro sitio ha desaparecido, por favor ayuda":                 {true, "es"},
		"The login to our Wiki O Globo is gone":                          {true, ""},
		"Please help, the site of my colleague Frau von der Aue is gone": {true, ""},
		"사이트가 사라졌어요":                                                     {true, "ko"},
		"로그인할 수 없습니다 (全社員)":                                              {true, "ko"},
		"サイトが消えています":                                                     {true, "ja"},
		"网站打不开":                                                          {true, "zh-CN"},
		"Wie ändere ich meine Rechnung?":                                 {false, "de"},
		"Comment changer l'adresse de facturation ?":                     {false, ""},
		"¿Cómo cambio la dirección de mi factura?":                       {false, "es"},
		"Como altero o endereço da fatura?":                              {false, "pt-BR"},
		"청구서 주소를 어떻게 바꾸나요?":                                              {false, "ko"},
		"請求先の住所を変更したいです":                                                 {false, "ja"},
		"How do I change the address on my invoice, please?":             {false, ""},
	} {
		if got := soundsLost(words); got != want.lost {
			t.Errorf("%q sounds lost: %v", words, got)
		}
		if got := LocaleOf(words); got != want.locale {
			t.Errorf("%q is in %q", words, got)
		}
	}
}
