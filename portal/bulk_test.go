package portal

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
)

// fileTicket files a ticket without a request.
func (h *house) fileTicket(in desk.Intake) desk.Receipt {
	h.Helper()
	r, err := h.Desk.File(context.Background(), "public:web", in)
	if err != nil {
		h.Fatal(err)
	}
	return r
}

func (h *house) ticket(number string) desk.View {
	h.Helper()
	v, err := h.Desk.Ticket(context.Background(), number)
	if err != nil {
		h.Fatal(err)
	}
	return v
}

const bulkPath = "/api/v1/tickets/bulk"

// Many tickets are handled by one act: what it would do is shown first, it is done once however often it is asked for, and it is taken back but for what
// somebody has changed since.
func TestManyTicketsAreHandledAtOnceAndThatIsTakenBack(t *testing.T) {
	h := open(t)
	var numbers []string
	for _, name := range []string{"Ann", "Bob", "Cid", "Dee"} {
		numbers = append(numbers, h.fileTicket(desk.Intake{Message: "slow", Name: name, Email: strings.ToLower(name) + "@acme.example"}).Number)
	}
	labels := make([]string, 20)
	for i := range labels {
		labels[i] = "label " + itoa(i)
	}
	if _, err := h.Desk.Handle(context.Background(), "stf_x", numbers[3], desk.Handling{Labels: &labels}); err != nil {
		t.Fatal(err)
	}
	act := map[string]any{"choose": map[string]any{"queue": "general", "state": "new"}, "priority": "P1", "owner": "me", "label": []string{"wave 1"}, "reason": "the mail gateway is down"}
	var dry, change bulkAnswer
	h.post(auth.Support, bulkPath+"?dry_run=true", act).want(201).says("priority P3 → P1").silent("acme.example").into(&dry)
	if !dry.DryRun || dry.Steps != 4 || dry.Counts["ticket"] != 4 || dry.Counts["ticket.left"] != 1 || !dry.Alone || len(dry.Drafts) != 0 {
		t.Fatalf("%+v", dry)
	}
	if h.ticket(numbers[0]).Ticket.Priority != "P3" {
		t.Fatal("a dry run did something")
	}
	h.post(auth.Support, bulkPath, act).want(201).into(&change)
	run := "/api/v1/changes/" + change.ID
	var done changeAnswer
	h.post(auth.Support, run+"/run", nil).want(200).into(&done)
	h.post(auth.Support, run+"/run", nil).want(409)
	if done.State != "done" || done.Done != 4 || done.Left != 1 || done.UndoUntil == nil {
		t.Fatalf("%+v", done)
	}
	for i, number := range numbers {
		got := h.ticket(number).Ticket
		if handled := got.Priority == "P1" && got.Reviewed && got.Owner == h.id(auth.Support) && slices.Contains(got.Labels, "wave 1") && len(got.Reviews) == 1; handled != (i != 3) {
			t.Errorf("%d: %+v", i, got)
		}
	}
	h.staffPage(auth.Support, "/desk/changes/"+change.ID).want(200).says(`href="/desk/tickets/`+numbers[3], "would have more than 20 labels")
	eve := "stf_eve"
	if _, err := h.Desk.Handle(context.Background(), eve, numbers[0], desk.Handling{Owner: &eve}); err != nil {
		t.Fatal(err)
	}
	h.post(auth.Support, run+"/undo", map[string]any{"reason": "it is up again"}).want(200).into(&done)
	for i, owner := range []string{eve, "", "", ""} {
		if got := h.ticket(numbers[i]).Ticket; got.Priority != "P3" || got.Reviewed || got.Owner != owner || slices.Contains(got.Labels, "wave 1") {
			t.Errorf("%d, taken back: %+v", i, got)
		}
	}
	for name, bad := range map[string]map[string]any{
		"numbers": {"owner": "me", "reason": "x"}, "act": {"numbers": numbers, "reason": "x"}, "ids[0]": {"numbers": []string{"ZZZ-ZZZ-ZZZ"}, "owner": "me", "reason": "x"},
		"priority": {"numbers": numbers, "priority": "P9", "reason": "x"}, "reason": {"numbers": numbers, "owner": "me"}, "text": {"numbers": numbers, "text": "Dear {nobody}", "reason": "x"},
		"macro": {"numbers": numbers, "macro": "none", "reason": "x"},
	} {
		if got := h.post(auth.Support, bulkPath, bad).want(422).named(); !slices.Contains(got, name) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// One answer goes to many, to each with the facts of her own ticket. Above a number it takes a second person, who sees nothing that a stranger wrote; whoever
// wrote meanwhile, or lacks a fact, is left for a person, and nobody gets it twice.
func TestOneAnswerGoesToManyTickets(t *testing.T) {
	h := open(t)
	h.Desk.Policy.Bulk.Alone = 2
	filed := map[string]desk.Receipt{}
	var numbers []string
	for _, name := range []string{"", "Ann", "Bob", "{phrase}", "Cid"} {
		filed[name] = h.fileTicket(desk.Intake{Message: "gone", Name: name, Email: "x" + itoa(len(filed)) + "@acme.example"})
		numbers = append(numbers, filed[name].Number)
	}
	act := map[string]any{"numbers": numbers, "text": "Dear {name}, we restore the site of ticket {number} tonight.", "reason": "tonight's batch"}
	var change bulkAnswer
	h.post(auth.Support, bulkPath, act).want(201).into(&change)
	if change.Alone || len(change.Drafts) != 3 || !strings.HasPrefix(change.Drafts[1].Text, "Dear Bob,") || !strings.Contains(change.Drafts[1].Text, filed["Bob"].Number) {
		t.Fatalf("%+v", change)
	}
	path := "/api/v1/changes/" + change.ID
	h.post(auth.Support, path+"/run", nil).want(403)
	h.staffPage(auth.Support, "/desk/changes/"+change.ID).want(200).says("Dear Bob, we restore")
	h.staffPage(auth.Approver, "/desk/changes/"+change.ID).want(200).says("Dear B…, we restore").silent("Dear Bob")
	h.post(auth.Approver, path+"/approve", map[string]any{"digest": change.Digest}).want(200)
	if _, err := h.Desk.Add(context.Background(), filed["Cid"].Number, filed["Cid"].Secret, "wait, it is back"); err != nil {
		t.Fatal(err)
	}
	var done changeAnswer
	h.post(auth.Support, path+"/run", nil).want(200).into(&done)
	h.post(auth.Support, path+"/run", nil).want(409)
	h.post(auth.Support, path+"/undo", map[string]any{"reason": "x"}).want(409)
	if done.State != "done" || done.Left != 3 || done.UndoUntil != nil {
		t.Errorf("%+v", done)
	}
	for name, want := range map[string]int{"Ann": 2, "Bob": 2, "": 1, "{phrase}": 1, "Cid": 2} {
		v := h.ticket(filed[name].Number)
		if answered := v.Ticket.State == desk.Waiting; len(v.Messages) != want || answered != (name == "Ann" || name == "Bob") {
			t.Errorf("%q: %s, %d messages", name, v.Ticket.State, len(v.Messages))
		}
	}
	// The same on the page: marked tickets, and what was typed stays when it is refused.
	marked := url.Values{"which": {"marked"}, "number": {filed[""].Number, filed["Cid"].Number}, "text": {"We have looked at it: {number}."}, "reason": {"by hand"}}
	got := h.form(auth.Support, "/desk/tickets/bulk?queue=general", marked).want(303)
	h.staffPage(auth.Support, got.Header.Get("Location")).want(200).says("We have looked at it: "+filed["Cid"].Number, "Waits to be carried out", "Carry it out").silent("Waits for approval")
	h.form(auth.Support, "/desk/tickets/bulk", url.Values{"which": {"marked"}, "text": {"my long answer"}, "reason": {"r"}}).want(422).says("my long answer", "marks no ticket")
	h.form(auth.Support, "/desk/tickets/bulk?queue=general", url.Values{"which": {"all"}, "set_owner": {"nobody"}, "label_on": {"night"}, "reason": {"r"}}).want(303)
}
