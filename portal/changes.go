package portal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

type changeBody struct {
	Verb     string          `json:"verb"`
	Input    json.RawMessage `json:"input"`
	Reason   string          `json:"reason"`
	Rehearse int             `json:"rehearse,omitempty"`
}

type digestBody struct {
	Digest string `json:"digest"`
}

type changeAnswer struct {
	object
	Verb       string            `json:"verb"`
	State      string            `json:"state"`
	Note       string            `json:"note,omitempty"`
	Author     string            `json:"author"`
	Reason     string            `json:"reason"`
	Input      json.RawMessage   `json:"input"`
	Digest     string            `json:"digest"` // what an approval names
	Alone      bool              `json:"alone"`  // one person may
	Counts     map[string]int    `json:"counts"`
	Sample     []contacts.Sample `json:"sample"` // masked
	Steps      int               `json:"steps"`
	Done       int               `json:"done"`
	Left       int               `json:"left"`                // of those done: records that no longer fitted and stay as they were
	PausesAt   int               `json:"pauses_at,omitempty"` // the rehearsal
	Approvals  []string          `json:"approvals,omitempty"`
	RunBy      string            `json:"run_by,omitempty"`
	UndoneBy   string            `json:"undone_by,omitempty"`
	ProposedAt time.Time         `json:"proposed_at"`
	ExpiresAt  time.Time         `json:"expires_at"`
	DoneAt     *time.Time        `json:"done_at"`
	UndoUntil  *time.Time        `json:"undo_until"`
	DryRun     bool              `json:"dry_run,omitempty"`
}

func changeOf(r store.Rec[contacts.Change]) changeAnswer {
	c := r.Value
	return changeAnswer{object: objectOf(r.Meta), Verb: c.Verb, State: string(c.State), Note: c.Note, Author: c.Author, Reason: c.Reason, Input: c.Input,
		Digest: c.Digest, Alone: c.Alone, Counts: c.Counts, Sample: c.Sample, Steps: c.Steps, Done: c.Done, Left: c.Left, PausesAt: c.Stop, Approvals: c.Approved,
		RunBy: c.RunBy, UndoneBy: c.UndoneBy, ProposedAt: c.ProposedAt, ExpiresAt: c.ExpiresAt, DoneAt: given(c.DoneAt), UndoUntil: given(c.UndoUntil)}
}

// deletesPerHour is how many single deletions one person may do in an hour: what is more goes as one change, past a second person.
const deletesPerHour = 30

