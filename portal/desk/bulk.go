package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// What is done to many tickets at once is a change as any other: it shows beforehand what it would do, it is done once however often it is asked for, and it
// goes on after a crash. Handling can be taken back; what was written to customers cannot, and above a number a second person reads it first.
const (
	VerbHandle = "ticket.handle" // owner, priority, category, queue, step, labels
	VerbReply  = "ticket.reply"  // one answer, to each with the facts of its own ticket
)

// BulkPolicy is the part of the desk's policy about many tickets at once.
type BulkPolicy struct {
	Alone int `yaml:"alone" json:"alone"` // so many customers one person may write to in one go
}

// Bulk is what is done to each of many tickets. It says how they are handled, or what is written to their customers; not both.
type Bulk struct {
	contacts.Named // their ids or numbers; an answer is not given in a ticket that is no longer the version that was seen

	Owner    *string  `json:"owner,omitempty"`
	Priority *string  `json:"priority,omitempty"`
	Category *string  `json:"category,omitempty"`
	Queue    *string  `json:"queue,omitempty"`
	Step     *string  `json:"step,omitempty"`
	Label    []string `json:"label,omitempty"`
	Unlabel  []string `json:"unlabel,omitempty"`

	Macro string `json:"macro,omitempty"` // the answer is this macro, in the language of each
	Text  string `json:"text,omitempty"`  // or these words, with blanks as a macro has them
	Solve bool   `json:"solve,omitempty"` // it says what solved the ticket, and asks whether she agrees
}

// Verb is the sort of change that it is.
func (b Bulk) Verb() string {
	if b.Macro != "" || b.Text != "" || b.Solve {
		return VerbReply
	}
	return VerbHandle
}

func (b Bulk) handling(reason string) Handling {
	return Handling{Owner: b.Owner, Priority: b.Priority, Category: b.Category, Queue: b.Queue, Step: b.Step, Label: b.Label, Unlabel: b.Unlabel, Reason: reason}
}

func (b Bulk) handles() bool {
	return b.Owner != nil || b.Priority != nil || b.Category != nil || b.Queue != nil || b.Step != nil || len(b.Label) > 0 || len(b.Unlabel) > 0
}

// Gather names the tickets that a list holds, whatever its pages, with the versions that they have now. Where they are more than one change takes it is refused.
func (d *Desk) Gather(ctx context.Context, c Choice) (named contacts.Named, err error) {
	named.Was = map[string]int64{}
	c.Order, c.After, c.Limit = ByFiled, "", mostListed
	for more := true; more; more = c.After != "" {
		page, err := d.List(ctx, c)
		switch {
		case err != nil:
			return named, err
		case !page.Whole && (c.State == "" || c.State == Closed):
			return named, fault.New(fault.Unavailable, "the closed tickets are still being read; ask again in a moment")
		case len(named.IDs)+len(page.Items) > contacts.MaxSteps:
			return named, fault.New(fault.TooLarge, "these are more than %d tickets: choose fewer", contacts.MaxSteps)
		}
		for _, rec := range page.Items {
			named.IDs, named.Was[rec.ID] = append(named.IDs, rec.ID), rec.Version
		}
		c.After = page.Next
	}
	if len(named.IDs) == 0 {
		return named, fault.New(fault.Conflict, "there is no such ticket")
	}
	return named, nil
}

// Seen names tickets by their ids or numbers, with the versions that they have now; one that is none is refused by whoever plans with it.
func (d *Desk) Seen(ctx context.Context, ids []string) (named contacts.Named, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		named = contacts.Named{IDs: ids, Was: map[string]int64{}}
		for _, id := range ids {
			f, err := aTicket(tx, id)
			if err == nil {
				named.Was[f.ID] = f.Version
			} else if kind := fault.Of(err); kind != fault.NotFound && kind != fault.Invalid {
				return err
			}
		}
		return nil
	})
	return named, err
}

