package desk

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
)

// A site that the ledger calls rebuilt is looked at by people before its customer hears of it. Its check is queued in the transaction that moved it,
// claimed by whoever is on shift, walked through by a checklist, looked at a second time where the rules ask, and moves the ledger when it has
// passed. Nobody is given work: people take it, two sites at a time.

// Check is the verification of one site in one incident, over all attempts. Its id is vfy_<incident>.<site> (suffixes), so a site has one.
//
// Its lease is between people and part of the record: it runs by the domain's clock as shifts do, is chosen by wave, tier and what the checker can do, and
// can be handed to somebody by name. A worker's lease is none of that.
type Check struct {
	Incident  string    `json:"incident"`
	Site      string    `json:"site"`
	Account   string    `json:"account_id"`
	Batch     string    `json:"batch"`
	Wave      int       `json:"wave"`
	Tier      int       `json:"tier"`
	Region    string    `json:"region"`
	Skills    []string  `json:"skills"`   // the products that the site has
	Language  string    `json:"language"` // of its customer
	Early     bool      `json:"early"`    // one of the first of its batch
	RebuiltAt time.Time `json:"rebuilt_at"`
	RebuiltBy []string  `json:"rebuilt_by"` // whoever moved it there, and who did the work, as the mover said
	List      string    `json:"list"`       // the version of the SOP that this attempt goes by
	State     string    `json:"state"`
	Attempt   int       `json:"attempt"`
	Pass      int       `json:"pass"`
	First     []string  `json:"first"`  // who had it in the first pass of this attempt
	Why       string    `json:"second"` // why a second pair of eyes looks; "": none does
	QueuedAt  time.Time `json:"queued_at"`
	Run       string    `json:"run"` // the open run; "": nobody has begun

	Holder    string     `json:"holder"`
	Epoch     int64      `json:"epoch"` // one more whenever it changes hands; every write names it
	LeasedAt  time.Time  `json:"leased_at"`
	Until     time.Time  `json:"until"` // when the lease ends, or a blocked check wakes
	Beat      time.Time  `json:"beat"`
	ShiftEnds *time.Time `json:"shift_ends,omitempty"`
	Successor string     `json:"successor,omitempty"` // who has it once the shift ends
	Returned  int        `json:"returned"`            // leases that ended without a word

	Code     string     `json:"code,omitempty"`   // of what failed
	Reason   string     `json:"reason,omitempty"` // of what failed or blocks
	Owner    string     `json:"owner,omitempty"`  // of what blocks
	One      bool       `json:"one_check"`        // a lead let it go with one pair of eyes
	PassedAt *time.Time `json:"passed_at"`
	PassedBy []string   `json:"passed_by,omitempty"`

	SecondAt *time.Time `json:"second_at,omitempty"` // when the last second pass ended
	Agreed   bool       `json:"agreed"`              // it said what the first had said

	Answer   string     `json:"answer"` // the customer's: accepted, rejected; "": none
	AnswerAt *time.Time `json:"answer_at"`
}

// The states of a check.
const (
	CheckQueued       = "queued"
	CheckLeased       = "leased" // claimed, nothing written yet
	Checking          = "checking"
	CheckSecondQueued = "second_queued"
	CheckSecond       = "second_checking"
	CheckPassed       = "passed"
	CheckBlocked      = "blocked"
	CheckFailed       = "failed"  // it waits to be rebuilt once more
	CheckWithdrawn    = "settled" // somebody with the right moved the site past the checks, or out of them
)

// CheckStates are the states in their order.
func CheckStates() []string {
	return []string{CheckQueued, CheckLeased, Checking, CheckSecondQueued, CheckSecond, CheckPassed, CheckBlocked, CheckFailed, CheckWithdrawn}
}

// What a customer answered.
const (
	Accepted = "accepted"
	Rejected = "rejected"
)

var checks = store.Table[Check]{
	Kind: store.Kind{Name: "check", Prefix: "vfy", Schema: 1, Composed: true, Indexes: []store.Index{
		{Name: "queue", Fields: []store.Field{{Name: "wave", Type: store.Int}, {Name: "tier", Type: store.Int}, {Name: "queued", Type: store.Time}}},
		{Name: "holder", Fields: []store.Field{{Name: "holder", Type: store.Text}}},
		{Name: "until", Fields: []store.Field{{Name: "until", Type: store.Time}}},
		{Name: "batch", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "batch", Type: store.Text}}},
		{Name: "second", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "second", Type: store.Time}}},
	}},
	Tuples: func(c Check) store.Tuples {
		t := store.Tuples{"batch": {c.Incident, c.Batch}}
		if c.waits() {
			t["queue"] = []any{c.Wave, c.Tier, c.QueuedAt}
		}
		if c.Holder != "" {
			t["holder"] = []any{c.Holder}
		}
		if !c.Until.IsZero() {
			t["until"] = []any{c.Until}
		}
		if c.SecondAt != nil {
			t["second"] = []any{c.Incident, *c.SecondAt}
		}
		return t
	},
}

func (c Check) waits() bool { return c.State == CheckQueued || c.State == CheckSecondQueued }

// Held says whether somebody has the check now.
func (c Check) Held() bool {
	return c.State == CheckLeased || c.State == Checking || c.State == CheckSecond
}

func checkPrefix(incident string) string {
	_, s, _ := strings.Cut(incident, "_")
	return "vfy_" + s + "."
}

func checkID(incident, site string) string {
	_, s, _ := strings.Cut(site, "_")
	return checkPrefix(incident) + s
}