func (p *Portal) changeRoutes() []route {
	const base = "/api/v1/changes"
	one := base + "/:id"
	after := func(do func(*call) (store.Rec[contacts.Change], error)) func(*call) error {
		return func(k *call) error {
			rec, err := do(k)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, changeOf(rec))
		}
	}
	all := []route{
		{method: "POST", path: base, right: auth.ChangePropose, tag: "changes", summary: "propose a change of many records; dry_run=true: what it would do", query: []string{"dry_run"},
			status: 201, needs: []string{"verb", "input", "reason"}, body: changeBody{}, answer: changeAnswer{}, do: p.propose},
		{method: "GET", path: base, right: auth.ChangeRead, tag: "changes", summary: "list changes, newest first", query: []string{"state", "after", "limit"}, answer: list[changeAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := k.changes(contacts.ChangeState(k.Query("state")), store.Query{After: k.Query("after"), Limit: limit})
			if err != nil {
				return err
			}
			return sendList(k, page, next, changeOf)
		}},
		{method: "GET", path: one, right: auth.ChangeRead, tag: "changes", summary: "one change, with its dry run", answer: changeAnswer{}, do: after(func(k *call) (store.Rec[contacts.Change], error) {
			return p.Changes.Change(k.UserContext(), k.Params("id"))
		})},
		{method: "POST", path: one + "/approve", right: auth.ChangeApprove, tag: "changes", summary: "agree to exactly what was read; never to one's own", needs: []string{"digest"}, body: digestBody{}, answer: changeAnswer{},
			do: after(func(k *call) (store.Rec[contacts.Change], error) {
				var in digestBody
				if err := decode(k.Ctx, &in); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				if err := p.Gate.MayApproveChange(k.UserContext(), k.person); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				return p.Changes.Approve(k.UserContext(), k.person.ID, k.Params("id"), in.Digest)
			})},
		{method: "POST", path: one + "/refuse", right: auth.ChangeRead, tag: "changes", summary: "say no, or take one's own proposal back", body: reasonBody{}, answer: changeAnswer{},
			do: after(func(k *call) (store.Rec[contacts.Change], error) {
				var in reasonBody
				rec, err := p.Changes.Change(k.UserContext(), k.Params("id"))
				if err == nil {
					err = k.optional(&in)
				}
				if err == nil && rec.Value.Author != k.person.ID {
					err = k.person.Can(auth.ChangeApprove)
				}
				if err != nil {
					return rec, err
				}
				return p.Changes.Refuse(k.UserContext(), k.person.ID, rec.ID, in.Reason)
			})},
		{method: "POST", path: one + "/run", right: auth.ChangePropose, tag: "changes", summary: "carry it out, or go on after a rehearsal or a pause; one of more than 200 steps goes on behind the answer, and says how far it is", answer: changeAnswer{},
			do: after(func(k *call) (store.Rec[contacts.Change], error) {
				if err := p.mayChange(k); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				return p.Changes.Run(k.UserContext(), k.person.ID, k.Params("id"))
			})},
		{method: "POST", path: one + "/pause", right: auth.ChangePropose, tag: "changes", summary: "have it stop where it is; run goes on with it, and undo takes back what it did", answer: changeAnswer{},
			do: after(func(k *call) (store.Rec[contacts.Change], error) {
				if err := p.mayChange(k); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				return p.Changes.Pause(k.UserContext(), k.person.ID, k.Params("id"))
			})},
		{method: "POST", path: one + "/undo", right: auth.ChangePropose, tag: "changes", summary: "take back all that it did", body: reasonBody{}, answer: changeAnswer{},
			do: after(func(k *call) (store.Rec[contacts.Change], error) {
				var in reasonBody
				if err := k.optional(&in); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				if err := p.mayChange(k); err != nil {
					return store.Rec[contacts.Change]{}, err
				}
				return p.Changes.Undo(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
			})},
		{method: "GET", path: "/api/v1/contacts/export", right: auth.ContactExport, tag: "contacts", summary: "every account, site and contact in the columns of an import; change: the approved one that allows it",
			query: []string{"format", "change"}, gives: "text/csv application/x-ndjson", do: p.export},
	}
	for _, o := range []struct{ path, param, kind string }{{"/api/v1/accounts/:id", "id", "account"}, {"/api/v1/contacts/:id", "id", "contact"}, {"/api/v1/tickets/:number", "number", "ticket"}} {
		all = append(all,
			route{method: "DELETE", path: o.path, right: auth.RecordDelete, tag: "changes", summary: "delete " + o.kind + "; it can be brought back for as long as it is kept", query: []string{"reason", "dry_run"},
				answer: changeAnswer{}, do: func(k *call) error { return p.deleteOne(k, o.kind, k.Params(o.param)) }},
			route{method: "POST", path: o.path + "/restore", right: auth.RecordDelete, tag: "changes", summary: "bring a deleted " + o.kind + " back", body: reasonBody{}, answer: changeAnswer{},
				do: after(func(k *call) (store.Rec[contacts.Change], error) {
					var in reasonBody
					if err := k.optional(&in); err != nil {
						return store.Rec[contacts.Change]{}, err
					}
					id, err := k.Params(o.param), error(nil)
					switch o.kind {
					case "account":
						id, err = p.Book.AccountID(k.UserContext(), id)
					case "ticket":
						id = secret.NormalNumber(id)
					}
					if err != nil {
						return store.Rec[contacts.Change]{}, err
					}
					return p.Changes.Restore(k.UserContext(), k.person.ID, id, in.Reason)
				})})
	}
	return all
}

// may says whether the caller has the right that a verb needs.
func (p *Portal) may(k *call, verb string) error {
	v, err := p.Changes.Verb(verb)
	if err != nil {
		return err
	}
	if auth.Right(v.Right) == auth.StaffManage {
		return k.byHand()
	}
	return k.person.Can(auth.Right(v.Right))
}

