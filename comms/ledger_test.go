package comms

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/storetest"
	"lifeline/templates"
)

func TestPercentIsRoundedHalfUpAndNeverAllTooEarly(t *testing.T) {
	for _, c := range []struct {
		part, total int
		want        string
	}{
		{0, 0, "0.0"}, {0, 883, "0.0"}, {1, 883, "0.1"}, {112, 883, "12.7"}, {112, 700, "16.0"}, {771, 883, "87.3"}, {882, 883, "99.9"}, {883, 883, "100.0"},
		{1, 3, "33.3"}, {2, 3, "66.7"}, {1, 8, "12.5"}, {1, 16, "6.3"}, {1, 2000, "0.1"}, {1, 2001, "0.0"}, {9999, 10000, "99.9"}, {999_999_999, 1_000_000_000, "99.9"}, {1, 1, "100.0"},
		{53, 100, "53.0"}, {64, 775, "8.3"},
	} {
		if got := percent(c.part, c.total); got != c.want {
			t.Errorf("%d of %d is %s, not %s", c.part, c.total, got, c.want)
		}
	}
	for total := 1; total <= 400; total++ {
		for part := range total {
			got := percent(part, total)
			exact := float64(part) * 100 / float64(total)
			var near float64
			if _, err := fmt.Sscan(got, &near); err != nil || got == "100.0" || near > exact+0.0500001 || near < exact-0.0500001 && got != "99.9" {
				t.Fatalf("%d of %d: %s", part, total, got)
			}
		}
	}
}

func TestFiguresCountByUnit(t *testing.T) {
	row := func(account, state string, ago time.Duration) Row {
		return Row{Account: account, State: state, At: noon.Add(-ago)}
	}
	f := figures([]Row{
		row("a", HandedBack, 0), row("a", HandedBack, 0), row("b", HandedBack, 0), row("b", Passed, time.Hour),
		row("c", Passed, 72*time.Hour), row("d", FailedSite, 0), row("e", Rebuilt, 0), row("e", Verifying, 0), row("f", Lost, 0), row("f", Restoring, 0),
	}, noon, 72*time.Hour)
	want := templates.Figures{AsOf: noon,
		Sites: templates.SiteFigures{Total: 10, Rebuilt: 7, Checked: 5, Confirmed: 3, NoAnswer: 1, Restored: 4, Percent: "40.0",
			ByState: map[string]int{HandedBack: 4, Passed: 1, FailedSite: 1, Rebuilt: 1, Verifying: 1, Lost: 1, Restoring: 1}},
		Customers: templates.CustomerFigures{Total: 6, Restored: 2, Percent: "33.3"}}
	if fmt.Sprint(f) != fmt.Sprint(want) {
		t.Errorf("\n%+v, not\n%+v", f, want)
	}
	total := 0
	for _, n := range f.Sites.ByState {
		total += n
	}
	if total != f.Sites.Total {
		t.Errorf("states add up to %d of %d", total, f.Sites.Total)
	}
}