// ChangesAny says whether a change of tickets is of one that belongs to any of these incidents.
func (d *Desk) ChangesAny(ctx context.Context, incidents map[string]bool, verb string, input json.RawMessage) (is bool, err error) {
	var named contacts.Named
	if !strings.HasPrefix(verb, "ticket.") || json.Unmarshal(input, &named) != nil {
		return false, nil
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		is = false
		for _, id := range named.IDs {
			found, err := aTicket(tx, id)
			if err == nil {
				var t Ticket
				t, _, err = tickets.GetDeleted(tx, found.ID)
				is = is || incidents[t.Incident]
			}
			if kind := fault.Of(err); err != nil && kind != fault.NotFound && kind != fault.Invalid {
				return err
			}
		}
		return nil
	})
	return is, err
}

// readBulk reads and checks what is to be done. The tickets themselves are looked at by whoever does it.
func (d *Desk) readBulk(input json.RawMessage, verb string) (b Bulk, err error) {
	if err := contacts.ReadInput(input, &b); err != nil {
		return b, err
	}
	switch {
	case len(b.IDs) == 0:
		return b, fault.BadField("ids", "is missing: name the tickets")
	case b.Verb() != verb:
		return b, fault.BadField("input", "is for %s", b.Verb())
	case verb == VerbHandle && !b.handles():
		return b, fault.BadField("act", "is missing: say what is done to them")
	case verb == VerbHandle:
		h := b.handling(bulkReason)
		err := d.Policy.check(&h)
		b.Label, b.Unlabel = h.Label, h.Unlabel
		return b, err
	case b.handles():
		return b, fault.BadField("act", "answers them and handles them; do one after the other")
	case (b.Macro == "") == (b.Text == ""):
		return b, fault.BadField("text", "or macro must be there, and not both")
	}
	words := []string{text(b.Text)}
	if b.Macro != "" {
		if _, err := d.Policy.macro(b.Macro, ""); err != nil {
			return b, fault.BadField("macro", "%.80q is none that the policy has", b.Macro)
		}
		words = slices.Collect(maps.Values(d.Policy.Macros[slices.IndexFunc(d.Policy.Macros, func(m Macro) bool { return m.Name == b.Macro })].Text))
	}
	for _, w := range words {
		if len(w) > maxMessage {
			return b, fault.BadField("text", "is longer than 64 KiB")
		}
		for _, m := range blank.FindAllStringSubmatch(w, -1) {
			if !slices.Contains(blanks, m[1]) {
				return b, fault.BadField("text", "has the blank %s; there are %s", m[0], Blanks())
			}
		}
		if lacks := explains(w); b.Solve && lacks != "" {
			return b, fault.BadFields(fault.Field{Field: "text", Code: "hollow", Reason: lacks})
		}
	}
	b.Text = text(b.Text)
	return b, nil
}

// bulkVerbs are the two changes.
func (d *Desk) bulkVerbs() []contacts.Verb {
	return []contacts.Verb{
		{Name: VerbHandle, Right: "ticket.write", Says: "change owner, priority, category, queue, step or labels of many tickets", Keep: bulkBack,
			Plan: func(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
				return d.planBulk(tx, VerbHandle, input)
			}, Run: d.runHandle, Undo: d.undoHandle},
		{Name: VerbReply, Right: "ticket.write", Says: "write one answer to many customers, to each with the facts of her own ticket",
			Plan: func(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
				return d.planBulk(tx, VerbReply, input)
			}, Run: d.runReply},
	}
}

