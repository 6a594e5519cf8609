package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/web"
	"lifeline/templates"
)

var viewFiles = []string{
	"form_layout.html", "form_support.html", "form_confirm.html", "form_receipt.html", "form_ticket.html", "form_copy.html", "form_shared.html", "own.html", "form_error.html",
	"desk_layout.html", "desk_signin.html", "desk_home.html", "desk_room.html", "desk_live.html", "desk_editor.html", "desk_tickets.html", "desk_ticket.html", "desk_ticketwork.html", "desk_identity.html", "form_reach.html", "desk_accounts.html", "desk_lists.html", "desk_tasks.html", "desk_audit.html", "confirm.html",
	"desk_book_account.html", "desk_book_import.html", "desk_book_conflicts.html", "desk_book_changes.html", "desk_book_coverage.html", "desk_book_stale.html",
	"desk_watched.html", "desk_services.html",
	"desk_casework.html", "desk_staff.html", "desk_rota.html", "desk_rota_one.html", "desk_rules.html",
	"desk_check.html", "desk_checklists.html", "back.html", "desk_questions.html", "desk_plans.html", "desk_cohorts.html",
	"desk_team.html", "desk_playbooks.html", "desk_work.html", "desk_batches.html",
	"form_subscribe.html", "form_verify.html", "yours.html", "icon.html", "look.html", "curve.html",
}

// theViews are parsed once, all of them, at the first page; a broken one is found by the first test that renders anything.
var theViews = sync.OnceValues(func() (*template.Template, error) {
	return web.Parse(template.FuncMap{
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":   clock,
		"field":   supportView.Field,
		"ed":      editorView.Input,
		"row":     editorView.Row,
		"wasNots": templates.WasNots,
		"pictures": func() []string {
			return []string{"picture.site_list", "picture.contacts", "picture.restore_scope"}
		},
		"batch_people":   func() []string { return []string{"lead", "stand_in"} },
		"labelled_batch": func(words templates.Catalog, b comms.BatchStand) batchShown { return batchShown{words, b} },
		"back_fields":    func() []string { return []string{"back_from", "back_to"} },
		"site_fields":    func() []string { return siteFields },
		"plan_fields":    func() []string { return planFields },
		"due":            func(words templates.Catalog, now time.Time, line dueLine) dueShown { return dueShown{line, words, now} },
		"until":          func(now, t time.Time) time.Duration { return t.Sub(now).Abs().Round(time.Minute) },
		"tone":           func(severity string) string { return tones[severity] },
		"told":           func(r *comms.Reach) int { return r.States[comms.Sent] + r.States[comms.Delivered] },
		"settled":        settled,
		"people": func(all []previewAnswer) int {
			if len(all) == 0 {
				return 0
			}
			return all[0].People
		},
		"count":      count,
		"holder":     holder,
		"add":        func(a, b int) int { return a + b },
		"minutes":    func(seconds float64) int { return int(seconds/60 + 0.5) },
		"share":      share,
		"percent":    func(share float64) float64 { return 100 * share },
		"paragraphs": paragraphs,
		"said":       desk.Fold,
		"reasons":    reasons,
		"logline":    logLine,
		"day":        day,
		"sentences":  templates.Sentences,
		"mask":       maskAddress,
		"labelled":   func(words templates.Catalog, id string) labelled { return labelled{words, id} },
		"person":     customerDesk.part,
		"side":       func(words templates.Catalog, s sideDesk) sided { return sided{words, s} },
		"counted":    counted,
		"labels":     labelLine,
		"lasting":    lasting,
		"objective":  func(words templates.Catalog, o comms.Objective) objective { return objective{o, words} },
		"resulted":   resulted,
		"differs":    func(v listView, c comms.ListDifference) listChange { return listChange{v, c} },
		"heldSays":   heldSays,
		"changesays": changeSays,
		"who":        func(words templates.Catalog, id, name string) whoever { return whoever{words, id, name} },
		"seated":     func(words templates.Catalog, s seatAnswer, now time.Time) seated { return seated{s, words, now} },
		"awaited":    func(words templates.Catalog, now time.Time, p comms.Party) awaited { return awaited{words, now, p} },
		"linked":     func(words templates.Catalog, l comms.Link) linked { return linked{words, l} },
		"sides":      workView.choice,
		"planned":    func(words templates.Catalog, p planAnswer) planned { return planned{words, p} },
		"drawn":      func(code auth.QR, says string) drawn { return drawn{code, says} },
		"app":        func(link string) template.URL { return template.URL(link) }, // otpauth, made by us out of escaped parts
	}, viewFiles...)
})

