package portal

import (
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

type checkAnswer struct {
	object
	desk.Check
	URL string `json:"url"`
}

func (p *Portal) check(rec store.Rec[desk.Check]) checkAnswer {
	return checkAnswer{objectOf(rec.Meta), rec.Value, p.URL + "/desk/checks/" + rec.ID}
}

type checklistAnswer struct {
	object
	comms.Checklist
}

func checklistOf(rec store.Rec[comms.Checklist]) checklistAnswer {
	return checklistAnswer{objectOf(rec.Meta), rec.Value}
}

type runAnswer struct {
	object
	comms.Run
}

// openedAnswer is a check with its list and what was written in it.
type openedAnswer struct {
	object
	desk.Check
	URL     string          `json:"url"`
	Name    string          `json:"site_name"`
	Items   []comms.Item    `json:"items"`
	Results comms.Run       `json:"open_run"`
	Earlier []runAnswer     `json:"runs"`
	Drafts  []runAnswer     `json:"drafts"` // of people who no longer had it
	Trouble []troubleAnswer `json:"trouble"`
}

type troubleAnswer struct {
	Site   string `json:"site"`
	State  string `json:"state"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

func (p *Portal) opened(o desk.Opened) openedAnswer {
	a := openedAnswer{object: objectOf(o.Meta), Check: o.Value, URL: p.check(o.Rec).URL, Name: o.Site, Items: o.List.Items, Results: o.Run, Earlier: []runAnswer{}, Drafts: []runAnswer{}, Trouble: []troubleAnswer{}}
	for _, run := range o.Earlier {
		a.Earlier = append(a.Earlier, runAnswer{objectOf(run.Meta), run.Value})
	}
	for _, run := range o.Drafts {
		a.Drafts = append(a.Drafts, runAnswer{objectOf(run.Meta), run.Value})
	}
	for _, t := range o.Trouble {
		a.Trouble = append(a.Trouble, troubleAnswer(t))
	}
	return a
}

type resultBody struct {
	State string `json:"state"` // done, failed, na; empty takes it back
	Value string `json:"value"`
	Why   string `json:"why"`
}

type heldBody struct {
	Epoch   int64                 `json:"epoch"`
	Results map[string]resultBody `json:"results"` // by the item's key
	Notes   *string               `json:"notes"`   // null: they stay
}

func (b heldBody) written() desk.Written {
	return desk.Written{Epoch: b.Epoch, Results: resultsOf(b.Results), Notes: b.Notes}
}

func resultsOf(all map[string]resultBody) map[string]comms.Result {
	out := map[string]comms.Result{}
	for key, r := range all {
		out[key] = comms.Result{State: r.State, Value: r.Value, Why: r.Why}
	}
	return out
}

type submitBody struct {
	heldBody
	Verdict string     `json:"verdict"` // passed, failed, blocked
	Code    string     `json:"code"`
	Reason  string     `json:"reason"`
	Owner   string     `json:"owner"`
	Wake    *time.Time `json:"wake"`
}

type handBody struct {
	heldBody
	To string `json:"to"`
}

type reassignBody struct {
	To string `json:"to"` // empty: back into the queue
}

type againBody struct {
	Item string `json:"item"`
}

type probeBody struct {
	Results map[string]resultBody `json:"results"`
}

type batchBody struct {
	Name string `json:"name"`
	comms.BatchForm
}

type exceptBody struct {
	Name   string `json:"name"`
	Site   string `json:"site_id"`
	Reason string `json:"reason"`
}

type stepsBody struct {
	Site    string                `json:"site_id"`
	Results map[string]resultBody `json:"results"` // by the step's key
}

type auditBody struct {
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run"`
}

type closeBody struct {
	Name string `json:"name"`
}

type checklistBody struct {
	Name   string       `json:"name"`
	Number int          `json:"number,omitempty"` // that the version is to have; 409 when somebody published it meanwhile
	Title  string       `json:"title"`
	Titles comms.Said   `json:"titles,omitempty"`
	About  string       `json:"about,omitempty"`
	Abouts comms.Said   `json:"abouts,omitempty"`
	Items  []comms.Item `json:"items"`
}

type batchAnswer struct {
	object
	comms.Batch
	ByState map[string]int `json:"by_state,omitempty"` // in the list of batches: where its sites stand
	Methods []string       `json:"methods,omitempty"`
	Noted   int            `json:"noted,omitempty"` // sites of which something was noted
}

func batchOf(rec store.Rec[comms.Batch]) batchAnswer {
	return batchAnswer{object: objectOf(rec.Meta), Batch: rec.Value}
}

type handoffAnswer struct {
	object
	desk.Handoff
	Draft string             `json:"draft,omitempty"` // as it would be generated now, while none is given
	Now   *desk.HandoffFacts `json:"now,omitempty"`
}

type noteBody struct {
	Text string `json:"text"`
}

func handoffOf(rec store.Rec[desk.Handoff]) handoffAnswer {
	return handoffAnswer{object: objectOf(rec.Meta), Handoff: rec.Value}
}

// checker is the person who asks, as one who checks.
func (k *call) checker() desk.Checker { return desk.Checker{ID: k.person.ID, Name: k.person.Name} }

// claim gives her the next checks that she may have: of no incident that she may not read.
func (k *call) claim(in desk.Claim) (got []store.Rec[desk.Check], err error) {
	who := k.checker()
	if who.Closed, err = k.closedTo(); err != nil {
		return nil, err
	}
	return k.p.Desk.ClaimChecks(k.UserContext(), who, in)
}

// sendCheck answers with a check.
func (k *call) sendCheck(rec store.Rec[desk.Check], err error) error {
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, k.p.check(rec))
}

