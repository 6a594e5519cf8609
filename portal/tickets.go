package portal

import (
	"maps"
	"mime"
	"net/url"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/templates"
)

// receiptAnswer is what files a ticket gets back. The secret is shown this once.
type receiptAnswer struct {
	ID     string `json:"id"`
	Number string `json:"number"`
	Secret string `json:"secret"`
	URL    string `json:"url"`
	Phrase string `json:"phrase"`
	Level  string `json:"level"`
	Next   string `json:"next"`
	Told   string `json:"acknowledged_by"`
	Untold string `json:"not_texted,omitempty"` // why no text goes to the number that she gave
	Facts  []fact `json:"facts"`

	Unkept []unkeptAnswer `json:"attachments_not_kept"`
}

type ticketAnswer struct {
	object
	Number   string          `json:"number"`
	State    string          `json:"state"`
	Level    string          `json:"level"`
	Verified bool            `json:"verified"`
	Priority string          `json:"priority"`
	Reviewed bool            `json:"reviewed"`
	Queue    string          `json:"queue"`
	Incident string          `json:"incident"`
	Account  string          `json:"account_id"`
	Phrase   string          `json:"phrase"`
	Name     string          `json:"name,omitempty"`
	Email    string          `json:"email,omitempty"`
	Phone    string          `json:"phone,omitempty"`
	Company  string          `json:"company,omitempty"`
	SiteURL  string          `json:"site_url,omitempty"`
	SiteName string          `json:"site_name,omitempty"`
	Domain   string          `json:"domain,omitempty"`
	Invoice  string          `json:"invoice,omitempty"`
	Old      string          `json:"old_ticket,omitempty"`
	Like     string          `json:"likely_duplicate_of,omitempty"`
	Impact   string          `json:"impact,omitempty"`
	Locale   string          `json:"locale"`
	Route    string          `json:"route"`
	FiledAt  time.Time       `json:"filed_at"`
	AnswerBy time.Time       `json:"first_answer_by"`
	AnswerAt *time.Time      `json:"first_answer_at"`
	Messages []messageAnswer `json:"messages,omitempty"`
	TicketWork
}

type messageAnswer struct {
	ID       string    `json:"id,omitempty"`
	From     string    `json:"from"`
	By       string    `json:"by,omitempty"`
	Text     string    `json:"text"`
	At       time.Time `json:"at"`
	Internal bool      `json:"internal"`
	Via      string    `json:"via,omitempty"`
	Held     string    `json:"held,omitempty"`   // why the customer does not see it
	Sender   string    `json:"sender,omitempty"` // when it came from another address than the ticket's
	Untold   string    `json:"not_texted,omitempty"`
	Number   string    `json:"number,omitempty"` // of the ticket that it was written to, when that was merged into this one
	Also     []string  `json:"also,omitempty"`   // numbers of merged tickets whose writers were told the same

	Files  []attachmentAnswer `json:"attachments"`
	Unkept []unkeptAnswer     `json:"attachments_not_kept"`
}

type messageBody struct {
	Text     string `json:"text"`
	Internal bool   `json:"internal,omitempty"`

	Also *[]string `json:"also,omitempty"` // numbers of the merged tickets whose writers are told this answer; without it, those of the same customer
}

func ticketOf(id string, version int64, created, updated time.Time, t desk.Ticket, level desk.Level, said []desk.Message) ticketAnswer {
	a := ticketAnswer{object: object{id, version, created, updated}, Number: t.Number, State: t.State, Level: level.String(), Verified: level > desk.L0,
		Priority: t.Priority, Reviewed: t.Reviewed, Queue: t.Queue(), Incident: t.Incident, Account: t.Account, Phrase: t.Phrase,
		Name: t.Name, Email: t.Email, Phone: t.Phone, Company: t.Company, SiteURL: t.SiteURL, SiteName: t.SiteName, Domain: t.Domain,
		Invoice: t.Invoice, Old: t.OldTicket, Like: t.Like, Impact: t.Impact, Locale: t.Locale, Route: t.Route, FiledAt: t.FiledAt, AnswerBy: t.AnswerBy}
	if !t.AnswerAt.IsZero() {
		a.AnswerAt = &t.AnswerAt
	}
	for _, m := range said {
		a.Messages = append(a.Messages, messageAnswer{ID: m.ID, From: m.From, By: m.By, Text: m.Text, At: m.At, Internal: m.Internal, Via: m.Via, Held: m.Held, Sender: m.Sender, Untold: m.Untold, Number: m.Number, Also: m.Also, Unkept: unkeptOf(m.Unkept)})
	}
	return a
}

// wholeTicket is a ticket with its conversation and the files that came with it.
func (p *Portal) wholeTicket(v desk.View) ticketAnswer {
	a := ticketOf(v.ID, v.Version, v.Created, v.Updated, v.Ticket, v.Standing.Level, v.Messages)
	for i, m := range v.Messages {
		a.Messages[i].Files = attachmentsOf(v.FilesOf(m))
	}
	a.TicketWork = p.workOf(v.Ticket, v.Into, v.Merged)
	return a
}

// words reads a message of staff, as JSON or as a form.
func (k *call) words() (in messageBody, err error) {
	if media, _, _ := mime.ParseMediaType(k.Get(fiber.HeaderContentType)); media != fiber.MIMEApplicationForm {
		return in, decode(k.Ctx, &in)
	}
	form, err := url.ParseQuery(string(k.Request().Body()))
	if err != nil {
		return in, fault.New(fault.Invalid, "the form is malformed")
	}
	for name := range form {
		if name != "text" && name != "internal" {
			return in, fault.BadField(name, "is not a field of this form")
		}
	}
	return messageBody{Text: form.Get("text"), Internal: form.Get("internal") == "true"}, nil
}

