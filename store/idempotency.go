package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"lifeline/store/fault"
)

// Reply is the answer to a request that named an idempotency key (draft-ietf-httpapi-idempotency-key-header), kept sealed for
// ReplyKept. The first Update of the request writes it beside the act, so a retry can never act twice; the answer's bytes follow.
type Reply struct {
	Body   string    `json:"body"` // digest of the request's body
	At     time.Time `json:"at"`
	On     []string  `json:"on,omitempty"` // what the act was about
	Done   bool      `json:"done"`         // Status, Type and Answer are there
	Status int       `json:"status,omitempty"`
	Type   string    `json:"type,omitempty"`
	Answer []byte    `json:"answer,omitempty"`
}

// ReplyKept is how long a key is remembered.
const ReplyKept = 24 * time.Hour

var replies = Table[Reply]{
	Kind:   Kind{Name: "reply", Prefix: "rpl", Schema: 1, Composed: true, Indexes: []Index{{Name: "at", Fields: []Field{{"at", Time}}}}},
	Tuples: func(r Reply) Tuples { return Tuples{"at": {r.At}} },
}

// Once is a request's idempotency key, bound to caller, route and body.
type Once struct{ id, body string }

// NewOnce makes the binding. Keys are the caller's own: another caller's equal key is another key.
func NewOnce(caller, route, key string, body []byte) Once {
	h := sha256.New()
	for _, part := range []string{caller, route, key} {
		h.Write(appendText(nil, part))
	}
	sum := sha256.Sum256(body)
	return Once{id: "rpl_" + hex.EncodeToString(h.Sum(nil)), body: hex.EncodeToString(sum[:])}
}

type onceKey struct{}

// WithOnce makes the first Update with a Verb under the returned context write o beside its act, and fail with
// fault.Exists when that was done before.
func WithOnce(ctx context.Context, o Once) context.Context {
	used := false
	return context.WithValue(ctx, onceKey{}, &onceUse{once: o, used: &used})
}

type onceUse struct {
	once Once
	used *bool
}

// Replay looks a key up: nil when it is new, the Reply when the request was carried out (Done false: its answer was lost, On
// says what it made), fault.Conflict when the body was another.
func (db *DB) Replay(ctx context.Context, o Once) (*Reply, error) {
	var found *Reply
	err := db.View(ctx, func(tx *Tx) error {
		r, _, err := replies.Get(tx, o.id)
		if fault.Of(err) == fault.NotFound || err == nil && tx.Now().Sub(r.At) > ReplyKept {
			return nil
		}
		if err != nil {
			return err
		}
		if r.Body != o.body {
			return fault.New(fault.Conflict, "this Idempotency-Key was used with another body")
		}
		found = &r
		return nil
	})
	return found, err
}

func (u *onceUse) write(tx *Tx) error {
	r := Reply{Body: u.once.body, At: tx.now, On: tx.on}
	if len(r.On) > maxOn {
		r.On = r.On[:maxOn]
	}
	old, m, err := replies.Get(tx, u.once.id)
	if err == nil && tx.now.Sub(old.At) <= ReplyKept {
		return fault.New(fault.Exists, "this Idempotency-Key was used already")
	}
	return replies.Put(tx, u.once.id, r, m.Version)
}

// Answered keeps the answer to a request that acted; one that did not act (it failed) keeps nothing, so it can be tried again.
func (db *DB) Answered(ctx context.Context, o Once, status int, contentType string, answer []byte) error {
	return db.Update(ctx, Act{}, func(tx *Tx) error {
		r, m, err := replies.Get(tx, o.id)
		if fault.Of(err) == fault.NotFound || err == nil && r.Done {
			return nil
		}
		if err != nil {
			return err
		}
		r.Done, r.Status, r.Type, r.Answer = true, status, contentType, answer
		return replies.Put(tx, o.id, r, m.Version)
	})
}

// ForgetReplies removes at most limit answers whose time has passed and says how many.
func (db *DB) ForgetReplies(ctx context.Context, limit int) (n int, err error) {
	err = db.Update(ctx, Act{}, func(tx *Tx) error {
		n = 0
		for rec, err := range replies.Scan(tx, Query{Index: "at", To: tx.now.Add(-ReplyKept), Limit: limit}) {
			if err != nil {
				return err
			}
			if err := replies.Delete(tx, rec.ID, rec.Version); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
