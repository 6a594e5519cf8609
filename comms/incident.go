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
	"lifeline/templates"
)

// Incident is one disturbance, from its declaration to its close. Its public id is Short.
type Incident struct {
	Number        int        `json:"number"` // counts up from 1; in feed ids
	Short         string     `json:"short"`  // 12 lower-case letters and digits, stable for ever; the id on public pages
	Title         string     `json:"title"`
	Severity      string     `json:"severity"`         // P0 to P3
	Levels        []LevelWas `json:"levels,omitempty"` // the severities that it had before, oldest first
	Category      string     `json:"category"`
	Summary       string     `json:"summary"`
	Impact        string     `json:"impact"`
	ScopeEstimate string     `json:"scope_estimate"`
	DetectedAt    time.Time  `json:"detected_at"`
	DetectedBy    string     `json:"detected_by"`
	FoundBy       string     `json:"found_by"`      // monitoring, customer_ticket, staff, third_party, social; "": nobody said
	Customer      string     `json:"customer"`      // of one customer's incident: who
	System        string     `json:"system"`        // or host, if it is one
	ClassifiedAt  *time.Time `json:"classified_at"` // when somebody judged it on all facts
	ClassifiedBy  string     `json:"classified_by"`
	DeclaredAt    time.Time  `json:"declared_at"`
	DeclaredBy    string     `json:"declared_by"`
	State         string     `json:"state"`             // open, resolved, closed; of an event or an alert watched, recovered
	Stage         string     `json:"stage"`             // one of RecordStages; read it by AtStage
	Phase         string     `json:"phase"`             // of the newest published update; "" before the first
	ByHand        *HandTurn  `json:"by_hand,omitempty"` // how a person last changed State herself, which no update said before that undoes
	Security      string     `json:"security_cause"`
	Pinned        []string   `json:"pinned"`
	Commander     string     `json:"commander"`
	LastUpdate    int        `json:"last_update"` // the highest number given to an update
	Loaded        bool       `json:"loaded"`      // an affected set is loaded
	LoadedAt      *time.Time `json:"loaded_at"`   // the first one
	CoveredAt     *time.Time `json:"covered_at"`  // since when every affected site has somebody to tell; null: not yet, or no longer
	GapSince      *time.Time `json:"gap_since"`   // since when some affected site has nobody
	FirstNoticeAt *time.Time `json:"first_notice_at"`
	ResolvedAt    *time.Time `json:"resolved_at"`
	MonitoringAt  *time.Time `json:"monitoring_at"`
	Cohorts       []Cohort   `json:"cohorts,omitempty"`
	Integrity     *Integrity `json:"integrity,omitempty"` // of the whole affected set; nil: none recorded, or sites were added since
	Drill         bool       `json:"drill"`
	FrozenAt      *time.Time `json:"frozen_at,omitempty"` // since when planned changes are forbidden
	Crew          []Seat     `json:"crew,omitempty"`      // who has which role; read it by Seat
	Contributors  []string   `json:"contributors,omitempty"`
	Informed      []string   `json:"informed,omitempty"`
	Links         []Link     `json:"links,omitempty"`
	Parties       []Party    `json:"parties,omitempty"`
	Streams       []Stream   `json:"streams,omitempty"`

	Process *SecurityProcess `json:"security_process,omitempty"` // where the security team goes on with it

	Stages      []StageMove `json:"stages,omitempty"`  // how it came to its stage, oldest first
	Related     []string    `json:"related,omitempty"` // of a problem: ids of other incidents that come of it
	RecoveredAt *time.Time  `json:"recovered_at"`      // of an event or an alert that passed before anybody confirmed it

	Plans    []PlanChange `json:"plans,omitempty"`   // changes of how sites are repaired, oldest first
	Estimate Estimated    `json:"estimate,omitzero"` // the forecast that stood when readers were told
}

// HandTurn is a change of an incident's state that came of no update.
type HandTurn struct {
	State string    `json:"state"`
	At    time.Time `json:"at"`
}

// The states of an incident.
const (
	Open     = "open"
	Resolved = "resolved"
	Closed   = "closed"
)

// What is known of a security cause; "" says nothing about it.
var securityCauses = []string{"ruled_out", "under_investigation", "confirmed"}

// notJudged is the level of what nobody has judged.
const notJudged = "P3"

var severities = []string{"P0", "P1", "P2", "P3"}

