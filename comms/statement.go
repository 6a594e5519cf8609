package comms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// The phases of an incident, as an update names them.
const (
	Investigating = "investigating"
	Identified    = "identified"
	Monitoring    = "monitoring"
	// The fourth is Resolved.
)

// The channels of an update. The page is public; ticket and webhook are named by the contract and told by nobody yet.
const (
	ChannelEmail   = "email"
	ChannelSMS     = "sms"
	ChannelPage    = "page"
	ChannelTicket  = "ticket"
	ChannelWebhook = "webhook"
)

const wordNone = "none"

var confidences = []string{"low", "medium", "high"}

// ParseStatement reads a statement from JSON. Every unknown name and every value of the wrong form is named by its path, all
// at once, and left empty in what is returned; a body that is no object is one fault with the field "".
func ParseStatement(body []byte) (templates.Statement, []fault.Field) {
	var s templates.Statement
	var found []fault.Field
	read("", body, object{
		"phase": &s.Phase, "headline": &s.Headline, "what_happened": &s.WhatHappened, "your_action": &s.YourAction, "technical": &s.Technical,
		"scope": object{"products": &s.Scope.Products, "regions": &s.Scope.Regions, "text": &s.Scope.Text},
		"affected": object{"who": &s.Affected.Who, "sites": &s.Affected.Sites, "customers": &s.Affected.Customers, "users": &s.Affected.Users,
			"own_sites": &s.Affected.OwnSites, "status": &s.Affected.Status, "confidence": &s.Affected.Confidence},
		"timeline": object{"kind": &s.Timeline.Kind, "earliest": &s.Timeline.Earliest, "latest": &s.Timeline.Latest,
			"text": &s.Timeline.Text, "confidence": &s.Timeline.Confidence, "full_scope_by": &s.Timeline.FullScopeBy},
		"data_loss": object{"kind": &s.DataLoss.Kind, "at_least": &s.DataLoss.AtLeast, "at_most": &s.DataLoss.AtMost,
			"text": &s.DataLoss.Text, "confidence": &s.DataLoss.Confidence},
		"known": &s.Known, "unknown": &s.Unknown, "doing": &s.Doing, "unknown_none": &s.UnknownNone,
		"next_update_by": &s.NextUpdateBy, "no_change": &s.NoChange, "audience": &s.Audience, "channels": &s.Channels, "locales": &s.Locales,
		"picture":      object{"site_list": established(&s.Picture.SiteList), "contacts": established(&s.Picture.Contacts), "restore_scope": established(&s.Picture.RestoreScope)},
		"long_because": &s.LongBecause, "apology": &s.Apology, "signed_by": &s.SignedBy, "was_not": &s.WasNot, "say_unaffected": &s.Unaffected, "changed": &s.Changed, "translations": &s.Translations,
	}, &found)
	return s, found
}

func established(e *templates.Established) object {
	return object{"state": &e.State, "confidence": &e.Confidence}
}

// object maps the names that a JSON object may hold to where their values go: pointers, or objects.
type object map[string]any

func read(path string, raw []byte, into object, found *[]fault.Field) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		reason := "must be a JSON object"
		if path == "" && !json.Valid(raw) {
			reason = "is not valid JSON"
		}
		*found = append(*found, wrong(strings.TrimSuffix(path, "."), "%s", reason))
		return
	}
	for _, name := range sortedKeys(parts) {
		switch to := into[name].(type) {
		case nil:
			*found = append(*found, fault.Field{Field: path + bounded(name), Code: "unknown", Reason: "is not a field of an update"})
		case object:
			if !bytes.Equal(parts[name], []byte("null")) {
				read(path+name+".", parts[name], to, found)
			}
		default:
			if err := json.Unmarshal(parts[name], to); err != nil {
				reflect.ValueOf(to).Elem().SetZero() // half a list is none
				*found = append(*found, wrong(path+name, "%s", readable(err)))
			}
		}
	}
}

// readable says what a value should have been, without Go's names.
func readable(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		want := t.Type.String()
		switch {
		case strings.HasPrefix(want, "[]"):
			want = "a list of texts"
		case strings.HasPrefix(want, "map"):
			want = "an object"
		case want == "bool":
			want = "true or false"
		case want == "string":
			want = "a text"
		}
		return fmt.Sprintf("must be %s, not a %s", want, t.Value)
	}
	if _, ok := err.(*time.ParseError); ok || strings.Contains(err.Error(), "Time.UnmarshalJSON") {
		return "must be an RFC 3339 time such as 2022-04-05T11:00:00Z"
	}
	return err.Error()
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func bounded(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	if len(name) > 60 {
		return strings.ToValidUTF8(name[:60], "") + "…"
	}
	return name
}

