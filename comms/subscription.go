package comms

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
	"lifeline/templates"
)

// Subscription is an address that asked to be told what the status page says. Anybody may ask for any address, so nothing but one question goes
// there until whoever reads it has pressed a button. What ended is deleted: nobody is kept who does not want to be told.
type Subscription struct {
	Channel     string    `json:"channel"` // email, sms, or a sort of webhook
	Address     string    `json:"address"`
	Locale      string    `json:"locale"`
	Components  []string  `json:"components"` // ids of components; none: all
	Incident    string    `json:"incident"`   // the one incident that it is about; "": all
	AskedAt     time.Time `json:"asked_at"`
	ConfirmedAt time.Time `json:"confirmed_at"` // zero: nobody has pressed the button yet

	Hook *Hook `json:"hook,omitempty"` // what a webhook has besides

	Asked string `json:"asked,omitempty"` // its own, while nobody has looked yet whether the address is subscribed: see AskSubscription
}

// askedHere is no channel: under it stands what strangers asked for and nobody has looked at yet.
const askedHere = "asked"

var subscriptions = store.Table[Subscription]{
	Kind: store.Kind{Name: "subscription", Prefix: "sub", Schema: 1, Indexes: []store.Index{
		{Name: "address", Fields: []store.Field{{Name: "channel", Type: store.Text}, {Name: "address", Type: store.Blind}}, Unique: true},
	}},
	Tuples: func(s Subscription) store.Tuples {
		if s.Asked != "" {
			return store.Tuples{"address": {askedHere, s.Asked}}
		}
		return store.Tuples{"address": {s.Channel, addressOf(s.Channel, s.Address)}}
	},
}

// addressOf is the form in which an address is looked for. In that of a webhook a capital is another letter.
func addressOf(channel, address string) string {
	if via(channel) == ChannelWebhook {
		return address
	}
	return strings.ToLower(address)
}

// Subscribe is what a stranger asks for.
type Subscribe struct {
	Channel    string   `json:"channel"`
	Address    string   `json:"address"`
	Locale     string   `json:"locale,omitempty"`
	Components []string `json:"components,omitempty"` // ids as the status API has them; none: all
	Incident   string   `json:"incident,omitempty"`   // public id of one incident; "": all
}

// Subscribing is what strangers may ask of us in a day. One address is asked little, because anybody can name it; texts cost money, so they have
// a budget of their own, by number range and altogether.
type Subscribing struct {
	PerAddress int           `yaml:"per_address" json:"per_address"` // questions to one address in a day
	Texts      int           `yaml:"texts" json:"texts"`             // questions by text message in a day; 0: subscriptions by text are not offered
	PerRange   int           `yaml:"per_range" json:"per_range"`     // of them to numbers that begin alike
	Unanswered time.Duration `yaml:"unanswered" json:"unanswered"`   // how long a question waits for its button
	Hooks      int           `yaml:"hooks" json:"hooks"`             // questions to webhooks in a day; 0: nobody new is asked, and who subscribed before is told as ever
	Ports      []int         `yaml:"ports" json:"ports"`             // to which webhooks are posted
	PerHost    int           `yaml:"per_host" json:"per_host"`       // of them to one host
	PauseAfter int           `yaml:"pause_after" json:"pause_after"` // messages that a webhook did not take, one after the other, until nothing more is tried there
	PauseOver  time.Duration `yaml:"pause_over" json:"pause_over"`   // and so long after the first of them
}

func (s Subscribing) bad(f []fault.Field) []fault.Field {
	if s.PerAddress < 1 || s.Texts < 0 || s.PerRange < 1 {
		f = append(f, wrong("comms.subscribe", "needs per_address and per_range of at least 1, and texts of at least 0"))
	}
	if s.Unanswered <= 0 {
		f = append(f, wrong("comms.subscribe.unanswered", "must be above 0"))
	}
	if slices.ContainsFunc(s.Ports, func(p int) bool { return p < 1 || p > 65535 }) || s.Hooks > 0 && len(s.Ports) == 0 {
		f = append(f, wrong("comms.subscribe.ports", "must be ports such as 443"))
	}
	if s.Hooks < 0 || s.PerHost < 1 || s.PauseAfter < 1 || s.PauseOver < 0 {
		f = append(f, wrong("comms.subscribe.hooks", "must be at least 0, per_host and pause_after at least 1, and pause_over no less than 0"))
	}
	return f
}

