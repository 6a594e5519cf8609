package portal

import (
	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

func (p *Portal) changePages() []route {
	const one = "/desk/changes/:id"
	return []route{
		{method: "GET", path: "/desk/changes", page: true, right: auth.ChangeRead, do: (*call).changeList},
		{method: "GET", path: one, page: true, right: auth.ChangeRead, do: func(k *call) error { return k.changePage(200, nil) }},
		{method: "POST", path: one, page: true, right: auth.ChangeRead, do: func(k *call) error {
			if err := k.moveChange(k.FormValue("act"), k.FormValue("reason")); err != nil {
				return k.changePage(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/changes/"+k.Params("id"), fiber.StatusSeeOther)
		}},
		{method: "POST", path: "/desk/changes", page: true, right: auth.ChangePropose, do: func(k *call) error { // an export is all that needs nothing but a reason
			rec, err := k.proposeChange("contact.export", struct{}{}, k.FormValue("reason"), 0)
			if err != nil {
				return k.changeListWith(problemOf(err).Status, err)
			}
			return k.Redirect("/desk/changes/"+rec.ID, fiber.StatusSeeOther)
		}},
	}
}

// moveChange does what a button says. Approving binds what the form showed.
func (k *call) moveChange(act, reason string) error {
	ctx, id := k.UserContext(), k.Params("id")
	rec, err := k.p.Changes.Change(ctx, id)
	if err != nil {
		return err
	}
	switch act {
	case "approve":
		if err := k.p.Gate.MayApproveChange(ctx, k.person); err != nil {
			return err
		}
		_, err = k.p.Changes.Approve(ctx, k.person.ID, id, k.FormValue("digest"))
	case "refuse":
		if rec.Value.Author != k.person.ID {
			if err := k.person.Can(auth.ChangeApprove); err != nil {
				return err
			}
		}
		_, err = k.p.Changes.Refuse(ctx, k.person.ID, id, reason)
	case "run", "pause", "undo":
		if err := k.person.Can(auth.ChangePropose); err != nil {
			return err
		}
		if err := k.p.may(k, rec.Value.Verb); err != nil {
			return err
		}
		switch act {
		case "run":
			_, err = k.p.Changes.Run(ctx, k.person.ID, id)
		case "pause":
			_, err = k.p.Changes.Pause(ctx, k.person.ID, id)
		default:
			_, err = k.p.Changes.Undo(ctx, k.person.ID, id, reason)
		}
	default:
		err = fault.BadField("act", "%.20q is nothing that can be done with a change", act)
	}
	return err
}

type changeListView struct {
	shell
	State  contacts.ChangeState
	States []contacts.ChangeState
	All    []changeDesk
	Next   string
}

// changeDesk is a change with what the person who looks can do about it.
type changeDesk struct {
	ID string
	contacts.Change
	Says    string
	Mine    bool
	Can     map[string]bool // approve, refuse, run, pause, undo
	Import  bool            // an import that waits
	Held    bool            // its file is kept; else whoever sent it sends it again
	Export  bool
	Percent int
}

var changeTones = map[contacts.ChangeState]string{
	contacts.ChangeProposed: "tone-warn", contacts.ChangeApproved: "tone-info", contacts.ChangeRunning: "tone-info", contacts.ChangePaused: "tone-warn",
	contacts.ChangeStopped: "tone-bad", contacts.ChangeDone: "tone-good",
}

// Busy says that it is being done, or undone.
func (c changeDesk) Busy() bool {
	return c.State == contacts.ChangeRunning || c.State == contacts.ChangeUndoing
}

// Stands is its state in words: one that needs no second person waits for nobody's approval.
func (c changeDesk) Stands() string {
	if c.State == contacts.ChangeProposed && c.Alone {
		return "alone"
	}
	return string(c.State)
}

// Tickets says that its steps are named by the numbers of tickets.
func (c changeDesk) Tickets() bool { return c.Verb == desk.VerbHandle || c.Verb == desk.VerbReply }

// Tone is the colour of its state.
func (c changeDesk) Tone() string { return changeTones[c.State] }

func (k *call) changeDesk(s shell, rec store.Rec[contacts.Change]) changeDesk {
	c := rec.Value
	d := changeDesk{ID: rec.ID, Change: c, Says: c.Verb, Mine: c.Author == k.person.ID, Import: c.Verb == contacts.VerbImport, Export: c.Verb == "contact.export"}
	v, err := k.p.Changes.Verb(c.Verb)
	if err == nil {
		d.Says = v.Says
	}
	if says := changeSays(s.Words, c.Verb); says != c.Verb {
		d.Says = says
	}
	if d.Import {
		held, err := k.p.Book.Held(k.UserContext(), rec.ID)
		if err != nil {
			k.p.Log.Warn("it is not known whether a file is kept", "change", rec.ID, "err", err)
		}
		d.Held = held
	}
	may := err == nil && k.person.Can(auth.ChangePropose) == nil && k.person.Can(auth.Right(v.Right)) == nil
	approver := k.person.Can(auth.ChangeApprove) == nil
	waits, begun := c.State == contacts.ChangeProposed, c.State == contacts.ChangeDone || c.State == contacts.ChangePaused || c.State == contacts.ChangeStopped
	ready := c.State == contacts.ChangeApproved || waits && c.Alone || c.State == contacts.ChangePaused
	d.Can = map[string]bool{
		"approve": waits && !d.Mine && approver,
		"refuse":  (waits || c.State == contacts.ChangeApproved) && (d.Mine || approver),
		"run":     ready && may && (!d.Import || d.Held),
		"pause":   c.State == contacts.ChangeRunning && may,
		"undo":    begun && may && v.Undo != nil && !c.UndoUntil.Before(s.Now),
	}
	if c.State == contacts.ChangeStopped {
		d.Can["undo"] = may && v.Undo != nil
	}
	if c.Steps > 0 {
		d.Percent = c.Done * 100 / c.Steps
	}
	return d
}

func (k *call) changeList() error { return k.changeListWith(200, nil) }

func (k *call) changeListWith(status int, refused error) error {
	v := changeListView{shell: k.shell("desk.book.changes"), State: contacts.ChangeState(k.Query("state", string(contacts.ChangeProposed))),
		States: []contacts.ChangeState{contacts.ChangeProposed, contacts.ChangeApproved, contacts.ChangePaused, contacts.ChangeStopped, contacts.ChangeDone, "all"}}
	state := v.State
	if state == "all" {
		state = ""
	}
	page, next, err := k.changes(state, store.Query{After: k.Query("after"), Limit: shownAtOnce})
	if err != nil {
		return err
	}
	v.Next = next
	for _, rec := range page {
		v.All = append(v.All, k.changeDesk(v.shell, rec))
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_changes", v)
}

type changePageView struct {
	shell
	Change changeDesk
	Typed  string
	Drafts []desk.Draft    // of a change that writes to many: the first, for whoever may read tickets
	Left   []contacts.Step // what it left as it was
}

func (k *call) changePage(status int, refused error) error {
	rec, err := k.p.Changes.Change(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := changePageView{shell: k.shell("desk.book.changes")}
	v.Change = k.changeDesk(v.shell, rec)
	v.Title = v.Change.Says
	if v.May(string(auth.TicketRead)) && (rec.Value.State == contacts.ChangeProposed || rec.Value.State == contacts.ChangeApproved) {
		if v.Drafts, err = k.p.Desk.Drafts(k.UserContext(), rec.Value, shownDrafts); err != nil {
			return err
		}
	}
	if rec.Value.Left > 0 {
		if v.Left, err = k.p.Changes.Left(k.UserContext(), rec.ID, maxList); err != nil {
			return err
		}
	}
	if refused != nil {
		v.refused(refused)
		v.Typed = k.FormValue("reason")
	} else if v.Change.Busy() {
		k.Set("Refresh", "2") // with or without script: nothing can be typed there meanwhile
	}
	return k.p.render(k.Ctx, status, "desk_change", v)
}

// changeSays is what a verb does, in words; a verb that has none here is its name.
func changeSays(words templates.Catalog, verb string) string {
	if key := "desk.book.verb." + verb; words.Has(key) {
		return words.T(key)
	}
	return verb
}
