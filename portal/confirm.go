package portal

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/page"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/templates"
)

// LinkConfirm is the purpose of the links by which people confirm an address.
const LinkConfirm = "confirm"

// confirmView is the page behind the link of a confirmation mail.
type confirmView struct {
	base
	Token string
	Asked comms.Asked
	Old   bool // the link opens nothing any more
	Error string
	Typed string
}

// Card is what people keep outside the product: where we are and as whom we write.
type Card struct {
	Vendor       templates.Vendor
	Mail, Number string
}

func (p *Portal) card() Card {
	return Card{Vendor: p.Comms.Vendor, Mail: p.Comms.Asking.From, Number: p.Comms.Asking.Number}
}

func (p *Portal) confirmRoutes() []route {
	return []route{
		{method: "GET", path: "/c/:token", do: func(k *call) error { return k.confirmPage(200, "", "") }},
		{method: "POST", path: "/c/:token", form: true, do: (*call).confirm},
		{method: "GET", path: "/card", do: func(k *call) error {
			name := "card"
			if k.Query("frame") != "" { // what a vendor's own error page shows of it: nothing in it can be pressed but links
				name = "card_frame"
				for _, h := range page.Framed(page.SecurityHeaders(p.https())) {
					k.Set(h[0], h[1])
				}
			}
			return p.render(k.Ctx, 200, name, struct {
				base
				Card Card
			}{p.base(p.locale(k.Ctx), "/card", "card.title"), p.card()})
		}},
		{method: "GET", path: "/card.vcf", do: func(k *call) error {
			words := p.Words.Catalog(p.locale(k.Ctx))
			k.Set(fiber.HeaderContentType, "text/vcard; charset=utf-8")
			k.Set(fiber.HeaderContentDisposition, `attachment; filename="status.vcf"`)
			return k.SendString(p.card().vCard(words.T("card.name", p.Comms.Vendor.Name), words.T("card.note")))
		}},
		{method: "POST", path: "/api/v1/confirmations/:id/unmask", right: auth.ContactUnmask, seenTo: []auth.Grant{auth.WithAudit}, tag: "contacts",
			summary: "what became of asking an address, with the address in full; the reason is kept", needs: []string{"reason"}, body: reasonBody{}, answer: confirmationAnswer{}, do: func(k *call) error {
				var in reasonBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				if err := k.mayUnmask(); err != nil {
					return err
				}
				rec, err := p.Comms.Confirmation(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, confirmationAnswer{objectOf(rec.Meta), rec.Value})
			}},
	}
}

// unmasksPerHour is how many addresses one person may see in full in an hour.
const unmasksPerHour = 60

// mayUnmask counts one address, or one contact's, that somebody wants to see in full.
func (k *call) mayUnmask() error {
	return limit.Take(k.UserContext(), k.p.DB, "unmask by "+k.person.ID, unmasksPerHour, time.Hour)
}

type confirmationAnswer struct {
	object
	comms.Confirmation
}

// confirmPage shows the question and its buttons. It changes nothing: programs that follow every link of a mail answer nothing.
func (k *call) confirmPage(status int, wrong, typed string) error {
	token := k.Params("token")
	v := confirmView{base: k.p.base(k.p.locale(k.Ctx), "/c/"+token, "confirm.title"), Token: token, Typed: typed}
	if wrong != "" {
		v.Error = v.Words.T(wrong)
	}
	subject, ok := k.p.Gate.Key.OpenLink(LinkConfirm, token)
	var err error
	if ok {
		v.Asked, err = k.p.Comms.AskedBy(k.UserContext(), subject)
	}
	switch {
	case !ok || fault.Of(err) == fault.NotFound:
		v.Old, v.Path, status = true, "/card", fiber.StatusNotFound
	case err != nil:
		return err
	case k.Query("lang") == "" && k.Get(fiber.HeaderAcceptLanguage) == "" && v.Asked.Locale != "":
		v.base = k.p.base(k.p.Words.Match(v.Asked.Locale), "/c/"+token, "confirm.title")
	}
	return k.p.render(k.Ctx, status, "confirm", v)
}

func (k *call) confirm() error {
	subject, ok := k.p.Gate.Key.OpenLink(LinkConfirm, k.Params("token"))
	if !ok {
		return k.confirmPage(fiber.StatusNotFound, "", "")
	}
	err := k.p.Comms.Answer(k.UserContext(), subject, comms.Answered{Answer: k.FormValue("answer"), Address: k.FormValue("address"), AtNight: k.FormValue("at_night") != ""})
	switch fault.Of(err) {
	case fault.NotFound:
		return k.confirmPage(fiber.StatusNotFound, "", "")
	case fault.Invalid:
		return k.confirmPage(fiber.StatusUnprocessableEntity, "confirm.error.address", k.FormValue("address"))
	}
	if err != nil {
		return err
	}
	return k.confirmPage(fiber.StatusOK, "", "")
}

// vCard is the card for address books: version 3.0 (RFC 2426), which every mail program and phone imports.
func (c Card) vCard(name, note string) string {
	var b strings.Builder
	line := func(field, value string) {
		if value != "" {
			b.WriteString(fold(field + ":" + value))
		}
	}
	line("BEGIN", "VCARD")
	line("VERSION", "3.0")
	line("N", vText(name)+";;;;")
	line("FN", vText(name))
	line("ORG", vText(c.Vendor.Name))
	line("EMAIL;TYPE=INTERNET", vText(c.Mail))
	line("TEL;TYPE=CELL,MSG", vText(c.Number))
	line("TEL;TYPE=WORK,VOICE", vText(c.Vendor.Phone))
	line("URL", c.Vendor.URL)
	line("URL", c.Vendor.Support)
	line("NOTE", vText(note))
	line("END", "VCARD")
	return b.String()
}

var vEscapes = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", "")

// vText escapes text for both (RFC 2426 section 4, RFC 5545 section 3.3.11).
func vText(s string) string { return vEscapes.Replace(s) }

// fold breaks a line of a vCard or a calendar so that none is longer than 75 bytes, and between characters (RFC 2426 section 2.6, RFC 5545
// section 3.1), and ends it.
func fold(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		size := len(string(r))
		if n+size > 75 {
			b.WriteString("\r\n ")
			n = 1
		}
		b.WriteRune(r)
		n += size
	}
	b.WriteString("\r\n")
	return b.String()
}
