package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
)

// wait is a Write of a new job in a lane; due zero: never.
func wait(id, lane string, due time.Time) store.Write {
	w := put(id, 0, "o", "")
	w.Kind, w.Tuples, w.Lane, w.Due = "job", w.Tuples[:1], lane, due
	return w
}

// succeed is the next version of a job, which says lane and due of its own.
func succeed(m store.Meta, lane string, due time.Time) store.Write {
	w := wait(m.ID, lane, due)
	w.Was, w.Version = m.Version, m.Version+1
	w.Holder, w.Epoch = m.Holder, m.Epoch
	return w
}

// touch changes the lease alone.
func touch(m store.Meta, what store.Lasting) store.Write {
	return store.Write{Kind: "job", Raw: store.Raw{Meta: store.Meta{ID: m.ID, Holder: m.Holder, Epoch: m.Epoch}}, Touch: true, Lease: what}
}

func (e bare) claim(holder, lane string, d time.Duration, limit int) []store.Raw {
	e.t.Helper()
	got, err := e.Claim(e.t.Context(), store.Lease{Kind: "job", Lane: lane, Holder: holder, For: d, Limit: limit})
	if err != nil {
		e.t.Fatalf("claim: %v", err)
	}
	return got
}

func (e bare) claimOne(holder, lane string, d time.Duration) store.Meta {
	e.t.Helper()
	var got []store.Raw
	eventually(e.t, "a job in lane "+lane, func() bool {
		got = e.claim(holder, lane, d, 1)
		return len(got) == 1
	})
	return got[0].Meta
}

func (e bare) wantClaims(lane string, want ...string) {
	e.t.Helper()
	var got []string
	for _, raw := range e.claim("any", lane, time.Hour, 100) {
		got = append(got, raw.ID)
	}
	if !slices.Equal(got, want) {
		e.t.Errorf("claims in lane %q: %q, want %q", lane, got, want)
	}
}

