package comms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// A campaign asks contacts whom nobody has heard of for long whether we still reach them: before an incident, for during one nobody has
// time. It runs by itself, one replica at a time and a little each minute; those who may speak for a customer first. A person gets a mail, a
// reminder, a text message, and then, if she may speak for the customer, somebody's outreach. It stands still while a P0 or P1 is open, and
// asks no address twice within the policy's interval, whoever has it.

const (
	campaignDuty = "confirm"
	day          = 24 * time.Hour
)

// Confirm is the policy of asking.
type Confirm struct {
	Off      bool          `yaml:"off" json:"off"`
	Every    time.Duration `yaml:"every" json:"every"`                   // a turn: what came of messages is looked at, and the next go
	Interval time.Duration `yaml:"interval" json:"interval"`             // the same address is asked once in it, and its link lives as long
	Settle   time.Duration `yaml:"settle" json:"settle"`                 // contacts so young are left alone, so that an import can be looked at first
	PerHour  int           `yaml:"per_hour" json:"per_hour"`             // messages at most
	FromHour int           `yaml:"from_hour" json:"from_hour"`           // of the person's day, or the vendor's where hers is not known
	ToHour   int           `yaml:"to_hour" json:"to_hour"`               // nobody is written to from then on
	Remind   time.Duration `yaml:"remind_after" json:"remind_after"`     // behind the first mail
	Text     time.Duration `yaml:"text_after" json:"text_after"`         // behind the reminder: a text message
	Outreach time.Duration `yaml:"outreach_after" json:"outreach_after"` // behind the last message: a task
	FirstDay int           `yaml:"first_day" json:"first_day"`           // mails that a domain without a history may send in a day
	Growth   float64       `yaml:"growth" json:"growth"`                 // a day may have so many times the mails of the largest of the last seven
	Audit    time.Duration `yaml:"audit_every" json:"audit_every"`       // a report about the contacts is owed so often
}

func (c Confirm) bad(f []fault.Field) []fault.Field {
	for name, d := range map[string]time.Duration{"interval": c.Interval, "remind_after": c.Remind, "text_after": c.Text, "outreach_after": c.Outreach, "audit_every": c.Audit} {
		if d <= 0 {
			f = append(f, wrong("comms.confirm."+name, "must be above 0"))
		}
	}
	if c.Remind+c.Text+c.Outreach >= c.Interval {
		f = append(f, wrong("comms.confirm.interval", "must be longer than remind_after, text_after and outreach_after together"))
	}
	if c.Every < shortestTurn {
		f = append(f, wrong("comms.confirm.every", "must be at least %s", shortestTurn))
	}
	if c.Settle < 0 {
		f = append(f, wrong("comms.confirm.settle", "must not be below 0"))
	}
	if c.PerHour < 1 || c.FirstDay < 1 || c.Growth < 1 {
		f = append(f, wrong("comms.confirm.per_hour", "and first_day and growth must be at least 1"))
	}
	if c.FromHour < 0 || c.ToHour > 24 || c.FromHour >= c.ToHour {
		f = append(f, wrong("comms.confirm.from_hour", "and to_hour must be hours of a day, the first before the second"))
	}
	return f
}

// Asking is what a campaign needs of the rest of the house.
type Asking struct {
	Sign   func(subject string) string // makes a token of which the portal knows that it is ours; nil: nobody is asked
	Live   func(channel string) bool   // messages on it reach people
	From   string                      // our mail sender, for people
	Number string                      // our SMS sender, for people
}

