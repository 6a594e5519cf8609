package portal

import (
	"encoding/json"
	"net/url"
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
	Findings []comms.Finding
	Ledger   templates.Figures
	Previews []previewAnswer
	Approved []store.Approval
	Channels []string
	Locales  []tongue
	Restored bool // what is in the form came from the working copy
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

// Name is a field's label, for a finding in it.
func (v editorView) Name(field string) string {
	field, _, _ = strings.Cut(field, "[")
	if key := "desk.f." + field; v.Words.Has(key) {
		return v.Words.T(key)
	}
	return field
}

// In is the form's field that a finding is about; a finding about a group is about its first field.
func (v editorView) In(field string) string {
	field, _, _ = strings.Cut(field, "[")
	if first, group := map[string]string{"affected": "affected.sites", "timeline": "timeline.kind", "data_loss": "data_loss.kind", "scope": "scope.products"}[field]; group {
		return first
	}
	return field
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
	v := editorView{shell: k.shell("desk.editor"), Incident: k.p.incident(rec), Channels: []string{"email", "sms", "page"}, Locales: k.p.base("en", "", "desk.editor").Langs}
	if v.Ledger, err = k.p.Comms.Ledger(ctx, rec.ID); err != nil {
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
		"audience": "affected", "channels": "email\nsms\npage", "locales": "en\nzh-CN\nja"}
	if v.Last != nil {
		form = statementForm(v.Last.Statement)
		for _, fresh := range []string{"headline", "what_happened", "next_update_by", "no_change"} { // must be said anew each time
			delete(form, fresh)
		}
	}
	return form
}

func (k *call) previews(v *editorView, updateID string) error {
	return v.preview(v.Draft.Statement, func(channel, locale string) (templates.Rendered, int, error) {
		return k.p.Comms.Preview(k.UserContext(), updateID, channel, locale)
	})
}

// preview shows a statement on each of its channels in each of its languages.
func (v *editorView) preview(s templates.Statement, say func(channel, locale string) (templates.Rendered, int, error)) error {
	for _, channel := range s.Channels {
		for _, locale := range s.Locales {
			r, people, err := say(channel, locale)
			if err != nil {
				return err
			}
			v.Previews = append(v.Previews, previewAnswer{channel, locale, people, r.Subject, r.Text, r.HTML, r.Segments})
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
	s, malformed := comms.ParseStatement(formStatement(form))
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
	s, malformed := comms.ParseStatement(formStatement(form))
	if v.Findings, err = k.p.Comms.FindingsFor(k.UserContext(), k.Params("id"), s); err != nil {
		return err
	}
	v.blame(malformed)
	if v.Errors() == 0 {
		if err := v.preview(s, func(channel, locale string) (templates.Rendered, int, error) {
			return k.p.Comms.PreviewFor(k.UserContext(), k.Params("id"), s, channel, locale)
		}); err != nil {
			return err
		}
	}
	return k.p.render(k.Ctx, fiber.StatusOK, "desk_check", v)
}

// blame adds fields that could not be read to the findings, once each.
func (v *editorView) blame(fields []fault.Field) {
	for _, f := range fields {
		known := slices.ContainsFunc(v.Findings, func(had comms.Finding) bool { return had.Field == f.Field && had.Code == f.Code })
		if !known {
			v.Findings = append(v.Findings, comms.Finding{Level: comms.LevelError, Field: f.Field, Code: f.Code, Reason: f.Reason})
		}
	}
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
	"data_loss.kind": asText, "data_loss.at_least": asText, "data_loss.at_most": asText, "data_loss.text": asText, "data_loss.confidence": asText,
	"known": perLine, "unknown": perLine, "doing": perLine, "unknown_none": yes, "next_update_by": moment, "no_change": yes,
	"audience": asText, "channels": perLine, "locales": perLine,
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

// formOf flattens a posted form: several values of one name become lines.
func formOf(form url.Values) map[string]string {
	out := map[string]string{}
	for name := range statementFields {
		if values, ok := form[name]; ok {
			out[name] = strings.ReplaceAll(strings.Join(values, "\n"), "\r\n", "\n")
		}
	}
	return out
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
