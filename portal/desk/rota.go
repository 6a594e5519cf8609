package desk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Rota says who is on duty for a role, by the wall clock of one place. It holds ids of staff and nothing of customers.
//
// A wall-clock time becomes a moment in one way everywhere: where the clocks go back and the time comes twice, the first one counts; where they go
// forward and it never comes, the moment of the change does. So a shift that begins when another ends begins at the same moment on those nights too,
// and lasts as long as it really lasts.
type Rota struct {
	Name   string  `json:"name"`
	Role   string  `json:"role"`
	Region string  `json:"region,omitempty"` // "": every region
	Zone   string  `json:"zone"`             // IANA name
	From   string  `json:"from"`             // the first day, 2022-04-05; turns are counted from it
	Until  string  `json:"until,omitempty"`  // the last day; "": it goes on
	Shifts []Shift `json:"shifts"`

	Changes []RotaPhase `json:"changes,omitempty"` // how it goes on from a day, in the order of the days; see [Desk.ChangeRota]
}

// Shift is one stretch of the day and whose it is.
type Shift struct {
	Name string   `json:"name"`
	From string   `json:"from"`           // 08:00
	To   string   `json:"to"`             // 16:30; not after From: on the next day
	Days []string `json:"days,omitempty"` // on which it begins, mon to sun; none: every day
	Crew []string `json:"crew"`           // ids of staff
	Turn int      `json:"turn,omitempty"` // for so many days one of the crew has it, then the next; 0: all have it always
}

// Cover changes who is there for a while: In instead of Out. Without In somebody is only missing, without Out somebody is there besides.
type Cover struct {
	Rota   string    `json:"rota_id"`
	Out    string    `json:"out,omitempty"`
	In     string    `json:"in,omitempty"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason,omitempty"`
	Swap   string    `json:"swap,omitempty"` // what the two covers of one swap share
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Agreed time.Time `json:"agreed_at,omitzero"` // it counts from then on; zero: In, or who swaps with Out, has not agreed yet
}

// Slot is one person's time on duty.
type Slot struct {
	Rota   string    `json:"rota_id"`
	Shift  string    `json:"shift"`
	Role   string    `json:"role"`
	Region string    `json:"region"`
	Person string    `json:"staff_id"`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	For    string    `json:"stands_in_for,omitempty"`
}

// Bounds of what is planned.
const (
	MostShifts  = 24
	mostCrew    = 500
	longestPlan = 60 * 24 * time.Hour // of a look at a plan, and of a cover
)

