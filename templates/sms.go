package templates

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// An SMS has at most so many segments, in any language.
const maxSegments = 3

// sms is the update in at most three segments. The first one stands alone: who speaks, what changed, when the next word comes, and where the
// rest is. What to do follows the headline, in the first segment when all of it fits there. Behind it stand whole facts in few words, as many
// as fit, in order of need; a headline may be shortened, a fact or a sentence that says what to do never is.
//
// left names the kinds of fact that found no room.
func (w writer) sms() (text string, left []string, err error) {
	w.brief, w.most = true, 60
	facts := w.smsFacts()
	lead := w.smsLead()
	if w.err != nil {
		return "", nil, w.err
	}
	all, own := lead.String(), lead.bare().String()
	for _, f := range facts {
		all += "\n" + f.text + f.more
		own += "\n" + f.text
	}
	if lead.foreign && !gsm(plainly(all)) && gsm(plainly(own)) { // words that the reader may not know would cost half the room
		lead.point()
		lead.headline, all = "", own
		for i := range facts {
			facts[i].more = ""
		}
	}
	mark, plain := "…", tight
	if gsm(plainly(all)) {
		mark, plain = "...", plainly
	}
	for i := range facts {
		facts[i].text, facts[i].more = plain(facts[i].text), plain(facts[i].more)
	}
	lead.plain(plain)
	lead.fit(!gsm(plain(all)), mark, facts)
	text, left = assemble(lead.String(), facts, func(s string) bool {
		n, _ := Segments(s)
		return n <= maxSegments
	})
	return text, left, nil
}

// smsFact is a sentence with its rank: the lower, the sooner it gets its place. Facts stand in the order of reading.
type smsFact struct {
	key  string // its kind
	text string // in as few words as it can be said; may be ""
	more string // with what a person wrote of it, when there is room; "": no more to say
	rank int
}

// Facts up to this rank are what every message must carry.
const smsMust = 5

// smsRanks is one more than the last rank.
const smsRanks = 13

// assemble adds the facts that fit, by rank, then says more of those that can, and writes them in the order of reading. left names the kinds of
// which one was left out.
func assemble(lead string, facts []smsFact, fits func(string) bool) (out string, left []string) {
	in := make([]string, len(facts))
	text := func() string {
		out := lead
		for _, s := range in {
			if s != "" {
				out += "\n" + s
			}
		}
		return out
	}
	try := func(i int, to string) {
		before := in[i]
		in[i] = to
		if !fits(text()) {
			in[i] = before
		}
	}
	for rank := range smsRanks {
		for i, f := range facts {
			if f.rank == rank {
				try(i, f.text)
			}
		}
	}
	for rank := range smsRanks {
		for i, f := range facts {
			if f.rank == rank && f.more != "" && in[i] == f.text { // what did not fit in few words does not fit in many
				try(i, f.more)
			}
		}
	}
	for i, f := range facts {
		if in[i] == "" && !slices.Contains(left, f.key) {
			left = append(left, f.key)
		}
	}
	return text(), left
}

func (w *writer) smsFacts() []smsFact {
	var out []smsFact
	add := func(key string) func(rank int, text, more Phrase) {
		return func(rank int, text, more Phrase) {
			if len(text)+len(more) > 0 {
				out = append(out, smsFact{key: key, text: text.String(), more: more.String(), rank: rank})
			}
		}
	}
	if w.u.FirstWord {
		add("assured")(7, w.say("sms.assured"), nil)
	}
	if w.u.Unread {
		add("unread")(6, w.say("sms.unread"), nil)
	}
	if w.st.NoChange {
		add("no_change")(8, w.say("sms.no_change"), nil)
	}
	if w.folded() {
		add("not_known")(1, w.fold(), nil)
	}
	add("affected")(w.smsAffected())
	add(FactChanged)(w.smsChanged())
	add("recovery")(w.smsRecovery())
	add("data_loss")(w.smsLoss())
	add("restored")(0, w.smsRestored(), nil)
	if w.u.Security != "" {
		add("security")(5, Phrase{{Text: w.word("security_cause", "sms.security.", w.u.Security)}}, nil)
	}
	for _, fact := range w.u.Pinned {
		add(FactPinned)(5, w.sentence(fact), nil)
	}
	add("prevails")(6, w.smsPrevails(), nil)
	add("support")(4, w.smsSupport(), nil)
	add("check")(0, w.say("sms.check", CheckCode(w.u.ID)), nil)
	add("page")(11, w.page(), nil)
	add("never")(12, w.say("sms.never"), nil)
	return out
}

