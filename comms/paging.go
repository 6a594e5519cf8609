package comms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	limits "lifeline/store/limit"
	"lifeline/templates"
)

// Post names people of a rung by what they are, so that a ladder holds while shifts change: whoever is on duty for a role, and everybody who has the role
// when nobody is on duty; or one person.
type Post struct {
	Role   string `yaml:"role" json:"role,omitempty"`
	Region string `yaml:"region" json:"region,omitempty"` // "": whoever is on duty anywhere
	Person string `yaml:"person" json:"person,omitempty"` // id of staff, instead of a role

	// Seat is a role in the incident, instead of a role on the staff: one of IncidentRoles, "all", or "open" for those who were called and have not confirmed.
	Seat    string `yaml:"seat" json:"seat,omitempty"`
	StandIn bool   `yaml:"stand_in" json:"stand_in,omitempty"` // of the seat, whoever stands in for it
}

// onDuty is the ladder of what has none of its own, once there is staff: whoever commands, then with her whoever speaks, then management.
func onDuty() Ladder {
	return Ladder{{Staff: []Post{{Role: "commander"}}}, {After: 15 * time.Minute, Staff: []Post{{Role: "commander"}, {Role: "comms"}}}, {After: 45 * time.Minute, Staff: []Post{{Role: "approver"}}}}
}

// ladder is who is told when a deadline passes. What the policy says nothing of climbs the ladder of those on duty, where it is known who they are; a task
// only its first rung, for it is nobody's emergency.
func (r *Room) ladder(d Deadline) Ladder {
	l := r.Policy.ladder(d)
	if len(l) > 0 || r.Staffed == nil || len(r.Policy.OnDuty) == 0 {
		return l
	}
	if d.Task() {
		return r.Policy.OnDuty[:1]
	}
	if own := crewLadder(d.What); own != nil {
		return own
	}
	if toReaders := d.What == NextUpdate || d.What == Silence || strings.HasPrefix(d.What, FirstWord); toReaders && r.Policy.Near > 0 {
		return append(Ladder{{After: -r.Policy.Near, Staff: []Post{{Role: "commander"}, {Role: "comms"}}}}, r.Policy.OnDuty...)
	}
	return r.Policy.OnDuty
}

// pagedFor is how long somebody who was paged is not paged again: what passes meanwhile comes together, with the count.
const pagedFor = time.Minute

// mostFired bounds how many deadlines are fired at one go.
const mostFired = 2000

// paging gathers, in one transaction, whom the deadlines that have passed make us tell, so that each person is told once however many they are.
type paging struct {
	r       *Room
	tx      *store.Tx
	now     time.Time
	at      map[Post][]Direct
	busy    map[string]time.Time // by address: when she may be paged again
	free    map[string]limits.Taking
	pages   map[string]*onePage
	order   []string
	rungs   int
	waiting int
}

// onePage is what one address is told.
type onePage struct {
	to    Direct
	first templates.DeadlineNotice
	of    []string // ids of deadlines
}

func (r *Room) paging(tx *store.Tx, now time.Time) *paging {
	return &paging{r: r, tx: tx, now: now, at: map[Post][]Direct{}, busy: map[string]time.Time{}, free: map[string]limits.Taking{}, pages: map[string]*onePage{}}
}

func addressed(d Direct) string { return d.Channel + ":" + d.Address }

// people are those of a rung, each address once.
func (p *paging) people(rung Rung) (all []Direct, err error) {
	seen := map[string]bool{}
	add := func(some []Direct) {
		for _, d := range some {
			if !seen[addressed(d)] && len(all) < mostDirect {
				seen[addressed(d)] = true
				all = append(all, d)
			}
		}
	}
	add(rung.To)
	for _, post := range rung.Staff {
		if p.r.Staffed == nil {
			continue
		}
		known, ok := p.at[post]
		if !ok {
			if known, err = p.r.Staffed(p.tx, post, p.now); err != nil {
				return nil, err
			}
			p.at[post] = known
		}
		add(known)
	}
	return all, nil
}

// reached are those of a deadline's rung, with the people of its incident where the rung names them by what they are there.
func (p *paging) reached(d Deadline, rung Rung) ([]Direct, error) {
	if !slices.ContainsFunc(rung.Staff, func(post Post) bool { return post.Seat != "" }) {
		return p.people(rung)
	}
	var in Incident
	if d.Incident != "" {
		var err error
		if in, _, err = incidents.Get(p.tx, d.Incident); err != nil {
			return nil, err
		}
	}
	rung.Staff = in.posts(d.Of, rung.Staff)
	return p.people(rung)
}

