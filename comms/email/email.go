// Package email sends messages over SMTP, through one relay or several, on connections that are kept and used again.
//
// Caveats. A message whose connection breaks after its content was given is Unknown: the relay may have taken it. Everything
// before that moment is safe to try elsewhere, and is. A refusal of our sender address or login counts as trouble with the
// relay, never as a fault of the recipient. What goes to a directory (file:DIR) is Written: nobody was told.
//
// Start reading at Mailer.Send; session.go speaks SMTP, convoy.go sends several messages in one turn, pool.go chooses the relay, compose.go builds the message.
package email

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"strings"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Config says through whom and as whom to send.
type Config struct {
	Relays      []string // in order of preference, each as ParseRelay reads it
	From        string   // "Name <address>" or an address
	DKIM        DKIM     // zero: the relay signs, or nobody
	Hostname    string   // for EHLO; the machine's name when empty
	Connections int      // per relay; 10 when 0
	Log         *slog.Logger
	RootCAs     *x509.CertPool // nil: the system's
	Timeouts    Timeouts
	Now         func() time.Time // for the Date header; time.Now when nil
}

// Timeouts are the waits of a Mailer. What is zero takes the default: for a relay's answers the minimum of RFC 5321 4.5.3.2.
type Timeouts struct {
	Dial     time.Duration // TCP connection: 15 s
	Greeting time.Duration // greeting, EHLO, TLS, login: 5 min
	Command  time.Duration // MAIL, RCPT, RSET: 5 min
	Data     time.Duration // DATA to 354: 2 min
	Block    time.Duration // each 64 KiB of content: 3 min
	End      time.Duration // the final answer: 10 min

	Patience time.Duration // with several relays, the most that one may take to answer before content is given: 30 s
	Stall    time.Duration // with several relays, a full one that has answered nobody for this long is passed over: 5 s
	Queue    time.Duration // the longest wait for a free connection: 2 min
	Idle     time.Duration // an idle connection is closed after: 30 s
	Pause    time.Duration // a relay in trouble is left alone, at first for: 1 s
	PauseMax time.Duration // and in the end for: 2 min
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Dial, 15*time.Second)
	set(&t.Greeting, 5*time.Minute)
	set(&t.Command, 5*time.Minute)
	set(&t.Data, 2*time.Minute)
	set(&t.Block, 3*time.Minute)
	set(&t.End, 10*time.Minute)
	set(&t.Patience, 30*time.Second)
	set(&t.Stall, 5*time.Second)
	set(&t.Queue, 2*time.Minute)
	set(&t.Idle, 30*time.Second)
	set(&t.Pause, time.Second)
	set(&t.PauseMax, 2*time.Minute)
	return t
}

// maxRelays is a bound for the set of relays that a message has tried.
const maxRelays = 16

// Mailer is the e-mail channel. Its methods may be called from many goroutines.
type Mailer struct {
	cfg    Config
	t      Timeouts
	from   *mail.Address
	sender string // From's address for MAIL, with angle brackets
	signer *signer
	log    *slog.Logger

	relays []Relay
	pool   *pool // nil when messages go to dir
	dir    string

	lettersMu sync.Mutex
	letters   []keptLetter

	closing sync.Once
	swept   chan struct{}
}

var _ comms.Channel = (*Mailer)(nil)

// Open checks the configuration and makes the channel; it does not dial yet, see Check. Its errors are fault.Invalid and name
// what is wrong.
func Open(cfg Config) (*Mailer, error) {
	m := &Mailer{cfg: cfg, t: cfg.Timeouts.withDefaults(), log: cfg.Log, swept: make(chan struct{})}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.cfg.Now == nil {
		m.cfg.Now = time.Now
	}
	if err := m.identify(); err != nil {
		return nil, err
	}
	if err := m.choose(); err != nil {
		return nil, err
	}
	if m.dir != "" {
		return m, openDir(m.dir)
	}
	quota := cfg.Connections
	if quota <= 0 {
		quota = 10
	}
	m.pool = newPool(m.relays, quota, m.t, m.log)
	fault.Go(m.log, "mail connections", m.sweep)
	return m, nil
}

// identify reads who we are: sender, host name, signing key.
func (m *Mailer) identify() error {
	from, err := mail.ParseAddress(m.cfg.From)
	if err != nil {
		return fault.BadField("from", `must be an address, as in "Example Status <status@example.com>"`)
	}
	env, _, err := mailbox(from.Address)
	if err != nil {
		return fault.BadField("from", "%s", err)
	}
	m.from, m.sender = &mail.Address{Name: oneLine(from.Name, maxName), Address: unquoted(env)}, env
	if m.cfg.Hostname == "" {
		if m.cfg.Hostname, err = os.Hostname(); err != nil {
			return fmt.Errorf("read the machine's name for EHLO: %w", err)
		}
	}
	if strings.ContainsFunc(m.cfg.Hostname, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fault.BadField("hostname", "must be a plain host name")
	}
	m.signer, err = newSigner(m.cfg.DKIM, m.cfg.Now)
	return err
}

