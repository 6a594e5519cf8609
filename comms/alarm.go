package comms

import (
	"context"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Families of tasks that other rooms owe; what stands behind the dot says more.
const (
	Burst      = "burst"      // many people say the same within a short time; of: what they say
	Escalation = "escalation" // with its route behind the dot; of: the ticket that it hangs on
	Call       = "call"       // a talk that was promised; of: the ticket that it hangs on
)

// Soon is the sort of the deadline that reminds of a task before it is due.
const Soon = "soon"

// family is what stands before the dot of a task's sort.
func family(what string) string {
	name, _, _ := strings.Cut(what, ".")
	return name
}

// Alarm is Owe for what somebody must look at now: it is due at once, so its ladder is told; where the policy has none for it, the people whom it names
// internally are, besides those on duty. While such a task is open nothing is told again.
func (r *Room) Alarm(tx *store.Tx, t Task) (string, error) {
	t.Due = tx.Now()
	id, err := r.Owe(tx, t)
	if err != nil || len(r.Policy.ladder(Deadline{What: t.What, Of: id})) > 0 {
		return id, err
	}
	return id, r.tellInternal(tx, templates.MsgDeadline, templates.DeadlineNotice{What: t.What, Of: t.Title, Since: t.Due, URL: r.Vendor.URL + "/desk/tasks/" + id, Rung: 1})
}

// Remind promises that the ladder of Soon is told at a time before a task is due. It is over when the task is.
func (r *Room) Remind(tx *store.Tx, task string, t Task, at time.Time) error {
	return r.promise(tx, Deadline{What: Soon, Of: task, Incident: t.Incident, Title: t.Title, Due: at})
}

// TaskIn reads one task in somebody's transaction.
func (r *Room) TaskIn(tx *store.Tx, id string) (store.Rec[Task], error) {
	t, m, err := tasks.Get(tx, id)
	return store.Rec[Task]{Meta: m, Value: t}, err
}

// EndTask ends an open task in somebody's transaction; state is TaskDone or TaskDropped.
func (r *Room) EndTask(tx *store.Tx, id, state, by, reason string) error {
	t, m, err := tasks.Get(tx, id)
	if err != nil {
		return err
	}
	if t.State != Open {
		return fault.New(fault.Conflict, "this task is %s already", t.State)
	}
	_, err = r.endTask(tx, store.Rec[Task]{Meta: m, Value: t}, state, by, reason)
	return err
}

// lookedBack bounds how many tasks are looked at for the last of its kind.
const lookedBack = 50

// LastOf is the task of a family in a state that is due last of those that are wanted; fault.NotFound says that there is none among the last fifty.
func (r *Room) LastOf(tx *store.Tx, family, state string, wants func(Task) bool) (store.Rec[Task], error) {
	for rec, err := range tasks.Scan(tx, lastOf(family, state)) {
		if err != nil || wants(rec.Value) {
			return rec, err
		}
	}
	return store.Rec[Task]{}, fault.New(fault.NotFound, "there is no such task")
}

func lastOf(family, state string) store.Query {
	return store.Query{Index: "family", Equal: []any{family, state}, Reverse: true, Limit: lookedBack}
}

// ForeseeLastOf says that LastOf is about to come: see [store.Table.Foresee].
func (r *Room) ForeseeLastOf(tx *store.Tx, family, state string) {
	tasks.Foresee(tx, lastOf(family, state))
}

// Family walks the tasks of a family in a state, the one due first in front.
func (r *Room) Family(tx *store.Tx, family, state, after string, most int) (page []store.Rec[Task], next string, err error) {
	return tasks.List(tx, store.Query{Index: "family", Equal: []any{family, state}, After: after, Limit: limit(most)})
}

// OfAccount lists what is and was owed to an account (our id) in a state, the one due first in front.
func (r *Room) OfAccount(tx *store.Tx, account, state, after string, most int) (page []store.Rec[Task], next string, err error) {
	return tasks.List(tx, store.Query{Index: "account", Equal: []any{account, state}, After: after, Limit: limit(most)})
}

// mostTallied bounds how many tasks a count by route and owner looks at.
const mostTallied = 20_000

// Tally counts the tasks of a family in a state by what stands behind the dot of their sort, and by owner ("": nobody's).
type Tally struct {
	All     int            `json:"all"`
	Late    int            `json:"late"`
	BySort  map[string]int `json:"by_route"`
	ByOwner map[string]int `json:"by_owner"`
}

// sort is what a task is within its family: of an escalation its route.
func (t Task) sort() string {
	_, sort, _ := strings.Cut(t.What, ".")
	return sort
}

// CountFamily counts the open tasks of a family, of one incident (our id) or of all.
func (r *Room) CountFamily(ctx context.Context, family, incident string, closed map[string]bool) (c Tally, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		c = Tally{BySort: map[string]int{}, ByOwner: map[string]int{}}
		for rec, err := range tasks.Scan(tx, store.Query{Index: "family", Equal: []any{family, Open}, Limit: mostTallied}) {
			if err != nil {
				return err
			}
			t := rec.Value
			if closed[t.Incident] || incident != "" && t.Incident != incident {
				continue
			}
			c.All++
			c.BySort[t.sort()]++
			c.ByOwner[t.Owner]++
			if tx.Now().After(t.Due) {
				c.Late++
			}
		}
		return nil
	})
	return c, err
}
