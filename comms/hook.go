package comms

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
	"lifeline/templates"
)

// A webhook is an address of the web at which a subscriber is told: a program of hers, or the incoming webhook of a chat. It proves itself as every address
// does, by the link in the first message, or by answering the challenge in it. What it gets is told apart by its sort; all go by one channel.

// The sorts of webhooks, which are channels to whoever subscribes.
const (
	hookProgram = ChannelWebhook
	hookSlack   = templates.Slack
	hookTeams   = templates.Teams
)

var hookSorts = []string{hookProgram, hookSlack, hookTeams}

// via is the channel by which a subscription is told.
func via(channel string) string {
	if slices.Contains(hookSorts, channel) {
		return ChannelWebhook
	}
	return channel
}

// Hook is what a subscription by webhook has besides.
type Hook struct {
	Owner    string    `json:"owner,omitempty"` // e-mail address that is told when it is paused; "": nobody is
	Secret   string    `json:"secret"`          // whsec_ and base64: what is posted is signed with it
	Failures int       `json:"failures,omitempty"`
	Since    time.Time `json:"since,omitzero"`     // when the first of Failures was
	PausedAt time.Time `json:"paused_at,omitzero"` // zero: it is told
}

func (h *Hook) paused() bool { return h != nil && !h.PausedAt.IsZero() }

func newSecret() string {
	key := make([]byte, 24)
	_, _ = rand.Read(key) // it never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

func (in Subscribe) hook() *Hook {
	if via(in.Channel) != ChannelWebhook {
		return nil
	}
	return &Hook{Secret: newSecret()}
}

// readHook reads the address of a webhook. Whether its host may be dialled is only known when it is.
func (r *Room) readHook(f []fault.Field, s string) (string, []fault.Field) {
	if len(s) > 1000 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7F }) {
		return s, append(f, wrong("address", "is no address of a webhook"))
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || !strings.Contains(u.Hostname(), ".") {
		return s, append(f, wrong("address", "must begin with https:// and the name of a host, without a login"))
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return s, append(f, wrong("address", "must name a host and not a number"))
	}
	port := 443
	if p := u.Port(); p != "" {
		port, _ = strconv.Atoi(p) // what is no number is no port of ours
	}
	if !slices.Contains(r.Policy.Subscribe.Ports, port) {
		return s, append(f, wrong("address", "is at port %d, to which nothing is posted", port))
	}
	u.Host, u.Fragment, u.RawFragment = strings.ToLower(u.Host), "", ""
	return u.String(), f
}

func hookHost(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// NewSecret gives the webhook of a subscription another secret; what is posted from now on is signed with it. Nobody is shown it again.
func (r *Room) NewSecret(ctx context.Context, subject string) (secret string, err error) {
	err = r.turnHook(ctx, subject, "subscription.secret", func(tx *store.Tx, id string, s Subscription) (Subscription, error) {
		hook := *s.Hook
		secret = newSecret()
		hook.Secret = secret
		s.Hook = &hook
		return s, nil
	})
	return secret, err
}

// mostTests is how many posts somebody may try in a day.
const mostTests = 20

// TestSubscription posts a message to a webhook, by which its owner sees whether it arrives.
func (r *Room) TestSubscription(ctx context.Context, subject string) error {
	if err := limits.Take(ctx, r.DB, "subscription test "+subject, mostTests, day); err != nil {
		return err
	}
	return r.turnHook(ctx, subject, "subscription.test", func(tx *store.Tx, id string, s Subscription) (Subscription, error) {
		return s, r.tellSubscriber(tx, id, s, templates.Subscribe{On: true, Test: true})
	})
}

func (r *Room) turnHook(ctx context.Context, subject, verb string, turn func(*store.Tx, string, Subscription) (Subscription, error)) error {
	return r.DB.Update(ctx, store.Act{By: "public:subscribe", Verb: verb}, func(tx *store.Tx) error {
		rec, err := subscribed(tx, subject)
		switch {
		case err != nil:
			return err
		case rec.Value.Hook == nil || rec.Value.ConfirmedAt.IsZero():
			return fault.New(fault.Conflict, "this subscription has no webhook that wants to be told")
		}
		tx.On(rec.ID)
		s, err := turn(tx, rec.ID, rec.Value)
		if err != nil {
			return err
		}
		return subscriptions.Put(tx, rec.ID, s, rec.Version)
	})
}

// echoed confirms a subscription whose webhook has answered the challenge.
func (r *Room) echoed(ctx context.Context, id string) error {
	return asItWas(r.DB.Update(ctx, store.Act{By: "public:subscribe", Verb: "subscription.keep", Reason: "the webhook answered its challenge"}, func(tx *store.Tx) error {
		s, m, err := subscriptions.Get(tx, id)
		switch {
		case fault.Of(err) == fault.NotFound || err == nil && !s.ConfirmedAt.IsZero():
			return errAsItWas
		case err != nil:
			return err
		}
		tx.On(id)
		s.ConfirmedAt = tx.Now()
		return subscriptions.Put(tx, id, s, m.Version)
	}))
}

// receiver is the subscription whose webhook a delivery goes to. One that has ended is fault.NotFound.
func (r *Room) receiver(ctx context.Context, n Notice, key string) (id string, s Subscription, err error) {
	if id = n.Subscription; id == "" {
		k, err := parseKey(key)
		if err != nil {
			return "", s, err
		}
		id = subscriptions.Prefix + "_" + k.Contact
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		s, _, err = subscriptions.Get(tx, id)
		return err
	})
	if err == nil && s.Hook == nil {
		err = fault.New(fault.NotFound, "this subscription has no webhook")
	}
	return id, s, err
}

