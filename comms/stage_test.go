package comms

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// staged publishes an update in stages, by two people, and runs two replicas.
func (w *town) staged(s Stages) (update string, mail *pipe) {
	w.Helper()
	ctx := context.Background()
	w.Policy.Internal = []Direct{{Channel: ChannelEmail, Address: "duty@vendor.example", Locale: "en"}, {Channel: ChannelEmail, Address: "lead@vendor.example", Locale: "en"}}
	said := whole(w.DB.Now())
	said.Channels = []string{ChannelEmail, ChannelPage}
	draft, _, err := w.Draft(ctx, "stf_ann", w.incident, said, nil)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.Approve(ctx, "stf_bob", draft.ID); err != nil {
		w.Fatal(err)
	}
	if _, err := w.Publish(ctx, "stf_ann", draft.ID, PublishOptions{Stages: &s}); err != nil {
		w.Fatal(err)
	}
	mail = mails()
	w.start(outbox(w.Room, mail))
	w.start(outbox(w.open(w.engine), mail))
	return draft.ID, mail
}

// behind waits until a stage is over: so many messages are out, and the board says behind which stage it waits and for how many.
func (w *town) behind(update string, mail *pipe, out int, stage string, left int) {
	w.Helper()
	w.await(stage+" to be over", func() bool {
		messages, _ := mail.counts()
		reach := w.reach(update)
		return messages == out && reach.Stage != nil && reach.Stage.Name == stage && reach.Stage.Staff[Sent] == 2 && reach.States[Sent] == reach.Audience.People
	})
	reach := w.audit(update)
	if reach.Done || reach.Stage.Left != left || reach.Stage.GoesOnAt != nil {
		w.Errorf("behind %s: done %v, %+v, want %d left", stage, reach.Done, reach.Stage, left)
	}
}

func TestABroadcastGoesToTheStaffThenToAFewThenToAll(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(8) // an owner and a technician each
	ctx := context.Background()
	update, mail := w.staged(Stages{Few: 5})
	w.behind(update, mail, 2, StageStaff, 16)
	if err := w.GoOn(ctx, "stf_ann", update); err != nil {
		t.Fatal(err)
	}
	w.behind(update, mail, 7, StageFew, 11)
	for _, m := range mail.all() { // those who may speak for a customer come first
		if to := m.To; to != "duty@vendor.example" && to != "lead@vendor.example" && to[:5] != "owner" {
			t.Errorf("%s was among the few", to)
		}
	}
	if err := w.GoOn(ctx, "stf_ann", update); err != nil {
		t.Fatal(err)
	}
	if reach := w.done(update); !maps.Equal(reach.States, map[State]int{Sent: 16}) || reach.Stage != nil {
		t.Errorf("%v %+v", reach.States, reach.Stage)
	}
	w.audit(update)
	if messages, of := mail.counts(); messages != 18 || of != 18 {
		t.Errorf("%d messages of %d deliveries, want each once", messages, of)
	}
	if err := w.GoOn(ctx, "stf_ann", update); fault.Of(err) != fault.Conflict {
		t.Errorf("going on once more: %v", err)
	}
}

func TestABroadcastThatIsStoppedBehindAStageGoesToNobodyElse(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(8)
	ctx := context.Background()
	update, mail := w.staged(Stages{Few: 5})
	w.behind(update, mail, 2, StageStaff, 16)
	if err := w.GoOn(ctx, "stf_ann", update); err != nil {
		t.Fatal(err)
	}
	w.behind(update, mail, 7, StageFew, 11)
	if err := w.Stop(ctx, "stf_bob", update, ""); fault.Of(err) != fault.Invalid {
		t.Errorf("without a reason: %v", err)
	}
	if err := w.Stop(ctx, "stf_bob", update, "the figure is wrong"); err != nil {
		t.Fatal(err)
	}
	if reach := w.done(update); reach.Stopped == "" || !maps.Equal(reach.States, map[State]int{Sent: 5}) {
		t.Errorf("%v, stopped %q", reach.States, reach.Stopped)
	}
	if err := w.GoOn(ctx, "stf_ann", update); fault.Of(err) != fault.Conflict {
		t.Errorf("going on after the stop: %v", err)
	}
	w.start(outbox(w.open(w.engine), mail)) // a stop survives a restart
	w.last = 50                             // numbers that nobody has taken
	next, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	w.done(next)
	if messages, _ := mail.counts(); messages != 7+16 {
		t.Errorf("%d messages, want 7 of the first update and 16 of the next", messages)
	}
	// Taken back, it is corrected for those who got it and for the staff who read it first.
	fix, err := w.Retract(ctx, "stf_ann", update, "the figure was wrong")
	if err != nil {
		t.Fatal(err)
	}
	w.done(fix.ID)
	w.await("the staff to hear of it", func() bool { messages, _ := mail.counts(); return messages == 7+16+5+2 })
}

func TestABroadcastGoesOnByTheClock(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(8)
	update, mail := w.staged(Stages{Few: 5, After: 30 * time.Millisecond})
	if reach := w.done(update); !maps.Equal(reach.States, map[State]int{Sent: 16}) {
		t.Errorf("%v", reach.States)
	}
	if messages, of := mail.counts(); messages != 18 || of != 18 {
		t.Errorf("%d messages of %d deliveries", messages, of)
	}
	for _, o := range []PublishOptions{{Stages: &Stages{Few: -1}}, {Stages: &Stages{After: 25 * time.Hour}}, {Stages: &Stages{Few: 1}, PageOnly: true}} {
		if _, err := w.Publish(context.Background(), "stf_ann", update, o); fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "stages") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
