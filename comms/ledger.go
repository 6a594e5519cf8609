package comms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Site states in the ledger, in the order of a recovery. Failed stands aside.
const (
	Lost       = "lost"
	Restoring  = "restoring"
	Rebuilt    = "rebuilt"
	Verifying  = "verifying"
	Passed     = "passed"
	HandedBack = "handed_back"
	FailedSite = "failed"
)

// siteStates is the order of a recovery; FailedSite is not in it.
var siteStates = []string{Lost, Restoring, Rebuilt, Verifying, Passed, HandedBack}

// Row is one affected site in an incident's ledger. Its id is led_<incident>.<site> (suffixes), so an incident's rows are a
// prefix and a site is in it once. Every percentage and count of states is computed from these rows and from nothing else.
type Row struct {
	Incident     string     `json:"incident"`
	Site         string     `json:"site"`
	Account      string     `json:"account"`
	State        string     `json:"state"`
	Batch        string     `json:"batch,omitempty"`
	Cohort       string     `json:"cohort,omitempty"` // the part of the set that it belongs to, where that is told and counted apart
	Method       string     `json:"method,omitempty"`
	RestorePoint *time.Time `json:"restore_point,omitempty"`
	At           time.Time  `json:"at"` // since when it is in State
	By           string     `json:"by"` // who moved it there, by her token or account
	Worker       string     `json:"worker,omitempty"`
	LostAt       *time.Time `json:"lost_at,omitempty"` // when it was deleted or became unusable; nil: nobody said, and the incident's start counts
	Note         string     `json:"note,omitempty"`
	Reason       string     `json:"reason,omitempty"` // why a commander moved it past the checks
	NoAnswer     bool       `json:"no_answer,omitempty"`
	History      []Move     `json:"history,omitempty"` // oldest first, without the state it is in

	Points map[string]time.Time `json:"restore_points,omitempty"` // by data store; RestorePoint is the site's as a whole
	Phases map[string]time.Time `json:"phases,omitempty"`         // when the steps of its method came to a phase, the last time
}