// until is when all of them may be paged; zero: now.
func (p *paging) until(people []Direct) (at time.Time, err error) {
	for _, d := range people {
		key := addressed(d)
		if _, looked := p.busy[key]; !looked {
			taking, err := limits.Look(p.tx, "page "+key, limits.Rule{N: 1, Per: pagedFor})
			var soon *fault.Error
			switch {
			case errors.As(err, &soon) && soon.Kind == fault.TooMany:
				p.busy[key] = p.now.Add(soon.Wait)
			case err != nil:
				return at, err
			default:
				p.busy[key], p.free[key] = time.Time{}, taking
			}
		}
		if p.busy[key].After(at) {
			at = p.busy[key]
		}
	}
	return at, nil
}

// tell notes that people are to be told of a deadline.
func (p *paging) tell(people []Direct, id string, about templates.DeadlineNotice) {
	for _, d := range people {
		key := addressed(d)
		if p.pages[key] == nil {
			p.pages[key] = &onePage{to: d, first: about}
			p.order = append(p.order, key)
		}
		if about.Since.Before(p.pages[key].first.Since) { // what is late longest is named, and the others are counted
			p.pages[key].first = about
		}
		p.pages[key].of = append(p.pages[key].of, id)
	}
}

// send writes the notices: one for all who are told the same.
func (p *paging) send() error {
	notices, order := map[string]*Notice{}, []string{}
	for _, key := range p.order {
		page := p.pages[key]
		if err := p.free[key].In(p.tx); err != nil {
			return err
		}
		same := strings.Join(page.of, " ")
		if n := notices[same]; n != nil {
			n.To = append(n.To, page.to)
			continue
		}
		about := page.first
		if about.More = len(page.of) - 1; about.More > 0 {
			about.URL = p.r.Vendor.URL + "/desk"
		}
		data, err := json.Marshal(about)
		if err != nil {
			return fmt.Errorf("write the facts of a deadline: %w", err)
		}
		notices[same] = &Notice{Lane: LaneUrgent, Name: templates.MsgDeadline, To: []Direct{page.to}, Data: data}
		order = append(order, same)
	}
	for _, same := range order {
		if _, err := p.r.tell(p.tx, *notices[same]); err != nil {
			return err
		}
	}
	return nil
}