var leaseTests = []test{
	{"a claim takes what is due in its lane, the oldest first", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		now := time.Now()
		gone := wait("job_gone", "a", now.Add(-time.Hour))
		gone.Deleted, gone.Tuples = created, nil
		e.mustWrite(wait("job_3", "a", now.Add(-time.Minute)), wait("job_1", "a", now.Add(-2*time.Hour)), wait("job_2", "a", now.Add(-time.Hour)),
			wait("job_0", "b", now.Add(-3*time.Hour)), wait("job_later", "a", now.Add(time.Hour)), wait("job_never", "a", time.Time{}), gone,
			wait("job_other", "a\xff", now.Add(-time.Hour)), wait("job_ancient", "c", time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)),
			wait("job_future", "c", now.Add(time.Hour)))
		before := e.mustGet("job", "job_1")
		first := e.claim("worker 1", "a", time.Hour, 2)
		if len(first) != 2 || first[0].ID != "job_1" || first[1].ID != "job_2" {
			t.Fatalf("claimed %+v", first)
		}
		after := e.mustGet("job", "job_1")
		for _, m := range []store.Meta{first[0].Meta, after.Meta} {
			if m.Holder != "worker 1" || m.Epoch != 1 || m.Lane != "a" || m.Version != 1 || !m.Created.Equal(before.Created) || !m.Updated.Equal(before.Updated) {
				t.Errorf("claimed %+v", m)
			}
			if d := m.Due.Sub(now); d < 50*time.Minute || d > 70*time.Minute {
				t.Errorf("the lease ends in %v", d)
			}
			if m.Due.Location() != time.UTC || m.Due.Nanosecond()%1000 != 0 {
				t.Errorf("the lease ends at %v", m.Due)
			}
		}
		if string(after.Body) != string(before.Body) {
			t.Errorf("body %q, was %q", after.Body, before.Body)
		}
		e.wantClaims("a", "job_3")
		e.wantClaims("a")
		e.wantClaims("b", "job_0")
		e.wantClaims("c", "job_ancient")
		e.wantClaims("nobody's")
		e.wantIDs(store.Range{Kind: "job", Index: "order"}, "job_0", "job_1", "job_2", "job_3", "job_ancient", "job_future", "job_later", "job_never", "job_other")
	}},
	{"a lease that ends is another's, and the old holder is fenced off", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(wait("job_a", "", time.Now().Add(-time.Hour)))
		first := e.claimOne("worker 1", "", 5*time.Millisecond)
		second := e.claimOne("worker 2", "", time.Hour)
		if first.Epoch != 1 || second.Epoch != 2 || second.Holder != "worker 2" {
			t.Fatalf("%+v then %+v", first, second)
		}
		for _, what := range []store.Lasting{store.LeaseFence, store.LeaseRelease, store.LeaseRenew} {
			e.wantWrite(store.ErrFenced, put("pln_a", 0, "", ""), touch(first, what))
			w := succeed(first, "", time.Time{})
			w.Lease = what
			e.wantWrite(store.ErrFenced, w)
			gone := w
			gone.Remove = true
			e.wantWrite(store.ErrFenced, gone)
		}
		wrong := second
		wrong.Holder = "worker 1"
		e.wantWrite(store.ErrFenced, touch(wrong, store.LeaseFence))
		wrong.Holder = ""
		e.wantWrite(store.ErrFenced, touch(wrong, store.LeaseFence))
		missing := second
		missing.ID = "job_none"
		e.wantWrite(store.ErrFenced, touch(missing, store.LeaseRelease))
		e.wantGone("plain", "pln_a")
		e.mustWrite(put("pln_a", 0, "", ""), touch(second, store.LeaseFence))
		if m := e.mustGet("job", "job_a").Meta; m.Holder != "worker 2" || m.Epoch != 2 || m.Version != 1 || !m.Due.Equal(second.Due) {
			t.Errorf("a fence changed the record: %+v", m)
		}
	}},
	{"nobody holds what was never claimed", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(wait("job_a", "", time.Now().Add(-time.Hour)))
		e.wantWrite(store.ErrFenced, touch(store.Meta{ID: "job_a"}, store.LeaseFence))
		w := wait("job_b", "", time.Time{})
		w.Lease = store.LeaseFence
		e.wantWrite(store.ErrFenced, w)
		p := put("pln_a", 0, "", "")
		p.Lease = store.LeaseFence
		e.wantWrite(store.ErrFenced, p)
	}},
	{"a write keeps the lease on a held record", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(wait("job_a", "lane", time.Now().Add(-time.Hour)))
		held := e.claimOne("worker", "lane", time.Hour)
		stranger := held
		stranger.Holder, stranger.Epoch = "", 0 // read before the claim
		for i, m := range []store.Meta{held, stranger} {
			m.Version = int64(i + 1)
			e.mustWrite(succeed(m, "elsewhere", time.Now().Add(-time.Hour)))
			got := e.mustGet("job", "job_a").Meta
			if got.Version != int64(i+2) || got.Holder != "worker" || got.Epoch != 1 || got.Lane != "lane" || !got.Due.Equal(held.Due) {
				t.Errorf("after write %d: %+v", i, got)
			}
		}
		m := held
		m.Version = 3
		fenced := succeed(m, "elsewhere", time.Now())
		fenced.Lease = store.LeaseFence
		e.mustWrite(fenced)
		if got := e.mustGet("job", "job_a").Meta; got.Holder != "worker" || got.Lane != "lane" || !got.Due.Equal(held.Due) || got.Version != 4 {
			t.Errorf("after a fenced write: %+v", got)
		}
		e.wantClaims("elsewhere")
	}},
	{"a write moves what nobody holds", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		past := time.Now().Add(-time.Hour)
		e.mustWrite(wait("job_a", "a", past))
		e.mustWrite(succeed(e.mustGet("job", "job_a").Meta, "b", past))
		e.wantClaims("a")
		e.wantClaims("b", "job_a")
		e.mustWrite(wait("job_b", "b", past))
		e.mustWrite(succeed(e.mustGet("job", "job_b").Meta, "b", time.Time{}))
		e.wantClaims("b")
		if m := e.mustGet("job", "job_b").Meta; !m.Due.IsZero() || m.Lane != "b" {
			t.Errorf("%+v", m)
		}
	}},
	{"a release says where the record waits next", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		past := time.Now().Add(-time.Hour)
		e.mustWrite(wait("job_a", "a", past), wait("job_b", "a", past))
		held := e.claim("worker", "a", time.Hour, 2)
		release := touch(held[0].Meta, store.LeaseRelease)
		release.Lane, release.Due = "b", past
		write := succeed(held[1].Meta, "b", past.Add(time.Minute))
		write.Lease = store.LeaseRelease
		e.mustWrite(release, write)
		for i, id := range []string{"job_a", "job_b"} {
			if m := e.mustGet("job", id).Meta; m.Holder != "" || m.Epoch != 1 || m.Lane != "b" || m.Version != int64(i+1) {
				t.Errorf("released: %+v", m)
			}
		}
		e.wantWrite(store.ErrFenced, touch(held[0].Meta, store.LeaseFence))
		e.wantWrite(store.ErrFenced, release)
		e.wantClaims("a")
		again := e.claim("worker", "b", time.Hour, 2)
		if len(again) != 2 || again[0].ID != "job_a" || again[0].Epoch != 2 || again[1].Epoch != 2 {
			t.Fatalf("claimed again: %+v", again)
		}
		done := touch(again[0].Meta, store.LeaseRelease) // due zero: never again
		e.mustWrite(done)
		e.wantClaims("")
		if m := e.mustGet("job", "job_a").Meta; !m.Due.IsZero() || m.Holder != "" {
			t.Errorf("done: %+v", m)
		}
	}},
	{"a renewal lasts from now", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		e.mustWrite(wait("job_a", "a", time.Now().Add(-time.Hour)), wait("job_b", "a", time.Now().Add(-time.Hour)))
		held := e.claim("worker", "a", time.Minute, 2)
		renewal := touch(held[0].Meta, store.LeaseRenew)
		renewal.Renew = time.Hour
		write := succeed(held[1].Meta, "elsewhere", time.Time{})
		write.Lease, write.Renew = store.LeaseRenew, time.Hour
		e.mustWrite(renewal, write)
		for _, id := range []string{"job_a", "job_b"} {
			m := e.mustGet("job", id).Meta
			if d := time.Until(m.Due); d < 50*time.Minute || d > 70*time.Minute {
				t.Errorf("%s: the renewed lease ends in %v", id, d)
			}
			if m.Holder != "worker" || m.Epoch != 1 || m.Lane != "a" || m.Due.Nanosecond()%1000 != 0 {
				t.Errorf("renewed: %+v", m)
			}
		}
		soon := touch(held[0].Meta, store.LeaseRenew)
		soon.Renew = time.Millisecond
		e.mustWrite(soon)
		if again := e.claimOne("other", "a", time.Hour); again.ID != "job_a" || again.Epoch != 2 {
			t.Errorf("claimed %+v", again)
		}
	}},
	{"what is deleted or removed is not claimed", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		past := time.Now().Add(-time.Hour)
		e.mustWrite(wait("job_a", "", past), wait("job_b", "", past), wait("job_c", "", past))
		gone := succeed(e.mustGet("job", "job_a").Meta, "", past)
		gone.Deleted, gone.Tuples = created, nil
		out := succeed(e.mustGet("job", "job_b").Meta, "", past)
		out.Remove = true
		e.mustWrite(gone, out)
		held := e.claimOne("worker", "", time.Hour)
		if held.ID != "job_c" {
			t.Fatalf("claimed %+v", held)
		}
		gone = succeed(held, "", past) // deleted under a lease
		gone.Deleted, gone.Tuples = created, nil
		e.mustWrite(gone)
		release := touch(held, store.LeaseRelease)
		release.Due = past
		e.mustWrite(release)
		e.wantClaims("")
	}},
	{"odd lanes and holders", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		past := time.Now().Add(-time.Hour)
		lanes := []string{"", "a", "a b", "a\x00", "a\x00b", "\x00", "\xff", "ü", "A"}
		for i, lane := range lanes {
			e.mustWrite(wait(fmt.Sprintf("job_%d", i), lane, past))
		}
		for i, lane := range lanes {
			if got := e.claim("\xff\x00 ü'", lane, time.Hour, 10); len(got) != 1 || got[0].ID != fmt.Sprintf("job_%d", i) || got[0].Lane != lane || got[0].Holder != "\xff\x00 ü'" {
				t.Errorf("lane %q: %+v", lane, got)
			}
		}
	}},
	{"many workers claim apart from each other", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		const jobs, workers = 600, 8
		var all store.Writes
		for i := range jobs {
			all = append(all, wait(fmt.Sprintf("job_%04d", i), "lane", time.Now().Add(-time.Hour).Add(time.Duration(i/10)*time.Millisecond)))
		}
		e.mustWrite(all...)
		var mu sync.Mutex
		owner := map[string]string{}
		var wg sync.WaitGroup
		for n := range workers {
			wg.Go(func() {
				me := fmt.Sprintf("worker %d", n)
				for {
					got, err := e.Claim(t.Context(), store.Lease{Kind: "job", Lane: "lane", Holder: me, For: time.Hour, Limit: 7})
					if err != nil {
						t.Errorf("claim: %v", err)
						return
					}
					mu.Lock()
					for _, raw := range got {
						if other := owner[raw.ID]; other != "" {
							t.Errorf("%s and %s both have %s", me, other, raw.ID)
						}
						if raw.Epoch != 1 || raw.Holder != me {
							t.Errorf("%s has %+v", me, raw.Meta)
						}
						owner[raw.ID] = me
					}
					all := len(owner) == jobs
					mu.Unlock()
					if all {
						return
					}
				}
			})
		}
		wg.Wait()
		if len(owner) != jobs {
			t.Errorf("%d of %d claimed, by %v", len(owner), jobs, slices.Sorted(maps.Values(owner)))
		}
	}},
	{"every job is done once, however often leases end", func(t *testing.T, fresh func(testing.TB) store.Engine) {
		e := openBare(t, fresh)
		const jobs, workers = 40, 6
		var all store.Writes
		for i := range jobs {
			all = append(all, wait(fmt.Sprintf("job_%04d", i), "", time.Now().Add(-time.Hour)), put(fmt.Sprintf("pln_%04d", i), 0, "", ""))
		}
		e.mustWrite(all...)
		var wg sync.WaitGroup
		for n := range workers {
			wg.Go(func() {
				me := fmt.Sprintf("worker %d", n)
				until := time.Now().Add(patience)
				for time.Now().Before(until) {
					d := 2 * time.Second
					if n%2 == 0 {
						d = time.Microsecond // loses its lease most of the time
					}
					got, err := e.Claim(t.Context(), store.Lease{Kind: "job", Holder: me, For: d, Limit: 3})
					if err != nil {
						t.Errorf("claim: %v", err)
						return
					}
					for _, raw := range got {
						err := e.Update(t.Context(), func(s store.Snapshot) (store.Writes, error) {
							mark, err := s.Get("plain", strings.Replace(raw.ID, "job", "pln", 1))
							if err != nil {
								return nil, err
							}
							release := touch(raw.Meta, store.LeaseRelease)
							return store.Writes{release, put(mark.ID, mark.Version, "done", "")}, nil
						})
						if err != nil && !errors.Is(err, store.ErrFenced) {
							t.Errorf("settle: %v", err)
							return
						}
					}
					if len(got) == 0 {
						n, err := 0, e.View(t.Context(), func(s store.Snapshot) error {
							for raw, err := range s.Scan(store.Range{Kind: "job"}) {
								if err != nil || !raw.Due.IsZero() {
									return errOurs
								}
							}
							return nil
						})
						if n == 0 && err == nil {
							return
						}
					}
				}
				t.Errorf("%s did not see the end", me)
			})
		}
		wg.Wait()
		for i := range jobs {
			if mark := e.mustGet("plain", fmt.Sprintf("pln_%04d", i)); mark.Version != 2 {
				t.Errorf("job %d was done %d times", i, mark.Version-1)
			}
		}
	}},
}
