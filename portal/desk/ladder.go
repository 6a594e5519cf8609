package desk

import (
	"context"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Level is how sure we are of who the person of a case is. It belongs to the person, the account and the case, it ends by itself, and it moves nobody
// in any queue: it guards records, never help. Customers never see its name.
type Level int

// The levels.
const (
	L0 Level = iota // nothing is known of her
	L1              // she can be reached where she says
	L2              // she belongs to the customer
	L3              // she is a contact who may speak for the customer
	L4              // L3 shown minutes ago, and somebody else agreed
)

// String is the level's name among staff.
func (l Level) String() string { return [...]string{"L0", "L1", "L2", "L3", "L4"}[l] }

// Deed is something that a customer may do or see once we are sure enough of her.
type Deed string

// The deeds.
const (
	FileTicket    Deed = "ticket.file"
	ReadTicket    Deed = "ticket.read"
	AddWords      Deed = "ticket.add"
	AttachFile    Deed = "ticket.attach"
	CloseTicket   Deed = "ticket.close"
	Subscribe     Deed = "subscribe"
	AnswerSite    Deed = "site.answer"
	SeeStage      Deed = "account.stage"
	SeeOwnTickets Deed = "tickets.own"
	SeeOwnRecord  Deed = "contact.own"
	SeePoints     Deed = "restore_point.see"
	AskEscalation Deed = "escalation.ask"
	ProposeChange Deed = "change.propose"
	SeeShared     Deed = "tickets.shared"
	SeeSites      Deed = "sites"
	SeeLead       Deed = "lead"
	AskRestore    Deed = "restore_point.ask"
	ExportAccount Deed = "account.export"
	TakeRecovery  Deed = "recovery.take"
	Vouch         Deed = "vouch"
	ChangeContact Deed = "contact.change"
	ChangeDomain  Deed = "domain.change"
	ChangeProof   Deed = "recovery.change"
	BulkExport    Deed = "export.bulk"
	DeleteRecord  Deed = "record.delete"
)

// needs is the one table of what each level lets a customer do. What is not in it is refused.
var needs = []struct {
	deed  Deed
	level Level
	other bool // it is about the account, and so about no other than the case's
}{
	{FileTicket, L0, false},
	{ReadTicket, L0, false}, // with what opens it
	{AddWords, L0, false},
	{AttachFile, L1, false},
	{CloseTicket, L1, false},
	{Subscribe, L1, false},
	{AnswerSite, L1, false}, // by a link that was mailed to a contact of the site
	{SeeStage, L2, true},
	{SeeOwnTickets, L2, true},
	{SeeOwnRecord, L2, true},
	{SeePoints, L2, true}, // of the sites that are hers
	{AskEscalation, L2, true},
	{ProposeChange, L2, true},
	{SeeShared, L3, true},
	{SeeSites, L3, true},
	{SeeLead, L3, true},
	{AskRestore, L3, true},
	{ExportAccount, L3, true},
	{TakeRecovery, L3, true},
	{Vouch, L3, true},
	{ChangeContact, L4, true},
	{ChangeDomain, L4, true},
	{ChangeProof, L4, true},
	{BulkExport, L4, true},
	{DeleteRecord, L4, true},
}

// Deeds are all deeds, in the order of the table.
func Deeds() (all []Deed) {
	for _, n := range needs {
		all = append(all, n.deed)
	}
	return all
}

// Needs is the level that a deed needs; false for what nobody may do.
func Needs(what Deed) (Level, bool) {
	for _, n := range needs {
		if n.deed == what {
			return n.level, true
		}
	}
	return 0, false
}

// Proof is a piece of evidence as it is weighed for a case.
type Proof struct {
	ID string
	Evidence
	Weak   string // why it shows nothing; "": it does
	Stale  bool   // nobody confirmed its contact for so long that she may have left
	Speaks bool   // its contact may speak for the customer
}

func (p Proof) counts() bool { return p.Weak == "" }

// channel says that it shows where she can be reached, whatever else it shows or does not.
func (p Proof) channel() bool {
	return p.Voided.IsZero() && (p.How == HowCode || p.How == HowLink)
}

// Case is everything from which a level is computed.
type Case struct {
	ID        string
	Own       bool   // somebody's own page, and no ticket
	Account   string // "": it hangs on none
	StartedBy string // who filed the ticket
	Began     time.Time
	Over      time.Time // when the incident ended, or the ticket was closed; zero: it goes on
	Seen      time.Time // when its person last wrote
	Now       time.Time
	Proofs    []Proof // oldest first
}

// Identity is the policy of the ladder.
type Identity struct {
	ReachIdle  time.Duration `yaml:"reach_idle" json:"reach_idle"`     // L1 ends when nothing was heard for so long
	Affiliated time.Duration `yaml:"affiliated" json:"affiliated"`     // L2 ends so long after what it rests on
	Authorised time.Duration `yaml:"authorised" json:"authorised"`     // L3 rests so long behind the last proof, and a code to the proven channel wakes it
	Dual       time.Duration `yaml:"dual" json:"dual"`                 // what needs L4 is asked for within this behind a proof
	PairHold   time.Duration `yaml:"pair_hold" json:"pair_hold"`       // correlated evidence counts so long after everybody on file was told
	Cooling    time.Duration `yaml:"cooling" json:"cooling"`           // a change that needs L4 waits so long
	WayBack    time.Duration `yaml:"way_back" json:"way_back"`         // the way back by the switchboard ends within
	Code       time.Duration `yaml:"code" json:"code"`                 // a code holds
	Link       time.Duration `yaml:"link" json:"link"`                 // a link that confirms an address holds
	DNS        time.Duration `yaml:"dns" json:"dns"`                   // a DNS challenge holds
	Tries      int           `yaml:"tries" json:"tries"`               // codes that may be tried in one case while one holds
	DailyTries int           `yaml:"daily_tries" json:"daily_tries"`   // and in a day, of all codes to one address in it
	Wrong      int           `yaml:"wrong_hourly" json:"wrong_hourly"` // wrong codes and secrets in an hour, in all, until staff are alarmed
	Sends      int           `yaml:"sends" json:"sends"`               // codes to one address in an hour
	DailySends int           `yaml:"daily_sends" json:"daily_sends"`   // and in a day
	From       int           `yaml:"from" json:"from"`                 // codes that one network may ask for, and try, in an hour
	Hourly     int           `yaml:"hourly" json:"hourly"`             // codes by mail in an hour, in all
	SMSHourly  int           `yaml:"sms_hourly" json:"sms_hourly"`     // by SMS
}

func defaultIdentity() Identity {
	return Identity{ReachIdle: 7 * day, Affiliated: day, Authorised: day, Dual: 15 * time.Minute, PairHold: day, Cooling: day, WayBack: 4 * time.Hour,
		Code: 10 * time.Minute, Link: day, DNS: 3 * day, Tries: 5, DailyTries: 20, Wrong: 300, Sends: 5, DailySends: 10, From: 30, Hourly: 20_000, SMSHourly: 500}
}

// check names every value that cannot be used.
func (p Identity) check(bad func(field, reason string)) {
	for field, d := range map[string]time.Duration{"reach_idle": p.ReachIdle, "affiliated": p.Affiliated, "authorised": p.Authorised, "dual": p.Dual, "pair_hold": p.PairHold,
		"cooling": p.Cooling, "way_back": p.WayBack, "code": p.Code, "link": p.Link, "dns": p.DNS} {
		if d <= 0 {
			bad("identity."+field, "must be a duration above 0")
		}
	}
	for field, n := range map[string]int{"tries": p.Tries, "daily_tries": p.DailyTries, "sends": p.Sends, "daily_sends": p.DailySends, "from": p.From, "hourly": p.Hourly, "sms_hourly": p.SMSHourly} {
		if n < 1 {
			bad("identity."+field, "must be at least 1")
		}
	}
	if p.Wrong < 1 || p.Wrong > 1000 {
		bad("identity.wrong_hourly", "must be between 1 and 1000")
	}
}

// Standing is who the person of a case is taken to be now.
type Standing struct {
	Level    Level
	Account  string
	Contact  string    // the contact whom she is taken to be, at L2 by what she showed alone; "": none
	By       string    // the rule by which: reach, class, pair, correlated, vouch, way_back, override
	Until    time.Time // when it falls unless something is shown again
	Shown    time.Time // when what it rests on was last shown
	Asleep   bool      // L3 was reached, and a code to the proven channel wakes it
	Override bool      // two members of staff answer for her: say so wherever it is shown
	HoldEnds time.Time // correlated evidence counts from then on
	Missing  []string  // what would lead on, as codes
	Proofs   []Proof   // all of it, oldest first
}

// Fresh says that L3 was shown so lately that what needs L4 may be asked for.
func (s Standing) Fresh(now time.Time, p Identity) bool {
	return s.Level >= L3 && now.Sub(s.Shown) < p.Dual
}

// Judge computes a standing from a case. It is the only place that makes a level.
func (p Identity) Judge(c Case) Standing {
	s := Standing{Account: c.Account, Proofs: c.Proofs}
	if !p.authorised(c, &s) && !p.affiliated(c, &s) {
		p.reached(c, &s)
	}
	s.Missing = p.missing(c, s)
	return s
}

// reached: she answered where she says that she can be reached, and was heard of since not too long ago.
func (p Identity) reached(c Case, s *Standing) {
	for _, proof := range c.Proofs {
		if !proof.channel() {
			continue
		}
		heard := proof.At
		if c.Seen.After(heard) {
			heard = c.Seen
		}
		if until := heard.Add(p.ReachIdle); c.Now.Before(until) && until.After(s.Until) {
			s.Level, s.By, s.Until, s.Shown = L1, "reach", until, heard
		}
	}
}

// affiliated: something that only the customer's people have. What is tied to a contact whom nobody confirmed for long does not stand alone.
func (p Identity) affiliated(c Case, s *Standing) bool {
	var live []Proof
	for _, proof := range c.Proofs {
		if proof.counts() && proof.class() && proof.Class != ClassF && c.Now.Before(proof.At.Add(p.Affiliated)) {
			live = append(live, proof)
		}
	}
	for _, proof := range live {
		alone := !proof.Stale || proof.Class != ClassB && proof.Class != ClassC
		if !alone && !slices.ContainsFunc(live, func(q Proof) bool { return q.Class != proof.Class && !correlated(q.Class, proof.Class) }) {
			continue
		}
		if until := proof.At.Add(p.Affiliated); until.After(s.Until) {
			s.Level, s.By, s.Until, s.Shown, s.Contact = L2, "class", until, proof.At, proof.Contact
		}
	}
	return s.Level == L2
}

// class says that it is one of the classes that a person shows and that are worth something.
func (p Proof) class() bool {
	return slices.Contains([]Class{ClassA, ClassAlike, ClassB, ClassC, ClassD, ClassF}, p.Class)
}

// tied says that it is tied to a contact, and which rests on her.
func (p Proof) tied() bool {
	return p.Contact != "" && slices.Contains([]Class{ClassA, ClassB, ClassC, ClassF}, p.Class)
}

// correlated says whether whoever has one easily has the other, so that both count as one.
func correlated(a, b Class) bool {
	pairs := [][2]Class{{ClassA, ClassD}, {ClassA, ClassAlike}, {ClassAlike, ClassD}}
	return slices.Contains(pairs, [2]Class{a, b}) || slices.Contains(pairs, [2]Class{b, a})
}

// authorised: two classes that are worth two, somebody's word and one, the way back from nothing, or two members of staff; and a match by somebody who
// did not start the case.
func (p Identity) authorised(c Case, s *Standing) bool {
	if c.Own {
		return false // nobody has matched it
	}
	for _, on := range p.grounds(c, s) {
		shown, ok := on.shown(c)
		if !ok {
			continue
		}
		until := shown.Add(p.Authorised)
		if !c.Now.Before(until) {
			s.Asleep = s.Level < L3 && (c.Over.IsZero() || c.Now.Before(c.Over)) || s.Asleep
			continue
		}
		if s.Level == L3 && !until.After(s.Until) {
			continue
		}
		s.Level, s.By, s.Contact, s.Until, s.Shown, s.Override, s.Asleep = L3, on.by, on.contact, until, shown, on.by == "override", false
	}
	return s.Level == L3
}

// ground is a way in which a case would carry L3.
type ground struct {
	by      string
	contact string
	since   time.Time // when the last thing that it needs was there
	rests   []Proof   // on what
}

// shown is when the person last showed what a ground rests on: with it, or since by a code to the channel that it proved. When the incident is over,
// nothing renews it.
func (g ground) shown(c Case) (at time.Time, ok bool) {
	if !c.Over.IsZero() && g.since.After(c.Over) {
		return at, false
	}
	at = g.since
	var channels []Proof
	for _, p := range g.rests {
		if p.Address != "" && p.class() {
			channels = append(channels, p)
		}
	}
	if channels == nil { // by the way back or an override: where she could be reached then
		for _, p := range c.Proofs {
			if p.channel() && !p.At.After(g.since) {
				channels = append(channels, p)
			}
		}
	}
	for _, p := range c.Proofs {
		again := p.channel() && slices.ContainsFunc(channels, func(q Proof) bool {
			return q.Channel == p.Channel && sameAddress(p.Channel, q.Address, p.Address)
		})
		other := p.tied() && p.Contact == g.contact
		if p.counts() && (again || other) && p.At.After(at) && (c.Over.IsZero() || !p.At.After(c.Over)) {
			at = p.At
		}
	}
	return at, true
}

// grounds are all ways in which a case would carry L3 now. It notes in s how long a hold lasts.
func (p Identity) grounds(c Case, s *Standing) (all []ground) {
	for _, m := range c.Proofs {
		if m.Class != ClassMatch || !m.counts() || m.By == c.StartedBy {
			continue
		}
		if m.Contact != "" && m.Speaks {
			all = append(all, p.groundsOf(c, m, s)...)
		}
		all = append(all, c.wayBack(m)...)
	}
	for _, o := range c.Proofs {
		if o.Class == ClassOverride && o.counts() && o.Second != "" && o.Second != o.By && c.Account != "" {
			all = append(all, ground{"override", o.Contact, o.SecondAt, []Proof{o}})
		}
	}
	return all
}

// groundsOf are the grounds that the classes make for the contact of a match.
func (p Identity) groundsOf(c Case, m Proof, s *Standing) (all []ground) {
	first := firstOf(c, m)
	if rests, ok := uncorrelated(first); ok {
		by := "pair"
		if slices.ContainsFunc(rests, func(q Proof) bool { return q.Class == ClassF }) {
			by = "vouch"
		}
		return []ground{{by, m.Contact, latestOf(append(slices.Clone(rests), m)), rests}}
	}
	for _, rests := range correlatedPairs(first) {
		for _, w := range c.Proofs { // a second member of staff agrees to exactly this
			if w.Class != ClassPair || !w.counts() || w.Bound != boundTo(rests) || w.By == m.By || w.By == c.StartedBy {
				continue
			}
			ends := w.At.Add(p.PairHold)
			if c.Now.Before(ends) {
				s.HoldEnds = ends
				continue
			}
			all = append(all, ground{"correlated", m.Contact, latestOf(append(slices.Clone(rests), m, w)), rests})
		}
	}
	return all
}

// firstOf is the first evidence of each class for the contact of a match. What comes later renews it: a word that was given for the first stays bound to it.
func firstOf(c Case, m Proof) map[Class]Proof {
	first := map[Class]Proof{}
	for _, p := range c.Proofs {
		if _, there := first[p.Class]; !there && p.counts() && p.class() && (!p.tied() || p.Contact == m.Contact) {
			first[p.Class] = p
		}
	}
	return first
}

// uncorrelated finds classes that count as two, or as three where one is tied to a contact who may have left, and that name a person.
func uncorrelated(have map[Class]Proof) (rests []Proof, ok bool) {
	classes := []Class{ClassA, ClassB, ClassC, ClassF, ClassAlike, ClassD}
	for want := 2; want <= 3; want++ {
		for set := range 1 << len(classes) {
			var some []Proof
			named, need, apart := false, 2, true
			for i, class := range classes {
				proof, there := have[class]
				if set&(1<<i) == 0 {
					continue
				}
				if !there || slices.ContainsFunc(some, func(q Proof) bool { return correlated(q.Class, class) }) {
					apart = false
					break
				}
				some = append(some, proof)
				named = named || proof.tied()
				if proof.Stale && (class == ClassB || class == ClassC) {
					need = 3
				}
			}
			if apart && named && len(some) == want && want >= need {
				return some, true
			}
		}
	}
	return nil, false
}

// correlatedPairs are a code to the contact's address and what goes with it for whoever has her mailbox.
func correlatedPairs(have map[Class]Proof) (pairs [][]Proof) {
	a, ok := have[ClassA]
	for _, other := range []Class{ClassD, ClassAlike} {
		if p, also := have[other]; ok && also {
			pairs = append(pairs, []Proof{a, p})
		}
	}
	return pairs
}

// wayBack: mail dead, phone changed, no recovery code. A DNS record, and a call to a number that another member of staff found in a source older than the
// incident.
func (c Case) wayBack(m Proof) (all []ground) {
	for _, zone := range c.Proofs {
		if zone.Class != ClassD || !zone.counts() {
			continue
		}
		for _, number := range c.Proofs {
			if number.Class != ClassNumber || !number.counts() || !number.SourceAt.Before(c.Began) || number.By == c.StartedBy {
				continue
			}
			for _, call := range c.Proofs {
				if call.Class == ClassCalled && call.counts() && call.Of == number.ID && call.By != number.By {
					all = append(all, ground{"way_back", m.Contact, latestOf([]Proof{zone, number, call, m}), []Proof{zone, call}})
				}
			}
		}
	}
	return all
}

func latestOf(all []Proof) (at time.Time) {
	for _, p := range all {
		if p.At.After(at) {
			at = p.At
		}
	}
	return at
}

// missing says what would lead on, as codes for which pages have sentences.
func (p Identity) missing(c Case, s Standing) (codes []string) {
	has := func(f func(Proof) bool) bool { return slices.ContainsFunc(c.Proofs, f) }
	switch {
	case s.Level >= L3:
		return nil
	case s.Asleep:
		return []string{"code_again"}
	case !has(Proof.channel):
		codes = append(codes, "code")
	}
	if c.Account == "" {
		return append(codes, "account")
	}
	if s.Level < L2 {
		codes = append(codes, "class")
	}
	if !has(func(q Proof) bool { return q.Class == ClassMatch && q.counts() && q.By != c.StartedBy }) {
		codes = append(codes, "match")
	}
	if !s.HoldEnds.IsZero() {
		return append(codes, "hold")
	}
	return append(codes, "second_class")
}

// Standing computes who the person of a case is taken to be.
func (d *Desk) Standing(ctx context.Context, id string) (s Standing, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		s, err = d.standing(tx, id)
		return err
	})
	return s, err
}

