package desk

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// The orders of a list.
const (
	ByDue     = "due"     // what is due first in front; without a running clock behind all others
	ByFiled   = "filed"   // the oldest in front
	ByChanged = "changed" // the last touched in front
)

// Nobody stands for the owner of what nobody has taken.
const Nobody = "nobody"

// Choice chooses tickets; "" is any.
type Choice struct {
	Queue    string
	State    string // one of the states, or "open" for all but closed
	Priority string
	Owner    string // a staff member's id, or Nobody
	Account  string
	Site     string // any id that the site ever had; then nothing else is asked, and closed tickets are among them
	Category string
	Step     string // of its workflow
	Label    string
	Overdue  bool            // a clock's time has passed
	Held     bool            // a message waits for a person to release it
	Closed   map[string]bool // incidents of which none are shown
	Words    string          // number, phrase, address, name, company, site, invoice; all of them, whole words
	Order    string          // ByDue, ByFiled, ByChanged; "": ByDue
	After    string
	Limit    int
}

// AnyOpen is every state but Closed.
const AnyOpen = "open"

func (c Choice) bad() error {
	var f []fault.Field
	oneOf := func(field, value string, of ...string) {
		if value != "" && !slices.Contains(of, value) {
			f = append(f, fault.Field{Field: field, Code: "invalid", Reason: "must be one of " + strings.Join(of, ", ")})
		}
	}
	oneOf("state", c.State, append([]string{AnyOpen}, boardStates...)...)
	oneOf("priority", c.Priority, priorities...)
	oneOf("sort", c.Order, ByDue, ByFiled, ByChanged)
	if len(c.Words) > maxLine {
		f = append(f, fault.Field{Field: "q", Code: "too_long", Reason: "is longer than 500 bytes"})
	}
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}

// Chosen is a page of a list.
type Chosen struct {
	Items []store.Rec[Ticket]
	Next  string // cursor behind it
	Whole bool   // false: closed tickets are still being read, and there may be more
}

// List lists the tickets that are chosen. It walks the board, and reads of the store what it shows.
func (d *Desk) List(ctx context.Context, c Choice) (page Chosen, err error) {
	if err := c.bad(); err != nil {
		return page, err
	}
	if c.Site != "" {
		return d.ofSite(ctx, c)
	}
	closed := c.Words != "" || c.State == Closed || c.State == ""
	if err := d.current(ctx, closed && !d.followed.Load()); err != nil {
		return page, err
	}
	limit := c.Limit
	if limit <= 0 || limit > mostListed {
		limit = mostListed
	}
	words := wanted(c.Words)
	if c.Words != "" && len(words) == 0 {
		return Chosen{Whole: true}, nil
	}
	after, err := parseRank(c.After)
	if err != nil {
		return page, err
	}
	ranks, more, whole := d.board.choose(c, words, after, limit, d.DB.Now())
	page.Whole = whole
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		page.Items = nil
		var ids []string
		for _, p := range ranks {
			ids = append(ids, p.id)
		}
		there, err := tickets.GetAll(tx, ids)
		for _, p := range ranks {
			if rec, ok := there[p.id]; ok && c.wants(rec.Value, words) {
				page.Items = append(page.Items, rec)
			}
		}
		return err
	})
	if more && len(ranks) > 0 {
		page.Next = ranks[len(ranks)-1].String()
	}
	return page, err
}

// ofSite lists the tickets that stand for a site, one for each incident that took it, by whichever of its ids somebody knows.
func (d *Desk) ofSite(ctx context.Context, c Choice) (page Chosen, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		page = Chosen{Whole: true}
		site, err := d.Book.Site(tx, c.Site)
		if err != nil {
			return err
		}
		for rec, err := range tickets.Scan(tx, store.Query{Index: "site", Equal: []any{site.ID}, Limit: mostListed}) {
			if err != nil {
				return err
			}
			if !c.Closed[rec.Value.Incident] {
				page.Items = append(page.Items, rec)
			}
		}
		return nil
	})
	return page, err
}

const mostListed = 200

// wants looks at a ticket itself, since words meet by their hashes.
func (c Choice) wants(t Ticket, words []string) bool {
	if len(words) == 0 {
		return true
	}
	has := findable(t)
	return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(has, w) })
}

// rank is where a ticket stands in a list.
type rank struct {
	key, then int64
	id        string
}

