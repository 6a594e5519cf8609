package comms

import (
	"context"
	"time"

	"lifeline/contacts"
	"lifeline/store"
)

// ContactsReport is the state of the book at a time: the quarterly audit.
type ContactsReport struct {
	At        time.Time                  `json:"at"`
	Contacts  int                        `json:"contacts"`
	Approved  int                        `json:"approved"`
	Freshness map[contacts.Freshness]int `json:"freshness"`          // of all
	Approval  map[contacts.Freshness]int `json:"freshness_approved"` // of those who may speak for a customer
	Bounced   int                        `json:"bounced"`            // addresses
	OptedOut  int                        `json:"opted_out"`          // addresses
	Conflicts int                        `json:"conflicts"`          // contacts with one that waits for a person
	Asked     int                        `json:"asked"`              // addresses that were asked since the last report
	Answered  int                        `json:"answered"`
}

// Kept is a report that a person has kept as the audit.
type Kept struct {
	By string `json:"by"`
	ContactsReport
}

// Audit is a report beside the one that was kept last.
type Audit struct {
	ContactsReport
	Last  *Kept          `json:"last"`  // null: none was kept yet
	Since map[string]int `json:"since"` // what changed since then, by figure
	Due   *time.Time     `json:"due"`   // when the next has to be kept
}

// AuditTask is the What of the task to make the audit that is overdue.
const AuditTask = "contacts.audit"

// ContactsReport reads the state of the book. It walks every contact once: some seconds at a million.
func (r *Room) ContactsReport(ctx context.Context) (a Audit, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		a, err = r.audit(tx)
		return err
	})
	return a, err
}

// KeepReport makes the report the audit of now, and ends the task that asked for it.
func (r *Room) KeepReport(ctx context.Context, by string) (a Audit, err error) {
	if err := r.beginRounds(ctx); err != nil {
		return a, err
	}
	if a, err = r.ContactsReport(ctx); err != nil {
		return a, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "contacts.audit"}, func(tx *store.Tx) error {
		err := moveCampaign(tx, func(*store.Tx) error { return nil }, func(c *campaign) { c.Report = &Kept{By: by, ContactsReport: a.ContactsReport} })
		if err != nil {
			return err
		}
		return r.Settle(tx, AuditTask, "contacts", by, "the report was kept")
	})
	return a, err
}

func (r *Room) audit(tx *store.Tx) (a Audit, err error) {
	a.ContactsReport = ContactsReport{At: tx.Now(), Freshness: map[contacts.Freshness]int{}, Approval: map[contacts.Freshness]int{}}
	for _, f := range contacts.Freshnesses() {
		a.Freshness[f], a.Approval[f] = 0, 0
	}
	for rec, err := range r.Book.AllContacts(tx) {
		if err != nil {
			return a, err
		}
		c := rec.Value
		degree := r.Book.Policy.FreshnessOf(c, tx.Now())
		a.Contacts++
		a.Freshness[degree]++
		if c.Approved() {
			a.Approved++
			a.Approval[degree]++
		}
		if c.Waiting() > 0 {
			a.Conflicts++
		}
		for _, all := range [][]contacts.Address{c.Emails, c.Phones} {
			for _, at := range all {
				if at.Bounced {
					a.Bounced++
				}
				if at.OptedOut {
					a.OptedOut++
				}
			}
		}
	}
	c, err := readCampaign(tx)
	if err != nil {
		return a, err
	}
	a.Last = c.Report
	var from time.Time
	if a.Last != nil {
		from = a.Last.At
		due := from.Add(r.Policy.Confirm.Audit)
		a.Due = &due
	}
	for rec, err := range confirmations.Scan(tx, store.Query{}) {
		if err != nil {
			return a, err
		}
		if rec.Value.AskedAt.After(from) {
			a.Asked++
		}
		if rec.Value.Answer != "" && rec.Value.AnsweredAt.After(from) {
			a.Answered++
		}
	}
	a.Since = a.changes()
	return a, nil
}

// changes is by how much each figure differs from the last kept report; what is as it was is left out.
func (a Audit) changes() map[string]int {
	out := map[string]int{}
	if a.Last == nil {
		return out
	}
	note := func(name string, was, is int) {
		if was != is {
			out[name] = is - was
		}
	}
	last := a.Last.ContactsReport
	note("contacts", last.Contacts, a.Contacts)
	note("approved", last.Approved, a.Approved)
	note("bounced", last.Bounced, a.Bounced)
	note("opted_out", last.OptedOut, a.OptedOut)
	note("conflicts", last.Conflicts, a.Conflicts)
	for _, f := range contacts.Freshnesses() {
		note(string(f), last.Freshness[f], a.Freshness[f])
		note("approved_"+string(f), last.Approval[f], a.Approval[f])
	}
	return out
}

// oweAudit owes the audit when the last one is too long ago. A book that was never audited has its first quarter from when the duty began.
func (r *Room) oweAudit(ctx context.Context, mine hold) error {
	return asItWas(r.DB.Update(ctx, store.Act{By: "system:campaign", Verb: "contacts.audit_due"}, func(tx *store.Tx) error {
		c, err := readCampaign(tx)
		if err != nil {
			return err
		}
		if c.Began.IsZero() {
			c.Began = tx.Now()
			if err := moveCampaign(tx, mine, func(now *campaign) { now.Began = c.Began }); err != nil || c.Report == nil {
				return err
			}
		}
		last := c.Began
		if c.Report != nil {
			last = c.Report.At
		}
		if tx.Now().Sub(last) < r.Policy.Confirm.Audit {
			return errAsItWas
		}
		if _, err := tasks.First(tx, openTask(AuditTask, "contacts")); err == nil {
			return errAsItWas
		}
		_, err = r.Owe(tx, Task{What: AuditTask, Of: "contacts", Title: "The audit of the contacts is overdue: lifeline report contacts --keep"})
		return err
	}))
}