// choose reads the relays.
func (m *Mailer) choose() error {
	if len(m.cfg.Relays) == 0 || len(m.cfg.Relays) > maxRelays {
		return fault.BadField("relays", "must be 1 to %d", maxRelays)
	}
	for i, s := range m.cfg.Relays {
		r, err := ParseRelay(s)
		if err != nil {
			return fmt.Errorf("relay %d of %d: %w", i+1, len(m.cfg.Relays), err)
		}
		m.relays = append(m.relays, r)
		if r.Dir != "" {
			m.dir = r.Dir
		}
	}
	if m.dir != "" && len(m.relays) > 1 {
		return fault.BadField("relays", "mix file: with others; a directory stands alone, since nobody is told by it")
	}
	return nil
}

// Name implements comms.Channel.
func (m *Mailer) Name() string { return "email" }

// Live implements comms.Channel: false when messages go to a directory.
func (m *Mailer) Live() bool { return m.dir == "" }

// Send implements comms.Channel. It tries each relay at most once, beside renewing connections that had gone away, and
// returns when the outcome is known, ctx ends, or the timeouts say so.
func (m *Mailer) Send(ctx context.Context, msg comms.Message) comms.Outcome {
	env, content, err := m.compose(msg)
	if err != nil {
		return comms.Outcome{State: comms.Failed, Reason: clean(err.Error())}
	}
	defer content.free()
	if m.dir != "" {
		return writeFile(m.dir, msg, content.plain(nil))
	}
	if !m.pool.enter() {
		return comms.Outcome{State: comms.Deferred, Reason: "the mailer is closing"}
	}
	defer m.pool.leave()
	return m.deliver(ctx, env, content.wire())
}

// deliver takes a message from relay to relay until one gives a verdict.
func (m *Mailer) deliver(ctx context.Context, env envelope, wire []byte) comms.Outcome {
	var (
		tried    uint64
		troubles []string
		last     comms.Outcome
	)
	for renewals := 0; ; {
		s, refused := m.pool.acquire(ctx, waiter{tried: tried, env: env, size: len(wire)})
		if refused != nil {
			if last.State == comms.Failed {
				return last
			}
			return refused.outcome(troubles)
		}
		res := m.attempt(ctx, s, env, wire)
		again := m.pool.release(s, res)
		switch {
		case res.out.State == comms.Unknown:
			return res.out
		case again && renewals < 3:
			renewals++
			continue
		case res.blame != blameRelay && !res.elsewhere && !res.crowded:
			return res.out
		}
		tried |= 1 << s.relay.at
		last = res.out
		troubles = append(troubles, s.relay.String()+" "+res.out.Reason)
	}
}

// attempt dials if need be and sends.
func (m *Mailer) attempt(ctx context.Context, s *slot, env envelope, wire []byte) result {
	if s.session == nil {
		session, err := m.dial(ctx, s.relay.Relay)
		if err != nil {
			return m.undialled(ctx, s, err)
		}
		m.pool.dialled(s, session)
	}
	return s.session.transact(ctx, m, s, env, wire)
}

// undialled is the result when no session came about.
func (m *Mailer) undialled(ctx context.Context, s *slot, err error) result {
	res := result{out: comms.Outcome{State: comms.Deferred, Reason: s.relay.redact(cause(err))}, blame: blameRelay, crowded: replyCode(err) == 421}
	if ctx.Err() != nil {
		res.out.Reason = "stopped while connecting: " + context.Cause(ctx).Error()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || m.pool.now().Sub(s.taken) < m.t.Stall {
			res.blame = blameNobody
		}
	}
	return res
}

// early bounds a wait for an answer before content is given. While another relay could take the message, and nothing can be
// sent twice by trying it, the long waits of the RFC would only keep people waiting.
func (m *Mailer) early(d time.Duration) time.Duration {
	if len(m.relays) > 1 {
		return min(d, m.t.Patience)
	}
	return d
}

// Check dials every relay, logs in, and says which are of no use and why; nil when all are. For a directory it says whether it
// can be written.
func (m *Mailer) Check(ctx context.Context) error {
	if m.dir != "" {
		return checkDir(m.dir)
	}
	errs := make([]error, len(m.relays))
	var wg sync.WaitGroup
	for i, r := range m.relays {
		wg.Add(1)
		fault.Go(m.log, "check of a mail relay", func() {
			defer wg.Done()
			s, err := m.dial(ctx, r)
			if err != nil {
				errs[i] = fault.New(fault.Unavailable, "mail relay %s: %s", r, r.redact(cause(err)))
				return
			}
			s.quit()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close refuses new messages, lets those in flight finish (bound that by the contexts given to Send), and says QUIT on every
// connection.
func (m *Mailer) Close() error {
	m.closing.Do(func() {
		defer close(m.swept)
		if m.pool == nil {
			return
		}
		var wg sync.WaitGroup
		for _, s := range m.pool.close() {
			wg.Add(1)
			fault.Go(m.log, "goodbye to a mail relay", func() {
				defer wg.Done()
				s.quit()
			})
		}
		wg.Wait()
	})
	return nil
}

func (m *Mailer) sweep() {
	tick := time.NewTicker(max(m.t.Idle/2, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-m.swept:
			return
		case <-tick.C:
			m.pool.sweep()
		}
	}
}
