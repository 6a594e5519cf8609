package store

import "testing"

func TestJudge(t *testing.T) {
	of := func(people ...int) (given []Approval) {
		for _, n := range people {
			given = append(given, Approval{People: n})
		}
		return given
	}
	for _, test := range []struct {
		name   string
		given  []Approval
		people int
		needs  int
		want   Verdict
	}{
		{"nobody has", nil, 100, 1, NotApproved},
		{"one person is enough", of(100), 100, 1, Approved},
		{"one of two", of(100), 100, 2, TooFew},
		{"both", of(100, 100), 100, 2, Approved},
		{"exactly 2 % more people", of(100), 102, 1, Approved},
		{"over 2 % more", of(100), 103, 1, Grown},
		{"fewer people", of(100), 10, 1, Approved},
		{"a small audience has no room to grow", of(10), 11, 1, Grown},
		{"nobody was to be reached, now one is", of(0), 1, 1, Grown},
		{"nobody, as before", of(0), 0, 1, Approved},
		{"one approved the old number, one the new", of(100, 200), 200, 2, Grown},
		{"one of each, and one is enough", of(100, 200), 200, 1, Approved},
		{"no second person is needed", nil, 100, 0, Approved},
	} {
		if got := Judge(test.given, test.people, test.needs); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
