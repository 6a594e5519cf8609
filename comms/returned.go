package comms

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
)

// Returns is where mail that cannot be delivered comes back to: every message has a return address of its own (VERP), which names its delivery
// and which nobody else can make. Anybody can send a report that a message bounced or was complained about; only one that comes to such an address,
// or carries it, counts. Without a Domain there are none, and reports come to the sender's mailbox.
type Returns struct {
	Local  string // such as bounce
	Domain string
	Sign   func(purpose, subject string) string // makes "subject." and at least 128 bits that only we can make, in URL-safe base 64
}

// returnBytes of a signature stay in a return address, whose local part has room for 64 characters (RFC 5321 4.5.3.1.1).
const returnBytes = 10

// address is the return address of a delivery: bounce+NOTICE.PAGE.SIGNATURE@domain, in digits that survive when a relay changes case.
func (r Returns) address(k deliveryKey, key string, d Delivery) string {
	if r.Domain == "" || r.Sign == nil {
		return ""
	}
	sum := r.sum(key, d)
	if len(sum) < returnBytes {
		return ""
	}
	var proof [16]byte
	return r.Local + "+" + k.Notice + "." + strconv.FormatInt(int64(d.Page), 36) + "." + string(idDigits.AppendEncode(proof[:0], sum[:returnBytes])) + "@" + r.Domain
}

// sum is over the address as well: a delivery may go on to another one, and what comes back late is about the one before.
func (r Returns) sum(key string, d Delivery) []byte {
	token := r.Sign("mail return", key+" "+d.Address)
	sum, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		return nil
	}
	return sum
}

// Report is what a receiver's system says of a message behind our back: that it came back, or that its reader complained.
type Report struct {
	To     string // the return address that the report came to or speaks of
	State  State  // Failed, or Suppressed for a complaint
	Reason string // "smtp 550 5.1.1 no such user"
	Gone   bool   // there is no such mailbox (RFC 3463 X.1.1 and its like); a refusal for another reason says nothing about the address
}

// Returned is whose message came back.
type Returned struct {
	Delivery string
	Channel  string
	Address  string
	Talk     string // id of what the conversation is about that it belonged to; "": of nothing
	News     bool   // it was not known yet
}

// errNoReturn is the one answer to an address that is not a return address of ours, whatever is wrong with it.
var errNoReturn = fault.New(fault.NotFound, "this is no return address of ours")

// Returns of a mailbox that is gone within this time are two signs that it is.
const bouncesCount = 30 * 24 * time.Hour

// TakeReport records what a report says. One that says nothing new changes nothing. The message goes on to her next address where she has
// one; the address is marked on the contact when there is another way to reach her, or when it bounced before, so that one bounce never switches off
// the only way to somebody. A complaint is an opt-out. An address that is not ours is fault.NotFound.
func (r *Room) TakeReport(ctx context.Context, report Report) (back Returned, err error) {
	if report.State != Failed && report.State != Suppressed {
		return back, fault.BadField("state", "%.40q is not what a report can say", string(report.State))
	}
	for try := 1; ; try++ {
		err = r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			back, err = r.takeReport(tx, report)
			return err
		})
		if k := fault.Of(err); try < 5 && (k == fault.Stale || k == fault.Conflict || k == fault.Exists) { // a worker was faster
			continue
		}
		return back, err
	}
}

func (r *Room) takeReport(tx *store.Tx, report Report) (back Returned, err error) {
	key, d, err := r.sentFrom(tx, report.To)
	if err != nil {
		return back, err
	}
	k, err := parseKey(key)
	if err != nil {
		return back, err
	}
	b := newBoard(tx)
	n, err := b.notice("ntc_" + k.Notice)
	if err != nil {
		return back, err
	}
	back = Returned{Delivery: key, Channel: d.Channel, Address: d.Address}
	if n.Talk != nil {
		back.Talk = n.Talk.Of
	}
	if report.State.Rank() <= d.State.Rank() || d.open() { // known, or on its way to another address of hers
		return back, nil
	}
	back.News = true
	reason := clip(report.Reason, mostReason)
	lose := func(contact string) (bool, error) { return r.bouncedAt(tx, contact, d, report) }
	if report.State == Suppressed {
		lose = r.optOut(tx, d, reason)
	}
	if k.Pass == passSubscribers && (report.Gone || report.State == Suppressed) {
		if err := endSubscription(tx, subscriptions.Prefix+"_"+k.Contact); err != nil {
			return back, err
		}
	}
	if err := b.lost(r, key, lose, verdict{State: report.State, Reason: reason}, d.Attempts, d.Ref); err != nil {
		return back, err
	}
	tx.After(r.bell.Ring)
	return back, b.write()
}

// IsReturn says whether an address is a return address of ours, so that nothing else is taken at its door.
func (r *Room) IsReturn(ctx context.Context, address string) (ours bool, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		_, _, err := r.sentFrom(tx, address)
		ours = err == nil
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		return err
	})
	return ours, err
}

// sentFrom finds the delivery whose return address this is: it is one of the page that the address names.
func (r *Room) sentFrom(tx *store.Tx, address string) (string, Delivery, error) {
	local, domain, _ := strings.Cut(strings.ToLower(strings.TrimSpace(address)), "@")
	token, ours := strings.CutPrefix(local, strings.ToLower(r.Returns.Local)+"+")
	parts := strings.Split(token, ".")
	if !ours || r.Returns.Domain == "" || r.Returns.Sign == nil || domain != strings.ToLower(r.Returns.Domain) || len(parts) != 3 {
		return "", Delivery{}, errNoReturn
	}
	number, err := strconv.ParseInt(parts[1], 36, 32)
	given, bad := idDigits.DecodeString(parts[2])
	page := pageID(parts[0], int(number), ChannelEmail)
	if err != nil || bad != nil || len(given) != returnBytes || pages.CheckID(page) != nil {
		return "", Delivery{}, errNoReturn
	}
	p, _, err := pages.Get(tx, page)
	if fault.Of(err) == fault.NotFound {
		return "", Delivery{}, errNoReturn
	}
	if err != nil {
		return "", Delivery{}, err
	}
	fates, err := p.fates()
	if err != nil {
		return "", Delivery{}, err
	}
	all, err := ofPage(tx, p, fates)
	if err != nil {
		return "", Delivery{}, err
	}
	for _, d := range all {
		if sum := r.Returns.sum(d.key, d.Delivery); len(sum) >= returnBytes && hmac.Equal(sum[:returnBytes], given) {
			return d.key, d.Delivery, nil
		}
	}
	return "", Delivery{}, errNoReturn
}

// bouncedAt marks an address as one that does not work, when that leaves another way to reach her or it is the second time.
func (r *Room) bouncedAt(tx *store.Tx, contact string, d Delivery, report Report) (lost bool, err error) {
	if !report.Gone {
		return false, nil
	}
	rec, err := r.Book.Contact(tx, contact)
	if err != nil {
		return false, err
	}
	another := slices.ContainsFunc(sendable, func(channel string) bool {
		to, _ := contacts.Reach(rec.Value, channel)
		return len(to) > 1 || len(to) == 1 && (channel != d.Channel || to[0].Value != d.Address)
	})
	if !another {
		first, err := limits.Look(tx, "bounced "+d.Address, limits.Rule{N: 1, Per: bouncesCount})
		if err == nil {
			return false, first.In(tx)
		}
		if fault.Of(err) != fault.TooMany {
			return false, err
		}
	}
	return true, r.Book.Bounced(tx, contact, d.Channel, d.Address, report.Reason)
}