// FactPinned is the kind of a pinned fact in [Rendered.Left], FactChanged that of what figures were before.
const (
	FactPinned  = "pinned"
	FactChanged = "changed"
)

// smsAffected counts who is hit, and defines it when there is room.
func (w *writer) smsAffected() (rank int, text, more Phrase) {
	a := w.st.Affected
	var count []Phrase
	for _, c := range []struct {
		Count
		key     string
		unknown string
	}{{a.Sites, "sms.count_sites", "sms.sites_unknown"}, {a.Customers, "sms.count_customers", "sms.customers_unknown"}} {
		switch {
		case c.State == CountUnknown && !w.countsUnknown():
			count = append(count, w.say(c.unknown))
		case c.State == CountKnown && a.Status == "final":
			count = append(count, w.say(c.key, c.N))
		case c.State == CountKnown:
			count = append(count, w.say("sms.about", w.say(c.key, c.N)))
		}
	}
	switch {
	case len(count) > 0:
		text = w.smsSure(join(w.T("list.comma"), count...), "affected.confidence", a.Confidence)
	case w.countsUnknown() && !w.folded():
		text = w.say("sms.not_known")
	}
	who := w.sentence(a.Who)
	switch {
	case text != nil && who != nil:
		return 1, w.say("sms.affected", text), w.say("sms.affected_who", text, who)
	case text != nil:
		return 1, w.say("sms.affected", text), nil
	case who != nil:
		return 1, nil, w.say("affected.who", who)
	}
	return 1, nil, nil
}

// smsSure says a fact and how sure we are of it.
func (w *writer) smsSure(said Phrase, field, level string) Phrase {
	if said == nil || level == "" {
		return said
	}
	return w.say("sms.sure", said, w.word(field, "confidence.", level))
}

// smsRecovery says when it will be over.
func (w *writer) smsRecovery() (rank int, text, more Phrase) {
	t := w.st.Timeline
	said, told := w.when(t)
	return w.smsEstimate(2, "sms.recovery", said, told, "timeline.confidence", t.Confidence, t.Kind != NotKnown)
}

// when is a timeline in a few words; told is what a reader of the person's language gets in their place.
func (w *writer) when(t Timeline) (said, told Phrase) {
	from, to := first(t.Earliest), first(t.Latest)
	when := first(to, from)
	switch {
	case t.Kind == NotKnown && !w.folded():
		said = w.say("sms.not_known")
	case t.Kind == "direction":
		said, told = w.smsDirection("sms.no_date_yet", t.Text)
	case t.Kind == "no_date_possible":
		said = w.say("sms.no_date")
	case t.Kind == "range" && from != nil && to != nil:
		said = w.say("sms.range", w.sameZone(*from, *to), w.at(*to))
	case t.Kind == "range" && to != nil:
		said = w.say("sms.latest", w.at(*to))
	case t.Kind == "range" && from != nil:
		said = w.say("sms.earliest", w.at(*from))
	case t.Kind == "at" && when != nil && w.st.Phase == "resolved" && !w.ahead(*when):
		said = w.say("sms.done", w.at(*when))
	case t.Kind == "at" && when != nil:
		said = w.say("sms.at", w.at(*when))
	}
	return said, told
}

// sameZone is the first of two moments, without its zone when the second one names the same.
func (w *writer) sameZone(t, then time.Time) Phrase {
	a, b := w.at(t), w.at(then)
	_, mark, found := strings.Cut(b.String(), " UTC")
	if text, same := strings.CutSuffix(a.String(), " UTC"+mark); found && same {
		return Phrase{{Text: text, At: t.UTC()}}
	}
	return a
}

