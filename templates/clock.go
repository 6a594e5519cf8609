package templates

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a vendor's zone must be known on a machine without a zone database
)

// Time is a moment for people: "2022-04-14 09:00 UTC+9 (00:00 UTC)" in a zone of its own, "2022-04-14 00:00 UTC" without one or
// in one that nobody knows. The date stands first, from year to day, because day and month are never mistaken that way in any
// language. The zero time is "".
func (c Catalog) Time(t time.Time, zone string) string { return c.moment(t, zone).String() }

// Duration is d in words, in at most two units, rounded up to the smaller of them: a bound must not shrink by being told.
func (c Catalog) Duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	units := []struct {
		key  string
		unit time.Duration
	}{{"duration.days", 24 * time.Hour}, {"duration.hours", time.Hour}, {"duration.minutes", time.Minute}, {"duration.seconds", time.Second}}
	for i, u := range units {
		last := i == len(units)-1
		if d < u.unit && !last {
			continue
		}
		if last {
			n := int((d + u.unit - 1) / u.unit)
			if n == 60 {
				return c.Duration(time.Minute)
			}
			return c.T(u.key, n)
		}
		next := units[i+1]
		small := int((d%u.unit + next.unit - 1) / next.unit)
		big := int(d / u.unit)
		if small == int(u.unit/next.unit) {
			return c.Duration(time.Duration(big+1) * u.unit)
		}
		if small == 0 {
			return c.T(u.key, big)
		}
		return c.T("duration.two", c.T(u.key, big), c.T(next.key, small))
	}
	return ""
}

// moment is Time as a phrase.
func (c Catalog) moment(t time.Time, zone string) Phrase {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	whole := utc.Format("2006-01-02 15:04") + " UTC"
	local, ok := in(utc, zone)
	if !ok {
		return Phrase{{Text: whole, At: utc}}
	}
	beside := utc.Format("15:04") + " UTC"
	if local.Format(time.DateOnly) != utc.Format(time.DateOnly) {
		beside = whole
	}
	return Phrase{{Text: c.T("time.local", local.Format("2006-01-02 15:04")+" "+offset(local), beside), At: utc}}
}

// short is a moment for an SMS: the vendor's zone or UTC, never both, and without the year where the language names the month.
func (c Catalog) short(t time.Time, zone string) Phrase {
	if t.IsZero() {
		return nil
	}
	local, ok := in(t.UTC(), zone)
	mark := "UTC"
	if ok {
		mark = offset(local)
	}
	date := local.Format(c.T("sms.date_layout"))
	if months := strings.Fields(c.T("sms.months")); len(months) == 12 { // Go knows the months in English
		date = strings.Replace(date, local.Format("Jan"), months[local.Month()-1], 1)
	}
	text := c.T("sms.time", date, local.Format("15:04"), mark)
	return Phrase{{Text: text, At: t.UTC()}}
}

// in is t in a zone that differs from UTC at that moment.
func in(t time.Time, zone string) (time.Time, bool) {
	if zone == "" {
		return t, false
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return t, false
	}
	local := t.In(loc)
	_, seconds := local.Zone()
	return local, seconds != 0
}

// offset names the zone by its distance from UTC: abbreviations such as CST mean several zones.
func offset(t time.Time) string {
	_, s := t.Zone()
	sign := "+"
	if s < 0 {
		sign, s = "-", -s
	}
	if s%3600 == 0 {
		return fmt.Sprintf("UTC%s%d", sign, s/3600)
	}
	return fmt.Sprintf("UTC%s%d:%02d", sign, s/3600, s%3600/60)
}
