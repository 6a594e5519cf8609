package store

import (
	"time"

	"lifeline/store/fault"
)

// Approval is a second person's word for one exact thing: Digest binds everything that was approved, People the number of
// people it will touch. A change of the thing changes its digest, and the approval no longer counts.
type Approval struct {
	Of     string    `json:"of"` // the record's id
	Digest string    `json:"digest"`
	People int       `json:"people"`
	Author string    `json:"author"` // who may not approve it
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

var approvals = Table[Approval]{
	Kind: Kind{Name: "approval", Prefix: "apr", Schema: 1, Indexes: []Index{
		{Name: "of", Fields: []Field{{"of", Text}, {"digest", Text}, {"by", Text}}, Unique: true},
	}},
	Tuples: func(a Approval) Tuples { return Tuples{"of": {a.Of, a.Digest, a.By}} },
}

// growth is how many more people than were approved void an approval: 2 %.
const growthPercent = 2

// Approve records a.By's approval. The author of a thing cannot approve it, and nobody approves the same thing twice.
func Approve(tx *Tx, a Approval) error {
	if a.By == a.Author {
		return fault.New(fault.Forbidden, "the author of an act cannot approve it; a second person must")
	}
	a.At = tx.Now()
	id := approvals.NewID()
	tx.On(a.Of, id)
	err := approvals.Put(tx, id, a, 0)
	if err != nil {
		return err
	}
	n := 0
	for _, err := range approvals.Scan(tx, Query{Index: "of", Equal: []any{a.Of, a.Digest, a.By}}) {
		if err != nil {
			return err
		}
		n++
	}
	if n > 1 {
		return fault.New(fault.Conflict, "you have approved this already")
	}
	return nil
}

// Withdraw takes back every approval of exactly this digest: the thing stands as if nobody had approved it.
func Withdraw(tx *Tx, of, digest string) error {
	for rec, err := range approvals.Scan(tx, Query{Index: "of", Equal: []any{of, digest}}) {
		if err != nil {
			return err
		}
		if err := approvals.Delete(tx, rec.ID, rec.Version); err != nil {
			return err
		}
	}
	return nil
}

// Verdict says whether a thing may be done, and why not.
type Verdict string

// The verdicts.
const (
	Approved    Verdict = "approved"
	NotApproved Verdict = "not_approved" // nobody approved exactly this
	TooFew      Verdict = "too_few"      // fewer persons than are needed
	Grown       Verdict = "grown"        // it would touch over 2 % more people than were approved
)

// Approvals are the approvals of exactly this digest.
func Approvals(tx *Tx, of, digest string) ([]Approval, error) {
	var all []Approval
	for rec, err := range approvals.Scan(tx, Query{Index: "of", Equal: []any{of, digest}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec.Value)
	}
	return all, nil
}

// Judge decides whether the approvals of a digest carry an act that touches people people and needs needs persons besides its author.
func Judge(given []Approval, people, needs int) Verdict {
	counts := 0
	grown := false
	for _, a := range given {
		if (people-a.People)*100 > a.People*growthPercent {
			grown = true
			continue
		}
		counts++
	}
	switch {
	case counts >= needs:
		return Approved
	case grown:
		return Grown
	case counts == 0:
		return NotApproved
	}
	return TooFew
}

// ApprovalsGiven is Approvals with the ids of their records, for the audit row of the act that they carry.
func ApprovalsGiven(tx *Tx, of, digest string) (given []Approval, ids []string, err error) {
	for rec, err := range approvals.Scan(tx, Query{Index: "of", Equal: []any{of, digest}}) {
		if err != nil {
			return nil, nil, err
		}
		given, ids = append(given, rec.Value), append(ids, rec.ID)
	}
	return given, ids, nil
}