// smsLoss says how much data is lost.
func (w *writer) smsLoss() (rank int, text, more Phrase) {
	d := w.st.DataLoss
	said, told := w.lost(d)
	return w.smsEstimate(3, "sms.data_loss", said, told, "data_loss.confidence", d.Confidence, d.Kind != NotKnown)
}

// lost is a data loss in a few words; told as for when.
func (w *writer) lost(d DataLoss) (said, told Phrase) {
	bound := func(s *Span) time.Duration { return time.Duration(*s) }
	switch {
	case d.Kind == NotKnown && !w.folded():
		said = w.say("sms.not_known")
	case d.Kind == "direction":
		said, told = w.smsDirection("sms.not_measured", d.Text)
	case d.Kind == "none_verified":
		said = w.say("sms.none_verified")
	case d.Kind == "range" && d.AtLeast != nil && d.AtMost != nil:
		said = w.say("sms.range", bound(d.AtLeast), bound(d.AtMost))
	case d.Kind == "range" && d.AtLeast != nil:
		said = w.say("sms.at_least", bound(d.AtLeast))
	case (d.Kind == "range" || d.Kind == "at_most") && d.AtMost != nil:
		said = w.say("sms.at_most", bound(d.AtMost))
	}
	return said, told
}

// smsDirection is an estimate without a figure. Words that the reader may not understand wait for room.
func (w *writer) smsDirection(key, text string) (said, told Phrase) {
	said = w.say(key)
	text, lang := w.own(text)
	p := w.lineIn(strings.TrimRight(oneLine(text), ".。 "), lang)
	if p == nil {
		return said, nil
	}
	told = w.say("sms.direction", p, said)
	if lang == "" {
		return told, nil
	}
	return said, told
}

func (w *writer) smsEstimate(rank int, key string, said, told Phrase, field, level string, sure bool) (int, Phrase, Phrase) {
	if said == nil {
		return rank, nil, nil
	}
	if sure {
		said, told = w.smsSure(said, field, level), w.smsSure(told, field, level)
	}
	if told != nil {
		told = w.say(key, told)
	}
	return rank, w.say(key, said), told
}

func (w *writer) smsRestored() Phrase {
	f := w.u.Restored
	if f == nil || f.Sites.Total == 0 {
		return w.say("sms.restored_not_known")
	}
	figures := w.say("sms.sites", f.Sites.Total, f.Sites.Restored, w.Decimal(f.Sites.Percent))
	if f.Customers.Total > 0 {
		figures = join(w.T("list.comma"), figures, w.say("sms.customers", f.Customers.Total, f.Customers.Restored, w.Decimal(f.Customers.Percent)))
	}
	if f.AsOf.IsZero() {
		return w.say("sms.restored", figures)
	}
	return w.say("sms.restored_as_of", figures, w.at(f.AsOf))
}

// smsPrevails names the language that prevails, when a reader may meet another.
func (w *writer) smsPrevails() Phrase {
	if w.prevails() == nil {
		return nil
	}
	return w.say("sms.prevails", w.Language(w.prose))
}

// smsSupport is the number to call, or else the form.
func (w *writer) smsSupport() Phrase {
	switch {
	case w.v.Phone != "":
		return w.say("sms.support", Phrase{{Text: w.v.Phone}})
	case w.v.Support != "":
		return w.say("sms.support", Phrase{{Text: w.v.Support}})
	}
	return nil
}

