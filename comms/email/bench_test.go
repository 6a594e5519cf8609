package email

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
)

// personal is a message of 2.7 KB for one person out of many.
func personal(i int) comms.Message {
	return comms.Message{
		Delivery: fmt.Sprintf("dlv_%d", i), To: fmt.Sprintf("person%d@example.org", i), Name: fmt.Sprintf("Person %d", i), Locale: "en",
		Subject: "[P0] 883 sites unreachable: update 4",
		Text:    strings.Repeat("We are restoring your site from a backup; there is nothing for you to do.\n", 14) + fmt.Sprintf("Your link: https://status.example.com/t/%d\n", i),
		HTML:    "<html><body>" + strings.Repeat("<p>We are restoring your site from a backup; nothing to do.</p>\n", 18) + "</body></html>\n",
		ID:      fmt.Sprintf("upd4.%d@example.com", i), Root: fmt.Sprintf("inc.%d@example.com", i),
		Unsub: fmt.Sprintf("https://status.example.com/u/%d", i), List: "updates.status.example.com",
	}
}

// BenchmarkSend sends personal messages over 10 connections to a sink that counts, on the same cores, beside a bare pipelined
// loop that writes one finished message again and again: what the protocol alone costs.
func BenchmarkSend(b *testing.B) {
	const connections = 10
	b.Run("mailer", func(b *testing.B) {
		s := smtptest.Start(b, smtptest.Options{Count: true})
		m, err := Open(Config{Relays: []string{s.URL()}, From: "Status <status@example.com>", Connections: connections})
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close() //nolint:errcheck // the benchmark is over
		b.ReportAllocs()
		b.ResetTimer()
		share(b.N, connections*2, func(i int) {
			if out := m.Send(context.Background(), personal(i)); out.State != comms.Sent {
				b.Errorf("%+v", out)
			}
		})
		rate(b, s)
	})
	b.Run("bare", func(b *testing.B) {
		s := smtptest.Start(b, smtptest.Options{Count: true})
		wire := finished(b)
		b.ReportAllocs()
		b.ResetTimer()
		var wg sync.WaitGroup
		for c := range connections {
			wg.Add(1)
			go func() {
				defer wg.Done()
				n := b.N / connections
				if c < b.N%connections {
					n++
				}
				if err := loop(s.Addr(), wire, n); err != nil {
					b.Error(err)
				}
			}()
		}
		wg.Wait()
		rate(b, s)
	})
}

// BenchmarkCompose is the part of it that makes the message.
func BenchmarkCompose(b *testing.B) {
	m, err := Open(Config{Relays: []string{"smtp://127.0.0.1:9?tls=none"}, From: "Status <status@example.com>"})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // the benchmark is over
	b.ReportAllocs()
	for i := range b.N {
		_, c, err := m.compose(personal(i))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(c.wire())))
		c.free()
	}
}

func rate(b *testing.B, s *smtptest.Server) {
	b.StopTimer()
	if s.Count() != b.N {
		b.Errorf("%d of %d messages came", s.Count(), b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// share does n pieces of work on some goroutines.
func share(n, workers int, work func(int)) {
	next := make(chan int, 256)
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				work(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func finished(b *testing.B) []byte {
	b.Helper()
	m, err := Open(Config{Relays: []string{"smtp://127.0.0.1:9?tls=none"}, From: "Status <status@example.com>"})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // nothing was dialled
	_, c, err := m.compose(personal(1))
	if err != nil {
		b.Fatal(err)
	}
	return c.wire()
}

// loop is the bare pipelined client: the next commands travel with the content before them.
func loop(addr string, wire []byte, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // said QUIT
	r, w := bufio.NewReader(c), bufio.NewWriterSize(c, 16<<10)
	answer := func(want int) error {
		a, err := readReply(r)
		if err == nil && a.code != want {
			err = fmt.Errorf("answer %s, want %d", a, want)
		}
		return err
	}
	const commands = "MAIL FROM:<status@example.com>\r\nRCPT TO:<person@example.org>\r\nDATA\r\n"
	steps := []int{220, 250}
	_, _ = io.WriteString(w, "EHLO bare\r\n")
	for i := range n {
		if i == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
			for _, want := range steps {
				if err := answer(want); err != nil {
					return err
				}
			}
			_, _ = io.WriteString(w, commands)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if i > 0 {
			if err := answer(250); err != nil {
				return err
			}
		}
		for _, want := range []int{250, 250, 354} {
			if err := answer(want); err != nil {
				return err
			}
		}
		_, _ = w.Write(wire)
		if i < n-1 {
			_, _ = io.WriteString(w, commands)
		}
	}
	_, _ = io.WriteString(w, "QUIT\r\n")
	if err := w.Flush(); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	return answer(250)
}
