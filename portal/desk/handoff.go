package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Handoff is the end of a shift in one incident: who leads it, who leads the next, and the note that passes between them. It is opened when the shift begins, so
// that claims know when it ends, and it is over when the incoming lead has acknowledged the note.
type Handoff struct {
	Incident string        `json:"incident"`
	BeginsAt time.Time     `json:"begins_at"`
	EndsAt   time.Time     `json:"ends_at"`
	Lead     string        `json:"lead"`
	Next     string        `json:"next_lead"`
	Text     string        `json:"text"` // as the lead left it; "": not given yet
	Facts    *HandoffFacts `json:"facts,omitempty"`
	GivenAt  *time.Time    `json:"given_at"`
	GivenBy  string        `json:"given_by,omitempty"`
	AckAt    *time.Time    `json:"acknowledged_at"`
	AckBy    string        `json:"acknowledged_by,omitempty"`
}

var handoffs = store.Table[Handoff]{
	Kind: store.Kind{Name: "handoff", Prefix: "hnd", Schema: 1, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "ends", Type: store.Time}}},
	}},
	Tuples: func(h Handoff) store.Tuples { return store.Tuples{"incident": {h.Incident, h.EndsAt}} },
}

// HandoffFacts is what a note is generated from, as it stood when the note was given.
type HandoffFacts struct {
	AsOf     time.Time      `json:"as_of"`
	Passed   int            `json:"passed"` // in the shift
	Failed   int            `json:"failed"`
	Waiting  int            `json:"waiting"`
	Leases   []HandoffLine  `json:"leases"`
	Blocked  []HandoffLine  `json:"blocked"`
	Patterns map[string]int `json:"patterns"` // what failed, by code
	SOP      []string       `json:"sop"`      // versions of the list that came in the shift
	Due      []HandoffLine  `json:"due"`      // promises within the next shift
}

// HandoffLine is one thing that passes to the next shift.
type HandoffLine struct {
	Of   string     `json:"of"`
	What string     `json:"what"`            // the next step, the reason, or the promise
	Said comms.Said `json:"texts,omitempty"` // the next step in other languages
	Who  string     `json:"who"`             // has it, or owns it
	By   time.Time  `json:"by_at"`           // when it is over, or due
}

// HandoffDue is the sort of the deadline by which a note has to be acknowledged.
const HandoffDue = "handoff"

// ShiftEnd is what is said when a shift begins.
type ShiftEnd struct {
	EndsAt time.Time `json:"ends_at"`
	Lead   string    `json:"lead"`
	Next   string    `json:"next_lead"`
}

// OpenHandoff notes the end of a shift. The note is late when it is not acknowledged the policy's minutes after the end.
func (d *Desk) OpenHandoff(ctx context.Context, by, incident string, s ShiftEnd) (rec store.Rec[Handoff], err error) {
	now := d.DB.Now()
	var f []fault.Field
	if !s.EndsAt.After(now) || s.EndsAt.After(now.Add(24*time.Hour)) {
		f = append(f, fault.Field{Field: "ends_at", Code: "wrong", Reason: "must be a time ahead, within 24 hours"})
	}
	if !person(s.Lead) {
		f = append(f, fault.Field{Field: "lead", Code: "missing", Reason: "must be a person's id"})
	}
	if !person(s.Next) || s.Next == s.Lead {
		f = append(f, fault.Field{Field: "next_lead", Code: "wrong", Reason: "must be the id of somebody else"})
	}
	if len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "handoff.open"}, func(tx *store.Tx) error {
		in, err := d.Comms.IncidentIn(tx, incident)
		if err != nil {
			return err
		}
		if in.Value.State == comms.Closed {
			return fault.New(fault.Conflict, "incident %d is closed", in.Value.Number)
		}
		h := Handoff{Incident: in.ID, BeginsAt: tx.Now(), EndsAt: s.EndsAt.UTC(), Lead: strings.TrimSpace(s.Lead), Next: strings.TrimSpace(s.Next)}
		for field, lead := range map[string]string{"lead": h.Lead, "next_lead": h.Next} {
			if err := d.Comms.MayHave(tx, in.ID, field, lead); err != nil {
				return err
			}
		}
		id := handoffs.NewID()
		tx.On(id, in.ID)
		if err := handoffs.Put(tx, id, h, 0); err != nil {
			return err
		}
		rec = store.Rec[Handoff]{Meta: store.Meta{ID: id, Version: 1, Created: tx.Now(), Updated: tx.Now()}, Value: h}
		return d.Comms.Promise(tx, comms.Deadline{What: HandoffDue, Of: id, Incident: in.ID, Page: "/desk/handoffs/" + id, Due: h.EndsAt.Add(d.Policy.Checks.Handoff)})
	})
	return rec, err
}

