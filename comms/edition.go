package comms

import (
	"context"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// edition is the one record whose version moves with everything that public pages show; a page that was rendered from
// an older version is stale. Its id is edn_page.
type edition struct {
	At time.Time `json:"at"`
}

var editions = store.Table[edition]{Kind: store.Kind{Name: "edition", Prefix: "edn", Schema: 1, Composed: true}}

const editionID = "edn_page"

// touchPages moves the edition. Every transaction that changes what public pages show calls it.
func (r *Room) touchPages(tx *store.Tx) error {
	_, m, err := editions.Get(tx, editionID)
	if err != nil && fault.Of(err) != fault.NotFound {
		return err
	}
	if r.Edited != nil {
		tx.After(r.Edited)
	}
	return editions.Put(tx, editionID, edition{At: tx.Now()}, m.Version)
}

// Edition is the version of what public pages show: pages rendered from another one are stale. 0 before anything was said.
func (r *Room) Edition(ctx context.Context) (n int64, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		n, err = editionOf(tx)
		return err
	})
	return n, err
}

func editionOf(tx *store.Tx) (int64, error) {
	_, m, err := editions.Get(tx, editionID)
	if fault.Of(err) == fault.NotFound {
		return 0, nil
	}
	return m.Version, err
}
