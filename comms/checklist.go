package comms

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Checklist is one version of a list of things to do or to look at. SOPs of site checks, restore methods, playbooks, runbooks and drills are
// all checklists, told apart by Name. A version never changes: a better list is the next version, and a run that has begun keeps the one that
// it began with.
type Checklist struct {
	Name   string    `json:"name"`   // "site_check", "method:snapshot"
	Number int       `json:"number"` // of the version, from 1
	Title  string    `json:"title"`
	Titles Said      `json:"titles,omitempty"` // the title in other languages
	About  string    `json:"about,omitempty"`  // of a playbook: what holds whatever happens, and who does what
	Abouts Said      `json:"abouts,omitempty"` // the same in other languages
	Items  []Item    `json:"items"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// Item is one line of a checklist.
type Item struct {
	Key      string `json:"key" yaml:"key"` // stable across versions, so that figures can be compared
	Text     string `json:"text" yaml:"text"`
	Texts    Said   `json:"texts,omitempty" yaml:"texts,omitempty"` // the text in other languages
	Required bool   `json:"required" yaml:"required"`
	Evidence string `json:"evidence" yaml:"evidence"`               // none, text, number, file, probe
	MayBeNA  bool   `json:"may_be_na" yaml:"may_be_na"`             // it may be not applicable, with the reason why
	Stop     bool   `json:"stop_on_fail" yaml:"stop_on_fail"`       // once it failed nothing behind it counts
	Stage    int    `json:"stage" yaml:"stage"`                     // items of a stage are done in any order, and only once every required one of the stages before is
	Phase    string `json:"phase,omitempty" yaml:"phase,omitempty"` // of a method: which of Phases it belongs to; "": that of the step before it
	Role     string `json:"role,omitempty" yaml:"role,omitempty"`   // of a playbook: the role in the incident that does it
}

// Said is a text in other languages of the desk. Where one is missing the text itself holds.
type Said map[string]string

// Of is the text as it is said in a language.
func (t Said) Of(text, locale string) string { return cmp.Or(t[locale], text) }

// after are the texts of a new version: what stood in a language stays while the text is the same, unless it is said anew or taken away by an empty one.
func (t Said) after(was Said, same bool) Said {
	all := Said{}
	if same {
		maps.Copy(all, was)
	}
	maps.Copy(all, t)
	for locale, text := range all {
		if all[locale] = strings.TrimSpace(text); all[locale] == "" {
			delete(all, locale)
		}
	}
	return all
}

func (t Said) bad(f []fault.Field, field string, as prose) []fault.Field {
	as.required = false
	for _, locale := range slices.Sorted(maps.Keys(t)) {
		at := field + "." + bounded(locale)
		if !slices.Contains(templates.StaffLocales(), locale) {
			return append(f, wrong(at, "is no language of the desk; those are %s", strings.Join(templates.StaffLocales(), ", ")))
		}
		f = as.bad(f, at, t[locale])
	}
	return f
}

// In is the list as a reader of that language reads it.
func (l Checklist) In(locale string) Checklist {
	l.Title, l.About = l.Titles.Of(l.Title, locale), l.Abouts.Of(l.About, locale)
	l.Items = slices.Clone(l.Items)
	for i, it := range l.Items {
		l.Items[i].Text = it.Texts.Of(it.Text, locale)
	}
	return l
}

// after is the list as the version that follows was, with what was said of it in other languages and still holds.
func (l Checklist) after(was Checklist) Checklist {
	l.Titles, l.Abouts = l.Titles.after(was.Titles, l.Title == was.Title), l.Abouts.after(was.Abouts, l.About == was.About)
	l.Items = slices.Clone(l.Items)
	for i, it := range l.Items {
		had, _ := was.Item(it.Key)
		l.Items[i].Texts = it.Texts.after(had.Texts, it.Text == had.Text)
	}
	return l
}

// What an item asks to be written down.
const (
	EvidenceNone   = "none"
	EvidenceText   = "text"
	EvidenceNumber = "number"
	EvidenceFile   = "file"  // where the file lies, or its id
	EvidenceProbe  = "probe" // what a program found
)

var evidences = []string{EvidenceNone, EvidenceText, EvidenceNumber, EvidenceFile, EvidenceProbe}

// Evidences are the sorts of evidence, in their order.
func Evidences() []string { return slices.Clone(evidences) }

var checklists = store.Table[Checklist]{
	Kind: store.Kind{Name: "checklist", Prefix: "lst", Schema: 1, Indexes: []store.Index{
		{Name: "name", Fields: []store.Field{{Name: "name", Type: store.Text}, {Name: "number", Type: store.Int}}, Unique: true},
	}},
	Tuples: func(l Checklist) store.Tuples { return store.Tuples{"name": {l.Name, l.Number}} },
}

// Run is one going-through of a checklist, with what was found. It is open until it has ended; what nobody carried through stays readable.
type Run struct {
	List      string            `json:"list"` // id of the version, for good
	Of        string            `json:"of"`   // the record that it is about
	Incident  string            `json:"incident"`
	Attempt   int               `json:"attempt,omitempty"` // of a check: how often the site was looked at, from 1
	Pass      int               `json:"pass,omitempty"`    // of a check: 1, or 2 for the second pair of eyes
	By        string            `json:"by"`                // who has it, or had it last
	Draft     bool              `json:"draft,omitempty"`   // typed by somebody who no longer held what it is of: kept to be read, and counted nowhere
	Results   map[string]Result `json:"results"`           // by the item's key
	Notes     string            `json:"notes,omitempty"`
	Verdict   string            `json:"verdict,omitempty"` // how it ended
	StartedAt time.Time         `json:"started_at"`
	SavedAt   time.Time         `json:"saved_at"`
	EndedAt   time.Time         `json:"ended_at,omitzero"`
}

// Result is what was found at one item.
type Result struct {
	State string    `json:"state"` // done, failed, na
	Value string    `json:"value,omitempty"`
	Why   string    `json:"why,omitempty"` // it does not apply, or failed
	By    string    `json:"by,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Took  float64   `json:"took_s,omitempty"` // since the result before it; several that came at once share the time
}

