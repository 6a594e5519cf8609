package comms

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Expansion turns a notice into pages of deliveries, a chunk of at most chunkPages of them in each transaction, which also moves the
// notice's cursor. So an expander that dies leaves a notice from which the next one goes on, and nobody is written down twice or
// left out. Everybody in the audience gets a delivery on every channel of the notice: whoever cannot be reached gets one that has
// failed already, with the reason, so that a board always adds up to the audience.

// mostSites bounds the sites that a delivery names.
const mostSites = 10

// chunkPages is how many pages one transaction writes: to begin the walk of an audience costs as much as some way of it.
const chunkPages = 4

// mostChunks bounds how long one notice keeps an expander before others have their turn.
const mostChunks = 10

// reasons for which there is no delivery to make. Those that are somebody's wish count as suppressed, the others as failed.
var wishes = []string{contacts.OptedOut, contacts.ChannelOff}

// reasonNobody stands where a customer is affected and no contact of hers is known.
const reasonNobody = "no_contact"

// cursor says behind whom an expansion goes on. After is the account to begin behind; within the account In, contacts up to Done are
// done already.
type cursor struct{ After, In, Done string }

func (c cursor) String() string { return c.After + "/" + c.In + "/" + c.Done }

func parseCursor(s string) (c cursor, err error) {
	if s == "" {
		return c, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return c, fmt.Errorf("the cursor %.80q of a notice is not one", s)
	}
	return cursor{parts[0], parts[1], parts[2]}, nil
}

// person is one person of a chunk, with the deliveries made of her.
type person struct {
	key  deliveryKey // Channel and Number are set for each delivery
	rows []Delivery
}

// chunk is what one transaction of an expansion adds.
type chunk struct {
	people           []person
	nobody           []affectedAccount // customers of whom no contact is known
	customers, sites int
	next             cursor
	last             bool // of its pass
	later            bool // somebody was met whom this pass leaves to a later one
}

// expand works on a claimed notice until it is expanded, or others should have their turn.
func (o *Outbox) expand(ctx context.Context, m store.Meta) error {
	held := time.Now()
	for chunks := 0; chunks < mostChunks && !o.leaving(); {
		more, err := o.expandSome(ctx, m)
		switch {
		case fault.Of(err) == fault.Unavailable && time.Since(held) < o.lease()/2:
			// Given up, it would wait for the end of the lease, and everybody behind this chunk with it.
			o.Log.Warn("the store is away; a notice's expansion goes on when it is back", "notice", m.ID, "err", err)
			o.rest(ctx, pollFast)
			continue
		case err != nil || !more:
			return err
		}
		chunks, held = chunks+1, time.Now()
	}
	return o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		return notices.Release(tx, m.ID, m.Holder, m.Epoch)
	})
}

// expandSome does one transaction's worth and says whether there is more to do under this claim.
func (o *Outbox) expandSome(ctx context.Context, m store.Meta) (more bool, err error) {
	r := o.Room
	var n Notice
	var c chunk
	wait := false
	err = r.DB.View(ctx, func(tx *store.Tx) (err error) {
		if n, _, err = notices.Get(tx, m.ID); err != nil || n.State != Expanding || n.Pass == passInstead {
			return err
		}
		if wait, err = r.mustWait(tx, n); err != nil || wait {
			return err
		}
		c, err = r.chunk(tx, suffix(m.ID), n)
		return err
	})
	switch {
	case err != nil:
		return false, fmt.Errorf("read who is to be told: %w", err)
	case n.State == StoppedHere:
		return false, o.sweep(ctx, m)
	case n.State == Expanding && n.Pass == passInstead:
		return o.textSome(ctx, m)
	case wait:
		return false, o.later(ctx, m)
	}
	lease := o.lease()
	made := map[string]int{}
	err = r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		more = false
		clear(made)
		now, nm, err := notices.Get(tx, m.ID)
		if err != nil {
			return err
		}
		if err := notices.Fence(tx, m.ID, m.Holder, m.Epoch); err != nil {
			return err
		}
		if now.State != Expanding || now.Cursor != n.Cursor || now.Pass != n.Pass {
			return notices.Release(tx, m.ID, m.Holder, m.Epoch)
		}
		now.Stage = "" // whoever could claim it was let: by the clock, or by a person
		if err := o.writeChunk(tx, m.ID, &now, c, made); err != nil {
			return err
		}
		if now.State == Expanding && now.Few > 0 && now.People >= now.Few {
			now.Few = 0
			now.wait(StageFew)
		}
		if err := notices.Put(tx, m.ID, now, nm.Version); err != nil {
			return err
		}
		tx.After(r.bell.Ring)
		if now.State != Expanding || now.Stage != "" {
			return notices.Release(tx, m.ID, m.Holder, m.Epoch)
		}
		more = true
		return notices.Renew(tx, m.ID, m.Holder, m.Epoch, lease)
	})
	if err != nil {
		return false, fmt.Errorf("write a page of deliveries: %w", err)
	}
	for lane, n := range made {
		o.metrics.made.WithLabelValues(lane).Add(float64(n))
	}
	return more, nil
}

