package portal

import (
	"context"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/templates"
)

// staffed gives the house people with accounts who can be called; it gives their ids by name.
func (h *house) staffed(people ...auth.Newcomer) map[string]string {
	h.Helper()
	h.Gate.Granted = nil
	made, err := h.Gate.AddStaff(context.Background(), auth.OperatorID, h.URL, people)
	if err != nil {
		h.Fatal(err)
	}
	ids := map[string]string{}
	for i, m := range made {
		ids[people[i].Name] = m.ID
	}
	h.Comms.Staffed, h.Comms.Rostered = h.Portal.Staffed, h.Desk.Rostered
	return ids
}

// Roles are named, confirmed and handed over by API and page; whom a role is given to must be able to do what it does, and only who commands decides.
func TestRolesOfAnIncident(t *testing.T) {
	h := open(t)
	ids := h.staffed(auth.Newcomer{Name: "Amy Poe", Profile: auth.Profile{Email: "amy@vendor.example", Phone: "+12025550181", Roles: []auth.Role{auth.Commander, auth.Approver}}},
		auth.Newcomer{Name: "Eve Kay", Profile: auth.Profile{Email: "eve@vendor.example", Roles: []auth.Role{auth.Engineer}}})
	incident := h.declare()
	base, page := "/api/v1/incidents/"+incident, "/desk/incidents/"+incident
	h.post(auth.Commander, base+"/command", nil).want(200)
	put := func(as auth.Role, role string, body any) answer {
		return h.do(ask{as: as, method: "PUT", path: base + "/roles/" + role, body: body})
	}
	same(t, "an engineer cannot approve", put(auth.Commander, "approver", map[string]any{"person": ids["Eve Kay"], "stand_in": "stf_nobody"}).want(422).named(), []string{"person"})
	put(auth.Commander, "cook", map[string]any{"person": ids["Eve Kay"]}).want(404)
	put(auth.Admin, "approver", map[string]any{"person": ids["Amy Poe"]}).want(409).says("has command")
	put(auth.Commander, "approver", map[string]any{"person": ids["Amy Poe"]}).want(200).says(`"called_at"`)
	h.post(auth.Engineer, base+"/roles/approver/take", map[string]any{"reason": "I can"}).want(403)
	same(t, "taken for no reason", h.post(auth.Approver, base+"/roles/approver/take", nil).want(422).named(), []string{"reason"})
	h.post(auth.Approver, base+"/roles/approver/take", map[string]any{"reason": "Amy is ill"}).want(200)
	h.form(auth.Commander, page+"/team", url.Values{"act": {"name"}, "role": {"engineering_lead"}, "person": {ids["Eve Kay"]}, "stand_in": {""}}).want(303)
	var roles list[seatAnswer]
	h.get(auth.Auditor, base+"/roles").want(200).into(&roles)
	for _, s := range roles.Items {
		switch s.Role {
		case comms.RoleApprover:
			if s.Name != "The approver" || s.ConfirmedAt.IsZero() {
				t.Errorf("%+v", s)
			}
		case comms.RoleEngineering:
			if s.Name != "Eve Kay" || s.CalledAt.IsZero() || !s.ConfirmedAt.IsZero() {
				t.Errorf("%+v", s)
			}
		}
	}
	if len(roles.Items) != len(comms.IncidentRoles()) {
		t.Errorf("%d roles", len(roles.Items))
	}
	// The page says who has it and what is open; the log names people.
	h.staffPage(auth.Support, page).want(200).says("Eve Kay", "Engineering lead", "People who were called confirm their roles", "role Approver: Amy Poe → The approver: Amy is ill").silent("stf_")
	h.staffPage(auth.Commander, page+"/team?name=security").want(200).says("Who has the role: Security")
	h.form(auth.Commander, page+"/team", url.Values{"act": {"name"}, "role": {"approver"}, "person": {ids["Amy Poe"]}}).want(422).says("is missing")
	// Contributors and who is informed are staff.
	same(t, "a stranger contributes", h.do(ask{as: auth.Commander, method: "PATCH", path: base, body: map[string]any{"contributors": []string{"stf_nobody"}}}).want(422).named(), []string{"contributors"})
	h.form(auth.Commander, page+"/team", url.Values{"act": {"informed"}, "person": {ids["Eve Kay"]}}).want(303)
	h.form(auth.Engineer, page+"/team", url.Values{"act": {"informed"}, "gone": {ids["Eve Kay"]}}).want(403)
	// The commander's word for the severity.
	h.post(auth.Commander, base+"/severity", map[string]any{"severity": "P0"}).want(200)
	h.form(auth.Commander, page+"/team", url.Values{"act": {"severity"}, "severity": {"P1"}}).want(422).says("is missing")
	h.form(auth.Commander, page+"/team", url.Values{"act": {"severity"}, "severity": {"P1"}, "reason": {"fewer than it seemed"}}).want(303)
	h.get(auth.Auditor, base).want(200).says(`"severity":"P1"`)
	// Meetings.
	h.form(auth.Comms, page+"/team", url.Values{"act": {"meeting"}, "notes": {"First\nSecond"}, "present": {ids["Amy Poe"]}, "next_at": {"soon"}}).want(422).says("First", "must be a time")
	h.form(auth.Comms, page+"/team", url.Values{"act": {"meeting"}, "notes": {"Restore first\r\nTalk second"}, "present": {ids["Amy Poe"], ids["Eve Kay"]}}).want(303)
	next := h.clock.Now().Add(time.Hour)
	if got := h.post(auth.Support, base+"/meetings", map[string]any{"notes": "Short.", "next_at": next}).want(201).text("next_at"); got != next.Format(time.RFC3339) {
		t.Errorf("the next meeting is at %s", got)
	}
	h.staffPage(auth.Auditor, page+"/team").want(200).says("Amy Poe, Eve Kay", "Talk second", "Eve Kay").silent("stf_nobody")
	if body := string(h.staffPage(auth.Commander, page).body); strings.Count(body, "The core team meets") != 1 {
		t.Error("the next meeting is not among what is due")
	}
}

