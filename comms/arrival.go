package comms

import (
	"context"
	"fmt"
	"time"

	"lifeline/contacts"
	"lifeline/store"
)

// That a message got to an address is noted in the contact store, so that people see what still works. It is done behind the sending and never in
// it, where a write for each address would hold a broadcast up. A duty follows the notices in the order of their making, at most a thousand
// deliveries in ten seconds: an audience of 400,000 is noted two hours after it was told.

const arrivalDuty = "arrivals"

const (
	arrivalsEvery  = 10 * time.Second
	arrivalsAtOnce = 100       // deliveries and notices of one transaction
	arrivalBatches = 10        // of one turn
	reportsCome    = time.Hour // behind the last outcome: providers report late
)

// arrivalState is how far the duty has come.
type arrivalState struct {
	Notice   string `json:"notice,omitempty"`   // notices up to here are noted
	Delivery string `json:"delivery,omitempty"` // and of the one behind it deliveries up to here
}

// arrival is a message that got somewhere.
type arrival struct {
	contact, channel, address string
	contacts.Arrival
}

// noteArrivals goes on with the walk.
func (r *Room) noteArrivals(ctx context.Context, mine hold) error {
	for range arrivalBatches {
		if more, err := r.noteSome(ctx, mine); err != nil || !more {
			return err
		}
	}
	return nil
}

// noteSome does one batch and says whether there may be another at once.
func (r *Room) noteSome(ctx context.Context, mine hold) (more bool, err error) {
	var was, now arrivalState
	var got []arrival
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		was, got, more = arrivalState{}, nil, false
		if err := readRound(tx, arrivalDuty, &was); err != nil {
			return err
		}
		now, got, more, err = arrivalsFrom(tx, was)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read what was delivered: %w", err)
	}
	if now == was {
		return false, nil
	}
	err = r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		for _, a := range got {
			if err := r.Book.Arrived(tx, a.contact, a.channel, a.address, a.Arrival); err != nil {
				return err
			}
		}
		return keepRound(tx, arrivalDuty, now, mine)
	})
	if err != nil {
		return false, fmt.Errorf("note what was delivered: %w", err)
	}
	return more, nil
}

// arrivalsFrom reads a batch behind a state and gives the state behind it. It stops before a notice that is under way.
func arrivalsFrom(tx *store.Tx, at arrivalState) (next arrivalState, got []arrival, more bool, err error) {
	left := arrivalsAtOnce
	for rec, err := range notices.Scan(tx, store.Query{From: at.Notice + "\x00"}) {
		if err != nil {
			return at, nil, false, err
		}
		if !rec.Value.reported(tx.Now()) {
			return at, got, false, nil
		}
		all := under("dlv_" + suffix(rec.ID) + ".")
		if at.Delivery != "" {
			all.from = at.Delivery + "\x00"
		}
		for d, err := range deliveries.Scan(tx, all) {
			if err != nil {
				return at, nil, false, err
			}
			if left == 0 {
				return at, got, true, nil
			}
			left--
			at.Delivery = d.ID
			a, ok, err := arrivalOf(d.ID, d.Value)
			if err != nil {
				return at, nil, false, err
			}
			if ok {
				got = append(got, a)
			}
		}
		at = arrivalState{Notice: rec.ID}
		if left--; left <= 0 {
			return at, got, true, nil
		}
	}
	return at, got, false, nil
}

// reported says that no more is expected of a notice's deliveries: the last outcome is an hour old, or the notice is so old that nobody waits
// for it.
func (n Notice) reported(now time.Time) bool {
	return !n.DoneAt.IsZero() && now.Sub(n.DoneAt) >= reportsCome || now.Sub(n.CreatedAt) >= 3*day
}

// arrivalOf is what a delivery says of its address; not ok: nothing. Of a text message that the provider merely took nobody knows whether it
// got there, for a provider reports on it; of mail a relay's word is all that is to be had. What went to a file got nowhere.
func arrivalOf(id string, d Delivery) (a arrival, ok bool, err error) {
	accepted := d.State == Sent && d.Channel == ChannelEmail
	if d.State != Delivered && !accepted {
		return a, false, nil
	}
	k, err := parseKey(id)
	if err != nil {
		return a, false, err
	}
	a = arrival{channel: d.Channel, address: d.Address, Arrival: contacts.Arrival{At: d.At, Accepted: accepted}}
	if k.Account != "0" {
		a.contact = "con_" + k.Contact
	}
	return a, true, nil
}
