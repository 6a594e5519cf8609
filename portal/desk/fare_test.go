package desk_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// full is a store that keeps no ticket while its disk is full, say.
type full struct {
	store.Engine
	on atomic.Bool
}

func (e *full) Update(ctx context.Context, fn func(store.Snapshot) (store.Writes, error)) error {
	return e.Engine.Update(ctx, func(s store.Snapshot) (store.Writes, error) {
		w, err := fn(s)
		if err == nil && e.on.Load() && slices.ContainsFunc(w, func(w store.Write) bool { return w.Kind == "ticket" }) {
			err = fault.New(fault.Unavailable, "there is no room")
		}
		return w, err
	})
}

// A ticket that is not kept has taken nothing of what its source and its address may have.
func TestATicketAndWhatItTakesAreOneTransaction(t *testing.T) {
	var disk *full
	behind(t, func(t *testing.T, kinds []store.Kind, fn func(*testing.T, *store.DB), _ ...storetest.Option) {
		disk = &full{Engine: storetest.Bolt(t)}
		db, err := store.Open(t.Context(), disk, store.Options{Keys: storetest.Keys(t), Kinds: kinds})
		if err != nil {
			t.Fatal(err)
		}
		fn(t, db)
	}, func(c counter) {
		c.Policy.Flood.Source = 1
		c.Policy.Texts.Number = 1
		in := desk.Intake{Message: "Our site is gone", Phone: "+12025550111", Fare: desk.Fare{Source: "203.0.113.1"}}
		disk.on.Store(true)
		for range 3 {
			if _, err := c.File(c.Context(), "public:web", in); fault.Of(err) != fault.Unavailable {
				c.Fatal(err)
			}
		}
		disk.on.Store(false)
		if r, err := c.File(c.Context(), "public:web", in); err != nil || r.Told != "sms" {
			c.Errorf("tickets that were not kept have used something up: %+v, %v", r, err)
		}
	})
}

// However many come to two replicas from one source and from one mail domain at once, so many are filed as the source may, with so many receipts as the domain may have; and what is
// refused costs its source a try.
func TestManyAtOnceTakeNoMoreThanTheyMay(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		key, err := auth.OpenKey(filepath.Join(c.TempDir(), "keys"), true)
		if err != nil {
			c.Fatal(err)
		}
		c.Signing = desk.Signing{Sign: key.SignLink, Read: key.OpenLink}
		c.Policy.Flood = desk.FloodPolicy{Source: 4, Confirmed: 20, Busy: 1000}
		c.Policy.MailHourly = 3
		replicas := []*desk.Desk{c.Desk, {DB: c.DB, Book: c.Book, Comms: c.Comms, Policy: c.Policy, Log: c.Log, Signing: c.Signing}}
		var n atomic.Int64
		file := func(email string, f desk.Fare) (desk.Receipt, desk.Owing, error) {
			r, err := replicas[n.Add(1)%2].File(ctx, "public:web", desk.Intake{Message: "Our site is gone", Email: email, Fare: f})
			var owes desk.Owing
			if errors.As(err, &owes) {
				err = nil
			}
			return r, owes, err
		}
		one := desk.Fare{Source: "203.0.113.1"}
		at := func(f desk.Fare, many int) (filed, told int, owed []desk.Owing) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := range many {
				all.Go(func() {
					r, owes, err := file(fmt.Sprintf("p%d@crowd.example", i), f)
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
		filed, told, owed := at(one, 10)
		if filed != 4 || told != 3 || len(owed) != 6 {
			c.Fatalf("of 10 at once %d were filed, %d of them with a receipt, and %d were asked to confirm", filed, told, len(owed))
		}
		// What was paid with pays for one.
		c.passed.Add(int64(4 * time.Second))
		paid := desk.Fare{Source: one.Source, Token: owed[0].Token}
		if filed, _, owed := at(paid, 5); filed != 1 || len(owed) != 4 {
			c.Errorf("with one token %d were filed and %d asked again", filed, len(owed))
		}
		// What is wrong counts too: else a source that is never right could go on for nothing.
		two := desk.Fare{Source: "203.0.113.2"}
		for range c.Policy.Flood.Source {
			if _, err := c.File(ctx, "public:web", desk.Intake{Fare: two}); fault.Of(err) != fault.Invalid {
				c.Fatal(err)
			}
		}
		if _, owes, err := file("kim@acme.example", two); err != nil || owes.Token == "" {
			c.Errorf("nothing was counted: %+v, %v", owes, err)
		}
	})
}
