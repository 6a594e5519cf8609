package desk

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
	"lifeline/templates"
)

// question is something that only the right person can answer, asked and not answered yet: a code or a link that was sent, a saved recovery code, a record
// to be put into a zone. It is answered once; what the answer shows is [Evidence].
type question struct {
	Sort    string    `json:"sort"`
	Case    string    `json:"case,omitempty"` // the ticket; of her own page the question itself is the case
	Account string    `json:"account,omitempty"`
	Contact string    `json:"contact,omitempty"`
	Class   Class     `json:"class,omitempty"` // what the answer shows
	Channel string    `json:"channel,omitempty"`
	Address string    `json:"address,omitempty"`
	Domain  string    `json:"domain,omitempty"`
	Nonce   string    `json:"nonce,omitempty"` // of a DNS challenge: no secret, the world can read it where it is put
	Hash    []byte    `json:"hash,omitempty"`  // of a recovery code
	Link    []byte    `json:"link,omitempty"`  // of the token of a link
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`      // the code, or the challenge, ends
	LinkEnd time.Time `json:"link_until,omitzero"` // the link ends
	Used    time.Time `json:"used,omitzero"`       // answered, or taken back
	Asked   *asked    `json:"asked,omitempty"`     // nobody has looked yet what is known of it: see [Desk.RunCodes]

	// id and code are there only while the question is written: six digits can be guessed from any hash that stands beside them, so they are kept in the
	// blind index alone, which is keyed.
	id, code string
}

// The sorts of questions.
const (
	askReach    = "reach"    // a code, and by mail a link, to an address that she typed for her ticket
	askFile     = "file"     // a code to an address on file
	askRegain   = "regain"   // a code to the ticket's address, for a new secret
	askOwn      = "own"      // a code to an address on file, for her own page
	askRecovery = "recovery" // a saved recovery code
	askZone     = "dns"

	askWaits = "asked" // no sort: under it stands what nobody has looked at yet, in the order in which it was asked
)

var questions = store.Table[question]{
	Kind: store.Kind{Name: "question", Prefix: "qst", Schema: 1, Indexes: []store.Index{
		{Name: "answer", Fields: []store.Field{{Name: "of", Type: store.Text}, {Name: "answer", Type: store.Blind}}},
		{Name: "link", Fields: []store.Field{{Name: "token", Type: store.Blind}}},
		{Name: "case", Fields: []store.Field{{Name: "case", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "contact", Fields: []store.Field{{Name: "contact", Type: store.Text}, {Name: "at", Type: store.Time}}},
		{Name: "end", Fields: []store.Field{{Name: "end", Type: store.Time}}},
	}},
	Tuples: func(q question) store.Tuples {
		t := store.Tuples{}
		if q.Case != "" {
			t["case"] = []any{q.Case, q.At}
		}
		if q.Sort == askRecovery {
			t["contact"] = []any{q.Contact, q.At}
		} else {
			t["end"] = []any{later(q.Until, q.LinkEnd)}
		}
		if q.Link != nil && (q.Used.IsZero() || q.code != "") {
			t["link"] = []any{hex.EncodeToString(q.Link)}
		}
		switch {
		case q.Asked != nil:
			t["answer"] = []any{askWaits, askWaits}
		case q.code != "": // also of one that has no answer, so that writing it is as much work; it was used before it was asked
			t["answer"] = []any{q.id, q.code}
		case !q.Used.IsZero():
		case q.Hash != nil:
			t["answer"] = []any{askRecovery, hex.EncodeToString(q.Hash)}
		}
		return t
	},
}

// Why a code is asked for.
type Why string

// The reasons.
const (
	ToReach  Why = askReach  // to show that an address which she typed reaches her: L1
	ToProve  Why = askFile   // to show that she has an address that is on file for the account
	ToRegain Why = askRegain // to get a new secret for her ticket
	ToOpen   Why = askOwn    // to open her own page
)

// Ask asks for a code.
type Ask struct {
	Why    Why
	Number string // of the ticket; with ToReach and ToProve the caller has opened it
	To     string // what she typed: an e-mail address or a number; with ToReach "" is the ticket's own
	Hint   string // with ToProve: one of what [Desk.OnFile] lists
	Yours  *Yours // with ToOpen, in place of To: whoever has this link, at the address that it was mailed to
	By     string // staff id, or "public:…"
	Source string // the network that asks; "" for staff
	Locale string
}

// Sent says where a code went, as far as whoever asked may know. It is the same whether or not anything is known there.
type Sent struct {
	ID      string    `json:"id"` // to be given back with the code
	Channel string    `json:"channel"`
	To      string    `json:"to"` // masked
	Until   time.Time `json:"until"`
}

// ask is a code on its way out: what is written, and to whom what is told.
type ask struct {
	q      question
	to     comms.Direct
	number string
	known  bool   // else the message says that nothing is known there
	onFile bool   // the address is on file, or proved in the ticket
	full   bool   // its mail domain has had what strangers may cause there
	free   bool   // at its mail domain anybody has a mailbox
	not    string // why no text goes to its number
	link   string
}

// AskCode sends a code. To an address that a stranger typed it goes whatever is known of it, and where nothing is, the message says so; what is known is looked up
// behind her answer (see [Desk.RunCodes]). How often is bounded by the address, by the network that asks, and in all (see [Identity]).
func (d *Desk) AskCode(ctx context.Context, in Ask) (Sent, error) {
	for try := 0; ; try++ {
		var sent Sent
		var err error
		if in.unseen() {
			sent, err = d.noteAsk(ctx, in)
		} else {
			sent, err = d.sendCode(ctx, in, store.Rec[question]{})
		}
		if err == nil || !limit.Lost(err) || try == lookTries {
			return sent, err
		}
	}
}

// sendCode sends one: for what was noted, or, with the zero value, for what is asked right now.
func (d *Desk) sendCode(ctx context.Context, in Ask, noted store.Rec[question]) (sent Sent, err error) {
	var a ask
	var taking []limit.Taking
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		taking = nil
		if a, err = d.prepare(tx, in); err != nil {
			return err
		}
		onFile, err := d.onFile(tx, a.to.Channel, a.to.Address)
		if err != nil {
			return err
		}
		shown, err := proved(tx, a.q.Case, a.to.Channel, a.to.Address)
		if err != nil {
			return err
		}
		a.onFile = onFile || shown // both are read, whatever is known
		if noted.ID == "" {        // else it was counted as it was noted
			if taking, err = d.mayAsk(tx, in, a.q); err != nil {
				return err
			}
		}
		if a.to.Channel == contacts.SMS {
			if in.Why == ToProve {
				return nil
			}
			var texts []limit.Taking
			texts, a.not, err = d.mayText(tx, a.to.Address)
			taking = append(taking, texts...)
			return err
		}
		var domain *limit.Taking
		domain, a.free, err = d.mayMail(tx, a.to.Address)
		switch {
		case fault.Of(err) == fault.TooMany:
			a.full, err = true, nil
		case domain != nil:
			taking = append(taking, *domain)
		}
		return err
	})
	if err != nil {
		return sent, err
	}
	not, err := d.mayCode(ctx, in, a)
	if err != nil {
		return sent, err
	}
	if a.q.id, a.q.code = noted.ID, digits6(); a.q.id == "" {
		a.q.id = questions.NewID()
	}
	if (a.q.Sort == askReach || a.q.Sort == askOwn && in.Yours == nil) && a.to.Channel == contacts.Email {
		a.link, a.q.Link = secret.Token()
	}
	var act store.Act
	if noted.ID == "" {
		act = store.Act{By: in.By, Verb: "identity.ask"}
	}
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		for _, t := range taking {
			if err := t.In(tx); err != nil {
				return err
			}
		}
		q := a.q
		q.By, q.At, q.Until = in.By, tx.Now(), tx.Now().Add(d.Policy.Identity.Code)
		if noted.ID != "" {
			q.At, q.Until = noted.Value.At, noted.Value.Until
		}
		if a.link != "" {
			q.LinkEnd = tx.Now().Add(d.Policy.Identity.Link)
		}
		if !a.known || not != "" {
			q.Used = tx.Now() // it has no answer
		}
		if q.Case == "" {
			q.Case = q.id
		}
		tx.On(q.id)
		if err := questions.Put(tx, q.id, q, noted.Version); err != nil {
			return err
		}
		sent = q.sent()
		return d.tellCode(tx, a, q, not)
	})
	return sent, err
}

func (q question) sent() Sent {
	return Sent{ID: q.id, Channel: q.Channel, To: contacts.Mask(q.Channel, q.Address), Until: q.Until}
}

// mayCode takes what a code costs, and says why none goes out: a Not constant; "": one does. Codes to what strangers type have budgets of their own, so that codes to
// addresses on file always have theirs; and a stranger learns from neither, as she is answered the same when none goes out. Staff are told.
func (d *Desk) mayCode(ctx context.Context, in Ask, a ask) (not string, err error) {
	public := strings.HasPrefix(in.By, "public:")
	all, most := "code all "+a.to.Channel, d.Policy.Identity.Hourly
	if a.to.Channel == contacts.SMS {
		most = d.Policy.Identity.SMSHourly
	}
	switch {
	case in.Why == ToProve:
	case a.to.Channel == contacts.SMS:
		not, err = d.payText(ctx, d.Policy.Texts.codes(), a.to.Address, a.not)
	case a.full:
		not = NotDomain
	case a.free:
		if err = d.mayMailFree(ctx, a.to.Address); fault.Of(err) == fault.TooMany {
			not, err = NotDomain, nil
		}
	}
	switch {
	case err != nil:
		return "", err
	case in.Why == ToProve || a.onFile || !public && a.to.Channel == contacts.Email:
		all += " on file"
	case not != "" && !public:
		return "", fault.BadFields(fault.Field{Field: "to", Code: not, Reason: "gets no text: " + d.Comms.Words.Catalog("en").T("text.not."+not)})
	case not != "" || a.to.Channel == contacts.SMS:
		return not, nil
	}
	err = d.receipts.Take(ctx, d.DB, all, most, time.Hour)
	if fault.Of(err) == fault.TooMany && public && in.Why != ToProve {
		return NotAll, nil
	}
	return "", err
}

func errWhy() error { return fault.BadField("why", "must be reach, file, regain or own") }

// prepare decides what is asked and to whom.
func (d *Desk) prepare(tx *store.Tx, in Ask) (a ask, err error) {
	a = ask{q: question{Sort: string(in.Why)}, known: true}
	var t store.Rec[Ticket]
	if in.Why != ToOpen {
		number := secret.NormalNumber(in.Number)
		t, err = tickets.First(tx, store.Query{Index: "number", Equal: []any{number}})
		switch {
		case fault.Of(err) == fault.NotFound && in.Why == ToRegain:
			a.known = false
		case fault.Of(err) == fault.NotFound:
			return a, noTicket()
		case err != nil:
			return a, err
		}
		a.number, a.q.Case, a.q.Account = number, t.ID, t.Value.Account
	}
	switch in.Why {
	case ToProve:
		return d.prepareOnFile(tx, in, a, t)
	case ToReach, ToRegain, ToOpen:
	default:
		return a, errWhy()
	}
	if in.Why == ToOpen && in.Yours != nil {
		a.q.Channel, a.q.Address, a.q.Account, a.q.Contact, a.q.Class = contacts.Email, in.Yours.Address, in.Yours.account, in.Yours.contact, ClassA
		a.to = comms.Direct{Channel: contacts.Email, Address: in.Yours.Address, Locale: d.Comms.Words.Match(cmp.Or(in.Locale, in.Yours.Locale))}
		return a, nil
	}
	if in.To == "" && in.Why == ToReach {
		in.To = cmp.Or(t.Value.Email, t.Value.Phone)
	}
	if a.q.Channel, a.q.Address, err = d.readAddress(in.To); err != nil {
		return a, err
	}
	a.to = comms.Direct{Channel: a.q.Channel, Address: a.q.Address, Locale: d.Comms.Words.Match(cmp.Or(in.Locale, t.Value.Locale))}
	switch in.Why {
	case ToReach:
		a.q.Class = ClassReach
	case ToRegain:
		mine := t.Value.address(a.q.Channel)
		a.known = a.known && mine != "" && sameAddress(a.q.Channel, mine, a.q.Address)
		a.q.Class = ClassReach
	case ToOpen:
		return d.prepareOwn(tx, a)
	}
	return a, nil
}

// prepareOwn finds whose an address is. Where colleagues share a phone, or somebody stands for several customers, the one who was confirmed last is meant.
func (d *Desk) prepareOwn(tx *store.Tx, a ask) (ask, error) {
	have, err := d.Book.ByAddress(tx, a.q.Channel, a.q.Address)
	if err != nil || len(have) == 0 {
		a.known = false
		return a, err
	}
	who := slices.MaxFunc(have, func(a, b store.Rec[contacts.Contact]) int { return a.Value.ConfirmedAt.Compare(b.Value.ConfirmedAt) })
	a.q.Account, a.q.Contact, a.q.Class = who.Value.Account, who.ID, classOnFile(a.q.Channel)
	at, _ := who.Value.Address(a.q.Channel, a.q.Address)
	a.q.Address, a.to.Address = at.Value, at.Value // as the book spells it
	return a, nil
}

func (d *Desk) prepareOnFile(tx *store.Tx, in Ask, a ask, t store.Rec[Ticket]) (ask, error) {
	if strings.HasPrefix(in.By, "public:") {
		s, err := d.standing(tx, t.ID)
		if err != nil {
			return a, err
		}
		if s.Level < L1 || t.Value.Account == "" {
			return a, errShowMore
		}
	}
	who, at, channel, err := d.hinted(tx, t.Value.Account, in.Hint)
	if err != nil {
		return a, err
	}
	a.q.Contact, a.q.Class, a.q.Channel, a.q.Address = who.ID, classOnFile(channel), channel, at.Value
	a.to = comms.Direct{Channel: channel, Address: at.Value, Locale: d.Comms.Words.Match(cmp.Or(who.Value.Locale, in.Locale, t.Value.Locale))}
	return a, nil
}

func classOnFile(channel string) Class {
	if channel == contacts.SMS {
		return ClassB
	}
	return ClassA
}

// readAddress reads what she typed: what has an @ is meant as an e-mail address.
func (d *Desk) readAddress(s string) (channel, address string, err error) {
	s = line(s)
	switch {
	case s == "":
		return "", "", fault.BadField("to", "is missing: an e-mail address or a phone number")
	case strings.Contains(s, "@"):
		channel = contacts.Email
		address, err = contacts.ParseEmail(s)
	default:
		channel = contacts.SMS
		address, err = contacts.ParsePhone(s, d.Book.Policy.PhoneCountry)
	}
	if err != nil {
		return "", "", fault.BadField("to", "is neither an e-mail address nor a phone number such as +12025550101")
	}
	return channel, address, nil
}

// mayAsk takes from what the address and whoever asks may have.
func (d *Desk) mayAsk(tx *store.Tx, in Ask, q question) (all []limit.Taking, err error) {
	p := d.Policy.Identity
	from := "code from " + cmp.Or(in.Source, in.By)
	for key, rules := range map[string][]limit.Rule{
		"code to " + q.Channel + " " + strings.ToLower(q.Address): {{N: p.Sends, Per: time.Hour}, {N: p.DailySends, Per: 24 * time.Hour}},
		from: {{N: p.From, Per: time.Hour}},
	} {
		t, err := limit.Look(tx, key, rules...)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// tellCode writes the message, in the lane that nothing else is ahead of. Its words are fixed: nothing that a stranger typed is in it. One that is not to go
// out is written and withheld: what she reads is the same, since the page says that not every code goes out, and so is how long it takes.
func (d *Desk) tellCode(tx *store.Tx, a ask, q question, not string) error {
	m := templates.Code{Minutes: int(d.Policy.Identity.Code / time.Minute), Number: a.number}
	switch {
	case !a.known:
		m.Number = ""
	default:
		m.Code = a.q.code
		switch {
		case a.link != "" && q.Sort == askOwn:
			m.URL = d.Comms.Vendor.URL + "/me?k=" + a.link
		case a.link != "":
			m.URL = d.Comms.Vendor.URL + "/v/" + a.link
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the facts of a code: %w", err)
	}
	n := comms.Notice{Lane: comms.LaneUrgent, Name: templates.MsgCode, Channels: []string{a.to.Channel}, ReplyTo: true, Data: data, To: []comms.Direct{a.to}}
	if not != "" {
		return d.Comms.Withhold(tx, n, not)
	}
	_, err = d.Comms.Tell(tx, n)
	return err
}

// digits6 draws six digits, each as likely as any.
func digits6() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // crypto/rand.Reader never fails (Go 1.24)
	}
	return fmt.Sprintf("%06d", n)
}

// normalCode reads a code as people type it: with spaces, hyphens, or full-width digits.
func normalCode(s string) string {
	if len(s) > 64 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		case r >= '0' && r <= '9':
			return r
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u3000':
			return -1
		}
		return 'x'
	}, s)
}

// Give gives a code back.
type Give struct {
	ID     string // of what was sent: see [Sent]
	Case   string // the case that the caller has opened; "" with ToRegain and ToOpen
	Code   string
	By     string // "public:…", or the member of staff to whom she read it
	Source string
}

// Given is what a code opened.
type Given struct {
	Case     string   // the ticket, or the case of her own page
	Number   string   // of the ticket
	Standing Standing // as it is now
	Secret   string   // with ToRegain: the ticket's new secret, shown this once; the old one opens nothing any more
}

var errWrongCode = fault.BadField("code", "is not the one that was sent, or was used, or is too old; ask for a new one")

// GiveCode takes a code back and records what it shows, once. Wrong and right ones count alike, before anything is looked at, so that nobody guesses faster
// by asking more at once.
func (d *Desk) GiveCode(ctx context.Context, in Give) (out Given, err error) {
	for try := 0; ; try++ {
		out, err = d.giveCode(ctx, in)
		if err == nil || !limit.Lost(err) || try == lookTries {
			return out, err
		}
	}
}

func (d *Desk) giveCode(ctx context.Context, in Give) (out Given, err error) {
	wrong := true
	err = d.DB.Update(ctx, store.Act{By: in.By, Verb: "identity.give"}, func(tx *store.Tx) error {
		wrong, out = true, Given{}
		rules, err := d.tries(tx, in.ID)
		if err == nil {
			err = d.takeTry(tx, rules, in)
		}
		if err != nil {
			return err
		}
		rec, err := questions.First(tx, store.Query{Index: "answer", Equal: []any{clip(in.ID), normalCode(in.Code)}})
		if fault.Of(err) == fault.NotFound {
			return nil // the try counts
		}
		q := rec.Value
		if err != nil || !q.Used.IsZero() || !tx.Now().Before(q.Until) || !q.in(in.Case) {
			return err
		}
		wrong = false
		out, err = d.answered(tx, rec, in.By, HowCode)
		return err
	})
	if err == nil && wrong {
		d.guessed(ctx)
		err = errWrongCode
	}
	return out, err
}

// in says whether the question belongs to the case that somebody has opened. What opens a case is given with none.
func (q question) in(opened string) bool {
	if q.Sort == askRegain || q.Sort == askOwn {
		return opened == ""
	}
	return opened == q.Case
}

// clip bounds what strangers put into an index.
func clip(s string) string { return s[:min(len(s), 64)] }

// takeTry counts a try against what is tried and against the network that tries.
func (d *Desk) takeTry(tx *store.Tx, rules map[string]limit.Rule, in Give) error {
	rules["code try from "+cmp.Or(in.Source, in.By)] = limit.Rule{N: d.Policy.Identity.From, Per: time.Hour}
	for key, rule := range rules {
		t, err := limit.Look(tx, key, rule)
		if err == nil {
			err = t.In(tx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answered ends a question and records what its answer shows.
func (d *Desk) answered(tx *store.Tx, rec store.Rec[question], by string, how How) (out Given, err error) {
	q := rec.Value
	if err := spend(tx, rec); err != nil {
		return out, err
	}
	if q.Sort == askRegain {
		if out.Secret, err = d.newSecret(tx, q); err != nil {
			return out, err
		}
	}
	if _, err = d.add(tx, Evidence{Case: q.Case, Account: q.Account, Contact: q.Contact, Class: q.Class, How: how, Channel: q.Channel, Address: q.Address, By: by}); err != nil {
		return out, err
	}
	return d.given(tx, q.Case, out)
}

func (d *Desk) given(tx *store.Tx, id string, out Given) (Given, error) {
	out.Case = id
	if tickets.CheckID(id) == nil {
		t, _, err := tickets.Get(tx, id)
		if err != nil {
			return out, err
		}
		out.Number = t.Number
	}
	s, err := d.standing(tx, id)
	out.Standing = s
	return out, err
}

// spend ends a question for good: after a restore from before it as well.
func spend(tx *store.Tx, rec store.Rec[question]) error {
	rec.Value.Used = tx.Now()
	if err := questions.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
		return err
	}
	return tx.Journal(factSpent, rec.ID, ended{At: tx.Now()})
}

// newSecret gives a ticket a new secret. Whoever gets it has shown one address and nothing else: what others showed in the case counts no more.
func (d *Desk) newSecret(tx *store.Tx, q question) (plain string, err error) {
	t, m, err := tickets.Get(tx, q.Case)
	if err != nil {
		return "", err
	}
	plain, t.Secret = secret.New()
	if err := tickets.Put(tx, q.Case, t, m.Version); err != nil {
		return "", err
	}
	all, err := evidenceOf(tx, q.Case)
	if err != nil {
		return "", err
	}
	for _, rec := range all {
		if e := rec.Value; e.Channel != q.Channel || !sameAddress(q.Channel, e.Address, q.Address) {
			if err := void(tx, rec, "", VoidSecret); err != nil {
				return "", err
			}
		}
	}
	return plain, tx.Journal(factSecret, q.Case, resecret{Hash: t.Secret})
}

// Confirming is what the page behind a mailed link shows before its button is pressed.
type Confirming struct {
	Number string
	To     string // masked
}

var errOldLink = fault.New(fault.NotFound, "this link is not valid any more")

func (d *Desk) linked(tx *store.Tx, sort, token string) (store.Rec[question], error) {
	rec, err := questions.First(tx, store.Query{Index: "link", Equal: []any{hex.EncodeToString(secret.Hash(token))}})
	if fault.Of(err) == fault.NotFound || err == nil && (rec.Value.Sort != sort || !rec.Value.Used.IsZero() || !tx.Now().Before(rec.Value.LinkEnd) || secret.Normal(token) == "") {
		return rec, errOldLink
	}
	return rec, err
}

// Confirming reads what a link would confirm. It changes nothing, so that programs that follow the links of a mail use up nothing.
func (d *Desk) Confirming(ctx context.Context, token string) (c Confirming, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		rec, err := d.linked(tx, askReach, token)
		if err != nil {
			return err
		}
		t, _, err := tickets.Get(tx, rec.Value.Case)
		c = Confirming{Number: t.Number, To: contacts.Mask(rec.Value.Channel, rec.Value.Address)}
		return err
	})
	return c, err
}

// GiveLink uses a link up and records that the address reaches somebody, which is all that a link can show: whoever gets a code has to have asked for it,
// while anybody presses a button.
func (d *Desk) GiveLink(ctx context.Context, token string) (Given, error) {
	return d.giveLink(ctx, askReach, token)
}

// GiveOwnLink uses up the link of a code to her own page. Whoever presses its button opens the page there and then, in her own browser, and nobody else's.
func (d *Desk) GiveOwnLink(ctx context.Context, token string) (Given, error) {
	return d.giveLink(ctx, askOwn, token)
}

func (d *Desk) giveLink(ctx context.Context, sort, token string) (out Given, err error) {
	err = d.DB.Update(ctx, store.Act{By: "public:link", Verb: "identity.give"}, func(tx *store.Tx) error {
		rec, err := d.linked(tx, sort, token)
		if err != nil {
			return err
		}
		out, err = d.answered(tx, rec, "public:link", HowLink)
		return err
	})
	return out, err
}

// Reached records that somebody opened a ticket by a link that was mailed to the ticket's own address. The caller has made sure of it.
func (d *Desk) Reached(ctx context.Context, id, channel string) (s Standing, err error) {
	err = d.DB.Update(ctx, store.Act{By: "public:link", Verb: "identity.give"}, func(tx *store.Tx) error {
		t, _, err := tickets.Get(tx, id)
		if err != nil {
			return err
		}
		if t.address(channel) == "" {
			return fault.New(fault.Conflict, "the ticket has no such address")
		}
		if _, err := d.add(tx, Evidence{Case: id, Class: ClassReach, How: HowLink, Channel: channel, Address: t.address(channel), By: "public:link"}); err != nil {
			return err
		}
		s, err = d.standing(tx, id)
		return err
	})
	return s, err
}

// Hint is an address on file to which a code can be sent, as whoever is asked may see it.
type Hint struct {
	ID      string `json:"id"`
	Channel string `json:"channel"`
	To      string `json:"to"`      // masked
	TooNew  bool   `json:"too_new"` // a code to it would prove nothing; customers are not offered it
}

// mostHints bounds the addresses that are offered.
const mostHints = 20

// OnFile lists the addresses of a ticket's account to which a code can be sent: to staff, and to a person who can be reached (L1) once a member of staff
// has said whose ticket it is. Before that the answer to a customer is the same whatever is known.
func (d *Desk) OnFile(ctx context.Context, by, number string) (all []Hint, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		t, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{secret.NormalNumber(number)}})
		if err != nil {
			return noTicket()
		}
		c, err := d.caseOf(tx, t.ID)
		if err != nil {
			return err
		}
		public := strings.HasPrefix(by, "public:")
		if t.Value.Account == "" || public && d.Policy.Identity.Judge(c).Level < L1 {
			return nil
		}
		account, err := d.Book.Account(tx, t.Value.Account)
		if err != nil {
			return err
		}
		for who, err := range d.Book.ContactsOf(tx, account.ID) {
			if err != nil {
				return err
			}
			for _, channel := range []string{contacts.Email, contacts.SMS} {
				usable, _ := contacts.Reach(who.Value, channel)
				for _, a := range usable {
					proves, _ := a.Proves(c.Began, c.Now)
					if public && !proves {
						continue
					}
					if all = append(all, Hint{hintID(who.ID, channel, who.Value, a.Value), channel, contacts.Mask(channel, a.Value), !proves}); len(all) == mostHints {
						return nil
					}
				}
			}
		}
		return nil
	})
	return all, err
}

// hintID names an address by its place with the contact.
func hintID(id, channel string, c contacts.Contact, value string) string {
	i := slices.IndexFunc(addressesOf(c, channel), func(a contacts.Address) bool { return a.Value == value })
	return fmt.Sprintf("%s.%s.%d", id, channel, i)
}

func addressesOf(c contacts.Contact, channel string) []contacts.Address {
	if channel == contacts.SMS {
		return c.Phones
	}
	return c.Emails
}

// hinted finds the address of a hint, which has to be of the account.
func (d *Desk) hinted(tx *store.Tx, account, hint string) (who store.Rec[contacts.Contact], at contacts.Address, channel string, err error) {
	bad := fault.BadField("hint", "is none of the addresses that are offered")
	parts := strings.Split(hint, ".")
	if len(parts) != 3 || account == "" {
		return who, at, "", bad
	}
	who, err = d.Book.Contact(tx, parts[0])
	switch fault.Of(err) {
	case "":
	case fault.NotFound, fault.Invalid:
		return who, at, "", bad
	default:
		return who, at, "", err
	}
	of, err := d.Book.Account(tx, account)
	if err != nil {
		return who, at, "", err
	}
	channel = parts[1]
	usable, _ := contacts.Reach(who.Value, channel)
	for _, a := range usable {
		if who.Value.Account == of.ID && hintID(who.ID, channel, who.Value, a.Value) == hint {
			return who, a, channel, nil
		}
	}
	return who, at, "", bad
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// keptQuestions is how long a question is kept behind its end: her own page is a case of its own for as long as what it rests on counts.
const keptQuestions = 7 * 24 * time.Hour

// mostForgotten bounds what one turn removes.
const mostForgotten = 500

// forgetting is the duty of doing it.
func (d *Desk) forgetting() comms.Duty {
	return comms.Duty{Name: "questions", Every: time.Hour, Turn: func(ctx context.Context) error {
		_, err := d.ForgetQuestions(ctx)
		return err
	}}
}

// ForgetQuestions removes questions that nobody can answer any more, and says how many. What answers showed stays. Somebody must call it now and then.
func (d *Desk) ForgetQuestions(ctx context.Context) (n int, err error) {
	err = d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		n = 0
		for rec, err := range questions.Scan(tx, store.Query{Index: "end", To: tx.Now().Add(-keptQuestions), Limit: mostForgotten}) {
			if err != nil {
				return err
			}
			if err := questions.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return store.ErrNothing
		}
		return nil
	})
	return n, err
}
