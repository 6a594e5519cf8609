package desk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Hours are when the desk works on what can wait: the clocks of the priorities that it names run only then. Without a zone there are none, and all
// clocks run round the clock.
type Hours struct {
	Zone       string   `yaml:"zone" json:"zone"`             // IANA name, "Europe/Berlin"
	Days       []string `yaml:"days" json:"days"`             // mon to sun
	From       string   `yaml:"from" json:"from"`             // 09:00
	To         string   `yaml:"to" json:"to"`                 // 17:30; 24:00 is the end of the day
	Holidays   []string `yaml:"holidays" json:"holidays"`     // 2026-12-25
	Priorities []string `yaml:"priorities" json:"priorities"` // P2 and P3 when none is named
}

// Weekdays are the days of a week, as policies and rotas name them.
func Weekdays() []string { return append(slices.Clone(weekdays[1:]), weekdays[0]) }

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// mostIdle bounds the search for working time: holidays may fill a long while, and no promise lies further away.
const mostIdle = 10 * 366

// bad names what cannot be used.
func (h Hours) bad() (f []fault.Field) {
	bad := func(field, format string, args ...any) {
		f = append(f, fault.Field{Field: "desk.hours." + field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
	}
	if h.Zone == "" {
		if len(h.Days)+len(h.Holidays)+len(h.Priorities) > 0 || h.From != "" || h.To != "" {
			bad("zone", "is missing: name the IANA zone in which the hours are meant")
		}
		return f
	}
	if _, err := time.LoadLocation(h.Zone); err != nil || h.Zone == "Local" {
		bad("zone", "is no IANA time zone such as Europe/Berlin")
	}
	if len(h.Days) == 0 {
		bad("days", "is empty: name at least one of mon to sun")
	}
	for _, day := range h.Days {
		if !slices.Contains(weekdays, day) {
			bad("days", "may hold mon, tue, wed, thu, fri, sat and sun")
			break
		}
	}
	from, ok := minutes(h.From)
	if !ok || from == 24*60 {
		bad("from", "must be a time of day such as 09:00")
	}
	if to, also := minutes(h.To); !also || ok && to <= from {
		bad("to", "must be a time of day behind from, such as 17:30")
	}
	for i, day := range h.Holidays {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			bad(fmt.Sprintf("holidays[%d]", i), "must be a day such as 2026-12-25")
		}
	}
	for _, p := range h.Priorities {
		if !slices.Contains(priorities, p) {
			bad("priorities", "may hold P0, P1, P2 and P3")
			break
		}
	}
	return f
}

// minutes reads a time of day.
func minutes(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil
}

// apply says whether the clocks of a priority run only in these hours.
func (h Hours) apply(priority string) bool {
	if h.Zone == "" {
		return false
	}
	if len(h.Priorities) == 0 {
		return priority == "P2" || priority == "P3"
	}
	return slices.Contains(h.Priorities, priority)
}

// day is the working time of the date on which t lies in the zone; an empty span when there is none. Where the clocks are set forward or back it is as
// long as the day's hours really last.
func (h Hours) day(t time.Time, zone *time.Location) (open, shut time.Time) {
	t = t.In(zone)
	y, m, d := t.Date()
	if !slices.Contains(h.Days, weekdays[t.Weekday()]) || slices.Contains(h.Holidays, t.Format(time.DateOnly)) {
		return t, t
	}
	from, _ := minutes(h.From)
	to, _ := minutes(h.To)
	return time.Date(y, m, d, 0, from, 0, 0, zone), time.Date(y, m, d, 0, to, 0, 0, zone)
}

// days calls each with the working time of the date of from, and of each after it, until each is content.
func (h Hours) days(from time.Time, each func(open, shut time.Time) (done bool)) {
	zone, err := time.LoadLocation(h.Zone)
	if err != nil {
		return
	}
	y, m, d := from.In(zone).Date()
	for n := range mostIdle {
		if each(h.day(time.Date(y, m, d+n, 12, 0, 0, 0, zone), zone)) { // noon is there on every date
			return
		}
	}
}

// after is the moment at which d of working time has passed since from.
func (h Hours) after(from time.Time, d time.Duration) time.Time {
	at := from.Add(d)
	h.days(from, func(open, shut time.Time) bool {
		if open.Before(from) {
			open = from
		}
		if span := shut.Sub(open); span < d || span <= 0 {
			d -= max(0, span)
			return false
		}
		at = open.Add(d)
		return true
	})
	return at.UTC()
}

// between is the working time that lies between two moments.
func (h Hours) between(from, to time.Time) (sum time.Duration) {
	h.days(from, func(open, shut time.Time) bool {
		if open.After(to) {
			return true
		}
		if open.Before(from) {
			open = from
		}
		if shut.After(to) {
			shut = to
		}
		sum += max(0, shut.Sub(open))
		return false
	})
	return sum
}

// String says the hours in a line, for people.
func (h Hours) String() string {
	if h.Zone == "" {
		return ""
	}
	return strings.Join(h.Days, ", ") + " " + h.From + "–" + h.To + " " + h.Zone
}
