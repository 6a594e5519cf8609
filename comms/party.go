package comms

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Party is somebody outside the core team on whom an incident depends or who has a stake in it: a supplier, a customer, another team of ours.
type Party struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Side      string    `json:"side"`      // third_party, customer, internal
	Contact   string    `json:"contact"`   // who it is there, and how she is reached
	Escalate  string    `json:"escalate"`  // who is called there when a promised time passes
	Reference string    `json:"reference"` // the number of the case that is open there
	NamedBy   string    `json:"named_by"`
	NamedAt   time.Time `json:"named_at"`
	Awaited   *Awaited  `json:"awaited"` // what we wait for; null: nothing

	Answer     string    `json:"answer,omitempty"` // the last one
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	AnsweredBy string    `json:"answered_by,omitempty"` // of ours, who recorded it
}

// Awaited is what a party owes us.
type Awaited struct {
	For   string    `json:"for"`
	Until time.Time `json:"until"`
	Since time.Time `json:"since"` // when somebody began to wait for it; another time does not change it
	By    string    `json:"by"`
}

// Sides are on whose side a party stands.
func Sides() []string { return []string{"third_party", "customer", "internal"} }

// PartyDue is the promise that a party answers by the time that was named.
const PartyDue = "party"

const (
	mostParties = 30                   // of an incident, which keeps them in its record
	longestWait = 366 * 24 * time.Hour // for an answer
)

// PartyForm is what is said of a party; what is nil stays.
type PartyForm struct {
	Name      *string `json:"name"`
	Side      *string `json:"side"`
	Contact   *string `json:"contact"`
	Escalate  *string `json:"escalate"`
	Reference *string `json:"reference"`
}

func (form PartyForm) on(p Party) Party {
	takeTyped(typed{form.Name, &p.Name}, typed{form.Side, &p.Side}, typed{form.Contact, &p.Contact}, typed{form.Escalate, &p.Escalate}, typed{form.Reference, &p.Reference})
	return p
}

func (p Party) bad(in Incident) (f []fault.Field) {
	f = lineProse.bad(f, "name", p.Name)
	f = oneOf(f, "side", p.Side, Sides()...)
	f = shortProse.bad(f, "contact", p.Contact)
	f = shortProse.bad(f, "escalate", p.Escalate)
	f = prose{most: 100}.bad(f, "reference", p.Reference)
	if slices.ContainsFunc(in.Parties, func(have Party) bool { return have.ID != p.ID && strings.EqualFold(have.Name, p.Name) }) {
		f = append(f, wrong("name", "is named in this incident already"))
	}
	return f
}

// party is where a party stands among those of an incident.
func (in Incident) party(id string) (int, error) {
	i := slices.IndexFunc(in.Parties, func(p Party) bool { return p.ID == id })
	if i < 0 {
		return i, fault.New(fault.NotFound, "this incident has no third party or stakeholder %.40q", id)
	}
	return i, nil
}

// AddParty names a party in an incident.
func (r *Room) AddParty(ctx context.Context, by, incident string, form PartyForm) (p Party, err error) {
	_, err = r.change(ctx, store.Act{By: by, Verb: "incident.party"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		p = form.on(Party{ID: partID(), NamedBy: by, NamedAt: tx.Now()})
		f := p.bad(in)
		if len(in.Parties) >= mostParties {
			f = append(f, wrong("name", "is one too many: an incident names %d", mostParties))
		}
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		in.Parties = append(slices.Clone(in.Parties), p)
		return in, r.note(tx, id, by, "party_named", p.called())
	})
	return p, err
}

// called is a party in the log, which names nobody there.
func (p Party) called() string {
	if p.Reference != "" {
		return p.Name + " (" + p.Reference + ")"
	}
	return p.Name
}

// withParty changes one party of an incident.
func (r *Room) withParty(ctx context.Context, act store.Act, incident, party string, do func(tx *store.Tx, id string, in Incident, p *Party) error) (p Party, err error) {
	_, err = r.change(ctx, act, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		i, err := in.party(party)
		if err != nil {
			return in, err
		}
		in.Parties = slices.Clone(in.Parties)
		if err := do(tx, id, in, &in.Parties[i]); err != nil {
			return in, err
		}
		p = in.Parties[i]
		return in, nil
	})
	return p, err
}