// A playbook is worked through on its page and by API; what was skipped says why, and the room shows how far it is.
func TestPlaybooksOnTheDesk(t *testing.T) {
	h := open(t)
	incident := h.declare()
	api, page := "/api/v1/incidents/"+incident+"/playbooks", "/desk/incidents/"+incident+"/playbooks"
	var running list[comms.Playbook]
	h.get(auth.Auditor, api).want(200).into(&running)
	run := running.Items[1]
	h.post(auth.Engineer, api+"/"+run.ID+"/steps", map[string]any{"steps": map[string]any{"halt": map[string]any{"state": "done"}}}).want(200).says(`"done":1`)
	same(t, "no reason", h.post(auth.Engineer, api+"/"+run.ID+"/steps", map[string]any{"steps": map[string]any{"hold": map[string]any{"state": "skipped"}}}).want(422).named(), []string{"results.hold"})
	h.form(auth.Support, page, url.Values{"run": {run.ID}, "step": {"hold"}, "state": {"skipped"}, "note": {"nothing expires"}}).want(303)
	h.form(auth.Support, page, url.Values{"name": {"backup_lost"}}).want(303)
	h.form(auth.Support, page, url.Values{"name": {"no_such"}}).want(422)
	h.post(auth.Support, api, map[string]any{"name": "backup_lost"}).want(409)
	h.staffPage(auth.Auditor, page).want(200).says("Stop the job or script", "The engineer", "The support", "nothing expires", "1 of 12 done", "1 skipped", "Backups lost").silent("Take back")
	h.staffPage(auth.Auditor, "/desk/incidents/"+incident).want(200).says("1 of 12 done", "Next:", "skipped: Suspend purges")
	var all list[playbookAnswer]
	h.get(auth.Auditor, "/api/v1/playbooks").want(200).says("region_lost", "security_breach", `"number":1`, `"number":0`).into(&all)

	// A page in another language of the desk says no sentence of a playbook in English, nor does the log of the room.
	h.get(auth.Auditor, api).want(200).into(&running)
	for _, locale := range templates.StaffLocales()[1:] {
		cookie, _ := h.signIn(auth.Support)
		in := func(path string) string {
			return html.UnescapeString(string(h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String(), "Accept-Language": locale}}).want(200).body))
		}
		steps, room := in(page), in("/desk/incidents/"+incident)
		for _, b := range all.Items {
			english := append(strings.Split(b.About, "\n"), b.Title)
			for _, it := range b.Items {
				english = append(english, it.Text)
			}
			for _, s := range english {
				if strings.Contains(steps, s) || strings.Contains(room, s) {
					t.Errorf("in %s: %s", locale, s)
				}
			}
			if !strings.Contains(steps, b.Titles[locale]) {
				t.Errorf("%s in %s has no name", b.Name, locale)
			}
		}
		for _, b := range running.Items {
			if s := b.Next(); !strings.Contains(room, s.Texts[locale]) || !strings.Contains(steps, s.Texts[locale]) || !strings.Contains(steps, b.Abouts[locale]) {
				t.Errorf("%s in %s: the next step is not said", b.Name, locale)
			}
		}
		if hold := run.Steps[1].Texts[locale]; !strings.Contains(room, hold+": nothing expires") {
			t.Errorf("the log in %s", locale)
		}
	}
}