// The states of a result. An item without one is open.
const (
	ItemDone   = "done"
	ItemFailed = "failed"
	ItemNA     = "na"
)

var itemStates = []string{ItemDone, ItemFailed, ItemNA}

var runs = store.Table[Run]{
	Kind: store.Kind{Name: "run", Prefix: "run", Schema: 1, Indexes: []store.Index{
		{Name: "of", Fields: []store.Field{{Name: "of", Type: store.Text}, {Name: "started", Type: store.Time}}},
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "ended", Type: store.Time}}},
	}},
	Tuples: func(v Run) store.Tuples {
		t := store.Tuples{"of": {v.Of, v.StartedAt}}
		if !v.Draft && !v.EndedAt.IsZero() && v.Incident != "" {
			t["incident"] = []any{v.Incident, v.EndedAt}
		}
		return t
	},
}

const (
	mostItems  = 200
	mostNotes  = 4000
	mostResult = 1000
)

func (l Checklist) bad() (f []fault.Field) {
	f = prose{most: 60, required: true}.bad(f, "name", l.Name)
	title, about := prose{most: 120, required: true}, prose{most: mostNotes, lines: true}
	f = l.Titles.bad(title.bad(f, "title", l.Title), "titles", title)
	f = l.Abouts.bad(about.bad(f, "about", l.About), "abouts", about)
	if n := len(l.Items); n == 0 || n > mostItems {
		f = append(f, wrong("items", "has %d entries; 1 to %d are allowed", n, mostItems))
	}
	return badItems(f, "items", l.Items)
}

func badItems(f []fault.Field, field string, items []Item) []fault.Field {
	seen := map[string]bool{}
	for i, it := range items {
		at := fmt.Sprintf("%s[%d].", field, i)
		f = prose{most: 40, required: true}.bad(f, at+"key", it.Key)
		if strings.ContainsFunc(it.Key, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_')
		}) {
			f = append(f, wrong(at+"key", "may have small letters, digits and _ only"))
		}
		if seen[it.Key] {
			f = append(f, wrong(at+"key", "is there twice"))
		}
		seen[it.Key] = true
		text := prose{most: 300, required: true}
		f = it.Texts.bad(text.bad(f, at+"text", it.Text), at+"texts", text)
		f = oneOf(f, at+"evidence", it.Evidence, evidences...)
		if it.Role != "" {
			f = oneOf(f, at+"role", it.Role, IncidentRoles()...)
		}
		if it.Phase != "" {
			f = oneOf(f, at+"phase", it.Phase, phases...)
		}
		if it.Stage < 0 {
			f = append(f, wrong(at+"stage", "must be 0 or more"))
		}
	}
	return f
}