// rules is what a statement is judged against.
type rules struct {
	Now     time.Time
	Locales []string // those there are words for
	Checked bool     // a passed integrity check covers these readers
	First   bool     // a first notice: what nobody knows yet may be left out
}

// validate names every missing and every wrong field of a statement at once, by JSON path, in the order of the contract.
func validate(s templates.Statement, k rules) []fault.Field {
	var f []fault.Field
	f = oneOf(f, "phase", s.Phase, Investigating, Identified, Monitoring, Resolved)
	f = prose{most: 200, required: true}.bad(f, "headline", s.Headline)
	f = prose{most: 4000, lines: true, required: true}.bad(f, "what_happened", s.WhatHappened)
	f = prose{most: 1000, lines: true, required: true}.bad(f, "your_action", s.YourAction)
	f = prose{most: 10000, lines: true}.bad(f, "technical", s.Technical)
	f = list{most: 50, prose: prose{most: 100}, required: true}.bad(f, "scope.products", s.Scope.Products)
	f = list{most: 50, prose: prose{most: 100}, required: !k.First}.bad(f, "scope.regions", s.Scope.Regions)
	f = prose{most: 1000, lines: true, required: !k.First}.bad(f, "scope.text", s.Scope.Text)
	f = append(f, badAffected(s.Affected, k.First)...)
	f = append(f, badTimeline(s, k.Now)...)
	f = append(f, badLoss(s.DataLoss, k.Checked)...)
	f = append(f, badLists(s, k)...)
	f = append(f, badOwned(s)...)
	f = append(f, badTranslations(s)...)
	f = append(f, badNext(s, k.Now)...)
	return append(f, badRoute(s, k.Locales)...)
}

func badAffected(a templates.Affected, first bool) (f []fault.Field) {
	f = prose{most: 500, required: !first}.bad(f, "affected.who", a.Who)
	if a.Sites.State == templates.CountAbsent {
		f = append(f, missing("affected.sites"))
	}
	if a.Customers.State == templates.CountAbsent {
		f = append(f, missing("affected.customers"))
	}
	if a.OwnSites != "" {
		f = oneOf(f, "affected.own_sites", a.OwnSites, "counted", "not_counted", "none")
	}
	f = oneOf(f, "affected.status", a.Status, "estimate", "final")
	return oneOf(f, "affected.confidence", a.Confidence, confidences...)
}

func badTimeline(s templates.Statement, now time.Time) (f []fault.Field) {
	t := s.Timeline
	f = oneOf(f, "timeline.kind", t.Kind, "at", "range", "direction", "no_date_possible", templates.NotKnown)
	needEarliest, needLatest := t.Kind == "at" || t.Kind == "range", t.Kind == "range"
	f = wanted(f, "timeline.earliest", t.Kind, t.Earliest != nil, needEarliest)
	f = wanted(f, "timeline.latest", t.Kind, t.Latest != nil, needLatest)
	if t.Kind == "range" && t.Earliest != nil && t.Latest != nil && !t.Earliest.Before(*t.Latest) {
		f = append(f, wrong("timeline.latest", "must be after timeline.earliest"))
	}
	f = prose{most: 500, required: t.Kind == "direction"}.bad(f, "timeline.text", t.Text)
	f = oneOf(f, "timeline.confidence", t.Confidence, confidences...)
	by := t.FullScopeBy
	switch {
	case by.Absent():
		f = append(f, missing("timeline.full_scope_by"))
	case by.Word == wordNone && s.Phase != Resolved:
		f = append(f, wrong("timeline.full_scope_by", `may be "none" only when the phase is resolved; give a time or "not_known"`))
	case by.Word == "" && !by.At.After(now) && s.Affected.Status != "final" && s.Phase != Resolved:
		f = append(f, wrong("timeline.full_scope_by", `has passed; give a time ahead or "not_known"`))
	}
	return f
}

