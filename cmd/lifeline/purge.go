package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
)

func purgeCommand() command {
	return command{
		name: "purge", args: "--kind account|contact|ticket --reason TEXT ID... | --run CHANGE", short: "remove for good what was deleted and kept its time",
		long: `Nothing else removes anything for good: deleting only marks. Proposes to purge the records named by our ids, which is refused until they were
kept long enough, and prints the change with its digest. Somebody else reads it (GET /api/v1/changes/CHANGE) and approves that digest
(POST /api/v1/changes/CHANGE/approve); then --run carries it out. There is no way back from it.

    lifeline purge --kind contact --reason 'she asked to be forgotten' con_0190...
    lifeline purge --run chg_0190...`,
		flags: func(fs *flag.FlagSet) {
			fs.String("kind", "", "`kind` of the records: account, contact or ticket")
			fs.String("reason", "", "`why`; it is kept in the audit log")
			fs.String("run", "", "`change` that was approved, to be carried out")
			fs.Bool("dry-run", false, "say what would be removed, and propose nothing")
		},
		run: runPurge,
	}
}

func runPurge(ctx context.Context, e env, fs *flag.FlagSet) error {
	change, kind := text(fs, "run"), text(fs, "kind")
	dry := text(fs, "dry-run") == "true"
	switch {
	case (change == "") == (fs.NArg() == 0), change != "" && (kind != "" || dry):
		return usage{"purge: name a --kind, a --reason and IDs, or nothing but a change to --run"}
	case change == "" && !slices.Contains([]string{"account", "contact", "ticket"}, kind):
		return usage{fmt.Sprintf("purge: --kind is account, contact or ticket, not %q", kind)}
	case change == "" && text(fs, "reason") == "":
		return usage{"purge: give a --reason: whoever approves this, or looks for it later, has to know why"}
	}
	c, err := reach(ctx, e, fs)
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
		if dry {
			path += "?dry_run=true"
		}
		err = c.post(ctx, path, map[string]any{"verb": kind + ".purge", "reason": text(fs, "reason"), "input": map[string]any{"ids": fs.Args()}}, &answer)
	}
	if err != nil {
		return err
	}
	switch {
	case dry:
		fmt.Fprintf(e.stdout, "would be removed for good: %s; nothing was proposed\n", byKind(answer.Counts))
	case change != "":
		fmt.Fprintf(e.stdout, "%s is %s: %s\n", answer.ID, answer.State, byKind(answer.Counts))
	default:
		fmt.Fprintf(e.stdout, "%s is %s: %s\nSomebody else reads it and approves the digest %s; then: lifeline purge --run %s\n",
			answer.ID, answer.State, byKind(answer.Counts), answer.Digest, answer.ID)
	}
	return nil
}
