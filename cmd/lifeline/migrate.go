package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"lifeline/store"
	"lifeline/store/backup"
)

func migrateCommand() command {
	return command{
		name: "migrate", args: "[--dry-run]", short: "bring the data to what this version keeps, backed up first",
		long: `Says what this version would change in the data, backs it up, and changes it. "serve" does the same when it starts; this command is
for looking first (--dry-run changes nothing) and for doing it while nobody waits. Stop every server on the data before: one that still
runs on PostgreSQL would write records without the new indexes.

Before the first step a backup goes to LIFELINE_BACKUPS when LIFELINE_BACKUP_RECIPIENTS is set. Otherwise, or when the backup fails, the
embedded store's file is copied beside itself; on PostgreSQL without recipients nothing is kept, and this says so.

The way back: an older version refuses what a newer one has changed, so stop, put the copied file in the place of lifeline.db or restore
the backup into a new store ("lifeline backup restore"), and start the older version. What was written since the upgrade is not in it.
Nothing is deleted by a migration but indexes that are no longer asked; records are removed only by people, by name.`,
		flags: func(fs *flag.FlagSet) { fs.Bool("dry-run", false, "say what would be changed and change nothing") },
		run:   runMigrate,
	}
}

func runMigrate(ctx context.Context, e env, fs *flag.FlagSet) error {
	if fs.NArg() != 0 {
		return usage{"migrate: takes no arguments; it migrates what LIFELINE_DATA or LIFELINE_STORE names, and --dry-run only looks"}
	}
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return err
	}
	dry := text(fs, "dry-run") == "true"
	if conn, err := net.DialTimeout("unix", cfg.socket(), time.Second); err == nil && !dry {
		conn.Close()
		return fmt.Errorf("a server runs on %s: stop it first, and every other one that uses the same database", cfg.get("LIFELINE_DATA"))
	}
	h := &house{cfg: cfg, log: slog.New(slog.NewTextHandler(e.stderr, nil))}
	defer h.close()
	keys, fresh, err := h.openStore(ctx)
	if err != nil {
		return err
	}
	if fresh {
		fmt.Fprintln(e.stdout, "nothing is kept yet, so there is nothing to migrate")
		return nil
	}
	steps, err := store.Plan(ctx, h.engine, kinds())
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		fmt.Fprintln(e.stdout, "the data is as this version keeps it: nothing to do")
		return nil
	}
	for _, step := range steps {
		fmt.Fprintln(e.stdout, step)
	}
	if dry {
		fmt.Fprintf(e.stdout, "%d steps; nothing was changed\n", len(steps))
		return nil
	}
	kept, err := h.keepBefore(ctx, keys)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, kept)
	if h.db, err = store.Open(ctx, h.engine, store.Options{Keys: keys, Kinds: kinds()}); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "done: %d steps\n", len(steps))
	return nil
}

// openStore opens the engine and the keys, and changes nothing but that a store in which nothing was ever kept gets keys.
func (h *house) openStore(ctx context.Context) (keys *store.Keys, fresh bool, err error) {
	dir, err := h.cfg.dataDir()
	if err != nil {
		return nil, false, err
	}
	keyDir := absolute(h.cfg.get("LIFELINE_KEYS"))
	if err := h.openEngine(ctx, dir); err != nil {
		return nil, false, err
	}
	if fresh, err = store.Fresh(ctx, h.engine); err != nil {
		return nil, false, err
	}
	if !fresh && !store.HaveKeys(keyDir) {
		return nil, false, fmt.Errorf("the store holds records and LIFELINE_KEYS (%s) holds no keys: put them back; new ones could not open anything", keyDir)
	}
	keys, err = store.OpenKeys(keyDir, fresh)
	return keys, fresh, err
}

// prepare keeps the data as it is before this version changes it for the first time.
func (h *house) prepare(ctx context.Context, keys *store.Keys) error {
	steps, err := store.Plan(ctx, h.engine, kinds())
	if err != nil || len(steps) == 0 {
		return err
	}
	kept, err := h.keepBefore(ctx, keys)
	if err != nil {
		return err
	}
	h.log.Info("this version changes the data", "steps", steps, "kept", kept)
	return nil
}

// keepBefore keeps the data as it stands, and says where: in a backup, else as a copy of the embedded store's file.
func (h *house) keepBefore(ctx context.Context, keys *store.Keys) (string, error) {
	file, embedded := h.engine.(interface{ CopyTo(string) error })
	kept, err := h.backUpBefore(ctx, keys)
	switch {
	case err == nil && kept != "":
		return kept, nil
	case err != nil && !embedded:
		return "", fmt.Errorf("back up before the data is changed (nothing was changed): %w", err)
	case err != nil:
		h.log.Warn("no backup could be taken before the data is changed; its file is copied instead", "err", err)
	case !embedded:
		h.log.Warn("NO BACKUP IS TAKEN BEFORE THE DATA IS CHANGED: set LIFELINE_BACKUP_RECIPIENTS")
		return "no backup was taken: LIFELINE_BACKUP_RECIPIENTS is not set", nil
	}
	path := filepath.Join(absolute(h.cfg.get("LIFELINE_DATA")), "lifeline.db.before-"+time.Now().UTC().Format("20060102T150405.000Z"))
	if err := file.CopyTo(path); err != nil {
		return "", fmt.Errorf("copy the store before it is changed (nothing was changed): %w", err)
	}
	return "the data as it was is kept at " + path, nil
}

// backUpBefore takes a backup of the store as it stands; "" when no recipients are set.
func (h *house) backUpBefore(ctx context.Context, keys *store.Keys) (string, error) {
	if h.cfg.get("LIFELINE_BACKUP_RECIPIENTS") == "" {
		return "", nil
	}
	before, err := store.OpenStored(ctx, h.engine, keys)
	if err != nil {
		return "", err
	}
	h.db = before
	backups, err := h.openBackups()
	h.db = nil
	if err != nil {
		return "", err
	}
	backups.Trouble = nil // nobody is there yet who could care
	m, err := backups.Now(ctx)
	if errors.Is(err, backup.ErrUnchanged) {
		return "the newest backup holds the data as it was", nil
	}
	if err != nil {
		return "", err
	}
	return "the data as it was is in backup " + m.Name(), nil
}
