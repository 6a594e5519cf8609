package commstest

import (
	"context"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Texted is a broadcast by text message that a provider has taken.
type Texted struct {
	Room   *comms.Room
	Update string
	Keys   []string // of the deliveries, in the order in which they were taken
	Refs   []string // the provider's ids of them
	Took   time.Duration
}

// Texts tells everybody by text message, through a provider that takes each at once.
func (b Broadcast) Texts(ctx context.Context) (t Texted, err error) {
	b.defaults()
	b.channel = comms.ChannelSMS
	room, incident, err := b.prepare(ctx)
	if err != nil {
		return t, err
	}
	update, err := b.draft(ctx, room, incident, 0)
	if err != nil {
		return t, err
	}
	p := &provider{}
	outbox := &comms.Outbox{Room: room, Channels: map[string]comms.Channel{p.Name(): p}, Log: b.Log, Holder: "texts"}
	ended := make(chan error, 1)
	fault.Go(b.Log, "outbox", func() { ended <- outbox.Run(ctx) })
	start := time.Now()
	if _, err = room.Publish(ctx, "stf_ann", update, comms.PublishOptions{}); err == nil {
		err = b.finished(ctx, room, update)
	}
	t = Texted{Room: room, Update: update, Took: time.Since(start)}
	if err := outbox.Stop(ctx); err != nil {
		return t, err
	}
	if end := <-ended; err == nil {
		err = end
	}
	t.Keys, t.Refs = p.keys, p.refs
	return t, err
}

// provider takes every text.
type provider struct {
	mu         sync.Mutex
	keys, refs []string
}

// Name implements comms.Channel.
func (p *provider) Name() string { return comms.ChannelSMS }

// Live implements comms.Channel.
func (p *provider) Live() bool { return true }

// Close implements comms.Channel.
func (p *provider) Close() error { return nil }

// Send implements comms.Channel.
func (p *provider) Send(_ context.Context, m comms.Message) comms.Outcome {
	ref := "SM" + m.ID[:min(32, len(m.ID))]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys, p.refs = append(p.keys, m.Delivery), append(p.refs, ref)
	return comms.Outcome{State: comms.Sent, Ref: ref}
}
