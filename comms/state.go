package comms

// told orders states by how good they are for the person: what a board shows of somebody with several deliveries is the best of
// them. One that may still arrive is better than one that went to a file, which told nobody.
var told = map[State]int{
	Failed: 1, Suppressed: 2, Superseded: 3, Written: 4, Queued: 5, Deferred: 6, Sending: 7, Unknown: 8, Sent: 9, Delivered: 10,
}

func better(a, b State) State {
	if told[b] > told[a] {
		return b
	}
	return a
}

// open says that the outbox has still to do with the delivery.
func (d Delivery) open() bool {
	switch d.State {
	case Queued, Sending, Deferred:
		return true
	case Unknown:
		return !d.Next.IsZero()
	}
	return false
}

// overtakes says whether a worker's verdict may replace what stands: always while the delivery is open or its fate unknown, else
// only by rank, for then a provider's report came in before the worker's own record.
func overtakes(v State, stands Delivery) bool {
	return stands.open() || stands.State == Unknown || v.Rank() > stands.State.Rank()
}
