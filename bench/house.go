package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeline/comms"
	"lifeline/comms/commstest"
	"lifeline/comms/email"
	"lifeline/comms/email/smtptest"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// full is a house that was filled.
type full struct {
	Incident string
	Number   string // of an open ticket
	Accounts []string
	Update   string // that everybody was sent
	Check    string // that waits
	Task     string // of an escalation

	Open, Closed, Sites int
}

// ticket is the i-th of the house: two in three hang on an account, a tenth of those on one that writes a great deal; one in three waits in the incident's queue.
func (f full) ticket(i int, at time.Time, closed bool) desk.Filled {
	t := desk.Ticket{Name: fmt.Sprintf("Writer%d", i%1000), Email: fmt.Sprintf("p@mail-%d.example", i), Company: fmt.Sprintf("Customer %d", i%5000), Impact: desk.LostAccess, Locale: "en", Route: "web",
		Priority: []string{"P0", "P1", "P2", "P3"}[i%4], State: desk.New, FiledAt: at}
	switch {
	case i%3 == 0:
		t.Incident = f.Incident
	case i%10 == 1:
		t.Account = f.Accounts[0]
	default:
		t.Account = f.Accounts[i%len(f.Accounts)]
	}
	if i%7 == 0 {
		t.Labels = []string{"board"}
	}
	if i%2 == 0 {
		t.AnswerAt = at.Add(time.Duration(1+i%180) * time.Minute)
	}
	if closed {
		t.State, t.AnswerAt = desk.Closed, at.Add(time.Duration(1+i%180)*time.Minute)
	}
	return desk.Filled{Ticket: t, Words: "Our site is gone and we have a release on Thursday."}
}

// fill fills a house: a book of customers, an incident that has sites of theirs in every state, and tickets of the last days and, closed, of the last two years.
func (b bench) fill(ctx context.Context, d *desk.Desk) (f full, err error) {
	var book, set, moves bytes.Buffer
	f.Open, f.Closed, f.Sites = b.open, b.closed, b.sites
	fmt.Fprintln(&book, "account,account_id,site,site_id,name,role,email")
	fmt.Fprintln(&set, "site_id")
	for i := range b.sites {
		fmt.Fprintf(&book, "Customer %d,A-%d,Site %d,S-%d,Owner,owner,owner@c%d.example\n", i, i, i, i, i)
		fmt.Fprintf(&set, "S-%d\n", i)
		if i%2 == 0 {
			fmt.Fprintf(&moves, "{\"site_id\":\"S-%d\",\"state\":\"rebuilt\",\"batch\":\"%d\"}\n", i, i/60)
		}
	}
	if _, err := d.Book.Import(ctx, "system:bench", &book, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		return f, err
	}
	in, err := d.Comms.Declare(ctx, "system:bench", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		return f, err
	}
	f.Incident = in.ID
	if _, err := d.Comms.LoadAffected(ctx, "system:bench", in.ID, comms.CSV, &set, false); err != nil {
		return f, err
	}
	if _, err := d.Comms.MoveSites(ctx, comms.Mover{By: "system:bench"}, in.ID, &moves); err != nil {
		return f, err
	}
	if err := d.FollowSites(ctx); err != nil {
		return f, err
	}
	if err := d.DB.View(ctx, func(tx *store.Tx) error {
		f.Accounts = nil
		for i := range min(b.sites, 5000) {
			a, err := d.Book.Account(tx, fmt.Sprintf("A-%d", i))
			if err != nil {
				return err
			}
			f.Accounts = append(f.Accounts, a.ID)
		}
		return nil
	}); err != nil {
		return f, err
	}
	if err := b.furnish(ctx, d, &f); err != nil {
		return f, err
	}
	now := d.DB.Now()
	for _, part := range []struct {
		n      int
		closed bool
		over   time.Duration
	}{{b.closed, true, 2 * 365 * 24 * time.Hour}, {b.open, false, 3 * 24 * time.Hour}} {
		for from := 0; from < part.n; from += fillAtOnce {
			var all []desk.Filled
			for i := from; i < min(from+fillAtOnce, part.n); i++ {
				back := time.Duration(float64(part.over) * float64(part.n-i) / float64(part.n))
				all = append(all, f.ticket(i, now.Add(-back-4*time.Hour), part.closed))
			}
			numbers, err := d.Fill(ctx, "system:bench", all)
			if err != nil {
				return f, err
			}
			f.Number = numbers[0]
		}
	}
	return f, nil
}

// staffed is how many people have an account, and calls how many escalations wait.
const (
	staffed = 450
	calls   = 500
)