// mayChange says whether she may run or undo a change: whoever could have proposed it.
func (p *Portal) mayChange(k *call) error {
	rec, err := p.Changes.Change(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	return p.may(k, rec.Value.Verb)
}

func (p *Portal) propose(k *call) error {
	var in changeBody
	dry, err := boolParam(k.Ctx, "dry_run")
	if err == nil {
		err = decode(k.Ctx, &in)
	}
	if err == nil {
		err = p.may(k, in.Verb)
	}
	if err != nil {
		return err
	}
	if err := k.openAll(in.Verb, in.Input); err != nil {
		return err
	}
	proposal := contacts.Proposal{Verb: in.Verb, Input: in.Input, Reason: in.Reason, Rehearse: in.Rehearse}
	if dry {
		return p.preview(k, 201, proposal)
	}
	rec, err := p.Changes.Propose(k.UserContext(), k.person.ID, proposal)
	if err != nil {
		return err
	}
	k.Set(fiber.HeaderLocation, "/api/v1/changes/"+rec.ID)
	return send(k.Ctx, 201, changeOf(rec))
}

func (p *Portal) preview(k *call, status int, proposal contacts.Proposal) error {
	change, err := p.Changes.Preview(k.UserContext(), k.person.ID, proposal)
	if err != nil {
		return err
	}
	a := changeOf(store.Rec[contacts.Change]{Value: change})
	a.DryRun = true
	return send(k.Ctx, status, a)
}

// deleteOne is a change of one record, which one person may do with a reason: it is proposed and carried out at once.
func (p *Portal) deleteOne(k *call, kind, id string) error {
	version, err := k.ifMatch()
	if err != nil {
		return err
	}
	dry, err := boolParam(k.Ctx, "dry_run")
	if err != nil {
		return err
	}
	named := contacts.Named{IDs: []string{id}}
	if version > 0 {
		named.Was = map[string]int64{id: version}
	}
	input, err := json.Marshal(named)
	if err != nil {
		return err
	}
	proposal := contacts.Proposal{Verb: kind + ".delete", Input: input, Reason: k.Query("reason")}
	if dry {
		return p.preview(k, 200, proposal)
	}
	if err := limit.Take(k.UserContext(), p.DB, "delete by "+k.person.ID, deletesPerHour, time.Hour); err != nil {
		return err
	}
	rec, err := p.Changes.Propose(k.UserContext(), k.person.ID, proposal)
	if err == nil {
		rec, err = p.Changes.Run(k.UserContext(), k.person.ID, rec.ID)
	}
	if err != nil {
		return missing(err)
	}
	return send(k.Ctx, 200, changeOf(rec))
}

// missing makes an address of a record that is not there what it is, rather than a field of the input.
func missing(err error) error {
	e, ok := err.(*fault.Error)
	if !ok || e.Kind != fault.Invalid || len(e.Fields) != 1 || e.Fields[0].Field != "ids[0]" || e.Fields[0].Code != string(fault.NotFound) {
		return err
	}
	return fault.New(fault.NotFound, "%s", e.Fields[0].Reason)
}

// export streams the book. That it began is in the audit log before the first byte.
func (p *Portal) export(k *call) error {
	format := k.Query("format", contacts.FormatCSV)
	media := map[string]string{contacts.FormatCSV: "text/csv; charset=utf-8", contacts.FormatJSONLines: "application/x-ndjson"}[format]
	if !slices.Contains([]string{contacts.FormatCSV, contacts.FormatJSONLines}, format) {
		return fault.BadField("format", "must be csv or jsonl")
	}
	if err := p.Book.MayExport(k.UserContext(), k.person.ID, k.Query("change"), k.person.ID == auth.OperatorID); err != nil {
		return err
	}
	return k.stream(media, "contacts."+format, func(ctx context.Context, w io.Writer) error {
		_, err := p.Book.Export(ctx, w, format, nil)
		return err
	})
}

// stream answers with a file as it is written. One that breaks off ends the connection, so that nobody takes it for whole.
func (k *call) stream(media, name string, write func(context.Context, io.Writer) error) error {
	k.Set(fiber.HeaderContentType, media)
	k.Set(fiber.HeaderContentDisposition, `attachment; filename="`+name+`"`)
	ctx, log := context.WithoutCancel(k.UserContext()), k.p.Log
	broken := k.Context().Conn() // closed when the file breaks off
	k.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer func() { // a panic here would end the process
			if r := recover(); r != nil {
				log.Error("an export panicked", "file", name, "panic", fmt.Sprint(r))
				_ = broken.Close()
			}
		}()
		if err := write(ctx, w); err != nil {
			log.Warn("an export broke off", "file", name, "err", err)
			_ = broken.Close()
		}
	})
	return nil
}
