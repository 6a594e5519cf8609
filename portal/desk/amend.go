package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// VerbAmend is the change that needs L4: it takes a person who showed minutes ago that she may speak for the customer, a second one of the customer's or two
// members of staff, a day in which everybody on file can say no, and then it is carried out as every change is.
const VerbAmend = "identity.amend"

// ClassChange is what a person asked to have changed, right behind showing who she is.
const ClassChange Class = "change"

// Amendment is what is changed, and the case in which it was asked for.
type Amendment struct {
	Case     string          `json:"case"`
	Amend    *contacts.Amend `json:"amend,omitempty"`
	Recovery string          `json:"recovery_of,omitempty"` // or: the saved recovery codes of this contact are taken back
}

// digest binds what was asked for.
func (a Amendment) digest() (string, error) {
	b, err := json.Marshal(a)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// byCase is who acts when a person of a case does.
const byCase = "case:"

// AskAmend asks for a change, from a page of her own: everybody on file is told at once, and it waits for a second person and for a day. Of a person who did
// not show within minutes that she may speak for the customer it is refused.
func (d *Desk) AskAmend(ctx context.Context, who Who, in Amendment, reason string) (rec store.Rec[contacts.Change], err error) {
	by := byCase + who.Case
	err = d.DB.Update(ctx, store.Act{By: by, Verb: "identity.amend.ask", Reason: line(reason)}, func(tx *store.Tx) error {
		s, err := d.standing(tx, who.Case)
		if err != nil {
			return err
		}
		in.Case = who.Case
		if in.Amend != nil {
			amend := *in.Amend
			amend.Account = s.Account
			in.Amend = &amend
		}
		switch {
		case who.Account != "" && who.Account != s.Account:
			return fault.New(fault.NotFound, "there is nothing here that this ticket leads to")
		case !s.Fresh(tx.Now(), d.Policy.Identity):
			return errShowMore
		}
		if in, _, err = d.checkAmendment(tx, s.Account, in); err != nil {
			return err
		}
		bound, err := in.digest()
		if err != nil {
			return err
		}
		if _, err := d.add(tx, Evidence{Case: who.Case, Account: s.Account, Contact: s.Contact, Class: ClassChange, How: HowTold, Bound: bound, By: by}); err != nil {
			return err
		}
		if err := d.tellOnFile(tx, s.Account, templates.AccountNotice{What: templates.NoticeChange, From: tx.Now().Add(d.Policy.Identity.Cooling)}); err != nil {
			return err
		}
		input, err := json.Marshal(in)
		if err != nil {
			return err
		}
		rec, err = d.Book.Changes.ProposeIn(tx, by, contacts.Proposal{Verb: VerbAmend, Input: input, Reason: reason})
		return err
	})
	return rec, err
}

// AgreeAmend is the word of a second contact at L3 of the same account, who showed it within minutes.
func (d *Desk) AgreeAmend(ctx context.Context, who Who, id, digest string) (store.Rec[contacts.Change], error) {
	err := d.DB.View(ctx, func(tx *store.Tx) error {
		s, err := d.standing(tx, who.Case)
		if err != nil {
			return err
		}
		if !s.Fresh(tx.Now(), d.Policy.Identity) || s.Contact == "" {
			return errShowMore
		}
		return nil
	})
	if err != nil {
		return store.Rec[contacts.Change]{}, err
	}
	rec, err := d.Book.Changes.Change(ctx, id)
	if err == nil {
		err = d.DB.View(ctx, func(tx *store.Tx) error { return d.second(tx, rec, who.Case) })
	}
	if err != nil {
		return rec, err
	}
	return d.Book.Changes.Approve(ctx, byCase+who.Case, id, digest)
}

// second refuses a person who is not another contact of the same account as the one who asked.
func (d *Desk) second(tx *store.Tx, rec store.Rec[contacts.Change], agreeing string) error {
	in, err := readAmendment(rec.Value.Input)
	if err != nil || rec.Value.Verb != VerbAmend {
		return fault.New(fault.NotFound, "there is nothing here that this ticket leads to")
	}
	asked, err := d.standing(tx, in.Case)
	if err != nil {
		return err
	}
	other, err := d.standing(tx, agreeing)
	if err != nil {
		return err
	}
	switch {
	case asked.Account != other.Account || other.Account == "":
		return fault.New(fault.NotFound, "there is nothing here that this ticket leads to")
	case other.Level < L3 || other.Contact == "":
		return errShowMore
	case in.Case == agreeing || other.Contact == d.askedBy(tx, in):
		return fault.New(fault.Forbidden, "whoever asked for it cannot agree to it; somebody else must")
	}
	return nil
}

func (d *Desk) askedBy(tx *store.Tx, in Amendment) string {
	e, err := d.askedFor(tx, in)
	if err != nil {
		return ""
	}
	return e.Value.Contact
}

func readAmendment(input json.RawMessage) (in Amendment, err error) {
	err = contacts.ReadInput(input, &in)
	return in, err
}

// checkAmendment reads an amendment against the account that its case hangs on.
func (d *Desk) checkAmendment(tx *store.Tx, account string, in Amendment) (Amendment, store.Meta, error) {
	if (in.Amend == nil) == (in.Recovery == "") {
		return in, store.Meta{}, fault.BadField("amend", "or recovery_of must be there, and not both")
	}
	if in.Recovery != "" {
		who, err := d.Book.Contact(tx, in.Recovery)
		if err == nil && who.Value.Account != account {
			err = fault.BadField("recovery_of", "is a contact of another account")
		}
		in.Recovery = who.ID
		return in, who.Meta, err
	}
	amend, at, err := d.Book.CheckAmend(tx, *in.Amend)
	if err == nil && amend.Account != account {
		err = fault.BadField("account_id", "is another account than the ticket's")
	}
	in.Amend = &amend
	return in, at, err
}

// askedFor finds that the person of the case asked for exactly this.
func (d *Desk) askedFor(tx *store.Tx, in Amendment) (rec store.Rec[Evidence], err error) {
	bound, err := in.digest()
	if err != nil {
		return rec, err
	}
	all, err := evidenceOf(tx, in.Case)
	if err != nil {
		return rec, err
	}
	for _, rec := range slices.Backward(all) {
		if rec.Value.Class == ClassChange && rec.Value.Bound == bound && rec.Value.Voided.IsZero() {
			return rec, nil
		}
	}
	return rec, fault.New(fault.Forbidden, "the customer has not asked for exactly this: she asks for it from her ticket, right behind showing who she is")
}

// amendVerb carries amendments out.
func (d *Desk) amendVerb() contacts.Verb {
	return contacts.Verb{Name: VerbAmend, Right: contacts.RightChange, Says: "change a contact's addresses, an account's domains or saved recovery codes, as the customer asked",
		Plan: d.planAmend, Ready: d.readyAmend, Run: d.runAmend}
}

func (d *Desk) planAmend(tx *store.Tx, input json.RawMessage) (contacts.Plan, error) {
	in, err := readAmendment(input)
	if err != nil {
		return contacts.Plan{}, err
	}
	t, _, err := tickets.Get(tx, in.Case)
	if err != nil {
		return contacts.Plan{}, err
	}
	account, err := d.Book.Account(tx, t.Account)
	if err != nil {
		return contacts.Plan{}, fault.New(fault.Conflict, "the ticket hangs on no account")
	}
	checked, at, err := d.checkAmendment(tx, account.ID, in)
	if err != nil {
		return contacts.Plan{}, err
	}
	if _, err := d.askedFor(tx, checked); err != nil {
		return contacts.Plan{}, err
	}
	p := contacts.Plan{Steps: []contacts.Step{{Of: at.ID, On: at.ID, Version: at.Version}}}
	p.Describe(contacts.KindOf(at.ID), at.ID, checked.says())
	return p, nil
}

// says shows an amendment to whoever decides about it, addresses masked.
func (a Amendment) says() string {
	if a.Amend == nil {
		return "saved recovery codes are taken back"
	}
	what := "gets "
	if a.Amend.Drop {
		what = "loses "
	}
	if a.Amend.Channel == "" {
		return what + a.Amend.Value
	}
	return what + contacts.Mask(a.Amend.Channel, a.Amend.Value)
}

// readyAmend refuses what has not the right two people behind it, or has not waited its day. Whoever leads the incident may shorten that.
func (d *Desk) readyAmend(tx *store.Tx, rec store.Rec[contacts.Change], given []store.Approval) error {
	in, err := readAmendment(rec.Value.Input)
	if err != nil {
		return err
	}
	asked, err := d.askedFor(tx, in)
	if err != nil {
		return err
	}
	if !dual(rec.Value.Author, given) {
		return fault.New(fault.Forbidden, "it takes a second contact of the customer's, or two members of staff of whom one proposes it and another approves it")
	}
	if ends := asked.Value.At.Add(d.Policy.Identity.Cooling); asked.Value.Second == "" && tx.Now().Before(ends) {
		return fault.New(fault.Conflict, "everybody on file can say no until %s; then it can be run", ends.Format(time.RFC3339))
	}
	return nil
}

// dual says whether two of the same side stand behind a change: two people of the customer's, or two members of staff.
func dual(author string, given []store.Approval) bool {
	return slices.ContainsFunc(given, func(a store.Approval) bool {
		return a.By != author && strings.HasPrefix(a.By, byCase) == strings.HasPrefix(author, byCase)
	})
}

func (d *Desk) runAmend(tx *store.Tx, rec store.Rec[contacts.Change], _ contacts.Step) (json.RawMessage, error) {
	in, err := readAmendment(rec.Value.Input)
	if err != nil {
		return nil, err
	}
	if in.Amend != nil {
		return nil, d.Book.Amend(tx, *in.Amend)
	}
	left, err := recoveryLeft(tx, in.Recovery)
	if err != nil {
		return nil, err
	}
	for _, q := range left {
		if err := spend(tx, q); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Hasten lets a change that a customer asked for be carried out before its day is over, on the word of whoever leads the incident, for a reason that is kept.
// The caller has made sure that he does.
func (d *Desk) Hasten(ctx context.Context, by, id, reason string) error {
	if reason = line(reason); reason == "" || len(reason) > maxReason {
		return fault.BadField("reason", "must say in at most %d bytes why it cannot wait", maxReason)
	}
	rec, err := d.Book.Changes.Change(ctx, id)
	if err != nil {
		return err
	}
	return d.DB.Update(ctx, store.Act{By: by, Verb: "identity.amend.hasten", Reason: reason}, func(tx *store.Tx) error {
		in, err := readAmendment(rec.Value.Input)
		if err != nil || rec.Value.Verb != VerbAmend {
			return fault.New(fault.Conflict, "this change waits for nothing that could be shortened")
		}
		asked, err := d.askedFor(tx, in)
		if err != nil {
			return err
		}
		tx.On(id, in.Case)
		asked.Value.Second, asked.Value.SecondAt, asked.Value.Note = by, tx.Now(), reason
		return evidence.Put(tx, asked.ID, asked.Value, asked.Version)
	})
}
