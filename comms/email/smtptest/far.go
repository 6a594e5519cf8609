package smtptest

import (
	"log/slog"
	"net"
	"time"

	"lifeline/store/fault"
)

// far is a connection to somebody who is a round trip away: what is written to it goes out that much later, in its order, and the writer does not wait.
type far struct {
	net.Conn
	away time.Duration
	out  chan answer
	done chan struct{}
}

type answer struct {
	due  time.Time
	text []byte
}

func newFar(c net.Conn, away time.Duration) *far {
	f := &far{Conn: c, away: away, out: make(chan answer, 64), done: make(chan struct{})}
	fault.Go(slog.New(slog.DiscardHandler), "smtptest far", func() {
		defer close(f.done)
		for a := range f.out {
			time.Sleep(time.Until(a.due))
			_, _ = f.Conn.Write(a.text) // a client that has gone reads no answer
		}
	})
	return f
}

func (f *far) Write(p []byte) (int, error) {
	f.out <- answer{time.Now().Add(f.away), append([]byte(nil), p...)}
	return len(p), nil
}

// Close ends the connection once the last answer is out.
func (f *far) Close() error {
	close(f.out)
	<-f.done
	return f.Conn.Close()
}
