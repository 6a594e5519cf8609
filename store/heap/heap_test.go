package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// A small heap may grow to the floor, and a large one by less than it holds.
func TestTheFloorIsKept(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(normal))
	KeepFloor()
	goal := func(reached func(uint64) bool) {
		t.Helper()
		sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() { // the collector tells of its end behind it
			runtime.GC()
			metrics.Read(sample)
			if reached(sample[0].Value.Uint64()) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the heap may grow to %d MiB", sample[0].Value.Uint64()>>20)
			}
		}
	}
	goal(func(n uint64) bool { return n > Floor*3/4 && n < Floor*5/4 })
	much := make([]byte, 3*Floor)
	goal(func(n uint64) bool { return n > 4*Floor && n < 6*Floor })
	runtime.KeepAlive(much)
	much = nil
	goal(func(n uint64) bool { return n > Floor*3/4 && n < Floor*5/4 })
}

func TestHowMuchGarbageIsLeft(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1 << 20: 1600, 8 << 20: 700, 16 << 20: 300, 30 << 20: 110, 32 << 20: 100, 63 << 20: 100, 64 << 20: 60, 1 << 30: 60} {
		if got := percent(live); got != want {
			t.Errorf("%d MiB: %d, want %d", live>>20, got, want)
		}
	}
}
