package desk

import (
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
)

// priorities, the most urgent first.
var priorities = []string{"P0", "P1", "P2", "P3"}

// The clocks of a ticket; each is a promise under the same name, with the ladder of the policy that has it.
const (
	FirstAnswer = "first_answer" // of a person, from the moment it was filed
	NextAnswer  = "next_answer"  // from the moment she wrote again
	Resolution  = "resolution"   // stands while we wait for her; see StepClock for the fourth
)

// Times is how long the desk may take, by priority; one that is not named has no such clock.
type Times struct {
	FirstAnswer map[string]time.Duration `yaml:"first_answer" json:"first_answer,omitempty"`
	NextAnswer  map[string]time.Duration `yaml:"next_answer" json:"next_answer,omitempty"`
	Resolution  map[string]time.Duration `yaml:"resolution" json:"resolution,omitempty"`
}

func (t Times) of(clock string) map[string]time.Duration {
	switch clock {
	case FirstAnswer:
		return t.FirstAnswer
	case NextAnswer:
		return t.NextAnswer
	}
	return t.Resolution
}

// bad names what cannot be used, below a field of the policy.
func (t Times) bad(under string) (f []fault.Field) {
	for _, clock := range []string{FirstAnswer, NextAnswer, Resolution} {
		for priority, d := range t.of(clock) {
			switch {
			case !slices.Contains(priorities, priority):
				f = append(f, fault.Field{Field: under + "." + clock, Code: "invalid", Reason: "names a priority that is none of P0, P1, P2, P3"})
			case d <= 0:
				f = append(f, fault.Field{Field: under + "." + clock + "." + priority, Code: "invalid", Reason: "must be a duration above 0"})
			}
		}
	}
	return f
}

// may is how long a clock of a ticket may run; 0: there is none. What the policy says of a customer's tier shortens it and never makes it longer, for
// she was promised the other before anybody knew her tier.
func (p Policy) may(clock string, t Ticket) time.Duration {
	d := Times{FirstAnswer: p.FirstAnswer, NextAnswer: p.NextAnswer, Resolution: p.Resolution}.of(clock)[t.Priority]
	if own := p.Workflows[t.Flow].of(clock)[t.Priority]; own > 0 {
		d = own
	}
	if clock == FirstAnswer && d == 0 {
		d = 24 * time.Hour
	}
	if t.Tier != nil {
		if of := p.Tiers[*t.Tier].of(clock)[t.Priority]; of > 0 && (d == 0 || of < d) {
			d = of
		}
	}
	return d
}

// after is when d has passed for a priority, in working hours where they count for it. What is over already was due in the past.
func (p Policy) after(priority string, from time.Time, d time.Duration) time.Time {
	if d <= 0 || !p.Hours.apply(priority) {
		return from.Add(d)
	}
	return p.Hours.after(from, d)
}

func (p Policy) between(priority string, from, to time.Time) time.Duration {
	if !p.Hours.apply(priority) {
		return to.Sub(from)
	}
	return p.Hours.between(from, to)
}

// filed starts the clocks of a new ticket.
func (p Policy) filed(t Ticket, now time.Time) Ticket {
	t.AnswerBy = p.after(t.Priority, now, p.may(FirstAnswer, t))
	return p.run(t, now)
}

// run lets the clock of the solution go on.
func (p Policy) run(t Ticket, now time.Time) Ticket {
	d := p.may(Resolution, t)
	if d == 0 || !t.RunsAt.IsZero() {
		return t
	}
	t.RunsAt = now
	t.SolveBy = p.after(t.Priority, now, d-t.Worked)
	return t
}

// stand stops it.
func (p Policy) stand(t Ticket, now time.Time) Ticket {
	if !t.RunsAt.IsZero() {
		t.Worked += p.between(t.Priority, t.RunsAt, now)
	}
	t.RunsAt, t.SolveBy = time.Time{}, time.Time{}
	return t
}