// ChangeParty changes what is known of a party.
func (r *Room) ChangeParty(ctx context.Context, by, incident, party string, form PartyForm) (Party, error) {
	return r.withParty(ctx, store.Act{By: by, Verb: "incident.party_change"}, incident, party, func(tx *store.Tx, id string, in Incident, p *Party) error {
		to := form.on(*p)
		if f := to.bad(in); len(f) > 0 {
			return fault.BadFields(f...)
		}
		if to == *p {
			return nil
		}
		text := to.called()
		if was := p.called(); was != text {
			text = was + " → " + text
		}
		*p = to
		return r.note(tx, id, by, "party_changed", text)
	})
}

// RemoveParty takes a party off an incident. One that is waited for stays until somebody says what came of it.
func (r *Room) RemoveParty(ctx context.Context, by, incident, party string) error {
	_, err := r.change(ctx, store.Act{By: by, Verb: "incident.party_remove"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		i, err := in.party(party)
		if err != nil {
			return in, err
		}
		p := in.Parties[i]
		if p.Awaited != nil {
			return in, fault.New(fault.Conflict, "%s is waited for: record first what came of it", p.Name)
		}
		in.Parties = slices.Delete(slices.Clone(in.Parties), i, i+1)
		return in, r.note(tx, id, by, "party_removed", p.called())
	})
	return err
}

// AwaitParty notes for what we wait and until when. When the time passes without an answer, whoever commands is told, then who stands in, then management. Waiting
// already, it gives the wait another time, and what was due before stays in the log if it had passed.
func (r *Room) AwaitParty(ctx context.Context, by, incident, party, what string, until time.Time) (Party, error) {
	return r.withParty(ctx, store.Act{By: by, Verb: "incident.await"}, incident, party, func(tx *store.Tx, id string, in Incident, p *Party) error {
		if err := in.notClosed(); err != nil {
			return err
		}
		what = strings.TrimSpace(what)
		f := lineProse.bad(nil, "for", what)
		if !until.After(tx.Now()) || until.After(tx.Now().Add(longestWait)) {
			f = append(f, wrong("until", "must lie ahead, within a year"))
		}
		if len(f) > 0 {
			return fault.BadFields(f...)
		}
		since := tx.Now()
		if p.Awaited != nil {
			since = p.Awaited.Since
		}
		p.Awaited = &Awaited{For: what, Until: until.UTC(), Since: since, By: by}
		if err := r.Move(tx, Deadline{What: PartyDue, Of: p.ID, Incident: id, Title: p.Name + ": " + what, Page: workPage(id, p.ID), Due: until.UTC()}); err != nil {
			return err
		}
		return r.note(tx, id, by, "party_awaited", p.called()+": "+what+" → "+until.UTC().Format("2006-01-02 15:04 UTC"))
	})
}

// workPage is where a part of an incident's work is kept.
func workPage(incident, part string) string { return "/desk/incidents/" + incident + "/work#" + part }

// PartyAnswered records what a party answered, or what else came of the wait, and ends it. An answer for which nobody waited is kept as well.
func (r *Room) PartyAnswered(ctx context.Context, by, incident, party, answer string) (Party, error) {
	return r.withParty(ctx, store.Act{By: by, Verb: "incident.answered"}, incident, party, func(tx *store.Tx, id string, in Incident, p *Party) error {
		if f := reasonProse.bad(nil, "answer", answer); len(f) > 0 {
			return fault.BadFields(f...)
		}
		p.Awaited = nil
		p.Answer, p.AnsweredAt, p.AnsweredBy = strings.TrimSpace(answer), tx.Now(), by
		if err := r.keep(tx, p.ID, PartyDue, by); err != nil {
			return err
		}
		return r.note(tx, id, by, "party_answered", p.called()+": "+p.Answer)
	})
}

// endWaits ends what an incident that closes still waits for: nobody is told of it any more, and the log says so.
func (r *Room) endWaits(tx *store.Tx, id, by string, to *Incident) error {
	to.Parties = slices.Clone(to.Parties)
	for i, p := range to.Parties {
		if p.Awaited == nil {
			continue
		}
		to.Parties[i].Awaited = nil
		if err := r.Withdraw(tx, p.ID, PartyDue); err != nil {
			return err
		}
		if err := r.note(tx, id, by, "party_unanswered", p.called()+": "+p.Awaited.For); err != nil {
			return err
		}
	}
	return nil
}
