package page

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// sheet is what every page shows around its content.
type sheet struct {
	Locale  string
	Title   string
	Summary string // one sentence, for search results and shared links
	Vendor  templates.Vendor
	Tongues []tongueLink
	Home    string
	History string
	Answers string    // path of the questions and answers
	Live    bool      // the reader's clock is the page's: minutes may be counted
	Word    time.Time // when something here last changed
	Dated   bool      // the page says when it was written; the ones that no longer change do not
	Written time.Time
	Look    Own
	Preview []previewLink // the other pages of a preview; empty: it is for readers
}

type tongueLink struct {
	Locale, Name, Path string
	Here               bool
}

type homeView struct {
	sheet
	Tone    string
	Overall string
	Sub     string
	Reports template.HTML // that reports come in of what nobody has confirmed; "": none
	Open    []incidentView
	Plans   []planView
	Groups  []groupView
	Recent  []pastView
	Asked   []answerView // about what is open, the first few
}

type incidentPage struct {
	sheet
	Incident incidentView
}

type historyView struct {
	sheet
	Plans  []planView
	Months []monthView
}

type monthView struct {
	Name      string
	Incidents []pastView
}

type pastView struct {
	Path, State     string
	Title, Headline template.HTML
	Started         time.Time
}

type groupView struct {
	Name    string
	Members []partView
}

type partView struct {
	Name, Kind, State, Tone, About string
	Uptime                         *uptimeView // nil: nothing is known
}

type incidentView struct {
	ID, Path string
	Title    template.HTML
	Alone    bool // it has a page of its own, so its title is the page's
	Tone     string
	Severity string
	Started  time.Time
	Steps    []stepView
	Due      *dueView
	Latest   template.HTML // the newest update, in the words of package templates
	Headline string        // the newest update's, in the page's language where somebody translated it
	Stands   *updateView   // what still holds when the newest word only takes another one back
	Progress *progressView
	Category string
	Follow   string        // only on its own page: where somebody asks to be told of it; "": it is over
	Entry    bool          // nobody has said anything yet
	Reopened bool          // the last word says that it is over, and it is not
	Took     string        // how long after it was found the first word was public; "": it is not known
	Chart    *Chart        // only on its own page
	Promises *promisesView // the same
	Answers  []answerView  // the same
	Earlier  []updateView
	More     bool // there are earlier ones than these
}

type stepView struct {
	Name       string
	Here, Done bool
}

// mostAsked is how many questions the first page names.
const mostAsked = 5

// recentDays is how long a resolved incident stays on the first page.
const recentDays = 14

// sheet starts a page; rest is its path behind the language.
func (r *printing) sheet(t tongue, rest, title, summary string) sheet {
	s := sheet{
		Locale: t.locale, Title: title, Summary: summary, Vendor: r.press.Vendor, Live: r.live, Word: lastWord(r.public), Dated: true, Look: r.own,
		Written: r.public.AsOf, Home: "/" + t.locale + "/", History: "/" + t.locale + "/history", Answers: "/" + t.locale + "/questions",
	}
	for _, other := range r.press.tongues {
		path := "/" + other.locale + "/" + rest
		s.Tongues = append(s.Tongues, tongueLink{Locale: other.locale, Name: other.words.T("lang." + other.locale), Path: path, Here: other.locale == t.locale})
	}
	if r.preview != nil {
		s = r.preview.mark(t, s)
	}
	return s
}

