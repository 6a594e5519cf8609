package storetest

import (
	"sync"
	"time"
)

// Dial is a domain clock that a test turns; see [Clock]. It is safe for concurrent use.
type Dial struct {
	mu sync.Mutex
	at time.Time
}

// NewDial is a clock that stands at a time.
func NewDial(at time.Time) *Dial { return &Dial{at: at} }

// Now is what it shows.
func (d *Dial) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// Turn moves it.
func (d *Dial) Turn(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(by)
}

// Set makes it show a time.
func (d *Dial) Set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
}
