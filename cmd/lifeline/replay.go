package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/templates"
)

//go:embed april2022
var april embed.FS

// replayClock is the domain's clock in a replay: it stands at the event that is being replayed, and runs on from the last one.
type replayClock struct {
	mu    sync.Mutex
	at    time.Time
	since time.Time // wall time from which it runs; zero: it stands
}

func newReplayClock(at time.Time) *replayClock { return &replayClock{at: at} }

// Now is the domain's time.
func (c *replayClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.at
	}
	return c.at.Add(time.Since(c.since))
}

// set moves the clock forward to t; it never goes back.
func (c *replayClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.at) {
		c.at = t
	}
}

func (c *replayClock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
}

// point is one recorded moment, as known then (april2022_updates.jsonl; the absent keys keep their last value).
type point struct {
	At       time.Time `json:"at"`
	Phase    string    `json:"phase"`
	What     string    `json:"what"`
	Affected *struct {
		Sites, Customers templates.Count
		Status, Note     string
		Confidence       string
		Correction       string
	} `json:"affected"`
	Timeline *struct {
		Kind, Text, Confidence string
		Inferred               bool
		FullScopeBy            templates.Moment `json:"full_scope_by"`
	} `json:"timeline"`
	DataLoss *struct {
		Kind, Text, Confidence string
		AtMost                 *templates.Span `json:"at_most"`
	} `json:"data_loss"`
	Security string   `json:"security_cause"`
	Unknown  []string `json:"unknown"`
}

// said is what the record does not hold: the replay's own words for the fields that a message must have.
type said struct {
	Headline   string   `json:"headline"`
	YourAction string   `json:"your_action"`
	Known      []string `json:"known"`
	Unknown    []string `json:"unknown"`
	Doing      []string `json:"doing"`
}

// told is one line of the table at the end.
type told struct {
	At        time.Time          `json:"at"`
	Number    int                `json:"number"`
	Headline  string             `json:"headline"`
	Restored  *templates.Figures `json:"restored"`
	Hindsight string             `json:"hindsight"`
	People    int                `json:"people"`
	Mails     int                `json:"mails"`
	Texts     int                `json:"texts"`
	Untold    int                `json:"not_told"`
	Facts     int                `json:"facts"` // of the seven that a message should carry, counted in its English mail
	// Confidences counts the estimates in that mail that say how sure they are.
	Confidences int  `json:"confidences"`
	Account     bool `json:"detailed_account"`
}

// replay walks April 2022 through the same rooms that a real incident walks through.
type replay struct {
	house     *house
	clock     *replayClock
	out       io.Writer
	hindsight bool

	incident string
	author   string
	second   string
	lines    []told
	start    time.Time
	declared time.Time
	first    time.Time
	steps    int
	step     int
}

const (
	finalSites, finalCustomers = 883, 775
	firstSites                 = 700
	scriptStarted              = "2022-04-05T07:38:00Z"
)

func (r *replay) run(ctx context.Context) error {
	points, words, err := record()
	if err != nil {
		return err
	}
	r.author, r.second = "system:replay-author", "system:replay-approver"
	if r.start, err = time.Parse(time.RFC3339, scriptStarted); err != nil {
		return err
	}
	r.steps = 3 + len(points)
	r.progress("importing 775 synthetic customers with 883 sites")
	if err := r.importContacts(ctx); err != nil {
		return err
	}
	r.clock.set(r.start.Add(8 * time.Minute)) // 07:46, the first ticket; monitoring had seen nothing
	r.progress("the first customer writes")
	if _, err := r.house.desk.File(ctx, "public:replay", desk.Intake{Message: "Our site is gone. Is it just us?", Email: "first@customer000.example", Impact: desk.LostAccess, Locale: "en", Route: "api"}); err != nil {
		return err
	}
	r.clock.set(points[0].At)
	r.progress("incident declared")
	rec, err := r.house.comms.Declare(ctx, r.author, comms.Declare{Title: "Customer sites cannot be opened", Severity: "P0", Category: "availability",
		Impact: "total loss of access for the affected customers", Summary: "as recorded", DetectedBy: "a customer's ticket", FoundBy: comms.FoundByCustomer, DetectedAt: r.start.Add(8 * time.Minute), ScopeEstimate: "not known"})
	if err != nil {
		return err
	}
	r.incident, r.declared = rec.ID, rec.Value.DeclaredAt
	if _, err := r.house.comms.TakeCommand(ctx, r.author, rec.ID, ""); err != nil { // whoever declares it alone at that hour has it
		return err
	}
	if _, err := r.house.comms.ConfirmSeverity(ctx, r.author, rec.ID, "P0", ""); err != nil {
		return err
	}
	if r.hindsight {
		if err := r.load(ctx, 0, finalSites, false); err != nil {
			return err
		}
	}
	var statement templates.Statement
	for i, p := range points {
		r.clock.set(p.At)
		if err := r.moveLedger(ctx, p.At); err != nil {
			return err
		}
		next := templates.Moment{Word: "none"}
		if i+1 < len(points) {
			next = templates.Moment{At: points[i+1].At} // when the record goes on; no such promise was made in 2022
		}
		statement = p.statement(statement, words[i], next)
		if err := r.publish(ctx, p, statement); err != nil {
			return fmt.Errorf("update of %s: %w", p.At.Format(time.RFC3339), err)
		}
	}
	r.clock.run()
	r.progress("")
	return nil
}

