package templates

import (
	"slices"
	"strings"
)

// What a vendor owes beside the figures: which of them changed and why, what is established, why it takes long, an apology, what it was not, and lines
// that a reader can hand on.

// change is a figure that differs from the update before.
type change struct {
	counts   bool   // sites or customers
	label    Phrase // none: the figures name their unit themselves
	from, to Phrase
	why      Phrase
}

// full names the old, the new and the reason.
func (c change) full(w *writer) Phrase {
	return join("", c.label, w.say("affected.changed", c.from, c.to, c.why))
}

func (w *writer) changes() (all []change) {
	if w.u.Before == nil || w.u.Corrects > 0 {
		return nil
	}
	b, now := *w.u.Before, w.st
	for _, figure := range b.Differs(now) {
		c := change{why: w.sentence(now.Changed[figure]), counts: figure == FigureSites || figure == FigureCustomers}
		switch figure {
		case FigureSites:
			c.from, c.to = w.countOr(b.Affected.Sites, w.sites), w.countOr(now.Affected.Sites, w.sites)
		case FigureCustomers:
			c.from, c.to = w.countOr(b.Affected.Customers, w.customers), w.countOr(now.Affected.Customers, w.customers)
		case FigureUsers:
			c.from, c.to = w.usersOr(b.Affected.Users), w.usersOr(now.Affected.Users)
		case FigureTimeline:
			c.label, c.from, c.to = w.say("label.colon", w.T("update.recovery")), w.orUnknown(w.when(b.Timeline)), w.orUnknown(w.when(now.Timeline))
		case FigureLoss:
			c.label, c.from, c.to = w.say("label.colon", w.T("update.data_loss")), w.orUnknown(w.lost(b.DataLoss)), w.orUnknown(w.lost(now.DataLoss))
		}
		all = append(all, c)
	}
	return all
}

func (w *writer) countOr(c Count, say func(int) Phrase) Phrase {
	if c.State != CountKnown {
		return w.say("sms.not_known")
	}
	return say(c.N)
}

func (w *writer) usersOr(a Amount) Phrase {
	if a.State != CountKnown {
		return w.say("sms.not_known")
	}
	return w.amount(a)
}

// orUnknown is what can be said in few words of an estimate.
func (w *writer) orUnknown(said, told Phrase) Phrase {
	switch {
	case told != nil:
		return told
	case said != nil:
		return said
	}
	return w.say("sms.not_known")
}

// smsChanged is what was said before of the figures that changed: of sites and customers at least. When there is room it says why they did, each reason
// once; words that the reader may not understand wait for room too.
func (w *writer) smsChanged() (rank int, text, more Phrase) {
	var counts, all, whys []Phrase
	for _, c := range w.changes() {
		if all = append(all, c.from); c.counts {
			counts = append(counts, c.from)
		}
		if !slices.ContainsFunc(whys, func(p Phrase) bool { return p.String() == c.why.String() }) {
			whys = append(whys, c.why)
		}
	}
	if len(all) == 0 {
		return 0, nil, nil
	}
	if len(counts) == 0 {
		counts = all
	}
	text, more = w.say("sms.before", join(w.T("list.comma"), counts...)), w.say("sms.before", join(w.T("list.comma"), all...))
	return 5, text, sentences(more, w.say("sms.why_changed", sentences(whys...)))
}

func (w *writer) changed() (out []Phrase) {
	for _, c := range w.changes() {
		out = append(out, c.full(w))
	}
	return out
}

// unaffected is the share that nothing happened to, of all that is on record.
func (w *writer) unaffected() []Phrase {
	f := w.u.Restored
	if !w.st.Unaffected || f == nil || f.Stored == nil {
		return nil
	}
	s := f.Stored
	figures := join(w.T("list.comma"), w.say("restored.sites", s.Sites, s.UnaffectedSites, w.Decimal(s.SitesPercent)),
		w.say("restored.customers", s.Customers, s.Unaffected, w.Decimal(s.CustomersPercent)))
	return []Phrase{w.say("restored.is_as_of", figures, w.at(f.AsOf))}
}

// picture says of each part of the whole how far it is established, each with a confidence of its own.
func (w *writer) picture() (out []Phrase) {
	p := w.st.Picture
	for _, part := range []struct {
		name string
		Established
	}{{"site_list", p.SiteList}, {"contacts", p.Contacts}, {"restore_scope", p.RestoreScope}} {
		if part.State != "" {
			out = append(out, sentences(w.say("picture."+part.name, w.word("picture."+part.name+".state", "picture.is.", part.State)),
				w.confidence("picture."+part.name+".confidence", part.Confidence)))
		}
	}
	return out
}

// ApologyStandard is the apology that every language has words for.
const ApologyStandard = "standard"

func (w *writer) apology() []Phrase {
	if w.st.Apology == ApologyStandard {
		return []Phrase{w.say("apology.standard")}
	}
	return w.paragraphs(w.st.Apology)
}

func (w *writer) wasNot() (out []Phrase) {
	for _, what := range w.st.WasNot {
		out = append(out, Phrase{{Text: w.word("was_not", "was_not.", what)}})
	}
	return out
}

// passOn is a passage that stands alone: a customer has to explain the case to her own people, who did not get the rest. Nothing in it is personal.
func (s *Sheet) passOn(w *writer) {
	if w.u.Corrects > 0 || w.u.Retracted {
		return
	}
	headline := join("", w.say("label.colon", w.v.Name), w.sentence(s.Headline.String()))
	items := []Phrase{sentences(headline, w.howMany(), w.passed("recovery", s), w.passed("data_loss", s), w.passed("restored", s))}
	if len(s.Next) > 0 {
		items = append(items, join("", w.say("label.colon", w.T(s.NextLabel())), s.Next))
	}
	if s.Page != nil {
		items = append(items, join("", w.say("label.colon", w.T("update.page")), s.Page))
	}
	s.add(w, "pass_on", []Phrase{w.say("pass_on.intro")}, items)
}

// howMany is the count with its label, and what nobody knows yet.
func (w *writer) howMany() (out Phrase) {
	if count := w.count(); count != nil {
		out = join("", w.say("label.colon", w.T("update.affected")), count)
	}
	switch {
	case w.folded():
		return sentences(out, w.fold())
	case out == nil && w.countsUnknown():
		return w.say("affected.not_known")
	}
	return out
}

// passed is the first line of a fact of the sheet. Recovery and loss, which read as sentences, stand without their label, unless only a direction is known: two estimates in one
// passage would not say of what.
func (w *writer) passed(key string, s *Sheet) Phrase {
	for _, f := range s.Facts {
		if f.Key != key || len(f.Lines) == 0 {
			continue
		}
		if key == "restored" || key == "recovery" && w.st.Timeline.Kind == "direction" || key == "data_loss" && w.st.DataLoss.Kind == "direction" {
			return join("", Phrase{{Text: w.T("label.colon", strings.TrimSpace(f.Label))}}, f.Lines[0])
		}
		return f.Lines[0]
	}
	return nil
}
