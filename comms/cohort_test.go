package comms

import (
	"context"
	"slices"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// Sites with an older restore point get their own word with their own bound, are counted apart, and are followed until they are closed.
func TestACohortIsToldApartAndFollowedUntilItIsClosed(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	h.move(Mover{By: "tok_auto"}, in.ID, `{"site_id":"S-1","state":"rebuilt","restore_point":"2022-03-20T00:00:00Z"}`, `{"site_id":"S-4","state":"rebuilt","restore_point":"2022-04-05T07:00:00Z"}`)

	_, err := h.SetCohort(ctx, "stf_ann", in.ID, "Old Ones", CohortInput{})
	h.refused(err, fault.Invalid, "cohort", "name is missing")
	_, err = h.SetCohort(ctx, "stf_ann", in.ID, "old", CohortInput{Name: "x", SiteIDs: []string{"S-1", "S-99"}})
	h.refused(err, fault.Invalid, "site_ids[1]")
	most, older := templates.Span(16*24*time.Hour), time.Date(2022, 4, 1, 0, 0, 0, 0, time.UTC)
	c, err := h.SetCohort(ctx, "stf_ann", in.ID, "old", CohortInput{Name: "Sites with an older restore point", AtMost: &most, RestoreBefore: &older})
	if err != nil || c.Ledger.Sites.Total != 1 || c.Ledger.Customers.Total != 1 || c.Told != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	follows := func(t Task) bool { return t.What == CohortOwed }
	if owed := h.owed(TaskQuery{State: Open}); !slices.ContainsFunc(owed, follows) {
		t.Errorf("nobody owes it: %+v", owed)
	}

	// Everybody else reads a bound of her own, with the cohort's beside it.
	wide := h.said()
	_, found, err := h.Draft(ctx, "stf_ann", in.ID, wide, nil)
	if err != nil || !hasFinding(found, "cohort_loses_more") {
		t.Errorf("%+v %v", found, err)
	}
	all := h.say(in.ID, wide)
	if facts, err := h.Facts(ctx, all.ID); err != nil || len(facts.Cohorts) != 1 || facts.Cohorts[0].AtMost != most {
		t.Errorf("%+v %v", facts.Cohorts, err)
	}

	_, err = h.CloseCohort(ctx, "stf_ann", in.ID, "old", "done")
	h.refused(err, fault.Conflict, "was not told yet")
	own := h.said(func(s *templates.Statement) {
		s.Audience, s.Channels, s.DataLoss.AtMost = "cohort:old", []string{ChannelEmail, ChannelSMS}, &most
	})
	crowd, err := h.CountAudience(ctx, in.ID, own.Audience, own.Channels)
	if err != nil || crowd.Customers != 1 || crowd.Sites != 1 || crowd.People == 0 {
		t.Errorf("%+v %v", crowd, err)
	}
	told := h.say(in.ID, own)
	if n := h.notice(told.Value.Notice); n.Audience != "cohort:old" {
		t.Errorf("%+v", n)
	}
	if facts, err := h.Facts(ctx, told.ID); err != nil || len(facts.Cohorts) != 0 {
		t.Errorf("a cohort reads of others: %+v %v", facts.Cohorts, err)
	}
	if due, err := h.Promises(ctx, CohortOf(in.ID, "old")); err != nil || len(due) != 1 || !due[0].Due.Equal(own.NextUpdateBy.At) {
		t.Errorf("the cohort's promise: %+v %v", due, err)
	}
	if due := h.due(NextUpdate); len(due) != 2 {
		t.Errorf("the promise to all stands beside it: %+v", due)
	}

	_, err = h.CloseCohort(ctx, "stf_ann", in.ID, "old", "done")
	h.refused(err, fault.Conflict, "1 of 1 sites")
	finish := Mover{By: "stf_ann", Finish: true}
	for _, id := range []string{"S-1", "S-2", "S-3", "S-4"} {
		h.move(finish, in.ID, `{"site_id":"`+id+`","state":"rebuilt"}`, `{"site_id":"`+id+`","state":"verifying"}`, `{"site_id":"`+id+`","state":"passed","reason":"x"}`, `{"site_id":"`+id+`","state":"handed_back","reason":"x"}`)
	}
	closed := Closed
	_, err = h.Amend(ctx, "stf_ann", in.ID, 0, Amend{State: &closed, Reason: "over"})
	h.refused(err, fault.Conflict, "cohort old is closed")
	if c, err = h.CloseCohort(ctx, "stf_ann", in.ID, "old", "each customer has what she needs"); err != nil || c.ClosedAt == nil {
		t.Fatalf("%+v %v", c, err)
	}
	if owed := h.owed(TaskQuery{State: Open}); slices.ContainsFunc(owed, follows) {
		t.Errorf("still owed: %+v", owed)
	}
	if due, err := h.Promises(ctx, CohortOf(in.ID, "old")); err != nil || len(due) != 0 {
		t.Errorf("still promised: %+v %v", due, err)
	}
}

func hasFinding(all []Finding, code string) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Code == code })
}