// FireDeadlines tells the next rung of every deadline that has passed by now (domain time) and says how many rungs that were. All of them are one transaction,
// so that a rung is told once, whoever fires and however often, and somebody of a thousand rungs gets one page with the count. Who was paged within the last
// minute gets the next page when that is over.
func (r *Room) FireDeadlines(ctx context.Context, now time.Time) (fired int, err error) {
	var ids, deeds []string
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		ids, deeds = nil, nil
		for rec, err := range deadlines.Scan(tx, store.Query{Index: "fire", To: now.Add(time.Microsecond), Limit: mostFired}) {
			if err != nil {
				return err
			}
			if r.deed(rec.Value.What) != nil {
				deeds = append(deeds, rec.ID)
			} else {
				ids = append(ids, rec.ID)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look for deadlines that passed: %w", err)
	}
	for _, id := range deeds {
		if err := r.doDeed(ctx, id, now); err != nil && ctx.Err() == nil {
			r.Log.Error("what is due by itself failed; it is tried again", "deadline", id, "err", err)
		}
	}
	for len(ids) > 0 {
		n, err := r.fireAll(ctx, ids, now)
		switch kind := fault.Of(err); {
		case err == nil:
			return fired + n, nil
		case kind != fault.Stale && kind != fault.NotFound && kind != fault.Exists:
			return fired, fmt.Errorf("fire deadlines: %w", err)
		case len(ids) > 1: // one of them was done or fired at this moment: the others are not kept waiting by it
			half := len(ids) / 2
			if n, err = r.fireAll(ctx, ids[:half], now); err == nil {
				fired += n
				ids = ids[half:]
				continue
			}
			ids = ids[:half]
		default:
			return fired, nil
		}
	}
	return fired, nil
}

func (r *Room) fireAll(ctx context.Context, ids []string, now time.Time) (fired int, err error) {
	err = r.DB.Update(ctx, store.Act{By: deadlinesBy, Verb: "deadline.fire"}, func(tx *store.Tx) error {
		p := r.paging(tx, now)
		for _, id := range ids {
			if err := r.fire(p, id); err != nil {
				return err
			}
		}
		if fired = p.rungs; p.rungs+p.waiting == 0 {
			return store.ErrNothing
		}
		return p.send()
	})
	return fired, err
}

// fire moves one deadline on and notes whom it makes us tell. One that is not due any more, or for whose people it is too soon, is left.
func (r *Room) fire(p *paging, id string) error {
	tx := p.tx
	d, m, err := deadlines.Get(tx, id)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if d.Fire.IsZero() || d.Fire.After(p.now) {
		return nil
	}
	ladder, rung := r.ladder(d), d.Rung
	var people []Direct
	if rung < len(ladder) {
		if people, err = p.reached(d, ladder[rung]); err != nil {
			return err
		}
		wait, err := p.until(people)
		if err != nil {
			return err
		}
		if wait.After(p.now) {
			p.waiting++
			d.Fire = wait
			return deadlines.Put(tx, id, d, m.Version)
		}
	}
	d.Rung++
	d.Fire = time.Time{}
	if d.Rung < len(ladder) {
		d.Fire = d.Due.Add(ladder[d.Rung].After)
	}
	if err := deadlines.Put(tx, id, d, m.Version); err != nil {
		return err
	}
	p.rungs++
	tx.On(id, d.Of)
	if len(people) > 0 {
		about, err := r.passed(tx, d, 1+max(0, rung-ladder.early()))
		if err != nil {
			return err
		}
		p.tell(people, id, about)
	}
	if d.Incident == "" {
		return nil
	}
	was := "was"
	if tx.Now().Before(d.Due) {
		was = "is"
	}
	text := fmt.Sprintf("%s %s due at %s; rung %d of %d, %d told", d.What, was, d.Due.UTC().Format(time.RFC3339), d.Rung, len(ladder), len(people))
	if len(ladder) == 0 {
		text = fmt.Sprintf("%s was due at %s; no ladder, nobody told", d.What, d.Due.UTC().Format(time.RFC3339))
	}
	return entries.Put(tx, entries.NewID(), Entry{Incident: d.Incident, At: tx.Now(), By: deadlinesBy, What: "deadline", Text: text}, 0)
}

// passed is what people are told of a deadline that passed, or is about to.
func (r *Room) passed(tx *store.Tx, d Deadline, rung int) (templates.DeadlineNotice, error) {
	p := templates.DeadlineNotice{What: d.What, Of: d.Title, Since: d.Due, Near: tx.Now().Before(d.Due), URL: r.Vendor.URL + cmp.Or(d.Page, "/desk"), Rung: rung}
	switch {
	case d.Task():
		p.URL = r.Vendor.URL + "/desk/tasks/" + d.Of
	case d.Page == "" && d.Incident != "":
		p.URL = r.deskURL(d.Incident)
	}
	if d.Incident != "" {
		in, _, err := incidents.Get(tx, d.Incident)
		if err != nil {
			return p, err
		}
		if p.Of == "" || in.Confined() {
			p.Of = r.mailedTitle(in)
		}
	}
	return p, nil
}

// deed is what is done when a deadline of a sort passes, in place of telling a ladder; nil: its ladder is told.
func (r *Room) deed(what string) func(context.Context, Due) error {
	switch what {
	case Weighing:
		return r.weigh
	case estimating:
		return r.estimate
	}
	return r.Deeds[what]
}

// deedAgain is when a deed that failed, or whose replica died, is tried again.
const deedAgain = time.Minute

// doDeed does what a deadline is for. It is taken first, so that one replica does it, and a failure holds up nobody else's.
func (r *Room) doDeed(ctx context.Context, id string, now time.Time) error {
	var due Due
	err := r.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
		due = Due{}
		d, m, err := deadlines.Get(tx, id)
		if fault.Of(err) == fault.NotFound || err == nil && (d.Fire.IsZero() || d.Fire.After(now)) {
			return store.ErrNothing
		}
		if err != nil {
			return err
		}
		d.Fire = now.Add(deedAgain)
		due = Due{id, d}
		return deadlines.Put(tx, id, d, m.Version)
	})
	if kind := fault.Of(err); kind == fault.Stale || kind == fault.NotFound {
		return nil // another replica took it
	}
	if err != nil || due.ID == "" {
		return err
	}
	return r.deed(due.What)(ctx, due)
}
