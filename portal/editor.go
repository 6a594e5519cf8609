package portal

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// editorView is the update editor: the fields, the last update beside them, what is found, and the exact messages.
type editorView struct {
	shell
	Incident incidentAnswer
	Draft    *updateAnswer
	Last     *updateAnswer
	Form     map[string]string
	Was      map[string]string // the last update's fields, as the form has them
	Facts    []templates.Fact  // the last update's, in the words that its readers got
	Findings []comms.Finding
	Ledger   templates.Figures
	Previews []previewAnswer
	Approved []store.Approval
	Channels []string
	Locales  []tongue
	News     []string // what the ledger says that the last update did not
	Asked    bool     // approvers were asked, and none has answered yet
	Restored bool     // what is in the form came from the working copy
}

// Found are the findings of one field.
func (v editorView) Found(field string) []comms.Finding {
	var out []comms.Finding
	for _, f := range v.Findings {
		if f.Field == field || strings.HasPrefix(f.Field, field+"[") {
			out = append(out, f)
		}
	}
	return out
}

// Has says whether a list of the form, one a line, holds item.
func (v editorView) Has(field, item string) bool {
	for _, s := range strings.Split(v.Form[field], "\n") {
		if s == item {
			return true
		}
	}
	return false
}

// Tally says how many findings there are, for a phone, where they stand below the fields.
func (v editorView) Tally() string {
	switch {
	case len(v.Findings) > 0:
		return v.Words.T("desk.findings.mend", v.Errors(), v.Warnings())
	case v.Draft != nil || len(v.Previews) > 0:
		return v.Words.T("desk.findings.none")
	}
	return v.Words.T("desk.findings")
}

// Warnings counts the findings that only ask to look again.
func (v editorView) Warnings() int { return len(v.Findings) - v.Errors() }

// Ask is the address that a second person opens to approve.
func (v editorView) Ask() string {
	return v.Vendor.URL + "/desk/incidents/" + v.Incident.ID + "/editor?update=" + v.Draft.ID
}

// Mine says whether the reader wrote the draft, and so cannot approve it.
func (v editorView) Mine() bool { return v.Draft != nil && v.Draft.Author == v.Person.ID }

// Errors counts the findings that keep a draft from being published.
func (v editorView) Errors() (n int) {
	for _, f := range v.Findings {
		if f.Level == comms.LevelError {
			n++
		}
	}
	return n
}

// editor shows a draft, or an empty form for the next update: what was being typed if anything was, else the parts of the last update
// that stand until they change.
func (k *call) editor(status int, incident, updateID string, form url.Values, refused error) error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, incident)
	if err != nil {
		return err
	}
	v := editorView{shell: k.shell("desk.editor"), Incident: k.p.incident(rec), Channels: []string{"email", "sms", "page", "ticket", "webhook"}, Locales: tongues(k.p.Words.Catalog("en"), templates.Locales())}
	if v.Ledger, err = k.p.ledgerLately(ctx, rec.ID); err != nil {
		return err
	}
	said, _, err := k.p.Comms.Updates(ctx, rec.ID, "", maxList)
	if err != nil {
		return err
	}
	for _, u := range said {
		if u.Value.State == comms.Published && u.ID != updateID {
			a := updateOf(u, nil)
			v.Last, v.Was = &a, statementForm(a.Statement)
			facts, err := k.p.Comms.Facts(ctx, u.ID)
			if err != nil {
				return err
			}
			if v.Facts, err = k.p.Words.Facts(v.Words.Locale(), facts, v.Vendor); err != nil {
				return err
			}
			break
		}
	}
	switch {
	case updateID != "":
		u, findings, err := k.p.Comms.Update(ctx, updateID)
		if err != nil {
			return err
		}
		a := updateOf(u, findings)
		v.Draft, v.Findings = &a, findings
		v.Form = statementForm(u.Value.Statement)
		if typed := k.typed(rec.ID, updateID); typed != nil && u.Value.State == comms.Draft {
			v.Form, v.Restored = typed, true
		}
		if u.Value.State != comms.Draft { // it was sent; nothing is left to preview or to approve
			break
		}
		if v.Approved, err = k.p.Comms.Approvals(ctx, updateID); err != nil {
			return err
		}
		due, err := k.p.Comms.Promises(ctx, updateID)
		if err != nil {
			return err
		}
		v.Asked = slices.ContainsFunc(due, func(d comms.Due) bool { return d.What == comms.ApprovalDue })
		if err := k.previews(&v, updateID); err != nil {
			return err
		}
	default:
		v.Form = k.startingForm(&v, rec.ID)
	}
	if form != nil {
		v.Form = formOf(form)
	}
	if refused != nil {
		v.refused(refused)
		v.blame(v.Fields)
	}
	v.plain()
	return k.p.render(k.Ctx, status, "desk_editor", v)
}

