package comms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Update is one structured update: a draft until it is published, then frozen with the ledger's figures of that moment.
type Update struct {
	Incident    string                 `json:"incident"`
	Number      int                    `json:"number"`
	State       string                 `json:"state"` // draft, published, retracted
	Statement   templates.Statement    `json:"statement"`
	Author      string                 `json:"author"`           // whoever wrote it last: she may not approve it
	AskedAt     time.Time              `json:"asked_at"`         // when it was last changed: since then it waits for an approver
	First       bool                   `json:"first"`            // the first notice
	Corrects    int                    `json:"corrects"`         // number of the update it takes back; 0: none
	Figures     *templates.Figures     `json:"figures"`          // frozen at publishing; nil: no affected set was loaded
	Before      *templates.Before      `json:"before,omitempty"` // the figures of the update before it, frozen too; nil: it is the first to these readers
	Cohorts     []templates.CohortLoss `json:"cohorts,omitempty"`
	Security    string                 `json:"security_cause"`
	Pinned      []string               `json:"pinned"`
	Digest      string                 `json:"digest"` // of what was published
	People      int                    `json:"people"` // whom it was meant for, at publishing
	PublishedAt *time.Time             `json:"published_at"`
	PublishedBy string                 `json:"published_by"`
	Unread      bool                   `json:"unread"`              // published, but not yet read by a second person
	PageOnly    bool                   `json:"page_only"`           // published to the page alone, without an approver
	Dismissed   map[string]string      `json:"dismissed,omitempty"` // warnings that somebody lets stand, by what they say: who
	Notice      string                 `json:"notice"`              // the outbox's notice that carries it
	RetractedAt *time.Time             `json:"retracted_at"`
	RetractedBy string                 `json:"retracted_by"`
	Rule        string                 `json:"rule,omitempty"` // by which the ledger said it; "": a person did
	Held        string                 `json:"held,omitempty"` // a rule's draft: why it waits for a person
}

// The states of an update.
const (
	Draft     = "draft"
	Published = "published"
	Retracted = "retracted"
)

var updates = store.Table[Update]{
	Kind: store.Kind{Name: "update", Prefix: "upd", Schema: 1, Keep: 10 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "number", Type: store.Int}}, Unique: true},
	}},
	Tuples: func(u Update) store.Tuples { return store.Tuples{"incident": {u.Incident, u.Number}} },
}

// What an update makes due.
const (
	ApprovalDue   = "approval"       // of a draft, from when somebody asked for it
	NextUpdate    = "next_update"    // of the incident: the promise to its readers
	FullScope     = "full_scope"     // of the incident: when the whole extent is known
	SecondReading = "second_reading" // of the update
)

// onPage says whether an update is shown to everybody.
func (u Update) onPage() bool {
	return wide(u.Statement.Audience) && slices.Contains(u.Statement.Channels, ChannelPage)
}

// outbound are the channels on which people are told one by one.
func (u Update) outbound() []string {
	if u.PageOnly {
		return nil
	}
	var out []string
	for _, c := range u.Statement.Channels {
		if slices.Contains(sendable, c) {
			out = append(out, c)
		}
	}
	return out
}

// Draft keeps a statement as a draft. A missing or wrong field is refused, all of them named at once together with unread, what
// [ParseStatement] could not read; findings come with the draft.
func (r *Room) Draft(ctx context.Context, by, incident string, s templates.Statement, unread []fault.Field) (rec store.Rec[Update], found []Finding, err error) {
	var k survey
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		k, err = r.beforehand(tx, in, s, r.about)
		return err
	})
	if err != nil {
		return rec, nil, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.draft"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.speaks(); err != nil {
			return err
		}
		if err := r.refuseBad(tx, in.Value, s, unread); err != nil {
			return err
		}
		in.Value.LastUpdate++
		if in, err = put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
			return err
		}
		id := updates.NewID()
		tx.On(id, in.ID)
		u := Update{Incident: in.ID, Number: in.Value.LastUpdate, State: Draft, Statement: s, Author: by, AskedAt: tx.Now()}
		if rec, err = put(tx, updates, id, u, 0); err != nil {
			return err
		}
		if found, err = r.findingsOf(tx, u, in, k.figures, k.crowd); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "drafted", fmt.Sprintf("update %d", u.Number))
	})
	return rec, found, err
}

// speaks refuses to say or do anything in the name of an incident that is closed, or that nobody has declared.
func (in Incident) speaks() error {
	if in.State == Closed {
		return fault.New(fault.Conflict, "incident %d is closed; open it again first", in.Number)
	}
	return in.declared()
}

// refuseBad refuses a statement with a field that is missing, wrong or could not be read.
func (r *Room) refuseBad(tx *store.Tx, in Incident, s templates.Statement, unread []fault.Field) error {
	f := merge(unread, validate(s, in.rules(tx, s, false)))
	if len(badAudience(s.Audience)) == 0 {
		bad, err := r.badReaders(tx, in, s.Audience)
		if err != nil {
			return err
		}
		f = append(f, bad...)
	}
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}

// rules are what a statement about an incident is judged against now.
func (in Incident) rules(tx *store.Tx, s templates.Statement, first bool) rules {
	return rules{Now: tx.Now(), Locales: templates.Locales(), First: first, Checked: in.verified(s.Audience)}
}