// smsLead is the first segment before it is made to fit.
func (w *writer) smsLead() smsLead {
	vendor := shorten(w.v.Name, "…", func(s string) bool { return weight(s, true) <= 24 })
	from := w.say("sms.from", vendor)
	if w.u.Number > 0 {
		from = w.say("sms.from_number", vendor, w.u.Number)
	}
	var marks []Phrase
	for _, m := range []struct {
		on  bool
		key string
		arg any
	}{{w.u.Drill, "sms.drill", 0}, {w.u.Retracted, "sms.retracted", 0}, {w.u.Corrects > 0, "sms.correction", w.u.Corrects}} {
		if m.on {
			marks = append(marks, w.say(m.key, m.arg))
		}
	}
	headline, foreign := w.own(w.st.Headline)
	action, also := w.own(w.st.YourAction)
	if action == "" {
		also = ""
	}
	l := smsLead{
		from:     join("", append([]Phrase{from}, marks...)...).String(),
		headline: ended(cmp.Or(oneLine(headline), oneLine(w.u.Incident.Title))),
		domain:   domain(w.v.URL, w.u.Incident.URL),
		foreign:  foreign != "" || also != "" && !nothing(action),
		first:    w.u.FirstWord,
		see:      w.T("sms.action_see"),
	}
	if len(w.st.Channels) > 0 && !slices.Contains(w.st.Channels, OnPage) { // the page says something else, or nothing
		l.see = w.T("sms.action_ask")
	}
	if w.st.Phase != "" {
		l.phase = ended(w.word("phase", "phase.", w.st.Phase))
	}
	switch text := oneLine(action); {
	case nothing(text):
		l.action = w.T("sms.action_nothing")
	case text != "":
		l.label, l.action = w.T("sms.action"), ended(text)
	case w.u.Corrects > 0:
		l.action = w.say("update.action_correction", w.u.Corrects).String()
	}
	switch n := w.st.NextUpdateBy; {
	case n.Word == "none":
		l.next = w.T("sms.next_none")
	case n.Word == "" && !n.At.IsZero():
		l.next = w.say("sms.next", w.at(n.At)).String()
	}
	return l
}

// smsLead is the first segment in its parts. In a language that the person did not write in, the phase is the change that a reader understands,
// so it comes first and the person's words come behind what must not be lost.
type smsLead struct {
	from, phase, headline, label, action, next, domain string
	foreign                                            bool
	first                                              bool   // nothing was said before
	below                                              bool   // the action stands in a line of its own
	see                                                string // where the action stands, or who knows it, when it cannot stand here
}

func (l smsLead) String() string {
	var first, second string
	switch {
	case l.foreign:
		first, second = glue(l.phase, l.next, l.domain), glue(l.headline, l.told())
	case l.below:
		first, second = glue(l.headline, l.next, l.domain), l.told()
	default:
		first = glue(l.headline, l.told(), l.next, l.domain)
	}
	if second != "" {
		second = "\n" + second
	}
	return l.from + first + second
}

// bare is the lead without a person's words.
func (l smsLead) bare() smsLead {
	l.headline = ""
	if l.label != "" {
		l.label, l.action = "", ""
	}
	return l
}

// point says where the action stands, or who knows it, in place of a person's words.
func (l *smsLead) point() {
	if l.label != "" {
		l.label, l.action = "", l.see
	}
}

func (l smsLead) told() string {
	if l.action == "" {
		return ""
	}
	return l.label + l.action
}

// plain puts every part through f.
func (l *smsLead) plain(f func(string) string) {
	for _, s := range []*string{&l.from, &l.phase, &l.headline, &l.label, &l.action, &l.next, &l.domain, &l.see} {
		*s = f(*s)
	}
}

// fit shortens the person's words so that the first segment holds what it must and the message what it must.
func (l *smsLead) fit(ucs2 bool, mark string, facts []smsFact) {
	room, least := 153, 16
	if ucs2 {
		room, least = 67, 10
	}
	rest := maxSegments * room // behind the first part
	for _, f := range facts {  // which language prevails weighs more than words in it, but for the first word of what has happened
		if f.text != "" && (f.rank <= smsMust || l.foreign && !l.first && f.key == "prevails") {
			rest -= 1 + weight(f.text, ucs2)
		}
	}
	if l.foreign {
		l.fitForeign(room, rest, ucs2, mark)
		return
	}
	left := room - weight(l.from+glue(l.next, l.domain), ucs2) - 2
	if left < least && l.domain != "" { // an endless host name; the link stands further down
		l.domain = ""
		left = room - weight(l.from+l.next, ucs2) - 2
	}
	if weight(l.headline, ucs2)+weight(l.told(), ucs2) <= left {
		return
	}
	l.below = true
	first := weight(l.from+glue(l.next, l.domain), ucs2) + 2
	short := func(told, rest int) string { // the headline, in what this much of an action leaves to it
		return shorten(l.headline, mark, within(min(left, max(rest-first-told, 2*least)), ucs2))
	}
	say := func(action string, rest int) bool {
		said := *l
		said.action = action
		told := weight(said.told(), ucs2)
		said.headline = short(told, rest)
		if weight(said.from+glue(said.headline, said.next, said.domain), ucs2)+1+told > rest {
			return false
		}
		*l = said
		return true
	}
	ways := partly(l.action, mark)
	for _, action := range ways {
		if say(action, rest) {
			return
		}
	}
	if ucs2 && l.domain != "" { // in less than half the room; the page, which the first segment names, says how to reach us as well
		for _, f := range facts {
			if f.key == "support" && f.text != "" && say(ways[len(ways)-1], rest+1+weight(f.text, ucs2)) {
				return
			}
		}
	}
	l.point()
	l.headline = short(weight(l.told(), ucs2), rest)
}

