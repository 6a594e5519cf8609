package comms

import (
	"slices"
	"sync"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// mostDirect bounds the addresses that one notice names itself; more people than that are an audience.
const mostDirect = 1000

// Tell writes a notice in the transaction of the fact that it tells: if the transaction commits, the outbox sends it. Of n it
// takes what is to be said and to whom; its progress begins anew.
func (r *Room) Tell(tx *store.Tx, n Notice) (string, error) { return r.tell(tx, n) }

func (r *Room) tell(tx *store.Tx, n Notice) (string, error) {
	if err := n.check(); err != nil {
		return "", err
	}
	id := notices.NewID()
	n.State, n.Unsent, n.Reason = Expanding, "", ""
	n.Cursor, n.Clear, n.Pass, n.Pages, n.Pending = "", true, passApproved, 0, 0
	n.People, n.Customers, n.Sites, n.Nobody = 0, 0, 0, 0
	n.CreatedAt, n.DoneAt = tx.Now(), time.Time{}
	if n.Place.IsZero() {
		n.Place = time.Now().UTC() // by wall time, as leases are
	}
	n.Due = n.Place
	if n.Stage != "" {
		n.wait(n.Stage)
	}
	if err := notices.Put(tx, id, n, 0); err != nil {
		return "", err
	}
	tx.After(r.bell.Ring)
	return id, nil
}

// Withhold writes a notice that nobody is sent, in place of Tell: it is as much work, so that whoever waits for the transaction does not learn from the time
// whether a message goes out.
func (r *Room) Withhold(tx *store.Tx, n Notice, reason string) error {
	if err := n.check(); err != nil {
		return err
	}
	n.State, n.Unsent, n.Reason, n.CreatedAt, n.DoneAt, n.Due = StoppedHere, Suppressed, reason, tx.Now(), tx.Now(), time.Time{}
	if err := notices.Put(tx, notices.NewID(), n, 0); err != nil {
		return err
	}
	tx.After(r.bell.Ring)
	return nil
}

func (n Notice) check() error {
	var bad []fault.Field
	refuse := func(field, reason string) { bad = append(bad, fault.Field{Field: field, Reason: reason}) }
	if !slices.Contains(lanes, n.Lane) {
		refuse("lane", "is not a lane of the outbox")
	}
	if n.Name == "" {
		refuse("name", "must say which words to send")
	}
	if n.Audience == "" && len(n.To) == 0 {
		refuse("to", "names nobody and there is no audience")
	}
	if len(n.To) > mostDirect {
		refuse("to", "names more addresses than one notice may")
	}
	for _, to := range n.To {
		if !slices.Contains(sendable, to.Channel) || (to.Channel == ChannelWebhook) != (n.Subscription != "") {
			refuse("to", "names an address on a channel on which it cannot be told")
		}
		if to.Address == "" {
			refuse("to", "holds an empty address")
		}
	}
	if bad != nil {
		return fault.BadFields(bad...)
	}
	return nil
}

// lanes in the order in which workers look at them.
var lanes = []string{LaneUrgent, LaneDirect, LaneBroadcast, LaneCampaign}

// stop ends a notice by a person's word: what is queued or waits for another try is not sent any more. Messages under way when
// the stop commits may still arrive; the rest is recorded as suppressed within seconds.
func (r *Room) stop(tx *store.Tx, noticeID string) error {
	return r.halt(tx, noticeID, Suppressed, "stopped")
}

func (r *Room) halt(tx *store.Tx, noticeID string, unsent State, reason string) error {
	n, m, err := notices.Get(tx, noticeID)
	if err != nil {
		return err
	}
	if n.State == Done || n.State == StoppedHere {
		return nil
	}
	if n.Staff != "" {
		if err := r.halt(tx, n.Staff, unsent, reason); err != nil {
			return err
		}
	}
	n.State, n.Unsent, n.Reason = StoppedHere, unsent, reason
	n.Due = time.Now().UTC() // the expander sweeps up what no worker holds
	if err := notices.Put(tx, noticeID, n, m.Version); err != nil {
		return err
	}
	tx.After(r.bell.Ring)
	return nil
}

// Bell wakes those who wait for work. The zero value is ready.
type Bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// Heard is closed by the next ring.
func (b *Bell) Heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// Ring wakes all who wait now.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
