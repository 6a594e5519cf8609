package desk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// What staff answer in a ticket reaches its own writer. Whoever wrote one that was merged into it may be another person, or the same at an address that still
// works: she is told as well when the two are of one customer, or when staff say so. What stands in one conversation is never shown in another; an answer
// is written into each.

// Joined is a ticket that goes on in the one that staff read.
type Joined struct {
	Number string
	Who    string // her name, or where she is reached
	Same   bool   // it is of the same customer, so that its writer is told as well unless staff say otherwise
	Waits  bool   // its writer had the last word in it

	rec store.Rec[Ticket]
}

// joins is a merged ticket beside the one that it goes on in.
func joins(lead Ticket, rec store.Rec[Ticket]) Joined {
	t := rec.Value
	same := t.Account != "" && t.Account == lead.Account || t.Email != "" && strings.EqualFold(t.Email, lead.Email) || t.Phone != "" && t.Phone == lead.Phone
	return Joined{Number: t.Number, Who: cmp.Or(t.Name, t.Email, t.Phone), Same: same, rec: rec}
}

// tellsAlso are the merged tickets whose writers are told an answer in the ticket that they go on in: those that are named, or with nil those of its customer.
func tellsAlso(tx *store.Tx, lead store.Rec[Ticket], named *[]string) (all []Joined, err error) {
	in, err := merged(tx, lead.ID)
	if err != nil {
		return nil, err
	}
	for _, rec := range in {
		if j := joins(lead.Value, rec); named == nil && j.Same || named != nil && slices.Contains(*named, j.Number) {
			all = append(all, j)
		}
	}
	if named != nil {
		for i, number := range *named {
			if !slices.ContainsFunc(all, func(j Joined) bool { return j.Number == number }) {
				return nil, fault.BadField(fmt.Sprintf("also[%d]", i), "is not merged into ticket %s", lead.Value.Number)
			}
		}
	}
	return all, nil
}

// answer is say for what staff write to a customer, and to those whose tickets go on in hers. What is internal, held or the customer's own goes nowhere else.
func (d *Desk) answer(tx *store.Tx, by string, rec store.Rec[Ticket], m Message, named *[]string) error {
	var also []Joined
	if m.From == "staff" && !m.Internal && m.Held == "" {
		var err error
		if also, err = tellsAlso(tx, rec, named); err != nil {
			return err
		}
	}
	m.Also = numbersOf(also)
	id, err := d.say(tx, by, rec.ID, m)
	if err != nil || len(also) == 0 {
		return err
	}
	if m, _, err = messages.Get(tx, id); err != nil { // with the files that were kept
		return err
	}
	return d.sayAlso(tx, by, rec.Value, m, also)
}

// sayAlso writes an answer into merged tickets and tells their writers, but for those who were told it already where they are reached. Its files are the same ones,
// kept once, with the ticket that was answered, and removed for good with it: whoever may read the answer may have them until then.
func (d *Desk) sayAlso(tx *store.Tx, by string, lead Ticket, m Message, to []Joined) error {
	told := []string{strings.ToLower(lead.address(lead.tellOn()))}
	for _, j := range to {
		t, copied := j.rec.Value, Message{Ticket: j.rec.ID, From: m.From, By: m.By, Text: m.Text, Files: m.Files, At: tx.Now(), Via: m.Via, Copied: true}
		if at := strings.ToLower(t.address(t.tellOn())); !slices.Contains(told, at) {
			told = append(told, at)
			var err error
			if copied.Untold, err = d.tellAnswer(tx, j.rec.ID, t, copied); err != nil {
				return err
			}
		}
		if err := messages.Put(tx, messages.NewID(), copied, 0); err != nil {
			return err
		}
		tx.On(j.rec.ID)
		if err := d.put(tx, by, j.rec, t); err != nil {
			return err
		}
	}
	return nil
}

// numbersOf are the numbers of tickets.
func numbersOf(all []Joined) (numbers []string) {
	for _, j := range all {
		numbers = append(numbers, j.Number)
	}
	return numbers
}
