package desk

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var berlin = Hours{Zone: "Europe/Berlin", Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "09:00", To: "17:00", Holidays: []string{"2022-04-15", "2022-04-18"}}

// What can wait runs in working hours: nights, weekends and holidays do not count, and on the day on which clocks are set forward or back it is the hours
// that really passed.
func TestClocksRunInWorkingHours(t *testing.T) {
	round := berlin
	round.Days, round.From, round.To, round.Holidays = []string{"sun"}, "00:00", "24:00", nil
	for _, c := range []struct {
		name       string
		hours      Hours
		from, want string
		d          time.Duration
	}{
		{"within a day", berlin, "2022-04-05T10:00:00+02:00", "2022-04-05T14:00:00+02:00", 4 * time.Hour},
		{"over a night", berlin, "2022-04-05T16:00:00+02:00", "2022-04-06T12:00:00+02:00", 4 * time.Hour},
		{"before the day begins", berlin, "2022-04-05T03:00:00+02:00", "2022-04-05T13:00:00+02:00", 4 * time.Hour},
		{"over a weekend", berlin, "2022-04-08T16:00:00+02:00", "2022-04-11T10:00:00+02:00", 2 * time.Hour},
		{"over Easter", berlin, "2022-04-14T16:00:00+02:00", "2022-04-19T10:00:00+02:00", 2 * time.Hour},
		{"to the very end of a day", berlin, "2022-04-05T09:00:00+02:00", "2022-04-05T17:00:00+02:00", 8 * time.Hour},
		{"over the spring change", berlin, "2022-03-25T16:00:00+01:00", "2022-03-28T10:00:00+02:00", 2 * time.Hour},
		{"a day of 23 hours", round, "2022-03-27T00:00:00+01:00", "2022-04-03T01:00:00+02:00", 24 * time.Hour},
		{"a day of 25 hours", round, "2022-10-30T00:00:00+02:00", "2022-10-30T23:00:00+01:00", 24 * time.Hour},
	} {
		from, want := at(t, c.from), at(t, c.want)
		if got := c.hours.after(from, c.d); !got.Equal(want) {
			t.Errorf("%s: %s, not %s", c.name, got, want)
		}
		if got := c.hours.between(from, want); got != c.d {
			t.Errorf("%s: %s lie between, not %s", c.name, got, c.d)
		}
	}
	for _, bad := range []Hours{{Days: []string{"mon"}}, {Zone: "Nowhere/Atall", Days: []string{"mon"}, From: "09:00", To: "17:00"}, {Zone: "UTC", From: "09:00", To: "17:00"},
		{Zone: "UTC", Days: []string{"mon"}, From: "17:00", To: "09:00"}, {Zone: "UTC", Days: []string{"mon"}, From: "09:00", To: "17:00", Holidays: []string{"Easter"}}} {
		if len(bad.bad()) == 0 {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// A ticket of a Friday evening waits for Monday, over the night on which the clocks are set forward: what is left of its clocks, by how much they were missed, and what
// stands while we wait for her is working time, as its hours are.
func TestAFridayEveningWaitsForMonday(t *testing.T) {
	p := DefaultPolicy()
	p.Hours = berlin
	filed := at(t, "2022-03-25T18:30:00+01:00")
	tic := p.filed(Ticket{Priority: "P2", State: New, FiledAt: filed}, filed)
	if p.Runs(Ticket{Priority: "P0"}) != "" || !strings.Contains(p.Runs(tic), "Europe/Berlin") {
		t.Errorf("hours: %q", p.Runs(tic))
	}
	expect := func(when string, want ...Clock) {
		t.Helper()
		all := p.Clocks(tic, at(t, when))
		if len(all) != len(want) {
			t.Fatalf("%s: %+v", when, all)
		}
		for i, c := range all {
			if w := want[i]; c.What != w.What || c.State != w.State || c.Left != w.Left || c.Hours != w.Hours || !c.Due.Equal(w.Due) {
				t.Errorf("%s: %+v, not %+v", when, c, w)
			}
		}
	}
	monday := at(t, "2022-03-28T17:00:00+02:00")
	expect("2022-03-27T12:00:00+02:00", Clock{FirstAnswer, ClockRuns, monday, 8 * time.Hour, true}, Clock{Resolution, ClockRuns, tic.SolveBy, 240 * time.Hour, true})
	expect("2022-03-28T16:45:00+02:00", Clock{FirstAnswer, ClockRuns, monday, 15 * time.Minute, true}, Clock{Resolution, ClockRuns, tic.SolveBy, 240*time.Hour - 7*time.Hour - 45*time.Minute, true})
	expect("2022-03-29T10:00:00+02:00", Clock{FirstAnswer, ClockLate, monday, -time.Hour, true}, Clock{Resolution, ClockRuns, tic.SolveBy, 231 * time.Hour, true})
	tic = p.answered(tic, at(t, "2022-03-29T10:00:00+02:00"))
	stands := Clock{Resolution, ClockStands, time.Time{}, 231 * time.Hour, true}
	expect("2022-03-31T12:00:00+02:00", Clock{FirstAnswer, ClockMissed, monday, -time.Hour, true}, stands)
	tic = p.heard(tic, at(t, "2022-03-31T18:00:00+02:00"))
	expect("2022-03-31T20:00:00+02:00", Clock{NextAnswer, ClockRuns, at(t, "2022-04-05T17:00:00+02:00"), 24 * time.Hour, true},
		Clock{FirstAnswer, ClockMissed, monday, -time.Hour, true}, Clock{Resolution, ClockRuns, tic.SolveBy, 231 * time.Hour, true})
}

// The clock of the solution stands while we wait for the customer, and goes on where it stood; the next answer is due from when she wrote first, not last.
func TestClocksStandWhileWeWaitForTheCustomer(t *testing.T) {
	p := DefaultPolicy()
	start := at(t, "2022-04-05T08:00:00Z")
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	tic := p.filed(Ticket{Priority: "P1", State: New, FiledAt: start}, start)
	if !tic.AnswerBy.Equal(hour(1)) || !tic.SolveBy.Equal(hour(72)) || !tic.due().Equal(hour(1)) {
		t.Fatalf("filed: %+v", tic)
	}
	tic = p.answered(tic, hour(2))
	if c := p.Clocks(tic, hour(3)); len(c) != 2 || c[0].State != ClockMissed || c[1].State != ClockStands || c[1].Left != 70*time.Hour || !tic.due().IsZero() {
		t.Fatalf("answered late: %+v", c)
	}
	tic = p.heard(tic, hour(10))
	tic = p.heard(tic, hour(12))
	if !tic.NextBy.Equal(hour(14)) || !tic.SolveBy.Equal(hour(80)) || tic.State != Asked {
		t.Fatalf("she wrote twice: %+v", tic)
	}
	if c := p.Clocks(tic, hour(15)); c[0].What != NextAnswer || c[0].State != ClockLate || c[0].Left != -time.Hour {
		t.Fatalf("%+v", c)
	}
	urgent := tic
	urgent.Priority = "P0"
	if urgent = p.weighed(tic, urgent, hour(12)); !urgent.NextBy.Equal(hour(12)) || !urgent.SolveBy.Equal(hour(32)) { // 4 of 24 hours are worked
		t.Fatalf("more urgent: %+v", urgent)
	}
	p.Tiers = map[int]Times{0: {Resolution: map[string]time.Duration{"P1": 48 * time.Hour}, NextAnswer: map[string]time.Duration{"P1": 9 * time.Hour}}}
	if first := p.tiered(tic, 0, hour(12)); !first.NextBy.Equal(hour(14)) || !first.SolveBy.Equal(hour(56)) {
		t.Fatalf("a tier shortens and never lengthens: %+v", first)
	}
	tic = p.ended(tic, Ending{How: ByConsent, At: hour(20)})
	if c := p.Clocks(tic, hour(99)); len(c) != 2 || c[1].State != ClockKept || len(tic.promises()) != 0 {
		t.Fatalf("closed: %+v", c)
	}
	if tic = p.heard(tic, hour(100)); tic.State != Asked || !tic.SolveBy.Equal(hour(160)) { // 12 of 72 hours were worked
		t.Fatalf("open again: %+v", tic)
	}
}

// A ticket that we began owes nobody a first answer: no clock of it runs, and nothing is late, until she writes into it.
func TestATicketThatWeBeganOwesNoFirstAnswer(t *testing.T) {
	p, start := DefaultPolicy(), at(t, "2022-04-05T08:00:00Z")
	tic := Ticket{Priority: "P0", State: Waiting, StartedBy: bySystem, FiledAt: start}
	for _, c := range p.Clocks(tic, start.Add(time.Hour)) {
		if c.What == FirstAnswer || c.State == ClockLate {
			t.Errorf("%+v", c)
		}
	}
	if len(tic.promises()) != 0 {
		t.Errorf("%v", tic.promises())
	}
	if tic = p.heard(tic, start.Add(time.Hour)); len(tic.promises()) == 0 {
		t.Error("she wrote, and nothing is owed")
	}
}

// An explanation has to explain.
func TestAnExplanationSaysSomething(t *testing.T) {
	for _, bad := range []string{"", "  ", "fixed", "Fixed.", "done", "Done!!!", "The issue is fixed now, thanks", "fixed fixed fixed fixed fixed fixed fixed fixed fixed", "ok ok", "....................................",
		"restored", "see above please, it works again, everything is fine now", "已修复", "対応済み"} {
		if explains(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"Your site was restored from the backup of 5 April; edits after 02:10 UTC are lost.",
		"您的站点已从四月五日的备份恢复，之后的修改丢失了，请打开首页确认内容。", "サイトは四月五日のバックアップから復元しました。以降の編集は失われています。"} {
		if lacks := explains(good); lacks != "" {
			t.Errorf("%q: %s", good, lacks)
		}
	}
}

// A macro is filled with a ticket's own facts; a value cannot bring a blank or a line of its own, and what nobody gave stays in sight.
func TestAMacroIsFilledWithATicketsFacts(t *testing.T) {
	tic := Ticket{Number: "K7Q-42M-9XD", Phrase: "amber fox", Name: "Ann\nBcc: {phrase}"}
	got, missing := fill("Dear {name}, {number}: {site} {unknown}", tic.facts("https://x"))
	if got != "Dear Ann Bcc: {phrase}, K7Q-42M-9XD: {site} {unknown}" || strings.Join(missing, " ") != "site" {
		t.Errorf("%q %q", got, missing)
	}
	if names := unfilled(got); strings.Join(names, " ") != "phrase site" {
		t.Errorf("left: %q", names)
	}
	if f := badMacros([]Macro{{Name: "a", Text: map[string]string{"en": "x {nothing}"}}, {Name: "a", Text: map[string]string{"xx": "y"}}}); len(f) != 4 {
		t.Errorf("%+v", f)
	}
}
