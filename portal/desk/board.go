package desk

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// board is what lists, counts and searches ask of every ticket, in memory, one for each process. It is read from the store and then follows the store's changes,
// so that what another replica wrote is found as soon as its writer was answered. Open tickets are read first, and no list is given before all of them are
// there; while closed ones are still being read, searches say so. Nothing of it is ever written down, and of words it holds 32-bit hashes only: what they find is
// read and looked at before it is shown.
type board struct {
	once sync.Once
	turn chan struct{} // whoever holds it may read the store for it

	mark    string // of the changes that are known
	stage   int    // how many states are read whole
	after   string // cursor in the one that is being read
	rebuilt time.Time

	mu     sync.RWMutex
	cards  []card
	at     map[string]int32 // by id
	free   []int32
	open   map[int32]struct{}
	terms  []uint32
	dead   int // terms of cards that are no more
	names  []string
	number map[string]uint32 // of a name
	whole  bool

	counted atomic.Pointer[tallied]
}

// card is one ticket on the board. Names are kept once, by number; 0 is none.
type card struct {
	id                              string
	queue, owner, account, category uint32
	step                            uint32
	labels                          []uint32
	due, filed, changed             int64 // microseconds; due 0: no clock runs
	terms                           int32
	n                               uint8 // of terms
	priority, state, held           uint8
	merged                          bool
}

// boardStates in the order in which they are read: what is open first.
var boardStates = []string{New, Asked, Waiting, Solved, Closed}

const (
	boardPage  = 256 // tickets read in one View: whoever asks for a list waits for the page that is being read
	boardLook  = 500 * time.Millisecond
	boardAgain = 5 * time.Second
	boardWait  = 10 * time.Second // of a list, until all open tickets are read
	mostTerms  = 60               // of one ticket
)

func (b *board) ready() {
	b.once.Do(func() {
		b.turn = make(chan struct{}, 1)
		b.reset()
	})
}

// reset forgets everything. Names stay: their numbers are in nobody's hands but the board's.
func (b *board) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cards, b.at, b.free, b.open, b.terms, b.dead = nil, map[string]int32{}, nil, map[int32]struct{}{}, nil, 0
	b.stage, b.after, b.whole = 0, "", false
	if b.number == nil {
		b.names, b.number = []string{""}, map[string]uint32{"": 0}
	}
}

func (b *board) name(s string) uint32 {
	n, ok := b.number[s]
	if !ok {
		n = uint32(len(b.names))
		b.names, b.number[s] = append(b.names, s), n
	}
	return n
}

// put takes a ticket as it stands now; b.mu is held.
func (b *board) put(rec store.Rec[Ticket]) {
	b.drop(rec.ID)
	t := rec.Value
	words := termsOf(t)
	c := card{id: rec.ID, queue: b.name(t.Queue()), owner: b.name(t.Owner), account: b.name(t.Account), category: b.name(t.Category), step: b.name(stepName(t.Step)),
		filed: t.FiledAt.UnixMicro(), changed: t.ChangedAt.UnixMicro(), terms: int32(len(b.terms)), n: uint8(len(words)),
		priority: uint8(slices.Index(priorities, t.Priority)), state: uint8(slices.Index(boardStates, t.State)), held: uint8(min(t.Held, 255)), merged: t.Into != ""}
	if due := t.due(); !due.IsZero() {
		c.due = due.UnixMicro()
	}
	for _, l := range t.Labels {
		c.labels = append(c.labels, b.name("label "+l))
	}
	b.terms = append(b.terms, words...)
	at := int32(len(b.cards))
	if n := len(b.free); n > 0 {
		at, b.free = b.free[n-1], b.free[:n-1]
		b.cards[at] = c
	} else {
		b.cards = append(b.cards, c)
	}
	b.at[rec.ID] = at
	if t.State != Closed {
		b.open[at] = struct{}{}
	}
}

// stepName is a step among the names of the board, which no other name is.
func stepName(step string) string {
	if step == "" {
		return ""
	}
	return "step " + step
}

// drop forgets a ticket; b.mu is held.
func (b *board) drop(id string) {
	at, ok := b.at[id]
	if !ok {
		return
	}
	b.dead += int(b.cards[at].n)
	b.cards[at] = card{}
	b.free = append(b.free, at)
	delete(b.at, id)
	delete(b.open, at)
	if b.dead > 1<<16 && b.dead > len(b.terms)/2 {
		b.tidy()
	}
}

// tidy puts the terms of the cards that are left behind each other.
func (b *board) tidy() {
	terms := make([]uint32, 0, len(b.terms)-b.dead)
	for i := range b.cards {
		c := &b.cards[i]
		if c.id != "" {
			from := c.terms
			c.terms = int32(len(terms))
			terms = append(terms, b.terms[from:from+int32(c.n)]...)
		}
	}
	b.terms, b.dead = terms, 0
}

