package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal"
)

func reportCommand() command {
	return command{
		name: "report", args: "contacts [--keep] | incidents [--from TIME] [--to TIME]", short: "say how well the customers' contacts are known, or how incidents went",
		long: `contacts: counts the contacts by freshness, what bounced or opted out, conflicts that wait, whom the campaign asked and who answered, and what
changed since the report that was kept last. With --keep this one becomes the audit, and the task that asked for it ends; one is owed each quarter
(comms.confirm.audit_every).

incidents: says how incidents were found and what part by customers, how soon tickets had their first answer, by which routes customers escalated,
and what part of the promises of each month and year was kept in time. A time is RFC 3339, or a day in UTC. It reads every promise there is.

Works whether or not the server is running.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("json", false, "answer as JSON")
			fs.Bool("keep", false, "contacts: keep it as the audit")
			fs.String("from", "", "incidents: from this `time` on")
			fs.String("to", "", "incidents: before this `time`")
		},
		verbs: map[string]string{"contacts": "json keep", "incidents": "json from to"},
		run:   runReport,
	}
}

func runReport(ctx context.Context, e env, fs *flag.FlagSet) error {
	switch {
	case fs.NArg() == 1 && fs.Arg(0) == "contacts":
		return reportContacts(ctx, e, fs)
	case fs.NArg() == 1 && fs.Arg(0) == "incidents":
		return reportIncidents(ctx, e, fs)
	}
	return usage{"report: say which: lifeline report contacts, or lifeline report incidents"}
}

func reportIncidents(ctx context.Context, e env, fs *flag.FlagSet) error {
	query := url.Values{}
	for _, name := range []string{"from", "to"} {
		given := text(fs, name)
		if day, err := time.Parse(time.DateOnly, given); err == nil {
			given = day.Format(time.RFC3339)
		}
		if given != "" {
			query.Set(name, given)
		}
	}
	c, err := reach(ctx, e, fs)
	if err != nil {
		return err
	}
	defer c.close()
	var a portal.IncidentsReport
	if err := c.call(ctx, "GET", "/api/v1/reports/incidents?"+query.Encode(), "", nil, &a); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, a)
	}
	fmt.Fprintf(e.stdout, "Incidents: %d, found by customers: %s %% of those that say how; said in public: %d\n", a.Incidents, a.Customers, a.Signals)
	counts(e, "Found by", a.ByWay)
	counts(e, "Escalations", a.Escalations)
	seconds := func(s float64) time.Duration { return (time.Duration(s) * time.Second).Round(time.Second) }
	fmt.Fprintf(e.stdout, "First answers: %d, in time %d (%s %%), median %s, nine of ten within %s\n", a.Answers.Answered, a.Answers.InTime, a.Answers.Percent,
		seconds(a.Answers.Median), seconds(a.Answers.Slowest))
	for _, spans := range [][]comms.PromiseSpan{a.Promises.Months, a.Promises.Years} {
		for _, s := range spans {
			for _, what := range slices.Sorted(maps.Keys(s.By)) {
				p := s.By[what]
				fmt.Fprintf(e.stdout, "%-8s %-24s %6s %% kept in time (%d of %d)\n", s.Span, what, p.Percent, p.Kept, p.Kept+p.Late)
			}
		}
	}
	return nil
}

// counts prints a line of counts by name.
func counts(e env, title string, by map[string]int) {
	fmt.Fprintf(e.stdout, "%s:", title)
	if len(by) == 0 {
		fmt.Fprint(e.stdout, " none")
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(e.stdout, " %s %d", name, by[name])
	}
	fmt.Fprintln(e.stdout)
}

func reportContacts(ctx context.Context, e env, fs *flag.FlagSet) error {
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
