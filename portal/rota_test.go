package portal

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

// Alarms find who is on duty by every way on which she is told, everybody of the role when nobody is, and a calendar reads her shifts and nobody else's.
func TestWhoIsOnDutyIsTold(t *testing.T) {
	h := open(t)
	ctx := context.Background()
	made, err := h.Gate.AddStaff(ctx, auth.OperatorID, h.URL, []auth.Newcomer{
		{Name: "Kim", Profile: auth.Profile{Email: "kim@vendor.example", Phone: "+12025550111", Roles: []auth.Role{auth.Commander}, Languages: []string{"ja"}}},
		{Name: "Lee", Profile: auth.Profile{Email: "lee@vendor.example", Roles: []auth.Role{auth.Support, auth.Commander}}},
		{Name: "Sue", Profile: auth.Profile{Email: "sue@vendor.example", Roles: []auth.Role{auth.Support}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	kim, lee := made[0].ID, made[1].ID
	told := func(post comms.Post, after time.Duration) (all []string) {
		t.Helper()
		if err := h.DB.View(ctx, func(tx *store.Tx) error {
			all = nil
			people, err := h.Staffed(tx, post, tx.Now().Add(after))
			for _, d := range people {
				all = append(all, d.Address)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	same(t, "nobody is on duty", told(comms.Post{Role: "commander"}, 0), []string{"+12025550111", "kim@vendor.example", "lee@vendor.example"})
	rota := map[string]any{"name": "Command", "role": "incident manager", "zone": "Europe/Berlin", "from": "2022-04-01", "shifts": []any{
		map[string]any{"name": "day, and all", "from": "08:00", "to": "20:00", "crew": []string{kim}}, map[string]any{"name": "night", "from": "20:00", "to": "08:00", "crew": []string{lee}}}}
	same(t, "somebody who is not staff", h.post(auth.Commander, "/api/v1/rotas", map[string]any{"name": "x", "role": "commander", "zone": "UTC", "from": "2022-04-01",
		"shifts": []any{map[string]any{"name": "x", "from": "08:00", "to": "20:00", "crew": []string{"stf_nobody"}}}}).want(422).named(), []string{"shifts[0].crew"})
	id := h.post(auth.Commander, "/api/v1/rotas", rota).want(201).text("id")
	same(t, "at 10:17 there", told(comms.Post{Role: "commander"}, 0), []string{"+12025550111", "kim@vendor.example"})
	same(t, "at 22:17 there", told(comms.Post{Role: "commander"}, 12*time.Hour), []string{"lee@vendor.example"})
	same(t, "one person", told(comms.Post{Person: lee}, 0), []string{"lee@vendor.example"})

	var now nowAnswer
	h.get(auth.Support, "/api/v1/rota/now?role=commander").want(200).into(&now)
	if len(now.Items) != 1 || now.Items[0].Name != "Kim" {
		t.Errorf("%+v", now)
	}
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/rotas/" + id, body: rota, header: map[string]string{"If-Match": `"9"`}}).want(412)
	cover := map[string]any{"rota_id": id, "out": kim, "in": lee, "from": outbreak.Add(-time.Hour), "to": outbreak.Add(time.Hour), "reason": "ill"}
	h.post(auth.Support, "/api/v1/rota/covers", cover).want(403)
	h.post(auth.Commander, "/api/v1/rota/covers", cover).want(201)
	same(t, "she is ill", told(comms.Post{Role: "commander"}, 0), []string{"lee@vendor.example"})
	var watch desk.Watch
	h.get(auth.Auditor, "/api/v1/rota").want(200).into(&watch)
	if len(watch.Gaps) != 3 || !slices.ContainsFunc(watch.Strains, func(s desk.Strain) bool { return s.Person == lee }) {
		t.Errorf("%+v %+v", watch.Gaps, watch.Strains)
	}

	support := auth.Person{ID: lee, Name: "Lee", Role: auth.Support}
	old, err := h.Gate.Feed(ctx, support, h.URL)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := h.Gate.Feed(ctx, support, h.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.do(ask{method: "GET", path: strings.TrimPrefix(old.URL, h.URL)}).want(404)
	ics := h.do(ask{method: "GET", path: strings.TrimPrefix(feed.URL, h.URL)}).want(200).says("BEGIN:VCALENDAR\r\n", "DTSTART:20220405T071700Z\r\nDTEND:20220405T091700Z\r\n", "SUMMARY:commander: day\\, and all\r\n").silent("Kim", kim)
	if n := strings.Count(string(ics.body), "BEGIN:VEVENT"); n < 58 || n > 63 || ics.Header.Get("Content-Type") != "text/calendar; charset=utf-8" {
		t.Errorf("%d events", n)
	}
	for line := range strings.SplitSeq(string(ics.body), "\r\n") {
		if len(line) > 75 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	if err := h.Gate.Revoke(ctx, auth.OperatorID, feed.ID, "lost"); err != nil {
		t.Fatal(err)
	}
	h.do(ask{method: "GET", path: strings.TrimPrefix(feed.URL, h.URL)}).want(404)

	b := &browser{h: h}
	b.cookie, _ = h.signIn(auth.Commander)
	b.post("/desk/rota", url.Values{"act": {"add"}, "name": {"Support"}, "role": {"support"}, "zone": {"Mars/Olympus"}, "from": {"2022-04-05"}, "shift_from": {"00:00"}, "shift_to": {"24:00"}, "crew": {made[2].ID}}).want(422).says("IANA", `value="Support"`)
	b.post("/desk/rota", url.Values{"act": {"add"}, "name": {"Support"}, "role": {"support"}, "zone": {"UTC"}, "from": {"2022-04-05"}, "shift_from": {"00:00"}, "shift_to": {"24:00"}, "crew": {made[2].ID}}).want(303)
	b.get("/desk/rota").want(200).says("Sue", "Kim", "for Kim")
	// Two people take turns, and one asks the other to swap days: what was typed stays when it is refused.
	me, _, err := h.Gate.Session(ctx, b.cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	b.post("/desk/rota", url.Values{"act": {"add"}, "name": {"Pair"}, "role": {"support"}, "zone": {"UTC"}, "from": {"2022-04-05"}, "shift_from": {"00:00"}, "shift_to": {"24:00"}, "turn": {"1"}, "crew": {me.ID, made[2].ID}}).want(303)
	all, err := h.Desk.Rotas(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pair := all[slices.IndexFunc(all, func(r store.Rec[desk.Rota]) bool { return r.Value.Name == "Pair" })].ID
	swap := url.Values{"act": {"cover"}, "id": {pair}, "out": {me.ID}, "in": {made[2].ID}, "cover_from": {"2022-04-07 00:00"}, "cover_to": {"2022-04-08 00:00"}, "back_from": {"2022-04-06 00:00"}}
	b.post("/desk/rota", swap).want(422).says(`value="2022-04-07 00:00"`, `value="2022-04-06 00:00"`, `<option value="`+made[2].ID+`" selected>`)
	swap.Set("back_to", "2022-04-07 00:00")
	b.post("/desk/rota", swap).want(303)
	if covers, err := h.Desk.Covers(ctx, pair); err != nil || len(covers) != 2 || covers[0].Value.Swap == "" || covers[0].Value.Swap != covers[1].Value.Swap {
		t.Errorf("%v %+v", err, covers)
	}
	b.post("/desk/rota", url.Values{"act": {"feed"}}).want(200).says("/rota/tok_")

	// From a day on the two change places and the evening is nobody's: that is shown before it is said, and can be taken back before its day.
	change := map[string]any{"from": "2022-04-07", "zone": "Europe/Berlin", "shifts": []any{
		map[string]any{"name": "day", "from": "08:00", "to": "18:00", "crew": []string{lee}}, map[string]any{"name": "night", "from": "20:00", "to": "08:00", "crew": []string{kim}}}}
	changes := "/api/v1/rotas/" + id + "/changes"
	var means rotaChangeAnswer
	h.post(auth.Commander, changes+"?dry_run=true", change).want(200).into(&means)
	if m := means.Means; len(m.Moves) != 2 || m.Moves[0].Gains != 27 || m.Moves[0].Loses != 27 || len(m.Gaps) != 27 || m.Gaps[0].To.Sub(m.Gaps[0].From) != 2*time.Hour || len(m.Closed) > 0 {
		t.Errorf("%+v", m)
	}
	same(t, "a trial", told(comms.Post{Role: "commander"}, 72*time.Hour), []string{"+12025550111", "kim@vendor.example"})
	same(t, "a day that has begun", h.post(auth.Commander, changes, map[string]any{"from": "2022-04-05", "zone": "UTC", "shifts": change["shifts"]}).want(422).named(), []string{"from"})
	typed := url.Values{"act": {"look"}, "from": {"2022-04-07"}, "zone": {"Europe/Berlin"}, "rows": {"3"}, "0.name": {"day"}, "0.from": {"08:00"}, "0.to": {"18:00"}, "0.crew": {lee}, "0.days": {"mon", "thu"},
		"1.name": {"night"}, "1.from": {"20:00"}, "1.to": {"8"}, "1.crew": {kim}}
	b.post("/desk/rota/"+id, typed).want(422).says("must be a time of day", `value="mon" checked`, `selected>Kim`)
	typed.Set("1.to", "08:00")
	b.post("/desk/rota/"+id, typed).want(200).says("Nobody would be on duty", `value="change"`)
	typed.Set("act", "change")
	b.post("/desk/rota/"+id, typed).want(303)
	same(t, "on a Friday by day", told(comms.Post{Role: "commander"}, 72*time.Hour), []string{"+12025550111", "kim@vendor.example", "lee@vendor.example"})
	same(t, "before its day", told(comms.Post{Role: "commander"}, 24*time.Hour), []string{"+12025550111", "kim@vendor.example"})
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/rotas/" + id, body: means.Rota.Rota}).want(422)
	b.get("/desk/rota/"+id).want(200).says("2022-04-07", "Take the last change back")
	h.do(ask{as: auth.Support, method: "DELETE", path: changes}).want(403)
	h.do(ask{as: auth.Commander, method: "DELETE", path: changes}).want(200).silent("2022-04-07")
	h.do(ask{as: auth.Commander, method: "DELETE", path: changes}).want(409)
	h.post(auth.Commander, changes, change).want(200)
	same(t, "they changed places", told(comms.Post{Role: "commander"}, 72*time.Hour), []string{"lee@vendor.example"})
	h.clock.Turn(72 * time.Hour)
	h.do(ask{as: auth.Commander, method: "DELETE", path: changes}).want(409).says("goes by this change")
	h.clock.Turn(-72 * time.Hour)
	h.do(ask{as: auth.Commander, method: "DELETE", path: "/api/v1/rotas/" + id}).want(204)
	same(t, "without the rota", told(comms.Post{Role: "commander"}, 0), []string{"+12025550111", "kim@vendor.example", "lee@vendor.example"})
}
