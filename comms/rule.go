package comms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
	"lifeline/templates"
)

// The ledger speaks by itself where two people approved beforehand that it may. A rule says of what it speaks, to whom and on which channels; its words
// are fixed, and all else in its updates is what a person said last and what the ledger counts. They go the way of every update: findings, superseding,
// the page, the tickets. Whatever a rule may not send stays as a draft, and the approvers are asked.

// The rules. Each speaks of one thing that the ledger shows.
const (
	RuleSite  = "site"  // a site was handed back or could not be restored: told to whoever may speak for it, by the desk
	RuleStep  = "step"  // another step of the affected sites is handed back
	RuleBatch = "batch" // every site of a batch is
	RuleWhole = "whole" // every affected site is

	RuleReports = "reports" // people report trouble that nobody has looked at: the page says so, and that nothing is confirmed
)

// ruleNames is the order in which people see them.
var ruleNames = []string{RuleSite, RuleStep, RuleBatch, RuleWhole, RuleReports}

// Rule is how one of them speaks. RuleSite has neither audience nor channels: a site's people are told by mail, and by SMS where no mail reaches them. Nor
// has RuleReports: it stands on the page.
type Rule struct {
	Audience string        `yaml:"audience" json:"audience,omitempty"`
	Channels []string      `yaml:"channels" json:"channels,omitempty"`
	Percent  int           `yaml:"percent" json:"percent,omitempty"` // RuleStep: how much is a step
	People   int           `yaml:"people" json:"people,omitempty"`   // RuleReports: so many different ones have written
	After    time.Duration `yaml:"after" json:"after,omitempty"`     // RuleReports: and for so long nobody has taken the alarm
}

// Automatic is what holds for all that the ledger says by itself.
type Automatic struct {
	Rules   map[string]Rule `yaml:"rules" json:"rules"`
	Every   time.Duration   `yaml:"every" json:"every"`       // a person hears it at most so often, but for RuleWhole
	PerHour int             `yaml:"per_hour" json:"per_hour"` // people told within an hour, all incidents together
	Jump    int             `yaml:"jump" json:"jump"`         // points; more at once needs a person
	Night   Night           `yaml:"night" json:"night"`
}

// Night is when nobody is told by a rule: hours of the person's day, or of the vendor's where hers is not known.
type Night struct {
	From int `yaml:"from" json:"from"`
	To   int `yaml:"to" json:"to"`
}

func defaultAutomatic() Automatic {
	quiet := []string{ChannelEmail, ChannelPage, ChannelTicket}
	return Automatic{
		Rules: map[string]Rule{
			RuleSite: {}, RuleStep: {Audience: AudienceAffected, Channels: quiet, Percent: 10}, RuleBatch: {Audience: AudienceAffected, Channels: quiet},
			RuleWhole: {Audience: AudiencePublic, Channels: []string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, ChannelWebhook}},
		},
		Every: 4 * time.Hour, PerHour: 500_000, Jump: 10, Night: Night{From: 22, To: 7},
	}
}

func (a Automatic) bad(f []fault.Field) []fault.Field {
	bad := func(field, format string, args ...any) {
		f = append(f, wrong("comms.automatic."+field, format, args...))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Rules)) {
		rule := a.Rules[name]
		switch at := "rules." + bounded(name); {
		case !slices.Contains(ruleNames, name):
			bad(at, "must be one of %s", strings.Join(ruleNames, ", "))
		case name == RuleSite:
		case name == RuleReports && rule.People < 2:
			bad(at+".people", "must be at least 2")
		case name == RuleReports && rule.After <= 0:
			bad(at+".after", "must be above 0")
		case name == RuleReports:
		case !wide(rule.Audience):
			bad(at+".audience", "must be public or affected")
		case len(rule.Channels) == 0:
			bad(at+".channels", "is missing")
		case name == RuleStep && (rule.Percent < 1 || rule.Percent > 100):
			bad(at+".percent", "must be 1 to 100")
		default:
			f = subset(f, "comms.automatic."+at+".channels", rule.Channels, []string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, ChannelWebhook})
		}
	}
	if a.Every <= 0 {
		bad("every", "must be above 0")
	}
	if a.PerHour < 1 || a.Jump < 1 {
		bad("per_hour", "and jump must be at least 1")
	}
	if n := a.Night; n.From < 0 || n.From > 24 || n.To < 0 || n.To > 24 {
		bad("night", "must be hours from 0 to 24")
	}
	return f
}