// heard is what a ticket becomes when its customer writes: she waits for an answer, and one that was closed is open again.
func (p Policy) heard(t Ticket, now time.Time) Ticket {
	if t.State != New {
		if t.AskedAt.IsZero() {
			t.AskedAt = now
			if d := p.may(NextAnswer, t); d > 0 {
				t.NextBy = p.after(t.Priority, now, d)
			}
		}
		t.State = Asked
	}
	t.Solution = nil
	return p.run(t, now)
}

// answered is what a ticket becomes when staff write to its customer: it waits for her.
func (p Policy) answered(t Ticket, now time.Time) Ticket {
	if t.AnswerAt.IsZero() {
		t.AnswerAt = now
	}
	t.AskedAt, t.NextBy = time.Time{}, time.Time{}
	if t.State != Solved && t.State != Closed {
		t.State = Waiting
	}
	return p.stand(t, now)
}

// ended is what a ticket becomes when it is closed.
func (p Policy) ended(t Ticket, e Ending) Ticket {
	e.Was = t.State
	t.State, t.Ending = Closed, &e
	t.AskedAt, t.NextBy = time.Time{}, time.Time{}
	return p.stand(t, e.At)
}

// weighed is what a ticket's clocks become when its priority or its customer's tier is another: as if it had been so since it was filed, but for the time
// that has been worked.
func (p Policy) weighed(was, t Ticket, now time.Time) Ticket {
	ran := !was.RunsAt.IsZero()
	t = p.stand(was, now).withWeight(t)
	if t.AnswerAt.IsZero() {
		t.AnswerBy = p.after(t.Priority, t.FiledAt, p.may(FirstAnswer, t))
	}
	if !t.AskedAt.IsZero() {
		t.NextBy = time.Time{}
		if d := p.may(NextAnswer, t); d > 0 {
			t.NextBy = p.after(t.Priority, t.AskedAt, d)
		}
	}
	if ran || t.State == New || t.State == Asked {
		t = p.run(t, now)
	}
	return t
}

// tiered is a ticket once it is known of which tier its customer is.
func (p Policy) tiered(t Ticket, tier int, now time.Time) Ticket {
	with := t
	with.Tier = &tier
	return p.weighed(t, with, now)
}

// withWeight gives the clocks of one ticket the rest of another.
func (t Ticket) withWeight(rest Ticket) Ticket {
	rest.AnswerBy, rest.AnswerAt, rest.AskedAt, rest.NextBy = t.AnswerBy, t.AnswerAt, t.AskedAt, t.NextBy
	rest.RunsAt, rest.Worked, rest.SolveBy = t.RunsAt, t.Worked, t.SolveBy
	return rest
}

// ClockState says how a clock stands.
type ClockState string

// The states of a clock.
const (
	ClockRuns   ClockState = "running"
	ClockLate   ClockState = "late"   // it runs, and its time has passed
	ClockStands ClockState = "paused" // we wait for the customer
	ClockKept   ClockState = "kept"
	ClockMissed ClockState = "missed" // it was done, too late
)

// Clock is one promise of a ticket.
type Clock struct {
	What  string
	State ClockState
	Due   time.Time     // zero while it stands
	Left  time.Duration // until it is due, or of a clock that stands what it has left; negative once that has passed
	Hours bool          // Left is working time: hours hold for its priority
}

// Runs says when the clocks of a ticket run, for people; "": round the clock.
func (p Policy) Runs(t Ticket) string {
	if !p.Hours.apply(t.Priority) {
		return ""
	}
	return p.Hours.String()
}

// left is what a ticket has left of a clock at a moment.
func (p Policy) left(t Ticket, due, at time.Time) time.Duration {
	if due.Before(at) {
		return -p.between(t.Priority, due, at)
	}
	return p.between(t.Priority, at, due)
}