func (d *Desk) standing(tx *store.Tx, id string) (Standing, error) {
	c, err := d.caseOf(tx, id)
	return d.Policy.Identity.Judge(c), err
}

// Who is somebody who wants to do something: the case that she has opened, and the account that it is about.
type Who struct {
	Case    string // id of the ticket that she opened, or of her own page
	Account string // our id; "": the case's own
}

// May is nil when the person of a case may do something, and otherwise fault.Forbidden with a sentence that names no level: the one place that every page
// and answer for customers asks. What needs L4 it always refuses: that is done by a change that others agree to (see [Desk.ProposeAmend]). The
// caller has made sure that she holds what opens the case.
func (d *Desk) May(ctx context.Context, who Who, what Deed) (s Standing, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		s, err = d.may(tx, who, what)
		return err
	})
	return s, err
}

func (d *Desk) may(tx *store.Tx, who Who, what Deed) (Standing, error) {
	s, err := d.standing(tx, who.Case)
	if err != nil {
		return s, err
	}
	return s, s.may(what, who.Account)
}

// may looks up the table.
func (s Standing) may(what Deed, account string) error {
	for _, n := range needs {
		if n.deed != what {
			continue
		}
		switch {
		case account != "" && account != s.Account, n.other && s.Account == "":
			return fault.New(fault.NotFound, "there is nothing here that this ticket leads to")
		case s.Level < n.level:
			return errShowMore
		}
		return nil
	}
	return fault.New(fault.Internal, "%q is not in the table of what customers may do", what)
}

var errShowMore = fault.New(fault.Forbidden, "this needs you to show more of who you are first; your ticket's page says how")

// Levels are the levels of a page of tickets, by id.
func (d *Desk) Levels(ctx context.Context, page []store.Rec[Ticket]) (levels map[string]Level, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		levels = map[string]Level{}
		for _, rec := range page {
			evidence.Foresee(tx, inCase(rec.ID))
		}
		for _, rec := range page {
			shown, err := evidenceOf(tx, rec.ID)
			if err == nil && len(shown) == 0 { // as of most: then nothing else of her case changes it
				levels[rec.ID] = L0
				continue
			}
			if err != nil {
				return err
			}
			s, err := d.standing(tx, rec.ID)
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			levels[rec.ID] = s.Level
		}
		return nil
	})
	return levels, err
}