// wanted checks a value that a kind needs or must not have: no message may print a bound that was not meant.
func wanted(f []fault.Field, field, kind string, given, needed bool) []fault.Field {
	switch {
	case needed && !given:
		return append(f, fault.Field{Field: field, Code: codeMissing, Reason: fmt.Sprintf("is missing; the kind %q needs it", kind)})
	case given && !needed && kind != "":
		return append(f, wrong(field, "does not go with the kind %.40q; leave it empty", kind))
	}
	return f
}

func badLoss(d templates.DataLoss, checked bool) (f []fault.Field) {
	f = oneOf(f, "data_loss.kind", d.Kind, templates.NotKnown, "direction", "at_most", "range", "none_verified")
	if d.Kind == "none_verified" && !checked {
		f = append(f, fault.Field{Field: "data_loss.kind", Code: "not_verified",
			Reason: `may be "none_verified" only when the integrity check is recorded; until then give an upper bound or "not_known"`})
	}
	f = wanted(f, "data_loss.at_least", d.Kind, d.AtLeast != nil, d.Kind == "range")
	f = wanted(f, "data_loss.at_most", d.Kind, d.AtMost != nil, d.Kind == "at_most" || d.Kind == "range")
	if d.Kind == "at_most" && d.AtMost != nil && *d.AtMost <= 0 {
		f = append(f, wrong("data_loss.at_most", "must be above zero: that no data is lost is never promised"))
	}
	if d.Kind == "range" && d.AtLeast != nil && d.AtMost != nil && *d.AtLeast >= *d.AtMost {
		f = append(f, wrong("data_loss.at_most", "must be above data_loss.at_least"))
	}
	f = prose{most: 500, required: d.Kind == "direction"}.bad(f, "data_loss.text", d.Text)
	return oneOf(f, "data_loss.confidence", d.Confidence, confidences...)
}

func badLists(s templates.Statement, k rules) (f []fault.Field) {
	line := prose{most: 500}
	if s.Known == nil {
		f = append(f, missing("known"))
	}
	f = list{most: 30, prose: line}.bad(f, "known", s.Known)
	switch {
	case len(s.Unknown) == 0 && !s.UnknownNone && !k.First:
		f = append(f, fault.Field{Field: "unknown", Code: codeMissing, Reason: `is missing; say what is not known yet, or set "unknown_none": true`})
	case len(s.Unknown) > 0 && s.UnknownNone:
		f = append(f, wrong("unknown_none", "cannot be true beside a list of unknowns"))
	}
	f = list{most: 30, prose: line}.bad(f, "unknown", s.Unknown)
	if len(s.Doing) == 0 && s.NoChange {
		f = append(f, fault.Field{Field: "doing", Code: codeMissing, Reason: "is missing; an update without change says what is being worked on"})
	}
	return list{most: 30, prose: line}.bad(f, "doing", s.Doing)
}

// badOwned checks what a vendor owes beside the figures; all of it may be left out.
func badOwned(s templates.Statement) (f []fault.Field) {
	p := s.Picture
	for _, part := range []struct {
		field string
		templates.Established
	}{{"picture.site_list", p.SiteList}, {"picture.contacts", p.Contacts}, {"picture.restore_scope", p.RestoreScope}} {
		if part.Established != (templates.Established{}) {
			f = oneOf(f, part.field+".state", part.State, "known", "partly", templates.NotKnown)
			f = oneOf(f, part.field+".confidence", part.Confidence, confidences...)
		}
	}
	f = list{most: 10, prose: prose{most: 500}}.bad(f, "long_because", s.LongBecause)
	f = prose{most: 1000, lines: true}.bad(f, "apology", s.Apology)
	f = prose{most: 120}.bad(f, "signed_by", s.SignedBy)
	if len(s.WasNot) > 0 {
		f = subset(f, "was_not", s.WasNot, templates.WasNots())
	}
	for _, figure := range slices.Sorted(maps.Keys(s.Changed)) {
		if !slices.Contains(templates.Changeable(), figure) {
			f = append(f, wrong("changed", "names %.40q; the figures are %s", figure, strings.Join(templates.Changeable(), ", ")))
			continue
		}
		f = prose{most: 300}.bad(f, "changed."+figure, s.Changed[figure])
	}
	return f
}