// CheckPolicy is the part of the desk's policy about checks of sites.
type CheckPolicy struct {
	Hold     int           `yaml:"hold" json:"hold"`                 // checks that one person may have at once
	Lease    time.Duration `yaml:"lease" json:"lease"`               // from the last word
	Beat     time.Duration `yaml:"heartbeat" json:"heartbeat"`       // how often a page says that somebody is there
	Cap      time.Duration `yaml:"cap" json:"cap"`                   // from the claim
	First    int           `yaml:"first" json:"first"`               // sites of a batch that two people look at
	Sample   float64       `yaml:"sample" json:"sample"`             // share of the others that two look at by chance
	Over     float64       `yaml:"disagreement" json:"disagreement"` // surely more disagreement than this among the last: two people look at all
	Look     int           `yaml:"look" json:"look"`                 // how many of the last second passes are looked at
	Release  time.Duration `yaml:"release" json:"release"`           // a lead may let a site go that has waited so long for its second pair of eyes
	Codes    []string      `yaml:"codes" json:"codes"`               // of what can fail
	Reopen   time.Duration `yaml:"reopen" json:"reopen"`             // for which a customer may say that something is missing
	Overlap  time.Duration `yaml:"overlap" json:"overlap"`           // before a shift ends a claim needs a successor
	Handoff  time.Duration `yaml:"handoff_late" json:"handoff_late"` // after the end of a shift its note is late
	Rate     time.Duration `yaml:"rate" json:"rate"`                 // over which the rate is taken
	Waiting  time.Duration `yaml:"bottleneck" json:"bottleneck"`     // a queue older than this that still grows is the bottleneck
	Sweeping time.Duration `yaml:"sweep" json:"sweep"`               // how soon a lease that ended is noticed
}

func defaultChecks() CheckPolicy {
	return CheckPolicy{Hold: 2, Lease: 20 * time.Minute, Beat: time.Minute, Cap: 2 * time.Hour, First: 3, Sample: 0.15, Over: 0.02, Look: 50, Release: time.Hour,
		Codes: []string{"does_not_open", "sign_in", "data_missing", "data_old", "files", "apps", "permissions", "other"}, Reopen: 30 * 24 * time.Hour,
		Overlap: 30 * time.Minute, Handoff: 10 * time.Minute, Rate: 4 * time.Hour, Waiting: time.Hour, Sweeping: 10 * time.Second}
}

func (p CheckPolicy) check(bad func(field, reason string)) {
	for field, d := range map[string]time.Duration{"lease": p.Lease, "heartbeat": p.Beat, "cap": p.Cap, "release": p.Release, "reopen": p.Reopen, "handoff_late": p.Handoff, "rate": p.Rate, "bottleneck": p.Waiting} {
		if d <= 0 {
			bad("checks."+field, "must be a duration above 0")
		}
	}
	if p.Sweeping < time.Second {
		bad("checks.sweep", "must be at least 1s")
	}
	if p.Hold < 1 || p.Look < 1 {
		bad("checks.hold", "and look must be at least 1")
	}
	if p.Sample < 0 || p.Sample > 1 || p.Over <= 0 || p.Over >= 1 || p.First < 0 || p.Overlap < 0 {
		bad("checks.sample", "and disagreement are shares, and first and overlap are not below 0")
	}
	if len(p.Codes) == 0 {
		bad("checks.codes", "is empty: nothing could fail")
	}
}

// FollowMove queues the check of a site that was rebuilt, and takes one back whose site somebody moved past the checks or away from them. It runs in the
// transaction of the move.
func (d *Desk) FollowMove(tx *store.Tx, m comms.Moved) error {
	if m.Now.State == m.Was.State {
		return d.followBatch(tx, m)
	}
	id := checkID(m.Now.Incident, m.Now.Site)
	c, meta, err := checks.Get(tx, id)
	have := err == nil
	if !have && fault.Of(err) != fault.NotFound {
		return err
	}
	if c.State == CheckBlocked && m.Now.State != comms.Verifying { // what blocked it is over with the state that it was in
		if err := d.Comms.Settle(tx, taskBlocked, id, m.By, "the site was moved on"); err != nil {
			return err
		}
		c.Owner, c.Until = "", time.Time{}
	}
	switch m.Now.State {
	case comms.Rebuilt:
		if have {
			if err := d.endRun(tx, &c, CheckWithdrawn); err != nil {
				return err
			}
		}
		if c, err = d.queued(tx, c, m); err != nil {
			return err
		}
	case comms.Verifying:
		return nil
	default: // by a person with the right, or by the check itself, which is then over already
		if have && c.State == CheckPassed && m.Now.State != comms.Passed && m.Now.State != comms.HandedBack { // it is taken up again
			c.State, c.Code, c.Reason = CheckFailed, "reopened", m.Now.Reason
			break
		}
		if !have || c.State == CheckPassed || c.State == CheckFailed || c.State == CheckWithdrawn {
			return nil
		}
		if err := d.endRun(tx, &c, CheckWithdrawn); err != nil {
			return err
		}
		c.release()
		c.State, c.Reason = CheckWithdrawn, m.Now.Reason
	}
	tx.On(id)
	return checks.Put(tx, id, c, meta.Version)
}

// followBatch keeps a waiting check in the batch of its site.
func (d *Desk) followBatch(tx *store.Tx, m comms.Moved) error {
	if m.Now.Batch == m.Was.Batch {
		return nil
	}
	c, meta, err := checks.Get(tx, checkID(m.Now.Incident, m.Now.Site))
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.intoBatch(tx, &c, m.Now.Batch); err != nil {
		return err
	}
	return checks.Put(tx, meta.ID, c, meta.Version)
}

func (d *Desk) intoBatch(tx *store.Tx, c *Check, batch string) error {
	c.Batch, c.Wave = batch, 0
	n, err := checks.Count(tx, store.Query{Index: "batch", Equal: []any{c.Incident, batch}, Limit: d.Policy.Checks.First})
	if err != nil {
		return err
	}
	c.Early = n < d.Policy.Checks.First
	if batch == "" {
		return nil
	}
	b, err := d.Comms.BatchIn(tx, c.Incident, batch)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	c.Wave = b.Value.Wave
	return err
}