// Move is one past state of a row.
type Move struct {
	State  string    `json:"state"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

var rows = store.Table[Row]{
	Kind: store.Kind{Name: "ledger row", Prefix: "led", Schema: 1, Composed: true, Indexes: []store.Index{
		// Recipients are walked by account.
		{Name: "account", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "account", Type: store.Text}}},
	}},
	Tuples: func(w Row) store.Tuples { return store.Tuples{"account": {w.Incident, w.Account}} },
}

func rowPrefix(incident string) string { return "led_" + suffix(incident) + "." }

func rowID(incident, site string) string { return rowPrefix(incident) + suffix(site) }

// standing is the state that a row counts as: a site that passed the checks and whose customer stayed silent for the policy's time counts as
// handed back, and is shown apart.
func (w Row) standing(asOf time.Time, silence time.Duration) (state string, noAnswer bool) {
	return standsAs(w.State, w.NoAnswer, w.At, asOf, silence)
}

func standsAs(state string, noAnswer bool, since, asOf time.Time, silence time.Duration) (string, bool) {
	if state == Passed && silence > 0 && !since.Add(silence).After(asOf) {
		return HandedBack, true
	}
	return state, state == HandedBack && noAnswer
}

// reaches says that a state is another one or lies beyond it.
func reaches(state, other string) bool {
	return slices.Index(siteStates, state) >= slices.Index(siteStates, other)
}

// tally adds rows up to figures.
type tally struct {
	sites     templates.SiteFigures
	customers map[store.Brief]bool // whether all her sites so far are handed back
}

func (t *tally) add(w place, asOf time.Time, silence time.Duration) {
	if t.customers == nil {
		t.customers = map[store.Brief]bool{}
	}
	if t.sites.ByState == nil {
		t.sites.ByState = map[string]int{}
	}
	state, noAnswer := w.standing(asOf, silence)
	s := &t.sites
	s.Total++
	s.ByState[state]++
	at := slices.Index(siteStates, state)
	if at >= slices.Index(siteStates, Rebuilt) {
		s.Rebuilt++
	}
	if at >= slices.Index(siteStates, Passed) {
		s.Checked++
	}
	whole := state == HandedBack
	switch {
	case whole && noAnswer:
		s.NoAnswer++
		s.Restored++
	case whole:
		s.Confirmed++
		s.Restored++
	}
	before, seen := t.customers[w.account]
	t.customers[w.account] = whole && (before || !seen)
}

func (t *tally) figures(asOf time.Time) templates.Figures {
	f := templates.Figures{AsOf: asOf, Sites: t.sites, Customers: templates.CustomerFigures{Total: len(t.customers)}}
	if f.Sites.ByState == nil {
		f.Sites.ByState = map[string]int{}
	}
	for whole := range maps.Values(t.customers) {
		if whole {
			f.Customers.Restored++
		}
	}
	f.Sites.Percent = percent(f.Sites.Restored, f.Sites.Total)
	f.Customers.Percent = percent(f.Customers.Restored, f.Customers.Total)
	return f
}

// figures counts rows as they stand at asOf; silence is the policy's NoAnswer.
func figures(all []Row, asOf time.Time, silence time.Duration) templates.Figures {
	var t tally
	for _, w := range all {
		t.add(w.place(), asOf, silence)
	}
	return t.figures(asOf)
}

// percent is part of total with one decimal, rounded half up in whole numbers, and 100.0 only when part is all.
func percent(part, total int) string {
	if total <= 0 {
		return "0.0"
	}
	tenths := (int64(part)*2000 + int64(total)) / (2 * int64(total))
	if part < total {
		tenths = min(tenths, 999)
	}
	return strconv.FormatInt(tenths/10, 10) + "." + strconv.FormatInt(tenths%10, 10)
}

// Percent is percent, for the figures of other rooms.
func Percent(part, total int) string { return percent(part, total) }

// ledgerRows walks an incident's rows in the order of sites.
func ledgerRows(tx *store.Tx, incident string) iter.Seq2[store.Rec[Row], error] {
	return rows.Scan(tx, store.Query{Prefix: rowPrefix(incident)})
}

// ledger computes an incident's figures; nil when no affected set is loaded.
func (r *Room) ledger(tx *store.Tx, id string, in Incident) (*templates.Figures, error) {
	if !in.Loaded {
		return nil, nil
	}
	t, err := r.tallied(tx, id)
	if err != nil {
		return nil, err
	}
	f := t.figures(tx.Now())
	return &f, nil
}

// tallied adds up the rows of an incident.
func (r *Room) tallied(tx *store.Tx, id string) (tally, error) {
	t := tally{customers: make(map[store.Brief]bool, r.customers.Load())} // at once for as many as there were last time: to grow by the way takes as long as the count
	for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(id)}) {
		if err != nil {
			return t, fmt.Errorf("read the ledger of %s: %w", id, err)
		}
		t.add(rec.Value, tx.Now(), r.Policy.NoAnswer)
	}
	r.customers.Store(int64(len(t.customers)))
	return t, nil
}

// Ledger is what the ledger of an incident says now. Totals are zero while no affected set is loaded.
func (r *Room) Ledger(ctx context.Context, incident string) (f templates.Figures, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		now, err := r.ledger(tx, in.ID, in.Value)
		if now != nil {
			f = *now
		} else {
			f = figures(nil, tx.Now(), 0)
		}
		return err
	})
	return f, err
}

// SiteQuery chooses rows of a ledger.
type SiteQuery struct {
	State   string // that they count as; "": all
	Reached string // those that count as in this state or beyond it: what the figures of a ledger count; "": all
	Phase   string // those in this phase of their recovery; "": all
	Whole   bool   // only those of customers who have all their sites back
	Batch   string // "": of every one
	After   string // cursor
	Limit   int    // 0: 50; at most 200
}

// Sites lists an incident's affected sites in the order of their ids.
func (r *Room) Sites(ctx context.Context, incident string, q SiteQuery) (page []store.Rec[Row], next string, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		walk := store.Query{Prefix: rowPrefix(in.ID), After: q.After, Limit: limit(q.Limit)}
		if q.Phase != "" {
			page, next, err = store.ListKept(tx, rows, &r.headways, Row.headway, walk, func(c headway) bool { return c.in(tx.Now(), r.Policy.NoAnswer) == q.Phase })
			return err
		}
		if q.State == "" && q.Reached == "" && q.Batch == "" && !q.Whole {
			page, next, err = rows.List(tx, walk)
			return err
		}
		var count tally
		if q.Whole {
			if count, err = r.tallied(tx, in.ID); err != nil {
				return err
			}
		}
		page, next, err = store.ListKept(tx, rows, &r.places, Row.place, walk, func(w place) bool {
			state, _ := w.standing(tx.Now(), r.Policy.NoAnswer)
			return (q.State == "" || state == q.State) && (q.Reached == "" || reaches(state, q.Reached)) && (q.Batch == "" || w.is().Batch == q.Batch) && (!q.Whole || count.customers[w.account])
		})
		return err
	})
	return page, next, err
}

// allHandedBack refuses while a site is open, and names it.
func (r *Room) allHandedBack(tx *store.Tx, id string, in Incident) error {
	if !in.Loaded {
		return nil
	}
	first, open := "", 0
	for rec, err := range ledgerRows(tx, id) {
		if err != nil {
			return err
		}
		if state, _ := rec.Value.standing(tx.Now(), r.Policy.NoAnswer); state != HandedBack {
			if open++; first == "" {
				first = rec.Value.Site + " (" + r.siteName(tx, rec.Value.Site) + ", " + state + ")"
			}
		}
	}
	if open == 0 {
		return nil
	}
	return fault.New(fault.Conflict, "the incident stays open until every site is handed back: %d are not, the first is %s", open, first)
}

// Mover is who moves sites and how far she may move them: up to rebuilt, and with Finish all the way.
type Mover struct {
	By     string
	Finish bool // verifying, passed and handed_back, and back from them
}

// MoveLine is one line of a bulk move.
type MoveLine struct {
	SiteID       string     `json:"site_id"`
	State        string     `json:"state"`
	At           *time.Time `json:"at"` // nil: now
	By           string     `json:"by"` // who did the work, as the sender says
	Batch        string     `json:"batch"`
	Method       string     `json:"method"`
	RestorePoint *time.Time `json:"restore_point"`
	LostAt       *time.Time `json:"lost_at"`
	Note         string     `json:"note"`
	Reason       string     `json:"reason"`

	RestorePoints map[string]time.Time `json:"restore_points"` // by data store; those that are not named stay
}

// MoveResult is what became of one line: moved, unchanged, or rejected with Field, Code and Reason.
type MoveResult struct {
	Line   int    `json:"line"`
	SiteID string `json:"site_id"`
	Site   string `json:"id,omitempty"` // ours
	From   string `json:"from,omitempty"`
	State  string `json:"state,omitempty"`
	Result string `json:"result"`
	Field  string `json:"field,omitempty"`
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`

	moved *Moved // what it did to the row
}

