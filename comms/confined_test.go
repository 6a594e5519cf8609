package comms

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Of a security incident nothing goes out by one person or by a rule, and an approval alone does not carry it: the security role has to have read exactly this
// text. Whoever is called is told no more than that there is something to read.
func TestTextsOfASecurityIncidentWaitForTheSecurityRole(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	duty := []Direct{{Channel: ChannelEmail, Address: "duty@vendor.example"}}
	h.Policy.Internal, h.Policy.Ladders = duty, map[string]Ladder{Classification: {{To: duty}}}
	in, err := h.Declare(ctx, "stf_ann", Declare{Title: "Somebody read the tokens of Acme", Severity: "P1", Category: CategorySecurity, Impact: "Tokens of Acme", DetectedBy: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	told := h.notices(templates.MsgDeclared)
	if len(told) != 1 {
		t.Fatalf("%d notices of it, wanted one", len(told))
	}
	if said := string(told[0].Data); !strings.Contains(said, "P1") || strings.Contains(said, "Acme") {
		t.Errorf("a mail to staff says %s", said)
	}
	h.clock.Turn(3 * time.Hour)
	if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	late := h.notices(templates.MsgDeadline)
	for _, n := range late {
		if said := string(n.Data); !strings.Contains(said, Classification) || strings.Contains(said, "Acme") {
			t.Errorf("a mail to staff says %s", said)
		}
	}
	if len(late) == 0 {
		t.Error("nobody was told that a word is late")
	}
	_, err = h.FirstNotice(ctx, "stf_ann", in.ID, FirstNotice{Products: []string{"Wiki"}})
	h.refused(err, fault.Forbidden, "security role")
	u, _, err := h.Draft(ctx, "stf_com", in.ID, h.said(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
		t.Fatal(err)
	}
	for _, o := range []PublishOptions{{}, {PageOnly: true}} {
		_, err = h.Publish(ctx, "stf_com", u.ID, o)
		h.refused(err, fault.Forbidden, "security role")
	}
	if _, err := h.ApproveSecurity(ctx, "stf_sec", u.ID); err != nil {
		t.Fatal(err)
	}
	again := h.said()
	again.Headline = "It is worse than we said"
	if _, _, err := h.Edit(ctx, "stf_com", u.ID, 0, again, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
		t.Fatal(err)
	}
	_, err = h.Publish(ctx, "stf_com", u.ID, PublishOptions{})
	h.refused(err, fault.Forbidden, "security role") // of another text
	if _, err := h.ApproveSecurity(ctx, "stf_sec", u.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publish(ctx, "stf_com", u.ID, PublishOptions{}); err != nil {
		t.Fatal(err)
	}

	_, err = h.FollowSecurity(ctx, "stf_sec", in.ID, SecurityProcess{Reference: " ", URL: "http://tracker.vendor.example/1"})
	h.refused(err, fault.Invalid, "reference", "url")
	if in, err = h.FollowSecurity(ctx, "stf_sec", in.ID, SecurityProcess{Reference: "SEC-17", URL: "https://tracker.vendor.example/17"}); err != nil || in.Value.Process.Reference != "SEC-17" {
		t.Errorf("%+v, %v", in.Value.Process, err)
	}
	_, err = h.FollowSecurity(ctx, "stf_sec", h.declare().ID, SecurityProcess{Reference: "SEC-18"})
	h.refused(err, fault.Conflict, "only a security incident")
}

// A stream, a batch and a task of a security incident go to whoever is named in it or has the security role; who is offered follows that too.
func TestNothingOfASecurityIncidentIsGivenToWhoMayNotOpenIt(t *testing.T) {
	h, ctx := anyHouse(t), context.Background()
	h.Cleared = func(_ *store.Tx, person string) (bool, error) { return person == "stf_sec", nil }
	in, err := h.Declare(ctx, "stf_ann", Declare{Title: "Tokens were read", Severity: "P1", Category: CategorySecurity, Impact: "Tokens", DetectedBy: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	owe := func(owner string) error {
		return h.DB.Update(ctx, store.Act{By: "stf_ann"}, func(tx *store.Tx) error {
			_, err := h.Owe(tx, Task{What: "look", Of: owner, Incident: in.ID, Title: "look at the log", Owner: owner})
			return err
		})
	}
	lead := func(field, to string) error {
		form := BatchForm{Lead: &to}
		if field == "stand_in" {
			form = BatchForm{StandIn: &to}
		}
		_, err := h.NameBatch(ctx, "stf_ann", in.ID, "1", 0, form)
		return err
	}
	if err := h.DB.Update(ctx, store.Act{By: "stf_ann"}, func(tx *store.Tx) error {
		return batches.Put(tx, batches.NewID(), Batch{Incident: in.ID, Name: "1", Wave: 1}, 0)
	}); err != nil {
		t.Fatal(err)
	}
	s, err := h.OpenStream(ctx, "stf_ann", in.ID, "Search", "stf_sec")
	if err != nil {
		t.Fatal(err)
	}
	pass := func(to string) error {
		_, err := h.ChangeStream(ctx, "stf_ann", in.ID, s.ID, StreamForm{Owner: &to})
		return err
	}
	open := func(owner string) error {
		_, err := h.OpenStream(ctx, "stf_ann", in.ID, "Of "+owner, owner)
		return err
	}
	for _, give := range []struct {
		field string
		to    func(string) error
	}{{"owner", owe}, {"lead", func(to string) error { return lead("lead", to) }}, {"stand_in", func(to string) error { return lead("stand_in", to) }}, {"owner", pass}, {"owner", open}} {
		h.refused(give.to("stf_bob"), fault.Invalid, give.field)
		if give.field != "stand_in" {
			if err := give.to("stf_ann"); err != nil {
				t.Errorf("%s, who declared it: %v", give.field, err)
			}
		}
		if err := give.to("stf_sec"); err != nil && give.field != "stand_in" {
			t.Errorf("%s, the security role: %v", give.field, err)
		}
	}
	out, err := h.KeptOut(ctx, in.ID, []string{"stf_ann", "stf_bob", "stf_sec"})
	if err != nil || out["stf_ann"] || !out["stf_bob"] || out["stf_sec"] {
		t.Errorf("%v, %v", out, err)
	}
	plain, err := h.Declare(ctx, "stf_ann", Declare{Title: "A script", Severity: "P2", Category: "data", Impact: "Sites", DetectedBy: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenStream(ctx, "stf_ann", plain.ID, "Search", "stf_bob"); err != nil {
		t.Errorf("of an incident that everybody may open: %v", err)
	}
}
