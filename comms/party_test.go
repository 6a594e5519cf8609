package comms

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
)

// A supplier is named with its case and waited for: when the time passes, whoever commands hears of it, then who stands in, then management, until the answer is
// recorded. Another time begins the ladder anew; a closed incident waits for nobody.
func TestAPartyIsWaitedForAndEscalated(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	in := h.declare()
	if _, err := h.TakeRole(ctx, "kim", in.ID, RoleCommander, "on duty"); err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	_, err := h.AddParty(ctx, "eve", in.ID, PartyForm{Name: text(" "), Side: text("enemy"), Contact: text("a\nb")})
	h.refused(err, fault.Invalid, "name", "side", "contact")
	p, err := h.AddParty(ctx, "eve", in.ID, PartyForm{Name: text("Acme Cloud"), Side: text("third_party"), Contact: text("Jo Li, +1 202 555 0100"), Escalate: text("Head of support, +1 202 555 0199")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.AddParty(ctx, "eve", in.ID, PartyForm{Name: text("ACME cloud"), Side: text("third_party")})
	h.refused(err, fault.Invalid, "name")
	if p, err = h.ChangeParty(ctx, "eve", in.ID, p.ID, PartyForm{Reference: text("C-77")}); err != nil || p.Name != "Acme Cloud" || p.Reference != "C-77" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = h.AwaitParty(ctx, "eve", in.ID, p.ID, "", h.clock.Now())
	h.refused(err, fault.Invalid, "for", "until")
	late := len(h.notices("deadline"))
	fire := func(after time.Duration, want ...string) {
		t.Helper()
		h.clock.Turn(after)
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
		var who []string
		for _, n := range h.notices("deadline")[late:] {
			if strings.Contains(string(n.Data), "Acme Cloud: root cause") {
				if !strings.Contains(string(n.Data), "/work#"+p.ID) {
					t.Errorf("the page leads elsewhere: %s", n.Data)
				}
				for _, d := range n.To {
					id, _, _ := strings.Cut(d.Address, "@")
					who = append(who, id)
				}
			}
		}
		late = len(h.notices("deadline"))
		slices.Sort(who)
		if !slices.Equal(who, want) {
			t.Errorf("told: %v, want %v", who, want)
		}
	}
	h.clock.Turn(6 * time.Hour) // the promises of the declaration have their own ladders
	for range 20 {
		h.clock.Turn(2 * time.Minute)
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	late = len(h.notices("deadline"))
	if p, err = h.AwaitParty(ctx, "eve", in.ID, p.ID, "root cause", h.clock.Now().Add(30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	since := p.Awaited.Since
	fire(29 * time.Minute)
	fire(2*time.Minute, "kim")
	fire(10*time.Minute, "kai")
	if err := h.RemoveParty(ctx, "eve", in.ID, p.ID); fault.Of(err) != fault.Conflict {
		t.Errorf("somebody who is waited for was taken off: %v", err)
	}
	if p, err = h.AwaitParty(ctx, "eve", in.ID, p.ID, "root cause", h.clock.Now().Add(time.Hour)); err != nil || !p.Awaited.Since.Equal(since) || len(h.due(PartyDue)) != 1 {
		t.Errorf("another time: %+v, %v, %+v", p.Awaited, err, h.due(PartyDue))
	}
	fire(time.Hour+time.Minute, "kim")
	fire(10*time.Minute, "kai")
	fire(20*time.Minute, "abe", "amy")
	if p, err = h.PartyAnswered(ctx, "sue", in.ID, p.ID, "A disk shelf failed.\nThey copy it."); err != nil || p.Awaited != nil || p.AnsweredBy != "sue" || len(h.due(PartyDue)) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = h.AwaitParty(ctx, "eve", in.ID, p.ID, "the copy", h.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	closed := Closed
	if _, err := h.Amend(ctx, "kim", in.ID, 0, Amend{State: &closed, Reason: "over"}); err != nil || len(h.due(PartyDue)) != 0 {
		t.Errorf("closed: %v, %+v", err, h.due(PartyDue))
	}
	_, err = h.AwaitParty(ctx, "eve", in.ID, p.ID, "a report", h.clock.Now().Add(time.Hour))
	h.refused(err, fault.Conflict)
	if err := h.RemoveParty(ctx, "eve", in.ID, p.ID); err != nil {
		t.Error(err)
	}
	var log []string
	all, _, err := h.IncidentLog(ctx, in.ID, "", MostListed)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if what, found := strings.CutPrefix(e.Value.What, "party_"); found {
			log = append(log, what)
			if strings.Contains(e.Value.Text, "Jo Li") || strings.Contains(e.Value.Text, "0199") {
				t.Errorf("the log names people of theirs: %s", e.Value.Text)
			}
		}
	}
	same := "named changed awaited awaited answered awaited unanswered removed"
	if got := strings.Join(log, " "); got != same {
		t.Errorf("%s, want %s", got, same)
	}
}

// A link is https, with a host and nothing before it, and is there once.
func TestLinksAreKeptOnAnIncident(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	good := LinkForm{Sort: "call", Title: "Bridge", URL: "https://call.example/room?id=1"}
	for name, bad := range map[string]LinkForm{
		"http": {"call", "Bridge", "http://call.example/"}, "script": {"call", "Bridge", "javascript:alert(1)"}, "no host": {"call", "Bridge", "https:///x"},
		"disguise": {"call", "Bridge", "https://us.example@evil.example/"}, "only a port": {"call", "Bridge", "https://:443/x"},
		"spaces": {"call", "Bridge", "https://call.example/a b"}, "turned": {"call", "Bridge", "https://call.example/\u202egpj"},
		"backslash": {"call", "Bridge", `https://call.example\@evil.example/`},
	} {
		if _, err := h.AddLink(ctx, "eve", in.ID, bad); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "url") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.AddLink(ctx, "eve", in.ID, LinkForm{Sort: "page", URL: good.URL})
	h.refused(err, fault.Invalid, "sort", "title")
	l, err := h.AddLink(ctx, "eve", in.ID, good)
	if err != nil || l.Host() != "call.example" || l.AddedBy != "eve" {
		t.Fatalf("%+v, %v", l, err)
	}
	_, err = h.AddLink(ctx, "eve", in.ID, good)
	h.refused(err, fault.Invalid, "url")
	if err := h.RemoveLink(ctx, "sue", in.ID, l.ID); err != nil {
		t.Error(err)
	}
	h.refused(h.RemoveLink(ctx, "sue", in.ID, l.ID), fault.NotFound)
	if log := h.logged(in.ID); !slices.Contains(log, "link_added") || !slices.Contains(log, "link_removed") {
		t.Errorf("%v", log)
	}
	if in, err = h.Incident(ctx, in.ID); err != nil || len(in.Value.Links) != 0 {
		t.Errorf("%+v, %v", in.Value.Links, err)
	}
}
