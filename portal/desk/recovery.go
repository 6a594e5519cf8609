package desk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
	"lifeline/templates"
)

// How many recovery codes are made at once, and how long they are: 120 bits each, in six groups, so that one round of a hash keeps them (ASVS 5.0, 6.5.2).
const (
	recoveryCodes  = 8
	recoveryGroups = 6
)

// RecoveryCodes makes codes for a contact to print and keep, for a day on which mail and phone are gone. They are shown this once. It takes a person who may
// speak for the customer; where codes of hers are still unused, making others changes how she can be recovered, and takes what [ChangeProof] takes.
func (d *Desk) RecoveryCodes(ctx context.Context, who Who) (plain []string, err error) {
	all := make([]string, recoveryCodes)
	for i := range all {
		all[i] = recoveryCode()
	}
	err = d.DB.Update(ctx, store.Act{By: "public:recovery", Verb: "identity.recovery.make"}, func(tx *store.Tx) error {
		s, err := d.may(tx, who, TakeRecovery)
		if err != nil {
			return err
		}
		if s.Contact == "" {
			return fault.New(fault.Conflict, "recovery codes are a contact's, and it is not known which you are")
		}
		left, err := recoveryLeft(tx, s.Contact)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fault.New(fault.Conflict, "%d saved codes are still good; they are taken back first, which takes two people", len(left))
		}
		for _, code := range all {
			q := question{Sort: askRecovery, Account: s.Account, Contact: s.Contact, Class: ClassC, Hash: secret.Hash(code), By: "public:recovery", At: tx.Now()}
			if err := questions.Put(tx, questions.NewID(), q, 0); err != nil {
				return err
			}
		}
		tx.On(who.Case, s.Contact)
		return d.tellOnFile(tx, s.Account, templates.AccountNotice{What: templates.NoticeRecovery})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// recoveryCode draws 120 bits, as digits that people can read out.
func recoveryCode() string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	b := make([]byte, 4*recoveryGroups)
	rand.Read(b) // never fails (Go 1.24)
	var groups []string
	for i := 0; i < len(b); i += 4 {
		for j := i; j < i+4; j++ {
			b[j] = digits[b[j]&31]
		}
		groups = append(groups, string(b[i:i+4]))
	}
	return strings.Join(groups, "-")
}

// recoveryLeft is the codes of a contact that are still good.
func recoveryLeft(tx *store.Tx, contact string) (left []store.Rec[question], err error) {
	for rec, err := range questions.Scan(tx, store.Query{Index: "contact", Equal: []any{contact}}) {
		if err != nil {
			return nil, err
		}
		if rec.Value.Used.IsZero() {
			left = append(left, rec)
		}
	}
	return left, nil
}

// GiveRecovery uses a saved recovery code up and records what it shows. Of in it takes Case, Code, By and Source; tries are counted as those of other codes,
// by the case.
func (d *Desk) GiveRecovery(ctx context.Context, in Give) (out Given, err error) {
	for try := 0; ; try++ {
		out, err = d.giveRecovery(ctx, in)
		if err == nil || !limit.Lost(err) || try == lookTries {
			return out, err
		}
	}
}

func (d *Desk) giveRecovery(ctx context.Context, in Give) (out Given, err error) {
	wrong := true
	err = d.DB.Update(ctx, store.Act{By: in.By, Verb: "identity.give"}, func(tx *store.Tx) error {
		wrong, out = true, Given{}
		if _, _, err := tickets.Get(tx, in.Case); err != nil {
			return err
		}
		if err := d.takeTry(tx, map[string]limit.Rule{"recovery try " + in.Case: {N: d.Policy.Identity.Tries, Per: d.Policy.Identity.Code}}, in); err != nil {
			return err
		}
		rec, err := questions.First(tx, store.Query{Index: "answer", Equal: []any{askRecovery, hex.EncodeToString(secret.Hash(in.Code))}})
		if fault.Of(err) == fault.NotFound || err == nil && (!rec.Value.Used.IsZero() || secret.Normal(in.Code) == "") {
			return nil // the try counts
		}
		if err != nil {
			return err
		}
		wrong = false
		if err := spend(tx, rec); err != nil {
			return err
		}
		q := rec.Value
		if _, err := d.add(tx, Evidence{Case: in.Case, Account: q.Account, Contact: q.Contact, Class: ClassC, How: HowRecovery, By: in.By}); err != nil {
			return err
		}
		out, err = d.given(tx, in.Case, out)
		return err
	})
	if err == nil && wrong {
		d.guessed(ctx)
		err = errWrongCode
	}
	return out, err
}
