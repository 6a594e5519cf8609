package email

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lifeline/comms"
	"lifeline/comms/email/smtptest"
)

var (
	theText = strings.Repeat("We are restoring your site from a backup; there is nothing for you to do.\n", 14)
	theHTML = "<html><body>" + strings.Repeat("<p>We are restoring your site from a backup; nothing to do.</p>\n", 18) + "</body></html>\n"
)

// theLetter is a message of 2.7 KB for one person out of many, the same for everybody but for its header, as an update is.
func theLetter(i int) comms.Message {
	return comms.Message{
		Delivery: fmt.Sprintf("dlv_%d", i), To: fmt.Sprintf("person%d@example.org", i), Name: fmt.Sprintf("Person %d", i), Locale: "en",
		Subject: "[P0] 883 sites unreachable: update 4", Text: theText, HTML: theHTML,
		ID: fmt.Sprintf("upd4.%d@example.com", i), Root: fmt.Sprintf("inc.%d@example.com", i),
		Unsub: fmt.Sprintf("https://status.example.com/u/%d", i), List: "updates.status.example.com",
	}
}

// personal is one of which the text too is the person's own.
func personal(i int) comms.Message {
	m := theLetter(i)
	m.Text += fmt.Sprintf("Your link: https://status.example.com/t/%d\n", i)
	return m
}

// BenchmarkSend sends messages over 10 connections to a sink that counts, on the same cores, beside a bare pipelined
// loop that writes one finished message again and again: what the protocol alone costs.
func BenchmarkSend(b *testing.B) {
	const connections = 10
	mailer := func(b *testing.B, message func(int) comms.Message) {
		s := smtptest.Start(b, smtptest.Options{Count: true})
		m, err := Open(Config{Relays: []string{s.URL()}, From: "Status <status@example.com>", Connections: connections})
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close() //nolint:errcheck // the benchmark is over
		b.ReportAllocs()
		b.ResetTimer()
		share(b.N, connections*4, func(i int) {
			if out := m.Send(context.Background(), message(i)); out.State != comms.Sent {
				b.Errorf("%+v", out)
			}
		})
		rate(b, s)
	}
	b.Run("letter", func(b *testing.B) { mailer(b, theLetter) })
	b.Run("personal", func(b *testing.B) { mailer(b, personal) })
	b.Run("bare", func(b *testing.B) {
		s := smtptest.Start(b, smtptest.Options{Count: true})
		b.ReportAllocs()
		b.ResetTimer()
		if _, err := smtptest.Flood(s.Addr(), connections, b.N, 2700, nil); err != nil {
			b.Error(err)
		}
		rate(b, s)
	})
}

// BenchmarkCompose is the part of it that makes the message.
func BenchmarkCompose(b *testing.B) {
	for name, message := range map[string]func(int) comms.Message{"letter": theLetter, "personal": personal} {
		b.Run(name, func(b *testing.B) {
			m, err := Open(Config{Relays: []string{"smtp://127.0.0.1:9?tls=none"}, From: "Status <status@example.com>"})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close() //nolint:errcheck // the benchmark is over
			b.ReportAllocs()
			for i := range b.N {
				_, c, err := m.compose(message(i))
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(c.wire())))
				c.free()
			}
		})
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