// mostComponents bounds what one subscription names.
const mostComponents = 100

// rangeDigits of a number say where it is: country and network.
const rangeDigits = 7

// AskSubscription notes that somebody wants an address told. Its answer is the same whether the address is subscribed, was asked before, or is new, and
// takes as long: what is known of it is looked up behind the answer, by a process that sends, which asks the address whether that is so.
func (r *Room) AskSubscription(ctx context.Context, in Subscribe) error {
	in, err := r.readSubscribe(ctx, in)
	if err != nil {
		return err
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error { // only of what all have in common is it told at once that there is none left
		_, err := r.Policy.Subscribe.left(tx, r.Policy.Subscribe.shared(in))
		return err
	})
	if err != nil {
		return err
	}
	return r.DB.Update(ctx, store.Act{By: "public:subscribe", Verb: "subscription.ask"}, func(tx *store.Tx) error {
		id := subscriptions.NewID()
		tx.On(id)
		tx.After(r.asked.Ring)
		return subscriptions.Put(tx, id, Subscription{Channel: in.Channel, Address: in.Address, Locale: in.Locale, Components: in.Components, Incident: in.Incident, AskedAt: tx.Now(), Hook: in.hook(), Asked: rand.Text()}, 0)
	})
}

// mostAnswered is how many questions are taken up in one go.
const mostAnswered = 200

// AnswerSubscriptions asks the addresses that strangers named, at most some hundred of them, whether that is so; n is how many
// waited. Processes that send do it all the time.
func (r *Room) AnswerSubscriptions(ctx context.Context) (n int, err error) {
	var waiting []store.Rec[Subscription]
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		waiting = nil
		for rec, err := range subscriptions.Scan(tx, store.Query{Index: "address", Equal: []any{askedHere}, Limit: mostAnswered}) {
			if err != nil {
				return err
			}
			waiting = append(waiting, rec)
		}
		return nil
	})
	for _, rec := range waiting {
		failed := r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return r.answerSubscription(tx, rec) })
		switch kind := fault.Of(failed); {
		case failed == nil, kind == fault.Stale, kind == fault.Exists, kind == fault.NotFound: // another was faster, or is at the same address
		default:
			err = failed // of one that holds up no other
		}
	}
	return len(waiting), err
}

// answerSubscription asks the address of one, or does nothing when it was asked as often as is decent.
func (r *Room) answerSubscription(tx *store.Tx, asked store.Rec[Subscription]) error {
	in := asked.Value
	if err := subscriptions.Delete(tx, asked.ID, asked.Version); err != nil {
		return err
	}
	may, err := r.afford(tx, Subscribe{Channel: in.Channel, Address: in.Address})
	if err != nil || !may {
		return err
	}
	rec, err := subscriptions.First(tx, store.Query{Index: "address", Equal: []any{in.Channel, addressOf(in.Channel, in.Address)}})
	switch {
	case fault.Of(err) == fault.NotFound:
		rec = store.Rec[Subscription]{Meta: store.Meta{ID: subscriptions.NewID()}}
	case err != nil:
		return err
	}
	if rec.Value.ConfirmedAt.IsZero() { // what is confirmed only its own page changes
		in.Asked = ""
		rec.Value = in
		if err := subscriptions.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
			return err
		}
	}
	return r.tellSubscriber(tx, rec.ID, rec.Value, templates.Subscribe{On: !rec.Value.ConfirmedAt.IsZero()})
}

// answerAsked does it until the outbox ends.
func (o *Outbox) answerAsked(ctx context.Context) {
	for !o.leaving() {
		heard := o.Room.asked.Heard()
		n, err := o.Room.AnswerSubscriptions(ctx)
		if err != nil && ctx.Err() == nil {
			o.Log.Warn("addresses that are to be told were not asked; they are tried again", "err", err)
		}
		if err == nil && n == mostAnswered {
			continue
		}
		timer := time.NewTimer(pollSlow)
		select {
		case <-heard:
		case <-timer.C:
		case <-o.quit:
		}
		timer.Stop()
	}
}

