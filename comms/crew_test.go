package comms

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// staffed is a house with people on duty: two for each role of an incident but security, which nobody of the staff has. Each is told at ID@vendor.example.
func staffed(t *testing.T) house {
	h := anyHouse(t)
	rota := map[string][]string{"commander": {"kim", "kai"}, "comms": {"com", "cat"}, "approver": {"amy", "abe"}, "support": {"sue", "sam"}, "engineer": {"eve", "eli"}}
	h.Rostered = func(_ *store.Tx, role string, _ time.Time) ([]string, error) { return slices.Clone(rota[role]), nil }
	h.Staffed = func(_ *store.Tx, p Post, _ time.Time) (all []Direct, err error) {
		ids := rota[p.Role]
		if p.Person != "" {
			ids = []string{p.Person}
		}
		for _, id := range ids {
			all = append(all, Direct{Channel: ChannelEmail, Address: id + "@vendor.example"})
		}
		return all, nil
	}
	return h
}

// heard are those to whom notices of a name went since the last look, without their domain.
func (h house) heard(name string, seen *int) string {
	h.Helper()
	all := h.notices(name)
	var who []string
	for _, n := range all[*seen:] {
		for _, d := range n.To {
			id, _, _ := strings.Cut(d.Address, "@")
			who = append(who, id)
		}
	}
	*seen = len(all)
	slices.Sort(who)
	return strings.Join(who, " ")
}

func seats(in store.Rec[Incident]) string {
	var all []string
	for _, s := range in.Value.Seats() {
		line := s.Role + "=" + s.Person + "/" + s.StandIn
		if !s.ConfirmedAt.IsZero() {
			line += "!"
		}
		all = append(all, line)
	}
	return strings.Join(all, " ")
}

// late turns the clock and compares who is told of what is late; since counts what was heard before.
func (h house) late(after time.Duration, since *int, want string) {
	h.Helper()
	h.clock.Turn(after)
	if _, err := h.FireDeadlines(context.Background(), h.clock.Now()); err != nil {
		h.Fatal(err)
	}
	if got := h.heard("deadline", since); got != want {
		h.Errorf("told of what is late: %q, want %q", got, want)
	}
}

// Every role of a grave incident is called when it is declared, with somebody behind it; who does not answer is followed by the stand-in, and then whoever
// commands hears of it.
func TestRolesAreCalledConfirmedAndStoodInFor(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	declared, late := 0, 0
	in := h.declare()
	want := "commander=stf_ann/kim comms=com/cat approver=amy/abe support_lead=sue/sam engineering_lead=eve/eli security=/ driver=/"
	if got := seats(in); got != want {
		t.Errorf("called: %s, want %s", got, want)
	}
	if got := h.heard(templates.MsgDeclared, &declared); got != "amy cat com duty eve kai kim sue" {
		t.Errorf("told of the declaration: %q", got)
	}
	fire := func(after time.Duration, want string) { t.Helper(); h.late(after, &late, want) }
	take := func(by, role, reason string) error {
		t.Helper()
		rec, err := h.TakeRole(ctx, by, in.ID, role, reason)
		if err == nil {
			in = rec
		}
		return err
	}
	for _, c := range []struct{ by, role string }{{"kim", RoleCommander}, {"com", RoleComms}, {"sue", RoleSupport}, {"eve", RoleEngineering}} {
		if err := take(c.by, c.role, map[bool]string{true: "on duty"}[c.role == RoleCommander]); err != nil {
			t.Errorf("%s: %v", c.role, err)
		}
	}
	if _, err := h.ConfirmSeverity(ctx, "kim", in.ID, "P0", ""); err != nil || len(h.due(SeverityDue)) != 0 {
		t.Error(err)
	}
	fire(6*time.Minute, "abe") // the approver does not answer
	fire(10*time.Minute, "kim")
	if err := take("cat", RoleApprover, ""); fault.Of(err) != fault.Invalid {
		t.Errorf("somebody took a role for no reason: %v", err)
	}
	if err := take("abe", RoleApprover, ""); err != nil || len(h.due(RolesDue)) != 0 {
		t.Errorf("the stand-in: %v, %+v", err, h.due(RolesDue))
	}
	want = "commander=kim/kai! comms=com/cat! approver=abe/amy! support_lead=sue/sam! engineering_lead=eve/eli! security=/ driver=/"
	if got := seats(in); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// What waits for an approval goes to who has the role, and past the limit to who stands in.
	u := h.draft(in.ID, h.said())
	if told, err := h.AskApproval(ctx, "stf_ann", u.ID); err != nil || told != 1 {
		t.Errorf("asked %d: %v", told, err)
	}
	fire(0, "abe")
	fire(10*time.Minute, "amy")
	// Somebody is named later, is called, and has her own time to confirm.
	name := "sec"
	rec, err := h.NameRole(ctx, "kim", in.ID, RoleSecurity, Naming{Person: &name})
	if err != nil || len(h.due(RolesDue)) != 1 || rec.Value.Seat(RoleSecurity).Person != "sec" {
		t.Errorf("%+v %v", rec.Value.Crew, err)
	}
	if got := h.heard(templates.MsgDeclared, &declared); got != "sec" {
		t.Errorf("called: %q", got)
	}
	same := "sec"
	if _, err := h.NameRole(ctx, "kim", in.ID, RoleSecurity, Naming{StandIn: &same}); fault.Of(err) != fault.Invalid {
		t.Errorf("she stands in for herself: %v", err)
	}
	if _, err := h.NameRole(ctx, "kim", in.ID, "cook", Naming{Person: &name}); fault.Of(err) != fault.NotFound {
		t.Errorf("a role that is none: %v", err)
	}
}

