package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/bolt"
	"lifeline/store/postgres/pgtest"
	"lifeline/store/storetest"
)

// A data directory of each release is kept in testdata/release: the store's file, its keys, a backup with an identity that opens it, and what
// is known to be in it, a broadcast among it that had come to a part of its people. Whoever makes a release adds its own, by
//
//	go test ./cmd/lifeline -run TestDataOfEachRelease -release 0.2
//
// and never changes those of the releases before.
var release = flag.String("release", "", "make testdata/release/`NAME` of this version's data")

// known is what a release's data is known to hold.
type known struct {
	Ticket   string `json:"ticket"`
	Message  string `json:"message"`
	Address  string `json:"address"`
	Incident string `json:"incident"`

	Update string   `json:"update,omitempty"` // that was half sent
	Told   []string `json:"told,omitempty"`   // addresses that had it
	Untold []string `json:"untold,omitempty"`
}

// half is a channel that takes so many messages of a broadcast and hangs with the others until it is cut off. Receipts it takes all.
type half struct {
	mu   sync.Mutex
	most int // 0: all
	told []string
}

func (c *half) Name() string { return comms.ChannelEmail }
func (c *half) Live() bool   { return true }
func (c *half) Close() error { return nil }

func (c *half) Send(ctx context.Context, m comms.Message) comms.Outcome {
	if !strings.HasPrefix(m.To, "person") {
		return comms.Outcome{State: comms.Sent}
	}
	c.mu.Lock()
	took := c.most == 0 || len(c.told) < c.most
	if took {
		c.told = append(c.told, m.To)
	}
	c.mu.Unlock()
	if took {
		return comms.Outcome{State: comms.Sent}
	}
	<-ctx.Done()
	return comms.Outcome{State: comms.Deferred, Reason: "cut off", Wait: time.Second}
}

func (c *half) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.told))
}

