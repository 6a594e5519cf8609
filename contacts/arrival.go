package contacts

import (
	"time"

	"lifeline/store"
)

// Arrival is when a message last got to an address, as far as is known.
type Arrival struct {
	At       time.Time `json:"at,omitzero"`
	Accepted bool      `json:"accepted,omitempty"` // a relay took it, and nobody said that it was delivered: all that is ever known of most mail
}

// apart is how far apart two arrivals must be for the later one to be noted: people read days, and each note is a write.
const apart = 24 * time.Hour

// after says whether an arrival is worth noting behind another.
func (a Arrival) after(was Arrival) bool { return a.At.Sub(was.At) >= apart }

// mostHolders bounds how many contacts of one address are noted when a message was to the address, whoever has it.
const mostHolders = 100

// Arrived notes that a message got to an address: for one contact, or without an id for whoever has it. It stands beside the contacts and not on
// them, so that what is remembered of a contact holds. Addresses that nobody has any more are passed over.
func (b *Book) Arrived(tx *store.Tx, contactID, channel, value string, at Arrival) error {
	q := store.Query{Index: "value", Equal: []any{channel, addressKey(channel, value)}, Limit: mostHolders}
	if contactID != "" {
		q.Equal = append(q.Equal, contactID)
	}
	for rec, err := range addresses.Scan(tx, q) {
		if err != nil {
			return err
		}
		if !at.after(rec.Value.Arrived) {
			continue
		}
		rec.Value.Arrived = at
		if err := addresses.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
			return err
		}
	}
	return nil
}

// Arrivals is when a message last got to each address of some contacts.
type Arrivals map[arrivedAt]Arrival

type arrivedAt struct{ contact, channel, key string }

// At is the last arrival at an address of a contact; its zero value is none that is known.
func (a Arrivals) At(contactID, channel, value string) Arrival {
	return a[arrivedAt{contactID, channel, addressKey(channel, value)}]
}

// mostArrivals bounds the addresses of one account that Arrivals reads.
const mostArrivals = 10 * MaxView

// Arrivals reads the standing of an account's addresses (our id).
func (b *Book) Arrivals(tx *store.Tx, account string) (Arrivals, error) {
	all := Arrivals{}
	for rec, err := range addresses.Scan(tx, store.Query{Index: "account", Equal: []any{account}, Limit: mostArrivals}) {
		if err != nil {
			return nil, err
		}
		if a := rec.Value; !a.Arrived.At.IsZero() {
			all[arrivedAt{a.Contact, a.Channel, a.Key}] = a.Arrived
		}
	}
	return all, nil
}