// until is when the night that now lies in is over; now itself when it is day.
func (n Night) until(zone *time.Location, now time.Time) time.Time {
	at := now.In(zone)
	h := at.Hour()
	night := h >= n.From || h < n.To
	if n.From <= n.To {
		night = h >= n.From && h < n.To
	}
	if !night {
		return now
	}
	end := time.Date(at.Year(), at.Month(), at.Day(), n.To, 0, 0, 0, zone)
	if !end.After(at) {
		end = end.AddDate(0, 0, 1)
	}
	return end
}

// DayFor is when somebody may be told by a rule: now, or when her night is over.
func (r *Room) DayFor(zone string, now time.Time) time.Time {
	return r.Policy.Automatic.Night.until(r.zone(zone), now)
}

// Where a rule stands.
const (
	RuleOff      = "off"      // nobody has proposed it as it is now
	RuleProposed = "proposed" // one person has
	RuleInForce  = "in_force"
	RuleStopped  = "stopped" // by a person's word, until somebody proposes it anew
)

// RuleState is a rule as the desk shows it.
type RuleState struct {
	Name string `json:"name"`
	Rule
	State string   `json:"state"`
	By    []string `json:"by"` // who proposed and approved it, or stopped it
}

// ruleNeeds is how many people a rule takes. What is said of one site to whoever may speak for it, in fixed words, takes nobody: it is only ever stopped.
func ruleNeeds(name string) int {
	if name == RuleSite {
		return 0
	}
	return FirstNeeds
}

func ruleOf(name string) string    { return "rule." + name }
func stoppedOf(name string) string { return "rule.stopped." + name }

// stoppedDigest stands in a word that stops a rule, whatever the rule says by then.
const stoppedDigest = "stopped"

func (r *Room) ruleDigest(name string) string {
	return r.formDigest(struct {
		Name string
		Rule Rule
	}{name, r.Policy.Automatic.Rules[name]})
}

func (r *Room) ruleState(tx *store.Tx, name string) (s RuleState, err error) {
	rule, known := r.Policy.Automatic.Rules[name]
	if !known {
		return s, fault.New(fault.NotFound, "there is no rule %.40q", name)
	}
	s = RuleState{Name: name, Rule: rule, State: RuleOff, By: []string{}}
	stopped, err := store.Approvals(tx, stoppedOf(name), stoppedDigest)
	if err != nil {
		return s, err
	}
	given, err := store.Approvals(tx, ruleOf(name), r.ruleDigest(name))
	if err != nil {
		return s, err
	}
	switch {
	case len(stopped) > 0:
		s.State, given = RuleStopped, stopped
	case store.Judge(given, 0, ruleNeeds(name)) == store.Approved:
		s.State = RuleInForce
	case len(given) > 0:
		s.State = RuleProposed
	}
	for _, a := range given {
		s.By = append(s.By, a.By)
	}
	return s, nil
}

// RuleInForce says whether a rule may speak now. One that the policy does not name never does.
func (r *Room) RuleInForce(tx *store.Tx, name string) (bool, error) {
	if _, known := r.Policy.Automatic.Rules[name]; !known {
		return false, nil
	}
	s, err := r.ruleState(tx, name)
	return s.State == RuleInForce, err
}

// Rules are the policy's rules with where each stands.
func (r *Room) Rules(ctx context.Context) (all []RuleState, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = []RuleState{}
		for _, name := range ruleNames {
			if _, known := r.Policy.Automatic.Rules[name]; !known {
				continue
			}
			s, err := r.ruleState(tx, name)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

// ApproveRule is one person's word for a rule as it is with the words in force: the first one proposes it, a second one puts it in force. Of one that was
// stopped, the first word ends the stop.
func (r *Room) ApproveRule(ctx context.Context, by, name string) (s RuleState, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "rule.approve"}, func(tx *store.Tx) error {
		was, err := r.ruleState(tx, name)
		if err != nil {
			return err
		}
		if was.State == RuleStopped {
			if err := store.Withdraw(tx, stoppedOf(name), stoppedDigest); err != nil {
				return err
			}
		}
		if ruleNeeds(name) > 0 {
			if err := store.Approve(tx, store.Approval{Of: ruleOf(name), Digest: r.ruleDigest(name), By: by}); err != nil {
				return err
			}
		} else if was.State == RuleInForce {
			return fault.New(fault.Conflict, "this rule is in force already")
		}
		if s, err = r.ruleState(tx, name); err != nil || name != RuleReports {
			return err
		}
		return r.touchPages(tx) // which say it only while this is in force
	})
	return s, err
}

