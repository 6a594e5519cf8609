package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"lifeline/comms"
	"lifeline/portal"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/fault"
)

// What only the operator of this machine may ask, at the control socket.

const byOperator = "system:operator"

// keyState is what is known of the keys.
type keyState struct {
	Rotation   store.Progress `json:"rotation"`
	Custodians []custodian    `json:"custodians"`
}

type custodian struct {
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Current bool      `json:"current"`
}

// backupAnswer is the manifest of a backup that was taken, or that none was needed.
type backupAnswer struct {
	backup.Manifest
	Unchanged bool `json:"unchanged"`
}

func (h *house) backUp(ctx context.Context) (any, error) {
	if h.backups == nil {
		return nil, errNoRecipients
	}
	m, err := h.backups.Now(ctx)
	h.backups.Note(ctx, m, err)
	switch {
	case errors.Is(err, backup.ErrUnchanged):
		return backupAnswer{Unchanged: true}, nil
	case errors.Is(err, backup.ErrFrozen):
		return nil, fault.Wrap(fault.Conflict, err, "%s was taken, but the store has shrunk: %s. Older backups are kept until somebody has looked: if it is right, "+thawCommand+"; if not, \"lifeline help backup\" says how to restore", m.Name(), m.Frozen)
	case err != nil:
		return nil, fmt.Errorf("back up: %w", err)
	}
	return backupAnswer{Manifest: m}, nil
}

// thawCommand is what whoever looked at a frozen store does.
const thawCommand = `lifeline backup thaw --reason "..."`

// thaw lets old backups go in their time again, since somebody looked at why the store shrank.
func (h *house) thaw(ctx context.Context, reason string) (any, error) {
	if h.backups == nil {
		return nil, errNoRecipients
	}
	m, err := h.backups.Thaw(ctx, byOperator, reason)
	if m.Number == 0 || fault.Of(err) == fault.Conflict { // nothing was taken
		return nil, err
	}
	h.backups.Note(ctx, m, err)
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return backupAnswer{Manifest: m}, nil
}

var errNoRecipients = fault.New(fault.Conflict, "no backups can be taken: set LIFELINE_BACKUP_RECIPIENTS to at least two public keys of age")

func (h *house) keyState(ctx context.Context) (keyState, error) {
	s := keyState{Custodians: []custodian{}}
	var err error
	if s.Rotation, err = h.db.RotationProgress(ctx); err != nil {
		return s, err
	}
	err = h.db.View(ctx, func(tx *store.Tx) error {
		s.Custodians = s.Custodians[:0]
		all, err := store.Custodians(tx)
		for _, c := range all {
			s.Custodians = append(s.Custodians, custodian{c.Name, c.At, c.Current})
		}
		return err
	})
	return s, err
}

func (h *house) rotate(ctx context.Context, reason string) (any, error) {
	if err := h.db.Rotate(ctx, store.Act{By: byOperator, Verb: "key.rotate", Reason: reason}); err != nil {
		return nil, err
	}
	fault.Go(h.log, "reseal", func() { h.reseal(h.living) })
	return h.keyState(ctx)
}

// operator is what the control socket serves beside the API.
func (h *house) operator() portal.Operator {
	return portal.Operator{
		BackUp: h.backUp, Health: h.health, Prove: h.prove, Release: h.release, Rotate: h.rotate, Slice: h.slice, Thaw: h.thaw, Trouble: h.trouble,
		Keys: func(ctx context.Context) (any, error) { return h.keyState(ctx) },
	}
}

