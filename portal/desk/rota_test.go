package desk

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

// written is a plan in a line for each slot, in UTC.
func written(all []Slot) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s.Person + " " + s.Start.UTC().Format("02T15:04") + " " + s.End.UTC().Format("02T15:04"))
		if s.For != "" {
			b.WriteString(" for " + s.For)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A shift is what the clock on the wall says, also on the two nights of a year when it says an hour twice or never, and one that begins when another ends
// leaves no hole there.
func TestShiftsFollowTheClockOnTheWall(t *testing.T) {
	nights := Rota{Role: "commander", Zone: "Europe/Berlin", From: "2022-01-01", Shifts: []Shift{
		{Name: "late", From: "18:30", To: "02:30", Crew: []string{"ann"}}, {Name: "night", From: "02:30", To: "06:30", Crew: []string{"bo"}}}}
	for name, c := range map[string]struct {
		rota     Rota
		from, to string
		want     string
	}{
		"summer begins": {nights, "2022-03-26T18:00:00Z", "2022-03-27T05:00:00Z", "ann 26T17:30 27T01:00\nbo 27T01:00 27T04:30\n"},
		"summer ends":   {nights, "2022-10-29T17:00:00Z", "2022-10-30T06:00:00Z", "ann 29T16:30 30T00:30\nbo 30T00:30 30T05:30\n"},
		"half an hour, in the other half of the world": {Rota{Zone: "Australia/Lord_Howe", From: "2022-01-01", Shifts: []Shift{{From: "09:00", To: "09:00", Crew: []string{"ann"}}}},
			"2022-04-02T12:00:00Z", "2022-04-03T12:00:00Z", "ann 01T22:00 02T22:30\nann 02T22:30 03T22:30\n"},
		"a day of turns": {Rota{Zone: "UTC", From: "2022-04-01", Until: "2022-04-04", Shifts: []Shift{{From: "00:00", To: "24:00", Turn: 2, Crew: []string{"ann", "bo"}}}},
			"2022-03-01T00:00:00Z", "2022-04-30T00:00:00Z", "ann 01T00:00 02T00:00\nann 02T00:00 03T00:00\nbo 03T00:00 04T00:00\nbo 04T00:00 05T00:00\n"},
		"weekends": {Rota{Zone: "Asia/Tokyo", From: "2022-04-01", Shifts: []Shift{{From: "08:00", To: "16:00", Days: []string{"sat"}, Crew: []string{"ann", "bo"}}}},
			"2022-04-01T00:00:00Z", "2022-04-08T00:00:00Z", "ann 01T23:00 02T07:00\nbo 01T23:00 02T07:00\n"},
	} {
		if got := written(c.rota.slots("rta_1", nil, moment(t, c.from), moment(t, c.to))); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
	// No night of two years leaves a moment without one of them.
	all := Rota{Role: "commander", Zone: "America/New_York", From: "2022-01-01", Shifts: []Shift{{From: "01:30", To: "14:00", Crew: []string{"ann"}}, {From: "14:00", To: "01:30", Crew: []string{"bo"}}}}
	from, to := moment(t, "2022-02-01T00:00:00Z"), moment(t, "2023-12-01T00:00:00Z")
	if gaps := (Need{Role: "commander"}).gaps(all.slots("rta_1", nil, from, to), from, to); gaps != nil {
		t.Errorf("%v", gaps)
	}
}

func TestSomebodyStandsIn(t *testing.T) {
	r := Rota{Zone: "UTC", From: "2022-04-01", Shifts: []Shift{{Name: "day", From: "08:00", To: "16:00", Crew: []string{"ann"}}}}
	from, to := moment(t, "2022-04-05T00:00:00Z"), moment(t, "2022-04-06T00:00:00Z")
	ten, noon := moment(t, "2022-04-05T10:00:00Z"), moment(t, "2022-04-05T12:00:00Z")
	for name, c := range map[string]struct {
		cover Cover
		want  string
	}{
		"for two hours":            {Cover{Out: "ann", In: "bo", From: ten, To: noon, Agreed: from}, "ann 05T08:00 05T10:00\nbo 05T10:00 05T12:00 for ann\nann 05T12:00 05T16:00\n"},
		"nobody agreed":            {Cover{Out: "ann", In: "bo", From: ten, To: noon}, "ann 05T08:00 05T16:00\n"},
		"ill, and nobody is there": {Cover{Out: "ann", From: from, To: to, Agreed: from}, ""},
		"one more":                 {Cover{In: "bo", From: ten, To: noon, Agreed: from}, "ann 05T08:00 05T16:00\nbo 05T10:00 05T12:00\n"},
		"of another day":           {Cover{Out: "ann", In: "bo", From: to, To: to.Add(time.Hour), Agreed: from}, "ann 05T08:00 05T16:00\n"},
	} {
		if got := written(r.slots("rta_1", []Cover{c.cover}, from, to)); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

func TestHolesInAPlanAreFound(t *testing.T) {
	hour := func(n int) time.Time { return moment(t, "2022-04-05T00:00:00Z").Add(time.Duration(n) * time.Hour) }
	plan := []Slot{{Role: "support", Region: "EMEA", Start: hour(-3), End: hour(4)}, {Role: "support", Region: "EMEA", Start: hour(2), End: hour(3)},
		{Role: "commander", Start: hour(4), End: hour(6)}, {Role: "support", Start: hour(6), End: hour(8)}, {Role: "support", Region: "APAC", Start: hour(8), End: hour(10)}}
	for name, c := range map[string]struct {
		need Need
		want []Gap
	}{
		"of a region":   {Need{"support", "EMEA"}, []Gap{{From: hour(4), To: hour(6)}, {From: hour(8), To: hour(10)}}},
		"of any":        {Need{"support", ""}, []Gap{{From: hour(4), To: hour(6)}}},
		"of a role":     {Need{"commander", ""}, []Gap{{From: hour(0), To: hour(4)}, {From: hour(6), To: hour(10)}}},
		"nobody at all": {Need{"comms", ""}, []Gap{{From: hour(0), To: hour(10)}}},
	} {
		for i := range c.want {
			c.want[i].Need = c.need
		}
		if got := c.need.gaps(plan, hour(0), hour(10)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAPlanThatAsksTooMuchIsWarnedOf(t *testing.T) {
	hour := func(n float64) time.Time {
		return moment(t, "2022-04-05T00:00:00Z").Add(time.Duration(n * float64(time.Hour)))
	}
	for name, c := range map[string]struct {
		spans [][2]float64
		want  string
	}{
		"three shifts that leave enough":       {[][2]float64{{0, 8.5}, {24, 32.5}, {48, 56.5}}, ""},
		"two shifts that overlap are one":      {[][2]float64{{0, 8}, {7.5, 12.5}}, "day 12.5 "},
		"twelve hours are not too many":        {[][2]float64{{0, 12}, {24, 36}}, ""},
		"too little rest, and too much of day": {[][2]float64{{0, 8}, {16, 24}}, "day 16.0 rest 8.0 "},
		"eleven hours of rest":                 {[][2]float64{{0, 4}, {15, 19}}, ""},
		"a day is any 24 hours":                {[][2]float64{{12, 20}, {31, 40}}, "day 13.0 "},
	} {
		var plan []Slot
		for _, s := range c.spans {
			plan = append(plan, Slot{Person: "ann", Start: hour(s[0]), End: hour(s[1])}, Slot{Person: "bo", Start: hour(s[0]), End: hour(s[0] + 1)})
		}
		got := ""
		for _, s := range strains(plan, 12*time.Hour, 11*time.Hour) {
			if s.Person == "ann" {
				got += s.What + " " + s.Lasts.String() + " "
			}
		}
		got = strings.NewReplacer("h0m0s", ".0", "h30m0s", ".5").Replace(got)
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A change counts from its day on and leaves what was before it, also across a change of the zone; turns are counted from its day.
func TestARotaGoesOnDifferentlyFromADay(t *testing.T) {
	r := Rota{Zone: "UTC", From: "2022-04-01", Until: "2022-04-06", Shifts: []Shift{{From: "08:00", To: "16:00", Crew: []string{"ann"}}}, Changes: []RotaPhase{
		{RotaForm: RotaForm{From: "2022-04-03", Zone: "Europe/Berlin", Shifts: []Shift{{From: "08:00", To: "16:00", Turn: 1, Crew: []string{"bo", "cy"}}}}},
		{RotaForm: RotaForm{From: "2022-04-05", Until: "2022-04-05", Zone: "UTC", Shifts: []Shift{{From: "22:00", To: "02:00", Crew: []string{"di"}}}}}}}
	want := "ann 01T08:00 01T16:00\nann 02T08:00 02T16:00\nbo 03T06:00 03T14:00\ncy 04T06:00 04T14:00\ndi 05T22:00 06T02:00\n"
	if got := written(r.slots("rta_1", nil, moment(t, "2022-04-01T00:00:00Z"), moment(t, "2022-04-20T00:00:00Z"))); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	for day, from := range map[string]string{"2022-03-01": "2022-04-01", "2022-04-02": "2022-04-01", "2022-04-03": "2022-04-03", "2023-01-01": "2022-04-05"} {
		if got := r.On(day).From; got != from {
			t.Errorf("%s goes by the plan of %s, want %s", day, got, from)
		}
	}
}
