package page

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What a webhook's receiver reads of an incident is what the status API says of it, to the byte, with the facts of the update beside it.
func TestAPostSaysWhatThePageSays(t *testing.T) {
	p := samplePress(t, "")
	public := sampleRecovery()
	e, err := p.Render(public)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Page      struct{ ID string }
		Incidents []json.RawMessage
	}
	if err := json.Unmarshal(e.Body("/api/v2/incidents.json", ""), &list); err != nil {
		t.Fatal(err)
	}
	for i, in := range public.Incidents[:len(list.Incidents)] {
		if len(in.Updates) == 0 {
			continue
		}
		body, err := p.Payload(public, in.Updates[0], "ja")
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Page     payloadPage
			Incident json.RawMessage
			Update   struct {
				Number   int
				Restored json.RawMessage
			}
			Locale, Text, URL string
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Incident, list.Incidents[i]) {
			t.Errorf("the incident is\n%s, and the page says\n%s", got.Incident, list.Incidents[i])
		}
		if got.Page.ID != list.Page.ID || got.Page.Indicator == "" || got.Update.Number != in.Updates[0].Number || got.Locale != "ja" || got.Text == "" || got.URL != in.URL {
			t.Errorf("beside it: %s", body)
		}
	}
	u := public.Incidents[0].Updates[0]
	u.Incident.ID = "elsewhere"
	if body, err := p.Payload(public, u, "en"); err != nil || !bytes.Contains(body, []byte(`"incident":null`)) {
		t.Errorf("of an incident that is not on the page: %s, %v", body, err)
	}
}