// FollowTickets keeps the board of a serving process.
func (d *Desk) FollowTickets(ctx context.Context) error {
	d.followed.Store(true)
	defer d.followed.Store(false)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		next := boardLook
		read, err := d.lookOn(ctx, len(boardStates))
		switch {
		case err != nil && ctx.Err() == nil:
			d.Log.Warn("the list of tickets could not be brought up to date", "err", err)
			next = boardAgain
		case read < len(boardStates):
			next = 0
		}
		wait.Reset(next)
	}
}

// lookOn brings the board up to date, and reads a page more where fewer states are read whole than are wanted. It says how many are.
func (d *Desk) lookOn(ctx context.Context, wanted int) (read int, err error) {
	b := &d.board
	b.ready()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	c, err := d.DB.Changes(ctx, b.mark)
	if err != nil {
		return 0, err
	}
	blind := c.Next == ""
	if blind && time.Since(b.rebuilt) > time.Minute || c.Lost && !blind {
		b.reset()
		b.rebuilt = time.Now()
	}
	if !blind {
		b.mark = c.Next
	}
	if err := d.renew(ctx, c.IDs); err != nil {
		b.mark = "" // what was told is not known: read all anew
		return 0, err
	}
	if b.stage < wanted {
		err = d.readBoard(ctx)
	}
	return b.stage, err
}

// renew reads the tickets anew that changed.
func (d *Desk) renew(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return tickets.CheckID(id) != nil })
	for part := range slices.Chunk(ids, boardPage) {
		var now []store.Rec[Ticket]
		err := d.DB.View(ctx, func(tx *store.Tx) error {
			there, err := tickets.GetAll(tx, part)
			now = slices.Collect(maps.Values(there))
			return err
		})
		if err != nil {
			return err
		}
		d.board.mu.Lock()
		for _, id := range part {
			d.board.drop(id)
		}
		for _, rec := range now {
			d.board.put(rec)
		}
		d.board.mu.Unlock()
	}
	return nil
}

// readBoard reads a page of tickets in the state whose turn it is. What moves meanwhile is told by the changes.
func (d *Desk) readBoard(ctx context.Context) error {
	b := &d.board
	var page []store.Rec[Ticket]
	next := ""
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		page, next, err = tickets.List(tx, store.Query{Index: "state", Equal: []any{boardStates[b.stage]}, After: b.after, Limit: boardPage})
		return err
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rec := range page {
		b.put(rec)
	}
	if b.after = next; next == "" {
		b.stage++
	}
	b.whole = b.stage == len(boardStates)
	return nil
}

// current brings the board up to date for who asks now, with all open tickets on it; closed ones are read further by whoever follows, and by the asker when
// nobody does and she needs them.
func (d *Desk) current(ctx context.Context, closed bool) error {
	end := time.Now().Add(boardWait)
	states := len(boardStates) - 1 // those of open tickets
	if closed {
		states++
	}
	for {
		read, err := d.lookOn(ctx, states)
		open := read >= len(boardStates)-1
		switch {
		case err != nil:
			return err
		case open && !closed, read == len(boardStates):
			return nil
		case time.Now().Before(end):
		case open:
			return nil
		default:
			return fault.New(fault.Unavailable, "the tickets are still being read; ask again in a moment")
		}
	}
}

// term is a hash of a word as it is searched for.
func term(word string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(word))
	return h.Sum32()
}

func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

// wordsOf are the words by which a text is found: its parts between spaces, and the parts of those between other marks.
func wordsOf(s string) (all []string) {
	for _, w := range strings.Fields(fold(s)) {
		all = append(all, strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
		parts := strings.FieldsFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if len(parts) > 1 {
			all = append(all, parts...)
		}
	}
	return slices.DeleteFunc(all, func(w string) bool { return w == "" })
}

// digitsOf are the digits of a phone number as somebody wrote it.
func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// findable are the words by which a ticket is found.
func findable(t Ticket) (all []string) {
	all = append(all, fold(t.Number), strings.ReplaceAll(fold(t.Number), "-", ""))
	for _, s := range []string{t.Email, t.Company, t.Name, t.Domain, t.SiteName, t.SiteURL, t.Invoice, t.OldTicket, t.Phrase} {
		all = append(all, wordsOf(s)...)
	}
	if mail := fold(t.Email); mail != "" {
		_, domain, _ := strings.Cut(mail, "@")
		all = append(all, mail, domain)
	}
	if d := digitsOf(t.Phone); d != "" {
		all = append(all, d, d[max(0, len(d)-7):]) // as people dial it at home
	}
	return all
}

func termsOf(t Ticket) []uint32 {
	var all []uint32
	for _, w := range findable(t) {
		all = append(all, term(w))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), mostTerms)]
}

// wanted are the words of a search: a ticket is found that has all of them.
func wanted(q string) (words []string) {
	if number := secret.NormalNumber(q); number != "" && (strings.ContainsAny(q, "23456789") || strings.Count(q, "-") == 2) {
		return []string{fold(number)}
	}
	if d := digitsOf(q); len(d) >= 7 && !strings.ContainsFunc(q, unicode.IsLetter) {
		return []string{d}
	}
	for _, w := range strings.Fields(fold(q)) {
		if w = strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); w != "" {
			words = append(words, w)
		}
	}
	return words
}
