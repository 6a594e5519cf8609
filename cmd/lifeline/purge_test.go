package main

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/contacts"
)

// A purge is refused until the record kept its time, then proposed with what somebody else has to approve, and carried out once.
func TestAPurgeTakesItsTimeAndASecondPerson(t *testing.T) {
	m := newMachine(t)
	m.must("import --source billing", m.customers(2))
	cfg, err := readConfig("", m.environ)
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	h, err := build(t.Context(), cfg, slog.New(slog.DiscardHandler), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	control, err := h.serveControl(make(chan error, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer control.Shutdown() //nolint:errcheck // the test is over
	id, err := h.book.AccountID(t.Context(), "A0000")
	if err != nil {
		t.Fatal(err)
	}
	input, _ := json.Marshal(contacts.Named{IDs: []string{id}}) // it is a list of texts
	gone, err := h.changes.Propose(t.Context(), "stf_eve", contacts.Proposal{Verb: "account.delete", Input: input, Reason: "left us"})
	if err == nil {
		_, err = h.changes.Run(t.Context(), "stf_eve", gone.ID)
	}
	if err != nil {
		t.Fatal(err)
	}

	purge := "purge --kind account --reason old " + id
	if out, err := m.run(purge); err == nil || !strings.Contains(err.Error(), "is kept until") {
		t.Fatalf("%v %s", err, out)
	}
	ahead.Store(int64(400 * 24 * time.Hour))
	if out := m.must(purge + " --dry-run"); out != "would be removed for good: account 1, contact 1, site 1; nothing was proposed\n" {
		t.Error(out)
	}
	says := regexp.MustCompile(`^(chg_\S+) is proposed: account 1, contact 1, site 1\nSomebody else reads it and approves the digest (\S+); then: lifeline purge --run (chg_\S+)\n$`)
	asked := says.FindStringSubmatch(m.must(purge))
	if asked == nil || asked[1] != asked[3] {
		t.Fatalf("%q", asked)
	}
	if _, err := m.run("purge --run " + asked[1]); err == nil {
		t.Error("nobody approved it")
	}
	if _, err := h.changes.Approve(t.Context(), "stf_bob", asked[1], asked[2]); err != nil {
		t.Fatal(err)
	}
	if out := m.must("purge --run " + asked[1]); out != asked[1]+" is done: account 1, contact 1, site 1\n" {
		t.Error(out)
	}
	if _, err := h.changes.Restore(t.Context(), "stf_eve", id, "a mistake"); err == nil {
		t.Error("it came back")
	}
}