// badReaders names an audience of an account, a cohort or a list that does not exist.
func (r *Room) badReaders(tx *store.Tx, in Incident, audience string) ([]fault.Field, error) {
	if cohort := cutCohort(audience); cohort != "" {
		if _, known := in.cohort(cohort); !known {
			return []fault.Field{wrong("audience", "names the cohort %.60q, which the incident does not have", cohort)}, nil
		}
	}
	if name := cutList(audience); name != "" && len(r.Policy.Lists[name]) == 0 {
		return []fault.Field{wrong("audience", "names the list %.60q, which has no addresses in the policy (comms.lists)", name)}, nil
	}
	id, one := cutAccount(audience)
	if !one {
		return nil, nil
	}
	_, err := r.Book.Account(tx, id)
	refused, err := refusal(err)
	if refused == "" {
		return nil, err
	}
	return []fault.Field{wrong("audience", "%s", refused)}, nil
}

// Edit puts another statement into a draft. An approval of the old one no longer counts, since it was bound to other words. version is the one that
// the writer saw; 0 is any. unread is what [ParseStatement] could not read.
func (r *Room) Edit(ctx context.Context, by, id string, version int64, s templates.Statement, unread []fault.Field) (rec store.Rec[Update], found []Finding, err error) {
	var k survey
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		_, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		k, err = r.beforehand(tx, in, s, r.about)
		return err
	})
	if err != nil {
		return rec, nil, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.edit"}, func(tx *store.Tx) error {
		have, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		if version != 0 && version != have.Version {
			return fault.New(fault.Stale, "the draft was changed meanwhile: version %d, not %d", have.Version, version)
		}
		if err := r.refuseBad(tx, in.Value, s, unread); err != nil {
			return err
		}
		u := have.Value
		newest, err := newestNumber(tx, in.ID)
		if err != nil {
			return err
		}
		if u.Number < newest { // written anew behind a published one
			in.Value.LastUpdate++
			u.Number = in.Value.LastUpdate
			if in, err = put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
				return err
			}
		}
		u.Statement, u.Author, u.AskedAt = s, by, tx.Now()
		tx.On(id, in.ID)
		if rec, err = put(tx, updates, id, u, have.Version); err != nil {
			return err
		}
		found, err = r.findingsOf(tx, u, in, k.figures, k.crowd)
		return err
	})
	return rec, found, err
}

// draftOf reads a draft and its incident; fault.Conflict when it is none any more.
func draftOf(tx *store.Tx, id string) (u store.Rec[Update], in store.Rec[Incident], err error) {
	if u.Value, u.Meta, err = updates.Get(tx, id); err != nil {
		return u, in, err
	}
	if u.Value.State != Draft {
		return u, in, fault.New(fault.Conflict, "update %d is %s and stays as it is", u.Value.Number, u.Value.State)
	}
	in, err = findIncident(tx, u.Value.Incident)
	return u, in, err
}

