package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"lifeline/store/fault"
)

// The audit log is a chain: each row's hash covers its content, its place, and the hash before it, so nobody can alter, take out or
// insert a row without changing every hash behind it, nor change those without contradicting a head that is known outside.
//
// Acts only write their row. A sealer chains it within seconds, because a chain inside each act would make every act wait for
// every other. Until then a row can vanish unseen: that is the stated window.

// Head is where the chain ends. Heads kept outside the store, in a sink and in backups, are what a rewritten chain contradicts.
type Head struct {
	Number   int64     `json:"number"` // of the last row; 0: nothing is chained yet
	Hash     string    `json:"hash"`   // of that row, hexadecimal
	At       time.Time `json:"at"`     // when it was chained
	Instance string    `json:"instance"`
}

// heads has one record. It is due whenever nobody holds it.
var heads = Table[Head]{
	Kind: Kind{Name: "head", Prefix: "hed", Schema: 1, Composed: true, Leased: true},
	Due:  func(Head) (string, time.Time) { return "", time.Unix(1, 0) },
}

const headID = "hed_audit"

func beginChain(tx *Tx) error {
	_, _, err := heads.Get(tx, headID)
	if fault.Of(err) == fault.NotFound {
		return heads.Put(tx, headID, Head{At: tx.now}, 0)
	}
	return err
}

// AuditHead is where the audit chain ends now.
func AuditHead(tx *Tx) (Head, error) {
	h, _, err := heads.Get(tx, headID)
	return h, err
}

// link is the hash of a row at a place: SHA-256 over the hash before it (32 zero bytes before the first), the place, the id and the row's
// JSON without place and hash.
func link(before string, place int64, id string, row Row) (string, error) {
	row.Place, row.Hash = 0, ""
	content, err := json.Marshal(row)
	if err != nil {
		return "", err
	}
	prev := make([]byte, sha256.Size)
	if before != "" {
		if _, err := hex.Decode(prev, []byte(before)); err != nil || len(before) != 2*len(prev) {
			return "", fmt.Errorf("the hash before place %d is malformed", place)
		}
	}
	h := sha256.New()
	h.Write(prev)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(place)))
	h.Write(appendText(nil, id))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Sealer chains the rows of the audit log. Every process may run one; a lease lets one at a time work.
type Sealer struct {
	DB   *DB
	Log  *slog.Logger     // nil: discarded
	Sink func(Head) error // takes each new head to a place outside the store; may see one twice. One that fails is called again. nil: none
	// Every is how often it looks for new rows; 0: every second.
	Every time.Duration

	holder string
	sunk   int64 // the last number that Sink took
}

const (
	sealPage  = 256 // rows in one transaction
	sealLease = 10 * time.Second
	sealBusy  = 5 // turns in which a busy store may refuse before anybody hears of it: the rows wait, and are chained with the next
)