// mustWait holds back a correction until the fate of what it corrects is known to everybody who could have got it.
func (r *Room) mustWait(tx *store.Tx, n Notice) (bool, error) {
	if n.Only == "" {
		return false, nil
	}
	old, _, err := notices.Get(tx, n.Only)
	if err != nil {
		return false, err
	}
	return old.State == Expanding || old.Pending > 0, nil
}

// later puts a notice back for a second.
func (o *Outbox) later(ctx context.Context, m store.Meta) error {
	return o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		n, nm, err := notices.Get(tx, m.ID)
		if err != nil {
			return err
		}
		if n.State == Expanding {
			n.Due = time.Now().Add(time.Second).UTC()
			if err := notices.Put(tx, m.ID, n, nm.Version); err != nil {
				return err
			}
		}
		return notices.Release(tx, m.ID, m.Holder, m.Epoch)
	})
}

// chunk reads the next people of a notice's audience.
func (r *Room) chunk(tx *store.Tx, notice string, n Notice) (c chunk, err error) {
	at, err := parseCursor(n.Cursor)
	if err != nil {
		return c, err
	}
	if len(n.To) > 0 {
		return r.named(notice, n, at), nil
	}
	speak, err := r.languages(tx, n)
	if err != nil {
		return c, err
	}
	channels := n.sendable()
	if n.Pass == passSubscribers && n.Only == "" {
		return r.subscribers(tx, notice, n, at, speak)
	}
	if n.Only == "" { // a correction goes exactly where the wrong words went
		channels = slices.DeleteFunc(channels, func(c string) bool { return !slices.Contains(personal, c) })
	}
	switch {
	case len(channels) == 0:
		return chunk{last: true}, nil
	case n.Pass == passNobody:
		return r.nobody(tx, notice, n, at)
	}
	g := gather{room: r, tx: tx, notice: notice, n: n, at: at, c: chunk{next: at}, sites: map[string]bool{}, before: map[string]bool{}}
	g.first = beside[store.Rec[Delivery]]{tx: tx, account: func(d store.Rec[Delivery]) string { return accountIn(d.ID) },
		from: func(tx *store.Tx, account string) iter.Seq2[store.Rec[Delivery], error] {
			return deliveries.Scan(tx, ofPass(notice, passApproved, account))
		}}
	defer g.first.close()
	before := at.After // the account before the one we are in
	account := at.In
	for rc, err := range r.recipients(tx, n, n.Pass, at.After, func() { g.c.later = true }) {
		if err != nil {
			return c, err
		}
		if rc.Account != account {
			if account != "" {
				before = account
			}
			account = rc.Account
		}
		if rc.Account < at.In || rc.Account == at.In && rc.Contact <= at.Done {
			continue
		}
		if len(g.c.people) == n.chunkSize() {
			return g.c, nil
		}
		if err := g.add(rc, channels, speak); err != nil {
			return c, err
		}
		g.c.next = cursor{before, rc.Account, rc.Contact}
	}
	g.c.last = true
	return g.c, nil
}