func (p *Portal) checkRoutes() []route {
	const base = "/api/v1/checks"
	const incident = "/api/v1/incidents/:id"
	held := func(path, summary string, body any, needs []string, do func(*call) (store.Rec[desk.Check], error)) route {
		return route{method: "POST", path: base + "/:id/" + path, right: auth.CheckWork, tag: "checks", summary: summary, body: body, needs: needs, answer: checkAnswer{},
			do: func(k *call) error { return k.sendCheck(do(k)) }}
	}
	return append([]route{
		{method: "GET", path: base, right: auth.IncidentRead, tag: "checks", summary: "checks of restored sites; those that wait stand in the order in which they are claimed", query: []string{"incident", "state", "holder", "after", "limit"},
			answer: list[checkAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				closed, err := k.closedTo()
				if err != nil {
					return err
				}
				page, next, err := p.Desk.ListChecks(k.UserContext(), desk.CheckFilter{Closed: closed, Incident: k.Query("incident"), State: k.Query("state"), Holder: k.Query("holder"), After: k.Query("after"), Limit: limit})
				if err != nil {
					return err
				}
				return sendList(k, page, next, p.check)
			}},
		{method: "POST", path: base + "/claim", right: auth.CheckWork, tag: "checks", summary: "take the next checks that one may have, at most two at once", body: desk.Claim{}, answer: list[checkAnswer]{}, do: func(k *call) error {
			var in desk.Claim
			if err := k.optional(&in); err != nil {
				return err
			}
			got, err := k.claim(in)
			if err != nil {
				return err
			}
			return sendList(k, got, "", p.check)
		}},
		{method: "GET", path: base + "/:id", right: auth.IncidentRead, tag: "checks", summary: "one check with its list, what is written in it, and what is known of its batch", answer: openedAnswer{}, do: func(k *call) error {
			o, err := p.Desk.Check(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.opened(o))
		}},
		held("heartbeat", "say that one is there, and keep what is written; a lease that is over is 409 and the text is kept as a draft", heldBody{}, []string{"epoch"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in heldBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.Beat(k.UserContext(), k.checker(), k.Params("id"), in.written())
		}),
		held("submit", "end a pass as passed, failed (with code) or blocked (with reason, owner and wake)", submitBody{}, []string{"epoch", "verdict"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in submitBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.Submit(k.UserContext(), k.checker(), k.Params("id"), desk.Submission{Written: in.written(), Verdict: in.Verdict, Code: in.Code, Reason: in.Reason, Owner: in.Owner, Wake: in.Wake})
		}),
		held("release", "give it back with what is written so far", heldBody{}, []string{"epoch"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in heldBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.Return(k.UserContext(), k.checker(), k.Params("id"), in.written())
		}),
		held("hand-over", "give it to somebody by name; her epoch is one more", handBody{}, []string{"epoch", "to"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in handBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.HandOver(k.UserContext(), k.checker(), k.Params("id"), in.To, in.written())
		}),
		held("reassign", "give somebody's check to another or back, by a lead of the batch or of the shift", reassignBody{}, nil, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in reassignBody
			if err := k.optional(&in); err != nil {
				return rec, err
			}
			return p.Desk.Reassign(k.UserContext(), k.person.ID, k.Params("id"), in.To)
		}),
		held("unblock", "let a blocked check wait in the queue again before its time", reasonBody{}, nil, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in reasonBody
			if err := k.optional(&in); err != nil {
				return rec, err
			}
			return p.Desk.Unblock(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
		}),
		held("one-check", "let a site pass with one pair of eyes, by a lead of its batch, once nobody has come for the second", reasonBody{}, []string{"reason"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.ReleaseOne(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
		}),
		held("again", "order an item of the open run once more, by a lead of the batch", againBody{}, []string{"item"}, func(k *call) (rec store.Rec[desk.Check], err error) {
			var in againBody
			if err := decode(k.Ctx, &in); err != nil {
				return rec, err
			}
			return p.Desk.Again(k.UserContext(), k.person.ID, k.Params("id"), in.Item)
		}),
		{method: "POST", path: base + "/:id/probes", right: auth.LedgerMove, tag: "checks", summary: "attach what a program found to the items that ask for it; what a person wrote stays", needs: []string{"results"}, body: probeBody{}, answer: checkAnswer{}, do: func(k *call) error {
			var in probeBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return k.sendCheck(p.Desk.Attach(k.UserContext(), k.person.ID, k.Params("id"), resultsOf(in.Results)))
		}},
		{method: "GET", path: incident + "/checks/figures", right: auth.IncidentRead, tag: "checks", summary: "waiting, rate, estimate, times of items, yield and disagreement, computed now", answer: desk.CheckFigures{}, do: func(k *call) error {
			f, err := p.Desk.CheckFigures(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, f)
		}},
		{method: "GET", path: "/api/v1/checklists", right: auth.IncidentRead, tag: "checks", summary: "versions of checklists; of one name the newest first", query: []string{"name", "after", "limit"}, answer: list[checklistAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := p.Comms.Checklists(k.UserContext(), k.Query("name"), k.Query("after"), limit)
			if err != nil {
				return err
			}
			return sendList(k, page, next, checklistOf)
		}},
		{method: "POST", path: "/api/v1/checklists", right: auth.IncidentEdit, tag: "checks", summary: "publish the next version of a checklist; runs that have begun keep theirs. titles, abouts and the texts of items say them by language (en, zh-CN, ja); one that is left out stays while its text is the same, an empty one is taken away. With a number it is that version, or 409 when somebody published it meanwhile", status: 201, needs: []string{"name", "title", "items"}, body: checklistBody{}, answer: checklistAnswer{}, do: func(k *call) error {
			var in checklistBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.PublishChecklist(k.UserContext(), k.person.ID, comms.Checklist{Name: in.Name, Number: in.Number, Title: in.Title, Titles: in.Titles, About: in.About, Abouts: in.Abouts, Items: in.Items})
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, checklistOf(rec))
		}},
	}, append(p.batchRoutes(incident), p.handoffRoutes(incident)...)...)
}