// tellSubscriber tells the address of a subscription about the subscription itself.
func (r *Room) tellSubscriber(tx *store.Tx, id string, s Subscription, says templates.Subscribe) error {
	says.URL = r.SubscriptionURL(id)
	data, err := json.Marshal(says)
	if err != nil {
		return err
	}
	channel := via(s.Channel)
	n := Notice{Lane: LaneDirect, Name: templates.MsgSubscribe, Channels: []string{channel}, Data: data, To: []Direct{{Channel: channel, Address: s.Address, Locale: s.Locale}}}
	if channel == ChannelWebhook {
		n.Subscription = id
	}
	_, err = r.tell(tx, n)
	return err
}

func (r *Room) readSubscribe(ctx context.Context, in Subscribe) (Subscribe, error) {
	var f []fault.Field
	in.Channel, in.Address = strings.TrimSpace(in.Channel), strings.TrimSpace(in.Address)
	f = oneOf(f, "channel", in.Channel, r.SubscriptionChannels()...)
	if f == nil {
		var err error
		if via(in.Channel) == ChannelWebhook {
			in.Address, f = r.readHook(f, in.Address)
		} else if in.Address, err = r.Book.ParseAddress(in.Channel, in.Address); err != nil {
			f = append(f, wrong("address", "%s", err))
		}
	}
	if in.Locale != "" {
		f = prose{most: 35}.bad(f, "locale", in.Locale)
	}
	in.Locale = r.Words.Match(in.Locale)
	var err error
	in.Components, in.Incident, f, err = r.readWanted(ctx, in.Components, in.Incident, f)
	if err != nil {
		return in, err
	}
	if len(f) > 0 {
		return in, fault.BadFields(f...)
	}
	return in, nil
}

// readWanted checks what a subscription is to be about; the incident's id becomes ours.
func (r *Room) readWanted(ctx context.Context, components []string, incident string, f []fault.Field) ([]string, string, []fault.Field, error) {
	slices.Sort(components)
	components = slices.Compact(components)
	for i, id := range components {
		if i == mostComponents || !slices.ContainsFunc(r.Policy.Components, func(c ComponentPolicy) bool { return componentID(c.Group, c.Name) == id }) {
			f = append(f, wrong("components", "names %.40q, which is no component of this page", id))
			break
		}
	}
	if incident == "" {
		return components, "", f, nil
	}
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if fault.Of(err) == fault.NotFound || err == nil && (in.Value.Drill || in.Value.FirstNoticeAt == nil && !r.Policy.entryOf(in.Value)) { // what is not public is not there
			f = append(f, wrong("incident", "is none of this page"))
			return nil
		}
		incident = in.ID
		return err
	})
	return components, incident, f, err
}

// SubscriptionChannels are the channels on which strangers may subscribe: texts and webhooks only where they reach people.
func (r *Room) SubscriptionChannels() []string {
	live := func(channel string) bool { return r.Asking.Live == nil || r.Asking.Live(channel) }
	all := []string{ChannelEmail}
	if r.Policy.Subscribe.Texts > 0 && live(ChannelSMS) {
		all = append(all, ChannelSMS)
	}
	if r.Policy.Subscribe.Hooks > 0 && live(ChannelWebhook) {
		all = append(all, hookSorts...)
	}
	return all
}

// allowance is how much of something may be asked in a day.
type allowance struct {
	key string
	n   int
}

// shared are the allowances that a question takes from besides that of its address: texts and webhooks cost more than mail does.
func (p Subscribing) shared(in Subscribe) []allowance {
	switch via(in.Channel) {
	case ChannelWebhook:
		return []allowance{{"subscribe host " + hookHost(in.Address), p.PerHost}, {"subscribe webhooks", p.Hooks}}
	case ChannelSMS:
		return []allowance{{"subscribe range " + in.Address[:min(len(in.Address), rangeDigits)], p.PerRange}, {"subscribe texts", p.Texts}}
	}
	return nil
}

