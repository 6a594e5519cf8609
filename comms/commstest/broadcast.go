// Package commstest measures an update on its whole way to people: real store, real outbox, real SMTP over loopback.
//
// The sink that takes the mail runs in the same process, on the same cores; so does the bare loop beside which a figure stands.
// Ratios travel to other machines, absolute figures do not.
package commstest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Broadcast is one measure: one update by e-mail to so many people, each the owner of one affected site.
type Broadcast struct {
	Engine      store.Engine // fresh
	Keys        *store.Keys
	People      int
	Connections int           // to the sink; 0: 10
	Away        time.Duration // how long a round trip to the sink takes beyond what the machine needs
	Policy      comms.Policy
	DKIM        email.DKIM                           // how each message is signed, in the bare loop too; zero: not at all
	Sign        func(purpose, subject string) string // signs each person's own link and return address, as a portal does; nil: there are none
	Log         *slog.Logger                         // nil: silence
	Ready       func()                               // called before the clock starts, as to begin a profile; nil: nobody listens
	Told        func()                               // called once the last outcome is recorded, before the bare loop, as to end one; nil: nobody listens

	channel string // by which people are told; "": e-mail
}

// Figures is what came of it.
type Figures struct {
	People   int
	Prepared time.Duration // to import the people and load the affected set: before the clock starts
	Answered time.Duration // the call that publishes
	First    time.Duration // from that call to the first message taken by the sink
	Took     time.Duration // from that call to the last outcome recorded
	CPU      time.Duration // of this process meanwhile, sink and store included
	Bare     time.Duration // as many finished messages of the same size in a bare pipelined loop to the same sink
	BareCPU  time.Duration // of this process meanwhile
	Size     int           // bytes of a message as it travels
}

// Rate is deliveries a second, from the call that publishes to the last outcome recorded.
func (f Figures) Rate() float64 { return float64(f.People) / f.Took.Seconds() }

// BareRate is messages a second in the bare loop.
func (f Figures) BareRate() float64 { return float64(f.People) / f.Bare.Seconds() }

