package comms

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// When no relay takes mail, those who wait for it and have a phone can be told by text instead. One person asks for it and another one says yes, both with the
// number of people before them; then the notice is expanded once more: each page of mail gets a page of texts beside it, for exactly those on it who still
// wait. Their mail ends in the same transaction, so nobody is told twice when mail goes again, and a board still adds up. A page that a worker holds is waited for.

// relays remembers since when no relay has taken mail, as far as this process tried: neither those that cannot be spoken to nor those that put off whatever they are given
// have. The zero value says that mail goes. It is kept nowhere: the workers of every
// process claim pages and try them again within minutes, so each finds out by itself, also behind a restart, and none believes another one's network.
type relays struct {
	mu    sync.Mutex
	since time.Time // by wall time; zero: the last mail was taken, or refused for its own sake
}

func (d *relays) heard(out Outcome, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case out.State != Deferred:
		d.since = time.Time{}
	case d.since.IsZero():
		d.since = now
	}
}

// down is since when no relay has taken mail, once that is longer than most; zero: mail goes.
func (d *relays) down(most time.Duration, now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.since.IsZero() || now.Sub(d.since) < most {
		return time.Time{}
	}
	return d.since
}

// MailDown is since when no relay takes mail, once it is as long as the policy says; nil: mail goes.
func (r *Room) MailDown() *time.Time {
	if at := r.relays.down(r.Policy.MailDown, time.Now()); !at.IsZero() {
		at = at.UTC()
		return &at
	}
	return nil
}

// Instead is what it takes to tell those by text who wait for the mail of an update.
type Instead struct {
	DownSince *time.Time `json:"mail_down_since"` // null: mail goes, and nothing is offered
	Waiting   int        `json:"waiting"`         // whose mail waits
	Texts                // those of them who have a phone, and what texting them takes
	AskedBy   string     `json:"asked_by"` // who asked for it; "": nobody has
	Begun     bool       `json:"begun"`    // two people have said yes
}

// mostWaiting bounds how many deliveries one look at an offer counts.
const mostWaiting = 1_000_000

func textsOf(update string) string { return "texts." + update }

// Instead counts who waits for the mail of an update, and what it takes to text them. It walks all deliveries of the update, so it is for whoever asks and
// not for a board.
func (r *Room) Instead(ctx context.Context, update string) (o Instead, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		o, _, err = r.instead(tx, update)
		return err
	})
	return o, err
}

func (r *Room) instead(tx *store.Tx, update string) (o Instead, u store.Rec[Update], err error) {
	v, m, err := updates.Get(tx, update)
	if err != nil {
		return o, u, err
	}
	u = store.Rec[Update]{Meta: m, Value: v}
	if o.DownSince = r.MailDown(); v.State != Published || v.Notice == "" {
		return o, u, fault.New(fault.Conflict, "nobody is told of this update one by one")
	}
	n, _, err := notices.Get(tx, v.Notice)
	if err != nil {
		return o, u, err
	}
	switch {
	case slices.Contains(n.Channels, ChannelSMS):
		return o, u, fault.New(fault.Conflict, "whoever has a phone was told by text with this update")
	case n.ByDay:
		return o, u, fault.New(fault.Conflict, "a rule said it, and what rules say wakes nobody by text")
	case !slices.Contains(n.Channels, ChannelEmail):
		return o, u, fault.New(fault.Conflict, "this update goes out without mail")
	}
	o.Begun = n.Instead
	given, err := store.Approvals(tx, textsOf(update), v.Digest)
	if err != nil {
		return o, u, err
	}
	if len(given) > 0 {
		o.AskedBy = given[0].By
	}
	if o.DownSince == nil || o.Begun || n.State == StoppedHere {
		return o, u, nil
	}
	segments := map[string]int{}
	all, seen := 0, 0
	for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(v.Notice)+".")) {
		if err != nil {
			return o, u, err
		}
		if rec.Value.Channel != ChannelEmail || !rec.Value.open() {
			continue
		}
		if seen++; seen > mostWaiting {
			return o, u, fault.New(fault.Conflict, "more than %d wait: nobody is offered texts for so many", mostWaiting)
		}
		o.Waiting++
		to, err := r.phoneOf(tx, rec.ID, rec.Value)
		if err != nil {
			return o, u, err
		}
		if to == "" {
			continue
		}
		if _, known := segments[rec.Value.Locale]; !known {
			facts, err := r.facts(tx, update)
			if err != nil {
				return o, u, err
			}
			out, err := r.Words.Update(templates.SMS, rec.Value.Locale, facts, r.Vendor)
			if err != nil {
				return o, u, err
			}
			segments[rec.Value.Locale] = out.Segments
		}
		o.People++
		all += segments[rec.Value.Locale]
	}
	people := o.People
	o.Texts = r.Policy.Texting.of(1, all)
	o.People = people
	return o, u, nil
}

