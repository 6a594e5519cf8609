package comms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// When sites are to be expected back changes by two things: somebody repairs them another way, and the work goes otherwise than it went. Either raises a draft
// of the next word, with the estimate and the reason filled in, and promises that it is sent.

// EstimateDue is the promise that readers hear of another estimate.
const EstimateDue = "estimate"

// estimating is the sort of the deadline by which the forecast of an incident is compared with the one that stood when readers were last told. It is never
// done: it waits until it is time to look again.
const estimating = "estimating"

// Estimating is when another estimate is news.
type Estimating struct {
	Every time.Duration `yaml:"every" json:"every"` // how often the forecast is looked at
	Share float64       `yaml:"share" json:"share"` // of the time that was left: a forecast that moved by more is news
	Least time.Duration `yaml:"least" json:"least"` // what moved by less never is
	Told  time.Duration `yaml:"told" json:"told"`   // within it readers are told
}

func defaultEstimating() Estimating {
	return Estimating{Every: 15 * time.Minute, Share: 0.2, Least: time.Hour, Told: 30 * time.Minute}
}

func (e Estimating) bad(f []fault.Field) []fault.Field {
	for name, d := range map[string]time.Duration{"every": e.Every, "least": e.Least, "told": e.Told} {
		if d <= 0 {
			f = append(f, wrong("comms.estimate."+name, "must be above 0"))
		}
	}
	if e.Share <= 0 {
		f = append(f, wrong("comms.estimate.share", "must be above 0"))
	}
	return f
}

// PlanChange is another way of repair that somebody decided on.
type PlanChange struct {
	What string     `json:"what"`
	Why  string     `json:"why"`
	From time.Time  `json:"from"`
	By   string     `json:"by"`
	At   time.Time  `json:"at"`
	Was  *time.Time `json:"was_back_by"`      // when all sites were expected back until then; null: not known
	Word string     `json:"update,omitempty"` // the draft that it raised; "": there is no word yet that could be put right
}

// PlanForm is what is said of a change of plan.
type PlanForm struct {
	What     string     `json:"what"`
	Why      string     `json:"why"`
	From     *time.Time `json:"from"`     // null: now
	Earliest *time.Time `json:"earliest"` // when all sites are back by it, as whoever decides expects; null: she does not know
	Latest   *time.Time `json:"latest"`
}

// keptPlans bounds how many changes of plan an incident keeps; its log has all.
const keptPlans = 50

// Estimated is the forecast that stood when readers were last told, and what is under way to tell them of another.
type Estimated struct {
	At    time.Time  `json:"at,omitzero"` // zero: nobody has looked since they were told
	By    *time.Time `json:"by,omitempty"`
	Draft string     `json:"draft,omitempty"` // of the word that was raised
}

// moved says whether a forecast is another than the one that stood when readers were told. One that came to be known, or is known no more, is.
func (e Estimated) moved(now *time.Time, p Estimating) bool {
	if e.By == nil || now == nil {
		return (e.By == nil) != (now == nil)
	}
	off := now.Sub(*e.By).Abs()
	return off >= p.Least && float64(off) > p.Share*float64(e.By.Sub(e.At))
}

// ChangePlan records that sites are repaired another way from a time on, and why. The draft of the next word is raised with it.
func (r *Room) ChangePlan(ctx context.Context, by, incident string, form PlanForm) (c PlanChange, err error) {
	_, err = r.change(ctx, store.Act{By: by, Verb: "incident.plan"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if err := in.notClosed(); err != nil {
			return in, err
		}
		c = PlanChange{What: strings.TrimSpace(form.What), Why: strings.TrimSpace(form.Why), From: tx.Now(), By: by, At: tx.Now()}
		f := prose{most: 300, required: true}.bad(nil, "what", c.What)
		f = prose{most: 300, required: true}.bad(f, "why", c.Why)
		if form.From != nil {
			if c.From = form.From.UTC(); c.From.Before(in.DetectedAt) || c.From.After(tx.Now().Add(30*day)) {
				f = append(f, wrong("from", "must lie between the beginning of the incident and 30 days from now"))
			}
		}
		if (form.Earliest == nil) != (form.Latest == nil) {
			f = append(f, wrong("latest", "and earliest come together"))
		} else if form.Latest != nil && (form.Latest.Before(*form.Earliest) || !form.Latest.After(tx.Now())) {
			f = append(f, wrong("latest", "must lie ahead, and not before the earliest"))
		}
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		fc, err := r.forecastIn(tx, id)
		if err != nil {
			return in, err
		}
		c.Was = fc.BackBy
		what := c.What
		if !c.From.Equal(c.At) {
			what += " (" + c.From.Format("2006-01-02 15:04 UTC") + ")"
		}
		if err := r.note(tx, id, by, "plan", what+": "+c.Why); err != nil {
			return in, err
		}
		if in, err = r.raiseEstimate(tx, id, by, in, news{why: c.Why, doing: c.What, earliest: form.Earliest, latest: form.Latest}); err != nil {
			return in, err
		}
		c.Word = in.Estimate.Draft
		in.Plans = append(slices.Clone(in.Plans), c)
		in.Plans = in.Plans[max(0, len(in.Plans)-keptPlans):]
		return in, nil
	})
	return c, err
}