// Clocks are the promises of a ticket as they stand, the most telling first: those that run by when they are due, then the others.
func (p Policy) Clocks(t Ticket, now time.Time) (all []Clock) {
	running := func(what string, due time.Time) Clock {
		c := Clock{What: what, State: ClockRuns, Due: due, Left: p.left(t, due, now)}
		if due.Before(now) {
			c.State = ClockLate
		}
		return c
	}
	switch {
	case t.AnswerAt.IsZero() && (t.State == Closed || t.AnswerBy.IsZero()): // it needed none, or we began it
	case t.AnswerAt.IsZero():
		all = append(all, running(FirstAnswer, t.AnswerBy))
	default:
		c := Clock{What: FirstAnswer, State: ClockKept, Due: t.AnswerBy, Left: p.left(t, t.AnswerBy, t.AnswerAt)}
		if t.AnswerBy.Before(t.AnswerAt) {
			c.State = ClockMissed
		}
		all = append(all, c)
	}
	if !t.NextBy.IsZero() {
		all = append([]Clock{running(NextAnswer, t.NextBy)}, all...)
	}
	if !t.StepBy.IsZero() && t.State != Closed {
		all = append(all, running(StepClock, t.StepBy))
	}
	d := p.may(Resolution, t)
	switch {
	case d == 0 || t.Into != "":
	case !t.SolveBy.IsZero():
		all = append(all, running(Resolution, t.SolveBy))
	case t.State == Closed && t.Worked > d:
		all = append(all, Clock{What: Resolution, State: ClockMissed, Left: d - t.Worked})
	case t.State == Closed:
		all = append(all, Clock{What: Resolution, State: ClockKept, Left: d - t.Worked})
	default:
		all = append(all, Clock{What: Resolution, State: ClockStands, Left: d - t.Worked})
	}
	for i := range all {
		all[i].Hours = p.Hours.apply(t.Priority)
	}
	return all
}

// due is when the first running promise of a ticket is due; zero: none runs.
func (t Ticket) due() (at time.Time) {
	for _, p := range t.promises() {
		if at.IsZero() || p.Before(at) {
			at = p
		}
	}
	return at
}

// promises are the running clocks of a ticket, by name.
func (t Ticket) promises() map[string]time.Time {
	all := map[string]time.Time{}
	if t.State == Closed {
		return all
	}
	if t.AnswerAt.IsZero() && !t.AnswerBy.IsZero() {
		all[FirstAnswer] = t.AnswerBy
	}
	if !t.NextBy.IsZero() {
		all[NextAnswer] = t.NextBy
	}
	if !t.SolveBy.IsZero() {
		all[Resolution] = t.SolveBy
	}
	if !t.StepBy.IsZero() {
		all[StepClock] = t.StepBy
	}
	return all
}

// kept says whether a clock that runs no longer was kept, and not only stopped.
func kept(clock string, t Ticket) bool {
	switch clock {
	case FirstAnswer:
		return !t.AnswerAt.IsZero()
	case NextAnswer:
		return t.State == Waiting || t.State == Solved
	case StepClock:
		return true
	}
	return t.State == Closed && t.Into == ""
}

// promised is a clock as a deadline.
func promised(clock, id string, t Ticket, due time.Time) comms.Deadline {
	ladder := ""
	if t.Flow != "" {
		ladder = clock + "." + t.Flow
	}
	return comms.Deadline{What: clock, Ladder: ladder, Of: id, Incident: t.Incident, Title: t.Number, Page: "/desk/tickets/" + t.Number, Due: due, Many: true}
}

func firstPromise(id string, t Ticket) comms.Deadline {
	return promised(FirstAnswer, id, t, t.AnswerBy)
}

// promise brings the deadlines of a ticket in line with its clocks. The solution of a ticket that nobody has answered yet has none: its first answer is due
// before, and a new ticket costs one deadline.
func (d *Desk) promise(tx *store.Tx, id, by string, was, now Ticket) error {
	before, after := was.promises(), now.promises()
	if now.AnswerAt.IsZero() {
		delete(after, Resolution)
	}
	if was.AnswerAt.IsZero() {
		delete(before, Resolution)
	}
	for _, clock := range []string{FirstAnswer, NextAnswer, Resolution, StepClock} {
		due, runs := after[clock]
		old, ran := before[clock]
		var err error
		switch {
		case runs && (!ran || !due.Equal(old) || was.Incident != now.Incident || was.Flow != now.Flow):
			err = d.Comms.Move(tx, promised(clock, id, now, due))
		case ran && !runs && kept(clock, now):
			err = d.Comms.Keep(tx, id, clock, by)
		case ran && !runs:
			err = d.Comms.Withdraw(tx, id, clock)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
