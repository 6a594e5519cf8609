package portal

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

type updateAnswer struct {
	object
	Number      int                 `json:"number"`
	Incident    string              `json:"incident"`
	State       string              `json:"state"`
	Statement   templates.Statement `json:"statement"`
	Author      string              `json:"author"`
	Restored    *templates.Figures  `json:"restored"`
	Security    string              `json:"security_cause"`
	Pinned      []string            `json:"pinned"`
	People      int                 `json:"people"`
	PublishedAt *time.Time          `json:"published_at"`
	PublishedBy string              `json:"published_by,omitempty"`
	Unread      bool                `json:"unread"`
	PageOnly    bool                `json:"page_only"`
	Corrects    int                 `json:"corrects,omitempty"`
	RetractedAt *time.Time          `json:"retracted_at"`
	Rule        string              `json:"rule,omitempty"`
	Held        string              `json:"held,omitempty"`
	Findings    []comms.Finding     `json:"findings"`
}

func updateOf(rec store.Rec[comms.Update], findings []comms.Finding) updateAnswer {
	u := rec.Value
	if findings == nil {
		findings = []comms.Finding{}
	}
	return updateAnswer{object: objectOf(rec.Meta), Number: u.Number, Incident: u.Incident, State: u.State, Statement: u.Statement, Author: u.Author,
		Restored: u.Figures, Security: u.Security, Pinned: u.Pinned, People: u.People, PublishedAt: u.PublishedAt, PublishedBy: u.PublishedBy,
		Unread: u.Unread, PageOnly: u.PageOnly, Corrects: u.Corrects, RetractedAt: u.RetractedAt, Rule: u.Rule, Held: u.Held, Findings: findings}
}

type previewAnswer struct {
	Channel  string `json:"channel"`
	Locale   string `json:"locale"`
	People   int    `json:"people"`
	Subject  string `json:"subject,omitempty"`
	Text     string `json:"text,omitempty"`
	HTML     string `json:"html,omitempty"`
	Segments int    `json:"segments,omitempty"`

	Left  []string     `json:"left_out,omitempty"` // kinds of fact that an SMS or a post has no room for
	Texts *comms.Texts `json:"texts,omitempty"`    // what sending it by SMS takes
}

func previewOf(channel, locale string, people int, r templates.Rendered) previewAnswer {
	return previewAnswer{Channel: channel, Locale: locale, People: people, Subject: r.Subject, Text: r.Text, HTML: r.HTML, Segments: r.Segments, Left: r.Left}
}

// priced says of an SMS what sending it to all its people takes.
func (k *call) priced(a previewAnswer, incident string, s templates.Statement) (previewAnswer, error) {
	if a.Segments == 0 {
		return a, nil
	}
	texts, err := k.p.Comms.TextsFor(k.UserContext(), incident, s, a.Segments)
	a.Texts = &texts
	return a, err
}

