package outbound

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter is the wait that a peer asks for (RFC 9110, 10.2.3: seconds, or a date), at the most so long; 0 when it asks for none.
func RetryAfter(h http.Header, now time.Time, most time.Duration) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}