// spoken walks the updates of an incident that were published, newest first, those taken back among them.
func spoken(tx *store.Tx, incident string) func(func(store.Rec[Update], error) bool) {
	return func(yield func(store.Rec[Update], error) bool) {
		for rec, err := range updates.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, Reverse: true}) {
			if err == nil && rec.Value.State == Draft {
				continue
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func newestNumber(tx *store.Tx, incident string) (int, error) {
	for rec, err := range spoken(tx, incident) {
		return rec.Value.Number, err
	}
	return 0, nil
}

// standing is the newest update that still stands for the readers of an audience; nil when nothing was said.
func standing(tx *store.Tx, incident, audience string) (*Update, error) {
	for rec, err := range spoken(tx, incident) {
		u := rec.Value
		if err != nil {
			return nil, err
		}
		if u.State == Published && u.Corrects == 0 && (u.Statement.Audience == audience || wide(u.Statement.Audience) && wide(audience)) {
			return &u, nil
		}
	}
	return nil, nil
}

// since are the figures that the readers of a draft were given last; nil when they were given none.
func since(tx *store.Tx, u Update) (*templates.Before, error) {
	before, err := standing(tx, u.Incident, u.Statement.Audience)
	if before == nil || err != nil {
		return nil, err
	}
	was := figuresOf(*before)
	return &was, nil
}

// figuresFor is the ledger as a statement needs it: with all that is on record beside it when the statement speaks of the share that is not affected.
func (r *Room) figuresFor(tx *store.Tx, in store.Rec[Incident], s templates.Statement) (*templates.Figures, error) {
	f, err := r.ledger(tx, in.ID, in.Value)
	if err != nil || f == nil || !s.Unaffected {
		return f, err
	}
	accounts, sites, err := r.Book.Totals(tx)
	if err != nil {
		return nil, fmt.Errorf("count what is on record: %w", err)
	}
	f.Stored = stored(*f, accounts, sites)
	return f, nil
}

// stored is what of all on record is not affected.
func stored(f templates.Figures, accounts, sites int) *templates.Stored {
	s := templates.Stored{Sites: sites, UnaffectedSites: max(0, sites-f.Sites.Total), Customers: accounts, Unaffected: max(0, accounts-f.Customers.Total)}
	s.SitesPercent, s.CustomersPercent = percent(s.UnaffectedSites, s.Sites), percent(s.Unaffected, s.Customers)
	return &s
}

// beforehand is what the findings about a statement depend on. It is read on a snapshot, never within an act: counting a large
// audience would keep every other writer waiting.
func (r *Room) beforehand(tx *store.Tx, in store.Rec[Incident], s templates.Statement, count crowdCounter) (k survey, err error) {
	if bad, err := r.badReaders(tx, in.Value, s.Audience); err != nil || len(bad) > 0 {
		return k, err
	}
	if k.figures, err = r.figuresFor(tx, in, s); err != nil {
		return k, err
	}
	k.crowd, err = count(tx, in.ID, s.Audience, s.Channels)
	return k, err
}

type crowdCounter func(tx *store.Tx, incident, audience string, channels []string) (Crowd, error)

func (r *Room) findingsOf(tx *store.Tx, u Update, in store.Rec[Incident], figures *templates.Figures, crowd Crowd) ([]Finding, error) {
	said, err := pastOf(tx, in.ID, u.Statement.Audience)
	if err != nil {
		return nil, err
	}
	if before := said.newest(); before != nil {
		was := figuresOf(*before)
		u.Before = &was
	}
	var cohorts []templates.CohortLoss
	if wide(u.Statement.Audience) {
		cohorts = in.Value.losses()
	}
	var expected Forecast
	if t := u.Statement.Timeline; in.Value.Loaded && (t.Earliest != nil || t.Latest != nil) {
		if expected, err = r.forecastIn(tx, in.ID); err != nil {
			return nil, err
		}
	}
	return u.seen(findings(u.Statement, situation{
		Expected: expected,
		Rules:    in.Value.rules(tx, u.Statement, u.First), Cohorts: cohorts,
		Policy: r.Policy, Severity: in.Value.Severity, Hosts: r.linkHosts(), Phone: r.Vendor.Phone, Past: said, Figures: figures, Crowd: crowd,
		Left: r.leftOut(u, in, figures),
	})), nil
}

// seen marks the warnings that somebody has dismissed.
func (u Update) seen(found []Finding) []Finding {
	for i, f := range found {
		if f.Level == LevelWarning {
			found[i].DismissedBy = u.Dismissed[f.key()]
		}
	}
	return found
}

// Dismiss keeps that somebody saw a warning about a draft and lets it stand. It holds as long as the warning says the same.
func (r *Room) Dismiss(ctx context.Context, by, id, field, code string) (rec store.Rec[Update], found []Finding, err error) {
	rec, found, err = r.Update(ctx, id)
	if err != nil {
		return rec, nil, err
	}
	at := slices.IndexFunc(found, func(f Finding) bool { return f.Field == field && f.Code == code })
	switch {
	case rec.Value.State != Draft:
		return rec, nil, fault.New(fault.Conflict, "update %d is %s and stays as it is", rec.Value.Number, rec.Value.State)
	case at < 0:
		return rec, nil, fault.New(fault.NotFound, "nothing of that kind is found in the draft now")
	case found[at].Level == LevelError:
		return rec, nil, fault.New(fault.Conflict, "an error is mended, not dismissed")
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.dismiss"}, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		seen := map[string]string{}
		for key, who := range u.Value.Dismissed {
			seen[key] = who
		}
		if len(seen) >= mostDismissed {
			return fault.New(fault.Conflict, "over %d warnings of this draft are dismissed", mostDismissed)
		}
		seen[found[at].key()] = by
		u.Value.Dismissed = seen
		tx.On(id, in.ID)
		if rec, err = put(tx, updates, id, u.Value, u.Version); err != nil {
			return err
		}
		found = u.Value.seen(found)
		return nil
	})
	return rec, found, err
}

const mostDismissed = 200

// leftOut is what the SMS of a draft has no room for, by language. A draft that cannot be rendered has other findings.
func (r *Room) leftOut(u Update, in store.Rec[Incident], figures *templates.Figures) map[string][]string {
	if !slices.Contains(u.Statement.Channels, ChannelSMS) {
		return nil
	}
	left := map[string][]string{}
	for _, locale := range u.Statement.Locales {
		if out, err := r.render(ChannelSMS, locale, r.saying("", u, in.Value, figures)); err == nil {
			left[locale] = out.Left
		}
	}
	return left
}

// FindingsFor are the findings about a statement that is not kept yet, complete or not: for the editor, while somebody types.
func (r *Room) FindingsFor(ctx context.Context, incident string, s templates.Statement) (found []Finding, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		k, err := r.beforehand(tx, in, s, r.about)
		if err != nil {
			return err
		}
		found, err = r.findingsOf(tx, Update{Statement: s}, in, k.figures, k.crowd)
		return err
	})
	return found, err
}

// Update reads an update, and what is found in it now while it is a draft.
func (r *Room) Update(ctx context.Context, id string) (rec store.Rec[Update], found []Finding, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		if rec.Value, rec.Meta, err = updates.Get(tx, id); err != nil || rec.Value.State != Draft {
			return err
		}
		in, err := findIncident(tx, rec.Value.Incident)
		if err != nil {
			return err
		}
		k, err := r.beforehand(tx, in, rec.Value.Statement, r.about)
		if err != nil {
			return err
		}
		found, err = r.findingsOf(tx, rec.Value, in, k.figures, k.crowd)
		return err
	})
	return rec, found, err
}

