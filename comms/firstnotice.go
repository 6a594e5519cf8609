package comms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// FirstNotice is what one person gives to send the first word of an incident at once. With what was given at declaration (title, severity,
// category, impact) two inputs are enough; what is not given is said to be not known.
type FirstNotice struct {
	Products     []string         `json:"products"`
	NextUpdateBy templates.Moment `json:"next_update_by"`

	Headline     string              `json:"headline"`      // "": the incident's title
	WhatHappened string              `json:"what_happened"` // "": the incident's impact
	YourAction   string              `json:"your_action"`   // "": nothing
	Scope        *templates.Scope    `json:"scope"`         // its products are added to Products
	Affected     *templates.Affected `json:"affected"`
	Timeline     *templates.Timeline `json:"timeline"`
	DataLoss     *templates.DataLoss `json:"data_loss"`
	Known        []string            `json:"known"`
	Unknown      []string            `json:"unknown"`
	Doing        []string            `json:"doing"`
	Audience     string              `json:"audience"` // "": public
	Channels     []string            `json:"channels"` // none: e-mail, SMS, page and tickets
	Locales      []string            `json:"locales"`  // none: all there are words for
}

// notKnown stands in the texts of a first notice that nobody gave; the words know it.
const notKnown = templates.NotKnown

// firstStatement is the fixed form of a first notice, filled with what is there.
func firstStatement(in Incident, n FirstNotice) templates.Statement {
	s := templates.Statement{
		Phase: Investigating, Headline: cmp.Or(n.Headline, in.Title), WhatHappened: cmp.Or(n.WhatHappened, in.Impact), YourAction: cmp.Or(n.YourAction, "nothing"),
		Scope: templates.Scope{Products: n.Products},
		Affected: templates.Affected{Sites: templates.Count{State: templates.CountUnknown}, Customers: templates.Count{State: templates.CountUnknown},
			Status: "estimate", Confidence: "low"},
		Timeline: templates.Timeline{Kind: notKnown, Confidence: "low", FullScopeBy: templates.Moment{Word: notKnown}},
		DataLoss: templates.DataLoss{Kind: notKnown, Confidence: "low"},
		Known:    n.Known, Unknown: n.Unknown, Doing: n.Doing, NextUpdateBy: n.NextUpdateBy,
		Audience: cmp.Or(n.Audience, AudiencePublic), Channels: n.Channels, Locales: n.Locales,
	}
	if n.Scope != nil {
		s.Scope = *n.Scope
		s.Scope.Products = append(append([]string{}, n.Products...), n.Scope.Products...)
	}
	if n.Affected != nil {
		s.Affected = *n.Affected
	}
	if n.Timeline != nil {
		s.Timeline = *n.Timeline
	}
	if n.DataLoss != nil {
		s.DataLoss = *n.DataLoss
	}
	if s.Known == nil {
		s.Known = []string{}
	}
	if len(s.Channels) == 0 {
		s.Channels = []string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, ChannelWebhook}
	}
	if len(s.Locales) == 0 {
		s.Locales = templates.Locales()
	}
	return s
}

// firstTemplate is what an approval of the first notice is of; it is no record.
const firstTemplate = "first_notice"

// FirstNeeds is how many persons approve the template of the first notice beforehand.
const FirstNeeds = 2

// firstDigest binds the words in force and the fixed form.
func (r *Room) firstDigest() string {
	return r.formDigest(firstStatement(Incident{Title: "{title}", Impact: "{impact}"}, FirstNotice{Products: []string{"{products}"}, Locales: []string{"{locales}"}}))
}

// formDigest binds what is approved beforehand: a form, the words in force, and where they lead.
func (r *Room) formDigest(form any) string {
	b, err := json.Marshal(struct {
		Words string
		Form  any
		Links []string
	}{r.Words.Version(), form, []string{r.Vendor.URL, r.Vendor.Support, r.Vendor.Phone, r.Vendor.Name}})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ApproveFirstNotice is one person's word for the template of the first notice with the words in force. Two different persons make it ready
// for use; other words or another vendor name need their approval again.
func (r *Room) ApproveFirstNotice(ctx context.Context, by string) (given store.Approval, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "firstnotice.approve"}, func(tx *store.Tx) error {
		digest := r.firstDigest()
		if digest == "" {
			return fault.New(fault.Internal, "the template of the first notice has no digest")
		}
		given = store.Approval{Of: firstTemplate, Digest: digest, By: by, At: tx.Now()}
		return store.Approve(tx, given)
	})
	return given, err
}

