package templates

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the goldens anew")

var (
	loaded = must(Load(""))
	acme   = Vendor{Name: "Acme", URL: "https://status.acme.example", Support: "https://status.acme.example/support", Phone: "+12025550100", Zone: "Asia/Tokyo"}
	sites  = Incident{ID: "k7q42m", Number: 1, Title: "Customer sites deleted", Severity: "P0", Impact: "critical", Started: april(5, 7, 38),
		URL: "https://status.acme.example/incidents/k7q42m"}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func april(day, hour, minute int) time.Time {
	return time.Date(2022, 4, day, hour, minute, 0, 0, time.UTC)
}

func at(day, hour, minute int) *time.Time { t := april(day, hour, minute); return &t }

func span(d time.Duration) *Span { s := Span(d); return &s }

func unknownCount() Count { return Count{State: CountUnknown} }

// scenario is one moment of an incident, as a customer reads it.
type scenario struct {
	name   string
	vendor Vendor
	update Update
}

// scenarios tell one incident from its first notice to its end; between them every phase and every kind of count, timeline and data loss is said.
func scenarios() []scenario {
	all := []string{"en", "zh-CN", "ja"}
	found := Statement{
		Phase: "identified", Headline: "A maintenance script deleted customer sites",
		WhatHappened: "A maintenance script deleted sites that were in use. The sites cannot be opened.\nWe hold complete backups from before the deletion.",
		YourAction:   "Please do not create a new site under the old name. Tell your own users that this takes days.",
		Technical:    "Site ids were passed to an interface that expected app ids, and it deleted permanently.",
		Scope:        Scope{Products: []string{"Wiki", "Tracker"}, Regions: []string{"EU", "US"}, Text: "Cloud only; self-hosted installations are not touched"},
		Affected: Affected{Who: "sites that the script deleted, and the customers who own them", Sites: Known(700), Customers: Known(400),
			Status: "estimate", Confidence: "medium"},
		Timeline: Timeline{Kind: "direction", Text: "days, not hours", Confidence: "low", FullScopeBy: Moment{At: april(6, 12, 0)}},
		DataLoss: DataLoss{Kind: "direction", Text: "very little, if any", Confidence: "low"},
		Known:    []string{"We hold the list of deleted sites", "The script has been stopped"}, Unknown: []string{"When each site is back"},
		Doing: []string{"Rebuilding the first sites by hand", "Building the automation for the rest"}, NextUpdateBy: Moment{At: april(5, 14, 0)}, Locales: all,
	}
	figures := &Figures{AsOf: april(14, 0, 0), Sites: SiteFigures{Total: 883, Restored: 112, NoAnswer: 5, Percent: "12.7"},
		Customers: CustomerFigures{Total: 775, Restored: 64, Percent: "8.3"}}
	say := func(number int, change func(*Update, *Statement)) Update {
		u := Update{ID: "upd", Number: number, Incident: sites, Statement: found, At: april(5, 9, 3), Security: "ruled_out", Pinned: []string{"No backup was lost"}}
		change(&u, &u.Statement)
		return u
	}
	first := say(1, func(u *Update, st *Statement) {
		u.FirstWord, u.Unread, u.Security, u.Pinned = true, true, "not_known", nil
		*st = Statement{Phase: "investigating", Headline: "Some sites cannot be opened", WhatHappened: "Since about 07:40 UTC some customers cannot open their sites.",
			YourAction: "nothing", Scope: Scope{Products: []string{"Wiki", "Tracker"}},
			Affected: Affected{Sites: unknownCount(), Customers: unknownCount(), Status: "estimate", Confidence: "low"},
			Timeline: Timeline{Kind: NotKnown, Confidence: "low", FullScopeBy: Moment{Word: NotKnown}},
			DataLoss: DataLoss{Kind: NotKnown, Confidence: "low"}, Known: []string{}, NextUpdateBy: Moment{At: april(5, 10, 0)}, Locales: all}
	})
	return []scenario{
		{"01_first_notice", acme, first},
		{"02_identified", acme, say(2, func(u *Update, st *Statement) {})},
		{"03_range", acme, say(3, func(u *Update, st *Statement) {
			u.At, u.Restored = april(14, 0, 20), figures
			st.Headline = "A faster way to restore is in use"
			st.Affected = Affected{Who: "sites that the script deleted", Sites: Known(883), Customers: unknownCount(), Status: "estimate", Confidence: "high"}
			st.Timeline = Timeline{Kind: "range", Earliest: at(18, 0, 0), Latest: at(26, 0, 0), Confidence: "medium", FullScopeBy: Moment{Word: NotKnown}}
			st.DataLoss = DataLoss{Kind: "at_most", AtMost: span(5 * time.Minute), Confidence: "medium"}
			st.NextUpdateBy = Moment{At: april(14, 16, 0)}
		})},
		{"04_no_date_no_change", acme, say(4, func(u *Update, st *Statement) {
			u.At, u.Restored, u.Security = april(15, 0, 20), figures, "under_investigation"
			st.Headline, st.NoChange, st.YourAction = "We keep restoring sites", true, "Nothing."
			st.Affected.Sites, st.Affected.Customers = unknownCount(), unknownCount()
			st.Timeline = Timeline{Kind: "no_date_possible", Confidence: "low", FullScopeBy: Moment{Word: NotKnown}}
			st.DataLoss = DataLoss{Kind: NotKnown, Confidence: "low"}
			st.NextUpdateBy, st.Technical = Moment{At: april(15, 16, 0)}, ""
		})},
		{"05_monitoring", Vendor{Name: acme.Name, URL: acme.URL, Support: acme.Support}, say(5, func(u *Update, st *Statement) {
			u.At, u.Security, u.Pinned = april(17, 9, 0), "confirmed", nil
			u.Restored = &Figures{AsOf: april(17, 8, 59), Sites: SiteFigures{Total: 883, Restored: 882, NoAnswer: 1, Percent: "99.9"},
				Customers: CustomerFigures{Total: 775, Restored: 774, Percent: "99.9"}}
			st.Phase, st.Headline, st.YourAction = "monitoring", "All sites but one are back", "Open your site and tell us what is missing."
			st.Affected.Sites, st.Affected.Customers, st.Affected.Status, st.Affected.Confidence = Known(883), Known(775), "final", "high"
			st.Timeline = Timeline{Kind: "at", Earliest: at(18, 12, 0), Confidence: "high", FullScopeBy: Moment{At: april(18, 12, 0)}}
			st.DataLoss = DataLoss{Kind: "range", AtLeast: span(time.Minute), AtMost: span(90 * time.Minute), Text: "Measured on 57 sites", Confidence: "high"}
			st.NextUpdateBy = Moment{At: april(18, 9, 0)}
		})},
		{"06_correction", acme, say(6, func(u *Update, st *Statement) {
			u.At, u.Restored, u.Corrects = april(17, 9, 30), figures, 5
			*st = Statement{Phase: "monitoring", NextUpdateBy: Moment{At: april(18, 9, 0)}, Locales: all}
		})},
		{"07_taken_back", acme, say(5, func(u *Update, st *Statement) {
			u.At, u.Restored, u.Retracted = april(17, 9, 0), figures, true
			st.Phase, st.Headline = "monitoring", "All sites but one are back"
			st.Affected = Affected{Who: "sites that the script deleted", Sites: unknownCount(), Customers: Known(1), Status: "estimate", Confidence: "low"}
			st.Timeline = Timeline{Kind: NotKnown, Text: "One site has no backup of its own", Confidence: "low", FullScopeBy: Moment{Word: NotKnown}}
			st.NextUpdateBy = Moment{At: april(18, 9, 0)}
		})},
		{"08_resolved", acme, say(8, func(u *Update, st *Statement) {
			u.At = april(18, 13, 0)
			u.Restored = &Figures{AsOf: april(18, 12, 59), Sites: SiteFigures{Total: 883, Restored: 883, NoAnswer: 20, Percent: "100.0"},
				Customers: CustomerFigures{Total: 775, Restored: 775, Percent: "100.0"}}
			st.Phase, st.Headline, st.YourAction = "resolved", "All sites are back with their customers", "Check your site. You can reopen your case for 30 days."
			st.Affected.Sites, st.Affected.Customers, st.Affected.Status, st.Affected.Confidence = Known(883), Known(775), "final", "high"
			st.Timeline = Timeline{Kind: "at", Earliest: at(18, 12, 0), Confidence: "high", FullScopeBy: Moment{Word: "none"}}
			st.DataLoss = DataLoss{Kind: "none_verified", Confidence: "high"}
			st.Unknown, st.UnknownNone, st.Doing, st.NextUpdateBy = nil, true, []string{"Writing the public review"}, Moment{Word: "none"}
		})},
		{"09_resolved_more_to_come", acme, say(9, func(u *Update, st *Statement) {
			u.At, u.Security = april(18, 13, 0), ""
			u.Restored = &Figures{AsOf: april(18, 12, 59), Sites: SiteFigures{Total: 1, Restored: 1, NoAnswer: 1, Percent: "100.0"},
				Customers: CustomerFigures{Total: 1, Restored: 1, Percent: "100.0"}}
			st.Phase, st.Headline = "resolved", "The last site is back"
			st.Affected = Affected{Who: "the one site that had no backup of its own", Sites: Known(1), Customers: Known(1), Status: "final", Confidence: "high"}
			st.Timeline = Timeline{Kind: "at", Earliest: at(18, 12, 0), Confidence: "high", FullScopeBy: Moment{At: april(18, 12, 0)}}
			st.DataLoss = DataLoss{Kind: "at_most", AtMost: span(25 * time.Hour), Confidence: "medium"}
			st.NextUpdateBy = Moment{At: april(29, 12, 0)}
		})},
		{"10_written_in_japanese", acme, say(2, func(u *Update, st *Statement) {
			*st = Statement{Phase: "identified", Headline: "お客様のサイトが削除されました", WhatHappened: "保守スクリプトの誤りにより、使用中のサイトが削除されました。",
				YourAction: "同じ名前で新しいサイトを作成しないでください", Scope: Scope{Products: []string{"Wiki"}, Regions: []string{"日本"}, Text: "クラウド版のみ"},
				Affected: Affected{Who: "スクリプトが削除したサイト", Sites: Known(12), Customers: Known(9), Status: "estimate", Confidence: "low"},
				Timeline: Timeline{Kind: "direction", Text: "数時間ではなく数日", Confidence: "low", FullScopeBy: Moment{At: april(6, 12, 0)}},
				DataLoss: DataLoss{Kind: NotKnown, Confidence: "low"}, Known: []string{"対象サイトの一覧があります"}, Unknown: []string{"各サイトの復旧日時"},
				Doing: []string{"最初のサイトを再構築しています"}, NextUpdateBy: Moment{At: april(5, 14, 0)}, Locales: []string{"ja", "en", "zh-CN"}}
			u.Pinned = nil
		})},
		{"11_drill_and_long_words", acme, say(2, func(u *Update, st *Statement) {
			u.Drill, u.Security, u.Restored = true, "", figures
			u.Incident.Title = "Exercise: regional outage of the storage service in two availability zones"
			st.Headline = "The storage service in two availability zones of the EU region answers slowly or not at all, and sites that depend on it cannot be opened 😥"
			st.YourAction = strings.Repeat("Keep your browser tabs open and copy unsaved work to a local file; ", 4)
			st.Locales = []string{"en"}
		})},
		{"13_translated_by_hand", acme, say(13, func(u *Update, st *Statement) {
			st.Translations = map[string]Translation{
				"ja": {Headline: "保守スクリプトがお客様のサイトを削除しました", WhatHappened: "使用中のサイトを保守スクリプトが削除しました。サイトを開けません。\n削除前の完全なバックアップがあります。",
					YourAction: "同じ名前で新しいサイトを作成しないでください。", Scope: "クラウド版のみ。自社運用版に影響はありません", Who: "スクリプトが削除したサイトと、その所有者であるお客様",
					Timeline: "数時間ではなく数日", DataLoss: "あったとしてもごくわずか", Known: []string{"削除されたサイトの一覧があります", "スクリプトは停止しました"},
					Unknown: []string{"各サイトの復旧日時"}, Doing: []string{"最初のサイトを手作業で再構築しています", "残りのための自動化を作っています"}, Technical: "アプリの ID を渡すべきところにサイトの ID を渡し、完全に削除されました。"},
				"zh-CN": {Headline: "维护脚本删除了客户站点"},
			}
		})},
		{"12_figures_changed", acme, say(12, func(u *Update, st *Statement) {
			u.At = april(18, 0, 0)
			whole := *figures
			whole.Stored = &Stored{Sites: 200_000, UnaffectedSites: 199_117, SitesPercent: "99.6", Customers: 180_000, Unaffected: 179_225, CustomersPercent: "99.6"}
			u.Restored = &whole
			u.Cohorts = []CohortLoss{{Name: "Sites with an older restore point", Sites: 57, AtMost: Span(36 * time.Hour)}}
			u.Before = &Before{Number: 11, Affected: Affected{Sites: Known(700), Customers: Known(400), Users: Between(1000, 5000)},
				Timeline: Timeline{Kind: "at", Earliest: at(20, 0, 0)}, DataLoss: DataLoss{Kind: "at_most", AtMost: span(time.Minute)}}
			st.SignedBy = "Ada Lind, Chief Executive Officer"
			st.Headline, st.Apology, st.WasNot, st.Unaffected = "We count more sites than we said before", ApologyStandard, []string{"capacity", "intent"}, true
			st.Affected = Affected{Who: "sites that the script deleted", Sites: Known(883), Customers: Known(775), Users: Between(2000, 9000), OwnSites: "not_counted",
				Status: "final", Confidence: "high"}
			st.Timeline = Timeline{Kind: "at", Earliest: at(22, 0, 0), Confidence: "medium", FullScopeBy: Moment{Word: NotKnown}}
			st.DataLoss = DataLoss{Kind: "at_most", AtMost: span(5 * time.Minute), Confidence: "medium"}
			st.Changed = map[string]string{FigureSites: "The first count left inactive sites out", FigureCustomers: "The first count left free accounts out",
				FigureUsers: "They have more users", FigureTimeline: "Each batch takes two days longer", FigureLoss: "Measured on 57 sites"}
			st.LongBecause = []string{"Each site is rebuilt in some seventy steps", "Batches are checked before the next one starts"}
			st.Picture = Picture{SiteList: Established{"known", "high"}, Contacts: Established{"partly", "medium"}, RestoreScope: Established{NotKnown, "low"}}
			st.NextUpdateBy = Moment{At: april(18, 9, 0)}
		})},
	}
}

var style = regexp.MustCompile(`(?s)<style>.*?</style>\n`)

// Every message in every channel is kept as a file that a person can read; look at each changed line before -update. Every story is kept in the languages of
// the desk, in which we write; in the others one of the fullest and one of the shortest stand for all.
func TestGoldens(t *testing.T) {
	for _, locale := range Locales() {
		for _, s := range scenarios() {
			if !slices.Contains(StaffLocales(), locale) && s.name != "01_first_notice" && s.name != "12_figures_changed" {
				continue
			}
			keep(t, s.name+"."+locale+".txt", everyChannel(t, locale, s))
		}
		keep(t, "messages."+locale+".txt", everyMessage(t, locale))
		if slices.Contains(StaffLocales(), locale) || locale == "de" {
			keep(t, "chat."+locale+".txt", everyChat(t, locale))
		}
	}
}

// The program takes what its own words come to from a file, for the digest that approvals name: it would wait for its rehearsal at each start.
func TestOurWordsAreRehearsed(t *testing.T) {
	got, err := loaded.rehearse()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("rehearsed.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != rehearsed {
		t.Errorf("rehearsed.txt differs; first difference:\n%s\nrun go test ./templates -update", difference(rehearsed, got))
	}
}

func keep(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what was kept; first difference:\n%s\nrun go test ./templates -update and read the change", name, difference(string(want), got))
	}
}