// planBulk finds the tickets. Their versions are those that the caller saw, so that what happens to them meanwhile voids nothing: whatever no longer fits is left as it
// is when its turn comes, and said.
func (d *Desk) planBulk(tx *store.Tx, verb string, input json.RawMessage) (contacts.Plan, error) {
	b, err := d.readBulk(input, verb)
	if err != nil {
		return contacts.Plan{}, err
	}
	was := b.Was
	b.Was = nil
	all, err := b.Each(tickets.Kind, func(id string) (contacts.Target, error) { return aTicket(tx, id) })
	if err != nil {
		return contacts.Plan{}, err
	}
	var to open
	if b.Queue != nil {
		if to, err = d.queueOf(tx, *b.Queue); err != nil {
			return contacts.Plan{}, err
		}
	}
	p := contacts.Plan{Alone: verb == VerbHandle || len(all) <= d.Policy.Bulk.Alone}
	for _, f := range all {
		t, m, err := tickets.GetDeleted(tx, f.ID)
		if err != nil {
			return contacts.Plan{}, err
		}
		seen := cmp.Or(was[f.ID], was[t.Number])
		rec := store.Rec[Ticket]{Meta: m, Value: t}
		says, why, err := d.bulkSays(tx, b, rec, to, seen)
		if err != nil {
			return contacts.Plan{}, err
		}
		p.Steps = append(p.Steps, contacts.Step{Of: t.Number, On: f.ID, Version: seen})
		p.Describe(tickets.Name, f.ID, t.Number+": "+cmp.Or(why, says)) // makes the counts
		if why != "" {
			p.Counts[leftCount]++
		}
	}
	return p, nil
}

// leftCount is under which name a plan counts the tickets that would be left as they are.
const leftCount = "ticket.left"

// bulkSays shows what would become of one ticket to whoever decides about it, who may not be allowed to read tickets: nothing that a stranger wrote is in it.
func (d *Desk) bulkSays(tx *store.Tx, b Bulk, rec store.Rec[Ticket], to open, seen int64) (says, why string, err error) {
	if b.Verb() == VerbHandle {
		now, why := d.Policy.bulkHandled(b, rec.Value, to, "", bulkReason, tx.Now())
		return differs(rec.Value, now), why, nil
	}
	_, why, err = d.bulkReply(tx, b, rec, seen)
	words := b.Text
	if b.Macro != "" {
		words, _ = d.Policy.macro(b.Macro, rec.Value.Locale)
	}
	masked := rec.Value.facts(d.url(rec.Value.Number))
	for name, value := range masked {
		if first, _ := utf8.DecodeRuneInString(value); value != "" && name != "number" {
			masked[name] = string(first) + "…"
		}
	}
	says, _ = fill(words, masked)
	return says, why, err
}

// bulkReason stands for the reason of a change where only what it would do is looked at.
const bulkReason = "because"

// differs says what a handled ticket was and is.
func differs(was, now Ticket) string {
	var all []string
	for _, f := range [][3]string{{"priority", was.Priority, now.Priority}, {"owner", was.Owner, now.Owner}, {"category", was.Category, now.Category}, {"queue", was.Queue(), now.Queue()},
		{"step", was.Step, now.Step}, {"labels", strings.Join(was.Labels, ", "), strings.Join(now.Labels, ", ")}} {
		if f[1] != f[2] {
			all = append(all, fmt.Sprintf("%s %s → %s", f[0], cmp.Or(f[1], "—"), cmp.Or(f[2], "—")))
		}
	}
	if len(all) == 0 {
		return "is so already"
	}
	return strings.Join(all, "; ")
}

// bulkHandled is what handling makes of one ticket, or why it is left as it is.
func (p Policy) bulkHandled(b Bulk, t Ticket, to open, by, reason string, at time.Time) (now Ticket, why string) {
	now = p.handled(t, by, at, b.handling(reason))
	if b.Queue != nil {
		if now.Site != "" && to.ID != now.Incident {
			return now, "stands for a site of its incident, and stays in its queue"
		}
		now = p.weighed(now, p.enters(now, to), at)
	}
	fits := true
	if b.Step != nil {
		now, fits = p.stepped(now, *b.Step, at)
	}
	switch {
	case !fits:
		return now, "has no such step"
	case len(now.Labels) > mostLabels:
		return now, "would have more than " + strconv.Itoa(mostLabels) + " labels"
	case b.Priority == nil && differs(t, now) == differs(t, t):
		return now, "is so already"
	}
	return now, ""
}

