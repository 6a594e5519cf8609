package contacts

import (
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// feed is what is remembered of a source as a whole.
type feed struct {
	Source string      `json:"source"`
	Gone   []vanishing `json:"gone,omitempty"`  // sites that it said were deleted, lately
	Added  []addition  `json:"added,omitempty"` // addresses that its files gave to known customers lately, which nobody approved

	// Of a source that is fetched:
	Due    time.Time `json:"due,omitzero"` // when next; zero: never
	ETag   string    `json:"etag,omitempty"`
	Tries  int       `json:"tries,omitempty"` // that failed, one behind the other
	Why    string    `json:"why,omitempty"`   // the last did
	GoodAt time.Time `json:"good_at,omitzero"`
}

type vanishing struct {
	At    time.Time `json:"at"`
	Sites int       `json:"sites"`
}

type addition struct {
	At        time.Time `json:"at"`
	Digest    string    `json:"digest"` // of the file
	Addresses int       `json:"addresses"`
}

// pullLane is the queue in which feeds wait to be fetched.
const pullLane = "pull"

var feeds = store.Table[feed]{
	Kind: store.Kind{Name: "feed", Prefix: "fed", Schema: 1, Leased: true, Composed: true},
	Due:  func(f feed) (string, time.Time) { return pullLane, f.Due },
}

func feedID(source string) string { return feeds.Prefix + "_" + source }

// feedOf reads what is remembered of a source; of a new one it is nothing.
func feedOf(tx *store.Tx, source string) (store.Rec[feed], error) {
	v, m, err := feeds.Get(tx, feedID(source))
	if fault.Of(err) == fault.NotFound {
		return store.Rec[feed]{Meta: store.Meta{ID: feedID(source)}, Value: feed{Source: source}}, nil
	}
	return store.Rec[feed]{Meta: m, Value: v}, err
}

func putFeed(tx *store.Tx, m store.Meta, f feed) error { return feeds.Put(tx, m.ID, f, m.Version) }