// Updates lists an incident's updates, drafts among them, newest first, and the cursor behind the page.
func (r *Room) Updates(ctx context.Context, incident, after string, most int) (page []store.Rec[Update], next string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		page, next, err = updates.List(tx, store.Query{Index: "incident", Equal: []any{in.ID}, Reverse: true, After: after, Limit: limit(most)})
		return err
	})
	return page, next, err
}

// Preview is exactly what an update would say on a channel and in a language if it were published now, with the ledger's figures of now, and
// how many people it would reach. A published update is shown as it was said.
func (r *Room) Preview(ctx context.Context, id, channel, locale string) (out templates.Rendered, people int, err error) {
	var says templates.Update
	var public Public
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		if says, err = r.facts(tx, id); err != nil {
			return err
		}
		u, _, err := updates.Get(tx, id)
		if err != nil {
			return err
		}
		if channel == ChannelWebhook {
			if public, err = r.publicWith(tx, Waiting{Update: id}); fault.Of(err) == fault.Conflict { // it goes to no page
				public, err = r.public(tx, laid{})
			}
			if err != nil {
				return err
			}
		}
		crowd, err := r.about(tx, u.Incident, u.Statement.Audience, u.Statement.Channels)
		people = crowd.People
		return err
	})
	if err != nil {
		return out, 0, err
	}
	out, err = r.shown(channel, locale, says, public)
	return out, people, err
}

// PreviewFor is Preview of a statement that is not kept yet.
func (r *Room) PreviewFor(ctx context.Context, incident string, s templates.Statement, channel, locale string) (out templates.Rendered, people int, err error) {
	var says templates.Update
	var public Public
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if channel == ChannelWebhook {
			if public, err = r.public(tx, laid{}); err != nil {
				return err
			}
		}
		figures, err := r.figuresFor(tx, in, s)
		if err != nil {
			return err
		}
		u := Update{Incident: in.ID, Number: in.Value.LastUpdate + 1, Statement: s}
		if u.Before, err = since(tx, u); err != nil {
			return err
		}
		says = r.saying("", u, in.Value, figures)
		if bad, err := r.badReaders(tx, in.Value, s.Audience); err != nil || len(bad) > 0 {
			return err
		}
		crowd, err := r.about(tx, in.ID, s.Audience, s.Channels)
		people = crowd.People
		return err
	})
	if err != nil {
		return out, 0, err
	}
	out, err = r.shown(channel, locale, says, public)
	return out, people, err
}

// shown puts a statement into the form of any channel. What a program reads is made of the public page besides, which stands in public.
func (r *Room) shown(channel, locale string, says templates.Update, public Public) (out templates.Rendered, err error) {
	if channel != ChannelWebhook {
		return r.render(channel, locale, says)
	}
	if f := oneOf(nil, "locale", locale, templates.Locales()...); len(f) > 0 {
		return out, fault.BadFields(f...)
	}
	out.Text, err = r.payload(public, says, locale)
	return out, err
}

func (r *Room) render(channel, locale string, says templates.Update) (templates.Rendered, error) {
	f := oneOf(nil, "channel", channel, ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, hookSlack, hookTeams, templates.Social, templates.Media)
	if f = oneOf(f, "locale", locale, templates.Locales()...); len(f) > 0 {
		return templates.Rendered{}, fault.BadFields(f...)
	}
	out, err := r.Words.Update(channel, locale, says, r.Vendor)
	if err != nil {
		return out, fault.Wrap(fault.Invalid, err, "there are no words for this statement yet")
	}
	return out, nil
}

// digest binds everything that a second person approves: the statement with its channels, languages and audience, the words that it is put into,
// and what the incident adds to it.
func (r *Room) digest(u Update, in Incident) string {
	b, err := json.Marshal(struct {
		Statement templates.Statement
		Words     string
		Incident  templates.Incident
		Security  string
		Pinned    []string
		First     bool
		Corrects  int
		Cohorts   []templates.CohortLoss `json:",omitempty"`
	}{u.Statement, r.Words.Version(), r.incidentFacts(in), in.Security, in.Pinned, u.First, u.Corrects, in.losses()})
	if err != nil {
		return "" // plain data; an empty digest is approved by nobody
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Digest is what an approval of the draft would be bound to now.
func (r *Room) Digest(ctx context.Context, id string) (digest string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, _, err := updates.Get(tx, id)
		if err != nil {
			return err
		}
		in, err := findIncident(tx, u.Incident)
		digest = r.digest(u, in.Value)
		return err
	})
	return digest, err
}

// Approvals are the approvals of a draft that still count: of exactly what it would say now.
func (r *Room) Approvals(ctx context.Context, id string) (given []store.Approval, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		given, err = store.Approvals(tx, id, r.digest(u.Value, in.Value))
		return err
	})
	return given, err
}

// AskApproval tells those who may approve that a draft waits: the first rung of the policy's ladder at once, the next ones until somebody has approved.
// It says how many are told at once.
func (r *Room) AskApproval(ctx context.Context, by, id string) (told int, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.ask"}, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		due := approvalOf(u, tx.Now())
		var people []Direct
		if ladder := r.ladder(due); len(ladder) > 0 {
			if people, err = r.paging(tx, tx.Now()).reached(due, ladder[0]); err != nil {
				return err
			}
		}
		if told = len(people); told == 0 {
			return fault.New(fault.Conflict, "nobody is named to be asked (comms.ladders.%s of the policy); pass the address of the draft on to an approver", ApprovalDue)
		}
		tx.On(id, in.ID)
		if err := r.Move(tx, due); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "asked_approval", fmt.Sprintf("update %d", u.Value.Number))
	})
	return told, err
}

