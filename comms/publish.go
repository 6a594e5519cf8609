package comms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// PublishOptions say how to publish.
type PublishOptions struct {
	PageOnly bool    // without an approver, to the page alone: only the author of a P0's draft, when nobody approved it for the policy's PageOnly
	Stages   *Stages // to a few first, then to all; nil: to all at once
}

// Publish says an update: one transaction freezes the ledger's figures, writes the notice that the outbox will carry, marks the promise of the next
// update, and moves the page. It is refused while a finding is an error, without an approval of exactly these words for
// about this many people, or when a newer update was published since the draft was written.
func (r *Room) Publish(ctx context.Context, by, id string, o PublishOptions) (rec store.Rec[Update], err error) {
	if f := o.bad(); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	k, err := r.survey(ctx, id)
	if err != nil {
		return rec, err
	}
	k.stages = o.Stages
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.publish"}, func(tx *store.Tx) error {
		u, in, err := k.again(tx, id)
		if err != nil {
			return err
		}
		if err := r.mayPublish(tx, by, u, in, k, o); err != nil {
			return err
		}
		u.Value.Digest = r.digest(u.Value, in.Value)
		u.Value.PageOnly, u.Value.Unread = o.PageOnly, o.PageOnly
		rec, err = r.release(tx, by, u, in, k, "")
		return err
	})
	return rec, err
}

// mayPublish says what stands in the way of publishing a draft.
func (r *Room) mayPublish(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident], k survey, o PublishOptions) error {
	if err := in.Value.speaks(); err != nil {
		return err
	}
	newest, err := newestNumber(tx, in.ID)
	if err != nil {
		return err
	}
	if u.Value.Number < newest {
		return fault.New(fault.Conflict, "update %d was published after this draft was written; read it, save the draft again and have it approved again", newest)
	}
	found, err := r.findingsOf(tx, u.Value, in, k.figures, k.crowd)
	if err != nil {
		return err
	}
	if f := errorsOf(found); len(f) > 0 {
		return fault.BadFields(f...)
	}
	if err := r.secured(tx, u, in.Value, k.crowd.People); err != nil {
		return err
	}
	given, ids, err := store.ApprovalsGiven(tx, u.ID, r.digest(u.Value, in.Value))
	if err != nil {
		return err
	}
	if o.PageOnly {
		return r.mayPageOnly(tx.Now(), by, u.Value, in.Value, len(given))
	}
	given = slices.DeleteFunc(given, func(a store.Approval) bool {
		return a.By == u.Value.Author || a.By == by && byProgram(u.Value.Author) // what no person wrote still takes two
	})
	switch store.Judge(given, k.crowd.People, 1) {
	case store.Approved:
		tx.On(ids...)
		return nil
	case store.Grown:
		return fault.New(fault.Conflict, "it would now reach %d people, over 2 %% more than were approved; have it approved again", k.crowd.People)
	}
	return fault.New(fault.Forbidden, "a second person must approve this update before it is published")
}

// byProgram says that no person wrote a draft.
func byProgram(author string) bool {
	return strings.HasPrefix(author, "system:") || strings.HasPrefix(author, ruleOf(""))
}

// mayPageOnly decides whether an author may publish to the page without an approver.
func (r *Room) mayPageOnly(now time.Time, by string, u Update, in Incident, approvals int) error {
	wait := u.AskedAt.Add(r.Policy.PageOnly).Sub(now)
	switch {
	case approvals > 0:
		return fault.New(fault.Conflict, "the update is approved; publish it to everybody")
	case in.Severity != "P0":
		return fault.New(fault.Forbidden, "only an update of a P0 may go to the page without an approver")
	case by != u.Author:
		return fault.New(fault.Forbidden, "only the author may publish to the page alone; you could approve the update instead")
	case !u.onPage():
		return fault.New(fault.Conflict, "the update does not name the page among its channels")
	case wait > 0:
		return fault.New(fault.Forbidden, "without an approver it may go to the page in %s, once it has waited for %s", wait.Round(time.Second), r.Policy.PageOnly)
	}
	return nil
}

