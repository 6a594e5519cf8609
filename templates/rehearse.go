package templates

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// rehearsed is what [Set.rehearse] says of our own words. A test renders them and compares, so that no start of the program has to.
//
//go:embed rehearsed.txt
var rehearsed string

// rehearse renders everything against sample data, says in one line for each sample and language what came out, and refuses what does not
// render: nobody shall find out during an outage that a template is broken.
func (s *Set) rehearse() (string, error) {
	var lines strings.Builder
	vendor := Vendor{Name: "Acme", URL: "https://status.acme.example", Support: "https://status.acme.example/support", Phone: "+12025550100", Zone: "Asia/Tokyo"}
	for _, locale := range locales {
		for i, u := range sampleUpdates() {
			sum := sha256.New()
			for _, channel := range []string{Email, SMS, OnPage, Tickets, Media, Slack, Teams} {
				r, err := s.Update(channel, locale, u, vendor)
				if err != nil {
					return "", err
				}
				err = complete(channel, r)
				if err == nil && (channel == Email || channel == SMS) {
					err = carries(r, s.owed(locale, u, channel)...)
				}
				if err != nil {
					return "", fmt.Errorf("update sample %d for %s in %s: %w", i, channel, locale, err)
				}
				fmt.Fprintf(sum, "%s %+v\n", channel, r)
			}
			fmt.Fprintf(&lines, "%s update %d %x\n", locale, i, sum.Sum(nil)[:12])
		}
		for _, name := range Messages() {
			if slices.Contains(staffMessages, name) && !slices.Contains(staffLocales, locale) {
				continue
			}
			sum := sha256.New()
			for _, channel := range []string{Email, SMS, Slack, Teams} {
				r, err := s.Message(channel, name, locale, sampleMessage(name), vendor)
				if err != nil {
					return "", err
				}
				err = complete(channel, r)
				if err == nil && (channel == Email || channel == SMS) {
					err = carries(r, purpose(sampleMessage(name)))
				}
				if err != nil {
					return "", fmt.Errorf("message %s for %s in %s: %w", name, channel, locale, err)
				}
				fmt.Fprintf(sum, "%s %+v\n", channel, r)
			}
			fmt.Fprintf(&lines, "%s %s %x\n", locale, name, sum.Sum(nil)[:12])
		}
	}
	return lines.String(), nil
}

// complete says whether a message has all that its channel needs.
func complete(channel string, r Rendered) error {
	for part, missing := range map[string]bool{
		"subject": channel == Email && r.Subject == "",
		"text":    channel != OnPage && strings.TrimSpace(r.Text) == "",
		"HTML":    (channel == Email || channel == OnPage) && strings.TrimSpace(r.HTML) == "",
	} {
		if missing {
			return fmt.Errorf("its %s is empty", part)
		}
	}
	if channel == SMS && r.Segments > maxSegments {
		return fmt.Errorf("it takes %d segments; %d are the most", r.Segments, maxSegments)
	}
	return nil
}

// owing is something that a message must hold, in whatever words.
type owing struct{ name, text string }

// owed is what every mail and text message of an update must hold: the code by which it can be checked; and in a mail, its headline and what we never ask for.
func (s *Set) owed(locale string, u Update, channel string) []owing {
	owed := []owing{{"the code by which it can be checked (.Check)", CheckCode(u.ID)}}
	if channel == Email {
		owed = append(owed, owing{"what we never ask for (.Never)", s.catalogs[locale].T("update.never")}, owing{"its headline (.Headline)", oneLine(u.Statement.Headline)})
	}
	return owed
}

// purpose is what a message is sent for: the code that it brings, or the page on which its reader goes on.
func purpose(data any) owing {
	if c, is := data.(Code); is {
		return owing{"its code (.Data.Code)", c.Code}
	}
	return owing{"the page on which its reader goes on (.Data.URL)", reflect.ValueOf(data).FieldByName("URL").String()}
}

// carries says whether each part of a message holds what it must. Line breaks, and the hyphen within a code, are no difference.
func carries(r Rendered, owed ...owing) error {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '-' || unicode.IsSpace(r) {
				return -1
			}
			return r
		}, s)
	}
	text, page := plain(r.Text), plain(html.UnescapeString(r.HTML))
	for _, what := range owed {
		if !strings.Contains(text, plain(what.text)) {
			return fmt.Errorf("its text lacks %s", what.name)
		}
		if r.HTML != "" && !strings.Contains(page, plain(what.text)) {
			return fmt.Errorf("its HTML lacks %s", what.name)
		}
	}
	return nil
}