// What is kept of the rows counts as they do themselves, each unsealed and looked at alone: whatever was moved, however often it was counted and in whatever order
// it was walked before.
func TestKeptPlacesCountAsTheRowsThemselves(t *testing.T) {
	w := newTown(t, storetest.Bolt(t))
	ctx, rnd := context.Background(), rand.New(rand.NewPCG(3, 4))
	in, err := w.Declare(ctx, "stf_ann", Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		t.Fatal(err)
	}
	accounts := []string{"acc_odd", "acc_odder"} // ids that are none of ours
	for range 12 {
		accounts = append(accounts, "acc_"+store.NewSuffix())
	}
	one := func(of ...string) string { return of[rnd.IntN(len(of))] }
	now := w.clock.Now()
	for range 25 {
		err := w.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			for rec, err := range ledgerRows(tx, in.ID) {
				if err != nil {
					return err
				}
				if rnd.IntN(3) > 0 {
					continue
				}
				v := rec.Value
				v.State, v.Batch, v.NoAnswer = one(append(slices.Clone(siteStates), FailedSite, HandedBack, Passed)...), one("", "1", "2"), rnd.IntN(4) == 0
				v.At = now.Add(-time.Duration(rnd.IntN(144)) * time.Hour)
				if err := rows.Put(tx, rec.ID, v, rec.Version); err != nil {
					return err
				}
			}
			for range rnd.IntN(5) {
				v := Row{Incident: in.ID, Site: one("sit_", "sit_odd") + store.NewSuffix(), Account: one(accounts...), State: one(siteStates...), At: now, By: "stf_ann"}
				if err := rows.Put(tx, rowID(in.ID, v.Site), v, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = w.DB.View(ctx, func(tx *store.Tx) error {
			asOf, silence := tx.Now(), w.Policy.NoAnswer
			sites := map[string][]string{}
			if rnd.IntN(2) == 0 { // by account before it is by site
				for a, err := range w.affectedAccounts(tx, in.ID, "") {
					if err != nil {
						return err
					}
					sites[a.account] = a.sites
				}
			}
			got, err := w.ledger(tx, in.ID, Incident{Loaded: true})
			if err != nil {
				return err
			}
			total, restored, silent, open, byState, of := 0, 0, 0, map[string]int{}, map[string]int{}, map[string][]string{}
			for rec, err := range ledgerRows(tx, in.ID) {
				if err != nil {
					return err
				}
				v := rec.Value
				of[v.Account] = append(of[v.Account], v.Site)
				quiet := v.State == Passed && asOf.Sub(v.At) >= silence
				if quiet {
					v.State = HandedBack
				}
				total++
				byState[v.State]++
				if v.State != HandedBack {
					open[v.Account]++
				} else if restored++; quiet || v.NoAnswer {
					silent++
				}
			}
			s := got.Sites
			if s.Total != total || s.Restored != restored || s.NoAnswer != silent || s.Confirmed != restored-silent || !maps.Equal(s.ByState, byState) ||
				got.Customers.Total != len(of) || got.Customers.Restored != len(of)-len(open) {
				t.Errorf("counted %+v; the rows say %d sites, %d restored, %d of them silent, %v, of %d customers %d restored", *got, total, restored, silent, byState, len(of), len(of)-len(open))
			}
			for account, all := range sites {
				slices.Sort(all)
				if slices.Sort(of[account]); !slices.Equal(all, of[account]) {
					t.Errorf("%s has %v, not %v", account, all, of[account])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDecideMove(t *testing.T) {
	all := append([]string{}, siteStates...)
	all = append(all, FailedSite)
	for _, from := range all {
		for _, to := range all {
			for _, finish := range []bool{false, true} {
				for _, reason := range []string{"", "why"} {
					got := decideMove(from, to, finish, reason)
					if got == moveIt && !finish && (strings.Contains("verifying passed handed_back", to) || strings.Contains("passed handed_back", from)) {
						t.Errorf("%s to %s without the right", from, to)
					}
					if got == moveIt && to == HandedBack && from != Passed {
						t.Errorf("%s to %s skips the check", from, to)
					}
					if got == moveIt && reason == "" && strings.Contains("passed handed_back", to) {
						t.Errorf("%s to %s without a reason", from, to)
					}
					if got != moveIt && got != keepIt && got.said(from, to) == "" {
						t.Errorf("%s to %s: %s has no words", from, to, got)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		from, to string
		finish   bool
		reason   string
		want     decision
	}{
		{Lost, Restoring, false, "", moveIt}, {Lost, Rebuilt, false, "", moveIt}, {Restoring, Rebuilt, false, "", moveIt}, {FailedSite, Restoring, false, "", moveIt},
		{Rebuilt, Restoring, false, "", needsReason}, {Rebuilt, Restoring, false, "bad disk", moveIt}, {Rebuilt, FailedSite, false, "", moveIt},
		{Rebuilt, Verifying, false, "", mayNotFinish}, {Rebuilt, Verifying, true, "", moveIt}, {Lost, Verifying, true, "", skipsRebuilt}, {FailedSite, Passed, true, "x", skipsRebuilt},
		{Verifying, Rebuilt, false, "x", moveIt}, {Verifying, Passed, true, "", needsReason}, {Verifying, Passed, true, "x", moveIt}, {Rebuilt, Passed, true, "x", moveIt},
		{Passed, HandedBack, true, "x", moveIt}, {Rebuilt, HandedBack, true, "x", skipsCheck}, {HandedBack, Restoring, true, "x", moveIt},
		{HandedBack, FailedSite, true, "", needsReason}, {HandedBack, Restoring, false, "x", mayNotFinish}, {Lost, Lost, false, "", keepIt}, {Lost, "gone", true, "x", unknownState}, {Lost, "", true, "x", unknownState},
	} {
		if got := decideMove(c.from, c.to, c.finish, c.reason); got != c.want {
			t.Errorf("%s to %s (finish %v, reason %q): %s, not %s", c.from, c.to, c.finish, c.reason, got, c.want)
		}
	}
}

func TestARowKeepsItsHistory(t *testing.T) {
	w := Row{State: Lost, At: noon, By: "tok_load"}
	early, late, ahead := noon.Add(-time.Hour), noon.Add(time.Hour), noon.Add(3*time.Hour)
	w, d := w.moved(MoveLine{State: Restoring, At: &early, By: "eng 7"}, Mover{By: "tok_auto"}, noon)
	if d != moveIt || !w.At.Equal(early) || w.By != "tok_auto" || w.Worker != "eng 7" || len(w.History) != 1 || w.History[0].By != "tok_load" {
		t.Errorf("a set may be loaded after the work began: %s %+v", d, w)
	}
	if _, d := w.moved(MoveLine{State: Rebuilt, At: &ahead}, Mover{}, late); d != liesAhead {
		t.Error(d)
	}
	before := early.Add(-time.Minute)
	if _, d := w.moved(MoveLine{State: Rebuilt, At: &before}, Mover{}, late); d != beforeLast {
		t.Error(d)
	}
	same, d := w.moved(MoveLine{State: Restoring, Note: "slow disk"}, Mover{By: "x"}, late)
	if d != moveIt || len(same.History) != 1 || same.Note != "slow disk" || same.By != "tok_auto" || !same.At.Equal(early) {
		t.Errorf("a note moves nothing else: %s %+v", d, same)
	}
	if _, d := same.moved(MoveLine{State: Restoring, Note: "slow disk"}, Mover{By: "x"}, late); d != keepIt {
		t.Error(d)
	}
	for i := range mostMoves + 2 {
		w, d = w.moved(MoveLine{State: []string{Rebuilt, Restoring}[i%2], Reason: "again"}, Mover{By: "x"}, late)
	}
	if d != movedTooOften || len(w.History) != mostMoves {
		t.Errorf("%s after %d moves", d, len(w.History))
	}
}

func FuzzAffectedFile(f *testing.F) {
	f.Add(CSV, []byte("\ufeffsite_id,state,batch\nS-1,lost,b1\r\n\"S,2\",,\n\"S-3\n"))
	f.Add(JSONLines, []byte("{\"site_id\":\"S-1\"}\n{\"site_id\":7}\n\n[]\n"))
	f.Add(CSV, bytes.Repeat([]byte("x"), maxLine+10))
	f.Fuzz(func(t *testing.T, format string, file []byte) {
		lines, report, err := parseAffected(format, bytes.NewReader(file))
		if err == nil && len(lines)+len(report.Rejected)+report.RejectedMore != report.Rows {
			t.Errorf("%d lines and %d refused are not %d rows", len(lines), len(report.Rejected)+report.RejectedMore, report.Rows)
		}
		for _, l := range lines {
			if len(l.bad()) > 0 || l.Line < 1 {
				t.Errorf("%+v was taken", l)
			}
		}
		for _, rej := range report.Rejected {
			if rej.Reason == "" || rej.Line < 1 {
				t.Errorf("%+v says nothing", rej)
			}
			if _, hidden := hiddenIn(rej.SiteID+rej.Reason+rej.Field, false); hidden {
				t.Errorf("hidden characters come back: %+v", rej)
			}
		}
	})
}

func FuzzMoveLine(f *testing.F) {
	f.Add([]byte(`{"site_id":"S-1","state":"rebuilt","at":"2022-04-05T09:17:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, bad := parseMove(numbered{n: 1, text: line})
		if len(bad) == 0 && (l.SiteID == "" || l.State == "") {
			t.Errorf("%+v", l)
		}
		w, d := Row{State: Rebuilt, At: noon}.moved(l, Mover{By: "x"}, noon)
		if len(bad) == 0 && d == moveIt && (w.State == Passed || w.State == HandedBack || w.State == Verifying) {
			t.Errorf("moved to %s without the right", w.State)
		}
	})
}