// queued is a check as it waits for its next attempt, or for its first.
func (d *Desk) queued(tx *store.Tx, c Check, m comms.Moved) (Check, error) {
	site, err := d.Book.Site(tx, m.Now.Site)
	if err != nil {
		return c, err
	}
	if c.Attempt == 0 || c.Batch != m.Now.Batch {
		c.Incident, c.Site, c.Account = m.Now.Incident, m.Now.Site, m.Now.Account
		if err := d.intoBatch(tx, &c, m.Now.Batch); err != nil {
			return c, err
		}
	}
	list, err := d.Comms.NewestChecklist(tx, comms.SiteCheckList)
	if err != nil {
		return c, err
	}
	if c.Language, err = d.localeOf(tx, c.Account); err != nil {
		return c, err
	}
	if c.Tier, err = d.Book.SiteTier(tx, site.ID); err != nil {
		return c, err
	}
	c.Region, c.Skills = site.Value.Region, site.Value.Products
	c.release()
	c.Attempt++
	c.State, c.Pass, c.First, c.Why, c.List, c.QueuedAt = CheckQueued, 1, nil, "", list.ID, tx.Now()
	c.RebuiltAt, c.RebuiltBy = m.Now.At, []string{m.By}
	if m.Now.Worker != "" {
		c.RebuiltBy = append(c.RebuiltBy, m.Now.Worker)
	}
	c.Code, c.Reason, c.Owner, c.One, c.PassedAt, c.PassedBy, c.Answer, c.AnswerAt = "", "", "", false, nil, nil, "", nil
	return c, nil
}

// release takes the check from whoever has it: what she still sends names an epoch that is over.
func (c *Check) release() {
	if c.Holder != "" {
		c.Epoch++
	}
	c.Holder, c.Successor, c.ShiftEnds = "", "", nil
	c.LeasedAt, c.Until, c.Beat = time.Time{}, time.Time{}, time.Time{}
}

// back puts a check that somebody had into the queue again, with what is written so far. It keeps its age.
func (c *Check) back() {
	c.release()
	c.State = CheckQueued
	if c.Pass == 2 {
		c.State = CheckSecondQueued
	}
}

func (d *Desk) endRun(tx *store.Tx, c *Check, verdict string) error {
	if c.Run == "" {
		return nil
	}
	rec, err := d.Comms.RunIn(tx, c.Run)
	if err != nil {
		return err
	}
	c.Run = ""
	_, err = d.Comms.EndRun(tx, rec, verdict)
	return err
}

// Checker is somebody who checks: who she is, and by what name those who rebuild may have called her.
type Checker struct {
	ID, Name string
	Closed   map[string]bool // incidents that she may not read
}

func (p Checker) among(all []string) bool {
	return slices.Contains(all, p.ID) || p.Name != "" && slices.Contains(all, p.Name)
}

// mayCheck says whether somebody may look at a site: she may read its incident, she has not rebuilt it, and the second look is not by anybody who had the first.
func (c Check) mayCheck(p Checker) bool {
	return !p.Closed[c.Incident] && !p.among(c.RebuiltBy) && !(c.Pass == 2 && p.among(c.First))
}

// Claim is what somebody asks for.
type Claim struct {
	Most      int        `json:"most"`       // 0: one
	Incident  string     `json:"incident"`   // "": of any
	Skills    []string   `json:"skills"`     // products that she knows; none: any
	Regions   []string   `json:"regions"`    // none: any
	Languages []string   `json:"languages"`  // of the customers; none: any
	ShiftEnds *time.Time `json:"shift_ends"` // null: the end of the shift that the incident's open handoff names
	Successor string     `json:"successor"`  // who has it when the shift ends before the check does
	Site      string     `json:"site_id"`    // this one and no other
}

func (q Claim) wants(c Check, incident, site string) bool {
	in := func(some []string, one string) bool {
		return len(some) == 0 || one == "" || slices.ContainsFunc(some, func(s string) bool { return strings.EqualFold(s, one) })
	}
	skilled := len(q.Skills) == 0 || len(c.Skills) == 0 || slices.ContainsFunc(c.Skills, func(s string) bool { return in(q.Skills, s) })
	return (incident == "" || c.Incident == incident) && (site == "" || c.Site == site) && skilled && in(q.Regions, c.Region) && in(q.Languages, c.Language)
}

func (q Claim) bad(now time.Time) (f []fault.Field) {
	bad := func(field, reason string) { f = append(f, fault.Field{Field: field, Code: "wrong", Reason: reason}) }
	if q.Most < 0 {
		bad("most", "must not be negative")
	}
	for field, list := range map[string][]string{"skills": q.Skills, "regions": q.Regions, "languages": q.Languages} {
		if len(list) > 50 {
			bad(field, "names more than 50")
		}
	}
	if q.Successor != "" && !person(q.Successor) {
		bad("successor", "must be a person's id")
	}
	if q.ShiftEnds != nil && !q.ShiftEnds.After(now) {
		bad("shift_ends", "is over")
	}
	return f
}

// looked bounds how far down the queue one claim looks for something that the claimer may have.
const looked = 2000

// ClaimChecks gives somebody the next checks that she may have, none when there are none: by wave, then tier, then age. Nobody holds more than
// the policy's number at once.
func (d *Desk) ClaimChecks(ctx context.Context, p Checker, q Claim) (got []store.Rec[Check], err error) {
	if f := q.bad(d.DB.Now()); len(f) > 0 {
		return nil, fault.BadFields(f...)
	}
	err = d.DB.Update(ctx, store.Act{By: p.ID, Verb: "check.claim", Turn: checkTurn}, func(tx *store.Tx) error {
		got = nil
		incident, site := "", ""
		if q.Incident != "" {
			in, err := d.Comms.IncidentIn(tx, q.Incident)
			if err != nil {
				return err
			}
			incident = in.ID
		}
		if q.Site != "" {
			rec, err := d.Book.Site(tx, q.Site)
			if err != nil {
				return err
			}
			site = rec.ID
		}
		if err := d.sweep(tx, sweptAtClaim); err != nil {
			return err
		}
		held, err := checks.Count(tx, store.Query{Index: "holder", Equal: []any{p.ID}})
		if err != nil {
			return err
		}
		free := d.Policy.Checks.Hold - held
		if free <= 0 {
			return fault.New(fault.Conflict, "you have %d checks; finish or return one first", held)
		}
		want := min(max(1, q.Most), free)
		for rec, err := range checks.Scan(tx, store.Query{Index: "queue", Limit: looked}) {
			if err != nil {
				return err
			}
			if !q.wants(rec.Value, incident, site) || !rec.Value.mayCheck(p) {
				continue
			}
			if got = append(got, rec); len(got) == want {
				break
			}
		}
		if len(got) == 0 {
			return store.ErrNothing
		}
		for i := range got {
			if got[i], err = d.lease(tx, p, got[i], q); err != nil {
				return err
			}
		}
		return nil
	})
	return got, err
}

