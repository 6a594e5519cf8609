package main

import (
	"context"
	"flag"
	"fmt"
)

func purgeCommand() command {
	return command{
		name: "purge", args: "--kind account|contact|ticket --reason TEXT ID... | --run CHANGE", short: "remove for good what was deleted and kept its time",
		long: `Nothing else removes anything for good: deleting only marks. Proposes to purge the records named by our ids, which is refused until they were
kept long enough, and prints the change. Somebody else approves it in the portal (POST /api/v1/changes/CHANGE/approve); then --run carries it
out. There is no way back from it.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("kind", "", "account, contact or ticket")
			fs.String("reason", "", "why; kept in the audit log")
			fs.String("run", "", "`change` that was approved, to be carried out")
			fs.Bool("dry-run", false, "say what would be removed, and propose nothing")
		},
		run: runPurge,
	}
}

func runPurge(ctx context.Context, e env, fs *flag.FlagSet) error {
	change, kind := text(fs, "run"), text(fs, "kind")
	if (change == "") == (fs.NArg() == 0) || change == "" && kind == "" {
		return usage{"purge: name a --kind and IDs, or a change to --run"}
	}
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return err
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	var answer struct {
		ID, State, Digest string
		Counts            map[string]int
	}
	if change != "" {
		err = c.post(ctx, "/api/v1/changes/"+change+"/run", struct{}{}, &answer)
	} else {
		path := "/api/v1/changes"
		if text(fs, "dry-run") == "true" {
			path += "?dry_run=true"
		}
		err = c.post(ctx, path, map[string]any{"verb": kind + ".purge", "reason": text(fs, "reason"), "input": map[string]any{"ids": fs.Args()}}, &answer)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s %s %v digest %s\n", answer.ID, answer.State, answer.Counts, answer.Digest)
	return err
}