// Item finds an item by its key.
func (l Checklist) Item(key string) (Item, bool) {
	i := slices.IndexFunc(l.Items, func(it Item) bool { return it.Key == key })
	if i < 0 {
		return Item{}, false
	}
	return l.Items[i], true
}

// PublishChecklist keeps the next version of the list of that name. Runs that have begun keep theirs. With a Number it is that version or none: whoever
// wrote a better list than the one that stood then does not cover what somebody published meanwhile.
func (r *Room) PublishChecklist(ctx context.Context, by string, l Checklist) (rec store.Rec[Checklist], err error) {
	for range 5 { // two at once want the same number
		err = r.DB.Update(ctx, store.Act{By: by, Verb: "checklist.publish"}, func(tx *store.Tx) error {
			rec, err = r.publishChecklist(tx, by, l)
			return err
		})
		if fault.Of(err) != fault.Exists {
			break
		}
	}
	return rec, err
}

func (r *Room) publishChecklist(tx *store.Tx, by string, l Checklist) (rec store.Rec[Checklist], err error) {
	l.Items = slices.Clone(l.Items)
	for i := range l.Items {
		if l.Items[i].Evidence == "" {
			l.Items[i].Evidence = EvidenceNone
		}
	}
	if f := l.bad(); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	last, err := newestChecklist(tx, l.Name)
	was := last.Value
	if fault.Of(err) == fault.NotFound {
		was, _, err = r.unpublished(l.Name)
	}
	if err != nil {
		return rec, err
	}
	if l.Number != 0 && l.Number != last.Value.Number+1 {
		return rec, fault.New(fault.Conflict, "version %d of this list cannot be the next: version %d stands", l.Number, last.Value.Number)
	}
	l.Title, l.About = strings.TrimSpace(l.Title), strings.TrimSpace(l.About)
	l = l.after(was)
	l.Number, l.By, l.At = last.Value.Number+1, by, tx.Now()
	id := checklists.NewID()
	tx.On(id)
	return put(tx, checklists, id, l, 0)
}

func newestChecklist(tx *store.Tx, name string) (store.Rec[Checklist], error) {
	rec, err := checklists.First(tx, store.Query{Index: "name", Equal: []any{name}, Reverse: true})
	if fault.Of(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "there is no checklist %.60q", name)
	}
	return rec, err
}

// byPolicy is who publishes what nobody has published.
const byPolicy = "system:policy"

// unpublished is a list as the policy or the program has it, which holds until somebody publishes one of that name.
func (r *Room) unpublished(name string) (l Checklist, is bool, err error) {
	if items := r.Policy.Checklists[name]; len(items) > 0 {
		return Checklist{Name: name, Title: name, Items: items}, true, nil
	}
	if !strings.HasPrefix(name, PlaybookPrefix) {
		return l, false, nil
	}
	l, err = shippedPlaybook(name)
	if fault.Of(err) == fault.NotFound {
		return l, false, nil
	}
	return l, err == nil, err
}

// NewestChecklist is the version that a run begins with today. A list that nobody has published becomes version 1 as soon as it is needed, so tx has to
// be an Update's; and where it became one before it was said in the languages in which it is said now, that makes its next version.
func (r *Room) NewestChecklist(tx *store.Tx, name string) (store.Rec[Checklist], error) {
	rec, err := newestChecklist(tx, name)
	if err != nil && fault.Of(err) != fault.NotFound || err == nil && rec.Value.By != byPolicy {
		return rec, err
	}
	ours, is, unread := r.unpublished(name)
	switch {
	case unread != nil:
		return rec, unread
	case !is:
		return rec, err
	case err != nil:
		return r.publishChecklist(tx, byPolicy, ours)
	}
	if l := rec.Value.after(ours); l.translations() > rec.Value.translations() {
		l.Number = 0
		return r.publishChecklist(tx, byPolicy, l)
	}
	return rec, nil
}

// translations counts what is said in other languages.
func (l Checklist) translations() int {
	n := len(l.Titles) + len(l.Abouts)
	for _, it := range l.Items {
		n += len(it.Texts)
	}
	return n
}

// ChecklistIn reads one version.
func (r *Room) ChecklistIn(tx *store.Tx, id string) (Checklist, error) {
	l, _, err := checklists.Get(tx, id)
	return l, err
}

