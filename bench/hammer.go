package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// The client of the page has a process and one thread of its own and does no more than it must: it writes a request that was prepared, and counts bytes. What
// it measures is then the server, and two servers can be held against each other on a machine that client and server share.

// hammering is one question, asked again and again over kept connections.
type hammering struct {
	Addr    string // 127.0.0.1:port
	Request string
	Conns   int
	For     time.Duration
}

// hammered is what came of it.
type hammered struct {
	Rate     float64 // answers per second
	P50, P99 time.Duration
	Bytes    int // of one answer with its header
	First    string
}

// hammer asks in a process of its own.
func hammer(ctx context.Context, h hammering) (out hammered, err error) {
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	in, err := json.Marshal(h)
	if err != nil {
		return out, err
	}
	cmd := exec.CommandContext(ctx, self, "-hammer")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	got, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("ask %s: %w", h.Addr, err)
	}
	return out, json.Unmarshal(got, &out)
}

// hammerHere is that process.
func hammerHere(in io.Reader, out io.Writer) error {
	var h hammering
	if err := json.NewDecoder(in).Decode(&h); err != nil {
		return err
	}
	got, err := h.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(got)
}

// first asks once and learns how long an answer is: all that follow are as long, or it is an error.
func (h hammering) first() (answer []byte, err error) {
	c, err := net.Dial("tcp", h.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, h.Request); err != nil {
		return nil, err
	}
	buf := make([]byte, 0, 1<<20)
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return nil, fmt.Errorf("read the first answer: %w", err)
		}
		buf = buf[:len(buf)+n]
		head := bytes.Index(buf, []byte("\r\n\r\n"))
		if head < 0 {
			continue
		}
		length := 0
		if _, rest, ok := bytes.Cut(buf[:head], []byte("\r\nContent-Length: ")); ok {
			digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
			if length, err = strconv.Atoi(string(digits)); err != nil {
				return nil, err
			}
		}
		if len(buf) == head+4+length {
			return buf, nil
		}
	}
}

func (h hammering) run() (out hammered, err error) {
	answer, err := h.first()
	if err != nil {
		return out, err
	}
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return out, err
	}
	defer syscall.Close(poll)
	host, port, err := net.SplitHostPort(h.Addr)
	if err != nil {
		return out, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return out, err
	}
	to := &syscall.SockaddrInet4{Port: n, Addr: [4]byte(net.ParseIP(host).To4())}
	request := []byte(h.Request)
	type conn struct {
		got   int
		asked time.Time
	}
	conns := map[int32]*conn{}
	defer func() {
		for fd := range conns {
			err = errors.Join(err, syscall.Close(int(fd)))
		}
	}()
	for range h.Conns {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return out, err
		}
		conns[int32(fd)] = &conn{asked: time.Now()}
		err = errors.Join(syscall.Connect(fd, to), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
		if err != nil {
			return out, err
		}
		if _, err := syscall.Write(fd, request); err != nil {
			return out, err
		}
	}
	took := make([]time.Duration, 0, 1<<20)
	events, buf := make([]syscall.EpollEvent, h.Conns), make([]byte, 64<<10)
	begin := time.Now()
	now := begin
	for now.Sub(begin) < h.For {
		ready, err := syscall.EpollWait(poll, events, 1000)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return out, err
		}
		now = time.Now()
		for _, e := range events[:max(ready, 0)] {
			c := conns[e.Fd]
			n, err := syscall.Read(int(e.Fd), buf)
			if err != nil || n == 0 {
				return out, fmt.Errorf("an answer ended after %d bytes: %w", c.got, cmp.Or(err, io.ErrUnexpectedEOF))
			}
			if c.got == 0 && !bytes.HasPrefix(buf[:n], answer[:12]) {
				return out, fmt.Errorf("%.12q instead of %.12q", buf[:n], answer)
			}
			if c.got += n; c.got < len(answer) {
				continue
			}
			if c.got > len(answer) {
				return out, fmt.Errorf("%d bytes instead of %d", c.got, len(answer))
			}
			took = append(took, now.Sub(c.asked))
			c.got, c.asked = 0, now
			if _, err := syscall.Write(int(e.Fd), request); err != nil {
				return out, err
			}
		}
	}
	if len(took) == 0 {
		return out, errors.New("nothing was answered")
	}
	seconds := now.Sub(begin).Seconds()
	slices.Sort(took)
	return hammered{Rate: float64(len(took)) / seconds, P50: took[len(took)/2], P99: took[len(took)*99/100], Bytes: len(answer), First: string(answer[:min(len(answer), 1024)])}, nil
}
