package portal

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

type incidentAnswer struct {
	object
	comms.Incident
	URL  string       `json:"url"`
	Crew []comms.Seat `json:"crew"` // every role, with nobody in those that are empty

	Queue     string            `json:"queue"` // of its tickets, which is there at once
	QueueURL  string            `json:"queue_url"`
	Dashboard string            `json:"dashboard_url"`
	SLA       map[string]string `json:"first_answer_within"` // by priority of a ticket
	Flow      string            `json:"workflow"`            // of its tickets, as the policy has prepared it for the category; "": none of their own
}

func (p *Portal) incident(rec store.Rec[comms.Incident]) incidentAnswer {
	a := incidentAnswer{object: objectOf(rec.Meta), Incident: rec.Value, URL: p.URL + "/incidents/" + rec.Value.Short, Crew: rec.Value.Seats(), Queue: rec.ID,
		QueueURL: p.URL + "/desk/tickets?queue=" + rec.ID, Dashboard: p.URL + "/desk/incidents/" + rec.ID + "/tickets", SLA: map[string]string{}, Flow: p.Desk.Policy.WorkflowOf(rec.Value.Category)}
	a.Stage = rec.Value.AtStage()
	for priority, d := range p.Desk.Policy.Within(rec.Value.Category) {
		a.SLA[priority] = d.String()
	}
	return a
}

func objectOf(m store.Meta) object {
	return object{ID: m.ID, Version: m.Version, CreatedAt: m.Created, UpdatedAt: m.Updated}
}

type entryAnswer struct {
	ID string `json:"id"`
	comms.Entry
}

