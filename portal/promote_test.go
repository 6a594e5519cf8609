package portal

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

// A role that approves or administrates is given in the browser by two people, after a day, and by neither of them alone nor by the one who gains by it.
func TestARoleThatApprovesTakesTwoPeopleAndADay(t *testing.T) {
	var told []auth.Granting
	h := open(t, func(p *Portal) {
		p.Gate.Cost = auth.Cost{Passes: 1, KiB: 64, Lanes: 1}
		p.Gate.Granted = func(_ *store.Tx, g auth.Granting) error {
			told = append(told, g)
			if g.By != auth.OperatorID && g.Second == "" {
				return fault.New(fault.Forbidden, "not by one person")
			}
			return nil
		}
	})
	link, err := h.Gate.SetUp(context.Background(), h.URL)
	if err != nil {
		t.Fatal(err)
	}
	root := &browser{h: h}
	h.enrolBy(root, link, url.Values{"name": {"Ruth Root"}, "email": {"ruth@vendor.example"}})
	ruth, _, err := h.Gate.Session(context.Background(), root.cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	join := func(name, role string) (*browser, *app, string) {
		made := root.post("/desk/staff", url.Values{"name": {name}, "email": {strings.ToLower(name) + "@vendor.example"}, "role": {role}}).want(200)
		b := &browser{h: h}
		phone, _ := h.enrolBy(b, string(regexp.MustCompile(`class="address code">([^<]+)<`).FindSubmatch(made.body)[1]), url.Values{})
		p, _, err := h.Gate.Session(context.Background(), b.cookie.Value)
		if err != nil {
			t.Fatal(err)
		}
		return b, phone, p.ID
	}
	eve, _, eveID := join("Eve", "support")
	carl, _, carlID := join("Carl", "commander")
	member := "/desk/staff/" + eveID
	root.get(member).want(200).says("Give a role that approves or administrates")
	root.post(member, url.Values{"act": {"change"}, "version": {"0"}, "email": {"eve@vendor.example"}, "role": {"support", "approver"}}).want(403) // by one person
	root.post(member, url.Values{"act": {"promote"}, "role": {"commander"}, "reason": {"nights"}}).want(422).says("one person gives any other")
	root.post(member, url.Values{"act": {"promote"}, "role": {"approver"}}).want(422)
	at := root.post(member, url.Values{"act": {"promote"}, "role": {"approver"}, "reason": {"nights have no approver"}}).want(303).Header.Get("Location")
	page := carl.get(at).want(200).says("Give somebody the role of an approver or administrator", "Eve: approver", "nights have no approver")
	digest := string(regexp.MustCompile(`name="digest" value="([^"]+)"`).FindSubmatch(page.body)[1])
	root.post(at, url.Values{"act": {"approve"}, "digest": {digest}}).want(403) // her own
	eve.post(at, url.Values{"act": {"approve"}, "digest": {digest}}).want(403)
	carl.post(at, url.Values{"act": {"approve"}, "digest": {digest}}).want(303)
	carl.post(at, url.Values{"act": {"run"}}).want(403) // who approves does not manage staff
	root.post(at, url.Values{"act": {"run"}}).want(409).says("it waits until")
	h.post(auth.Admin, "/api/v1/changes/"+strings.TrimPrefix(at, "/desk/changes/")+"/run", map[string]any{}).want(403) // a token, however mighty
	told = nil
	h.clock.Turn(auth.PromoteAfter + time.Minute)
	eve.get("/desk").want(200)
	root.post(at, url.Values{"act": {"run"}}).want(303)
	if !slices.Equal(told, []auth.Granting{{Staff: eveID, By: ruth.ID, Second: carlID}}) {
		t.Errorf("told %+v", told)
	}
	eve.get("/desk").want(303) // her roles changed, so she signs in again
	if a, err := h.Gate.Account(context.Background(), eveID); err != nil || !slices.Contains(a.Roles, auth.Approver) {
		t.Errorf("%+v %v", a, err)
	}

	// Nobody is the second person of her own promotion.
	at = root.post("/desk/staff/"+carlID, url.Values{"act": {"promote"}, "role": {"admin"}, "reason": {"a stand-in"}}).want(303).Header.Get("Location")
	digest = string(regexp.MustCompile(`name="digest" value="([^"]+)"`).FindSubmatch(carl.get(at).want(200).body)[1])
	carl.post(at, url.Values{"act": {"approve"}, "digest": {digest}}).want(303)
	h.clock.Turn(auth.PromoteAfter + time.Minute)
	root.post(at, url.Values{"act": {"run"}}).want(403).says("who is not the one who is given the role")
}
