package comms

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// UptimeDays is how far back the record of a component goes.
const UptimeDays = 90

// Uptime is a component's record by what was published: what nobody published is not in it.
type Uptime struct {
	Days    []DayRecord // oldest first; today is the last
	Percent string      // of the time in which no published incident made it a partial or major outage, two decimals, never rounded up to 100
}

// DayRecord is one day (UTC) of a component.
type DayRecord struct {
	Date   time.Time
	Status string // the worst state of the day, as Component.Status
}

// stretch is a time in which an incident made a component's state worse.
type stretch struct {
	from, until time.Time
	status      string
}

// uptime is the record of a component by name.
func uptime(name string, shown []PublicIncident, asOf time.Time) Uptime {
	today := asOf.UTC().Truncate(day)
	first := today.AddDate(0, 0, 1-UptimeDays)
	var all []stretch
	for _, in := range shown {
		if !slices.ContainsFunc(in.Products, func(p string) bool { return strings.EqualFold(strings.TrimSpace(p), name) }) {
			continue
		}
		until := asOf
		if in.State != Open {
			if in.Resolved == nil {
				continue
			}
			until = *in.Resolved
		}
		from := in.Started
		for _, l := range append(slices.Clone(in.Levels), LevelWas{in.Severity, until}) { // each severity counts for its own time
			s := stretch{from, l.Until, componentState(l.Severity)}
			if until.Before(s.until) {
				s.until = until
			}
			if s.until.After(first) && s.until.After(s.from) && s.status != componentStates[0] {
				all = append(all, s)
			}
			if l.Until.After(from) {
				from = l.Until
			}
		}
	}
	var u Uptime
	for d := first; !d.After(today); d = d.Add(day) {
		rec := DayRecord{Date: d, Status: componentStates[0]}
		for _, s := range all {
			if s.from.Before(d.Add(day)) && s.until.After(d) && slices.Index(componentStates, s.status) > slices.Index(componentStates, rec.Status) {
				rec.Status = s.status
			}
		}
		u.Days = append(u.Days, rec)
	}
	u.Percent = upPercent(asOf.Sub(first), outage(all, first))
	return u
}

// outage is how long an outage lasted from a moment on; stretches that overlap count once.
func outage(all []stretch, from time.Time) (down time.Duration) {
	all = slices.DeleteFunc(slices.Clone(all), func(s stretch) bool { return s.status == "degraded_performance" })
	slices.SortFunc(all, func(a, b stretch) int { return a.from.Compare(b.from) })
	until := from
	for _, s := range all {
		if s.from.After(until) {
			until = s.from
		}
		if s.until.After(until) {
			down += s.until.Sub(until)
			until = s.until
		}
	}
	return down
}

// upPercent has two decimals, cut and not rounded: an outage never shows as 100.
func upPercent(whole, down time.Duration) string {
	if whole <= 0 {
		return "100.00"
	}
	part := int64((whole - down) / time.Second * 10_000 / max(whole/time.Second, 1))
	part = min(max(part, 0), 10_000)
	return fmt.Sprintf("%d.%02d", part/100, part%100)
}
