package desk

import (
	"context"
	"strings"
	"time"
	"unicode"

	"lifeline/store"
	"lifeline/store/fault"
)

// Silence is the rule for customers who do not say whether their ticket is solved: they are asked some times, and then it is closed, which the audit log
// shows. With Asks 0 such a ticket waits for her for ever.
type Silence struct {
	Asks  int           `yaml:"asks" json:"asks"`   // how often she is asked in all
	Every time.Duration `yaml:"every" json:"every"` // between two questions
	After time.Duration `yaml:"after" json:"after"` // the last question: the ticket is closed
}

func (s Silence) bad() (f []fault.Field) {
	bad := func(field, reason string) {
		f = append(f, fault.Field{Field: "desk.silence." + field, Code: "invalid", Reason: reason})
	}
	if s.Asks < 0 || s.Asks > 10 {
		bad("asks", "must be from 0 to 10")
	}
	if s.Every <= 0 {
		bad("every", "must be a duration above 0")
	}
	if s.After <= 0 {
		bad("after", "must be a duration above 0")
	}
	return f
}

// next is when something happens to a solution about which its customer was asked so often; zero: nothing does.
func (s Silence) next(asked int, at time.Time) time.Time {
	switch {
	case s.Asks == 0:
		return time.Time{}
	case asked < s.Asks:
		return at.Add(s.Every)
	}
	return at.Add(s.After)
}

// The least that an explanation says: fewer letters or words tell nobody what was done. An ideograph counts as two letters, and a text of them needs no spaces.
const (
	leastLetters = 30
	leastWords   = 5
)

// hollow are the words that explain nothing, however many of them there are.
var hollow = map[string]bool{"fixed": true, "done": true, "solved": true, "resolved": true, "closed": true, "closing": true, "ok": true, "okay": true, "completed": true,
	"works": true, "working": true, "now": true, "it": true, "is": true, "the": true, "a": true, "an": true, "issue": true, "problem": true, "ticket": true, "was": true,
	"has": true, "been": true, "and": true, "all": true, "good": true, "test": true, "see": true, "above": true, "n": true, "na": true, "please": true, "thanks": true,
	"thank": true, "you": true, "this": true, "we": true, "again": true, "should": true, "be": true, "your": true, "fine": true, "everything": true}

// explains says what an explanation lacks; "" when it says something.
func explains(s string) string {
	const good = ": say what was wrong, what was done, and how she can see that it works, such as “Your site was restored from the backup of 5 April 02:10 UTC; edits after that are lost. Open it and look at your newest page.”"
	letters, words := 0, map[string]bool{}
	ideographs := 0
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		n := 0
		for _, r := range w {
			n++
			if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
				n++
				ideographs++
			}
		}
		if !hollow[w] && !words[w] {
			words[w] = true
			letters += n
		}
	}
	switch {
	case strings.TrimSpace(s) == "":
		return "is missing" + good
	case letters < leastLetters || len(words) < leastWords && ideographs < leastLetters/2:
		return "explains nothing" + good
	}
	return ""
}

// Solve says to the customer what was done, and asks whether she agrees that her ticket is solved. It is closed when she does, or by the rule for silence.
func (d *Desk) Solve(ctx context.Context, by, number, explanation string, version int64) (View, error) {
	explanation = text(explanation)
	if lacks := explains(explanation); lacks != "" {
		return View{}, fault.BadFields(fault.Field{Field: "explanation", Code: "hollow", Reason: lacks})
	}
	m, err := worded(Message{From: "staff", By: by, Text: explanation})
	if err != nil {
		return View{}, err
	}
	return d.act(ctx, store.Act{By: by, Verb: "ticket.solve"}, number, version, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		switch t := rec.Value; {
		case t.Into != "":
			return fault.New(fault.Conflict, "ticket %s goes on in another; solve that one", t.Number)
		case t.State == Closed:
			return fault.New(fault.Conflict, "ticket %s is closed", t.Number)
		}
		if err := d.mayClose(tx, rec.Value); err != nil {
			return err
		}
		return d.ask(tx, by, rec, m, Solution{By: by, Text: explanation, At: tx.Now()})
	})
}

// ask puts the question whether it is solved below a message, and waits for her.
func (d *Desk) ask(tx *store.Tx, by string, rec store.Rec[Ticket], m Message, s Solution) error {
	s.Asked++
	s.AskedAt, s.Next = tx.Now(), d.Policy.Silence.next(s.Asked, tx.Now())
	if known, err := d.silenceCounts(tx, rec.Value); err != nil {
		return err
	} else if !known {
		s.Next = time.Time{}
	}
	words := d.Comms.Words.Catalog(rec.Value.Locale)
	question := words.T("ticket.solved.ask")
	if !s.Next.IsZero() && s.Asked >= d.Policy.Silence.Asks {
		question = words.T("ticket.solved.last", s.Next.UTC().Format(time.DateOnly))
	}
	var also []Joined // they are told once what solved it; the question is for who can close the ticket
	if s.Asked == 1 {
		var err error
		if also, err = tellsAlso(tx, rec, nil); err != nil {
			return err
		}
		if err := d.sayAlso(tx, by, rec.Value, m, also); err != nil {
			return err
		}
	}
	m.Also = numbersOf(also)
	m.Text += "\n\n" + question
	id, err := d.say(tx, by, rec.ID, m)
	if err != nil {
		return err
	}
	if said, _, err := messages.Get(tx, id); err != nil {
		return err
	} else if said.Untold != "" { // who was not asked is not silent
		s.Next = time.Time{}
	}
	t, meta, err := tickets.Get(tx, rec.ID)
	if err != nil {
		return err
	}
	now := t
	now.State, now.Solution = Solved, &s
	return d.put(tx, by, store.Rec[Ticket]{Meta: meta, Value: t}, now)
}