// The results of a line.
const (
	ResultMoved     = "moved"
	ResultUnchanged = "unchanged"
	ResultRejected  = "rejected"
)

// MoveReport is what became of a bulk move, line by line.
type MoveReport struct {
	Moved     int          `json:"moved"`
	Unchanged int          `json:"unchanged"`
	Rejected  int          `json:"rejected"`
	Results   []MoveResult `json:"results"`
}

func (p *MoveReport) add(results []MoveResult) {
	for _, res := range results {
		switch res.Result {
		case ResultMoved:
			p.Moved++
		case ResultUnchanged:
			p.Unchanged++
		default:
			p.Rejected++
		}
	}
	p.Results = append(p.Results, results...)
}

// decision says what a line does to a row, and if nothing, why.
type decision string

// The decisions about a move.
const (
	moveIt        decision = "move"
	keepIt        decision = "unchanged"
	unknownState  decision = "unknown_state"
	mayNotFinish  decision = "may_not_finish"
	skipsRebuilt  decision = "skips_rebuilt"
	skipsCheck    decision = "skips_check"
	needsReason   decision = "needs_reason"
	beforeLast    decision = "before_last_move"
	liesAhead     decision = "lies_ahead"
	movedTooOften decision = "moved_too_often"
	batchFull     decision = "batch_full"
)

// said explains a refusal to the person whose line it was.
func (d decision) said(from, to string) string {
	switch d {
	case unknownState:
		return fmt.Sprintf("is %.40q; it must be one of %s, %s", to, strings.Join(siteStates, ", "), FailedSite)
	case mayNotFinish:
		return fmt.Sprintf("your rights reach to %s; %s comes from a check, a customer, or a commander with a reason", Rebuilt, to)
	case skipsRebuilt:
		return fmt.Sprintf("a site that is %s must be %s before it can be %s", from, Rebuilt, to)
	case skipsCheck:
		return fmt.Sprintf("a site that is %s must be %s before it can be %s", from, Passed, to)
	case needsReason:
		return fmt.Sprintf("is missing; moving from %s to %s takes a reason", from, to)
	case beforeLast:
		return "lies before the site's last move"
	case liesAhead:
		return "lies ahead"
	case batchFull:
		return "is full; begin another batch"
	case movedTooOften:
		return "the site has been moved too often; look at what keeps moving it"
	}
	return ""
}