// left finds one of each allowance, or fails with fault.TooMany.
func (p Subscribing) left(tx *store.Tx, all []allowance) (found []limits.Taking, err error) {
	for _, a := range all {
		t, err := limits.Look(tx, a.key, limits.Rule{N: a.n, Per: day})
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}

// afford takes what a question costs from the day's allowances, or says that one of them is used up. Who asked is not told that: of an address it would say that
// others have asked for it.
func (r *Room) afford(tx *store.Tx, in Subscribe) (bool, error) {
	p := r.Policy.Subscribe
	taking, err := p.left(tx, append(p.shared(in), allowance{"subscribe " + addressOf(in.Channel, in.Address), p.PerAddress}))
	if fault.Of(err) == fault.TooMany {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, t := range taking {
		if err := t.In(tx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// SubscriptionURL is the page of a subscription, which whoever reads its messages has.
func (r *Room) SubscriptionURL(id string) string {
	if r.SignSubscription == nil {
		return r.Vendor.URL + "/subscribe"
	}
	return r.Vendor.URL + "/s/" + r.SignSubscription(suffix(id))
}

// Subscription reads a subscription by the subject of its link. One that has ended is fault.NotFound.
func (r *Room) Subscription(ctx context.Context, subject string) (rec store.Rec[Subscription], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		rec, err = subscribed(tx, subject)
		return err
	})
	return rec, err
}

func subscribed(tx *store.Tx, subject string) (store.Rec[Subscription], error) {
	v, m, err := subscriptions.Get(tx, subscriptions.Prefix+"_"+subject)
	if fault.Of(err) == fault.Invalid {
		err = fault.New(fault.NotFound, "this subscription has ended")
	}
	return store.Rec[Subscription]{Meta: m, Value: v}, err
}

// Wanted is what a subscription is to be about from now on.
type Wanted struct {
	Locale     string
	Components []string
	Incident   string
	Owner      string // of a webhook: the e-mail address that is told when it takes nothing for days; "": nobody is
}

// KeepSubscription confirms a subscription, and changes what it is about. It is what somebody pressed who has the link. One that was paused goes on.
func (r *Room) KeepSubscription(ctx context.Context, subject string, w Wanted) error {
	components, incident, f, err := r.readWanted(ctx, w.Components, w.Incident, nil)
	if err != nil {
		return err
	}
	if w.Owner = strings.TrimSpace(w.Owner); w.Owner != "" {
		if w.Owner, err = r.Book.ParseAddress(ChannelEmail, w.Owner); err != nil {
			f = append(f, wrong("owner", "%s", err))
		}
	}
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return r.DB.Update(ctx, store.Act{By: "public:subscribe", Verb: "subscription.keep"}, func(tx *store.Tx) error {
		rec, err := subscribed(tx, subject)
		if err != nil {
			return err
		}
		tx.On(rec.ID)
		s := rec.Value
		s.Components, s.Incident = components, incident
		s.Locale = r.Words.Match(cmp.Or(w.Locale, s.Locale))
		if s.ConfirmedAt.IsZero() {
			s.ConfirmedAt = tx.Now()
		}
		if s.Hook != nil {
			s.Hook = &Hook{Owner: w.Owner, Secret: s.Hook.Secret} // what was paused goes on
		}
		return subscriptions.Put(tx, rec.ID, s, rec.Version)
	})
}

// EndSubscription ends it for good; one that has ended already is no error. It holds after a restore from before it, too.
func (r *Room) EndSubscription(ctx context.Context, subject string) error {
	return r.DB.Update(ctx, store.Act{By: "public:subscribe", Verb: "subscription.end"}, func(tx *store.Tx) error {
		return endSubscription(tx, subscriptions.Prefix+"_"+subject)
	})
}

// hasEnded says whether a subscription is one no more.
func hasEnded(tx *store.Tx, subject string) (bool, error) {
	_, err := subscribed(tx, subject)
	if fault.Of(err) == fault.NotFound {
		return true, nil
	}
	return false, err
}

const factUnsubscribed = "subscription.ended"

func endSubscription(tx *store.Tx, id string) error {
	_, m, err := subscriptions.Get(tx, id)
	if k := fault.Of(err); k == fault.NotFound || k == fault.Invalid {
		return nil
	}
	if err != nil {
		return err
	}
	tx.On(id)
	if err := subscriptions.Delete(tx, id, m.Version); err != nil {
		return err
	}
	return tx.Journal(factUnsubscribed, id, nil)
}

// endSubscriptionOf ends the subscription of an address, if there is one.
func endSubscriptionOf(tx *store.Tx, channel, address string) error {
	rec, err := subscriptions.First(tx, store.Query{Index: "address", Equal: []any{channel, addressOf(channel, address)}})
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return endSubscription(tx, rec.ID)
}

// Applies is what of this room must hold after a restore from before it.
func Applies() store.Applies {
	return store.Applies{factUnsubscribed: func(tx *store.Tx, f store.Fact, may func(string) bool) (bool, error) {
		_, m, err := subscriptions.Get(tx, f.Of)
		if fault.Of(err) == fault.NotFound || err == nil && !may(f.Of) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return true, subscriptions.Delete(tx, f.Of, m.Version)
	}}
}

// about says whether a subscription is for what is said of an incident ("": of none) and of components, by their ids (none: of all).
func (s Subscription) about(incident string, components []string) bool {
	switch {
	case s.ConfirmedAt.IsZero() || s.Hook.paused():
		return false
	case s.Incident != "" && s.Incident != incident:
		return false
	case len(s.Components) == 0 || len(components) == 0:
		return true
	}
	return slices.ContainsFunc(s.Components, func(id string) bool { return slices.Contains(components, id) })
}

// componentIDs are those of the policy's components that a scope names.
func (p Policy) componentIDs(products []string) (ids []string) {
	for _, c := range p.Components {
		if slices.ContainsFunc(products, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), c.Name) }) {
			ids = append(ids, componentID(c.Group, c.Name))
		}
	}
	return ids
}

