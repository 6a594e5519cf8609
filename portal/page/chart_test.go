package page

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lifeline/templates"
)

// The incident's own page draws how sites came back, says the same in words and in a table, and keeps the record of its promises.
func TestAnIncidentsPageShowsItsCourseAndItsPromises(t *testing.T) {
	press := samplePress(t, "")
	p := sampleRecovery()
	e, err := press.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	in := p.Incidents[0]
	for _, locale := range templates.Locales() {
		words, path := press.Words.Catalog(locale), "/"+locale+"/incidents/"+sampleID
		got := pageText(t, e, path)
		for _, want := range []string{words.T("page.category") + ": " + words.T("category.data"), words.T("page.promises", 1, 1), words.T("page.promise_open"),
			words.T("page.promise_late", in.Promises[1].Late(p.AsOf)), words.T("page.chart")} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		root, err := html.Parse(bytes.NewReader(e.Body(path, "")))
		if err != nil {
			t.Fatal(err)
		}
		lines, cells, says := 0, 0, ""
		for n := range root.Descendants() {
			switch n.Data {
			case "polyline":
				lines++
				for _, a := range n.Attr {
					if a.Key == "points" && (!strings.HasPrefix(a.Val, "0,240 ") || !strings.Contains(a.Val, " 1000,")) {
						t.Errorf("%s: a line does not reach from end to end: %s", path, a.Val)
					}
				}
				for _, a := range n.Parent.Attr {
					if a.Key == "aria-label" {
						says = a.Val
					}
				}
			case "td":
				cells++
			}
		}
		if want := words.T("page.chart_says", in.Started, in.Course[2].At, 112, 883, 64, 775); lines != 2 || cells != 9 || says != want {
			t.Errorf("%s: %d lines, %d cells, says %q, want %q", path, lines, cells, says, want)
		}
	}
	if got := pageText(t, e, "/en/"); strings.Contains(got, "Restored over time") || !strings.Contains(got, "API (API)") || !strings.Contains(got, "Sign-in (Supplier's software)") {
		t.Error("the first page draws the curve, or does not name the kinds of its components")
	}
	p.Incidents[0].Category = "Ours alone"
	if e, err = press.Render(p); err != nil || !strings.Contains(pageText(t, e, "/ja/"), "Ours alone") {
		t.Errorf("an operator's own name for a category is not shown: %v", err)
	}
}