func (p *Portal) ticketRoutes() []route {
	const base = "/api/v1/tickets"
	return []route{
		{method: "POST", path: base, tag: "tickets", summary: "file a ticket: a message and one of email and phone are enough; as a form with files in the field attachments. While very many write it costs a little: the problem says how to pay (429 with toll)", status: 201, max: maxTicket, own: true, forms: true, files: true, needs: []string{"message"},
			headers: []string{headerToll, headerProof},
			body:    desk.Intake{}, answer: receiptAnswer{}, do: func(k *call) error {
				in, err := k.intake()
				if err != nil {
					return err
				}
				in.Route, in.Fare = "api", k.fare(k.Get(headerToll), k.Get(headerProof))
				if in.Locale == "" {
					in.Locale = k.Get(fiber.HeaderAcceptLanguage)
				}
				r, err := p.Desk.File(k.UserContext(), "public:api", in)
				if err != nil {
					return err
				}
				words := p.Words.Catalog(r.Locale)
				k.Set(fiber.HeaderLocation, r.URL)
				return send(k.Ctx, 201, receiptAnswer{ID: r.ID, Number: r.Number, Secret: r.Secret, URL: r.URL, Phrase: r.Phrase, Level: r.Level, Unkept: unkeptOf(r.Unkept),
					Next: nextSaid(words, r), Told: r.Told, Untold: r.Untold, Facts: p.publicFacts(k.UserContext(), r.Locale)})
			}},
		{method: "GET", path: base, right: auth.TicketRead, tag: "tickets", summary: "list tickets, oldest first; q finds whole words of number, address, name, company, site and invoice", query: choiceQuery,
			answer: list[ticketAnswer]{}, do: (*call).ticketsAnswer},
		{method: "GET", path: base + "/:number", right: auth.TicketRead, tag: "tickets", summary: "one ticket with its conversation", answer: ticketAnswer{}, do: func(k *call) error {
			v, err := p.Desk.Ticket(k.UserContext(), k.Params("number"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.wholeTicket(v))
		}},
		{method: "POST", path: base + "/:number/messages", right: auth.TicketWrite, tag: "tickets", summary: "answer, or note something for staff only; as a form with files in the field attachments", status: 201, needs: []string{"text"}, max: maxTicket, forms: true, files: true,
			body: messageBody{}, answer: ticketAnswer{}, do: func(k *call) error {
				in, err := k.words()
				if err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				v, err := p.Desk.Say(k.UserContext(), desk.Entry{By: k.person.ID, Number: k.Params("number"), Version: version, Also: in.Also,
					Message: desk.Message{From: "staff", By: k.person.ID, Text: in.Text, Internal: in.Internal, Via: "api", Attached: k.files}})
				if err != nil {
					return err
				}
				return send(k.Ctx, 201, p.wholeTicket(v))
			}},
	}
}

// nextSaid is what she can expect now.
func nextSaid(words templates.Catalog, r desk.Receipt) string {
	if r.Untold != "" {
		return words.T("receipt.next") + " " + words.T("text.not."+r.Untold) + " " + words.T("text.not")
	}
	return words.T("receipt.next")
}

// intake reads a ticket as JSON, or as a form, which is what a page without script sends. With an error comes what could be read.
func (k *call) intake() (desk.Intake, error) {
	var in desk.Intake
	media, _, err := mime.ParseMediaType(k.Get(fiber.HeaderContentType))
	if err != nil {
		return in, fault.New(fault.Unsupported, "the body must be application/json or a form")
	}
	switch media {
	case fiber.MIMEApplicationJSON:
		return in, decode(k.Ctx, &in)
	case fiber.MIMEApplicationForm: // one that brought files is such a form by now
		in.Files = k.files
		if k.formErr != nil {
			form, _ := url.ParseQuery(string(k.Request().Body()))
			_ = fillIntake(&in, form)
			return in, k.formErr
		}
		body, err := read(k.Ctx, maxJSON)
		if err != nil {
			return in, err
		}
		form, err := url.ParseQuery(string(body)) // what it can read it gives
		filled := fillIntake(&in, form)
		if err != nil {
			return in, fault.New(fault.Invalid, "the form is malformed")
		}
		return in, filled
	}
	return in, fault.New(fault.Unsupported, "the body must be application/json or a form")
}

func fillIntake(in *desk.Intake, form url.Values) error {
	fields := intakeFields(in)
	var unknown []fault.Field
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if at, ok := fields[name]; ok {
			*at = form.Get(name)
		} else if name != "toll" && name != "proof" { // see call.toll
			unknown = append(unknown, fault.Field{Field: name, Reason: "is not a field of this form"})
		}
	}
	if unknown != nil {
		return fault.BadFields(unknown...)
	}
	return nil
}

// intakeFields are the fields of the form by their names.
func intakeFields(in *desk.Intake) map[string]*string {
	return map[string]*string{"message": &in.Message, "email": &in.Email, "phone": &in.Phone, "name": &in.Name, "company": &in.Company,
		"site_url": &in.SiteURL, "site_name": &in.SiteName, "domain": &in.Domain, "invoice": &in.Invoice, "old_ticket": &in.OldTicket,
		"impact": &in.Impact, "locale": &in.Locale}
}
