package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/fault"
	"lifeline/store/postgres/pgtest"
)

// machine is one computer with a data directory; what it backs up to outlives it.
type machine struct {
	*testing.T
	env map[string]string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	dir := t.TempDir()
	m := machine{t, map[string]string{
		"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_KEYS": filepath.Join(dir, "keys"), "LIFELINE_BACKUPS": filepath.Join(dir, "elsewhere"),
		"LIFELINE_OPS_LISTEN": freeAddress(), "LIFELINE_LISTEN": freeAddress(),
	}}
	var recipients []string
	for _, name := range []string{"ann", "bob"} {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, id.Recipient().String())
		m.env["key of "+name], m.env["custodian "+name] = filepath.Join(dir, name+".key"), name+"="+id.Recipient().String()
		if err := os.WriteFile(m.env["key of "+name], []byte(id.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.env["LIFELINE_BACKUP_RECIPIENTS"] = strings.Join(recipients, " ")
	return m
}

// run is the program with a command line; "ANN" stands for the file with her private key.
func (m machine) run(line string, more ...string) (string, error) {
	m.Helper()
	args := append(strings.Fields(strings.ReplaceAll(line, "ANN", m.env["key of ann"])), more...)
	var out, errs bytes.Buffer
	err := runIn(m.Context(), args, env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: m.environ})
	return out.String() + errs.String(), err
}

func (m machine) environ(name string) (string, bool) { v, ok := m.env[name]; return v, ok }

func (m machine) must(line string, more ...string) string {
	m.Helper()
	out, err := m.run(line, more...)
	if err != nil {
		m.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// open is the house as serve would open it; it is closed by what it gives.
func (m machine) open() (*house, func()) {
	m.Helper()
	cfg, err := readConfig("", m.environ)
	if err != nil {
		m.Fatal(err)
	}
	h, err := build(m.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		m.Fatal(err)
	}
	return h, h.close
}

// serve is open, with commands reaching it over the control socket.
func (m machine) serve() (*house, func()) {
	m.Helper()
	h, done := m.open()
	control, err := h.serveControl(make(chan error, 1))
	if err != nil {
		m.Fatal(err)
	}
	return h, func() { _ = control.Shutdown(); done() }
}

func (m machine) write(name string, rows ...[]string) string {
	m.Helper()
	path := filepath.Join(m.TempDir(), name)
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		m.Fatal(err)
	}
	return path
}

func (m machine) customers(n int) string {
	rows := [][]string{{"account", "account_id", "site", "site_id", "name", "role", "email"}}
	for i := range n {
		rows = append(rows, []string{fmt.Sprint("Customer ", i), fmt.Sprintf("A%04d", i), fmt.Sprint("Site ", i), fmt.Sprintf("S%04d", i), fmt.Sprint("Admin ", i), "owner", fmt.Sprintf("admin%04d@customer.example", i)})
	}
	return m.write("contacts.csv", rows...)
}

func view(t testing.TB, h *house, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := h.db.View(context.Background(), fn); err != nil {
		t.Error(err)
	}
}

// What happened in April 2022, to ourselves: 883 accounts are gone with everything of theirs, while others work. One command brings them back.
func TestEightHundredAccountsAreBackByOneCommand(t *testing.T) {
	const all, gone = 900, 883
	m := newMachine(t)
	m.must("import --source billing", m.customers(all))
	m.must("backup now")
	h, stop := m.serve()
	defer stop()
	raws := func() map[string]store.Raw {
		stand := map[string]store.Raw{}
		view(t, h, func(tx *store.Tx) error {
			for kind := range owners() {
				for raw, err := range tx.Stored(kind) {
					if err != nil {
						return err
					}
					raw.Body = bytes.Clone(raw.Body)
					stand[raw.ID] = raw
				}
			}
			return nil
		})
		return stand
	}
	lost, file := map[string]bool{}, []string{"# by the product's ids"}
	view(t, h, func(tx *store.Tx) error {
		for i := range gone {
			id := fmt.Sprintf("A%04d", i)
			rec, err := h.book.Account(tx, id)
			if err != nil {
				return err
			}
			lost[rec.ID] = true
			if i%2 == 0 {
				id = rec.ID
			}
			file = append(file, id)
		}
		return nil
	})
	before := raws()
	var doomed []store.Write
	view(t, h, func(tx *store.Tx) error {
		for range 3 { // owners of owners
			for kind, o := range owners() {
				for raw, err := range tx.Stored(kind) {
					if err != nil {
						return err
					}
					k, value := kindOf(kind), []byte(nil)
					if value, err = h.db.Keys().Open(k, raw.ID, raw.Body); err != nil {
						return err
					}
					if owner := regexp.MustCompile(`"` + o.Field + `":"([^"]+)"`).FindSubmatch(value); owner != nil && lost[string(owner[1])] && !lost[raw.ID] {
						lost[raw.ID] = true
						doomed = append(doomed, store.Write{Kind: kind, Raw: store.Raw{Meta: store.Meta{ID: raw.ID}}})
					}
				}
			}
		}
		return nil
	})
	for id := range lost {
		if strings.HasPrefix(id, "acc_") {
			doomed = append(doomed, store.Write{Kind: "account", Raw: store.Raw{Meta: store.Meta{ID: id}}})
		}
	}
	if err := h.db.Update(t.Context(), store.Act{By: "system:script", Verb: "script.ran"}, func(tx *store.Tx) error {
		for _, w := range doomed {
			if err := tx.RemoveStored(w.Kind, w.ID); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	between := raws()
	path := filepath.Join(t.TempDir(), "accounts.txt")
	if err := os.WriteFile(path, []byte(strings.Join(file, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	const restore = "backup restore --identity ANN --reason mistake --accounts "
	if out := m.must(restore + path + " --dry-run"); !regexp.MustCompile(fmt.Sprintf(`883 accounts as of .*: %d records would be put back \(%d of them were gone\), 0 are`, len(doomed), len(doomed))).MatchString(out) || !strings.Contains(out, "\n  acc_") {
		t.Errorf("a dry run says %q", out)
	}
	out := m.must(restore + path)
	if !strings.Contains(out, "account 883") || !strings.Contains(out, "site 883") || !strings.Contains(out, "contact 883") || !strings.Contains(out, "It took ") {
		t.Errorf("%q", out)
	}
	t.Log(out)
	for id, raw := range raws() {
		was := between[id]
		if lost[id] {
			was = before[id]
		}
		if !bytes.Equal(raw.Body, was.Body) || !lost[id] && raw.Version != was.Version {
			t.Errorf("%s is not as it was", id)
		}
	}
	if n := len(raws()); n != len(before) {
		t.Errorf("%d records, were %d", n, len(before))
	}
	view(t, h, func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{Reverse: true, Limit: 20})
		for _, row := range rows {
			if row.Value.Verb == "store.slice" && row.Value.Reason == "mistake" && len(row.Value.On)+row.Value.More == len(doomed) {
				return err
			}
		}
		t.Error("no audit row says who restored it")
		return err
	})
	for args, want := range map[string]string{
		"backup restore --identity ANN --reason x --account A9999,A0001": `does not know 1 of those named: ["A9999"]`,
		"backup restore --identity ANN --reason x --account S0001":       `["S0001"]`,
		"backup restore --identity ANN --account A0001":                  "needs a --reason",
		"backup restore --identity ANN --reason x --dry-run":             "goes with --account",
	} {
		if _, err := m.run(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func kindOf(name string) store.Kind {
	for _, k := range kinds() {
		if k.Name == name {
			return k
		}
	}
	return store.Kind{}
}

// A machine is lost. On a new one stand the keys from a custodian, the last backup, and the journal beside it: who asked to be left alone is,
// and what was shut stays shut.
func TestWhatWasSaidSinceTheBackupHoldsOnANewMachine(t *testing.T) {
	for name, where := range map[string]func(testing.TB) string{"bolt": func(testing.TB) string { return "bolt:" }, "postgres": func(t testing.TB) string { return pgtest.URL(t) }} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.env["LIFELINE_STORE"] = where(t)
			m.must("import --source billing", m.customers(2))
			h, stop := m.open()
			token, err := h.gate.Issue(t.Context(), byOperator, auth.Grantee{Role: auth.Commander, Name: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			other, err := h.gate.Issue(t.Context(), byOperator, auth.Grantee{Role: auth.Commander, Name: "bea"})
			if err != nil {
				t.Fatal(err)
			}
			link, err := h.gate.Link(t.Context(), byOperator, auth.Grantee{Role: auth.Support, Name: "cy"}, "http://x.example")
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.backUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.gate.Verify(t.Context(), token.JWT); err != nil {
				t.Fatal(err)
			}

			// Behind the backup.
			if err := h.gate.Revoke(t.Context(), byOperator, token.ID, "lost her phone"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.gate.Open(t.Context(), u.Query().Get(auth.LinkParam)); err != nil {
				t.Fatal(err)
			}
			if err := h.db.Update(t.Context(), store.Act{By: byOperator, Verb: "contact.opt_out"}, func(tx *store.Tx) error {
				who, err := whoHas(h, tx, "A0001")
				if err != nil {
					return err
				}
				return h.book.OptOut(tx, who.ID, contacts.Email, "admin0001@customer.example", "unsubscribed")
			}); err != nil {
				t.Fatal(err)
			}
			if n, err := h.backups.ShipJournal(t.Context()); err != nil || n != 3 {
				t.Fatalf("%d facts left the machine, %v", n, err)
			}
			escrow := filepath.Join(t.TempDir(), "escrow")
			stop()
			m.must("key escrow --out "+escrow, m.env["custodian ann"], m.env["custodian bob"])

			// The new machine.
			dir := t.TempDir()
			m.env["LIFELINE_DATA"], m.env["LIFELINE_KEYS"], m.env["LIFELINE_STORE"] = filepath.Join(dir, "data"), filepath.Join(dir, "keys"), where(t)
			if out, err := m.run("backup restore --identity ANN --reason lost"); err == nil {
				t.Errorf("without keys: %s", out)
			}
			m.must("key restore --identity ANN --file " + filepath.Join(escrow, "escrow-ann.age"))
			if out, err := m.run("key restore --identity ANN --file " + filepath.Join(escrow, "escrow-ann.age")); fault.Of(err) != fault.Exists {
				t.Errorf("keys were overwritten: %s, %v", out, err)
			}
			if out := m.must("backup restore --identity ANN --reason lost"); !strings.Contains(out, "used links since then: 3 hold again") || !strings.Contains(out, "the same as when it was taken") {
				t.Errorf("%q", out)
			}
			h, stop = m.open()
			defer stop()
			if _, err := h.gate.Verify(t.Context(), token.JWT); fault.Of(err) != fault.Unauthentic {
				t.Errorf("a revoked token: %v", err)
			}
			if _, err := h.gate.Verify(t.Context(), other.JWT); err != nil {
				t.Errorf("another token: %v", err)
			}
			if _, _, err := h.gate.Open(t.Context(), u.Query().Get(auth.LinkParam)); fault.Of(err) != fault.Unauthentic {
				t.Errorf("a used link: %v", err)
			}
			view(t, h, func(tx *store.Tx) error {
				for id, want := range map[string]bool{"A0000": false, "A0001": true} {
					who, err := whoHas(h, tx, id)
					if err != nil || who.Value.Emails[0].OptedOut != want {
						t.Errorf("%s opted out: %+v, %v", id, who.Value.Emails, err)
					}
				}
				return nil
			})
			if got := fmt.Sprint(slices.DeleteFunc(h.degraded(t.Context()), func(what string) bool { return what == degradedDisk })); got != "[escrow held]" {
				t.Errorf("degraded: %s", got)
			}
		})
	}
}

func whoHas(h *house, tx *store.Tx, account string) (store.Rec[contacts.Contact], error) {
	rec, err := h.book.Account(tx, account)
	if err != nil {
		return store.Rec[contacts.Contact]{}, err
	}
	for who, err := range h.book.ContactsOf(tx, rec.ID) {
		return who, err
	}
	return store.Rec[contacts.Contact]{}, io.ErrUnexpectedEOF
}

func TestACopiedDirectoryIsHeldUntilAPersonReleasesIt(t *testing.T) {
	m := newMachine(t)
	held := func() (why, instance string) {
		h, stop := m.open()
		defer stop()
		view(t, h, func(tx *store.Tx) (err error) {
			if why, err = store.Held(tx); err != nil {
				return err
			}
			instance, err = store.Instance(tx)
			return err
		})
		return why, instance
	}
	_, first := held()
	if why, again := held(); why != "" || again != first {
		t.Errorf("started again: held %q", why)
	}
	here := m.env["LIFELINE_DATA"]
	copied, moved := filepath.Join(t.TempDir(), "copy"), filepath.Join(filepath.Dir(here), "renamed")
	if err := os.CopyFS(copied, os.DirFS(here)); err != nil {
		t.Fatal(err)
	}
	m.env["LIFELINE_DATA"] = copied
	why, instance := held()
	if !strings.Contains(why, "copied or moved") || instance == first {
		t.Errorf("a copy is not held: %q", why)
	}
	if why, again := held(); why == "" || again != instance {
		t.Error("a copy is released by starting it again")
	}
	m.must("backup release --reason", "the other machine is gone")
	if why, _ := held(); why != "" {
		t.Errorf("released: %q", why)
	}
	// The one that it was made from goes on, also renamed, or on a disk that another machine mounts.
	if err := os.Rename(here, moved); err != nil {
		t.Fatal(err)
	}
	m.env["LIFELINE_DATA"] = moved
	if why, again := held(); why != "" || again != first {
		t.Errorf("the original is held: %q", why)
	}
}

func TestLookingMakesNothing(t *testing.T) {
	m := newMachine(t)
	above := filepath.Dir(m.env["LIFELINE_DATA"])
	names := func() (all []string) {
		entries, err := os.ReadDir(above)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	before := fmt.Sprint(names())
	if out := m.must("backup list"); !strings.Contains(out, "No backups lie at") {
		t.Errorf("%q", out)
	}
	if out, err := m.run("doctor"); err == nil || !strings.Contains(out, "there is none") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := m.run("backup verify"); err == nil || !strings.Contains(err.Error(), "the first backup makes it") {
		t.Error(err)
	}
	if after := fmt.Sprint(names()); after != before {
		t.Errorf("%s were made, there were %s", after, before)
	}
	m.must("import --source billing", m.customers(1)) // a store, and yet no backup
	if _, err := m.run("doctor"); err == nil {
		t.Error("nothing is wrong")
	}
	if _, err := os.Stat(filepath.Join(m.env["LIFELINE_KEYS"], "manifest.key")); err == nil {
		t.Error("the doctor made the key that signs backups")
	}
	m.must("backup now")
	if _, err := os.Stat(filepath.Join(m.env["LIFELINE_KEYS"], "manifest.key")); err != nil {
		t.Error(err)
	}
}

// owed is the open tasks, a line each.
func owed(t *testing.T, h *house) string {
	t.Helper()
	all, _, err := h.comms.Tasks(t.Context(), comms.TaskQuery{State: comms.Open})
	if err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, task := range all {
		titles = append(titles, task.Value.What+": "+task.Value.Title)
	}
	return strings.Join(titles, "\n")
}

// After the store shrank, old backups stay until somebody looked and says why it was right: everything that tells names the command.
func TestAFrozenShelfIsThawedByAPersonWithAReason(t *testing.T) {
	m := newMachine(t)
	h, stop := m.serve()
	defer stop()
	m.must("import --source billing", m.customers(60))
	m.must("backup now")
	if out, err := m.run("backup thaw --reason", "a slip of the hand"); err == nil || !strings.Contains(err.Error(), "not frozen") {
		t.Errorf("thawed what is not frozen: %s, %v", out, err)
	}
	err := h.db.Update(t.Context(), store.Act{}, func(tx *store.Tx) error {
		n := 0
		for raw, err := range tx.Stored("contact") {
			if err != nil {
				return err
			}
			if n++; n%2 == 0 {
				if err := tx.RemoveStored("contact", raw.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const thaw = "lifeline backup thaw"
	if _, err := m.run("backup now"); err == nil || !strings.Contains(err.Error(), "contact from ") || !strings.Contains(err.Error(), thaw) {
		t.Errorf("nobody is told what was lost and what to do: %v", err)
	}
	if out, _ := m.run("doctor"); !regexp.MustCompile(`bad +backup .*the store lost contact from .*\n.*` + thaw).MatchString(out) {
		t.Errorf("the doctor: %s", out)
	}
	if got := owed(t, h); !strings.Contains(got, "backup.frozen: ") || !strings.Contains(got, thaw) {
		t.Errorf("the task: %q", got)
	}
	var wrong usage
	if _, err := m.run("backup thaw"); !errors.As(err, &wrong) {
		t.Errorf("thawed without a reason: %v", err)
	}
	if out := m.must("backup thaw --reason", "half of them left with their company"); !strings.Contains(out, "thawed") {
		t.Errorf("%s", out)
	}
	if got := owed(t, h); got != "" {
		t.Errorf("thawed, and yet: %q", got)
	}
}

// A corrupt copy becomes a task that somebody follows to its end, and the check that finds all whole ends it.
func TestWhatIsWrongWithBackupsBecomesATask(t *testing.T) {
	m := newMachine(t)
	m.must("import --source billing", m.customers(1))
	m.must("backup now")
	tasks := func() string {
		h, stop := m.open()
		defer stop()
		return owed(t, h)
	}
	m.must("backup verify")
	if got := tasks(); got != "" {
		t.Errorf("nothing is wrong, and yet: %s", got)
	}
	path := filepath.Join(m.env["LIFELINE_BACKUPS"], "backup-00000001.age")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content []byte) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	bad := bytes.Clone(whole)
	bad[len(bad)-5] ^= 1
	replace(bad)
	if _, err := m.run("backup verify"); err == nil {
		t.Error("a corrupt copy was found whole")
	}
	if _, err := m.run("backup drill --identity ANN"); err == nil {
		t.Error("a corrupt copy was restored")
	}
	if got := tasks(); !strings.Contains(got, "backup.verify: A backup is not whole") || !strings.Contains(got, "backup.drill: A restore drill failed") {
		t.Errorf("tasks: %q", got)
	}
	replace(whole)
	m.must("backup verify")
	m.must("backup drill --identity ANN")
	if got := tasks(); got != "" {
		t.Errorf("mended, and yet: %s", got)
	}
	// Each quarter again: the doctor says when it is over.
	if out, _ := m.run("doctor"); !regexp.MustCompile(`ok +drill +passed on `).MatchString(out) {
		t.Errorf("%s", out)
	}
	drills := filepath.Join(m.env["LIFELINE_DATA"], "drills")
	if err := os.RemoveAll(drills); err != nil {
		t.Fatal(err)
	}
	if _, err := (backup.Report{At: time.Now().Add(-93 * 24 * time.Hour)}).Write(drills); err != nil {
		t.Fatal(err)
	}
	if out, _ := m.run("doctor"); !regexp.MustCompile(`bad +drill .* the review is overdue`).MatchString(out) {
		t.Errorf("%s", out)
	}
}