// shiftEnd is when the shift of a claim ends: as the claimer says, else as the incident's handoff that ends next does.
func (d *Desk) shiftEnd(tx *store.Tx, incident string, asked *time.Time) (*time.Time, error) {
	if asked != nil {
		ends := asked.UTC()
		return &ends, nil
	}
	rec, err := handoffs.First(tx, store.Query{Index: "incident", Equal: []any{incident}, From: tx.Now().Add(time.Microsecond)})
	if fault.Of(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &rec.Value.EndsAt, nil
}

// Handoff reads one, with the note that would be generated now while none is given; named makes a name of a person's id.
func (d *Desk) Handoff(ctx context.Context, id, locale string, named func(string) string) (rec store.Rec[Handoff], now HandoffFacts, draft string, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		h, m, err := handoffs.Get(tx, id)
		if err != nil {
			return err
		}
		rec = store.Rec[Handoff]{Meta: m, Value: h}
		if now, err = d.handoffFacts(tx, h); err != nil {
			return err
		}
		draft = h.Text
		if draft == "" {
			draft = now.note(d.Comms.Words.Catalog(locale), named)
		}
		return nil
	})
	return rec, now, draft, err
}

// Handoffs lists an incident's, the newest first.
func (d *Desk) Handoffs(ctx context.Context, incident, after string, most int) (page []store.Rec[Handoff], next string, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		in, err := d.Comms.IncidentIn(tx, incident)
		if err != nil {
			return err
		}
		page, next, err = handoffs.List(tx, store.Query{Index: "incident", Equal: []any{in.ID}, Reverse: true, After: after, Limit: min(max(1, most), comms.MostListed)})
		return err
	})
	return page, next, err
}

// mostLines bounds each list in a note.
const mostLines = 200

func (d *Desk) handoffFacts(tx *store.Tx, h Handoff) (f HandoffFacts, err error) {
	f = HandoffFacts{AsOf: tx.Now(), Patterns: map[string]int{}, Leases: []HandoffLine{}, Blocked: []HandoffLine{}, SOP: []string{}, Due: []HandoffLine{}}
	for rec, err := range checks.Scan(tx, store.Query{Prefix: checkPrefix(h.Incident)}) {
		if err != nil {
			return f, err
		}
		c := rec.Value
		switch {
		case c.Held() && len(f.Leases) < mostLines:
			next, err := d.nextStep(tx, c)
			if err != nil {
				return f, err
			}
			f.Leases = append(f.Leases, HandoffLine{d.siteTitle(tx, c.Site), next.Text, next.Texts, c.Holder, c.Until})
		case c.State == CheckBlocked && len(f.Blocked) < mostLines:
			f.Blocked = append(f.Blocked, HandoffLine{d.siteTitle(tx, c.Site), c.Reason, nil, c.Owner, c.Until})
		case c.waits():
			f.Waiting++
		case c.State == CheckPassed && c.PassedAt.After(h.BeginsAt):
			f.Passed++
		case c.State == CheckFailed && rec.Updated.After(h.BeginsAt):
			f.Failed++
		}
		if c.State == CheckFailed {
			f.Patterns[c.Code]++
		}
	}
	lists, err := d.Comms.ChecklistsSince(tx, comms.SiteCheckList, h.BeginsAt)
	if err != nil {
		return f, err
	}
	for _, l := range lists {
		f.SOP = append(f.SOP, fmt.Sprintf("%d: %s", l.Number, l.Title))
	}
	due, err := d.Comms.DueWithin(tx, h.Incident, h.EndsAt.Add(8*time.Hour))
	for _, p := range due {
		if p.Of != "" && p.What != HandoffDue && len(f.Due) < mostLines {
			f.Due = append(f.Due, HandoffLine{Of: p.Title, What: p.What, By: p.Due})
		}
	}
	return f, err
}

// nextStep is the first open item of a check.
func (d *Desk) nextStep(tx *store.Tx, c Check) (next comms.Item, err error) {
	list, err := d.Comms.ChecklistIn(tx, c.List)
	if err != nil {
		return next, err
	}
	var run comms.Run
	if c.Run != "" {
		rec, err := d.Comms.RunIn(tx, c.Run)
		if err != nil {
			return next, err
		}
		run = rec.Value
	}
	i := slices.IndexFunc(list.Items, func(it comms.Item) bool { return run.Results[it.Key].State == "" })
	if i < 0 {
		return next, nil
	}
	return list.Items[i], nil
}

// note is a note as it is generated, for a lead to edit.
func (f HandoffFacts) note(words templates.Catalog, named func(string) string) string {
	var b strings.Builder
	say := func(key string, args ...any) { fmt.Fprintln(&b, words.T("handoff."+key, args...)) }
	at := func(t time.Time) string { return t.UTC().Format("2 Jan 15:04") + " UTC" }
	say("counts", f.Passed, f.Failed, f.Waiting, at(f.AsOf))
	section := func(key string, lines []HandoffLine) {
		fmt.Fprintln(&b)
		say(key, len(lines))
		for _, l := range lines {
			var parts []string
			who := l.Who
			if who != "" {
				who = named(who)
			}
			what := l.Said.Of(l.What, words.Locale())
			if due := "desk.due." + what; words.Has(due) { // of what is promised it is the sort
				what = words.T(due)
			}
			for _, p := range []string{l.Of, what, who, at(l.By)} {
				if p != "" {
					parts = append(parts, p)
				}
			}
			fmt.Fprintln(&b, "- "+line(strings.Join(parts, " · ")))
		}
	}
	section("leases", f.Leases)
	section("blocked", f.Blocked)
	section("due", f.Due)
	if len(f.Patterns) > 0 {
		fmt.Fprintln(&b)
		say("patterns")
		var codes []string
		for code := range f.Patterns {
			codes = append(codes, code)
		}
		slices.SortFunc(codes, func(a, c string) int { return f.Patterns[c] - f.Patterns[a] })
		for _, code := range codes {
			fmt.Fprintf(&b, "- %s: %d\n", code, f.Patterns[code])
		}
	}
	if len(f.SOP) > 0 {
		fmt.Fprintln(&b)
		say("sop")
		for _, v := range f.SOP {
			fmt.Fprintln(&b, "- "+v)
		}
	}
	return b.String()
}

