package comms

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Recoverable is one account in the list of how well customers could be recovered.
type Recoverable struct {
	Account     string   `json:"account_id"`
	Recoverable bool     `json:"recoverable"`
	Reasons     []string `json:"reasons"` // the worst first
	contacts.Standby
	AskedAt    time.Time `json:"asked_at,omitzero"`    // when one of its contacts was asked last whether we still reach her
	AnsweredAt time.Time `json:"answered_at,omitzero"` // when one of them answered last
}

// Recoverability is the headline and a page of the accounts, the worst first.
type Recoverability struct {
	Accounts        int           `json:"accounts"`
	AccountsPercent string        `json:"accounts_percent"` // recoverable ones
	Sites           int           `json:"sites"`
	SitesPercent    string        `json:"sites_percent"` // of recoverable accounts
	Items           []Recoverable `json:"items"`
	Next            string        `json:"next"`
}

// Recoverability reads how well each customer could be recovered. It walks the whole book, some seconds at a million contacts, so it is for
// reports and not for pages that many look at. After is the Next of the page before; most below 0 is all of them.
func (r *Room) Recoverability(ctx context.Context, after string, most int) (out Recoverability, err error) {
	from := 0
	if after != "" {
		if from, err = strconv.Atoi(after); err != nil || from < 0 {
			return out, fault.BadField("after", "is not the next of a page before")
		}
	}
	var all []Recoverable
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all, err = r.recoverable(tx)
		return err
	})
	if err != nil {
		return out, err
	}
	good, goodSites := 0, 0
	for _, a := range all {
		out.Sites += a.Sites
		if a.Recoverable {
			good++
			goodSites += a.Sites
		}
	}
	out.Accounts = len(all)
	out.AccountsPercent, out.SitesPercent = percent(good, len(all)), percent(goodSites, out.Sites)
	to := len(all)
	if most >= 0 {
		to = min(to, from+limit(most))
	}
	out.Items = all[min(from, to):to]
	if to < len(all) {
		out.Next = strconv.Itoa(to)
	}
	return out, nil
}

// recoverable lists every account: those that could not be recovered in front, and among equals those with more sites.
func (r *Room) recoverable(tx *store.Tx) (all []Recoverable, err error) {
	people := map[string][]contacts.Contact{}
	for rec, err := range r.Book.ContactsFrom(tx, "") {
		if err != nil {
			return nil, fmt.Errorf("read the contacts: %w", err)
		}
		people[rec.Value.Account] = append(people[rec.Value.Account], rec.Value)
	}
	sites, err := r.Book.SitesByAccount(tx)
	if err != nil {
		return nil, err
	}
	asked := map[string]Confirmation{} // by account: the times of the last
	for rec, err := range confirmations.Scan(tx, store.Query{}) {
		if err != nil {
			return nil, err
		}
		last := asked[rec.Value.Account]
		if at := rec.Value.AskedAt; at.After(last.AskedAt) {
			last.AskedAt = at
		}
		if at := rec.Value.AnsweredAt; at.After(last.AnsweredAt) {
			last.AnsweredAt = at
		}
		asked[rec.Value.Account] = last
	}
	for account, err := range r.Book.AllAccounts(tx) {
		if err != nil {
			return nil, err
		}
		a := Recoverable{Account: account, Standby: r.Book.Policy.StandbyOf(people[account], tx.Now())}
		a.Standby.Sites = sites[account]
		a.AskedAt, a.AnsweredAt = asked[account].AskedAt, asked[account].AnsweredAt
		a.Reasons, a.Recoverable = a.Weaknesses()
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b Recoverable) int {
		switch {
		case a.Recoverable != b.Recoverable && b.Recoverable:
			return -1
		case a.Recoverable != b.Recoverable:
			return 1
		case a.Confirmed != b.Confirmed:
			return a.Confirmed - b.Confirmed
		case a.Sites != b.Sites:
			return b.Sites - a.Sites
		}
		return len(b.Reasons) - len(a.Reasons)
	})
	return all, nil
}