func (p rank) compare(q rank) int {
	if n := cmp.Or(cmp.Compare(p.key, q.key), cmp.Compare(p.then, q.then)); n != 0 {
		return n
	}
	return strings.Compare(p.id, q.id) // the id lies elsewhere: of a million tickets it is asked for only where it must be
}

func (p rank) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", p.key, p.then, p.id))
}

func parseRank(s string) (p rank, err error) {
	if s == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "%d %d %s", &p.key, &p.then, &p.id)
	}
	if err != nil || tickets.CheckID(p.id) != nil {
		return p, fault.BadField("after", "is not a cursor of this list")
	}
	return p, nil
}

const never = int64(1) << 62

func (c *card) rank(order string) rank {
	switch order {
	case ByFiled:
		return rank{key: c.filed, id: c.id}
	case ByChanged:
		return rank{key: -c.changed, id: c.id}
	}
	due := c.due
	if due == 0 {
		due = never
	}
	return rank{key: due, then: int64(c.priority), id: c.id}
}

// sieve is a choice in the board's own numbers.
type sieve struct {
	queue, owner, account, category, label, step uint32
	state, priority                              int
	open, overdue, held                          bool
	closed                                       []uint32 // queues
	terms                                        []uint32
	now                                          int64
}

// sieve makes a choice one; ok is false when nothing can be chosen, because a name stands on no card.
func (b *board) sieve(c Choice, words []string, now time.Time) (s sieve, ok bool) {
	s = sieve{state: slices.Index(boardStates, c.State), priority: slices.Index(priorities, c.Priority), open: c.State == AnyOpen, overdue: c.Overdue, held: c.Held,
		now: now.UnixMicro()}
	owner := c.Owner
	if owner == Nobody {
		owner = ""
	}
	label := c.Label
	if label != "" {
		label = "label " + strings.ToLower(label)
	}
	for at, name := range map[*uint32]string{&s.queue: c.Queue, &s.owner: owner, &s.account: c.Account, &s.category: c.Category, &s.label: label, &s.step: stepName(c.Step)} {
		n, known := b.number[name]
		if !known {
			return s, false
		}
		*at = n
	}
	for incident := range c.Closed {
		if n, known := b.number[incident]; known {
			s.closed = append(s.closed, n)
		}
	}
	for _, w := range words {
		s.terms = append(s.terms, term(w))
	}
	return s, true
}

func (s sieve) takes(b *board, c *card, nobody bool) bool {
	switch {
	case c.id == "",
		s.queue != 0 && c.queue != s.queue,
		slices.Contains(s.closed, c.queue),
		s.owner != 0 && c.owner != s.owner,
		nobody && c.owner != 0,
		s.account != 0 && c.account != s.account,
		s.category != 0 && c.category != s.category,
		s.step != 0 && c.step != s.step,
		s.label != 0 && !slices.Contains(c.labels, s.label),
		s.state >= 0 && int(c.state) != s.state,
		s.open && int(c.state) == len(boardStates)-1,
		s.priority >= 0 && int(c.priority) != s.priority,
		s.overdue && (c.due == 0 || c.due > s.now),
		s.held && c.held == 0:
		return false
	}
	for _, t := range s.terms {
		if !slices.Contains(b.terms[c.terms:c.terms+int32(c.n)], t) {
			return false
		}
	}
	return true
}

// choose finds the first ones behind one of what is chosen, and says whether there are more.
func (b *board) choose(c Choice, words []string, after rank, limit int, now time.Time) (first []rank, more, whole bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	whole = b.whole
	s, ok := b.sieve(c, words, now)
	if !ok {
		return nil, false, whole
	}
	nobody := c.Owner == Nobody
	look := func(at int32) {
		card := &b.cards[at]
		if !s.takes(b, card, nobody) {
			return
		}
		p := card.rank(c.Order)
		if after.id != "" && p.compare(after) <= 0 {
			return
		}
		if len(first) == limit {
			more = true
			if p.compare(first[limit-1]) >= 0 {
				return
			}
			first = first[:limit-1]
		}
		i, _ := slices.BinarySearchFunc(first, p, rank.compare)
		first = slices.Insert(first, i, p)
	}
	if s.open || s.overdue || s.state >= 0 && s.state < len(boardStates)-1 {
		for at := range b.open {
			look(at)
		}
	} else {
		for at := range b.cards {
			if c.Order == ByChanged { // what was read last changed last: from the other end each of a million would be the first for a moment
				at = len(b.cards) - 1 - at
			}
			look(int32(at))
		}
	}
	return first, more, whole
}