// subscribers is the chunk of an expansion for those who subscribed: each once, behind the last one that was done, and without those whom a pass
// before told at the same address.
func (r *Room) subscribers(tx *store.Tx, notice string, n Notice, at cursor, speak func(string) string) (c chunk, err error) {
	incident, components := "", n.Components
	if n.Update != "" {
		u, _, err := updates.Get(tx, n.Update)
		if err != nil {
			return c, err
		}
		incident, components = u.Incident, r.Policy.componentIDs(u.Statement.Scope.Products)
	}
	q := store.Query{}
	if at.Done != "" {
		q.From = at.Done + "\x00"
	}
	c.next = at
	seen := 0
	for rec, err := range subscriptions.Scan(tx, q) {
		if err != nil {
			return c, err
		}
		if seen++; len(c.people) == PageSize || seen > mostPassed {
			return c, nil
		}
		c.next = cursor{Done: rec.ID}
		s := rec.Value
		if !s.about(incident, components) || !slices.Contains(n.sendable(), via(s.Channel)) {
			continue
		}
		told, err := r.toldAlready(tx, notice, s)
		if err != nil {
			return c, err
		}
		if told {
			continue
		}
		c.people = append(c.people, person{
			key:  deliveryKey{Notice: notice, Pass: passSubscribers, Account: "0", Contact: suffix(rec.ID)},
			rows: []Delivery{{Channel: via(s.Channel), Address: s.Address, Locale: speak(s.Locale), State: Queued}},
		})
	}
	c.last = true
	return c, nil
}

// mostPassed is how many subscriptions one transaction of an expansion looks at.
const mostPassed = 4 * PageSize

