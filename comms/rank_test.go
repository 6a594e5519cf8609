package comms

import "testing"

func TestRankLetsNothingFinalMove(t *testing.T) {
	order := [][]State{{Queued, "nonsense"}, {Sending}, {Deferred}, {Unknown}, {Sent}, {Written, Delivered, Failed, Suppressed, Superseded}}
	for rank, states := range order {
		for _, s := range states {
			if s.Rank() != rank {
				t.Errorf("%s has rank %d, want %d", s, s.Rank(), rank)
			}
		}
	}
}
