package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"filippo.io/age"

	"lifeline/store/backup"
)

func keyCommand() command {
	return command{
		name: "key", args: "escrow|prove|restore|rotate|status", short: "copy the keys to custodians, let them prove it, rotate them",
		long: `escrow  copies LIFELINE_KEYS for its custodians: one file each in --out, encrypted to that custodian's public key, so that each can
        open it alone:  lifeline key escrow --out DIR ann=age1... bob=age1...
prove   records that a custodian could open her copy:  lifeline key prove --custodian ann --file FILE --identity FILE
        Two proofs make the escrow good; "lifeline doctor" says so until then, and again after a rotation.
restore makes LIFELINE_KEYS on a new machine from a custodian's copy:  lifeline key restore --file FILE --identity FILE
rotate  makes new keys and seals with them from now on; what stands is sealed anew in the background while the portal serves.
        Make the escrow anew afterwards. Old keys are kept, since backups need them. Replicas that share LIFELINE_KEYS have the new keys
        within seconds; to one with a directory of its own copy the files at once, for it cannot read what the new keys seal.
status  says how far the last rotation is, and who proved the escrow

The keys are the only thing that opens the store and its backups. Nobody can make them again.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("out", "", "escrow: `directory` for the custodians' files")
			fs.String("custodian", "", "prove: `name` of who opened her copy")
			fs.String("file", "", "prove, restore: her `file`")
			fs.String("identity", "", "prove, restore: `file` with her private key")
			fs.String("reason", "", "rotate: `why`; it is kept in the audit log")
			fs.Bool("json", false, "status: answer as JSON")
		},
		verbs: map[string]string{"escrow": "out", "prove": "custodian file identity", "restore": "file identity", "rotate": "reason", "status": "json"},
		run: func(ctx context.Context, e env, fs *flag.FlagSet) error {
			acts := map[string]func(context.Context, env, *flag.FlagSet, config) error{"escrow": keyEscrow, "prove": keyProve, "restore": keyRestore, "rotate": keyRotate, "status": keyStatus}
			act := acts[fs.Arg(0)]
			if act == nil || fs.Arg(0) != "escrow" && fs.NArg() > 1 {
				return usage{"key: say one of escrow, prove, restore, rotate, status"}
			}
			cfg, err := readConfig(text(fs, "config"), e.environ)
			if err != nil {
				return err
			}
			return act(ctx, e, fs, cfg)
		},
	}
}

func keyEscrow(_ context.Context, e env, fs *flag.FlagSet, cfg config) error {
	out := text(fs, "out")
	if out == "" || fs.NArg() < 3 {
		return usage{"key: write `lifeline key escrow --out DIR NAME=age1... NAME=age1...`, at least two custodians"}
	}
	custodians := map[string]age.Recipient{}
	for _, arg := range fs.Args()[1:] {
		name, key, ok := strings.Cut(arg, "=")
		if !ok || name == "" || custodians[name] != nil {
			return usage{fmt.Sprintf("key: %q is not NAME=age1...", arg)}
		}
		r, err := age.ParseX25519Recipient(key)
		if err != nil {
			return fmt.Errorf("public key of %s: %w", name, err)
		}
		custodians[name] = r
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	paths, err := backup.Escrow(absolute(cfg.get("LIFELINE_KEYS")), out, custodians)
	for _, p := range paths {
		fmt.Fprintln(e.stdout, p)
	}
	if err == nil {
		fmt.Fprintln(e.stdout, "Give each file to its custodian, keep none here, and let each prove it: lifeline key prove")
	}
	return err
}

func keyProve(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	who := text(fs, "custodian")
	if who == "" || text(fs, "file") == "" {
		return usage{"key: prove needs --custodian, --file and --identity"}
	}
	files, err := escrowed(fs)
	if err != nil {
		return err
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.post(ctx, "/api/v1/keys/proofs", map[string]any{"custodian": who, "files": files}, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s can open the keys\n", who)
	return err
}

// escrowed is what a custodian's file holds.
func escrowed(fs *flag.FlagSet) (map[string][]byte, error) {
	ids, err := identities(fs, true)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(text(fs, "file"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return backup.OpenEscrow(f, ids...)
}

func keyRestore(_ context.Context, e env, fs *flag.FlagSet, cfg config) error {
	if text(fs, "file") == "" {
		return usage{"key: restore needs --file and --identity"}
	}
	files, err := escrowed(fs)
	if err != nil {
		return err
	}
	dir := absolute(cfg.get("LIFELINE_KEYS"))
	if err := backup.RestoreKeys(files, dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "The keys are at %s. Next: lifeline backup restore\n", dir)
	return err
}

func keyRotate(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	if text(fs, "reason") == "" {
		return usage{"key: rotate needs a --reason; it is kept in the audit log"}
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	var s keyState
	if err := c.post(ctx, "/api/v1/keys/rotate", map[string]string{"reason": text(fs, "reason")}, &s); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "New keys are in use. What stands is sealed anew while the portal serves; `lifeline key status` says how far it is.\nMake the escrow anew now: lifeline key escrow")
	return nil
}

func keyStatus(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	var s keyState
	if err := c.call(ctx, "GET", "/api/v1/keys", "", nil, &s); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, s)
	}
	switch p := s.Rotation; {
	case p.Finished.Equal(p.Started):
		fmt.Fprintln(e.stdout, "the keys are the first; they were never rotated")
	case p.Finished.IsZero():
		fmt.Fprintf(e.stdout, "%s %d of %d records are sealed anew\n", bar(int64(p.Done), int64(p.Total)), p.Done, p.Total)
	default:
		fmt.Fprintf(e.stdout, "all %d records are sealed with the newest keys since %s\n", p.Done, p.Finished.UTC().Format("2006-01-02 15:04 UTC"))
	}
	current := 0
	for _, cu := range s.Custodians {
		state := "with keys that are not in use any more: make the escrow anew"
		if cu.Current {
			state = "with the keys in use"
			current++
		}
		fmt.Fprintf(e.stdout, "%s proved to hold a copy on %s, %s\n", cu.Name, cu.At.UTC().Format("2006-01-02"), state)
	}
	if current < 2 {
		return errors.New("fewer than two custodians have proved that they can open the keys; a lost server would be lost for good: lifeline key escrow")
	}
	return nil
}