type approvalAnswer struct {
	Of     string    `json:"of"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	People int       `json:"people"`
}

type reasonBody struct {
	Reason string `json:"reason,omitempty"`
}

type askAnswer struct {
	Told int `json:"told"` // who is told at once
}

type dismissBody struct {
	Field string `json:"field"`
	Code  string `json:"code"`
}

type publishBody struct {
	PageOnly bool        `json:"page_only,omitempty"` // without an approver, after the time that the policy sets
	Stages   *stagesBody `json:"stages,omitempty"`    // to the staff first, then to a few, then to all
}

type stagesBody struct {
	Few   int            `json:"few,omitempty"`   // people of the second stage
	After templates.Span `json:"after,omitempty"` // goes on by itself after so long behind each stage; absent: by a person
}

func (in publishBody) options() comms.PublishOptions {
	o := comms.PublishOptions{PageOnly: in.PageOnly}
	if in.Stages != nil {
		o.Stages = &comms.Stages{Few: in.Stages.Few, After: time.Duration(in.Stages.After)}
	}
	return o
}

// statementNeeds are the fields of an update that always have to be there.
var statementNeeds = []string{"phase", "headline", "what_happened", "your_action", "scope", "affected", "timeline", "data_loss", "known", "unknown", "next_update_by",
	"audience", "channels", "locales"}

func (p *Portal) updateRoutes() []route {
	const base = "/api/v1/updates"
	return []route{
		{method: "POST", path: "/api/v1/incidents/:id/updates", right: auth.UpdateWrite, tag: "updates", summary: "draft a structured update; every missing or wrong field is named", status: 201, needs: statementNeeds,
			body: templates.Statement{}, answer: updateAnswer{}, do: func(k *call) error {
				s, malformed, err := k.statement()
				if err != nil {
					return err
				}
				rec, findings, err := p.Comms.Draft(k.UserContext(), k.person.ID, k.Params("id"), s, malformed)
				if err != nil {
					return err
				}
				k.Set(fiber.HeaderLocation, base+"/"+rec.ID)
				return send(k.Ctx, 201, updateOf(rec, findings))
			}},
		{method: "GET", path: "/api/v1/incidents/:id/updates", right: auth.UpdateRead, tag: "updates", summary: "an incident's updates, newest first", query: []string{"after", "limit"},
			answer: list[updateAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				page, next, err := p.Comms.Updates(k.UserContext(), k.Params("id"), k.Query("after"), limit)
				if err != nil {
					return err
				}
				return sendList(k, page, next, func(r store.Rec[comms.Update]) updateAnswer { return updateOf(r, nil) })
			}},
		{method: "POST", path: "/api/v1/incidents/:id/first-notice", right: auth.NoticeFirst, tag: "updates", summary: "the first word, by one person, on a text that two approved beforehand", status: 201, needs: []string{"products", "next_update_by"},
			body: comms.FirstNotice{}, answer: updateAnswer{}, do: func(k *call) error {
				var in comms.FirstNotice
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				rec, err := p.Comms.FirstNotice(k.UserContext(), k.person.ID, k.Params("id"), in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 201, updateOf(rec, nil))
			}},
		{method: "GET", path: "/api/v1/first-notice", right: auth.UpdateRead, tag: "updates", summary: "the text of first notices, and who has approved it as it is", answer: firstAnswer{}, do: func(k *call) error {
			first, err := k.firstText("en")
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, first)
		}},
		{method: "POST", path: "/api/v1/first-notice/approve", right: auth.UpdateApprove, tag: "updates", summary: "approve the text of first notices; two different persons must",
			body: struct{}{}, answer: approvalAnswer{}, do: func(k *call) error {
				a, err := k.approveFirst()
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, approvalAnswer{a.Of, a.By, a.At, a.People})
			}},
		{method: "GET", path: base + "/:id", right: auth.UpdateRead, tag: "updates", summary: "one update, with what is found in it now", answer: updateAnswer{}, do: func(k *call) error {
			rec, findings, err := p.Comms.Update(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, findings))
		}},
		{method: "PATCH", path: base + "/:id", right: auth.UpdateWrite, tag: "updates", summary: "replace a draft's fields; this voids its approval", needs: statementNeeds, body: templates.Statement{}, answer: updateAnswer{}, do: func(k *call) error {
			s, malformed, err := k.statement()
			if err != nil {
				return err
			}
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			rec, findings, err := p.Comms.Edit(k.UserContext(), k.person.ID, k.Params("id"), version, s, malformed)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, findings))
		}},
		{method: "GET", path: base + "/:id/preview", right: auth.UpdateRead, tag: "updates", summary: "exactly what would be sent, and to how many people", query: []string{"channel", "locale"}, answer: previewAnswer{}, do: func(k *call) error {
			channel, locale := k.Query("channel", "email"), k.Query("locale", "en")
			r, people, err := p.Comms.Preview(k.UserContext(), k.Params("id"), channel, locale)
			if err != nil {
				return err
			}
			u, _, err := p.Comms.Update(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			a, err := k.priced(previewOf(channel, locale, people, r), u.Value.Incident, u.Value.Statement)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, a)
		}},
		{method: "POST", path: base + "/:id/approve", right: auth.UpdateApprove, seenTo: []auth.Grant{auth.SecurityTexts}, tag: "updates", summary: "approve exactly this text for exactly these people; never one's own", body: struct{}{}, answer: approvalAnswer{}, do: func(k *call) error {
			a, err := k.approve()
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, approvalAnswer{a.Of, a.By, a.At, a.People})
		}},
		{method: "POST", path: base + "/:id/ask", right: auth.UpdateWrite, tag: "updates", summary: "ask for approval: the approvers of the policy's ladder are told, one rung after the other, until somebody approves", body: struct{}{}, answer: askAnswer{}, do: func(k *call) error {
			told, err := p.Comms.AskApproval(k.UserContext(), k.person.ID, k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, askAnswer{told})
		}},
		{method: "POST", path: base + "/:id/dismiss", right: auth.UpdateWrite, tag: "updates", summary: "let a warning stand; who did is kept", needs: []string{"field", "code"}, body: dismissBody{}, answer: updateAnswer{}, do: func(k *call) error {
			var in dismissBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, findings, err := p.Comms.Dismiss(k.UserContext(), k.person.ID, k.Params("id"), in.Field, in.Code)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, findings))
		}},
		{method: "POST", path: base + "/:id/publish", right: auth.UpdatePublish, tag: "updates", summary: "publish: the page at once, then everyone, in stages if so asked", body: publishBody{}, answer: updateAnswer{}, do: func(k *call) error {
			var in publishBody
			if err := k.optional(&in); err != nil {
				return err
			}
			rec, err := p.Comms.Publish(k.UserContext(), k.person.ID, k.Params("id"), in.options())
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, nil))
		}},
		{method: "POST", path: base + "/:id/read", right: auth.UpdateApprove, tag: "updates", summary: "say that a second person has read a first notice or a page-only update", body: struct{}{}, answer: updateAnswer{}, do: func(k *call) error {
			rec, err := p.Comms.ReadSecond(k.UserContext(), k.person.ID, k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, nil))
		}},
		{method: "POST", path: base + "/:id/retract", right: auth.UpdateRetract, tag: "updates", summary: "stop what is unsent, and correct exactly those who got it", needs: []string{"reason"}, body: reasonBody{}, answer: updateAnswer{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := p.Comms.Retract(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, updateOf(rec, nil))
		}},
		{method: "POST", path: base + "/:id/go-on", right: auth.UpdatePublish, tag: "updates", summary: "let an update that waits behind a stage go on to the next", body: struct{}{}, answer: comms.Reach{}, do: func(k *call) error {
			if err := p.Comms.GoOn(k.UserContext(), k.person.ID, k.Params("id")); err != nil {
				return err
			}
			return k.reach()
		}},
		{method: "POST", path: base + "/:id/stop", right: auth.UpdateStop, tag: "updates", summary: "stop what is unsent, for good; it stands for those who got it", needs: []string{"reason"}, body: reasonBody{}, answer: comms.Reach{}, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := p.Comms.Stop(k.UserContext(), k.person.ID, k.Params("id"), in.Reason); err != nil {
				return err
			}
			return k.reach()
		}},
		{method: "GET", path: base + "/:id/reach", right: auth.UpdateRead, tag: "updates", summary: "who has been told, who has not, and why", answer: comms.Reach{}, do: (*call).reach},
		{method: "GET", path: base + "/:id/texts", right: auth.UpdateRead, tag: "updates", summary: "who waits for mail while no relay takes any, and what it takes to text them instead", answer: comms.Instead{}, do: func(k *call) error {
			o, err := p.Comms.Instead(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, o)
		}},
		{method: "POST", path: base + "/:id/texts", right: auth.UpdatePublish, tag: "updates", summary: "ask that those who wait for mail be told by text instead", body: struct{}{}, answer: comms.Instead{}, do: func(k *call) error {
			o, err := p.Comms.AskTexts(k.UserContext(), k.person.ID, k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, o)
		}},
		{method: "POST", path: base + "/:id/texts/approve", right: auth.UpdateApprove, tag: "updates", summary: "say yes to it as a second person: exactly those who still wait are told by text, and their mail ends", body: struct{}{}, answer: comms.Instead{}, do: func(k *call) error {
			if err := p.Gate.MayApprove(k.UserContext(), k.person); err != nil {
				return err
			}
			o, err := p.Comms.ApproveTexts(k.UserContext(), k.person.ID, k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, o)
		}},
		{method: "GET", path: base + "/:id/deliveries", right: auth.UpdateRead, tag: "updates", summary: "each delivery with its outcome; format=csv for a table of all of them, each with at most ten sites", query: []string{"state", "channel", "after", "limit", "format"}, answer: list[comms.Told]{}, gives: "text/csv", do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			q := comms.DeliveryQuery{State: comms.State(k.Query("state")), Channel: k.Query("channel"), After: k.Query("after"), Limit: limit}
			if k.wantsTable() {
				return k.deliveryTable(q)
			}
			page, next, err := p.Comms.Deliveries(k.UserContext(), k.Params("id"), q)
			if err != nil {
				return err
			}
			for i := range page {
				page[i].Address = maskAddress(page[i].Channel, page[i].Address)
			}
			return send(k.Ctx, 200, list[comms.Told]{Items: page, Next: next})
		}},
	}
}

// statement reads a structured update; every unknown name and value of the wrong form is named at once.
func (k *call) statement() (templates.Statement, []fault.Field, error) {
	body, err := read(k.Ctx, maxJSON)
	if err != nil {
		return templates.Statement{}, nil, err
	}
	if err := shallow(body); err != nil {
		return templates.Statement{}, nil, err
	}
	s, malformed := comms.ParseStatement(body)
	return s, malformed, nil
}

func (k *call) reach() error {
	r, err := k.p.Comms.Reach(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	return send(k.Ctx, 200, r)
}
