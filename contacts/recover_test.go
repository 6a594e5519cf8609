package contacts

import (
	"slices"
	"testing"
	"time"
)

func TestAnAccountIsRecoverableByASecondWay(t *testing.T) {
	now := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	p := DefaultPolicy()
	owner := Contact{Roles: []string{Owner}, Emails: []Address{{Value: "a@one.example"}}, ConfirmedAt: now.Add(-time.Hour)}
	other := Contact{Emails: []Address{{Value: "b@TWO.example"}}, ConfirmedAt: now.Add(-time.Hour)}
	phone, stale := owner, owner
	phone.Phones = []Address{{Value: "+12025550100"}}
	stale.ConfirmedAt = now.Add(-1000 * 24 * time.Hour)
	for _, c := range []struct {
		name  string
		all   []Contact
		yes   bool
		worst string
	}{
		{"nobody", nil, false, NoConfirmed},
		{"somebody of long ago", []Contact{stale}, false, NoConfirmed},
		{"one mailbox", []Contact{owner}, false, OneContact},
		{"a mailbox and a phone", []Contact{phone}, true, OneDomain},
		{"two people on two domains", []Contact{owner, other}, true, OneChannel},
		{"two who may not speak", []Contact{other, other}, false, NoSpeaker},
		{"two on two domains and a phone", []Contact{phone, other}, true, NoCodes},
	} {
		weak, yes := p.StandbyOf(c.all, now).Weaknesses()
		if yes != c.yes || len(weak) == 0 || weak[0] != c.worst {
			t.Errorf("%s: %v %v", c.name, yes, weak)
		}
	}
	s := Standby{Confirmed: 1, Approved: 1, Kept: Kept{Codes: 3, Domain: true}, Domains: 2, Channels: 2, Phone: true}
	if weak, yes := s.Weaknesses(); !yes || len(weak) != 0 {
		t.Errorf("%v %v", weak, yes)
	}
	if weak, _ := (Standby{Confirmed: 1, Approved: 1}).Weaknesses(); !slices.Contains(weak, NoPhone) {
		t.Error(weak)
	}
	for _, second := range []Kept{{Codes: 1}, {Domain: true}} { // either is a second way beside one mailbox
		if _, yes := (Standby{Confirmed: 1, Approved: 1, Domains: 1, Channels: 1, Kept: second}).Weaknesses(); !yes {
			t.Errorf("%+v is no second way", second)
		}
	}
}
