package comms

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Maintenance is work that is planned: announced ahead, with a window in which it begins and ends by itself. Its state is not kept but follows
// from the window and the clock, so nothing has to run for a page to be right.
type Maintenance struct {
	Short string `json:"short"` // 12 lower-case letters and digits, stable for ever; its id on public pages
	PlanWords
	Components []string  `json:"components"` // names, as the policy has them
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	Author     string    `json:"author"`
	PlannedAt  time.Time `json:"planned_at"`
	SaidAt     time.Time `json:"said_at,omitzero"` // since when everybody may read it; zero: no second person has agreed
	SaidBy     string    `json:"said_by"`          // the second person
	Ended      time.Time `json:"ended,omitzero"`   // it ended before its window did
	Turns      []Turn    `json:"turns"`            // oldest first
}

// PlanWords are what a plan says.
type PlanWords struct {
	Title        string              `json:"title"`
	Text         string              `json:"text"`                   // what is done, and what readers will notice
	Locale       string              `json:"locale"`                 // in which it is written, and which prevails
	Translations map[string]PlanText `json:"translations,omitempty"` // by other locales; who reads one that is missing gets the original, marked as such
}

// PlanText is what a plan says in another language, made by a person.
type PlanText struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// In are the words in a language, and the language that they are in.
func (w PlanWords) In(locale string) (PlanText, string) {
	if t, ok := w.Translations[locale]; ok && locale != w.Locale {
		return t, locale
	}
	return PlanText{w.Title, w.Text}, w.Locale
}

// Missing are the languages of the pages in which it says nothing yet.
func (w PlanWords) Missing() []string {
	return missingOf(w.Locale, func(locale string) string { _, in := w.In(locale); return in })
}

// missingOf are the languages of the pages in which something says nothing yet: it is written in own, and in is the language in which a reader of a locale gets it.
func missingOf(own string, in func(locale string) string) (all []string) {
	if own == "" { // nobody said in which language it is written
		return nil
	}
	for _, locale := range templates.Locales() {
		if in(locale) != locale {
			all = append(all, locale)
		}
	}
	return all
}

// Turn is something that happened to a plan after it was said: it was held, goes on, was cancelled, or ended early.
type Turn struct {
	What string    `json:"what"` // MaintenanceHeld, MaintenanceResumed, MaintenanceCancelled or MaintenanceEnded
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	TurnWords
}

// TurnWords say why something happened to a plan.
type TurnWords struct {
	Reason       string            `json:"reason"`                 // in the language of the plan, which prevails
	Translations map[string]string `json:"translations,omitempty"` // by other locales; who reads one that is missing gets the original, marked as such
}

// In is the reason in a language, and the language that it is in, of a plan that is written in own.
func (w TurnWords) In(locale, own string) (reason, in string) {
	if t, ok := w.Translations[locale]; ok && locale != own {
		return t, locale
	}
	return w.Reason, own
}

// Missing are the languages of the pages in which it says nothing yet, of a plan that is written in own.
func (w TurnWords) Missing(own string) []string {
	return missingOf(own, func(locale string) string { _, in := w.In(locale, own); return in })
}

// bad says what is wrong with them, of a plan that is written in own.
func (w TurnWords) bad(own string) []fault.Field {
	f := reasonProse.bad(nil, "reason", w.Reason)
	for _, locale := range slices.Sorted(maps.Keys(w.Translations)) {
		at := "translations." + bounded(locale)
		if locale == own || !slices.Contains(templates.Locales(), locale) {
			f = append(f, wrong(at, "is no language of the pages beside the one that the plan is written in"))
			continue
		}
		f = reasonProse.bad(f, at, w.Translations[locale])
	}
	return f
}

// trimmed are words without the white space around them.
func (w TurnWords) trimmed() TurnWords {
	w.Reason = strings.TrimSpace(w.Reason)
	w.Translations = maps.Clone(w.Translations)
	for locale, t := range w.Translations {
		w.Translations[locale] = strings.TrimSpace(t)
	}
	return w
}

// What may happen to a plan.
const (
	MaintenanceHeld      = "held"
	MaintenanceResumed   = "resumed"
	MaintenanceCancelled = "cancelled"
	MaintenanceEnded     = "ended"
)

// Where planned work stands.
const (
	PlanDraft      = "draft"
	PlanScheduled  = "scheduled"
	PlanHeld       = "held"
	PlanInProgress = "in_progress"
	PlanCompleted  = "completed"
	PlanCancelled  = "cancelled"
)

// last is the newest turn of a plan, or "".
func (m Maintenance) last() string {
	if len(m.Turns) == 0 {
		return ""
	}
	return m.Turns[len(m.Turns)-1].What
}

