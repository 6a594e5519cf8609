package sms

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"lifeline/comms"
)

// meaning is what one of the provider's error codes says.
type meaning struct {
	name  string
	state comms.State
}

// meanings are the codes that we act upon or name; https://www.twilio.com/docs/api/errors. What speaks of our account or our
// number is Deferred: it passes once somebody mends it, and is no fault of the recipient.
var meanings = map[int]meaning{
	20003: {"our login is refused", comms.Deferred},
	20429: {"too many requests", comms.Deferred},
	21211: {"bad number", comms.Failed},
	21212: {"bad sender", comms.Deferred},
	21408: {"region not enabled", comms.Failed},
	21606: {"bad sender", comms.Deferred},
	21610: {"opted out", comms.Suppressed},
	21611: {"queue full", comms.Deferred},
	21614: {"bad number: not a mobile", comms.Failed},
	21617: {"too long", comms.Failed},
	30001: {"queue full", comms.Deferred},
	30003: {"unreachable", comms.Failed},
	30004: {"blocked", comms.Failed},
	30005: {"unknown number", comms.Failed},
	30006: {"landline", comms.Failed},
	30007: {"filtered by the carrier", comms.Failed},
	30008: {"unknown error", comms.Failed},
	30034: {"our sender is not registered", comms.Failed},
	30036: {"expired", comms.Failed},
}

// named is the reason for a code: "twilio 21610 opted out".
func named(code int, message string) string {
	name := meanings[code].name
	if name == "" {
		name = clean(message)
	}
	return strings.TrimSpace("twilio " + strconv.Itoa(code) + " " + name)
}

// outcome decides about a refused create. A 429 was never processed; anything of the 500s may have been.
func (r *refusal) outcome() (out comms.Outcome, certain bool) {
	out = comms.Outcome{State: comms.Failed, Reason: r.Error(), Wait: r.wait}
	m, known := meanings[r.code]
	switch {
	case r.status == http.StatusTooManyRequests:
		out.State = comms.Deferred
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		out.State = comms.Deferred
		return out, false
	case known:
		out.State = m.state
	case r.status < 400, r.status == http.StatusUnauthorized, r.status == http.StatusForbidden, r.status == http.StatusNotFound:
		// A redirect, a wrong account, another service at this address: ours to mend.
		out.State = comms.Deferred
	}
	return out, true
}

// clean makes a stranger's text safe to store and show: printable, one line, at most 200 runes.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.FieldsFunc(s, func(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
			n++
		}
		for _, c := range word {
			if n++; n > 200 {
				return b.String() + "…"
			}
			b.WriteRune(c)
		}
	}
	return b.String()
}