// checkTurn is the turn of all who take from the queue of checks and put back into it: each reads its beginning.
const checkTurn = "checks"

// lease gives a waiting check to somebody.
func (d *Desk) lease(tx *store.Tx, p Checker, rec store.Rec[Check], q Claim) (store.Rec[Check], error) {
	c, pol, now := rec.Value, d.Policy.Checks, tx.Now()
	ends, err := d.shiftEnd(tx, c.Incident, q.ShiftEnds)
	if err != nil {
		return rec, err
	}
	c.State = CheckLeased
	if c.Pass == 2 {
		c.State = CheckSecond
	}
	c.Holder, c.Epoch, c.LeasedAt, c.Beat, c.Until = p.ID, c.Epoch+1, now, now, now.Add(min(pol.Lease, pol.Cap))
	if ends != nil {
		c.ShiftEnds, c.Successor = ends, strings.TrimSpace(q.Successor)
		if err := d.Comms.MayHave(tx, c.Incident, "successor", c.Successor); err != nil {
			return rec, err
		}
		near := !now.Before(ends.Add(-pol.Overlap))
		if near && c.Until.After(*ends) && (c.Successor == "" || c.Successor == p.ID) {
			return rec, fault.BadField("successor", "is missing: your shift ends at %s, before this check would; say who has it then", ends.UTC().Format(time.RFC3339))
		}
		if c.Until.After(*ends) {
			c.Until = *ends
		}
	}
	if c.Pass == 1 && !slices.Contains(c.First, p.ID) {
		c.First = append(slices.Clone(c.First), p.ID)
	}
	tx.On(rec.ID)
	if rec, err = d.putCheck(tx, rec, c); err != nil || c.Pass == 2 {
		return rec, err
	}
	return rec, d.Comms.MoveSite(tx, comms.Mover{By: p.ID, Finish: true}, c.Incident, c.Site, comms.MoveLine{State: comms.Verifying})
}

func (d *Desk) putCheck(tx *store.Tx, rec store.Rec[Check], c Check) (store.Rec[Check], error) {
	if err := checks.Put(tx, rec.ID, c, rec.Version); err != nil {
		return rec, err
	}
	c, m, err := checks.Get(tx, rec.ID)
	return store.Rec[Check]{Meta: m, Value: c}, err
}

// sweptAtClaim and sweptAtOnce bound how many leases that are over one transaction takes back.
const (
	sweptAtClaim = 10
	sweptAtOnce  = 200
)

// SweepChecks takes back leases that are over, hands on what a shift leaves, and wakes what was blocked. It is a standing duty.
func (d *Desk) SweepChecks(ctx context.Context) error {
	return d.DB.Update(ctx, store.Act{By: bySystem, Verb: "check.return"}, func(tx *store.Tx) error {
		any, err := checks.Count(tx, store.Query{Index: "until", To: tx.Now().Add(time.Microsecond), Limit: 1})
		if err == nil && any == 0 {
			return store.ErrNothing
		}
		if err != nil {
			return err
		}
		return d.sweep(tx, sweptAtOnce)
	})
}

func (d *Desk) sweep(tx *store.Tx, most int) error {
	var over []store.Rec[Check]
	for rec, err := range checks.Scan(tx, store.Query{Index: "until", To: tx.Now().Add(time.Microsecond), Limit: most}) {
		if err != nil {
			return err
		}
		over = append(over, rec)
	}
	for _, rec := range over {
		c := rec.Value
		switch {
		case c.State == CheckBlocked:
			if err := d.Comms.Settle(tx, taskBlocked, rec.ID, bySystem, "its time has come"); err != nil {
				return err
			}
			c.Reason, c.Owner = "", ""
			c.back()
		case c.Successor != "" && c.ShiftEnds != nil && !tx.Now().Before(*c.ShiftEnds) && c.mayCheck(Checker{ID: c.Successor}):
			d.hand(&c, c.Successor, tx.Now())
		default:
			c.Returned++
			c.back()
		}
		tx.On(rec.ID)
		if _, err := d.putCheck(tx, rec, c); err != nil {
			return err
		}
	}
	return nil
}

// hand gives a check to somebody by name: a new lease with a new epoch.
func (d *Desk) hand(c *Check, to string, now time.Time) {
	c.Holder, c.Epoch, c.Successor, c.ShiftEnds = to, c.Epoch+1, "", nil
	c.LeasedAt, c.Beat, c.Until = now, now, now.Add(min(d.Policy.Checks.Lease, d.Policy.Checks.Cap))
	if c.Pass == 1 && !slices.Contains(c.First, to) {
		c.First = append(slices.Clone(c.First), to)
	}
}

// Written is what somebody writes into a check that she holds.
type Written struct {
	Epoch   int64                   `json:"epoch"`
	Results map[string]comms.Result `json:"results"`
	Notes   *string                 `json:"notes"` // null: they stay
}

func (w Written) empty() bool { return len(w.Results) == 0 && (w.Notes == nil || *w.Notes == "") }

// Beat says that somebody is at a check that she holds, keeps what she has written, and lets the lease go on to at most the policy's cap.
func (d *Desk) Beat(ctx context.Context, p Checker, id string, w Written) (store.Rec[Check], error) {
	return d.withHeld(ctx, p, "", id, w, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		c.Beat, c.Until = tx.Now(), d.extended(c, tx.Now())
		if _, _, err := d.record(tx, p, &c, w); err != nil {
			return rec, err
		}
		return d.putCheck(tx, rec, c)
	})
}

