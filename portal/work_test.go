package portal

import (
	"net/url"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
)

// Third parties and links are kept by API and page; what is waited for stands among what is due only until it is answered, and the room shows the rest folded.
func TestThirdPartiesAndLinksOfAnIncident(t *testing.T) {
	h := open(t)
	incident := h.declare()
	api, page := "/api/v1/incidents/"+incident, "/desk/incidents/"+incident
	same(t, "no side", h.post(auth.Engineer, api+"/parties", map[string]any{"name": "Acme"}).want(422).named(), []string{"side"})
	party := h.post(auth.Engineer, api+"/parties", map[string]any{"name": "Acme <b>Cloud</b>", "side": "third_party", "contact": "Jo Li"}).want(201).text("id")
	one := api + "/parties/" + party
	h.do(ask{as: auth.Support, method: "PATCH", path: one, body: map[string]any{"reference": "C-77", "escalate": "Head of support"}}).want(200).says(`"reference":"C-77"`, "Jo Li")
	same(t, "no time", h.post(auth.Support, one+"/wait", map[string]any{"for": "root cause", "until": "2001-01-01T00:00:00Z"}).want(422).named(), []string{"until"})
	until := h.clock.Now().Add(time.Hour).UTC()
	h.form(auth.Engineer, page+"/work", url.Values{"act": {"wait"}, "part": {party}, "for": {"root cause"}, "until": {"soon"}}).want(422).says("root cause", "must be a time")
	h.form(auth.Engineer, page+"/work", url.Values{"act": {"wait"}, "part": {party}, "for": {"root cause"}, "until": {until.Format(minuteForm)}}).want(303)
	button := `<a class="button" href="` + page + "/work#" + party + `">Open</a>`
	h.staffPage(auth.Auditor, page).want(200).says("1 named", "waiting for 1", "C-77").silent("<b>Cloud", "Head of support", button)
	h.staffPage(auth.Auditor, "/desk").want(200).says("Acme &lt;b&gt;Cloud&lt;/b&gt;: root cause", button)
	h.do(ask{as: auth.Support, method: "DELETE", path: one}).want(409).says("waited for")
	h.clock.Turn(2 * time.Hour)
	h.staffPage(auth.Auditor, page).want(200).says("Acme &lt;b&gt;Cloud&lt;/b&gt;: root cause", button)
	h.staffPage(auth.Support, page+"/work").want(200).says("1 hour late", "Head of support", "Record the answer")
	h.staffPage(auth.Auditor, page+"/work").want(200).silent("Record the answer", "Keep a link")
	h.form(auth.Auditor, page+"/work", url.Values{"act": {"answer"}, "part": {party}, "answer": {"It was a disk."}}).want(403)
	h.form(auth.Support, page+"/work", url.Values{"act": {"answer"}, "part": {party}, "answer": {"It was a disk.\r\nThey copy it."}}).want(303)
	h.staffPage(auth.Support, page).want(200).says("answer from Acme &lt;b&gt;Cloud&lt;/b&gt; (C-77): It was a disk.").silent("waiting for 1")
	h.staffPage(auth.Support, page+"/work").want(200).says("They copy it.", "The support")
	var parties list[comms.Party]
	h.get(auth.Auditor, api+"/parties").want(200).into(&parties)
	if len(parties.Items) != 1 || parties.Items[0].Awaited != nil || parties.Items[0].Answer != "It was a disk.\nThey copy it." {
		t.Errorf("%+v", parties.Items)
	}
	h.do(ask{as: auth.Support, method: "DELETE", path: one}).want(204)
	h.post(auth.Support, one+"/answer", map[string]any{"answer": "late"}).want(404)

	h.form(auth.Comms, page+"/work", url.Values{"act": {"link"}, "sort": {"chat"}, "title": {"Room"}, "url": {"javascript:alert(1)"}}).want(422).says("must be a link with https", "Room").silent(`href="javascript`)
	h.form(auth.Comms, page+"/work", url.Values{"act": {"link"}, "sort": {"chat"}, "title": {"Room"}, "url": {"https://chat.example/r/1"}}).want(303)
	h.staffPage(auth.Auditor, page).want(200).says(`href="https://chat.example/r/1" rel="noopener noreferrer"`, "chat.example</span>", "1 link", "link kept: Room")
	var links list[comms.Link]
	h.get(auth.Auditor, api+"/links").want(200).into(&links)
	h.do(ask{as: auth.Engineer, method: "DELETE", path: api + "/links/" + links.Items[0].ID}).want(204)
	h.post(auth.Engineer, api+"/links", map[string]any{"sort": "call", "title": "Bridge", "url": "https://call.example/1"}).want(201)
	h.staffPage(auth.Auditor, page).want(200).says("link taken off: Room (https://chat.example/r/1)", "Bridge")
}