// GiveHandoff keeps the note as its lead leaves it; until it is acknowledged she may write it anew.
func (d *Desk) GiveHandoff(ctx context.Context, by, id, words string) (store.Rec[Handoff], error) {
	words = text(words)
	switch {
	case words == "":
		return store.Rec[Handoff]{}, fault.BadField("text", "is missing: the next shift reads nothing else")
	case len(words) > maxMessage:
		return store.Rec[Handoff]{}, fault.BadField("text", "is longer than 64 KiB")
	}
	return d.withHandoff(ctx, store.Act{By: by, Verb: "handoff.give"}, id, func(tx *store.Tx, h Handoff) (Handoff, error) {
		if by != h.Lead {
			return h, fault.New(fault.Forbidden, "the lead of the shift that ends gives this note")
		}
		facts, err := d.handoffFacts(tx, h)
		if err != nil {
			return h, err
		}
		now := tx.Now()
		h.Text, h.Facts, h.GivenAt, h.GivenBy = words, &facts, &now, by
		return h, nil
	})
}

// AcknowledgeHandoff says that the incoming lead has read the note. It takes a note, and nobody acknowledges her own.
func (d *Desk) AcknowledgeHandoff(ctx context.Context, by, id string) (store.Rec[Handoff], error) {
	return d.withHandoff(ctx, store.Act{By: by, Verb: "handoff.acknowledge"}, id, func(tx *store.Tx, h Handoff) (Handoff, error) {
		switch {
		case by != h.Next:
			return h, fault.New(fault.Forbidden, "the lead of the shift that begins acknowledges this note")
		case h.Text == "":
			return h, fault.New(fault.Conflict, "there is no note yet")
		}
		now := tx.Now()
		h.AckAt, h.AckBy = &now, by
		return h, d.Comms.Keep(tx, id, HandoffDue, by)
	})
}

func (d *Desk) withHandoff(ctx context.Context, act store.Act, id string, do func(*store.Tx, Handoff) (Handoff, error)) (rec store.Rec[Handoff], err error) {
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		h, m, err := handoffs.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id)
		if h.AckAt != nil {
			return fault.New(fault.Conflict, "this note was acknowledged at %s", h.AckAt.UTC().Format(time.RFC3339))
		}
		if h, err = do(tx, h); err != nil {
			return err
		}
		if err := handoffs.Put(tx, id, h, m.Version); err != nil {
			return err
		}
		h, m, err = handoffs.Get(tx, id)
		rec = store.Rec[Handoff]{Meta: m, Value: h}
		return err
	})
	return rec, err
}

// Reassign gives a check that somebody has to somebody else by name, or back into the queue, by a lead of its batch or of the shift that ends next.
func (d *Desk) Reassign(ctx context.Context, by, id, to string) (store.Rec[Check], error) {
	if to = strings.TrimSpace(to); to != "" && !person(to) {
		return store.Rec[Check]{}, fault.BadField("to", "must be a person's id")
	}
	return d.withCheck(ctx, store.Act{By: by, Verb: "check.reassign"}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		lead, err := d.leads(tx, by, c)
		if err == nil && !lead {
			lead, err = d.leadsShift(tx, by, c.Incident)
		}
		switch {
		case err != nil:
			return rec, err
		case !lead:
			return rec, fault.New(fault.Forbidden, "only a lead of the batch or of the shift may give somebody's check to another")
		case !c.Held():
			return rec, fault.New(fault.Conflict, "nobody has this check; it is %s", c.State)
		case to == "":
			c.back()
		case !c.mayCheck(Checker{ID: to}):
			return rec, fault.BadField("to", "has rebuilt this site or looked at it before, and may not look at it now")
		default:
			if err := d.Comms.MayHave(tx, c.Incident, "to", to); err != nil {
				return rec, err
			}
			d.hand(&c, to, tx.Now())
		}
		return d.putCheck(tx, rec, c)
	})
}

// leadsShift says whether somebody leads a shift whose note nobody has acknowledged yet, or the one after it.
func (d *Desk) leadsShift(tx *store.Tx, person, incident string) (bool, error) {
	for rec, err := range handoffs.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, From: tx.Now().Add(-24 * time.Hour)}) {
		if err != nil {
			return false, err
		}
		if h := rec.Value; h.AckAt == nil && (h.Lead == person || h.Next == person) {
			return true, nil
		}
	}
	return false, nil
}
