package comms

import (
	"context"
	"slices"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// StaleContact is a contact who ought to be asked, or replaced, before an incident.
type StaleContact struct {
	store.Rec[contacts.Contact]        // without her provenance
	Customer                    string // the account's name
	Why                         contacts.Freshness
	Last                        contacts.Arrivals // of her account
	Asked                       Confirmation      // the last question to any of her addresses; zero: there was none
	Next                        NextStep
}

// NextStep is what is to be done about a contact of whom nobody knows whether she is still reached.
type NextStep string

// The steps. The campaign takes the first two by itself while it runs, and waits by itself.
const (
	NextMail    NextStep = "ask_mail" // a mail can ask her
	NextText    NextStep = "ask_sms"  // no mail can, and a text message can
	NextWait    NextStep = "wait"     // she was asked, and there is time to answer
	NextCall    NextStep = "call"     // what could be asked was, or nothing can be: somebody calls
	NextReplace NextStep = "replace"  // nothing reaches her, or she is the wrong person: find somebody else
)

// nextStep decides it. Live says which channels reach people; a question holds for the interval.
func nextStep(c contacts.Contact, asked Confirmation, live func(channel string) bool, interval time.Duration, now time.Time) NextStep {
	reached := func(channel string) bool {
		usable, _ := contacts.Reach(c, channel)
		return len(usable) > 0 && live(channel)
	}
	open := !asked.AskedAt.IsZero() && now.Sub(asked.AskedAt) < interval
	switch {
	case open && asked.Answer == AnswerWrong:
		return NextReplace
	case open && !asked.Next.IsZero():
		return NextWait
	case !open && reached(ChannelEmail):
		return NextMail
	case !open && reached(ChannelSMS):
		return NextText
	case slices.ContainsFunc(c.Phones, func(a contacts.Address) bool { return !a.Bounced }): // who wants no text messages may still be called
		return NextCall
	}
	return NextReplace
}

// StaleContacts lists, a page at a time, whom the book may not reach any more, what was tried and what comes next: see [contacts.Book.StaleContacts].
func (r *Room) StaleContacts(ctx context.Context, q contacts.StaleQuery) (page []StaleContact, next string, err error) {
	live := func(channel string) bool { return r.Asking.Live != nil && r.Asking.Live(channel) }
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		page = nil
		all, more, err := r.Book.StaleContacts(tx, q)
		if err != nil {
			return err
		}
		next = more
		var of StaleContact // what is known of the account that is walked
		for _, rec := range all {
			c := rec.Value
			if c.Account != of.Value.Account {
				account, err := r.Book.Account(tx, c.Account)
				if err != nil && fault.Of(err) != fault.NotFound {
					return err
				}
				of.Customer = account.Value.Name
				if of.Last, err = r.Book.Arrivals(tx, c.Account); err != nil {
					return err
				}
			}
			of.Rec, of.Why = rec, r.Book.Policy.FreshnessOf(c, tx.Now())
			if of.Asked, err = lastAsked(tx, c); err != nil {
				return err
			}
			of.Next = nextStep(c, of.Asked, live, r.Policy.Confirm.Interval, tx.Now())
			page = append(page, of)
		}
		return nil
	})
	return page, next, err
}

// lastAsked is the newest question to any address of a contact.
func lastAsked(tx *store.Tx, c contacts.Contact) (last Confirmation, err error) {
	for channel, all := range map[string][]contacts.Address{ChannelEmail: c.Emails, ChannelSMS: c.Phones} {
		for _, a := range all {
			rec, err := confirmationOf(tx, channel, a.Value)
			if err != nil {
				return last, err
			}
			if rec.Value.AskedAt.After(last.AskedAt) {
				last = rec.Value
			}
		}
	}
	return last, nil
}