// bulkReply is what would be written to one customer, or why she is not written to.
func (d *Desk) bulkReply(tx *store.Tx, b Bulk, rec store.Rec[Ticket], seen int64) (m Message, why string, err error) {
	t := rec.Value
	switch {
	case t.Into != "":
		return m, "goes on in another ticket", nil
	case t.State == Closed:
		return m, "is closed", nil
	case seen != 0 && seen != rec.Version:
		return m, "was changed meanwhile; answer it by hand", nil
	}
	words := b.Text
	if b.Macro != "" {
		if words, err = d.Policy.macro(b.Macro, t.Locale); err != nil {
			return m, "", err
		}
	}
	facts, err := d.factsOf(tx, rec.ID, t)
	if err != nil {
		return m, "", err
	}
	filled, missing := fill(words, facts)
	if len(missing) > 0 {
		return m, "has nothing for {" + strings.Join(missing, "}, {") + "}", nil
	}
	if b.Solve {
		switch err := d.mayClose(tx, t); {
		case fault.Of(err) == fault.Conflict:
			return m, "stays open until its site is handed back", nil
		case err != nil:
			return m, "", err
		}
	}
	m, err = worded(Message{From: "staff", Text: filled, Via: "web"})
	if fault.Of(err) == fault.Invalid { // one of its facts is itself written as a blank
		return m, "has a fact that cannot be written into an answer", nil
	}
	return m, "", err
}

// Draft is what one customer of many would read.
type Draft struct {
	Number string `json:"number"`
	Text   string `json:"text"`
}

// Drafts are the first answers of a change that writes to many, each as its customer would read it: for whoever may read tickets.
func (d *Desk) Drafts(ctx context.Context, c contacts.Change, most int) (all []Draft, err error) {
	if c.Verb != VerbReply {
		return nil, nil
	}
	b, err := d.readBulk(c.Input, c.Verb)
	if err != nil {
		return nil, err
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		for _, id := range b.IDs {
			f, err := aTicket(tx, id)
			if err != nil {
				return err
			}
			t, m, err := tickets.GetDeleted(tx, f.ID)
			if err != nil {
				return err
			}
			said, why, err := d.bulkReply(tx, b, store.Rec[Ticket]{Meta: m, Value: t}, 0)
			if err != nil {
				return err
			}
			if why == "" {
				all = append(all, Draft{t.Number, said.Text})
			}
			if len(all) == most {
				break
			}
		}
		return nil
	})
	return all, err
}

// bulkOn finds the ticket of a step.
func (d *Desk) bulkOn(tx *store.Tx, c store.Rec[contacts.Change], s contacts.Step) (b Bulk, rec store.Rec[Ticket], err error) {
	t, m, err := tickets.Get(tx, s.On)
	if fault.Of(err) == fault.NotFound {
		return b, rec, contacts.Leave("was deleted")
	}
	if err == nil {
		b, err = d.readBulk(c.Value.Input, c.Value.Verb)
	}
	return b, store.Rec[Ticket]{Meta: m, Value: t}, err
}

func (d *Desk) runReply(tx *store.Tx, c store.Rec[contacts.Change], s contacts.Step) (json.RawMessage, error) {
	b, rec, err := d.bulkOn(tx, c, s)
	if err != nil {
		return nil, err
	}
	m, why, err := d.bulkReply(tx, b, rec, s.Version)
	if why != "" {
		err = contacts.Leave("%s", why)
	}
	if err != nil {
		return nil, err
	}
	m.By = c.Value.Author
	if b.Solve {
		return nil, d.ask(tx, m.By, rec, m, Solution{By: m.By, Text: m.Text, At: tx.Now()})
	}
	return nil, d.answer(tx, m.By, rec, m, nil)
}

