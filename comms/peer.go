package comms

import (
	"net/url"
	"strings"
	"sync"
)

// peers counts the messages under way to each recipient domain, in all pages of a process. A domain whose relay is slow, or puts everybody off, holds its own
// places and no more: what goes to others passes it by. The zero value is ready.
type peers struct {
	mu    sync.Mutex
	busy  map[string]int
	freed Bell
}

// peerOf is the domain that a message is for, as far as one can be slow apart from others; "": none is.
func peerOf(channel, address string) string {
	switch channel {
	case ChannelEmail:
		return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
	case ChannelWebhook:
		if u, err := url.Parse(address); err == nil {
			return u.Host
		}
	}
	return ""
}

// pick takes a place for the first of the tasks whose domain has one of most, and says which it is; -1: none has.
func (p *peers) pick(tasks []task, most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := ""
	for i, t := range tasks {
		switch {
		case t.peer == "":
			return i
		case t.peer == full:
		case p.busy[t.peer] >= most:
			full = t.peer
		default:
			if p.busy == nil {
				p.busy = map[string]int{}
			}
			p.busy[t.peer]++
			return i
		}
	}
	return -1
}

// free gives a place back.
func (p *peers) free(peer string) {
	if peer == "" {
		return
	}
	p.mu.Lock()
	if p.busy[peer]--; p.busy[peer] <= 0 {
		delete(p.busy, peer)
	}
	p.mu.Unlock()
	p.freed.Ring()
}