// record reads the project's own copy of the record and the replay's words.
func record() (points []point, words []said, err error) {
	raw, err := april.ReadFile("april2022/april2022_updates.jsonl")
	if err != nil {
		return nil, nil, err
	}
	for _, line := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
		var p point
		if err := json.Unmarshal(line, &p); err != nil {
			return nil, nil, fmt.Errorf("april2022_updates.jsonl: %w", err)
		}
		points = append(points, p)
	}
	raw, err = april.ReadFile("april2022/fixture.json")
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(raw, &words); err != nil {
		return nil, nil, fmt.Errorf("fixture.json: %w", err)
	}
	if len(words) != len(points) {
		return nil, nil, fmt.Errorf("%d recorded points and %d texts", len(points), len(words))
	}
	return points, words, nil
}

// statement is what could honestly be said at this point: what is recorded now over what was said before.
func (p point) statement(last templates.Statement, w said, next templates.Moment) templates.Statement {
	s := last
	s.Changed = nil
	s.Phase, s.Headline, s.WhatHappened, s.YourAction = p.Phase, w.Headline, strings.TrimPrefix(p.What, "same; "), w.YourAction
	s.WhatHappened = sentence(s.WhatHappened) + "."
	s.Scope = templates.Scope{Products: []string{"Cloud sites"}, Regions: []string{"worldwide"}, Text: "Only customers whose sites were deleted; all others are not affected."}
	if a := p.Affected; a != nil {
		for _, c := range []struct {
			from templates.Count
			to   *templates.Count
		}{{a.Sites, &s.Affected.Sites}, {a.Customers, &s.Affected.Customers}} {
			if c.from.State != templates.CountAbsent {
				*c.to = c.from
			}
		}
		s.Affected.Status, s.Affected.Confidence = a.Status, a.Confidence
		if s.Affected.Status == "" {
			s.Affected.Status = "estimate"
		}
		s.Affected.Who, s.Affected.OwnSites = "customers' sites that the script deleted", "not_counted"
		was := templates.Before{Affected: last.Affected, Timeline: s.Timeline, DataLoss: s.DataLoss}
		if differs := was.Differs(s); len(differs) > 0 {
			s.Changed = map[string]string{}
			_, why, _ := strings.Cut(a.Correction, ": ")
			for _, figure := range differs {
				s.Changed[figure] = sentence(why)
			}
		}
	}
	if t := p.Timeline; t != nil {
		s.Timeline = templates.Timeline{Kind: t.Kind, Text: sentence(t.Text), Confidence: t.Confidence, FullScopeBy: t.FullScopeBy}
		switch {
		case t.Kind == "at" && p.Phase == "resolved":
			at := p.At
			s.Timeline.Earliest, s.Timeline.Text = &at, ""
		case t.Kind == "range": // the record names no dates, so it is a direction here: a date that nobody gave must not be printed
			s.Timeline.Kind = "direction"
		}
		if s.Timeline.FullScopeBy.Absent() {
			s.Timeline.FullScopeBy = templates.Moment{Word: "none"}
		}
	}
	if d := p.DataLoss; d != nil {
		s.DataLoss = templates.DataLoss{Kind: d.Kind, Text: sentence(d.Text), Confidence: d.Confidence, AtMost: d.AtMost}
	}
	s.Known, s.Doing = w.Known, w.Doing
	s.Unknown = p.Unknown
	if w.Unknown != nil {
		s.Unknown = w.Unknown
	}
	s.UnknownNone = len(s.Unknown) == 0
	if s.Unknown == nil {
		s.Unknown = []string{}
	}
	s.NextUpdateBy = next
	s.Audience, s.Channels, s.Locales = "public", []string{"email", "sms", "page", "ticket"}, []string{"en", "zh-CN", "ja"}
	return s
}

