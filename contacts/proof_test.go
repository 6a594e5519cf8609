package contacts

import (
	"testing"
	"time"
)

func TestWhatAnAddressProves(t *testing.T) {
	began := time.Date(2022, 4, 5, 7, 33, 0, 0, time.UTC)
	now := began.Add(48 * time.Hour)
	days := func(n int) time.Time { return began.Add(time.Duration(-n) * 24 * time.Hour) }
	for name, c := range map[string]struct {
		a     Address
		began time.Time
		want  bool
	}{
		"imported long ago":                     {Address{FirstSeen: days(90)}, began, true},
		"imported last week":                    {Address{FirstSeen: days(7)}, began, false},
		"imported 28 days before the incident":  {Address{FirstSeen: days(28).Add(-time.Minute)}, began, true}, // 30 days and a minute ago
		"imported just short of thirty days":    {Address{FirstSeen: days(28).Add(time.Minute)}, began, false},
		"given by the customer last week":       {Address{FirstSeen: days(7), How: ByCustomer}, began, true},
		"given by the customer in the incident": {Address{FirstSeen: began, How: ByCustomer}, began, false},
		"changed by staff in the incident":      {Address{FirstSeen: began.Add(time.Hour), How: ByStaff}, began, false},
		"imported in the incident":              {Address{FirstSeen: began.Add(time.Hour)}, began, false},
		"bounced in the incident":               {Address{FirstSeen: days(90), Bounced: true, ChangedAt: began.Add(time.Hour)}, began, true},
		"no incident, imported last week":       {Address{FirstSeen: days(7)}, time.Time{}, false},
		"no incident, imported long ago":        {Address{FirstSeen: days(90)}, time.Time{}, true},
		"of unknown age":                        {Address{Source: "crm"}, began, false},
	} {
		ok, why := c.a.Proves(c.began, now)
		if ok != c.want || (why == "") != ok {
			t.Errorf("%s: %v, %q", name, ok, why)
		}
	}
}
