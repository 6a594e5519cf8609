package desk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Under a flood filing by the form costs more and is refused to nobody but a source that goes on and on. Above a rate, of a network or in all, the form asks
// to confirm: a page with a button, which works once the stated seconds have gone by, or at once with a proof of work where there is script. What is owed
// stands in a token that we signed, so that asking keeps nothing in the store; only what was paid is remembered, so that it is paid once. Limits are
// kept by source and in all, never by anything that a sender can choose. What a ticket takes of them is taken in its own transaction: with it or not at all.

// FloodPolicy is from when on filing by the form costs something, in tickets a minute.
type FloodPolicy struct {
	Source    int `yaml:"source" json:"source"`       // from a network, before it has to confirm
	Confirmed int `yaml:"confirmed" json:"confirmed"` // from a network, confirmed; then it waits
	Busy      int `yaml:"busy" json:"busy"`           // in all, before everybody has to confirm; each as many again makes it dearer
}

func (p FloodPolicy) check(bad func(field, reason string)) {
	for field, n := range map[string]int{"source": p.Source, "confirmed": p.Confirmed, "busy": p.Busy} {
		if n < 1 {
			bad("flood."+field, "must be at least 1")
		}
	}
}

// Toll is what filing costs at a moment.
type Toll struct {
	Token string        // names it; "" costs nothing
	Bits  int           // a proof of work: leading zero bits of SHA-256 of token, ":" and the proof
	Wait  time.Duration // or so long from when it was asked
}

const (
	tollFor   = time.Hour // a page may stay open for so long
	tollLevel = 3         // the dearest
	tollProof = 20        // digits of a proof
)

// price is what a level costs.
func price(level int) (bits int, wait time.Duration) {
	switch {
	case level <= 1:
		return 14, 3 * time.Second
	case level == 2:
		return 16, 8 * time.Second
	}
	return 18, 20 * time.Second
}

const tollPurpose = "ticket toll"

// Fare is what somebody brings who files by the form: where she comes from, and what she was asked for before, if she was. The zero value is of one who is asked
// for nothing.
type Fare struct {
	Source string // the network
	Token  string // of the Toll
	Proof  string // that work was done for it; "": its time has gone by
}

// Owing is the error of a ticket that was not filed because something has to be paid first.
type Owing struct {
	Toll
	Early bool // it was brought before its time
}

func (o Owing) Error() string { return "many write at once" }

func (o Owing) Unwrap() error {
	return &fault.Error{Kind: fault.TooMany, Wait: o.Wait, Message: "many write at once, so this costs a little; nothing was kept"}
}

// fare looks whether a ticket may be filed, and what is taken for it in the ticket's own transaction. With an error, what is taken is for the try.
func (d *Desk) fare(tx *store.Tx, f Fare) (taken []limit.Taking, err error) {
	switch {
	case f.Source == "":
		return nil, nil
	case f.Token != "":
		return d.paid(tx, f)
	}
	t, err := limit.Look(tx, f.key(), limit.Rule{N: d.Policy.Flood.Source, Per: time.Minute})
	if fault.Of(err) == fault.TooMany {
		return nil, Owing{Toll: d.owe(1)}
	}
	return []limit.Taking{t}, err
}

// key is under which a source's tickets are counted that pay nothing.
func (f Fare) key() string { return "post from " + f.Source }

// paid looks whether a toll was paid, by its time or by a proof of work, which counts once. A source that has paid too often in a minute is fault.TooMany.
func (d *Desk) paid(tx *store.Tx, f Fare) (taken []limit.Taking, err error) {
	subject, ok := d.Signing.read(tollPurpose, f.Token)
	at, rest, _ := strings.Cut(subject, ".")
	grade, once, _ := strings.Cut(rest, ".")
	sec, err := strconv.ParseInt(at, 10, 64)
	level, bad := strconv.Atoi(grade)
	if !ok || err != nil || bad != nil {
		return nil, Owing{Toll: d.owe(1)}
	}
	asked := time.Unix(sec, 0)
	if tx.Now().After(asked.Add(tollFor)) {
		return nil, Owing{Toll: d.owe(level)}
	}
	zeros, wait := price(level)
	if left := asked.Add(wait).Sub(tx.Now()); left > 0 && !proves(f.Token, f.Proof, zeros) {
		return nil, Owing{Toll{Token: f.Token, Bits: zeros, Wait: left}, true}
	}
	for _, l := range []struct {
		key  string
		rule limit.Rule
	}{
		{"confirmed from " + f.Source, limit.Rule{N: d.Policy.Flood.Confirmed, Per: time.Minute}},
		{"toll " + once, limit.Rule{N: 1, Per: 2 * tollFor}},
	} {
		t, err := limit.Look(tx, l.key, l.rule)
		if fault.Of(err) == fault.TooMany && len(taken) > 0 { // it was paid with before
			return taken, Owing{Toll: d.owe(level)}
		}
		if err != nil {
			return taken, err
		}
		taken = append(taken, t)
	}
	return taken, nil
}

