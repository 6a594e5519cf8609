package contacts

import (
	"encoding/json"
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// What must hold even after a restore from before it.
const (
	factOptOut = "contact.opt_out"
	factOptIn  = "contact.opt_in"
)

// wished is what a contact said of one of her addresses.
type wished struct {
	Channel string `json:"channel"`
	Value   string `json:"value"`
	Reason  string `json:"reason,omitempty"`
}

// Applies is who lets the facts of contacts hold again after a restore.
func Applies() store.Applies {
	return store.Applies{factOptOut: optOutAgain, factOptIn: optInAgain}
}

// optOutAgain silences the address of the contact, or, where she is gone or never had it, of everyone who has it: rather somebody too many than
// a person who asked to be left alone.
func optOutAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var w wished
	if err := json.Unmarshal(f.Detail, &w); err != nil {
		return false, err
	}
	whose := []string{f.Of}
	if has, err := hasAddress(tx, f.Of, w); err != nil {
		return false, err
	} else if !has {
		whose = nil
		for rec, err := range addresses.Scan(tx, store.Query{Index: "value", Equal: []any{w.Channel, addressKey(w.Channel, w.Value)}}) {
			if err != nil {
				return false, err
			}
			whose = append(whose, rec.Value.Contact)
		}
	}
	found := false
	for _, id := range slices.Compact(whose) {
		if has, err := hasAddress(tx, id, w); err != nil {
			return false, err
		} else if !has {
			continue
		}
		found = true
		if may(id) {
			if _, err := markOptOut(tx, id, w); err != nil {
				return false, err
			}
		}
	}
	return found, nil
}

// optInAgain speaks for one contact alone: nobody else's silence ends by it.
func optInAgain(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
	var w wished
	if err := json.Unmarshal(f.Detail, &w); err != nil {
		return false, err
	}
	if has, err := hasAddress(tx, f.Of, w); err != nil || !has || !may(f.Of) {
		return true, err
	}
	_, err := markOptIn(tx, f.Of, w)
	return true, err
}

func hasAddress(tx *store.Tx, id string, w wished) (bool, error) {
	c, _, err := people.Get(tx, id)
	if err == nil {
		_, err = c.address(w.Channel, w.Value)
	}
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

func markOptOut(tx *store.Tx, id string, w wished) (changed bool, err error) {
	err = mark(tx, id, w.Channel, w.Value, func(a *Address) bool {
		if changed = !a.OptedOut; changed {
			a.OptedOut, a.OptOutReason = true, w.Reason
		}
		return changed
	})
	return changed, err
}

func markOptIn(tx *store.Tx, id string, w wished) (changed bool, err error) {
	err = mark(tx, id, w.Channel, w.Value, func(a *Address) bool {
		if changed = a.OptedOut; changed {
			a.OptedOut, a.OptOutReason = false, ""
		}
		return changed
	})
	return changed, err
}

// Owners is whose a contact store's records are: an account's restored from a backup, these come with it.
func Owners() map[string]store.Owner {
	ofAccount := store.Owner{Field: "account", Kinds: []string{accounts.Name}}
	return map[string]store.Owner{
		sites.Name: ofAccount, people.Name: ofAccount, addresses.Name: ofAccount,
		aliases.Name: {Field: "of", Kinds: []string{accounts.Name, sites.Name, people.Name}},
	}
}

// AccountNamed reads, from an alias that says so, an id that an account has in the product, and our id of it.
func AccountNamed(kind string, value json.RawMessage) (name, id string) {
	var a Alias
	if kind != aliases.Name || json.Unmarshal(value, &a) != nil || a.Scope != scopeAccount {
		return "", ""
	}
	return a.Value, a.Of
}
