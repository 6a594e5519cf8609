package auth

import (
	"encoding/json"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// What must hold even after a restore from before it: a store of yesterday knows tokens that were revoked today, and links that were used.
const (
	factEnded = "auth.ended"
	factUsed  = "auth.link_used"
)

type when struct {
	At time.Time `json:"at"` // by wall time
}

// Applies is who lets the facts of auth hold again after a restore. What the restored store does not know opens nothing, so nothing is ever
// missing.
func Applies() store.Applies { return store.Applies{factEnded: endAgain, factUsed: useAgain} }

func endAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var w when
	if err := json.Unmarshal(f.Detail, &w); err != nil || !may(f.Of) {
		return true, err
	}
	_, err := end(tx, f.Of, w.At, w.At) // who was revoked may have been let in again since
	if fault.Of(err) == fault.NotFound {
		err = nil
	}
	return true, err
}

func useAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var w when
	if err := json.Unmarshal(f.Detail, &w); err != nil || !may(f.Of) {
		return true, err
	}
	p, m, err := passes.Get(tx, f.Of)
	if fault.Of(err) == fault.NotFound || err == nil && p.Used != nil {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	p.Used = &w.At
	return true, passes.Put(tx, f.Of, p, m.Version)
}