// toldAlready says whether a contact with a subscription's address has a delivery of the notice to it.
func (r *Room) toldAlready(tx *store.Tx, notice string, s Subscription) (bool, error) {
	if via(s.Channel) == ChannelWebhook { // no contact has one
		return false, nil
	}
	have, err := r.Book.ByAddress(tx, s.Channel, s.Address)
	if err != nil && fault.Of(err) != fault.Invalid {
		return false, err
	}
	for _, who := range have {
		for _, pass := range []int{passApproved, passOthers} {
			k := deliveryKey{Notice: notice, Pass: pass, Account: suffix(who.Value.Account), Contact: suffix(who.ID)}
			for d, err := range deliveries.Scan(tx, under(k.person())) {
				if err != nil {
					return false, err
				}
				if d.Value.Channel == s.Channel && strings.EqualFold(d.Value.Address, s.Address) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// countSubscribers is how many subscriptions an update of an incident on the channels may reach. Which components it will be about may still
// change, so it is the most that it can be.
func countSubscribers(tx *store.Tx, incident string, channels []string) (n int, err error) {
	for rec, err := range subscriptions.Scan(tx, store.Query{}) {
		if err != nil {
			return n, err
		}
		if s := rec.Value; s.about(incident, nil) && slices.Contains(channels, via(s.Channel)) {
			n++
		}
	}
	return n, nil
}

// toSubscriber adds what a subscriber's message has besides: the page on which she changes or ends her subscription, and in the header what ends it with
// one click (RFC 8058).
func (r *Room) toSubscriber(m Message, k deliveryKey, channel string) Message {
	if k.Pass != passSubscribers || channel != ChannelEmail {
		return m
	}
	page := r.SubscriptionURL(subscriptions.Prefix + "_" + k.Contact)
	how := r.Words.Catalog(m.Locale).T("subscribe.yours")
	m.Ending = Ending{Words: how, Link: page}
	if strings.HasPrefix(page, "https://") {
		m.Unsub = page + "/stop"
	}
	return m
}

const subscriptionDuty = "subscriptions"

// OutlivesIncident is how long a subscription to one incident waits after its close, for what is put right afterwards, until it ends by itself.
const OutlivesIncident = 30 * day

// tidySubscriptions deletes subscriptions whose question nobody answered, and ends those to one incident that has been closed for long.
func (r *Room) tidySubscriptions(ctx context.Context, _ hold) error {
	var old []store.Rec[Subscription]
	err := r.DB.View(ctx, func(tx *store.Tx) error {
		old = nil
		for rec, err := range subscriptions.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			over, err := r.over(tx, rec.Value)
			if err != nil {
				return err
			}
			if over && len(old) < PageSize {
				old = append(old, rec)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for subscriptions that are over: %w", err)
	}
	for _, rec := range old {
		act := store.Act{}
		if !rec.Value.ConfirmedAt.IsZero() {
			act = store.Act{By: "system:subscriptions", Verb: "subscription.end", Reason: "its incident has been closed for long"}
		}
		err := r.DB.Update(ctx, act, func(tx *store.Tx) error {
			s, m, err := subscriptions.Get(tx, rec.ID)
			if fault.Of(err) == fault.NotFound {
				return nil
			}
			if err != nil {
				return err
			}
			over, err := r.over(tx, s)
			switch {
			case err != nil || !over: // answered since, or its incident is open again
				return err
			case s.ConfirmedAt.IsZero():
				return subscriptions.Delete(tx, rec.ID, m.Version)
			}
			return endSubscription(tx, rec.ID)
		})
		if err != nil {
			return fmt.Errorf("forget the subscription %s: %w", rec.ID, err)
		}
	}
	return nil
}

// over says whether nobody waits for anything from a subscription any more. Each change of a closed incident lets those to it wait anew.
func (r *Room) over(tx *store.Tx, s Subscription) (bool, error) {
	if s.ConfirmedAt.IsZero() {
		return tx.Now().Sub(s.AskedAt) > r.Policy.Subscribe.Unanswered, nil
	}
	if s.Incident == "" {
		return false, nil
	}
	in, m, err := incidents.Get(tx, s.Incident)
	if fault.Of(err) == fault.NotFound { // its retention has passed
		return true, nil
	}
	return err == nil && in.State == Closed && tx.Now().Sub(m.Updated) > OutlivesIncident, err
}