// sends runs an outbox with a channel until ok says so of an update's board; what is under way then is cut off.
func sends(t *testing.T, h *house, c *half, update string, ok func(comms.Reach) bool) {
	t.Helper()
	o := &comms.Outbox{Room: h.comms, Channels: map[string]comms.Channel{c.Name(): c}, Log: h.log, Holder: "test"}
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	within(t, "a broadcast is where it should be", func() bool {
		board, err := h.comms.Reach(t.Context(), update)
		if err != nil {
			t.Fatal(err)
		}
		return ok(board)
	})
	cut()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// goesOn lets a broadcast that was half sent go on: whoever had it hears nothing again, and everybody else hears it once.
func goesOn(t *testing.T, h *house, k known) {
	if k.Update == "" {
		storetest.NotTested(t, "a release's half sent broadcast", "its data has none")
	}
	if err := h.db.Release(t.Context(), store.Act{By: "system:operator", Verb: "restore.release", Reason: "a test"}); err != nil {
		t.Fatal(err) // it was copied, or restored, and so is held
	}
	before, err := h.comms.Reach(t.Context(), k.Update)
	if err != nil || len(k.Told) == 0 || len(k.Untold) == 0 || before.Done || before.ByChannel[comms.ChannelEmail][comms.Sent] != len(k.Told) {
		t.Fatalf("%d had it and %d had not; the board says %+v, %v", len(k.Told), len(k.Untold), before, err)
	}
	c := &half{}
	sends(t, h, c, k.Update, func(board comms.Reach) bool { return board.Done })
	if told := c.all(); !slices.Equal(told, k.Untold) {
		t.Errorf("told now: %q, and should be %q", told, k.Untold)
	}
	after, err := h.comms.Reach(t.Context(), k.Update)
	if err != nil || after.ByChannel[comms.ChannelEmail][comms.Sent] != len(k.Told)+len(k.Untold) {
		t.Errorf("the board says %+v, %v", after, err)
	}
}

const (
	dataFile     = "lifeline.db.gz"
	identityFile = "identity.txt"
	knownFile    = "known.json"
)

func TestDataOfEachRelease(t *testing.T) {
	root := filepath.Join("testdata", "release")
	if *release != "" {
		makeRelease(t, filepath.Join(root, *release))
	}
	all, err := os.ReadDir(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("there is no release: %v", err)
	}
	for _, r := range all {
		kept := filepath.Join(root, r.Name())
		t.Run(r.Name()+" on bolt", func(t *testing.T) {
			values := unpack(t, kept)
			if err := os.MkdirAll(values["LIFELINE_DATA"], 0o700); err != nil {
				t.Fatal(err)
			}
			packed, err := os.Open(filepath.Join(kept, dataFile))
			if err != nil {
				t.Fatal(err)
			}
			defer packed.Close()
			plain, err := gzip.NewReader(packed)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(plain)
			if err == nil {
				err = os.WriteFile(filepath.Join(values["LIFELINE_DATA"], "lifeline.db"), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			livesOn(t, kept, values)
		})
		t.Run(r.Name()+" on postgres", func(t *testing.T) {
			values := unpack(t, kept)
			values["LIFELINE_STORE"] = pgtest.URL(t)
			restoreRelease(t, kept, values)
			livesOn(t, kept, values)
		})
	}
}

// unpack copies keys and backups to where they may be private, and says so in settings.
func unpack(t *testing.T, kept string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for _, what := range []string{"keys", "backups"} {
		if err := os.CopyFS(filepath.Join(dir, what), os.DirFS(filepath.Join(kept, what))); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_KEYS": filepath.Join(dir, "keys"), "LIFELINE_BACKUPS": filepath.Join(dir, "backups")}
}

func restoreRelease(t *testing.T, kept string, values map[string]string) {
	t.Helper()
	cfg, err := from(values)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(kept, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ids, err := backup.Identities(file)
	if err != nil {
		t.Fatal(err)
	}
	shelf, err := cfg.shelf()
	if err != nil {
		t.Fatal(err)
	}
	newest, err := shelf.Find(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	defer h.close()
	keys, err := store.OpenKeys(cfg.get("LIFELINE_KEYS"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.openEngine(t.Context(), values["LIFELINE_DATA"]); err != nil {
		t.Fatal(err)
	}
	if err := shelf.Restore(t.Context(), newest, h.engine, backup.RestoreOptions{Identities: ids, Keys: keys, By: "system:operator", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
}

// livesOn opens a release's data with this version, finds what is known, goes on with it, and is refused what a still newer one has changed.
func livesOn(t *testing.T, kept string, values map[string]string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(kept, knownFile))
	if err != nil {
		t.Fatal(err)
	}
	var k known
	if err := json.Unmarshal(b, &k); err != nil {
		t.Fatal(err)
	}
	cfg, err := from(values)
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := h.desk.Ticket(t.Context(), k.Ticket)
	if err != nil || len(v.Messages) == 0 || v.Messages[0].Text != k.Message || v.Ticket.Incident != k.Incident {
		t.Errorf("ticket %s: %+v, %v", k.Ticket, v, err)
	}
	if err := h.db.View(t.Context(), func(tx *store.Tx) error {
		found, err := h.book.ByAddress(tx, "email", k.Address)
		if err == nil && len(found) != 1 {
			t.Errorf("%d contacts with the address", len(found))
		}
		going, err2 := h.comms.OpenIncidents(tx)
		if err2 == nil && (len(going) != 1 || going[0].ID != k.Incident) {
			t.Errorf("open incidents: %+v", going)
		}
		if err == nil {
			err = err2
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	t.Run("its broadcast", func(t *testing.T) { goesOn(t, h, k) })
	receipt, err := h.desk.File(t.Context(), "public:test", desk.Intake{Message: "It is still gone.", Email: k.Address, Impact: desk.LostAccess})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := h.desk.Ticket(t.Context(), receipt.Number); err != nil || v.Ticket.Incident != k.Incident {
		t.Errorf("the new ticket: %+v, %v", v, err)
	}
	for _, problem := range storetest.Check(h.engine, h.db.Declared()) {
		t.Errorf("the store is not consistent: %s", problem)
	}
	stored, err := h.engine.Stored(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range stored.Kinds {
		if stored.Kinds[i].Name == "ticket" {
			stored.Kinds[i].Schema++
		}
	}
	if _, err := h.engine.Migrate(t.Context(), stored.Kinds, false); err != nil {
		t.Fatal(err)
	}
	h.close()
	if _, err := build(t.Context(), cfg, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "newer Lifeline") {
		t.Errorf("what a newer version wrote: %v", err)
	}
}

// makeRelease keeps this version's data.
func makeRelease(t *testing.T, to string) {
	t.Helper()
	if _, err := os.Stat(to); err == nil {
		t.Fatalf("%s is there already, and a release's data never changes", to)
	}
	var recipients []string
	var identity *age.X25519Identity
	for range 2 {
		var err error
		if identity, err = age.GenerateX25519Identity(); err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, identity.Recipient().String())
	}
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte("comms:\n  lease: 1s\n"), 0o600); err != nil { // whoever looks at the data at once need not wait for it
		t.Fatal(err)
	}
	cfg, err := from(map[string]string{"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_POLICY": policy, "LIFELINE_KEYS": filepath.Join(to, "keys"),
		"LIFELINE_BACKUPS": filepath.Join(to, "backups"), "LIFELINE_BACKUP_RECIPIENTS": strings.Join(recipients, " ")})
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	k := known{Message: "Everything is gone since this morning.", Address: "kim@acme.example"}
	sheet := "account,account_id,site,site_id,site_url,name,role,email\nAcme,A1,Acme board,S1,https://acme.product.example,Kim Lee,owner,kim@acme.example\n"
	sites := "site_id\n"
	const people = 24
	for i := range people {
		sheet += fmt.Sprintf("Customer %[1]d,C%[1]d,Board %[1]d,T%[1]d,https://c%[1]d.product.example,Person %[1]d,owner,person%[1]d@customer.example\n", i)
		sites += fmt.Sprintf("T%d\n", i)
	}
	if report, err := h.book.Import(t.Context(), "system:operator", strings.NewReader(sheet), contacts.ImportOptions{Source: "billing"}); err != nil || report.Created == 0 || len(report.Rejected) > 0 {
		t.Fatalf("import: %+v, %v", report, err)
	}
	incident, err := h.comms.Declare(t.Context(), "system:operator", comms.Declare{Title: "Sites are gone", Severity: "P0", Category: "availability", Impact: "Customers cannot reach their sites"})
	if err != nil {
		t.Fatal(err)
	}
	k.Incident = incident.ID
	receipt, err := h.desk.File(t.Context(), "public:test", desk.Intake{Message: k.Message, Email: k.Address, Impact: desk.LostAccess})
	if err != nil {
		t.Fatal(err)
	}
	k.Ticket = receipt.Number
	const author, second = "stf_author", "stf_second"
	if _, err := h.comms.LoadAffected(t.Context(), author, incident.ID, comms.CSV, strings.NewReader(sites), false); err != nil {
		t.Fatal(err)
	}
	draft, _, err := h.comms.Draft(t.Context(), author, incident.ID, broadcast(h.db.Now(), people), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.comms.Approve(t.Context(), second, draft.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.comms.Publish(t.Context(), author, draft.ID, comms.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	c := &half{most: people / 3}
	sends(t, h, c, draft.ID, func(board comms.Reach) bool { return board.ByChannel[comms.ChannelEmail][comms.Sent] == people/3 })
	k.Update, k.Told = draft.ID, c.all()
	for i := range people {
		if address := fmt.Sprintf("person%d@customer.example", i); !slices.Contains(k.Told, address) {
			k.Untold = append(k.Untold, address)
		}
	}
	slices.Sort(k.Untold)
	if _, err := h.backups.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.close()
	data, err := os.ReadFile(filepath.Join(dir, "data", "lifeline.db"))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	about, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{dataFile: packed.Bytes(), identityFile: []byte(identity.String() + "\n"), knownFile: append(about, '\n')} {
		if err := os.WriteFile(filepath.Join(to, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// An upgrade is looked at, kept from, and carried out by a command of its own.
func TestMigrateKeepsTheDataAsItWas(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	t.Setenv("LIFELINE_DATA", data)
	t.Setenv("LIFELINE_KEYS", filepath.Join(dir, "keys"))
	t.Setenv("LIFELINE_BACKUPS", filepath.Join(dir, "backups"))
	migrate := func(args ...string) string {
		t.Helper()
		var out, problems bytes.Buffer
		if err := run(t.Context(), append([]string{"migrate"}, args...), nil, &out, &problems); err != nil {
			t.Fatalf("%v: %s", err, problems.String())
		}
		return out.String()
	}
	if says := migrate("--dry-run"); !strings.Contains(says, "nothing is kept yet") {
		t.Errorf("without data: %s", says)
	}
	// A release that did not know yet of tickets' messages, or later of tickets.
	older := func(unknown ...string) {
		t.Helper()
		engine, err := bolt.Open(filepath.Join(data, "lifeline.db"), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		keys, err := store.OpenKeys(filepath.Join(dir, "keys"), true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: slices.DeleteFunc(kinds(), func(k store.Kind) bool { return slices.Contains(unknown, k.Name) })}); err != nil {
			t.Fatal(err)
		}
	}
	older("message")
	for range 2 {
		if says := migrate("--dry-run"); !strings.Contains(says, "new kind message") || !strings.Contains(says, "nothing was changed") {
			t.Errorf("the dry run: %s", says)
		}
	}
	if says := migrate(); !strings.Contains(says, "new kind message") || !strings.Contains(says, "is kept at") || !strings.Contains(says, "done") {
		t.Errorf("the migration: %s", says)
	}
	if says := migrate(); !strings.Contains(says, "nothing to do") {
		t.Errorf("another one: %s", says)
	}
	copies, err := filepath.Glob(filepath.Join(data, "lifeline.db.before-*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies: %q, %v", copies, err)
	}
	// The way back: the copied file in the place of the other.
	if err := os.Rename(copies[0], filepath.Join(data, "lifeline.db")); err != nil {
		t.Fatal(err)
	}
	older("message")
	// And with recipients a backup.
	var recipients []string
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, identity.Recipient().String())
	}
	t.Setenv("LIFELINE_BACKUP_RECIPIENTS", strings.Join(recipients, " "))
	if says := migrate(); !strings.Contains(says, "is in backup") || !strings.Contains(says, "done") {
		t.Errorf("with recipients: %s", says)
	}
	if copies, _ := filepath.Glob(filepath.Join(data, "lifeline.db.before-*")); len(copies) != 0 {
		t.Errorf("copied as well: %q", copies)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"backup", "list"}, nil, &out, io.Discard); err != nil || !strings.Contains(out.String(), "ok") {
		t.Errorf("the backups: %s, %v", out.String(), err)
	}
}
