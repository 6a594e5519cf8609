package comms

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/storetest"
)

// A domain whose relay hangs has its places and no more: everybody else on the same pages is told, and so is everybody behind them.
func TestADomainThatHangsKeepsItsOwnPlaces(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.Policy.PerDomain = 3
	var slow []string
	for i := range 60 {
		slow = append(slow, fmt.Sprintf("Slow,A-S,Slow,S-S,P%02d,technical,p%02d@%s.example,,en,2022-04-01", i, i, []string{"slow", "SLOW"}[i%2]))
	}
	w.people(150, slow...)
	over := make(chan struct{})
	var hanging, most atomic.Int64
	mail := mails()
	mail.answer = func(ctx context.Context, m Message, _ int) Outcome {
		if !strings.HasSuffix(strings.ToLower(m.To), "@slow.example") {
			return Outcome{State: Sent}
		}
		n := hanging.Add(1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		select {
		case <-over:
		case <-ctx.Done():
		}
		hanging.Add(-1)
		return Outcome{State: Sent}
	}
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	w.start(outbox(w.Room, mail))
	w.await("everybody else", func() bool { return w.reach(update).States[Sent] == 300 })
	close(over)
	if reach := w.done(update); reach.States[Sent] != 360 || most.Load() != 3 {
		t.Errorf("%d at once, and the board: %+v", most.Load(), reach)
	}
}

// One person's word stops what a rule has already written: what is put off as what nobody has looked at yet, and it stays stopped when the rule speaks again.
func TestAStoppedRuleLeavesNothingBehind(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	ctx := context.Background()
	w.Policy.Retry.Waits = []time.Duration{time.Hour}
	mail := mails()
	mail.answer = func(_ context.Context, m Message, _ int) Outcome {
		if strings.HasPrefix(m.To, "grey") {
			return Outcome{State: Deferred, Reason: "smtp 451 4.7.1"}
		}
		return Outcome{State: Sent}
	}
	w.start(outbox(w.Room, mail))
	tell := func(rule string, to ...string) (notice string) {
		n := Notice{Lane: LaneDirect, Name: "site_news", Channels: []string{ChannelEmail}, Data: []byte(`{"back":["Wiki"],"url":"https://status.vendor.example/support"}`), Rule: rule}
		for _, address := range to {
			n.To = append(n.To, Direct{Channel: ChannelEmail, Address: address, Locale: "en"})
		}
		if err := w.DB.Update(ctx, store.Act{}, func(tx *store.Tx) (err error) { notice, err = w.tell(tx, n); return err }); err != nil {
			t.Fatal(err)
		}
		return notice
	}
	states := func(notice string) string {
		said := map[string]State{}
		for _, d := range w.deliveries(notice) {
			said[d.Address] = d.State
		}
		return fmt.Sprint(said)
	}
	become := func(notice, want string) {
		t.Helper()
		w.await(want+" of "+notice, func() bool { return states(notice) == want })
	}
	early := tell(RuleSite, "grey@a.example", "ann@a.example")
	other := tell("", "grey@b.example")
	become(early, "map[ann@a.example:sent grey@a.example:deferred]")
	become(other, "map[grey@b.example:deferred]")
	if _, err := w.StopRule(ctx, "stf_sup", RuleSite, "the names are wrong"); err != nil {
		t.Fatal(err)
	}
	become(early, "map[ann@a.example:sent grey@a.example:suppressed]")
	late := tell(RuleSite, "ann@c.example") // written by an act that did not see the stop
	become(late, "map[ann@c.example:suppressed]")
	if _, err := w.ApproveRule(ctx, "stf_ann", RuleSite); err != nil {
		t.Fatal(err)
	}
	become(tell(RuleSite, "ann@d.example"), "map[ann@d.example:sent]")
	become(late, "map[ann@c.example:suppressed]")
	become(other, "map[grey@b.example:deferred]")
}