// FirstNoticeReady says who has approved the template of the first notice as it is, and whether that is enough.
func (r *Room) FirstNoticeReady(ctx context.Context) (ready bool, by []string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		by = nil
		given, err := store.Approvals(tx, firstTemplate, r.firstDigest())
		for _, a := range given {
			by = append(by, a.By)
		}
		ready = store.Judge(given, 0, FirstNeeds) == store.Approved
		return err
	})
	return ready, by, err
}

// FirstNoticeText is the mail that the template of the first notice makes, with three dots where an incident gives its own words: what the people who approve
// it read.
func (r *Room) FirstNoticeText(locale string) (string, error) {
	const dots = "…"
	in := Incident{Title: dots, Impact: dots, Severity: "P0", DeclaredAt: r.DB.Now()}
	n := FirstNotice{Products: []string{dots}, NextUpdateBy: templates.Moment{At: in.DeclaredAt.Add(r.Policy.NextUpdate[in.Severity])}}
	out, err := r.render(ChannelEmail, locale, r.saying("", Update{Number: 1, First: true, Statement: firstStatement(in, n)}, in, nil))
	return out.Text, err
}

// FirstNotice sends the first word of an incident at once, by one person, on the template that two approved beforehand: fault.Forbidden without their
// approval. It is marked as not read by a second person until somebody has, and a deadline asks for that.
func (r *Room) FirstNotice(ctx context.Context, by, incident string, n FirstNotice) (rec store.Rec[Update], err error) {
	k, err := r.firstSurvey(ctx, incident, n)
	if err != nil {
		return rec, err
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "firstnotice.send"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := r.mayFirst(tx, in.Value); err != nil {
			return err
		}
		u := Update{Incident: in.ID, State: Draft, Statement: firstStatement(in.Value, n), Author: by, AskedAt: tx.Now(), First: true, Unread: true}
		if err := r.refuseFirst(tx, in.Value, n, u.Statement); err != nil {
			return err
		}
		found, err := r.findingsOf(tx, u, in, k.figures, k.crowd)
		if err != nil {
			return err
		}
		if f := errorsOf(found); len(f) > 0 {
			return fault.BadFields(f...)
		}
		in.Value.LastUpdate++
		u.Number = in.Value.LastUpdate
		u.Digest = r.digest(u, in.Value)
		if rec, err = put(tx, updates, updates.NewID(), u, 0); err != nil {
			return err
		}
		rec, err = r.release(tx, by, rec, in, k, "")
		return err
	})
	return rec, err
}

func (r *Room) mayFirst(tx *store.Tx, in Incident) error {
	if err := in.speaks(); err != nil {
		return err
	}
	if err := in.waitsForSecurity(); err != nil {
		return err
	}
	if in.FirstNoticeAt != nil {
		return fault.New(fault.Conflict, "the first notice of incident %d went out at %s; write an update", in.Number, in.FirstNoticeAt.UTC().Format(time.RFC3339))
	}
	given, err := store.Approvals(tx, firstTemplate, r.firstDigest())
	if err != nil {
		return err
	}
	if store.Judge(given, 0, FirstNeeds) != store.Approved {
		return fault.New(fault.Forbidden, "the template of the first notice must be approved beforehand by %d persons and has %d; each approves it once, before an incident "+
			"(/desk/rules). Meanwhile write an update and have it approved", FirstNeeds, len(given))
	}
	return nil
}

// refuseFirst names what a first notice lacks, in the words of whoever fills it in: the incident's own inputs under their names.
func (r *Room) refuseFirst(tx *store.Tx, in Incident, n FirstNotice, s templates.Statement) error {
	var f []fault.Field
	if in.Category == "" {
		f = append(f, fault.Field{Field: "category", Code: codeMissing, Reason: "is missing; set it on the incident"})
	}
	if in.Impact == "" && n.WhatHappened == "" {
		f = append(f, fault.Field{Field: "impact", Code: codeMissing, Reason: "is missing; set it on the incident"})
	}
	names := map[string]string{"scope.products": "products"}
	for _, bad := range validate(s, in.rules(tx, s, true)) {
		if bad.Field == "what_happened" && bad.Code == codeMissing {
			continue // said as impact
		}
		bad.Field = cmp.Or(names[bad.Field], bad.Field)
		f = append(f, bad)
	}
	bad, err := r.badReaders(tx, in, s.Audience)
	if err != nil {
		return err
	}
	if f = append(f, bad...); len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}

// firstSurvey counts whom a first notice would reach.
func (r *Room) firstSurvey(ctx context.Context, incident string, n FirstNotice) (k survey, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if k, err = r.beforehand(tx, in, firstStatement(in.Value, n), r.crowd); err != nil {
			return fmt.Errorf("count whom the first notice reaches: %w", err)
		}
		return nil
	})
	return k, err
}