// ruleStopped says whether a person has stopped a rule; what is said by none ("") is not.
func (r *Room) ruleStopped(tx *store.Tx, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	given, err := store.Approvals(tx, stoppedOf(name), stoppedDigest)
	return len(given) > 0, err
}

// waiting are the notices that a rule has written and that are not done. It looks at all that waits in their lane, so it reads a snapshot and holds up nobody;
// what is written after it the workers find stopped.
func (r *Room) waiting(ctx context.Context, name string) (all []string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		seen := map[string]bool{}
		for _, channel := range sendable {
			for p, err := range pages.Scan(tx, store.Query{Index: "open", Equal: []any{pageLane(LaneDirect, channel)}}) {
				if err != nil {
					return err
				}
				if seen[p.Value.Notice] {
					continue
				}
				seen[p.Value.Notice] = true
				n, _, err := notices.Get(tx, p.Value.Notice)
				if err != nil {
					return err
				}
				if n.Rule == name {
					all = append(all, p.Value.Notice)
				}
			}
		}
		return nil
	})
	return all, err
}

// StopRule is one person's word that a rule says nothing more, on every replica and for good: what is unsent of its updates and messages stays unsent, and
// only two people put it in force again.
func (r *Room) StopRule(ctx context.Context, by, name, reason string) (s RuleState, err error) {
	waiting, err := r.waiting(ctx, name)
	if err != nil {
		return s, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "rule.stop", Reason: reason}, func(tx *store.Tx) error {
		if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
			return fault.BadFields(f...)
		}
		was, err := r.ruleState(tx, name)
		switch {
		case err != nil:
			return err
		case was.State == RuleStopped:
			return fault.New(fault.Conflict, "this rule is stopped already")
		}
		if err := store.Withdraw(tx, ruleOf(name), r.ruleDigest(name)); err != nil {
			return err
		}
		if err := store.Approve(tx, store.Approval{Of: stoppedOf(name), Digest: stoppedDigest, By: by}); err != nil {
			return err
		}
		if err := r.stopSaid(tx, by, name, reason); err != nil {
			return err
		}
		for _, notice := range waiting {
			if err := r.stop(tx, notice); err != nil {
				return err
			}
		}
		if s, err = r.ruleState(tx, name); err != nil || name != RuleReports {
			return err
		}
		return r.touchPages(tx)
	})
	return s, err
}