// Confirmation is what became of asking one address.
type Confirmation struct {
	Channel    string    `json:"channel"` // of the address that was asked first
	Address    string    `json:"address"`
	Contact    string    `json:"contact"` // one of those who have it
	Account    string    `json:"account"`
	Locale     string    `json:"locale"`
	Step       int       `json:"step"`
	Round      int       `json:"round"` // how often the address has been asked anew; links of earlier rounds open nothing
	AskedAt    time.Time `json:"asked_at"`
	Next       time.Time `json:"next,omitzero"`
	Notice     string    `json:"notice"` // the last message
	Answer     string    `json:"answer,omitempty"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	Proposal   string    `json:"proposal,omitempty"` // the other address that was named
	ProposalOn string    `json:"proposal_on,omitempty"`
}

// The steps of asking.
const (
	stepAsked = iota + 1
	stepReminded
	stepTexted
	stepOver
)

// The answers.
const (
	AnswerYes   = "yes"   // this is me and this reaches me
	AnswerWrong = "wrong" // the wrong person, or she left
	AnswerOther = "other" // use another address
)

var confirmations = store.Table[Confirmation]{
	Kind: store.Kind{Name: "confirmation", Prefix: "cfm", Schema: 1, Indexes: []store.Index{
		{Name: "address", Fields: []store.Field{{Name: "channel", Type: store.Text}, {Name: "address", Type: store.Blind}}, Unique: true},
		{Name: "next", Fields: []store.Field{{Name: "next", Type: store.Time}}},
		{Name: "notice", Fields: []store.Field{{Name: "notice", Type: store.Text}}},
	}},
	Tuples: func(c Confirmation) store.Tuples {
		t := store.Tuples{"address": {c.Channel, strings.ToLower(c.Address)}}
		if !c.Next.IsZero() {
			t["next"] = []any{c.Next}
		}
		if c.Notice != "" {
			t["notice"] = []any{c.Notice}
		}
		return t
	},
}

// campaign is how far asking has come; it is the state of its duty.
type campaign struct {
	Pass    int            `json:"pass"`    // as in an expansion: those who may speak for a customer, then the others
	Account string         `json:"account"` // where the walk goes on
	Rest    time.Time      `json:"rest"`    // the book was walked: not before
	Hour    time.Time      `json:"hour"`
	InHour  int            `json:"in_hour"`
	Day     string         `json:"day"`
	Today   int            `json:"today"`
	Seen    string         `json:"seen"`   // notices up to here are counted
	Volume  map[string]int `json:"volume"` // mails that a relay took, by day (UTC), of the last 35 days
	Report  *Kept          `json:"report,omitempty"`
	Began   time.Time      `json:"began"`
}

// allowance is how many messages may go now: the hour's share that has come up, and of mails what the day has left.
func (c campaign) allowance(p Confirm, now time.Time) int {
	inHour, today := c.InHour, c.Today
	if hour := now.Truncate(time.Hour); !hour.Equal(c.Hour) {
		inHour = 0
	}
	if c.Day != dayOf(now) {
		today = 0
	}
	minutes := int(now.Sub(now.Truncate(time.Hour))/time.Minute) + 1
	share := (p.PerHour*minutes + 59) / 60
	return max(0, min(share-inHour, ramp(p, c.Volume, now)-today))
}

func (c *campaign) took(now time.Time) {
	if hour := now.Truncate(time.Hour); !hour.Equal(c.Hour) {
		c.Hour, c.InHour = hour, 0
	}
	if c.Day != dayOf(now) {
		c.Day, c.Today = dayOf(now), 0
	}
	c.InHour++
	c.Today++
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ramp is how many mails a campaign may send in a day, so that receivers see our domain's volume grow and not leap: half as much again (by
// policy) as the largest of the seven days before.
func ramp(p Confirm, volume map[string]int, now time.Time) int {
	return max(p.FirstDay, int(p.Growth*float64(largest(volume, now, 7))))
}

// largest is the most mails of one of the days before now.
func largest(volume map[string]int, now time.Time, days int) (most int) {
	for i := 1; i <= days; i++ {
		most = max(most, volume[dayOf(now.Add(-time.Duration(i)*day))])
	}
	return most
}

// Supports is the largest broadcast that receivers who saw so much of us lately will take without holding it back: ten times the largest day of
// the last thirty. The factor is our rule; that volume has to grow slowly is the
// large receivers' (Google, Email sender guidelines, "Increase sending volume slowly").
func Supports(largestDay int) int { return 10 * max(largestDay, 50) }

// MailVolume is the most mails that relays took in one of the last thirty days, and the largest broadcast that this supports.
type MailVolume struct {
	LargestDay int `json:"largest_day"`
	Supports   int `json:"supports"`
	People     int `json:"people"` // in the book who have an e-mail address
}

// MailVolume reads what the campaign has counted.
func (r *Room) MailVolume(ctx context.Context) (v MailVolume, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		c, err := readCampaign(tx)
		if err != nil {
			return err
		}
		v = MailVolume{LargestDay: largest(c.Volume, tx.Now().Add(day), 30)}
		v.Supports = Supports(v.LargestDay)
		for rec, err := range r.Book.StandingsFrom(tx, "") {
			if err != nil {
				return err
			}
			if rec.Value.Not(contacts.Email) == "" {
				v.People++
			}
		}
		return nil
	})
	return v, err
}

func readCampaign(tx *store.Tx) (c campaign, err error) {
	err = readRound(tx, campaignDuty, &c)
	c.Pass = cmp.Or(c.Pass, passApproved)
	return c, err
}

// moveCampaign changes the campaign's state in a transaction that proves to hold the duty.
func moveCampaign(tx *store.Tx, mine hold, change func(*campaign)) error {
	c, err := readCampaign(tx)
	if err != nil {
		return err
	}
	change(&c)
	return keepRound(tx, campaignDuty, c, mine)
}

// mostLooked bounds the contacts that one turn looks at, mostCounted the notices that it counts.
const (
	mostLooked  = 5000
	mostCounted = 500
)

// campaignTurn counts what was sent, goes on with who was asked, and asks the next.
func (r *Room) campaignTurn(ctx context.Context, mine hold) error {
	if err := r.countSent(ctx, mine); err != nil {
		return fmt.Errorf("count what was sent: %w", err)
	}
	if err := r.oweAudit(ctx, mine); err != nil {
		return fmt.Errorf("look whether a report on the contacts is due: %w", err)
	}
	why, left, err := r.mayAsk(ctx)
	if err != nil || why != "" {
		return err
	}
	if left, err = r.goOn(ctx, mine, left); err != nil {
		return fmt.Errorf("go on with who was asked: %w", err)
	}
	if err := r.askNext(ctx, mine, left); err != nil {
		return fmt.Errorf("ask who is due: %w", err)
	}
	return nil
}

// mayAsk says why nobody is asked now, or how many messages may go.
func (r *Room) mayAsk(ctx context.Context) (why string, left int, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		c, err := readCampaign(tx)
		if err != nil {
			return err
		}
		open, err := r.OpenIncidents(tx)
		if err != nil {
			return err
		}
		held, err := store.Held(tx)
		if err != nil {
			return err
		}
		why, left = r.quiet(open, held), c.allowance(r.Policy.Confirm, tx.Now())
		return nil
	})
	return why, left, err
}

// quiet is why nobody may be asked; "": somebody may.
func (r *Room) quiet(open []store.Rec[Incident], held string) string {
	switch {
	case r.Policy.Confirm.Off:
		return "off"
	case r.Asking.Sign == nil || r.Asking.Live == nil || !r.Asking.Live(ChannelEmail):
		return "not_sending"
	case r.Barred != "":
		return "barred"
	case held != "":
		return "held"
	}
	for _, in := range open {
		if !in.Value.Drill && grave(in.Value.Severity) {
			return "incident"
		}
	}
	return ""
}

// Why a contact is not asked now; "": she is.
const (
	notDue     = "confirmed"
	notSettled = "new"
	notNow     = "hour"
)

// whyNotAsk says why a contact is not asked now.
func (r *Room) whyNotAsk(rec store.Rec[contacts.Contact], pass int, now time.Time) string {
	c, p := rec.Value, r.Policy.Confirm
	switch {
	case c.Approved() != (pass == passApproved):
		return "pass"
	case !r.Book.Policy.Stale(c, now):
		return notDue
	case now.Sub(rec.Created) < p.Settle:
		return notSettled
	case !p.waking(r.zone(c.TimeZone), now):
		return notNow
	}
	_, mail := contacts.Reach(c, ChannelEmail)
	if _, text := contacts.Reach(c, ChannelSMS); mail != "" && (text != "" || !r.Asking.Live(ChannelSMS)) {
		return mail
	}
	return ""
}

// zone is the time zone of a person, or the vendor's.
func (r *Room) zone(name string) *time.Location {
	for _, n := range []string{name, r.Vendor.Zone} {
		if loc, err := time.LoadLocation(n); n != "" && err == nil {
			return loc
		}
	}
	return time.UTC
}

func (c Confirm) waking(zone *time.Location, now time.Time) bool {
	h := now.In(zone).Hour()
	return h >= c.FromHour && h < c.ToHour
}

// askNext walks the book from where the last turn ended and asks at most so many.
func (r *Room) askNext(ctx context.Context, mine hold, left int) error {
	if left <= 0 {
		return nil
	}
	var due []string
	var to campaign
	rest := false
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		due, rest = nil, false
		c, err := readCampaign(tx)
		if err != nil {
			return err
		}
		if rest = tx.Now().Before(c.Rest); rest {
			return nil
		}
		to = c
		seen := 0
		for rec, err := range r.Book.ContactsFrom(tx, c.Account) {
			if err != nil {
				return err
			}
			if rec.Value.Account != to.Account {
				if seen >= mostLooked {
					to.Account = rec.Value.Account
					return nil
				}
				to.Account = rec.Value.Account
			}
			seen++
			if r.whyNotAsk(rec, c.Pass, tx.Now()) != "" {
				continue
			}
			if asked, err := r.askedAlready(tx, rec.Value); err != nil {
				return err
			} else if asked {
				continue
			}
			if due = append(due, rec.ID); len(due) == left {
				return nil
			}
		}
		to.Account = ""
		if to.Pass++; to.Pass > passOthers {
			to.Pass, to.Rest = passApproved, tx.Now().Add(time.Hour)
		}
		return nil
	})
	if err != nil || rest {
		return err
	}
	for _, id := range due {
		if err := r.ask(ctx, mine, id); err != nil {
			return fmt.Errorf("contact %s: %w", id, err)
		}
	}
	return r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		return moveCampaign(tx, mine, func(c *campaign) { c.Pass, c.Account, c.Rest = to.Pass, to.Account, to.Rest })
	})
}

// firstAddress is where a contact is asked: by mail if she can be, else by text message.
func (r *Room) firstAddress(c contacts.Contact) (channel string, a contacts.Address, ok bool) {
	for _, channel := range []string{ChannelEmail, ChannelSMS} {
		if to, _ := contacts.Reach(c, channel); len(to) > 0 && r.Asking.Live(channel) {
			return channel, to[0], true
		}
	}
	return "", a, false
}

func (r *Room) askedAlready(tx *store.Tx, c contacts.Contact) (bool, error) {
	channel, a, ok := r.firstAddress(c)
	if !ok {
		return true, nil
	}
	was, err := confirmationOf(tx, channel, a.Value)
	return was.ID != "" && tx.Now().Sub(was.Value.AskedAt) < r.Policy.Confirm.Interval, err
}

// confirmationOf finds what became of asking an address; without an ID it was never asked.
func confirmationOf(tx *store.Tx, channel, address string) (store.Rec[Confirmation], error) {
	rec, err := confirmations.First(tx, store.Query{Index: "address", Equal: []any{channel, strings.ToLower(address)}})
	if fault.Of(err) == fault.NotFound {
		return store.Rec[Confirmation]{}, nil
	}
	return rec, err
}

// ask begins a round with one contact.
func (r *Room) ask(ctx context.Context, mine hold, contact string) error {
	return r.DB.Update(ctx, store.Act{By: "system:campaign", Verb: "confirmation.ask"}, func(tx *store.Tx) error {
		rec, err := r.Book.Contact(tx, contact)
		if err != nil {
			return err
		}
		channel, a, ok := r.firstAddress(rec.Value)
		asked, err := r.askedAlready(tx, rec.Value)
		if err != nil || asked || !ok {
			return err
		}
		was, err := confirmationOf(tx, channel, a.Value)
		if err != nil {
			return err
		}
		id := was.ID
		if id == "" {
			id = confirmations.NewID()
		}
		c := Confirmation{Channel: channel, Address: a.Value, Contact: rec.ID, Account: rec.Value.Account, Locale: rec.Value.Locale, Round: was.Value.Round + 1, Step: stepAsked,
			AskedAt: tx.Now(), Next: tx.Now().Add(r.Policy.Confirm.Remind)}
		if channel == ChannelSMS { // a second text message about it would cost trust
			c.Step, c.Next = stepTexted, tx.Now().Add(r.Policy.Confirm.Outreach)
		}
		tx.On(rec.ID, id)
		if c.Notice, err = r.tellConfirm(tx, id, c, channel, a.Value, rec.Value.Name); err != nil {
			return err
		}
		if err := confirmations.Put(tx, id, c, was.Version); err != nil {
			return err
		}
		return moveCampaign(tx, mine, func(s *campaign) { s.took(tx.Now()) })
	})
}

func (r *Room) tellConfirm(tx *store.Tx, id string, c Confirmation, channel, address, name string) (string, error) {
	base := strings.TrimSuffix(r.Vendor.URL, "/")
	data := templates.Confirm{URL: base + "/c/" + r.Asking.Sign(c.subject(id)), Card: base + "/card.vcf", From: r.Asking.From, Number: r.Asking.Number, Again: c.Step == stepReminded}
	account, err := r.Book.Account(tx, c.Account)
	if err != nil && fault.Of(err) != fault.NotFound {
		return "", err
	}
	data.Account = clip(account.Value.Name, 80)
	facts, err := json.Marshal(data)
	if err != nil {
		return "", fmt.Errorf("write the facts of a confirmation: %w", err)
	}
	return r.tell(tx, Notice{Lane: LaneCampaign, Name: templates.MsgConfirm, Channels: []string{channel}, Data: facts,
		To: []Direct{{Channel: channel, Address: address, Name: name, Locale: c.Locale}}})
}

// subject is what a link proves to know: which address was asked, and in which round.
func (c Confirmation) subject(id string) string { return fmt.Sprintf("%s.%d", suffix(id), c.Round) }

// goOn takes the next step with everybody whose time for it has come, and says how many messages may still go.
func (r *Room) goOn(ctx context.Context, mine hold, left int) (int, error) {
	var due []string
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		due = nil
		for rec, err := range confirmations.Scan(tx, store.Query{Index: "next", To: tx.Now().Add(time.Microsecond), Limit: mostCounted}) {
			if err != nil {
				return err
			}
			due = append(due, rec.ID)
		}
		return nil
	})
	if err != nil {
		return left, err
	}
	for _, id := range due {
		sent := false
		err := r.DB.Update(ctx, store.Act{By: "system:campaign", Verb: "confirmation.step"}, func(tx *store.Tx) (err error) {
			sent, err = r.step(tx, mine, id, left > 0)
			return err
		})
		if err != nil {
			return left, fmt.Errorf("confirmation %s: %w", id, err)
		}
		if sent {
			left--
		}
	}
	return left, nil
}

// step does what comes next for one who was asked; with no room for a message only what needs none.
func (r *Room) step(tx *store.Tx, mine hold, id string, room bool) (sent bool, err error) {
	c, m, err := confirmations.Get(tx, id)
	if err != nil || c.Next.IsZero() || c.Next.After(tx.Now()) {
		return false, err
	}
	tx.On(id, c.Contact)
	rec, err := r.Book.Contact(tx, c.Contact)
	if err != nil && fault.Of(err) != fault.NotFound {
		return false, err
	}
	if err != nil || rec.Value.ConfirmedAt.After(c.AskedAt) || !r.Book.Policy.Stale(rec.Value, tx.Now()) { // gone, or heard of by another way
		c.Step, c.Next = stepOver, time.Time{}
		return false, confirmations.Put(tx, id, c, m.Version)
	}
	channel, address := r.nextMessage(tx, c, rec.Value)
	if channel == "" {
		return false, r.giveUp(tx, mine, id, c, m.Version, rec.Value)
	}
	if !room || !r.Policy.Confirm.waking(r.zone(rec.Value.TimeZone), tx.Now()) {
		return false, nil
	}
	if channel == ChannelEmail {
		c.Step, c.Next = stepReminded, tx.Now().Add(r.Policy.Confirm.Text)
	} else {
		c.Step, c.Next = stepTexted, tx.Now().Add(r.Policy.Confirm.Outreach)
	}
	if c.Notice, err = r.tellConfirm(tx, id, c, channel, address, rec.Value.Name); err != nil {
		return false, err
	}
	if err := confirmations.Put(tx, id, c, m.Version); err != nil {
		return false, err
	}
	return true, moveCampaign(tx, mine, func(s *campaign) { s.took(tx.Now()) })
}

// nextMessage is where somebody who was asked gets the next message; no channel: she gets none.
func (r *Room) nextMessage(tx *store.Tx, c Confirmation, who contacts.Contact) (channel, address string) {
	mail, _ := contacts.Reach(who, ChannelEmail)
	works := slices.ContainsFunc(mail, func(a contacts.Address) bool { return a.Value == c.Address })
	if c.Step == stepAsked && c.Channel == ChannelEmail && works {
		return ChannelEmail, c.Address
	}
	if c.Step >= stepTexted || !r.Asking.Live(ChannelSMS) {
		return "", ""
	}
	if phones, _ := contacts.Reach(who, ChannelSMS); len(phones) > 0 {
		return ChannelSMS, phones[0].Value
	}
	return "", ""
}

// OutreachConfirm is the What of a task to ask somebody by hand who answered none of our messages.
const OutreachConfirm = "outreach.confirm"

// giveUp ends the messages to somebody who did not answer. Who may speak for a customer becomes somebody's outreach.
func (r *Room) giveUp(tx *store.Tx, mine hold, id string, c Confirmation, version int64, who contacts.Contact) error {
	c.Step, c.Next = stepOver, time.Time{}
	if err := confirmations.Put(tx, id, c, version); err != nil {
		return err
	}
	if who.Approved() {
		detail, err := json.Marshal(map[string]string{"contact_id": c.Contact, "confirmation_id": id})
		if err != nil {
			return err
		}
		if _, err := r.Owe(tx, Task{What: OutreachConfirm, Of: c.Contact, Account: c.Account, Detail: detail, Shared: true,
			Title: "Ask a contact by hand whether we still reach her: she may speak for the customer and answered none of our messages"}); err != nil {
			return err
		}
	}
	return mine(tx)
}

// countSent adds what relays took to the volume of each day, and hears of addresses that do not exist. It stops before a notice that is under
// way, for three days; then it goes on without it.
func (r *Room) countSent(ctx context.Context, mine hold) error {
	sent := map[string]int{}
	var dead []string // notices of questions that a mailbox refused for good
	seen := ""
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		clear(sent)
		dead = nil
		c, err := readCampaign(tx)
		if err != nil {
			return err
		}
		seen = c.Seen
		n := 0
		for rec, err := range notices.Scan(tx, store.Query{From: seen + "\x00"}) {
			if err != nil {
				return err
			}
			v := rec.Value
			finished := v.State == Done || v.State == StoppedHere && v.Pending == 0
			if n == mostCounted || !finished && tx.Now().Sub(v.CreatedAt) < 3*day {
				return nil
			}
			n++
			seen = rec.ID
			for page, err := range pages.Scan(tx, store.Query{Prefix: "pag_" + suffix(rec.ID) + "."}) {
				if err != nil {
					return err
				}
				for name, count := range page.Value.Counts {
					if what, state := countName(name); what == ChannelEmail && (state == Sent || state == Delivered) {
						sent[dayOf(v.CreatedAt)] += count
					}
				}
			}
			if v.Name == templates.MsgConfirm {
				if gone, err := noSuchMailbox(tx, rec.ID); err != nil {
					return err
				} else if gone {
					dead = append(dead, rec.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, notice := range dead {
		if err := r.bounced(ctx, notice); err != nil {
			return err
		}
	}
	return asItWas(r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		if c, err := readCampaign(tx); err != nil || c.Seen == seen {
			return orAsItWas(err)
		}
		return moveCampaign(tx, mine, func(c *campaign) {
			c.Seen = seen
			if c.Volume == nil {
				c.Volume = map[string]int{}
			}
			for d, n := range sent {
				c.Volume[d] += n
			}
			old := dayOf(tx.Now().Add(-35 * day))
			maps.DeleteFunc(c.Volume, func(d string, _ int) bool { return d < old })
		})
	}))
}

func orAsItWas(err error) error {
	if err == nil {
		return errAsItWas
	}
	return err
}

// noSuchMailbox says whether the receiver of a notice to one address said that there is no such mailbox (RFC 3463: X.1.1, and RFC 7505: X.1.10).
// Other refusals may be about us, and say nothing about the address.
func noSuchMailbox(tx *store.Tx, notice string) (bool, error) {
	for rec, err := range deliveries.Scan(tx, under("dlv_"+suffix(notice)+".")) {
		if err != nil {
			return false, err
		}
		d := rec.Value
		if d.State == Failed && d.Channel == ChannelEmail && (strings.Contains(d.Reason, "5.1.1 ") || strings.HasSuffix(d.Reason, "5.1.1") || strings.Contains(d.Reason, "5.1.10")) {
			return true, nil
		}
	}
	return false, nil
}

// bounced marks the address that a question did not reach, and lets the next step come at once.
func (r *Room) bounced(ctx context.Context, notice string) error {
	return r.DB.Update(ctx, store.Act{By: "system:campaign", Verb: "contacts.bounce"}, func(tx *store.Tx) error {
		rec, err := confirmations.First(tx, store.Query{Index: "notice", Equal: []any{notice}})
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		c := rec.Value
		tx.On(rec.ID)
		have, err := r.Book.ByAddress(tx, c.Channel, c.Address)
		if err != nil {
			return err
		}
		for _, who := range have {
			if err := r.Book.Bounced(tx, who.ID, c.Channel, c.Address, "no such mailbox"); err != nil {
				return err
			}
		}
		if !c.Next.IsZero() {
			c.Next = tx.Now()
		}
		return confirmations.Put(tx, rec.ID, c, rec.Version)
	})
}