// extended is when a lease ends after a word from its holder: it outlasts neither the cap nor the shift.
func (d *Desk) extended(c Check, now time.Time) time.Time {
	until := now.Add(d.Policy.Checks.Lease)
	if most := c.LeasedAt.Add(d.Policy.Checks.Cap); until.After(most) {
		until = most
	}
	if c.ShiftEnds != nil && until.After(*c.ShiftEnds) && now.Before(*c.ShiftEnds) {
		until = *c.ShiftEnds
	}
	return until
}

// record keeps results and notes in the check's run, and begins one where there is none.
func (d *Desk) record(tx *store.Tx, p Checker, c *Check, w Written) (store.Rec[comms.Run], comms.Checklist, error) {
	var rec store.Rec[comms.Run]
	var err error
	if c.Run == "" {
		if w.empty() {
			return rec, comms.Checklist{}, nil
		}
		if rec, err = d.Comms.BeginRun(tx, comms.Run{List: c.List, Of: checkID(c.Incident, c.Site), Incident: c.Incident, Attempt: c.Attempt, Pass: c.Pass, By: p.ID}); err != nil {
			return rec, comms.Checklist{}, err
		}
		c.Run = rec.ID
	} else if rec, err = d.Comms.RunIn(tx, c.Run); err != nil {
		return rec, comms.Checklist{}, err
	}
	if c.State == CheckLeased {
		c.State = Checking
	}
	return d.Comms.Mark(tx, rec, p.ID, w.Results, w.Notes, c.LeasedAt)
}

// withHeld does something to a check for its holder. Whoever no longer holds it, or names an epoch that is over, is told so with fault.Fenced, and what she wrote is
// kept as a draft beside the check.
func (d *Desk) withHeld(ctx context.Context, p Checker, verb, id string, w Written, do func(*store.Tx, store.Rec[Check]) (store.Rec[Check], error)) (rec store.Rec[Check], err error) {
	var over Check
	err = d.DB.Update(ctx, store.Act{By: p.ID, Verb: verb, Turn: checkTurn}, func(tx *store.Tx) error {
		c, m, err := checks.Get(tx, id)
		if err != nil {
			return err
		}
		if verb != "" {
			tx.On(id)
		}
		if over = c; !c.Held() || c.Holder != p.ID || c.Epoch != w.Epoch || !tx.Now().Before(c.Until) {
			return c.fenced(p, w.Epoch)
		}
		rec, err = do(tx, store.Rec[Check]{Meta: m, Value: c})
		return err
	})
	if fault.Of(err) != fault.Fenced || w.empty() {
		return rec, err
	}
	draft := comms.Run{List: over.List, Of: id, Attempt: over.Attempt, Pass: over.Pass, By: p.ID, Results: w.Results}
	if w.Notes != nil {
		draft.Notes = *w.Notes
	}
	kept := d.DB.Update(ctx, store.Act{By: p.ID, Verb: "check.draft"}, func(tx *store.Tx) error { return d.keepDraft(tx, draft) })
	if kept != nil {
		return rec, fmt.Errorf("keep what was written into a check that was lost: %w", kept)
	}
	return rec, err
}

// keepDraft bounds what is kept of somebody who may write no more here, and keeps it.
func (d *Desk) keepDraft(tx *store.Tx, v comms.Run) error {
	list, err := d.Comms.ChecklistIn(tx, v.List)
	if err != nil {
		return err
	}
	results := map[string]comms.Result{}
	for key, res := range v.Results {
		if _, known := list.Item(key); known {
			res.Value, res.Why, res.By, res.At = cut(text(res.Value), 1000), cut(text(res.Why), 1000), v.By, tx.Now()
			results[key] = res
		}
	}
	v.Results, v.Notes = results, cut(text(v.Notes), 4000)
	return d.Comms.KeepDraft(tx, v)
}

func (c Check) fenced(p Checker, epoch int64) error {
	switch {
	case c.Holder == "" || !c.Held():
		return fault.New(fault.Fenced, "nobody has this check now (it is %s); what you wrote is kept beside it as a draft", c.State)
	case c.Holder != p.ID:
		return fault.New(fault.Fenced, "somebody else has this check now; what you wrote is kept beside it as a draft")
	case c.Epoch != epoch:
		return fault.New(fault.Fenced, "this check was claimed again since: its epoch is %d, not %d; what you wrote is kept beside it as a draft", c.Epoch, epoch)
	}
	return fault.New(fault.Fenced, "your lease ended at %s; what you wrote is kept beside the check as a draft", c.Until.UTC().Format(time.RFC3339))
}

// Submission is how a pass ended.
type Submission struct {
	Written
	Verdict string     `json:"verdict"` // passed, failed, blocked
	Code    string     `json:"code"`    // of a failure
	Reason  string     `json:"reason"`  // of a failure or what blocks
	Owner   string     `json:"owner"`   // of what blocks
	Wake    *time.Time `json:"wake"`    // when it is looked at again
}

// The verdicts of a pass.
const (
	VerdictPassed  = "passed"
	VerdictFailed  = "failed"
	VerdictBlocked = "blocked"
)

// taskBlocked is the sort of the task that a blocked check is for its owner, taskRejected of what the lead of a batch owes a customer who misses something.
const (
	taskBlocked  = "check.blocked"
	taskRejected = "check.rejected"
)

func (s Submission) bad(p CheckPolicy, now time.Time) (f []fault.Field) {
	bad := func(field, code, reason string) {
		f = append(f, fault.Field{Field: field, Code: code, Reason: reason})
	}
	if !slices.Contains([]string{VerdictPassed, VerdictFailed, VerdictBlocked}, s.Verdict) {
		bad("verdict", "wrong", "must be one of passed, failed, blocked")
	}
	if s.Verdict == VerdictFailed && !slices.Contains(p.Codes, s.Code) {
		bad("code", "wrong", "must be one of "+strings.Join(p.Codes, ", "))
	}
	if len(s.Reason) > 4000 {
		bad("reason", "too_long", "is longer than 4000 bytes")
	}
	if s.Verdict != VerdictBlocked {
		return f
	}
	if text(s.Reason) == "" {
		bad("reason", "missing", "is missing: say what blocks")
	}
	if !person(s.Owner) {
		bad("owner", "missing", "is missing: say who sees to it")
	}
	if s.Wake == nil || !s.Wake.After(now) || s.Wake.After(now.Add(30*24*time.Hour)) {
		bad("wake", "wrong", "must be a time ahead, within 30 days")
	}
	return f
}

