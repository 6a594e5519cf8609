package auth

import "lifeline/store"

// WayIn is what was changed of how somebody signs in, and where she is told so. Whoever got into an account makes a way of her own into it first, and its
// owner is the one who knows that it was not she (OWASP ASVS 5.0, V6.3.7).
type WayIn struct {
	Staff  string
	Email  string // where she was reached before the change
	Locale string // "": it is not known
	What   string // one of the WayIn words
	By     string // one of the By words
	Left   int    // recovery codes, of WayInRecovery
}

// What is changed of a way in.
const (
	WayInSetUp      = "set_up"   // a password, an app and recovery codes
	WayInPassword   = "password" // another one
	WayInRecovery   = "recovery" // a recovery code was used
	WayInReset      = "reset"    // all was ended, and there is a link to set it up anew
	WayInEmail      = "email"    // the address of the account is another one
	WayInPasskey    = "passkey"
	WayInNoPasskey  = "passkey_removed"
	WayInBarredKey  = "passkey_barred" // there may be a copy of it
	WayInSingle     = "single"         // single sign-on
	WayInNotSingle  = "single_removed"
	ByOwner         = "owner" // or somebody with all that opens her account
	ByAdministrator = "administrator"
	ByOperator      = "operator" // on the machine itself
	ByLifeline      = "lifeline"
)

// wayIn tells the owner of an account, in the transaction of the change, what is done with her ways in.
func (g *Gate) wayIn(tx *store.Tx, id string, s Staff, by, what string) error {
	return g.tellOwner(tx, s, WayIn{Staff: id, What: what, By: byWhom(id, by)})
}

func (g *Gate) tellOwner(tx *store.Tx, s Staff, w WayIn) error {
	if g.Owner == nil || s.Email == "" {
		return nil
	}
	w.Email, w.Locale = s.Email, s.locale()
	return g.Owner(tx, w)
}

func byWhom(id, by string) string {
	switch by {
	case id:
		return ByOwner
	case OperatorID:
		return ByOperator
	}
	return ByAdministrator
}

// locale is the language in which somebody is written to; "" is not known.
func (p Profile) locale() string {
	if len(p.Languages) == 0 {
		return ""
	}
	return p.Languages[0]
}
