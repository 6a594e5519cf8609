package comms

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Reach is who of an update's audience was told. States counts people, each once in the best state of her deliveries, and adds up to
// Audience.People; ByChannel counts each person once in every channel of the update.
type Reach struct {
	Update         string                   `json:"update_id"`
	Number         int                      `json:"number"`
	Audience       ReachAudience            `json:"audience"`
	States         map[State]int            `json:"states"`
	ByChannel      map[string]map[State]int `json:"by_channel"`
	Unreached      []Unreached              `json:"unreached"`
	UnreachedTotal int                      `json:"unreached_total"` // people not told who will not be, and customers with nobody to tell
	Read           Readers                  `json:"read"`            // how far they came; adds up to Audience.People as well
	ReadApproved   Readers                  `json:"read_approved"`   // of those who may speak for a customer
	Expanding      bool                     `json:"expanding"`       // the audience is still being written down
	Stage          *ReachStage              `json:"stage,omitempty"` // behind which it waits before it goes to more people
	Stopped        string                   `json:"stopped"`         // why the rest is not told; "" when it is
	DoneAt         *time.Time               `json:"done_at"`
	Done           bool                     `json:"done"`
}

// ReachAudience is whom an update was for.
type ReachAudience struct {
	People    int `json:"people"`
	Customers int `json:"customers"`
	Sites     int `json:"sites"`
}

// Unreached is one person who was not told and will not be, or a customer of whom nobody is known.
type Unreached struct {
	Customer string   `json:"customer"` // account id; "" for an address that the policy names
	Contact  string   `json:"contact"`  // "": nobody is known
	Site     string   `json:"site"`     // the first of Sites, or ""
	Sites    []string `json:"sites"`    // at most ten
	Reason   string   `json:"reason"`   // by channel: "email: bounced; sms: no_address"
}

// MostUnreached bounds Reach.Unreached.
const MostUnreached = 1000

// Reach reads the board of an update. It costs a look at each page of 250 deliveries, and a walk over those pages only on which
// somebody is unreached.
func (r *Room) Reach(ctx context.Context, updateID string) (reach Reach, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		reach = Reach{Update: updateID, States: map[State]int{}, ByChannel: map[string]map[State]int{}, Unreached: []Unreached{}}
		u, _, err := updates.Get(tx, updateID)
		if err != nil {
			return err
		}
		reach.Number = u.Number
		if u.Notice == "" {
			reach.Done = u.State != Draft
			return nil
		}
		n, _, err := notices.Get(tx, u.Notice)
		if err != nil {
			return err
		}
		reach.Audience = ReachAudience{People: n.People, Customers: n.Customers, Sites: n.Sites}
		if u.Figures != nil && wide(n.Audience) && n.Only == "" {
			reach.Audience.Customers, reach.Audience.Sites = u.Figures.Customers.Total, u.Figures.Sites.Total
		}
		reach.Expanding = n.State == Expanding
		if reach.Stage, err = stageOf(tx, u, n); err != nil {
			return err
		}
		reach.Done = n.State == Done || n.State == StoppedHere && n.Pending == 0
		if n.State == StoppedHere {
			reach.Stopped = cmp.Or(n.Reason, "stopped")
		}
		if !n.DoneAt.IsZero() {
			reach.DoneAt = &n.DoneAt
		}
		for _, c := range n.sendable() {
			reach.ByChannel[c] = map[State]int{}
		}
		return reach.add(tx, suffix(u.Notice))
	})
	return reach, err
}

