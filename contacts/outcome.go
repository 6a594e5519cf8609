package contacts

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"lifeline/store"
	"lifeline/store/fault"
)

// maxReason is the longest reason kept of a bounce or opt-out, in characters.
const maxReason = 200

// Bounced notes that an address of a contact does not work. The address stays, and is passed over until it is confirmed.
func (b *Book) Bounced(tx *store.Tx, contactID, channel, value, reason string) error {
	fresh := false
	err := mark(tx, contactID, channel, value, func(a *Address) bool {
		if fresh = !a.Bounced; fresh {
			a.Bounced, a.BounceReason = true, cleanReason(reason)
		}
		return fresh
	})
	if err != nil || !fresh || b.Lost == nil {
		return err
	}
	return b.Lost(tx, contactID, channel, value)
}

// OptOut notes that nothing may be sent to an address any more, which a restore from before it does not undo. It takes no right from the contact.
func (b *Book) OptOut(tx *store.Tx, contactID, channel, value, reason string) error {
	w := wished{channel, value, cleanReason(reason)}
	if changed, err := markOptOut(tx, contactID, w); err != nil || !changed {
		return err
	}
	return tx.Journal(factOptOut, contactID, w)
}

// OptIn takes an opt-out back.
func (b *Book) OptIn(tx *store.Tx, contactID, channel, value string) error {
	w := wished{Channel: channel, Value: value}
	if changed, err := markOptIn(tx, contactID, w); err != nil || !changed {
		return err
	}
	return tx.Journal(factOptIn, contactID, w)
}

// Confirmed notes that somebody proved at a time that an address reaches the contact; it works again then.
func (b *Book) Confirmed(tx *store.Tx, contactID, channel, value string, at time.Time) error {
	c, m, err := people.Get(tx, contactID)
	if err != nil {
		return err
	}
	a, err := c.address(channel, value)
	if err != nil {
		return err
	}
	if !a.Bounced && !at.After(a.ConfirmedAt) {
		return nil
	}
	a.Bounced, a.BounceReason, a.ChangedAt = false, "", tx.Now()
	a.ConfirmedAt = latest(a.ConfirmedAt, at)
	c.ConfirmedAt = latest(c.ConfirmedAt, at)
	tx.On(contactID)
	return people.Put(tx, contactID, c, m.Version)
}

// TellAtNight notes whether a contact wants to be told by night what can wait for the morning.
func (b *Book) TellAtNight(tx *store.Tx, contactID string, wanted bool) error {
	c, m, err := people.Get(tx, contactID)
	if err != nil || c.AtNight == wanted {
		return err
	}
	c.AtNight = wanted
	tx.On(contactID)
	return people.Put(tx, contactID, c, m.Version)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// mark changes one address of a contact; fault.NotFound when the contact does not have it.
func mark(tx *store.Tx, contactID, channel, value string, change func(*Address) bool) error {
	c, m, err := people.Get(tx, contactID)
	if err != nil {
		return err
	}
	a, err := c.address(channel, value)
	if err != nil || !change(a) {
		return err
	}
	a.ChangedAt = tx.Now()
	tx.On(contactID)
	return people.Put(tx, contactID, c, m.Version)
}

func (c Contact) address(channel, value string) (*Address, error) {
	list := c.Emails
	if channel == SMS {
		list = c.Phones
	}
	i := slices.IndexFunc(list, func(a Address) bool { return addressKey(channel, a.Value) == addressKey(channel, value) })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "the contact does not have this address")
	}
	return &list[i], nil
}

// cleanReason makes what a remote server said fit to keep and to print.
func cleanReason(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > maxReason {
		s = string(r[:maxReason])
	}
	return strings.TrimSpace(s)
}