func renderView(name string, view any) ([]byte, error) {
	set, err := theViews()
	if err != nil {
		return nil, fmt.Errorf("parse the pages: %w", err)
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, name, view); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// tones give each severity its colour; its letters say the same.
var tones = map[string]string{"P0": "tone-dire", "P1": "tone-bad", "P2": "tone-warn", "P3": "tone-info"}

// settled counts the people of whom nothing more is to come.
func settled(r *comms.Reach) int {
	open := 0
	for _, s := range []comms.State{comms.Queued, comms.Sending, comms.Deferred} {
		open += r.States[s]
	}
	return max(0, r.Audience.People-open)
}

func count(c templates.Count) string {
	if c.State == templates.CountKnown {
		return strconv.Itoa(c.N)
	}
	return templates.NotKnown
}

// holder is a person's id without what kind of id it is.
func holder(id string) string {
	_, name, found := strings.Cut(id, ":")
	if !found {
		return id
	}
	return name
}

// share is where n of total lies on a bar of 1000, and 0 when there is no total.
func share(n, total int) int {
	if total <= 0 {
		return 0
	}
	return min(1000, n*1000/total)
}

// paragraphs are a text's, as its writer parted them with empty lines.
func paragraphs(s string) []string { return splitList(unixLines(s), "\n\n") }

// reasons puts "email: bounced; sms: no_address" into words; a relay's own words stay as they are.
func reasons(words templates.Catalog, all string) string {
	var out []string
	for _, one := range strings.Split(all, "; ") {
		channel, reason, found := strings.Cut(one, ": ")
		if !found {
			channel, reason = "", one
		}
		if key := "desk.reason." + reason; words.Has(key) {
			reason = words.T(key)
		}
		out = append(out, strings.TrimPrefix(channel+": "+reason, ": "))
	}
	return strings.Join(out, "; ")
}

// logLine is the sentence for a line of the incident's log. The log keeps codes and figures, as programs read them; a line of another form than
// is known here stands as it is.
func logLine(words templates.Catalog, e entryAnswer) string {
	var parts []string
	if form := logForms[e.What]; form != nil {
		parts = form.FindStringSubmatch(e.Text)
	}
	switch {
	case e.What == "sites_moved":
		var moved []string
		for _, one := range strings.Split(e.Text, ", ") {
			n, state, _ := strings.Cut(one, " ")
			count, err := strconv.Atoi(n)
			if key := "desk.state." + state; err != nil || !words.Has(key) {
				moved = append(moved, one)
			} else {
				moved = append(moved, words.T("desk.log.sites_moved", words.T("count.sites", count), words.T(key)))
			}
		}
		return strings.Join(moved, ", ")
	case parts != nil && (e.What == "deadline" || e.What == "unkept"):
		due, err := time.Parse(time.RFC3339, parts[2])
		if what := "desk.due." + parts[1]; err == nil && words.Has(what) {
			told, _ := strconv.Atoi("0" + parts[3])
			return words.T("desk.log."+e.What, told, words.T(what), clock(due))
		}
	case parts != nil:
		var args []any
		for _, part := range parts[1:] {
			args = append(args, part)
		}
		if e.What == "approved" || e.What == "published" || e.What == "outreach_read" { // the number of people comes first, since it chooses the form
			people, _ := strconv.Atoi(parts[2])
			args = []any{people, parts[1]}
		}
		return words.T("desk.log."+e.What, args...)
	}
	if e.What == "role" || e.What == "stand_in" {
		if role, text, found := strings.Cut(e.Text, ": "); found && words.Has("desk.seat."+role) {
			was, now, changed := strings.Cut(text, " → ")
			if now, why, because := strings.Cut(now, ": "); changed {
				if text = fromTo(words, was, now); because {
					text += ": " + why
				}
			}
			return words.T("desk.log."+e.What, words.T("desk.seat."+role), text)
		}
	}
	if key := logChanges[e.What]; key != "" {
		if was, now, changed := strings.Cut(e.Text, " → "); changed {
			now, why, because := strings.Cut(now, ": ")
			line := words.T("desk.log.changed", words.T(key), fromTo(words, logValue(words, e.What, was), logValue(words, e.What, now)))
			if because {
				line = words.T("desk.log.because", line, why)
			}
			return line
		}
	}
	return strings.TrimSpace(e.What + " " + e.Text)
}

// logForms tell figures from words in the lines that have both, by the code of the line; a code that is not here matches nothing.
var logForms = func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	for form, codes := range map[string]string{
		`(?s)^(.*)$`: "frozen thawed integrity_passed integrity_failed rule_held rule_stopped answered answer_corrected answer_withdrawn " +
			"playbook_missing step_done step_skipped step_reopened plan meeting meeting_late stream_word stream_done stream_ended " +
			"stream_opened stream_owner stream_reopened stream_named security_process link_added link_removed party_named " +
			"party_changed party_removed party_awaited party_answered party_unanswered",
		`^(P\d) (.+)$`:                                   "declared",
		`^(\d+) added, (\d+) in all$`:                    "affected_loaded",
		`^update (\d+)$`:                                 "drafted read_by_second went_on asked_approval",
		`^update (\d+), (\d+) people$`:                   "approved published outreach_read",
		`^update (\d+),`:                                 "published_page_only texts_asked texts_approved",
		`(?s)^update (\d+): (.*)$`:                       "retracted stopped",
		`^(\d+) of (\d+)$`:                               "covered uncovered",
		`^(\S+): (\d+) sites, (\d+) of them new$`:        "cohort",
		`(?s)^(\S+): (.*)$`:                              "cohort_closed recovered",
		`^(.*), version (\d+)$`:                          "playbook",
		`^(P\d)$`:                                        "severity_confirmed",
		`^(\w+) was due at ([^;\s]+)(?:;.* (\d+) told)?`: "deadline unkept",
	} {
		re := regexp.MustCompile(form)
		for code := range strings.FieldsSeq(codes) {
			all[code] = re
		}
	}
	return all
}()

