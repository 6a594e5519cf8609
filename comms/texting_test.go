package comms

import (
	"context"
	"testing"
)

// What texting takes is said before it is sent: whom it reaches by text, the segments of all of them, the money, and the time at the provider's rate.
func TestWhatTextingTakes(t *testing.T) {
	for _, c := range []struct {
		texting          Texting
		people, segments int
		want             Texts
	}{
		{Texting{Price: 0.0079, Currency: "USD", Rate: 10}, 10_000, 2, Texts{10_000, 20_000, "158.00", "USD", 2000}},
		{Texting{Currency: "USD", Rate: 3}, 10, 1, Texts{People: 10, Segments: 10, Seconds: 4}},
		{Texting{Price: 1, Currency: "EUR", Rate: 1}, 0, 3, Texts{Cost: "0.00", Currency: "EUR"}},
	} {
		if got := c.texting.of(c.people, c.segments); got != c.want {
			t.Errorf("%d people, %d segments: %+v, not %+v", c.people, c.segments, got, c.want)
		}
	}
	h := anyHouse(t)
	h.Policy.Texting = Texting{Price: 0.5, Currency: "USD", Rate: 2}
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	got, err := h.TextsFor(context.Background(), in.ID, h.said(), 3) // of three people one has a number
	if want := (Texts{1, 3, "1.50", "USD", 2}); err != nil || got != want {
		t.Errorf("%+v, %v; not %+v", got, err, want)
	}
}