// sentence begins with a capital letter; the record's notes do not.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (r *replay) publish(ctx context.Context, p point, s templates.Statement) error {
	r.progress("update: " + s.Headline)
	room := r.house.comms
	if p.Security != "" {
		if _, err := room.SetSecurity(ctx, "system:replay-security", r.incident, p.Security, "as recorded"); err != nil {
			return err
		}
	}
	rec, _, err := room.Draft(ctx, r.author, r.incident, s, nil)
	if err != nil {
		return err
	}
	if _, err := room.Approve(ctx, r.second, rec.ID); err != nil {
		return err
	}
	if rec, err = room.Publish(ctx, r.author, rec.ID, comms.PublishOptions{}); err != nil {
		return err
	}
	reach, err := r.wait(ctx, rec.ID)
	if err != nil {
		return err
	}
	if r.first.IsZero() && reach.Audience.People > 0 {
		r.first = *rec.Value.PublishedAt
	}
	mail, _, err := room.Preview(ctx, rec.ID, comms.ChannelEmail, "en")
	if err != nil {
		return err
	}
	facts, confidences := r.factsIn(mail.Text)
	line := told{At: p.At, Number: rec.Value.Number, Headline: s.Headline, Restored: rec.Value.Figures, People: reach.Audience.People,
		Mails: reach.ByChannel["email"][comms.Written], Texts: reach.ByChannel["sms"][comms.Written], Untold: reach.UnreachedTotal,
		Facts: facts, Confidences: confidences, Account: strings.HasPrefix(p.What, "full technical account")}
	if f := rec.Value.Figures; f != nil {
		line.Hindsight = fmt.Sprintf("%d of %d (%s %%)", f.Sites.Restored, finalSites, percent(f.Sites.Restored, finalSites))
	}
	r.lines = append(r.lines, line)
	return nil
}

// factsIn counts which of the seven facts a mail's text carries, as its reader finds them: by their headings, and the confidence by its
// word. An honest "not known" counts: the reader is told.
func (r *replay) factsIn(text string) (facts, confidences int) {
	words := r.house.words.Catalog("en")
	for _, heading := range []string{"update.what_happened", "update.affected", "update.recovery", "update.restored", "update.data_loss", "update.support"} {
		if strings.Contains(text, words.T("label.heading", words.T(heading))+"\n") {
			facts++
		}
	}
	if confidences = strings.Count(text, "Confidence:"); confidences > 0 {
		facts++
	}
	return facts, confidences
}

// percent has one decimal, rounded half up, as the ledger's.
func percent(n, of int) string {
	tenths := (n*2000 + of) / (2 * of)
	return strconv.Itoa(tenths/10) + "." + strconv.Itoa(tenths%10)
}

// wait lets the outbox finish an update, so that the clock never runs ahead of the messages.
func (r *replay) wait(ctx context.Context, update string) (comms.Reach, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		reach, err := r.house.comms.Reach(ctx, update)
		if err != nil || reach.Done {
			return reach, err
		}
		r.show(fmt.Sprintf("%d people", reach.Audience.People))
		select {
		case <-ctx.Done():
			return reach, ctx.Err()
		case <-tick.C:
		}
	}
}

// moveLedger makes the site moves between the recorded points; those are synthetic. The record says: 0 at first, the first sites on 8 April,
// 112 by 14 April, every loaded site by 17 April; what is added on 18 April arrives handed back.
func (r *replay) moveLedger(ctx context.Context, at time.Time) error {
	day := func(d, hour int) time.Time { return time.Date(2022, 4, d, hour, 0, 0, 0, time.UTC) }
	loaded := firstSites
	if r.hindsight {
		loaded = finalSites
	}
	switch {
	case at.Equal(time.Date(2022, 4, 5, 12, 38, 0, 0, time.UTC)) && !r.hindsight:
		return r.load(ctx, 0, firstSites, false)
	case at.Equal(day(8, 3).Add(30 * time.Minute)):
		return r.move(ctx, 0, 6, 40)
	case at.Equal(day(9, 0)):
		return r.move(ctx, 6, 14, 60)
	case at.Equal(day(12, 0)):
		return r.move(ctx, 14, 71, 120)
	case at.Equal(day(14, 0)):
		return r.move(ctx, 71, 112, 180)
	case at.Equal(day(17, 0)):
		return r.move(ctx, 112, loaded, loaded)
	case at.Equal(day(18, 0)) && !r.hindsight:
		return r.load(ctx, firstSites, finalSites, true)
	}
	return nil
}

