package comms

import (
	"fmt"
	"time"
)

// verdict is what shall be recorded of a delivery.
type verdict struct {
	State  State
	Next   time.Time // when it is tried again; zero: never
	Reason string
	To     string // the person's next address, to which it goes from now on; "": the same
	Gone   bool   // nobody is at the address that it went to
}

// mostWait bounds the wait that a peer can ask for: after it we try, whatever it said.
const mostWait = 6 * time.Hour

// mostReason bounds what is kept of a peer's words.
const mostReason = 300 // bytes

// decide says what follows from the outcome of d's attempts-th attempt. Chance lies in [0, 1) and spreads retries, so that a relay that
// comes back is not met by everybody at once. It is the only place that knows when something is sent again.
//
//   - Deferred: again after the attempt's wait, or the wait that the peer asked for, and jitter on top; failed when the policy's most
//     attempts were made.
//   - Unknown: recorded as such, and sent again as often as the policy allows for the channel.
//   - Everything else stands.
func decide(r Retry, d Delivery, attempts int, o Outcome, now time.Time, chance float64) verdict {
	reason := clip(o.Reason, mostReason)
	switch o.State {
	case Sent, Delivered, Written, Suppressed:
		return verdict{State: o.State, Reason: reason}
	case Failed:
		if reason == "" {
			reason = "refused without a reason"
		}
		return verdict{State: Failed, Reason: reason, Gone: o.Gone}
	case Deferred:
		if r.Most > 0 && attempts >= r.Most {
			return verdict{State: Failed, Reason: clip(fmt.Sprintf("gave up after %d attempts: %s", attempts, reason), mostReason)}
		}
		return verdict{State: Deferred, Reason: reason, Next: now.Add(wait(r, attempts, o.Wait, chance))}
	case Unknown:
		v := verdict{State: Unknown, Reason: reason}
		if d.Unknowns < r.Unknown[d.Channel] && (r.Most <= 0 || attempts < r.Most) {
			v.Next = now.Add(wait(r, attempts, o.Wait, chance))
		}
		return v
	}
	return verdict{State: Failed, Reason: clip(fmt.Sprintf("the channel answered %q, which is no outcome", string(o.State)), mostReason)}
}

func wait(r Retry, attempts int, asked time.Duration, chance float64) time.Duration {
	d := min(asked, mostWait)
	if d <= 0 {
		d = time.Minute
		if n := len(r.Waits); n > 0 {
			d = r.Waits[min(max(attempts, 1), n)-1]
		}
	}
	return d + time.Duration(float64(d)*r.Jitter*chance)
}

// clip shortens text from outside, takes its control characters out and never cuts a character in half.
func clip(s string, most int) string {
	plain := len(s)+3 <= most
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7F
	}
	if plain {
		return s
	}
	var out []byte
	for _, c := range s {
		if c < ' ' || c == 0x7F || c == '\u2028' || c == '\u2029' {
			c = ' '
		}
		if len(out)+4 > most {
			break
		}
		out = append(out, string(c)...)
	}
	return string(out)
}
