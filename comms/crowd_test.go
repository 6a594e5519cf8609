package comms

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

func TestManyPeopleAtOnce(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		const many = 8
		var mu sync.Mutex
		numbers := map[int]bool{}
		together(many, func(int) {
			in, err := h.Declare(ctx, "stf_ann", Declare{Title: "Sites deleted", Severity: "P2"})
			if err != nil {
				h.Error(err)
				return
			}
			mu.Lock()
			numbers[in.Value.Number] = true
			mu.Unlock()
		})
		for n := 1; n <= many; n++ {
			if !numbers[n] {
				h.Errorf("no incident %d among %v", n, numbers)
			}
		}

		in := h.declare()
		h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
		u := h.draft(in.ID, h.said())
		if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
			h.Fatal(err)
		}
		published := 0
		together(many, func(i int) {
			if i%2 == 1 {
				site := fmt.Sprintf("S-%d", i/2+1)
				report, err := h.MoveSites(ctx, Mover{By: "tok_auto"}, in.ID, strings.NewReader(`{"site_id":"`+site+`","state":"rebuilt"}`))
				if err != nil || report.Moved != 1 {
					h.Errorf("%+v %v", report, err)
				}
				return
			}
			_, err := h.Publish(ctx, "stf_ann", u.ID, PublishOptions{})
			switch fault.Of(err) {
			case "":
				mu.Lock()
				published++
				mu.Unlock()
			case fault.Conflict, fault.Stale:
			default:
				h.Error(err)
			}
		})
		if published != 1 || len(h.notices("update")) != 1 {
			h.Errorf("published %d times, %d notices", published, len(h.notices("update")))
		}
		if f, err := h.Ledger(ctx, in.ID); err != nil || f.Sites.Rebuilt != 4 {
			h.Errorf("%+v %v", f, err)
		}
	})
}

func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func TestASetOfHundredsIsLoadedMovedAndCounted(t *testing.T) {
	const sites, customers = 600, 350
	houses(t, func(h house) {
		ctx := context.Background()
		var book, set, moves strings.Builder
		book.WriteString("account_id,account,site_id,site,email,role\n")
		set.WriteString("site_id,batch\n")
		for i := range sites {
			fmt.Fprintf(&book, "C-%d,Customer %d,B-%d,Site %d,c%d@example.com,owner\n", i%customers, i%customers, i, i, i%customers)
			fmt.Fprintf(&set, "B-%d,%d\n", i, i/60)
			fmt.Fprintf(&moves, `{"site_id":"B-%d","state":"rebuilt"}`+"\n", i)
		}
		h.load(book.String())
		in := h.declare()
		began := time.Now()
		report, err := h.LoadAffected(ctx, "tok_auto", in.ID, CSV, strings.NewReader(set.String()), false)
		if err != nil || report.Added != sites {
			h.Fatalf("%+v %v", report, err)
		}
		loaded := time.Since(began)
		moved, err := h.MoveSites(ctx, Mover{By: "tok_auto"}, in.ID, strings.NewReader(moves.String()))
		if err != nil || moved.Moved != sites {
			h.Fatalf("%d %v", moved.Moved, err)
		}
		walked := time.Since(began) - loaded
		f, err := h.Ledger(ctx, in.ID)
		if err != nil || f.Sites.Rebuilt != sites || f.Customers.Total != customers {
			h.Errorf("%+v %v", f, err)
		}
		c, err := h.CountAudience(ctx, in.ID, AudienceAffected, []string{ChannelEmail})
		if err != nil || c.People != customers || c.Customers != customers || c.Sites != sites {
			h.Errorf("%+v %v", c, err)
		}
		h.Logf("%d sites: loaded in %v, moved in %v, counted in %v", sites, loaded, walked, time.Since(began)-loaded-walked)
		last, n := "", 0
		h.view(func(tx *store.Tx) error {
			for a, err := range h.affectedAccounts(tx, in.ID, "") {
				if err != nil {
					return err
				}
				if n++; a.account <= last {
					h.Fatalf("%s behind %s", a.account, last)
				}
				last = a.account
			}
			return nil
		})
		if n != customers {
			h.Errorf("%d accounts", n)
		}
	})
}
