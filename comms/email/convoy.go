package email

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Several messages go to a relay in one turn where it offers CHUNKING (RFC 3030) and PIPELINING: the commands and the whole content of each are
// written before any answer is read, so that many messages share a round trip, a write and a reading. DATA cannot do that: it waits for its 354.
// What the relay has refused by then is content for nobody, which it reads and throws away (RFC 3030 2). When the connection breaks, those whose
// contents are out and whose verdicts have not come are Unknown, each of them: the price of a turn, which mostTogether bounds; a relay that has
// made us pay it is given one message at a time for a while.

// mostTogether is how many messages share a turn, and mostTurn how many bytes they may have, but for one that has more alone.
const (
	mostTogether = 8
	mostTurn     = 512 << 10
)

// stillThere is how long after its last use a session is taken to stand without being asked.
const stillThere = time.Second

// passenger is one message of several.
type passenger struct {
	at      int // among those that were handed in
	env     envelope
	content *content
	end     int           // where its content ends in what goes out
	out     comms.Outcome // empty: nothing of it was taken, and it may be sent again
}

var _ comms.Convoy = (*Mailer)(nil)

// Together implements comms.Convoy.
func (m *Mailer) Together() int {
	if m.pool != nil && m.pool.takesSeveral() {
		return mostTogether
	}
	return 1
}

// SendAll implements comms.Convoy: in one turn as many as can, and the others, with those that met trouble on the way, each as Send would.
func (m *Mailer) SendAll(ctx context.Context, messages []comms.Message) []comms.Outcome {
	outs := make([]comms.Outcome, len(messages))
	if m.dir != "" || !m.pool.enter() {
		for i, msg := range messages {
			outs[i] = m.Send(ctx, msg)
		}
		return outs
	}
	defer m.pool.leave()
	all := make([]*passenger, 0, len(messages))
	defer func() {
		for _, p := range all {
			p.content.free()
		}
	}()
	for i, msg := range messages {
		env, content, err := m.compose(msg)
		if err != nil {
			outs[i] = comms.Outcome{State: comms.Failed, Reason: clean(err.Error())}
			continue
		}
		all = append(all, &passenger{at: i, env: env, content: content})
	}
	m.turn(ctx, all)
	var singly sync.WaitGroup
	for _, p := range all {
		if outs[p.at] = p.out; p.out.State != "" {
			continue
		}
		singly.Add(1)
		fault.Go(m.log, "mail", func() {
			defer singly.Done()
			outs[p.at] = m.deliver(ctx, p.env, p.content.wire())
		})
	}
	singly.Wait()
	return outs
}

// turn sends what it can of several messages on one session that stands.
func (m *Mailer) turn(ctx context.Context, all []*passenger) {
	if len(all) < 2 {
		return
	}
	s, refused := m.pool.acquire(ctx, waiter{many: true})
	if refused != nil {
		for _, p := range all {
			p.out = refused.outcome(nil)
		}
		return
	}
	res := result{}
	if m.pool.forSeveral(s) {
		res = s.session.during(ctx, m, func() result { return s.session.convoy(m, all) })
	}
	m.pool.release(s, res)
}

// convoy is exchange for several messages.
func (s *session) convoy(m *Mailer, all []*passenger) result {
	if m.pool.now().Sub(s.idle) > stillThere || s.spoke() { // else a relay that has gone away meanwhile would leave all of them unknown
		ask := []step{{phase: phaseReset, line: "RSET"}}
		if err := s.talk(m, ask, false); err != nil {
			return s.lost(err, ask)
		}
		if !ask[0].accepted() {
			return s.refused(m, ask, 0)
		}
		s.unfinished = false
	}
	first := s.unfinished
	all = s.load(all)
	out, err := s.give(m, s.out)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.abort() // it reads nothing, and has nothing more to say
	}
	var of result
	for i, p := range all {
		if p.end > out {
			break // with fewer bytes than were announced it is no message
		}
		res, lost := s.verdict(m, p, first || i > 0)
		if lost != nil {
			return s.lostBehind(lost, all[i:], out)
		}
		if res.parted {
			res.stale = res.stale && of.blame != blameRelay
			return res
		}
		if res.blame != blameRelay && !res.elsewhere {
			p.out = res.out
		}
		if of.broken = of.broken || res.broken; of.blame != blameRelay {
			of.out, of.blame = res.out, res.blame
		}
	}
	if err != nil {
		return s.cut(err)
	}
	of.broken = of.broken || of.blame == blameRelay
	return of
}

// spoke says whether the relay has closed the connection, or said something that nobody asked for, since it was last heard.
func (s *session) spoke() (yes bool) {
	c, ok := s.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = err == nil
		return true
	})
	return yes || err != nil
}

// lostBehind is the result when the connection broke before the verdict on the first of these: of those that are out nobody knows.
func (s *session) lostBehind(err error, all []*passenger, out int) result {
	res := s.unknown(err)
	for _, p := range all {
		if p.end <= out && p.out.State == "" {
			p.out = res.out
			res.lost++
		}
	}
	return res
}

// load makes ready what goes out, and says whose it is. Each message behind another begins with RSET, since that may have been refused and its
// transaction be open.
func (s *session) load(all []*passenger) []*passenger {
	s.out = s.out[:0]
	on := make([]*passenger, 0, len(all))
	for _, p := range all {
		if p.env.utf8 && !s.utf8 {
			continue
		}
		size := p.content.size()
		if len(on) > 0 && len(s.out)+size > mostTurn {
			break
		}
		if s.unfinished || len(on) > 0 {
			s.out = append(s.out, "RSET\r\n"...)
		}
		s.out = append(append(s.out, s.mail(p.env, size)...), "\r\nRCPT TO:"...)
		s.out = append(append(s.out, p.env.to...), "\r\nBDAT "...)
		s.out = append(strconv.AppendInt(s.out, int64(size), 10), " LAST\r\n"...)
		s.out = p.content.chunk(s.out)
		p.end = len(s.out)
		on = append(on, p)
	}
	return on
}

// verdict reads what the relay says to one message of a turn. An error is that it says no more: it then has noted of the message what is known.
func (s *session) verdict(m *Mailer, p *passenger, reset bool) (res result, err error) {
	s.unfinished = true
	for _, at := range [...]phase{phaseReset, phaseMail, phaseRcpt, phaseContent} {
		if at == phaseReset && !reset {
			continue
		}
		known := s.known
		if at == phaseContent {
			known = nil
		}
		r, err := s.answer(m.t.End, known)
		refused := res.out.State != ""
		switch {
		case err != nil:
			p.out = res.out
			return res, err
		case r.code == 421: // it ends the connection, and takes nothing of what is behind
			res.out, res.blame = judge(at, r)
			res.broken, res.parted = true, true
			res.stale = at == phaseReset || at == phaseMail && s.used > 0
			return res, nil
		case at == phaseReset: // what follows says whether it mattered
		case refused && at == phaseContent && r.class() == 2:
			res.broken = true // it has taken content for nobody
		case refused:
		case at == phaseContent || r.class() != 2:
			res.out, res.blame = judge(at, r)
			res.elsewhere = r.unfit()
		}
	}
	s.unfinished = res.blame != blameNobody
	return res, nil
}
