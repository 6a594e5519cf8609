package comms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Whoever has the link in her mail (see [Room.toContact]) can say on its page that she has read the update that went to her last. That, and that she opened the page, is kept
// in her delivery. Nothing in a mail is fetched to learn it. Programs follow the links of mails: opening is counted only when a browser says that somebody went there, and
// may still be a program's doing, so it says less than her press.

// How far a person came with an update, as it is counted.
const (
	ReadAcknowledged = "acknowledged" // she said that she has read it
	ReadOpened       = "opened"       // the page behind her link was opened, and she said nothing
	ReadNeither      = "neither"
)

// Readers counts the people of an audience by how far they came. The four add up to it.
type Readers struct {
	Acknowledged int `json:"acknowledged"`
	Opened       int `json:"opened"`
	Neither      int `json:"neither"`
	NoLink       int `json:"no_link"` // subscribers and addresses of the policy: they have no link of their own
}

func (r *Readers) add(reading string, n int) {
	switch reading {
	case ReadAcknowledged:
		r.Acknowledged += n
	case ReadOpened:
		r.Opened += n
	default:
		r.Neither += n
	}
}

// reading is how far her delivery says that she came.
func (d Delivery) reading() string {
	switch {
	case !d.Acknowledged.IsZero():
		return ReadAcknowledged
	case !d.Opened.IsZero():
		return ReadOpened
	}
	return ReadNeither
}

// readers says whether those of a page can have a link of their own, and whether they may speak for a customer.
func (p Page) readers() (have, approved bool) {
	k, err := parseKey(p.From)
	have = err == nil && k.Account != "0" && (k.Pass == passApproved || k.Pass == passOthers)
	return have, have && k.Pass == passApproved
}

// ToRead is the update that went to a contact last.
type ToRead struct {
	Update       string
	Number       int
	At           time.Time
	Headline     string // of one that everybody may read; else ""
	In           string // the language of the headline
	Opened       bool
	Acknowledged time.Time

	key string
}

// mostToRead bounds how far back the newest update to a contact is looked for.
const mostToRead = 50

// ToRead finds the newest update of an incident that went to a contact and was not taken back; nil: none did. With update it is that one.
func (r *Room) ToRead(tx *store.Tx, incident, contact, update string) (*ToRead, error) {
	who, err := r.Book.Contact(tx, contact)
	if err != nil {
		return nil, err
	}
	looked := 0
	for rec, err := range spoken(tx, incident) {
		if err != nil {
			return nil, err
		}
		if looked++; looked > mostToRead {
			break
		}
		u := rec.Value
		if u.State != Published || u.Notice == "" || update != "" && rec.ID != update {
			continue
		}
		key, d, err := wentTo(tx, u.Notice, who.Value.Account, who.ID)
		if err != nil {
			return nil, err
		}
		if key == "" {
			continue
		}
		out := &ToRead{Update: rec.ID, Number: u.Number, At: *u.PublishedAt, Opened: !d.Opened.IsZero(), Acknowledged: d.Acknowledged, key: key}
		if u.onPage() {
			out.Headline, out.In = u.Statement.Headline, u.Statement.Locales[0]
		}
		return out, nil
	}
	return nil, nil
}

// WasRead is an update of which it is kept that a contact opened the page behind her link, or said that she has read it.
type WasRead struct {
	Update       string
	Number       int
	Headline     string // of one that everybody may read; else ""
	Opened       time.Time
	Acknowledged time.Time // zero: she said nothing
}

// ReadBy lists what is kept of a contact's reading: of all incidents, the newest first, and also of updates that were taken back.
func (r *Room) ReadBy(tx *store.Tx, who store.Rec[contacts.Contact]) (all []WasRead, err error) {
	for in, err := range incidents.Scan(tx, store.Query{Index: "number", Reverse: true}) {
		if err != nil {
			return nil, err
		}
		for rec, err := range spoken(tx, in.ID) {
			if err != nil {
				return nil, err
			}
			u := rec.Value
			if u.Notice == "" {
				continue
			}
			key, d, err := wentTo(tx, u.Notice, who.Value.Account, who.ID)
			if err != nil {
				return nil, err
			}
			if key == "" || d.Opened.IsZero() {
				continue
			}
			was := WasRead{Update: rec.ID, Number: u.Number, Opened: d.Opened, Acknowledged: d.Acknowledged}
			if u.State == Published && u.onPage() {
				was.Headline = u.Statement.Headline
			}
			all = append(all, was)
		}
	}
	return all, nil
}

