package comms

import (
	"context"
	"fmt"
	"slices"
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
	behind, err := overtaken(tx, in.ID, u.Statement)
	if err != nil {
		return nil, err
	}
	return u.seen(findings(u.Statement, situation{
		Behind:   behind,
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