// Checklists lists versions: of one name the newest first, else of all names in their order.
func (r *Room) Checklists(ctx context.Context, name, after string, most int) (page []store.Rec[Checklist], next string, err error) {
	q := store.Query{Index: "name", After: after, Limit: limit(most)}
	if name != "" {
		q.Equal, q.Reverse = []any{name}, true
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page, next, err = checklists.List(tx, q)
		return err
	})
	return page, next, err
}

// ChecklistsSince are the versions of a list that came after a time, oldest first.
func (r *Room) ChecklistsSince(tx *store.Tx, name string, after time.Time) (all []Checklist, err error) {
	for rec, err := range checklists.Scan(tx, store.Query{Index: "name", Equal: []any{name}, Reverse: true}) {
		if err != nil {
			return nil, err
		}
		if !rec.Value.At.After(after) {
			break
		}
		all = append(all, rec.Value)
	}
	slices.Reverse(all)
	return all, nil
}

// BeginRun begins a going-through. Of v it takes List, Of, Incident, Attempt, Pass, By, Draft, Results and Notes.
func (r *Room) BeginRun(tx *store.Tx, v Run) (store.Rec[Run], error) {
	v.StartedAt, v.SavedAt, v.EndedAt, v.Verdict = tx.Now(), tx.Now(), time.Time{}, ""
	if v.Results == nil {
		v.Results = map[string]Result{}
	}
	id := runs.NewID()
	tx.On(id)
	return put(tx, runs, id, v, 0)
}

// RunIn reads a run.
func (r *Room) RunIn(tx *store.Tx, id string) (store.Rec[Run], error) {
	v, m, err := runs.Get(tx, id)
	return store.Rec[Run]{Meta: m, Value: v}, err
}

