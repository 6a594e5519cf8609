package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/sms"
	"lifeline/comms/webhook"
	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/blob"
	"lifeline/store/bolt"
	"lifeline/store/limit"
	"lifeline/store/postgres"
	"lifeline/templates"
)

// house is every room of one process, wired. This is the only place that names engines and channels.
type house struct {
	cfg      config
	log      *slog.Logger
	metrics  *prometheus.Registry
	engine   store.Engine
	db       *store.DB
	words    *templates.Set
	book     *contacts.Book
	changes  *contacts.Changes
	comms    *comms.Room
	desk     *desk.Desk
	gate     *auth.Gate
	outbox   *comms.Outbox
	press    *page.Press
	page     *page.Server
	keeper   *page.Keeper // nil: nothing is served
	portal   *portal.Portal
	channels map[string]comms.Channel
	backups  *backup.Backups // nil: none are taken, for nobody could open them
	living   context.Context // ends when background work must
	demo     bool
}

// kinds is every kind of record that this binary keeps.
func kinds() []store.Kind {
	var all []store.Kind
	for _, some := range [][]store.Kind{contacts.Kinds(), contacts.ChangeKinds(), comms.Kinds(), desk.Kinds(), auth.Kinds(), limit.Kinds(), blob.Kinds()} {
		all = append(all, some...)
	}
	return all
}

// build opens the store and wires the rooms. Clock is the domain's; nil is the wall clock.
func build(ctx context.Context, cfg config, log *slog.Logger, clock store.Clock) (h *house, err error) {
	h = &house{cfg: cfg, log: log, metrics: prometheus.NewRegistry(), living: context.WithoutCancel(ctx)}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	keyDir := absolute(cfg.get("LIFELINE_KEYS"))
	keys, fresh, err := h.openStore(ctx)
	if err != nil {
		return h, err
	}
	if !fresh {
		if err := h.prepare(ctx, keys); err != nil {
			return h, err
		}
	}
	o := store.Options{Keys: keys, Kinds: kinds(), Clock: clock}
	if cfg.replicas() {
		o.Others = othersLearn
	}
	if h.db, err = store.Open(ctx, h.engine, o); err != nil {
		return h, err
	}
	if err := h.stand(ctx); err != nil {
		return h, err
	}
	if h.words, err = templates.Load(cfg.get("LIFELINE_TEMPLATES")); err != nil {
		return h, fmt.Errorf("LIFELINE_TEMPLATES: %w", err)
	}
	if err := h.wire(keyDir); err != nil {
		return h, err
	}
	if h.backups, err = h.openBackups(); err != nil {
		return h, err
	}
	return h, h.openChannels()
}

func (h *house) openEngine(ctx context.Context, dir string) error {
	where := h.cfg.get("LIFELINE_STORE")
	if where == "bolt:" {
		e, err := bolt.Open(h.cfg.storeFile(), bolt.Options{Log: h.log})
		if err != nil {
			return err
		}
		h.engine = e
		return nil
	}
	e, err := postgres.Open(ctx, where, postgres.Options{Log: h.log})
	if err != nil {
		return fmt.Errorf("LIFELINE_STORE: %w", err)
	}
	h.engine = e
	for _, unsafe := range e.Unsafe(ctx) {
		h.log.Warn("the database is not safe for acknowledged data", "why", unsafe)
	}
	if why := e.Unreplicated(ctx); why != "" {
		h.log.Warn("the database is not replicated", "why", why)
	}
	return nil
}

// stand looks whether the store lies where it lay when it was last opened; one that was copied or moved sends nothing until somebody says so.
func (h *house) stand(ctx context.Context) error {
	file, ok := h.engine.(interface{ Place() string })
	if !ok { // a database's copy is its administrator's affair
		return nil
	}
	copied, err := h.db.Stand(ctx, file.Place())
	if copied {
		h.log.Warn("THIS STORE WAS COPIED OR MOVED: nothing is sent until somebody looked; lifeline backup release --reason ...")
	}
	return err
}