// The passes of an expansion: first those who may speak for a customer, then everybody else, then the customers that nobody can
// speak for, so that they are on the board too. When the first has met everybody, the next two are left out. Last come those who subscribed.
const (
	passApproved    = 1
	passOthers      = 2
	passNobody      = 3
	passSubscribers = 4
	passInstead     = 5 // no deliveries of its own: see textPage
)

// passAfter is the pass behind one, or 0 when there is none.
func (n Notice) passAfter(pass int) int {
	switch {
	case len(n.To) > 0 || len(n.sendable()) == 0:
		return 0
	case pass < passNobody && !n.Clear:
		return pass + 1
	case pass < passSubscribers && (n.Audience == AudiencePublic || n.Only != ""):
		return passSubscribers
	}
	return 0
}

// nobody finds affected customers of whom the passes before wrote nobody down.
func (r *Room) nobody(tx *store.Tx, notice string, n Notice, at cursor) (c chunk, err error) {
	c.next, c.last = at, true
	if !ofSites(n.Audience) || n.Update == "" || n.Only != "" {
		return c, nil
	}
	u, _, err := updates.Get(tx, n.Update)
	if err != nil {
		return c, err
	}
	var known [2]beside[store.Rec[Delivery]] // whom the passes before wrote down
	for i, pass := range []int{passApproved, passOthers} {
		known[i] = beside[store.Rec[Delivery]]{tx: tx, account: func(d store.Rec[Delivery]) string { return accountIn(d.ID) },
			from: func(tx *store.Tx, account string) iter.Seq2[store.Rec[Delivery], error] {
				return deliveries.Scan(tx, ofPass(notice, pass, account))
			}}
		defer known[i].close()
	}
	seen := 0
	for a, err := range r.accountsIn(tx, n.Audience, u.Incident, at.After) {
		if err != nil {
			return c, err
		}
		if seen++; seen > 4*PageSize || len(c.nobody) == PageSize {
			c.last = false
			return c, nil
		}
		c.next = cursor{After: a.account}
		some := false
		for i := range known {
			for _, err := range known[i].of(a.account) {
				if err != nil {
					return c, err
				}
				some = true
				break
			}
		}
		if !some {
			c.nobody = append(c.nobody, a)
			c.customers++
			c.sites += len(a.sites)
		}
	}
	return c, nil
}

// ofPass chooses the deliveries that a pass made, from an account on.
func ofPass(notice string, pass int, account string) span {
	k := deliveryKey{Notice: notice, Pass: pass, Account: suffix(account)}
	return span{k.account(), under(k.pass()).to}
}

// accountIn is the account in a delivery's key; "" when it is none.
func accountIn(key string) string {
	k, err := parseKey(key)
	if err != nil {
		return ""
	}
	return "acc_" + k.Account
}

// sendable is the notice's channels that go to people one by one, in key order.
func (n Notice) sendable() (channels []string) {
	for _, c := range sendable {
		if slices.Contains(n.Channels, c) || c == ChannelSMS && n.Instead {
			channels = append(channels, c)
		}
	}
	return channels
}

// named is the chunk for addresses that a notice names itself. Its cursor's Done counts those that are done.
func (r *Room) named(notice string, n Notice, at cursor) (c chunk) {
	from, _ := strconv.Atoi(at.Done)
	to := min(from+PageSize, len(n.To))
	for i, d := range n.To[from:to] {
		k := deliveryKey{Notice: notice, Pass: n.Pass, Account: "0", Contact: fmt.Sprintf("%04d", from+i)}
		locale := r.Words.Match(d.Locale)
		c.people = append(c.people, person{key: k, rows: []Delivery{{
			Channel: d.Channel, Address: d.Address, Name: d.Name, Locale: locale, State: Queued,
		}}})
	}
	c.next = cursor{"", "", strconv.Itoa(to)}
	c.last = to == len(n.To)
	return c
}

// gather collects a chunk of an audience.
type gather struct {
	room    *Room
	tx      *store.Tx
	notice  string
	n       Notice
	at      cursor
	c       chunk
	account string
	met     bool                        // it is counted
	sites   map[string]bool             // of the account, counted so far
	before  map[string]bool             // contacts of the account that pass 1 told
	first   beside[store.Rec[Delivery]] // what pass 1 made
}