// approvalOf is the promise that a draft is approved, from now on.
func approvalOf(u store.Rec[Update], now time.Time) Deadline {
	return Deadline{What: ApprovalDue, Of: u.ID, Incident: u.Value.Incident, Page: "/desk/incidents/" + u.Value.Incident + "/editor?update=" + u.ID, Due: now}
}

// Approve is a second person's word for a draft exactly as it stands, and for the number of people whom it would reach now. Whoever
// wrote it last cannot approve it. A draft with an error cannot be approved.
func (r *Room) Approve(ctx context.Context, by, id string) (store.Approval, error) {
	return r.approve(ctx, by, id, false)
}

// ApproveSecurity is Approve by somebody with the security role: it counts as a second person's word and as theirs.
func (r *Room) ApproveSecurity(ctx context.Context, by, id string) (store.Approval, error) {
	return r.approve(ctx, by, id, true)
}

func (r *Room) approve(ctx context.Context, by, id string, security bool) (given store.Approval, err error) {
	k, err := r.survey(ctx, id)
	if err != nil {
		return given, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.approve"}, func(tx *store.Tx) error {
		u, in, err := k.again(tx, id)
		if err != nil {
			return err
		}
		found, err := r.findingsOf(tx, u.Value, in, k.figures, k.crowd)
		if err != nil {
			return err
		}
		if f := errorsOf(found); len(f) > 0 {
			return fault.BadFields(f...)
		}
		digest := r.digest(u.Value, in.Value)
		if digest == "" {
			return fault.New(fault.Internal, "the draft has no digest")
		}
		given = store.Approval{Of: id, Digest: digest, People: k.crowd.People, Author: u.Value.Author, By: by, At: tx.Now()}
		if err := store.Approve(tx, given); err != nil {
			return err
		}
		if security {
			word := given
			word.Of = securityWord(id)
			if err := store.Approve(tx, word); err != nil {
				return err
			}
		}
		if err := r.keep(tx, id, ApprovalDue, by); err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "approved", fmt.Sprintf("update %d, %d people", u.Value.Number, k.crowd.People))
	})
	return given, err
}

// survey is what counting takes long: made on a snapshot just before an act, so that no other writer waits for it. People who are added between
// the two are told all the same, since recipients are walked after the commit; the figures carry the time of the snapshot.
type survey struct {
	version int64 // of the draft that was counted for
	crowd   Crowd
	figures *templates.Figures
	stages  *Stages
}

func (r *Room) survey(ctx context.Context, id string) (k survey, err error) {
	age := r.bookAge(ctx)
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		u, in, err := draftOf(tx, id)
		if err != nil {
			return err
		}
		k.version = u.Version
		if k.figures, err = r.figuresFor(tx, in, u.Value.Statement); err != nil {
			return err
		}
		k.crowd, err = r.exactly(tx, age, in, u.Value.Statement.Audience, u.Value.Statement.Channels)
		return err
	})
	return k, err
}

// again reads the draft in the acting transaction; fault.Stale when it is not the one that was counted for.
func (k survey) again(tx *store.Tx, id string) (store.Rec[Update], store.Rec[Incident], error) {
	u, in, err := draftOf(tx, id)
	if err == nil && u.Version != k.version {
		err = fault.New(fault.Stale, "the draft was changed meanwhile; look at it again")
	}
	return u, in, err
}

// PublishOptions say how to publish.
type PublishOptions struct {
	PageOnly bool    // without an approver, to the page alone: only the author of a P0's draft, when nobody approved it for the policy's PageOnly
	Stages   *Stages // to a few first, then to all; nil: to all at once
}

// Publish says an update: one transaction freezes the ledger's figures, writes the notice that the outbox will carry, marks the promise of the next
// update, and moves the page. It is refused while a finding is an error, without an approval of exactly these words for
// about this many people, or when a newer update was published since the draft was written.
func (r *Room) Publish(ctx context.Context, by, id string, o PublishOptions) (rec store.Rec[Update], err error) {
	if f := o.bad(); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	k, err := r.survey(ctx, id)
	if err != nil {
		return rec, err
	}
	k.stages = o.Stages
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.publish"}, func(tx *store.Tx) error {
		u, in, err := k.again(tx, id)
		if err != nil {
			return err
		}
		if err := r.mayPublish(tx, by, u, in, k, o); err != nil {
			return err
		}
		u.Value.Digest = r.digest(u.Value, in.Value)
		u.Value.PageOnly, u.Value.Unread = o.PageOnly, o.PageOnly
		rec, err = r.release(tx, by, u, in, k, "")
		return err
	})
	return rec, err
}

