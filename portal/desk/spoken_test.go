package desk_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/templates"
)

// One approved statement stands in mail, SMS, on the page, in a post and in each ticket of the incident, with the same facts and the same number. A ticket
// shows the update that stood when it was filed and all since, in its own language, and what is taken back says so.
func TestAnUpdateStandsInEveryTicketOfItsIncident(t *testing.T) {
	counters(t, func(c counter) {
		ctx := context.Background()
		in, err := c.Comms.Declare(ctx, "stf_ann", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
		if err != nil {
			c.Fatal(err)
		}
		if _, err := c.Comms.LoadAffected(ctx, "stf_ann", in.ID, comms.CSV, strings.NewReader("site_id\nS-1\n"), false); err != nil {
			c.Fatal(err)
		}
		say := func(headline string, channels ...string) string {
			c.Helper()
			c.passed.Add(int64(time.Minute))
			s := templates.Statement{Phase: comms.Identified, Headline: headline, WhatHappened: headline + " by a script.", YourAction: "nothing",
				Scope:    templates.Scope{Products: []string{"Wiki"}, Regions: []string{"all"}, Text: "Sites in the cloud."},
				Affected: templates.Affected{Who: "A site that cannot be opened.", Sites: templates.Known(1), Customers: templates.Known(1), Status: "final", Confidence: "high"},
				Timeline: templates.Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: templates.Moment{Word: templates.NotKnown}},
				DataLoss: templates.DataLoss{Kind: "not_known", Confidence: "low"}, Known: []string{"The list is held."}, Unknown: []string{"How long it takes."},
				NextUpdateBy: templates.Moment{At: c.DB.Now().Add(time.Hour)}, Audience: comms.AudiencePublic, Channels: channels, Locales: []string{"en", "zh-CN", "ja"}}
			draft, _, err := c.Comms.Draft(ctx, "stf_ann", in.ID, s, nil)
			if err != nil {
				c.Fatal(err)
			}
			if _, err := c.Comms.Approve(ctx, "stf_bob", draft.ID); err != nil {
				c.Fatal(err)
			}
			if _, err := c.Comms.Publish(ctx, "stf_ann", draft.ID, comms.PublishOptions{}); err != nil {
				c.Fatal(err)
			}
			return draft.ID
		}
		all := []string{"email", "sms", "page", "ticket"}
		say("Sites are deleted", all...)
		say("The cause is known", all...)
		c.passed.Add(int64(time.Minute))
		filed := map[string]desk.Receipt{}
		for _, locale := range []string{"en", "ja"} {
			receipt, err := c.File(ctx, "public:test", desk.Intake{Message: "Our site is gone.", Email: locale + "@nowhere.example", Impact: desk.LostAccess, Locale: locale, Route: "api"})
			if err != nil {
				c.Fatal(err)
			}
			filed[locale] = receipt
		}
		third := say("First sites are back", all...)
		say("Only for the page", "page", "email")

		for locale, receipt := range filed {
			v, err := c.Open(ctx, receipt.Number, receipt.Secret)
			if err != nil {
				c.Fatal(err)
			}
			var from []string
			for _, m := range v.Messages {
				from = append(from, m.From)
			}
			if want := []string{"update", "customer", "update"}; !slices.Equal(from, want) {
				c.Fatalf("%s: the conversation is %q, not %q", locale, from, want)
			}
			if old, new := v.Messages[0].Text, v.Messages[2].Text; !strings.Contains(old, "The cause is known") || !strings.Contains(new, "First sites are back") {
				c.Errorf("%s:\n%s\n%s", locale, old, new)
			}
		}
		number := map[string]string{"en": "pdate 3", "ja": "第3報"}
		for locale, receipt := range filed {
			v, err := c.Ticket(ctx, receipt.Number)
			if err != nil {
				c.Fatal(err)
			}
			for _, channel := range []string{"email", "sms", "page", templates.Social} {
				out, _, err := c.Comms.Preview(ctx, third, channel, locale)
				if err != nil {
					c.Fatal(err)
				}
				for _, text := range []string{out.Text + out.HTML, v.Messages[2].Text} {
					for _, fact := range []string{"First sites are back", "0.0", number[locale]} {
						if flat := strings.ReplaceAll(text, "第 3 ", "第3"); !strings.Contains(flat, fact) {
							c.Errorf("%s, %s lacks %q:\n%s", locale, channel, fact, text)
						}
					}
				}
			}
		}
		if _, err := c.Comms.Retract(ctx, "stf_ann", third, "the figure was wrong"); err != nil {
			c.Fatal(err)
		}
		v, err := c.Open(ctx, filed["en"].Number, filed["en"].Secret)
		if err != nil {
			c.Fatal(err)
		}
		if last := v.Messages[2].Text; !strings.Contains(strings.ToLower(last), "taken back") {
			c.Errorf("nothing says that it was taken back:\n%s", last)
		}
	})
}