// add sums up the pages of a notice and lists the unreached.
func (reach *Reach) add(tx *store.Tx, notice string) error {
	bad, err := lostSpans(tx, notice, func(p Page, what string, state State, n int) {
		if what == "read" || what == "people" {
			reach.readers(p, what, string(state), n)
		}
		if what == "read" {
			return
		}
		if what == "people" {
			reach.States[state] += n
			if unreached(state) {
				reach.UnreachedTotal += n
			}
			return
		}
		if reach.ByChannel[what] == nil {
			reach.ByChannel[what] = map[State]int{}
		}
		reach.ByChannel[what][state] += n
	})
	if err != nil {
		return err
	}
	for _, s := range bad {
		if err := reach.list(tx, s.from, s.to); err != nil {
			return err
		}
	}
	nobody := deliveryKey{Notice: notice, Pass: passNobody}.account()
	for rec, err := range deliveries.Scan(tx, under(strings.TrimSuffix(nobody, "."))) {
		if err != nil {
			return err
		}
		k, err := parseKey(rec.ID)
		if err != nil {
			return err
		}
		reach.UnreachedTotal++
		reach.name(k, rec.Value.Sites, rec.Value.Reason)
	}
	return nil
}

// readers counts on a page of people how far they came: all have done neither, and then those of whom more is known have not.
func (reach *Reach) readers(p Page, what, reading string, n int) {
	have, approved := p.readers()
	if !have {
		reach.Read.NoLink += n
		return
	}
	counts := []*Readers{&reach.Read, &reach.ReadApproved}
	if !approved {
		counts = counts[:1]
	}
	for _, c := range counts {
		if what == "read" {
			c.Neither -= n
			c.add(reading, n)
		} else {
			c.Neither += n
		}
	}
}

// span is a range of delivery keys, the second end excluded.
type span struct{ from, to string }