// Submit ends a pass. A site that has passed with the eyes it needs moves the ledger in the same transaction, and its customer is told; one that
// failed goes back to be rebuilt; one that is blocked waits with an owner, and holds nobody else up.
func (d *Desk) Submit(ctx context.Context, p Checker, id string, s Submission) (rec store.Rec[Check], err error) {
	if f := s.bad(d.Policy.Checks, d.DB.Now()); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	s.Reason, s.Owner = text(s.Reason), strings.TrimSpace(s.Owner)
	all, err := d.allTwice(ctx, id)
	if err != nil {
		return rec, err
	}
	chance := d.chance()
	return d.withHeld(ctx, p, "check.submit", id, s.Written, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		run, list, err := d.record(tx, p, &c, s.Written)
		if err != nil {
			return rec, err
		}
		if c.Run == "" && s.Verdict != VerdictBlocked { // nothing at all was written down
			if list, err = d.Comms.ChecklistIn(tx, c.List); err != nil {
				return rec, err
			}
			return rec, fault.BadFields(list.Open(comms.Run{})...)
		}
		if s.Verdict == VerdictPassed {
			f := list.Open(run.Value)
			for _, key := range list.Failed(run.Value) {
				f = append(f, fault.Field{Field: "results." + key, Code: "failed", Reason: "has failed, so the site has not passed"})
			}
			if len(f) > 0 {
				return rec, fault.BadFields(f...)
			}
		}
		if s.Verdict == VerdictBlocked {
			return d.block(tx, rec, c, s)
		}
		if err := d.endRun(tx, &c, s.Verdict); err != nil {
			return rec, err
		}
		if c.Pass == 2 {
			now := tx.Now()
			c.SecondAt, c.Agreed = &now, s.Verdict == VerdictPassed // the first pass passed, else there is no second
		}
		if s.Verdict == VerdictFailed {
			return d.fail(tx, p.ID, rec, c, s.Code, s.Reason)
		}
		c.PassedBy = append(slices.Clone(c.PassedBy), p.ID)
		if c.Pass == 1 {
			c.Why = string(secondLook(d.Policy.Checks, c, list.Waived(run.Value), all, chance))
		}
		if c.Pass == 1 && c.Why != "" {
			c.release()
			c.State, c.Pass, c.QueuedAt = CheckSecondQueued, 2, tx.Now()
			return d.putCheck(tx, rec, c)
		}
		return d.pass(tx, p.ID, rec, c)
	})
}

// Second is why a second pair of eyes looks at a site; "" is that none has to.
type Second string

// The reasons for a second look.
const (
	SecondTier     Second = "tier"
	SecondEarly    Second = "early"
	SecondAgain    Second = "again"
	SecondWaived   Second = "waived"
	SecondDisagree Second = "disagreement"
	SecondChance   Second = "chance"
)

// secondLook decides whether a second person looks at a site that has passed once. chance is from 0 to 1, drawn when the first has submitted so that
// nobody knows before.
func secondLook(p CheckPolicy, c Check, waived, all bool, chance float64) Second {
	switch {
	case c.Tier <= 1:
		return SecondTier
	case c.Early:
		return SecondEarly
	case c.Attempt > 1:
		return SecondAgain
	case waived:
		return SecondWaived
	case all:
		return SecondDisagree
	case chance < p.Sample:
		return SecondChance
	}
	return ""
}

func (d *Desk) chance() float64 {
	if d.Chance != nil {
		return d.Chance()
	}
	return rand.Float64()
}

// allTwice says whether the last second passes disagreed surely more often than the policy bears. It reads outside of the transaction that submits: two who submit at once
// would else wait for each other, and one more second look does no harm.
func (d *Desk) allTwice(ctx context.Context, id string) (all bool, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		c, _, err := checks.Get(tx, id)
		if err != nil {
			return err
		}
		n, against, err := d.disagreed(tx, c.Incident)
		all = surelyOver(against, n, d.Policy.Checks.Over)
		return err
	})
	return all, err
}

// disagreed counts the last second passes of an incident, and those that did not say what the first had said.
func (d *Desk) disagreed(tx *store.Tx, incident string) (n, against int, err error) {
	for rec, err := range store.Gists(tx, checks, &d.marks, Check.mark, store.Query{Index: "second", Equal: []any{incident}, Reverse: true, Limit: d.Policy.Checks.Look}) {
		if err != nil {
			return 0, 0, err
		}
		if n++; !rec.Value.Agreed {
			against++
		}
	}
	return n, against, nil
}

func (d *Desk) fail(tx *store.Tx, by string, rec store.Rec[Check], c Check, code, reason string) (store.Rec[Check], error) {
	c.release()
	c.State, c.Code, c.Reason, c.PassedBy = CheckFailed, code, reason, nil
	rec, err := d.putCheck(tx, rec, c)
	if err != nil {
		return rec, err
	}
	why := strings.TrimSuffix("failed its check: "+code+": "+reason, ": ")
	return rec, d.Comms.MoveSite(tx, comms.Mover{By: by, Finish: true}, c.Incident, c.Site, comms.MoveLine{State: comms.FailedSite, Reason: cut(why, 1000), Note: cut(why, 1000)})
}

func (d *Desk) block(tx *store.Tx, rec store.Rec[Check], c Check, s Submission) (store.Rec[Check], error) {
	c.release()
	wake := s.Wake.UTC()
	c.State, c.Reason, c.Owner, c.Until = CheckBlocked, s.Reason, s.Owner, wake
	if _, err := d.Comms.Owe(tx, comms.Task{What: taskBlocked, Of: rec.ID, Account: c.Account, Incident: c.Incident, Owner: c.Owner, Due: wake,
		Title: "a check of site " + c.Site + " is blocked"}); err != nil {
		return rec, err
	}
	return d.putCheck(tx, rec, c)
}

