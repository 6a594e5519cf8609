package portal

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

// propose proposes a change and reads it.
func (h *house) propose(as auth.Role, verb, reason string, input map[string]any) (c changeAnswer) {
	h.Helper()
	h.post(as, "/api/v1/changes", map[string]any{"verb": verb, "input": input, "reason": reason, "rehearse": 1}).want(201).into(&c)
	return c
}

// logged are the audit log's rows of a verb, oldest first.
func (h *house) logged(verb string) (all []store.Row) {
	h.Helper()
	err := h.DB.View(context.Background(), func(tx *store.Tx) error {
		all = nil
		rows, _, err := store.AuditRows(tx, store.Query{})
		for _, r := range rows {
			if r.Value.Verb == verb {
				all = append(all, r.Value)
			}
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return all
}

// id is who the person of a role is in the log.
func (h *house) id(role auth.Role) string {
	h.Helper()
	p, err := h.Gate.Verify(context.Background(), h.tokens[role])
	if err != nil {
		h.Fatal(err)
	}
	return p.ID
}

func (h *house) remove(path, version string) answer {
	h.Helper()
	a := ask{as: auth.Support, method: "DELETE", path: path}
	if version != "" {
		a.header = map[string]string{"If-Match": `"` + version + `"`}
	}
	return h.do(a)
}

func TestOnePersonDeletesOneRecordAndBringsItBack(t *testing.T) {
	h := open(t)
	h.loadContacts()
	const account = "/api/v1/accounts/A-1"
	var before, after accountView
	h.get(auth.Support, account).want(200).into(&before)

	h.remove(account, "").want(422).says("reason")
	h.remove("/api/v1/accounts/A-404?reason=left", "").want(404)
	h.remove("/api/v1/accounts/S-1?reason=left", "").want(422).says("is the id of a site, not of an account")
	h.remove(account+"?reason=left", "77").want(412)
	var dry, done changeAnswer
	h.remove(account+"?reason=left&dry_run=true", "").want(200).silent("ann@acme.example").into(&dry)
	if !dry.DryRun || dry.Counts["site"] != 3 || dry.Counts["contact"] != 2 {
		t.Errorf("%+v", dry)
	}
	h.get(auth.Support, account).want(200)
	h.remove(account+"?reason=left", itoa(int(before.Account.Version))).want(200).into(&done)
	if done.State != "done" || done.UndoUntil == nil {
		t.Errorf("%+v", done)
	}
	until := done.UndoUntil.Format(time.DateOnly)
	h.get(auth.Support, account).want(404).says("was deleted on", until)
	h.get(auth.Support, "/api/v1/accounts/"+before.Account.ID).want(404).says("was deleted on", until)
	h.post(auth.Support, account+"/restore", map[string]any{"reason": "a mistake"}).want(200)
	h.get(auth.Support, account).want(200).into(&after)
	for i := range after.Contacts {
		after.Contacts[i].object = before.Contacts[i].object // their versions have moved
	}
	for i := range after.Sites {
		after.Sites[i].object = before.Sites[i].object
	}
	after.Account.object = before.Account.object
	same(t, "the account that came back", after, before)

	contact := before.Contacts[0].ID
	h.remove("/api/v1/contacts/"+contact+"?reason=left", "").want(200)
	h.get(auth.Support, account).want(200).silent(contact)
	h.post(auth.Support, "/api/v1/contacts/"+contact+"/restore", nil).want(200)
	h.get(auth.Support, account).want(200).says(contact)
	h.post(auth.Support, "/api/v1/contacts/"+contact+"/restore", nil).want(409)
}

func TestATicketIsDeletedWithItsConversationAndComesBack(t *testing.T) {
	h := open(t)
	ticket := "/api/v1/tickets/" + h.file(map[string]any{"message": "we have lost everything", "email": "ann@acme.example"}).Number
	h.post(auth.Support, ticket+"/messages", map[string]any{"text": "we are here"}).want(201)
	var before, after ticketAnswer
	h.get(auth.Support, ticket).want(200).into(&before)
	h.remove(ticket+"?reason=spam", "99").want(412)
	h.remove(ticket+"?reason=spam", itoa(int(before.Version))).want(200)
	h.get(auth.Support, ticket).want(404)
	h.get(auth.Support, "/api/v1/tickets").want(200).silent(before.ID)
	h.post(auth.Admin, "/api/v1/changes", map[string]any{"verb": "ticket.purge", "reason": "spam", "input": map[string]any{"ids": []string{before.ID}}}).want(409).says("is kept until")
	h.post(auth.Support, ticket+"/restore", nil).want(200)
	h.get(auth.Support, ticket).want(200).into(&after)
	after.object = before.object
	same(t, "the ticket that came back", after, before)

	// Kept its time, it is purged by two, with what was said.
	h.remove(ticket+"?reason=spam", "").want(200)
	h.clock.Turn(6 * 365 * 24 * time.Hour)
	for _, role := range auth.Roles() {
		h.tokens[role] = h.issue(role, "The "+string(role))
	}
	rec := h.propose(auth.Admin, "ticket.purge", "long over", map[string]any{"ids": []string{before.ID}})
	h.post(auth.Approver, "/api/v1/changes/"+rec.ID+"/approve", map[string]any{"digest": rec.Digest}).want(200)
	h.post(auth.Admin, "/api/v1/changes/"+rec.ID+"/run", nil).want(200)
	if row := h.logged("ticket.purge"); len(row) != 1 || row[0].By != h.id(auth.Admin) || !slices.Contains(row[0].On, before.ID) {
		t.Errorf("%+v", row)
	}
	h.post(auth.Admin, "/api/v1/changes", map[string]any{"verb": "ticket.purge", "reason": "x", "input": map[string]any{"ids": []string{before.ID}}}).want(422).says("there is no ticket")
}

func TestManyRecordsTakeTwoPeople(t *testing.T) {
	h := open(t)
	h.loadContacts()
	many := map[string]any{"ids": []string{"A-1", "A-2"}}
	h.post(auth.Support, "/api/v1/changes", map[string]any{"verb": "contact.delete", "input": map[string]any{"ids": []string{"S-1", "S-2"}}, "reason": "they left"}).
		want(422).says("ids[0]", "ids[1]", "is the id of a site, not of a contact")
	var dry changeAnswer
	h.post(auth.Support, "/api/v1/changes?dry_run=true", map[string]any{"verb": "account.delete", "input": many, "reason": "they left"}).want(201).into(&dry)
	if dry.Counts["account"] != 2 || dry.Counts["contact"] != 3 || len(dry.Sample) == 0 || dry.ID != "" || dry.Alone {
		t.Errorf("%+v", dry)
	}
	h.post(auth.Support, "/api/v1/changes", map[string]any{"verb": "account.purge", "input": many, "reason": "x"}).want(403)
	h.post(auth.Support, "/api/v1/changes", map[string]any{"verb": "account.vanish", "input": many, "reason": "x"}).want(422)

	rec := h.propose(auth.Support, "account.delete", "they left", many)
	at, digest := "/api/v1/changes/"+rec.ID, map[string]any{"digest": rec.Digest}
	h.post(auth.Support, at+"/run", nil).want(403).says("a second person")
	h.post(auth.Support, at+"/approve", digest).want(403)
	h.post(auth.Approver, at+"/approve", map[string]any{"digest": "x"}).want(422)
	h.post(auth.Approver, at+"/approve", digest).want(200)
	if got := h.post(auth.Support, at+"/run", nil).want(200).text("state"); got != "paused" {
		t.Errorf("the rehearsal is %s", got)
	}
	h.get(auth.Support, "/api/v1/accounts/A-1").want(404)
	h.get(auth.Support, "/api/v1/accounts/A-2").want(200)
	if got := h.post(auth.Support, at+"/run", nil).want(200).text("state"); got != "done" {
		t.Errorf("it is %s", got)
	}
	h.get(auth.Support, "/api/v1/accounts/A-2").want(404)

	row, agreed := h.logged("account.delete")[0], h.logged("change.approve")[0]
	if row.By != h.id(auth.Support) || row.Reason != "they left" || row.On[0] != rec.ID || !strings.HasPrefix(row.On[1], "apr_") ||
		agreed.By != h.id(auth.Approver) || !slices.Contains(agreed.On, rec.ID) {
		t.Errorf("%+v\n%+v", row, agreed)
	}
	h.post(auth.Admin, "/api/v1/changes", map[string]any{"verb": "account.purge", "input": many, "reason": "to be forgotten"}).want(409).says("is kept until 2022-")
	h.post(auth.Commander, at+"/undo", map[string]any{"reason": "they stay"}).want(200)
	h.get(auth.Support, "/api/v1/accounts/A-2").want(200)
	h.get(auth.Auditor, at).want(200).says(`"undone"`)
	h.get(auth.Auditor, "/api/v1/changes?state=undone").want(200).says(rec.ID)
	h.get(auth.Auditor, "/api/v1/changes?state=done").want(200).silent(rec.ID)

	// The second person says no; the author takes hers back.
	rec = h.propose(auth.Support, "account.delete", "they left", many)
	h.post(auth.Auditor, "/api/v1/changes/"+rec.ID+"/refuse", map[string]any{"reason": "no"}).want(403)
	h.post(auth.Support, "/api/v1/changes/"+rec.ID+"/refuse", map[string]any{"reason": "the wrong list"}).want(200)
	h.post(auth.Approver, "/api/v1/changes/"+rec.ID+"/approve", map[string]any{"digest": rec.Digest}).want(409)
}

func TestAnExportTakesTwoPeople(t *testing.T) {
	h := open(t)
	h.loadContacts()
	const path = "/api/v1/contacts/export"
	h.get(auth.Commander, path).want(422).says("two people")
	rec := h.propose(auth.Commander, "contact.export", "the regulator asks", map[string]any{})
	fetch := path + "?change=" + rec.ID
	h.get(auth.Commander, fetch).want(409)
	h.post(auth.Approver, "/api/v1/changes/"+rec.ID+"/approve", map[string]any{"digest": rec.Digest}).want(200)
	h.post(auth.Commander, "/api/v1/changes/"+rec.ID+"/run", nil).want(200)
	h.get(auth.Commander, fetch).want(200).says("account,account_id,", "ann@acme.example", "'+12025550101", "Acme three")
	h.get(auth.Commander, fetch+"&format=jsonl").want(200).says(`"phone":["+12025550101"]`)
	if row := h.logged("contact.export.fetch"); len(row) != 2 || row[0].By != h.id(auth.Commander) || !slices.Contains(row[0].On, rec.ID) {
		t.Errorf("%+v", row)
	}
	h.get(auth.Commander, fetch+"&format=pdf").want(422)
	h.get(auth.Admin, fetch).want(403) // not hers
	h.clock.Turn(2 * time.Hour)
	h.get(auth.Commander, fetch).want(409)
}

// Two accounts that are one customer are merged by two people, their tickets follow, and nothing is merged that an open incident counts.
func TestMergedAccountsKeepTheirTickets(t *testing.T) {
	h := open(t)
	h.loadContacts()
	pair := map[string]any{"merges": []any{map[string]any{"from": "A-2", "into": "A-1"}}}
	number := h.file(map[string]any{"message": "help", "email": "dai@bolt.example"}).Number
	if _, err := h.Desk.Confirm(context.Background(), h.id(auth.Support), desk.Link{Ticket: number, Account: "A-2"}); err != nil {
		t.Fatal(err)
	}
	ticket := "/api/v1/tickets/" + number
	var before, after, undone ticketAnswer
	h.get(auth.Support, ticket).want(200).into(&before)
	var stays accountView
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200).into(&stays)
	rec := h.propose(auth.Support, "account.merge", "one customer", pair)
	h.post(auth.Approver, "/api/v1/changes/"+rec.ID+"/approve", map[string]any{"digest": rec.Digest}).want(200)
	h.post(auth.Support, "/api/v1/changes/"+rec.ID+"/run", nil).want(200)
	h.get(auth.Support, ticket).want(200).into(&after)
	if after.Account != stays.Account.ID || before.Account == after.Account {
		t.Errorf("the ticket is of %s, was of %s", after.Account, before.Account)
	}
	h.get(auth.Support, "/api/v1/accounts/A-2").want(200).says(stays.Account.ID)
	h.post(auth.Support, "/api/v1/changes/"+rec.ID+"/undo", map[string]any{"reason": "they are two"}).want(200)
	h.get(auth.Support, ticket).want(200).into(&undone)
	if undone.Account != before.Account {
		t.Errorf("the ticket is of %s", undone.Account)
	}
	incident := h.declare()
	h.do(ask{as: auth.Commander, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: "site_id\nS-4\n"}).want(200)
	h.post(auth.Support, "/api/v1/changes", map[string]any{"verb": "account.merge", "input": pair, "reason": "one customer"}).want(409).says(incident)
}
