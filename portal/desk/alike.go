package desk

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
)

// Why a ticket is likely about what another is about.
const (
	AlikeSite    = "site"    // both are about one site
	AlikeTry     = "try"     // from the same address, minutes apart
	AlikeAddress = "address" // from the same address or number
	AlikeWords   = "words"   // what they say sounds alike, and they are of one customer
	AlikeAccount = "account" // of one customer, in one queue
)

// weights say how much each reason speaks for it, the strongest first.
var weights = []struct {
	why string
	n   int
}{{AlikeSite, 60}, {AlikeTry, 50}, {AlikeAddress, 40}, {AlikeWords, 30}, {AlikeAccount, 20}}

// Alike is a ticket that is likely about what another is about.
type Alike struct {
	Rec  store.Rec[Ticket]
	Why  []string // the strongest reason first
	From string   // number of the one that would be merged: the younger
	Into string
}

// mostAlikes bounds how many are shown, and lookAlike how many are looked at for each reason.
const (
	mostAlikes = 5
	lookAlike  = 50
)

// alike says why two tickets are likely about the same; nothing when one of them is done with, or they are of two customers.
func alike(t, other store.Rec[Ticket], within time.Duration) (why []string) {
	a, b := t.Value, other.Value
	switch {
	case t.ID == other.ID, a.Into != "", b.Into != "", a.State == Closed, b.State == Closed,
		a.Account != "" && b.Account != "" && a.Account != b.Account:
		return nil
	}
	address := a.Email != "" && strings.EqualFold(a.Email, b.Email) || a.Phone != "" && a.Phone == b.Phone
	account := a.Account != "" && a.Account == b.Account
	if a.Site != "" && a.Site == b.Site && a.Incident == b.Incident || a.Twin == other.ID || b.Twin == t.ID {
		why = append(why, AlikeSite)
	}
	switch {
	case a.Like == b.Number, b.Like == a.Number, address && a.FiledAt.Sub(b.FiledAt).Abs() <= within:
		why = append(why, AlikeTry)
	case address:
		why = append(why, AlikeAddress)
	}
	if account && a.Sound != "" && a.Sound == b.Sound {
		why = append(why, AlikeWords)
	}
	if account && a.Queue() == b.Queue() && (a.Site == "" || b.Site == "" || a.Site == b.Site) {
		why = append(why, AlikeAccount)
	}
	return why
}

func weight(why []string) (n int) {
	for _, w := range weights {
		if slices.Contains(why, w.why) {
			n += w.n
		}
	}
	return n
}

// Alikes are the open tickets that are likely about what a ticket is about, the likeliest first. Nothing is merged by it: a person looks.
func (d *Desk) Alikes(ctx context.Context, v View) (all []Alike, err error) {
	t := store.Rec[Ticket]{Meta: store.Meta{ID: v.ID}, Value: v.Ticket}
	if t.Value.State == Closed {
		return nil, nil
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		seen := map[string]bool{}
		for _, q := range alikeQueries(t.Value) {
			q.Reverse, q.Limit = true, lookAlike
			for rec, err := range tickets.Scan(tx, q) {
				if err != nil {
					return err
				}
				why := alike(t, rec, d.Policy.Duplicate)
				if seen[rec.ID] || len(why) == 0 {
					continue
				}
				seen[rec.ID] = true
				a := Alike{Rec: rec, Why: why, From: rec.Value.Number, Into: t.Value.Number}
				if rec.Value.FiledAt.Before(t.Value.FiledAt) {
					a.From, a.Into = a.Into, a.From
				}
				all = append(all, a)
			}
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b Alike) int {
		return cmp.Or(weight(b.Why)-weight(a.Why), a.Rec.Value.FiledAt.Compare(b.Rec.Value.FiledAt))
	})
	return all[:min(len(all), mostAlikes)], err
}

// alikeQueries find the tickets among which those alike are.
func alikeQueries(t Ticket) (all []store.Query) {
	if t.Like != "" {
		all = append(all, store.Query{Index: "number", Equal: []any{t.Like}})
	}
	if t.Email != "" {
		all = append(all, store.Query{Index: "email", Equal: []any{strings.ToLower(t.Email)}})
	}
	if t.Phone != "" {
		all = append(all, store.Query{Index: "phone", Equal: []any{t.Phone}})
	}
	if t.Account != "" {
		all = append(all, store.Query{Index: "account", Equal: []any{t.Account}})
	}
	return all
}
