package desk_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// hospital is a campaign of the size of April 2022: sites come back in batches of 60, and three shifts of 150 check them round the clock. Some vanish with
// a check in their hands, some find that a site is broken, and at the end of a shift whoever still has one has named who goes on.
type hospital struct {
	ward
	mu     sync.Mutex
	chance *rand.Rand
	holds  map[string]string // check: who has it, as those who claim and hand over know it
	hands  map[string]*hand  // by person
	passed map[string]int    // how often a check was told that it passed
	broken []int             // sites that go back
	number map[string]int    // of a check's site
	double int
}

// hand is one engineer with what she has.
type hand struct {
	who   int
	id    string
	epoch int64
	left  int  // ticks until she is done
	gone  bool // she never says a word again about this one
}

const shiftCrew, shiftLong, shiftTick = 150, 8 * time.Hour, 15 * time.Minute

func crewOf(shift int) (people []int) {
	for i := range shiftCrew {
		people = append(people, (shift%3)*shiftCrew+i)
	}
	return people
}

func engineer(i int) string { return fmt.Sprintf("engineer-%03d", i) }

func (h *hospital) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.chance.IntN(n)
}

// act is what one engineer on shift does in a tick.
func (h *hospital) act(ctx context.Context, who int, ends time.Time) error {
	name := engineer(who)
	h.mu.Lock()
	mine := h.hands[name]
	h.mu.Unlock()
	if mine == nil {
		got, err := h.ClaimChecks(ctx, checker(name), desk.Claim{ShiftEnds: &ends, Successor: "stf_" + engineer((who+shiftCrew)%(3*shiftCrew))})
		if err != nil || len(got) == 0 {
			return err
		}
		now := &hand{who: who, id: got[0].ID, epoch: got[0].Value.Epoch, left: h.draw(4) / 3, gone: h.draw(40) == 0}
		h.mu.Lock()
		defer h.mu.Unlock()
		if was := h.holds[now.id]; was != "" {
			h.double++
		}
		h.holds[now.id], h.hands[name] = name, now
		return nil
	}
	if mine.gone {
		return nil
	}
	if mine.left > 0 {
		mine.left--
		_, err := h.Beat(ctx, checker(name), mine.id, desk.Written{Epoch: mine.epoch, Results: map[string]comms.Result{"opens": {State: comms.ItemDone}}})
		return err
	}
	s := passed()
	if h.draw(10) == 0 {
		s = desk.Submission{Verdict: desk.VerdictFailed, Code: "data_missing", Written: desk.Written{Results: map[string]comms.Result{"newest": {State: comms.ItemFailed}}}}
	}
	s.Epoch = mine.epoch
	h.mu.Lock()
	delete(h.holds, mine.id) // whoever takes it next may be faster than this answer
	h.mu.Unlock()
	rec, err := h.Submit(ctx, checker(name), mine.id, s)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.hands, name)
	switch rec.Value.State {
	case desk.CheckPassed:
		h.passed[mine.id]++
	case desk.CheckFailed:
		h.broken = append(h.broken, h.number[rec.Value.Site])
	}
	return nil
}

// settle takes over what a sweep returned or handed on.
func (h *hospital) settle(ctx context.Context) {
	h.Helper()
	if err := h.SweepChecks(ctx); err != nil {
		h.Fatal(err)
	}
	holds, hands := map[string]string{}, map[string]*hand{}
	for _, state := range []string{desk.CheckLeased, desk.Checking, desk.CheckSecond} {
		for after := ""; ; {
			page, next, err := h.ListChecks(ctx, desk.CheckFilter{Incident: h.incident, State: state, After: after, Limit: 200})
			if err != nil {
				h.Fatal(err)
			}
			for _, rec := range page {
				name := rec.Value.Holder[len("stf_"):]
				if have := h.hands[name]; have != nil && have.id == rec.ID && have.epoch == rec.Value.Epoch {
					holds[rec.ID], hands[name] = name, have
					continue
				}
				who := 0
				if _, err := fmt.Sscanf(name, "engineer-%03d", &who); err != nil {
					h.Fatal(err)
				}
				holds[rec.ID], hands[name] = name, &hand{who: who, id: rec.ID, epoch: rec.Value.Epoch}
			}
			if after = next; next == "" {
				break
			}
		}
	}
	h.holds, h.hands = holds, hands
}