// String is the line that a bench prints.
func (f Figures) String() string {
	perThousand := func(cpu time.Duration) float64 { return cpu.Seconds() * 1000 / float64(f.People) }
	return fmt.Sprintf("%d people in %.1f s: %.0f deliveries/s, %.2f of a bare DATA loop's %.0f/s; answered in %.0f ms, first message after %.0f ms; %.3f CPU-s per 1,000 beside %.3f",
		f.People, f.Took.Seconds(), f.Rate(), f.Rate()/f.BareRate(), f.BareRate(), f.Answered.Seconds()*1000, f.First.Seconds()*1000, perThousand(f.CPU), perThousand(f.BareCPU))
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Kinds is what the store of a Broadcast is opened with.
func Kinds() []store.Kind { return append(contacts.Kinds(), comms.Kinds()...) }

// Run prepares the people, publishes, waits for the last outcome, and then runs the bare loop. It fails when anybody was left out or told
// twice.
func (b Broadcast) Run(ctx context.Context) (f Figures, err error) {
	err = b.Rounds(ctx, 1, func(one Figures) { f = one })
	return f, err
}

// Rounds is Run with so many updates to the same people, one behind the other, each with an outbox, connections and a bare loop of its own.
func (b Broadcast) Rounds(ctx context.Context, rounds int, each func(Figures)) error {
	b.defaults()
	start := time.Now()
	room, incident, err := b.prepare(ctx)
	if err != nil {
		return fmt.Errorf("prepare %d people: %w", b.People, err)
	}
	prepared := time.Since(start)
	for round := range rounds {
		update, err := b.draft(ctx, room, incident, round)
		if err != nil {
			return fmt.Errorf("draft: %w", err)
		}
		f, err := b.round(ctx, room, update)
		if err != nil {
			return err
		}
		f.Prepared = prepared
		each(f)
	}
	return nil
}

// round tells everybody of one update, and then runs the bare loop.
func (b Broadcast) round(ctx context.Context, room *comms.Room, update string) (f Figures, err error) {
	f.People = b.People
	sink, err := smtptest.New(smtptest.Options{Count: true, Away: b.Away})
	if err != nil {
		return f, err
	}
	defer sink.Close() //nolint:errcheck // it counts and keeps nothing
	mail, err := email.Open(email.Config{Relays: []string{sink.URL()}, From: "Status <status@vendor.example>", DKIM: b.DKIM, Connections: b.Connections, Log: b.Log})
	if err != nil {
		return f, err
	}
	defer mail.Close() //nolint:errcheck // all its messages are out
	outbox := &comms.Outbox{Room: room, Channels: map[string]comms.Channel{mail.Name(): mail}, Log: b.Log, Holder: "broadcast"}
	if b.Ready != nil {
		b.Ready()
	}
	used := cpu()
	ended := make(chan error, 1)
	fault.Go(b.Log, "outbox", func() { ended <- outbox.Run(ctx) })
	err = b.publish(ctx, room, update, sink, &f)
	if err = errors.Join(err, outbox.Stop(ctx), <-ended); err != nil {
		return f, err
	}
	f.CPU = cpu() - used
	if b.Told != nil {
		b.Told()
	}
	if sink.Count() != b.People {
		return f, fmt.Errorf("%d messages came to %d people", sink.Count(), b.People)
	}
	f.Size = int(sink.Bytes()) / b.People
	var sign func([]byte) ([]byte, error)
	if b.DKIM != (email.DKIM{}) {
		if sign, err = b.DKIM.Signing(); err != nil {
			return f, err
		}
	}
	used = cpu()
	f.Bare, err = smtptest.Flood(sink.Addr(), b.Connections, b.People, f.Size, sign)
	f.BareCPU = cpu() - used
	return f, err
}

func (b *Broadcast) defaults() {
	if b.Connections == 0 {
		b.Connections = 10
	}
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
	if b.Policy.Workers == 0 {
		b.Policy = comms.DefaultPolicy()
	}
}

// publish publishes and waits for the end.
func (b Broadcast) publish(ctx context.Context, room *comms.Room, update string, sink *smtptest.Server, f *Figures) error {
	start := time.Now()
	if _, err := room.Publish(ctx, "stf_ann", update, comms.PublishOptions{}); err != nil {
		return err
	}
	f.Answered = time.Since(start)
	if err := sink.AwaitCount(ctx, 1); err != nil {
		return err
	}
	f.First = time.Since(start)
	if err := sink.AwaitCount(ctx, b.People); err != nil {
		return err
	}
	err := b.finished(ctx, room, update)
	f.Took = time.Since(start)
	return err
}

// finished waits until the last outcome is recorded: everybody was told.
func (b Broadcast) finished(ctx context.Context, room *comms.Room, update string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		reach, err := room.Reach(ctx, update)
		if err != nil {
			return err
		}
		if reach.Done {
			if reach.States[comms.Sent] != b.People {
				return fmt.Errorf("%d people ended as %v", b.People, reach.States)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// prepare imports the people, declares the incident and loads the affected set.
func (b Broadcast) prepare(ctx context.Context) (room *comms.Room, incident string, err error) {
	db, err := store.Open(ctx, b.Engine, store.Options{Keys: b.Keys, Kinds: Kinds()})
	if err != nil {
		return nil, "", err
	}
	words, err := templates.Load("")
	if err != nil {
		return nil, "", err
	}
	room = &comms.Room{DB: db, Words: words, Policy: b.Policy, Log: b.Log,
		Book:   &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: b.Log},
		Vendor: templates.Vendor{Name: "Vendor", URL: "https://status.vendor.example", Support: "https://status.vendor.example/support"}, SignSites: b.Sign, Returns: comms.Returns{Local: "bounce", Domain: "status.vendor.example", Sign: b.Sign}}
	report, err := room.Book.Import(ctx, "stf_ann", b.lines("account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at", func(w io.Writer, i int) {
		phone := ""
		if b.channel == comms.ChannelSMS {
			phone = fmt.Sprintf("+4930%08d", i)
		}
		fmt.Fprintf(w, "Customer %[1]d,A-%[1]d,Site %[1]d,S-%[1]d,Owner %[1]d,owner,owner%[1]d@c%[1]d.example,%[2]s,%[3]s,2022-04-01\n", i, phone, []string{"en", "ja", "zh-CN"}[i%3])
	}), contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
	if err != nil || report.RejectedRows > 0 {
		return nil, "", fmt.Errorf("import: %d rows refused, %w", report.RejectedRows, err)
	}
	in, err := room.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		return nil, "", err
	}
	if _, err := room.LoadAffected(ctx, "stf_ann", in.ID, comms.CSV, b.lines("site_id", func(w io.Writer, i int) { fmt.Fprintf(w, "S-%d\n", i) }), false); err != nil {
		return nil, "", err
	}
	return room, in.ID, nil
}

// draft drafts and approves an update that says something new.
func (b Broadcast) draft(ctx context.Context, room *comms.Room, incident string, round int) (update string, err error) {
	said := b.Statement(room.DB.Now())
	if round > 0 {
		said.Known = append(said.Known, fmt.Sprintf("The backups of group %d are whole.", round))
	}
	draft, _, err := room.Draft(ctx, "stf_ann", incident, said, nil)
	if err != nil {
		return "", err
	}
	_, err = room.Approve(ctx, "stf_bob", draft.ID)
	return draft.ID, err
}

// lines is a file with one line per person.
func (b Broadcast) lines(head string, line func(w io.Writer, i int)) io.Reader {
	var file bytes.Buffer
	fmt.Fprintln(&file, head)
	for i := range b.People {
		line(&file, i)
	}
	return &file
}

// Statement is what the people are told.
func (b Broadcast) Statement(now time.Time) templates.Statement {
	most := templates.Span(5 * time.Minute)
	return templates.Statement{
		Phase: comms.Identified, Headline: "A script deleted sites", WhatHappened: "A maintenance script deleted the sites of some customers.", YourAction: "nothing",
		Scope:    templates.Scope{Products: []string{"Wiki"}, Regions: []string{"all"}, Text: "Sites in the cloud."},
		Affected: templates.Affected{Who: "A site that cannot be opened.", Sites: templates.Known(b.People), Customers: templates.Known(b.People), Status: "estimate", Confidence: "medium"},
		Timeline: templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: templates.NotKnown}},
		DataLoss: templates.DataLoss{Kind: "at_most", AtMost: &most, Confidence: "medium"},
		Known:    []string{"The list of sites is held."}, Unknown: []string{"How long each site takes."},
		NextUpdateBy: templates.Moment{At: now.Add(time.Hour)}, Audience: comms.AudienceAffected,
		Channels: []string{cmp.Or(b.channel, comms.ChannelEmail), comms.ChannelPage}, Locales: []string{"en", "zh-CN", "ja"},
	}
}
