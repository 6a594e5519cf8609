package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
)

// Customers often know before any monitor does. When several people say within a short time that their site is gone, or all say the same, somebody is
// alarmed, and one step makes it an incident that holds their tickets.

// soundOf is what a new ticket sounds like, so that those that sound alike can be counted; "": like nothing that is counted. A loss of access is one thing, whatever
// words it is told in; else the same words are.
func soundOf(in Intake) string {
	switch {
	case in.Impact == LostAccess, in.Impact == "" && soundsLost(in.Message):
		return LostAccess
	case in.Impact == Question:
		return ""
	}
	words := folded(in.Message)
	if len(words) < leastAlike {
		return ""
	}
	sum := sha256.Sum256([]byte(words))
	return "words " + hex.EncodeToString(sum[:12])
}

// leastAlike is how many bytes words must have that are compared: many people say "help" and mean different things.
const leastAlike = 24

// mostAlike is how much of a message is compared.
const mostAlike = 400

// folded leaves the letters and digits of a text, in lower case.
func folded(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
		if b.Len() >= mostAlike {
			break
		}
	}
	return b.String()
}

// lost are words, folded, by which people say that something is gone, in the languages of the form.
var lost = []string{
	"isgone", "aregone", "disappeared", "vanished", "wasdeleted", "beendeleted", "weredeleted", "sitenotfound", "cantaccess", "cannotaccess", "cantopen", "cannotopen",
	"lostaccess", "cantlogin", "cannotlogin", "isdown", "notreachable",
	"不见了", "消失了", "被删除", "无法访问", "打不开", "无法登录", "登不上",
	"istweg", "sindweg", "verschwunden", "gelöscht", "nichterreichbar", "keinzugriff", "keinenzugriff", "nichtanmelden", "nichteinloggen",
	"adisparu", "ontdisparu", "supprimé", "inaccessible", "plusaccès", "pasaccéder", "pasmeconnecter", "plusmeconnecter",
	"hadesaparecido", "handesaparecido", "hasidoborrad", "hasidoeliminad", "nopuedoacceder", "nopodemosacceder", "nopuedoentrar", "nopuedoiniciarsesión",
	"sumiu", "sumiram", "desapareceu", "foiapagad", "foiexcluíd", "nãoconsigoacessar", "nãoconsigoentrar", "foradoar",
	"사라졌", "삭제되", "삭제됐", "접속이안", "접속할수없", "접근할수없", "열리지않", "로그인할수없", "로그인이안",
	"消えた", "消えて", "消えま", "削除され", "アクセスできな", "アクセスでき", "開けな", "開けませ", "ログインできな", "ログインできませ",
}

func soundsLost(message string) bool {
	said := folded(message)
	for _, word := range lost {
		if strings.Contains(said, word) {
			return true
		}
	}
	return false
}

// sounding is the query for tickets that sound alike and that no incident holds.
func sounding(sound string, from time.Time) store.Query {
	return store.Query{Index: "sound", Equal: []any{sound}, From: from}
}

// attended is the sound whose alarm somebody was last seen to have open, and until when that is taken as known. While a burst comes in, thousands of tickets in a
// second sound alike, and each would read the alarms again.
type attended struct {
	sound string
	until time.Time
}

// attendedFor is short: so much later a burst that begins as soon as its alarm was done with is told of.
const attendedFor = time.Second

// bursts says whether one more ticket of a sound makes a burst that nobody has been alarmed of. It looks at as few tickets as a burst needs, however many there are.
func (d *Desk) bursts(tx *store.Tx, sound string, more int) (bool, error) {
	if sound == "" {
		return false, nil
	}
	if a := d.attended.Load(); a != nil && a.sound == sound && tx.Now().Before(a.until) {
		return false, nil
	}
	p := d.Policy.Cases
	from := tx.Now().Add(-p.BurstIn)
	q := sounding(sound, from)
	q.Limit = p.BurstOf
	tickets.ForeseeCount(tx, q)
	d.Comms.ForeseeLastOf(tx, comms.Burst, comms.Open) // on the day when it counts
	n, err := tickets.Count(tx, q)
	if err != nil || n+more < p.BurstOf {
		return false, err
	}
	open, ended, err := d.burstsBefore(tx, sound)
	if open { // somebody looks already
		d.attended.Store(&attended{sound, tx.Now().Add(attendedFor)})
	}
	if err != nil || open {
		return false, err
	}
	if !ended.After(from) {
		return true, nil
	}
	q.From = ended // somebody has looked: only what came since counts
	n, err = tickets.Count(tx, q)
	return n+more >= p.BurstOf, err
}

