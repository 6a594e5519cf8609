package portal

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

func (p *Portal) conflictPages() []route {
	return []route{
		{method: "GET", path: "/desk/conflicts", page: true, right: auth.ContactRead, do: func(k *call) error { return k.conflictList(200, nil) }},
		{method: "POST", path: "/desk/conflicts", page: true, right: auth.ContactChange, do: (*call).decideConflict},
	}
}

// conflictDesk is a conflict as a person reads it: both sides, each with who says so, how strong that is and how old.
type conflictDesk struct {
	contacts.OpenConflict
	Name    string // of the customer
	Ours    sideDesk
	Theirs  sideDesk
	Choices []choice
}

type sideDesk struct {
	Value, Source string
	Class         string // of the source, in words
	Seen          time.Time
	Confirmed     time.Time
	How           string
	By            string
}

// choice is one answer with the key that gives it.
type choice struct {
	Decision contacts.Decision
	Key      string
	Strong   bool
}

var decisionKeys = map[contacts.Decision]string{
	contacts.TakeOffered: "t", contacts.KeepOurs: "k", contacts.SamePerson: "s", contacts.MoveAddress: "m", contacts.KeepApart: "a",
}

func (k *call) conflictDesk(s shell, c contacts.OpenConflict) conflictDesk {
	class := func(source string) string {
		of := k.p.Book.Policy.Class(source)
		switch {
		case source == string(contacts.ByStaff):
			of = "staff"
		case of == "":
			of = "other"
		}
		return s.Words.T("desk.book.class." + of)
	}
	have := c.HaveOrigin
	d := conflictDesk{OpenConflict: c,
		Ours:   sideDesk{Value: c.Have, Source: have.Source, Class: class(have.Source), Seen: have.Seen, Confirmed: have.ConfirmedAt, How: have.How.String(), By: have.By},
		Theirs: sideDesk{Value: c.Offered, Source: c.Source, Class: class(c.Source), Seen: c.At, Confirmed: c.ConfirmedAt, How: "import"}}
	if c.Field == contacts.Email {
		d.Theirs.Value = maskAddress(contacts.Email, c.Offered)
	}
	for _, one := range c.Decisions() {
		d.Choices = append(d.Choices, choice{Decision: one, Key: decisionKeys[one]})
	}
	return d
}

// conflictsDesk puts names beside ids: of the customers, and of the contacts who have a disputed address.
func (k *call) conflictsDesk(s shell, page []contacts.OpenConflict) (all []conflictDesk, err error) {
	err = k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
		all = nil
		for _, c := range page {
			d := k.conflictDesk(s, c)
			account, err := k.p.Book.Account(tx, c.Account)
			if err != nil && fault.Of(err) != fault.NotFound {
				return err
			}
			if d.Name = account.Value.Name; d.Name == "" {
				d.Name = c.Account
			}
			if c.Field == contacts.Email {
				has, err := k.p.Book.Contact(tx, c.Have)
				if err != nil && fault.Of(err) != fault.NotFound {
					return err
				}
				if has.Value.Name != "" {
					d.Ours.Value = has.Value.Name
				}
			}
			all = append(all, d)
		}
		return nil
	})
	return all, err
}

type conflictListView struct {
	shell
	Account string
	All     []conflictDesk
	Total   int
	Next    string
	Why     string             // the reason that was given last
	Decided contacts.Reopening // what was decided last, and can be taken back
	Back    bool               // it was
	Wrong1  string             // the conflict whose form was refused
}

func (k *call) conflictList(status int, refused error) error {
	ctx := k.UserContext()
	v := conflictListView{shell: k.shell("desk.book.conflicts"), Account: k.Query("account"), Why: k.Query("why"), Decided: contacts.Reopening{Of: k.Query("of"), Conflict: k.Query("done")}, Back: k.Query("back") != ""}
	err := k.p.DB.View(ctx, func(tx *store.Tx) error {
		if v.Account == "" {
			return nil
		}
		rec, err := k.p.Book.Account(tx, v.Account)
		v.Account = rec.ID
		return err
	})
	if err != nil {
		return err
	}
	page, next, err := k.p.Book.OpenConflicts(ctx, v.Account, store.Query{After: k.Query("after"), Limit: 20})
	if err != nil {
		return err
	}
	v.Next = next
	if v.Total, err = k.p.Book.CountConflicts(ctx); err != nil {
		return err
	}
	if v.All, err = k.conflictsDesk(v.shell, page); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		v.Why, v.Wrong1 = k.FormValue("reason"), k.FormValue("conflict")
	}
	return k.p.render(k.Ctx, status, "desk_conflicts", v)
}

func (k *call) decideConflict() error {
	to := url.Values{}
	if account := k.FormValue("account"); account != "" {
		to.Set("account", account)
	}
	if k.FormValue("act") == "reopen" {
		if _, err := k.p.Book.ReopenConflict(k.UserContext(), k.person.ID, contacts.Reopening{Of: k.FormValue("of"), Conflict: k.FormValue("conflict")}); err != nil {
			return k.conflictList(problemOf(err).Status, err)
		}
		to.Set("back", "1")
		return k.Redirect("/desk/conflicts?"+to.Encode(), fiber.StatusSeeOther)
	}
	in := contacts.ConflictAnswer{Conflict: k.FormValue("conflict"), Decision: contacts.Decision(k.FormValue("decision")), Reason: k.FormValue("reason")}
	done, change, err := k.p.Book.DecideConflict(k.UserContext(), k.person.ID, in)
	if err != nil {
		return k.conflictList(problemOf(err).Status, err)
	}
	if change != "" {
		return k.Redirect("/desk/changes/"+change, fiber.StatusSeeOther)
	}
	to.Set("done", in.Conflict)
	to.Set("of", done.Of)
	to.Set("why", in.Reason)
	return k.Redirect("/desk/conflicts?"+to.Encode(), fiber.StatusSeeOther)
}