func (r *printing) home(t tongue) (homeView, error) {
	level := overall(r.public)
	said := t.words.T("page.state." + level.name())
	v := homeView{Tone: level.tone(), Overall: said}
	for _, in := range r.public.Incidents {
		switch {
		case isOpen(in):
			open, err := r.incidentView(t, in, false)
			if err != nil {
				return v, err
			}
			v.Open = append(v.Open, open)
			v.Asked = append(v.Asked, r.answersAbout(t, in)...)
		case r.public.AsOf.Sub(in.Updated) < recentDays*24*time.Hour:
			v.Recent = append(v.Recent, t.past(in))
		}
	}
	v.Asked = v.Asked[:min(len(v.Asked), mostAsked)]
	v.Plans = t.plans(r.public, true)
	switch {
	case len(v.Open) > 0:
		v.Sub = t.words.T("label.colon", t.words.T("page.incidents_open")) + t.words.Number(len(v.Open))
	case r.public.Reports == nil:
		v.Sub = t.words.T("page.incidents_none")
	}
	if reports := r.public.Reports; reports != nil {
		text, err := t.said("page.reports", reports.Since)
		if err != nil {
			return v, err
		}
		v.Reports = text
	}
	for _, g := range groups(r.public.Components) {
		view := groupView{Name: g.Name}
		for _, c := range g.Members {
			status := componentStatus(c.Status)
			part := partView{Name: c.Name, State: t.words.T("component." + status), Tone: componentTone(status), About: c.Description}
			if c.Kind != "" {
				part.Kind = t.words.T("page.kind." + c.Kind)
			}
			part.Uptime = t.uptime(c.Uptime)
			view.Members = append(view.Members, part)
		}
		v.Groups = append(v.Groups, view)
	}
	v.sheet = r.sheet(t, "", said+" · "+t.words.T("page.title", r.press.Vendor.Name), strings.TrimSuffix(said+t.words.T("meta.dot")+v.Sub, t.words.T("meta.dot")))
	return v, nil
}

func (r *printing) incident(t tongue, in comms.PublicIncident) (incidentPage, error) {
	v, err := r.incidentView(t, in, true)
	if err != nil {
		return incidentPage{}, err
	}
	p := incidentPage{Incident: v}
	p.sheet = r.sheet(t, "incidents/"+in.ID, t.title(in)+" · "+t.words.T("page.title", r.press.Vendor.Name), v.Headline)
	p.Word = in.Updated
	for _, a := range v.Answers {
		if a.Now.At.After(p.Word) {
			p.Word = a.Now.At
		}
	}
	if !isOpen(in) { // it says the same for ever, so its bytes stay the same too
		p.Live, p.Dated = false, false
	}
	return p, nil
}

func (r *printing) history(t tongue) (historyView, error) {
	v := historyView{Plans: t.plans(r.public, false)}
	for i, in := range r.public.Incidents {
		if i == mostIncidents {
			break
		}
		month := in.Started.UTC().Format("2006-01")
		if n := len(v.Months); n == 0 || v.Months[n-1].Name != month {
			v.Months = append(v.Months, monthView{Name: month})
		}
		last := &v.Months[len(v.Months)-1]
		last.Incidents = append(last.Incidents, t.past(in))
	}
	title := t.words.T("page.history_title")
	v.sheet = r.sheet(t, "history", title+" · "+t.words.T("page.title", r.press.Vendor.Name), title)
	return v, nil
}

// past is an incident in a list.
func (t tongue) past(in comms.PublicIncident) pastView {
	v := pastView{Path: t.path(in), Title: t.titled(in), State: t.words.T("phase." + phase(in.Phase)), Started: in.Started}
	switch u := in.Standing(); {
	case in.Reopened():
		v.Headline = t.typed(t.words.T("page.reopened"), t.locale)
	case u != nil:
		v.Headline = t.headline(*u)
	}
	return v
}

// title is an incident's, or what stands for it while nobody has said anything.
func (t tongue) title(in comms.PublicIncident) string {
	if len(in.Updates) == 0 {
		return t.words.T("page.entry.title")
	}
	return in.Title
}

// titled is an incident's title as pages show it.
func (t tongue) titled(in comms.PublicIncident) template.HTML {
	if len(in.Updates) == 0 {
		return t.typed(t.title(in), t.locale)
	}
	return t.typed(in.Title, in.Language())
}

func (t tongue) path(in comms.PublicIncident) string { return "/" + t.locale + "/incidents/" + in.ID }

// mostEarlier is how many earlier updates stand under an incident on the first page; its own page has all.
const mostEarlier = 5