// applies is who lets what is newer than a backup hold again.
func applies() store.Applies {
	all := store.Applies{}
	for _, some := range []store.Applies{contacts.Applies(), comms.Applies(), auth.Applies(), desk.Applies()} {
		maps.Copy(all, some)
	}
	return all
}

// owners is whose the records are that come back with an account.
func owners() map[string]store.Owner {
	all := contacts.Owners()
	maps.Copy(all, desk.Owners())
	maps.Copy(all, desk.FileOwners())
	return all
}

func (h *house) wire(keyDir string) error {
	vendor := templates.Vendor{Name: h.cfg.get("LIFELINE_VENDOR"), URL: h.cfg.url, Support: h.cfg.url + "/support",
		Phone: h.cfg.get("LIFELINE_SUPPORT_PHONE"), Zone: h.cfg.get("LIFELINE_TIME_ZONE")}
	h.book = &contacts.Book{DB: h.db, Policy: h.cfg.policy.Contacts, Log: h.log, Spool: absolute(h.cfg.get("LIFELINE_DATA"))}
	h.comms = &comms.Room{DB: h.db, Book: h.book, Words: h.words, Policy: h.cfg.policy.Comms, Vendor: vendor, Barred: h.cfg.barred(), Log: h.log}
	h.book.Found = h.comms.Found
	h.desk = &desk.Desk{DB: h.db, Book: h.book, Comms: h.comms, Policy: h.cfg.policy.Desk, Log: h.log,
		Short: func() bool { _, short := room(absolute(h.cfg.get("LIFELINE_DATA"))); return short }}
	h.desk.Refused = desk.NewRefusals()
	h.metrics.MustRegister(h.desk.Refused)
	h.desk.LookupTXT = (&net.Resolver{PreferGo: true}).LookupTXT
	key, err := auth.OpenKey(keyDir, true)
	if err != nil {
		return err
	}
	h.comms.Also, h.comms.Follow, h.comms.Tidings = h.desk.Duties(), h.desk.FollowMove, h.desk.TellMoves
	h.comms.Deeds, h.comms.Kept = h.desk.Deeds(), h.desk.Kept
	h.gate = &auth.Gate{DB: h.db, Key: key, Issuer: h.cfg.url, Log: h.log, Granted: h.granted, Glass: h.glass, Copied: h.copied, Owner: h.wayIn, Single: h.cfg.single, URL: h.cfg.url}
	h.desk.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
	h.comms.SignSites = key.SignLink
	h.comms.SignSubscription = func(subject string) string { return key.SignLink(portal.LinkSubscription, subject) }
	h.press = &page.Press{Words: h.words, Vendor: vendor, Dir: h.cfg.pageDir(), Log: h.log, Sign: key.SignPage, Look: h.cfg.look}
	h.comms.Payload = h.press.Payload
	h.page = &page.Server{Live: &page.Live{}}
	bucket, err := h.cfg.pageBucket()
	if err != nil {
		return fmt.Errorf("LIFELINE_PAGE_BUCKET: %w", err)
	}
	if bucket != nil {
		bucket.Server, bucket.Sign, bucket.Trouble, bucket.Log = h.page, key.SignPage, h.bucketTrouble, h.log
		h.comms.Also = append(h.comms.Also, comms.Duty{Name: "page_bucket", Every: bucketEvery, Turn: bucket.Turn})
	}
	h.book.Merging, h.book.Lost = h.desk.Merging(), h.desk.Bounced
	h.changes = &contacts.Changes{DB: h.db, Verbs: slices.Concat(h.book.ChangeVerbs(), h.desk.ChangeVerbs(), portal.StaffVerbs(h.gate, h.promoting)), Log: h.log, Behind: make(chan string, 64)}
	h.book.Changes = h.changes
	h.portal = &portal.Portal{DB: h.db, Book: h.book, Changes: h.changes, Secrets: h.cfg.secrets, Comms: h.comms, Desk: h.desk, Gate: h.gate, Words: h.words, Page: h.page, Press: h.press, Log: h.log,
		Metrics: h.metrics, URL: h.cfg.url, Trusted: h.cfg.trusted, Sending: h.sending, Degraded: h.degraded, Operator: h.operator()}
	h.comms.Staffed, h.comms.Rostered, h.comms.Cleared = h.portal.Staffed, h.desk.Rostered, h.portal.Cleared
	return nil
}

