package comms

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

func (h house) owe(t Task) (id string) {
	h.Helper()
	err := h.DB.Update(context.Background(), store.Act{By: "system:test", Verb: "test.owe"}, func(tx *store.Tx) (err error) {
		id, err = h.Owe(tx, t)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return id
}

func (h house) owed(q TaskQuery) (all []Task) {
	h.Helper()
	page, _, err := h.Tasks(context.Background(), q)
	if err != nil {
		h.Fatal(err)
	}
	for _, rec := range page {
		all = append(all, rec.Value)
	}
	return all
}

// What is found again while it is open is the same task: it keeps its owner and its time, and counts.
func TestATaskIsOwedOnceUntilItEnds(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		first := h.owe(Task{What: "finding.source_shrank", Of: "billing", Title: "The source billing lost 3 of 10 accounts", Detail: json.RawMessage(`{"count":3}`)})
		if _, err := h.Take(ctx, "stf_ann", first, 0); err != nil {
			h.Fatal(err)
		}
		h.clock.Turn(time.Hour)
		again := h.owe(Task{What: "finding.source_shrank", Of: "billing", Title: "The source billing lost 5 of 10 accounts", Detail: json.RawMessage(`{"count":5}`), Owner: "stf_bo"})
		if again != first {
			h.Errorf("a second task %s beside %s", again, first)
		}
		h.owe(Task{What: "finding.source_shrank", Of: "crm", Title: "The source crm lost 1 of 10 accounts"})
		all := h.owed(TaskQuery{State: Open})
		if len(all) != 2 || all[0].Count != 2 || all[0].Owner != "stf_ann" || !strings.Contains(all[0].Title, "lost 5") || string(all[0].Detail) != `{"count":5}` ||
			!all[0].Due.Equal(outbreak.Add(24*time.Hour)) || !all[0].SeenAt.Equal(outbreak.Add(time.Hour)) {
			h.Fatalf("%+v", all)
		}
		if _, err := h.Done(ctx, "stf_ann", first, 0, "the source is whole again"); err != nil {
			h.Fatal(err)
		}
		_, err := h.Drop(ctx, "stf_ann", first, 0, "no")
		h.refused(err, fault.Conflict, "done already")
		if third := h.owe(Task{What: "finding.source_shrank", Of: "billing", Title: "The source billing lost 5 of 10 accounts"}); third == first {
			h.Error("what ended is owed again as itself")
		}
	})
}

// Whoever is named for a family of tasks is told of each sort in it that has nobody of its own.
func TestATaskClimbsTheLadderOfItsSortOrItsFamily(t *testing.T) {
	to := func(name string) Ladder {
		return Ladder{{To: []Direct{{Channel: ChannelEmail, Address: name + "@vendor.example"}}}}
	}
	p := Policy{Ladders: map[string]Ladder{"access": to("access"), "access.granted": to("granted"), AnyTask: to("any")}}
	for what, want := range map[string]string{"access.granted": "granted", "access.break_glass": "access", "outreach": "any"} {
		if got := p.ladder(Deadline{What: what, Of: "tsk_1"}); got[0].To[0].Address != want+"@vendor.example" {
			t.Errorf("%s climbs the ladder of %s", what, got[0].To[0].Address)
		}
	}
	if got := p.ladder(Deadline{What: "access.granted.x", Of: "inc_1"}); got != nil {
		t.Errorf("what is no task climbs %v", got)
	}
}

// A task is due as everything else is: it stands in the list, its ladder is told once, and both end with it.
func TestATaskIsDue(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		duty := []Direct{{Channel: ChannelEmail, Address: "lead@vendor.example", Locale: "en"}}
		h.Policy.Ladders = map[string]Ladder{AnyTask: {{To: duty}}}
		in := h.declare()
		id := h.owe(Task{What: "outreach", Of: "acc_1", Incident: in.ID, Title: "Reach a customer by hand"})
		if due := h.due("outreach"); len(due) != 1 || due[0].Of != id || due[0].Title != "Reach a customer by hand" || !due[0].Due.Equal(outbreak.Add(24*time.Hour)) {
			h.Fatalf("%+v", due)
		}
		h.clock.Turn(25 * time.Hour)
		for range 2 {
			if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
				h.Fatal(err)
			}
		}
		if told := h.notices("deadline"); len(told) != 1 || !strings.Contains(string(told[0].Data), "/desk/tasks/"+id) {
			h.Errorf("%+v", told)
		}
		if _, err := h.Drop(ctx, "stf_ann", id, 0, ""); fault.Of(err) != fault.Invalid {
			h.Errorf("dropped without a reason: %v", err)
		}
		rec, err := h.Drop(ctx, "stf_ann", id, 0, "the customer has left")
		if err != nil || rec.Value.State != TaskDropped || rec.Value.EndedBy != "stf_ann" {
			h.Fatalf("%+v, %v", rec, err)
		}
		if due := h.due("outreach"); len(due) != 0 {
			h.Errorf("what was dropped is still due: %+v", due)
		}
	})
}

