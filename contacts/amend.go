package contacts

import (
	"maps"
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// Amend is what a customer changes about how she is reached and known: an address of a contact, or a domain of the account, is added or dropped.
type Amend struct {
	Account string `json:"account_id"`
	Contact string `json:"contact_id,omitempty"` // with an address
	Channel string `json:"channel,omitempty"`
	Value   string `json:"value"` // of the address; or the domain, without a channel
	Drop    bool   `json:"drop,omitempty"`
}

// customersWord is the source of what a customer said herself.
const customersWord = "customer"

// CheckAmend reads an amendment against the book: in the form in which it would be done, on which record in which version. It writes nothing.
func (b *Book) CheckAmend(tx *store.Tx, in Amend) (Amend, store.Meta, error) {
	account, err := b.Account(tx, in.Account)
	if err != nil {
		return in, store.Meta{}, err
	}
	in.Account = account.ID
	if in.Channel == "" {
		return in, account.Meta, in.checkDomain(account.Value)
	}
	if in.Value, err = parseAddress(in.Channel, in.Value, b.Policy.PhoneCountry); err != nil {
		return in, store.Meta{}, fault.BadField("value", "%s", err)
	}
	who, err := b.Contact(tx, in.Contact)
	switch {
	case err != nil:
		return in, store.Meta{}, err
	case who.Value.Account != account.ID:
		return in, store.Meta{}, fault.BadField("contact_id", "is a contact of another account")
	case in.Drop && !who.Value.has(in.Channel, in.Value):
		return in, store.Meta{}, fault.New(fault.Conflict, "the contact does not have this address")
	case in.Drop && len(who.Value.Emails)+len(who.Value.Phones) == 1:
		return in, store.Meta{}, fault.New(fault.Conflict, "it is the contact's last address")
	case !in.Drop && who.Value.has(in.Channel, in.Value):
		return in, store.Meta{}, fault.New(fault.Conflict, "the contact has this address already")
	case !in.Drop && len(*who.Value.list(in.Channel)) >= maxAddresses:
		return in, store.Meta{}, fault.New(fault.Conflict, "the contact has %d addresses already", maxAddresses)
	}
	in.Contact = who.ID
	return in, who.Meta, nil
}

func (in *Amend) checkDomain(a Account) error {
	domain, err := parseDomain(in.Value)
	if err != nil {
		return fault.BadField("value", "%s", err)
	}
	in.Value = domain
	switch has := slices.Contains(a.Domains, domain); {
	case in.Contact != "":
		return fault.BadField("contact_id", "has no place beside a domain, which is the account's")
	case in.Drop && !has:
		return fault.New(fault.Conflict, "the account does not have this domain")
	case !in.Drop && has:
		return fault.New(fault.Conflict, "the account has this domain already")
	case !in.Drop && len(a.Domains) >= maxKept:
		return fault.New(fault.Conflict, "the account has %d domains already", maxKept)
	}
	return nil
}

// list is the contact's addresses of a channel.
func (c *Contact) list(channel string) *[]Address {
	if channel == SMS {
		return &c.Phones
	}
	return &c.Emails
}

// Amend does what CheckAmend read, in a transaction of the caller's, who has made sure that it may be. What is added is hers only from now on, and so
// proves nothing for an incident that goes on.
func (b *Book) Amend(tx *store.Tx, in Amend) error {
	in, at, err := b.CheckAmend(tx, in)
	if err != nil {
		return err
	}
	tx.On(at.ID)
	if in.Channel == "" {
		return amendDomain(tx, in, at)
	}
	c, _, err := people.Get(tx, at.ID)
	if err != nil {
		return err
	}
	c = c.clone()
	list := c.list(in.Channel)
	key := addressKey(in.Channel, in.Value)
	if !in.Drop {
		*list = append(*list, Address{Value: in.Value, Source: customersWord, How: ByCustomer, FirstSeen: tx.Now(), ChangedAt: tx.Now()})
		if err := addresses.Put(tx, addresses.NewID(), address{Contact: at.ID, Account: in.Account, Channel: in.Channel, Key: key}, 0); err != nil {
			return err
		}
		return people.Put(tx, at.ID, c, at.Version)
	}
	*list = slices.DeleteFunc(*list, func(a Address) bool { return addressKey(in.Channel, a.Value) == key })
	found, err := addresses.First(tx, store.Query{Index: "value", Equal: []any{in.Channel, key, at.ID}})
	if err == nil {
		err = addresses.Delete(tx, found.ID, found.Version)
	}
	if err != nil && fault.Of(err) != fault.NotFound {
		return err
	}
	return people.Put(tx, at.ID, c, at.Version)
}

func amendDomain(tx *store.Tx, in Amend, at store.Meta) error {
	a, _, err := accounts.Get(tx, at.ID)
	if err != nil {
		return err
	}
	a = a.clone()
	key := listKey(colDomain.String(), in.Value)
	if in.Drop {
		a.Domains = slices.DeleteFunc(a.Domains, func(d string) bool { return d == in.Value })
		delete(a.Lists, key)
		return accounts.Put(tx, at.ID, a, at.Version)
	}
	a.Domains = append(a.Domains, in.Value)
	if a.Lists = maps.Clone(a.Lists); a.Lists == nil {
		a.Lists = map[string]Origin{}
	}
	a.Lists[key] = Origin{Source: customersWord, Seen: tx.Now(), How: ByCustomer}
	return accounts.Put(tx, at.ID, a, at.Version)
}