func (p *Portal) batchRoutes(incident string) []route {
	return []route{
		{method: "GET", path: incident + "/steps", right: auth.IncidentRead, tag: "ledger", summary: "how far the restoring of a site has come by the steps of its method", query: []string{"site_id"}, answer: comms.Steps{}, do: func(k *call) error {
			s, err := p.Comms.SiteSteps(k.UserContext(), k.Params("id"), k.Query("site_id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, s)
		}},
		{method: "POST", path: incident + "/steps", right: auth.LedgerMove, tag: "ledger", summary: "note what was done of a site's method; a stage is open once the required steps before it are done", needs: []string{"site_id", "results"}, body: stepsBody{}, answer: comms.Steps{}, do: func(k *call) error {
			var in stepsBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			s, err := p.Comms.DoSteps(k.UserContext(), k.person.ID, k.Params("id"), in.Site, resultsOf(in.Results))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, s)
		}},
		{method: "GET", path: incident + "/losses", right: auth.IncidentRead, tag: "ledger", summary: "what is lost, by site and data store, from restore points and times of loss", answer: comms.Losses{}, do: func(k *call) error {
			l, err := p.Comms.Losses(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, l)
		}},
		{method: "POST", path: incident + "/point-audit", right: auth.LedgerFinish, seenTo: []auth.Grant{auth.WithReason}, tag: "ledger", summary: "take sites up again that have passed and whose restore point is older than the standard", needs: []string{"reason"}, body: auditBody{}, answer: comms.PointAudit{}, do: func(k *call) error {
			var in auditBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			a, err := p.Comms.AuditPoints(k.UserContext(), comms.Mover{By: k.person.ID, Finish: true}, k.Params("id"), in.Reason, in.DryRun)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, a)
		}},
		{method: "GET", path: incident + "/batches", right: auth.IncidentRead, tag: "ledger", summary: "batches in the order in which they are checked", answer: list[batchAnswer]{}, do: func(k *call) error {
			all, err := p.Comms.BatchStands(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			out := list[batchAnswer]{Items: []batchAnswer{}}
			for _, b := range all {
				a := batchOf(b.Rec)
				a.ByState, a.Methods, a.Noted = b.ByState, b.Methods, b.Noted
				out.Items = append(out.Items, a)
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "PUT", path: incident + "/batches", right: auth.IncidentEdit, tag: "ledger", summary: "name the lead, the stand-in and the wave of a batch", needs: []string{"name"}, body: batchBody{}, answer: batchAnswer{}, do: func(k *call) error {
			var in batchBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			rec, err := p.Comms.NameBatch(k.UserContext(), k.person.ID, k.Params("id"), in.Name, version, in.BatchForm)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, batchOf(rec))
		}},
		{method: "POST", path: incident + "/batches/except", right: auth.CheckWork, tag: "ledger", summary: "let a batch close without a site, once its lead and its stand-in have said so with the same reason", needs: []string{"name", "site_id", "reason"}, body: exceptBody{}, answer: comms.Exception{}, do: func(k *call) error {
			var in exceptBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			x, err := p.Comms.Except(k.UserContext(), k.person.ID, k.Params("id"), in.Name, in.Site, in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, x)
		}},
		{method: "POST", path: incident + "/batches/close", right: auth.CheckWork, tag: "ledger", summary: "close a batch whose sites have all passed or are excepted", needs: []string{"name"}, body: closeBody{}, answer: batchAnswer{}, do: func(k *call) error {
			var in closeBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.CloseBatch(k.UserContext(), k.person.ID, k.Params("id"), in.Name)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, batchOf(rec))
		}},
	}
}

func (p *Portal) handoffRoutes(incident string) []route {
	const base = "/api/v1/handoffs/:id"
	return []route{
		{method: "POST", path: incident + "/handoffs", right: auth.TaskWork, tag: "checks", summary: "name the end of a shift, its lead and the next one", status: 201, needs: []string{"ends_at", "lead", "next_lead"}, body: desk.ShiftEnd{}, answer: handoffAnswer{}, do: func(k *call) error {
			var in desk.ShiftEnd
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Desk.OpenHandoff(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, handoffOf(rec))
		}},
		{method: "GET", path: incident + "/handoffs", right: auth.IncidentRead, tag: "checks", summary: "handoffs of an incident, the newest first", query: []string{"after", "limit"}, answer: list[handoffAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := p.Desk.Handoffs(k.UserContext(), k.Params("id"), k.Query("after"), limit)
			if err != nil {
				return err
			}
			return sendList(k, page, next, handoffOf)
		}},
		{method: "GET", path: base, right: auth.IncidentRead, tag: "checks", summary: "a handoff with its note, or the one that would be generated now", answer: handoffAnswer{}, do: func(k *call) error {
			rec, now, draft, err := p.Desk.Handoff(k.UserContext(), k.Params("id"), p.staffLocale(k.Ctx), holder)
			if err != nil {
				return err
			}
			a := handoffOf(rec)
			a.Now, a.Draft = &now, draft
			return send(k.Ctx, 200, a)
		}},
		{method: "PUT", path: base, right: auth.TaskWork, tag: "checks", summary: "give the note, by the lead of the shift that ends", needs: []string{"text"}, body: noteBody{}, answer: handoffAnswer{}, do: func(k *call) error {
			var in noteBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Desk.GiveHandoff(k.UserContext(), k.person.ID, k.Params("id"), in.Text)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, handoffOf(rec))
		}},
		{method: "POST", path: base + "/acknowledge", right: auth.TaskWork, tag: "checks", summary: "say that the note is read, by the lead of the shift that begins", answer: handoffAnswer{}, do: func(k *call) error {
			rec, err := p.Desk.AcknowledgeHandoff(k.UserContext(), k.person.ID, k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, handoffOf(rec))
		}},
	}
}