// mayPublish says what stands in the way of publishing a draft.
func (r *Room) mayPublish(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident], k survey, o PublishOptions) error {
	if err := in.Value.speaks(); err != nil {
		return err
	}
	newest, err := newestNumber(tx, in.ID)
	if err != nil {
		return err
	}
	if u.Value.Number < newest {
		return fault.New(fault.Conflict, "update %d was published after this draft was written; read it, save the draft again and have it approved again", newest)
	}
	found, err := r.findingsOf(tx, u.Value, in, k.figures, k.crowd)
	if err != nil {
		return err
	}
	if f := errorsOf(found); len(f) > 0 {
		return fault.BadFields(f...)
	}
	if err := r.secured(tx, u, in.Value, k.crowd.People); err != nil {
		return err
	}
	given, ids, err := store.ApprovalsGiven(tx, u.ID, r.digest(u.Value, in.Value))
	if err != nil {
		return err
	}
	if o.PageOnly {
		return r.mayPageOnly(tx.Now(), by, u.Value, in.Value, len(given))
	}
	given = slices.DeleteFunc(given, func(a store.Approval) bool {
		return a.By == u.Value.Author || a.By == by && byProgram(u.Value.Author) // what no person wrote still takes two
	})
	switch store.Judge(given, k.crowd.People, 1) {
	case store.Approved:
		tx.On(ids...)
		return nil
	case store.Grown:
		return fault.New(fault.Conflict, "it would now reach %d people, over 2 %% more than were approved; have it approved again", k.crowd.People)
	}
	return fault.New(fault.Forbidden, "a second person must approve this update before it is published")
}

// byProgram says that no person wrote a draft.
func byProgram(author string) bool {
	return strings.HasPrefix(author, "system:") || strings.HasPrefix(author, ruleOf(""))
}

// mayPageOnly decides whether an author may publish to the page without an approver.
func (r *Room) mayPageOnly(now time.Time, by string, u Update, in Incident, approvals int) error {
	wait := u.AskedAt.Add(r.Policy.PageOnly).Sub(now)
	switch {
	case approvals > 0:
		return fault.New(fault.Conflict, "the update is approved; publish it to everybody")
	case in.Severity != "P0":
		return fault.New(fault.Forbidden, "only an update of a P0 may go to the page without an approver")
	case by != u.Author:
		return fault.New(fault.Forbidden, "only the author may publish to the page alone; you could approve the update instead")
	case !u.onPage():
		return fault.New(fault.Conflict, "the update does not name the page among its channels")
	case wait > 0:
		return fault.New(fault.Forbidden, "without an approver it may go to the page in %s, once it has waited for %s", wait.Round(time.Second), r.Policy.PageOnly)
	}
	return nil
}

// release publishes u: the one place where a draft becomes what was said. only is the notice whose readers a correction goes to.
func (r *Room) release(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident], k survey, only string) (store.Rec[Update], error) {
	if r.Barred != "" {
		return u, fault.New(fault.Conflict, "%s", r.Barred)
	}
	now := tx.Now()
	v := u.Value
	var err error
	if v.Before, err = since(tx, v); err != nil {
		return u, err
	}
	v.State, v.PublishedAt, v.PublishedBy, v.Held = Published, &now, by, ""
	v.Figures, v.People, v.Security, v.Pinned = k.figures, k.crowd.People, in.Value.Security, in.Value.Pinned
	v.Cohorts = in.Value.losses()
	tx.On(u.ID, in.ID)
	if u, err = put(tx, updates, u.ID, v, u.Version); err != nil {
		return u, err
	}
	if u, err = r.carry(tx, u, only, k.stages); err != nil {
		return u, err
	}
	if err := r.fall(tx, by, u, in); err != nil {
		return u, err
	}
	if err := r.keep(tx, u.ID, ApprovalDue, by); err != nil {
		return u, err
	}
	if _, err := put(tx, incidents, in.ID, in.Value.after(u.Value, now), in.Version); err != nil {
		return u, err
	}
	what := "published"
	if v.PageOnly {
		what = "published_page_only"
	}
	if err := r.note(tx, in.ID, by, what, fmt.Sprintf("update %d, %d people", v.Number, v.People)); err != nil {
		return u, err
	}
	return u, r.touchPages(tx)
}

// carry writes the notice of a published update; none when nobody is told one by one.
func (r *Room) carry(tx *store.Tx, u store.Rec[Update], only string, stages *Stages) (store.Rec[Update], error) {
	v := u.Value
	n := Notice{Lane: LaneBroadcast, Name: "update", Update: u.ID, Audience: v.Statement.Audience, Only: only, Channels: v.outbound(), ByDay: v.Rule != ""}
	if only != "" { // who got the wrong words by text gets the right ones so
		old, _, err := notices.Get(tx, only)
		if err != nil {
			return u, err
		}
		n.Channels = old.sendable()
	}
	if listed(v.Statement.Audience) {
		n.Audience, n.Only, n.To = "", "", r.listed(v.Statement.Audience, n.Channels)
	}
	if len(n.Channels) == 0 || n.Audience == "" && len(n.To) == 0 || v.Corrects > 0 && only == "" && n.Audience != "" {
		return u, nil
	}
	if err := r.stage(tx, &n, stages); err != nil {
		return u, err
	}
	notice, err := r.tell(tx, n)
	if err != nil {
		return u, err
	}
	if n.Only != "" {
		if err := r.correctStaff(tx, n); err != nil {
			return u, err
		}
	}
	v.Notice = notice
	tx.On(notice)
	return put(tx, updates, u.ID, v, u.Version)
}

