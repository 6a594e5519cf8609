package desk

import (
	"encoding/json"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// What must hold even after a restore from before it: a store of yesterday knows codes that were used today, evidence that was voided, and secrets that
// open nothing any more.
const (
	factSpent  = "identity.spent"
	factVoided = "identity.voided"
	factSecret = "ticket.secret"
)

type ended struct {
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
	Why string    `json:"why,omitempty"`
}

type resecret struct {
	Hash []byte `json:"hash"`
}

// Applies is who lets the facts of the desk hold again after a restore. What the restored store does not know opens and proves nothing, so nothing is ever
// missing.
func Applies() store.Applies {
	return store.Applies{factSpent: spendAgain, factVoided: voidAgain, factSecret: resecretAgain}
}

func spendAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	return again(tx, f, may, questions, func(q *question, e ended) bool {
		was := q.Used.IsZero()
		q.Used = e.At
		return was
	})
}

func voidAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	return again(tx, f, may, evidence, func(v *Evidence, e ended) bool {
		was := v.Voided.IsZero()
		v.Voided, v.VoidBy, v.VoidWhy = e.At, e.By, e.Why
		return was
	})
}

func resecretAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	return again(tx, f, may, tickets, func(t *Ticket, r resecret) bool {
		t.Secret = r.Hash
		return true
	})
}

// again changes the record of a fact, where it is there and the change says that it is one.
func again[T, D any](tx *store.Tx, f store.Fact, may func(string) bool, table store.Table[T], change func(*T, D) bool) (bool, error) {
	var detail D
	if err := json.Unmarshal(f.Detail, &detail); err != nil || !may(f.Of) {
		return true, err
	}
	v, m, err := table.Get(tx, f.Of)
	if fault.Of(err) == fault.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !change(&v, detail) {
		return true, nil
	}
	return true, table.Put(tx, f.Of, v, m.Version)
}
