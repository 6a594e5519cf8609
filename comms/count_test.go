package comms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// countOneByOne counts an audience the slow way, asking for the contacts of each site's account.
func (w *town) countOneByOne(channels []string) (c Crowd) {
	w.Helper()
	err := w.DB.View(context.Background(), func(tx *store.Tx) error {
		c = Crowd{}
		sites := map[string][]string{}
		for rec, err := range ledgerRows(tx, w.incident) {
			if err != nil {
				return err
			}
			sites[rec.Value.Account] = append(sites[rec.Value.Account], rec.Value.Site)
			c.Sites++
		}
		c.Customers = len(sites)
		for account := range maps.Keys(sites) {
			for rec, err := range w.Book.ContactsOf(tx, account) {
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(sites[account], rec.Value.For) {
					continue
				}
				reached := slices.ContainsFunc(channels, func(channel string) bool {
					to, _ := contacts.Reach(rec.Value, channel)
					return len(to) > 0 && channel != ChannelPage
				})
				if reached {
					c.People++
				} else {
					c.Unreachable++
				}
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func TestACrowdIsCountedAsIfOneByOne(t *testing.T) {
	towns(t, func(w *town) {
		// Beside them a row of customers who are not affected, longer than what a walk passes over, and some who have a second site.
		var idle []string
		for i := range 2*mostSkipped + 5 {
			idle = append(idle, fmt.Sprintf("Idle %04d,I-%04d,Idle site %04d,T-%04d,Calm %04d,owner,calm%04d@i%04d.example,,en,2022-04-01", i, i, i, i, i, i, i))
		}
		report, err := w.Book.Import(context.Background(), "stf_test", strings.NewReader("account,account_id,site,site_id,name,role,email,phone,locale,confirmed_at\n"+strings.Join(idle, "\n")),
			contacts.ImportOptions{Source: "billing", Format: contacts.FormatCSV})
		if err != nil || report.RejectedRows > 0 {
			w.Fatalf("%+v %v", report, err)
		}
		w.people(6,
			"Customer 0000,A-0000,Second,S-9000,Sam Second,site_admin,sam@c0000.example,,en,2022-04-01",
			"Customer 0001,A-0001,Site 0001,S-0001,Nobody Reachable,executive,,,en,2022-04-01",
			"Late Idle,I-9999,Late,T-9998,Late Owner,owner,late@i9999.example,,en,2022-04-01",
			"No Contact,N-0001,Lonely,T-9999,,,,,,")
		look := func(what string, want Crowd) {
			w.Helper()
			for _, channels := range [][]string{{ChannelEmail}, {ChannelSMS}, {ChannelEmail, ChannelSMS, ChannelPage}, {ChannelPage}} {
				c, err := w.CountAudience(context.Background(), w.incident, AudienceAffected, channels)
				if err != nil || c != w.countOneByOne(channels) {
					w.Errorf("%s on %v: %+v, one by one %+v, %v", what, channels, c, w.countOneByOne(channels), err)
				}
				if len(channels) == 3 && c != want {
					w.Errorf("%s: %+v, want %+v", what, c, want)
				}
			}
		}
		want := Crowd{People: 14, Customers: 8, Sites: 9, Unreachable: 1}
		look("at first", want)
		look("remembered", want)

		// What is remembered of somebody does not outlive a change.
		err = w.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			hits, err := w.Book.ByAddress(tx, ChannelEmail, "tech0003@c0003.example")
			if err != nil || len(hits) != 1 {
				return fmt.Errorf("%d hits, %w", len(hits), err)
			}
			return w.Book.Bounced(tx, hits[0].ID, ChannelEmail, "tech0003@c0003.example", "550")
		})
		if err != nil {
			w.Fatal(err)
		}
		want.People, want.Unreachable = want.People-1, want.Unreachable+1
		look("after a bounce", want)

		cover, err := w.Coverage(context.Background(), w.incident)
		if err != nil || cover.Sites != 9 || cover.Covered != 8 || len(cover.Uncovered) != 1 || cover.Uncovered[0].Reason != NoApproved {
			w.Errorf("%+v %v", cover, err)
		}
	})
}

func TestALargeCrowdMayBeSomeSecondsOldForTheEyeAlone(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	w.people(1)
	channels := []string{ChannelEmail}
	count := func(how crowdCounter) (c Crowd) {
		err := w.DB.View(context.Background(), func(tx *store.Tx) (err error) {
			c, err = how(tx, w.incident, AudienceAffected, channels)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := count(w.about); c.People != 2 || len(w.counts.all) != 0 {
		t.Errorf("a small one is counted anew: %+v, %d held", c, len(w.counts.all))
	}
	w.counts.all = map[string]counted{w.incident + " " + AudienceAffected + " " + ChannelEmail: {Crowd: Crowd{People: countedFrom}, at: time.Now().Add(time.Hour)}}
	if c := count(w.about); c.People != countedFrom {
		t.Errorf("counted again at once: %+v", c)
	}
	if c := count(w.crowd); c.People != 2 {
		t.Errorf("what decides is counted: %+v", c)
	}
	w.counts.all = map[string]counted{w.incident + " " + AudienceAffected + " " + ChannelEmail: {Crowd: Crowd{People: countedFrom}, at: time.Now().Add(-countedFor)}}
	if c := count(w.about); c.People != 2 {
		t.Errorf("an old one is counted anew: %+v", c)
	}
}

// Publishing counts nobody again whom the approval has just counted, unless the book or the affected set has changed meanwhile.
func TestPublishingCountsOnceMoreOnlyWhatChanged(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		h.affect(in.ID, "S-1", "S-4")
		of := func(id string) (k survey) {
			h.Helper()
			k, err := h.survey(ctx, id)
			if err != nil {
				h.Fatal(err)
			}
			return k
		}
		draft := h.draft(in.ID, h.said())
		key := crowdKey(in.ID, draft.Value.Statement.Audience, draft.Value.Statement.Channels)
		first := of(draft.ID)
		forged := h.counts.all[key]
		forged.People = 1000 // what a count would put right
		h.counts.all[key] = forged
		if again := of(draft.ID); again.crowd.People != 1000 {
			h.Errorf("%+v: counted again though nothing has changed", again.crowd)
		}
		h.load("account,account_id,site,site_id,name,role,email\nAcme,A-1,Site 1,S-1,Late Owner,owner,late@acme.example\n")
		if then := of(draft.ID); then.crowd.People != first.crowd.People+1 {
			h.Errorf("%+v once somebody was added, before %+v", then.crowd, first.crowd)
		}
		h.counts.all[key] = counted{Crowd: Crowd{People: 1000}, age: h.counts.all[key].age, set: h.counts.all[key].set}
		h.affect(in.ID, "S-2")
		if then := of(draft.ID); then.crowd.People == 1000 {
			h.Errorf("%+v: not counted again though the affected set has grown", then.crowd)
		}
	})
}

// BenchmarkCount counts an audience: the first time, again as a draft, its approval and its publishing do, and with a look-up for each account.
func BenchmarkCount(b *testing.B) {
	for _, engine := range []struct {
		name   string
		people int
		open   func(testing.TB) store.Engine
	}{{"bolt", 100_000, storetest.Bolt}, {"postgres", 20_000, storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			w := newTown(b, engine.open(b))
			w.people(engine.people / 2) // two at each site
			channels := []string{ChannelEmail, ChannelSMS}
			count := func(r *Room) {
				c, err := r.CountAudience(context.Background(), w.incident, AudienceAffected, channels)
				if err != nil || c.People != engine.people {
					b.Fatalf("%+v %v", c, err)
				}
			}
			took := map[string]time.Duration{}
			measure := func(what string, do func()) {
				began, before := time.Now(), used(b)
				do()
				took[what+"-µs/person"] += time.Since(began)
				took[what+"-CPU-µs/person"] += used(b) - before
			}
			for b.Loop() {
				r := w.open(w.engine)
				measure("one-by-one", func() { w.countOneByOne(channels) })
				measure("first", func() { count(r) })
				measure("again", func() { count(r) })
			}
			for what, d := range took {
				b.ReportMetric(float64(d.Microseconds())/float64(b.N*engine.people), what)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// used is the CPU time of this process so far; a database's is not in it.
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// CountAudience counts whom an audience of an incident means on the channels.
func (r *Room) CountAudience(ctx context.Context, incident, audience string, channels []string) (c Crowd, err error) {
	if f := badAudience(audience); len(f) > 0 {
		return c, fault.BadFields(f...)
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		c, err = r.crowd(tx, in.ID, audience, channels)
		return err
	})
	return c, err
}
