package desk_test

import (
	"context"
	"testing"

	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// The desk proposes, a person confirms, and can take it back; meanwhile the customer is who she was.
func TestAPersonConfirmsTheAccountThatTheDeskProposes(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		filed := c.file(desk.Intake{Message: "Our wiki.acme.example is gone", Email: "ann@acme.example", Company: "Acme", Impact: desk.LostAccess})
		if filed.Account != "" {
			c.Fatalf("intake linked it to %s", filed.Account)
		}
		m, err := c.Proposals(ctx, filed.Number)
		if err != nil || len(m.Proposals) != 1 || m.Proposals[0].Score < 90 || m.Proposals[0].Reasons[0].Code != "contact_email" {
			c.Fatalf("%+v, %v", m, err)
		}
		if now := c.ticket(filed.Number); now.Account != "" {
			c.Fatal("looking linked it")
		}
		acme := m.Proposals[0].Account.ID
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Account: "A-9"}); fault.Of(err) != fault.NotFound {
			c.Errorf("an unknown account: %v", err)
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Account: "S-1"}); fault.Of(err) != fault.Invalid {
			c.Errorf("a site's id: %v", err)
		}
		if _, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Account: "A-1", Version: 9}); fault.Of(err) != fault.Stale {
			c.Errorf("a stale version: %v", err)
		}
		v, err := c.Confirm(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Account: "A-1", Reason: "she called from the number on file"})
		if err != nil || v.Ticket.Account != acme || v.Standing.Level != desk.L0 || v.Ticket.Priority != filed.Priority || v.Ticket.State != filed.State {
			c.Fatalf("%+v, %v", v.Ticket, err)
		}
		other := c.file(desk.Intake{Message: "and ours", Email: "x@y.example"})
		if page, _, err := c.Tickets(ctx, desk.Filter{Account: acme}); err != nil || len(page) != 1 || page[0].Value.Number != filed.Number {
			c.Errorf("the account's tickets: %+v, %v", page, err)
		}
		if v, err = c.Unlink(ctx, "stf_eve", desk.Link{Ticket: filed.Number, Reason: "wrong Acme"}); err != nil || v.Ticket.Account != "" {
			c.Errorf("%+v, %v", v.Ticket, err)
		}
		if _, err := c.Unlink(ctx, "stf_eve", desk.Link{Ticket: other.Number}); fault.Of(err) != fault.Conflict {
			c.Errorf("nothing to take off: %v", err)
		}
		if page, _, _ := c.Tickets(ctx, desk.Filter{Account: acme}); len(page) != 0 {
			c.Errorf("%d tickets still hang on it", len(page))
		}
		var verbs []string
		if err := c.DB.View(ctx, func(tx *store.Tx) error {
			rows, _, err := store.AuditRows(tx, store.Query{})
			for _, row := range rows {
				if row.Value.Verb == "ticket.account.confirm" || row.Value.Verb == "ticket.account.unlink" {
					verbs = append(verbs, row.Value.Verb)
					if row.Value.By != "stf_eve" || len(row.Value.On) != 2 || row.Value.On[1] != acme || row.Value.Reason == "" {
						c.Errorf("%+v", row.Value)
					}
				}
			}
			return err
		}); err != nil || len(verbs) != 2 {
			c.Errorf("audit rows %v, %v", verbs, err)
		}
	})
}

// What staff write to a ticket proposes nothing: else a wrong guess would confirm itself.
func TestStaffsOwnWordsAreNoTraces(t *testing.T) {
	counters(t, func(c counter) {
		filed := c.file(desk.Intake{Message: "help", Email: "x@gmail.com"})
		if _, err := c.Answer(context.Background(), "stf_eve", filed.Number, "Is it wiki.acme.example, S-1?", true); err != nil {
			c.Fatal(err)
		}
		m, err := c.Proposals(context.Background(), filed.Number)
		if err != nil || len(m.Proposals) != 0 || len(m.Flags) != 1 {
			c.Errorf("%+v, %v", m, err)
		}
	})
}
