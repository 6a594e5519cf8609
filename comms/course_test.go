package comms

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"lifeline/templates"
)

func TestTheCourseIsWhatTheLedgerStillHolds(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2022, 4, n, 9, 0, 0, 0, time.UTC) }
	now, silence := day(20), 72*time.Hour
	row := func(account, state string, at time.Time) place {
		return Row{Site: "s", Account: account, State: state, At: at}.place()
	}
	for name, c := range map[string]struct {
		rows []place
		want string
	}{
		"nothing is back":                {[]place{row("a", Rebuilt, day(6)), row("b", Lost, day(5))}, "[]"},
		"a customer needs all her sites": {[]place{row("a", HandedBack, day(8)), row("a", Rebuilt, day(9)), row("b", HandedBack, day(9))}, "[8:1/0 9:2/1 20:2/1]"},
		"and is back with the last":      {[]place{row("a", HandedBack, day(8)), row("a", HandedBack, day(12))}, "[8:1/0 12:2/1 20:2/1]"},
		"silence counts when it ends":    {[]place{row("a", Passed, day(10)), row("b", Passed, day(19))}, "[13:1/1 20:1/1]"},
		"what fell out again is no step": {[]place{row("a", FailedSite, day(15)), row("b", HandedBack, day(16))}, "[16:1/1 20:1/1]"},
		"a few early ones are shown too": {slices.Concat([]place{row("a", HandedBack, day(8)), row("b", HandedBack, day(9))}, slices.Repeat([]place{row("c", HandedBack, day(17))}, 900)), "[8:1/1 9:2/2 17:902/3 20:902/3]"},
		"what comes at once is one step": {[]place{row("a", HandedBack, day(16)), row("b", HandedBack, day(16))}, "[16:2/2 20:2/2]"},
	} {
		var got []string
		for _, p := range course(c.rows, now, silence) {
			got = append(got, fmt.Sprintf("%d:%d/%d", p.At.Day(), p.Sites, p.Customers))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	var many []place
	for i := range 5000 {
		many = append(many, row(fmt.Sprint(i), HandedBack, day(6).Add(time.Duration(i)*time.Minute)))
	}
	got := course(many, now, silence)
	if len(got) > mostPoints+1 || got[len(got)-1].Sites != 5000 || got[len(got)-1].Customers != 5000 {
		t.Errorf("5000 sites make %d points and end with %+v", len(got), got[len(got)-1])
	}
	if !slices.IsSortedFunc(got, func(a, b CoursePoint) int { return a.At.Compare(b.At) }) {
		t.Error("the points do not follow each other")
	}
}

func TestPromisesAreKeptByTheNextWord(t *testing.T) {
	at := time.Date(2022, 4, 5, 9, 0, 0, 0, time.UTC)
	said := func(number int, after, promise time.Duration) templates.Update {
		u := templates.Update{Number: number, At: at.Add(after)}
		if promise > 0 {
			u.Statement.NextUpdateBy.At = at.Add(promise)
		}
		return u
	}
	got := promised([]templates.Update{said(4, 6*time.Hour, 0), said(3, 5*time.Hour, 7*time.Hour), said(2, time.Hour, 3*time.Hour), said(1, 0, 2*time.Hour)})
	if len(got) != 3 {
		t.Fatalf("%d promises, want 3: %+v", len(got), got)
	}
	for i, want := range []time.Duration{0, 2 * time.Hour, 0} {
		if late := got[i].Late(at.Add(100 * time.Hour)); late != want || got[i].Update != i+1 {
			t.Errorf("update %d was %v late, want %v", got[i].Update, late, want)
		}
	}
	open := promised([]templates.Update{said(1, 0, 2*time.Hour)})[0]
	if !open.Kept.IsZero() || open.Late(at.Add(time.Hour)) != 0 || open.Late(at.Add(3*time.Hour)) != time.Hour {
		t.Errorf("a promise without another word: %+v", open)
	}
}

// What is over is read and rendered again at every word about anything else: that costs nothing while nothing of it moves with the clock alone. What does change is read anew.
func TestWhatIsOverMovesOnlyWhenItChanges(t *testing.T) {
	h, ctx := anyHouse(t), context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-4")
	finish := Mover{By: "stf_ann", Finish: true}
	for _, id := range []string{"S-1", "S-4"} {
		h.move(finish, in.ID, `{"site_id":"`+id+`","state":"rebuilt"}`, `{"site_id":"`+id+`","state":"verifying"}`, `{"site_id":"`+id+`","state":"passed","reason":"x"}`)
	}
	h.move(finish, in.ID, `{"site_id":"S-1","state":"handed_back","reason":"x"}`)
	passed := h.clock.Now()
	h.clock.Set(passed.Add(h.Policy.NoAnswer + time.Hour)) // S-4's customer stays silent
	h.say(in.ID, h.said(func(s *templates.Statement) {
		s.Phase, s.Audience, s.Unknown, s.UnknownNone, s.NextUpdateBy = Resolved, AudiencePublic, nil, true, templates.Moment{Word: wordNone}
		s.Timeline.FullScopeBy = templates.Moment{Word: wordNone}
	}))
	read := func() PublicIncident {
		t.Helper()
		p, err := h.Public(ctx)
		if err != nil || len(p.Incidents) != 1 {
			t.Fatalf("%d incidents, %v", len(p.Incidents), err)
		}
		return p.Incidents[0]
	}
	ended := read()
	if f := ended.Now; f.Sites.Restored != 2 || f.Sites.NoAnswer != 1 || !f.AsOf.Equal(h.clock.Now()) {
		t.Errorf("at its end: %+v", f)
	}
	h.clock.Set(h.clock.Now().Add(100 * time.Hour))
	if later := read(); !reflect.DeepEqual(later, ended) {
		t.Errorf("100 hours later it reads\n%+v, and read\n%+v", later, ended)
	}
	title := "Sites were deleted"
	if _, err := h.Amend(ctx, "stf_ann", in.ID, 0, Amend{Title: &title}); err != nil {
		t.Fatal(err)
	}
	h.move(finish, in.ID, `{"site_id":"S-1","state":"failed","reason":"half of it is missing"}`)
	if now := read(); now.Title != title || now.Now.Sites.Restored != 1 || !now.Now.AsOf.Equal(h.clock.Now()) {
		t.Errorf("after a new title and a site that fell out: %q, %+v", now.Title, now.Now)
	}
}