// badTranslations checks words in other languages by the rules of the original.
func badTranslations(s templates.Statement) (f []fault.Field) {
	for _, locale := range slices.Sorted(maps.Keys(s.Translations)) {
		field := "translations." + bounded(locale)
		if !slices.Contains(s.Locales, locale) || locale == s.Locales[0] {
			f = append(f, wrong(field, "is no language of this update beside the first, in which it is written"))
			continue
		}
		t := s.Translations[locale]
		for _, p := range []struct {
			name, text string
			prose
		}{
			{"headline", t.Headline, prose{most: 200}}, {"what_happened", t.WhatHappened, prose{most: 4000, lines: true}}, {"your_action", t.YourAction, prose{most: 1000, lines: true}},
			{"technical", t.Technical, prose{most: 10000, lines: true}}, {"scope", t.Scope, prose{most: 1000, lines: true}}, {"who", t.Who, prose{most: 500}},
			{"timeline", t.Timeline, prose{most: 500}}, {"data_loss", t.DataLoss, prose{most: 500}},
		} {
			f = p.bad(f, field+"."+p.name, p.text)
		}
		for _, l := range []struct {
			name         string
			ours, theirs []string
		}{{"known", s.Known, t.Known}, {"unknown", s.Unknown, t.Unknown}, {"doing", s.Doing, t.Doing}, {"long_because", s.LongBecause, t.LongBecause}} {
			if len(l.theirs) > 0 && len(l.theirs) != len(l.ours) {
				f = append(f, wrong(field+"."+l.name, "has %d entries, and the original %d; translate each in its place", len(l.theirs), len(l.ours)))
			}
			f = list{most: 30, prose: prose{most: 500}}.bad(f, field+"."+l.name, l.theirs)
		}
	}
	return f
}

func badNext(s templates.Statement, now time.Time) []fault.Field {
	const field = "next_update_by"
	next := s.NextUpdateBy
	switch {
	case next.Absent():
		return []fault.Field{missing(field)}
	case next.Word == wordNone && s.Phase == Resolved:
		return nil
	case next.Word == wordNone:
		return []fault.Field{wrong(field, `may be "none" only when the phase is resolved; give the time of the next update`)}
	case next.Word != "":
		return []fault.Field{wrong(field, "must be a time: it is a promise that you can keep")}
	case !next.At.After(now):
		return []fault.Field{wrong(field, "has passed; it must be ahead")}
	case next.At.After(now.AddDate(1, 0, 0)):
		return []fault.Field{wrong(field, "is over a year ahead")}
	}
	return nil
}

func badRoute(s templates.Statement, locales []string) (f []fault.Field) {
	f = append(f, badAudience(s.Audience)...)
	f = subset(f, "channels", s.Channels, []string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, ChannelWebhook})
	if slices.Contains(s.Channels, ChannelPage) && s.Audience != "" && !wide(s.Audience) {
		f = append(f, wrong("channels", "cannot hold page: the page is public and the audience is %.80q", s.Audience))
	}
	return subset(f, "locales", s.Locales, locales)
}

func subset(f []fault.Field, field string, given, allowed []string) []fault.Field {
	if len(given) == 0 {
		return append(f, missing(field))
	}
	seen := map[string]bool{}
	for i, v := range given {
		switch {
		case !slices.Contains(allowed, v):
			f = append(f, wrong(fmt.Sprintf("%s[%d]", field, i), "is %.40q; it must be one of %s", v, strings.Join(allowed, ", ")))
		case seen[v]:
			f = append(f, wrong(fmt.Sprintf("%s[%d]", field, i), "names %q twice", v))
		}
		seen[v] = true
		if i > 20 {
			break
		}
	}
	return f
}

// list bounds a list of texts.
type list struct {
	most     int
	prose    prose
	required bool
}

func (l list) bad(found []fault.Field, field string, given []string) []fault.Field {
	if len(given) == 0 && l.required {
		return append(found, missing(field))
	}
	if len(given) > l.most {
		return append(found, fault.Field{Field: field, Code: codeTooLong, Reason: fmt.Sprintf("has %d entries; %d are allowed", len(given), l.most)})
	}
	p := l.prose
	p.required = true // an empty entry says nothing
	for i, s := range given {
		found = p.bad(found, fmt.Sprintf("%s[%d]", field, i), s)
	}
	return found
}

// merge puts what could not be read before what is missing; a field that could not be read is not missing too.
func merge(unread, found []fault.Field) []fault.Field {
	out := slices.Clone(unread)
	for _, f := range found {
		if !slices.ContainsFunc(unread, func(u fault.Field) bool {
			return u.Field == f.Field || u.Field == "" || strings.HasPrefix(f.Field, u.Field+".")
		}) {
			out = append(out, f)
		}
	}
	return out
}