// wentTo finds the first of a contact's deliveries of a notice, which keeps how far she came; "" when nothing of it may have arrived.
func wentTo(tx *store.Tx, notice, account, contact string) (key string, first Delivery, err error) {
	for _, pass := range []int{passApproved, passOthers} {
		k := deliveryKey{Notice: suffix(notice), Pass: pass, Account: suffix(account), Contact: suffix(contact)}
		arrived, found := false, ""
		for rec, err := range deliveries.Scan(tx, under(k.person())) {
			if err != nil {
				return "", first, err
			}
			if found == "" {
				found, first = rec.ID, rec.Value
			}
			arrived = arrived || mayHaveArrived(rec.Value.State)
		}
		if arrived {
			return found, first, nil
		}
	}
	return "", first, nil
}

// NoteOpened keeps that the page behind a contact's link was opened.
func (r *Room) NoteOpened(ctx context.Context, u ToRead) error {
	if u.Opened {
		return nil
	}
	return r.take(ctx, &callback{key: u.key, read: ReadOpened})
}

// Acknowledge keeps that a contact says she has read an update. Whoever was to call her about it need not any more. What she said before stands, with its time.
// An update that did not go to her is fault.NotFound.
func (r *Room) Acknowledge(ctx context.Context, incident, contact, update string) error {
	var of *ToRead
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		of, err = r.ToRead(tx, incident, contact, update)
		return err
	})
	if err != nil {
		return err
	}
	if of == nil || update == "" {
		return fault.New(fault.NotFound, "this update did not go to you")
	}
	return r.take(ctx, &callback{key: of.key, read: ReadAcknowledged})
}

// noteRead keeps in a delivery how far its person came, and counts it on the delivery's page.
func (b *board) noteRead(r *Room, key, read string) error {
	d, err := b.delivery(key)
	if err != nil {
		return err
	}
	k, err := parseKey(key)
	if err != nil {
		return err
	}
	next, now := d.Delivery, b.tx.Now()
	if next.Opened.IsZero() {
		next.Opened = now
	}
	if read == ReadAcknowledged && next.Acknowledged.IsZero() {
		next.Acknowledged = now
		if err := r.Settle(b.tx, OutreachRead, "con_"+k.Contact, "public:link", "she says that she has read it"); err != nil {
			return err
		}
	}
	if next.reading() == d.reading() {
		return nil
	}
	p, err := b.page(pageID(k.Notice, next.Page, next.Channel))
	if err != nil {
		return err
	}
	p.move("read", State(d.reading()), State(next.reading()))
	return b.put(key, next)
}

// ReaderQuery chooses from those whom an update was for.
type ReaderQuery struct {
	By       string // person, customer, site; "": person
	Read     string // acknowledged, opened, neither; "": all. Of a customer or site: how far the one of its people came who came farthest
	Approved bool   // only people who may speak for the customer, and what they read
	After    string
	Limit    int // 0: 100; at most 1000
}

func (q ReaderQuery) bad() (f []fault.Field) {
	if q.By != "" {
		f = oneOf(f, "by", q.By, "person", "customer", "site")
	}
	if q.Read != "" {
		f = oneOf(f, "read", q.Read, ReadAcknowledged, ReadOpened, ReadNeither)
	}
	return f
}

// Reader is a person, or all people of a customer or of a site, and how far they came with an update.
type Reader struct {
	Account        string     `json:"account_id"`
	Site           string     `json:"site_id,omitempty"`    // by site
	Contact        string     `json:"contact_id,omitempty"` // by person
	Approved       bool       `json:"approved"`             // somebody of them may speak for the customer
	State          State      `json:"state"`                // the best of their deliveries
	Read           string     `json:"read"`
	Readers                   // how many of them came how far
	Opened         *time.Time `json:"opened_at"` // first
	AcknowledgedAt *time.Time `json:"acknowledged_at"`

	sites []string
}

