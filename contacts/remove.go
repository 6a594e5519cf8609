package contacts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Deleting marks: accounts with all they have, contacts, and (in the desk) tickets disappear from lists, search and audiences, and can be
// brought back for as long as they are kept. Their ids and addresses stay taken, so that an import which still names them is told so and
// neither brings them back nor makes them a second time. Purging is another verb, takes two people, and is refused while they are kept.

// Named is the input of verbs that do the same to each of several records.
type Named struct {
	IDs []string         `json:"ids"`
	Was map[string]int64 `json:"was,omitempty"` // the versions that the caller has seen, where she names any
}

// ParseNamed reads the input of a verb that takes ids.
func ParseNamed(input json.RawMessage) (Named, error) {
	var n Named
	if err := ReadInput(input, &n); err != nil {
		return n, err
	}
	switch {
	case len(n.IDs) == 0:
		return n, fault.BadField("ids", "is missing: name the records")
	case len(n.IDs) > MaxSteps:
		return n, fault.BadField("ids", "names %d records; at most %d at once", len(n.IDs), MaxSteps)
	}
	return n, nil
}

// ReadInput reads what a change was asked to do; it has no unknown fields.
func ReadInput(input json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(input))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault.BadField("input", "cannot be read: %.200s", err)
	}
	return nil
}

// Target is a record that an id led to.
type Target struct {
	ID      string
	Version int64
	Deleted time.Time
}

// Each finds every record that was named, once. Ids of another kind, unknown ones and versions that passed are refused together, each by
// its name, so that nothing is done to any.
func (n Named) Each(want store.Kind, find func(id string) (Target, error)) (all []Target, err error) {
	var bad []fault.Field
	seen := map[string]bool{}
	for i, id := range n.IDs {
		f, err := find(strings.TrimSpace(id))
		switch kind := fault.Of(err); {
		case kind == fault.Invalid || kind == fault.NotFound:
			bad = append(bad, fault.Field{Field: fmt.Sprintf("ids[%d]", i), Code: string(kind), Reason: saying(err)})
			continue
		case err != nil:
			return nil, err
		case seen[f.ID]:
			continue
		}
		seen[f.ID] = true
		for _, name := range []string{id, f.ID} {
			if was, ok := n.Was[name]; ok && was != f.Version {
				return nil, fault.New(fault.Stale, "%s %s was changed meanwhile: version %d, not %d", want.Name, f.ID, f.Version, was)
			}
		}
		all = append(all, f)
	}
	if bad != nil {
		return nil, fault.BadFields(bad...)
	}
	return all, nil
}

// saying is an error's words about the one field that it speaks of.
func saying(err error) string {
	if e, ok := err.(*fault.Error); ok && len(e.Fields) > 0 {
		return e.Fields[0].Reason
	}
	return err.Error()
}

func targetOf(m store.Meta) Target { return Target{m.ID, m.Version, m.Deleted} }

// anAccount finds an account that may be deleted by our id or a product id.
func anAccount(tx *store.Tx, id string) (Target, error) {
	ours, err := resolve(tx, accounts.Kind, scopeAccount, scopeSite, "ids", id)
	if err != nil {
		return Target{}, err
	}
	_, m, err := accounts.GetDeleted(tx, ours)
	return targetOf(m), err
}

func aContact(tx *store.Tx, id string) (Target, error) {
	if k, ok := kindOf(id, tx.DB().Declared()); ok && k.Prefix != people.Prefix {
		return Target{}, fault.BadField("ids", "%q is the id of %s, not of a contact", id, article(k.Name))
	}
	for _, scope := range []string{scopeAccount, scopeSite} { // a product id: whatever it is of, it is of no contact
		switch _, err := aliases.First(tx, store.Query{Index: "value", Equal: []any{scope, id}}); {
		case err == nil:
			return Target{}, fault.BadField("ids", "%q is the id of %s, not of a contact", id, article(scope))
		case fault.Of(err) != fault.NotFound:
			return Target{}, err
		}
	}
	_, m, err := people.GetDeleted(tx, id)
	return targetOf(m), err
}

