package comms

import (
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// optedOut records that a provider sends nothing to a delivery's address any more, since whoever has it said so. The contact keeps that,
// and the delivery goes on to her next address on the channel; without one, or once the notice was stopped, it ends.
func (b *board) optedOut(r *Room, key, reason string, attempts int, ref string) error {
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
	next, err := r.nextAddress(b.tx, k, d.Delivery, reason)
	if err != nil {
		return err
	}
	if next == "" || n.State == StoppedHere || !overtakes(Suppressed, d.Delivery) {
		return b.record(key, verdict{State: Suppressed, Reason: reason}, attempts, ref)
	}
	now := time.Now().UTC()
	if err := b.record(key, verdict{State: Deferred, Reason: reason, Next: now, To: next}, attempts, ref); err != nil {
		return err
	}
	if p.meta.Holder != "" {
		p.Again, p.changed = now, true
		return nil
	}
	return b.finish(p, now)
}

// nextAddress marks a delivery's address as opted out on its contact, and says which of hers comes next on the channel; "": none.
func (r *Room) nextAddress(tx *store.Tx, k deliveryKey, d Delivery, reason string) (string, error) {
	if k.Account == "0" { // named by the notice itself
		return "", nil
	}
	contact := "con_" + k.Contact
	err := r.Book.OptOut(tx, contact, d.Channel, d.Address, reason)
	if fault.Of(err) == fault.NotFound { // deleted since, or the address was
		return "", nil
	} else if err != nil {
		return "", err
	}
	rec, err := r.Book.Contact(tx, contact)
	if err != nil {
		return "", err
	}
	if to, _ := contacts.Reach(rec.Value, d.Channel); len(to) > 0 {
		return to[0].Value, nil
	}
	return "", nil
}
