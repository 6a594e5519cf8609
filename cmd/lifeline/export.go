package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"lifeline/contacts"
)

func exportCommand() command {
	return command{
		name: "export", args: "[--format csv|jsonl] [--out FILE]", short: "write every account, site and contact in the columns that import takes",
		long: `Writes the whole book with addresses in full, to --out (mode 0600, and only once it is whole) or to standard output. An import of it into an
empty store, from a source that may say who speaks for a customer, gives the same export again. Sources, conflicts, bounces, opt-outs and what was
deleted are not in it: a backup has all that. In CSV a cell that a spreadsheet could take for a formula begins with an apostrophe, which
import takes off again. The audit log says that an export was taken. Works whether or not the server is running.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("format", contacts.FormatCSV, "`form` of the file: csv or jsonl")
			fs.String("out", "", "`file` to write")
		},
		run: runExport,
	}
}

func runExport(ctx context.Context, e env, fs *flag.FlagSet) error {
	if fs.NArg() != 0 {
		return usage{"export: takes no arguments; --out names the file"}
	}
	if f := text(fs, "format"); f != contacts.FormatCSV && f != contacts.FormatJSONLines {
		return usage{fmt.Sprintf("export: --format is csv or jsonl, not %q", f)}
	}
	c, err := reach(ctx, e, fs)
	if err != nil {
		return err
	}
	defer c.close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/api/v1/contacts/export?"+url.Values{"format": {text(fs, "format")}}.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(res.Body)
		return errors.Join(err, problemError(res.StatusCode, answer))
	}
	progress := newProgress(e.stderr, 0)
	defer progress.done()
	in := progress.reader(res.Body)
	if name := text(fs, "out"); name != "" {
		return writeWhole(name, in)
	}
	if _, err := io.Copy(e.stdout, in); err != nil {
		return fmt.Errorf("the export broke off and is not whole (the server's log says why): %w", err)
	}
	return nil
}

// writeWhole makes a file appear only once all of it is on the disk.
func writeWhole(name string, in io.Reader) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if _, err := io.Copy(f, in); err != nil {
		return fmt.Errorf("the export broke off, and nothing was kept of it (the server's log says why): %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