// partly are the ways to say what to do, the fullest first: all of it, then fewer and fewer whole sentences with a mark that there is more. Half of a
// sentence may say the opposite of the whole, so there is no way that holds one.
func partly(action, mark string) []string {
	ways := []string{action}
	ends := sentenceEnds(action)
	for i := len(ends) - 1; i >= 0; i-- {
		ways = append(ways, trimEnd(action[:ends[i]])+mark)
	}
	return ways
}

// sentenceEnds are the byte offsets behind the sentences of a text but the last. In doubt a dot ends an abbreviation, and no sentence: it ends one
// behind a word of four letters or more, or of a script without capitals, and before a letter that is not small.
func sentenceEnds(s string) (ends []int) {
	letters, before := 0, ' ' // of the word before this place, and its last sign
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		behind := s[i+size:]
		next, _ := utf8.DecodeRuneInString(strings.TrimLeft(behind, " "))
		begins := strings.HasPrefix(behind, " ") && (unicode.In(next, unicode.Lu, unicode.Lo) || next == '¿' || next == '¡')
		switch {
		case strings.TrimSpace(behind) == "": // the last one
		case strings.ContainsRune("。！？", r) && !strings.ContainsRune(closing, next),
			strings.ContainsRune("!?", r) && begins,
			r == '.' && begins && (letters >= 4 || unicode.Is(unicode.Lo, before)):
			ends = append(ends, i+size)
		}
		if letters++; !unicode.IsLetter(r) {
			letters = 0
		}
		before = r
	}
	return ends
}

// fitForeign leaves to words in a language that is not the reader's what the facts leave: whole, or else a pointer to where they stand.
func (l *smsLead) fitForeign(room, rest int, ucs2 bool, mark string) {
	first := func() int { return weight(l.from+glue(l.phase, l.next, l.domain), ucs2) }
	if first() > room {
		l.phase = ""
	}
	if first() > room {
		l.domain = ""
	}
	rest -= first() + 2
	if weight(l.headline, ucs2)+1+weight(l.told(), ucs2) <= rest {
		return
	}
	l.point()
	l.headline = shorten(l.headline, mark, within(rest-weight(l.action, ucs2), ucs2))
	if strings.HasSuffix(l.headline, mark) && weight(l.headline, ucs2) < 24 { // a scrap says nothing
		l.headline = ""
	}
}

func within(most int, ucs2 bool) func(string) bool {
	return func(s string) bool { return weight(s, ucs2) <= most }
}

// weight is how much of a segment a text takes.
func weight(s string, ucs2 bool) int {
	sum := 0
	for _, r := range s {
		if ucs2 {
			sum += max(1, utf16.RuneLen(r))
		} else {
			sum += max(1, septets(r))
		}
	}
	return sum
}

// glue puts the sentences that say something one behind the other, as [sentences] does.
func glue(parts ...string) string {
	out := ""
	for _, p := range parts {
		if out != "" && p != "" {
			out += gapAfter(out)
		}
		out += p
	}
	return out
}

// domain is the host of the first address that has one.
func domain(addresses ...string) string {
	for _, a := range addresses {
		if u, err := url.Parse(a); err == nil && u.Host != "" {
			return oneLine(u.Host)
		}
	}
	return ""
}
