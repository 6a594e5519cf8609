package contacts

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

func (b *Book) matched(t testing.TB, traces Traces) (m Matched, said string) {
	t.Helper()
	m, err := b.Match(context.Background(), traces)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range m.Proposals {
		if i > 0 {
			said += "; "
		}
		said += p.Account.Value.ProductIDs[0]
		for _, r := range p.Reasons {
			said += " " + r.Code
		}
		for _, f := range p.Flags {
			said += " !" + f.Code
		}
	}
	for _, f := range m.Flags {
		said += " !!" + f.Code
	}
	return m, strings.TrimSpace(said)
}

func TestTracesProposeAccounts(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", clientele)
	for name, c := range map[string]struct {
		traces Traces
		want   string
	}{
		"nothing":                 {Traces{}, ""},
		"an address on file":      {Traces{Email: "ANN@acme.example"}, "A-2 contact_email !unconfirmed"},
		"another at the domain":   {Traces{Email: "new@mueller-bau.example"}, "A-1 email_domain"},
		"below the domain":        {Traces{Email: "new@mail.acme.example"}, "A-2 email_domain"},
		"a company":               {Traces{Company: "müller maschinenbau GMBH"}, "A-1 company"},
		"a former company":        {Traces{Company: "maschinen meier"}, "A-1 former_name"},
		"a company with a typo":   {Traces{Company: "Müller Maschinenbbau"}, "A-1 similar_name"},
		"in the other signs":      {Traces{Company: "上海雲計算有限公司"}, "A-6 company"},
		"a company, a sign wrong": {Traces{Company: "上海云计祘有限公司"}, "A-6 similar_name"},
		"its legal form alone":    {Traces{Company: "山田株式会社"}, ""},
		"a site":                  {Traces{SiteURL: "WERKBANK.mueller-bau.example/wiki/"}, "A-1 site_url"},
		"a site's host":           {Traces{SiteURL: "https://wiki.acme.example/other"}, "A-2 site_host"},
		"a site's former name":    {Traces{SiteName: "Ｗｅｒｋｂａｎｋ"}, "A-1 site_name"},
		"a phone":                 {Traces{Phone: "+44 20 79460018"}, "A-2 contact_phone"},
		"an invoice":              {Traces{Invoice: "inv 2022-0417"}, "A-1 invoice"},
		"an old ticket":           {Traces{OldTicket: "#T-77"}, "A-1 old_ticket"},
		"a name alone":            {Traces{Name: "Ann Lee"}, ""},
		"what she wrote":          {Traces{Text: "Guten Tag,\nRechnung INV-2022/0417. Site <https://werkbank.mueller-bau.example/wiki>!"}, "A-1 site_url invoice"},
		"an id in what she wrote": {Traces{Text: "site S-300 is gone (gmail.com)"}, "A-3 product_id"},
		"Japanese around it":      {Traces{Text: "サイトtokyo-data.exampleが消えました"}, "A-5 site_url"},
		"freemail":                {Traces{Email: "ann@gmail.com"}, "!!freemail"},
		"for minutes":             {Traces{Email: "x@mailinator.com"}, "!!disposable"},
		"the same to the eye":     {Traces{Email: "ann@acrne.example"}, "A-2 lookalike !lookalike !!lookalike"},
		"a Cyrillic a":            {Traces{Email: "ann@xn--cme-6cd.example"}, "A-2 lookalike !lookalike !!lookalike"},
		"a digit":                 {Traces{Domain: "t0kyo-data.example"}, "A-5 lookalike !lookalike !!lookalike"},
		"without the hyphen":      {Traces{Email: "x@tokyodata.example"}, "A-5 lookalike !lookalike !!lookalike"},
		"another suffix":          {Traces{Email: "x@tokyo-data.co.jp"}, "A-5 lookalike !lookalike !!lookalike"},
		"one letter off":          {Traces{SiteURL: "https://tokio-data.example"}, "A-5 lookalike !lookalike !!lookalike"},
		"two letters off":         {Traces{Email: "x@tokio-dota.example"}, ""},
		"several that agree": {Traces{Name: "Ann Lee", Company: "Acme", Email: "ann@acme.example", Phone: "+442079460018"},
			"A-2 contact_email contact_phone company person !unconfirmed"},
	} {
		if _, got := b.matched(t, c.traces); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestEvidenceAddsUpAndIsCapped(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", clientele+"Acme,A-8,other.example,,,,1,Eve Ash,owner,eve@other.example,,,,\n")
	score := func(traces Traces) (all []int) {
		m, _ := b.matched(t, traces)
		for _, p := range m.Proposals {
			all = append(all, p.Score)
		}
		return all
	}
	company := score(Traces{Company: "Acme"})
	if len(company) != 2 || company[0] != company[1] || company[0] >= worth["company"].points {
		t.Errorf("a name that two share is worth less for each: %v", company)
	}
	both := score(Traces{Company: "Acme", Invoice: "INV-2022/0417"})
	if len(both) != 3 || both[0] != worth["invoice"].points {
		t.Errorf("%v", both)
	}
	known := Traces{Company: "Müller Maschinenbau GmbH", SiteURL: "https://werkbank.mueller-bau.example/wiki", SiteName: "Werkbank", Invoice: "INV-2022/0417",
		OldTicket: "T-77", Domain: "mueller-bau.example", Text: "A-1"}
	if got := score(known); len(got) != 1 || got[0] != knowledgeTop {
		t.Errorf("what anybody can know: %v, want %d at the most", got, knowledgeTop)
	}
	known.Email, known.Phone = "j.gross@mueller-bau.example", "+4930901820"
	if got := score(known); len(got) != 1 || got[0] != 100 {
		t.Errorf("all of it: %v, want 100", got)
	}
}

// A contact who was confirmed lately is not flagged, and no answer holds an address.
func TestProposalsHoldNoAddress(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", "account,account_id,name,email,phone,confirmed_at\nAcme,A-2,Ann Lee,ann@acme.example,+44 20 7946 0018,"+b.DB.Now().Format(time.DateOnly)+"\n")
	m, said := b.matched(t, Traces{Email: "ann@acme.example", Phone: "+442079460018", Text: "ann@acme.example"})
	if said != "A-2 contact_email contact_phone" {
		t.Errorf("%q", said)
	}
	for _, p := range m.Proposals {
		for _, r := range p.Reasons {
			if strings.Contains(r.Words, "ann@") || strings.Contains(r.Words, "0018") {
				t.Errorf("%q", r.Words)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	b := one(f)
	b.mustImport(f, "product", clientele)
	f.Add("Acme", "ann@acme.example", "site https://wiki.acme.example INV-1")
	f.Fuzz(func(t *testing.T, company, email, text string) {
		m, err := b.Match(context.Background(), Traces{Company: company, Email: email, SiteURL: text, Domain: company, Invoice: text, Text: text + " " + email})
		if err != nil || slices.ContainsFunc(m.Proposals, func(p Likely) bool { return p.Score < 1 || p.Score > 100 || len(p.Reasons) == 0 }) {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
