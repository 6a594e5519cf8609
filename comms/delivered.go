package comms

import (
	"iter"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// A delivery is found in one of two places. Most are a row on the roster of their page, and what became of them stands in the page, so that a page
// costs two records and not two hundred and fifty. Whatever has more to say (it is tried again, its outcome is unknown, it goes on to another
// address) has a record of its own, which alone counts from then on. So have all that were written before there were rosters, and those of nobody.
//
// Whoever gives a delivery a record of its own, or notes its fate, writes its page in the same transaction: of two who do so at once one is told that
// it was late.

// delivered is deliveries wherever they stand.
type delivered struct{}

var deliveries delivered

// under is the span of all keys that begin with a prefix.
func under(prefix string) span {
	end := []byte(prefix)
	end[len(end)-1]++
	return span{prefix, string(end)}
}

func (s span) query() store.Query { return store.Query{From: s.from, To: s.to} }

// findDelivery looks for a delivery in both places; page reads a page with what it says.
func findDelivery(tx *store.Tx, key string, page func(id string) (Page, []fate, error)) (*boardDelivery, error) {
	v, m, err := records.Get(tx, key)
	if fault.Of(err) != fault.NotFound {
		return &boardDelivery{Delivery: v, meta: m}, err
	}
	k, bad := parseKey(key)
	if bad != nil || k.Channel == "" {
		return nil, err
	}
	ro, none := rosterOf(tx, k)
	if fault.Of(none) == fault.NotFound {
		return nil, err
	} else if none != nil {
		return nil, none
	}
	rows, bad := ro.rows()
	if bad != nil {
		return nil, bad
	}
	at, found := slices.BinarySearchFunc(rows, key, func(r row, key string) int { return strings.Compare(r.id, key) })
	if !found {
		return nil, err
	}
	p, fates, bad := page(pageID(k.Notice, ro.Page, k.Channel))
	if bad != nil {
		return nil, bad
	}
	if p.Listed != len(rows) {
		return nil, notItsRoster(p, len(rows))
	}
	return &boardDelivery{Delivery: fates[at].onto(rows[at].Delivery), meta: store.Meta{ID: key}, row: at + 1}, nil
}

// Scan walks the deliveries of one notice whose keys lie in a span, in the order of their keys.
func (delivered) Scan(tx *store.Tx, s span) iter.Seq2[store.Rec[Delivery], error] {
	return func(yield func(store.Rec[Delivery], error) bool) {
		notice, _, ok := strings.Cut(suffix(s.from), ".")
		if !ok {
			yield(store.Rec[Delivery]{}, fault.New(fault.Internal, "deliveries are walked by notice, and %.80q names none", s.from))
			return
		}
		walks := make([]*rosterWalk, len(sendable))
		for i, channel := range sendable {
			walks[i] = &rosterWalk{tx: tx, span: s, key: deliveryKey{Notice: notice, Channel: channel}}
		}
		// give hands out what is on rosters before a key; "": all of it.
		give := func(before string) bool {
			for {
				var first *rosterWalk
				for _, w := range walks {
					if err := w.fill(); err != nil {
						yield(store.Rec[Delivery]{}, err)
						return false
					}
					if len(w.rows) > 0 && (first == nil || w.rows[0].id < first.rows[0].id) {
						first = w
					}
				}
				if first == nil || before != "" && first.rows[0].id >= before {
					return true
				}
				r := first.rows[0]
				first.rows = first.rows[1:]
				if !yield(store.Rec[Delivery]{Meta: store.Meta{ID: r.id, Updated: r.At}, Value: r.Delivery}, nil) {
					return false
				}
			}
		}
		for rec, err := range records.Scan(tx, s.query()) {
			if err != nil {
				yield(rec, err)
				return
			}
			if !give(rec.ID) || !yield(rec, nil) {
				return
			}
		}
		give("")
	}
}

// rosterWalk walks the rosters of a channel, one at a time, past those that have a record of their own.
type rosterWalk struct {
	tx   *store.Tx
	span span
	key  deliveryKey // notice and channel
	last string      // id of the roster that was read last
	rows []row
	done bool
}

// fill sees to it that rows holds the next one; none when the walk is over.
func (w *rosterWalk) fill() error {
	for len(w.rows) == 0 && !w.done {
		from := w.last + "\x00"
		if w.last == "" {
			from = w.key.rosters() + personIn(w.span.from)
		}
		rec, err := rosters.First(w.tx, store.Query{Prefix: w.key.rosters(), From: from})
		if fault.Of(err) == fault.NotFound || err == nil && rec.Value.From >= w.span.to {
			w.done = true
			return nil
		} else if err != nil {
			return err
		}
		w.last = rec.ID
		p, _, err := pages.Get(w.tx, pageID(w.key.Notice, rec.Value.Page, w.key.Channel))
		if err != nil {
			return err
		}
		fates, err := p.fates()
		if err != nil {
			return err
		}
		rows, err := p.on(rec.Value)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if fates[i].State != apart && r.id >= w.span.from && r.id < w.span.to {
				r.Delivery = fates[i].onto(r.Delivery)
				w.rows = append(w.rows, r)
			}
		}
	}
	return nil
}

// personIn is what a key, or the beginning of one, says from the pass to the person, before it comes to the channel: in this rosters and keys are
// ordered alike.
func personIn(key string) string {
	_, rest, _ := strings.Cut(key, ".")
	dots := 0
	for i := range len(rest) {
		if rest[i] == '.' {
			if dots++; dots == 3 {
				return rest[:i+1]
			}
		}
	}
	return rest
}

// paged is one delivery of a page.
type paged struct {
	key string
	boardDelivery
}

// ofPage reads the deliveries of a page, in the order of their keys.
func ofPage(tx *store.Tx, p Page, fates []fate) (all []paged, err error) {
	own := p.Listed == 0
	if p.Listed > 0 {
		ro, err := p.roster(tx)
		if err != nil {
			return nil, err
		}
		all = make([]paged, 0, p.Listed)
		n := 0
		err = ro.each(func(r row) {
			if n++; n > len(fates) {
				return
			}
			f := fates[n-1]
			if f.State == apart {
				own = true
				return
			}
			all = append(all, paged{r.id, boardDelivery{Delivery: f.onto(r.Delivery), meta: store.Meta{ID: r.id}, row: n}})
		})
		if err == nil && n != p.Listed {
			err = notItsRoster(p, n)
		}
		if err != nil {
			return nil, err
		}
	}
	if !own {
		return all, nil
	}
	for rec, err := range records.Scan(tx, span{p.From, p.To + "."}.query()) {
		if err != nil {
			return nil, err
		}
		if d := rec.Value; d.Page == p.Number && d.Channel == p.Channel { // keys of other channels lie between
			all = append(all, paged{rec.ID, boardDelivery{Delivery: d, meta: rec.Meta}})
		}
	}
	if p.Listed > 0 {
		slices.SortFunc(all, func(a, b paged) int { return strings.Compare(a.key, b.key) })
	}
	return all, nil
}