// mayClose refuses to end a ticket while a site that it is about is not handed back: the site that it is known to be about, else all sites of its account that
// its incident took.
func (d *Desk) mayClose(tx *store.Tx, t Ticket) error {
	if t.Incident == "" {
		return nil
	}
	sites := []string{t.Site}
	if t.Site == "" && t.Account != "" {
		var err error
		if sites, err = d.Comms.AffectedOf(tx, t.Incident, t.Account); err != nil {
			return err
		}
	}
	for _, site := range sites {
		if site == "" {
			continue
		}
		back, err := d.Comms.Back(tx, t.Incident, site)
		if err != nil {
			return err
		}
		if !back {
			return fault.New(fault.Conflict, "ticket %s stays open until site %s is handed back", t.Number, site)
		}
	}
	return nil
}

// silenceCounts says whether the rule for silence holds for a ticket: while its incident goes on and nobody knows of which site it is, silence says nothing.
func (d *Desk) silenceCounts(tx *store.Tx, t Ticket) (bool, error) {
	if t.Incident == "" || t.Site != "" || t.Account != "" {
		return true, nil
	}
	going, err := d.openIncidents(tx)
	for _, o := range going {
		if o.ID == t.Incident {
			return false, err
		}
	}
	return true, err
}

// Consent is what a customer says, once she has shown that the ticket is hers, about whether it is solved; she need not have been asked. Her words are kept, ours
// when she has none. With yes the ticket is closed, unless it is of a site that is not handed back: then it stays open, and staff see what she said.
func (d *Desk) Consent(ctx context.Context, number string, yes bool, words string) (View, error) {
	return d.act(ctx, store.Act{By: "customer", Verb: "ticket.consent"}, number, 0, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		if rec.Value.State == Closed {
			return fault.New(fault.Conflict, "ticket %s is closed", rec.Value.Number)
		}
		key := "ticket.consent.no"
		if yes {
			key = "ticket.consent.yes"
		}
		said := text(words)
		if said == "" {
			said = d.Comms.Words.Catalog(rec.Value.Locale).T(key)
		}
		m, err := worded(Message{From: "customer", Text: said})
		if err != nil {
			return err
		}
		solution := rec.Value.Solution
		if _, err := d.say(tx, "customer", rec.ID, m); err != nil || !yes {
			return err
		}
		t, meta, err := tickets.Get(tx, rec.ID)
		if err != nil {
			return err
		}
		if err := d.mayClose(tx, t); fault.Of(err) == fault.Conflict {
			return nil
		} else if err != nil {
			return err
		}
		now := t
		now.State, now.Solution = rec.Value.State, solution
		return d.put(tx, "customer", store.Rec[Ticket]{Meta: meta, Value: t}, d.Policy.ended(now, Ending{How: ByConsent, By: "customer", At: tx.Now()}))
	})
}

// KeepSilence asks those again who did not say whether their ticket is solved, and closes the tickets of those who were asked often enough. Each is a transaction of
// its own that looks again, so that it harms nothing when several do it.
func (d *Desk) KeepSilence(ctx context.Context) error {
	var due []string
	err := d.DB.View(ctx, func(tx *store.Tx) error {
		due = nil
		for rec, err := range tickets.Scan(tx, store.Query{Index: "silence", To: tx.Now().Add(time.Microsecond), Limit: silenceAtOnce}) {
			if err != nil {
				return err
			}
			due = append(due, rec.Value.Number)
		}
		return nil
	})
	for _, number := range due {
		if err == nil {
			err = d.keepSilence(ctx, number)
		}
	}
	return err
}

const silenceAtOnce = 100

const bySilence = "system:silence"

func (d *Desk) keepSilence(ctx context.Context, number string) error {
	act := store.Act{By: bySilence, Verb: "ticket.silence", Reason: "she did not say whether it is solved"}
	err := d.DB.Update(ctx, act, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err != nil {
			return err
		}
		t := rec.Value
		if t.State != Solved || t.Solution == nil || t.Solution.Next.IsZero() || t.Solution.Next.After(tx.Now()) {
			return store.ErrNothing
		}
		tx.On(rec.ID)
		words := d.Comms.Words.Catalog(t.Locale)
		if t.Solution.Asked < d.Policy.Silence.Asks {
			return d.ask(tx, bySilence, rec, Message{From: "staff", By: bySilence, Text: words.T("ticket.solved.again")}, *t.Solution)
		}
		if err := d.mayClose(tx, t); fault.Of(err) == fault.Conflict { // the site was taken back since
			t.Solution.Next = time.Time{}
			return d.put(tx, bySilence, rec, t)
		} else if err != nil {
			return err
		}
		if _, err := d.say(tx, bySilence, rec.ID, Message{From: "system", Text: words.T("ticket.closed.silence")}); err != nil {
			return err
		}
		now, meta, err := tickets.Get(tx, rec.ID)
		if err != nil {
			return err
		}
		return d.put(tx, bySilence, store.Rec[Ticket]{Meta: meta, Value: now}, d.Policy.ended(now, Ending{How: BySilence, By: bySilence, At: tx.Now()}))
	})
	if kind := fault.Of(err); kind == fault.Stale || kind == fault.NotFound {
		return nil // somebody was faster
	}
	return err
}