// RunsOf are the runs about a record, oldest first, drafts among them.
func (r *Room) RunsOf(tx *store.Tx, of string) (all []store.Rec[Run], err error) {
	for rec, err := range runs.Scan(tx, store.Query{Index: "of", Equal: []any{of}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// LastRuns are the newest runs of an incident that have ended, the last first.
func (r *Room) LastRuns(tx *store.Tx, incident string, most int) (all []store.Rec[Run], err error) {
	for rec, err := range runs.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}, Reverse: true, Limit: most}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// Marked is a run with more results in it, or the fields that cannot stand. A result with an empty state takes an item's back. Everything that is
// wrong is named at once, as results.KEY, and then nothing is taken.
//
// The first result took from since, or from the beginning of the run when that is later.
func (l Checklist) Marked(v Run, by string, found map[string]Result, since, now time.Time) (Run, []fault.Field) {
	if v.StartedAt.After(since) {
		since = v.StartedAt
	}
	was := v.Results
	v.Results = maps.Clone(v.Results)
	if v.Results == nil {
		v.Results = map[string]Result{}
	}
	var f []fault.Field
	var fresh []string
	for _, key := range slices.Sorted(maps.Keys(found)) {
		res := found[key]
		field := "results." + key
		it, known := l.Item(key)
		switch {
		case !known:
			f = append(f, wrong("results."+bounded(key), "is no item of version %d of this list", l.Number))
			continue
		case res.State == "":
			delete(v.Results, key)
			continue
		case !slices.Contains(itemStates, res.State):
			f = append(f, wrong(field, "is %.20q; it must be one of %s", res.State, strings.Join(itemStates, ", ")))
			continue
		case res.State == ItemNA && !it.MayBeNA:
			f = append(f, wrong(field, "always applies"))
		case res.State == ItemNA && strings.TrimSpace(res.Why) == "":
			f = append(f, fault.Field{Field: field, Code: codeMissing, Reason: "needs the reason why it does not apply"})
		}
		f = prose{most: mostResult, lines: true}.bad(f, field, res.Value)
		f = prose{most: mostResult, lines: true}.bad(f, field, res.Why)
		if had, is := was[key]; is && had.State == res.State && had.Value == res.Value && had.Why == res.Why {
			continue // who found it, and when, stays
		}
		v.Results[key] = Result{State: res.State, Value: res.Value, Why: res.Why, By: by, At: now}
		fresh = append(fresh, key)
	}
	for _, key := range fresh {
		if it, _ := l.Item(key); !l.reached(v, it.Stage) {
			f = append(f, wrong("results."+key, "comes after items that are still open"))
		}
	}
	if len(f) > 0 {
		return v, f
	}
	if n := len(fresh); n > 0 {
		took := now.Sub(lastFound(was, since)).Seconds() / float64(n)
		for _, key := range fresh {
			res := v.Results[key]
			res.Took = max(0, took)
			v.Results[key] = res
		}
	}
	v.SavedAt = now
	return v, nil
}

// reached says whether every required item of the stages before one is done with.
func (l Checklist) reached(v Run, stage int) bool {
	for _, it := range l.Items {
		if it.Stage < stage && it.Required && v.Results[it.Key].State == "" {
			return false
		}
	}
	return true
}

func lastFound(results map[string]Result, began time.Time) time.Time {
	for _, res := range results {
		if res.At.After(began) {
			began = res.At
		}
	}
	return began
}

// Open names what a run still lacks before it can be called done: required items without a result, and evidence that is missing or no number.
// Nothing behind a failed item that stops the list is asked for.
func (l Checklist) Open(v Run) (f []fault.Field) {
	for _, it := range l.Items {
		res := v.Results[it.Key]
		field := "results." + it.Key
		switch {
		case res.State == ItemFailed && it.Stop:
			return f
		case res.State == "" && it.Required:
			f = append(f, fault.Field{Field: field, Code: codeMissing, Reason: "is open: " + it.Text})
		case res.State != ItemDone || it.Evidence == EvidenceNone:
		case strings.TrimSpace(res.Value) == "":
			f = append(f, fault.Field{Field: field, Code: codeMissing, Reason: "needs a " + it.Evidence})
		case it.Evidence == EvidenceNumber && !isNumber(res.Value):
			f = append(f, wrong(field, "must be a number"))
		}
	}
	return f
}

func isNumber(s string) bool {
	var n float64
	var rest string
	got, _ := fmt.Sscanf(strings.TrimSpace(s), "%g%s", &n, &rest)
	return got == 1
}

// Failed are the required items that failed, and every failed one that stops the list.
func (l Checklist) Failed(v Run) (keys []string) {
	for _, it := range l.Items {
		if v.Results[it.Key].State == ItemFailed && (it.Required || it.Stop) {
			keys = append(keys, it.Key)
		}
	}
	return keys
}

// Waived says whether a required item was passed over as not applicable.
func (l Checklist) Waived(v Run) bool {
	return slices.ContainsFunc(l.Items, func(it Item) bool { return it.Required && v.Results[it.Key].State == ItemNA })
}

// Done is how many items have a result that is no failure, of how many.
func (l Checklist) Done(v Run) (done, all int) {
	for _, it := range l.Items {
		if s := v.Results[it.Key].State; s == ItemDone || s == ItemNA {
			done++
		}
	}
	return done, len(l.Items)
}

// Mark writes results and notes into an open run, in the caller's transaction; since is from when on its writer has it.
func (r *Room) Mark(tx *store.Tx, rec store.Rec[Run], by string, found map[string]Result, notes *string, since time.Time) (store.Rec[Run], Checklist, error) {
	l, err := r.ChecklistIn(tx, rec.Value.List)
	if err != nil {
		return rec, l, err
	}
	if !rec.Value.EndedAt.IsZero() {
		return rec, l, fault.New(fault.Conflict, "this run has ended")
	}
	v, f := l.Marked(rec.Value, by, found, since, tx.Now())
	if notes != nil {
		f = prose{most: mostNotes, lines: true}.bad(f, "notes", *notes)
		v.Notes = *notes
	}
	if len(f) > 0 {
		return rec, l, fault.BadFields(f...)
	}
	v.By = by
	rec, err = put(tx, runs, rec.ID, v, rec.Version)
	return rec, l, err
}

// EndRun ends a run with its verdict.
func (r *Room) EndRun(tx *store.Tx, rec store.Rec[Run], verdict string) (store.Rec[Run], error) {
	rec.Value.Verdict, rec.Value.EndedAt = verdict, tx.Now()
	return put(tx, runs, rec.ID, rec.Value, rec.Version)
}

// KeepDraft keeps what somebody typed into something that was no longer hers. There is one draft for each person and record; nothing of it counts.
func (r *Room) KeepDraft(tx *store.Tx, v Run) error {
	for rec, err := range runs.Scan(tx, store.Query{Index: "of", Equal: []any{v.Of}}) {
		if err != nil {
			return err
		}
		if d := rec.Value; d.Draft && d.By == v.By {
			d.Results, d.Notes, d.SavedAt, d.List = v.Results, v.Notes, tx.Now(), v.List
			tx.On(rec.ID)
			return runs.Put(tx, rec.ID, d, rec.Version)
		}
	}
	v.Draft = true
	_, err := r.BeginRun(tx, v)
	return err
}
