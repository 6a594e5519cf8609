package portal

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// identityAnswer is who the person of a ticket is taken to be, and on what it rests.
type identityAnswer struct {
	Level    string           `json:"level"`
	By       string           `json:"by,omitempty"` // the rule: reach, class, pair, correlated, vouch, way_back, override
	Account  string           `json:"account_id,omitempty"`
	Contact  string           `json:"contact_id,omitempty"`
	Until    *time.Time       `json:"until"`
	Shown    *time.Time       `json:"shown_at"` // when what it rests on was last shown
	Asleep   bool             `json:"asleep"`   // a code to the proven channel wakes it
	Override bool             `json:"override"` // two members of staff answer for her
	HoldEnds *time.Time       `json:"hold_until"`
	Missing  []string         `json:"missing"`
	Evidence []evidenceAnswer `json:"evidence"`
	OnFile   []desk.Hint      `json:"on_file"` // to which a code can be sent
	Zones    []desk.Zone      `json:"zones"`   // that are waited for
}

type evidenceAnswer struct {
	ID       string     `json:"id"`
	Class    string     `json:"class"`
	How      string     `json:"how"`
	Contact  string     `json:"contact_id,omitempty"`
	Channel  string     `json:"channel,omitempty"`
	Address  string     `json:"address,omitempty"` // masked, but for a switchboard's
	Domain   string     `json:"domain,omitempty"`
	Source   string     `json:"source,omitempty"`
	SourceAt *time.Time `json:"source_at,omitempty"`
	Of       string     `json:"of,omitempty"`
	Note     string     `json:"note,omitempty"`
	Failed   bool       `json:"failed"`
	Counts   bool       `json:"counts"`
	Why      string     `json:"why,omitempty"` // why it counts for nothing
	By       string     `json:"by"`
	At       time.Time  `json:"at"`
	Second   string     `json:"second,omitempty"`
	SecondAt *time.Time `json:"second_at,omitempty"`
	Voided   *time.Time `json:"voided_at,omitempty"`
}

func evidenceOf(p desk.Proof) evidenceAnswer {
	a := evidenceAnswer{ID: p.ID, Class: string(p.Class), How: string(p.How), Contact: p.Contact, Channel: p.Channel, Domain: p.Domain, Source: p.Source,
		SourceAt: given(p.SourceAt), Of: p.Of, Note: p.Note, Failed: p.Failed, Counts: p.Weak == "", Why: p.Weak, By: p.By, At: p.At,
		Second: p.Second, SecondAt: given(p.SecondAt), Voided: given(p.Voided)}
	switch {
	case p.Address == "":
	case p.Class == desk.ClassNumber:
		a.Address = p.Address // it stands in a public source, and somebody has to call it
	default:
		a.Address = contacts.Mask(p.Channel, p.Address)
	}
	return a
}

// identityOf reads how a person stands, with what staff can do about it.
func (k *call) identityOf(number string, s desk.Standing) (identityAnswer, error) {
	a := identityAnswer{Level: s.Level.String(), By: s.By, Account: s.Account, Contact: s.Contact, Until: given(s.Until), Shown: given(s.Shown), Asleep: s.Asleep,
		Override: s.Override, HoldEnds: given(s.HoldEnds), Missing: s.Missing, Evidence: []evidenceAnswer{}, OnFile: []desk.Hint{}, Zones: []desk.Zone{}}
	if a.Missing == nil {
		a.Missing = []string{}
	}
	for _, p := range s.Proofs {
		a.Evidence = append(a.Evidence, evidenceOf(p))
	}
	hints, err := k.p.Desk.OnFile(k.UserContext(), k.person.ID, number)
	if err != nil {
		return a, err
	}
	zones, err := k.p.Desk.Zones(k.UserContext(), number)
	if err != nil {
		return a, err
	}
	a.OnFile, a.Zones = append(a.OnFile, hints...), append(a.Zones, zones...)
	return a, nil
}

type askBody struct {
	Hint string `json:"hint,omitempty"` // of an address on file
	To   string `json:"to,omitempty"`   // or an address that she named
}

type giveBody struct {
	ID   string `json:"id"`
	Code string `json:"code"`
}

type domainBody struct {
	Domain string `json:"domain"`
}

