package comms

import (
	"context"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// CategorySecurity is the category of an incident that follows the security team's process: it is read by them and by whoever is named in it, and no text of
// it goes out without their word.
const CategorySecurity = "security"

// Confined says that an incident is read by the security role and by whoever is named in it, and by nobody else.
func (in Incident) Confined() bool { return in.Category == CategorySecurity }

// mailedTitle is what mails to staff call an incident. They are read by others than whom they are for, so of a confined one they say only that it is there.
func (r *Room) mailedTitle(in Incident) string {
	if in.Confined() {
		return r.Words.Catalog(templates.Locales()[0]).T("page.entry.title")
	}
	return in.Title
}

// LetsIn says whether somebody is named in an incident.
func (in Incident) LetsIn(person string) bool {
	return person != "" && (in.DeclaredBy == person || in.Holds(person) || slices.Contains(in.Contributors, person) || slices.Contains(in.Informed, person))
}

// needsSecurity says that no text about it goes out without the security role's word.
func (in Incident) needsSecurity() bool { return in.Confined() || in.Security == "confirmed" }

// waitsForSecurity refuses what goes out by one person or by no person.
func (in Incident) waitsForSecurity() error {
	if in.needsSecurity() {
		return fault.New(fault.Forbidden, "this is about security: write an update, and have it approved by somebody with the security role")
	}
	return nil
}

// seclusion is the little of an incident that says who may read it.
type seclusion struct {
	confined bool
	people   Incident // of a confined one, with nothing in it but who is named
}

func (in Incident) seclusion() seclusion {
	if !in.Confined() {
		return seclusion{}
	}
	return seclusion{true, Incident{DeclaredBy: in.DeclaredBy, Commander: in.Commander, Crew: in.Crew, Contributors: in.Contributors, Informed: in.Informed}}
}

// ClosedTo are the ids of the incidents that somebody without the security role may not read.
func (r *Room) ClosedTo(ctx context.Context, person string) (closed map[string]bool, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		closed = map[string]bool{}
		for rec, err := range store.Gists(tx, incidents, &r.seclusions, Incident.seclusion, store.Query{Index: "number"}) {
			if err != nil {
				return err
			}
			if rec.Value.confined && !rec.Value.people.LetsIn(person) {
				closed[rec.ID] = true
			}
		}
		return nil
	})
	return closed, err
}

// Opens says whether somebody without the security role may read what an id is of: an incident by either of its ids, an update, or a task. What is none of them,
// or is not there, is not hers to be kept from.
func (r *Room) Opens(tx *store.Tx, id, person string) (open bool, err error) {
	of := id
	switch {
	case strings.HasPrefix(id, updates.Kind.Prefix+"_"):
		u, _, failed := updates.Get(tx, id)
		of, err = u.Incident, failed
	case strings.HasPrefix(id, tasks.Kind.Prefix+"_"):
		t, _, failed := tasks.Get(tx, id)
		of, err = t.Incident, failed
	}
	if err == nil {
		if of == "" || strings.Contains(of, "_") && !strings.HasPrefix(of, incidents.Kind.Prefix+"_") {
			return true, nil
		}
		var in store.Rec[Incident]
		in, err = findIncident(tx, of)
		open = !in.Value.Confined() || in.Value.LetsIn(person)
	}
	if k := fault.Of(err); k == fault.NotFound || k == fault.Invalid {
		return true, nil
	}
	return open, err
}

// MayHave refuses to give somebody, whom a field names, what belongs to an incident (its id) that she may not open: she could do nothing with it, and would be
// told of it.
func (r *Room) MayHave(tx *store.Tx, incident, field, person string) error {
	if r.Cleared == nil || incident == "" || person == "" {
		return nil
	}
	in, _, err := incidents.Get(tx, incident)
	if err != nil {
		return err
	}
	return r.mayHave(tx, in, field, person)
}

func (r *Room) mayHave(tx *store.Tx, in Incident, field, person string) error {
	if r.Cleared == nil || person == "" || !in.Confined() || in.LetsIn(person) {
		return nil
	}
	cleared, err := r.Cleared(tx, person)
	if err == nil && !cleared {
		err = fault.BadFields(fault.Field{Field: field, Code: "confined", Reason: "is somebody who may not open this security incident: name her in it first, or choose somebody with the security role"})
	}
	return err
}

// KeptOut are those of some people to whom nothing can be given that belongs to an incident.
func (r *Room) KeptOut(ctx context.Context, incident string, people []string) (out map[string]bool, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		out = map[string]bool{}
		in, err := findIncident(tx, incident)
		if err != nil || !in.Value.Confined() {
			return err
		}
		for _, person := range people {
			err := r.mayHave(tx, in.Value, "person", person)
			if out[person] = err != nil; err != nil && fault.Of(err) != fault.Invalid {
				return err
			}
		}
		return nil
	})
	return out, err
}

// NeedsSecurity says whether an update waits for the security role's word.
func (r *Room) NeedsSecurity(ctx context.Context, update string) (needs bool, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, _, err := updates.Get(tx, update)
		if err != nil {
			return err
		}
		in, err := findIncident(tx, u.Incident)
		needs = in.Value.needsSecurity()
		return err
	})
	return needs, err
}

// securityWord is of what the security role's word for an update is.
func securityWord(update string) string { return "security:" + update }

// secured refuses to say what waits for the security role and has not its word for exactly this text.
func (r *Room) secured(tx *store.Tx, u store.Rec[Update], in Incident, people int) error {
	if !in.needsSecurity() {
		return nil
	}
	given, ids, err := store.ApprovalsGiven(tx, securityWord(u.ID), r.digest(u.Value, in))
	if err != nil {
		return err
	}
	given = slices.DeleteFunc(given, func(a store.Approval) bool { return a.By == u.Value.Author })
	if store.Judge(given, people, 1) != store.Approved {
		return fault.New(fault.Forbidden, "this is about security: somebody with the security role must approve it before it is published")
	}
	tx.On(ids...)
	return nil
}

// SecurityProcess is where the security team goes on with an incident.
type SecurityProcess struct {
	Reference string `json:"reference"` // their number of it
	URL       string `json:"url"`       // of their tracker; "": it has no address
}

// FollowSecurity records where the security team goes on with an incident.
func (r *Room) FollowSecurity(ctx context.Context, by, incident string, form SecurityProcess) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.security_process"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		form = SecurityProcess{strings.TrimSpace(form.Reference), strings.TrimSpace(form.URL)}
		f := lineProse.bad(nil, "reference", form.Reference)
		if form.URL != "" {
			f = LinkForm{Sort: LinkSorts()[0], Title: form.Reference, URL: form.URL}.badURL(f)
		}
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if !in.Confined() {
			return in, fault.New(fault.Conflict, "its category is %s: only a security incident follows the security team's process", in.Category)
		}
		in.Process = &form
		return in, r.note(tx, id, by, "security_process", form.Reference)
	})
}
