package contacts

import (
	"context"
	"slices"
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// Hit is an account that a search found, and by what.
type Hit struct {
	Account store.Rec[Account]
	Why     string // id, account_id, site_id, email, phone, account, former_name, domain, site, site_url
	On      string // our id of the record that matched
}

// Found is what a search found. Partial says that it stopped before it had seen everything.
type Found struct {
	Hits    []Hit
	Partial bool
}

const (
	searchLimit = 200    // hits at the most
	searchScan  = 20_000 // accounts, and sites, looked through for a part of a name
)

// Search finds accounts: by any id of theirs, of their sites or contacts, by a contact's e-mail address or phone, and by a
// part of the name, a former name, a domain, or a site's name or address. Exact finds come first; an account is listed once.
// Names are looked through one by one, at most 20,000 of each kind.
func (b *Book) Search(ctx context.Context, q string, limit int) (found Found, err error) {
	q, err = text(q, maxName)
	if err != nil {
		return found, fault.BadField("q", "%s", err)
	}
	if q == "" {
		return found, fault.BadField("q", "is missing")
	}
	if limit <= 0 || limit > searchLimit {
		limit = searchLimit
	}
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		s := search{book: b, tx: tx, q: q, limit: limit}
		for _, step := range []func() error{s.byID, s.byAddress, s.byAccount, s.bySite} {
			if err := step(); err != nil {
				return err
			}
		}
		found = s.found
		return nil
	})
	return found, err
}

type search struct {
	book  *Book
	tx    *store.Tx
	q     string
	limit int
	found Found
}

func (s *search) full() bool { return len(s.found.Hits) >= s.limit }

func (s *search) add(account, why, on string) error {
	if s.full() {
		s.found.Partial = true
		return nil
	}
	if slices.ContainsFunc(s.found.Hits, func(h Hit) bool { return h.Account.ID == account }) {
		return nil
	}
	a, m, err := accounts.Get(s.tx, account)
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err == nil {
		s.found.Hits = append(s.found.Hits, Hit{Account: store.Rec[Account]{Meta: m, Value: a}, Why: why, On: on})
	}
	return err
}

// byID looks in the spaces of all ids, since the person who searches may not know which kind hers is.
func (s *search) byID() error {
	_, ours := kindOf(s.q, Kinds())
	why := func(column string) string {
		if ours {
			return "id"
		}
		return column
	}
	if a, err := s.book.Account(s.tx, s.q); err == nil {
		if err := s.add(a.ID, why("account_id"), a.ID); err != nil {
			return err
		}
	} else if !unknown(err) {
		return err
	}
	if site, err := s.book.Site(s.tx, s.q); err == nil {
		if err := s.add(site.Value.Account, why("site_id"), site.ID); err != nil {
			return err
		}
	} else if !unknown(err) {
		return err
	}
	c, err := s.book.Contact(s.tx, s.q)
	if err == nil {
		return s.add(c.Value.Account, "id", c.ID)
	}
	if unknown(err) {
		return nil
	}
	return err
}

func unknown(err error) bool {
	return fault.Of(err) == fault.NotFound || fault.Of(err) == fault.Invalid
}

func (s *search) byAddress() error {
	for _, try := range []struct{ channel, why string }{{Email, "email"}, {SMS, "phone"}} {
		recs, err := s.book.ByAddress(s.tx, try.channel, s.q)
		if fault.Of(err) == fault.Invalid {
			continue
		}
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := s.add(rec.Value.Account, try.why, rec.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *search) byAccount() error {
	want := fold(s.q)
	n := 0
	for rec, err := range accounts.Scan(s.tx, store.Query{}) {
		if err != nil {
			return err
		}
		if n++; n > searchScan || s.full() {
			s.found.Partial = true
			return nil
		}
		a := rec.Value
		why := ""
		switch {
		case strings.Contains(fold(a.Name), want):
			why = "account"
		case slices.ContainsFunc(a.FormerNames, func(name string) bool { return strings.Contains(fold(name), want) }):
			why = "former_name"
		case slices.ContainsFunc(a.Domains, func(d string) bool { return strings.Contains(d, want) }):
			why = "domain"
		default:
			continue
		}
		if err := s.add(rec.ID, why, rec.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) bySite() error {
	want, address := fold(s.q), URLKey(s.q)
	n := 0
	for rec, err := range sites.Scan(s.tx, store.Query{}) {
		if err != nil {
			return err
		}
		if n++; n > searchScan || s.full() {
			s.found.Partial = true
			return nil
		}
		why := ""
		switch {
		case strings.Contains(fold(rec.Value.Name), want):
			why = "site"
		case address != "" && strings.Contains(URLKey(rec.Value.URL), address):
			why = "site_url"
		default:
			continue
		}
		if err := s.add(rec.Value.Account, why, rec.ID); err != nil {
			return err
		}
	}
	return nil
}