func (r *printing) incidentView(t tongue, in comms.PublicIncident, alone bool) (incidentView, error) {
	v := incidentView{
		ID: in.ID, Path: t.path(in), Title: t.titled(in), Alone: alone, Tone: levelOfSeverity(in.Severity).tone(),
		Severity: t.words.T("severity." + severity(in.Severity)), Started: in.Started, Steps: t.steps(in.Phase),
	}
	if !isOpen(in) {
		v.Tone = "good"
	}
	if in.Category != "" {
		v.Category = t.category(in.Category)
	}
	v.Entry, v.Reopened = len(in.Updates) == 0, in.Reopened()
	if in.FirstWord != nil && !in.Detected.IsZero() && in.FirstWord.After(in.Detected) {
		v.Took = t.words.T("page.first_word", (in.FirstWord.Sub(in.Detected) + time.Minute - 1).Truncate(time.Minute))
	}
	if alone {
		v.Chart, v.Promises, v.Answers = t.chart(in), t.promises(in, r.public.AsOf), r.answersAbout(t, in)
		if isOpen(in) {
			v.Follow = "/subscribe?incident=" + in.ID + "&lang=" + t.locale
		}
	}
	latest, stands := in.Newest(), in.Standing()
	for i := range in.Updates {
		u := &in.Updates[i]
		if u != latest && u != stands && !alone && len(v.Earlier) == mostEarlier {
			v.More = true
			break
		}
		view, err := r.update(t, in, *u, alone)
		if err != nil {
			return v, err
		}
		if u == stands {
			v.Headline, _ = u.Statement.HeadlineIn(t.locale)
		}
		if u != latest {
			if u == stands {
				v.Stands = &view
			} else {
				v.Earlier = append(v.Earlier, view)
			}
			continue
		}
		v.Latest = view.Body
		if isOpen(in) {
			v.Due, v.Progress = r.due(*u), t.progress(in.Now)
		}
	}
	return v, nil
}

var phases = []string{"investigating", "identified", "monitoring", "resolved"}

func (t tongue) steps(now string) []stepView {
	var out []stepView
	here := slices.Index(phases, phase(now))
	for i, name := range phases {
		out = append(out, stepView{Name: t.words.T("phase." + name), Here: i == here, Done: i < here})
	}
	return out
}

func severity(s string) string {
	if slices.Contains([]string{"P0", "P1", "P2", "P3"}, s) {
		return s
	}
	return "P3"
}

// tone names colour and icon of a level.
func (l level) tone() string {
	return [...]string{"good", "info", "warn", "warn", "warn", "bad", "dire"}[l]
}

func componentTone(status string) string {
	return [...]string{"good", "info", "warn", "bad", "dire"}[rank(status)]
}

// barsOf draws a ledger's figures: by site as far as each stage got, then by customer.
func (t tongue) barsOf(f templates.Figures) []barView {
	of := func(n, total int) string { return t.words.T("page.figures_of", n, total) }
	share := func(n, total int, percent string) string {
		return t.words.T("page.figures_share", n, total, t.words.Decimal(percent))
	}
	rows := []barView{
		{Class: "rebuilt", Text: of(f.Sites.Rebuilt, f.Sites.Total), Width: thousandths(f.Sites.Rebuilt, f.Sites.Total)},
		{Class: "checked", Text: of(f.Sites.Checked, f.Sites.Total), Width: thousandths(f.Sites.Checked, f.Sites.Total)},
		{Class: "sites", Text: share(f.Sites.Restored, f.Sites.Total, f.Sites.Percent), Width: thousandths(f.Sites.Restored, f.Sites.Total)},
		{Class: "customers", Text: share(f.Customers.Restored, f.Customers.Total, f.Customers.Percent), Width: thousandths(f.Customers.Restored, f.Customers.Total)},
	}
	for i := range rows {
		rows[i].Name = t.words.T("page.figures_" + rows[i].Class)
	}
	return rows
}

type barView struct {
	Class, Name, Text string
	Width             int
}

// thousandths is n of total, never rounded up to everything nor down to nothing.
func thousandths(n, total int) int {
	if n <= 0 || total <= 0 {
		return 0
	}
	return max(1, min(1000, n*1000/total))
}