// fall keeps the promises that a published update fulfils and makes those that it gives.
func (r *Room) fall(tx *store.Tx, by string, u store.Rec[Update], in store.Rec[Incident]) error {
	v, incident := u.Value, in.ID
	if v.Unread {
		if err := r.askSecond(tx, u, in); err != nil {
			return err
		}
	}
	if cohort := cutCohort(v.Statement.Audience); cohort != "" && v.Corrects == 0 {
		return r.promiseCohort(tx, by, v, CohortOf(incident, cohort))
	}
	if !wide(v.Statement.Audience) || v.Corrects > 0 {
		return nil // the promise to all readers still stands
	}
	if err := r.keep(tx, incident, NextUpdate, by); err != nil {
		return err
	}
	for _, what := range []string{FullScope, Silence, EstimateDue} {
		if err := r.keep(tx, incident, what, by); err != nil {
			return err
		}
	}
	if err := r.owesWord(tx, incident, in.Value.after(v, tx.Now())); err != nil {
		return err
	}
	if next := v.Statement.NextUpdateBy; next.Word == "" && !next.At.IsZero() {
		if err := r.promise(tx, Deadline{What: NextUpdate, Of: incident, Incident: incident, Due: next.At}); err != nil {
			return err
		}
	}
	if full := v.Statement.Timeline.FullScopeBy; full.Word == "" && full.At.After(tx.Now()) && v.Statement.Affected.Status != "final" {
		return r.promise(tx, Deadline{What: FullScope, Of: incident, Incident: incident, Due: full.At})
	}
	return nil
}

// promiseCohort keeps the promise that a cohort had, and notes the next.
func (r *Room) promiseCohort(tx *store.Tx, by string, u Update, cohort string) error {
	if err := r.keep(tx, cohort, NextUpdate, by); err != nil {
		return err
	}
	next := u.Statement.NextUpdateBy
	if next.Word != "" || next.At.IsZero() {
		return nil
	}
	return r.promise(tx, Deadline{What: NextUpdate, Of: cohort, Incident: u.Incident, Due: next.At})
}

// askSecond asks the people inside to read what one person said alone, and makes that due.
func (r *Room) askSecond(tx *store.Tx, u store.Rec[Update], in store.Rec[Incident]) error {
	due := tx.Now().Add(r.Policy.SecondRead)
	if err := r.promise(tx, Deadline{What: SecondReading, Of: u.ID, Incident: in.ID, Due: due}); err != nil {
		return err
	}
	return r.tellInternal(tx, templates.MsgSecondReading, templates.SecondReading{Title: in.Value.Title, Severity: in.Value.Severity,
		Headline: u.Value.Statement.Headline, SentAt: tx.Now(), By: due, URL: r.deskURL(in.ID)})
}

// after is the incident once an update was published. Only what everybody is told moves it.
func (in Incident) after(u Update, now time.Time) Incident {
	if !wide(u.Statement.Audience) || u.Corrects > 0 {
		return in
	}
	if in.FirstNoticeAt == nil {
		in.FirstNoticeAt = &now
	}
	in.Estimate = Estimated{} // the next look at the forecast begins from here
	return in.inPhase(u.Statement.Phase, now)
}

// inPhase moves an incident's state and times with its phase.
func (in Incident) inPhase(phase string, now time.Time) Incident {
	in.Phase = phase
	switch phase {
	case Resolved:
		if in.State == Open {
			in.State = Resolved
		}
		if in.ResolvedAt == nil {
			in.ResolvedAt = &now
		}
		return in
	case Monitoring:
		if in.MonitoringAt == nil {
			in.MonitoringAt = &now
		}
	default:
		in.MonitoringAt = nil
	}
	if in.State == Resolved {
		in.State, in.ResolvedAt = Open, nil
	}
	return in
}

// ReadSecond is a second person's word that she has read an update that one person published.
func (r *Room) ReadSecond(ctx context.Context, by, id string) (rec store.Rec[Update], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.read"}, func(tx *store.Tx) error {
		u, m, err := updates.Get(tx, id)
		switch {
		case err != nil:
			return err
		case by == u.Author || by == u.PublishedBy:
			return fault.New(fault.Forbidden, "you published it; a second person must read it")
		case !u.Unread:
			return fault.New(fault.Conflict, "update %d does not wait for a second reading", u.Number)
		}
		u.Unread = false
		tx.On(id, u.Incident)
		if rec, err = put(tx, updates, id, u, m.Version); err != nil {
			return err
		}
		if err := r.keep(tx, id, SecondReading, by); err != nil {
			return err
		}
		if err := r.note(tx, u.Incident, by, "read_by_second", fmt.Sprintf("update %d", u.Number)); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return rec, err
}

// Retract takes an update back: what is unsent of it is stopped, it stays on the page marked as retracted, and a correction in fixed words goes to
// exactly those whom it has reached. It returns the correction.
func (r *Room) Retract(ctx context.Context, by, id, reason string) (rec store.Rec[Update], err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "update.retract", Reason: reason}, func(tx *store.Tx) error {
		if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		u, m, err := updates.Get(tx, id)
		switch {
		case err != nil:
			return err
		case u.State != Published:
			return fault.New(fault.Conflict, "update %d is %s; only what was published can be taken back", u.Number, u.State)
		case u.Corrects > 0:
			return fault.New(fault.Conflict, "update %d is itself a correction; say what is right in a new update", u.Number)
		}
		rec, err = r.retract(tx, by, store.Rec[Update]{Meta: m, Value: u}, reason)
		return err
	})
	return rec, err
}

