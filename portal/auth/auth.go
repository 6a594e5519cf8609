// Package auth knows who somebody is and what she may do: roles and rights, accounts with password and second factor, passkeys, access
// tokens, sign-in links and browser sessions.
//
// Rights are one table in code ([RightsTable]). A role is read from the store each time somebody is recognised and never from what
// she carries. What opens Lifeline is always a random secret whose hash the store holds: it stands inside the JWT's jti, in the
// link and in the cookie. So a stolen signing key alone opens nothing, not even together with a copy of the audit log, and a stolen
// copy of the store opens nothing either.
//
// Caveats. Tokens, links and sessions live by wall time, not by the domain's clock, so that a replay ends nobody's session. A revoked
// token may still be taken for [SeenFor] by replicas that have just seen it; sessions are read afresh at each request. Every refusal
// has the same words; the reason is in the log, at level debug, at level info where somebody tried to sign in to an account, and at level
// warn where it means that our key signed what we never issued.
//
// # One person
//
// A person is her name, normalised ([FoldName]): two tokens for the same name, whatever their roles, are one person with one id
// (kind staff), and she cannot approve with one what she wrote with the other. Who may issue tokens can therefore make two
// people out of one by using two names; the audit log shows it. Until an installation has its first staff account that is all
// there is, and two tokens of the operator's for two names are two people. From the first staff account on only a browser session
// with a fresh second factor approves, and tokens never do: see [Gate.MayApprove].
package auth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"lifeline/store"
	"lifeline/store/fault"
)

// Times that hold for everyone.
const (
	MaxPerson     = 12 * time.Hour      // a token or session of a person
	MaxAutomation = 30 * 24 * time.Hour // a token of a program
	LinkFor       = 15 * time.Minute    // a sign-in link
	Idle          = 30 * time.Minute    // after this a session that nobody used has ended
	Fresh         = 15 * time.Minute    // how long a second factor counts for approving
	SeenFor       = time.Second         // how long a token is taken without asking the store again
	touchSession  = time.Minute         // how exactly a session's last use is kept
	touchToken    = time.Hour           // and a token's
	Kept          = 30 * 24 * time.Hour // how long ended tokens and sessions can still be listed
)

// Gate recognises people and programs. It is safe for concurrent use and must not be copied; several gates, in several processes, may
// share one store.
type Gate struct {
	DB       *store.DB
	Key      SigningKey
	Issuer   string           // in tokens' iss; "" is "lifeline"
	Audience string           // in tokens' aud; "" is "lifeline-api"
	Wall     func() time.Time // nil: the wall clock
	Log      *slog.Logger     // nil: none

	Cost   Cost    // of a password's hash
	Single *Single // the vendor's single sign-on; nil: there is none
	URL    string  // public base URL, where single sign-on comes back to, and whose host passkeys are for

	// Granted is told, in the transaction, that somebody was given a role that approves or administrates, and may refuse; nil: nobody is told.
	Granted func(tx *store.Tx, g Granting) error
	// Glass is told, in the transaction, that a break-glass account signs in; nil: nobody is told.
	Glass func(tx *store.Tx, id string) error
	// Copied is told, in the transaction, that there may be a copy of a passkey of somebody's; nil: nobody is told.
	Copied func(tx *store.Tx, id string) error
	// Owner is told, in the transaction, what is changed of how somebody signs in, so that she hears of what she did not do; nil: nobody is told.
	Owner func(tx *store.Tx, w WayIn) error

	mu      sync.Mutex
	seen    map[string]sighting // tokens that the store confirmed a moment ago, by id
	hashing chan struct{}
	faces   store.Kept[Staff]
}

type sighting struct {
	pass Pass
	at   time.Time
}

// Staff is a person or program that acts, approves and holds tokens. Others point to it by its id, so that they hold no name.
type Staff struct {
	Name    string     `json:"name"`
	Account *time.Time `json:"account,omitempty"` // since when she signs in with credentials of her own; nil: only by what others issue to her
	Profile
	Login    *login     `json:"login,omitempty"`  // nil: she has not enrolled
	Single   *linked    `json:"single,omitempty"` // whose she is at the vendor's single sign-on; nil: nobody's
	Disabled *time.Time `json:"disabled,omitempty"`
	Program  bool       `json:"program,omitempty"` // tokens of programs alone were issued for the name: nothing is given to it to do
}

var staff = store.Table[Staff]{
	Kind: store.Kind{Name: "staff", Prefix: "stf", Schema: 1, Indexes: []store.Index{
		{Name: "name", Fields: []store.Field{{Name: "name", Type: store.Blind}}, Unique: true},
		{Name: "account", Fields: []store.Field{{Name: "account", Type: store.Bool}}},
		{Name: "email", Fields: []store.Field{{Name: "email", Type: store.Blind}}, Unique: true},
		{Name: "subject", Fields: []store.Field{{Name: "subject", Type: store.Blind}}, Unique: true},
	}},
	Tuples: func(s Staff) store.Tuples {
		t := store.Tuples{"name": {FoldName(s.Name)}, "account": {s.Account != nil}}
		if s.Email != "" {
			t["email"] = []any{foldEmail(s.Email)}
		}
		if s.Single != nil {
			t["subject"] = []any{s.Single.key()}
		}
		return t
	},
}