// news is why another estimate is told, and what is known of it.
type news struct {
	why              string     // a person's words
	key              string     // or those of the catalogs
	doing            string     // how sites are repaired from now on; "": as before
	earliest, latest *time.Time // when all sites are back; null: nobody knows, and a person says what is to be said
}

// raiseEstimate drafts the word that tells readers of another estimate, from what they were told last, and promises that it is sent. A draft of ours that
// nobody has touched is written anew. Before the first word there is nothing to put right.
func (r *Room) raiseEstimate(tx *store.Tx, id, by string, in Incident, n news) (Incident, error) {
	last, err := standing(tx, id, AudiencePublic)
	if err != nil || last == nil {
		return in, err
	}
	u := store.Rec[Update]{Meta: store.Meta{ID: updates.NewID()}}
	if in.Estimate.Draft != "" {
		v, m, err := updates.Get(tx, in.Estimate.Draft)
		if err != nil && fault.Of(err) != fault.NotFound {
			return in, err
		}
		if err == nil && v.State == Draft {
			if m.Version > 1 && !strings.HasPrefix(v.Author, "system:") { // somebody has taken it up
				return in, r.owesEstimate(tx, id, in.Estimate.Draft)
			}
			u = store.Rec[Update]{Meta: m, Value: v}
		}
	}
	s := r.corrected(*last, in, n, tx.Now())
	if err := r.refuseBad(tx, in, s, nil); err != nil { // what was said last cannot be said again as it was: a person writes
		if fault.Of(err) != fault.Invalid {
			return in, err
		}
		return in, r.owesEstimate(tx, id, "")
	}
	if u.Version == 0 {
		in.LastUpdate++
		u.Value = Update{Incident: id, Number: in.LastUpdate, State: Draft, Author: by, AskedAt: tx.Now()}
		if err := r.note(tx, id, by, "drafted", fmt.Sprintf("update %d", u.Value.Number)); err != nil {
			return in, err
		}
	}
	u.Value.Statement = s
	tx.On(u.ID)
	if err := updates.Put(tx, u.ID, u.Value, u.Version); err != nil {
		return in, err
	}
	in.Estimate.Draft = u.ID
	return in, r.owesEstimate(tx, id, u.ID)
}

// owesEstimate promises that readers hear of another estimate. A promise that runs already keeps its time.
func (r *Room) owesEstimate(tx *store.Tx, id, draft string) error {
	if _, running, err := r.Waiting(tx, id, EstimateDue); err != nil || running {
		return err
	}
	page := "/desk/incidents/" + id + "/editor"
	if draft != "" {
		page += "?update=" + draft
	}
	return r.promise(tx, Deadline{What: EstimateDue, Of: id, Incident: id, Page: page, Due: tx.Now().Add(r.Policy.Estimate.Told)})
}

