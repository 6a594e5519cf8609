package desk

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
)

// laneCheck is where files wait to be looked at.
const laneCheck = "check"

const (
	checkEvery = time.Second      // between looks for files
	checkLease = 10 * time.Minute // outlasts a look at one file
	checkAgain = time.Minute      // after the scanner could not be asked
	checkTime  = 2 * time.Minute  // for one file
)

// clamd is a ClamAV daemon, asked by its INSTREAM command (clamd(8)): the file in pieces, each behind its length in four bytes, the
// last of length 0; the answer is "stream: OK", "stream: NAME FOUND" or a sentence that ends with ERROR. It must be on this machine or on a network
// that nobody else reads: the protocol neither encrypts nor says who is there.
type clamd struct{ network, address string }

// parseClamd reads host:port or unix:PATH.
func parseClamd(s string) (c clamd, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return c, errors.New("must name a socket behind unix:")
		}
		return clamd{"unix", path}, nil
	}
	if s == "" {
		return c, nil
	}
	if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
		return c, errors.New("must be host:port or unix:PATH")
	}
	return clamd{"tcp", s}, nil
}

// verdict is what a scanner says of a file.
type verdict struct {
	state string // FileClean, FileInfected, or FileUnchecked when it will never look at this one
	note  string
}

// scan asks about a file. An error means that nobody has looked and that asking again may help.
func (c clamd) scan(ctx context.Context, from io.Reader) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, c.network, c.address)
	if err != nil {
		return verdict{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	sendErr := send(conn, from)
	if read := (readError{}); errors.As(sendErr, &read) {
		return verdict{}, read.err
	}
	// When it closes before it has everything, as over its StreamMaxLength, it has said why.
	answer, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString(0)
	if answer == "" {
		return verdict{}, errors.Join(sendErr, err)
	}
	return judge(answer)
}

// readError is that of the file, not of the connection.
type readError struct{ err error }

func (e readError) Error() string { return e.err.Error() }

func send(w io.Writer, from io.Reader) error {
	if _, err := io.WriteString(w, "zINSTREAM\x00"); err != nil {
		return err
	}
	part := make([]byte, 4+64<<10)
	for {
		n, err := io.ReadFull(from, part[4:])
		if n > 0 {
			binary.BigEndian.PutUint32(part, uint32(n))
			if _, err := w.Write(part[:4+n]); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			_, err := w.Write(make([]byte, 4))
			return err
		default:
			return readError{err}
		}
	}
}

// judge reads clamd's answer.
func judge(answer string) (verdict, error) {
	said := strings.TrimPrefix(strings.TrimRight(answer, "\x00\r\n "), "stream: ")
	switch {
	case said == "OK":
		return verdict{state: FileClean}, nil
	case strings.HasSuffix(said, " FOUND"):
		return verdict{FileInfected, line(strings.TrimSuffix(said, " FOUND"))}, nil
	case strings.Contains(said, "size limit exceeded"):
		return verdict{FileUnchecked, "larger than the scanner takes"}, nil
	}
	return verdict{}, fmt.Errorf("the scanner says %.100q", said)
}

// RunChecks has the files that wait looked at until ctx ends, each by one replica at a time. Without a scanner it returns at once: files that wait since
// there was one then wait until there is one again.
func (d *Desk) RunChecks(ctx context.Context, holder string) {
	if d.Policy.Files.Clamd == "" {
		return
	}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			n, err := d.CheckFiles(ctx, holder)
			if err != nil && ctx.Err() == nil {
				d.Log.Warn("files were not looked at", "err", err)
			}
			more = n > 0 && err == nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// CheckFiles has the files looked at that are due, a few, and says how many it took up.
func (d *Desk) CheckFiles(ctx context.Context, holder string) (n int, err error) {
	scanner, err := parseClamd(d.Policy.Files.Clamd)
	if err != nil {
		return 0, err
	}
	due, err := blob.Claim(ctx, d.DB, laneCheck, holder, checkLease, 4)
	if err != nil {
		return 0, fmt.Errorf("look for files to check: %w", err)
	}
	for _, m := range due {
		if err := d.check(ctx, scanner, m, holder); err != nil {
			return n, fmt.Errorf("check file %s: %w", m.ID, err)
		}
		n++
	}
	return n, nil
}

func (d *Desk) check(ctx context.Context, scanner clamd, m store.Meta, holder string) error {
	var rec blob.Rec
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		rec, err = blob.Get(tx, m.ID)
		return err
	})
	if fault.Of(err) == fault.NotFound { // removed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	v, asked := scanner.scan(ctx, blob.Open(ctx, d.DB, rec))
	act := store.Act{By: "system:scanner", Verb: "ticket.file.check", Reason: v.state}
	if asked != nil {
		d.Log.Warn("a file could not be looked at; it is tried again and given to nobody until then", "file", m.ID, "err", asked)
		act = store.Act{}
	}
	return d.DB.Update(context.WithoutCancel(ctx), act, func(tx *store.Tx) error {
		rec, err := blob.Get(tx, m.ID)
		if fault.Of(err) == fault.NotFound {
			return store.ErrNothing
		}
		if err != nil {
			return err
		}
		h := rec.Value
		h.Due = time.Now().Add(checkAgain).UTC()
		if asked == nil {
			h.State, h.Note, h.Lane, h.Due = v.state, v.note, "", time.Time{}
		}
		if err := blob.Set(tx, rec, h); err != nil {
			return err
		}
		tx.On(m.ID)
		return blob.Release(tx, m, holder)
	})
}