// lostSpans are the pages of a notice, in the order of their keys, with people who were not reached and will not be. It tells each count of every page.
func lostSpans(tx *store.Tx, notice string, tell func(p Page, what string, state State, n int)) (bad []span, err error) {
	for rec, err := range pages.Scan(tx, store.Query{Prefix: "pag_" + notice + "."}) {
		if err != nil {
			return nil, err
		}
		lost := false
		for name, n := range rec.Value.Counts {
			what, state := countName(name)
			tell(rec.Value, what, state, n)
			lost = lost || what == "people" && unreached(state)
		}
		if !lost {
			continue
		}
		from, err := parseKey(rec.Value.From)
		if err != nil {
			return nil, err
		}
		to, err := parseKey(rec.Value.To)
		if err != nil {
			return nil, err
		}
		bad = append(bad, span{from.person(), to.person() + "~"})
	}
	slices.SortFunc(bad, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return bad, nil
}

// unreached says that somebody in this state was not told and will not be. Who is superseded is told something newer, and what went
// to a file is shown as that.
func unreached(s State) bool { return s == Failed || s == Suppressed }

// list names the unreached people of a range of keys.
func (reach *Reach) list(tx *store.Tx, from, to string) error {
	var who deliveryKey
	var best State
	var sites, reasons []string
	flush := func() {
		if best != "" && unreached(best) {
			reach.name(who, sites, strings.Join(reasons, "; "))
		}
		best, sites, reasons = "", nil, nil
	}
	for rec, err := range deliveries.Scan(tx, span{from, to}) {
		if err != nil {
			return err
		}
		if len(reach.Unreached) >= MostUnreached {
			return nil
		}
		k, err := parseKey(rec.ID)
		if err != nil {
			return err
		}
		if k.person() != who.person() {
			flush()
			who = k
		}
		best = better(best, rec.Value.State)
		sites = rec.Value.Sites
		reasons = append(reasons, rec.Value.Channel+": "+cmp.Or(rec.Value.Reason, string(rec.Value.State)))
	}
	flush()
	return nil
}

func (reach *Reach) name(k deliveryKey, sites []string, reason string) {
	if len(reach.Unreached) >= MostUnreached {
		return
	}
	u := Unreached{Sites: sites, Reason: reason}
	if k.Account != "0" {
		u.Customer = "acc_" + k.Account
	}
	if k.Account != "0" && k.Contact != "0" {
		u.Contact = "con_" + k.Contact
	}
	if len(sites) > 0 {
		u.Site = sites[0]
	} else {
		u.Sites = []string{}
	}
	reach.Unreached = append(reach.Unreached, u)
}

// DeliveryQuery chooses deliveries of an update.
type DeliveryQuery struct {
	State   State  // "": all; [AnyTold]: sent or delivered
	Channel string // "": all
	After   string
	Limit   int // 0: 100; at most 1000
}

// AnyTold stands for the states in which somebody counts as told.
const AnyTold State = "told"

func (q DeliveryQuery) wants(d Delivery) bool {
	told := q.State == AnyTold && (d.State == Sent || d.State == Delivered)
	return (told || q.State == "" || d.State == q.State) && (q.Channel == "" || d.Channel == q.Channel)
}

// Told is one delivery as people read it.
type Told struct {
	ID       string     `json:"id"`
	Account  string     `json:"account_id"` // "" for an address that the policy names
	Contact  string     `json:"contact_id"`
	Approved bool       `json:"approved"` // she may speak for the customer
	Channel  string     `json:"channel"`
	Address  string     `json:"address"` // in full: mask it for whoever may not see it
	Locale   string     `json:"locale"`
	State    State      `json:"state"`
	Reason   string     `json:"reason"`
	Attempts int        `json:"attempts"`
	Next     *time.Time `json:"next_attempt_at"`
	At       time.Time  `json:"at"`

	Opened       *time.Time `json:"opened_at"`       // in the first of a person's deliveries: when the page behind her link was opened
	Acknowledged *time.Time `json:"acknowledged_at"` // and when she said that she has read it

	Sites []string `json:"-"` // why the person is told: at most ten of them
}

// mostWalked bounds how many deliveries one page of a filtered list may look at.
const mostWalked = 20_000

// Deliveries lists the deliveries of an update in the order in which people are told. A page may hold fewer than asked for although more
// follow: only an empty next is the end.
func (r *Room) Deliveries(ctx context.Context, updateID string, q DeliveryQuery) (page []Told, next string, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, 1000)
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next = []Told{}, ""
		u, _, err := updates.Get(tx, updateID)
		if err != nil || u.Notice == "" {
			return err
		}
		all := under("dlv_" + suffix(u.Notice) + ".")
		if q.After != "" {
			if q.After < all.from || q.After >= all.to {
				return fault.BadField("after", "is not a cursor of this list")
			}
			all.from = q.After + "\x00"
		}
		seen, last := 0, ""
		for rec, err := range deliveries.Scan(tx, all) {
			if err != nil {
				return err
			}
			if len(page) == q.Limit || seen == mostWalked {
				next = last
				return nil
			}
			seen++
			last = rec.ID
			if !q.wants(rec.Value) {
				continue
			}
			t, err := asTold(rec.ID, rec.Value)
			if err != nil {
				return err
			}
			page = append(page, t)
		}
		return nil
	})
	return page, next, err
}

func asTold(id string, d Delivery) (Told, error) {
	k, err := parseKey(id)
	if err != nil {
		return Told{}, err
	}
	t := Told{ID: id, Channel: d.Channel, Address: d.Address, Locale: d.Locale, State: d.State, Reason: d.Reason, Attempts: d.Attempts, At: d.At,
		Opened: given(d.Opened), Acknowledged: given(d.Acknowledged), Sites: d.Sites}
	if k.Account != "0" {
		t.Account = "acc_" + k.Account
		if k.Contact != "0" {
			t.Contact, t.Approved = "con_"+k.Contact, k.Pass == passApproved
		}
	}
	t.Next = given(d.Next)
	return t, nil
}

// NoteTable writes down who takes the deliveries of an update away as a table.
func (r *Room) NoteTable(ctx context.Context, by, updateID string) error {
	return r.DB.Update(ctx, store.Act{By: by, Verb: "update.reach.fetch"}, func(tx *store.Tx) error {
		tx.On(updateID)
		_, _, err := updates.Get(tx, updateID)
		return err
	})
}

// given is a time, or nil when there is none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