// furnish puts into the house what lies beside its tickets: staff on a rota, an update that everybody at an affected site was sent, escalations, official answers and
// planned work.
func (b bench) furnish(ctx context.Context, d *desk.Desk, f *full) error {
	gate := &auth.Gate{DB: d.DB, Log: d.Log}
	var people []auth.Newcomer
	for i := range staffed {
		people = append(people, auth.Newcomer{Name: fmt.Sprintf("Engineer %d", i), Profile: auth.Profile{Email: fmt.Sprintf("e%d@vendor.example", i), Roles: []auth.Role{auth.Engineer}}})
	}
	invited, err := gate.AddStaff(ctx, auth.OperatorID, d.Comms.Vendor.URL, people)
	if err != nil {
		return err
	}
	var crew []string
	for _, p := range invited {
		crew = append(crew, p.ID)
	}
	now := d.DB.Now()
	for i, name := range []string{"Asia", "Europe", "America"} {
		if _, err := d.PutRota(ctx, auth.OperatorID, "", 0, desk.Rota{Name: name, Role: "engineer", Zone: "UTC", From: now.AddDate(0, 0, -3).Format(time.DateOnly),
			Shifts: []desk.Shift{{Name: "day", From: "00:00", To: "12:00", Crew: crew[i*100 : i*100+50], Turn: 1}, {Name: "night", From: "12:00", To: "00:00", Crew: crew[i*100+50 : i*100+100], Turn: 1}}}); err != nil {
			return err
		}
	}
	for i := range calls {
		out, err := d.Escalate(ctx, "system:bench", desk.Heard{Route: desk.EscalationRoutes()[i%6], Words: "Her board asks when the site is back.", Name: fmt.Sprintf("Caller %d", i), Account: fmt.Sprintf("A-%d", i%b.sites), Incident: f.Incident})
		if err != nil {
			return err
		}
		f.Task = out.Task
	}
	for i := range 200 {
		a, err := d.Comms.DraftAnswer(ctx, "stf_ann", "", 0, "", comms.AnswerWords{Locale: "en", Question: fmt.Sprintf("Is my site %d safe?", i), Text: "Your data lies in two places, and neither was touched."})
		if err == nil && i%2 == 0 {
			_, err = d.Comms.ApproveAnswer(ctx, "stf_bob", a.ID, a.Version)
		}
		if err != nil {
			return err
		}
	}
	for i := range 50 {
		from := now.Add(time.Duration(i+1) * 24 * time.Hour)
		if _, err := d.Comms.PlanMaintenance(ctx, "stf_ann", comms.Plan{PlanWords: comms.PlanWords{Title: fmt.Sprintf("Work %d", i), Text: "Sites may be slow."}, Components: []string{d.Comms.Policy.Components[0].Name}, From: from, Until: from.Add(time.Hour)}); err != nil {
			return err
		}
	}
	page, _, err := d.ListChecks(ctx, desk.CheckFilter{Incident: f.Incident, State: desk.CheckQueued, Limit: 1})
	if err != nil || len(page) == 0 {
		return errors.Join(err, errors.New("no site waits to be checked"))
	}
	f.Check = page[0].ID
	return b.told(ctx, d, f)
}

// told sends an update to everybody at an affected site, and waits for the last outcome.
func (b bench) told(ctx context.Context, d *desk.Desk, f *full) error {
	draft, _, err := d.Comms.Draft(ctx, "stf_ann", f.Incident, commstest.Broadcast{People: b.sites}.Statement(d.DB.Now()), nil)
	if err != nil {
		return err
	}
	if _, err := d.Comms.Approve(ctx, "stf_bob", draft.ID); err != nil {
		return err
	}
	f.Update = draft.ID
	sink, err := smtptest.New(smtptest.Options{Count: true})
	if err != nil {
		return err
	}
	defer sink.Close() //nolint:errcheck // it counts and keeps nothing
	mail, err := email.Open(email.Config{Relays: []string{sink.URL()}, From: "Status <status@vendor.example>", Log: d.Log})
	if err != nil {
		return err
	}
	defer mail.Close() //nolint:errcheck // all its messages are out
	if _, err := d.Comms.Publish(ctx, "stf_ann", draft.ID, comms.PublishOptions{}); err != nil {
		return err
	}
	outbox := &comms.Outbox{Room: d.Comms, Channels: map[string]comms.Channel{mail.Name(): mail}, Log: d.Log, Holder: "bench"}
	ended := make(chan error, 1)
	fault.Go(d.Log, "outbox", func() { ended <- outbox.Run(ctx) })
	for done := false; !done && err == nil; time.Sleep(50 * time.Millisecond) {
		var r comms.Reach
		r, err = d.Comms.Reach(ctx, draft.ID)
		done = r.Done
	}
	return errors.Join(err, outbox.Stop(ctx), <-ended)
}

// filled is a filled house: that of an earlier run, where its directory was named, else a new one.
func (b bench) filled(ctx context.Context, engine string, d *desk.Desk) (f full, err error) {
	if b.house == "" {
		return b.fill(ctx, d)
	}
	name := filepath.Join(b.house, "house-"+engine+".json")
	kept, err := os.ReadFile(name)
	if err == nil {
		return f, json.Unmarshal(kept, &f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if f, err = b.fill(ctx, d); err != nil {
		return f, err
	}
	if kept, err = json.Marshal(f); err != nil {
		return f, err
	}
	return f, os.WriteFile(name, kept, 0o600)
}