// phoneOf is the number at which the person of a mail's delivery can be told instead; "": none. Only contacts have one. Whose outcome is unknown may have been told.
func (r *Room) phoneOf(tx *store.Tx, key string, d Delivery) (string, error) {
	k, err := parseKey(key)
	if err != nil || k.Account == "0" || d.State == Unknown || d.State == Sending {
		return "", err
	}
	c, err := r.Book.Contact(tx, "con_"+k.Contact)
	if fault.Of(err) == fault.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	to, _ := contacts.Reach(c.Value, ChannelSMS)
	if len(to) == 0 {
		return "", nil
	}
	return to[0].Value, nil
}

// AskTexts is one person's word that those who wait for the mail of an update be told by text. Another person says yes with [Room.ApproveTexts].
func (r *Room) AskTexts(ctx context.Context, by, update string) (Instead, error) {
	return r.sayTexts(ctx, store.Act{By: by, Verb: "update.ask_texts"}, update, "texts_asked", func(given []store.Approval, o Instead) (bool, error) {
		if len(given) > 0 && store.Judge(given, o.People, 1) == store.Approved {
			return false, fault.New(fault.Conflict, "somebody has asked for it already; a second person says yes")
		}
		return false, nil
	})
}

// ApproveTexts is the second person's word, and begins it.
func (r *Room) ApproveTexts(ctx context.Context, by, update string) (Instead, error) {
	return r.sayTexts(ctx, store.Act{By: by, Verb: "update.approve_texts"}, update, "texts_approved", func(given []store.Approval, o Instead) (bool, error) {
		for _, a := range given {
			if a.By == by {
				return false, fault.New(fault.Forbidden, "who asked for it cannot say yes to it; a second person must")
			}
		}
		switch store.Judge(given, o.People, 1) {
		case store.Approved:
			return true, nil
		case store.Grown:
			return false, fault.New(fault.Conflict, "more people wait than it was asked for: somebody asks for it anew")
		}
		return false, fault.New(fault.Conflict, "nobody has asked for it yet")
	})
}

func (r *Room) sayTexts(ctx context.Context, act store.Act, update, what string, decide func([]store.Approval, Instead) (begin bool, err error)) (o Instead, err error) {
	counted, err := r.Instead(ctx, update) // on a snapshot, for it takes long
	if err != nil {
		return o, err
	}
	switch {
	case counted.DownSince == nil:
		return o, fault.New(fault.Conflict, "mail goes, or has not been down for %s: nobody needs a text instead", r.Policy.MailDown)
	case counted.Begun:
		return o, fault.New(fault.Conflict, "it has begun already")
	case counted.People == 0:
		return o, fault.New(fault.Conflict, "nobody who waits has a phone that takes texts")
	case r.Asking.Live != nil && !r.Asking.Live(ChannelSMS):
		return o, fault.New(fault.Conflict, "no text reaches anybody from here")
	}
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		o = counted
		u, _, err := updates.Get(tx, update)
		if err != nil {
			return err
		}
		n, m, err := notices.Get(tx, u.Notice)
		if err != nil {
			return err
		}
		if u.State != Published || n.State == StoppedHere || n.State == Expanding || n.Instead {
			return fault.New(fault.Conflict, "the update is stopped, or still being written down: look again")
		}
		given, err := store.Approvals(tx, textsOf(update), u.Digest)
		if err != nil {
			return err
		}
		begin, err := decide(given, o)
		if err != nil {
			return err
		}
		if !begin { // what was asked for fewer people is asked for anew
			if err := store.Withdraw(tx, textsOf(update), u.Digest); err != nil {
				return err
			}
		}
		if err := store.Approve(tx, store.Approval{Of: textsOf(update), Digest: u.Digest, People: o.People, By: act.By}); err != nil {
			return err
		}
		tx.On(update, u.Incident)
		if err := r.note(tx, u.Incident, act.By, what, fmt.Sprintf("update %d, %d people", u.Number, o.People)); err != nil {
			return err
		}
		if !begin {
			o.AskedBy = act.By
			return nil
		}
		o.Begun = true
		n.Instead, n.State, n.Pass, n.Cursor = true, Expanding, passInstead, ""
		n.Due, n.DoneAt = time.Now().UTC(), time.Time{}
		tx.After(r.bell.Ring)
		return notices.Put(tx, u.Notice, n, m.Version)
	})
	return o, err
}

