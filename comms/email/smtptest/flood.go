package smtptest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"lifeline/store/fault"
)

// Flood is what the protocol alone costs: n copies of one finished message of about size bytes over so many connections, the next
// commands travelling with the content before them (RFC 2920). With a sign each copy is signed before it is sent; nil: none is. It says how long that
// took.
func Flood(addr string, connections, n, size int, sign func(msg []byte) ([]byte, error)) (time.Duration, error) {
	const line = "We are restoring your site from a backup; there is nothing for you to do.\r\n"
	msg := []byte("From: status@example.com\r\nSubject: a message\r\n\r\n" + strings.Repeat(line, max(1, size/len(line))))
	errs := make(chan error, connections)
	var all sync.WaitGroup
	start := time.Now()
	for c := range connections {
		share := n / connections
		if c < n%connections {
			share++
		}
		all.Add(1)
		fault.Go(slog.New(slog.DiscardHandler), "smtptest flood", func() {
			defer all.Done()
			if err := flood(addr, msg, sign, share); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	select {
	case err := <-errs:
		return took, err
	default:
		return took, nil
	}
}

func flood(addr string, msg []byte, sign func([]byte) ([]byte, error), n int) error {
	if n == 0 {
		return nil
	}
	plain := append(bytes.Clone(msg), ".\r\n"...)
	content := func() ([]byte, error) {
		if sign == nil {
			return plain, nil
		}
		signed, err := sign(msg)
		return append(signed, ".\r\n"...), err
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // it said QUIT
	r, w := bufio.NewReader(c), bufio.NewWriterSize(c, 16<<10)
	answers := func(codes ...string) error {
		for _, code := range codes {
			for more := true; more; {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return err
				}
				if !bytes.HasPrefix(line, []byte(code)) {
					return fmt.Errorf("smtptest: the answer is %q, not %s", line, code)
				}
				more = len(line) > 3 && line[3] == '-'
			}
		}
		return nil
	}
	const commands = "MAIL FROM:<status@example.com>\r\nRCPT TO:<person@example.org>\r\nDATA\r\n"
	ask := func(codes ...string) error {
		if err := w.Flush(); err != nil {
			return err
		}
		return answers(codes...)
	}
	_, _ = io.WriteString(w, "EHLO bare\r\n")
	if err := ask("220", "250"); err != nil {
		return err
	}
	_, _ = io.WriteString(w, commands)
	if err := ask("250", "250", "354"); err != nil {
		return err
	}
	for range n - 1 {
		wire, err := content()
		if err != nil {
			return err
		}
		_, _ = w.Write(wire)
		_, _ = io.WriteString(w, commands)
		if err := ask("250", "250", "250", "354"); err != nil {
			return err
		}
	}
	wire, err := content()
	if err != nil {
		return err
	}
	_, _ = w.Write(wire)
	_, _ = io.WriteString(w, "QUIT\r\n")
	return ask("250", "221")
}