// parts are what handling changes of a ticket.
type parts struct {
	Owner    string    `json:"owner,omitempty"`
	Priority string    `json:"priority"`
	Reviewed bool      `json:"reviewed,omitempty"`
	Category string    `json:"category,omitempty"`
	Incident string    `json:"incident,omitempty"`
	Flow     string    `json:"flow,omitempty"`
	Step     string    `json:"step,omitempty"`
	StepBy   time.Time `json:"step_by,omitzero"`
	Labels   []string  `json:"labels,omitempty"`
}

func (t Ticket) parts() parts {
	return parts{t.Owner, t.Priority, t.Reviewed, t.Category, t.Incident, t.Flow, t.Step, t.StepBy, t.Labels}
}

// handledStep is what a step made of a ticket.
type handledStep struct {
	Was parts `json:"was"`
	Now parts `json:"now"`
}

// bulkBack is for how long many tickets can be as they were before.
const bulkBack = 7 * 24 * time.Hour

func (d *Desk) runHandle(tx *store.Tx, c store.Rec[contacts.Change], s contacts.Step) (json.RawMessage, error) {
	b, rec, err := d.bulkOn(tx, c, s)
	if err != nil {
		return nil, err
	}
	var to open
	if b.Queue != nil {
		if to, err = d.queueOf(tx, *b.Queue); err != nil {
			return nil, contacts.Leave("the incident of the queue is over")
		}
	}
	now, why := d.Policy.bulkHandled(b, rec.Value, to, c.Value.RunBy, c.Value.Reason, tx.Now())
	if why != "" {
		return nil, contacts.Leave("%s", why)
	}
	if err := d.put(tx, c.Value.RunBy, rec, now); err != nil {
		return nil, err
	}
	return json.Marshal(handledStep{rec.Value.parts(), now.parts()})
}

// undoHandle gives a ticket back what the change took, part by part: what somebody has changed since is her word, and stays.
func (d *Desk) undoHandle(tx *store.Tx, c store.Rec[contacts.Change], s contacts.Step) error {
	var step handledStep
	if err := json.Unmarshal(s.Back, &step); err != nil {
		return fmt.Errorf("read what ticket %s was: %w", s.Of, err)
	}
	t, m, err := tickets.Get(tx, s.On)
	if fault.Of(err) == fault.NotFound { // deleted since
		return nil
	}
	if err != nil {
		return err
	}
	return d.put(tx, c.Value.UndoneBy, store.Rec[Ticket]{Meta: m, Value: t}, d.Policy.unhandled(t, step, c.Value, tx.Now()))
}

func (p Policy) unhandled(t Ticket, s handledStep, c contacts.Change, now time.Time) Ticket {
	back := func(is *string, was, became string) {
		if *is == became {
			*is = was
		}
	}
	back(&t.Owner, s.Was.Owner, s.Now.Owner)
	back(&t.Category, s.Was.Category, s.Now.Category)
	moved := s.Was.Incident != s.Now.Incident || s.Was.Flow != s.Now.Flow
	there := t.Incident == s.Now.Incident && t.Flow == s.Now.Flow && t.Step == s.Now.Step
	if there && (moved && t.Site == "" || !moved && s.Was.Step != s.Now.Step) {
		was := t
		t.Incident, t.Flow, t.Step, t.StepBy = s.Was.Incident, s.Was.Flow, s.Was.Step, s.Was.StepBy
		t = p.weighed(was, t, now)
	}
	if slices.Equal(t.Labels, s.Now.Labels) {
		t.Labels = s.Was.Labels
	}
	if t.Priority == s.Now.Priority && s.Now.Priority != s.Was.Priority {
		t = p.handled(t, c.UndoneBy, now, Handling{Priority: &s.Was.Priority, Reason: "taken back: " + c.Reason})
		t.Reviewed = s.Was.Reviewed
	}
	return t
}
