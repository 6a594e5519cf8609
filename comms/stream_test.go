package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// A stream has an owner, who is told, and a log whose lines stand in the incident's as well. Silent for as long as the core team pauses, it asks its owner first,
// then whoever commands, then management; an incident that closes ends it.
func TestStreamsOfAnIncident(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	in := h.declare()
	if _, err := h.TakeRole(ctx, "kim", in.ID, RoleCommander, "on duty"); err != nil {
		t.Fatal(err)
	}
	text := func(s string) *string { return &s }
	declared := len(h.notices(templates.MsgDeclared))
	_, err := h.OpenStream(ctx, "kim", in.ID, "two\nlines", " ")
	h.refused(err, fault.Invalid, "name", "owner")
	restore, err := h.OpenStream(ctx, "kim", in.ID, "Restore", "eve")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.heard(templates.MsgDeclared, &declared); got != "eve" {
		t.Errorf("told of her stream: %q", got)
	}
	_, err = h.OpenStream(ctx, "kim", in.ID, "RESTORE", "eve")
	h.refused(err, fault.Invalid, "name")
	words, err := h.OpenStream(ctx, "sue", in.ID, "Answers", "sue")
	if err != nil || h.heard(templates.MsgDeclared, &declared) != "" {
		t.Errorf("who opens her own stream is told: %v", err)
	}
	change := func(by, stream string, form StreamForm, kind fault.Kind, named ...string) (s Stream) {
		t.Helper()
		s, err := h.ChangeStream(ctx, by, in.ID, stream, form)
		if kind == "" && err != nil {
			t.Fatal(err)
		} else if kind != "" {
			h.refused(err, kind, named...)
		}
		return s
	}
	change("eve", restore.ID, StreamForm{}, fault.Invalid, "word")
	change("eve", restore.ID, StreamForm{State: text(StreamDone)}, fault.Invalid, "word")
	change("eve", "none", StreamForm{Word: "x"}, fault.NotFound)
	for range 60 { // what else was promised at the declaration climbs its ladders, and both streams have a word now and then
		h.clock.Turn(5 * time.Minute)
		change("eve", restore.ID, StreamForm{Word: "first wave runs"}, "")
		change("sue", words.ID, StreamForm{Word: "answers are written"}, "")
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range h.notices("deadline") {
		if strings.Contains(string(n.Data), `"Restore"`) {
			t.Fatalf("a stream with words was called silent: %s", n.Data)
		}
	}
	told := func() (who string) {
		t.Helper()
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
		for _, n := range h.notices("deadline") {
			if strings.Contains(string(n.Data), "/work#"+restore.ID) {
				for _, d := range n.To {
					id, _, _ := strings.Cut(d.Address, "@")
					who += id + " "
				}
			}
		}
		return who
	}
	if s := change("eve", words.ID, StreamForm{State: text(StreamDone), Word: "all are out"}, ""); s.DoneAt == nil || s.Word != "all are out" {
		t.Errorf("%+v", s)
	}
	change("sue", words.ID, StreamForm{Word: "one more"}, fault.Conflict)
	h.clock.Turn(h.Policy.Meeting - time.Minute)
	if got := told(); got != "" {
		t.Errorf("told early: %q", got)
	}
	h.clock.Turn(2 * time.Minute)
	if got := told(); got != "eve " {
		t.Errorf("the owner first: %q", got)
	}
	h.clock.Turn(15 * time.Minute)
	if got := told(); got != "eve kim " {
		t.Errorf("then the commander: %q", got)
	}
	change("kim", restore.ID, StreamForm{Owner: text("eli")}, "")
	if due := h.due(StreamDue); len(due) != 1 || due[0].Rung != 0 {
		t.Errorf("who takes over has no time: %+v", due)
	}
	change("sue", words.ID, StreamForm{State: text(Open), Word: "a question came"}, "")
	log, err := h.StreamLog(ctx, in.ID, words.ID)
	if err != nil || len(log) != 63 || log[61].Value.What != "stream_done" || log[62].Value.Text != "Answers: a question came" {
		t.Errorf("%d lines, %v", len(log), err)
	}
	closed := Closed
	if _, err := h.Amend(ctx, "kim", in.ID, 0, Amend{State: &closed, Reason: "over"}); err != nil || len(h.due(StreamDue)) != 0 {
		t.Errorf("closed: %v, %+v", err, h.due(StreamDue))
	}
	if in, err = h.Incident(ctx, in.ID); err != nil || in.Value.Streams[0].State != StreamDone || in.Value.Streams[1].DoneAt == nil {
		t.Errorf("%+v, %v", in.Value.Streams, err)
	}
	change("sue", words.ID, StreamForm{State: text(Open), Word: "again"}, fault.Conflict)
	newest, err := h.NotesOf(ctx, in.ID)
	if err != nil || len(newest) != 100 || newest[99].Value.What != "state" {
		t.Errorf("the whole log: %d lines, %v", len(newest), err)
	}
}

// A stream of an incident that is not grave wakes nobody, until the incident is.
func TestASilentStreamOfASmallIncidentWakesNobody(t *testing.T) {
	h := staffed(t)
	ctx := context.Background()
	in, err := h.Declare(ctx, "stf_ann", Declare{Title: "Slow search", Severity: "P3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenStream(ctx, "stf_ann", in.ID, "Search", "eve"); err != nil || len(h.due(StreamDue)) != 0 {
		t.Errorf("%v, %+v", err, h.due(StreamDue))
	}
	for _, to := range []struct {
		severity string
		due      int
	}{{"P1", 1}, {"P0", 1}, {"P2", 0}} {
		category := "data"
		if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{Severity: &to.severity, Category: &category, Reason: "judged anew"}); err != nil || len(h.due(StreamDue)) != to.due {
			t.Errorf("%s: %v, %+v", to.severity, err, h.due(StreamDue))
		}
	}
}