// typed is what was being typed into a draft ("": into the form of the next update) and not saved in it; nil when nothing was.
func (k *call) typed(incident, updateID string) map[string]string {
	c, err := k.p.Comms.Copy(k.UserContext(), incident)
	if err != nil {
		return nil
	}
	var typed map[string]string
	if json.Unmarshal(c.Text, &typed) != nil || len(typed) == 0 || typed["update"] != updateID {
		return nil
	}
	return typed
}

// startingForm is what was being typed, or else what usually stays from one update to the next.
func (k *call) startingForm(v *editorView, incident string) map[string]string {
	if typed := k.typed(incident, ""); typed != nil {
		v.Restored = true
		return typed
	}
	form := map[string]string{"phase": "investigating", "affected.status": "estimate", "affected.confidence": "low", "timeline.kind": "not_known", "timeline.confidence": "low",
		"timeline.full_scope_by": "not_known", "data_loss.kind": "not_known", "data_loss.confidence": "low", "affected.sites": "not_known", "affected.customers": "not_known",
		"audience": "affected", "channels": "email\nsms\npage\nticket", "locales": strings.Join(templates.Locales(), "\n")}
	if v.Last != nil {
		form = statementForm(v.Last.Statement)
		v.News = k.news(incident, v.Last.Statement.Audience, v.Words)
		for _, fresh := range []string{"headline", "what_happened", "next_update_by", "no_change", "apology", "signed_by", "changed.sites", "changed.customers", "changed.users",
			"changed.timeline", "changed.data_loss"} { // must be said anew each time
			delete(form, fresh)
		}
		form["known"] = strings.Trim(strings.Join(append(v.News, form["known"]), "\n"), "\n")
	}
	if to := k.Query("audience"); strings.HasPrefix(to, "cohort:") { // she comes from that part of the affected
		form["audience"] = to
	}
	return form
}

// news is what the ledger says that the last update did not, a sentence for each count: with it an update says something though nobody can name a date.
func (k *call) news(incident, audience string, words templates.Catalog) (all []string) {
	n, err := k.p.Comms.News(k.UserContext(), incident, audience)
	if err != nil {
		k.p.Log.Warn("the ledger's news are not offered", "err", err) // the form is worth more than they are
		return nil
	}
	for _, count := range []struct {
		key string
		n   int
	}{{"desk.news.added", n.Added}, {"desk.news.rebuilt", n.Rebuilt}, {"desk.news.restored", n.Restored}, {"desk.news.whole", n.Whole}} {
		if count.n > 0 {
			all = append(all, words.T(count.key, count.n, n.Update, n.Now.AsOf.UTC().Format("15:04")+" UTC"))
		}
	}
	return all
}

func (k *call) previews(v *editorView, updateID string) error {
	return k.preview(v, v.Draft.Incident, v.Draft.Statement, func(channel, locale string) (templates.Rendered, int, error) {
		return k.p.Comms.Preview(k.UserContext(), updateID, channel, locale)
	})
}

// preview shows a statement on each of its channels in each of its languages. What programs read is shown once, laid out for people: its words in the other
// languages stand in the tickets and on the page.
func (k *call) preview(v *editorView, incident string, s templates.Statement, say func(channel, locale string) (templates.Rendered, int, error)) error {
	for _, channel := range s.Channels {
		locales := s.Locales
		if channel == comms.ChannelWebhook {
			locales = locales[:1]
		}
		for _, locale := range locales {
			r, people, err := say(channel, locale)
			if err != nil {
				return err
			}
			if channel == comms.ChannelWebhook {
				var b bytes.Buffer
				if err := json.Indent(&b, []byte(r.Text), "", "  "); err != nil {
					return err
				}
				r.Text = b.String()
			}
			a, err := k.priced(previewOf(channel, locale, people, r), incident, s)
			if err != nil {
				return err
			}
			v.Previews = append(v.Previews, a)
		}
	}
	return nil
}

