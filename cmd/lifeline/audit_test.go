package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/templates"
)

// Each of the great operations on live data is in the audit log, with who did it, why, on what, and, where it takes two, by whose approval: a
// bulk delete, a restore from a backup, and a broadcast.
func TestTheAuditLogHoldsEachMajorOperationWithItsPeople(t *testing.T) {
	const customers = 30
	m := newMachine(t)
	m.env["LIFELINE_URL"] = "https://status.example.com"
	m.must("import --source billing", m.customers(customers))
	m.must("backup now")
	h, stop := m.serve()
	defer stop()
	ctx := t.Context()
	person := func(role auth.Role, name string) string {
		t.Helper()
		token, err := h.gate.Issue(ctx, byOperator, auth.Grantee{Role: role, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.gate.Verify(ctx, token.JWT)
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	author, second := person(auth.Commander, "ada"), person(auth.Approver, "bea")
	if author == second {
		t.Fatal("two people are one in the log")
	}
	var ids, sites []string
	view(t, h, func(tx *store.Tx) error {
		ids, sites = nil, nil
		for i := range customers {
			rec, err := h.book.Account(tx, fmt.Sprintf("A%04d", i))
			if err != nil {
				return err
			}
			ids, sites = append(ids, rec.ID), append(sites, fmt.Sprintf("S%04d", i))
		}
		return nil
	})

	// A bulk delete: nobody does it alone.
	proposed, err := h.changes.Propose(ctx, author, contacts.Proposal{Verb: "account.delete", Reason: "they left", Input: []byte(`{"ids":["` + strings.Join(ids, `","`) + `"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.changes.Run(ctx, author, proposed.ID); err == nil {
		t.Fatal("one person deleted everybody")
	}
	if _, err := h.changes.Approve(ctx, second, proposed.ID, proposed.Value.Digest); err != nil {
		t.Fatal(err)
	}
	if done, err := h.changes.Run(ctx, author, proposed.ID); err != nil || done.Value.State != contacts.ChangeDone {
		t.Fatalf("%+v, %v", done.Value, err)
	}

	// A restore of what it deleted.
	m.must("backup restore --identity ANN --account "+strings.Join(ids, ",")+" --reason", "it was the wrong list")

	// A broadcast to all of them.
	in, err := h.comms.Declare(ctx, author, comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.comms.LoadAffected(ctx, author, in.ID, comms.CSV, strings.NewReader("site_id\n"+strings.Join(sites, "\n")), false); err != nil {
		t.Fatal(err)
	}
	draft, _, err := h.comms.Draft(ctx, author, in.ID, broadcast(h.db.Now(), customers), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.comms.Publish(ctx, author, draft.ID, comms.PublishOptions{}); err == nil {
		t.Fatal("one person told everybody")
	}
	if _, err := h.comms.Approve(ctx, second, draft.ID); err != nil {
		t.Fatal(err)
	}
	if said, err := h.comms.Publish(ctx, author, draft.ID, comms.PublishOptions{}); err != nil || said.Value.People != customers {
		t.Fatalf("%d people, %v", said.Value.People, err)
	}

	// The log, once it is sealed: nobody can take a row out of it any more.
	if _, err := (&store.Sealer{DB: h.db, Log: h.log}).Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if report, err := h.db.VerifyAudit(ctx); err != nil || len(report.Flaws) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	var rows []store.Row
	view(t, h, func(tx *store.Tx) error {
		rows = nil
		all, _, err := store.AuditRows(tx, store.Query{})
		for _, r := range all {
			rows = append(rows, r.Value)
		}
		return err
	})
	approval := func(r store.Row) string {
		i := slices.IndexFunc(r.On, func(id string) bool { return strings.HasPrefix(id, "apr_") })
		if i < 0 {
			return ""
		}
		return r.On[i]
	}
	// find is the row of a verb that names a record.
	find := func(verb, on string) (row store.Row) {
		t.Helper()
		i := slices.IndexFunc(rows, func(r store.Row) bool { return r.Verb == verb && slices.Contains(r.On, on) })
		if i < 0 {
			t.Errorf("no row says %s of %s", verb, on)
			return row
		}
		if rows[i].Place == 0 {
			t.Errorf("the row of %s is not in the chain", verb)
		}
		return rows[i]
	}
	for _, act := range []struct{ verb, agreed, on, reason string }{
		{"account.delete", "change.approve", proposed.ID, "they left"},
		{"update.publish", "update.approve", draft.ID, ""},
	} {
		did, agreed := find(act.verb, act.on), find(act.agreed, act.on)
		if did.By != author || did.Reason != act.reason || agreed.By != second {
			t.Errorf("%s: %+v\n%+v", act.verb, did, agreed)
		}
		if id := approval(did); id == "" || id != approval(agreed) {
			t.Errorf("%s was carried by %q, and what was given is %q", act.verb, id, approval(agreed))
		}
	}
	back := find("store.slice", ids[0])
	if back.By != byOperator || back.Reason != "it was the wrong list" || len(back.On)+back.More < 3*customers {
		t.Errorf("the restore: %+v", back)
	}
	for _, r := range rows {
		for _, id := range append(r.On, r.By) {
			if strings.ContainsRune(id, '@') {
				t.Errorf("a row holds an address: %+v", r)
			}
		}
	}
}

// broadcast is an update to all whom an incident affects.
func broadcast(now time.Time, customers int) templates.Statement {
	most := templates.Span(5 * time.Minute)
	return templates.Statement{
		Phase: comms.Identified, Headline: "A script deleted sites", WhatHappened: "A maintenance script deleted the sites of some customers.", YourAction: "nothing",
		Scope:    templates.Scope{Products: []string{"Wiki"}, Regions: []string{"all"}, Text: "Sites in the cloud."},
		Affected: templates.Affected{Who: "A site that cannot be opened.", Sites: templates.Known(customers), Customers: templates.Known(customers), Status: "estimate", Confidence: "medium"},
		Timeline: templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: "not_known"}},
		DataLoss: templates.DataLoss{Kind: "at_most", AtMost: &most, Confidence: "medium"},
		Known:    []string{"The list of sites is held."}, Unknown: []string{"How long each site takes."},
		NextUpdateBy: templates.Moment{At: now.Add(time.Hour)}, Audience: comms.AudienceAffected,
		Channels: []string{comms.ChannelEmail, comms.ChannelPage}, Locales: []string{"en", "zh-CN", "ja"},
	}
}
