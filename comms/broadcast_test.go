package comms_test

import (
	"context"
	"testing"

	"lifeline/comms/commstest"
	"lifeline/store"
	"lifeline/store/storetest"
)

// BenchmarkBroadcast publishes one update to 20,000 people and waits for the last outcome, beside a bare SMTP loop to the same sink.
func BenchmarkBroadcast(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB) store.Engine
	}{{"bolt", storetest.Bolt}, {"postgres", storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			var took, bare float64
			for range b.N {
				f, err := commstest.Broadcast{Engine: engine.open(b), Keys: storetest.Keys(b), People: 20_000}.Run(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				b.Log(f)
				took, bare = took+f.Took.Seconds(), bare+f.Bare.Seconds()
			}
			b.ReportMetric(20_000*float64(b.N)/took, "deliveries/s")
			b.ReportMetric(20_000*float64(b.N)/bare, "bare/s")
			b.ReportMetric(bare/took, "of-bare")
			b.ReportMetric(0, "ns/op")
		})
	}
}