var incidents = store.Table[Incident]{
	Kind: store.Kind{Name: "incident", Prefix: "inc", Schema: 1, Keep: 10 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "number", Fields: []store.Field{{Name: "number", Type: store.Int}}, Unique: true},
		{Name: "short", Fields: []store.Field{{Name: "short", Type: store.Text}}, Unique: true},
		{Name: "state", Fields: []store.Field{{Name: "state", Type: store.Text}, {Name: "number", Type: store.Int}}},
	}},
	Tuples: func(i Incident) store.Tuples {
		return store.Tuples{"number": {i.Number}, "short": {i.Short}, "state": {i.State, i.Number}}
	},
}

// Entry is one line of an incident's log, in order and never edited: declared, severity changed, set loaded, update published.
type Entry struct {
	Incident string    `json:"incident"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	What     string    `json:"what"`             // a code the catalog has a sentence for, such as "severity"
	Text     string    `json:"text"`             // figures and reasons, no personal data
	Stream   string    `json:"stream,omitempty"` // of whose log it is a line as well
}

var entries = store.Table[Entry]{
	Kind: store.Kind{Name: "entry", Prefix: "ent", Schema: 1, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "at", Type: store.Time}}},
	}},
	Tuples: func(e Entry) store.Tuples { return store.Tuples{"incident": {e.Incident, e.At}} },
}

// note adds a line to an incident's log.
func (r *Room) note(tx *store.Tx, incident, by, what, text string) error {
	return entries.Put(tx, entries.NewID(), Entry{Incident: incident, At: tx.Now(), By: by, What: what, Text: text}, 0)
}

// Declare is what is said when an incident is declared.
type Declare struct {
	Title         string    `json:"title"`
	Severity      string    `json:"severity"` // P0 to P3; "": nobody has judged it, and it is P3 until somebody does
	Category      string    `json:"category"` // of the policy's; P0 and P1 need one
	Summary       string    `json:"summary"`
	Impact        string    `json:"impact"`
	ScopeEstimate string    `json:"scope_estimate"`
	DetectedAt    time.Time `json:"detected_at"` // zero: now
	DetectedBy    string    `json:"detected_by"`
	FoundBy       string    `json:"found_by,omitempty"` // one of FoundBys; "": as DetectedBy says, when that is one of them
	Drill         bool      `json:"drill"`
	Stage         string    `json:"stage,omitempty"` // event or alert: it is noted, and not declared; "" is incident
}

var (
	titleProse   = prose{most: 120, required: true}
	summaryProse = prose{most: 4000, lines: true}
	impactProse  = prose{most: 1000, lines: true}
	shortProse   = prose{most: 200}
	reasonProse  = prose{most: 1000, lines: true, required: true}
)

func (p Policy) badDeclare(d Declare, now time.Time) (f []fault.Field) {
	f = titleProse.bad(f, "title", d.Title)
	f = oneOf(f, "severity", d.Severity, severities...)
	f = p.badCategory(f, d.Severity, d.Category)
	f = summaryProse.bad(f, "summary", d.Summary)
	f = impactProse.bad(f, "impact", d.Impact)
	f = impactProse.bad(f, "scope_estimate", d.ScopeEstimate)
	f = shortProse.bad(f, "detected_by", d.DetectedBy)
	if d.Stage != "" {
		f = oneOf(f, "stage", d.Stage, RecordEvent, RecordAlert, RecordIncident)
	}
	if d.FoundBy != "" {
		f = oneOf(f, "found_by", d.FoundBy, foundBy...)
	}
	if d.DetectedAt.After(now.Add(time.Minute)) {
		f = append(f, wrong("detected_at", "lies ahead"))
	}
	return f
}

func (p Policy) badCategory(f []fault.Field, severity, category string) []fault.Field {
	switch {
	case category == "" && grave(severity):
		return append(f, fault.Field{Field: "category", Code: codeMissing,
			Reason: fmt.Sprintf("is missing; %s needs one of %s", severity, strings.Join(p.Categories, ", "))})
	case category != "" && !slices.Contains(p.Categories, category):
		return append(f, wrong("category", "is %.40q; it must be one of %s", category, strings.Join(p.Categories, ", ")))
	}
	return f
}

// Declare opens an incident. Everything that is missing or wrong is named at once; the people whom the policy names internally are told
// by a notice of the same transaction.
func (r *Room) Declare(ctx context.Context, by string, d Declare) (store.Rec[Incident], error) {
	return r.DeclareWith(ctx, by, d, nil)
}

// DeclareWith declares an incident, and in the same transaction does what else belongs to it.
func (r *Room) DeclareWith(ctx context.Context, by string, d Declare, also func(tx *store.Tx, incident string) error) (rec store.Rec[Incident], err error) {
	for range 5 { // two declarations at once want the same number
		rec, err = r.declare(ctx, by, d, also)
		if fault.Of(err) != fault.Exists {
			break
		}
	}
	return rec, err
}

func (r *Room) declare(ctx context.Context, by string, d Declare, also func(tx *store.Tx, incident string) error) (rec store.Rec[Incident], err error) {
	judged := d.Severity != ""
	d.Severity = cmp.Or(d.Severity, notJudged)
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "incident.declare"}, func(tx *store.Tx) error {
		if f := r.Policy.badDeclare(d, tx.Now()); len(f) > 0 {
			return fault.BadFields(f...)
		}
		in, err := r.newIncident(tx, by, d)
		if err != nil {
			return err
		}
		id := incidents.NewID()
		tx.On(id)
		if d.Stage != "" && d.Stage != RecordIncident {
			if rec, err = r.watch(tx, id, by, in, ""); err != nil || d.Stage == RecordEvent {
				return err
			}
			return r.lookAt(tx, rec)
		}
		rec, err = r.opens(tx, by, store.Rec[Incident]{Meta: store.Meta{ID: id}, Value: in}, judged, also)
		return err
	})
	return rec, err
}

// newIncident is the record of what is said.
func (r *Room) newIncident(tx *store.Tx, by string, d Declare) (in Incident, err error) {
	number, err := nextNumber(tx)
	if err != nil {
		return in, err
	}
	in = Incident{
		Number: number, Short: strings.ToLower(rand.Text()[:12]), State: Open, Stage: cmp.Or(d.Stage, RecordIncident),
		Title: strings.TrimSpace(d.Title), Severity: d.Severity, Category: d.Category, Summary: d.Summary, Impact: d.Impact,
		ScopeEstimate: d.ScopeEstimate, DetectedAt: d.DetectedAt.UTC(), DetectedBy: d.DetectedBy, FoundBy: cmp.Or(d.FoundBy, foundAs(d.DetectedBy)),
		DeclaredAt: tx.Now(), DeclaredBy: by, Commander: by, Drill: d.Drill,
	}
	if d.DetectedAt.IsZero() || d.DetectedAt.After(tx.Now()) {
		in.DetectedAt = tx.Now()
	}
	return in, nil
}

// opens writes a declared incident with all that follows its declaration: who is called, what is promised, and what also says. Nobody has judged it: that is
// promised too.
func (r *Room) opens(tx *store.Tx, by string, rec store.Rec[Incident], judged bool, also func(tx *store.Tx, incident string) error) (store.Rec[Incident], error) {
	id, in := rec.ID, rec.Value
	call, err := r.crew(tx, &in)
	if err != nil {
		return rec, err
	}
	if rec, err = put(tx, incidents, id, in, rec.Version); err != nil {
		return rec, err
	}
	if err := r.note(tx, id, by, "declared", in.Severity+" "+in.Category); err != nil {
		return rec, err
	}
	if r.Policy.entryOf(in) {
		if err := r.touchPages(tx); err != nil {
			return rec, err
		}
	}
	if in.unclassified() || !judged {
		if err := r.promise(tx, Deadline{What: Classification, Of: id, Incident: id, Due: tx.Now().Add(r.Policy.Classify)}); err != nil {
			return rec, err
		}
	}
	if err := r.owesWord(tx, id, in); err != nil {
		return rec, err
	}
	if also != nil {
		if err := also(tx, id); err != nil {
			return rec, err
		}
	}
	if err := r.beginPlaybooks(tx, id, by, in); err != nil {
		return rec, err
	}
	return rec, r.callOut(tx, id, in, call)
}

// put writes a record and reads back what now stands.
func put[T any](tx *store.Tx, t store.Table[T], id string, v T, was int64) (store.Rec[T], error) {
	if err := t.Put(tx, id, v, was); err != nil {
		return store.Rec[T]{}, err
	}
	v, m, err := t.Get(tx, id)
	return store.Rec[T]{Meta: m, Value: v}, err
}

func nextNumber(tx *store.Tx) (int, error) {
	last, err := incidents.First(tx, store.Query{Index: "number", Reverse: true})
	if fault.Of(err) == fault.NotFound {
		return 1, nil
	}
	return last.Value.Number + 1, err
}

// deskURL is where an incident is worked on.
func (r *Room) deskURL(incident string) string {
	return strings.TrimSuffix(r.Vendor.URL, "/") + "/desk/incidents/" + incident
}

// tellInternal tells the policy's internal people a message of templates.
func (r *Room) tellInternal(tx *store.Tx, name string, about any) error {
	if len(r.Policy.Internal) == 0 {
		return nil
	}
	data, err := json.Marshal(about)
	if err != nil {
		return fmt.Errorf("write the facts of %s: %w", name, err)
	}
	_, err = r.tell(tx, Notice{Lane: LaneUrgent, Name: name, Channels: channelsOf(r.Policy.Internal), To: r.Policy.Internal, Data: data})
	return err
}

func channelsOf(to []Direct) []string {
	var all []string
	for _, d := range to {
		if !slices.Contains(all, d.Channel) {
			all = append(all, d.Channel)
		}
	}
	slices.Sort(all)
	return all
}

// incidentFacts is the part of an incident that strangers may read.
func (r *Room) incidentFacts(in Incident) templates.Incident {
	return templates.Incident{
		ID: in.Short, Number: in.Number, Title: in.Title, Severity: in.Severity, Impact: in.Impact, Started: in.DetectedAt,
		URL: strings.TrimSuffix(r.Vendor.URL, "/") + "/incidents/" + in.Short,
	}
}

// Amend changes an incident; what is nil stays. Severity and State need a Reason.
type Amend struct {
	Title         *string    `json:"title"`
	Severity      *string    `json:"severity"`
	State         *string    `json:"state"`
	Category      *string    `json:"category"`
	Summary       *string    `json:"summary"`
	Impact        *string    `json:"impact"`
	ScopeEstimate *string    `json:"scope_estimate"`
	DetectedAt    *time.Time `json:"detected_at"`
	DetectedBy    *string    `json:"detected_by"`
	Commander     *string    `json:"commander"`
	Pinned        *[]string  `json:"pinned"`
	Contributors  *[]string  `json:"contributors"` // ids of staff
	Informed      *[]string  `json:"informed"`
	Reason        string     `json:"reason"`
}

// bad names what is wrong with the fields that are there, and a missing reason where one is due.
func (a Amend) bad(p Policy, in Incident, now time.Time) (f []fault.Field) {
	changed := a.on(in)
	f = p.badDeclare(Declare{Title: changed.Title, Severity: changed.Severity, Category: changed.Category, Summary: changed.Summary,
		Impact: changed.Impact, ScopeEstimate: changed.ScopeEstimate, DetectedBy: changed.DetectedBy, DetectedAt: changed.DetectedAt}, now)
	f = oneOf(f, "state", changed.State, Open, Resolved, Closed)
	f = prose{most: 200}.bad(f, "commander", changed.Commander)
	f = list{most: 10, prose: prose{most: 300}}.bad(f, "pinned", changed.Pinned)
	f = meetingList.bad(f, "contributors", changed.Contributors)
	f = meetingList.bad(f, "informed", changed.Informed)
	if changed.Severity != in.Severity || changed.State != in.State {
		f = reasonProse.bad(f, "reason", a.Reason)
	}
	return f
}

func (a Amend) on(in Incident) Incident {
	takeTyped(
		typed{a.Title, &in.Title}, typed{a.Severity, &in.Severity}, typed{a.State, &in.State}, typed{a.Category, &in.Category}, typed{a.Summary, &in.Summary},
		typed{a.Impact, &in.Impact}, typed{a.ScopeEstimate, &in.ScopeEstimate}, typed{a.DetectedBy, &in.DetectedBy}, typed{a.Commander, &in.Commander},
	)
	if a.DetectedAt != nil {
		in.DetectedAt = a.DetectedAt.UTC()
	}
	for _, s := range []struct {
		from *[]string
		to   *[]string
	}{{a.Pinned, &in.Pinned}, {a.Contributors, &in.Contributors}, {a.Informed, &in.Informed}} {
		if s.from != nil {
			*s.to = *s.from
		}
	}
	return in
}

// typed is a field of a form and where it goes.
type typed struct{ from, to *string }

// takeTyped takes what a form says, without space around it; what it leaves out stays.
func takeTyped(all ...typed) {
	for _, s := range all {
		if s.from != nil {
			*s.to = strings.TrimSpace(*s.from)
		}
	}
}

// notClosed refuses what nobody does to an incident that is closed.
func (in Incident) notClosed() error {
	if in.State == Closed {
		return fault.New(fault.Conflict, "this incident is closed")
	}
	return in.declared()
}

// Amend changes an incident's own facts. Who may change what is the caller's to decide; the security cause has its own method.
// An incident with a site that is not handed back cannot be closed: one such site is named. version is the one that the caller saw; 0 is any.
func (r *Room) Amend(ctx context.Context, by, incident string, version int64, a Amend) (rec store.Rec[Incident], err error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.amend", Reason: a.Reason}, incident, version, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if to := a.on(in); to.Severity != in.Severity || to.State != in.State || to.Commander != in.Commander { // words and lists are anybody's who may edit
			if err := in.commandedBy(by); err != nil {
				return in, err
			}
		}
		if f := a.bad(r.Policy, in, tx.Now()); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		return r.amend(tx, id, by, in, a)
	})
}

// amend changes an incident by what was found good.
func (r *Room) amend(tx *store.Tx, id, by string, in Incident, a Amend) (Incident, error) {
	to := a.on(in)
	if to.State == Closed && in.State != Closed {
		if err := r.allHandedBack(tx, id, in); err != nil {
			return in, err
		}
		if err := in.openCohorts(); err != nil {
			return in, err
		}
	}
	if to.Commander != in.Commander {
		now := to.Seat(RoleCommander)
		if now.CalledAt, now.ConfirmedAt = tx.Now(), (time.Time{}); now.Person == by {
			now.ConfirmedAt = tx.Now()
		}
		to.seat(now)
		if err := r.commandPasses(tx, id, by, now, to); err != nil {
			return in, err
		}
	}
	if err := r.moveState(tx, id, by, in, &to); err != nil {
		return in, err
	}
	if err := r.turns(tx, id, by, in, to); err != nil {
		return in, err
	}
	if to.State != in.State || to.Severity != in.Severity {
		if err := r.owesWord(tx, id, to); err != nil {
			return in, err
		}
		if err := r.becomesGrave(tx, id, by, in, &to); err != nil {
			return in, err
		}
		if err := r.keepCrew(tx, id, by, to, false); err != nil {
			return in, err
		}
		if err := r.streamsPromise(tx, id, in, to); err != nil {
			return in, err
		}
		if err := r.meets(tx, id, to); err != nil {
			return in, err
		}
	}
	if to.Severity != in.Severity && by == to.Commander {
		if err := r.keep(tx, id, SeverityDue, by); err != nil {
			return in, err
		}
	}
	return to, r.noteChanges(tx, id, by, in, to, a.Reason)
}

// moveState keeps the times that hang on an incident's state, and ends what belongs to it when it closes.
func (r *Room) moveState(tx *store.Tx, id, by string, in Incident, to *Incident) error {
	if to.State == in.State {
		return nil
	}
	to.ByHand = &HandTurn{State: to.State, At: tx.Now()}
	switch to.State {
	case Open:
		to.ResolvedAt = nil
		if to.Phase == Resolved { // what was said last holds no more
			*to = to.inPhase(Investigating, tx.Now())
		}
		return nil
	case Resolved, Closed:
		if to.ResolvedAt == nil {
			now := tx.Now()
			to.ResolvedAt = &now
		}
	}
	if to.State != Closed {
		return nil
	}
	if err := r.endPlaybooks(tx, id, in); err != nil {
		return err
	}
	if err := r.endWaits(tx, id, by, to); err != nil {
		return err
	}
	if err := r.endStreams(tx, id, by, to); err != nil {
		return err
	}
	return nil
}

func (r *Room) noteChanges(tx *store.Tx, id, by string, in, to Incident, reason string) error {
	for _, c := range []struct{ what, from, to string }{
		{"severity", in.Severity, to.Severity}, {"state", in.State, to.State}, {"category", in.Category, to.Category},
		{"commander", in.Commander, to.Commander}, {"title", in.Title, to.Title}, {"impact", in.Impact, to.Impact},
		{"scope_estimate", in.ScopeEstimate, to.ScopeEstimate}, {"summary", in.Summary, to.Summary},
		{"detected_by", in.DetectedBy, to.DetectedBy}, {"pinned", strings.Join(in.Pinned, " | "), strings.Join(to.Pinned, " | ")},
		{"contributors", strings.Join(in.Contributors, ", "), strings.Join(to.Contributors, ", ")}, {"informed", strings.Join(in.Informed, ", "), strings.Join(to.Informed, ", ")},
		{"detected_at", in.DetectedAt.UTC().Format(time.RFC3339), to.DetectedAt.UTC().Format(time.RFC3339)},
	} {
		if c.from == c.to {
			continue
		}
		text := cmp.Or(c.from, "-") + " → " + cmp.Or(c.to, "-")
		if reason != "" {
			text += ": " + reason
		}
		if err := r.note(tx, id, by, c.what, text); err != nil {
			return err
		}
	}
	return nil
}

// SetSecurity sets what is known of a security cause: ruled_out, under_investigation, confirmed. Each later update says it.
func (r *Room) SetSecurity(ctx context.Context, by, incident, cause, reason string) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.security", Reason: reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		f := oneOf(nil, "security_cause", cause, securityCauses...)
		if f = reasonProse.bad(f, "reason", reason); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		was := in.Security
		in.Security = cause
		return in, r.note(tx, id, by, "security_cause", cmp.Or(was, "-")+" → "+cause+": "+reason)
	})
}

// change reads an incident, lets decide change it, and writes it with the page's edition.
func (r *Room) change(ctx context.Context, act store.Act, incident string, was int64, decide func(*store.Tx, string, Incident) (Incident, error)) (rec store.Rec[Incident], err error) {
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		have, err := seenIncident(tx, incident, was)
		if err != nil {
			return err
		}
		if err := have.Value.declared(); err != nil {
			return err
		}
		tx.On(have.ID)
		to, err := decide(tx, have.ID, have.Value)
		if err != nil {
			return err
		}
		if to.Severity != have.Value.Severity {
			to.Levels = append(slices.Clone(to.Levels), LevelWas{have.Value.Severity, tx.Now()})
		}
		if rec, err = put(tx, incidents, have.ID, to, have.Version); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return rec, err
}

// findIncident reads an incident by its id or its short public one.
func findIncident(tx *store.Tx, id string) (store.Rec[Incident], error) {
	if !strings.Contains(id, "_") && id != "" && len(id) <= 32 {
		rec, err := incidents.First(tx, store.Query{Index: "short", Equal: []any{id}})
		if fault.Of(err) == fault.NotFound {
			err = fault.New(fault.NotFound, "there is no incident %.32q", id)
		}
		return rec, err
	}
	in, m, err := incidents.Get(tx, id)
	return store.Rec[Incident]{Meta: m, Value: in}, err
}

// seenIncident reads an incident that somebody is about to change, and refuses when the version that she saw is not the one that stands; 0 is any.
func seenIncident(tx *store.Tx, id string, saw int64) (store.Rec[Incident], error) {
	have, err := findIncident(tx, id)
	if err == nil && saw != 0 && saw != have.Version {
		err = fault.New(fault.Stale, "record %s was changed meanwhile: version %d, not %d", have.ID, have.Version, saw)
	}
	return have, err
}

// Incident reads an incident by its id or by its short public one.
func (r *Room) Incident(ctx context.Context, id string) (rec store.Rec[Incident], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		rec, err = findIncident(tx, id)
		return err
	})
	return rec, err
}

// MostListed is the longest page of a list.
const MostListed = 200

func limit(n int) int {
	if n <= 0 {
		return 50
	}
	return min(n, MostListed)
}

// Incidents lists what was declared, in a state or ("") in all, newest first, and the cursor behind the page.
func (r *Room) Incidents(ctx context.Context, state, after string, most int) (page []store.Rec[Incident], next string, err error) {
	return r.Records(ctx, RecordQuery{State: state, After: after, Limit: most})
}

// IncidentLog is an incident's log, oldest first, and the cursor behind the page.
func (r *Room) IncidentLog(ctx context.Context, incident, after string, most int) (page []store.Rec[Entry], next string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		page, next, err = entries.List(tx, store.Query{Index: "incident", Equal: []any{in.ID}, After: after, Limit: limit(most)})
		return err
	})
	return page, next, err
}

// mostNotesRead bounds how many lines of some sorts are read out of a log at once.
const mostNotesRead = 100

// NotesOf are the newest lines of an incident's log that are of some sorts, or of all with none named, oldest first; at most 100.
func (r *Room) NotesOf(ctx context.Context, incident string, what ...string) (all []store.Rec[Entry], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for rec, err := range entries.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, Reverse: true}) {
			if err != nil {
				return err
			}
			if len(what) == 0 || slices.Contains(what, rec.Value.What) {
				if all = append(all, rec); len(all) == mostNotesRead {
					break
				}
			}
		}
		slices.Reverse(all)
		return nil
	})
	return all, err
}