// openChannels opens what is configured; a channel that is not configured is absent, and its deliveries wait.
func (h *house) openChannels() error {
	h.channels = map[string]comms.Channel{}
	if relays := strings.Fields(h.cfg.get("LIFELINE_SMTP")); len(relays) > 0 {
		m, err := email.Open(email.Config{Relays: relays, From: h.cfg.sender(), Log: h.log, DKIM: h.cfg.dkim()})
		if err != nil {
			return fmt.Errorf("LIFELINE_SMTP: %w", err)
		}
		h.channels["email"] = m
	}
	if provider := h.cfg.get("LIFELINE_TWILIO"); provider != "" {
		s, err := sms.Open(sms.Config{URL: provider, Log: h.log})
		if err != nil {
			return fmt.Errorf("LIFELINE_TWILIO: %w", err)
		}
		h.channels["sms"] = s
		if u, err := url.Parse(provider); err == nil && u.User != nil {
			token, _ := u.User.Password()
			h.portal.Callback = portal.Callback{
				Valid: func(full string, form url.Values, signature string) bool {
					return sms.ValidSignature(token, full, form, signature)
				},
				Status: sms.Status, Inbound: sms.Inbound, Answer: sms.Answer,
			}
		}
	}
	// Without LIFELINE_ALLOW: strangers name where these go. Who subscribed is told also once nobody new is asked.
	h.channels[comms.ChannelWebhook] = webhook.Open(webhook.Config{Ports: h.cfg.policy.Comms.Subscribe.Ports, Log: h.log})
	h.openInbox()
	h.comms.Asking = h.asking()
	h.press.Senders = slices.DeleteFunc([]string{h.comms.Asking.From, h.comms.Asking.Number}, func(s string) bool { return s == "" })
	host, _ := os.Hostname() // an empty name is made up for below
	h.outbox = &comms.Outbox{Room: h.comms, Channels: h.channels, Log: h.log, Metrics: h.metrics, Holder: fmt.Sprintf("%s/%d", host, os.Getpid())}
	return nil
}

// asking is what campaigns need: links that the portal knows as its own, and as whom we write.
func (h *house) asking() comms.Asking {
	a := comms.Asking{
		Sign: func(subject string) string { return h.gate.Key.SignLink(portal.LinkConfirm, subject) },
		Live: func(channel string) bool { c := h.channels[channel]; return c != nil && c.Live() },
	}
	if from, err := mail.ParseAddress(h.cfg.get("LIFELINE_MAIL_FROM")); err == nil {
		a.From = from.Address
	}
	if provider, err := url.Parse(h.cfg.get("LIFELINE_TWILIO")); err == nil {
		a.Number = provider.Query().Get("from") // a service has many numbers, and none to name
	}
	return a
}

func (h *house) sending() portal.Sending {
	say := func(name string) string {
		switch c := h.channels[name]; {
		case c == nil:
			return "off"
		case c.Live():
			return "live"
		}
		return "file"
	}
	return portal.Sending{Email: say("email"), SMS: say("sms"), Demo: h.demo}
}

// close closes what was opened, last first.
func (h *house) close() {
	for name, c := range h.channels {
		if err := c.Close(); err != nil {
			h.log.Warn("channel did not close cleanly", "channel", name, "err", err)
		}
	}
	var err error
	if h.db != nil {
		err = h.db.Close()
	} else if h.engine != nil {
		err = h.engine.Close()
	}
	if err != nil {
		h.log.Warn("store did not close cleanly", "err", err)
	}
}
