package auth

import (
	"crypto/subtle"
	"slices"
	"time"

	"lifeline/store/fault"
)

// Person is who asks: somebody behind a token or a browser session, a program, or the operator of the machine. What she may do was read
// from the store when she was recognised.
type Person struct {
	ID      string // of the person, the same behind every token and session of hers; what acts and approvals carry
	Name    string
	Role    Role
	Token   string // id of the token that she came with, or that opened her session
	Session string // id of her browser session; "" for a token
	Expires time.Time

	// Interactive says that she is in front of a browser, signed in with a session. A token proves only that somebody holds it.
	Interactive bool
	// Proved is when this session last saw a second factor; zero: never.
	Proved time.Time
}

// OperatorID is who acts through the control socket.
const OperatorID = "system:operator"

// Operator is whoever can open the control socket on the machine itself (mode 0600): an administrator. All operators are one person, so
// they never approve each other's work; to do that each is issued a token of her own.
func Operator() Person { return Person{ID: OperatorID, Name: "operator", Role: Admin} }

// Can is nil when the person has the right, and otherwise fault.Forbidden with who has it. A right that her role has only under a
// condition is refused unless the caller says that it has seen to that condition:
//
//	person.Can(auth.LedgerFinish, auth.WithReason) // the caller has checked that there is a reason
func (p Person) Can(right Right, seenTo ...Grant) error {
	g := Can(p.Role, right)
	if g == Yes || g != No && slices.Contains(seenTo, g) {
		return nil
	}
	if g != No {
		return fault.New(fault.Forbidden, "as %s you have the right %s only %s; without that it belongs to %s", p.Role, right, g, whoHas(right))
	}
	return fault.New(fault.Forbidden, "this needs the right %s, which belongs to %s; you are signed in as %s", right, whoHas(right), p.Role)
}

// Grant is what the person's role has of a right, for callers that do different things under different conditions.
func (p Person) Grant(right Right) Grant { return Can(p.Role, right) }

// SameToken compares two tokens in constant time. An empty one is the same as nothing.
func SameToken(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 && a != ""
}