// release publishes u: the one place where a draft becomes what was said. only is the notice whose readers a correction goes to.
func (r *Room) release(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident], k survey, only string) (store.Rec[Update], error) {
	if r.Barred != "" {
		return u, fault.New(fault.Conflict, "%s", r.Barred)
	}
	now := tx.Now()
	v := u.Value
	var err error
	if v.Before, err = since(tx, v); err != nil {
		return u, err
	}
	v.State, v.PublishedAt, v.PublishedBy, v.Held = Published, &now, by, ""
	v.Figures, v.People, v.Security, v.Pinned = k.figures, k.crowd.People, in.Value.Security, in.Value.Pinned
	v.Cohorts = in.Value.losses()
	tx.On(u.ID, in.ID)
	if u, err = put(tx, updates, u.ID, v, u.Version); err != nil {
		return u, err
	}
	if u, err = r.carry(tx, u, only, k.stages); err != nil {
		return u, err
	}
	if err := r.fall(tx, by, u, in); err != nil {
		return u, err
	}
	if err := r.keep(tx, u.ID, ApprovalDue, by); err != nil {
		return u, err
	}
	to := in.Value.after(u.Value, now)
	if err := r.turns(tx, in.ID, by, in.Value, to); err != nil {
		return u, err
	}
	if _, err := put(tx, incidents, in.ID, to, in.Version); err != nil {
		return u, err
	}
	what := "published"
	if v.PageOnly {
		what = "published_page_only"
	}
	if err := r.note(tx, in.ID, by, what, fmt.Sprintf("update %d, %d people", v.Number, v.People)); err != nil {
		return u, err
	}
	return u, r.touchPages(tx)
}

// carry writes the notice of a published update; none when nobody is told one by one.
func (r *Room) carry(tx *store.Tx, u store.Rec[Update], only string, stages *Stages) (store.Rec[Update], error) {
	v := u.Value
	n := Notice{Lane: LaneBroadcast, Name: "update", Update: u.ID, Audience: v.Statement.Audience, Only: only, Channels: v.outbound(), ByDay: v.Rule != ""}
	if only != "" { // who got the wrong words by text gets the right ones so
		old, _, err := notices.Get(tx, only)
		if err != nil {
			return u, err
		}
		n.Channels = old.sendable()
	}
	if listed(v.Statement.Audience) {
		n.Audience, n.Only, n.To = "", "", r.listed(v.Statement.Audience, n.Channels)
	}
	if err := r.supersede(tx, u, &n); err != nil {
		return u, err
	}
	if len(n.Channels) == 0 || n.Audience == "" && len(n.To) == 0 || v.Corrects > 0 && only == "" && n.Audience != "" {
		return u, nil
	}
	if err := r.stage(tx, &n, stages); err != nil {
		return u, err
	}
	notice, err := r.tell(tx, n)
	if err != nil {
		return u, err
	}
	if n.Only != "" {
		if err := r.correctStaff(tx, n); err != nil {
			return u, err
		}
	}
	v.Notice = notice
	tx.On(notice)
	return put(tx, updates, u.ID, v, u.Version)
}

