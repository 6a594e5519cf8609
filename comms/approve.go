package comms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// digest binds everything that a second person approves: the statement with its channels, languages and audience, the words that it is put into,
// and what the incident adds to it.
func (r *Room) digest(u Update, in Incident) string {
	b, err := json.Marshal(struct {
		Statement templates.Statement
		Words     string
		Incident  templates.Incident
		Security  string
		Pinned    []string
		First     bool
		Corrects  int
		Cohorts   []templates.CohortLoss `json:",omitempty"`
	}{u.Statement, r.Words.Version(), r.incidentFacts(in), in.Security, in.Pinned, u.First, u.Corrects, in.losses()})
	if err != nil {
		return "" // plain data; an empty digest is approved by nobody
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Digest is what an approval of the draft would be bound to now.
func (r *Room) Digest(ctx context.Context, id string) (digest string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, _, err := updates.Get(tx, id)
		if err != nil {
			return err
		}
		in, err := findIncident(tx, u.Incident)
		digest = r.digest(u, in.Value)
		return err
	})
	return digest, err
}

// Approvals are the approvals of a draft that still count: of exactly what it would say now.
func (r *Room) Approvals(ctx context.Context, id string) (given []store.Approval, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		given, err = store.Approvals(tx, id, r.digest(u.Value, in.Value))
		return err
	})
	return given, err
}

// AskApproval tells those who may approve that a draft waits: the first rung of the policy's ladder at once, the next ones until somebody has approved.
// It says how many are told at once.
func (r *Room) AskApproval(ctx context.Context, by, id string) (told int, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.ask"}, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		due := approvalOf(u, tx.Now())
		var people []Direct
		if ladder := r.ladder(due); len(ladder) > 0 {
			if people, err = r.paging(tx, tx.Now()).reached(due, ladder[0]); err != nil {
				return err
			}
		}
		if told = len(people); told == 0 {
			return fault.New(fault.Conflict, "nobody is named to be asked (comms.ladders.%s of the policy); pass the address of the draft on to an approver", ApprovalDue)
		}
		tx.On(id, in.ID)
		if err := r.Move(tx, due); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "asked_approval", fmt.Sprintf("update %d", u.Value.Number))
	})
	return told, err
}

// approvalOf is the promise that a draft is approved, from now on.
func approvalOf(u store.Rec[Update], now time.Time) Deadline {
	return Deadline{What: ApprovalDue, Of: u.ID, Incident: u.Value.Incident, Page: "/desk/incidents/" + u.Value.Incident + "/editor?update=" + u.ID, Due: now}
}

// Approve is a second person's word for a draft exactly as it stands, and for the number of people whom it would reach now. Whoever
// wrote it last cannot approve it. A draft with an error cannot be approved.
func (r *Room) Approve(ctx context.Context, by, id string) (store.Approval, error) {
	return r.approve(ctx, by, id, false)
}

// ApproveSecurity is Approve by somebody with the security role: it counts as a second person's word and as theirs.
func (r *Room) ApproveSecurity(ctx context.Context, by, id string) (store.Approval, error) {
	return r.approve(ctx, by, id, true)
}

func (r *Room) approve(ctx context.Context, by, id string, security bool) (given store.Approval, err error) {
	k, err := r.survey(ctx, id)
	if err != nil {
		return given, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.approve"}, func(tx *store.Tx) error {
		u, in, err := k.again(tx, id)
		if err != nil {
			return err
		}
		found, err := r.findingsOf(tx, u.Value, in, k.figures, k.crowd)
		if err != nil {
			return err
		}
		if f := errorsOf(found); len(f) > 0 {
			return fault.BadFields(f...)
		}
		digest := r.digest(u.Value, in.Value)
		if digest == "" {
			return fault.New(fault.Internal, "the draft has no digest")
		}
		given = store.Approval{Of: id, Digest: digest, People: k.crowd.People, Author: u.Value.Author, By: by, At: tx.Now()}
		if err := store.Approve(tx, given); err != nil {
			return err
		}
		if security {
			word := given
			word.Of = securityWord(id)
			if err := store.Approve(tx, word); err != nil {
				return err
			}
		}
		if err := r.keep(tx, id, ApprovalDue, by); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "approved", fmt.Sprintf("update %d, %d people", u.Value.Number, k.crowd.People))
	})
	return given, err
}

// survey is what counting takes long: made on a snapshot just before an act, so that no other writer waits for it. People who are added between
// the two are told all the same, since recipients are walked after the commit; the figures carry the time of the snapshot.
type survey struct {
	version int64 // of the draft that was counted for
	crowd   Crowd
	figures *templates.Figures
	stages  *Stages
}

func (r *Room) survey(ctx context.Context, id string) (k survey, err error) {
	age := r.bookAge(ctx)
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		k.version = u.Version
		if k.figures, err = r.figuresFor(tx, in, u.Value.Statement); err != nil {
			return err
		}
		k.crowd, err = r.exactly(tx, age, in, u.Value.Statement.Audience, u.Value.Statement.Channels)
		return err
	})
	return k, err
}

// again reads the draft in the acting transaction; fault.Stale when it is not the one that was counted for.
func (k survey) again(tx *store.Tx, id string) (store.Rec[Update], store.Rec[Incident], error) {
	u, in, err := draftOf(tx, id)
	if err == nil && u.Version != k.version {
		err = fault.New(fault.Stale, "the draft was changed meanwhile; look at it again")
	}
	return u, in, err
}