// living refuses records that are deleted already.
func living(find func(*store.Tx, string) (Target, error)) func(*store.Tx, string) (Target, error) {
	return func(tx *store.Tx, id string) (Target, error) {
		f, err := find(tx, id)
		if err == nil && !f.Deleted.IsZero() {
			return f, fault.New(fault.NotFound, "%q was deleted on %s", id, f.Deleted.Format(time.DateOnly))
		}
		return f, err
	}
}

// Alone is how many contacts one person may delete at a time; of accounts and tickets it is one.
const Alone = 5

// The rights that the verbs of this room need.
const (
	rightDelete = "record.delete"
	rightPurge  = "record.purge"
	rightMerge  = "record.merge"
	rightExport = "contact.export"
)

// ChangeVerbs are what this room can change.
func (b *Book) ChangeVerbs() []Verb {
	return append([]Verb{
		{Name: "contact.delete", Right: rightDelete, Says: "delete contacts; they can be brought back", Apart: true,
			Plan: b.planDeleteContacts, Version: versionHere, Run: b.runDelete, Undo: b.undoDelete},
		{Name: "account.delete", Right: rightDelete, Says: "delete accounts with their sites and contacts; they can be brought back", Apart: true,
			Plan: b.planDeleteAccounts, Version: versionHere, Run: b.runDelete, Undo: b.undoDelete},
		{Name: "contact.purge", Right: rightPurge, Says: "remove deleted contacts for good", Plan: b.planPurgeContacts, Run: b.runPurge},
		{Name: "account.purge", Right: rightPurge, Says: "remove deleted accounts with their sites and contacts for good", Plan: b.planPurgeAccounts, Run: b.runPurge},
		b.exportVerb(),
		b.RoleVerb(), b.MoveAddressVerb(), b.ImportVerb(),
	}, b.mergeVerbs()...)
}

// shelves are the kinds that the verbs of this room write.
func shelves() Shelves {
	return ShelfOf(accounts).And(ShelfOf(sites), ShelfOf(people), ShelfOf(aliases), ShelfOf(addresses))
}

// versionHere is the version of a living account, site or contact.
func versionHere(tx *store.Tx, id string) (int64, error) {
	m, err := metaOf(tx, id)
	if err == nil && !m.Deleted.IsZero() {
		return 0, fault.New(fault.NotFound, "%s was deleted meanwhile", id)
	}
	return m.Version, err
}

func metaOf(tx *store.Tx, id string) (m store.Meta, err error) {
	switch prefix, _, _ := strings.Cut(id, "_"); prefix {
	case accounts.Prefix:
		_, m, err = accounts.GetDeleted(tx, id)
	case sites.Prefix:
		_, m, err = sites.GetDeleted(tx, id)
	default:
		_, m, err = people.GetDeleted(tx, id)
	}
	return m, err
}

// Describe adds a record to what a plan shows of itself.
func (p *Plan) Describe(kind, id, says string) {
	if p.Counts == nil {
		p.Counts = map[string]int{}
	}
	p.Counts[kind]++
	if len(p.Sample) < MaxSample {
		p.Sample = append(p.Sample, Sample{kind, id, says})
	}
}

// says shows a contact to whoever decides about her, addresses masked.
func (c Contact) says() string {
	var parts []string
	if c.Name != "" {
		parts = append(parts, c.Name)
	}
	for _, a := range c.Emails {
		parts = append(parts, MaskEmail(a.Value))
	}
	for _, a := range c.Phones {
		parts = append(parts, MaskPhone(a.Value))
	}
	return strings.Join(parts, ", ")
}

func (s Site) says() string {
	if s.Name != "" {
		return s.Name
	}
	return s.URL
}

func (b *Book) planDeleteContacts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	named, err := ParseNamed(input)
	if err != nil {
		return Plan{}, err
	}
	all, err := named.Each(people.Kind, func(id string) (Target, error) { return living(aContact)(tx, id) })
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Alone: len(all) <= Alone}
	for _, f := range all {
		c, _, err := people.Get(tx, f.ID)
		if err != nil {
			return Plan{}, err
		}
		plan.Steps = append(plan.Steps, Step{Of: f.ID, On: f.ID, Version: f.Version})
		plan.Describe(people.Name, f.ID, c.says())
	}
	return plan, nil
}