func siteID(i int) string { return fmt.Sprintf("site-%04d", i) }

// load puts sites into the affected set.
func (r *replay) load(ctx context.Context, from, to int, handedBack bool) error {
	var lines bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&lines, "{\"site_id\":%q}\n", siteID(i))
	}
	if _, err := r.house.comms.LoadAffected(ctx, r.author, r.incident, contacts.FormatJSONLines, &lines, false); err != nil {
		return err
	}
	if !handedBack {
		return nil
	}
	if err := r.send(ctx, from, to, comms.Rebuilt); err != nil {
		return err
	}
	return r.handBack(ctx, from, to)
}

// move hands sites back up to handed, and has rebuilt up to rebuilt.
func (r *replay) move(ctx context.Context, from, handed, rebuilt int) error {
	if err := r.send(ctx, from, rebuilt, comms.Rebuilt); err != nil {
		return err
	}
	return r.handBack(ctx, from, handed)
}

func (r *replay) handBack(ctx context.Context, from, to int) error {
	if err := r.send(ctx, from, to, comms.Passed); err != nil {
		return err
	}
	return r.send(ctx, from, to, comms.HandedBack)
}

func (r *replay) send(ctx context.Context, from, to int, state string) error {
	var lines bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&lines, "{\"site_id\":%q,\"state\":%q,\"batch\":\"%d\",\"reason\":\"replay of the record\"}\n", siteID(i), state, i/60+1)
	}
	report, err := r.house.comms.MoveSites(ctx, comms.Mover{By: r.author, Finish: true}, r.incident, &lines)
	if err == nil && report.Rejected > 0 {
		i := slices.IndexFunc(report.Results, func(m comms.MoveResult) bool { return m.Reason != "" })
		err = fmt.Errorf("%d moves to %s were refused, the first: %+v", report.Rejected, state, report.Results[max(i, 0)])
	}
	return err
}

// importContacts makes the synthetic list: 775 customers, of which 108 have two sites. Some contacts are stale, some bounced, some
// customers have nobody who can be reached, as in the record.
func (r *replay) importContacts(ctx context.Context) error {
	chance := rand.New(rand.NewPCG(2022, 4)) // the same list each time
	site := 0
	product, billing := newTable("account", "account_id", "site", "site_id", "site_url", "region", "name", "role", "email", "phone", "locale", "confirmed_at"),
		newTable("account", "account_id", "name", "role", "email", "invoices", "confirmed_at")
	for c := range finalCustomers {
		name, id := fmt.Sprintf("Customer %03d", c), fmt.Sprintf("cust-%03d", c)
		locale := []string{"en", "en", "en", "ja", "zh-CN"}[c%5]
		sites := 1
		if c < finalSites-finalCustomers {
			sites = 2
		}
		for range sites {
			person, mail, phone, confirmed := fmt.Sprintf("Admin %03d", c), fmt.Sprintf("admin@customer%03d.example", c), "", "2022-02-01"
			switch n := chance.IntN(100); {
			case n < 6: // nobody is known
				person, mail = "", ""
			case n < 25: // stale
				confirmed = "2019-03-01"
			}
			if person != "" && chance.IntN(100) < 40 {
				phone = fmt.Sprintf("+1202555%04d", site%10000)
			}
			role := "site_admin"
			if person == "" {
				role, confirmed = "", ""
			}
			product.row(name, id, "Site of "+name, siteID(site), fmt.Sprintf("https://customer%03d-%d.product.example", c, site), []string{"us", "eu", "apac"}[c%3], person, role, mail, phone, locale, confirmed)
			site++
		}
		if chance.IntN(100) < 50 {
			billing.row(name, id, fmt.Sprintf("Billing %03d", c), "billing", fmt.Sprintf("billing@customer%03d.example", c), fmt.Sprintf("INV-%05d", 10000+c), "2020-06-01")
		}
	}
	for _, t := range []struct {
		source string
		table  *table
	}{{"product", product}, {"billing", billing}} {
		report, err := r.house.book.Import(ctx, r.author, t.table.reader(), contacts.ImportOptions{Source: t.source, Format: contacts.FormatCSV})
		if err != nil {
			return err
		}
		if report.RejectedRows > 0 {
			return fmt.Errorf("the synthetic list is wrong: %+v", report.Rejected[0])
		}
	}
	return r.bounce(ctx)
}