// logChanges name what a line says to have changed.
var logChanges = map[string]string{
	"severity": "desk.severity", "state": "desk.state", "category": "desk.f.category", "commander": "desk.commander", "title": "desk.f.title", "impact": "desk.f.impact",
	"scope_estimate": "desk.log.scope_estimate", "summary": "desk.f.summary", "detected_by": "desk.f.detected_by", "pinned": "desk.log.pinned", "detected_at": "desk.log.detected_at",
	"security_cause": "desk.log.security_cause", "stage": "desk.f.stage", "contributors": "desk.team.contributors", "informed": "desk.team.informed",
}

// fromTo says what a value was and is; the log has a dash where there was or is none.
func fromTo(words templates.Catalog, was, now string) string {
	switch {
	case was == "-":
		return now
	case now == "-":
		now = words.T("desk.log.nothing")
	}
	return was + " → " + now
}

// logValue is a value that changed, as people say it.
func logValue(words templates.Catalog, what, value string) string {
	switch {
	case what == "commander":
		return holder(value)
	case what == "stage" && words.Has("desk.record."+value):
		return words.T("desk.record." + value)
	case what == "state" && words.Has("desk.state."+value):
		return words.T("desk.state." + value)
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return clock(t)
	}
	return value
}

func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04") + " UTC" }

// editorInput is one field of the editor with what is found in it.
type editorInput struct {
	Name, Value, Label, Hint string
	Found                    []comms.Finding
	Options                  []option // of a choice, or the boxes that may be ticked in place of a text
	Was                      string   // what the last update said, where a change of it shows at once; "" elsewhere
	ChangedFrom              string   // the sentence that says so
	Changed                  bool
	Plus                     []option // hours from now that a button fills in
}

type option struct {
	Value, Label string
	On           bool
}

// hints are the lines below labels that say how a field is filled in.
var hints = map[string]string{
	"scope.products": "desk.hint.commas", "scope.regions": "desk.hint.commas", "data_loss.at_least": "desk.hint.span", "data_loss.at_most": "desk.hint.span",
	"affected.users": "desk.hint.users", "apology": "desk.hint.apology", "long_because": "desk.hint.lines",
	"known": "desk.hint.lines", "unknown": "desk.hint.lines", "doing": "desk.hint.lines",
}