// field names the part of the line that a refusal is about.
func (d decision) field() string {
	switch d {
	case needsReason:
		return "reason"
	case beforeLast, liesAhead:
		return "at"
	case batchFull:
		return "batch"
	}
	return "state"
}

// decideMove says whether a site may go from one state to another. Rebuilt can be reported from anywhere before it; the last two
// steps are taken one after the other, by those who may; every step back and every step past the checks takes a reason.
func decideMove(from, to string, finish bool, reason string) decision {
	a, b := slices.Index(siteStates, from), slices.Index(siteStates, to)
	checked := slices.Index(siteStates, Verifying)
	why := strings.TrimSpace(reason) != ""
	switch {
	case b < 0 && to != FailedSite:
		return unknownState
	case from == to:
		return keepIt
	case (b >= checked || a > checked) && !finish: // into the checks, or back out of what they said
		return mayNotFinish
	case (to == Verifying || to == Passed) && a < slices.Index(siteStates, Rebuilt):
		return skipsRebuilt
	case to == HandedBack && from != Passed:
		return skipsCheck
	case (to == Passed || to == HandedBack) && !why:
		return needsReason
	case to == FailedSite && a > checked && !why, b >= 0 && b < a && !why:
		return needsReason
	}
	return moveIt
}

// mostMoves bounds a row's history: something that moves a site this often is broken.
const mostMoves = 500

// moved is the row after a line, or why it stays.
func (w Row) moved(line MoveLine, m Mover, now time.Time) (Row, decision) {
	d := decideMove(w.State, line.State, m.Finish, line.Reason)
	if d != moveIt && d != keepIt {
		return w, d
	}
	at := now
	if line.At != nil {
		at = line.At.UTC().Truncate(time.Microsecond)
	}
	switch {
	case at.After(now.Add(time.Minute)):
		return w, liesAhead
	case d == moveIt && len(w.History) > 0 && at.Before(w.At):
		return w, beforeLast
	case d == moveIt && len(w.History) >= mostMoves:
		return w, movedTooOften
	}
	was := w
	if d == moveIt {
		w.History = append(slices.Clone(w.History), Move{State: w.State, At: w.At, By: w.By, Reason: w.Reason})
		w.State, w.At, w.By, w.Worker, w.Reason, w.NoAnswer = line.State, at, m.By, line.By, strings.TrimSpace(line.Reason), false
	}
	for _, s := range []struct {
		from string
		to   *string
	}{{line.Batch, &w.Batch}, {line.Method, &w.Method}, {line.Note, &w.Note}} {
		if s.from != "" {
			*s.to = s.from
		}
	}
	if line.RestorePoint != nil {
		point := line.RestorePoint.UTC()
		w.RestorePoint = &point
	}
	if line.LostAt != nil {
		lost := line.LostAt.UTC()
		w.LostAt = &lost
	}
	if len(line.RestorePoints) > 0 {
		w.Points = maps.Clone(w.Points)
		if w.Points == nil {
			w.Points = map[string]time.Time{}
		}
		for name, at := range line.RestorePoints {
			w.Points[name] = at.UTC()
		}
	}
	if d == keepIt && (w.Batch != was.Batch || w.Method != was.Method || w.Note != was.Note || !sameTime(w.RestorePoint, was.RestorePoint) ||
		!sameTime(w.LostAt, was.LostAt) || !maps.EqualFunc(w.Points, was.Points, time.Time.Equal)) {
		return w, moveIt // the state stays, what is known of the site does not
	}
	return w, d
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// bad names what is wrong with a line before any row is looked at.
func (l MoveLine) bad() (f []fault.Field) {
	f = prose{most: 200, required: true}.bad(f, "site_id", l.SiteID)
	if l.State == "" {
		f = append(f, missing("state"))
	}
	f = prose{most: 100}.bad(f, "by", l.By)
	f = batchProse.bad(f, "batch", l.Batch)
	f = prose{most: 100}.bad(f, "method", l.Method)
	f = prose{most: 1000, lines: true}.bad(f, "note", l.Note)
	if len(l.RestorePoints) > mostStores {
		f = append(f, wrong("restore_points", "names more than %d data stores", mostStores))
	}
	for name := range l.RestorePoints {
		f = prose{most: 60, required: true}.bad(f, "restore_points", name)
	}
	return prose{most: 1000, lines: true}.bad(f, "reason", l.Reason)
}

// mostStores bounds the data stores of one site.
const mostStores = 20

// moveChunk is how many lines share a transaction.
const moveChunk = 500

// MoveSites moves sites as JSON lines say, each line a MoveLine. A bad line names itself in the report and spoils nothing else; lines are
// carried out in their order, many to a transaction, so after an error from the store the report says how far it came.
func (r *Room) MoveSites(ctx context.Context, m Mover, incident string, lines io.Reader) (report MoveReport, err error) {
	var chunk []numbered
	flush := func() error {
		results, err := r.moveSome(ctx, m, incident, chunk)
		if err == nil {
			report.add(results)
		}
		chunk = chunk[:0]
		return err
	}
	for line, err := range fileLines(lines) {
		if err != nil {
			return report, err
		}
		if chunk = append(chunk, line); len(chunk) == moveChunk {
			if err := flush(); err != nil {
				return report, err
			}
		}
	}
	if len(chunk) == 0 && len(report.Results) > 0 {
		return report, nil
	}
	return report, flush()
}

func (r *Room) moveSome(ctx context.Context, m Mover, incident string, chunk []numbered) (results []MoveResult, err error) {
	err = r.DB.Update(ctx, store.Act{By: m.By, Verb: "ledger.move"}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if err := in.Value.speaks(); err != nil {
			return err
		}
		tx.On(in.ID)
		results = make([]MoveResult, 0, len(chunk))
		counts := map[string]int{}
		var moved []Moved
		for _, line := range chunk {
			res, err := r.moveOne(tx, m, in.ID, line)
			if err != nil {
				return err
			}
			if res.Result == ResultMoved {
				counts[res.State]++
				moved = append(moved, *res.moved)
				tx.On(res.Site)
			}
			results = append(results, res)
		}
		if len(counts) == 0 {
			return nil
		}
		if err := r.note(tx, in.ID, m.By, "sites_moved", countsText(counts)); err != nil {
			return err
		}
		if err := r.tidings(tx, moved...); err != nil {
			return err
		}
		return r.touchPages(tx)
	})
	return results, err
}

