package templates

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// The channels that words are made for.
const (
	Email   = "email"
	SMS     = "sms"
	OnPage  = "page"   // an HTML fragment for the status page
	Tickets = "ticket" // plain text for a ticket's conversation
	Media   = "media"  // a statement to the press, which a person sends
	Social  = "social" // a post that a person puts on a social network
	Slack   = "slack"  // JSON for an incoming webhook of Slack, or of what understands its blocks
	Teams   = "teams"  // JSON for an incoming webhook or workflow of Microsoft Teams
)

// Rendered is a message complete for its channel. What a channel has no use for is empty.
type Rendered struct {
	Subject  string `json:"subject"`  // e-mail: one line, the same for every update of an incident, so that they form one thread
	Text     string `json:"text"`     // e-mail's text part in 72 columns, a ticket's text, the whole SMS, or the JSON of a chat
	HTML     string `json:"html"`     // e-mail's HTML part, or the page's fragment
	Segments int    `json:"segments"` // of an SMS; at most 3

	// Left names the kinds of fact that an SMS or a post had no room for; the page that it names has them.
	Left []string `json:"left_out,omitempty"`
}

// Sheet is what a layout of an update is given: every fact in sentences of one language, in the order of reading. It is the contract
// for operators' own layouts; fields are added, never changed.
type Sheet struct {
	Lang     string // of our own sentences
	Update   Update // the facts themselves
	Vendor   Vendor
	Title    string   // of the incident, one line
	Base     string   // the subject, constant for the incident
	Marks    []Phrase // exercise, correction, retracted, not yet read by a second person, no change
	Headline Phrase
	Action   []Phrase // what the reader should do: right behind the headline
	Next     Phrase   // when the next update comes; empty when nothing was said of it
	Meta     []Phrase // title, number, phase, time
	Assured  []Phrase // the four sentences of a first notice
	Facts    []Fact
	Greeting Phrase // opens a letter; empty when nobody signs
	Closing  Phrase // stands before the signature of a letter
	Signed   Phrase // who signs it, when it is a letter
	Prevails Phrase // which language prevails; empty when there is one language only
	Support  []Phrase
	Page     Phrase // link to the incident's page
	Never    Phrase // what we never ask for
	Check    Phrase // the code by which anybody finds out whether the message is ours, and where
	Why      Phrase // why the reader gets this
}

// Fact is one thing that the update says: a label, and lines or a list.
type Fact struct {
	Key   string // what_happened, apology, scope, changed, affected, unaffected, picture, recovery, long, data_loss, full_scope, restored, security, was_not, pinned, known, unknown, doing, pass_on, technical
	Label string
	Lines []Phrase
	Items []Phrase // a list below the lines
}

// Update renders one structured update for a channel and language. A fact that is not given is left out, one that is not known is said
// to be so; what a person wrote is passed through in her own language, cleaned of characters that steer a reader. An
// error names a value that the words have no sentence for.
func (s *Set) Update(channel, locale string, u Update, v Vendor) (Rendered, error) {
	locale = s.Match(locale)
	w := writer{Catalog: s.catalogs[locale], u: u, v: cleanVendor(v), st: u.Statement, prose: proseLang(u.Statement.Locales), ours: u.Statement.Translations[locale].words(u.Statement)}
	sheet, err := w.sheet()
	if err != nil {
		return Rendered{}, fmt.Errorf("render update for %s in %s: %w", channel, locale, err)
	}
	r, err := s.layouts[locale].update(channel, sheet, w)
	if err != nil {
		return Rendered{}, fmt.Errorf("render update for %s in %s: %w", channel, locale, err)
	}
	return r, nil
}

// Facts is what an update says, fact by fact in the words of a language, for where the facts stand apart: what all lack knowledge of is one
// fact of its own then, as in every message.
func (s *Set) Facts(locale string, u Update, v Vendor) ([]Fact, error) {
	locale = s.Match(locale)
	w := writer{Catalog: s.catalogs[locale], u: u, v: cleanVendor(v), st: u.Statement, prose: proseLang(u.Statement.Locales), ours: u.Statement.Translations[locale].words(u.Statement)}
	sheet, err := w.sheet()
	if err != nil {
		return nil, fmt.Errorf("put update into the words of %s: %w", locale, err)
	}
	return sheet.Facts, nil
}