func (b *Book) planDeleteAccounts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	named, err := ParseNamed(input)
	if err != nil {
		return Plan{}, err
	}
	all, err := named.Each(accounts.Kind, func(id string) (Target, error) { return living(anAccount)(tx, id) })
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Alone: len(all) == 1}
	for _, f := range all {
		if err := b.planAccount(tx, &plan, f); err != nil {
			return Plan{}, err
		}
	}
	return plan, nil
}

// planAccount plans the end of an account: its contacts and sites first, and itself last, so that it is not found without them.
func (b *Book) planAccount(tx *store.Tx, plan *Plan, f Target) error {
	a, _, err := accounts.Get(tx, f.ID)
	if err != nil {
		return err
	}
	plan.Describe(accounts.Name, f.ID, a.Name)
	for rec, err := range b.ContactsOf(tx, f.ID) {
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, Step{Of: f.ID, On: rec.ID, Version: rec.Version})
		plan.Describe(people.Name, rec.ID, rec.Value.says())
	}
	for rec, err := range b.SitesOf(tx, f.ID) {
		if err != nil {
			return err
		}
		plan.Steps = append(plan.Steps, Step{Of: f.ID, On: rec.ID, Version: rec.Version})
		plan.Describe(sites.Name, rec.ID, rec.Value.says())
	}
	plan.Steps = append(plan.Steps, Step{Of: f.ID, On: f.ID, Version: f.Version})
	return nil
}

func (b *Book) runDelete(tx *store.Tx, _ store.Rec[Change], s Step) (json.RawMessage, error) {
	pen := &Pen{Tx: tx}
	var err error
	switch prefix, _, _ := strings.Cut(s.On, "_"); prefix {
	case accounts.Prefix:
		err = b.dropAccount(pen, s.On)
	case sites.Prefix:
		err = drop(pen, sites, s.On)
	default:
		err = dropContact(pen, s.On)
	}
	if err != nil {
		return nil, err
	}
	return pen.Back()
}

func drop[T any](pen *Pen, t store.Table[T], id string) error {
	v, m, err := t.Get(pen.Tx, id)
	if err != nil {
		return err
	}
	return Drop(pen, t, store.Rec[T]{Meta: m, Value: v})
}

// dropContact deletes a contact. Her addresses stay taken; her name is kept as an alias, so that an import that knows nothing else of her
// still finds that she was deleted.
func dropContact(pen *Pen, id string) error {
	c, m, err := people.Get(pen.Tx, id)
	if err != nil {
		return err
	}
	if c.Name != "" {
		if err := point(pen, scopeContactName, joined(c.Account, fold(c.Name)), id); err != nil {
			return err
		}
	}
	return Drop(pen, people, store.Rec[Contact]{Meta: m, Value: c})
}

// point makes an alias lead to a record, beside those that it leads to already.
func point(pen *Pen, scope, value, of string) error {
	rec, err := aliases.First(pen.Tx, store.Query{Index: "value", Equal: []any{scope, value}})
	switch {
	case fault.Of(err) == fault.NotFound:
		return Make(pen, aliases, Alias{Scope: scope, Value: value, Of: of, Seen: pen.Tx.Now()})
	case err != nil:
		return err
	case rec.Value.Of == of || slices.Contains(rec.Value.Also, of):
		return nil
	}
	a := rec.Value.clone()
	a.Also = append(a.Also, of)
	return Rewrite(pen, aliases, rec, a)
}

// dropAccount deletes an account with what an import put into it since it was planned.
func (b *Book) dropAccount(pen *Pen, id string) error {
	for rec, err := range b.ContactsOf(pen.Tx, id) {
		if err == nil {
			err = dropContact(pen, rec.ID)
		}
		if err != nil {
			return err
		}
	}
	for rec, err := range b.SitesOf(pen.Tx, id) {
		if err == nil {
			err = Drop(pen, sites, rec)
		}
		if err != nil {
			return err
		}
	}
	return drop(pen, accounts, id)
}

