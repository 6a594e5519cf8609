package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// This file turns updates into words; every sentence comes from package templates.

type updateView struct {
	Number    int
	At        time.Time
	Phase     string
	Headline  template.HTML
	Marks     []string
	Body      template.HTML // the words of package templates, for this channel
	Retracted bool
}

// dueView is the promise of the next word.
type dueView struct {
	At    time.Time
	Count bool // the reader's clock may count down to it
	Late  bool
}

type progressView struct {
	At    time.Time
	Bars  []barView
	Notes string
}

// update words one update. Its anchor stays only on the incident's own page: elsewhere the number may stand twice.
func (r *printing) update(t tongue, in comms.PublicIncident, u templates.Update, anchor bool) (updateView, error) {
	body, err := r.body(t, in, u)
	if err != nil {
		return updateView{}, fmt.Errorf("incident %s, update %d: %w", in.ID, u.Number, err)
	}
	if !anchor {
		body = strings.Replace(body, fmt.Sprintf(` id="update-%d"`, u.Number), "", 1)
	}
	return updateView{
		Number: u.Number, At: u.At, Phase: t.words.T("phase." + phase(u.Statement.Phase)), Headline: t.headline(u),
		Marks: t.marks(u), Body: template.HTML(body), Retracted: u.Retracted,
	}, nil
}

// wording names an update in a language.
type wording struct{ update, locale string }

// body is an update in the words of package templates. Several pages show those of an open incident, so they are worded once and kept while they stay the same;
// what is over stands on pages that are kept whole.
func (r *printing) body(t tongue, in comms.PublicIncident, u templates.Update) (string, error) {
	keep, key := isOpen(in) && r.preview == nil, wording{u.ID, t.locale}
	if keep {
		r.mu.Lock()
		body, had := r.bodies[key]
		r.mu.Unlock()
		if !had && r.known.updates[u.ID] {
			body, had = r.press.bodies[key]
		}
		if had {
			r.keep(key, body)
			return body, nil
		}
	}
	said, err := t.set.Update(templates.OnPage, t.locale, u, t.vendor)
	if keep && err == nil {
		r.keep(key, said.HTML)
	}
	return said.HTML, err
}

func (r *printing) keep(key wording, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies[key] = body
}

// typed are a person's words, marked with the language that they are in where it is not the page's.
func (t tongue) typed(text, in string) template.HTML {
	if text == "" {
		return ""
	}
	return templates.Phrase{{Text: text, Lang: t.foreign(in)}}.HTML()
}

// foreign is a language where it is not the page's own, or "".
func (t tongue) foreign(in string) string {
	if in == t.locale {
		return ""
	}
	return in
}

// headline is an update's, as lists show it.
func (t tongue) headline(u templates.Update) template.HTML {
	return t.typed(u.Statement.HeadlineIn(t.locale))
}

func (r *printing) due(u templates.Update) *dueView {
	at := u.Statement.NextUpdateBy.At
	if at.IsZero() {
		return nil
	}
	return &dueView{At: at, Count: r.live, Late: at.Before(r.public.AsOf)}
}

func (t tongue) progress(f *templates.Figures) *progressView {
	if f == nil || f.Sites.Total == 0 {
		return nil
	}
	v := &progressView{At: f.AsOf, Bars: t.barsOf(*f)}
	if f.Sites.NoAnswer > 0 {
		v.Notes = t.words.T("label.colon", t.words.T("page.figures_confirmed")) + t.words.Number(f.Sites.Confirmed) + t.words.T("meta.dot") +
			t.words.T("label.colon", t.words.T("page.figures_no_answer")) + t.words.Number(f.Sites.NoAnswer)
	}
	return v
}

func (t tongue) marks(u templates.Update) []string {
	var out []string
	if u.Drill {
		out = append(out, t.words.T("mark.drill"))
	}
	if u.Retracted {
		out = append(out, t.words.T("mark.retracted"))
	}
	if u.Corrects > 0 {
		out = append(out, t.words.T("mark.correction", u.Corrects))
	}
	if u.Unread {
		out = append(out, t.words.T("mark.unread"))
	}
	return out
}

// plain is an update as plain text, for the status API.
func (t tongue) plain(u templates.Update) (string, error) {
	said, err := t.set.Update(templates.Tickets, t.locale, u, t.vendor)
	if err != nil {
		return "", fmt.Errorf("update %d: %w", u.Number, err)
	}
	return strings.TrimSpace(said.Text), nil
}

// texts words every update as plain text: in the first language for the status API, and those that the feeds tell in every one.
func (r *printing) texts() error {
	for i, in := range r.public.Incidents {
		tongues := r.press.tongues
		if i >= mostTold {
			tongues = tongues[:1]
		}
		for _, u := range in.Updates {
			said := r.press.plains[u.ID]
			if !r.known.updates[u.ID] {
				said = nil
			}
			said = slices.Clip(said[:min(len(said), len(tongues))])
			for _, t := range tongues[len(said):] {
				text, err := t.plain(u)
				if err != nil {
					return fmt.Errorf("incident %s: %w", in.ID, err)
				}
				said = append(said, text)
			}
			r.plains[u.ID] = said
		}
	}
	return nil
}

// share is what one incident gives to the answers that list many. Editions share it while the incident stays the same.
type share struct {
	facts *encoded  // all structured facts
	doc   *document // of facts
	item  part      // the same in the list of all
	told  []entry   // in the feeds, in the order of the tongues; nil: they do not tell of it
}

// retell makes the shares of what the feeds tell and takes the others' from the last edition.
func (r *printing) retell() error {
	for i, in := range r.public.Incidents {
		s := &share{}
		if had := r.press.shares[in.ID]; had != nil && r.known.same[in.ID] {
			*s = *had
		}
		r.shares[in.ID] = s
		switch {
		case i >= mostTold:
			s.told = nil
		case s.told == nil:
			for i, t := range r.press.tongues {
				e, err := r.entry(t, feedEntry{id: fmt.Sprintf("Incident/%d", in.Number), path: "/incidents/" + in.ID, title: t.title(in), content: escaped(r.story(i, t, in)), published: in.Created, updated: in.Updated})
				if err != nil {
					return err
				}
				s.told = append(s.told, e)
			}
		}
	}
	return nil
}

// story is an incident's updates as HTML, newest first, for feed readers: paragraphs and nothing that a reader might strip.
func (r *printing) story(language int, t tongue, in comms.PublicIncident) string {
	var b strings.Builder
	if len(in.Updates) == 0 {
		fmt.Fprintf(&b, "<p>%s</p>\n", template.HTMLEscapeString(t.words.T("page.entry.text")))
	}
	for _, u := range in.Updates {
		fmt.Fprintf(&b, "<p><strong>%s · %s</strong> %s</p>\n", template.HTMLEscapeString(t.words.T("update.number", u.Number)),
			template.HTMLEscapeString(t.words.T("phase."+phase(u.Statement.Phase))), t.moment(u.At))
		for paragraph := range strings.SplitSeq(r.plains[u.ID][language], "\n\n") {
			lines := strings.Split(strings.TrimSpace(paragraph), "\n")
			for i := range lines {
				lines[i] = template.HTMLEscapeString(lines[i])
			}
			fmt.Fprintf(&b, "<p>%s</p>\n", strings.Join(lines, "<br>\n"))
		}
	}
	return b.String()
}
