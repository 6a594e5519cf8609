package contacts

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// index finds accounts by what people remember of them. It lives in memory, one for each process, is read from the store at start and then
// follows the store's changes, so that other replicas' writes are found as soon as their writers were answered. Nothing of it is
// ever written down.
//
// It is a few segments that never change. What was written anew becomes a small segment, its former self is marked dead, and
// segments of like size are merged, so that a record is moved a few times in its life and searches wait for nobody.
type index struct {
	sight atomic.Pointer[sight] // what searches see
	turn  chan struct{}         // whoever holds it may write; made by ready
	once  sync.Once
	kept  atomic.Bool        // somebody follows the changes all the time
	nudge chan chan struct{} // asks her to look at once

	mark     string   // of the changes that are known
	pending  []string // the known changes that the index does not show yet
	rebuilt  time.Time
	numbers  map[recordID]uint32 // of accounts, in the register
	register []*[registerPage]seat
	segments []*segment

	scratches sync.Pool
}

// sight is what the index shows at a moment.
type sight struct {
	segments []*segment
	register []*[registerPage]seat
	read, of int // how many records were read of how many, until the index is whole
	whole    bool
}

const registerPage = 1024

// seat is an account in the register. Numbers are never given twice; an account that is gone keeps its own.
type seat struct {
	id   recordID
	tier atomic.Uint32 // 1 + the tier that the account states; 0: none
	site atomic.Uint32 // 1 + the most urgent tier that a site ever stated; 0: none
}

func (s *sight) seat(account uint32) *seat {
	return &s.register[account/registerPage][account%registerPage]
}

// tier is how urgent an account is, for the order of hits only.
func (s *sight) tier(account uint32, standard int) int {
	at := s.seat(account)
	if t := at.tier.Load(); t > 0 {
		return int(t) - 1
	}
	if t := at.site.Load(); t > 0 {
		return int(t) - 1
	}
	return standard
}

func (s *sight) percent() int {
	if s.whole {
		return 100
	}
	return min(99, s.read*100/max(1, s.of))
}

const (
	lookEach   = 500 * time.Millisecond // between two looks at what changed
	lookAgain  = 5 * time.Second        // after one that failed
	mostWait   = 250 * time.Millisecond // of a search for a look
	buildPage  = 4096                   // records read in one View: a long one would keep the store from cleaning up
	freezeAt   = 1 << 16                // records of one segment while the index is built
	blindRenew = 10 * time.Minute       // how often all is read anew on an engine that tells no changes
)

func (ix *index) ready() {
	ix.once.Do(func() {
		ix.turn = make(chan struct{}, 1)
		ix.nudge = make(chan chan struct{})
	})
}

// Follow keeps the index of a serving process: it is built in the background and then looks for changes twice a second, and whenever a
// search asks. Until it is whole searches say so. Without Follow whoever searches first builds it and waits for that.
func (b *Book) Follow(ctx context.Context) error {
	ix := &b.index
	ix.ready()
	ix.kept.Store(true)
	defer ix.kept.Store(false)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		var asked chan struct{}
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		case asked = <-ix.nudge:
		}
		next := lookEach
		if err := b.lookAt(ctx); err != nil && ctx.Err() == nil {
			b.logger().Warn("the search index could not be brought up to date", "err", err)
			next = lookAgain
		}
		if asked != nil {
			close(asked)
		}
		wait.Reset(next)
	}
}

func (b *Book) logger() *slog.Logger {
	if b.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return b.Log
}