func (g *gather) add(rc recipient, channels []string, speak func(string) string) error {
	if rc.Account != g.account {
		if err := g.enter(rc.Account); err != nil {
			return err
		}
	}
	who := suffix(rc.Contact)
	if g.before[who] {
		return nil
	}
	if !g.met {
		g.met = true
		g.c.customers++
	}
	for _, s := range rc.Sites {
		if !g.sites[s] {
			g.sites[s] = true
			g.c.sites++
		}
	}
	p := person{key: deliveryKey{Notice: g.notice, Pass: g.n.Pass, Account: suffix(rc.Account), Contact: who}, rows: make([]Delivery, 0, len(channels))}
	for _, channel := range channels {
		d := Delivery{Channel: channel, Name: rc.C.Name, Locale: speak(rc.C.Locale), Sites: rc.Sites[:min(len(rc.Sites), mostSites)], State: Queued}
		if g.n.ByDay && !rc.C.AtNight {
			if wait := g.room.DayFor(rc.C.TimeZone, g.tx.Now()).Sub(g.tx.Now()); wait > 0 {
				d.Next = time.Now().Add(wait).UTC() // by wall time, as every try is
			}
		}
		if ok := d.address(rc); ok {
			p.rows = append(p.rows, d)
		}
	}
	if g.c.people == nil {
		g.c.people = make([]person, 0, g.n.chunkSize())
	}
	g.c.people = append(g.c.people, p)
	return nil
}

// address finds where a delivery goes, or says in it why nowhere. Not ok: the recipient is owed nothing on this channel, for a
// correction goes exactly where the wrong words went.
func (d *Delivery) address(rc recipient) (ok bool) {
	if rc.Got != nil {
		i := slices.IndexFunc(rc.Got, func(got Direct) bool { return got.Channel == d.Channel })
		if i >= 0 {
			d.Address, d.Locale = rc.Got[i].Address, rc.Got[i].Locale
		}
		return i >= 0
	}
	addresses, reason := contacts.Reach(rc.C, d.Channel)
	switch {
	case len(addresses) > 0:
		d.Address = addresses[0].Value
	case slices.Contains(wishes, reason):
		d.State, d.Reason = Suppressed, reason
	default:
		d.State, d.Reason = Failed, cmp.Or(reason, contacts.NoAddress)
	}
	return true
}

// enter learns what an earlier chunk or pass did with the account.
func (g *gather) enter(account string) error {
	g.account, g.met = account, false
	clear(g.sites)
	clear(g.before)
	note := func(told iter.Seq2[store.Rec[Delivery], error]) error {
		for rec, err := range told {
			if err != nil {
				return err
			}
			k, err := parseKey(rec.ID)
			if err != nil {
				return err
			}
			g.met = true
			g.before[k.Contact] = true
			for _, s := range rec.Value.Sites {
				g.sites[s] = true
			}
		}
		return nil
	}
	if account == g.at.In { // the chunk before ended within this account
		prefix := deliveryKey{Notice: g.notice, Pass: g.n.Pass, Account: suffix(account)}.account()
		if err := note(deliveries.Scan(g.tx, under(prefix))); err != nil {
			return err
		}
	}
	if g.n.Pass > passApproved {
		return note(g.first.of(account))
	}
	return nil
}

// languages is the choice among the languages of the update that a notice carries; the first one serves whoever has none of them.
func (r *Room) languages(tx *store.Tx, n Notice) (func(string) string, error) {
	if n.Update == "" {
		return r.Words.Match, nil
	}
	u, _, err := updates.Get(tx, n.Update)
	if err != nil {
		return nil, err
	}
	return choose(u.Statement.Locales), nil
}

func choose(offered []string) func(string) string {
	if len(offered) == 0 {
		offered = []string{"en"}
	}
	tags := make([]language.Tag, len(offered))
	for i, l := range offered {
		tags[i] = language.Make(l)
	}
	matcher := language.NewMatcher(tags)
	known := map[string]string{"": offered[0]}
	return func(locale string) string {
		if l, ok := known[locale]; ok {
			return l
		}
		_, i, _ := matcher.Match(language.Make(locale))
		if len(known) < 1000 {
			known[locale] = offered[i]
		}
		return offered[i]
	}
}

