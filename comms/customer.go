package comms

import (
	"context"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Customer is what this room knows of one account while incidents go on.
type Customer struct {
	Places []Place           // where its sites stand, in the incidents that are open, newest incident first
	Tasks  []store.Rec[Task] // what is owed to it, the task due first in front
	Said   []Word            // the last updates of those incidents that it was told, newest first
}

// Place is where a site stands in an incident.
type Place struct {
	Incident string
	Title    string // of the incident
	Site     string
	State    string
	NoAnswer bool // counts as handed back because the customer stayed silent
	At       time.Time
}

// Word is an update with what became of it on the way to one account.
type Word struct {
	Update   string
	Incident string
	Number   int
	Headline string
	At       time.Time
	Told     []Told // addresses in full
	More     bool   // there are further deliveries
}

// Bounds of a Customer.
const (
	mostTasksShown = 50
	mostSaid       = 3 // of each incident
	mostTold       = 50
)

// Customer reads what is known of an account (our id).
func (r *Room) Customer(ctx context.Context, account string) (c Customer, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		c = Customer{}
		open, err := r.OpenIncidents(tx)
		if err != nil {
			return err
		}
		for _, in := range open {
			if err := r.placesIn(tx, in, account, &c); err != nil {
				return err
			}
			if err := saidTo(tx, in.ID, account, &c); err != nil {
				return err
			}
		}
		c.Tasks, _, err = tasks.List(tx, store.Query{Index: "account", Equal: []any{account, Open}, Limit: mostTasksShown})
		return err
	})
	return c, err
}

func (r *Room) placesIn(tx *store.Tx, in store.Rec[Incident], account string, c *Customer) error {
	for rec, err := range rows.Scan(tx, store.Query{Index: "account", Equal: []any{in.ID, account}, Limit: contacts.MaxView}) {
		if err != nil {
			return err
		}
		state, noAnswer := rec.Value.standing(tx.Now(), r.Policy.NoAnswer)
		c.Places = append(c.Places, Place{Incident: in.ID, Title: in.Value.Title, Site: rec.Value.Site, State: state, NoAnswer: noAnswer, At: rec.Value.At})
	}
	return nil
}

// saidTo finds the last updates of an incident that were for an account, by the keys of its deliveries.
func saidTo(tx *store.Tx, incident, account string, c *Customer) error {
	found := 0
	for rec, err := range updates.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, Reverse: true, Limit: 4 * mostSaid}) {
		if err != nil {
			return err
		}
		u := rec.Value
		if u.Notice == "" || u.PublishedAt == nil {
			continue
		}
		w := Word{Update: rec.ID, Incident: incident, Number: u.Number, Headline: u.Statement.Headline, At: *u.PublishedAt}
		for pass := passApproved; pass <= passNobody && !w.More; pass++ {
			if err := w.deliveries(tx, deliveryKey{Notice: suffix(u.Notice), Pass: pass, Account: suffix(account)}); err != nil {
				return err
			}
		}
		if len(w.Told) == 0 {
			continue
		}
		c.Said = append(c.Said, w)
		if found++; found == mostSaid {
			return nil
		}
	}
	return nil
}

func (w *Word) deliveries(tx *store.Tx, of deliveryKey) error {
	for rec, err := range deliveries.Scan(tx, under(of.account())) {
		if err != nil {
			return err
		}
		if len(w.Told) == mostTold {
			w.More = true
			return nil
		}
		t, err := asTold(rec.ID, rec.Value)
		if err != nil {
			return err
		}
		w.Told = append(w.Told, t)
	}
	return nil
}

// OutreachOf finds the open outreach of an incident to each of some accounts.
func (r *Room) OutreachOf(ctx context.Context, incident string, accounts []string) (all map[string]store.Rec[Task], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = map[string]store.Rec[Task]{}
		for _, account := range accounts {
			rec, err := tasks.First(tx, openTask(Outreach, outreachOf(incident, account)))
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			all[account] = rec
		}
		return nil
	})
	return all, err
}