// stopSaid stops what is unsent of a rule's updates in every incident that is not closed.
func (r *Room) stopSaid(tx *store.Tx, by, name, reason string) error {
	for _, state := range []string{Open, Resolved} {
		for in, err := range incidents.Scan(tx, store.Query{Index: "state", Equal: []any{state}}) {
			if err != nil {
				return err
			}
			for u, err := range spoken(tx, in.ID) {
				if err != nil {
					return err
				}
				if u.Value.Rule != name || u.Value.Notice == "" {
					continue
				}
				if err := r.stop(tx, u.Value.Notice); err != nil {
					return err
				}
			}
			if err := r.note(tx, in.ID, by, "rule_stopped", name+": "+reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// Weighing is the sort of the deadline by which an incident's ledger is looked at for something to say. It is never done: it waits until sites are
// handed back, until a silent customer's time is over, or until people may be told again.
const Weighing = "weighing"

// weighAt has the ledger of an incident weighed at a time, or sooner when that is due already.
func (r *Room) weighAt(tx *store.Tx, incident string, at time.Time) error {
	rec, err := r.openPromise(tx, incident, Weighing)
	d := rec.Value
	switch {
	case fault.Of(err) == fault.NotFound:
		rec.ID, d = deadlines.NewID(), Deadline{What: Weighing, Of: incident, Incident: incident, Many: true}
	case err != nil:
		return err
	case !d.Fire.IsZero() && !d.Fire.After(at):
		return nil
	}
	d.Due, d.Fire = at, at
	return deadlines.Put(tx, rec.ID, d, rec.Version)
}

// weighMoved has the ledger weighed where sites were handed back, and where those that passed will count as handed back.
func (r *Room) weighMoved(tx *store.Tx, all []Moved) error {
	for _, m := range all {
		at := tx.Now()
		switch {
		case m.Now.State == m.Was.State:
			continue
		case m.Now.State == HandedBack:
		case m.Now.State == Passed && r.Policy.NoAnswer > 0:
			at = m.Now.At.Add(r.Policy.NoAnswer)
		default:
			continue
		}
		if err := r.weighAt(tx, m.Now.Incident, at); err != nil {
			return err
		}
	}
	return nil
}

// weighed is what a look at a ledger showed.
type weighed struct {
	survey
	rule      string // that has something to say; "": none
	held      string // why it may not say it by itself; "": it may
	statement templates.Statement
	again     time.Time // when to look again; zero: when sites are moved
}

// Why an update of a rule waits for a person.
const (
	heldUnapproved = "not_approved" // two people have not approved the rule as it is
	heldJump       = "jump"         // too much was handed back at once
	heldFindings   = "findings"     // something in it stands in the way
	heldCap        = "cap"          // too many people were told within the hour
	heldBarred     = "barred"       // nothing may be published now
)

// weigh looks at an incident's ledger and says by rule what is to be said.
func (r *Room) weigh(ctx context.Context, d Due) error {
	k, err := r.look(ctx, d)
	if err != nil {
		return err
	}
	act := store.Act{By: "system:rules"}
	if k.rule != "" {
		act = store.Act{By: ruleOf(k.rule), Verb: "rule.say"}
	}
	return r.DB.Update(ctx, act, func(tx *store.Tx) error {
		now, m, err := deadlines.Get(tx, d.ID)
		if err != nil {
			return err
		}
		if !now.Fire.Equal(d.Fire) { // sites were moved meanwhile, and it is looked at again
			return store.ErrNothing
		}
		now.Fire = k.again
		if k.figures != nil {
			now.Count = k.figures.Sites.Restored
		}
		if err := deadlines.Put(tx, d.ID, now, m.Version); err != nil {
			return err
		}
		if k.rule == "" {
			return nil
		}
		return r.sayByRule(tx, d.Incident, k)
	})
}

// look reads a ledger and decides what is to be said of it. Counting who would be told takes long, so it is done here, on a snapshot.
func (r *Room) look(ctx context.Context, d Due) (k weighed, err error) {
	age := r.bookAge(ctx)
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		k = weighed{}
		in, err := findIncident(tx, d.Incident)
		if err != nil || in.Value.State == Closed || in.Value.Drill || !in.Value.Loaded || in.Value.needsSecurity() {
			return err
		}
		last, err := standing(tx, in.ID, AudiencePublic)
		if err != nil || last == nil { // the first word is a person's
			return err
		}
		var t tally
		b, err := r.batchesDone(tx, in.ID, &t, &k.again)
		if err != nil {
			return err
		}
		figures := t.figures(tx.Now())
		k.figures = &figures
		name := r.Policy.Automatic.speaks(figures, *last, b)
		if name == "" {
			return nil
		}
		state, err := r.ruleState(tx, name)
		if err != nil {
			return err
		}
		if state.State == RuleStopped || state.State != RuleInForce && name != RuleWhole {
			return nil
		}
		if again, err := r.tooSoon(tx, in.ID, name); err != nil || !again.IsZero() {
			if k.again.IsZero() || again.Before(k.again) {
				k.again = again
			}
			return err
		}
		k.rule, k.statement = name, r.byRule(name, in.Value, *last, figures, tx.Now())
		switch {
		case r.Barred != "":
			k.held = heldBarred
		case state.State != RuleInForce:
			k.held = heldUnapproved
		case (figures.Sites.Restored-d.Count)*100 > r.Policy.Automatic.Jump*figures.Sites.Total:
			k.held = heldJump
		}
		k.crowd, err = r.exactly(tx, age, in, k.statement.Audience, k.statement.Channels)
		return err
	})
	return k, err
}

// batchesDone adds an incident's sites up, and says when the last batch was handed back whole. silent becomes when the next site counts as handed back for
// its customer's silence.
func (r *Room) batchesDone(tx *store.Tx, incident string, t *tally, silent *time.Time) (last time.Time, err error) {
	all, err := batchesOf(tx, incident)
	if err != nil {
		return last, err
	}
	excepted := map[string]map[string]Exception{}
	for _, b := range all {
		excepted[b.Value.Name] = b.Value.Excepted
	}
	done, open := map[string]time.Time{}, map[string]bool{}
	for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(incident)}) {
		if err != nil {
			return last, fmt.Errorf("read the ledger of %s: %w", incident, err)
		}
		w := rec.Value.is()
		t.add(rec.Value, tx.Now(), r.Policy.NoAnswer)
		state, _ := rec.Value.standing(tx.Now(), r.Policy.NoAnswer)
		at := rec.Value.at
		if w.State == Passed {
			at = at.Add(r.Policy.NoAnswer)
			if state == Passed && (silent.IsZero() || at.Before(*silent)) {
				*silent = at
			}
		}
		if w.Batch == "" {
			continue
		}
		if _, not := excepted[w.Batch][rec.Value.Site()]; not {
			continue
		}
		switch {
		case state != HandedBack:
			open[w.Batch] = true
		case at.After(done[w.Batch]):
			done[w.Batch] = at
		}
	}
	for name, at := range done {
		if !open[name] && at.After(last) {
			last = at
		}
	}
	return last, nil
}