// undoDelete brings a record back; a contact or site not without its account.
func (b *Book) undoDelete(tx *store.Tx, _ store.Rec[Change], s Step) error {
	account := ""
	switch prefix, _, _ := strings.Cut(s.On, "_"); prefix {
	case people.Prefix:
		c, _, err := people.GetDeleted(tx, s.On)
		if err != nil {
			return err
		}
		account = c.Account
	case sites.Prefix:
		site, _, err := sites.GetDeleted(tx, s.On)
		if err != nil {
			return err
		}
		account = site.Account
	}
	if account != "" {
		if _, _, err := accounts.Get(tx, account); fault.Of(err) == fault.NotFound {
			return fault.New(fault.Conflict, "account %s is deleted; bring it back first", account)
		} else if err != nil {
			return err
		}
	}
	return shelves().Undo(tx, s.Back)
}

// Purge

func (b *Book) planPurgeContacts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	named, err := ParseNamed(input)
	if err != nil {
		return Plan{}, err
	}
	all, err := named.Each(people.Kind, func(id string) (Target, error) { return aContact(tx, id) })
	if err != nil {
		return Plan{}, err
	}
	if err := Purgeable(tx, people.Kind, all); err != nil {
		return Plan{}, err
	}
	var plan Plan
	for _, f := range all {
		c, _, err := people.GetDeleted(tx, f.ID)
		if err != nil {
			return Plan{}, err
		}
		plan.Steps = append(plan.Steps, Step{Of: f.ID, On: f.ID, Version: f.Version})
		plan.Describe(people.Name, f.ID, c.says())
	}
	return plan, nil
}

// Purgeable refuses to purge what lives, or was deleted too short a time ago; it names the day on which the last of them can go.
func Purgeable(tx *store.Tx, k store.Kind, all []Target) error {
	var last Target
	for _, f := range all {
		switch {
		case f.Deleted.IsZero():
			return fault.New(fault.Conflict, "%s %s is not deleted", k.Name, f.ID)
		case f.Deleted.After(last.Deleted):
			last = f
		}
	}
	if until := last.Deleted.Add(k.Keep); tx.Now().Before(until) {
		return fault.New(fault.Conflict, "%s %s is kept until %s", k.Name, last.ID, until.Format(time.RFC3339))
	}
	return nil
}

func (b *Book) planPurgeAccounts(tx *store.Tx, input json.RawMessage) (Plan, error) {
	named, err := ParseNamed(input)
	if err != nil {
		return Plan{}, err
	}
	all, err := named.Each(accounts.Kind, func(id string) (Target, error) { return anAccount(tx, id) })
	if err != nil {
		return Plan{}, err
	}
	if err := Purgeable(tx, accounts.Kind, all); err != nil {
		return Plan{}, err
	}
	var plan Plan
	for _, f := range all {
		a, _, err := accounts.GetDeleted(tx, f.ID)
		if err != nil {
			return Plan{}, err
		}
		plan.Describe(accounts.Name, f.ID, a.Name)
		belongs, err := deletedWith(tx, f.ID)
		if err != nil {
			return Plan{}, err
		}
		for _, m := range belongs {
			k, _ := kindOf(m.ID, tx.DB().Declared())
			plan.Describe(k.Name, m.ID, "of "+a.Name)
			plan.Steps = append(plan.Steps, Step{Of: f.ID, On: m.ID, Version: m.Version})
		}
		plan.Steps = append(plan.Steps, Step{Of: f.ID, On: f.ID, Version: f.Version})
	}
	return plan, nil
}

