package email

import "time"

// Waiting is how many messages wait for a session.
func (m *Mailer) Waiting() int {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.pool.waiting.Len()
}

// Later moves the clock by which the pool knows how long its sessions have rested.
func (m *Mailer) Later(d time.Duration) {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	m.pool.now = func() time.Time { return time.Now().Add(d) }
}