// speaks says which rule has something to say of the figures that readers were not told with the newest update that stands; "": none. batch is when a batch
// was last handed back whole.
func (a Automatic) speaks(now templates.Figures, said Update, batch time.Time) string {
	was, at := 0, time.Time{}
	if said.Figures != nil {
		was, at = said.Figures.Sites.Restored, said.Figures.AsOf
	}
	is, total := now.Sites.Restored, now.Sites.Total
	step, steps := a.Rules[RuleStep]
	_, batches := a.Rules[RuleBatch]
	_, whole := a.Rules[RuleWhole]
	switch {
	case total == 0 || is <= was:
		return ""
	case is == total:
		if whole {
			return RuleWhole
		}
	case steps && is*100/(total*step.Percent) > was*100/(total*step.Percent):
		return RuleStep
	case batches && batch.After(at):
		return RuleBatch
	}
	return ""
}

// tooSoon is when a rule may speak again; zero: now. That all is over is said at once.
func (r *Room) tooSoon(tx *store.Tx, incident, name string) (at time.Time, err error) {
	if name == RuleWhole {
		return at, nil
	}
	for u, err := range spoken(tx, incident) {
		if err != nil {
			return at, err
		}
		if u.Value.Rule == "" {
			continue
		}
		if next := u.Value.PublishedAt.Add(r.Policy.Automatic.Every); next.After(tx.Now()) {
			at = next
		}
		break
	}
	return at, nil
}

// byRule is what a rule says: its own words, and otherwise what was said last and still holds.
func (r *Room) byRule(name string, in Incident, last Update, figures templates.Figures, now time.Time) templates.Statement {
	rule := r.Policy.Automatic.Rules[name]
	s := last.Statement
	s.Audience, s.Channels = rule.Audience, rule.Channels
	s.NoChange, s.Changed, s.Apology, s.SignedBy, s.Technical, s.LongBecause = false, nil, "", "", "", nil
	if s.Phase == Resolved {
		s.Phase = Monitoring
	}
	if next := s.NextUpdateBy; next.Word != "" || !next.At.After(now) {
		s.NextUpdateBy = templates.Moment{At: now.Add(r.Policy.silence(in.Severity)).Truncate(time.Minute)}
	}
	if by := s.Timeline.FullScopeBy; by.Word == wordNone || by.Word == "" && !by.At.After(now) {
		s.Timeline.FullScopeBy = templates.Moment{Word: notKnown}
	}
	undated := s.Timeline.Kind != "at" && s.Timeline.Kind != "range"
	if name == RuleWhole {
		s.Phase, s.Doing = Monitoring, nil
		if undated {
			s.Timeline.Kind, s.Timeline.Confidence = "direction", "high"
		}
	}
	s.Translations, s.Locales = maps.Clone(s.Translations), slices.Clone(s.Locales)
	for _, locale := range templates.Locales() { // a rule has words in each, whichever somebody chose for the last update
		if !slices.Contains(s.Locales, locale) {
			s.Locales = append(s.Locales, locale)
		}
	}
	for i, locale := range s.Locales {
		T := r.Words.Catalog(locale).T
		headline, what := T("rule."+name+".headline"), T("rule."+name+".what")
		if i == 0 {
			s.Headline, s.WhatHappened = headline, what
			if name == RuleWhole {
				s.Unknown, s.UnknownNone = []string{T("rule.whole.unknown")}, false
				if undated {
					s.Timeline.Text = T("rule.whole.timeline")
				}
			}
			continue
		}
		t := s.Translations[locale]
		t.Headline, t.WhatHappened, t.Technical, t.LongBecause = headline, what, "", nil
		if name == RuleWhole {
			t.Unknown, t.Doing = []string{T("rule.whole.unknown")}, nil
			if undated {
				t.Timeline = T("rule.whole.timeline")
			}
		}
		if s.Translations == nil {
			s.Translations = map[string]templates.Translation{}
		}
		s.Translations[locale] = t
	}
	return s
}

