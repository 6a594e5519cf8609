package page

import (
	"fmt"
	"strings"
	"time"

	"lifeline/comms"
)

// chartView is the curve of what was restored, drawn here so that it needs no script. The drawing is a picture with one sentence that says the
// same, and a table beneath holds its points.
type chartView struct {
	Says             string
	Whole            string // the height of all that there is
	Sites, Customers string // points of two lines; they differ in form, and not in colour alone
	From, To         time.Time
	Points           []comms.CoursePoint
}

// The drawing's own units.
const (
	chartWidth  = 1000
	chartHeight = 240
)

// chart draws an incident's course; nil when there is nothing to draw yet.
func (t tongue) chart(in comms.PublicIncident) *chartView {
	if in.Now == nil || len(in.Course) == 0 || in.Now.Sites.Total == 0 {
		return nil
	}
	last := in.Course[len(in.Course)-1]
	v := &chartView{From: in.Started, To: last.At, Points: in.Course, Whole: t.words.T("page.chart_whole", 100)}
	if !v.From.Before(in.Course[0].At) {
		v.From = in.Course[0].At
	}
	f := in.Now
	v.Sites = v.line(func(p comms.CoursePoint) int { return p.Sites }, f.Sites.Total)
	v.Customers = v.line(func(p comms.CoursePoint) int { return p.Customers }, f.Customers.Total)
	v.Says = t.words.T("page.chart_says", v.From, v.To, last.Sites, f.Sites.Total, last.Customers, f.Customers.Total)
	return v
}

// line is a curve in steps: between two moments nothing was restored.
func (v *chartView) line(of func(comms.CoursePoint) int, total int) string {
	var b strings.Builder
	span := max(v.To.Sub(v.From), time.Second)
	y := chartHeight
	fmt.Fprintf(&b, "0,%d", y)
	for _, p := range v.Points {
		x := int(int64(p.At.Sub(v.From)) / int64(span/chartWidth))
		x = max(0, min(chartWidth, x))
		to := chartHeight - thousandths(of(p), total)*chartHeight/1000
		fmt.Fprintf(&b, " %d,%d %d,%d", x, y, x, to)
		y = to
	}
	return b.String()
}

// promiseView is one promise of a next word, and what became of it.
type promiseView struct {
	Number int
	Due    time.Time
	Says   string
	Tone   string
}

type promisesView struct {
	Says string // how many were kept and how many not
	All  []promiseView
}

// promises words the record of an incident's promises; nil when none was made.
func (t tongue) promises(in comms.PublicIncident, now time.Time) *promisesView {
	if len(in.Promises) == 0 {
		return nil
	}
	v := &promisesView{}
	kept, late := 0, 0
	for _, p := range in.Promises {
		if p.Kept.IsZero() && !isOpen(in) {
			continue // the incident's end was the last word
		}
		row := promiseView{Number: p.Update, Due: p.Due, Tone: "good"}
		switch by := p.Late(now).Truncate(time.Minute); {
		case by > 0 && p.Kept.IsZero():
			late++
			row.Says, row.Tone = t.words.T("page.promise_broken", by), "bad"
		case by > 0:
			late++
			row.Says, row.Tone = t.words.T("page.promise_late", by), "warn"
		case p.Kept.IsZero():
			row.Says, row.Tone = t.words.T("page.promise_open"), "info"
		default:
			kept++
			row.Says = t.words.T("page.promise_kept")
		}
		v.All = append(v.All, row)
	}
	v.Says = t.words.T("page.promises", kept, late)
	return v
}

// category is how people call an incident's category: the operator's own name, or the catalog's.
func (t tongue) category(name string) string {
	if key := "category." + name; t.words.Has(key) {
		return t.words.T(key)
	}
	return name
}