// writeChunk writes a chunk's deliveries and pages and moves the notice on.
func (o *Outbox) writeChunk(tx *store.Tx, id string, n *Notice, c chunk, made map[string]int) error {
	notice := suffix(id)
	for people := range slices.Chunk(c.people, PageSize) {
		n.Pages++
		if err := writePages(tx, id, n, people, made); err != nil {
			return err
		}
	}
	for _, a := range c.nobody {
		k := deliveryKey{Notice: notice, Pass: passNobody, Account: suffix(a.account), Contact: "0"}
		d := Delivery{Sites: a.sites[:min(len(a.sites), mostSites)], State: Failed, Reason: reasonNobody, At: tx.Now()}
		if err := records.PutKnown(tx, store.Meta{ID: k.String()}, d); err != nil {
			return err
		}
	}
	n.Nobody += len(c.nobody)
	n.People += len(c.people)
	n.Customers += c.customers
	n.Sites += c.sites
	n.Cursor = c.next.String()
	n.Clear = n.Clear && !c.later
	if !c.last {
		return nil
	}
	n.Cursor = ""
	if next := n.passAfter(n.Pass); next > 0 {
		n.Pass = next
		return nil
	}
	n.State, n.Due = SendingNow, time.Time{}
	n.settled(tx.Now())
	return nil
}

// writePages writes the deliveries of at most PageSize people, a page for each channel, under the notice's newest number.
func writePages(tx *store.Tx, id string, n *Notice, people []person, made map[string]int) error {
	notice := suffix(id)
	due := n.Place
	if due.IsZero() {
		due = time.Now().UTC()
	}
	var board string
	for channel, rows := range byChannel(people) {
		p := Page{Notice: id, Number: n.Pages, Channel: channel, Lane: pageLane(n.Lane, channel), Counts: map[string]int{}}
		pid := pageID(notice, n.Pages, channel)
		p.Mixed = slices.ContainsFunc(people, func(p person) bool { return len(p.rows) > 1 })
		if board == "" || !p.Mixed {
			board = pid
		}
		p.Board = board
		p.Listed, p.From, p.To = len(rows), rows[0].key.String(), rows[len(rows)-1].key.String()
		var later []noted // who waits for her morning has a record of her own: a roster knows no times
		for i, d := range rows {
			p.Counts[channel+"/"+string(d.State)]++
			if !d.open() {
				continue
			}
			p.Due = due
			if d.Next.IsZero() {
				continue
			}
			own := d.Delivery
			own.Page, own.At = n.Pages, tx.Now()
			if err := records.PutKnown(tx, store.Meta{ID: d.key.String()}, own); err != nil {
				return err
			}
			later = append(later, noted{i, fate{State: apart, At: own.At}})
		}
		p.Fates = appendFates(nil, later)
		roster := Roster{Page: n.Pages, From: p.From, At: tx.Now(), Rows: encodeRows(rows)}
		if err := rosters.PutKnown(tx, store.Meta{ID: rows[len(rows)-1].key.roster()}, roster); err != nil {
			return err
		}
		if p.Board == pid {
			for _, who := range people {
				if best, ok := who.best(channel, p.Mixed); ok {
					p.Counts["people/"+string(best)]++
				}
			}
		}
		if !p.Due.IsZero() {
			n.Pending++
			made[p.Lane]++
		}
		if err := pages.Put(tx, pid, p, 0); err != nil {
			return err
		}
	}
	return nil
}

// settled ends a notice of which nothing is left to do.
func (n *Notice) settled(now time.Time) {
	if n.Pending > 0 || n.State == Expanding || !n.DoneAt.IsZero() {
		return
	}
	n.DoneAt = now
	if n.State == SendingNow {
		n.State = Done
	}
}

// best is the best state of a person over all channels, or with apart over one; not ok when she has no delivery there.
func (p person) best(channel string, all bool) (best State, ok bool) {
	for _, d := range p.rows {
		if all || d.Channel == channel {
			best, ok = better(best, d.State), true
		}
	}
	return best, ok
}