// bounce marks every nineteenth address as bounced long ago.
func (r *replay) bounce(ctx context.Context) error {
	book := r.house.book
	return r.house.db.Update(ctx, store.Act{By: r.author, Verb: "replay.bounce"}, func(tx *store.Tx) error {
		for c := 7; c < finalCustomers; c += 19 {
			mail := fmt.Sprintf("admin@customer%03d.example", c)
			found, err := book.ByAddress(tx, contacts.Email, mail)
			if err != nil {
				return err
			}
			for _, who := range found {
				if err := book.Bounced(tx, who.ID, contacts.Email, mail, "550 5.1.1 no such user"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// table writes CSV.
type table struct {
	buf bytes.Buffer
	w   *csv.Writer
}

func newTable(head ...string) *table {
	t := &table{}
	t.w = csv.NewWriter(&t.buf)
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) { _ = t.w.Write(cells) } // to memory: cannot fail

func (t *table) reader() io.Reader {
	t.w.Flush()
	return &t.buf
}

// progress begins the next step.
func (r *replay) progress(what string) {
	if what != "" {
		r.step++
	}
	r.show(what)
}

func (r *replay) show(what string) {
	f, ok := r.out.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		if what == "" {
			fmt.Fprint(r.out, "\r\x1b[K")
			return
		}
		fmt.Fprintf(r.out, "\r\x1b[K%s %s  %.60s", bar(int64(r.step), int64(r.steps)), r.clock.Now().UTC().Format("2 Jan 15:04"), what)
		return
	}
	if what != "" && !strings.HasSuffix(what, " people") {
		fmt.Fprintf(r.out, "%2d/%d %s  %s\n", r.step, r.steps, r.clock.Now().UTC().Format("2 Jan 15:04"), what)
	}
}

// since is how long after the script began something happened.
func (r *replay) since(t time.Time) string {
	d := t.Sub(r.start).Round(time.Minute)
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

func (r *replay) print(w io.Writer) error {
	known := "as known"
	if r.hindsight {
		known = "hindsight"
	}
	fmt.Fprintf(w, "What customers got (%s; the contact list and the moves between recorded points are synthetic)\n\n", known)
	tw := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "UTC\t#\tsaid\tsites restored, "+known+"\tof the final 883\tcustomers\tpeople\tmails\tSMS\tnot told")
	for _, l := range r.lines {
		restored, hindsight, customers := "not known", "-", "not known"
		if f := l.Restored; f != nil {
			restored = fmt.Sprintf("%d of %d sites (%s %%)", f.Sites.Restored, f.Sites.Total, f.Sites.Percent)
			customers = fmt.Sprintf("%d of %d (%s %%)", f.Customers.Restored, f.Customers.Total, f.Customers.Percent)
			hindsight = l.Hindsight
		}
		said := []rune(l.Headline)
		if len(said) > 44 {
			said = append(said[:43], '…')
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", l.At.Format("2 Jan 15:04"), l.Number, string(said), restored, hindsight, customers, l.People, l.Mails, l.Texts, l.Untold)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nAfter the script began (5 April, 07:38 UTC)\n\n")
	tw = tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	page := r.lines[0].At
	fmt.Fprintln(tw, "\tin 2022\there")
	fmt.Fprintf(tw, "first word on the status page\t1 h 25 min\t%s\n", r.since(page))
	fmt.Fprintf(tw, "first broad message\t41 h 18 min\t%s\n", r.since(page))
	first := "never"
	if !r.first.IsZero() {
		first = r.since(r.first)
	}
	fmt.Fprintf(tw, "first e-mail to affected customers\t66 h 12 min\t%s\n", first)
	account, most, sure := "never", 0, 0
	for _, l := range r.lines {
		if l.Account && account == "never" {
			account = fmt.Sprintf("day %d", int(l.At.Sub(r.start.Truncate(24*time.Hour)).Hours())/24+1)
		}
		if l.At.Before(time.Date(2022, 4, 12, 0, 0, 0, 0, time.UTC)) {
			most = max(most, l.Facts)
		}
		if l.Confidences > 0 {
			sure++
		}
	}
	fmt.Fprintf(tw, "first detailed account\tday 8\t%s (nothing more was known before)\n", account)
	fmt.Fprintf(tw, "of seven facts, most in one message before 12 April\t3\t%d\n", most)
	fmt.Fprintf(tw, "messages that named a confidence\tnone\t%d of %d\n", sure, len(r.lines))
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "\nThe first 700 sites belong to 592 synthetic customers, not to the 400 of the first estimate: 883 sites of 775 customers leave no room for fewer.\n")
	return err
}

func (r *replay) printJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"synthetic_contacts": true, "hindsight": r.hindsight, "updates": r.lines})
}
