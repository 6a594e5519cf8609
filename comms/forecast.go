package comms

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"lifeline/store"
)

// Forecast is when the sites of an incident are to be expected back, computed from the moves in its ledger and from nothing that anybody hoped. Where nothing
// of a kind has been done lately there is no date.
type Forecast struct {
	AsOf      time.Time        `json:"as_of"`
	Methods   []MethodForecast `json:"methods"`
	Phases    []PhaseForecast  `json:"phases"`     // in the order of Phases
	Waiting   int              `json:"waiting"`    // sites that nobody works on
	Check     float64          `json:"check_s"`    // median, from rebuilt to passed; 0: none has passed
	Answer    float64          `json:"answer_s"`   // median, from passed to handed back; while nobody has answered, what silence takes to count
	RebuiltBy *time.Time       `json:"rebuilt_by"` // the last site; null: not known
	CheckedBy *time.Time       `json:"checked_by"`
	BackBy    *time.Time       `json:"back_by"` // with the time that customers take
}

// MethodForecast is how the rebuilding by one method goes.
type MethodForecast struct {
	Method    string     `json:"method"` // "": nobody said which
	Left      int        `json:"left"`   // sites that are not rebuilt
	Done      int        `json:"done"`
	PerHour   float64    `json:"per_hour"` // over the last day, or since the first site was begun
	Batch     float64    `json:"batch_s"`  // median of its batches, from the first site begun to the last rebuilt; 0: none is through
	RebuiltBy *time.Time `json:"rebuilt_by"`
}

// left is how many sites are not rebuilt.
func (f Forecast) left() (n int) {
	for _, m := range f.Methods {
		n += m.Left
	}
	return n
}

// paceOver is how far back a pace is taken from: a day has a night in it.
const paceOver = 24 * time.Hour

// Forecast says when the sites are to be expected back.
func (r *Room) Forecast(ctx context.Context, incident string) (f Forecast, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		f, err = r.forecastIn(tx, in.ID)
		return err
	})
	return f, err
}

func (r *Room) forecastIn(tx *store.Tx, incident string) (f Forecast, err error) {
	var all []headway
	for rec, err := range store.Gists(tx, rows, &r.headways, Row.headway, store.Query{Prefix: rowPrefix(incident)}) {
		if err != nil {
			return f, err
		}
		all = append(all, rec.Value)
	}
	return forecast(all, tx.Now(), r.Policy.NoAnswer), nil
}

// pace is what was done of a thing lately.
type pace struct {
	lately int
	first  time.Time // when it was first begun
}

func (p *pace) begun(at time.Time) {
	if !at.IsZero() && (p.first.IsZero() || at.Before(p.first)) {
		p.first = at
	}
}

// perHour is over the last day, or since the first was begun; an hour at the least, for minutes say nothing of an hour.
func (p pace) perHour(now time.Time) float64 {
	if p.lately == 0 {
		return 0
	}
	return float64(p.lately) / min(paceOver, max(now.Sub(p.first), time.Hour)).Hours()
}

// after is when so many more are done; nil: nothing of it was done lately.
func (p pace) after(now time.Time, left int) *time.Time {
	if left == 0 {
		return &now
	}
	rate := p.perHour(now)
	if rate == 0 {
		return nil
	}
	at := now.Add(time.Duration(float64(left) / rate * float64(time.Hour)))
	return &at
}

// wave is one batch by one method.
type wave struct {
	began, ended time.Time
	open         bool
}

func forecast(all []headway, now time.Time, silence time.Duration) Forecast {
	f := Forecast{AsOf: now, Methods: []MethodForecast{}}
	methods, paces, waves := map[string]*MethodForecast{}, map[string]*pace{}, map[[2]string]*wave{}
	var passing pace
	var checks, answers []float64
	unchecked := 0
	for _, w := range all {
		m, p := methods[w.method], paces[w.method]
		if m == nil {
			m, p = &MethodForecast{Method: w.method}, &pace{}
			methods[w.method], paces[w.method] = m, p
		}
		p.begun(cmp.Or(w.begun, w.rebuilt))
		is := slices.Index(siteStates, w.state) >= slices.Index(siteStates, Rebuilt)
		if is {
			m.Done++
			if now.Sub(w.rebuilt) < paceOver {
				p.lately++
			}
		} else {
			m.Left++
		}
		if w.batch != "" && !w.begun.IsZero() {
			v := waves[[2]string{w.method, w.batch}]
			if v == nil {
				v = &wave{began: w.begun}
				waves[[2]string{w.method, w.batch}] = v
			}
			if w.begun.Before(v.began) {
				v.began = w.begun
			}
			if w.rebuilt.After(v.ended) {
				v.ended = w.rebuilt
			}
			v.open = v.open || !is
		}
		passing.begun(w.rebuilt)
		switch {
		case slices.Index(siteStates, w.state) < slices.Index(siteStates, Passed): // what failed among them
			unchecked++
		case !w.passed.IsZero():
			if !w.rebuilt.IsZero() {
				checks = append(checks, w.passed.Sub(w.rebuilt).Seconds())
			}
			if now.Sub(w.passed) < paceOver {
				passing.lately++
			}
			if !w.back.IsZero() {
				answers = append(answers, w.back.Sub(w.passed).Seconds())
			}
		}
	}
	f.Check, f.Answer = spread(checks).Median, silence.Seconds()
	if len(answers) > 0 {
		f.Answer = spread(answers).Median
	}
	known, last := true, now
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		m := methods[name]
		m.PerHour, m.RebuiltBy = paces[name].perHour(now), paces[name].after(now, m.Left)
		var took []float64
		for key, v := range waves {
			if key[0] == name && !v.open {
				took = append(took, v.ended.Sub(v.began).Seconds())
			}
		}
		m.Batch = spread(took).Median
		for key, v := range waves { // a batch under way takes what batches take, however fast single sites come
			if ends := v.began.Add(time.Duration(m.Batch * float64(time.Second))); key[0] == name && v.open && m.RebuiltBy != nil && ends.After(*m.RebuiltBy) {
				m.RebuiltBy = &ends
			}
		}
		if known = known && m.RebuiltBy != nil; known && m.RebuiltBy.After(last) {
			last = *m.RebuiltBy
		}
		f.Methods = append(f.Methods, *m)
	}
	if known && len(all) > 0 {
		f.RebuiltBy = &last
		f.checked(passing.after(now, unchecked), unchecked)
	}
	f.phase(all, now, silence)
	return f
}

// checked says when the last site is checked and back, from when it is at the pace of the checks; nil: nothing was checked lately.
func (f *Forecast) checked(checked *time.Time, left int) {
	if checked == nil {
		return
	}
	if ends := f.RebuiltBy.Add(time.Duration(f.Check * float64(time.Second))); left > 0 && ends.After(*checked) {
		checked = &ends
	}
	ends := checked.Add(time.Duration(f.Answer * float64(time.Second)))
	f.CheckedBy, f.BackBy = checked, &ends
}