func (l *layouts) update(channel string, sheet Sheet, w writer) (r Rendered, err error) {
	switch channel {
	case Email:
		if w.st.Audience == "media" {
			sheet.press(&w)
		}
		r.Subject = sheet.Base
		if r.Text, err = l.run(updateMail, sheet); err == nil {
			r.Text = wrap(r.Text)
			r.HTML, err = l.run(updateHTML, sheet)
		}
	case OnPage:
		r.HTML, err = l.run(updatePage, sheet)
	case Tickets:
		r.Text, err = l.run(updateTicket, sheet)
	case Media:
		r.Text, err = l.run(updateMedia, sheet)
	case Slack, Teams:
		r.Text, err = sheet.chat(w).encode(channel)
	case SMS:
		r.Text, r.Left, err = w.sms()
		r.Segments, _ = Segments(r.Text)
	case Social:
		r.Text, r.Left, err = w.social()
	default:
		err = fmt.Errorf("there is no channel %q", channel)
	}
	return r, err
}

// run executes a layout and leaves neither spaces at the ends of lines nor more than one empty line in a row.
func (l *layouts) run(name string, data any) (string, error) {
	var b bytes.Buffer
	var err error
	if t, ok := l.html[name]; ok {
		err = t.Execute(&b, data)
	} else {
		err = l.text[name].Execute(&b, data)
	}
	if err != nil {
		return "", err
	}
	return tidy(b.String()), nil
}

func tidy(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimRight(line, " \t\r")
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}

// proseLang is the language that a person wrote in: the first of the statement's, which also prevails.
func proseLang(all []string) string {
	if len(all) == 0 {
		return ""
	}
	tag, err := language.Parse(all[0])
	if err != nil {
		return ""
	}
	return tag.String()
}

func cleanVendor(v Vendor) Vendor {
	return Vendor{Name: oneLine(v.Name), URL: oneLine(v.URL), Support: oneLine(v.Support), Phone: oneLine(v.Phone), Zone: v.Zone}
}

// writer puts one update into sentences of one language. The first sentence that fails stays in err.
type writer struct {
	Catalog
	u     Update
	st    Statement
	v     Vendor
	prose string            // language of the operator's words; "" when not said
	brief bool              // short times
	most  int               // characters of a person's words in one sentence; 0: all
	left  bool              // some of a person's words stand in her own language
	ours  map[string]string // a person's texts with their translations into this language
	err   error
}

// say is a sentence of the catalog.
func (w *writer) say(key string, args ...any) Phrase {
	p, err := w.phrase(key, args...)
	if err != nil && w.err == nil {
		w.err = err
	}
	return p
}

// word is one of the closed set of words of a field.
func (w *writer) word(field, prefix, value string) string {
	if !w.Has(prefix + value) {
		if w.err == nil {
			w.err = fmt.Errorf("%s: %q is not a value that we have words for", field, oneLine(value))
		}
		return ""
	}
	return w.T(prefix + value)
}

// line is one line of a person's words; paragraphs is several.
func (w *writer) line(s string) Phrase { return w.lineIn(w.own(s)) }

// own is a person's text in the reader's language where it was translated, and else in its own; lang is that language when it is not the reader's.
func (w *writer) own(s string) (text, lang string) {
	if ours, translated := w.ours[s]; translated {
		return ours, ""
	}
	w.left = w.left || w.foreign() != "" && s != ""
	return s, w.foreign()
}

// lineIn is one line of words in a language; "" is the message's own.
func (w *writer) lineIn(s, lang string) Phrase {
	if s = oneLine(s); w.most > 0 {
		s = shorten(s, "…", func(s string) bool { return utf8.RuneCountInString(s) <= w.most })
	}
	if s == "" {
		return nil
	}
	return Phrase{{Text: s, Lang: lang}}
}

func (w *writer) paragraphs(s string) []Phrase {
	text, lang := w.own(s)
	var out []Phrase
	for _, l := range lines(text) {
		out = append(out, w.lineIn(l, lang))
	}
	return out
}

func (w *writer) sentence(s string) Phrase {
	text, lang := w.own(s)
	return w.lineIn(ended(oneLine(text)), lang)
}

