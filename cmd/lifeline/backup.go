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
)

func backupCommand() command {
	return command{
		name: "backup", args: "now|list|verify|restore|drill", short: "take, list, check, restore and rehearse backups",
		long: `now      takes a backup, unless nothing changed since the newest
list     lists what lies at the first place of LIFELINE_BACKUPS
verify   checks signatures, chain and content of every backup; with --identity it opens each, with LIFELINE_KEYS every record in it
restore  fills the empty store that LIFELINE_DATA or LIFELINE_STORE names with the newest backup, or with the newest one not after --at.
         What waits to be sent is then held until somebody runs "lifeline backup release --reason ...".
release  ends that hold
drill    restores the newest backup and one other into temporary stores, checks everything, and writes a dated report under
         LIFELINE_DATA/drills; it touches neither the store nor the backups

LIFELINE_BACKUPS names the places, LIFELINE_BACKUP_RECIPIENTS at least two public keys of age. --identity is a file with a private key, as
age-keygen writes it: keep it away from the server. A backup is worth nothing without the keys of LIFELINE_KEYS; see "lifeline help key".`,
		flags: func(fs *flag.FlagSet) {
			fs.String("identity", "", "`file` with the private key that opens backups")
			fs.String("at", "", "restore: newest backup not after this `time` (RFC 3339)")
			fs.String("reason", "", "restore, release: `why`")
			fs.Bool("json", false, "answer as JSON")
		},
		run: runBackup,
	}
}

func runBackup(ctx context.Context, e env, fs *flag.FlagSet) error {
	acts := map[string]func(context.Context, env, *flag.FlagSet, config) error{
		"now": backupNow, "list": backupList, "verify": backupVerify, "restore": backupRestore, "release": backupRelease, "drill": backupDrill,
	}
	act := acts[fs.Arg(0)]
	if fs.NArg() != 1 || act == nil {
		return usage{"backup: say one of now, list, verify, restore, release, drill"}
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
	fmt.Fprintf(e.stdout, "%s: %d records, %d KiB, read in %s\n", m.Name(), records(m.Manifest), m.Size>>10, m.Took.Round(time.Millisecond))
	return nil
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
		dir := absolute(name)
		return backup.Dir(dir), os.MkdirAll(dir, 0o700)
	}
	u, err := url.Parse(name)
	if err != nil || u.User == nil {
		return nil, errors.New("write s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=NAME")
	}
	secret, _ := u.User.Password()
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	o := backup.S3Options{Endpoint: u.Host, Bucket: bucket, Prefix: prefix, AccessKey: u.User.Username(), SecretKey: secret, Region: u.Query().Get("region")}
	if u.Query().Get("tls") == "none" {
		if !loopback(u.Hostname()) {
			return nil, fmt.Errorf("%s: tls=none only on this machine", u.Host)
		}
		o.Plain = true
	}
	return backup.OpenS3(o)
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
	if err != nil {
		return nil, err
	}
	return &backup.Backups{DB: h.db, Places: places, Recipients: to, Signer: signer, Log: h.log,
		MayShrink: []string{"counter", "session", "token", "page", "working copy"}}, nil
}

// signer signs manifests, and its public half says whose they are.
func (c config) signer() (ed25519.PrivateKey, error) {
	return backup.OpenSigner(absolute(c.get("LIFELINE_KEYS")))
}

// shelf is the first place, trusted by the key that signed what lies there.
func (c config) shelf() (backup.Shelf, error) {
	places, err := c.places()
	if err != nil {
		return backup.Shelf{}, err
	}
	signer, err := c.signer()
	if err != nil {
		return backup.Shelf{}, err
	}
	return backup.Shelf{Place: places[0], Trusted: signer.Public().(ed25519.PublicKey)}, nil
}

func backupList(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	shelf, err := cfg.shelf()
	if err != nil {
		return err
	}
	all, err := shelf.List(ctx)
	if err != nil {
		return err
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
	o := backup.VerifyOptions{Identities: ids}
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
	if bad > 0 {
		return errors.Join(err, fmt.Errorf("%d of %d backups are not whole", bad, len(all)))
	}
	return err
}

func backupRestore(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	ids, err := identities(fs, true)
	if err != nil {
		return err
	}
	if text(fs, "reason") == "" {
		return usage{"backup: restore needs a --reason; it is kept in the audit log"}
	}
	var at time.Time
	if s := text(fs, "at"); s != "" {
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return usage{"backup: --at " + err.Error()}
		}
	}
	shelf, err := cfg.shelf()
	if err != nil {
		return err
	}
	entry, err := shelf.Find(ctx, at)
	if err != nil {
		return err
	}
	keys, err := store.OpenKeys(absolute(cfg.get("LIFELINE_KEYS")), false)
	if err != nil {
		return err
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
	if err := shelf.Restore(ctx, entry, h.engine, backup.RestoreOptions{Identities: ids, Keys: keys, By: "system:operator", Reason: text(fs, "reason")}); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, `%s is restored: %d records in %s. What was written after %s is not in it.
Nothing is sent until somebody has looked at what waits: lifeline backup release --reason "..."
`, entry.Name(), records(entry.Manifest), time.Since(began).Round(time.Millisecond), entry.Taken.UTC().Format(time.RFC3339))
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
	report, err := shelf.Drill(ctx, backup.DrillOptions{Identities: ids, Keys: keys, Kinds: kinds(), By: "system:operator", Open: temporary})
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
	if !report.Passed() {
		return errors.Join(err, fmt.Errorf("the drill found: %s", strings.Join(report.Problems, "; ")))
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
