package desk_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// What a ticket takes of the limits is taken with it or not at all, however many come from one source at once; and what is refused costs its source a try.
func TestATicketAndItsLimitsAreOneTransaction(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		key, err := auth.OpenKey(filepath.Join(c.TempDir(), "keys"), true)
		if err != nil {
			c.Fatal(err)
		}
		c.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
		c.Policy.Flood = desk.FloodPolicy{Source: 6, Confirmed: 20, Busy: 1000}
		c.Policy.MailHourly = 4
		file := func(ctx context.Context, email string, f desk.Fare) (desk.Receipt, desk.Owing, error) {
			r, err := c.File(ctx, "public:web", desk.Intake{Message: "Our site is gone", Email: email, Fare: f})
			var owes desk.Owing
			if errors.As(err, &owes) {
				err = nil
			}
			return r, owes, err
		}
		// A ticket that is not kept takes nothing.
		one := desk.Fare{Source: "203.0.113.1"}
		once := store.NewOnce("public", "POST /support", "k", nil)
		if err := c.DB.Update(store.WithOnce(ctx, once), store.Act{By: "public", Verb: "test"}, func(*store.Tx) error { return nil }); err != nil {
			c.Fatal(err)
		}
		for range 2 * c.Policy.Flood.Source {
			if _, _, err := file(store.WithOnce(ctx, once), "x@lost.example", one); fault.Of(err) != fault.Exists {
				c.Fatal(err)
			}
		}
		// Many at once: so many are filed as the source may, and so many have receipts as their domain may; everybody else is asked to confirm.
		at := func(f desk.Fare, many int) (filed, told int, owed []desk.Owing) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := range many {
				all.Go(func() {
					r, owes, err := file(ctx, fmt.Sprintf("p%d@crowd.example", i), f)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err != nil:
						c.Errorf("ticket %d: %v", i, err)
					case owes.Token != "":
						owed = append(owed, owes)
					default:
						filed++
						if r.Told != "" {
							told++
						}
					}
				})
			}
			all.Wait()
			return filed, told, owed
		}
		filed, told, owed := at(one, 16)
		if filed != 6 || told != 4 || len(owed) != 10 {
			c.Fatalf("of 16 at once %d were filed, %d of them with a receipt, and %d were asked to confirm", filed, told, len(owed))
		}
		// What was paid with pays for one.
		c.passed.Add(int64(4 * time.Second))
		paid := desk.Fare{Source: one.Source, Token: owed[0].Token}
		if filed, _, owed := at(paid, 8); filed != 1 || len(owed) != 7 {
			c.Errorf("with one token %d were filed and %d asked again", filed, len(owed))
		}
		// What is wrong counts too: else a source that is never right could go on for nothing.
		two := desk.Fare{Source: "203.0.113.2"}
		for range c.Policy.Flood.Source {
			if _, err := c.File(ctx, "public:web", desk.Intake{Fare: two}); fault.Of(err) != fault.Invalid {
				c.Fatal(err)
			}
		}
		if _, owes, err := file(ctx, "kim@acme.example", two); err != nil || owes.Token == "" {
			c.Errorf("nothing was counted: %+v, %v", owes, err)
		}
	})
}