// State is where a plan stands at a moment. What is held neither begins nor ends until somebody lets it go on.
func (m Maintenance) State(now time.Time) string {
	switch last := m.last(); {
	case m.SaidAt.IsZero():
		return PlanDraft
	case last == MaintenanceCancelled:
		return PlanCancelled
	case last == MaintenanceHeld:
		return PlanHeld
	case last == MaintenanceEnded, !now.Before(m.Until):
		return PlanCompleted
	case !now.Before(m.From):
		return PlanInProgress
	}
	return PlanScheduled
}

var plans = store.Table[Maintenance]{
	Kind: store.Kind{Name: "maintenance", Prefix: "mnt", Schema: 1, Keep: 10 * 365 * day, Indexes: []store.Index{
		{Name: "from", Fields: []store.Field{{Name: "from", Type: store.Time}}},
	}},
	Tuples: func(m Maintenance) store.Tuples { return store.Tuples{"from": {m.From}} },
}

// Plan is what is given to plan maintenance.
type Plan struct {
	PlanWords            // without a locale they are in the first language of the pages
	Components []string  `json:"components"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
}

func (p Policy) badPlan(in Plan, now time.Time) (f []fault.Field) {
	f = oneOf(f, "locale", in.Locale, templates.Locales()...)
	f = badPlanText(f, "", PlanText{in.Title, in.Text})
	for _, locale := range slices.Sorted(maps.Keys(in.Translations)) {
		at := "translations." + bounded(locale)
		if locale == in.Locale || !slices.Contains(templates.Locales(), locale) {
			f = append(f, wrong(at, "is no language of the pages beside the one that it is written in"))
			continue
		}
		f = badPlanText(f, at+".", in.Translations[locale])
	}
	if len(in.Components) == 0 {
		f = append(f, missing("components"))
	}
	for i, name := range in.Components {
		if !slices.ContainsFunc(p.Components, func(c ComponentPolicy) bool { return c.Name == name }) {
			f = append(f, wrong(fmt.Sprintf("components[%d]", i), "is %.60q, which is no component of the policy", name))
		}
	}
	switch {
	case in.From.IsZero():
		f = append(f, missing("from"))
	case !in.From.After(now):
		f = append(f, wrong("from", "has passed already; work that nobody was told of ahead is an incident"))
	}
	switch {
	case in.Until.IsZero():
		f = append(f, missing("until"))
	case !in.Until.After(in.From):
		f = append(f, wrong("until", "must lie behind from"))
	case in.Until.Sub(in.From) > 14*day:
		f = append(f, wrong("until", "lies more than 14 days behind from"))
	}
	return f
}

func badPlanText(f []fault.Field, path string, t PlanText) []fault.Field {
	f = titleProse.bad(f, path+"title", t.Title)
	return prose{most: 4000, lines: true, required: true}.bad(f, path+"text", t.Text)
}

// trimmed are words without the white space around them.
func (w PlanWords) trimmed() PlanWords {
	w.Title, w.Text = strings.TrimSpace(w.Title), strings.TrimSpace(w.Text)
	all := map[string]PlanText{}
	for locale, t := range w.Translations {
		all[locale] = PlanText{strings.TrimSpace(t.Title), strings.TrimSpace(t.Text)}
	}
	w.Translations = all
	return w
}

// PlanMaintenance drafts planned work. Nobody is told before a second person agrees. It is refused while changes are frozen.
func (r *Room) PlanMaintenance(ctx context.Context, by string, in Plan) (rec store.Rec[Maintenance], err error) {
	if in.Locale == "" {
		in.Locale = templates.Locales()[0]
	}
	if f := r.Policy.badPlan(in, r.DB.Now()); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "maintenance.plan"}, func(tx *store.Tx) error {
		if err := notFrozen(tx); err != nil {
			return err
		}
		id := plans.NewID()
		tx.On(id)
		m := Maintenance{Short: strings.ToLower(rand.Text()[:12]), PlanWords: in.trimmed(), Components: in.Components,
			From: in.From.UTC(), Until: in.Until.UTC(), Author: by, PlannedAt: tx.Now(), Turns: []Turn{}}
		rec, err = put(tx, plans, id, m, 0)
		return err
	})
	return rec, err
}

// digest binds a second person's word to what will be said.
func (m Maintenance) digest(words string) (string, error) {
	b, err := json.Marshal([]any{m.PlanWords, m.Components, m.From, m.Until, words})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// AgreeMaintenance is the second person's word for a plan: the page shows it at once, and those who subscribed to its components are told.
func (r *Room) AgreeMaintenance(ctx context.Context, by, id string) (rec store.Rec[Maintenance], err error) {
	return r.turnPlan(ctx, store.Act{By: by, Verb: "maintenance.agree"}, id, func(tx *store.Tx, m Maintenance) (Maintenance, error) {
		switch {
		case !m.SaidAt.IsZero():
			return m, errAsItWas
		case r.Barred != "":
			return m, fault.New(fault.Conflict, "%s", r.Barred)
		case !m.From.After(tx.Now()):
			return m, fault.New(fault.Conflict, "its window has begun; plan it anew")
		}
		if err := notFrozen(tx); err != nil {
			return m, err
		}
		digest, err := m.digest(r.Words.Version())
		if err != nil {
			return m, err
		}
		if err := store.Approve(tx, store.Approval{Of: id, Digest: digest, Author: m.Author, By: by}); err != nil {
			return m, err
		}
		m.SaidAt, m.SaidBy = tx.Now(), by
		return m, r.tellPlan(tx, m, Turn{})
	})
}

// TurnMaintenance holds a plan, lets it go on, cancels it, or ends it early: one person does, for each makes it safer or says what is so.
func (r *Room) TurnMaintenance(ctx context.Context, by, id, what string, why TurnWords) (rec store.Rec[Maintenance], err error) {
	if f := oneOf(nil, "what", what, MaintenanceHeld, MaintenanceResumed, MaintenanceCancelled, MaintenanceEnded); len(f) > 0 {
		return rec, fault.BadFields(append(f, why.bad("")...)...)
	}
	return r.turnPlan(ctx, store.Act{By: by, Verb: "maintenance." + what, Reason: why.Reason}, id, func(tx *store.Tx, m Maintenance) (Maintenance, error) {
		if f := why.bad(m.Locale); len(f) > 0 {
			return m, fault.BadFields(f...)
		}
		if may, why := m.may(what, tx.Now()); !may {
			return m, fault.New(fault.Conflict, "%s", why)
		}
		if what == MaintenanceResumed {
			if err := notFrozen(tx); err != nil {
				return m, err
			}
		}
		return r.turned(tx, m, Turn{What: what, At: tx.Now(), By: by, TurnWords: why.trimmed()})
	})
}

// may decides whether a turn is possible, and if not says why.
func (m Maintenance) may(what string, now time.Time) (bool, string) {
	state := m.State(now)
	switch {
	case what == MaintenanceHeld && state == PlanScheduled,
		what == MaintenanceResumed && state == PlanHeld && m.From.After(now),
		what == MaintenanceCancelled && (state == PlanScheduled || state == PlanHeld),
		what == MaintenanceEnded && state == PlanInProgress:
		return true, ""
	case what == MaintenanceResumed && state == PlanHeld:
		return false, "its window has begun meanwhile; cancel it and plan it anew"
	}
	return false, fmt.Sprintf("it is %s and cannot be %s", state, what)
}

// Possible are the turns that a plan may take at a moment, in the order in which people see them.
func (m Maintenance) Possible(now time.Time) (all []string) {
	for _, what := range []string{MaintenanceHeld, MaintenanceResumed, MaintenanceEnded, MaintenanceCancelled} {
		if may, _ := m.may(what, now); may {
			all = append(all, what)
		}
	}
	return all
}

// turned is the plan after a turn, told to whom the plan was told.
func (r *Room) turned(tx *store.Tx, m Maintenance, t Turn) (Maintenance, error) {
	m.Turns = append(slices.Clone(m.Turns), t)
	if t.What == MaintenanceEnded {
		m.Ended = t.At
		return m, nil // the page says it, and nobody waits for a mail about it
	}
	return m, r.tellPlan(tx, m, t)
}

// tellPlan tells subscribers of a plan, or what happened to it.
func (r *Room) tellPlan(tx *store.Tx, m Maintenance, t Turn) error {
	others := map[string]templates.PlannedText{}
	for locale, text := range m.Translations {
		others[locale] = templates.PlannedText{Title: text.Title, Lines: strings.Split(text.Text, "\n")}
	}
	data, err := json.Marshal(templates.Planned{Locale: m.Locale, Translations: others, Title: m.Title, Lines: strings.Split(m.Text, "\n"), Components: strings.Join(m.Components, ", "),
		From: m.From, Until: m.Until, What: t.What, Reason: t.Reason, Reasons: t.Translations, URL: r.Vendor.URL + "/#m-" + m.Short})
	if err != nil {
		return err
	}
	_, err = r.tell(tx, Notice{Lane: LaneBroadcast, Name: templates.MsgMaintenance, Audience: AudiencePublic, Channels: sendable,
		Components: r.Policy.componentIDs(m.Components), Data: data})
	return err
}

// turnPlan changes a plan and the page with it.
func (r *Room) turnPlan(ctx context.Context, act store.Act, id string, decide func(*store.Tx, Maintenance) (Maintenance, error)) (rec store.Rec[Maintenance], err error) {
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		was, meta, err := plans.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id)
		rec = store.Rec[Maintenance]{Meta: meta, Value: was}
		m, err := decide(tx, was)
		if err != nil {
			return err
		}
		if rec, err = put(tx, plans, id, m, meta.Version); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return rec, asItWas(err)
}

// Maintenances lists plans, the latest window first, with drafts.
func (r *Room) Maintenances(ctx context.Context, after string, most int) (page []store.Rec[Maintenance], next string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = plans.List(tx, store.Query{Index: "from", Reverse: true, After: after, Limit: limit(most)})
		return err
	})
	return page, next, err
}

// PlannedWork reads one plan.
func (r *Room) PlannedWork(ctx context.Context, id string) (rec store.Rec[Maintenance], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		m, meta, err := plans.Get(tx, id)
		rec = store.Rec[Maintenance]{Meta: meta, Value: m}
		return err
	})
	return rec, err
}

// Freeze forbids planned changes while an incident of the highest level is open, or allows them again. What is planned and has not begun is held,
// and stays held until somebody lets it go on. The reason is for the incident's log; readers of a plan are told that it is held, in words that stand in every
// language, for in that hour nobody translates, and one person's words are not to reach everybody.
func (r *Room) Freeze(ctx context.Context, by, incident string, on bool, reason string) (rec store.Rec[Incident], err error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	return r.change(ctx, store.Act{By: by, Verb: "incident.freeze", Reason: reason}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		switch {
		case !on:
			in.FrozenAt = nil
			return in, r.note(tx, id, by, "thawed", reason)
		case in.State != Open || in.Severity > "P1" || in.Drill:
			return in, fault.New(fault.Conflict, "only an open P0 or P1 freezes changes, and no exercise does")
		case in.FrozenAt != nil:
			return in, nil
		}
		now := tx.Now()
		in.FrozenAt = &now
		for rec, err := range plans.Scan(tx, store.Query{Index: "from", From: now}) {
			if err != nil {
				return in, err
			}
			if rec.Value.State(now) != PlanScheduled {
				continue
			}
			tx.On(rec.ID)
			held, err := r.turned(tx, rec.Value, Turn{What: MaintenanceHeld, At: now, By: by, TurnWords: r.frozenWords(rec.Value.Locale)})
			if err != nil {
				return in, err
			}
			if err := plans.Put(tx, rec.ID, held, rec.Version); err != nil {
				return in, err
			}
		}
		return in, r.note(tx, id, by, "frozen", reason)
	})
}

// frozenWords say that a plan is held with all others, of one that is written in own.
func (r *Room) frozenWords(own string) TurnWords {
	own = cmp.Or(own, templates.Locales()[0])
	w := TurnWords{Translations: map[string]string{}}
	for _, locale := range templates.Locales() {
		if says := r.Words.Catalog(locale).T("page.plan.frozen"); locale == own {
			w.Reason = says
		} else {
			w.Translations[locale] = says
		}
	}
	return w
}

// notFrozen refuses while an open incident freezes changes.
func notFrozen(tx *store.Tx) error {
	for rec, err := range incidents.Scan(tx, store.Query{Index: "state", Equal: []any{Open}}) {
		if err != nil {
			return err
		}
		if rec.Value.FrozenAt != nil {
			return fault.New(fault.Conflict, "changes are frozen during incident %d", rec.Value.Number)
		}
	}
	return nil
}

// PublicMaintenance is planned work as everybody may read it.
type PublicMaintenance struct {
	Maintenance
	Status  string    // PlanScheduled, PlanHeld, PlanInProgress, PlanCompleted or PlanCancelled
	Updated time.Time // when it came into that
}

// mostPlans bounds what pages show of planned work.
const mostPlans = 50

// publicPlans are the plans that pages show, the latest window first.
func publicPlans(tx *store.Tx, l laid) (all []PublicMaintenance, err error) {
	for rec, err := range plans.Scan(tx, store.Query{Index: "from", Reverse: true}) {
		if err != nil {
			return nil, err
		}
		m := l.planned(tx, rec)
		if m.SaidAt.IsZero() {
			continue
		}
		p := PublicMaintenance{Maintenance: m, Status: m.State(tx.Now()), Updated: m.SaidAt}
		if n := len(m.Turns); n > 0 {
			p.Updated = m.Turns[n-1].At
		}
		switch {
		case p.Status == PlanInProgress:
			p.Updated = m.From
		case p.Status == PlanCompleted && m.Ended.IsZero():
			p.Updated = m.Until
		}
		if all = append(all, p); len(all) == mostPlans {
			break
		}
	}
	return all, nil
}

// underMaintenance gives components in the window of planned work that state, where no incident makes it worse.
func underMaintenance(parts []Component, plans []PublicMaintenance) {
	for i := range parts {
		for _, p := range plans {
			if p.Status == PlanInProgress && parts[i].Status == componentStates[0] && slices.Contains(p.Components, parts[i].Name) {
				parts[i].Status, parts[i].Since = "under_maintenance", p.From
			}
		}
	}
}