// The work is parted into streams: each has an owner who may write into it, its lines stand in its own log and in the incident's, and the room shows the last one.
func TestStreamsOfTheWork(t *testing.T) {
	h := open(t)
	ids := h.staffed(auth.Newcomer{Name: "Eve Kay", Profile: auth.Profile{Email: "eve@vendor.example", Roles: []auth.Role{auth.Engineer}}},
		auth.Newcomer{Name: "Aud Row", Profile: auth.Profile{Email: "aud@vendor.example", Roles: []auth.Role{auth.Auditor}}})
	incident := h.declare()
	api, page := "/api/v1/incidents/"+incident+"/streams", "/desk/incidents/"+incident
	h.staffPage(auth.Commander, page).want(200).silent("Streams of the work")
	same(t, "an auditor writes nothing", h.post(auth.Commander, api, map[string]any{"name": "Restore", "owner": ids["Aud Row"]}).want(422).named(), []string{"owner"})
	one := h.post(auth.Commander, api, map[string]any{"name": "Restore", "owner": ids["Eve Kay"]}).want(201).text("id")
	h.form(auth.Support, page+"/work", url.Values{"act": {"stream"}, "name": {"Answers"}, "owner": {""}}).want(303)
	h.form(auth.Support, page+"/work", url.Values{"act": {"stream"}, "name": {"answers"}}).want(422).says("is a stream of this incident already")
	h.post(auth.Engineer, api+"/"+one+"/log", map[string]any{"word": "First <i>wave</i>"}).want(201)
	h.form(auth.Engineer, page+"/work", url.Values{"act": {"word"}, "part": {one}, "word": {"Second wave\r\nruns"}}).want(303)
	h.form(auth.Auditor, page+"/work", url.Values{"act": {"word"}, "part": {one}, "word": {"x"}}).want(403)
	h.staffPage(auth.Auditor, page).want(200).says("Streams of the work", "Eve Kay", "Second wave\nruns</p>", "Restore: First &lt;i&gt;wave&lt;/i&gt;", "Answers").silent("stf_", "First <i>")
	h.clock.Turn(4 * time.Hour)
	h.staffPage(auth.Auditor, page).want(200).says("A word on a stream of the work · Restore", page+"/work#"+one)
	h.form(auth.Engineer, page+"/work", url.Values{"act": {"word"}, "part": {one}, "state": {"done"}}).want(422).says("is missing")
	h.form(auth.Engineer, page+"/work", url.Values{"act": {"word"}, "part": {one}, "state": {"done"}, "word": {"All are back"}}).want(303)
	same(t, "no word", h.do(ask{as: auth.Engineer, method: "PATCH", path: api + "/" + one, body: map[string]any{"state": "open"}}).want(422).named(), []string{"word"})
	h.do(ask{as: auth.Support, method: "PATCH", path: api + "/" + one, body: map[string]any{"state": "open", "word": "One more", "owner": ids["Eve Kay"]}}).want(200).says(`"state":"open"`)
	var log list[entryAnswer]
	h.get(auth.Auditor, api+"/"+one+"/log").want(200).into(&log)
	var what []string
	for _, e := range log.Items {
		what = append(what, e.What)
	}
	same(t, "the stream's log", what, []string{"stream_opened", "stream_word", "stream_word", "stream_done", "stream_reopened"})
	h.get(auth.Auditor, api+"/none/log").want(404)
	var all list[streamAnswer]
	h.get(auth.Auditor, api).want(200).into(&all)
	if len(all.Items) != 2 || all.Items[0].OwnerName != "Eve Kay" || all.Items[1].OwnerName != "The support" || all.Items[0].Word != "One more" {
		t.Errorf("%+v", all.Items)
	}
	h.form(auth.Commander, page+"/work", url.Values{"act": {"owner"}, "part": {one}, "owner": {ids["Aud Row"]}}).want(422)
	h.staffPage(auth.Commander, page+"/work").want(200).says("stream open again, Restore: One more", "stream opened, Restore: Eve Kay", "Hand it over")
}