// fall keeps the promises that a published update fulfils and makes those that it gives.
func (r *Room) fall(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident]) error {
	v, incident := u.Value, in.ID
	if v.Unread {
		if err := r.askSecond(tx, u, in); err != nil {
			return err
		}
	}
	if cohort := cutCohort(v.Statement.Audience); cohort != "" && v.Corrects == 0 {
		return r.promiseCohort(tx, by, v, CohortOf(incident, cohort))
	}
	if !wide(v.Statement.Audience) || v.Corrects > 0 {
		return nil // the promise to all readers still stands
	}
	if err := r.keep(tx, incident, NextUpdate, by); err != nil {
		return err
	}
	for _, what := range []string{FullScope, Silence, EstimateDue} {
		if err := r.keep(tx, incident, what, by); err != nil {
			return err
		}
	}
	if err := r.owesWord(tx, incident, in.Value.after(v, tx.Now())); err != nil {
		return err
	}
	if next := v.Statement.NextUpdateBy; next.Word == "" && !next.At.IsZero() {
		if err := r.promise(tx, Deadline{What: NextUpdate, Of: incident, Incident: incident, Due: next.At}); err != nil {
			return err
		}
	}
	if full := v.Statement.Timeline.FullScopeBy; full.Word == "" && full.At.After(tx.Now()) && v.Statement.Affected.Status != "final" {
		return r.promise(tx, Deadline{What: FullScope, Of: incident, Incident: incident, Due: full.At})
	}
	return nil
}

// promiseCohort keeps the promise that a cohort had, and notes the next.
func (r *Room) promiseCohort(tx *store.Tx, by string, u Update, cohort string) error {
	if err := r.keep(tx, cohort, NextUpdate, by); err != nil {
		return err
	}
	next := u.Statement.NextUpdateBy
	if next.Word != "" || next.At.IsZero() {
		return nil
	}
	return r.promise(tx, Deadline{What: NextUpdate, Of: cohort, Incident: u.Incident, Due: next.At})
}

// askSecond asks the people inside to read what one person said alone, and makes that due.
func (r *Room) askSecond(tx *store.Tx, u store.Rec[Update], in store.Rec[Incident]) error {
	due := tx.Now().Add(r.Policy.SecondRead)
	if err := r.promise(tx, Deadline{What: SecondReading, Of: u.ID, Incident: in.ID, Due: due}); err != nil {
		return err
	}
	return r.tellInternal(tx, templates.MsgSecondReading, templates.SecondReading{Title: in.Value.Title, Severity: in.Value.Severity,
		Headline: u.Value.Statement.Headline, SentAt: tx.Now(), By: due, URL: r.deskURL(in.ID)})
}

// after is the incident once an update was published. Only what everybody is told moves it.
func (in Incident) after(u Update, now time.Time) Incident {
	if !wide(u.Statement.Audience) || u.Corrects > 0 {
		return in
	}
	if in.FirstNoticeAt == nil {
		in.FirstNoticeAt = &now
	}
	in.Estimate = Estimated{} // the next look at the forecast begins from here
	return in.inPhase(u.Statement.Phase, now)
}

// inPhase moves an incident's state and times with its phase.
func (in Incident) inPhase(phase string, now time.Time) Incident {
	in.Phase = phase
	switch phase {
	case Resolved:
		if in.State == Open {
			in.State = Resolved
		}
		if in.ResolvedAt == nil {
			in.ResolvedAt = &now
		}
		return in
	case Monitoring:
		if in.MonitoringAt == nil {
			in.MonitoringAt = &now
		}
	default:
		in.MonitoringAt = nil
	}
	if in.State == Resolved {
		in.State, in.ResolvedAt = Open, nil
	}
	return in
}

// ReadSecond is a second person's word that she has read an update that one person published.
func (r *Room) ReadSecond(ctx context.Context, by, id string) (rec store.Rec[Update], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.read"}, func(tx *store.Tx) error {
		u, m, err := updates.Get(tx, id)
		switch {
		case err != nil:
			return err
		case by == u.Author || by == u.PublishedBy:
			return fault.New(fault.Forbidden, "you published it; a second person must read it")
		case !u.Unread:
			return fault.New(fault.Conflict, "update %d does not wait for a second reading", u.Number)
		}
		u.Unread = false
		tx.On(id, u.Incident)
		if rec, err = put(tx, updates, id, u, m.Version); err != nil {
			return err
		}
		if err := r.keep(tx, id, SecondReading, by); err != nil {
			return err
		}
		if err := r.note(tx, u.Incident, by, "read_by_second", fmt.Sprintf("update %d", u.Number)); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return rec, err
}
