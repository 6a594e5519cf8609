package contacts

import (
	"encoding/json"
	"fmt"
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// The verbs of this file: what a second person has to agree to about one contact.
const (
	VerbRole        = "contact.role"
	VerbMoveAddress = "contact.move_address"
)

// RightChange is the right that proposing a change of one contact needs.
const RightChange = "contact.change"

// RoleVerb proposes, confirms or takes away a role.
func (b *Book) RoleVerb() Verb {
	return Verb{
		Name: VerbRole, Right: RightChange, Says: "give a contact a role, confirm one that was proposed, or take one away",
		Plan: func(tx *store.Tx, input json.RawMessage) (Plan, error) {
			var in RoleChange
			if err := ReadInput(input, &in); err != nil {
				return Plan{}, err
			}
			rec, site, err := b.checkRole(tx, in)
			if err != nil {
				return Plan{}, err
			}
			where := "the account"
			if site != "" {
				where = site
			}
			return Plan{Steps: []Step{{Of: rec.ID, On: rec.ID, Version: rec.Version}}, Counts: map[string]int{people.Name: 1},
				Sample: []Sample{{people.Name, rec.ID, fmt.Sprintf("%s of %s: %s", in.Role, where, in.State)}}}, nil
		},
		Run: func(tx *store.Tx, c store.Rec[Change], s Step) (json.RawMessage, error) {
			var in RoleChange
			if err := ReadInput(c.Value.Input, &in); err != nil {
				return nil, err
			}
			back, err := grantsOf(tx, s.On)
			if err != nil {
				return nil, err
			}
			in.By, in.Why, in.How = c.Value.Author, c.Value.Reason, ByStaff
			return back, b.SetRole(tx, in)
		},
		Undo: func(tx *store.Tx, c store.Rec[Change], s Step) error {
			was, m, err := people.Get(tx, s.On)
			if err != nil {
				return err
			}
			if m.Version != s.Version+1 {
				return fault.New(fault.Stale, "%s was changed since", s.On)
			}
			var old Contact
			if err := json.Unmarshal(s.Back, &old); err != nil {
				return err
			}
			was = was.clone()
			was.Roles, was.Grants, was.Sites, was.AccountWide = old.Roles, old.Grants, old.Sites, old.AccountWide
			tx.On(s.On)
			return people.Put(tx, s.On, was, m.Version)
		},
		Version: contactVersion,
	}
}

// grantsOf keeps what a change of roles may touch.
func grantsOf(tx *store.Tx, id string) (json.RawMessage, error) {
	c, _, err := people.Get(tx, id)
	if err != nil {
		return nil, err
	}
	return json.Marshal(Contact{Roles: c.Roles, Grants: c.Grants, Sites: c.Sites, AccountWide: c.AccountWide})
}

func contactVersion(tx *store.Tx, id string) (int64, error) {
	_, m, err := people.Get(tx, id)
	return m.Version, err
}

// AddressMove gives a contact an address that another contact of the account has.
type AddressMove struct {
	Contact string `json:"contact_id"` // who gets it
	From    string `json:"from_id"`    // who has it
	Channel string `json:"channel"`
	Value   string `json:"value"`
}

// MoveAddressVerb moves an address from one contact to another of the same account. Nothing is proved by it until the move is older than
// an incident: the address counts as first seen with its new owner.
func (b *Book) MoveAddressVerb() Verb {
	return Verb{
		Name: VerbMoveAddress, Right: RightChange, Says: "give a contact an address that another contact of the account has",
		Plan: func(tx *store.Tx, input json.RawMessage) (Plan, error) {
			in, to, from, err := b.readMove(tx, input)
			if err != nil {
				return Plan{}, err
			}
			return Plan{Steps: []Step{{Of: to.ID, On: to.ID, Version: to.Version}}, Counts: map[string]int{people.Name: 2}, Seen: map[string]int64{from.ID: from.Version},
				Sample: []Sample{{people.Name, to.ID, "gets " + Mask(in.Channel, in.Value)}, {people.Name, from.ID, "loses " + Mask(in.Channel, in.Value)}}}, nil
		},
		Run: func(tx *store.Tx, c store.Rec[Change], _ Step) (json.RawMessage, error) {
			in, to, from, err := b.readMove(tx, c.Value.Input)
			if err != nil {
				return nil, err
			}
			return nil, b.moveAddress(tx, in, to, from)
		},
		Version: contactVersion,
	}
}

func (b *Book) readMove(tx *store.Tx, input json.RawMessage) (in AddressMove, to, from store.Rec[Contact], err error) {
	if err = ReadInput(input, &in); err != nil {
		return in, to, from, err
	}
	if in.Value, err = parseAddress(in.Channel, in.Value, b.Policy.PhoneCountry); err != nil {
		return in, to, from, fault.BadField("value", "%s", err)
	}
	if to, err = b.Contact(tx, in.Contact); err != nil {
		return in, to, from, err
	}
	if from, err = b.Contact(tx, in.From); err != nil {
		return in, to, from, err
	}
	switch {
	case to.ID == from.ID || to.Value.Account != from.Value.Account:
		return in, to, from, fault.BadField("from_id", "must be another contact of the same account")
	case to.Value.has(in.Channel, in.Value):
		return in, to, from, fault.New(fault.Conflict, "the contact has this address already")
	case !from.Value.has(in.Channel, in.Value):
		return in, to, from, fault.New(fault.Conflict, "the other contact does not have this address any more")
	}
	return in, to, from, nil
}

func (c Contact) has(channel, value string) bool {
	_, err := c.address(channel, value)
	return err == nil
}

func (b *Book) moveAddress(tx *store.Tx, in AddressMove, to, from store.Rec[Contact]) error {
	t, f := to.Value.clone(), from.Value.clone()
	lists := func(c *Contact) *[]Address {
		if in.Channel == SMS {
			return &c.Phones
		}
		return &c.Emails
	}
	if len(*lists(&t)) >= maxAddresses {
		return fault.New(fault.Conflict, "the contact has %d addresses already", maxAddresses)
	}
	moved, err := f.address(in.Channel, in.Value)
	if err != nil {
		return err
	}
	a := *moved
	a.Source, a.How, a.FirstSeen, a.ChangedAt = staffWord, ByStaff, tx.Now(), tx.Now()
	*lists(&t) = append(*lists(&t), a)
	*lists(&f) = slices.DeleteFunc(*lists(&f), func(x Address) bool { return addressKey(in.Channel, x.Value) == addressKey(in.Channel, in.Value) })
	settled := t.over(func(c Conflict) bool {
		return c.Field == colEmail.String() && addressKey(Email, c.Offered) == addressKey(Email, in.Value)
	})
	f.decided(Decided{Field: colEmail.String(), Offered: a.Value, Source: moved.Source, Verdict: MoveAddress, At: tx.Now()})
	if err := closeConflicts(tx, settled); err != nil {
		return err
	}
	at, err := addresses.First(tx, store.Query{Index: "value", Equal: []any{in.Channel, addressKey(in.Channel, in.Value), from.ID}})
	if err != nil {
		return err
	}
	at.Value.Contact = to.ID
	if err := addresses.Put(tx, at.ID, at.Value, at.Version); err != nil {
		return err
	}
	tx.On(to.ID, from.ID)
	if err := people.Put(tx, from.ID, f, from.Version); err != nil {
		return err
	}
	return people.Put(tx, to.ID, t, to.Version)
}

// over takes conflicts off a record and gives their ids for [closeConflicts].
func (p *Provenance) over(which func(Conflict) bool) (ids []string) {
	p.Conflicts = slices.DeleteFunc(p.Conflicts, func(c Conflict) bool {
		if which(c) && c.ID != "" {
			ids = append(ids, c.ID)
		}
		return which(c)
	})
	return ids
}
