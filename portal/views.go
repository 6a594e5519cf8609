package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/portal/web"
	"lifeline/templates"
)

// Views are parsed once, all of them, at the first page; a broken one is found by the first test that renders anything.
type views struct {
	once sync.Once
	set  *template.Template
	err  error
}

var viewFiles = []string{
	"form_layout.html", "form_support.html", "form_receipt.html", "form_ticket.html", "form_error.html",
	"desk_layout.html", "desk_signin.html", "desk_home.html", "desk_room.html", "desk_live.html", "desk_editor.html", "desk_tickets.html", "desk_ticket.html", "desk_lists.html",
}

func (v *views) render(name string, view any) ([]byte, error) {
	v.once.Do(func() {
		v.set, v.err = web.Parse(template.FuncMap{
			"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
			"clock":   func(t time.Time) string { return t.UTC().Format("2 Jan 15:04") + " UTC" },
			"field":   supportView.Field,
			"ed":      editorView.Input,
			"until":   func(now, t time.Time) time.Duration { return t.Sub(now).Abs().Round(time.Minute) },
			"tone":    func(severity string) string { return tones[severity] },
			"told":    func(r *comms.Reach) int { return r.States[comms.Sent] + r.States[comms.Delivered] },
			"settled": settled,
			"people": func(all []previewAnswer) int {
				if len(all) == 0 {
					return 0
				}
				return all[0].People
			},
			"count":      count,
			"holder":     holder,
			"share":      share,
			"paragraphs": paragraphs,
			"reasons":    reasons,
			"logline":    logLine,
			"lines":      func(s string) []string { return strings.Split(s, "\n") },
		}, viewFiles...)
	})
	if v.err != nil {
		return nil, fmt.Errorf("parse the pages: %w", v.err)
	}
	var b bytes.Buffer
	if err := v.set.ExecuteTemplate(&b, name, view); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// tones give each severity its colour; its letters say the same.
var tones = map[string]string{"P0": "tone-dire", "P1": "tone-bad", "P2": "tone-warn", "P3": "tone-info"}

// settled counts the people of whom nothing more is to come.
func settled(r *comms.Reach) int {
	open := 0
	for _, s := range []comms.State{comms.Queued, comms.Sending, comms.Deferred} {
		open += r.States[s]
	}
	return max(0, r.Audience.People-open)
}

func count(c templates.Count) string {
	if c.State == templates.CountKnown {
		return strconv.Itoa(c.N)
	}
	return templates.NotKnown
}

// holder is a person's id without what kind of id it is.
func holder(id string) string {
	_, name, found := strings.Cut(id, ":")
	if !found {
		return id
	}
	return name
}

// share is where n of total lies on a bar of 1000, and 0 when there is no total.
func share(n, total int) int {
	if total <= 0 {
		return 0
	}
	return min(1000, n*1000/total)
}

// paragraphs are a text's, as its writer parted them with empty lines.
func paragraphs(s string) []string { return splitList(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") }

// reasons puts "email: bounced; sms: no_address" into words; a relay's own words stay as they are.
func reasons(words templates.Catalog, all string) string {
	var out []string
	for _, one := range strings.Split(all, "; ") {
		channel, reason, found := strings.Cut(one, ": ")
		if !found {
			channel, reason = "", one
		}
		if key := "desk.reason." + reason; words.Has(key) {
			reason = words.T(key)
		}
		out = append(out, strings.TrimPrefix(channel+": "+reason, ": "))
	}
	return strings.Join(out, "; ")
}

// logLine is the sentence for a code of the incident's log.
func logLine(words templates.Catalog, what string) string {
	if key := "desk.log." + what; words.Has(key) {
		return words.T(key)
	}
	return what
}

// editorInput is one field of the editor with what the last update said in it and what is found in it.
type editorInput struct {
	Name, Value, Label string
	Was                string // as it stood in the last update's form
	WasSaid            string // the same in words
	Copy, CopyOf       string // words for the button that takes Was
	Found              []comms.Finding
	Options            []option
}

type option struct{ Value, Label string }

// Input makes a field of the editor; options make it a choice.
func (v editorView) Input(name string, options ...string) editorInput {
	in := editorInput{Name: name, Value: v.Form[name], Was: v.Was[name], WasSaid: v.Was[name], Label: v.Words.T("desk.f." + name), Found: v.Found(name),
		Copy: v.Words.T("desk.copy"), CopyOf: v.Words.T("desk.copy.of", v.Words.T("desk.f."+name))}
	for _, o := range options {
		in.Options = append(in.Options, option{o, v.Words.T("desk.o." + o)})
		if o == in.Was {
			in.WasSaid = v.Words.T("desk.o." + o)
		}
	}
	return in
}
