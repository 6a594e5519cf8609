package comms

import (
	"iter"
	"time"
	"unique"

	"lifeline/store"
)

// place is the little of a row that counting asks for, made small: a hundred thousand of them are kept, and walked before the first message of an update leaves.
type place struct {
	site, account store.Brief
	at            time.Time
	like          unique.Handle[alike]
}

// alike is what many rows have in common: one for all of a batch that stand in the same state.
type alike struct {
	State    string
	Batch    string
	Cohort   string
	Method   string
	NoAnswer bool
	Noted    bool // something was noted of it, or it failed

	odd [2]string // the ids of site and account whole, where they are none of ours; else empty
}

func (w Row) place() place {
	p := place{at: w.At.UTC()}
	a := alike{State: w.State, Batch: w.Batch, Cohort: w.Cohort, Method: w.Method, NoAnswer: w.NoAnswer, Noted: w.Note != "" || w.State == FailedSite}
	p.site, a.odd[0] = briefly(w.Site)
	p.account, a.odd[1] = briefly(w.Account)
	p.like = unique.Make(a)
	return p
}

// briefly is an id in brief, and the id itself when that does not say all of it.
func briefly(id string) (b store.Brief, odd string) {
	b, whole := store.Briefly(id)
	if !whole {
		odd = id
	}
	return b, odd
}

func (w place) is() alike { return w.like.Value() }

func (w place) Site() string {
	return w.whole(0, "sit_", w.site)
}

func (w place) Account() string {
	return w.whole(1, "acc_", w.account)
}

func (w place) whole(which int, prefix string, b store.Brief) string {
	if odd := w.is().odd[which]; odd != "" {
		return odd
	}
	return prefix + b.Suffix()
}

// standing is Row.standing.
func (w place) standing(asOf time.Time, silence time.Duration) (state string, noAnswer bool) {
	is := w.is()
	return standsAs(is.State, is.NoAnswer, w.at, asOf, silence)
}

// placesOf walks where the sites of an incident stand.
func (r *Room) placesOf(tx *store.Tx, q store.Query) iter.Seq2[store.Rec[place], error] {
	return store.Gists(tx, rows, &r.places, Row.place, q)
}