func (w *writer) items(all []string) []Phrase {
	var out []Phrase
	for _, s := range all {
		if p := w.line(s); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// foreign is the language of a person's words when it is not the message's own.
func (w *writer) foreign() string {
	if w.prose == "" || sameLanguage(w.prose, w.locale) {
		return ""
	}
	return w.prose
}

func sameLanguage(a, b string) bool {
	x, errX := language.Parse(a)
	y, errY := language.Parse(b)
	if errX != nil || errY != nil {
		return a == b
	}
	bx, _ := x.Base()
	by, _ := y.Base()
	sx, _ := x.Script()
	sy, _ := y.Script()
	return bx == by && sx == sy
}

func (w *writer) at(t time.Time) Phrase {
	if w.brief {
		return w.short(t, w.v.Zone)
	}
	return w.moment(t, w.v.Zone)
}

// sheet decides what is said, in which order; a layout only places it.
func (w *writer) sheet() (Sheet, error) {
	st := w.st
	s := Sheet{
		Lang: w.locale, Update: w.u, Vendor: w.v, Title: oneLine(w.u.Incident.Title), Base: w.subject(), Marks: w.marks(),
		Headline: w.line(st.Headline), Action: w.action(), Next: w.next(), Meta: w.meta(), Assured: w.assured(),
		Support: w.support(), Page: w.page(), Never: w.say("update.never"), Check: w.checking(), Why: w.why(),
	}
	if s.Headline == nil {
		s.Headline = Phrase{{Text: s.Title, Lang: w.foreign()}}
	}
	s.add(w, "what_happened", w.paragraphs(st.WhatHappened), nil)
	s.add(w, "apology", w.apology(), nil)
	scope, where := w.scope()
	s.add(w, "scope", scope, where)
	s.add(w, "changed", w.changed(), nil)
	s.add(w, "affected", w.affected(), nil)
	s.add(w, "unaffected", w.unaffected(), nil)
	s.add(w, "picture", w.picture(), nil)
	s.add(w, "recovery", w.recovery(), nil)
	s.add(w, "long", nil, w.items(st.LongBecause))
	s.add(w, "data_loss", w.dataLoss(), w.cohortLosses())
	s.add(w, "full_scope", w.fullScope(), nil)
	s.add(w, "restored", w.restored(), nil)
	s.add(w, "security", w.security(), nil)
	s.add(w, "was_not", w.wasNot(), nil)
	s.add(w, "pinned", nil, w.items(w.u.Pinned))
	known := w.items(st.Known)
	if len(known) == 0 {
		s.add(w, "known", []Phrase{w.say("update.known_none")}, nil)
	}
	s.add(w, "known", nil, known)
	s.add(w, "unknown", w.unknown(), w.items(st.Unknown))
	s.add(w, "doing", nil, w.items(st.Doing))
	s.passOn(w)
	s.add(w, "technical", w.paragraphs(st.Technical), nil)
	if s.Signed = w.line(st.SignedBy); s.Signed != nil {
		s.Greeting, s.Closing = w.greeting(), w.say("letter.closing")
	}
	s.Prevails = w.prevails()
	return s, w.err
}

// Told are the facts of the message itself, Apart those that stand behind the signature of a letter: the passage to hand on and the technical part. Who
// signs does so under her own words, and what is handed on is no part of them.
func (s Sheet) Told() []Fact  { return s.Facts[:s.apart()] }
func (s Sheet) Apart() []Fact { return s.Facts[s.apart():] }

func (s Sheet) apart() int {
	if i := slices.IndexFunc(s.Facts, func(f Fact) bool { return !f.Public() }); i >= 0 && s.Signed != nil {
		return i
	}
	return len(s.Facts)
}

// Public says whether a fact belongs into a statement to the press: what to do, passages for customers and technical parts do not.
func (f Fact) Public() bool {
	return !slices.Contains([]string{"pass_on", "technical"}, f.Key)
}

// press makes a mail to newspapers out of it: what only customers need is left out.
func (s *Sheet) press(w *writer) {
	s.Marks = append([]Phrase{w.say("media.title", w.v.Name, s.Title)}, s.Marks...)
	s.Action, s.Assured, s.Greeting, s.Closing = nil, nil, nil, nil
	s.Facts = slices.DeleteFunc(s.Facts, func(f Fact) bool { return !f.Public() })
}

func (s *Sheet) add(w *writer, key string, said []Phrase, items []Phrase) {
	if len(said)+len(items) > 0 {
		s.Facts = append(s.Facts, Fact{Key: key, Label: w.say("update." + key).String(), Lines: said, Items: items})
	}
}

// subject is constant for the incident: large mail services thread only mails of one and the same subject, whatever References say, and
// a reader who sees headline after headline in one conversation misses none. So number, severity and headline stand in the
// text, which opens with the headline because inboxes show that beside the subject.
func (w *writer) subject() string {
	title := oneLine(w.u.Incident.Title)
	if w.u.Drill {
		return w.say("update.subject_drill", w.v.Name, title).String()
	}
	return w.say("update.subject", w.v.Name, title).String()
}

func (w *writer) marks() []Phrase {
	var out []Phrase
	if w.u.Drill {
		out = append(out, w.say("mark.drill"))
	}
	if w.u.Retracted {
		out = append(out, w.say("mark.retracted"))
	}
	if w.u.Corrects > 0 {
		out = append(out, w.say("mark.correction", w.u.Corrects))
	}
	if w.u.Unread {
		out = append(out, w.say("mark.unread"))
	}
	if w.st.NoChange {
		out = append(out, w.say("mark.no_change"))
	}
	return out
}

// action is what the reader should do; the value "nothing" is put into her language.
func (w *writer) action() []Phrase {
	switch {
	case nothing(w.st.YourAction):
		return []Phrase{w.say("update.action_nothing")}
	case w.st.YourAction == "" && w.u.Corrects > 0:
		return []Phrase{w.say("update.action_correction", w.u.Corrects)}
	}
	return w.paragraphs(w.st.YourAction)
}

func nothing(s string) bool { return strings.EqualFold(strings.TrimRight(oneLine(s), "."), "nothing") }

func (w *writer) next() Phrase {
	switch n := w.st.NextUpdateBy; {
	case n.Word == "none":
		return w.say("update.next_none")
	case n.Word == NotKnown:
		return w.say("update.next_unknown")
	case !n.At.IsZero():
		return w.at(n.At)
	}
	return nil
}

func (w *writer) meta() []Phrase {
	var out []Phrase
	add := func(p Phrase) {
		if len(p) > 0 && p.String() != "" {
			out = append(out, p)
		}
	}
	add(Phrase{{Text: w.v.Name}})
	add(Phrase{{Text: oneLine(w.u.Incident.Title), Lang: w.foreign()}}) // it is in the language of the words
	if w.u.Number > 0 {
		add(w.say("update.number", w.u.Number))
	}
	if w.st.Phase != "" {
		add(Phrase{{Text: w.word("phase", "phase.", w.st.Phase)}})
	}
	add(w.at(w.u.At))
	return out
}

func (w *writer) assured() []Phrase {
	if !w.u.FirstWord {
		return nil
	}
	var out []Phrase
	for _, key := range []string{"assured.working", "assured.review", "assured.escalated", "assured.told"} {
		out = append(out, w.say(key))
	}
	return out
}

// scope is the operator's line, and beside it products and regions.
func (w *writer) scope() (text, items []Phrase) {
	sc := w.st.Scope
	if p := w.sentence(sc.Text); p != nil {
		text = append(text, p)
	}
	for _, part := range []struct {
		key string
		all []string
	}{{"scope.products", sc.Products}, {"scope.regions", sc.Regions}} {
		if list := w.items(part.all); len(list) > 0 {
			items = append(items, w.say(part.key, join(w.T("list.comma"), list...)))
		}
	}
	return text, items
}

func (w *writer) sites(n int) Phrase     { return w.say("count.sites", n) }
func (w *writer) customers(n int) Phrase { return w.say("count.customers", n) }

// affected says counts with their unit, what counts as affected, whether it is final, and how sure we are.
func (w *writer) affected() []Phrase {
	a := w.st.Affected
	var out []Phrase
	if count := w.count(); count != nil {
		out = append(out, sentences(count, w.status(), w.confidence("affected.confidence", a.Confidence)))
	} else if w.countsUnknown() && !w.folded() {
		out = append(out, w.say("affected.not_known"))
	}
	if p := w.users(); p != nil {
		out = append(out, p)
	}
	if p := w.sentence(a.Who); p != nil {
		out = append(out, w.say("affected.who", p))
	}
	if a.OwnSites != "" {
		out = append(out, Phrase{{Text: w.word("affected.own_sites", "affected.own.", a.OwnSites)}})
	}
	return out
}

// users says how many people use what is affected; nothing when nobody said.
func (w *writer) users() Phrase {
	switch a := w.st.Affected.Users; a.State {
	case CountKnown:
		return w.say("affected.users", w.amount(a))
	case CountUnknown:
		return w.say("affected.users_not_known")
	}
	return nil
}

func (w *writer) amount(a Amount) Phrase {
	if a.From == a.To {
		return w.say("count.users", a.From)
	}
	return w.say("count.users_range", a.From, a.To)
}

func (w *writer) count() Phrase {
	a := w.st.Affected
	one, both := "affected.is", "affected.is_both"
	if a.Status != "final" {
		one, both = "affected.about", "affected.about_both"
	}
	sites, customers := a.Sites.State == CountKnown, a.Customers.State == CountKnown
	switch {
	case sites && customers:
		return w.say(both, w.sites(a.Sites.N), w.customers(a.Customers.N))
	case sites && a.Customers.State == CountUnknown:
		return sentences(w.say(one, w.sites(a.Sites.N)), w.say("affected.customers_not_known"))
	case customers && a.Sites.State == CountUnknown:
		return sentences(w.say(one, w.customers(a.Customers.N)), w.say("affected.sites_not_known"))
	case sites:
		return w.say(one, w.sites(a.Sites.N))
	case customers:
		return w.say(one, w.customers(a.Customers.N))
	}
	return nil
}

func (w *writer) status() Phrase {
	switch w.st.Affected.Status {
	case "":
		return nil
	case "final", "estimate":
		return w.say("affected." + w.st.Affected.Status)
	}
	w.fail("affected.status", w.st.Affected.Status)
	return nil
}

func (w *writer) fail(field, value string) {
	if w.err == nil {
		w.err = fmt.Errorf("%s: %q is not a value that we have words for", field, oneLine(value))
	}
}

func (w *writer) confidence(field, level string) Phrase {
	if level == "" {
		return nil
	}
	return w.say("confidence.is", w.word(field, "confidence.", level))
}

// What nobody knows yet reads as one plain sentence as soon as there are two such facts.

func (w *writer) countsUnknown() bool {
	a := w.st.Affected
	return a.Sites.State != CountKnown && a.Customers.State != CountKnown && (a.Sites.State == CountUnknown || a.Customers.State == CountUnknown)
}

func (w *writer) unknowns() []string {
	var out []string
	if w.countsUnknown() {
		out = append(out, "many")
	}
	if w.st.Timeline.Kind == NotKnown {
		out = append(out, "long")
	}
	if w.st.DataLoss.Kind == NotKnown {
		out = append(out, "loss")
	}
	return out
}

func (w *writer) folded() bool { return len(w.unknowns()) > 1 }

// fold is that sentence: "We do not know yet how many, how long, or whether data is lost."
func (w *writer) fold() Phrase {
	return w.say("fold." + strings.Join(w.unknowns(), "_"))
}

func (w *writer) unknown() []Phrase {
	var out []Phrase
	if w.folded() {
		p := w.fold()
		if n := w.st.NextUpdateBy; !n.At.IsZero() && n.Word == "" {
			p = sentences(p, w.say("fold.next", w.at(n.At)))
		}
		out = append(out, p)
	}
	if len(out) == 0 && len(w.items(w.st.Unknown)) == 0 && w.st.UnknownNone {
		out = append(out, w.say("update.unknown_none"))
	}
	return out
}

// recovery says when it will be over in one of five kinds, and never a date that nobody gave.
func (w *writer) recovery() []Phrase {
	t := w.st.Timeline
	var said Phrase
	switch t.Kind {
	case "":
	case NotKnown:
		if w.folded() {
			return w.noted(t.Text)
		}
		return append([]Phrase{w.say("recovery.not_known")}, w.noted(t.Text)...)
	case "at":
		said = w.recoveryAt(first(t.Latest, t.Earliest))
	case "range":
		said = w.recoveryRange(t.Earliest, t.Latest)
	case "direction":
		said = w.direction("recovery.estimate", "recovery.direction", t.Text)
	case "no_date_possible":
		said = w.say("recovery.no_date")
	default:
		w.fail("timeline.kind", t.Kind)
	}
	if t.Kind != "direction" {
		said = sentences(said, w.sentence(t.Text))
	}
	if said == nil {
		return nil
	}
	return []Phrase{sentences(said, w.confidence("timeline.confidence", t.Confidence))}
}

// direction is an estimate without a figure: a person's words, and that they are no more than that.
func (w *writer) direction(estimate, caveat, text string) Phrase {
	var said Phrase
	if p := w.sentence(text); p != nil {
		said = w.say(estimate, p)
	}
	return sentences(said, w.say(caveat))
}

// noted is what a person wrote beside a fact that is not known.
func (w *writer) noted(text string) []Phrase {
	if p := w.sentence(text); p != nil {
		return []Phrase{p}
	}
	return nil
}

func first(all ...*time.Time) *time.Time {
	for _, t := range all {
		if t != nil && !t.IsZero() {
			return t
		}
	}
	return nil
}

func (w *writer) recoveryAt(t *time.Time) Phrase {
	switch {
	case t == nil:
		return nil
	case w.st.Phase == "resolved" && !w.ahead(*t):
		return w.say("recovery.done_at", w.at(*t))
	}
	return w.say("recovery.at", w.at(*t))
}

func (w *writer) recoveryRange(from, to *time.Time) Phrase {
	from, to = first(from), first(to)
	switch {
	case from != nil && to != nil:
		return w.say("recovery.range", w.at(*from), w.at(*to))
	case to != nil:
		return w.say("recovery.latest", w.at(*to))
	case from != nil:
		return w.say("recovery.earliest", w.at(*from))
	}
	return nil
}

func (w *writer) fullScope() []Phrase {
	switch f := w.st.Timeline.FullScopeBy; {
	case f.Word == NotKnown:
		return []Phrase{w.say("full_scope.not_known")}
	case f.Word != "" || f.At.IsZero():
		return nil
	case w.ahead(f.At):
		return []Phrase{w.say("full_scope.by", w.at(f.At))}
	case w.st.Affected.Status == "final":
		return []Phrase{w.say("full_scope.known")}
	}
	return nil // the day is over and the count is not final: nothing true can be said of it
}

// ahead says whether a moment was still to come when the update was published; for a draft every moment is.
func (w *writer) ahead(t time.Time) bool { return w.u.At.IsZero() || t.After(w.u.At) }

// dataLoss is an upper bound or an admission, in one of five kinds.
func (w *writer) dataLoss() []Phrase {
	d := w.st.DataLoss
	var said Phrase
	switch d.Kind {
	case "":
	case NotKnown:
		if w.folded() {
			return w.noted(d.Text)
		}
		return append([]Phrase{w.say("data_loss.not_known")}, w.noted(d.Text)...)
	case "direction":
		said = w.direction("data_loss.estimate", "data_loss.direction", d.Text)
	case "at_most":
		if d.AtMost != nil {
			said = w.say("data_loss.at_most", time.Duration(*d.AtMost))
		}
	case "range":
		said = w.lossRange(d.AtLeast, d.AtMost)
	case "none_verified":
		said = w.say("data_loss.none_verified")
	default:
		w.fail("data_loss.kind", d.Kind)
	}
	if d.Kind != "direction" {
		said = sentences(said, w.sentence(d.Text))
	}
	if said == nil {
		return nil
	}
	return []Phrase{sentences(said, w.confidence("data_loss.confidence", d.Confidence))}
}

// cohortLosses are the bounds of parts that may lose more.
func (w *writer) cohortLosses() (out []Phrase) {
	for _, c := range w.u.Cohorts {
		out = append(out, w.say("data_loss.cohort", w.line(c.Name), w.sites(c.Sites), time.Duration(c.AtMost)))
	}
	return out
}

func (w *writer) lossRange(least, most *Span) Phrase {
	switch {
	case least != nil && most != nil:
		return w.say("data_loss.range", time.Duration(*least), time.Duration(*most))
	case most != nil:
		return w.say("data_loss.at_most", time.Duration(*most))
	case least != nil:
		return w.say("data_loss.at_least", time.Duration(*least))
	}
	return nil
}

// restored is the ledger's word, by site and by customer.
func (w *writer) restored() []Phrase {
	f := w.u.Restored
	if f == nil || f.Sites.Total == 0 {
		return []Phrase{w.say("restored.not_known")}
	}
	figures := w.say("restored.sites", f.Sites.Total, f.Sites.Restored, w.Decimal(f.Sites.Percent))
	if f.Customers.Total > 0 {
		figures = join(w.T("list.comma"), figures, w.say("restored.customers", f.Customers.Total, f.Customers.Restored, w.Decimal(f.Customers.Percent)))
	}
	out := []Phrase{w.say("restored.is", figures)}
	if !f.AsOf.IsZero() {
		out = []Phrase{w.say("restored.is_as_of", figures, w.at(f.AsOf))}
	}
	if f.Sites.NoAnswer > 0 {
		out = append(out, w.say("restored.no_answer", f.Sites.NoAnswer))
	}
	return out
}

func (w *writer) security() []Phrase {
	if w.u.Security == "" {
		return nil
	}
	return []Phrase{{{Text: w.word("security_cause", "security.", w.u.Security)}}}
}

// prevails names the language of the person's words whenever a reader may meet another.
func (w *writer) prevails() Phrase {
	text := w.Versions(w.prose, w.foreign() != "" || len(w.st.Locales) > 1, w.left)
	if text == "" {
		return nil
	}
	return Phrase{{Text: text}}
}

// Versions names the language of a person's words whenever a reader may meet another: there are several, or some of hers are left in it. "" when she may not.
func (c Catalog) Versions(prose string, several, left bool) string {
	switch {
	case prose == "":
		return ""
	case left:
		return c.T("update.foreign", c.Language(prose))
	case several:
		return c.T("update.prevails", c.Language(prose))
	}
	return ""
}

// Language is the name of a language.
func (c Catalog) Language(locale string) string {
	if key := "language." + locale; c.Has(key) {
		return c.T(key)
	}
	return locale
}

func (w *writer) support() []Phrase {
	var out []Phrase
	if w.v.Support != "" && w.st.Timeline.Undated() && w.st.Phase != "resolved" && !w.u.Retracted {
		at := callAddress(w.v.Support)
		out = append(out, w.say("support.call", Phrase{{Text: at, Link: at}}))
	}
	if w.v.Support != "" {
		out = append(out, w.say("support.link", Phrase{{Text: w.v.Support, Link: w.v.Support}}))
	}
	if w.v.Phone != "" {
		out = append(out, w.say("support.phone", Phrase{{Text: w.v.Phone, Link: "tel:" + w.v.Phone}}))
	}
	return out
}

// callAddress is the support form as whoever wants a call comes to it.
func callAddress(support string) string {
	if strings.Contains(support, "?") {
		return support + "&call=1"
	}
	return support + "?call=1"
}

// greeting opens a letter: customers are addressed as such, whoever else is on a list is not called what she may not be.
func (w *writer) greeting() Phrase {
	if w.forCustomers() {
		return w.say("letter.customers")
	}
	return w.say("letter.others")
}

// forCustomers says whether the audience is customers and who follows us for them.
func (w *writer) forCustomers() bool {
	kind, _, _ := strings.Cut(w.st.Audience, ":")
	return slices.Contains([]string{"", "public", "affected", "cohort", "account", "slice"}, kind)
}

// why says why the reader gets a mail, by the audience that it was written for.
func (w *writer) why() Phrase {
	kind, _, _ := strings.Cut(w.st.Audience, ":")
	switch kind {
	case "public", "":
		return w.say("update.why_public")
	case "affected", "cohort", "account", "slice":
		return w.say("update.why_affected")
	}
	return w.say("update.why_listed")
}

func (w *writer) page() Phrase {
	u := oneLine(w.u.Incident.URL)
	if u == "" {
		return nil
	}
	return Phrase{{Text: u, Link: u}}
}

// NextLabel is the key of the label before Next.
func (s Sheet) NextLabel() string {
	if s.Update.Statement.NextUpdateBy.Word == "" {
		return "update.next"
	}
	return "update.next_label"
}

// Ref is the anchor of the update within its page.
func (s Sheet) Ref() string { return fmt.Sprintf("update-%d", s.Update.Number) }