// raised is the detail of the task that an alarm is. What the tickets sound like is no part of the task's name: names can be read in an index, and
// what somebody wrote to us could be guessed from it.
type raised struct {
	Sound   string        `json:"sound"`
	Propose comms.Propose `json:"propose_incident"`
}

func (r *raised) read(t comms.Task) bool { return json.Unmarshal(t.Detail, r) == nil }

// burstsBefore says whether somebody looks at a burst of a sound, and when the last one was done with.
func (d *Desk) burstsBefore(tx *store.Tx, sound string) (open bool, ended time.Time, err error) {
	for _, state := range []string{comms.Open, comms.TaskDone, comms.TaskDropped} {
		last, err := d.Comms.LastOf(tx, comms.Burst, state, func(t comms.Task) bool {
			var r raised
			return r.read(t) && r.Sound == sound
		})
		switch {
		case fault.Of(err) == fault.NotFound:
		case err != nil:
			return false, ended, err
		case state == comms.Open:
			return true, ended, nil
		case last.Value.EndedAt.After(ended):
			ended = last.Value.EndedAt
		}
	}
	return false, ended, nil
}

// mostBurst bounds how many tickets an alarm counts: whoever reads it needs no more to know.
const mostBurst = 1000

// alarm tells that many tickets sound alike: a task that proposes an incident, due at once. Whoever does it first is the only one.
func (d *Desk) alarm(ctx context.Context, sound string) error {
	err := d.DB.Update(ctx, store.Act{By: bySystem, Verb: "burst.alarm"}, func(tx *store.Tx) error {
		is, err := d.bursts(tx, sound, 0)
		if err != nil {
			return err
		}
		if !is {
			return store.ErrNothing
		}
		p := d.Policy.Cases
		q := sounding(sound, tx.Now().Add(-p.BurstIn))
		q.Limit = mostBurst
		n, err := tickets.Count(tx, q)
		if err != nil {
			return err
		}
		propose := comms.Propose{Title: "Customers say that their sites are gone", Count: n, Source: comms.FoundByCustomer}
		title := fmt.Sprintf("%d tickets within %.0f minutes say that a site is gone: is it an incident?", n, p.BurstIn.Minutes())
		if sound != LostAccess {
			propose.Title = "Customers report the same trouble"
			title = fmt.Sprintf("%d tickets within %.0f minutes say the same: is it an incident?", n, p.BurstIn.Minutes())
		}
		detail, err := json.Marshal(raised{sound, propose})
		if err != nil {
			return fmt.Errorf("write the detail of a burst: %w", err)
		}
		of := LostAccess
		if sound != LostAccess {
			first, err := tickets.First(tx, sounding(sound, q.From.(time.Time)))
			if err != nil {
				return err
			}
			of = first.ID
		}
		_, err = d.Comms.Alarm(tx, comms.Task{What: comms.Burst, Of: of, Title: title, Detail: detail})
		return err
	})
	if kind := fault.Of(err); kind == fault.Exists || kind == fault.Stale { // another was faster
		return nil
	}
	return err
}

// WatchBursts looks for a burst of which the process that took the last ticket could not tell, and has the page speak of those that nobody answers.
func (d *Desk) WatchBursts(ctx context.Context) error {
	is := false
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		is, err = d.bursts(tx, LostAccess, 0)
		return err
	})
	if err == nil && is {
		err = d.alarm(ctx, LostAccess)
	}
	if err != nil {
		return err
	}
	return d.Comms.SayReports(ctx, d.behind)
}

// behind counts the different people whose tickets are behind an alarm and that no incident holds, up to most. One person who writes ten times is one.
func (d *Desk) behind(tx *store.Tx, t comms.Task, most int) (int, error) {
	var burst raised
	if !burst.read(t) {
		return 0, nil
	}
	people := map[string]bool{}
	q := sounding(burst.Sound, d.burstFrom(t))
	q.Limit = mostBurst
	for rec, err := range tickets.Scan(tx, q) {
		if err != nil {
			return 0, err
		}
		people[strings.ToLower(orElse(rec.Value.Email, rec.Value.Phone))] = true
		if len(people) >= most {
			break
		}
	}
	return len(people), nil
}