// Run seals until ctx ends, and once more then, for what was written at the last moment.
func (s *Sealer) Run(ctx context.Context) error {
	every := s.Every
	if every == 0 {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for missed := 0; ; missed++ {
		_, err := s.Seal(ctx)
		switch {
		case err == nil:
			missed, said = 0, ""
		case ctx.Err() == nil && err.Error() != said && (missed >= sealBusy || fault.Of(err) != fault.Unavailable):
			said = err.Error() // once: it is tried each second
			s.log().Error("the audit log was not sealed; trying again", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_, err := s.Seal(last)
			return err
		}
	}
}

func (s *Sealer) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Seal chains every row that waits and says how many it chained: none when another sealer is at work.
func (s *Sealer) Seal(ctx context.Context) (n int, err error) {
	head, rows, err := s.next(ctx, 1) // a look first: an idle sealer must not cost a commit
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, s.sink(head)
	}
	if s.holder == "" {
		s.holder = "sealer " + rand.Text()
	}
	claims, err := s.DB.Claim(ctx, Lease{Kind: heads.Name, Holder: s.holder, For: sealLease, Limit: 1})
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	defer func() {
		if err != nil { // another sealer, or this one's next pass, need not wait until the lease is over
			s.giveUp(ctx, claims[0].Epoch)
		}
	}()
	for {
		head, rows, err = s.next(ctx, sealPage)
		if err != nil {
			return n, err
		}
		last := len(rows) < sealPage
		if err := s.write(ctx, head, rows, claims[0].Epoch, last); err != nil {
			return n, fmt.Errorf("chain the audit log behind row %d: %w", head.was.Number, err)
		}
		n += len(rows)
		if last {
			return n, s.sink(head)
		}
	}
}

func (s *Sealer) giveUp(ctx context.Context, epoch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.DB.Update(ctx, Act{}, func(tx *Tx) error { return heads.Release(tx, headID, s.holder, epoch) }) // else it lapses
}

func (s *Sealer) sink(h nextHead) error {
	if s.Sink == nil || h.Number <= s.sunk {
		return nil
	}
	if err := s.Sink(h.Head); err != nil {
		return fmt.Errorf("take the head of the audit log outside: %w", err)
	}
	s.sunk = h.Number
	return nil
}

// nextHead is the head as it will be once the rows read with it are chained.
type nextHead struct {
	Head
	was     Head
	version int64
}

// next reads a page of waiting rows and computes their links and sealed bodies, outside the transaction that will write them.
func (s *Sealer) next(ctx context.Context, limit int) (head nextHead, rows []Raw, err error) {
	db := s.DB
	err = db.View(ctx, func(tx *Tx) error {
		head, rows = nextHead{}, nil
		h, m, err := heads.Get(tx, headID)
		if err != nil {
			return fmt.Errorf("read where the audit chain ends: %w", err)
		}
		head = nextHead{Head: h, was: h, version: m.Version}
		for old, err := range tx.scan(auditRows.Kind, Query{Index: "chain", Equal: []any{false}, Limit: limit}) {
			if err != nil {
				return err
			}
			row, err := auditRows.open(tx, old)
			if err != nil { // it stays where it is and verifying names it; the others must not wait for it
				s.log().Error("a row of the audit log cannot be read and was not chained", "err", err)
				continue
			}
			if len(rows) == 0 {
				if head.Instance, err = Instance(tx); err != nil {
					return err
				}
				head.At = tx.now
			}
			head.Number++
			row.Place = head.Number
			if row.Hash, err = link(head.Hash, row.Place, old.ID, row); err != nil {
				return err
			}
			head.Hash = row.Hash
			raw := Raw{Meta: old.Meta}
			plain, err := json.Marshal(row)
			if err != nil {
				return err
			}
			if raw.Body, err = db.keys.seal(auditRows.Kind, old.ID, plain); err != nil {
				return err
			}
			if raw.Tuples, err = auditRows.tuples(db, row); err != nil {
				return err
			}
			rows = append(rows, raw)
		}
		if h.Number == 0 && len(rows) > 0 {
			n, err := auditRows.Count(tx, Query{Index: "chain", Equal: []any{true}, Limit: 1})
			if err == nil && n > 0 {
				err = fault.New(fault.Internal, "the audit chain has rows but its head is gone; verify the log before anything else")
			}
			return err
		}
		return nil
	})
	return head, rows, err
}

func (s *Sealer) write(ctx context.Context, head nextHead, rows []Raw, epoch int64, last bool) error {
	return s.DB.Update(ctx, Act{}, func(tx *Tx) error {
		for _, raw := range rows {
			if err := tx.put(auditRows.Kind, raw); err != nil {
				return err
			}
		}
		if len(rows) > 0 {
			// The head's version, not the lease, is what keeps two chains from growing on one end.
			if err := heads.Put(tx, headID, head.Head, head.version); err != nil {
				return err
			}
		}
		if last {
			return heads.Release(tx, headID, s.holder, epoch)
		}
		return heads.Renew(tx, headID, s.holder, epoch, sealLease)
	})
}