func sampleMessage(name string) any {
	at := time.Date(2022, 4, 5, 8, 17, 0, 0, time.UTC)
	switch name {
	case MsgTicketAck:
		return TicketAck{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD"}
	case MsgTicketAnswer:
		return TicketAnswer{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD?k=x", Phrase: "amber river", Lines: []string{"We have found your site.", "", "It comes back this afternoon."}, Files: 2, Reply: true}
	case MsgAccount:
		return AccountNotice{What: NoticePair, Number: "K7Q-42M-9XD", From: at, URL: "https://status.acme.example/support"}
	case MsgSiteNews:
		return SiteNews{Back: []string{"Wiki"}, Passed: []string{"Shop"}, Failed: []string{"Forum"}, Again: []string{"Blog"}, URL: "https://status.acme.example/support"}
	case MsgSiteBack:
		return SiteBack{Site: "Wiki", URL: "https://status.acme.example/b/x", Until: at}
	case MsgCode:
		return Code{Code: "314159", Minutes: 10, Number: "K7Q-42M-9XD", URL: "https://status.acme.example/v/x"}
	case MsgDeadline:
		return DeadlineNotice{What: "next_update", Of: "Sites deleted", Since: at, URL: "https://status.acme.example/desk", Rung: 1}
	case MsgConfirm:
		return Confirm{URL: "https://status.acme.example/c/x", Card: "https://status.acme.example/card.vcf", From: "status@acme.example", Number: "+12025550100", Account: "Example Ltd", Again: true}
	case MsgMaintenance:
		return Planned{Title: "Database upgrade", Lines: []string{"Pages cannot be edited for a few minutes."}, Components: "Wiki", From: at, Until: at.Add(time.Hour), What: "held", Reason: "an incident", URL: "https://status.acme.example/#m-x"}
	case MsgSubscribe:
		return Subscribe{URL: "https://status.acme.example/s/x"}
	case MsgWayIn:
		return WayIn{What: "recovery", By: "owner", Left: 7, At: at, URL: "https://status.acme.example/desk/account"}
	case MsgSecondReading:
		return SecondReading{Title: "Sites deleted", Severity: "P0", Headline: "Some sites cannot be opened", SentAt: at, By: at.Add(time.Hour), URL: "https://status.acme.example/desk"}
	}
	return Declared{Title: "Sites deleted", Severity: "P0", Category: "data", Summary: "Customers report that their sites are gone", Impact: "critical", At: at, URL: "https://status.acme.example/desk", Drill: true}
}

// sampleUpdates reach every sentence that an update can say.
func sampleUpdates() []Update {
	at := func(day, hour int) time.Time { return time.Date(2022, 4, day, hour, 0, 0, 0, time.UTC) }
	incident := Incident{ID: "abc123def456", Number: 1, Title: "Sites deleted", Severity: "P0", Impact: "critical", Started: at(5, 7), URL: "https://status.acme.example/incidents/abc123def456"}
	span := func(d time.Duration) *Span { s := Span(d); return &s }
	early, late := at(18, 0), at(26, 0)
	base := Statement{
		Phase: "identified", Headline: "Restoring is complex and takes many steps", WhatHappened: "A maintenance script deleted sites.\nNobody attacked us.",
		YourAction: "Please do not create a new site.", Technical: "Site ids were passed where app ids were meant.",
		Scope:    Scope{Products: []string{"Wiki", "Tracker"}, Regions: []string{"EU"}, Text: "Cloud sites only"},
		Affected: Affected{Who: "sites that cannot be opened", Sites: Known(700), Customers: Known(400), Status: "estimate", Confidence: "medium"},
		Timeline: Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: Moment{At: at(6, 12)}},
		DataLoss: DataLoss{Kind: "direction", Text: "very little expected", Confidence: "low"},
		Known:    []string{"We hold the list of sites"}, Unknown: []string{"How long each site takes"}, Doing: []string{"Rebuilding the first sites"},
		NextUpdateBy: Moment{At: at(5, 14)}, Locales: []string{"en", "zh-CN", "ja"},
	}
	first := base
	first.Phase, first.YourAction = "investigating", "nothing"
	first.Affected = Affected{Who: "sites that cannot be opened", Sites: Count{State: CountUnknown}, Customers: Count{State: CountUnknown}, Status: "estimate", Confidence: "low"}
	first.Timeline = Timeline{Kind: NotKnown, Confidence: "low", FullScopeBy: Moment{Word: NotKnown}}
	first.DataLoss = DataLoss{Kind: NotKnown, Confidence: "low"}
	first.Known = nil
	out := []Update{{Number: 1, Incident: incident, Statement: first, At: at(5, 9), FirstWord: true, Unread: true, Drill: true}}
	figures := &Figures{AsOf: at(14, 0), Sites: SiteFigures{Total: 883, Restored: 112, NoAnswer: 5, Percent: "12.7"}, Customers: CustomerFigures{Total: 775, Restored: 64, Percent: "8.3"}}
	add := func(change func(*Statement), security string) {
		st := base
		change(&st)
		out = append(out, Update{Number: len(out) + 1, Incident: incident, Statement: st, At: at(14, 0), Restored: figures, Security: security,
			Pinned: []string{"No backup was lost"}, Corrects: 1, Retracted: true, Unread: true})
	}
	add(func(st *Statement) {}, "ruled_out")
	add(func(st *Statement) { // three of the pairs of what is not known, with what the third then says
		st.NoChange, st.Channels = true, []string{Email, SMS} // on no page
		st.Affected.Customers = Count{State: CountUnknown}
		st.Timeline = Timeline{Kind: NotKnown}
		st.DataLoss = DataLoss{Kind: "none_verified", Confidence: "high"}
	}, "under_investigation")
	add(func(st *Statement) {
		st.Affected.Sites = Count{State: CountUnknown}
		st.Timeline = Timeline{Kind: NotKnown}
		st.DataLoss = DataLoss{Kind: NotKnown}
	}, "confirmed")
	add(func(st *Statement) {
		st.Affected = first.Affected
		st.Timeline = Timeline{Kind: "range", Earliest: &early, Latest: &late, Confidence: "medium"}
		st.DataLoss = DataLoss{Kind: NotKnown}
	}, "")
	add(func(st *Statement) {
		st.Affected = first.Affected
		st.Timeline = Timeline{Kind: NotKnown}
		st.DataLoss = DataLoss{Kind: "range", AtLeast: span(time.Minute), AtMost: span(90 * time.Minute), Confidence: "medium"}
	}, "")
	add(func(st *Statement) {
		st.Affected = first.Affected
		st.Timeline = Timeline{Kind: "no_date_possible", Confidence: "low"}
		st.DataLoss = DataLoss{Kind: "at_most", AtMost: span(5 * time.Minute), Confidence: "medium"}
	}, "")
	add(func(st *Statement) {
		st.Affected.Customers = Count{}
		st.Timeline = Timeline{Kind: "range", Latest: &late}
		st.DataLoss = DataLoss{Kind: NotKnown}
	}, "")
	add(func(st *Statement) {
		st.Affected = Affected{Customers: Known(400), Status: "final"}
		st.Timeline = Timeline{Kind: "range", Earliest: &early}
		st.DataLoss = DataLoss{Kind: "range", AtLeast: span(time.Minute)}
	}, "")
	add(func(st *Statement) { st.Timeline = Timeline{Kind: "at", Latest: &late, Confidence: "high"} }, "")
	add(func(st *Statement) {
		st.Phase, st.NextUpdateBy = "resolved", Moment{Word: "none"}
		st.Affected = Affected{Who: "sites that were deleted", Sites: Known(883), Customers: Known(775), Status: "final", Confidence: "high"}
		st.Timeline = Timeline{Kind: "at", Latest: &early, Confidence: "high", FullScopeBy: Moment{Word: "none"}}
		st.Unknown, st.UnknownNone = nil, true
	}, "ruled_out")
	add(func(st *Statement) { st.Phase, st.NextUpdateBy = "monitoring", Moment{Word: NotKnown} }, "")
	add(func(st *Statement) { // a figure of each kind that changed, and all that is owed beside them
		st.Affected.Users, st.Affected.OwnSites, st.Apology, st.WasNot = Between(1000, 5000), "counted", ApologyStandard, WasNots()
		st.Timeline = Timeline{Kind: "range", Earliest: &early, Latest: &late, Confidence: "medium"}
		st.DataLoss = DataLoss{Kind: "at_most", AtMost: span(5 * time.Minute), Confidence: "medium"}
		st.LongBecause, st.Unaffected = []string{"Each site needs some seventy steps"}, true
		st.Changed = map[string]string{}
		for _, figure := range Changeable() {
			st.Changed[figure] = "The first count left small accounts out"
		}
		st.Picture = Picture{SiteList: Established{"known", "high"}, Contacts: Established{"partly", "medium"}, RestoreScope: Established{NotKnown, "low"}}
	}, "")
	changed := &out[len(out)-1]
	changed.Corrects, changed.Retracted = 0, false
	whole := *figures
	whole.Stored = &Stored{Sites: 200_000, UnaffectedSites: 199_117, SitesPercent: "99.6", Customers: 180_000, Unaffected: 179_225, CustomersPercent: "99.6"}
	changed.Restored = &whole
	changed.Cohorts = []CohortLoss{{Name: "sites with an older restore point", Sites: 57, AtMost: Span(90 * time.Minute)}}
	changed.Before = &Before{Number: 3, Affected: Affected{Sites: Known(500), Customers: Known(300), Users: Between(10, 10)},
		Timeline: Timeline{Kind: "at", Latest: &early}, DataLoss: DataLoss{Kind: "none_verified"}}
	add(func(st *Statement) { st.Affected.Users, st.Affected.OwnSites = Amount{State: CountUnknown}, "none" }, "")
	add(func(st *Statement) { st.Affected.Users, st.Affected.OwnSites = Between(7, 7), "not_counted" }, "")
	draft := Update{Incident: incident, Statement: base, Restored: &Figures{Sites: figures.Sites, Customers: figures.Customers}, Security: "not_known"}
	draft.Statement.Audience = "affected"
	over := out[10] // the resolved one, said after all its days
	over.At, over.Statement.Audience = at(30, 0), "partners"
	over.Statement.Timeline.FullScopeBy = Moment{At: at(6, 12)}
	correction := Update{Number: 2, Incident: incident, Statement: Statement{Phase: "investigating", Locales: base.Locales}, At: at(14, 0), Corrects: 1}
	return append(out, draft, over, correction)
}