func (k *call) saveDraft() error {
	form, err := k.form()
	if err != nil {
		return err
	}
	id := form.Get("update")
	s, malformed := k.filledIn(form)
	var rec store.Rec[comms.Update]
	if id == "" {
		rec, _, err = k.p.Comms.Draft(k.UserContext(), k.person.ID, k.Params("id"), s, malformed)
	} else {
		var version int64
		if version, err = parseInt(form.Get("version")); err != nil {
			return fault.BadField("version", "is missing")
		}
		rec, _, err = k.p.Comms.Edit(k.UserContext(), k.person.ID, id, version, s, malformed)
	}
	if err != nil {
		return k.editor(problemOf(err).Status, k.Params("id"), id, form, err)
	}
	if _, err := k.p.Comms.SaveCopy(k.UserContext(), k.person.ID, k.Params("id"), []byte("{}")); err != nil { // it is in the draft now
		return err
	}
	return k.Redirect("/desk/incidents/"+k.Params("id")+"/editor?update="+rec.ID+"#preview", fiber.StatusSeeOther)
}

// keepCopy keeps what is being typed, and answers with what is found in it and how it would read; the script calls it as one types.
func (k *call) keepCopy() error {
	body, err := read(k.Ctx, maxJSON)
	if err != nil {
		return err
	}
	var typed map[string]string
	if err := decodeJSON(body, &typed); err != nil {
		return err
	}
	if _, err := k.p.Comms.SaveCopy(k.UserContext(), k.person.ID, k.Params("id"), body); err != nil {
		return err
	}
	form := url.Values{}
	for name, text := range typed {
		form.Set(name, text)
	}
	v := editorView{shell: k.shell("desk.editor")}
	s, malformed := k.filledIn(form)
	if v.Findings, err = k.p.Comms.FindingsFor(k.UserContext(), k.Params("id"), s); err != nil {
		return err
	}
	v.blame(malformed)
	v.plain()
	if v.Errors() == 0 {
		if err := k.preview(&v, k.Params("id"), s, func(channel, locale string) (templates.Rendered, int, error) {
			return k.p.Comms.PreviewFor(k.UserContext(), k.Params("id"), s, channel, locale)
		}); err != nil {
			return err
		}
	}
	return k.p.render(k.Ctx, fiber.StatusOK, "editor_check", v)
}

// blame adds fields that could not be read to the findings, once each; such a field is not missing too.
func (v *editorView) blame(fields []fault.Field) {
	for _, f := range fields {
		v.Findings = slices.DeleteFunc(v.Findings, func(had comms.Finding) bool {
			return had.Field == f.Field && had.Code == "missing" && f.Code != "missing"
		})
		known := slices.ContainsFunc(v.Findings, func(had comms.Finding) bool { return had.Field == f.Field && had.Code == f.Code })
		if !known {
			v.Findings = append(v.Findings, comms.Finding{Level: comms.LevelError, Field: f.Field, Code: f.Code, Reason: f.Reason})
		}
	}
}

// plain puts the findings that speak of the data's form into words for somebody who fills in fields; the others keep their own.
func (v *editorView) plain() {
	say := func(field, code, end, own string) string {
		for _, key := range []string{field + "." + code + end, code + end} {
			if key = "desk.find." + key; v.Words.Has(key) {
				return v.Words.T(key)
			}
		}
		return v.Words.Refusal(own)
	}
	for i, f := range v.Findings {
		v.Findings[i].Reason, v.Findings[i].Mend = say(f.Field, f.Code, "", f.Reason), say(f.Field, f.Code, ".mend", f.Mend)
	}
	for i, f := range v.Fields {
		v.Fields[i].Reason = say(f.Field, f.Code, "", f.Reason)
	}
}