// Tally counts the open tickets of a queue.
type Tally struct {
	Queue      string
	Open       int
	State      map[string]int
	Priority   map[string]int
	Step       map[string]int // of its workflow; of those that have one
	Overdue    int
	Unassigned int
	Mine       int
	Held       int
	Oldest     time.Time // when the oldest of those was filed that nobody answered; zero: none
	DueNext    time.Time // when the next clock ends, or ended; zero: none runs
}

// tallied is what the board was counted to be, for the moment in which many look.
type tallied struct {
	queues []Tally
	mine   map[string]map[string]int // by queue and owner
	labels map[string][]string       // by queue
	until  time.Time                 // by wall time
}

// talliedFor is how long the counts of a board with at least easedFrom open tickets stand; a smaller one is counted anew.
const talliedFor = time.Second

// tallied counts the board, or gives what it was counted to be a moment ago.
func (d *Desk) tallied(ctx context.Context) (t tallied, err error) {
	if err := d.current(ctx, false); err != nil {
		return t, err
	}
	b := &d.board
	if kept := b.counted.Load(); kept != nil && time.Now().Before(kept.until) {
		return *kept, nil
	}
	b.mu.RLock()
	t = b.count(d.DB.Now().UnixMicro())
	large := len(b.open) >= easedFrom
	b.mu.RUnlock()
	if large {
		t.until = time.Now().Add(talliedFor)
		b.counted.Store(&t)
	}
	return t, nil
}

// count counts what is open; b.mu is held.
func (b *board) count(now int64) tallied {
	by, mine, labels := map[uint32]*Tally{}, map[string]map[string]int{}, map[uint32]map[uint32]bool{}
	tally := func(queue uint32, name string) *Tally {
		if by[queue] == nil {
			by[queue] = &Tally{Queue: name, State: map[string]int{}, Priority: map[string]int{}, Step: map[string]int{}}
			mine[name], labels[queue] = map[string]int{}, map[uint32]bool{}
		}
		return by[queue]
	}
	var all []Tally
	if n, known := b.number[General]; known {
		tally(n, General)
	} else {
		all = append(all, Tally{Queue: General, State: map[string]int{}, Priority: map[string]int{}})
	}
	for at := range b.open {
		c := &b.cards[at]
		t := tally(c.queue, b.names[c.queue])
		t.Open++
		t.State[boardStates[c.state]]++
		t.Priority[priorities[c.priority]]++
		if _, step, ok := strings.Cut(b.names[c.step], "step "); ok {
			t.Step[step]++
		}
		if c.due != 0 && c.due <= now {
			t.Overdue++
		}
		if c.owner == 0 {
			t.Unassigned++
		} else {
			mine[t.Queue][b.names[c.owner]]++
		}
		if c.held > 0 {
			t.Held++
		}
		if filed := time.UnixMicro(c.filed).UTC(); c.state == 0 && (t.Oldest.IsZero() || filed.Before(t.Oldest)) {
			t.Oldest = filed
		}
		if due := time.UnixMicro(c.due).UTC(); c.due != 0 && (t.DueNext.IsZero() || due.Before(t.DueNext)) {
			t.DueNext = due
		}
		for _, l := range c.labels {
			labels[c.queue][l] = true
		}
	}
	for _, t := range by {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b Tally) int { return strings.Compare(a.Queue, b.Queue) })
	t := tallied{queues: all, mine: mine, labels: map[string][]string{}}
	for queue, on := range labels {
		for l := range on {
			t.labels[b.names[queue]] = append(t.labels[b.names[queue]], strings.TrimPrefix(b.names[l], "label "))
		}
	}
	return t
}

// Tallies counts the open tickets of every queue that has any, and of General, in the order of their names; mine is the staff member whose own are counted. Of a large board
// they may be a second old.
func (d *Desk) Tallies(ctx context.Context, mine string) ([]Tally, error) {
	t, err := d.tallied(ctx)
	all := slices.Clone(t.queues)
	for i := range all {
		all[i].Mine = t.mine[all[i].Queue][mine]
	}
	return all, err
}

// Labels are the labels that any open ticket has, sorted; those of closed incidents are not looked at.
func (d *Desk) Labels(ctx context.Context, closed map[string]bool) (all []string, err error) {
	t, err := d.tallied(ctx)
	for queue, some := range t.labels {
		if !closed[queue] {
			all = append(all, some...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), err
}