// Unblock puts a blocked check back into the queue before its time.
func (d *Desk) Unblock(ctx context.Context, by, id, reason string) (store.Rec[Check], error) {
	return d.withCheck(ctx, store.Act{By: by, Verb: "check.unblock", Reason: reason}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		if c.State != CheckBlocked {
			return rec, fault.New(fault.Conflict, "this check is %s, not blocked", c.State)
		}
		c.Reason, c.Owner = "", ""
		c.back()
		if err := d.Comms.Settle(tx, taskBlocked, rec.ID, by, cmp.Or(text(reason), "unblocked")); err != nil {
			return rec, err
		}
		return d.putCheck(tx, rec, c)
	})
}

func (d *Desk) withCheck(ctx context.Context, act store.Act, id string, do func(*store.Tx, store.Rec[Check]) (store.Rec[Check], error)) (rec store.Rec[Check], err error) {
	act.Turn = checkTurn
	err = d.DB.Update(ctx, act, func(tx *store.Tx) error {
		c, m, err := checks.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id)
		rec, err = do(tx, store.Rec[Check]{Meta: m, Value: c})
		return err
	})
	return rec, err
}

// pass moves the ledger and tells the customer.
func (d *Desk) pass(tx *store.Tx, by string, rec store.Rec[Check], c Check) (store.Rec[Check], error) {
	now := tx.Now()
	c.release()
	c.State, c.PassedAt, c.Answer, c.AnswerAt = CheckPassed, &now, "", nil
	rec, err := d.putCheck(tx, rec, c)
	if err != nil {
		return rec, err
	}
	why := fmt.Sprintf("passed its check, attempt %d, by %d", c.Attempt, len(c.PassedBy))
	if err := d.Comms.MoveSite(tx, comms.Mover{By: by, Finish: true}, c.Incident, c.Site, comms.MoveLine{State: comms.Passed, Reason: why}); err != nil {
		return rec, err
	}
	if err := d.Comms.Settle(tx, taskRejected, rec.ID, by, "the site has passed again"); err != nil {
		return rec, err
	}
	return rec, d.tellPassed(tx, rec)
}

// ReleaseOne lets a site pass with one pair of eyes, by a lead of its batch, once its second has not come for the policy's time. Sites of tier 0 and 1 wait.
func (d *Desk) ReleaseOne(ctx context.Context, by, id, reason string) (store.Rec[Check], error) {
	if text(reason) == "" {
		return store.Rec[Check]{}, fault.BadField("reason", "is missing")
	}
	return d.withCheck(ctx, store.Act{By: by, Verb: "check.one", Reason: text(reason)}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		from := c.QueuedAt.Add(d.Policy.Checks.Release)
		lead, err := d.leads(tx, by, c)
		switch {
		case err != nil:
			return rec, err
		case !lead:
			return rec, fault.New(fault.Forbidden, "only a lead of the batch may let a site go with one check")
		case c.State != CheckSecondQueued:
			return rec, fault.New(fault.Conflict, "this check is %s; it does not wait for a second pair of eyes", c.State)
		case c.Tier <= 1:
			return rec, fault.New(fault.Conflict, "a site of tier %d is always looked at twice", c.Tier)
		case tx.Now().Before(from):
			return rec, fault.New(fault.Conflict, "a second pair of eyes may still come; ask again at %s", from.UTC().Format(time.RFC3339))
		}
		c.One = true
		if err := d.endRun(tx, &c, CheckWithdrawn); err != nil {
			return rec, err
		}
		return d.pass(tx, by, rec, c)
	})
}

func (d *Desk) leads(tx *store.Tx, person string, c Check) (bool, error) {
	b, err := d.Comms.BatchIn(tx, c.Incident, c.Batch)
	if fault.Of(err) == fault.NotFound {
		return false, nil
	}
	return b.Value.Leads(person), err
}

// Return gives a check back, with what is written so far.
func (d *Desk) Return(ctx context.Context, p Checker, id string, w Written) (store.Rec[Check], error) {
	return d.withHeld(ctx, p, "check.release", id, w, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		if _, _, err := d.record(tx, p, &c, w); err != nil {
			return rec, err
		}
		c.back()
		return d.putCheck(tx, rec, c)
	})
}

// HandOver gives a check to somebody by name, with what is written so far.
func (d *Desk) HandOver(ctx context.Context, p Checker, id, to string, w Written) (store.Rec[Check], error) {
	if to = strings.TrimSpace(to); to == p.ID || !person(to) {
		return store.Rec[Check]{}, fault.BadField("to", "must be the id of somebody else")
	}
	return d.withHeld(ctx, p, "check.hand_over", id, w, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		if !c.mayCheck(Checker{ID: to}) {
			return rec, fault.BadField("to", "has rebuilt this site or looked at it before, and may not look at it now")
		}
		if err := d.Comms.MayHave(tx, c.Incident, "to", to); err != nil {
			return rec, err
		}
		if _, _, err := d.record(tx, p, &c, w); err != nil {
			return rec, err
		}
		d.hand(&c, to, tx.Now())
		return d.putCheck(tx, rec, c)
	})
}

// Again takes an item's result out of the open run, because a lead wants it done once more.
func (d *Desk) Again(ctx context.Context, by, id, item string) (store.Rec[Check], error) {
	return d.withCheck(ctx, store.Act{By: by, Verb: "check.again"}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		lead, err := d.leads(tx, by, rec.Value)
		switch {
		case err != nil:
			return rec, err
		case !lead:
			return rec, fault.New(fault.Forbidden, "only a lead of the batch may order an item again")
		case rec.Value.Run == "":
			return rec, fault.New(fault.Conflict, "nothing is written in this check now")
		}
		run, err := d.Comms.RunIn(tx, rec.Value.Run)
		if err != nil {
			return rec, err
		}
		_, _, err = d.Comms.Mark(tx, run, run.Value.By, map[string]comms.Result{item: {}}, nil, time.Time{})
		return rec, err
	})
}

