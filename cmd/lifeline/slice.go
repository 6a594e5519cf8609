package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store/backup"
)

// restoreAccounts puts some accounts back into a store that may be serving. The backup is opened here, where the private key is; the server is
// given the picked records as they lie in it, sealed with its own keys.
func restoreAccounts(ctx context.Context, e env, fs *flag.FlagSet, cfg config) error {
	ids, err := accountIDs(fs)
	if err != nil {
		return err
	}
	began := time.Now()
	shelf, entry, o, err := toRestore(ctx, e, fs, cfg)
	if err != nil {
		return err
	}
	picked, err := os.CreateTemp("", "lifeline-slice-")
	if err != nil {
		return err
	}
	defer os.Remove(picked.Name())
	defer picked.Close()
	if _, err := shelf.Pick(ctx, entry, backup.PickOptions{RestoreOptions: o, Kind: "account", Roots: ids, Named: contacts.AccountNamed, Owners: owners()}, picked); err != nil {
		return err
	}
	if _, err := picked.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c, err := connect(ctx, e, cfg)
	if err != nil {
		return err
	}
	defer c.close()
	query := url.Values{"backup": {strconv.FormatInt(entry.Number, 10)}, "reason": {o.Reason}, "dry_run": {text(fs, "dry-run")}}
	var done backup.Sliced
	if err := c.call(ctx, http.MethodPost, "/api/v1/slices?"+query.Encode(), "application/octet-stream", picked, &done); err != nil {
		return err
	}
	if text(fs, "json") == "true" {
		return printJSON(e, done)
	}
	verb := "are"
	if done.Dry {
		verb = "would be"
	}
	noun := "accounts"
	if len(ids) == 1 {
		noun = "account"
	}
	fmt.Fprintln(e.stdout, strings.TrimSpace(fmt.Sprintf("%d %s as of %s: %d records %s put back (%d of them were gone), %d are as they were. %s",
		len(ids), noun, entry.Taken.UTC().Format(time.RFC3339), done.Total(), verb, done.Gone, done.Same, byKind(done.Restored))))
	if done.Dry {
		for _, id := range done.Sample {
			fmt.Fprintln(e.stdout, "  "+id)
		}
		return nil
	}
	fmt.Fprintf(e.stdout, "It took %s.\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// byKind says how many records of each kind: "account 1, contact 3".
func byKind(n map[string]int) string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n[kind]))
	}
	return strings.Join(kinds, ", ")
}

// accountIDs is the accounts named by --account and --accounts, each once.
func accountIDs(fs *flag.FlagSet) (ids []string, err error) {
	all := strings.Split(text(fs, "account"), ",")
	if name := text(fs, "accounts"); name != "" {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, strings.Split(string(content), "\n")...)
	}
	for _, id := range all {
		if id = strings.TrimSpace(id); id == "" || strings.HasPrefix(id, "#") {
			continue
		}
		for _, k := range kinds() {
			if prefix, _, own := strings.Cut(id, "_"); own && prefix == k.Prefix && k.Name != "account" && (k.Composed || k.CheckID(id) == nil) {
				return nil, usage{fmt.Sprintf("backup: %s is the id of a %s, not of an account", id, k.Name)}
			}
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, usage{"backup: no account is named"}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