func (a *Reader) take(one Reader) {
	a.Approved = a.Approved || one.Approved
	a.State = better(a.State, one.State)
	a.Readers.add(one.Read, 1)
	a.Read = farther(a.Read, one.Read)
	a.Opened, a.AcknowledgedAt = earlier(a.Opened, one.Opened), earlier(a.AcknowledgedAt, one.AcknowledgedAt)
}

func farther(a, b string) string {
	order := []string{"", ReadNeither, ReadOpened, ReadAcknowledged}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// Readers lists, in the order of accounts, those whom an update was for and who have a link of their own. A page may hold fewer than asked for although more follow: only an
// empty next is the end.
func (r *Room) Readers(ctx context.Context, updateID string, q ReaderQuery) (page []Reader, next string, err error) {
	if f := q.bad(); len(f) > 0 {
		return nil, "", fault.BadFields(f...)
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	q.Limit = min(q.Limit, 1000)
	account, inner, ok := strings.Cut(q.After, "/")
	if q.After != "" && (!ok || !strings.HasPrefix(account, "acc_")) {
		return nil, "", fault.BadField("after", "is not a cursor of this list")
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next = []Reader{}, ""
		u, _, err := updates.Get(tx, updateID)
		if err != nil || u.Notice == "" {
			return err
		}
		looked, last := 0, ""
		for people, err := range readersOf(tx, suffix(u.Notice), account) {
			if err != nil {
				return err
			}
			if q.Approved {
				people = slices.DeleteFunc(people, func(one Reader) bool { return !one.Approved })
			}
			if len(people) == 0 {
				continue
			}
			rows, err := r.gathered(tx, q.By, u.Incident, people)
			if err != nil {
				return err
			}
			for _, row := range rows {
				id := cmp.Or(row.Site, row.Contact)
				if row.Account == account && id <= inner {
					continue
				}
				if len(page) == q.Limit || looked >= mostWalked {
					next = last
					return nil
				}
				looked++
				last = row.Account + "/" + cmp.Or(id, "~")
				if q.Read == "" || row.Read == q.Read {
					page = append(page, row)
				}
			}
		}
		return nil
	})
	return page, next, err
}

// gathered puts the people of one account together as they are asked for, in the order of ids.
func (r *Room) gathered(tx *store.Tx, by, incident string, people []Reader) (rows []Reader, err error) {
	account := people[0].Account
	switch by {
	case "customer":
		all := Reader{Account: account}
		for _, one := range people {
			all.take(one)
		}
		return []Reader{all}, nil
	case "site":
		sites, err := r.AffectedOf(tx, incident, account)
		if err != nil {
			return nil, err
		}
		for _, site := range sites {
			row := Reader{Account: account, Site: site}
			for _, one := range people {
				concerned, err := r.readsOf(tx, one, site)
				if err != nil {
					return nil, err
				}
				if concerned {
					row.take(one)
				}
			}
			if row.Read != "" {
				rows = append(rows, row)
			}
		}
		return rows, nil
	}
	return people, nil
}

// readsOf says whether a person was told because of a site. A delivery names a few of her sites; of whoever has more the book says it.
func (r *Room) readsOf(tx *store.Tx, one Reader, site string) (bool, error) {
	if len(one.sites) < mostSites || slices.Contains(one.sites, site) {
		return slices.Contains(one.sites, site), nil
	}
	who, err := r.Book.Contact(tx, one.Contact)
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && who.Value.Concerned(site), err
}

// readersOf walks the people of a notice by account, from one on: those who may speak for it and the others together, in the order of contacts.
func readersOf(tx *store.Tx, notice, account string) iter.Seq2[[]Reader, error] {
	return func(yield func([]Reader, error) bool) {
		type walk struct {
			next func() (Reader, error, bool)
			head Reader
			some bool
		}
		var walks [2]walk
		step := func(w *walk) (err error) {
			w.head, err, w.some = w.next()
			return err
		}
		for i, pass := range []int{passApproved, passOthers} {
			next, stop := iter.Pull2(peopleOf(tx, notice, pass, account))
			defer stop()
			walks[i].next = next
			if err := step(&walks[i]); err != nil {
				yield(nil, err)
				return
			}
		}
		for walks[0].some || walks[1].some {
			at := walks[0].head.Account
			if !walks[0].some || walks[1].some && walks[1].head.Account < at {
				at = walks[1].head.Account
			}
			var people []Reader
			for i := range walks {
				for w := &walks[i]; w.some && w.head.Account == at; {
					people = append(people, w.head)
					if err := step(w); err != nil {
						yield(nil, err)
						return
					}
				}
			}
			slices.SortFunc(people, func(a, b Reader) int { return strings.Compare(a.Contact, b.Contact) })
			if !yield(people, nil) {
				return
			}
		}
	}
}

// peopleOf walks whom a pass of a notice wrote down, from an account on.
func peopleOf(tx *store.Tx, notice string, pass int, account string) iter.Seq2[Reader, error] {
	return func(yield func(Reader, error) bool) {
		var one Reader
		for rec, err := range deliveries.Scan(tx, ofPass(notice, pass, account)) {
			if err != nil {
				yield(one, err)
				return
			}
			k, err := parseKey(rec.ID)
			if err != nil {
				yield(one, err)
				return
			}
			if k.Account == "0" {
				continue
			}
			if contact := "con_" + k.Contact; one.Contact != contact {
				if one.Contact != "" && !yield(one, nil) {
					return
				}
				one = Reader{Account: "acc_" + k.Account, Contact: contact, Approved: pass == passApproved, sites: rec.Value.Sites}
			}
			one.State, one.Read = better(one.State, rec.Value.State), farther(one.Read, rec.Value.reading())
			one.Opened, one.AcknowledgedAt = earlier(one.Opened, given(rec.Value.Opened)), earlier(one.AcknowledgedAt, given(rec.Value.Acknowledged))
		}
		if one.Contact != "" {
			yield(one, nil)
		}
	}
}

// OutreachRead is the What of a task to ask somebody by hand who may speak for a customer and has not said that she read an update.
const OutreachRead = "outreach.read"

// mostAsked bounds how many people are owed a call by one word.
const mostAsked = 200

// OweReaders has people called who may speak for a customer and have not said that they read an update: a task for each, which ends by itself once she says so. Of whoever
// is owed a call already it is the same task.
func (r *Room) OweReaders(ctx context.Context, by, updateID string, people []string) (owed int, err error) {
	switch {
	case len(people) == 0:
		return 0, fault.BadFields(missing("contacts"))
	case len(people) > mostAsked:
		return 0, fault.BadField("contacts", "names %d people; at once %d are allowed", len(people), mostAsked)
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.outreach"}, func(tx *store.Tx) error {
		owed = 0
		u, _, err := updates.Get(tx, updateID)
		if err != nil {
			return err
		}
		tx.On(updateID)
		if u.State != Published || u.Notice == "" {
			return fault.New(fault.Conflict, "nobody is called about an update that was not sent, or was taken back")
		}
		named := map[string]bool{}
		for i, contact := range people {
			field := fmt.Sprintf("contacts[%d]", i)
			who, err := r.Book.Contact(tx, contact)
			if fault.Of(err) == fault.NotFound {
				return fault.BadField(field, "is no contact")
			} else if err != nil {
				return err
			}
			if named[who.ID] {
				continue
			}
			named[who.ID] = true
			k := deliveryKey{Notice: suffix(u.Notice), Pass: passApproved, Account: suffix(who.Value.Account), Contact: suffix(who.ID)}
			there, read := false, ReadNeither
			for rec, err := range deliveries.Scan(tx, under(k.person())) {
				if err != nil {
					return err
				}
				there, read = true, farther(read, rec.Value.reading())
			}
			if !there || read == ReadAcknowledged {
				return fault.BadField(field, "is not somebody who may speak for a customer, was to be told by this update and has not said that she read it")
			}
			detail, err := json.Marshal(map[string]string{"contact_id": who.ID, "update_id": updateID})
			if err != nil {
				return err
			}
			if _, err := r.Owe(tx, Task{What: OutreachRead, Of: who.ID, Account: who.Value.Account, Incident: u.Incident, Detail: detail, Shared: true,
				Title: fmt.Sprintf("Ask a contact by hand whether update %d has arrived: she may speak for the customer and has not said that she read it", u.Number)}); err != nil {
				return err
			}
			owed++
		}
		return r.note(tx, u.Incident, by, "outreach_read", fmt.Sprintf("update %d, %d people", u.Number, owed))
	})
	return owed, err
}
