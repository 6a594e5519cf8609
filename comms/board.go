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
	fates   []fate
	noted   []noted // to be added to its Fates
	read    bool    // its deliveries were prefetched
	changed bool
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
	row  int // its place on the roster of its page, from 1; 0: it has a record of its own
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
	if p.fates, err = v.fates(); err != nil {
		return nil, err
	}
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

// prefetch reads all deliveries of a page at once and gives their keys.
func (b *board) prefetch(p *boardPage) (keys []string, err error) {
	p.read = true
	all, err := ofPage(b.tx, p.Page, p.fates)
	for i := range all {
		d := &all[i]
		if b.deliveries[d.key] == nil {
			b.deliveries[d.key] = &d.boardDelivery
		}
		keys = append(keys, d.key)
	}
	return keys, err
}

func (b *board) delivery(key string) (*boardDelivery, error) {
	if d := b.deliveries[key]; d != nil {
		return d, nil
	}
	d, err := findDelivery(b.tx, key, func(id string) (Page, []fate, error) {
		p, err := b.page(id)
		if err != nil {
			return Page{}, nil, err
		}
		return p.Page, p.fates, nil
	})
	if err != nil {
		return nil, err
	}
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
	if next.At = b.tx.Now(); next.reading() != d.reading() {
		next.At = d.At // what became of it is as it was
	}
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	p, err := b.page(pageID(k.Notice, next.Page, next.Channel))
	if err != nil {
		return err
	}
	if next.State != d.State {
		if err := b.count(p, k, d.Delivery, next); err != nil {
			return err
		}
	}
	if d.row > 0 {
		if p.note(d.row-1, next) {
			d.Delivery = next
			return nil
		}
		d.row = 0
	}
	if err := records.PutKnown(b.tx, d.meta, next); err != nil {
		return err
	}
	d.Delivery = next
	d.meta.Version++
	return nil
}

// note keeps in its page what became of a delivery on a roster. Not inPage: it is to have a record of its own, of which the page knows now.
func (p *boardPage) note(row int, next Delivery) (inPage bool) {
	f, ok := fateOf(next)
	if !ok {
		f = fate{State: apart, At: next.At}
	}
	p.fates[row] = f
	p.noted, p.changed = append(p.noted, noted{row, f}), true
	return ok
}

func (b *board) count(p *boardPage, k deliveryKey, was, is Delivery) error {
	p.move(is.Channel, was.State, is.State)
	if !p.Mixed {
		p.move("people", was.State, is.State)
		return nil
	}
	var rest State // the best of the person's other deliveries
	for _, channel := range personal {
		if channel == is.Channel {
			continue
		}
		k.Channel = channel
		other, err := b.otherOf(p, k)
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

// otherOf reads a delivery on another channel to somebody on a page: where there are rosters, it is on the page of that channel beside it.
func (b *board) otherOf(p *boardPage, k deliveryKey) (*boardDelivery, error) {
	key := k.String()
	if d := b.deliveries[key]; d != nil || p.Listed == 0 {
		return b.delivery(key)
	}
	beside, err := b.page(pageID(k.Notice, p.Number, k.Channel))
	if err == nil && !beside.read {
		_, err = b.prefetch(beside)
	}
	if err != nil {
		return nil, err
	}
	if d := b.deliveries[key]; d != nil {
		return d, nil
	}
	return nil, fault.New(fault.NotFound, "there is no delivery %.120q", key)
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
			p.Fates = appendFates(p.Fates, p.noted)
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
