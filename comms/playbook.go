package comms

import (
	"context"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"lifeline/store"
	"lifeline/store/fault"
)

// Playbooks and runbooks are checklists whose name begins with [PlaybookPrefix]: what to do, by which role, in a grave incident of some kind. Steps are done or
// skipped with a reason; no step waits for another, because a list that was written in peace does not know the case.

// PlaybookPrefix is what the name of a playbook begins with among the names of checklists.
const PlaybookPrefix = "playbook:"

// anyCategory is the entry of the policy's playbooks for every category.
const anyCategory = "default"

//go:embed playbooks/*.yaml
var shipped embed.FS

// shippedPlaybook is a playbook as it comes with the program, which is its version 1 until somebody publishes a better one.
func shippedPlaybook(name string) (l Checklist, err error) {
	name, is := strings.CutPrefix(name, PlaybookPrefix)
	b, err := shipped.ReadFile("playbooks/" + name + ".yaml")
	if !is || err != nil {
		return l, fault.New(fault.NotFound, "there is no playbook %.60q", name)
	}
	var file struct {
		Title, About   string
		Titles, Abouts Said
		Items          []Item
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return l, fmt.Errorf("read the playbook %s: %w", name, err)
	}
	for i := range file.Items {
		file.Items[i].MayBeNA = true
	}
	l = Checklist{Name: PlaybookPrefix + name, Title: file.Title, Titles: file.Titles, About: strings.TrimSpace(file.About), Abouts: file.Abouts, Items: file.Items}
	return l.after(Checklist{}), nil
}

// shippedPlaybooks are the names of those that come with the program.
func shippedPlaybooks() (names []string) {
	files, err := shipped.ReadDir("playbooks")
	if err != nil {
		return nil
	}
	for _, f := range files {
		names = append(names, PlaybookPrefix+strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

func defaultPlaybooks() map[string][]string {
	return map[string][]string{anyCategory: {"major_incident"}, "data": {"data_deletion"}, "availability": {"region_lost"}, "security": {"security_breach"}, "third_party": {"provider_lost"}}
}

// Playbook is one playbook of an incident and how far it is.
type Playbook struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Number  int            `json:"number"` // of the version, which it keeps
	Title   string         `json:"title"`
	Titles  Said           `json:"titles,omitempty"`
	About   string         `json:"about"`
	Abouts  Said           `json:"abouts,omitempty"`
	By      string         `json:"by"` // who began it
	BeganAt time.Time      `json:"began_at"`
	EndedAt *time.Time     `json:"ended_at"`
	Done    int            `json:"done"`
	Skipped int            `json:"skipped"`
	Steps   []PlaybookStep `json:"steps"`
}

// PlaybookStep is one step of a playbook with what became of it.
type PlaybookStep struct {
	Key   string     `json:"key"`
	Text  string     `json:"text"`
	Texts Said       `json:"texts,omitempty"`
	Role  string     `json:"role"`
	Stage int        `json:"stage"`
	State string     `json:"state"` // done, na (skipped), or "" while it is open
	Note  string     `json:"note"`  // what was written down, or why it was skipped
	By    string     `json:"by"`
	At    *time.Time `json:"at"`
}

// Next is the first step that is open; nil when none is.
func (b Playbook) Next() *PlaybookStep {
	for _, s := range b.Steps {
		if s.State == "" {
			return &s
		}
	}
	return nil
}

// In is the playbook as a reader of that language reads it.
func (b Playbook) In(locale string) Playbook {
	b.Title, b.About = b.Titles.Of(b.Title, locale), b.Abouts.Of(b.About, locale)
	b.Steps = slices.Clone(b.Steps)
	for i, s := range b.Steps {
		b.Steps[i].Text = s.Texts.Of(s.Text, locale)
	}
	return b
}

func playbook(rec store.Rec[Run], l Checklist) Playbook {
	v := rec.Value
	b := Playbook{ID: rec.ID, Name: strings.TrimPrefix(l.Name, PlaybookPrefix), Number: l.Number, Title: l.Title, Titles: l.Titles, About: l.About, Abouts: l.Abouts, By: v.By, BeganAt: v.StartedAt}
	if !v.EndedAt.IsZero() {
		b.EndedAt = &v.EndedAt
	}
	for _, it := range l.Items {
		res := v.Results[it.Key]
		s := PlaybookStep{Key: it.Key, Text: it.Text, Texts: it.Texts, Role: it.Role, Stage: it.Stage, State: res.State, Note: res.Value, By: res.By}
		switch res.State {
		case ItemDone:
			b.Done++
		case ItemNA:
			b.Skipped++
			s.Note = res.Why
		}
		if res.State != "" {
			s.At = &res.At
		}
		b.Steps = append(b.Steps, s)
	}
	slices.SortStableFunc(b.Steps, func(a, z PlaybookStep) int { return a.Stage - z.Stage })
	return b
}

// playbooksOf are the playbooks of an incident, oldest first.
func (r *Room) playbooksOf(tx *store.Tx, incident string) (all []Playbook, err error) {
	recs, err := r.RunsOf(tx, incident)
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		l, err := r.ChecklistIn(tx, rec.Value.List)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(l.Name, PlaybookPrefix) {
			all = append(all, playbook(rec, l))
		}
	}
	return all, nil
}

// PlaybooksOf are the playbooks of an incident and how far each is, oldest first.
func (r *Room) PlaybooksOf(ctx context.Context, incident string) (all []Playbook, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		all, err = r.playbooksOf(tx, in.ID)
		return err
	})
	return all, err
}