// Kinds lists the records that auth keeps.
func Kinds() []store.Kind { return []store.Kind{staff.Kind, passes.Kind, sessions.Kind} }

// FoldName is what makes two names one person's: width, case and spaces do not count (Unicode NFKC, full case folding).
func FoldName(name string) string {
	return strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(name))), " ")
}

const maxName = 80

// cleanName reads a name as somebody typed it.
func cleanName(name string) (string, error) {
	name = strings.Join(strings.Fields(norm.NFC.String(strings.ToValidUTF8(name, "\uFFFD"))), " ")
	switch {
	case name == "":
		return "", fault.BadField("name", "is missing; say whom it is for")
	case len(name) > maxName:
		return "", fault.BadField("name", "is longer than %d bytes", maxName)
	}
	for _, r := range name {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			return "", fault.BadField("name", "has a character that nobody can see or read")
		}
	}
	if FoldName(name) == "" {
		return "", fault.BadField("name", "is missing; say whom it is for")
	}
	return name, nil
}

// enroll finds the staff record of a name that something is issued for, or makes it.
func enroll(tx *store.Tx, name, what string) (string, error) {
	rec, err := staff.First(tx, store.Query{Index: "name", Equal: []any{FoldName(name)}})
	if fault.Of(err) == fault.NotFound {
		id := staff.NewID()
		return id, staff.Put(tx, id, Staff{Name: name, Program: what == ForAutomation}, 0)
	}
	if err != nil {
		return "", err
	}
	program := what == ForAutomation && rec.Value.Email == ""
	if program && !rec.Value.Program { // unless the name was a person's before
		for p, err := range passes.Scan(tx, store.Query{Index: "staff", Equal: []any{rec.ID}}) {
			if err != nil {
				return "", err
			}
			program = program && p.Value.For == ForAutomation
		}
	}
	if program == rec.Value.Program {
		return rec.ID, nil
	}
	rec.Value.Program = program
	return rec.ID, staff.Put(tx, rec.ID, rec.Value, rec.Version)
}

// MayApprove is nil when the person may approve: she has the right, and she is there in person. Before the installation's first staff
// account a token will do; from then on only a browser session that saw a second factor in the last 15 minutes. That she is not the
// author is kept where the approval is written. seenTo is as in [Person.Can].
func (g *Gate) MayApprove(ctx context.Context, p Person, seenTo ...Grant) error {
	return g.mayApprove(ctx, p, UpdateApprove, seenTo...)
}

// MayApproveChange is MayApprove for changes of records.
func (g *Gate) MayApproveChange(ctx context.Context, p Person) error {
	return g.mayApprove(ctx, p, ChangeApprove)
}

// MayManage is nil when the person may manage staff: as for approving, once there are accounts, so that a stolen token makes none. Whoever opens the control
// socket is on the machine itself.
func (g *Gate) MayManage(ctx context.Context, p Person) error {
	if p.ID == OperatorID {
		return p.Can(StaffManage)
	}
	return g.mayApprove(ctx, p, StaffManage)
}

func (g *Gate) mayApprove(ctx context.Context, p Person, right Right, seenTo ...Grant) error {
	if err := p.Can(right, seenTo...); err != nil {
		return err
	}
	if p.Interactive && !p.Proved.IsZero() && g.now().Sub(p.Proved) < Fresh {
		return nil
	}
	accounts := 0
	err := g.DB.View(ctx, func(tx *store.Tx) (err error) {
		accounts, err = staff.Count(tx, store.Query{Index: "account", Equal: []any{true}})
		return err
	})
	if err != nil {
		return err
	}
	if accounts > 0 {
		return fault.New(fault.Forbidden, "this needs a browser session with a second factor given in the last %d minutes (give it at /desk/account); tokens never do it", int(Fresh.Minutes()))
	}
	return nil
}

func (g *Gate) now() time.Time {
	if g.Wall == nil {
		return time.Now().UTC()
	}
	return g.Wall().UTC()
}

func (g *Gate) log() *slog.Logger {
	if g.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return g.Log
}

// refuse is the one answer to everything that does not hold. A stranger learns nothing from it; the log has the reason.
func (g *Gate) refuse(reason string, args ...any) error {
	return g.refuseAt(slog.LevelDebug, reason, args...)
}

// refuseAt is refuse where the log is to say it even when nobody looks for it. What strangers can repeat without an end is no such place.
func (g *Gate) refuseAt(level slog.Level, reason string, args ...any) error {
	g.log().Log(context.Background(), level, "sign-in refused", append([]any{"reason", reason}, args...)...)
	return fault.New(fault.Unauthentic, "what you sent does not hold, or no longer; sign in or get a new token")
}

// notOurs tells a refusal from a store that could not be asked.
func notOurs(err error) bool { return fault.Of(err) == fault.NotFound }
