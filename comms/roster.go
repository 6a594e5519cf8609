package comms

import (
	"encoding/binary"
	"strconv"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Roster is to whom the deliveries of one page go. It is written once, beside its page, and never changes: what becomes of those on it stands in
// the page, or in a record of the delivery's own (see [delivered]). Its id is
//
//	ros_<notice>.<e|s>.<pass>.<account>.<contact>.<address number>
//
// of its last delivery, so the roster of a delivery is the first one from its key on.
type Roster struct {
	Page int       `json:"page"` // number of its page
	From string    `json:"from"` // first delivery key
	At   time.Time `json:"at"`
	Rows []byte    `json:"rows"` // see encodeRows
}

var rosters = store.Table[Roster]{
	Kind: store.Kind{Name: "roster", Prefix: "ros", Schema: 1, Composed: true},
}

// rosters is what the ids of a notice's rosters of a channel begin with.
func (k deliveryKey) rosters() string {
	return rosters.Prefix + "_" + k.Notice + "." + letters[k.Channel] + "."
}

// roster is the id of the roster whose last delivery this is.
func (k deliveryKey) roster() string {
	return k.rosters() + strconv.Itoa(k.Pass) + "." + k.Account + "." + k.Contact + "." + strconv.Itoa(k.Number)
}

// row is one delivery on its way into a roster or out of it.
type row struct {
	key deliveryKey
	id  string // the key as one
	Delivery
}

// encodeRows packs deliveries of one pass and channel: of each the account ("": that of the row before), contact, address number, address, name,
// locale, state ("": queued), reason and sites, texts behind their length. Deliveries that nobody has worked on are no more than that.
func encodeRows(rows []row) []byte {
	const usual = 160 // bytes that a row takes, at most as a rule
	out := make([]byte, 0, usual*len(rows))
	before := ""
	text := func(s string) { out = appendText(out, s) }
	for _, r := range rows {
		if r.key.Account == before {
			text("")
		} else {
			text(r.key.Account)
		}
		before = r.key.Account
		text(r.key.Contact)
		out = binary.AppendUvarint(out, uint64(r.key.Number))
		text(r.Address)
		text(r.Name)
		text(r.Locale)
		if r.State == Queued {
			text("")
		} else {
			text(string(r.State))
		}
		text(r.Reason)
		out = binary.AppendUvarint(out, uint64(len(r.Sites)))
		for _, s := range r.Sites {
			text(s)
		}
	}
	return out
}

// appendText packs a text behind its length.
func appendText(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// unpack reads what was packed. Its texts share one memory.
type unpack struct {
	rest string
	bad  bool
}

func (u *unpack) number() int {
	for i, n := 0, uint64(0); i < len(u.rest) && i < binary.MaxVarintLen32; i++ {
		n |= uint64(u.rest[i]&0x7f) << (7 * i)
		if u.rest[i] < 0x80 {
			u.rest = u.rest[i+1:]
			return int(n)
		}
	}
	u.bad, u.rest = true, ""
	return 0
}

func (u *unpack) text() string {
	n := u.number()
	if n > len(u.rest) {
		u.bad, u.rest = true, ""
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

// rows are the deliveries on a roster as they were when it was written.
func (ro Roster) rows() ([]row, error) {
	rows := make([]row, 0, PageSize)
	err := ro.each(func(r row) { rows = append(rows, r) })
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// each visits them one by one; what it visited counts only without an error.
func (ro Roster) each(visit func(row)) error {
	first, err := parseKey(ro.From)
	if err != nil {
		return err
	}
	k := deliveryKey{Notice: first.Notice, Pass: first.Pass, Channel: first.Channel}
	var (
		sites  []string
		before string
		u      = unpack{rest: string(ro.Rows)}
	)
	for u.rest != "" {
		if a := u.text(); a != "" {
			k.Account, before = a, a
		} else {
			k.Account = before
		}
		k.Contact, k.Number = u.text(), u.number()
		d := Delivery{Page: ro.Page, Channel: k.Channel, Address: u.text(), Name: u.text(), Locale: u.text(), State: State(u.text()), Reason: u.text(), At: ro.At}
		if d.State == "" {
			d.State = Queued
		}
		if n := u.number(); n > 0 {
			from := len(sites)
			for range min(n, mostSites) {
				sites = append(sites, u.text())
			}
			d.Sites = sites[from:len(sites):len(sites)]
		}
		visit(row{k, k.String(), d})
	}
	if u.bad {
		return fault.New(fault.Internal, "the roster of page %d of %s is damaged", ro.Page, k.Notice)
	}
	return nil
}

// rosterOf finds the roster that a delivery is on; fault.NotFound when it is on none.
func rosterOf(tx *store.Tx, k deliveryKey) (Roster, error) {
	rec, err := rosters.First(tx, store.Query{Prefix: k.rosters(), From: k.roster()})
	if err == nil && k.String() < rec.Value.From {
		err = fault.New(fault.NotFound, "there is no delivery %.120q", k.String())
	}
	return rec.Value, err
}

// fate is what became of a delivery on a roster: see [Page.Fates].
type fate struct {
	State    State // "": nothing yet; apart: it has a record of its own
	Reason   string
	Attempts int
	Ref      string
	At       time.Time
}

// apart is no state of a delivery: one on a roster has got a record of its own, which alone counts.
const apart State = "apart"

// onto is the delivery with what became of it.
func (f fate) onto(d Delivery) Delivery {
	if f.State != "" {
		d.State, d.Reason, d.Attempts, d.Ref, d.At = f.State, f.Reason, f.Attempts, f.Ref, f.At
	}
	return d
}

// fateOf is what a page can say of a delivery; not ok: it says more than that, or is not done with, and needs a record of its own.
func fateOf(d Delivery) (f fate, ok bool) {
	plain := !d.open() && d.Starts == 0 && d.Unknowns == 0 && d.Next.IsZero() && len(d.Past) == 0 && d.Opened.IsZero() && d.Acknowledged.IsZero()
	return fate{d.State, d.Reason, d.Attempts, d.Ref, d.At}, plain
}

// noted is a fate that is to be written.
type noted struct {
	row int // from 0
	fate
}

// appendFates adds what one transaction found out, together what is alike: state, reason, attempts, time and number of rows; then of each the row
// and its reference, as how much it shares with the one before and the rest, for references of one relay differ in their ends only.
func appendFates(out []byte, all []noted) []byte {
	for len(all) > 0 {
		head := all[0]
		n := 1
		for n < len(all) && all[n].State == head.State && all[n].Reason == head.Reason && all[n].Attempts == head.Attempts && all[n].At.Equal(head.At) {
			n++
		}
		out = appendText(appendText(out, string(head.State)), head.Reason)
		out = binary.AppendUvarint(out, uint64(head.Attempts))
		out = binary.LittleEndian.AppendUint64(out, uint64(head.At.UnixMicro()))
		out = binary.AppendUvarint(out, uint64(n))
		before := ""
		for _, f := range all[:n] {
			same := 0
			for same < len(before) && same < len(f.Ref) && before[same] == f.Ref[same] {
				same++
			}
			out = binary.AppendUvarint(out, uint64(f.row))
			out = binary.AppendUvarint(out, uint64(same))
			out = appendText(out, f.Ref[same:])
			before = f.Ref
		}
		all = all[n:]
	}
	return out
}

// fates is what the page says of each on its roster; of whoever is named twice the later word counts.
func (p Page) fates() ([]fate, error) {
	all := make([]fate, p.Listed)
	bad := func() ([]fate, error) {
		return nil, fault.New(fault.Internal, "page %d of %s has damaged outcomes", p.Number, p.Notice)
	}
	for u := (unpack{rest: string(p.Fates)}); u.rest != ""; {
		f := fate{State: State(u.text()), Reason: u.text(), Attempts: u.number()}
		if len(u.rest) < 8 {
			return bad()
		}
		f.At = time.UnixMicro(int64(binary.LittleEndian.Uint64([]byte(u.rest[:8])))).UTC()
		u.rest = u.rest[8:]
		before := ""
		for range u.number() {
			at, same := u.number(), u.number()
			rest := u.text()
			if u.bad || at >= len(all) || same > len(before) {
				return bad()
			}
			f.Ref = before[:same] + rest
			before = f.Ref
			all[at] = f
		}
		if u.bad {
			return bad()
		}
	}
	return all, nil
}

// roster reads the roster of a page.
func (p Page) roster(tx *store.Tx) (Roster, error) {
	k, err := parseKey(p.To)
	if err != nil {
		return Roster{}, err
	}
	ro, _, err := rosters.Get(tx, k.roster())
	return ro, err
}

// on reads the roster that is a page's.
func (p Page) on(ro Roster) ([]row, error) {
	rows, err := ro.rows()
	if err == nil && len(rows) != p.Listed {
		err = notItsRoster(p, len(rows))
	}
	return rows, err
}

func notItsRoster(p Page, rows int) error {
	return fault.New(fault.Internal, "the roster of page %d of %s has %d rows, not %d", p.Number, p.Notice, rows, p.Listed)
}
