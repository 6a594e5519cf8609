package bolt

import (
	"testing"
	"time"
)

// The first moment of 1970 is a time like any other; only the zero time is none.
func TestTimesComeBack(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.UnixMicro(-1).UTC(), time.Unix(0, 0).UTC(), time.UnixMicro(1).UTC(), time.Date(2026, 11, 25, 3, 0, 0, 999_999_000, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
	} {
		if got := fromMicro(micro(at)); !got.Equal(at) || got.IsZero() != at.IsZero() {
			t.Errorf("%v came back as %v", at, got)
		}
	}
}