// current is the index as fresh as it can be had: as it stands now, or, when that takes longer than a search should, a moment ago.
func (b *Book) current(ctx context.Context) (s *sight, fresh bool, err error) {
	ix := &b.index
	ix.ready()
	if !ix.kept.Load() {
		if err := b.lookAt(ctx); err != nil {
			return nil, false, err
		}
		return ix.sight.Load(), true, nil
	}
	patience := time.NewTimer(mostWait)
	defer patience.Stop()
	done := make(chan struct{})
	select {
	case ix.nudge <- done:
		select {
		case <-done:
			fresh = true
		case <-patience.C:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	case <-patience.C:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if s = ix.sight.Load(); s == nil {
		s = &sight{}
	}
	return s, fresh, nil
}

// lookAt brings the index up to date, building it when there is none.
func (b *Book) lookAt(ctx context.Context) error {
	ix := &b.index
	select {
	case ix.turn <- struct{}{}:
		defer func() { <-ix.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		c, err := b.DB.Changes(ctx, ix.mark)
		if err != nil {
			return err
		}
		if blind := c.Next == ""; blind && ix.rebuilt.IsZero() || c.Lost && !blind || blind && time.Since(ix.rebuilt) > blindRenew {
			if blind {
				b.logger().Warn("this database keeps no index of changes: what others write is found after some minutes", "each", blindRenew)
			}
			ix.mark = c.Next
			if err := b.build(ctx); err != nil {
				ix.mark = "" // half read
				return err
			}
			ix.rebuilt = time.Now()
			if blind {
				ix.show(true, 0, 0)
				return nil
			}
			continue // with what was written while it was read
		}
		if ix.pending = append(ix.pending, c.IDs...); c.Next != "" {
			ix.mark = c.Next
		}
		if err := b.take(ctx, ix.pending); err != nil {
			return err // what was taken is taken again
		}
		ix.pending = nil
		if s := ix.sight.Load(); s == nil || !s.whole || len(c.IDs) > 0 {
			ix.show(true, 0, 0)
		}
		return nil
	}
}

// show lets searches see what stands now.
func (ix *index) show(whole bool, read, of int) {
	ix.sight.Store(&sight{segments: slices.Clone(ix.segments), register: ix.register, whole: whole, read: read, of: of})
}

// build reads everything. What was shown stays until all is read anew; where nothing was, searches see what is read so far.
func (b *Book) build(ctx context.Context) error {
	ix := &b.index
	was := ix.sight.Load()
	fresh := was == nil || !was.whole
	n, err := b.Count(ctx)
	if err != nil {
		return err
	}
	ix.segments, ix.register, ix.numbers, ix.pending = nil, nil, map[recordID]uint32{}, nil
	read, of := 0, n.Accounts+n.Sites+n.Contacts
	var batch []entry
	freezeBatch := func() error {
		if len(batch) > 0 {
			ix.add(freeze(batch))
			batch = batch[:0]
		}
		if fresh {
			ix.show(false, read, of)
		}
		c, err := b.DB.Changes(ctx, ix.mark) // now and then, so that an import does not outrun the reading
		if err != nil || c.Next == "" {
			return err
		}
		if c.Lost {
			return fault.New(fault.Unavailable, "more was written than could be read meanwhile")
		}
		ix.mark, ix.pending = c.Next, append(ix.pending, c.IDs...)
		return nil
	}
	step := func(e entry) error {
		read++
		if batch = append(batch, e); len(batch) >= freezeAt {
			return freezeBatch()
		}
		return nil
	}
	if err := readAll(ctx, b, bareAccounts, func(r store.Rec[bareAccount]) error { return step(ix.entryOfAccount(r.ID, r.Value.Account)) }); err != nil {
		return err
	}
	if err := readAll(ctx, b, bareSites, func(r store.Rec[bareSite]) error { return step(ix.entryOfSite(r.ID, r.Value.Site)) }); err != nil {
		return err
	}
	if err := readAll(ctx, b, bares, func(r store.Rec[bare]) error { return step(ix.entryOfContact(r.ID, r.Value.Contact)) }); err != nil {
		return err
	}
	return freezeBatch()
}

// The records without their provenance, which is most of them; to read only.
type bareAccount struct {
	Account
	Sources   unread `json:"sources"`
	Origins   unread `json:"origins"`
	Conflicts unread `json:"conflicts"`
}

type bareSite struct {
	Site
	Sources   unread `json:"sources"`
	Origins   unread `json:"origins"`
	Conflicts unread `json:"conflicts"`
}

var (
	bareAccounts = store.Table[bareAccount]{Kind: accounts.Kind}
	bareSites    = store.Table[bareSite]{Kind: sites.Kind}
)

// readAll walks a kind in many short Views. What is written behind the walk is told by the changes.
func readAll[T any](ctx context.Context, b *Book, t store.Table[T], each func(store.Rec[T]) error) error {
	after := ""
	var page []store.Rec[T]
	for {
		n := 0
		page = page[:0]
		err := b.DB.View(ctx, func(tx *store.Tx) error {
			for rec, err := range t.Scan(tx, store.Query{After: after, Limit: buildPage}) {
				if err != nil {
					return err
				}
				n, after = n+1, rec.Cursor()
				page = append(page, rec)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, rec := range page {
			if err := each(rec); err != nil {
				return err
			}
		}
		if n < buildPage {
			return nil
		}
	}
}

// take reads records anew that changed.
func (b *Book) take(ctx context.Context, ids []string) error {
	ix := &b.index
	for part := range slices.Chunk(ids, buildPage) {
		var now []entry
		var known []recordID
		err := b.DB.View(ctx, func(tx *store.Tx) error {
			now, known = now[:0], known[:0]
			for _, id := range part {
				rid, ok := recordIDOf(id)
				if !ok {
					continue
				}
				known = append(known, rid)
				e, err := ix.readEntry(tx, id)
				if fault.Of(err) == fault.NotFound {
					continue // deleted
				}
				if err != nil {
					return err
				}
				now = append(now, e)
			}
			return nil
		})
		if err != nil {
			return err
		}
		// First the new, then away with the old: no search misses what only changed.
		old := slices.Clone(ix.segments)
		if len(now) > 0 {
			ix.segments = append(ix.segments, freeze(now))
			ix.show(true, 0, 0)
		}
		for _, s := range old {
			for _, id := range known {
				s.kill(id)
			}
		}
		ix.tidy()
	}
	return nil
}

func (ix *index) readEntry(tx *store.Tx, id string) (entry, error) {
	switch {
	case accounts.CheckID(id) == nil:
		v, _, err := bareAccounts.Get(tx, id)
		if err != nil {
			return entry{}, err
		}
		return ix.entryOfAccount(id, v.Account), nil
	case sites.CheckID(id) == nil:
		v, _, err := bareSites.Get(tx, id)
		if err != nil {
			return entry{}, err
		}
		return ix.entryOfSite(id, v.Site), nil
	}
	v, _, err := bares.Get(tx, id)
	if err != nil {
		return entry{}, err
	}
	return ix.entryOfContact(id, v.Contact), nil
}

func (ix *index) entryOfAccount(id string, a Account) entry {
	rid, _ := recordIDOf(id)
	e := entry{id: rid, account: ix.number(rid), clues: cluesOfAccount(a)}
	tier := uint32(0)
	if a.Tier != nil {
		tier = uint32(*a.Tier) + 1
	}
	ix.seat(e.account).tier.Store(tier)
	return e
}

func (ix *index) entryOfSite(id string, s Site) entry {
	rid, _ := recordIDOf(id)
	of, _ := recordIDOf(s.Account)
	e := entry{id: rid, account: ix.number(of), clues: cluesOfSite(s)}
	if at := &ix.seat(e.account).site; s.Tier != nil {
		if t := uint32(*s.Tier) + 1; at.Load() == 0 || t < at.Load() {
			at.Store(t)
		}
	}
	return e
}

func (ix *index) entryOfContact(id string, c Contact) entry {
	rid, _ := recordIDOf(id)
	of, _ := recordIDOf(c.Account)
	return entry{id: rid, account: ix.number(of), clues: cluesOfContact(c)}
}

// number is an account's place in the register, given when it is first heard of.
func (ix *index) number(id recordID) uint32 {
	n, ok := ix.numbers[id]
	if !ok {
		n = uint32(len(ix.numbers))
		if n%registerPage == 0 {
			ix.register = append(ix.register[:len(ix.register):len(ix.register)], new([registerPage]seat))
		}
		ix.numbers[id] = n
		ix.seat(n).id = id
	}
	return n
}

func (ix *index) seat(n uint32) *seat { return &ix.register[n/registerPage][n%registerPage] }

// add puts a segment behind the others.
func (ix *index) add(s *segment) {
	ix.segments = append(ix.segments, s)
	ix.tidy()
}

// tidy merges the last segments as long as the one before them is not more than twice their size, so that there are few and each record
// is moved a few times in its life; and it makes segments anew of which most died.
func (ix *index) tidy() {
	ix.segments = slices.Clone(ix.segments)
	for i, s := range ix.segments {
		if 2*s.living() < s.size() {
			ix.segments[i] = merge([]*segment{s})
		}
	}
	from := len(ix.segments) - 1
	if from < 1 {
		return
	}
	for size := ix.segments[from].living(); from > 0 && ix.segments[from-1].living() <= 2*size; size += ix.segments[from].living() {
		from--
	}
	if from < len(ix.segments)-1 {
		ix.segments = append(ix.segments[:from], merge(ix.segments[from:]))
	}
}