// filledIn reads the form; a value that cannot be read is named in words for somebody who fills in fields.
func (k *call) filledIn(form url.Values) (templates.Statement, []fault.Field) {
	s, unread := comms.ParseStatement(formStatement(form))
	words := k.p.Words.Catalog(k.p.staffLocale(k.Ctx))
	for i, f := range unread {
		if key := unreadable[f.Field]; key != "" {
			unread[i].Reason = words.T(key)
		}
	}
	return s, unread
}

// unreadable are the sentences for a value of the wrong form.
var unreadable = map[string]string{
	"affected.sites": "desk.bad.number", "affected.customers": "desk.bad.number",
	"timeline.earliest": "desk.bad.time", "timeline.latest": "desk.bad.time", "timeline.full_scope_by": "desk.bad.time", "next_update_by": "desk.bad.time",
	"data_loss.at_least": "desk.bad.span", "data_loss.at_most": "desk.bad.span",
}

func (k *call) backToEditor(err error) error {
	u, _, err2 := k.p.Comms.Update(k.UserContext(), k.Params("id"))
	if err2 != nil {
		return err2
	}
	if err == nil {
		return k.Redirect("/desk/incidents/"+u.Value.Incident+"/editor?update="+k.Params("id"), fiber.StatusSeeOther)
	}
	return k.editor(problemOf(err).Status, u.Value.Incident, u.ID, nil, err)
}

func (k *call) form() (url.Values, error) {
	body, err := read(k.Ctx, maxJSON)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the form is malformed")
	}
	return form, nil
}

// statementFields are the form's fields in the order of the statement; the value tells how a field's text becomes JSON.
var statementFields = map[string]func(string) any{
	"phase": asText, "headline": asText, "what_happened": asText, "your_action": asText, "technical": asText,
	"scope.products": commas, "scope.regions": commas, "scope.text": asText,
	"affected.who": asText, "affected.sites": number, "affected.customers": number, "affected.status": asText, "affected.confidence": asText,
	"timeline.kind": asText, "timeline.earliest": moment, "timeline.latest": moment, "timeline.text": asText, "timeline.confidence": asText, "timeline.full_scope_by": moment,
	"data_loss.kind": asText, "data_loss.at_least": length, "data_loss.at_most": length, "data_loss.text": asText, "data_loss.confidence": asText,
	"known": perLine, "unknown": perLine, "doing": perLine, "unknown_none": yes, "next_update_by": moment, "no_change": yes,
	"audience": asText, "channels": perLine, "locales": perLine,
	"affected.users": number, "affected.own_sites": asText, "apology": asText, "signed_by": asText, "was_not": perLine, "long_because": perLine, "say_unaffected": yes,
	"picture.site_list.state": asText, "picture.site_list.confidence": asText, "picture.contacts.state": asText, "picture.contacts.confidence": asText,
	"picture.restore_scope.state": asText, "picture.restore_scope.confidence": asText,
	"changed.sites": asText, "changed.customers": asText, "changed.users": asText, "changed.timeline": asText, "changed.data_loss": asText,
}

func asText(s string) any  { return strings.TrimSpace(s) }
func commas(s string) any  { return splitList(s, ",") }
func perLine(s string) any { return splitList(s, "\n") }
func yes(s string) any     { return s != "" }

func number(s string) any {
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		return n
	}
	return strings.TrimSpace(s)
}

// moment reads "2022-04-05 11:00" as UTC, and passes RFC 3339 and words on.
func moment(s string) any {
	s = strings.TrimSpace(s)
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.Parse(form, strings.TrimSuffix(strings.TrimSpace(strings.TrimSuffix(s, "UTC")), "Z")); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return s
}

// length reads "1 h 30 min" as people write it, in each of our languages, and passes everything else on.
func length(s string) any {
	s = strings.TrimSpace(s)
	var total time.Duration
	for _, m := range lengths.FindAllStringSubmatch(s, -1) {
		for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
			n, _ := strconv.Atoi("0" + m[i+1]) // digits, bounded by the form
			total += time.Duration(n) * unit
		}
	}
	if !lengths.MatchString(s) || strings.Trim(lengths.ReplaceAllString(s, ""), " ,、") != "" {
		return s
	}
	return templates.Span(total).String()
}

