// Package comms is what Lifeline says and to whom: incidents and the ledger of their sites, structured updates and their
// approval, the outbox that carries every notice to every person, deadlines, and the reach board.
//
// It decides and records; it serves no HTTP and knows no ticket. Whatever must be told is a notice written in the same
// transaction as the fact, and nothing is ever sent inside a transaction. Sending is at least once: see [Window] for the stated
// bound on repeats after a crash.
package comms

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/templates"
)

// Room is the comms room: everything in it is handed in once, at start.
type Room struct {
	DB     *store.DB
	Book   *contacts.Book
	Words  *templates.Set
	Policy Policy
	Vendor templates.Vendor
	Barred string // why nothing may be published, whatever it says; "": it may
	Edited func() // called when what public pages show has changed; nil: nobody listens
	Log    *slog.Logger

	// Returns is where mail that cannot be delivered comes back to.
	Returns Returns

	// SignSubscription makes the token of a subscription's page; nil: its messages lead to the page on which one asks for it.
	SignSubscription func(subject string) string

	// Payload makes what a program reads of an update, a JSON object, out of what the page shows; nil: no update goes to webhooks.
	Payload func(p Public, u templates.Update, locale string) ([]byte, error)

	// SignSites makes the token by which a contact sees where her sites stand, for a purpose that is [SitesPurpose]; nil: her mails have no such link.
	SignSites func(purpose, subject string) string

	// Asking is what a campaign needs of the rest of the house; without a Sign nobody is asked to confirm anything.
	Asking Asking

	// Staffed finds the people of a rung that names them by what they are, by every way on which they are told; nil: nobody is known by name.
	Staffed func(tx *store.Tx, p Post, at time.Time) ([]Direct, error)

	// Rostered names who is on duty for a role of the staff by a rota, in its order; nil: there are no rotas.
	Rostered func(tx *store.Tx, role string, at time.Time) ([]string, error)

	// Cleared says whether somebody reads security incidents in which she is not named; nil: nobody is kept from having what belongs to one.
	Cleared func(tx *store.Tx, person string) (bool, error)

	// Also are standing duties of rooms that this one knows nothing of.
	Also []Duty

	// Follow is told of every site that was moved in the ledger, in the same transaction; nil: nobody follows.
	Follow func(*store.Tx, Moved) error

	// Tidings is told of all sites that one act moved, in the same transaction, behind Follow; nil: nobody is.
	Tidings func(*store.Tx, []Moved) error

	// Kept is what customers have kept or shown for the day on which mail and phone are gone, by account; nil: nobody has anything.
	Kept func(context.Context) (map[string]contacts.Kept, error)

	// Deeds are what other rooms do when a deadline of theirs passes, in place of telling a ladder, by its sort. A deed moves its deadline on, or ends it.
	Deeds map[string]func(context.Context, Due) error

	callbacks callbacks

	asked      Bell // rung when a subscription was asked for
	bell       Bell
	relays     relays
	places     store.Kept[place]
	onPages    onPages
	customers  atomic.Int64 // that a ledger had when it was last counted
	headways   store.Kept[headway]
	seclusions store.Kept[seclusion]
	counts     counts
	spoke      store.Kept[wasSaid]
	went       store.Kept[wentBy]
	targets    store.Recent[Targets]

	standby standby
}

// Kinds lists the records that comms keeps.
func Kinds() []store.Kind {
	return []store.Kind{
		incidents.Kind, rows.Kind, entries.Kind, updates.Kind, copies.Kind, editions.Kind,
		notices.Kind, pages.Kind, rosters.Kind, records.Kind, deadlines.Kind, tasks.Kind, rounds.Kind, confirmations.Kind,
		checklists.Kind, runs.Kind, batches.Kind,
		subscriptions.Kind, plans.Kind, answers.Kind,
	}
}
