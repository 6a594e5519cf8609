package comms

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"lifeline/templates"
)

// private is what nobody may find in words that are passed on: inner ids, and who the reader or her company is.
var private = regexp.MustCompile(`\b(acc|con|sit|inc|upd|stf|tok|ntc|pag|dlv|led|ent)_[0-9a-z]{4}|Customer \d{4}|Site \d{4}|Owner \d{4}|Tech \d{4}|@c\d{4}|\+120255|nightly-purge`)

// Whoever gets an update can pass it on as it is: it is the same for every customer in a language, stands by itself, and holds nothing private and
// nothing that was noted for the inside.
func TestAnUpdateCanBePassedOn(t *testing.T) {
	towns(t, func(w *town) {
		ctx := context.Background()
		w.people(8)
		inside := "nightly-purge took ids of sites for ids of apps"
		if _, err := w.Amend(ctx, "stf_ann", w.incident, 0, Amend{Summary: &inside}); err != nil {
			w.Fatal(err)
		}
		update, _ := w.publish()
		mail, sms := mails(), texts()
		w.start(outbox(w.Room, mail, sms))
		w.done(update)
		says := map[string]map[string]bool{}
		for _, m := range append(mail.all(), sms.all()...) {
			if strings.HasPrefix(m.To, "duty@") {
				continue
			}
			text := m.Subject + "\n" + m.Text + "\n" + m.HTML
			key := "mail in " + m.Locale
			if m.HTML == "" {
				key = "SMS in " + m.Locale
			}
			if says[key] == nil {
				says[key] = map[string]bool{}
			}
			says[key][text] = true
			if found := private.FindString(text); found != "" {
				w.Errorf("%s to %s holds %q:\n%s", key, m.To, found, m.Text)
			}
		}
		if len(says) != 6 {
			w.Errorf("%d channels and languages, want two in three", len(says))
		}
		for key, wordings := range says {
			if len(wordings) != 1 {
				w.Errorf("%s has %d wordings: it is another for each reader", key, len(wordings))
			}
		}
		facts, err := w.Facts(ctx, update)
		if err != nil {
			w.Fatal(err)
		}
		for _, locale := range templates.Locales() {
			for _, channel := range []string{ChannelEmail, ChannelPage} {
				out, _, err := w.Preview(ctx, update, channel, locale)
				if err != nil {
					w.Fatal(err)
				}
				text := strings.Join(strings.Fields(out.Text+out.HTML), " ")
				if found := private.FindString(text); found != "" {
					w.Errorf("%s in %s holds %q", channel, locale, found)
				}
				for _, alone := range []string{facts.Statement.Headline, facts.Statement.WhatHappened, facts.Statement.Scope.Text, facts.Statement.Affected.Who, w.Vendor.Support, w.Vendor.Name} {
					if !strings.Contains(text, strings.TrimSuffix(alone, ".")) {
						w.Errorf("%s in %s lacks %q", channel, locale, alone)
					}
				}
			}
		}
	})
}