// byChannel walks the channels that a chunk uses, in key order, each with its deliveries in key order.
func byChannel(people []person) iter.Seq2[string, []row] {
	return func(yield func(string, []row) bool) {
		for _, channel := range sendable {
			var rows []row
			for i, p := range people {
				for _, d := range p.rows {
					if d.Channel == channel {
						if rows == nil {
							rows = make([]row, 0, len(people)-i)
						}
						k := p.key
						k.Channel = channel
						rows = append(rows, row{key: k, Delivery: d})
					}
				}
			}
			if len(rows) > 0 && !yield(channel, rows) {
				return
			}
		}
	}
}

// mostSwept bounds how many pages of a stopped notice are swept before others have their turn: what took its place is to be told first.
const mostSwept = 8

// sweep suppresses what a stopped notice has left in pages that no worker holds; those that a worker holds it stops itself. Whom the newer update leaves
// out is counted once all of them are done.
func (o *Outbox) sweep(ctx context.Context, m store.Meta) error {
	r := o.Room
	var idle []string
	var n Notice
	var left LeftOut
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		idle = nil
		if n, _, err = notices.Get(tx, m.ID); err != nil {
			return err
		}
		for rec, err := range pages.Scan(tx, store.Query{Prefix: "pag_" + suffix(m.ID) + "."}) {
			if err != nil {
				return err
			}
			if rec.Holder == "" && !rec.Value.Due.IsZero() {
				idle = append(idle, rec.ID)
			}
			if len(idle) > mostSwept {
				return nil
			}
		}
		if n.Newer != "" && n.Pending == 0 {
			left, err = r.countLeftOut(tx, m.ID, n)
		}
		return err
	})
	if err != nil {
		return err
	}
	more := len(idle) > mostSwept || n.Newer != "" && n.Pending > 0
	for _, id := range idle[:min(len(idle), mostSwept)] {
		err := r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return r.suppressPage(tx, id) })
		if k := fault.Of(err); err != nil && k != fault.Stale {
			return fmt.Errorf("suppress page %s: %w", id, err)
		}
	}
	act := store.Act{}
	if left.People > 0 {
		act = store.Act{By: "system:outbox", Verb: "update.left_out"}
	}
	return r.DB.Update(ctx, act, func(tx *store.Tx) error {
		n, nm, err := notices.Get(tx, m.ID)
		if err != nil {
			return err
		}
		n.Due = time.Time{}
		switch {
		case len(idle) > 0 && more:
			n.Due = time.Now().UTC()
		case more: // workers hold the rest
			n.Due = time.Now().Add(time.Second).UTC()
		default:
			if err := r.oweLeftOut(tx, n, left); err != nil {
				return err
			}
		}
		n.settled(tx.Now())
		if err := notices.Put(tx, m.ID, n, nm.Version); err != nil {
			return err
		}
		return notices.Release(tx, m.ID, m.Holder, m.Epoch)
	})
}

func (r *Room) suppressPage(tx *store.Tx, id string) error {
	b := newBoard(tx)
	p, err := b.page(id)
	if err != nil {
		return err
	}
	n, err := b.notice(p.Notice)
	if err != nil {
		return err
	}
	if p.meta.Holder != "" || p.Due.IsZero() || n.State != StoppedHere {
		return nil
	}
	by, err := r.newerThan(tx, *n)
	if err != nil {
		return err
	}
	all, err := b.prefetch(p)
	if err != nil {
		return err
	}
	for _, key := range all {
		d, err := b.delivery(key)
		if err != nil {
			return err
		}
		if !d.open() {
			continue
		}
		end, err := r.unsentFor(tx, by, *n, key, d.Delivery)
		if err != nil {
			return err
		}
		if err := b.record(key, end, d.Attempts, ""); err != nil {
			return err
		}
	}
	if err := b.finish(p, time.Time{}); err != nil {
		return err
	}
	return b.write()
}

// unsent is what becomes of an open delivery when its notice was stopped.
func (d Delivery) unsent(n Notice) verdict {
	if d.State == Unknown || d.State == Sending {
		return verdict{State: Unknown, Reason: cmp.Or(d.Reason, "the outcome was lost, then the notice was stopped")}
	}
	return verdict{State: n.Unsent, Reason: n.Reason}
}
