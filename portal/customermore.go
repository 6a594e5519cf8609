package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/templates"
)

// What a customer may see and ask beyond her own ticket, once she has shown more of who she is: see the table of the ladder in the desk.

// companyView is what she may know of her company, on whatever page of hers.
type companyView struct {
	Words templates.Catalog
	desk.Company
	Zone  string
	At    string // where the tickets that she may read lie; "": none
	Apart string // number of the ticket whose page it is
}

// Others are the tickets beside the one whose page it is.
func (v companyView) Others() (all []companyTicket) {
	for _, t := range v.Tickets {
		if t.Value.Number == v.Apart {
			continue
		}
		at := v.At + t.Value.Number
		if v.At == "" {
			at = "/t/" + t.Value.Number
		}
		all = append(all, companyTicket{Ticket: t.Value, At: at})
	}
	return all
}

// Written are those that somebody wrote, for whom one can vouch.
func (v companyView) Written() (all []companyTicket) {
	for _, t := range v.Others() {
		if t.Stands() != "opened" {
			all = append(all, t)
		}
	}
	return all
}

type companyTicket struct {
	desk.Ticket
	At string
}

// Theirs is what the page of a ticket shows of her company.
func (v ticketView) Theirs() companyView {
	c := companyView{Words: v.Words, Company: v.Company, Zone: v.Vendor.Zone, Apart: v.Number}
	if v.May(string(desk.SeeShared)) {
		c.At = "/t/" + v.Number + "/shared/"
	}
	return c
}

// Theirs is what her own page shows of it.
func (v meView) Theirs() companyView {
	c := companyView{Words: v.Words, Company: v.Own.Company, Zone: v.Vendor.Zone, Apart: v.Own.Ticket.Number}
	if v.May(string(desk.SeeShared)) {
		c.At = "/me/tickets/"
	}
	return c
}

// sharedView is a ticket of her company that somebody else filed.
type sharedView struct {
	base
	Open desk.View
	Back string
}

// File is one of its files as the page names it: below the page, so that what opens the page opens the file.
func (v sharedView) File(a desk.Attachment) attachedFile {
	return attachedFile{Attachment: a, Words: v.Words, URL: v.Path + "/files/" + a.ID}
}

// Line is the text of a message with the words of the page.
func (v sharedView) Line(text string) spokenText { return spokenText{v.Words, text} }

// sharedTicket is a ticket of her company, for whoever has her own ticket open and has shown enough. Reading it changes nothing.
func (k *call) sharedTicket() (v desk.View, back, at string, err error) {
	_, visit, err := k.p.Desk.Enter(k.UserContext(), k.Params("number"), desk.Key{Visit: k.Cookies(k.p.visitCookie())})
	if err != nil {
		return v, "", "", noPageFor(err)
	}
	back = "/t/" + k.Params("number")
	v, err = k.sharedWith(visit.Standing)
	return v, back, back + "/shared/" + v.Ticket.Number, err
}

// myTicket is the same from her own page.
func (k *call) myTicket() (v desk.View, back, at string, err error) {
	own, err := k.p.Desk.Own(k.UserContext(), k.Cookies(k.p.visitCookie()))
	if err != nil {
		return v, "", "", noPageFor(err)
	}
	v, err = k.sharedWith(own.Standing)
	return v, "/me", "/me/tickets/" + v.Ticket.Number, err
}

func (k *call) sharedWith(s desk.Standing) (desk.View, error) {
	v, err := k.p.Desk.SharedTicket(k.UserContext(), s, k.Params("other"))
	return v, noPageFor(err)
}

// sharedRoutes show such a ticket and its files below a path, by whichever page of hers she comes.
func sharedRoutes(path string, find func(*call) (v desk.View, back, at string, err error)) []route {
	file := func(send func(*call, desk.Attachment) error) func(*call) error {
		return func(k *call) error {
			v, _, _, err := find(k)
			if err != nil {
				return err
			}
			a, err := v.Attachment(k.Params("id"))
			if err != nil {
				return noPageFor(err)
			}
			return send(k, a)
		}
	}
	return []route{
		{method: "GET", path: path, do: func(k *call) error {
			v, back, at, err := find(k)
			if err != nil {
				return err
			}
			return k.p.render(k.Ctx, fiber.StatusOK, "shared", sharedView{base: k.p.base(k.p.locale(k.Ctx), at, "ticket.title"), Open: v, Back: back})
		}},
		{method: "GET", path: path + "/files/:id", do: file((*call).sendFile)},
		{method: "GET", path: path + "/files/:id/picture", do: file((*call).sendPicture)},
	}
}

// noPageFor answers whoever may not see a page as if there was none.
func noPageFor(err error) error {
	if kind := fault.Of(err); kind == fault.NotFound || kind == fault.Forbidden {
		return errNoPage
	}
	return err
}

// openOwn goes from her ticket to her own page, where she stands as high as here.
func (k *call) openOwn() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	token, err := k.p.Desk.BeginOwnFrom(v, visit)
	if err != nil {
		return err
	}
	own, err := k.p.Desk.Own(k.UserContext(), token)
	if err != nil {
		return err
	}
	return k.showMe(fiber.StatusOK, own, meView{})
}

// pleaForm asks for an escalation or a restore of other data.
type pleaForm struct{ Plea, Why string }

// plead takes what she asks for beyond an answer.
func (k *call) plead() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	form := pleaForm{k.FormValue("plea"), k.FormValue("why")}
	said, err := k.p.Desk.Plead(k.UserContext(), v, visit, desk.Plea(form.Plea), form.Why)
	switch fault.Of(err) {
	case "":
		return k.back(said, visit, "asked")
	case fault.Invalid, fault.TooMany, fault.Unavailable, fault.Unknown:
		k.later(err)
		key := "plea.error"
		if fault.Of(err) != fault.Invalid {
			key = "support.error.later"
		}
		return k.showTicket(problemOf(err).Status, v, visit, ticketView{Plea: form, Errors: map[string]string{"why": k.p.Words.Catalog(k.speaks(v)).T(key)}})
	}
	return err
}

// proveDomain asks for a record in a domain, or looks whether it stands there.
func (k *call) proveDomain() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	if err := visit.May(desk.AttachFile); err != nil { // whoever has not shown that she can be reached sets us no work
		return err
	}
	ctx, by := k.UserContext(), "public:web"
	wrong := ""
	if domain := k.FormValue("domain"); domain != "" {
		_, err = k.p.Desk.AskZone(ctx, by, v.Ticket.Number, domain)
		wrong = "zone.wrong"
	} else {
		var found []desk.Zone
		if found, _, err = k.p.Desk.CheckZones(ctx, by, v.Ticket.Number); err == nil && len(found) > 0 {
			if v, visit, err = k.p.Desk.Enter(ctx, v.Ticket.Number, desk.Key{Visit: visit.Token}); err != nil {
				return k.unopened(err)
			}
			return k.back(v, visit, "zone")
		}
		wrong = "zone.none"
		if err == nil {
			return k.showTicket(fiber.StatusOK, v, visit, ticketView{Errors: map[string]string{"domain": k.p.Words.Catalog(k.speaks(v)).T(wrong)}})
		}
	}
	if err == nil {
		return k.showTicket(fiber.StatusOK, v, visit, ticketView{ZoneAsked: true})
	}
	says, other := k.uncoded(err, wrong)
	if other != nil {
		return other
	}
	return k.showTicket(problemOf(err).Status, v, visit, ticketView{Errors: map[string]string{"domain": says}})
}