func (r Rota) bad() (f []fault.Field) {
	bad := func(field, format string, args ...any) {
		f = append(f, fault.Field{Field: field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
	}
	if r.Name == "" || len(r.Name) > 100 {
		bad("name", "must be there, with 100 bytes at the most")
	}
	if r.Role == "" {
		bad("role", "is missing")
	}
	if len(r.Region) > 60 {
		bad("region", "is longer than 60 bytes")
	}
	if _, err := time.LoadLocation(r.Zone); err != nil || r.Zone == "Local" || r.Zone == "" {
		bad("zone", "is no IANA time zone such as Europe/Berlin")
	}
	from, err := time.Parse(time.DateOnly, r.From)
	if err != nil {
		bad("from", "must be a day such as 2022-04-05")
	}
	if until, err := time.Parse(time.DateOnly, r.Until); r.Until != "" && (err != nil || until.Before(from)) {
		bad("until", "must be a day not before from")
	}
	if n := len(r.Shifts); n == 0 || n > MostShifts {
		bad("shifts", "must be 1 to %d", MostShifts)
	}
	for i, s := range r.Shifts {
		at := fmt.Sprintf("shifts[%d].", i)
		if s.Name == "" || len(s.Name) > 100 {
			bad(at+"name", "must be there, with 100 bytes at the most")
		}
		for field, value := range map[string]string{"from": s.From, "to": s.To} {
			if n, ok := minutes(value); !ok || field == "from" && n == 24*60 {
				bad(at+field, "must be a time of day such as 08:00")
			}
		}
		for _, day := range s.Days {
			if !slices.Contains(weekdays, day) {
				bad(at+"days", "may hold mon, tue, wed, thu, fri, sat and sun")
				break
			}
		}
		if n := len(s.Crew); n == 0 || n > mostCrew {
			bad(at+"crew", "must name 1 to %d people", mostCrew)
		}
		if s.Turn < 0 || s.Turn > 366 {
			bad(at+"turn", "must be 0 to 366 days")
		}
	}
	slices.SortStableFunc(f, func(a, b fault.Field) int { return strings.Compare(a.Field, b.Field) })
	return f
}

// wall is the moment at which the clock of a place first shows so many minutes of a day, or would have if the clocks had not gone forward.
func wall(day time.Time, minute int, zone *time.Location) time.Time {
	y, m, d := day.Date()
	shown := time.Date(y, m, d, 0, minute, 0, 0, time.UTC)
	_, before := shown.Add(-24 * time.Hour).In(zone).Zone()
	_, after := shown.Add(24 * time.Hour).In(zone).Zone()
	var moment time.Time
	for _, offset := range []int{before, after} {
		at := shown.Add(-time.Duration(offset) * time.Second)
		if _, real := at.In(zone).Zone(); real == offset && (moment.IsZero() || at.Before(moment)) {
			moment = at
		}
	}
	if moment.IsZero() {
		moment, _ = shown.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	}
	return moment.UTC()
}

// crew is who of a shift is on duty that begins on a day, so many days after the rota's first.
func (s Shift) crew(days int) []string {
	if s.Turn == 0 {
		return s.Crew
	}
	at := days / s.Turn % len(s.Crew)
	return s.Crew[at : at+1]
}

// slots is who is on duty between two moments, in the order of beginning. Covers that nobody agreed to are left out.
func (r Rota) slots(id string, covers []Cover, from, to time.Time) (all []Slot) {
	slot := Slot{Rota: id, Role: r.Role, Region: r.Region}
	var zone *time.Location
	y, m, d := from.Add(-48 * time.Hour).UTC().Date() // a shift that began before may still last; dates are days here, not moments
	for day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC); day.Before(to.Add(48 * time.Hour)); day = day.AddDate(0, 0, 1) {
		date := day.Format(time.DateOnly)
		phase := r.On(date)
		if zone == nil || zone.String() != phase.Zone { // it is read from a file
			var err error
			if zone, err = time.LoadLocation(phase.Zone); err != nil {
				return nil
			}
		}
		first, err := time.Parse(time.DateOnly, phase.From)
		if err != nil || day.Before(first) || phase.Until != "" && date > phase.Until {
			continue
		}
		for _, s := range phase.Shifts {
			if len(s.Days) > 0 && !slices.Contains(s.Days, weekdays[day.Weekday()]) {
				continue
			}
			begin, _ := minutes(s.From)
			end, _ := minutes(s.To)
			if end <= begin {
				end += 24 * 60
			}
			slot.Shift, slot.Start, slot.End = s.Name, wall(day, begin, zone), wall(day, end, zone)
			for _, slot.Person = range s.crew(int(day.Sub(first).Hours() / 24)) {
				all = append(all, slot)
			}
		}
	}
	for _, c := range covers {
		if !c.Agreed.IsZero() {
			all = c.on(all, slot)
		}
	}
	all = slices.DeleteFunc(all, func(s Slot) bool { return !s.End.After(from) || !s.Start.Before(to) })
	slices.SortStableFunc(all, func(a, b Slot) int {
		if n := a.Start.Compare(b.Start); n != 0 {
			return n
		}
		return strings.Compare(a.Person, b.Person)
	})
	return all
}

// on is a plan with a cover: what Out had within its time is In's, or nobody's.
func (c Cover) on(all []Slot, of Slot) (plan []Slot) {
	if c.Out == "" {
		of.Shift, of.Person, of.Start, of.End = "+", c.In, c.From, c.To
		return append(all, of)
	}
	for _, s := range all {
		if s.Person != c.Out || !s.Start.Before(c.To) || !s.End.After(c.From) {
			plan = append(plan, s)
			continue
		}
		mid := s
		if s.Start.Before(c.From) {
			before := s
			before.End, mid.Start = c.From, c.From
			plan = append(plan, before)
		}
		if s.End.After(c.To) {
			after := s
			after.Start, mid.End = c.To, c.To
			plan = append(plan, after)
		}
		if c.In != "" {
			mid.Person, mid.For = c.In, c.Out
			plan = append(plan, mid)
		}
	}
	return plan
}

// Need is a role that somebody must be on duty for round the clock.
type Need struct {
	Role   string `yaml:"role" json:"role"`
	Region string `yaml:"region" json:"region"` // "": anywhere
}

// Gap is a time in which nobody is on duty for what is needed.
type Gap struct {
	Need
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func (n Need) met(s Slot) bool {
	return s.Role == n.Role && (n.Region == "" || s.Region == n.Region || s.Region == "")
}

// gaps is when a need is not met between two moments. The slots are in the order of their beginning.
func (n Need) gaps(plan []Slot, from, to time.Time) (all []Gap) {
	reached := from
	for _, s := range plan {
		if !n.met(s) {
			continue
		}
		if s.Start.After(reached) {
			all = append(all, Gap{n, reached, earlier(s.Start, to)})
		}
		if s.End.After(reached) {
			reached = s.End
		}
		if !reached.Before(to) {
			return all
		}
	}
	return append(all, Gap{n, reached, to})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Strain is a plan that asks too much of somebody.
type Strain struct {
	Person string        `json:"staff_id"`
	What   string        `json:"what"` // "day": too long within 24 hours; "rest": too short between two stretches
	At     time.Time     `json:"at"`
	Lasts  time.Duration `json:"-"`
	Hours  float64       `json:"hours"`
}

// strains finds who is on duty for more than the longest day within any 24 hours, or rests less than the shortest rest, over all rotas together. Slots
// that touch or overlap are one stretch.
func strains(plan []Slot, day, rest time.Duration) (all []Strain) {
	spans := map[string][]Slot{}
	for _, s := range plan {
		if s.Person == "" {
			continue
		}
		own := spans[s.Person]
		if n := len(own); n > 0 && !s.Start.After(own[n-1].End) {
			if s.End.After(own[n-1].End) {
				own[n-1].End = s.End
			}
			continue
		}
		spans[s.Person] = append(own, s)
	}
	say := func(who, what string, at time.Time, d time.Duration) {
		all = append(all, Strain{who, what, at, d, float64(d.Round(time.Minute)) / float64(time.Hour)})
	}
	for who, own := range spans {
		var told time.Time // until when a long day was told of: one of several that overlap is enough
		for i, s := range own {
			if i > 0 {
				if gap := s.Start.Sub(own[i-1].End); gap < rest {
					say(who, "rest", s.Start, gap)
				}
			}
			for at := s.Start; at.Before(s.End); at = at.Add(24 * time.Hour) { // a stretch without an end is too long on each of its days
				if at.Before(told) {
					continue
				}
				end, sum := at.Add(24*time.Hour), time.Duration(0)
				for _, other := range own[i:] {
					sum += max(0, earlier(other.End, end).Sub(later(other.Start, at)))
				}
				if sum > day {
					say(who, "day", at, sum)
					told = end
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Strain) int {
		if n := a.At.Compare(b.At); n != 0 {
			return n
		}
		return strings.Compare(a.Person+a.What, b.Person+b.What)
	})
	return all
}