func TestTasksAreListedByStateOwnerAndIncident(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		in := h.declare()
		for i, of := range []string{"a", "b", "c", "d", "e"} {
			task := Task{What: "outreach", Of: of, Title: of, Due: outbreak.Add(time.Duration(9-i) * time.Hour)}
			if i < 3 {
				task.Incident = in.ID
			}
			id := h.owe(task)
			if i%2 == 0 {
				if _, err := h.Take(ctx, "stf_ann", id, 1); err != nil {
					h.Fatal(err)
				}
			}
		}
		for _, c := range []struct {
			q    TaskQuery
			want string
		}{
			{TaskQuery{State: Open}, "e d c b a"}, {TaskQuery{Owner: "stf_ann"}, "e c a"}, {TaskQuery{Incident: in.ID}, "c b a"},
			{TaskQuery{Incident: in.Value.Short, Owner: "stf_ann", State: Open}, "c a"}, {TaskQuery{State: TaskDone}, ""}, {TaskQuery{Owner: "stf_bo"}, ""},
		} {
			var got []string
			for _, task := range h.owed(c.q) {
				got = append(got, task.Of)
			}
			if strings.Join(got, " ") != c.want {
				h.Errorf("%+v: %s, not %s", c.q, got, c.want)
			}
			var paged []string
			for q := c.q; ; {
				q.Limit = 1
				page, next, err := h.Tasks(ctx, q)
				if err != nil {
					h.Fatal(err)
				}
				for _, rec := range page {
					paged = append(paged, rec.Value.Of)
				}
				if q.After = next; next == "" {
					break
				}
			}
			if !slices.Equal(paged, got) {
				h.Errorf("%+v page by page: %s", c.q, paged)
			}
		}
		_, _, err := h.Tasks(ctx, TaskQuery{State: "late"})
		h.refused(err, fault.Invalid, "state")
		_, err = h.Take(ctx, "stf_bo", h.owe(Task{What: "outreach", Of: "a", Title: "a"}), 1)
		h.refused(err, fault.Stale)
	})
}

func TestABadTaskIsRefusedByField(t *testing.T) {
	houses(t, func(h house) {
		err := h.DB.Update(context.Background(), store.Act{By: "x", Verb: "x"}, func(tx *store.Tx) error {
			_, err := h.Owe(tx, Task{Of: strings.Repeat("語", 100), Title: "a\nb", Detail: json.RawMessage(`{`)})
			return err
		})
		h.refused(err, fault.Invalid, "what is missing", "of has 300 bytes", "title holds", "detail is not JSON")
	})
}

// What the book finds becomes a task of the same transaction, and ends when it is so no longer.
func TestAFindingAboutContactsIsATask(t *testing.T) {
	houses(t, func(h house) {
		h.Book.Found = h.Found
		find := func(f contacts.Finding) {
			h.Helper()
			if err := h.DB.Update(context.Background(), store.Act{By: "tok_auto", Verb: "contacts.product_event"}, func(tx *store.Tx) error { return h.Book.Found(tx, f) }); err != nil {
				h.Fatal(err)
			}
		}
		vanished := contacts.Finding{What: contacts.SitesVanished, Source: "product", Count: 37, Sample: slices.Repeat([]string{"sit_1"}, 30), Propose: true}
		find(vanished)
		find(contacts.Finding{What: contacts.Shrunk, Source: "billing", Of: "sit_9", Account: "acc_9", Count: 2})
		find(contacts.Finding{What: contacts.Shrunk, Source: "billing", Count: 40})
		all := h.owed(TaskQuery{State: Open})
		if len(all) != 3 {
			h.Fatalf("%+v", all)
		}
		p, ok := all[0].Proposed()
		if !ok || p.Count != 37 || len(p.Sample) != mostSample || p.Title == "" || !all[0].Due.Equal(outbreak.Add(15*time.Minute)) || !strings.Contains(all[0].Title, "37 sites") {
			h.Errorf("the proposal: %+v %+v", p, all[0])
		}
		if _, proposes := all[1].Proposed(); proposes {
			h.Errorf("a source that shrank proposes an incident: %+v", all[1])
		}
		find(contacts.Finding{What: contacts.Shrunk, Source: "billing", Of: "sit_9", Over: true})
		find(contacts.Finding{What: contacts.PullFailed, Source: "crm", Over: true}) // never was
		if left := h.owed(TaskQuery{State: Open}); len(left) != 2 {
			h.Errorf("%+v", left)
		}
		if ended := h.owed(TaskQuery{State: TaskDone}); len(ended) != 1 || ended[0].Account != "acc_9" || ended[0].EndedBy != "system:contacts" {
			h.Errorf("%+v", ended)
		}
	})
}