// Input makes a field of the editor; options make it a choice.
func (v editorView) Input(name string, options ...string) editorInput {
	in := editorInput{Name: name, Found: v.Found(name)}
	part, ofPicture := strings.CutPrefix(name, "picture.")
	switch {
	case strings.HasPrefix(name, "changed."):
		in.Label = v.Words.T("desk.f.changed")
	case ofPicture && strings.HasSuffix(part, ".confidence"):
		in.Label = v.Words.T("desk.f.affected.confidence")
	case ofPicture:
		in.Label = v.Words.T("desk.f.picture." + strings.TrimSuffix(part, ".state"))
	default:
		in.Label = v.Words.T("desk.f." + name)
	}
	if key := hints[name]; key != "" {
		in.Hint = v.Words.T(key)
	}
	var ticked []string
	in.Value, ticked = apart(name, v.Form[name])
	for _, word := range ticks[name] {
		key := "desk.o." + word
		if word == "none" {
			key += "." + strings.TrimPrefix(name, "timeline.") // the word says something else of each
		}
		in.Options = append(in.Options, option{word, v.Words.T(key), slices.Contains(ticked, word)})
	}
	for _, o := range options {
		key := "desk.o." + o
		switch {
		case o == "":
			key = "desk.o.unsaid"
		case o == "none" && name == "affected.own_sites":
			key = "desk.o.none_own"
		}
		in.Options = append(in.Options, option{o, v.Words.T(key), o == in.Value || strings.HasSuffix(o, ":") && strings.HasPrefix(in.Value, o)})
	}
	if name == "next_update_by" {
		for _, hours := range []string{"1", "2"} {
			in.Plus = append(in.Plus, option{Value: hours, Label: v.Words.T("desk.plus", hours)})
		}
	}
	if was := v.Was[name]; was != "" && (name == "affected.sites" || name == "affected.customers") {
		in.Was, in.Changed = was, v.Form[name] != "" && v.Form[name] != was
		if was == templates.NotKnown {
			was = v.Words.T("desk.o.not_known")
		}
		in.ChangedFrom = v.Words.T("desk.changed_from", was)
	}
	if n := map[string]int{"affected.sites": v.Ledger.Sites.Total, "affected.customers": v.Ledger.Customers.Total}[name]; n > 0 {
		in.Plus = append(in.Plus, option{string(mustJSON(map[string]string{name: strconv.Itoa(n)})), v.Words.T("desk.set.has", n), strconv.Itoa(n) != in.Value})
	}
	return in
}

// Of is what an audience names behind its kind: an account, a cohort, a product and region, a list.
func (v editorView) Of() string {
	_, of, _ := strings.Cut(v.Form["audience"], ":")
	return of
}

// More says whether something beside the usual fields is there.
func (v editorView) More() bool {
	for name, text := range v.Form {
		if text != "" && (name == "apology" || name == "signed_by" || name == "long_because" || name == "was_not" || strings.HasPrefix(name, "picture.")) {
			return true
		}
	}
	return false
}

// Asks says whether a figure needs its reason: it was given before and is another now, or a reason is there.
func (v editorView) Asks(figure string) bool {
	if v.Last == nil {
		return false
	}
	s := v.Last.Statement
	given := map[string]bool{templates.FigureTimeline: s.Timeline.Kind == "at" || s.Timeline.Kind == "range",
		templates.FigureLoss:  s.DataLoss.Kind == "at_most" || s.DataLoss.Kind == "range" || s.DataLoss.Kind == "none_verified",
		templates.FigureSites: s.Affected.Sites.State == templates.CountKnown, templates.FigureCustomers: s.Affected.Customers.State == templates.CountKnown,
		templates.FigureUsers: s.Affected.Users.State == templates.CountKnown}
	return given[figure]
}

// editorRow is what the last update said in a row of the editor, in words, and what a button takes over from it.
type editorRow struct {
	Said         []string
	Take         string // JSON: field to text
	Same         bool   // the form says just that
	Copy, CopyOf string
}

// Row puts the last update's fields of one row side by side with the new ones.
func (v editorView) Row(name string, fields ...string) editorRow {
	if v.Last == nil {
		return editorRow{}
	}
	if len(fields) == 0 {
		fields = []string{name}
	}
	row := editorRow{Same: true, Copy: v.Words.T("desk.copy"), CopyOf: v.Words.T("desk.copy.of", v.Words.T("desk.f."+name))}
	take := map[string]string{}
	for _, f := range fields {
		take[f] = v.Was[f]
		row.Same = row.Same && v.Form[f] == v.Was[f]
	}
	row.Take, row.Said = string(mustJSON(take)), v.said(name)
	if len(row.Said) == 0 {
		return editorRow{}
	}
	return row
}

// said is what the last update says in a row, in the words that its readers got where those have any.
func (v editorView) said(name string) (all []string) {
	s, w := v.Last.Statement, v.Words
	switch name {
	case "phase":
		return []string{w.T("desk.o." + s.Phase)}
	case "affected", "scope", "timeline", "data_loss":
		for _, f := range v.Facts {
			if f.Key != name && !(name == "timeline" && (f.Key == "recovery" || f.Key == "full_scope")) {
				continue
			}
			for _, line := range append(f.Lines, f.Items...) {
				all = append(all, line.String())
			}
		}
		if len(all) == 0 { // it is part of the one sentence about what nobody knows
			all = []string{w.T("desk.o.not_known")}
		}
		return all
	case "next_update_by":
		switch next := s.NextUpdateBy; {
		case !next.At.IsZero():
			return []string{clock(next.At)}
		case next.Word == "none":
			return []string{w.T("desk.o.none.next_update_by")}
		}
		return nil
	}
	for _, line := range strings.Split(v.Was[name], "\n") {
		if strings.TrimSpace(line) != "" {
			all = append(all, line)
		}
	}
	return all
}