// Counted is a task with the tickets of its burst as they are now: while somebody thinks about the alarm more come in. Every other task it leaves as it is.
func (d *Desk) Counted(ctx context.Context, rec store.Rec[comms.Task]) (store.Rec[comms.Task], error) {
	var burst raised
	if rec.Value.What != comms.Burst || rec.Value.State != comms.Open || !burst.read(rec.Value) {
		return rec, nil
	}
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		q := sounding(burst.Sound, d.burstFrom(rec.Value))
		q.Limit = mostBurst
		burst.Propose.Count, err = tickets.Count(tx, q)
		return err
	})
	if err != nil {
		return rec, fmt.Errorf("count the tickets of task %s: %w", rec.ID, err)
	}
	rec.Value.Detail, err = json.Marshal(burst)
	return rec, err
}

// burstFrom is from when on tickets belong to the burst of an alarm.
func (d *Desk) burstFrom(t comms.Task) time.Time { return t.OpenedAt.Add(-d.Policy.Cases.BurstIn) }

// heldAtOnce is how many tickets are moved in one transaction.
const heldAtOnce = 200

// Promote makes an incident of what a task proposes, in one step: it is declared, the task is done, and the tickets of a burst wait in its queue.
// Fields of the declaration that are empty are filled from the proposal.
func (d *Desk) Promote(ctx context.Context, by, task string, in comms.Declare) (store.Rec[comms.Incident], error) {
	var sound string
	var from time.Time
	var held open
	rec, err := d.Comms.Task(ctx, task)
	if err != nil {
		return store.Rec[comms.Incident]{}, err
	}
	proposed, ok := rec.Value.Proposed()
	if !ok {
		return store.Rec[comms.Incident]{}, fault.New(fault.Conflict, "this task proposes no incident")
	}
	var burst raised
	if rec.Value.What == comms.Burst && burst.read(rec.Value) {
		sound, from = burst.Sound, d.burstFrom(rec.Value)
		in.FoundBy = orElse(in.FoundBy, comms.FoundByCustomer)
	}
	in.Title, in.DetectedBy, in.Stage = orElse(in.Title, proposed.Title), orElse(in.DetectedBy, proposed.Source), comms.RecordIncident
	also := func(tx *store.Tx, id string) error {
		made, err := d.Comms.IncidentIn(tx, id)
		if err != nil {
			return err
		}
		held = openOf(made)
		if err := d.Comms.EndTask(tx, task, comms.TaskDone, by, "declared as incident "+id); err != nil {
			return err
		}
		_, err = d.hold(tx, by, sound, from, held)
		return err
	}
	made, err := d.declare(ctx, by, rec.Value.Incident, in, also)
	for more := sound != ""; err == nil && more; { // a burst may be longer than one transaction
		err = d.DB.Update(ctx, store.Act{By: by, Verb: "ticket.hold"}, func(tx *store.Tx) error {
			n, err := d.hold(tx, by, sound, from, held)
			more = n == heldAtOnce
			if err == nil && n == 0 {
				return store.ErrNothing
			}
			return err
		})
	}
	return made, err
}

// declare declares an incident, or makes one of the alert that was noted of it.
func (d *Desk) declare(ctx context.Context, by, alert string, in comms.Declare, also func(*store.Tx, string) error) (store.Rec[comms.Incident], error) {
	if alert != "" {
		noted, err := d.Comms.Incident(ctx, alert)
		if err != nil {
			return noted, err
		}
		if noted.Value.Undeclared() {
			return d.Comms.DeclareWatched(ctx, by, alert, in, "declared by the task that it raised", also)
		}
	}
	return d.Comms.DeclareWith(ctx, by, in, also)
}

func orElse(a, b string) string {
	if strings.TrimSpace(a) == "" {
		return b
	}
	return a
}

// hold moves tickets of a sound into an incident's queue, and says how many.
func (d *Desk) hold(tx *store.Tx, by, sound string, from time.Time, of open) (n int, err error) {
	if sound == "" {
		return 0, nil
	}
	q := sounding(sound, from)
	q.Limit = heldAtOnce
	var all []store.Rec[Ticket]
	for rec, err := range tickets.Scan(tx, q) {
		if err != nil {
			return n, err
		}
		all = append(all, rec)
	}
	for _, rec := range all {
		t := d.Policy.weighed(rec.Value, d.Policy.enters(rec.Value, of).raised(of.Severity), tx.Now())
		tx.On(rec.ID)
		if err := d.put(tx, by, rec, t); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// raised makes a ticket as urgent as the incident that it turns out to be about, unless a person has said how urgent it is, or she who wrote it only asks.
func (t Ticket) raised(severity string) Ticket {
	if !t.Reviewed && t.Impact != Question && severity < t.Priority {
		t.Priority = severity
	}
	return t
}