func (p *Portal) incidentRoutes() []route {
	const base = "/api/v1/incidents"
	return []route{
		{method: "POST", path: base, right: auth.IncidentDeclare, tag: "incidents", summary: "declare an incident, or note an event or an alert, which is told to nobody but (an alert) those on duty", status: 201, needs: []string{"title"},
			body: comms.Declare{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in comms.Declare
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.Declare(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				k.Set(fiber.HeaderLocation, base+"/"+rec.ID)
				return send(k.Ctx, 201, p.incident(rec))
			}},
		{method: "GET", path: base, right: auth.IncidentRead, tag: "incidents", summary: "list incidents, newest first; events and alerts only where their state (watched, recovered) or a stage is asked for", query: []string{"state", "stage", "after", "limit"},
			answer: list[incidentAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				page, next, err := p.Comms.Records(k.UserContext(), comms.RecordQuery{State: k.Query("state"), Stage: k.Query("stage"), After: k.Query("after"), Limit: limit})
				if err != nil {
					return err
				}
				if page, err = openTo(k, page, itself); err != nil {
					return err
				}
				return sendList(k, page, next, p.incident)
			}},
		{method: "GET", path: base + "/:id", right: auth.IncidentRead, tag: "incidents", summary: "one incident", answer: incidentAnswer{}, do: func(k *call) error {
			rec, err := p.Comms.Incident(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "POST", path: base + "/:id/command", right: auth.IncidentEdit, tag: "incidents", summary: "take command, or confirm that one has it; from somebody else with a reason", body: reasonBody{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in reasonBody
			if err := k.optional(&in); err != nil {
				return err
			}
			rec, err := p.Comms.TakeCommand(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "PATCH", path: base + "/:id", right: auth.IncidentEdit, tag: "incidents", summary: "change severity, state, category, title, summary, impact, commander, pinned facts, or who contributes and is informed",
			body: comms.Amend{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in comms.Amend
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				if err := k.allStaff(in); err != nil {
					return err
				}
				if in.Category != nil {
					if err := k.mayRecategorise(*in.Category); err != nil {
						return err
					}
				}
				rec, err := p.Comms.Amend(k.UserContext(), k.person.ID, k.Params("id"), version, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.incident(rec))
			}},
		{method: "PUT", path: base + "/:id/security-cause", right: auth.SecuritySet, tag: "incidents", summary: "say whether a security cause is ruled_out, under_investigation or confirmed",
			body: securityBody{}, answer: incidentAnswer{}, do: func(k *call) error {
				var in securityBody
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.SetSecurity(k.UserContext(), k.person.ID, k.Params("id"), in.SecurityCause, in.Reason)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, p.incident(rec))
			}},
		{method: "GET", path: base + "/:id/log", right: auth.IncidentRead, tag: "incidents", summary: "what happened, in order", query: []string{"after", "limit"},
			answer: list[entryAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				page, next, err := p.Comms.IncidentLog(k.UserContext(), k.Params("id"), k.Query("after"), limit)
				if err != nil {
					return err
				}
				return sendList(k, page, next, func(r store.Rec[comms.Entry]) entryAnswer { return entryAnswer{r.ID, r.Value} })
			}},
		{method: "PUT", path: base + "/:id/affected", right: auth.AffectedSet, tag: "ledger", summary: "load affected sites, CSV or JSON lines; all or nothing", query: []string{"dry_run"},
			media: "text/csv application/x-ndjson", answer: comms.AffectedReport{}, do: func(k *call) error {
				format, err := fileFormat(k.Ctx)
				if err != nil {
					return err
				}
				dry, err := boolParam(k.Ctx, "dry_run")
				if err != nil {
					return err
				}
				report, err := p.Comms.LoadAffected(k.UserContext(), k.person.ID, k.Params("id"), format, stream(k.Ctx, maxImport), dry)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, report)
			}},
		{method: "POST", path: base + "/:id/sites", right: auth.LedgerMove, tag: "ledger", summary: "move sites in the ledger, JSON lines; a bad line spoils no other",
			media: "application/x-ndjson", answer: comms.MoveReport{}, do: func(k *call) error {
				mover := comms.Mover{By: k.person.ID, Finish: k.person.Can(auth.LedgerFinish, auth.WithReason) == nil}
				report, err := p.Comms.MoveSites(k.UserContext(), mover, k.Params("id"), stream(k.Ctx, maxImport))
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, report)
			}},
		{method: "GET", path: base + "/:id/forecast", right: auth.IncidentRead, tag: "ledger", summary: "when sites are to be expected back, from the pace of each method, the checks and the customers' answers; null where nothing was done lately", answer: comms.Forecast{}, do: func(k *call) error {
			f, err := p.Comms.Forecast(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, f)
		}},
		{method: "GET", path: base + "/:id/targets", right: auth.IncidentRead, tag: "ledger", summary: "how long the affected sites were away and how much they lost, beside the targets of their tiers (RTO, RPO): met, missed or open", answer: comms.Targets{}, do: func(k *call) error {
			t, err := p.Comms.Targets(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, t)
		}},
		{method: "POST", path: base + "/:id/plan", right: auth.LedgerMove, tag: "ledger", summary: "record that sites are repaired another way from a time on, and why; the draft of the word that tells readers is raised with it", status: 201, needs: []string{"what", "why"}, body: comms.PlanForm{}, answer: comms.PlanChange{}, do: func(k *call) error {
			var in comms.PlanForm
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			c, err := p.Comms.ChangePlan(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, c)
		}},
		{method: "GET", path: base + "/:id/ledger", right: auth.IncidentRead, tag: "ledger", summary: "counts and percentages, computed now", answer: templates.Figures{}, do: func(k *call) error {
			f, err := p.Comms.Ledger(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, f)
		}},
		{method: "GET", path: base + "/:id/coverage", right: auth.IncidentRead, tag: "ledger", summary: "affected sites without a reachable approved contact", answer: comms.CoverageReport{}, do: func(k *call) error {
			c, err := p.Comms.Coverage(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, c)
		}},
		{method: "GET", path: base + "/:id/news", right: auth.UpdateRead, tag: "updates", summary: "what the ledger says that the newest update to an audience did not", query: []string{"audience"}, answer: comms.News{}, do: func(k *call) error {
			n, err := p.Comms.News(k.UserContext(), k.Params("id"), k.Query("audience", comms.AudienceAffected))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, n)
		}},
		{method: "GET", path: base + "/:id/cohorts", right: auth.IncidentRead, tag: "ledger", summary: "parts of the affected set that are told and counted apart", answer: list[comms.CohortState]{}, do: func(k *call) error {
			all, err := p.Comms.Cohorts(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, list[comms.CohortState]{Items: all})
		}},
		{method: "PUT", path: base + "/:id/cohorts/:cohort", right: auth.AffectedSet, tag: "ledger", summary: "make a cohort, or take more affected sites into it", body: comms.CohortInput{}, answer: comms.CohortState{}, do: func(k *call) error {
			var in comms.CohortInput
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			c, err := p.Comms.SetCohort(k.UserContext(), k.person.ID, k.Params("id"), k.Params("cohort"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, c)
		}},
		{method: "POST", path: base + "/:id/cohorts/:cohort/close", right: auth.IncidentEdit, tag: "ledger", summary: "end the following of a cohort: told, and every site handed back", needs: []string{"reason"}, body: reasonBody{}, answer: comms.CohortState{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			c, err := p.Comms.CloseCohort(k.UserContext(), k.person.ID, k.Params("id"), k.Params("cohort"), in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, c)
		}},
		{method: "POST", path: base + "/:id/integrity", right: auth.CheckWork, tag: "ledger", summary: "record the result of an integrity check; only a passed one allows to say that no data is lost", needs: []string{"passed", "method", "evidence"}, body: comms.IntegrityInput{}, answer: incidentAnswer{}, do: func(k *call) error {
			var in comms.IntegrityInput
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.RecordIntegrity(k.UserContext(), k.person.ID, k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, p.incident(rec))
		}},
		{method: "PUT", path: base + "/:id/working-copy", right: auth.UpdateWrite, tag: "updates", summary: "keep what is being typed, complete or not", body: map[string]any{}, answer: copyAnswer{}, do: func(k *call) error {
			body, err := read(k.Ctx, maxJSON)
			if err != nil {
				return err
			}
			if err := shallow(body); err != nil {
				return err
			}
			c, err := p.Comms.SaveCopy(k.UserContext(), k.person.ID, k.Params("id"), body)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, copyAnswer{c.By, c.At, c.Text})
		}},
		{method: "GET", path: base + "/:id/working-copy", right: auth.UpdateRead, tag: "updates", summary: "what is being typed", answer: copyAnswer{}, do: func(k *call) error {
			c, err := p.Comms.Copy(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, copyAnswer{c.By, c.At, c.Text})
		}},
	}
}

type securityBody struct {
	SecurityCause string `json:"security_cause"`
	Reason        string `json:"reason"`
}

type copyAnswer struct {
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Text any       `json:"text"`
}

// sendList answers with a page of records.
func sendList[T, A any](k *call, page []store.Rec[T], next string, show func(store.Rec[T]) A) error {
	out := list[A]{Items: make([]A, 0, len(page)), Next: next}
	for _, rec := range page {
		out.Items = append(out.Items, show(rec))
	}
	return send(k.Ctx, 200, out)
}

// fileFormat is "csv" or "jsonl", by the media type.
func fileFormat(c *fiber.Ctx) (string, error) {
	media, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	switch strings.TrimSpace(strings.ToLower(media)) {
	case "text/csv":
		return "csv", nil
	case "application/x-ndjson", "application/jsonl", "application/json-lines":
		return "jsonl", nil
	}
	return "", fault.New(fault.Unsupported, "Content-Type must be text/csv or application/x-ndjson")
}

func boolParam(c *fiber.Ctx, name string) (bool, error) {
	switch c.Query(name) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, fault.BadField(name, "must be true or false")
}

// ifMatch reads the version that the caller thinks is the newest; 0 when she does not say.
func (k *call) ifMatch() (int64, error) {
	s := strings.Trim(k.Get(fiber.HeaderIfMatch), `"`)
	if s == "" || s == "*" {
		return 0, nil
	}
	n, err := parseInt(s)
	if err != nil || n < 1 {
		return 0, fault.BadField(fiber.HeaderIfMatch, "must be the version of the object")
	}
	return n, nil
}
