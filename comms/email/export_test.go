package email

// Waiting is how many messages wait for a session.
func (m *Mailer) Waiting() int {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	return m.pool.waiting.Len()
}