func (p *Portal) identityRoutes() []route {
	const base = "/api/v1/tickets/:number/identity"
	after := func(do func(*call) (desk.Standing, error)) func(*call) error {
		return func(k *call) error {
			s, err := do(k)
			if err != nil {
				return err
			}
			a, err := k.identityOf(k.Params("number"), s)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, a)
		}
	}
	return []route{
		{method: "GET", path: base, right: auth.TicketRead, tag: "tickets", summary: "who the person of a ticket is taken to be, on what it rests, and what would lead on", answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
			v, err := p.Desk.Ticket(k.UserContext(), k.Params("number"))
			return v.Standing, err
		})},
		{method: "POST", path: base + "/evidence", right: auth.TicketWrite, tag: "tickets", needs: []string{"what"},
			summary: "record what a member of staff did or found out: match, B (a call back), G (what she knew), number, called, pair, override",
			body:    desk.Record{}, answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
				var in desk.Record
				if err := decode(k.Ctx, &in); err != nil {
					return desk.Standing{}, err
				}
				in.Ticket = k.Params("number")
				return p.Desk.Record(k.UserContext(), k.person.ID, in)
			})},
		{method: "POST", path: base + "/evidence/:id/agree", right: auth.TicketWrite, tag: "tickets", summary: "agree, as a second member of staff, to an override", answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
			return p.Desk.Agree(k.UserContext(), k.person.ID, k.Params("number"), k.Params("id"))
		})},
		{method: "POST", path: base + "/evidence/:id/void", right: auth.TicketWrite, tag: "tickets", summary: "take evidence back; the reason is kept", needs: []string{"reason"}, body: reasonBody{}, answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return desk.Standing{}, err
			}
			return p.Desk.Void(k.UserContext(), k.person.ID, k.Params("number"), k.Params("id"), in.Reason)
		})},
		{method: "POST", path: base + "/codes", right: auth.TicketWrite, tag: "tickets", summary: "send a code to an address on file (hint), or to one that she named (to; without it the ticket's own)", status: 201, body: askBody{}, answer: desk.Sent{}, do: func(k *call) error {
			var in askBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			sent, err := k.sendCode(in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, sent)
		}},
		{method: "POST", path: base + "/codes/give", right: auth.TicketWrite, tag: "tickets", summary: "give back a code that she read to a member of staff", needs: []string{"id", "code"}, body: giveBody{}, answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
			var in giveBody
			if err := decode(k.Ctx, &in); err != nil {
				return desk.Standing{}, err
			}
			return k.takeCode(in)
		})},
		{method: "POST", path: base + "/zones", right: auth.TicketWrite, tag: "tickets", summary: "ask for a DNS record in a domain", status: 201, needs: []string{"domain"}, body: domainBody{}, answer: desk.Zone{}, do: func(k *call) error {
			var in domainBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			z, err := p.Desk.AskZone(k.UserContext(), k.person.ID, k.Params("number"), in.Domain)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, z)
		}},
		{method: "POST", path: base + "/zones/check", right: auth.TicketWrite, tag: "tickets", summary: "look whether the records stand there", answer: identityAnswer{}, do: after(func(k *call) (desk.Standing, error) {
			_, s, err := p.Desk.CheckZones(k.UserContext(), k.person.ID, k.Params("number"))
			return s, err
		})},
		{method: "POST", path: "/api/v1/changes/:id/hasten", right: auth.IncidentEdit, tag: "changes", summary: "let what a customer asked for be carried out before everybody on file had a day to say no; the reason is kept", needs: []string{"reason"}, body: reasonBody{}, answer: changeAnswer{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := p.Desk.Hasten(k.UserContext(), k.person.ID, k.Params("id"), in.Reason); err != nil {
				return err
			}
			rec, err := p.Changes.Change(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, changeOf(rec))
		}},
		{method: "POST", path: "/desk/tickets/:number/identity", page: true, right: auth.TicketWrite, do: (*call).identityForm},
		{method: "GET", path: "/v/:token", do: func(k *call) error { return k.linkPage(200, nil) }},
		{method: "POST", path: "/v/:token", form: true, do: (*call).linkPressed},
	}
}

// sendCode sends a code for the person of the ticket at hand, by a member of staff.
func (k *call) sendCode(in askBody) (desk.Sent, error) {
	ask := desk.Ask{Why: desk.ToReach, Number: k.Params("number"), To: in.To, By: k.person.ID}
	if in.Hint != "" {
		ask.Why, ask.Hint = desk.ToProve, in.Hint
	}
	return k.p.Desk.AskCode(k.UserContext(), ask)
}

func (k *call) takeCode(in giveBody) (desk.Standing, error) {
	v, err := k.p.Desk.Ticket(k.UserContext(), k.Params("number"))
	if err != nil {
		return desk.Standing{}, err
	}
	got, err := k.p.Desk.GiveCode(k.UserContext(), desk.Give{ID: in.ID, Case: v.ID, Code: in.Code, By: k.person.ID})
	return got.Standing, err
}