// From when somebody has taken command nobody else decides what the commander decides, until she has taken it over with a reason, which is kept.
func TestOneCommanderAtATime(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	in := h.declare()
	p1, why := "P1", "fewer sites than it seemed"
	lower := func(by string) error {
		_, err := h.Amend(ctx, by, in.ID, 0, Amend{Severity: &p1, Reason: why})
		return err
	}
	if _, err := h.TakeCommand(ctx, "kim", in.ID, "on duty"); err != nil {
		t.Fatal(err)
	}
	if due := h.due(SeverityDue); len(due) != 1 || !due[0].Due.Equal(h.clock.Now().Add(15*time.Minute)) {
		t.Errorf("she is asked for the severity: %+v", due)
	}
	name := "kai"
	for what, err := range map[string]error{
		"amend": lower("kai"),
		"classify": func() error {
			_, err := h.Classify(ctx, "kai", in.ID, 0, Classify{Severity: "P0"})
			return err
		}(),
		"name": func() error {
			_, err := h.NameRole(ctx, "kai", in.ID, RoleComms, Naming{Person: &name, Reason: "x"})
			return err
		}(),
		"severity": func() error {
			_, err := h.ConfirmSeverity(ctx, "kai", in.ID, "P0", "")
			return err
		}(),
	} {
		if fault.Of(err) != fault.Conflict {
			t.Errorf("a second commander may %s: %v", what, err)
		}
	}
	if _, err := h.TakeCommand(ctx, "kai", in.ID, "kim sleeps"); err != nil {
		t.Fatal(err)
	}
	if err := lower("kim"); fault.Of(err) != fault.Conflict {
		t.Errorf("the first one still decides: %v", err)
	}
	if _, err := h.ConfirmSeverity(ctx, "kai", in.ID, "P1", ""); fault.Of(err) != fault.Invalid {
		t.Errorf("another severity without a reason: %v", err)
	}
	rec, err := h.ConfirmSeverity(ctx, "kai", in.ID, "P1", why)
	if err != nil || rec.Value.Severity != "P1" || len(h.due(SeverityDue)) != 0 {
		t.Errorf("%+v %v", rec.Value, err)
	}
	if got := h.logged(in.ID); !slices.Equal(got, []string{"declared", "commander", "stand_in", "commander", "stand_in", "severity"}) {
		t.Errorf("the log: %v", got)
	}
}

