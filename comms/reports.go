package comms

import (
	"context"
	"time"

	"lifeline/store"
)

// Often customers know before anybody of the vendor does. Where two people approved beforehand that it may, the page says that reports come in once
// nobody has taken the alarm of them for a while, and that nothing is confirmed. It says neither who wrote nor what: whoever writes to us must not be able to put
// words on the page. It says so until a person has looked, whatever she finds; nobody is sent anything, and no incident is made of it.

// Reports is what the page says of reports that nobody has confirmed.
type Reports struct {
	Since time.Time // when the first alarm of them was raised
	Said  time.Time // since when the page says so
}

// mostBursts bounds how many alarms of reports are looked at: each is one thing that many people say.
const mostBursts = 100

// reportsRule is the rule for reports, where it is in force.
func (r *Room) reportsRule(tx *store.Tx) (rule Rule, on bool, err error) {
	if r.Barred != "" {
		return rule, false, nil
	}
	on, err = r.RuleInForce(tx, RuleReports)
	return r.Policy.Automatic.Rules[RuleReports], on, err
}

// unanswered decides whether the page may speak of an alarm that so many different people have caused.
func (rule Rule) unanswered(t Task, people int, now time.Time) bool {
	return t.What == Burst && t.State == Open && t.Owner == "" && t.SaidAt.IsZero() && people >= rule.People && !now.Before(t.OpenedAt.Add(rule.After))
}

// SayReports has the page say that reports come in, for each open alarm that the rule for it speaks of. people counts the different ones behind an
// alarm, and need not count beyond most.
func (r *Room) SayReports(ctx context.Context, people func(tx *store.Tx, t Task, most int) (int, error)) error {
	due, err := r.unsaid(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	return r.DB.Update(ctx, store.Act{By: ruleOf(RuleReports), Verb: "rule.say"}, func(tx *store.Tx) error {
		rule, on, err := r.reportsRule(tx)
		if err != nil {
			return err
		}
		said := false
		for _, id := range due {
			rec, err := r.TaskIn(tx, id)
			if err != nil {
				return err
			}
			t := rec.Value
			n, err := people(tx, t, rule.People)
			if err != nil {
				return err
			}
			if !on || !rule.unanswered(t, n, tx.Now()) {
				continue
			}
			t.SaidAt, said = tx.Now(), true
			tx.On(id)
			if err := tasks.Put(tx, id, t, rec.Version); err != nil {
				return err
			}
		}
		if !said {
			return store.ErrNothing
		}
		return r.touchPages(tx)
	})
}

// unsaid are the alarms that have waited long enough, however many people are behind them.
func (r *Room) unsaid(ctx context.Context) (due []string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		due = nil
		rule, on, err := r.reportsRule(tx)
		if err != nil || !on {
			return err
		}
		page, _, err := r.Family(tx, Burst, Open, "", mostBursts)
		for _, rec := range page {
			if rule.unanswered(rec.Value, rule.People, tx.Now()) {
				due = append(due, rec.ID)
			}
		}
		return err
	})
	return due, err
}

// reportsSaid is what the page says of reports now.
func (r *Room) reportsSaid(tx *store.Tx) (*Reports, error) {
	if _, on, err := r.reportsRule(tx); err != nil || !on {
		return nil, err
	}
	page, _, err := r.Family(tx, Burst, Open, "", mostBursts)
	if err != nil {
		return nil, err
	}
	var out *Reports
	for _, rec := range page {
		switch t := rec.Value; {
		case t.SaidAt.IsZero():
		case out == nil:
			out = &Reports{Since: t.OpenedAt, Said: t.SaidAt}
		default:
			if t.OpenedAt.Before(out.Since) {
				out.Since = t.OpenedAt
			}
			if t.SaidAt.After(out.Said) {
				out.Said = t.SaidAt
			}
		}
	}
	return out, nil
}
