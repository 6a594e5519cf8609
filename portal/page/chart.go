package page

import (
	"fmt"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/templates"
)

// Chart is the curve of what was restored, drawn here so that it needs no script. The drawing is a picture with one sentence that says the
// same, and a table beneath holds its points.
type Chart struct {
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

// Draw draws an incident's course from when the incident began; nil when there is nothing to draw yet.
func Draw(words templates.Catalog, began time.Time, now templates.Figures, course []comms.CoursePoint) *Chart {
	if len(course) == 0 || now.Sites.Total == 0 {
		return nil
	}
	last := course[len(course)-1]
	c := &Chart{From: began, To: last.At, Points: course, Whole: words.T("page.chart_whole", 100)}
	if !c.From.Before(course[0].At) {
		c.From = course[0].At
	}
	c.Sites = c.line(func(p comms.CoursePoint) int { return p.Sites }, now.Sites.Total)
	c.Customers = c.line(func(p comms.CoursePoint) int { return p.Customers }, now.Customers.Total)
	c.Says = words.T("page.chart_says", c.From, c.To, last.Sites, now.Sites.Total, last.Customers, now.Customers.Total)
	return c
}

// chart is the course of an incident of the page.
func (t tongue) chart(in comms.PublicIncident) *Chart {
	if in.Now == nil {
		return nil
	}
	return Draw(t.words, in.Started, *in.Now, in.Course)
}

// line is a curve in steps: between two moments nothing was restored.
func (c *Chart) line(of func(comms.CoursePoint) int, total int) string {
	var b strings.Builder
	span := max(c.To.Sub(c.From), time.Second)
	y := chartHeight
	fmt.Fprintf(&b, "0,%d", y)
	for _, p := range c.Points {
		x := int(int64(p.At.Sub(c.From)) / int64(span/chartWidth))
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