// Of 883 sites, and of fewer in the short form, each passes once, with the eyes that it needs and none of them those that rebuilt it; no check is ever in two hands,
// and at a change of shift none is in the hands of anybody who has gone.
func TestThreeShiftsCheckEverySiteOnce(t *testing.T) {
	onBolt(t, func(c counter) {
		sites, batches, rate := 300, 5, 6 // come back a tick: it takes more than a shift
		if os.Getenv("LIFELINE_CRASH") == "1" {
			sites, batches, rate = 883, 15, 18
		}
		ctx := context.Background()
		h := &hospital{ward: c.ward(sites), chance: rand.New(rand.NewPCG(2022, 4)), holds: map[string]string{}, hands: map[string]*hand{}, passed: map[string]int{}, number: map[string]int{}}
		h.Chance = func() float64 { return float64(h.draw(1000)) / 1000 }
		if all, _, err := h.Comms.Sites(ctx, h.incident, comms.SiteQuery{Limit: 1}); err != nil || len(all) != 1 {
			c.Fatal(err)
		}
		began, come, shift := c.DB.Now(), 0, 0
		batchOf := func(i int) string { return fmt.Sprint(i/60 + 1) }
		for tick := 0; ; tick++ {
			now := c.DB.Now()
			if next := int(now.Sub(began) / shiftLong); next > shift {
				shift = next
				h.settle(ctx)
				on := crewOf(shift)
				for id, name := range h.holds {
					if !slices.Contains(on, h.hands[name].who) {
						c.Errorf("after the change to shift %d %s is in the hands of %s, who has gone", shift, id, name)
					}
				}
			} else {
				h.settle(ctx)
			}
			var lines []string
			for range rate {
				if come < sites {
					lines = append(lines, rebuilt(batchOf(come), come)...)
					come++
				}
			}
			for _, i := range h.broken {
				lines = append(lines, rebuilt(batchOf(i), i)...)
			}
			if h.broken = nil; len(lines) > 0 {
				if report := h.move(lines...); report.Rejected > 0 {
					c.Fatalf("%+v", report.Results)
				}
			}
			h.learn(ctx)
			f, err := h.CheckFigures(ctx, h.incident)
			if err != nil {
				c.Fatal(err)
			}
			if f.ByState[desk.CheckPassed] == sites {
				c.Logf("%d ticks, %s, %d leases ran out, %d shifts", tick, now.Sub(began), f.Returned, shift+1)
				if f.Returned == 0 || shift == 0 {
					c.Error("nobody vanished, or no shift ended")
				}
				break
			}
			if tick > 400 {
				c.Fatalf("it does not end: %+v", f)
			}
			var all sync.WaitGroup
			idle := f.Waiting
			busy := slices.DeleteFunc(crewOf(shift), func(who int) bool { // whoever has nothing looks only while something waits
				if h.hands[engineer(who)] != nil {
					return false
				}
				idle--
				return idle < 0
			})
			for _, who := range busy {
				all.Go(func() {
					if err := h.act(ctx, who, began.Add(time.Duration(shift+1)*shiftLong)); err != nil && fault.Of(err) != fault.Fenced {
						c.Errorf("%s: %v", engineer(who), err)
					}
				})
			}
			all.Wait()
			c.pass(shiftTick)
		}
		if h.double > 0 {
			c.Errorf("%d checks were in two hands", h.double)
		}
		for n := range maps.Values(h.passed) {
			if n != 1 {
				c.Errorf("a check passed %d times", n)
			}
		}
		seconds := 0
		for after := ""; ; {
			page, next, err := h.ListChecks(ctx, desk.CheckFilter{Incident: h.incident, After: after, Limit: 200})
			if err != nil {
				c.Fatal(err)
			}
			for _, rec := range page {
				ch := rec.Value
				want := 1
				if ch.Why != "" {
					want = 2
					seconds++
				}
				eyes := slices.Clone(ch.PassedBy)
				slices.Sort(eyes)
				if len(slices.Compact(eyes)) != want || slices.Contains(eyes, "tok_robot") || (ch.Early || ch.Attempt > 1) && want != 2 {
					c.Errorf("%+v", ch)
				}
			}
			if after = next; next == "" {
				break
			}
		}
		if led, err := h.Comms.Ledger(ctx, h.incident); err != nil || led.Sites.Checked != sites || len(h.passed) != sites {
			c.Errorf("%+v %d %v", led.Sites, len(h.passed), err)
		}
		if seconds < batches*3 || seconds == sites {
			c.Errorf("%d sites were looked at twice", seconds)
		}
	})
}

// learn notes which site a check is of, so that one that failed can be rebuilt.
func (h *hospital) learn(ctx context.Context) {
	h.Helper()
	if len(h.number) > 0 {
		return
	}
	for after := ""; ; {
		page, next, err := h.Comms.Sites(ctx, h.incident, comms.SiteQuery{After: after, Limit: 200})
		if err != nil {
			h.Fatal(err)
		}
		for _, rec := range page {
			h.number[rec.Value.Site] = len(h.number)
		}
		if after = next; next == "" {
			return
		}
	}
}
