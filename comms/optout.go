package comms

import (
	"slices"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// optedOut records that a provider sends nothing to a delivery's address any more, since whoever has it said so. The contact keeps that,
// and the delivery goes on to her next address on the channel; without one, or once the notice was stopped, it ends.
func (b *board) optedOut(r *Room, key, reason string, attempts int, ref string) error {
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	if of, err := b.subscription(key, d.Channel); err != nil {
		return err
	} else if of != "" {
		if err := endSubscription(b.tx, of); err != nil {
			return err
		}
	}
	return b.lost(r, key, r.optOut(b.tx, d.Delivery, reason), verdict{State: Suppressed, Reason: reason}, attempts, ref)
}

// subscription is the one by which a delivery goes out, also when it is a webhook's first question, which no subscriber has yet; "": none.
func (b *board) subscription(key, channel string) (string, error) {
	k, err := parseKey(key)
	switch {
	case err != nil:
		return "", err
	case k.Pass == passSubscribers:
		return subscriptions.Prefix + "_" + k.Contact, nil
	case channel != ChannelWebhook:
		return "", nil
	}
	n, err := b.notice("ntc_" + k.Notice)
	if err != nil {
		return "", err
	}
	return n.Subscription, nil
}

func (r *Room) optOut(tx *store.Tx, d Delivery, reason string) func(contact string) (bool, error) {
	return func(contact string) (bool, error) {
		return true, r.Book.OptOut(tx, contact, d.Channel, d.Address, reason)
	}
}

// failed records that nothing more is tried at a delivery's address. It is marked on the contact when nobody is there, by the rule of [Room.TakeReport].
func (b *board) failed(r *Room, key string, v verdict, attempts int, ref string) error {
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	lose := func(contact string) (bool, error) {
		return r.bouncedAt(b.tx, contact, d.Delivery, Report{State: Failed, Reason: v.Reason, Gone: v.Gone})
	}
	return b.lost(r, key, lose, v, attempts, ref)
}

// lost records that a delivery cannot go to its address. Lose marks that on the contact where it is more than this message's misfortune, and says whether
// it did. The delivery goes on to her next address on the channel; without one, or once the notice was stopped or a newer update is out, it ends with the verdict.
func (b *board) lost(r *Room, key string, lose func(contact string) (bool, error), end verdict, attempts int, ref string) error {
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	p, err := b.page(pageID(k.Notice, d.Page, d.Channel))
	if err != nil {
		return err
	}
	n, err := b.notice(p.Notice)
	if err != nil {
		return err
	}
	next, err := r.nextAddress(b.tx, k, d.Delivery, lose)
	if err != nil {
		return err
	}
	if next == "" || n.State == StoppedHere || n.Newer != "" || !overtakes(end.State, d.Delivery) {
		return b.record(key, end, attempts, ref)
	}
	now := time.Now().UTC()
	if err := b.record(key, verdict{State: Deferred, Reason: end.Reason, Next: now, To: next}, attempts, ref); err != nil {
		return err
	}
	if p.meta.Holder != "" {
		p.Again, p.changed = now, true
		return nil
	}
	return b.finish(p, now)
}

// nextAddress has a delivery's address marked on its contact, and says which of hers comes next on the channel; "": none. One that was not marked is
// still among them, and those before it were tried.
func (r *Room) nextAddress(tx *store.Tx, k deliveryKey, d Delivery, lose func(contact string) (bool, error)) (string, error) {
	if k.Account == "0" { // named by the notice itself
		return "", nil
	}
	contact := "con_" + k.Contact
	lost, err := lose(contact)
	if fault.Of(err) == fault.NotFound { // deleted since, or the address was
		return "", nil
	} else if err != nil {
		return "", err
	}
	rec, err := r.Book.Contact(tx, contact)
	if err != nil {
		return "", err
	}
	to, _ := contacts.Reach(rec.Value, d.Channel)
	if !lost {
		to = to[slices.IndexFunc(to, func(a contacts.Address) bool { return a.Value == d.Address })+1:]
	}
	if len(to) == 0 || to[0].Value == d.Address {
		return "", nil
	}
	return to[0].Value, nil
}
