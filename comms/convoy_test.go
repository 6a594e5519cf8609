package comms

import (
	"context"
	"strings"
	"sync"
	"testing"

	"lifeline/store/storetest"
)

// ferry is a pipe that is glad of eight messages at once.
type ferry struct {
	*pipe
	all func(messages []Message) []Outcome // nil: as each

	mu    sync.Mutex
	sizes []int
}

func (f *ferry) Together() int { return 8 }

func (f *ferry) SendAll(ctx context.Context, messages []Message) []Outcome {
	f.mu.Lock()
	f.sizes = append(f.sizes, len(messages))
	f.mu.Unlock()
	outs := make([]Outcome, len(messages))
	for i, m := range messages {
		outs[i] = f.Send(ctx, m)
	}
	if f.all != nil {
		return f.all(messages)
	}
	return outs
}

func TestAChannelIsGivenSeveralAtOnce(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(60, "One house,H-1,House,H-1,Ann,owner,ann@house.example,,en,2022-04-01", "One house,H-1,House,H-1,Bob,technical,bob@house.example,,en,2022-04-01")
	w.Policy.PerDomain = 1
	update, _ := w.publish(func(n *Notice) { n.Channels = []string{ChannelEmail} })
	f := &ferry{pipe: mails()}
	broken := false
	f.all = func(messages []Message) []Outcome {
		f.mu.Lock()
		defer f.mu.Unlock()
		house := 0
		outs := make([]Outcome, len(messages))
		for i, m := range messages {
			if strings.HasSuffix(m.To, "@house.example") {
				house++
			}
			outs[i] = Outcome{State: Sent, Ref: "ref-" + m.Delivery}
			if m.To == "owner0007@c0007.example" && !broken {
				outs[i] = Outcome{} // nobody knows
			}
			if m.To == "owner0050@c0050.example" && !broken {
				broken = true
				panic("the channel is broken")
			}
		}
		if house > 1 {
			w.Errorf("%d messages to one domain at once", house)
		}
		return outs
	}
	w.start(outbox(w.Room, f))
	reach := w.done(update)
	if reach.States[Sent] != 122 {
		w.Errorf("states %v", reach.States)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	some, twice := 0, 0
	for _, n := range f.sizes {
		if some += min(1, n/8); n > 8 {
			w.Errorf("%d at once", n)
		}
	}
	for _, given := range f.got {
		twice += min(1, len(given)-1)
	}
	if n, of := f.counts(); some < 5 || of != 122 || n-of != twice || twice < 1 || twice > 9 {
		w.Errorf("given %v at once, %d messages to %d people, %d of them twice", f.sizes, n, of, twice)
	}
}
