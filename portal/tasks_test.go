package portal

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// Sites that vanish become a task in the list of what is due; from it the incident is declared, and then it is done.
func TestAProposedIncidentIsDeclaredFromItsTask(t *testing.T) {
	h := open(t)
	err := h.DB.Update(context.Background(), store.Act{By: "tok_auto", Verb: "test.find"}, func(tx *store.Tx) error {
		return h.Comms.Found(tx, contacts.Finding{What: contacts.SitesVanished, Source: "product", Count: 37, Sample: []string{"sit_1"}, Propose: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	var tasks list[map[string]any]
	h.get(auth.Auditor, "/api/v1/tasks?state=open").want(200).into(&tasks)
	if len(tasks.Items) != 1 {
		t.Fatalf("%+v", tasks)
	}
	task := tasks.Items[0]
	id := task["id"].(string)
	proposed := task["propose_incident"].(map[string]any)
	if proposed["count"] != 37.0 || task["what"] != "finding.sites_vanished" || task["detail"].(map[string]any)["source"] != "product" {
		t.Errorf("%v", task)
	}

	cookie, csrf := h.signIn(auth.Commander)
	page := func(path string) answer {
		return h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String()}}).want(200)
	}
	page("/desk").says("/desk/tasks/"+id, "37 sites were deleted")
	page("/desk/tasks").says("/desk/tasks/" + id)
	page("/desk/tasks/"+id).says("/desk?task="+id+"#declare", "sit_1")
	page("/desk?task=" + id).says(`value="` + strings.ReplaceAll(proposed["title"].(string), "'", "&#39;") + `"`)

	press := func(act, reason string) answer {
		return h.do(ask{method: "POST", path: "/desk/tasks/" + id, media: "application/x-www-form-urlencoded", body: url.Values{"act": {act}, "reason": {reason}, "csrf": {csrf}}.Encode(),
			header: map[string]string{"Cookie": cookie.String(), "Origin": h.URL}})
	}
	press("take", "").want(303)
	same(t, "a drop without its reason", h.post(auth.Support, "/api/v1/tasks/"+id+"/drop", map[string]any{"reason": ""}).want(422).named(), []string{"reason"})
	press("drop", "").want(422).says(`class="wrong"`)
	h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/tasks/" + id + "/take", header: map[string]string{"If-Match": `"1"`}}).want(412)
	h.post(auth.Support, "/api/v1/tasks/"+id+"/take", nil).want(200)
	h.get(auth.Support, "/api/v1/tasks/"+id).want(200).says(`"state":"open"`)
	if got := h.post(auth.Support, "/api/v1/tasks/"+id+"/done", map[string]any{"reason": "declared"}).want(200); got.text("state") != comms.TaskDone || got.text("reason") != "declared" {
		t.Errorf("%s", got.body)
	}
	h.post(auth.Support, "/api/v1/tasks/"+id+"/done", nil).want(409)
	page("/desk").silent("/desk/tasks/" + id)
	page("/desk/tasks").silent(id)
	page("/desk/tasks?state=done").says(id)
	h.get(auth.Auditor, "/api/v1/tasks?state=late").want(422)
	h.get(auth.Auditor, "/api/v1/tasks?incident=inc_none").want(404)
}