// That no data is lost may be said once a check has passed that saw every affected site, and not a moment longer.
func TestNoLossIsSaidOnlyBehindAPassedCheck(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	none := h.said(func(s *templates.Statement) {
		s.DataLoss = templates.DataLoss{Kind: "none_verified", Confidence: "high"}
		s.Known = []string{"There was no data loss."}
	})
	refused := func(when string) {
		t.Helper()
		_, _, err := h.Draft(ctx, "stf_ann", in.ID, none, nil)
		if fault.Of(err) != fault.Invalid {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("before any check")
	check := IntegrityInput{Method: "Row counts and hashes against the snapshot", Evidence: "Report 7"}
	_, err := h.RecordIntegrity(ctx, "stf_bob", in.ID, check)
	h.refused(err, fault.Invalid, "before an affected set is loaded")
	h.affect(in.ID, "S-1", "S-2")
	if _, err := h.RecordIntegrity(ctx, "stf_bob", in.ID, check); err != nil {
		t.Fatal(err)
	}
	refused("behind a check that failed")
	check.Passed = true
	if _, err := h.RecordIntegrity(ctx, "stf_bob", in.ID, check); err != nil {
		t.Fatal(err)
	}
	h.say(in.ID, none)
	h.affect(in.ID, "S-3")
	refused("for a site that the check did not see")
}

// A part of the affected is chosen by product and region, and lists of addresses come from the policy.
func TestAudiencesOfSlicesAndLists(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.load("account,account_id,site,site_id,products,region,name,role,email\nCord,A-3,Cord,S-5,Wiki,EU,Eva,owner,eva@cord.example\nDash,A-4,Dash,S-6,Issues,EU,Fay,owner,fay@dash.example\n")
	in := h.declare()
	h.affect(in.ID, "S-1", "S-5", "S-6")
	for audience, want := range map[string]int{"slice:wiki/eu": 1, "slice:*/EU": 2, "slice:Wiki/*": 1, "slice:Wiki/US": 0} {
		crowd, err := h.CountAudience(ctx, in.ID, audience, []string{ChannelEmail})
		if err != nil || crowd.Customers != want || crowd.People != want {
			t.Errorf("%s: %+v %v, want %d", audience, crowd, err, want)
		}
	}
	press := h.said(func(s *templates.Statement) { s.Audience, s.Channels = AudienceMedia, []string{ChannelEmail} })
	_, _, err := h.Draft(ctx, "stf_ann", in.ID, press, nil)
	h.refused(err, fault.Invalid, "comms.lists")
	h.Policy.Lists = map[string][]Direct{"media": {{Channel: ChannelEmail, Address: "desk@paper.example", Locale: "en"}}, "analysts": {{Channel: ChannelEmail, Address: "a@bank.example", Locale: "en"}}}
	if err := h.Policy.Check(); err != nil {
		t.Fatal(err)
	}
	media := h.notice(h.say(in.ID, press).Value.Notice)
	if len(media.To) != 1 || media.To[0].Address != "desk@paper.example" {
		t.Errorf("%+v", media)
	}
	press.Audience = "list:analysts"
	analysts := h.notice(h.say(in.ID, press).Value.Notice)
	if len(analysts.To) != 1 || covers(analysts, media) {
		t.Errorf("%+v: word to analysts takes the place of word to the press: %v", analysts, covers(analysts, media))
	}
}
