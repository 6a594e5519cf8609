package desk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
)

// Zone is a record that shows, once it stands in a domain, that whoever was asked can write to it.
type Zone struct {
	ID     string    `json:"id"`
	Domain string    `json:"domain"`
	Name   string    `json:"name"`  // _lifeline-challenge.DOMAIN
	Type   string    `json:"type"`  // TXT
	Value  string    `json:"value"` // 128 random bits, of this case alone
	Until  time.Time `json:"until"`
	Found  bool      `json:"found"`
}

const (
	zoneLabel = "_lifeline-challenge."
	zoneBytes = 16 // of its value
	mostZones = 5  // challenges of one case that wait
)

func zoneOf(id string, q question) Zone {
	return Zone{ID: id, Domain: q.Domain, Name: zoneLabel + q.Domain, Type: "TXT", Value: q.Nonce, Until: q.Until, Found: !q.Used.IsZero()}
}

// AskZone asks for a DNS record in a domain, whatever the domain is and whoever has it: what it shows is weighed when it stands there, so that the answer tells
// nobody which domains are on file. The caller has opened the ticket.
func (d *Desk) AskZone(ctx context.Context, by, number, domain string) (z Zone, err error) {
	domain, err = contacts.ParseDomain(domain)
	if err != nil {
		return z, fault.BadField("domain", "is not a domain name such as example.com")
	}
	nonce := make([]byte, zoneBytes)
	rand.Read(nonce) // never fails (Go 1.24)
	_, err = d.onTicket(ctx, store.Act{By: by, Verb: "identity.ask"}, number, func(tx *store.Tx, t store.Rec[Ticket]) error {
		waiting, err := zonesOf(tx, t.ID)
		if err != nil {
			return err
		}
		for _, rec := range waiting {
			if rec.Value.Domain == domain {
				z = zoneOf(rec.ID, rec.Value)
				return store.ErrNothing
			}
		}
		if len(waiting) >= mostZones {
			return &fault.Error{Kind: fault.TooMany, Message: "too many domains are waited for already", Wait: time.Hour}
		}
		id := questions.NewID()
		q := question{Sort: askZone, Case: t.ID, Account: t.Value.Account, Class: ClassD, Domain: domain, Nonce: hex.EncodeToString(nonce), By: by,
			At: tx.Now(), Until: tx.Now().Add(d.Policy.Identity.DNS)}
		z = zoneOf(id, q)
		tx.On(t.ID, id)
		return questions.Put(tx, id, q, 0)
	})
	return z, err
}

// zonesOf is the challenges of a case that still wait.
func zonesOf(tx *store.Tx, id string) (all []store.Rec[question], err error) {
	for rec, err := range questions.Scan(tx, store.Query{Index: "case", Equal: []any{id}}) {
		if err != nil {
			return nil, err
		}
		if q := rec.Value; q.Sort == askZone && q.Used.IsZero() && tx.Now().Before(q.Until) {
			all = append(all, rec)
		}
	}
	return all, nil
}

// Zones lists the records that a ticket's person was asked for and that still wait.
func (d *Desk) Zones(ctx context.Context, number string) (all []Zone, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		t, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{secret.NormalNumber(number)}})
		if err != nil {
			return noTicket()
		}
		waiting, err := zonesOf(tx, t.ID)
		for _, rec := range waiting {
			all = append(all, zoneOf(rec.ID, rec.Value))
		}
		return err
	})
	return all, err
}

// zoneTries is how often one ticket may make us look into the DNS in ten minutes.
const zoneTries = 10

// CheckZones looks whether the records stand where they were asked for, and records what was found. The answer says nothing of which domains are on file.
func (d *Desk) CheckZones(ctx context.Context, by, number string) (found []Zone, s Standing, err error) {
	waiting, err := d.Zones(ctx, number)
	if err != nil {
		return nil, s, err
	}
	if err := limit.Take(ctx, d.DB, "look at zones of "+secret.NormalNumber(number), zoneTries, 10*time.Minute); err != nil {
		return nil, s, err
	}
	for _, z := range waiting {
		if d.stands(ctx, z) {
			z.Found = true
			found = append(found, z)
		}
	}
	if found == nil {
		err = d.DB.View(ctx, func(tx *store.Tx) error {
			t, err := tickets.First(tx, store.Query{Index: "number", Equal: []any{secret.NormalNumber(number)}})
			if err == nil {
				s, err = d.standing(tx, t.ID)
			}
			return err
		})
		return nil, s, err
	}
	s, err = d.onTicket(ctx, store.Act{By: by, Verb: "identity.give"}, number, func(tx *store.Tx, t store.Rec[Ticket]) error {
		for _, z := range found {
			q, m, err := questions.Get(tx, z.ID)
			if err != nil {
				return err
			}
			if q.Case != t.ID || !q.Used.IsZero() || !tx.Now().Before(q.Until) {
				continue
			}
			if err := spend(tx, store.Rec[question]{Meta: m, Value: q}); err != nil {
				return err
			}
			if _, err := d.add(tx, Evidence{Case: t.ID, Class: ClassD, How: HowDNS, Domain: q.Domain, By: by}); err != nil {
				return err
			}
		}
		return nil
	})
	return found, s, err
}

// lookFor bounds one look into the DNS.
const lookFor = 5 * time.Second

func (d *Desk) stands(ctx context.Context, z Zone) bool {
	if d.LookupTXT == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	values, err := d.LookupTXT(ctx, z.Name+".")
	if err != nil {
		d.Log.Debug("a DNS challenge is not there", "err", err)
	}
	return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(strings.TrimSpace(v), z.Value) })
}
