package webhook

import (
	"sync"
	"time"
)

// A host that failed so often in a row is left alone for a while, twice as long at each further failure: a post that hangs keeps its place from others.
const (
	mostFailures = 5
	firstPause   = 15 * time.Second
	longestPause = 10 * time.Minute
	mostHosts    = 10_000
)

// breaker remembers which hosts do not answer. The zero value is ready for use.
type breaker struct {
	mu    sync.Mutex
	hosts map[string]trouble
}

type trouble struct {
	failures int
	until    time.Time
}

// wait is for how long a host is left alone; 0: it may be asked. The first who asks after a pause asks for all: the others wait until it is known.
func (b *breaker) wait(host string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, known := b.hosts[host]
	if !known || t.failures < mostFailures {
		return 0
	}
	if left := t.until.Sub(now); left > 0 {
		return left
	}
	t.until = now.Add(firstPause)
	b.hosts[host] = t
	return 0
}

func (b *breaker) failed(host string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hosts == nil || len(b.hosts) >= mostHosts {
		b.hosts = map[string]trouble{}
	}
	t := b.hosts[host]
	if t.failures++; t.failures >= mostFailures {
		t.until = now.Add(min(firstPause<<min(t.failures-mostFailures, 10), longestPause))
	}
	b.hosts[host] = t
}

func (b *breaker) answered(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.hosts, host)
}