// sayByRule publishes what a rule says, or leaves it as a draft and asks for a person when it may not. There is one such draft at most: it is written anew, unless somebody
// has taken it up.
func (r *Room) sayByRule(tx *store.Tx, incident string, k weighed) error {
	in, err := findIncident(tx, incident)
	if err != nil {
		return err
	}
	by := ruleOf(k.rule)
	draft, err := r.draftByRule(tx, in.ID)
	if err != nil {
		return err
	}
	if draft.ID != "" && !strings.HasPrefix(draft.Value.Author, ruleOf("")) {
		return nil
	}
	u := Update{Incident: in.ID, Number: draft.Value.Number, State: Draft, Statement: k.statement, Author: by, AskedAt: tx.Now(), Rule: k.rule, Held: k.held}
	newest, err := newestNumber(tx, in.ID)
	if err != nil {
		return err
	}
	if draft.Value.Held == heldJump && u.Number > newest { // nobody has looked at it or spoken since
		u.Held = cmp.Or(u.Held, heldJump)
	}
	if u.Number <= newest {
		in.Value.LastUpdate++
		u.Number = in.Value.LastUpdate
	}
	found, err := r.findingsOf(tx, u, in, k.figures, k.crowd)
	if err != nil {
		return err
	}
	if len(errorsOf(found)) > 0 {
		u.Held = cmp.Or(u.Held, heldFindings)
	}
	if u.Held == "" {
		if u.Held, err = r.capByRule(tx, k.crowd.People); err != nil {
			return err
		}
	}
	id := cmp.Or(draft.ID, updates.NewID())
	tx.On(id, in.ID)
	u.Digest = r.digest(u, in.Value)
	rec, err := put(tx, updates, id, u, draft.Version)
	if err != nil {
		return err
	}
	if u.Held == "" {
		_, err := r.release(tx, by, rec, in, k.survey, "")
		return err
	}
	if in, err = put(tx, incidents, in.ID, in.Value, in.Version); err != nil {
		return err
	}
	if draft.Value.Held == u.Held {
		return nil // the approvers were asked already
	}
	if err := r.Move(tx, approvalOf(rec, tx.Now())); err != nil {
		return err
	}
	return r.note(tx, in.ID, by, "rule_held", fmt.Sprintf("update %d: %s", u.Number, u.Held))
}

// draftByRule is the newest draft that a rule began; its id is "" when there is none.
func (r *Room) draftByRule(tx *store.Tx, incident string) (store.Rec[Update], error) {
	for rec, err := range updates.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, Reverse: true}) {
		if err != nil || rec.Value.State == Draft && rec.Value.Rule != "" {
			return rec, err
		}
	}
	return store.Rec[Update]{}, nil
}

// capByRule takes people from what rules may tell within an hour, or says why not.
func (r *Room) capByRule(tx *store.Tx, people int) (held string, err error) {
	if people == 0 {
		return "", nil
	}
	taking, err := limits.LookSome(tx, "people told by rules", people, limits.Rule{N: r.Policy.Automatic.PerHour, Per: time.Hour})
	var many *fault.Error
	if errors.As(err, &many) && many.Kind == fault.TooMany {
		return heldCap, nil
	}
	if err != nil {
		return "", err
	}
	return "", taking.In(tx)
}