// crowd says whether so many file at once that everybody pays. All share this count, so it is taken in lots and not in the tickets' transactions, which would wait for
// each other at its record.
func (d *Desk) crowd(ctx context.Context, f Fare) error {
	if f.Source == "" || f.Token != "" {
		return nil
	}
	for level := range tollLevel {
		err := d.sent.Take(ctx, d.DB, "filed "+strconv.Itoa(level), d.Policy.Flood.Busy, time.Minute)
		switch {
		case fault.Of(err) == fault.TooMany:
		case err == nil && level > 0:
			return Owing{Toll: d.owe(level)}
		default:
			return err
		}
	}
	return Owing{Toll: d.owe(tollLevel)}
}

// count takes what a try costs that was refused: a source that is never right would else go on for nothing.
func (d *Desk) count(ctx context.Context, taken []limit.Taking) {
	if len(taken) == 0 {
		return
	}
	if err := limit.TakeFound(ctx, d.DB, taken...); err != nil && fault.Of(err) != fault.TooMany {
		d.Log.Warn("a refused ticket was not counted", "err", err)
	}
}

func (d *Desk) owe(level int) Toll {
	t := Toll{Token: d.Signing.sign(tollPurpose, fmt.Sprintf("%d.%d.%s", d.DB.Now().Unix(), level, rand.Text()))}
	t.Bits, t.Wait = price(level)
	return t
}

// proves says whether a proof of work is one for a token.
func proves(token, proof string, zeros int) bool {
	if proof == "" || len(proof) > tollProof {
		return false
	}
	sum, n := sha256.Sum256([]byte(token+":"+proof)), 0
	for _, b := range sum {
		n += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return n >= zeros
}

// mayMail looks whether a domain may get one more mail that a stranger causes; what is taken of it goes into the transaction that writes the mail. Nothing is taken so of a
// domain where anybody has a mailbox: there so many write at once that they would wait for each other, and free says that [Desk.mayMailFree] has to be asked.
func (d *Desk) mayMail(tx *store.Tx, address string) (taking *limit.Taking, free bool, err error) {
	domain := contacts.MailDomain(address)
	if contacts.MailForAnyone(domain) {
		return nil, true, nil
	}
	t, err := limit.Look(tx, mailKey(domain), limit.Rule{N: d.Policy.MailHourly, Per: time.Hour})
	return &t, false, d.domainFull(err)
}

func mailKey(domain string) string { return "mail to " + domain }

func (d *Desk) mayMailFree(ctx context.Context, address string) error {
	return d.domainFull(d.receipts.Take(ctx, d.DB, mailKey(contacts.MailDomain(address)), d.Policy.FreeHourly, time.Hour))
}

// domainFull counts a mail that does not go out because its domain had enough of them.
func (d *Desk) domainFull(err error) error {
	if fault.Of(err) == fault.TooMany {
		d.refused(contacts.Email, "any", NotDomain)
	}
	return err
}

// alike are the queries for the newest tickets from an intake's addresses.
func (d *Desk) alike(tx *store.Tx, in Intake) (all []store.Query) {
	for index, address := range map[string]string{"email": strings.ToLower(in.Email), "phone": in.Phone} {
		if address != "" {
			all = append(all, store.Query{Index: index, Equal: []any{address}, From: tx.Now().Add(-d.Policy.Duplicate), Reverse: true, Limit: 1})
		}
	}
	return all
}

// likely is the number of the ticket that one is likely a second try of: the newest from the same address within the stated time. Both are filed and have receipts
// of their own; only staff are told.
func (d *Desk) likely(tx *store.Tx, in Intake) (number string, err error) {
	for _, q := range d.alike(tx, in) {
		rec, err := tickets.First(tx, q)
		switch fault.Of(err) {
		case "":
			return rec.Value.Number, nil
		case fault.NotFound:
		default:
			return "", err
		}
	}
	return "", nil
}