// deletedWith finds what was deleted for the sake of an account and is deleted still. No index holds deleted records; the steps do.
func deletedWith(tx *store.Tx, account string) (all []store.Meta, err error) {
	seen := map[string]bool{account: true}
	for rec, err := range steps.Scan(tx, store.Query{Index: "of", Equal: []any{account}}) {
		if err != nil {
			return nil, err
		}
		ids := []string{rec.Value.On}
		if rec.Value.State != StepDone {
			continue
		}
		var notes []note
		if len(rec.Value.Back) > 0 {
			if err := json.Unmarshal(rec.Value.Back, &notes); err != nil {
				return nil, err
			}
		}
		for _, n := range notes {
			if n.Did == marked {
				ids = append(ids, n.ID)
			}
		}
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			m, err := metaOf(tx, id)
			if fault.Of(err) == fault.NotFound {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !m.Deleted.IsZero() {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

func (b *Book) runPurge(tx *store.Tx, _ store.Rec[Change], s Step) (json.RawMessage, error) {
	m, err := metaOf(tx, s.On)
	if err != nil {
		return nil, err
	}
	if m.Version != s.Version {
		return nil, fault.New(fault.Stale, "%s was changed meanwhile", s.On)
	}
	if err := unname(tx, s.On); err != nil {
		return nil, err
	}
	switch prefix, _, _ := strings.Cut(s.On, "_"); prefix {
	case accounts.Prefix:
		return nil, accounts.Purge(tx, s.On)
	case sites.Prefix:
		return nil, sites.Purge(tx, s.On)
	}
	return nil, purgeContact(tx, s.On)
}

// unname frees the ids and names that led to a record which is removed for good.
func unname(tx *store.Tx, of string) error {
	for rec, err := range aliases.Scan(tx, store.Query{Index: "of", Equal: []any{of}}) {
		if err != nil {
			return err
		}
		a := rec.Value.clone()
		if len(a.Also) == 0 {
			err = aliases.Delete(tx, rec.ID, rec.Version)
		} else {
			a.Of, a.Also = a.Also[0], a.Also[1:]
			err = aliases.Put(tx, rec.ID, a, rec.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func purgeContact(tx *store.Tx, id string) error {
	c, _, err := people.GetDeleted(tx, id)
	if err != nil {
		return err
	}
	for channel, all := range map[string][]Address{Email: c.Emails, SMS: c.Phones} {
		for _, a := range all {
			rec, err := addresses.First(tx, store.Query{Index: "value", Equal: []any{channel, addressKey(channel, a.Value), id}})
			switch {
			case fault.Of(err) == fault.NotFound: // another's by now
			case err != nil:
				return err
			default:
				if err := addresses.Delete(tx, rec.ID, rec.Version); err != nil {
					return err
				}
			}
		}
	}
	return people.Purge(tx, id)
}

// Restore brings back one record that a change deleted, alone or among others, with what was deleted for its sake.
func (c *Changes) Restore(ctx context.Context, by, id, reason string) (rec store.Rec[Change], err error) {
	err = c.DB.Update(ctx, store.Act{By: by, Verb: "change.restore", Reason: reason}, func(tx *store.Tx) error {
		if rec, err = c.deletedBy(tx, id); err != nil {
			return err
		}
		v, err := c.Verb(rec.Value.Verb)
		if err != nil {
			return err
		}
		switch {
		case !v.Apart:
			return fault.New(fault.Conflict, "%s was done to it with change %s: undo that", v.Name, rec.ID)
		case rec.Value.State != ChangeDone && rec.Value.State != ChangePaused && rec.Value.State != ChangeStopped:
			return fault.New(fault.Conflict, "change %s is %s", rec.ID, rec.Value.State)
		case tx.Now().After(rec.Value.UndoUntil):
			return fault.New(fault.Conflict, "it could be brought back until %s", rec.Value.UndoUntil.Format(time.RFC3339))
		}
		return c.restore(tx, v, rec, id)
	})
	return rec, err
}

// deletedBy finds the change that a record was deleted with: the last that was carried out for its sake.
func (c *Changes) deletedBy(tx *store.Tx, id string) (rec store.Rec[Change], err error) {
	latest := ""
	for s, err := range steps.Scan(tx, store.Query{Index: "of", Equal: []any{id}}) {
		if err != nil {
			return rec, err
		}
		if s.Value.State == StepDone && s.Value.Change > latest {
			latest = s.Value.Change
		}
	}
	if latest == "" {
		return rec, fault.New(fault.Conflict, "%.80q was not deleted, or with its account", id)
	}
	return read(tx, latest)
}

func (c *Changes) restore(tx *store.Tx, v Verb, rec store.Rec[Change], id string) error {
	tx.On(id, rec.ID)
	all, err := stepsFrom(tx, rec.ID, rec.Value.Steps, 0, true)
	if err != nil {
		return err
	}
	left := false
	for _, s := range all {
		switch {
		case s.Value.Of != id:
			left = left || s.Value.State == StepDone
		default:
			if err := v.takeBack(tx, rec, s); err != nil {
				return err
			}
		}
	}
	if left || rec.Value.State != ChangeDone {
		return nil
	}
	change := rec.Value
	change.State, change.UndoUntil = ChangeUndone, time.Time{}
	return changes.Put(tx, rec.ID, change, rec.Version)
}

// An import and what was deleted

// deletedAccount says when the account that a row names was deleted; other is the answer when it was not.
func (p *plan) deletedAccount(id string, other error) error {
	_, m, err := accounts.GetDeleted(p.tx, id)
	if err != nil || m.Deleted.IsZero() {
		return other
	}
	return refuse(colAccountID, "names an account that was deleted on "+m.Deleted.Format(time.DateOnly)+"; bring it back, or leave the row out")
}

// deletedByName refuses a row that would mean a deleted account, if that lived: it must not make it a second time.
func (p *plan) deletedByName(ids []string) error {
	for _, id := range ids {
		a, m, err := accounts.GetDeleted(p.tx, id)
		switch {
		case fault.Of(err) == fault.NotFound: // made by this batch, or purged
		case err != nil:
			return err
		case !m.Deleted.IsZero() && (p.row.accountID == "" || len(a.ProductIDs) == 0):
			return refuse(colAccount, "is the name of an account that was deleted on "+m.Deleted.Format(time.DateOnly)+"; bring it back, or leave the row out")
		}
	}
	return nil
}

// deletedContact refuses a row that speaks of a deleted contact. An e-mail address is hers whoever else the row names; a phone or a name only
// if nobody who lives is meant.
func (p *plan) deletedContact(found string) error {
	for _, v := range p.row.emails {
		if ids := p.goneAt[joined(p.account.id, Email, addressKey(Email, v))]; len(ids) > 0 {
			return p.wasDeleted(colEmail, ids[0])
		}
	}
	if found != "" {
		return nil
	}
	for _, v := range p.row.phones {
		for _, id := range p.goneAt[joined(p.account.id, SMS, addressKey(SMS, v))] {
			c, _, err := people.GetDeleted(p.tx, id)
			if err != nil {
				return err
			}
			if p.row.name == "" || fold(c.Name) == fold(p.row.name) {
				return p.wasDeleted(colPhone, id)
			}
		}
	}
	if p.row.name == "" {
		return nil
	}
	ids, err := p.named(scopeContactName, joined(p.account.id, fold(p.row.name)))
	if err != nil {
		return err
	}
	for _, id := range ids {
		c, m, err := people.GetDeleted(p.tx, id)
		switch {
		case fault.Of(err) == fault.NotFound:
		case err != nil:
			return err
		case !m.Deleted.IsZero() && (len(p.row.emails) == 0 || len(c.Emails) == 0) && (len(p.row.phones) == 0 || len(c.Phones) == 0):
			return p.wasDeleted(colName, id)
		}
	}
	return nil
}

func (p *plan) wasDeleted(col column, id string) error {
	_, m, err := people.GetDeleted(p.tx, id)
	if err != nil {
		return err
	}
	return refuse(col, "is that of a contact who was deleted on "+m.Deleted.Format(time.DateOnly)+"; bring her back ("+id+"), or leave the row out")
}

// DeletedWith are the ids of one kind that were deleted for the sake of a record, and not brought back since.
func DeletedWith(tx *store.Tx, of string, k store.Kind) (ids []string, err error) {
	for rec, err := range steps.Scan(tx, store.Query{Index: "of", Equal: []any{of}}) {
		if err != nil {
			return nil, err
		}
		var notes []note
		if rec.Value.State != StepDone || len(rec.Value.Back) == 0 {
			continue
		}
		if err := json.Unmarshal(rec.Value.Back, &notes); err != nil {
			return nil, err
		}
		for _, n := range notes {
			if n.Kind == k.Name && n.Did == marked && !slices.Contains(ids, n.ID) {
				ids = append(ids, n.ID)
			}
		}
	}
	return ids, nil
}

// AccountID is our id of an account, deleted or not, behind any id that it ever had.
func (b *Book) AccountID(ctx context.Context, anyID string) (id string, err error) {
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		id, err = resolve(tx, accounts.Kind, scopeAccount, scopeSite, "account_id", anyID)
		return err
	})
	return id, err
}
