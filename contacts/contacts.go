// Package contacts is the book of who may speak for a customer and how to reach them; it outlives the product
// that the customers use, and nothing in it depends on the product's answer, ids or addresses of sites.
//
// An account is a customer, a site is what the account has in the product, a contact is a person of an account. Every record has
// an id of Lifeline's own. A product id is only ever an [Alias] that leads to a record; aliases are never removed, so an old id
// finds its record for as long as there is a store. This room never sends anything.
//
// # How an import finds the record that a row speaks of
//
//   - Account: by account_id, else by its name among the accounts that the same source named, else through site_id.
//     A source may first know an account by name alone and later tell its id: that links the id.
//   - Site: by site_id, else by site_url, else by its name, the last two within the account. A site_url known in the account
//     that comes with a new site_id is the same site under a new id. A site that belongs to another account is refused: moving it is
//     a person's decision.
//   - Contact, within the account: by any e-mail address, else by phone, else by name. Letter case does not count. Colleagues
//     share phones, so with several candidates the one of that name is meant; and a row with an e-mail address that nobody has
//     yet joins somebody by phone or name only if the names agree and, by name, if that person has no address so far. Of several of a
//     name the one is meant who was named with the row's site before.
//
// # What a row may change
//
//   - An empty value says nothing and changes nothing.
//   - Lists are united: addresses, sites, products, domains, former names, invoices, old tickets. Nothing is taken out of them, and each
//     value keeps who brought it first, when and how.
//   - A single value (a name, a URL, region, tier, locale, time zone, and the choice of channels) is replaced only by a
//     source that is not weaker and a statement that is not staler. Sources are ranked in the policy: the customer's own word, outreach, billing and
//     CRM, the product's sync, others. A statement is as fresh as its confirmed_at; one without a date is staler than any with one.
//     Stronger and not staler, or as strong and fresher: it replaces. Weaker: it is passed over.
//   - As strong and as fresh, yet different: a conflict. The value stays, and what was offered is kept on the record
//     for a person. A stronger but staler statement is a conflict too, since neither side may overrule the other. The one
//     exception: a source that corrects its own word in a later import replaces it. Values that differ only in letter case, width
//     or spacing are no conflict.
//   - What a person decided about a conflict is as strong as outreach and as fresh as the decision. The word that was turned down is not
//     asked about again, whatever its source, until that source confirms it anew.
//   - A role belongs to the site that the row names, or to the account when it names none. A source of a class that the policy believes
//     (all four, unless an operator names fewer) states it; any other only proposes that somebody is owner, site admin or executive, and
//     a proposal gives no right. What a person confirmed, no source changes. What a person revoked comes back only by a source that is not
//     weaker than outreach and confirms it after the revocation.
//   - A contact is account-wide once any source named it without a site; else it belongs to the sites that it was named with.
//
// A second import of the same file therefore changes nothing and writes nothing.
package contacts

import (
	"log/slog"

	"lifeline/store"
)

// Book is the contact book.
type Book struct {
	DB     *store.DB
	Policy Policy
	Log    *slog.Logger

	// Found takes a finding, in the transaction of the fact; nil: findings are only logged.
	Found func(*store.Tx, Finding) error

	// Lost hears, in the transaction of the fact, that an address of a contact does not work any more; nil: nobody does.
	Lost func(tx *store.Tx, contactID, channel, value string) error

	// Changes is where what needs a second person is proposed; nil: nothing can be.
	Changes *Changes

	Spool string // directory in which a file is kept, sealed, while it is imported; "": the system's for temporary files

	standings store.Kept[Standing]
	index     index

	Merging Merging
}

// Kinds lists the kinds of record that this room keeps.
func Kinds() []store.Kind {
	return []store.Kind{accounts.Kind, sites.Kind, people.Kind, aliases.Kind, addresses.Kind, openConflicts.Kind, feeds.Kind}
}
