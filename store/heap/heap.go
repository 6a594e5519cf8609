// Package heap sets how much garbage a process may make before it is collected.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Floor is what the heap may grow to before the collector runs, however little of it is in use: a process that holds 10 MiB and files thousands of tickets a second
// would else collect dozens of times a second, which took a fifth of its time. What holds more than half of it is collected as ever, and what holds more than all of
// it sooner.
const Floor = 64 << 20

// KeepFloor holds the process to Floor from now on, unless GOGC says what its operator wants.
func KeepFloor() {
	if os.Getenv("GOGC") == "" {
		keep(&floor{percent: normal})
	}
}

const (
	normal = 100  // Go's own
	large  = 60   // where garbage of once more what is live would be more than its collection is worth: a broadcast to 100,000 keeps to 150 MB
	most   = 1600 // of the least heap that Go knows, 4 MiB, this is Floor
)

type floor struct{ percent int }

// watched is what the collector finds unused each time it runs. It holds something that is not packed together with others, whose end nobody would hear of.
type watched struct{ floor *floor }

func keep(f *floor) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if p := percent(live[0].Value.Uint64()); p != f.percent {
		f.percent = p
		debug.SetGCPercent(p)
	}
	runtime.SetFinalizer(&watched{f}, func(w *watched) { keep(w.floor) })
}

// percent is how much more than what is live the heap may hold, in tens, since each change stops the process for a moment.
func percent(live uint64) int {
	switch {
	case live >= Floor:
		return large
	case live == 0 || live >= Floor/2:
		return normal
	}
	return max(normal, int(min((Floor-live)*10/live, most/10))*10)
}