func (r *Room) retract(tx *store.Tx, by string, u store.Rec[Update], reason string) (rec store.Rec[Update], err error) {
	now := tx.Now()
	v := u.Value
	if v.Notice != "" {
		if err := r.stop(tx, v.Notice); err != nil {
			return rec, err
		}
	}
	v.State, v.RetractedAt, v.RetractedBy, v.Unread = Retracted, &now, by, false
	if _, err := put(tx, updates, u.ID, v, u.Version); err != nil {
		return rec, err
	}
	if err := r.keep(tx, u.ID, SecondReading, by); err != nil {
		return rec, err
	}
	in, err := findIncident(tx, v.Incident)
	if err != nil {
		return rec, err
	}
	if wide(v.Statement.Audience) {
		if in.Value, err = r.phaseBack(tx, in); err != nil {
			return rec, err
		}
	}
	in.Value.LastUpdate++
	if in, err = put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
		return rec, err
	}
	tx.On(u.ID)
	if err := r.note(tx, in.ID, by, "retracted", fmt.Sprintf("update %d: %s", v.Number, reason)); err != nil {
		return rec, err
	}
	fix := Update{Incident: in.ID, Number: in.Value.LastUpdate, State: Draft, Author: by, AskedAt: now, Corrects: v.Number, PageOnly: v.PageOnly,
		Statement: correction(v.Statement, in.Value.Phase, now)}
	fix.Digest = r.digest(fix, in.Value)
	if rec, err = put(tx, updates, updates.NewID(), fix, 0); err != nil {
		return rec, err
	}
	figures, err := r.ledger(tx, in.ID, in.Value)
	if err != nil {
		return rec, err
	}
	return r.release(tx, by, rec, in, survey{figures: figures, crowd: Crowd{People: v.People}}, v.Notice)
}

// phaseBack puts an incident into the phase of what still stands.
func (r *Room) phaseBack(tx *store.Tx, in store.Rec[Incident]) (Incident, error) {
	last, err := standing(tx, in.ID, AudiencePublic)
	if err != nil {
		return in.Value, err
	}
	phase := Investigating
	if last != nil {
		phase = last.Statement.Phase
	}
	return in.Value.inPhase(phase, tx.Now()), nil
}

// correction is a statement that says nothing but what the fixed words say, to the same readers. The promise of the next update stands if it
// is still ahead.
func correction(s templates.Statement, phase string, now time.Time) templates.Statement {
	fix := templates.Statement{Phase: phase, Audience: s.Audience, Channels: s.Channels, Locales: s.Locales}
	if s.NextUpdateBy.Word == "" && s.NextUpdateBy.At.After(now) {
		fix.NextUpdateBy = s.NextUpdateBy
	}
	return fix
}

// WorkingCopy keeps what somebody is typing, complete or not. Its id is wcp_<incident suffix>.
type WorkingCopy struct {
	Incident string          `json:"incident"`
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Text     json.RawMessage `json:"text"` // as it was sent
}

var copies = store.Table[WorkingCopy]{Kind: store.Kind{Name: "working copy", Prefix: "wcp", Schema: 1, Composed: true}}

// MaxCopy is the most that a working copy may hold, in bytes.
const MaxCopy = 64 << 10

// SaveCopy keeps what is being typed for an incident: any JSON object of at most MaxCopy bytes. The newest one stands.
func (r *Room) SaveCopy(ctx context.Context, by, incident string, text json.RawMessage) (c WorkingCopy, err error) {
	var object map[string]json.RawMessage
	switch {
	case len(text) > MaxCopy:
		return c, fault.New(fault.TooLarge, "a working copy holds at most %d bytes", MaxCopy)
	case json.Unmarshal(text, &object) != nil || object == nil:
		return c, fault.BadField("text", "must be a JSON object")
	}
	// No audit row: an editor saves every few seconds, and nobody is told anything by it.
	err = r.DB.Update(ctx, store.Act{By: by}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		id := "wcp_" + suffix(in.ID)
		_, m, err := copies.Get(tx, id)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		c = WorkingCopy{Incident: in.ID, By: by, At: tx.Now(), Text: text}
		return copies.Put(tx, id, c, m.Version)
	})
	return c, err
}

// Copy is what was being typed for an incident; fault.NotFound when nobody has typed anything.
func (r *Room) Copy(ctx context.Context, incident string) (c WorkingCopy, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		c, _, err = copies.Get(tx, "wcp_"+suffix(in.ID))
		if fault.Of(err) == fault.NotFound {
			return fault.New(fault.NotFound, "nothing is being typed for this incident")
		}
		return err
	})
	return c, err
}

// edition is the one record whose version moves with everything that public pages show; a page that was rendered from
// an older version is stale. Its id is edn_page.
type edition struct {
	At time.Time `json:"at"`
}

var editions = store.Table[edition]{Kind: store.Kind{Name: "edition", Prefix: "edn", Schema: 1, Composed: true}}

const editionID = "edn_page"
