package fault

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Go starts every goroutine of the process: one that panics is reported with its stack and ends alone.
func Go(log *slog.Logger, name string, fn func()) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				log.Error("goroutine panicked", "goroutine", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			}
		}()
		fn()
	}()
}