// An incident that is made grave later calls people as one that was declared so.
func TestAnIncidentThatBecomesGraveCallsPeople(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	in, err := h.Declare(ctx, "stf_ann", Declare{Title: "A page is slow", Severity: "P2", Category: "performance"})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	if got := h.heard(templates.MsgDeclared, &seen); got != "duty" || len(h.due(RolesDue))+len(h.due(Meeting)) != 0 {
		t.Errorf("told %q", got)
	}
	if in, err = h.Raise(ctx, "eve", in.ID, 0, "P0", "everything is slow"); err != nil {
		t.Fatal(err)
	}
	if got := h.heard(templates.MsgDeclared, &seen); got != "amy cat com duty eve kai kim sue" || in.Value.Seat(RoleComms).Person != "com" {
		t.Errorf("told %q; %s", got, seats(in))
	}
	if len(h.due(RolesDue)) != 1 || len(h.due(Command)) != 1 {
		t.Errorf("%+v %+v", h.due(RolesDue), h.due(Command))
	}
}

// The core team of a grave incident meets every three hours until it is closed: each is reminded when it is time, a meeting that nobody closed is flagged to
// the commander and then to management, and closing one with its notes sets the next.
func TestTheCoreTeamMeetsUntilTheEnd(t *testing.T) {
	h := staffed(t)
	h.Policy.NextUpdate["P0"], h.Policy.Classify = 24*time.Hour, 24*time.Hour // nothing else is late meanwhile
	h.Policy.FirstWord = nil
	ctx := context.Background()
	in := h.declare()
	due := func(after time.Duration) {
		t.Helper()
		if all := h.due(Meeting); len(all) != 1 || !all[0].Due.Equal(h.clock.Now().Add(after)) {
			t.Errorf("%+v, want one meeting in %s", all, after)
		}
	}
	due(3 * time.Hour)
	for _, c := range []struct{ by, role, why string }{{"kim", RoleCommander, "on duty"}, {"com", RoleComms, ""}, {"amy", RoleApprover, ""}, {"sue", RoleSupport, ""}, {"eve", RoleEngineering, ""}} {
		if _, err := h.TakeRole(ctx, c.by, in.ID, c.role, c.why); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.ConfirmSeverity(ctx, "kim", in.ID, "P0", ""); err != nil {
		t.Fatal(err)
	}
	late := 0
	fire := func(after time.Duration, want string) { t.Helper(); h.late(after, &late, want) }
	fire(179*time.Minute, "")
	fire(time.Minute, "amy com eve kim sue")
	fire(15*time.Minute, "kai kim")
	for what, n := range map[string]MeetingNotes{"nothing said": {Notes: " "}, "the next one is over": {Notes: "x", NextAt: at(h.clock.Now().Add(-time.Minute))}, "a day and more": {Notes: "x", NextAt: at(h.clock.Now().Add(25 * time.Hour))}} {
		if _, err := h.CloseMeeting(ctx, "com", in.ID, n); fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.clock.Turn(20 * time.Minute)
	if _, err := h.CloseMeeting(ctx, "com", in.ID, MeetingNotes{Notes: "All hands to the restore.", Present: []string{"kim", "com"}}); err != nil {
		t.Fatal(err)
	}
	due(3 * time.Hour)
	h.clock.Turn(time.Hour)
	if _, err := h.CloseMeeting(ctx, "kim", in.ID, MeetingNotes{Notes: "Sooner this time.", NextAt: at(h.clock.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	due(time.Hour)
	if got := slices.DeleteFunc(h.logged(in.ID), func(what string) bool { return !strings.HasPrefix(what, "meeting") }); !slices.Equal(got, []string{"meeting_late", "meeting"}) {
		t.Errorf("the log: %v", got)
	}
	closed := Closed
	if _, err := h.Amend(ctx, "kim", in.ID, 0, Amend{State: &closed, Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	if all := h.due(Meeting); len(all) != 0 {
		t.Errorf("it goes on: %+v", all)
	}
	if _, err := h.CloseMeeting(ctx, "kim", in.ID, MeetingNotes{Notes: "x"}); fault.Of(err) != fault.Conflict {
		t.Errorf("a meeting of a closed incident: %v", err)
	}
}

func at(t time.Time) *time.Time { return &t }