func countsText(counts map[string]int) string {
	var parts []string
	for _, state := range append(slices.Clone(siteStates), FailedSite) {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// moveOne carries out one line; an error is the store's, never the line's.
func (r *Room) moveOne(tx *store.Tx, m Mover, incident string, raw numbered) (MoveResult, error) {
	res := MoveResult{Line: raw.n, Result: ResultRejected}
	reject := func(f fault.Field) (MoveResult, error) {
		res.Field, res.Code, res.Reason = f.Field, f.Code, f.Reason
		return res, nil
	}
	line, f := parseMove(raw)
	res.SiteID, res.State = bounded(line.SiteID), bounded(line.State)
	if len(f) > 0 {
		return reject(f[0])
	}
	site, _, err := r.site(tx, line.SiteID)
	if refused, e := refusal(err); e != nil {
		return res, e
	} else if refused != "" {
		return reject(fault.Field{Field: "site_id", Code: "unknown_site", Reason: refused})
	}
	res.Site = site
	id := rowID(incident, site)
	row, meta, err := rows.Get(tx, id)
	if fault.Of(err) == fault.NotFound {
		return reject(fault.Field{Field: "site_id", Code: "not_affected", Reason: "is not in the incident's affected set"})
	}
	if err != nil {
		return res, err
	}
	was := row
	res.From = was.State
	row, d := row.moved(line, m, tx.Now())
	if d == moveIt {
		if room, err := r.intoBatch(tx, incident, was.Batch, row.Batch); err != nil {
			return res, err
		} else if !room {
			d = batchFull
		}
	}
	switch d {
	case moveIt:
		res.Result, res.State = ResultMoved, row.State
		if err := rows.Put(tx, id, row, meta.Version); err != nil {
			return res, err
		}
		res.moved = &Moved{Was: was, Now: row, By: m.By}
		return res, r.moved(tx, *res.moved)
	case keepIt:
		res.Result = ResultUnchanged
		return res, nil
	}
	return reject(fault.Field{Field: d.field(), Code: string(d), Reason: d.said(res.From, line.State)})
}

func parseMove(raw numbered) (MoveLine, []fault.Field) {
	var l MoveLine
	if raw.long {
		return l, []fault.Field{{Field: "line", Code: codeTooLong, Reason: fmt.Sprintf("is longer than %d bytes", maxLine)}}
	}
	var f []fault.Field
	read("", raw.text, object{"site_id": &l.SiteID, "state": &l.State, "at": &l.At, "by": &l.By, "batch": &l.Batch, "method": &l.Method,
		"restore_point": &l.RestorePoint, "restore_points": &l.RestorePoints, "lost_at": &l.LostAt, "note": &l.Note, "reason": &l.Reason}, &f)
	for i := range f {
		if f[i].Field == "" {
			f[i].Field = "line"
		}
		if f[i].Code == "unknown" {
			f[i].Reason = "is not a field of a line"
		}
	}
	return l, merge(f, l.bad())
}

// Moved is a site that has just been moved in the ledger.
type Moved struct {
	Was, Now Row
	By       string
}

// moved tells who follows the ledger, in the transaction of the move.
func (r *Room) moved(tx *store.Tx, m Moved) error {
	if r.Follow == nil {
		return nil
	}
	return r.Follow(tx, m)
}

func (r *Room) tidings(tx *store.Tx, all ...Moved) error {
	if err := r.weighMoved(tx, all); err != nil {
		return err
	}
	if err := r.looksAhead(tx, all); err != nil {
		return err
	}
	if r.Tidings == nil {
		return nil
	}
	return r.Tidings(tx, all)
}

// MoveSite moves one site (our ids) in the caller's transaction. It leaves no line in the incident's log, which would be all there is to read when hundreds are checked
// one by one: the row keeps its history.
func (r *Room) MoveSite(tx *store.Tx, m Mover, incident, site string, line MoveLine) error {
	now, err := r.moveSite(tx, m, incident, site, line)
	if err != nil || now == nil {
		return err
	}
	if err := r.tidings(tx, *now); err != nil {
		return err
	}
	if line.State == Verifying { // no figure of the public pages changes
		return nil
	}
	return r.touchPages(tx)
}

// moveSite is MoveSite without a word to anybody outside; nil: the site stands there already.
func (r *Room) moveSite(tx *store.Tx, m Mover, incident, site string, line MoveLine) (*Moved, error) {
	in, _, err := incidents.Get(tx, incident)
	if err != nil {
		return nil, err
	}
	if in.State == Closed {
		return nil, fault.New(fault.Conflict, "incident %d is closed; open it again first", in.Number)
	}
	id := rowID(incident, site)
	was, meta, err := rows.Get(tx, id)
	if err != nil {
		return nil, err
	}
	row, d := was.moved(line, m, tx.Now())
	switch d {
	case keepIt:
		return nil, nil
	case moveIt:
	default:
		return nil, fault.New(fault.Conflict, "the site cannot go from %s to %s: %s %s", was.State, line.State, d.field(), d.said(was.State, line.State))
	}
	tx.On(id)
	if err := rows.Put(tx, id, row, meta.Version); err != nil {
		return nil, err
	}
	now := &Moved{Was: was, Now: row, By: m.By}
	return now, r.moved(tx, *now)
}

// Again says whether a site that had passed was taken up again.
func (w Row) Again() bool {
	if n := len(w.History); w.State == FailedSite && n > 0 {
		was := w.History[n-1].State
		return was == Passed || was == HandedBack
	}
	return false
}

// RowIn reads an affected site's row; fault.NotFound when it is in no affected set of the incident.
func (r *Room) RowIn(tx *store.Tx, incident, site string) (Row, error) {
	w, _, err := rows.Get(tx, rowID(incident, site))
	return w, err
}

// refusal tells an id that leads nowhere (said to its sender) from a fault of the store.
func refusal(err error) (string, error) {
	var e *fault.Error
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &e) && e.Kind == fault.Invalid && len(e.Fields) > 0:
		return e.Fields[0].Reason, nil
	case errors.As(err, &e) && e.Kind == fault.NotFound:
		return "is unknown: " + e.Message, nil
	}
	return "", err
}
