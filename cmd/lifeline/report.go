package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"

	"lifeline/comms"
	"lifeline/contacts"
)

func reportCommand() command {
	return command{
		name: "report", args: "contacts [--keep]", short: "say how well the customers' contacts are known",
		long: `Counts the contacts by freshness, what bounced or opted out, conflicts that wait, whom the campaign asked and who answered, and what changed
since the report that was kept last. With --keep this one becomes the audit, and the task that asked for it ends; one is owed each quarter
(comms.confirm.audit_every). Works whether or not the server is running.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("json", false, "answer as JSON")
			fs.Bool("keep", false, "keep it as the audit")
		},
		run: runReport,
	}
}

func runReport(ctx context.Context, e env, fs *flag.FlagSet) error {
	if fs.NArg() != 1 || fs.Arg(0) != "contacts" {
		return usage{"report: say which; there is one: lifeline report contacts"}
	}
	c, err := reach(ctx, e, fs)
	if err != nil {
		return err
	}
	defer c.close()
	method := "GET"
	if text(fs, "keep") == "true" {
		method = "POST"
	}
	var a comms.Audit
	if err := c.call(ctx, method, "/api/v1/contacts/report", "", nil, &a); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, a)
	}
	fmt.Fprintf(e.stdout, "Contacts at %s: %d, of whom %d may speak for a customer\n\n", a.At.UTC().Format("2006-01-02 15:04 UTC"), a.Contacts, a.Approved)
	fmt.Fprintf(e.stdout, "%-14s %10s %10s\n", "", "all", "may speak")
	for _, f := range contacts.Freshnesses() {
		fmt.Fprintf(e.stdout, "%-14s %10d %10d\n", f, a.Freshness[f], a.Approval[f])
	}
	fmt.Fprintf(e.stdout, "\nAddresses that bounced: %d; opted out: %d. Contacts with a conflict: %d. Asked: %d, answered: %d.\n", a.Bounced, a.OptedOut, a.Conflicts, a.Asked, a.Answered)
	if a.Last == nil {
		fmt.Fprintln(e.stdout, "No report was kept before.")
		return nil
	}
	fmt.Fprintf(e.stdout, "Since %s:", a.Last.At.UTC().Format("2006-01-02"))
	if len(a.Since) == 0 {
		fmt.Fprint(e.stdout, " nothing changed")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Since)) {
		fmt.Fprintf(e.stdout, " %s %+d", name, a.Since[name])
	}
	fmt.Fprintln(e.stdout, ".")
	return nil
}
