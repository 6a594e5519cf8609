package smtptest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// bare serves one connection with the small engine.
func (s *Server) bare(nc net.Conn, number int) {
	if s.opts.Away > 0 {
		nc = newFar(nc, s.opts.Away)
	}
	defer nc.Close() //nolint:errcheck // it may be closed already
	b := &bareSession{server: s, number: number, r: bufio.NewReaderSize(nc, 64<<10), w: bufio.NewWriterSize(nc, 4<<10)}
	b.say("220 smtptest.invalid ESMTP")
	for b.flush() == nil {
		line, err := b.r.ReadSlice('\n')
		if err != nil {
			return
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) {
			s.violation("command not ended by CRLF: %q", line)
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		if s.opts.NoPipelining && b.r.Buffered() > 0 {
			s.violation("%s was followed by more before its answer", verb)
		}
		if !b.command(strings.ToUpper(verb), rest) {
			_ = b.flush()
			return
		}
	}
}

type bareSession struct {
	server *Server
	number int
	r      *bufio.Reader
	w      *bufio.Writer

	helo string
	open bool // MAIL was accepted
	from string
	to   []string

	begun bool   // a chunk was taken
	kept  []byte // of the chunks so far
}

func (b *bareSession) say(line string) {
	_, _ = b.w.WriteString(line)
	_, _ = b.w.WriteString("\r\n")
}

// flush sends the answers once the client has nothing more in the pipe.
func (b *bareSession) flush() error {
	if b.r.Buffered() > 0 {
		return nil
	}
	return b.w.Flush()
}

// command answers one command; false ends the connection.
func (b *bareSession) command(verb, rest string) bool {
	switch verb {
	case "EHLO":
		b.helo = rest
		b.say("250-smtptest.invalid")
		if !b.server.opts.NoPipelining {
			b.say("250-PIPELINING")
		}
		if !b.server.opts.NoPipelining && !b.server.opts.NoChunking {
			b.say("250-CHUNKING")
		}
		b.say("250-SIZE 52428800")
		b.say("250 8BITMIME")
	case "HELO":
		b.helo = rest
		b.say("250 smtptest.invalid")
	case "MAIL":
		return b.mail(rest)
	case "RCPT":
		return b.rcpt(rest)
	case "DATA":
		return b.data()
	case "BDAT":
		return b.bdat(rest)
	case "RSET":
		b.reset()
		b.say("250 2.0.0 reset")
	case "NOOP":
		b.say("250 2.0.0 nothing done")
	case "QUIT":
		b.say("221 2.0.0 bye")
		return false
	default:
		b.say("500 5.5.2 unknown command")
	}
	return true
}

func (b *bareSession) reset() { b.open, b.from, b.to, b.begun, b.kept = false, "", nil, false, nil }

func path(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	p, _, _ := strings.Cut(rest, ">")
	return p
}

// obey does what an answer says: done, and whether the connection goes on.
func (b *bareSession) obey(a Answer) (done, on bool) {
	switch {
	case a.Hang:
		_ = b.w.Flush()
		<-b.server.done
		return true, false
	case a.Cut:
		b.w.Reset(io.Discard)
		return true, false
	case a.Code != 0:
		b.say(a.line())
		return true, a.Code != 421
	}
	return false, true
}

func (b *bareSession) mail(rest string) bool {
	from := path(rest)
	if b.open {
		b.say("503 5.5.1 nested MAIL")
		return true
	}
	if done, on := b.obey(b.server.ask(Event{Phase: Mail, Conn: b.number, From: from})); done {
		return on
	}
	b.open, b.from = true, from
	b.say("250 2.1.0 ok")
	return true
}

func (b *bareSession) rcpt(rest string) bool {
	to := path(rest)
	if !b.open {
		b.say("503 5.5.1 MAIL first")
		return true
	}
	e := Event{Phase: Rcpt, Conn: b.number, From: b.from, To: to}
	if !b.server.opts.Count {
		e.Try = b.server.tried(to)
	}
	if done, on := b.obey(b.server.ask(e)); done {
		return on
	}
	b.to = append(b.to, to)
	b.say("250 2.1.5 ok")
	return true
}

func (b *bareSession) data() bool {
	if len(b.to) == 0 && !b.server.opts.DataAnyway {
		b.say("503 5.5.1 no valid recipients")
		return true
	}
	if b.begun {
		b.say("503 5.5.1 DATA behind BDAT")
		return true
	}
	a := b.server.ask(b.event(Data))
	if !a.Half {
		if done, on := b.obey(a); done {
			return on
		}
	}
	b.say("354 go on")
	if b.w.Flush() != nil {
		return false
	}
	if a.Half {
		_, _ = b.r.Discard(100)
		_, on := b.obey(a)
		return on
	}
	content, err := b.content()
	if err != nil {
		return false
	}
	if len(b.to) == 0 {
		if len(content) > 0 {
			b.server.violation("content for no recipient: %d bytes", len(content))
		}
		b.say("554 5.5.1 no valid recipients")
		b.reset()
		return true
	}
	return b.whole(content)
}

// bdat takes a chunk (RFC 3030 2). It reads what it refuses: the bytes are there whatever it answers.
func (b *bareSession) bdat(rest string) bool {
	fields := strings.Fields(rest)
	last := len(fields) == 2 && strings.EqualFold(fields[1], "LAST")
	if len(fields) != 1 && !last {
		b.say("501 5.5.4 BDAT size, and LAST or nothing")
		return false // where the next command begins nobody knows
	}
	size, err := strconv.ParseUint(fields[0], 10, 31)
	if err != nil {
		b.say("501 5.5.4 BDAT size, and LAST or nothing")
		return false
	}
	refusal := ""
	if len(b.to) == 0 {
		refusal = "503 5.5.1 no valid recipients"
	} else if !b.begun {
		switch a := b.server.ask(b.event(Data)); {
		case a.Half:
			_, _ = b.r.Discard(int(min(100, size)))
			_, on := b.obey(a)
			return on
		case a.Code != 0 && a.Code != 421:
			refusal = a.line()
		default:
			if done, on := b.obey(a); done {
				return on
			}
		}
	}
	keep := refusal == "" && !b.server.opts.Count
	if keep {
		at := len(b.kept)
		b.kept = append(b.kept, make([]byte, size)...)
		_, err = io.ReadFull(b.r, b.kept[at:])
	} else {
		_, err = b.r.Discard(int(size))
	}
	if err != nil {
		return false
	}
	b.server.bytes.Add(int64(size))
	switch {
	case refusal != "":
		b.say(refusal)
		return true
	case !last:
		b.begun = true
		b.say("250 2.0.0 go on")
		return true
	}
	if i := bytes.IndexByte(b.kept, '\n'); keep && (!bytes.HasSuffix(b.kept, []byte("\r\n")) || i > 0 && b.kept[i-1] != '\r') {
		b.server.violation("the lines of a chunk do not end in CRLF")
	}
	return b.whole(b.kept)
}

// event is what a script is asked behind the recipients.
func (b *bareSession) event(p Phase) Event {
	e := Event{Phase: p, Conn: b.number, From: b.from}
	if len(b.to) > 0 {
		e.To = b.to[0]
	}
	return e
}

// whole answers a message that has come whole.
func (b *bareSession) whole(content []byte) bool {
	a := b.server.ask(b.event(Content))
	if a == (Answer{}) || a.Keep {
		b.server.keep(Received{From: b.from, To: b.to, Data: content, Conn: b.number, Helo: b.helo, At: time.Now()})
	}
	if done, on := b.obey(a); done {
		return on // like many a server, it wants a RSET now
	}
	b.reset()
	b.say(fmt.Sprintf("250 2.0.0 Ok: queued as %X", b.server.count.Load()))
	return true
}

// content reads up to the lone dot. When only counting it keeps nothing.
func (b *bareSession) content() ([]byte, error) {
	var data []byte
	start := true // at the start of a line
	taken := 0
	defer func() { b.server.bytes.Add(int64(taken)) }()
	for {
		line, err := b.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		taken += len(line)
		if start && len(line) == 3 && line[0] == '.' && line[1] == '\r' {
			return data, nil
		}
		if !b.server.opts.Count {
			if start && line[0] == '.' {
				line = line[1:]
			}
			if err == nil && !bytes.HasSuffix(line, []byte("\r\n")) {
				b.server.violation("a line of content ends in a bare LF")
			}
			data = append(data, line...)
		}
		start = err == nil
	}
}
