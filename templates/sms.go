package templates

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
)

// An SMS has at most so many segments, in any language.
const maxSegments = 3

// sms is the update in at most three segments. The first one stands alone: who speaks, what changed, what to do, when the next word
// comes, and where the rest is. Behind it stand whole facts, as many as fit, in order of need; words of a person may be
// shortened, a fact never is.
func (w writer) sms() (string, error) {
	w.brief, w.most = true, 60
	facts := w.smsFacts()
	lead := w.smsLead()
	if w.err != nil {
		return "", w.err
	}
	all := lead.String()
	for _, f := range facts {
		all += "\n" + f.text
	}
	mark, plain := "…", func(s string) string { return s }
	if gsm(plainer.Replace(all)) {
		mark, plain = "...", plainer.Replace
	}
	lead.plain(plain)
	lead.fit(!gsm(plain(all)), mark)
	return assemble(lead.String(), facts, plain), nil
}

// smsFact is a sentence with its rank: the lower, the sooner it gets its place. Facts stand in the order of reading.
type smsFact struct {
	text string
	rank int
}

// assemble adds the facts that fit, by rank, and writes them in the order of reading.
func assemble(lead string, facts []smsFact, plain func(string) string) string {
	in := make([]bool, len(facts))
	text := func() string {
		out := lead
		for i, f := range facts {
			if in[i] {
				out += "\n" + plain(f.text)
			}
		}
		return out
	}
	for rank := range 10 {
		for i, f := range facts {
			if f.rank != rank || f.text == "" {
				continue
			}
			in[i] = true
			if n, _ := Segments(text()); n > maxSegments {
				in[i] = false
			}
		}
	}
	return text()
}

func (w *writer) smsFacts() []smsFact {
	var out []smsFact
	add := func(rank int, key string, said ...Phrase) {
		if p := join(w.T("sentence.gap"), said...); len(p) > 0 {
			if key != "" {
				p = w.say(key, p)
			}
			out = append(out, smsFact{text: p.String(), rank: rank})
		}
	}
	if w.u.FirstWord {
		add(3, "", w.say("sms.assured"))
	}
	if w.u.Unread {
		add(2, "", w.say("mark.unread"))
	}
	if w.st.NoChange {
		add(4, "", w.say("mark.no_change"))
	}
	if w.folded() {
		add(2, "", w.fold())
	}
	add(5, "sms.affected", w.smsAffected()...)
	add(5, "sms.recovery", w.recovery()...)
	add(6, "sms.data_loss", w.dataLoss()...)
	add(0, "", w.smsRestored())
	add(7, "", w.security()...)
	add(1, "", w.smsSupport())
	add(4, "", w.page())
	return out
}

func (w *writer) smsAffected() []Phrase {
	if count := w.count(); count != nil {
		return []Phrase{count, w.confidence("affected.confidence", w.st.Affected.Confidence)}
	}
	if w.countsUnknown() && !w.folded() {
		return []Phrase{w.say("affected.not_known")}
	}
	return nil
}

func (w *writer) smsRestored() Phrase {
	f := w.u.Restored
	if f == nil || f.Sites.Total == 0 {
		return w.say("sms.restored_not_known")
	}
	figures := w.say("sms.sites", f.Sites.Restored, f.Sites.Total, oneLine(f.Sites.Percent))
	if f.Customers.Total > 0 {
		figures = join(w.T("list.comma"), figures, w.say("sms.customers", f.Customers.Restored, f.Customers.Total, oneLine(f.Customers.Percent)))
	}
	if f.AsOf.IsZero() {
		return w.say("sms.restored", figures)
	}
	return w.say("sms.restored_as_of", figures, w.at(f.AsOf))
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
	l := smsLead{
		gap:      w.T("sentence.gap"),
		from:     join("", append(marks, from)...).String(),
		headline: ended(cmp.Or(oneLine(w.st.Headline), oneLine(w.u.Incident.Title))),
		domain:   domain(w.v.URL, w.u.Incident.URL),
		foreign:  w.foreign() != "",
	}
	if w.st.Phase != "" {
		l.phase = ended(w.word("phase", "phase.", w.st.Phase))
	}
	if nothing(w.st.YourAction) {
		l.action = w.T("sms.action_nothing")
	} else if text := oneLine(w.st.YourAction); text != "" {
		l.label, l.action = w.T("sms.action"), ended(text)
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
	gap, from, phase, headline, label, action, next, domain string
	foreign                                                 bool
}

func (l smsLead) String() string {
	said := glue(l.gap, l.headline, l.told())
	if l.foreign {
		return l.from + glue(l.gap, l.phase, l.next, l.domain) + "\n" + said
	}
	return l.from + glue(l.gap, said, l.next, l.domain)
}

func (l smsLead) told() string {
	if l.action == "" {
		return ""
	}
	return l.label + l.action
}

// plain puts every part through f.
func (l *smsLead) plain(f func(string) string) {
	for _, s := range []*string{&l.from, &l.phase, &l.headline, &l.label, &l.action, &l.next, &l.domain} {
		*s = f(*s)
	}
}

// fit shortens the person's words so that the first segment holds what it must. Headline and action share what is left, the action never
// less than two fifths of it when it needs them.
func (l *smsLead) fit(ucs2 bool, mark string) {
	room, behind := 153, 200
	if ucs2 {
		room, behind = 67, 80
	}
	bare := *l
	bare.headline, bare.label, bare.action = "", "", ""
	left := room - weight(bare.String(), ucs2) - 2*len(l.gap)
	if l.foreign && left >= 0 {
		left = behind // in segments of their own
	}
	if left < 16 && l.domain != "" { // an endless host name; the link stands further down
		l.domain = ""
		l.fit(ucs2, mark)
		return
	}
	within := func(n int) func(string) bool { return func(s string) bool { return weight(s, ucs2) <= n } }
	head, told := weight(l.headline, ucs2), weight(l.told(), ucs2)
	if head+told <= left {
		return
	}
	forAction := min(told, max(left-head, left*2/5))
	l.headline = shorten(l.headline, mark, within(left-forAction))
	l.action = shorten(l.action, mark, within(forAction-weight(l.label, ucs2)))
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

// glue puts the parts that say something one behind the other.
func glue(gap string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), gap)
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