// corrected is what was said last with another estimate in it. The old one is told beside the new one by the reason, as with every figure that changes.
func (r *Room) corrected(last Update, in Incident, n news, now time.Time) templates.Statement {
	s := last.Statement
	s.NoChange, s.Changed, s.Apology, s.SignedBy = false, nil, "", ""
	if s.Phase == Resolved {
		s.Phase = Monitoring
	}
	if next := s.NextUpdateBy; next.Word != "" || !next.At.After(now) {
		s.NextUpdateBy = templates.Moment{At: now.Add(r.Policy.silence(in.Severity)).Truncate(time.Minute)}
	}
	if by := s.Timeline.FullScopeBy; by.Word == wordNone || by.Word == "" && !by.At.After(now) {
		s.Timeline.FullScopeBy = templates.Moment{Word: notKnown}
	}
	if n.doing != "" {
		s.Doing = append([]string{n.doing}, slices.DeleteFunc(slices.Clone(s.Doing), func(have string) bool { return have == n.doing })...)
	}
	full := s.Timeline.FullScopeBy
	if n.latest == nil {
		s.Timeline = templates.Timeline{Kind: notKnown, Confidence: "low", FullScopeBy: full}
	} else {
		earliest, latest := n.earliest.UTC().Truncate(time.Hour), n.latest.UTC().Add(time.Hour-time.Second).Truncate(time.Hour)
		s.Timeline = templates.Timeline{Kind: "range", Earliest: &earliest, Latest: &latest, Confidence: "low", FullScopeBy: full}
	}
	if n.key != "" && len(s.Locales) > 0 {
		n.why = r.Words.Catalog(s.Locales[0]).T(n.key)
	}
	s.Translations = maps.Clone(s.Translations)
	for i, locale := range s.Locales {
		headline := r.Words.Catalog(locale).T("estimate.headline")
		if i == 0 {
			s.Headline = headline
			continue
		}
		t := s.Translations[locale]
		t.Headline, t.Timeline, t.LongBecause = headline, "", nil // of what is said anew nobody has made a translation
		if n.doing != "" {
			t.Doing = nil
		}
		if s.Translations == nil {
			s.Translations = map[string]templates.Translation{}
		}
		s.Translations[locale] = t
	}
	switch {
	case slices.Contains(figuresOf(last).Differs(s), templates.FigureTimeline):
		s.Changed = map[string]string{templates.FigureTimeline: n.why}
	case !slices.Contains(s.LongBecause, n.why): // readers had no date that could be compared
		s.LongBecause = append([]string{n.why}, s.LongBecause...)
	}
	return s
}

// looksAhead has the forecast of an incident looked at from when its sites begin to come back.
func (r *Room) looksAhead(tx *store.Tx, all []Moved) error {
	seen := map[string]bool{}
	for _, m := range all {
		id := m.Now.Incident
		if seen[id] || m.Now.State == m.Was.State || m.Now.State == Lost {
			continue
		}
		seen[id] = true
		if _, err := r.openPromise(tx, id, estimating); fault.Of(err) != fault.NotFound {
			if err != nil {
				return err
			}
			continue
		}
		at := tx.Now().Add(r.Policy.Estimate.Every)
		if err := deadlines.Put(tx, deadlines.NewID(), Deadline{What: estimating, Of: id, Incident: id, Many: true, Due: at, Fire: at}, 0); err != nil {
			return err
		}
	}
	return nil
}

// estimate compares the forecast of an incident with the one that stood when readers were last told, and raises the word of it when that is news.
func (r *Room) estimate(ctx context.Context, d Due) error {
	f, err := r.Forecast(ctx, d.Incident)
	if err != nil {
		return err
	}
	return r.DB.Update(ctx, store.Act{By: "system:estimate", Verb: "estimate.look"}, func(tx *store.Tx) error {
		now, m, err := deadlines.Get(tx, d.ID)
		if err != nil {
			return err
		}
		if !now.Fire.Equal(d.Fire) {
			return store.ErrNothing
		}
		in, err := findIncident(tx, d.Incident)
		if err != nil {
			return err
		}
		if now.Fire = tx.Now().Add(r.Policy.Estimate.Every); in.Value.State == Closed {
			now.Fire, now.DoneAt, now.DoneBy = time.Time{}, tx.Now(), "system:estimate"
		}
		if err := deadlines.Put(tx, d.ID, now, m.Version); err != nil || in.Value.State != Open || in.Value.Drill {
			return err
		}
		to := in.Value
		switch e := to.Estimate; {
		case e.At.IsZero() && e.Draft == "": // the first look since they were told
			to.Estimate = Estimated{At: f.AsOf, By: f.BackBy}
		case e.At.IsZero() || !e.moved(f.BackBy, r.Policy.Estimate) || f.left() == 0: // of the checks that are left after the last rebuilding each site's people hear
			return nil
		default:
			if to, err = r.raiseEstimate(tx, in.ID, "system:estimate", to, news{key: whyMoved(e, f), earliest: f.CheckedBy, latest: f.BackBy}); err != nil {
				return err
			}
			to.Estimate.At, to.Estimate.By = f.AsOf, f.BackBy
		}
		tx.On(in.ID)
		return incidents.Put(tx, in.ID, to, in.Version)
	})
}

// whyMoved names the reason that a draft gives for another estimate, until a person gives hers.
func whyMoved(e Estimated, f Forecast) string {
	switch {
	case f.BackBy == nil:
		return "estimate.stalled"
	case e.By == nil:
		return "estimate.known"
	case f.BackBy.After(*e.By):
		return "estimate.slower"
	}
	return "estimate.faster"
}