// toReceiver makes what is posted. For a program, what every receiver gets stands beside what is hers alone: the page on which she ends it.
func (r *Room) toReceiver(m Message, n Notice, id string, s Subscription) (Message, error) {
	if s.Channel != hookProgram {
		return m, nil
	}
	m.Secret = s.Hook.Secret
	head := hookHead{Type: "message." + n.Name, Meta: hookMeta{Unsubscribe: r.SubscriptionURL(id), Documentation: r.Vendor.URL + "/api/v1/openapi.json", GeneratedAt: r.DB.Now().UTC()}}
	switch {
	case n.Name == nameUpdate:
		head.Type = "incident.update"
	case n.Name == templates.MsgSubscribe && s.ConfirmedAt.IsZero():
		_, token, _ := strings.Cut(r.SubscriptionURL(id), "/s/")
		m.Challenge = cmp.Or(token, suffix(id))
		head.Type, head.Challenge, head.ConfirmURL = "subscription.challenge", m.Challenge, head.Meta.Unsubscribe
	case n.Name == templates.MsgSubscribe:
		head.Type = "subscription.message"
	}
	b, err := json.Marshal(head)
	if err != nil {
		return m, err
	}
	m.Text = string(b[:len(b)-1]) + "," + strings.TrimPrefix(m.Text, "{")
	return m, nil
}

// hookHead is what a program reads first.
type hookHead struct {
	Type       string   `json:"type"`
	Challenge  string   `json:"challenge,omitempty"`   // to be answered as it is, or as the only field of an object, by whoever wants to be told
	ConfirmURL string   `json:"confirm_url,omitempty"` // or opened here by a person
	Meta       hookMeta `json:"meta"`
}

type hookMeta struct {
	Unsubscribe   string    `json:"unsubscribe"`
	Documentation string    `json:"documentation"`
	GeneratedAt   time.Time `json:"generated_at"`
}

// hookText is a message that is no update, as a program reads it.
type hookText struct {
	Locale string          `json:"locale"`
	Title  string          `json:"title"`
	Text   string          `json:"text"`
	Data   json.RawMessage `json:"data"`
}

// hookMessage puts a message that is no update into the form of a program.
func (r *Room) hookMessage(n Notice, locale string) (w wording, err error) {
	mail, err := r.message(n, ChannelEmail, locale)
	if err != nil {
		return w, err
	}
	b, err := json.Marshal(hookText{Locale: locale, Title: mail.subject, Text: strings.TrimSpace(mail.text), Data: n.Data})
	w.text = string(b)
	return w, err
}

// hookUpdate puts an update into the form of a program: what the page's own interface says of the incident, and all facts of the update.
func (r *Room) hookUpdate(ctx context.Context, n Notice, locale string) (w wording, err error) {
	u, err := r.Facts(ctx, n.Update)
	if err != nil {
		return w, err
	}
	public, err := r.Public(ctx)
	if err != nil {
		return w, err
	}
	w.drill = u.Drill
	w.text, err = r.payload(public, u, locale)
	return w, err
}

// payload is what a program reads of an update.
func (r *Room) payload(public Public, u templates.Update, locale string) (string, error) {
	if r.Payload == nil {
		return "", fault.New(fault.Internal, "nothing makes what programs read of an update")
	}
	b, err := r.Payload(public, u, locale)
	if err != nil {
		return "", fmt.Errorf("make what programs read of update %s: %w", u.ID, err)
	}
	return string(b), nil
}

// heard keeps of a subscriber's webhook whether it takes what is sent. One that took nothing for days is paused, and its owner told.
func (r *Room) heard(tx *store.Tx, key string, state State) error {
	k, err := parseKey(key)
	if err != nil || k.Channel != ChannelWebhook || k.Pass != passSubscribers {
		return err
	}
	id := subscriptions.Prefix + "_" + k.Contact
	s, m, err := subscriptions.Get(tx, id)
	if fault.Of(err) == fault.NotFound || err == nil && s.Hook == nil {
		return nil
	}
	if err != nil {
		return err
	}
	hook := *s.Hook
	switch {
	case state == Sent && hook.Failures > 0:
		hook.Failures, hook.Since = 0, time.Time{}
	case state == Failed && !hook.paused():
		if hook.Failures++; hook.Failures == 1 {
			hook.Since = tx.Now()
		}
		if p := r.Policy.Subscribe; hook.Failures >= p.PauseAfter && tx.Now().Sub(hook.Since) >= p.PauseOver {
			hook.PausedAt = tx.Now()
			if err := r.tellOwner(tx, id, s); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	s.Hook = &hook
	return subscriptions.Put(tx, id, s, m.Version)
}

// tellOwner mails the owner of a webhook that nothing is tried there any more.
func (r *Room) tellOwner(tx *store.Tx, id string, s Subscription) error {
	if s.Hook.Owner == "" {
		return nil
	}
	return r.tellSubscriber(tx, id, Subscription{Channel: ChannelEmail, Address: s.Hook.Owner, Locale: s.Locale}, templates.Subscribe{On: true, Paused: true})
}
