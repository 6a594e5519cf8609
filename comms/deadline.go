package comms

import (
	"time"

	"lifeline/store"
)

// Deadline is anything that is due: the next update, a first answer, a second reading. When it passes, the rungs of its ladder
// are told one after the other until the thing is done. Firing is a transaction, so it happens once.
type Deadline struct {
	What     string    `json:"what"` // "next_update", "first_answer", "second_reading"
	Of       string    `json:"of"`   // the record it is about
	Incident string    `json:"incident"`
	Due      time.Time `json:"due"`  // when the promise passes
	Fire     time.Time `json:"fire"` // when the next rung is told; zero: done or no rung left
	Rung     int       `json:"rung"` // rungs told so far
	DoneAt   time.Time `json:"done_at"`
	DoneBy   string    `json:"done_by"`
	Late     bool      `json:"late"` // it was done after Due
}

var deadlines = store.Table[Deadline]{
	Kind: store.Kind{Name: "deadline", Prefix: "ddl", Schema: 1, Indexes: []store.Index{
		{Name: "fire", Fields: []store.Field{{Name: "fire", Type: store.Time}}},
		{Name: "open", Fields: []store.Field{{Name: "due", Type: store.Time}}},
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}, {Name: "what", Type: store.Text}}},
	}},
	Tuples: func(d Deadline) store.Tuples {
		t := store.Tuples{"of": {d.Of, d.What}}
		if d.DoneAt.IsZero() {
			t["open"] = []any{d.Due}
		}
		if !d.Fire.IsZero() {
			t["fire"] = []any{d.Fire}
		}
		return t
	},
}
