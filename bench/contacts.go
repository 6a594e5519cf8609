package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"lifeline/contacts"
	"lifeline/store"
)

// contacts imports a file of customers, each with a site and somebody who speaks for it, into an empty book, and then the same file again.
// The second reads everything and writes nothing.
func (b bench) contacts(ctx context.Context, engine string, e store.Engine) error {
	db, err := store.Open(ctx, e, store.Options{Keys: b.keys, Kinds: kinds()})
	if err != nil {
		return err
	}
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: slog.New(slog.DiscardHandler), Spool: b.dir}
	for _, what := range []string{"import contacts, new", "import contacts, all known"} {
		debug.FreeOSMemory()
		peak, began, used := own(), time.Now(), worked()
		report, err := book.Import(ctx, "system:bench", &customers{n: b.contactRows}, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV, Progress: func(int) { peak = max(peak, own()) }})
		if err != nil {
			return err
		}
		if report.Rows != b.contactRows || report.RejectedRows > 0 {
			return fmt.Errorf("%d of %d rows, %d rejected", report.Rows, b.contactRows, report.RejectedRows)
		}
		fmt.Fprintf(b.out, "%-10s %-36s %8.0f/s  %.0f us of processor each, at most %d MiB\n", engine, what,
			float64(report.Rows)/time.Since(began).Seconds(), float64((worked()-used).Microseconds())/float64(report.Rows), peak)
	}
	return nil
}

// customers is a CSV file of n rows that is made while it is read.
type customers struct {
	n, at int
	left  bytes.Buffer
}

// Read implements io.Reader.
func (c *customers) Read(p []byte) (int, error) {
	for c.left.Len() < len(p) && c.at <= c.n {
		if c.at == 0 {
			c.left.WriteString("account_id,account,site_id,site,site_url,products,region,tier,name,role,email,phone,locale,time_zone,confirmed_at\n")
		} else {
			fmt.Fprintf(&c.left, "A-%[1]d,Company %[1]d Ltd,S-%[1]d,Site %[1]d,https://site-%[1]d.example.com,wiki;desk,eu,2,Person %[1]d,owner,p%[1]d@company-%[1]d.example,+49301%07[1]d,en,Europe/Berlin,2022-01-10\n", c.at)
		}
		c.at++
	}
	if c.left.Len() == 0 {
		return 0, io.EOF
	}
	return c.left.Read(p)
}

// own is the memory that this process alone holds, in MiB (RssAnon of proc(5)). What the kernel keeps of the store's mapped file stands in its
// cache as well and goes when others need the room, so it is not counted.
func own() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("RssAnon:"))
	value, _, _ := bytes.Cut(rest, []byte(" kB"))
	kib, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if err != nil {
		return 0
	}
	return kib >> 10
}

// worked is the processor time that this process has used: on a busy machine it says more than the clock.
func worked() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