var lengths = regexp.MustCompile(`(?i)(\d{1,5})\s*(?:days?|d|天|日間|日)|(\d{1,5})\s*(?:hours?|hrs?|h|小时|時間)|(\d{1,5})\s*(?:minutes?|mins?|m|分钟|分間|分)|(\d{1,5})\s*(?:seconds?|secs?|s|秒钟|秒間|秒)`)

// written is a length as [length] reads it.
func written(s templates.Span) string {
	d, out := time.Duration(s), ""
	for _, u := range []struct {
		unit time.Duration
		mark string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.unit; n > 0 {
			out += " " + strconv.Itoa(int(n)) + " " + u.mark
			d -= n * u.unit
		}
	}
	if out == "" {
		return "0 min"
	}
	return out[1:]
}

// formOf flattens a posted form: several values of one name become lines.
func formOf(form url.Values) map[string]string {
	out := map[string]string{}
	for name := range statementFields {
		if values, ok := form[name]; ok {
			out[name] = together(name, unixLines(strings.Join(values, "\n")))
		}
	}
	return out
}

// ticks are the words that may stand in place of a field's text; each has a box of the same name beside it.
var ticks = map[string][]string{
	"your_action": {"nothing"}, "affected.sites": {templates.NotKnown}, "affected.customers": {templates.NotKnown},
	"timeline.full_scope_by": {templates.NotKnown, "none"}, "next_update_by": {"none"},
}

// together puts a field's text and the box ticked beside it into one value. Words that say what to do win over a box left ticked; of a number or a
// time and its opposite neither wins, and the two together cannot be read.
func together(name, text string) string {
	switch {
	case name == "audience":
		return strings.Join(splitList(text, "\n"), "")
	case name == "your_action":
		if said := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, "nothing\n"), "\nnothing")); said != "" {
			return said
		}
		return strings.TrimSpace(text)
	case ticks[name] != nil:
		return strings.Join(slices.Compact(splitList(text, "\n")), "\n")
	}
	return text
}

// apart is the way back: what stands in the field, and which box is ticked.
func apart(name, text string) (typed string, ticked []string) {
	if ticks[name] == nil {
		return text, nil
	}
	for _, word := range ticks[name] {
		lines := strings.Split(text, "\n")
		if slices.Contains(lines, word) {
			ticked = append(ticked, word)
			text = strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == word }), "\n")
		}
	}
	return strings.Trim(text, "\n"), ticked
}

// formStatement turns a form into the statement's JSON; an empty field is left out, so it is named as missing.
func formStatement(form url.Values) []byte {
	root := map[string]any{}
	flat := formOf(form)
	for name, read := range statementFields {
		text, given := flat[name]
		list := name == "known" || name == "unknown" || name == "doing" || name == "scope.products" || name == "scope.regions" // empty is a value
		if !list && strings.TrimSpace(text) == "" || list && !given {
			continue
		}
		at := root
		parts := strings.Split(name, ".")
		for _, p := range parts[:len(parts)-1] {
			if at[p] == nil {
				at[p] = map[string]any{}
			}
			at = at[p].(map[string]any)
		}
		at[parts[len(parts)-1]] = read(text)
	}
	return mustJSON(root)
}

// statementForm is the way back.
func statementForm(s templates.Statement) map[string]string {
	var root map[string]any
	if err := json.Unmarshal(mustJSON(s), &root); err != nil {
		return map[string]string{}
	}
	out := map[string]string{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch x := v.(type) {
		case map[string]any:
			for key, value := range x {
				walk(strings.TrimPrefix(prefix+"."+key, "."), value)
			}
		case []any:
			by := "\n"
			if strings.HasPrefix(prefix, "scope.") {
				by = ", "
			}
			var items []string
			for _, item := range x {
				if text, ok := item.(string); ok {
					items = append(items, text)
				}
			}
			out[prefix] = strings.Join(items, by)
		case string:
			if t, err := time.Parse(time.RFC3339, x); err == nil {
				x = t.UTC().Format("2006-01-02 15:04")
			}
			if span, err := templates.ParseSpan(x); err == nil && strings.HasPrefix(prefix, "data_loss.at_") {
				x = written(span)
			}
			out[prefix] = x
		case float64:
			out[prefix] = strconv.Itoa(int(x))
		case bool:
			if x {
				out[prefix] = "yes"
			}
		}
	}
	walk("", root)
	return out
}