// Attach fills items that ask for what a program finds with what one has found, whoever has the check or nobody. What a person wrote stays.
func (d *Desk) Attach(ctx context.Context, by, id string, found map[string]comms.Result) (store.Rec[Check], error) {
	return d.withCheck(ctx, store.Act{By: by, Verb: "check.probe"}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c := rec.Value
		if !c.waits() && !c.Held() {
			return rec, fault.New(fault.Conflict, "this check is %s", c.State)
		}
		list, err := d.Comms.ChecklistIn(tx, c.List)
		if err != nil {
			return rec, err
		}
		run := store.Rec[comms.Run]{}
		if c.Run != "" {
			if run, err = d.Comms.RunIn(tx, c.Run); err != nil {
				return rec, err
			}
		}
		take := map[string]comms.Result{}
		for key, res := range found {
			if it, known := list.Item(key); !known || it.Evidence != comms.EvidenceProbe {
				return rec, fault.BadField("results."+cut(line(key), 40), "is no item that asks for a probe")
			}
			if had := run.Value.Results[key]; had.State == "" || had.By == by {
				take[key] = res
			}
		}
		if len(take) == 0 {
			return rec, store.ErrNothing
		}
		if c.Run == "" {
			if run, err = d.Comms.BeginRun(tx, comms.Run{List: c.List, Of: rec.ID, Incident: c.Incident, Attempt: c.Attempt, Pass: c.Pass, By: by}); err != nil {
				return rec, err
			}
			c.Run = run.ID
			if rec, err = d.putCheck(tx, rec, c); err != nil {
				return rec, err
			}
		}
		_, _, err = d.Comms.Mark(tx, run, by, take, nil, time.Time{})
		return rec, err
	})
}

// Opened is a check with all that is on its page.
type Opened struct {
	store.Rec[Check]
	Site    string // what people call it
	URL     string
	List    comms.Checklist
	Run     comms.Run              // the open one
	Earlier []store.Rec[comms.Run] // that have ended, oldest first
	Drafts  []store.Rec[comms.Run]
	Trouble []Trouble // known on the same batch
	Row     comms.Row // of the ledger: how it was restored, and to which point
}

// Trouble is something that failed or blocks a site of the same batch.
type Trouble struct{ Site, State, Code, Reason string }

// Check reads one check with its list, its runs and what is known of its batch.
func (d *Desk) Check(ctx context.Context, id string) (o Opened, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		o = Opened{}
		c, m, err := checks.Get(tx, id)
		if err != nil {
			return err
		}
		o.Rec = store.Rec[Check]{Meta: m, Value: c}
		site, err := d.Book.Site(tx, c.Site)
		if err != nil {
			return err
		}
		o.Site, o.URL = SiteTitle(site), site.Value.URL
		if o.Row, err = d.Comms.RowIn(tx, c.Incident, c.Site); err != nil {
			return err
		}
		if o.List, err = d.Comms.ChecklistIn(tx, c.List); err != nil {
			return err
		}
		all, err := d.Comms.RunsOf(tx, id)
		if err != nil {
			return err
		}
		for _, run := range all {
			switch {
			case run.ID == c.Run:
				o.Run = run.Value
			case run.Value.Draft:
				o.Drafts = append(o.Drafts, run)
			default:
				o.Earlier = append(o.Earlier, run)
			}
		}
		if c.Batch == "" {
			return nil
		}
		for rec, err := range checks.Scan(tx, store.Query{Index: "batch", Equal: []any{c.Incident, c.Batch}}) {
			if err != nil {
				return err
			}
			if b := rec.Value; rec.ID != id && (b.State == CheckFailed || b.State == CheckBlocked) {
				o.Trouble = append(o.Trouble, Trouble{d.siteTitle(tx, b.Site), b.State, b.Code, b.Reason})
			}
		}
		return nil
	})
	return o, err
}

// CheckFilter chooses checks; what is "" is any.
type CheckFilter struct {
	Incident, State, Holder string
	Closed                  map[string]bool // incidents of which none are shown
	After                   string
	Limit                   int
}

// ListChecks lists checks: those of a holder, those that wait in the order in which they are claimed, else an incident's in the order of their sites.
func (d *Desk) ListChecks(ctx context.Context, f CheckFilter) (page []store.Rec[Check], next string, err error) {
	if f.State != "" && !slices.Contains(CheckStates(), f.State) {
		return nil, "", fault.BadField("state", "must be one of %s", strings.Join(CheckStates(), ", "))
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		incident := ""
		if f.Incident != "" {
			in, err := d.Comms.IncidentIn(tx, f.Incident)
			if err != nil {
				return err
			}
			incident = in.ID
		}
		q := store.Query{After: f.After, Limit: min(cmp.Or(max(0, f.Limit), 50), comms.MostListed)}
		switch {
		case f.Holder != "":
			q.Index, q.Equal = "holder", []any{f.Holder}
		case f.State == CheckQueued || f.State == CheckSecondQueued:
			q.Index = "queue"
		case (Check{State: f.State}).Held():
			q.Index = "holder"
		case incident != "":
			q.Prefix = checkPrefix(incident)
		}
		page, next, err = store.ListKept(tx, checks, &d.marks, Check.mark, q, func(m checkMark) bool {
			return !f.Closed[m.Incident] && (incident == "" || m.Incident == incident) && (f.State == "" || m.State == f.State) && (f.Holder == "" || m.Holder == f.Holder)
		})
		return err
	})
	return page, next, err
}

// person says whether something can be the id of somebody.
func person(s string) bool {
	s = strings.TrimSpace(s)
	return s != "" && len(s) <= 100 && line(s) == s
}

// cut is at most so many characters of a text.
func cut(s string, most int) string {
	if all := []rune(s); len(all) > most {
		return string(all[:most])
	}
	return s
}
