package comms

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// A figure that changes is said with the old one, the new one and why, in every language; without a reason it stays a draft.
func TestAChangedFigureSaysWhatItWasAndWhy(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-3", "S-4")
	h.say(in.ID, h.said(func(s *templates.Statement) { s.Affected.Sites = templates.Known(3) }))
	more := h.said(func(s *templates.Statement) { s.Headline, s.Unaffected = "One more site", true })
	_, err := h.Approve(ctx, "stf_bob", h.draft(in.ID, more).ID)
	h.refused(err, fault.Invalid, "affected.sites", "another than in update 1")
	more.Changed = map[string]string{templates.FigureSites: "One was found late"}
	u := h.say(in.ID, more)
	if b := u.Value.Before; b == nil || b.Number != 1 || b.Affected.Sites != templates.Known(3) {
		t.Fatalf("before: %+v", b)
	}
	if s := u.Value.Figures.Stored; s == nil || s.Sites < 4 || s.UnaffectedSites != s.Sites-4 || s.SitesPercent != percent(s.UnaffectedSites, s.Sites) {
		t.Errorf("what is not affected: %+v", s)
	}
	for locale, wants := range map[string][]string{
		"en":    {"Changed from 3 sites to 4 sites. Reason: One was found late.", "Not affected"},
		"zh-CN": {"由 3 个站点更正为 4 个站点。原因：One was found late.", "未受影响"},
		"ja":    {"3サイトから4サイトに変更。理由：One was found late.", "影響を受けていないもの"},
	} {
		for _, channel := range []string{ChannelEmail, ChannelTicket} {
			out, _, err := h.Preview(ctx, u.ID, channel, locale)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range wants {
				if says := strings.Join(strings.Fields(out.Text), " "); !strings.Contains(strings.ReplaceAll(says, " ", ""), strings.ReplaceAll(want, " ", "")) {
					t.Errorf("%s in %s lacks %q:\n%s", channel, locale, want, says)
				}
			}
		}
	}
}

// A warning that somebody lets stand keeps her name until it says something else; an error is mended.
func TestAWarningIsDismissedByName(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	u := h.draft(in.ID, h.said(func(s *templates.Statement) { s.WhatHappened = "It will be back soon." }))
	_, found, err := h.Dismiss(ctx, "stf_cat", u.ID, "what_happened", "vague")
	if err != nil {
		t.Fatal(err)
	}
	by := func(found []Finding) string {
		for _, f := range found {
			if f.Code == "vague" {
				return f.DismissedBy
			}
		}
		return "nobody found it"
	}
	if got := by(found); got != "stf_cat" {
		t.Errorf("dismissed by %q", got)
	}
	if _, found, err = h.Update(ctx, u.ID); err != nil || by(found) != "stf_cat" {
		t.Errorf("read again: %q %v", by(found), err)
	}
	_, found, err = h.Edit(ctx, "stf_ann", u.ID, 0, h.said(func(s *templates.Statement) { s.WhatHappened = "It will be back shortly." }), nil)
	if err != nil || by(found) != "" {
		t.Errorf("another warning: %q %v", by(found), err)
	}
	_, _, err = h.Dismiss(ctx, "stf_cat", u.ID, "headline", "vague")
	h.refused(err, fault.NotFound)
	u = h.draft(in.ID, h.said(func(s *templates.Statement) { s.Known = []string{"53 % are back."} }))
	_, _, err = h.Dismiss(ctx, "stf_cat", u.ID, "known[0]", "bare_share")
	h.refused(err, fault.Conflict, "mended")
}

// Asking for approval tells the approvers, one rung after the other, until one has approved.
func TestAskingForApprovalTellsApprovers(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	u := h.draft(h.declare().ID, h.said())
	_, err := h.AskApproval(ctx, "stf_ann", u.ID)
	h.refused(err, fault.Conflict, "comms.ladders.approval")
	first, second := Direct{Channel: ChannelSMS, Address: "+12025550111", Locale: "en"}, Direct{Channel: ChannelEmail, Address: "head@vendor.example", Locale: "en"}
	h.Policy.Ladders = map[string]Ladder{ApprovalDue: {{To: []Direct{first}}, {After: 5 * time.Minute, To: []Direct{second}}}}
	if told, err := h.AskApproval(ctx, "stf_ann", u.ID); err != nil || told != 1 {
		t.Fatal(told, err)
	}
	asked := func() (to []string) {
		for _, n := range h.notices(templates.MsgDeadline) {
			to = append(to, n.To[0].Address)
		}
		return to
	}
	fire := func() {
		t.Helper()
		if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	fire()
	if to := asked(); len(to) != 1 || to[0] != first.Address {
		t.Fatalf("asked: %v", to)
	}
	h.clock.Turn(5 * time.Minute)
	fire()
	if to := asked(); len(to) != 2 {
		t.Errorf("asked: %v", to)
	}
	if _, err := h.Approve(ctx, "stf_bob", u.ID); err != nil {
		t.Fatal(err)
	}
	if due := h.due(ApprovalDue); len(due) != 0 {
		t.Errorf("still asked: %+v", due)
	}
}

// What a second person says yes to is everything that readers get and everybody who gets it: with any of it changed, her word is for something else.
func TestAnApprovalBindsEverythingThatIsSaid(t *testing.T) {
	words, err := theWords()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "en.json"), []byte(`{"update.never": "We never ask for your password."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	others, err := templates.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	most := templates.Span(time.Hour)
	seen := map[string]string{}
	for name, mend := range map[string]func(*Room, *Update, *Incident){
		"as it is":           func(*Room, *Update, *Incident) {},
		"a word":             func(_ *Room, u *Update, _ *Incident) { u.Statement.Technical += "x" },
		"a channel":          func(_ *Room, u *Update, _ *Incident) { u.Statement.Channels = []string{ChannelEmail} },
		"a language":         func(_ *Room, u *Update, _ *Incident) { u.Statement.Locales = append(u.Statement.Locales, "ja") },
		"whom it is for":     func(_ *Room, u *Update, _ *Incident) { u.Statement.Audience = "slice:Wiki/EU" },
		"an estimate":        func(_ *Room, u *Update, _ *Incident) { u.Statement.DataLoss.AtMost = &most },
		"other templates":    func(r *Room, _ *Update, _ *Incident) { r.Words = others },
		"the title":          func(_ *Room, _ *Update, in *Incident) { in.Title = "Another" },
		"the security cause": func(_ *Room, _ *Update, in *Incident) { in.Security = "not_attack" },
		"a pinned fact":      func(_ *Room, _ *Update, in *Incident) { in.Pinned = []string{"It was us."} },
		"what it corrects":   func(_ *Room, u *Update, _ *Incident) { u.Corrects = 2 },
	} {
		r, u, in := &Room{Words: words, Vendor: templates.Vendor{URL: "https://status.example"}}, Update{Statement: whole(noon)}, Incident{Title: "Sites deleted"}
		mend(r, &u, &in)
		d := r.digest(u, in)
		if before, same := seen[d]; d == "" || same {
			t.Errorf("%s and %s are approved as one", name, before)
		}
		seen[d] = name
	}
}
