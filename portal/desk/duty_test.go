package desk_test

import (
	"context"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// The sun is followed from region to region, a swap counts once the other has agreed, and a hole in the plan is owed until it is closed.
func TestWhoIsOnDuty(t *testing.T) {
	onBolt(t, func(c counter) {
		ctx := context.Background()
		now := c.DB.Now() // 07:46 UTC
		put := func(region, zone, from, to string, crew ...string) store.Rec[desk.Rota] {
			c.Helper()
			rec, err := c.PutRota(ctx, "stf_lead", "", 0, desk.Rota{Name: "support " + region, Role: "support", Region: region, Zone: zone, From: "2022-04-01",
				Shifts: []desk.Shift{{Name: "day", From: from, To: to, Crew: crew}}})
			if err != nil {
				c.Fatal(err)
			}
			return rec
		}
		if err := c.WatchGaps(ctx); err != nil || len(c.owed("rota")) != 0 {
			c.Fatalf("without any rota: %v %v", c.owed("rota"), err)
		}
		emea := put("EMEA", "Europe/Berlin", "08:00", "16:30", "stf_ann", "stf_bo")
		apac := put("APAC", "Australia/Sydney", "16:00", "23:00", "stf_mei") // 06:00 to 13:00 UTC in winter there
		who := func(role, region string, at time.Time) (names string) {
			c.Helper()
			if err := c.DB.View(ctx, func(tx *store.Tx) error {
				names = ""
				on, err := c.OnShift(tx, role, region, at)
				for _, s := range on {
					names += s.Person + " "
				}
				return err
			}); err != nil {
				c.Fatal(err)
			}
			return names
		}
		for _, q := range []struct {
			role, region string
			at           time.Time
			want         string
		}{
			{"support", "EMEA", now, "stf_ann stf_bo "}, {"support", "APAC", now, "stf_mei "}, {"support", "", now, "stf_ann stf_bo stf_mei "},
			{"support", "APAC", now.Add(6 * time.Hour), "stf_ann stf_bo "}, {"support", "AMER", now.Add(6 * time.Hour), "stf_ann stf_bo "}, {"commander", "EMEA", now, ""}, {"support", "EMEA", now.Add(12 * time.Hour), ""},
		} {
			if got := who(q.role, q.region, q.at); got != q.want {
				c.Errorf("%s %s %s: %q, want %q", q.role, q.region, q.at, got, q.want)
			}
		}
		ends := func(person string) (end time.Time, on bool) {
			if err := c.DB.View(ctx, func(tx *store.Tx) (err error) {
				end, on, err = c.ShiftEnds(tx, person, now)
				return err
			}); err != nil {
				c.Fatal(err)
			}
			return end, on
		}
		if end, on := ends("stf_ann"); !on || !end.Equal(time.Date(2022, 4, 5, 14, 30, 0, 0, time.UTC)) {
			c.Errorf("%s %v", end, on)
		}
		if _, on := ends("stf_nobody"); on {
			c.Error("somebody without a shift is on duty")
		}

		mine := desk.Cover{Rota: emea.ID, Out: "stf_ann", In: "stf_mei", From: now.Add(-2 * time.Hour), To: now.Add(8 * time.Hour)}
		hers := desk.Cover{Rota: apac.ID, Out: "stf_mei", In: "stf_ann", From: now.Add(20 * time.Hour), To: now.Add(30 * time.Hour)}
		if _, err := c.AskCover(ctx, "stf_bo", mine, nil); fault.Of(err) != fault.Forbidden {
			c.Errorf("for somebody else: %v", err)
		}
		if _, err := c.AskCover(ctx, "stf_ann", desk.Cover{Rota: apac.ID, Out: "stf_ann", In: "stf_bo", From: mine.From, To: mine.To}, nil); fault.Of(err) != fault.Invalid {
			c.Errorf("where she is not on duty: %v", err)
		}
		asked, err := c.AskCover(ctx, "stf_ann", mine, &hers)
		if err != nil || len(asked) != 2 {
			c.Fatalf("%+v %v", asked, err)
		}
		if got := who("support", "EMEA", now); got != "stf_ann stf_bo " {
			c.Errorf("before anybody agreed: %q", got)
		}
		if owed := c.owed("rota"); len(owed) != 1 || owed[0].Value.Owner != "stf_mei" || owed[0].Value.What != desk.CoverTask {
			c.Errorf("she was not asked: %+v", owed)
		}
		if err := c.AgreeCover(ctx, "stf_bo", asked[0].ID); fault.Of(err) != fault.Forbidden {
			c.Errorf("somebody else agreed: %v", err)
		}
		if err := c.AgreeCover(ctx, "stf_mei", asked[0].ID); err != nil {
			c.Fatal(err)
		}
		if err := c.AgreeCover(ctx, "stf_mei", asked[0].ID); fault.Of(err) != fault.Conflict {
			c.Errorf("agreed twice: %v", err)
		}
		if got := who("support", "EMEA", now); got != "stf_bo stf_mei " || len(c.owed("rota")) != 0 {
			c.Errorf("after it: %q, %+v", got, c.owed("rota"))
		}
		if got := who("support", "APAC", now.Add(24*time.Hour)); got != "stf_ann " {
			c.Errorf("in return: %q", got)
		}
		if _, err := c.Cover(ctx, "stf_lead", desk.Cover{Rota: emea.ID, Out: "stf_bo", From: mine.From, To: mine.To, Reason: "ill"}); err != nil {
			c.Fatal(err)
		}
		if got := who("support", "EMEA", now); got != "stf_mei " {
			c.Errorf("one is ill: %q", got)
		}

		if err := c.WatchGaps(ctx); err != nil {
			c.Fatal(err)
		}
		owed := c.owed("rota")
		if len(owed) != 4 { // commander, comms and approver now, support from 14:30 UTC
			c.Fatalf("%+v", owed)
		}
		if err := c.WatchGaps(ctx); err != nil || c.owed("rota")[0].Version != owed[0].Version {
			c.Errorf("what stands was written again: %v", err)
		}
		put("", "UTC", "00:00", "24:00", "stf_kim")
		if err := c.WatchGaps(ctx); err != nil || len(c.owed("rota")) != 3 {
			c.Errorf("the hole was closed: %+v %v", c.owed("rota"), err)
		}
		w, err := c.Plan(ctx, now, now.Add(72*time.Hour))
		if err != nil || len(w.Gaps) != 3 || len(w.Strains) == 0 || w.Strains[0].Person != "stf_kim" {
			c.Errorf("%+v %+v %v", w.Gaps, w.Strains, err)
		}
	})
}

// owed are the open tasks of a family.
func (c counter) owed(family string) (all []store.Rec[comms.Task]) {
	c.Helper()
	if err := c.DB.View(context.Background(), func(tx *store.Tx) (err error) {
		all, _, err = c.Comms.Family(tx, family, comms.Open, "", 0)
		return err
	}); err != nil {
		c.Fatal(err)
	}
	return all
}