// identityDesk is the block of the ticket page that says who this is.
type identityDesk struct {
	identityAnswer
	People  []store.Rec[contacts.Contact] // of the account
	Numbers []evidenceAnswer              // of switchboards, to be called
	Agreed  bool                          // the ticket was matched
}

func (k *call) identityDesk(v desk.View) (d identityDesk, err error) {
	if d.identityAnswer, err = k.identityOf(v.Ticket.Number, v.Standing); err != nil {
		return d, err
	}
	for _, e := range d.Evidence {
		switch desk.Class(e.Class) {
		case desk.ClassNumber:
			if e.Counts {
				d.Numbers = append(d.Numbers, e)
			}
		case desk.ClassMatch:
			d.Agreed = d.Agreed || e.Counts
		}
	}
	if v.Standing.Account != "" {
		view, err := k.p.Book.AccountView(k.UserContext(), v.Standing.Account)
		if err != nil {
			return d, err
		}
		d.People = view.Contacts
	}
	return d, nil
}

// Phones are the numbers on file that can be called.
func (d identityDesk) Phones() (all []desk.Hint) {
	for _, h := range d.OnFile {
		if h.Channel == contacts.SMS {
			all = append(all, h)
		}
	}
	return all
}

// identityForm does what a button of the block says, and shows the ticket again.
func (k *call) identityForm() error {
	number := k.Params("number")
	ctx, by := k.UserContext(), k.person.ID
	rec := desk.Record{Ticket: number, What: desk.Class(k.FormValue("what")), Contact: k.FormValue("contact"), Hint: k.FormValue("hint"), Phone: k.FormValue("phone"),
		Source: k.FormValue("source"), Of: k.FormValue("of"), Reached: k.FormValue("reached") != "", Note: k.FormValue("note")}
	var err error
	asked := ""
	switch k.FormValue("do") {
	case "code":
		var sent desk.Sent
		sent, err = k.sendCode(askBody{Hint: k.FormValue("hint"), To: k.FormValue("to")})
		asked = sent.ID
	case "give":
		_, err = k.takeCode(giveBody{ID: k.FormValue("id"), Code: k.FormValue("code")})
	case "zone":
		_, err = k.p.Desk.AskZone(ctx, by, number, k.FormValue("domain"))
	case "zones":
		_, _, err = k.p.Desk.CheckZones(ctx, by, number)
	case "agree":
		_, err = k.p.Desk.Agree(ctx, by, number, k.FormValue("id"))
	case "void":
		_, err = k.p.Desk.Void(ctx, by, number, k.FormValue("id"), k.FormValue("reason"))
	case "record":
		if since := k.FormValue("since"); since != "" {
			if rec.Since, err = time.Parse(time.DateOnly, since); err != nil {
				err = fault.BadField("since", "must be a day such as 2021-05-31")
			}
		}
		if err == nil {
			_, err = k.p.Desk.Record(ctx, by, rec)
		}
	default:
		err = fault.BadField("do", "is none of what this form can do")
	}
	if err != nil {
		return k.ticketPage(problemOf(err).Status, err)
	}
	to := "/desk/tickets/" + url.PathEscape(number)
	if asked != "" {
		to += "?code=" + url.QueryEscape(asked) // an id, which opens nothing
	}
	return k.Redirect(to+"#identity", fiber.StatusSeeOther)
}

// reachView is the page behind the link of a code's mail.
type reachView struct {
	base
	Token string
	Asked desk.Confirming
	Old   bool
	Done  bool
}

// linkPage shows the button. It changes nothing: programs that follow every link of a mail confirm nothing.
func (k *call) linkPage(status int, done *desk.Given) error {
	token := k.Params("token")
	v := reachView{base: k.p.base(k.p.locale(k.Ctx), "/v/"+token, "reach.title"), Token: token}
	var err error
	switch {
	case done != nil:
		v.Done, v.Asked.Number, v.Path = true, done.Number, "/support"
	default:
		v.Asked, err = k.p.Desk.Confirming(k.UserContext(), token)
		if fault.Of(err) == fault.NotFound {
			v.Old, v.Path, status, err = true, "/support", fiber.StatusNotFound, nil
		}
	}
	if err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "reach", v)
}

func (k *call) linkPressed() error {
	got, err := k.p.Desk.GiveLink(k.UserContext(), k.Params("token"))
	if fault.Of(err) == fault.NotFound {
		return k.linkPage(fiber.StatusNotFound, nil)
	}
	if err != nil {
		return err
	}
	return k.linkPage(fiber.StatusOK, &got)
}