// sink keeps a head of the audit log where a change of the store cannot reach it: in the log, and in LIFELINE_AUDIT_SINK.
func (h *house) sink(head store.Head) error {
	h.log.Info("audit log", "rows", head.Number, "hash", head.Hash, "instance", head.Instance)
	name := h.cfg.get("LIFELINE_AUDIT_SINK")
	if name == "" {
		return nil
	}
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("LIFELINE_AUDIT_SINK: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// seal chains what a command wrote into the audit log, which would else wait for the next server.
func (h *house) seal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := (&store.Sealer{DB: h.db, Log: h.log, Sink: h.sink}).Seal(ctx); err != nil {
		h.log.Warn("the audit log is not sealed; the next server does it", "err", err)
	}
}

// reseal goes on with a rotation where it stopped.
func (h *house) reseal(ctx context.Context) {
	if err := h.db.Reseal(ctx, nil); err != nil && ctx.Err() == nil {
		h.log.Error("records were not all sealed anew; it goes on at the next start", "err", err)
	}
}

// othersLearn is how soon each replica has keys that another one made: it looks once a second.
const othersLearn = 5 * time.Second

// followKeys reads how far the last rotation is, which the newest keys seal: with that a replica that shares LIFELINE_KEYS has what another one rotated.
func (h *house) followKeys(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for said := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := h.db.RotationProgress(ctx)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && fault.Of(err) != fault.Unavailable && err.Error() != said:
			said = err.Error()
			h.log.Error("the keys cannot be followed; were they rotated on another machine, copy its LIFELINE_KEYS here", "err", err)
		}
	}
}

func (h *house) prove(ctx context.Context, who string, files map[string][]byte) error {
	return h.db.ProveEscrow(ctx, store.Act{By: byOperator, Verb: "key.prove"}, who, files)
}

// storeHealth is what the doctor asks of an open store.
type storeHealth struct {
	Now    time.Time         `json:"now"`
	Unsafe []string          `json:"unsafe"`
	Alone  string            `json:"alone"` // why the database is not replicated as its URL promises
	Held   string            `json:"held"`
	Page   string            `json:"page"` // why the status page is not up to date
	Keys   keyState          `json:"keys"`
	Audit  store.AuditReport `json:"audit"`

	Journal store.JournalState `json:"journal"`
	Mail    comms.MailVolume   `json:"mail"`
	SignIn  auth.WaysIn        `json:"sign_in"`
	Nobody  []comms.Named      `json:"nobody"` // whom the policy names and who has no open account
}

func (h *house) health(ctx context.Context) (any, error) {
	out := storeHealth{Now: time.Now(), Unsafe: []string{}, Alone: h.unreplicated(ctx), Page: h.pageTrouble()}
	if engine, ok := h.engine.(interface {
		Unsafe(context.Context) []string
	}); ok {
		out.Unsafe = append(out.Unsafe, engine.Unsafe(ctx)...)
	}
	var err error
	if out.Keys, err = h.keyState(ctx); err != nil {
		return nil, err
	}
	if err := h.db.View(ctx, func(tx *store.Tx) error {
		out.Held, err = store.Held(tx)
		return err
	}); err != nil {
		return nil, err
	}
	if out.Journal, err = h.db.Journal(ctx); err != nil {
		return nil, err
	}
	if out.Mail, err = h.comms.MailVolume(ctx); err != nil {
		return nil, err
	}
	if out.SignIn, err = h.gate.WaysIn(ctx); err != nil {
		return nil, err
	}
	if out.Nobody, err = h.portal.Nobodies(ctx); err != nil {
		return nil, err
	}
	known, err := h.cfg.knownHeads()
	if err != nil {
		return nil, fmt.Errorf("LIFELINE_AUDIT_SINK: %w", err)
	}
	out.Audit, err = h.db.VerifyAudit(ctx, known...)
	return out, err
}

// release ends a hold. Facts that found no record when the store was restored are tried once more first: what is missing may have been imported
// since, and its people may have opted out.
func (h *house) release(ctx context.Context, reason string) error {
	if _, err := h.db.Retry(ctx, applies()); err != nil {
		return err
	}
	return h.db.Release(ctx, store.Act{By: byOperator, Verb: "hold.release", Reason: reason})
}

// slice puts what a command picked from a backup into the living store.
func (h *house) slice(ctx context.Context, r io.Reader, in portal.SliceRequest) (any, error) {
	if in.Reason == "" && !in.Dry {
		return nil, fault.BadField("reason", "is needed; it is kept in the audit log")
	}
	shelf, err := h.cfg.shelf()
	if err != nil {
		return nil, err
	}
	entry, err := shelf.Number(ctx, in.Backup)
	if err != nil {
		return nil, err
	}
	return backup.PutSlice(ctx, h.db, r, backup.SliceOptions{By: byOperator, Reason: in.Reason, Dry: in.Dry, Applies: applies(),
		Facts: func() ([]store.Fact, error) { return shelf.Facts(ctx, entry.Page, h.db.Keys()) }})
}
