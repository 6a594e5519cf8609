package portal

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// proposalsAnswer is the accounts that a ticket may belong to. Nothing is linked until somebody says so.
type proposalsAnswer struct {
	Items    []proposalAnswer `json:"items"`
	Flags    []codedWords     `json:"flags"`
	Searched int              `json:"searched"` // percent of the book that could be searched
}

type proposalAnswer struct {
	Account accountAnswer  `json:"account"`
	Score   int            `json:"score"`
	Reasons []reasonAnswer `json:"reasons"`
	Flags   []codedWords   `json:"flags"`
}

type reasonAnswer struct {
	Code   string `json:"code"`
	Points int    `json:"points"`
	Words  string `json:"words"`
	On     string `json:"on"`
}

type codedWords struct {
	Code  string `json:"code"`
	Words string `json:"words"`
}

type linkBody struct {
	Account string `json:"account_id"`
	Reason  string `json:"reason,omitempty"`
}

func proposalsOf(m contacts.Matched) proposalsAnswer {
	a := proposalsAnswer{Items: []proposalAnswer{}, Flags: flagsOf(m.Flags), Searched: m.Read}
	for _, p := range m.Proposals {
		item := proposalAnswer{Account: accountOf(p.Account), Score: p.Score, Flags: flagsOf(p.Flags)}
		for _, r := range p.Reasons {
			item.Reasons = append(item.Reasons, reasonAnswer{r.Code, r.Points, r.Words, r.On})
		}
		a.Items = append(a.Items, item)
	}
	return a
}

func flagsOf(all []contacts.Flag) []codedWords {
	out := []codedWords{}
	for _, f := range all {
		out = append(out, codedWords{f.Code, f.Words})
	}
	return out
}

func (p *Portal) accountRoutes() []route {
	const one = "/api/v1/tickets/:number/account"
	return []route{
		{method: "GET", path: one + "s", right: auth.AccountRead, tag: "tickets", summary: "the accounts that a ticket's traces speak for, likeliest first, with reasons; nothing is linked", answer: proposalsAnswer{}, do: func(k *call) error {
			m, err := p.Desk.Proposals(k.UserContext(), k.Params("number"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, proposalsOf(m))
		}},
		{method: "POST", path: one, right: auth.TicketWrite, tag: "tickets", summary: "hang a ticket on an account, because a person says so; with If-Match only if it is as she saw it", needs: []string{"account_id"},
			body: linkBody{}, answer: ticketAnswer{}, do: func(k *call) error {
				var in linkBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				return k.link(p.Desk.Confirm, desk.Link{Account: in.Account, Reason: in.Reason})
			}},
		{method: "DELETE", path: one, right: auth.TicketWrite, tag: "tickets", summary: "take a ticket off its account", query: []string{"reason"}, answer: ticketAnswer{}, do: func(k *call) error {
			return k.link(p.Desk.Unlink, desk.Link{Reason: k.Query("reason")})
		}},
		{method: "POST", path: "/desk/tickets/:number/account", page: true, right: auth.TicketWrite, do: (*call).linkByForm},
		{method: "GET", path: "/desk/search", page: true, right: auth.AccountRead, do: (*call).searchPage},
	}
}

func (k *call) link(do func(context.Context, string, desk.Link) (desk.View, error), l desk.Link) error {
	version, err := k.ifMatch()
	if err != nil {
		return err
	}
	l.Ticket, l.Version = k.Params("number"), version
	v, err := do(k.UserContext(), k.person.ID, l)
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, k.p.wholeTicket(v))
}

// linkByForm confirms the account that the form names, or takes the ticket off its account when it names none.
func (k *call) linkByForm() error {
	do := k.p.Desk.Confirm
	l := desk.Link{Ticket: k.Params("number"), Account: k.FormValue("account"), Reason: k.FormValue("reason")}
	if l.Account == "" {
		do = k.p.Desk.Unlink
	}
	l.Version, _ = strconv.ParseInt(k.FormValue("version"), 10, 64) // a form without it is taken as it comes
	if _, err := do(k.UserContext(), k.person.ID, l); err != nil {
		return k.ticketPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/tickets/"+url.PathEscape(k.Params("number")), fiber.StatusSeeOther)
}

// searchView is one box and what it found.
type searchView struct {
	shell
	Q      string
	Found  contacts.Found
	Ticket string // the number, when what was typed is one
	Asked  bool
}

const searchPageHits = 20

func (k *call) searchPage() error {
	v := searchView{shell: k.shell("desk.search"), Q: strings.TrimSpace(k.Query("q"))}
	status := fiber.StatusOK
	if v.Q != "" {
		v.Asked = true
		found, err := k.p.Book.Search(k.UserContext(), v.Q, searchPageHits)
		switch {
		case fault.Of(err) == fault.Invalid:
			status = fiber.StatusUnprocessableEntity
			v.refused(err)
		case err != nil:
			return err
		}
		v.Found = found
		if k.person.Can(auth.TicketRead) == nil {
			if open, err := k.p.Desk.Ticket(k.UserContext(), v.Q); err == nil && k.open(v.Q) == nil {
				v.Ticket = open.Ticket.Number
			}
		}
	}
	return k.p.render(k.Ctx, status, "desk_search", v)
}

// belongs is what the ticket page says of accounts: the one that it hangs on, or the ones that it may belong to.
type belongs struct {
	Account *store.Rec[contacts.Account]
	Likely  contacts.Matched
	Failed  bool // the proposals could not be had; the ticket can
}

func (k *call) belongs(open desk.View) (b belongs) {
	if k.person.Can(auth.AccountRead) != nil {
		return b
	}
	if open.Ticket.Account != "" {
		v, err := k.p.Book.AccountView(k.UserContext(), open.Ticket.Account)
		if b.Failed = err != nil; err == nil {
			b.Account = &v.Account
		}
		return b
	}
	var err error
	b.Likely, err = k.p.Desk.Proposals(k.UserContext(), open.Ticket.Number)
	b.Failed = err != nil
	return b
}
