package comms

import (
	"cmp"
	"slices"
	"time"
)

// The phases of a site's recovery, in their order. Those before it is rebuilt are told apart by the steps of its method, each of which may name its phase;
// from rebuilt to passed it is checked, and from passed to handed back its customer tries it with us.
const (
	PhaseRebuild   = "rebuild"
	PhaseData      = "data_restore"
	PhaseIntegrity = "integrity_check"
	PhaseJoint     = "joint_test"
)

var phases = []string{PhaseRebuild, PhaseData, PhaseIntegrity, PhaseJoint}

// Phases are the phases of a recovery, in their order.
func Phases() []string { return slices.Clone(phases) }

// PhaseForecast is how one phase of the recovery goes.
type PhaseForecast struct {
	Phase   string     `json:"phase"`
	Sites   int        `json:"sites"`   // that are in it now
	Through int        `json:"through"` // that have it behind them
	Took    float64    `json:"took_s"`  // median; 0: nobody noted it, or no site is through
	Share   float64    `json:"share"`   // of the time of all phases, 0 to 1; 0: not known
	DoneBy  *time.Time `json:"done_by"` // when the last site is expected to have it behind it; null: not known, or all have
}

// Total is how many sites the forecast is of.
func (f Forecast) Total() int {
	n := f.Waiting + f.Under()
	if len(f.Phases) > 0 {
		n += f.Phases[len(f.Phases)-1].Through
	}
	return n
}

// Begun is how many of its sites somebody works on, or has.
func (f Forecast) Begun() int { return f.Total() - f.Waiting }

// Under is how many sites are in one of its phases.
func (f Forecast) Under() (n int) {
	for _, p := range f.Phases {
		n += p.Sites
	}
	return n
}

// headway is the little of a row that says how far its site has come, and when.
type headway struct {
	method, batch, state         string
	begun, rebuilt, passed, back time.Time        // zero: never, or it went back behind it since
	phase                        string           // that it is in; "": nobody works on it, or it is handed back
	took                         [4]time.Duration // by phase, of those that are behind it
}

func (w Row) headway() headway {
	c := headway{method: w.Method, batch: w.Batch, state: oneText(w.State), begun: w.reached(Restoring), rebuilt: w.reached(Rebuilt), passed: w.reached(Passed), back: w.reached(HandedBack)}
	type turn struct {
		phase string
		at    time.Time
	}
	var turns []turn
	if !c.begun.IsZero() {
		turns = append(turns, turn{PhaseRebuild, c.begun})
		for _, phase := range phases {
			at, noted := w.Phases[phase] // that of an earlier attempt is behind
			if noted && !at.Before(c.begun) && (c.rebuilt.IsZero() || at.Before(c.rebuilt)) {
				turns = append(turns, turn{phase, at})
			}
		}
	}
	if !c.rebuilt.IsZero() {
		turns = append(turns, turn{PhaseIntegrity, c.rebuilt})
	}
	if !c.passed.IsZero() {
		turns = append(turns, turn{PhaseJoint, c.passed})
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.at.Compare(b.at) })
	for i, t := range turns {
		till := c.back
		if i+1 < len(turns) {
			till = turns[i+1].at
		}
		if !till.IsZero() {
			c.took[slices.Index(phases, t.phase)] += till.Sub(t.at)
		}
	}
	if len(turns) > 0 && w.State != HandedBack {
		c.phase = turns[len(turns)-1].phase
	}
	return c
}

// oneText is the name of a state, in one text for all rows.
func oneText(state string) string {
	if i := slices.Index(siteStates, state); i >= 0 {
		return siteStates[i]
	}
	return state
}

// whole says that a site counts as handed back.
func (c headway) whole(now time.Time, silence time.Duration) bool {
	return c.state == HandedBack || c.state == Passed && !c.passed.Add(silence).After(now)
}

// in is the phase that a site is in by now; "": none.
func (c headway) in(now time.Time, silence time.Duration) string {
	if c.whole(now, silence) {
		return ""
	}
	return c.phase
}

// reached is when a site last came to a state; zero: never, or it went back behind it since.
func (w Row) reached(state string) time.Time {
	if w.State == FailedSite || slices.Index(siteStates, w.State) < slices.Index(siteStates, state) {
		return time.Time{}
	}
	if w.State == state {
		return w.At
	}
	for _, m := range slices.Backward(w.History) {
		if m.State == state {
			return m.At
		}
	}
	return time.Time{}
}

// phase fills in how the phases go, once it is known when sites are rebuilt, checked and back. The rebuilding ends before the last site is rebuilt, by what
// its data takes.
func (f *Forecast) phase(all []headway, now time.Time, silence time.Duration) {
	f.Phases = make([]PhaseForecast, len(phases))
	took := make([][]float64, len(phases))
	for _, c := range all {
		at := slices.Index(phases, c.in(now, silence))
		switch {
		case c.whole(now, silence):
			at = len(phases)
		case at < 0:
			f.Waiting++
		default:
			f.Phases[at].Sites++
		}
		for i := range phases {
			if i < at {
				f.Phases[i].Through++
			}
			if c.took[i] > 0 {
				took[i] = append(took[i], c.took[i].Seconds())
			}
		}
	}
	whole := 0.0
	for i, by := range []*time.Time{f.RebuiltBy, f.RebuiltBy, f.CheckedBy, f.BackBy} {
		p := &f.Phases[i]
		p.Phase, p.Took = phases[i], spread(took[i]).Median
		if p.Phase == PhaseJoint && p.Took == 0 {
			p.Took = f.Answer
		}
		whole += p.Took
		if p.Through < len(all) {
			p.DoneBy = by
		}
	}
	if first, data := &f.Phases[0], f.Phases[1].Took; first.DoneBy != nil {
		at := first.DoneBy.Add(-time.Duration(data * float64(time.Second)))
		if at.Before(now) {
			at = now
		}
		first.DoneBy = &at
	}
	for i := range f.Phases {
		if whole > 0 {
			f.Phases[i].Share = f.Phases[i].Took / whole
		}
	}
}

// phase is that of the first step that is left; of a step that names none, the one of the step before it. A list through with all its steps stays in the last.
func (l Checklist) phase(v Run) string {
	items := slices.Clone(l.Items)
	slices.SortStableFunc(items, func(a, b Item) int { return a.Stage - b.Stage })
	phase := PhaseRebuild
	for _, it := range items {
		phase = cmp.Or(it.Phase, phase)
		if it.Required && v.Results[it.Key].State == "" {
			break
		}
	}
	return phase
}
