package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/bolt"
	"lifeline/store/fault"
)

func backupCommand() command {
	return command{
		name: "backup", args: "now|list|verify|restore|release|thaw|drill", short: "take, list, check, restore and rehearse backups",
		long: `now      takes a backup, unless nothing changed since the newest
list     lists what lies at the first place of LIFELINE_BACKUPS
verify   checks signatures, chain and content of every backup; with --identity it opens each, with LIFELINE_KEYS every record in it
restore  fills the empty store that LIFELINE_DATA or LIFELINE_STORE names with the newest backup, or with the newest one not after --at, and
         applies what is newer: opt-outs, revocations, used links. What waits to be sent is then held until somebody runs
         "lifeline backup release --reason ...".
restore --account ID[,ID...] or --accounts FILE (one id a line)
         puts these accounts alone back, into a store that may be serving: the account, its sites, contacts, aliases and addresses, its tickets
         and their messages, as they were in the backup. No other record is touched, what came since stays, and who opted out since stays out.
         Ids are Lifeline's or the product's. --dry-run says how much it would be and names some.
release  ends the hold that a restore, or a copied data directory, begins
thaw     says that somebody looked at why the store has shrunk sharply, and that it was right: it takes a backup, and old ones, which were all
         kept since, are removed in their time again. Look first: "lifeline backup list" says what was lost, and the audit log by whom.
drill    restores the newest backup and one other into temporary stores, checks everything, takes up to a thousand accounts with all of theirs
         out of the first and puts them back, and writes a dated report under LIFELINE_DATA/drills; it touches neither the store nor the backups. It fails when a target is missed: Tier 0 (contact store and
         page) RPO < 1 h and RTO < 4 h, Tier 1 (Lifeline) RPO < 1 h and RTO < 6 h.

Before it touches anything, restore proves that it can: the manifest is ours and stands in its chain, the keys are all there, the
identity opens the file, and the keys open a record of it.

` + backup.MeansRPO + `.
` + backup.MeansRTO + `.

LIFELINE_BACKUPS names the places, LIFELINE_BACKUP_RECIPIENTS at least two public keys of age; how often and how long is the policy's backup
section. --identity is a file with a private key, as age-keygen writes it: keep it away from the server; what is restored into a running
server is opened by this command, and the server never sees the key. A backup is worth nothing without the keys of LIFELINE_KEYS; see
"lifeline help key". What to do on the day that a machine is lost: docs/restore.md; print it.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("identity", "", "verify, restore, drill: `file` with the private key that opens backups")
			fs.String("at", "", "restore: newest backup not after this `time` (RFC 3339)")
			fs.String("reason", "", "restore, release, thaw: `why`")
			fs.String("account", "", "restore: only these accounts, `ids` separated by commas")
			fs.String("accounts", "", "restore: only the accounts named in this `file`, one a line")
			fs.Bool("dry-run", false, "restore of accounts: say what would be done, and do nothing")
			fs.Bool("without-journal", false, "restore: go without what is newer than the backup, when its journal cannot be read")
			fs.Bool("json", false, "now, list, verify, restore of accounts, thaw, drill: answer as JSON")
		},
		verbs: map[string]string{"now": "json", "list": "json", "verify": "identity json", "drill": "identity json", "release": "reason", "thaw": "reason json",
			"restore": "account accounts at dry-run identity json reason without-journal"},
		run: runBackup,
	}
}

func runBackup(ctx context.Context, e env, fs *flag.FlagSet) error {
	acts := map[string]func(context.Context, env, *flag.FlagSet, config) error{
		"now": backupNow, "list": backupList, "verify": backupVerify, "restore": backupRestore, "release": backupRelease, "thaw": backupThaw, "drill": backupDrill,
	}
	act := acts[fs.Arg(0)]
	if fs.NArg() != 1 || act == nil {
		return usage{"backup: say one of now, list, verify, restore, release, thaw, drill"}
	}
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return err
	}
	return act(ctx, e, fs, cfg)
}

func backupNow(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	var m struct {
		backup.Manifest
		Unchanged bool `json:"unchanged"`
	}
	if err := c.post(ctx, "/api/v1/backups", struct{}{}, &m); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, m)
	}
	if m.Unchanged {
		fmt.Fprintln(e.stdout, "nothing changed since the newest backup, so none was taken")
		return nil
	}
	taken(e, m.Manifest)
	return nil
}

func taken(e env, m backup.Manifest) {
	fmt.Fprintf(e.stdout, "%s: %d records, %d KiB, read in %s\n", m.Name(), records(m), m.Size>>10, m.Took.Round(time.Millisecond))
}

func records(m backup.Manifest) (n int) {
	for _, some := range m.Counts {
		n += some
	}
	return n
}

func printJSON(e env, v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// places are where backups go, the first of which is read.
func (c config) places() (all []backup.Place, err error) {
	names := strings.Fields(c.get("LIFELINE_BACKUPS"))
	if len(names) == 0 {
		names = []string{c.backupDir()}
	}
	for _, name := range names {
		p, err := place(name)
		if err != nil {
			return nil, fmt.Errorf("LIFELINE_BACKUPS: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// place is a directory, or s3://KEY:SECRET@HOST/BUCKET/PREFIX with ?region= and, for a server of this machine, ?tls=none.
func place(name string) (backup.Place, error) {
	if !strings.HasPrefix(name, "s3://") {
		return backup.Dir(absolute(name)), nil
	}
	o, err := s3At(name)
	if err != nil {
		return nil, err
	}
	return backup.OpenS3(o)
}

// s3At reads s3://KEY:SECRET@HOST/BUCKET/PREFIX.
func s3At(name string) (o backup.S3Options, err error) {
	u, err := url.Parse(name)
	if err != nil || u.User == nil || u.Scheme != "s3" {
		return o, errors.New("write s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=NAME")
	}
	secret, _ := u.User.Password()
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	o = backup.S3Options{Endpoint: u.Host, Bucket: bucket, Prefix: prefix, AccessKey: u.User.Username(), SecretKey: secret, Region: u.Query().Get("region")}
	if u.Query().Get("tls") == "none" {
		if !loopback(u.Hostname()) {
			return o, fmt.Errorf("%s: tls=none only on this machine", u.Host)
		}
		o.Plain = true
	}
	return o, nil
}

// backups is what takes backups while the portal serves; nil, and why, when it cannot.
func (h *house) openBackups() (*backup.Backups, error) {
	recipients := h.cfg.get("LIFELINE_BACKUP_RECIPIENTS")
	if recipients == "" {
		return nil, nil
	}
	if !strings.Contains(recipients, "#") { // a list in one line as well
		recipients = strings.Join(strings.Fields(recipients), "\n")
	}
	to, err := backup.Recipients(recipients)
	if err != nil {
		return nil, fmt.Errorf("LIFELINE_BACKUP_RECIPIENTS: %w", err)
	}
	places, err := h.cfg.places()
	if err != nil {
		return nil, err
	}
	signer, err := h.cfg.signer()
	if err != nil && fault.Of(err) != fault.NotFound { // the first backup makes it, and nothing before
		return nil, err
	}
	p := h.cfg.policy.Backup
	return &backup.Backups{DB: h.db, Places: places, Recipients: to, Signer: signer, KeyDir: absolute(h.cfg.get("LIFELINE_KEYS")), Log: h.log,
		Every: p.Every, Keep: p.Keep(), Thin: p.Thin, Ship: p.Journal, Trouble: h.careFor,
		MayShrink: []string{"counter", "session", "token", "page", "working copy"}}, nil
}

// signer signs manifests, and its public half says whose they are. It is only read: looking at backups makes nothing.
func (c config) signer() (ed25519.PrivateKey, error) {
	return backup.ReadSigner(absolute(c.get("LIFELINE_KEYS")))
}

// shelf is the first place, trusted by the key that signed what lies there.
func (c config) shelf() (backup.Shelf, error) {
	places, err := c.places()
	if err != nil {
		return backup.Shelf{}, err
	}
	signer, err := c.signer()
	if err != nil {
		return backup.Shelf{Place: places[0]}, err
	}
	return backup.Shelf{Place: places[0], Trusted: signer.Public().(ed25519.PublicKey)}, nil
}

func backupList(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	shelf, err := cfg.shelf()
	unsigned := fault.Of(err) == fault.NotFound // nothing can be trusted; what lies there is shown for all that
	if err != nil && !unsigned {
		return err
	}
	all, err2 := shelf.List(ctx)
	if err2 != nil {
		return err2
	}
	if unsigned && len(all) > 0 {
		fmt.Fprintln(e.stderr, err)
	}
	if text(fs, "json") == "true" {
		return printJSON(e, all)
	}
	if len(all) == 0 {
		fmt.Fprintf(e.stdout, "No backups lie at %s. `lifeline backup now` takes one; `lifeline serve` takes one every quarter of an hour once LIFELINE_BACKUP_RECIPIENTS is set.\n", shelf.Place)
		return nil
	}
	tw := tabwriter.NewWriter(e.stdout, 2, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tTAKEN (UTC)\tRECORDS\tKiB\tSTATE")
	for _, b := range all {
		state := "ok"
		switch {
		case b.Flaw != "":
			state = b.Flaw
		case !b.Present:
			state = "thinned out"
		case b.Frozen != "":
			state = b.Frozen
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\n", b.Name(), b.Taken.UTC().Format("2006-01-02 15:04:05"), records(b.Manifest), b.Size>>10, state)
	}
	return tw.Flush()
}

func identities(fs *flag.FlagSet, needed bool) ([]age.Identity, error) {
	name := text(fs, "identity")
	if name == "" {
		if needed {
			return nil, usage{"backup: --identity names the file with the private key that opens backups"}
		}
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return backup.Identities(f)
}

func backupVerify(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	shelf, err := cfg.shelf()
	if err != nil {
		return err
	}
	ids, err := identities(fs, false)
	if err != nil {
		return err
	}
	o := backup.VerifyOptions{Identities: ids, Keep: cfg.policy.Backup.Keep(), Thin: cfg.policy.Backup.Thin}
	if dir := absolute(cfg.get("LIFELINE_KEYS")); len(ids) > 0 && store.HaveKeys(dir) {
		if o.Keys, err = store.OpenKeys(dir, false); err != nil {
			return err
		}
	}
	all, err := shelf.Verify(ctx, o)
	if err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		err = printJSON(e, all)
	}
	bad := 0
	for _, b := range all {
		if b.Problem != "" {
			bad++
			fmt.Fprintf(e.stderr, "%s: %s\n", b.Name(), b.Problem)
		} else if text(fs, "json") != "true" {
			how := "signature and hash are right"
			if b.Opened {
				how = fmt.Sprintf("opened, %d records unsealed", b.Unsealed)
			}
			if b.Thinned {
				how = "thinned out in its time"
			}
			fmt.Fprintf(e.stdout, "%s: %s\n", b.Name(), how)
		}
	}
	wrong := ""
	if bad > 0 {
		wrong = fmt.Sprintf("%d of %d backups are not whole", bad, len(all))
		err = errors.Join(err, errors.New(wrong))
	}
	tellTrouble(ctx, e, cfg, backup.TroubleVerify, wrong)
	return err
}

// tellTrouble lets what a command found become a task, and its end. Whoever has the backups and no store to tell is told by the exit status.
func tellTrouble(ctx context.Context, e env, cfg config, what, detail string) {
	if !cfg.haveStore() {
		return
	}
	c, err := connect(ctx, e, cfg)
	if err == nil {
		defer c.close()
		err = c.post(ctx, "/api/v1/troubles", map[string]string{"what": what, "detail": detail}, nil)
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "no task was made of it: %v\n", err)
	}
}

// toRestore is what every restore begins with: which backup, what opens it, and the store's keys.
func toRestore(ctx context.Context, e env, fs *flag.FlagSet, cfg config) (shelf backup.Shelf, entry backup.Entry, o backup.RestoreOptions, err error) {
	if o.Identities, err = identities(fs, true); err != nil {
		return
	}
	o.By, o.Reason = byOperator, text(fs, "reason")
	if o.Reason == "" && text(fs, "dry-run") != "true" {
		return shelf, entry, o, usage{"backup: restore needs a --reason; it is kept in the audit log"}
	}
	var at time.Time
	if s := text(fs, "at"); s != "" {
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return shelf, entry, o, usage{fmt.Sprintf("backup: --at is a time such as 2022-04-05T08:00:00Z, not %q", s)}
		}
	}
	if shelf, err = cfg.shelf(); err != nil {
		return
	}
	if entry, err = shelf.Find(ctx, at); err != nil {
		return
	}
	p := newProgress(e.stderr, int64(records(entry.Manifest)))
	o.Progress = func(done, total int) { p.records(int64(done), int64(total)) }
	o.Keys, err = store.OpenKeys(absolute(cfg.get("LIFELINE_KEYS")), false)
	return
}

func backupRestore(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	if text(fs, "account") != "" || text(fs, "accounts") != "" {
		return restoreAccounts(ctx, e, fs, cfg)
	}
	if text(fs, "dry-run") == "true" {
		return usage{"backup: --dry-run goes with --account or --accounts; a whole backup is rehearsed by `lifeline backup drill`"}
	}
	if text(fs, "json") == "true" {
		return usage{"backup: --json of a restore goes with --account or --accounts"}
	}
	shelf, entry, o, err := toRestore(ctx, e, fs, cfg)
	if err != nil {
		return err
	}
	if err := shelf.Prove(ctx, entry, o); err != nil { // before so much as a file is made
		return err
	}
	var journal store.Reapplied
	if text(fs, "without-journal") != "true" {
		o.Kinds, o.Applies, o.Journal = kinds(), applies(), func(r store.Reapplied) { journal = r }
	}
	h := &house{cfg: cfg, log: slog.New(slog.NewTextHandler(e.stderr, nil))}
	dir, err := cfg.dataDir()
	if err != nil {
		return err
	}
	if err := h.openEngine(ctx, dir); err != nil {
		return err
	}
	defer h.close()
	began := time.Now()
	if err := shelf.Restore(ctx, entry, h.engine, o); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is restored: %d records in %s, the same as when it was taken. What was written after %s is not in it.\n",
		entry.Name(), records(entry.Manifest), time.Since(began).Round(time.Millisecond), entry.Taken.UTC().Format(time.RFC3339))
	if o.Applies != nil {
		fmt.Fprintf(e.stdout, "Opt-outs, revocations and used links since then: %d hold again.\n", journal.Applied)
	}
	for _, m := range journal.Missing {
		fmt.Fprintf(e.stdout, "  %s: there is nobody yet for whom it could hold; it will once she is imported again\n", m)
	}
	fmt.Fprintln(e.stdout, `Nothing is sent until somebody has looked at what waits: lifeline backup release --reason "..."`)
	return nil
}

func backupRelease(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	if text(fs, "reason") == "" {
		return usage{"backup: release needs a --reason; it is kept in the audit log"}
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.post(ctx, "/api/v1/hold/release", map[string]string{"reason": text(fs, "reason")}, nil); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "released: what waits is sent again")
	return nil
}

func backupThaw(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	if text(fs, "reason") == "" {
		return usage{"backup: thaw needs a --reason: what removed the records, and that it was right; it is kept in the audit log"}
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	var m backup.Manifest
	if err := c.post(ctx, "/api/v1/backups/thaw", map[string]string{"reason": text(fs, "reason")}, &m); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, m)
	}
	taken(e, m)
	fmt.Fprintln(e.stdout, "thawed: old backups are removed in their time again")
	return nil
}

func backupDrill(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	ids, err := identities(fs, true)
	if err != nil {
		return err
	}
	shelf, err := cfg.shelf()
	if err != nil {
		return err
	}
	keys, err := store.OpenKeys(absolute(cfg.get("LIFELINE_KEYS")), false)
	if err != nil {
		return err
	}
	report, err := shelf.Drill(ctx, backup.DrillOptions{Identities: ids, Keys: keys, Kinds: kinds(), By: byOperator, Open: temporary,
		Batch: backup.PickOptions{Kind: "account", Owners: owners()}})
	if err != nil {
		return err
	}
	dir, err := cfg.dataDir()
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "drills")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	paths, err := report.Write(dir)
	if err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		err = printJSON(e, report)
	} else {
		_, err = fmt.Fprintf(e.stdout, "%s\nkept in %s\n", report.Markdown(), strings.Join(paths, " and "))
	}
	wrong := strings.Join(report.Problems, "; ")
	tellTrouble(ctx, e, cfg, backup.TroubleDrill, wrong)
	if !report.Passed() {
		return errors.Join(err, fmt.Errorf("the drill found: %s", wrong))
	}
	return err
}

// temporary is a store that a drill restores into and throws away.
func temporary(context.Context) (store.Engine, func(), error) {
	dir, err := os.MkdirTemp("", "lifeline-drill-")
	if err != nil {
		return nil, nil, err
	}
	e, err := bolt.Open(filepath.Join(dir, "lifeline.db"), bolt.Options{})
	return e, func() { os.RemoveAll(dir) }, err
}