// insteadSaid is the reason that stands where a mail ended because its person is told by text.
const insteadSaid = "no relay took it; told by text instead"

// textSome does one page of a notice whose mail is replaced, and says whether there is more to do under this claim.
func (o *Outbox) textSome(ctx context.Context, m store.Meta) (more bool, err error) {
	held := false
	lease := o.lease()
	err = o.Room.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		more, held = false, false
		if err := notices.Fence(tx, m.ID, m.Holder, m.Epoch); err != nil {
			return err
		}
		b := newBoard(tx)
		n, err := b.notice(m.ID)
		if err != nil {
			return err
		}
		if n.State != Expanding || n.Pass != passInstead {
			return notices.Release(tx, m.ID, m.Holder, m.Epoch)
		}
		done, _ := strconv.Atoi(n.Cursor)
		b.notices[m.ID].changed = true
		if done < n.Pages {
			if held, err = o.Room.textPage(b, m.ID, n, done+1); err != nil || held {
				return err
			}
			n.Cursor = strconv.Itoa(done + 1)
		} else {
			n.State, n.Due = SendingNow, time.Time{}
			n.settled(tx.Now())
		}
		if err := b.write(); err != nil {
			return err
		}
		tx.After(o.Room.bell.Ring)
		if n.State != Expanding {
			return notices.Release(tx, m.ID, m.Holder, m.Epoch)
		}
		more = true
		return notices.Renew(tx, m.ID, m.Holder, m.Epoch, lease)
	})
	if err != nil {
		return false, fmt.Errorf("write texts in place of mail: %w", err)
	}
	if held {
		return false, o.later(ctx, m)
	}
	return more, nil
}

// textPage writes the texts beside one page of mail, and ends the mail that they are in place of. Held: a worker is on the page, whose mails may be on their way.
func (r *Room) textPage(b *board, notice string, n *Notice, number int) (held bool, err error) {
	p, err := b.page(pageID(suffix(notice), number, ChannelEmail))
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	if err != nil || p.Due.IsZero() {
		return false, err
	}
	if p.meta.Holder != "" {
		return true, nil
	}
	keys, err := b.prefetch(p)
	if err != nil {
		return false, err
	}
	var rows []row
	var mails []string
	left := time.Time{}
	for _, key := range keys {
		d, err := b.delivery(key)
		if err != nil {
			return false, err
		}
		if !d.open() {
			continue
		}
		to, err := r.phoneOf(b.tx, key, d.Delivery)
		if err != nil {
			return false, err
		}
		if to == "" {
			if left.IsZero() || d.Next.Before(left) {
				left = d.Next
			}
			if left.IsZero() {
				left = time.Now().UTC()
			}
			continue
		}
		k, err := parseKey(key)
		if err != nil {
			return false, err
		}
		k.Channel, k.Number = ChannelSMS, 0
		rows = append(rows, row{key: k, Delivery: Delivery{Channel: ChannelSMS, Address: to, Name: d.Name, Locale: d.Locale, Sites: d.Sites, State: Queued}})
		mails = append(mails, key)
	}
	if len(rows) == 0 {
		return false, nil
	}
	text := Page{Notice: notice, Number: number, Channel: ChannelSMS, Lane: pageLane(n.Lane, ChannelSMS), Counts: map[string]int{ChannelSMS + "/" + string(Queued): len(rows)},
		Mixed: true, Board: p.Board, Listed: len(rows), From: rows[0].key.String(), To: rows[len(rows)-1].key.String(), Due: time.Now().UTC()}
	roster := Roster{Page: number, From: text.From, At: b.tx.Now(), Rows: encodeRows(rows)}
	if err := rosters.PutKnown(b.tx, store.Meta{ID: rows[len(rows)-1].key.roster()}, roster); err != nil {
		return false, err
	}
	if err := pages.Put(b.tx, pageID(suffix(notice), number, ChannelSMS), text, 0); err != nil {
		return false, err
	}
	n.Pending++
	p.Mixed, p.changed = true, true
	for _, key := range mails {
		if err := b.record(key, verdict{State: Suppressed, Reason: insteadSaid}, b.deliveries[key].Attempts, ""); err != nil {
			return false, err
		}
	}
	return false, b.finish(p, left)
}
