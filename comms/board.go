package comms

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// board moves deliveries within one transaction and keeps the counts of their pages in step. It reads each record once and writes
// each page and notice once, in write.
type board struct {
	tx         *store.Tx
	pages      map[string]*boardPage
	notices    map[string]*boardNotice
	deliveries map[string]*boardDelivery
}

type boardPage struct {
	Page
	id      string
	meta    store.Meta
	changed bool
	keys    []string // once prefetched
	release bool
}

type boardNotice struct {
	Notice
	version int64
	changed bool
}

type boardDelivery struct {
	Delivery
	meta store.Meta
}

func newBoard(tx *store.Tx) *board {
	return &board{tx: tx, pages: map[string]*boardPage{}, notices: map[string]*boardNotice{}, deliveries: map[string]*boardDelivery{}}
}

func (b *board) page(id string) (*boardPage, error) {
	if p := b.pages[id]; p != nil {
		return p, nil
	}
	v, m, err := pages.Get(b.tx, id)
	if err != nil {
		return nil, err
	}
	if v.Counts == nil {
		v.Counts = map[string]int{}
	}
	p := &boardPage{Page: v, id: id, meta: m}
	b.pages[id] = p
	return p, nil
}

func (b *board) notice(id string) (*Notice, error) {
	if n := b.notices[id]; n != nil {
		return &n.Notice, nil
	}
	v, m, err := notices.Get(b.tx, id)
	if err != nil {
		return nil, err
	}
	n := &boardNotice{Notice: v, version: m.Version}
	b.notices[id] = n
	return &n.Notice, nil
}

// prefetch reads all deliveries of a page in one walk.
func (b *board) prefetch(p *boardPage) error {
	if p.keys != nil {
		return nil
	}
	for rec, err := range deliveries.Scan(b.tx, store.Query{From: p.From, To: p.To + "."}) {
		if err != nil {
			return err
		}
		if b.deliveries[rec.ID] == nil {
			b.deliveries[rec.ID] = &boardDelivery{rec.Value, rec.Meta}
		}
		p.keys = append(p.keys, rec.ID)
	}
	return nil
}

func (b *board) delivery(key string) (*boardDelivery, error) {
	if d := b.deliveries[key]; d != nil {
		return d, nil
	}
	v, m, err := deliveries.Get(b.tx, key)
	if err != nil {
		return nil, err
	}
	d := &boardDelivery{v, m}
	b.deliveries[key] = d
	return d, nil
}

// record writes a verdict on a delivery, unless what stands is better informed, and moves the counts.
func (b *board) record(key string, v verdict, attempts int, ref string) error {
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	next := d.Delivery
	if v.To != "" || overtakes(v.State, d.Delivery) {
		if v.State == Unknown && next.State != Unknown || v.State == Unknown && attempts > next.Attempts {
			next.Unknowns++
		}
		next.State, next.Reason, next.Next = v.State, v.Reason, v.Next
	}
	if v.To != "" {
		if past := cmp.Or(ref, next.Ref); past != "" {
			next.Past = append(slices.Clone(next.Past), past)
		}
		next.Address, next.Ref, ref = v.To, "", ""
	}
	if ref != "" {
		next.Ref = ref
	}
	next.Attempts, next.Starts = max(attempts, next.Attempts), 0
	if v.To != "" {
		next.Attempts, next.Unknowns = 0, 0 // none was made there
	}
	return b.put(key, next)
}

// put writes a delivery and moves the counts from its old state to the new one.
func (b *board) put(key string, next Delivery) error {
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	next.At = b.tx.Now()
	if next.State != d.State {
		if err := b.count(key, d.Delivery, next); err != nil {
			return err
		}
	}
	if err := deliveries.PutKnown(b.tx, d.meta, next); err != nil {
		return err
	}
	d.Delivery = next
	d.meta.Version++
	return nil
}

func (b *board) count(key string, was, is Delivery) error {
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	p, err := b.page(pageID(k.Notice, is.Page, is.Channel))
	if err != nil {
		return err
	}
	p.move(is.Channel, was.State, is.State)
	if !p.Mixed {
		p.move("people", was.State, is.State)
		return nil
	}
	var rest State // the best of the person's other deliveries
	for _, channel := range sendable {
		if channel == is.Channel {
			continue
		}
		k.Channel = channel
		other, err := b.delivery(k.String())
		if fault.Of(err) == fault.NotFound {
			continue
		} else if err != nil {
			return err
		}
		rest = better(rest, other.State)
	}
	home, err := b.page(p.Board)
	if err != nil {
		return err
	}
	home.move("people", better(rest, was.State), better(rest, is.State))
	return nil
}

func (p *boardPage) move(what string, from, to State) {
	if from == to {
		return
	}
	old := what + "/" + string(from)
	if p.Counts[old]--; p.Counts[old] <= 0 {
		delete(p.Counts, old)
	}
	p.Counts[what+"/"+string(to)]++
	p.changed = true
}

// finish says when the page is to be worked on next; zero: never.
func (b *board) finish(p *boardPage, due time.Time) error {
	if due.IsZero() != p.Due.IsZero() {
		n, err := b.notice(p.Notice)
		if err != nil {
			return err
		}
		if due.IsZero() {
			n.Pending--
		} else {
			n.Pending++
			n.DoneAt = time.Time{}
			if n.State == Done {
				n.State = SendingNow
			}
		}
		n.settled(b.tx.Now())
		b.notices[p.Notice].changed = true
	}
	p.Due, p.changed = due, true
	return nil
}

// write writes the pages and notices that changed.
func (b *board) write() error {
	for _, id := range slices.Sorted(maps.Keys(b.pages)) {
		p := b.pages[id]
		if p.changed {
			if err := pages.Put(b.tx, id, p.Page, p.meta.Version); err != nil {
				return err
			}
		}
		if p.release {
			if err := pages.Release(b.tx, id, p.meta.Holder, p.meta.Epoch); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.notices)) {
		if n := b.notices[id]; n.changed {
			if err := notices.Put(b.tx, id, n.Notice, n.version); err != nil {
				return err
			}
		}
	}
	return nil
}

// countName takes a count's name apart.
func countName(name string) (what string, s State) {
	what, state, _ := strings.Cut(name, "/")
	return what, State(state)
}
