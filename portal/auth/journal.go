package auth

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// What must hold even after a restore from before it: a store of yesterday knows tokens that were revoked today, and links that were used.
const (
	factEnded = "auth.ended"
	factUsed  = "auth.link_used"

	factAccount = "auth.account"
	factPasskey = "auth.passkey_gone"
)

type when struct {
	At time.Time `json:"at"` // by wall time
}

// accountFact is what happened to an account: it was closed, or opened again when nothing else is said; what its owner signs in with ended, or single
// sign-on alone; or she used a recovery code, of which this is the hash.
type accountFact struct {
	At       time.Time `json:"at"`
	Disabled bool      `json:"disabled,omitempty"`
	Reset    bool      `json:"reset,omitempty"`
	Code     []byte    `json:"code,omitempty"`
	Unlinked bool      `json:"unlinked,omitempty"`
}

// passkeyFact is a passkey that opens its account no more.
type passkeyFact struct {
	Key []byte `json:"key"` // as its authenticator calls it
}

// Applies is who lets the facts of auth hold again after a restore. What the restored store does not know opens nothing, so nothing is ever
// missing.
func Applies() store.Applies {
	return store.Applies{factEnded: endAgain, factUsed: useAgain, factAccount: accountAgain, factPasskey: passkeyAgain}
}

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

func accountAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var a accountFact
	if err := json.Unmarshal(f.Detail, &a); err != nil || !may(f.Of) {
		return true, err
	}
	s, m, err := staff.Get(tx, f.Of)
	if fault.Of(err) == fault.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	switch {
	case len(a.Code) > 0 && s.Login != nil:
		has := *s.Login
		has.Codes = slices.DeleteFunc(slices.Clone(has.Codes), func(kept []byte) bool { return bytes.Equal(kept, a.Code) })
		s.Login = &has
	case a.Reset:
		s.Login, s.Single = nil, nil
	case a.Unlinked:
		s.Single = nil
	case a.Disabled:
		s.Disabled = &a.At
	case len(a.Code) == 0:
		s.Disabled = nil
	}
	return true, staff.Put(tx, f.Of, s, m.Version)
}

func passkeyAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var gone passkeyFact
	if err := json.Unmarshal(f.Detail, &gone); err != nil || !may(f.Of) {
		return true, err
	}
	s, m, err := staff.Get(tx, f.Of)
	if fault.Of(err) == fault.NotFound || err == nil && s.Login == nil {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	s.Login = s.Login.without(func(p passkey) bool { return bytes.Equal(p.ID, gone.Key) })
	return true, staff.Put(tx, f.Of, s, m.Version)
}
