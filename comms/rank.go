package comms

// Rank orders states by how much is known of a delivery. News that comes late or twice, such as a provider's callbacks, may
// only move a delivery to a state of higher rank: what is final stays.
func (s State) Rank() int {
	switch s {
	case Sending:
		return 1
	case Deferred:
		return 2
	case Unknown:
		return 3
	case Sent:
		return 4
	case Written, Delivered, Failed, Suppressed, Superseded:
		return 5
	}
	return 0
}
