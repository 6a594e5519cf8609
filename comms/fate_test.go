package comms

import (
	"reflect"
	"testing"
	"time"
)

func TestOnlyAContactsMailOfARealIncidentLeadsToHerSites(t *testing.T) {
	signed := false
	room := &Room{SignSites: func(string, string) string { signed = true; return "token" }}
	contact := deliveryKey{Notice: "n", Pass: passApproved, Account: "a", Contact: "c"}
	for name, c := range map[string]struct {
		key     deliveryKey
		channel string
		words   wording
	}{
		"a text message":                 {contact, ChannelSMS, wording{incident: "inc_1"}},
		"a drill":                        {contact, ChannelEmail, wording{incident: "inc_1", drill: true}},
		"a message of no incident":       {contact, ChannelEmail, wording{}},
		"a subscriber":                   {deliveryKey{Notice: "n", Pass: passSubscribers, Account: "0", Contact: "s"}, ChannelEmail, wording{incident: "inc_1"}},
		"an address that a notice names": {deliveryKey{Notice: "n", Pass: passApproved, Account: "0", Contact: "0000"}, ChannelEmail, wording{incident: "inc_1"}},
	} {
		m := Message{To: "ann@acme.example", Text: "words", HTML: "<main></main>"}
		if got := room.toContact(m, c.key, c.channel, c.words); !reflect.DeepEqual(got, m) || signed {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestHowSureALossIs(t *testing.T) {
	for _, c := range []struct {
		state string
		known bool
		want  string
	}{{Lost, false, "low"}, {HandedBack, false, "low"}, {Rebuilt, true, "medium"}, {Passed, true, "high"}, {HandedBack, true, "high"}} {
		if got := sureOf(c.state, c.known); got != c.want {
			t.Errorf("%s, its moment known: %t: %s, want %s", c.state, c.known, got, c.want)
		}
	}
}

func TestHowLongAnIncidentIsOver(t *testing.T) {
	now := time.Date(2022, 4, 18, 12, 0, 0, 0, time.UTC)
	before := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		in   Incident
		want time.Duration
	}{
		"open":              {Incident{State: Open}, 0},
		"opened again":      {Incident{State: Open, ResolvedAt: &before}, 0},
		"resolved":          {Incident{State: Resolved, ResolvedAt: &before}, time.Hour},
		"closed afterwards": {Incident{State: Closed, ResolvedAt: &before}, time.Hour},
	} {
		if got := c.in.overFor(now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