func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, x, y)
		}
	}
	return "only in line ends"
}

func everyChannel(t *testing.T, locale string, s scenario) string {
	t.Helper()
	r := func(channel string) Rendered {
		out, err := loaded.Update(channel, locale, s.update, s.vendor)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		return out
	}
	mail, sms := r(Email), r(SMS)
	return fmt.Sprintf("==== subject\n%s\n==== sms, %d segments\n%s\n==== email, text\n%s==== ticket\n%s==== page\n%s==== email, HTML\n%s\n==== press\n%s",
		mail.Subject, sms.Segments, sms.Text, mail.Text, r(Tickets).Text, r(OnPage).HTML, style.ReplaceAllString(mail.HTML, ""), r(Media).Text)
}

func everyMessage(t *testing.T, locale string) string {
	t.Helper()
	var b strings.Builder
	url := "https://status.acme.example/desk"
	for _, m := range []struct {
		name string
		data any
	}{
		{MsgTicketAck, TicketAck{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD"}},
		{MsgTicketAck, TicketAck{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD?k=e1abc.AbCdEf", Reply: true}},
		{MsgTicketAnswer, TicketAnswer{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD?k=e1abc.AbCdEf", Phrase: "amber river", Lines: []string{"Good morning,", "", "we have found your site <wiki>. It comes back this afternoon:", "- the pages first", "- then the files", "", "Ann"}, Files: 2, Reply: true}},
		{MsgTicketAnswer, TicketAnswer{Number: "K7Q-42M-9XD", URL: "https://status.acme.example/t/K7Q-42M-9XD", Phrase: "amber river", Lines: []string{"Done."}}},
		{MsgConfirm, Confirm{URL: "https://status.acme.example/c/01h455vb4pex5vsknk084sn02q.1.AbCdEfGhIjKlMnOpQrStUv", Card: "https://status.acme.example/card.vcf", From: "status@acme.example", Number: "+12025550100", Account: "Example Ltd"}},
		{MsgConfirm, Confirm{URL: "https://status.acme.example/c/x", Card: "https://status.acme.example/card.vcf", Again: true}},
		{MsgCode, Code{Code: "314159", Minutes: 10, Number: "K7Q-42M-9XD", URL: "https://status.acme.example/v/7k3m90qx41abcdefgh1jkmn0pq"}},
		{MsgCode, Code{Code: "314159", Minutes: 10}},
		{MsgCode, Code{Code: "314159", Minutes: 10, URL: "https://status.acme.example/me?k=7k3m90qx41abcdefgh1jkmn0pq"}},
		{MsgCode, Code{Minutes: 10}},
		{MsgAccount, AccountNotice{What: NoticePair, Number: "K7Q-42M-9XD", From: april(6, 10, 0), URL: "https://status.acme.example/support"}},
		{MsgAccount, AccountNotice{What: NoticeChange, From: april(6, 10, 0), URL: "https://status.acme.example/support"}},
		{MsgAccount, AccountNotice{What: NoticeRecovery, Number: "K7Q-42M-9XD", URL: "https://status.acme.example/support"}},
		{MsgSiteNews, SiteNews{Back: []string{"Acme <wiki>"}, Passed: []string{"Acme shop"}, Failed: []string{"Acme forum", "Acme blog"}, Again: []string{"Acme files"}, URL: "https://status.acme.example/support"}},
		{MsgSiteNews, SiteNews{Back: []string{"Acme wiki"}, URL: "https://status.acme.example/support"}},
		{MsgSiteBack, SiteBack{Site: "Acme <wiki>", URL: "https://status.acme.example/b/01h455vb4pex5vsknk084sn02q.01h455vb4pex5vsknk084sn02r.1.AbCdEfGhIjKlMnOpQrStUv", Until: april(30, 10, 0)}},
		{MsgMaintenance, Planned{Title: "Database upgrade", Lines: []string{"Pages cannot be edited for a few minutes.", "", "Nothing is lost."}, Components: "Wiki, API", From: april(20, 2, 0), Until: april(20, 4, 0), URL: "https://status.acme.example/#m-k3v9x0q2m7ab"}},
		{MsgMaintenance, Planned{Title: "Database upgrade", Lines: []string{"Pages cannot be edited."}, Components: "Wiki", From: april(20, 2, 0), Until: april(20, 4, 0), What: "held", Reason: "Changes are frozen during an incident.", URL: "https://status.acme.example/#m-k3v9x0q2m7ab"}},
		{MsgMaintenance, Planned{Title: "Database upgrade", Lines: []string{"Pages cannot be edited."}, Components: "Wiki", From: april(20, 2, 0), Until: april(20, 4, 0), What: "cancelled", Reason: "It is not needed any more.", URL: "https://status.acme.example/#m-k3v9x0q2m7ab"}},
		{MsgSubscribe, Subscribe{URL: "https://status.acme.example/s/01h455vb4pex5vsknk084sn02q.AbCdEfGhIjKlMnOpQrStUv"}},
		{MsgSubscribe, Subscribe{URL: "https://status.acme.example/s/01h455vb4pex5vsknk084sn02q.AbCdEfGhIjKlMnOpQrStUv", On: true}},
		{MsgSubscribe, Subscribe{URL: "https://status.acme.example/s/x", On: true, Test: true}},
		{MsgSubscribe, Subscribe{URL: "https://status.acme.example/s/x", On: true, Paused: true}},
		{MsgDeadline, DeadlineNotice{What: "next_update", Of: "Customer sites deleted", Since: april(5, 10, 0), URL: url, Rung: 2}},
		{MsgDeadline, DeadlineNotice{What: "first_answer", Of: "K7Q-42M-9XD", Since: april(5, 10, 0), URL: url, Rung: 1}},
		{MsgDeadline, DeadlineNotice{What: "second_reading", URL: url}},
		{MsgDeadline, DeadlineNotice{What: "next_update", Of: "Customer sites deleted", Since: april(5, 10, 0), Near: true, URL: url, Rung: 1}},
		{MsgDeadline, DeadlineNotice{What: "first_answer", Of: "K7Q-42M-9XD", Since: april(5, 10, 0), URL: url, Rung: 1, More: 999}},
		{MsgDeclared, Declared{Title: "Customer sites deleted", Severity: "P0", Category: "data", Summary: "Customers report that their sites are gone", Impact: "Sites cannot be opened", At: april(5, 8, 1), URL: url}},
		{MsgDeclared, Declared{Title: "Customer sites deleted", URL: url, Drill: true}},
		{MsgWayIn, WayIn{What: "set_up", By: "owner", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "password", By: "owner", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "recovery", By: "owner", Left: 0, At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "reset", By: "operator", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "email", By: "administrator", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "passkey", By: "owner", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "passkey_removed", By: "administrator", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "passkey_barred", By: "lifeline", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "single", By: "owner", At: april(5, 9, 3), URL: url}},
		{MsgWayIn, WayIn{What: "single_removed", By: "owner", At: april(5, 9, 3), URL: url}},
		{MsgSecondReading, SecondReading{Title: "Customer sites deleted", Severity: "P0", Headline: "Some sites cannot be opened", SentAt: april(5, 9, 3), By: april(5, 10, 3), URL: url}},
	} {
		if slices.Contains(staffMessages, m.name) && !slices.Contains(StaffLocales(), locale) {
			continue
		}
		mail, err := loaded.Message(Email, m.name, locale, m.data, acme)
		if err != nil {
			t.Fatal(err)
		}
		sms, err := loaded.Message(SMS, m.name, locale, m.data, acme)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "######## %s\n==== subject\n%s\n==== sms, %d segments\n%s\n==== email, text\n%s==== email, HTML\n%s",
			m.name, mail.Subject, sms.Segments, sms.Text, mail.Text, style.ReplaceAllString(mail.HTML, ""))
	}
	return b.String()
}