// Playbooks are all playbooks in their newest version, by name; one that nobody has published yet has the number 0 and stands as it came with the program.
func (r *Room) Playbooks(ctx context.Context) (all []Checklist, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		lists, err := r.newestLists(tx)
		if err != nil {
			return err
		}
		all = nil
		for _, l := range lists {
			if !strings.HasPrefix(l.Name, PlaybookPrefix) {
				continue
			}
			if l.By == byPolicy { // it is begun in the languages that the program has by now
				ours, _, err := r.unpublished(l.Name)
				if err != nil {
					return err
				}
				l.Checklist = l.after(ours)
			}
			all = append(all, l.Checklist)
		}
		return nil
	})
	return all, err
}

// beginPlaybooks begins, when a grave incident is declared or becomes grave, what the policy names for every one and for its category.
func (r *Room) beginPlaybooks(tx *store.Tx, id, by string, in Incident) error {
	if !grave(in.Severity) {
		return nil
	}
	have, err := r.playbooksOf(tx, id)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(r.Policy.Playbooks[anyCategory], r.Policy.Playbooks[in.Category]) {
		if slices.ContainsFunc(have, func(b Playbook) bool { return b.Name == name }) {
			continue
		}
		_, err := r.beginPlaybook(tx, id, by, name)
		if fault.Of(err) == fault.NotFound { // no slip of the policy keeps anybody from declaring
			err = r.note(tx, id, by, "playbook_missing", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Room) beginPlaybook(tx *store.Tx, id, by, name string) (b Playbook, err error) {
	l, err := r.NewestChecklist(tx, PlaybookPrefix+name)
	if err != nil {
		return b, err
	}
	rec, err := r.BeginRun(tx, Run{List: l.ID, Of: id, By: by}) // no incident: the times of its steps are not those of site checks
	return playbook(rec, l.Value), err
}

// Begin begins a playbook in an incident by hand. The same one runs once at a time.
func (r *Room) Begin(ctx context.Context, by, incident, name string) (b Playbook, err error) {
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "playbook.begin"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.notClosed(); err != nil {
			return err
		}
		have, err := r.playbooksOf(tx, in.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(have, func(b Playbook) bool { return b.Name == name && b.EndedAt == nil }) {
			return fault.New(fault.Conflict, "the playbook %s runs in this incident already", name)
		}
		tx.On(in.ID)
		if b, err = r.beginPlaybook(tx, in.ID, by, name); fault.Of(err) == fault.NotFound {
			return fault.BadField("name", "is %.60q, and there is no such playbook", name)
		} else if err != nil {
			return err
		}
		return r.note(tx, in.ID, by, "playbook", fmt.Sprintf("%s, version %d", b.Title, b.Number))
	})
	return b, err
}

// StepForm is what became of a step: done, with a note or without, or skipped with the reason; "" takes it back.
type StepForm struct {
	State string `json:"state"` // done, skipped, ""
	Note  string `json:"note,omitempty"`
}

// MarkSteps marks steps of a playbook. Each is kept with who marked it and when, and stands in the log of the incident.
func (r *Room) MarkSteps(ctx context.Context, by, incident, run string, steps map[string]StepForm) (b Playbook, err error) {
	found := map[string]Result{}
	var f []fault.Field
	for key, s := range steps {
		switch s.State {
		case "skipped":
			found[key] = Result{State: ItemNA, Why: strings.TrimSpace(s.Note)}
		case ItemDone, "":
			found[key] = Result{State: s.State, Value: strings.TrimSpace(s.Note)}
		default:
			f = append(f, wrong("results."+bounded(key), "is %.20q; a step is done, skipped, or taken back", s.State))
		}
	}
	if len(steps) == 0 {
		f = append(f, missing("steps"))
	}
	if len(f) > 0 {
		return b, fault.BadFields(f...)
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "playbook.step"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		rec, err := r.RunIn(tx, run)
		if err != nil {
			return err
		}
		if rec.Value.Of != in.ID {
			return fault.New(fault.NotFound, "this incident has no such playbook")
		}
		began := rec.Value.By
		was := rec.Value.Results
		tx.On(run, in.ID)
		rec, l, err := r.Mark(tx, rec, by, found, nil, tx.Now())
		if err != nil {
			return err
		}
		for _, it := range l.Items {
			res, had := rec.Value.Results[it.Key], was[it.Key]
			if res.State == had.State && res.Value == had.Value && res.Why == had.Why {
				continue
			}
			what, text := map[string]string{ItemDone: "step_done", ItemNA: "step_skipped", "": "step_reopened"}[res.State], it.Text
			if why := res.Why + res.Value; why != "" {
				text += ": " + why
			}
			if err := r.note(tx, in.ID, by, what, text); err != nil {
				return err
			}
		}
		b = playbook(rec, l)
		b.By = began
		return nil
	})
	return b, err
}

// playbookReview is the task by which a closed incident makes its playbooks better. It is ended with what was found, as every review.
const playbookReview = reviewFamily + ".playbook"

// endPlaybooks ends the playbooks of an incident that is closed, and owes the review of them.
func (r *Room) endPlaybooks(tx *store.Tx, id string, in Incident) error {
	recs, err := r.RunsOf(tx, id)
	if err != nil {
		return err
	}
	var said []string
	for _, rec := range recs {
		l, err := r.ChecklistIn(tx, rec.Value.List)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(l.Name, PlaybookPrefix) || !rec.Value.EndedAt.IsZero() {
			continue
		}
		if rec, err = r.EndRun(tx, rec, Closed); err != nil {
			return err
		}
		b := playbook(rec, l)
		said = append(said, fmt.Sprintf("%s version %d, %d of %d done, %d skipped", b.Name, b.Number, b.Done, len(b.Steps), b.Skipped))
	}
	title := fmt.Sprintf("Update the playbooks with what incident %d taught", in.Number)
	if len(said) > 0 {
		title += ": " + strings.Join(said, "; ")
	}
	_, err = r.Owe(tx, Task{What: playbookReview, Of: id, Incident: id, Title: string([]rune(title)[:min(len([]rune(title)), taskTitle.most)])})
	return err
}

var playbookForm = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

func (p Policy) badPlaybooks(f []fault.Field) []fault.Field {
	for category, names := range p.Playbooks {
		field := "comms.playbooks." + bounded(category)
		if category != anyCategory && !slices.Contains(p.Categories, category) {
			f = append(f, wrong(field, "names no category of comms.categories"))
		}
		for i, name := range names {
			if !playbookForm.MatchString(name) {
				f = append(f, wrong(fmt.Sprintf("%s[%d]", field, i), "must be the name of a playbook, with small letters, digits and _"))
			}
		}
	}
	return f
}
