package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// The journal is what must hold even after a restore from before it (store.Fact): pages of sealed facts, numbered without gaps, signed, each
// with the digest of the one before, beside the backups. A manifest names the newest page that stood before its snapshot was taken, and
// whoever restores it applies all behind that.

// page is one file of the journal. None of its names is one of a manifest's, so that neither signed file is taken for the other.
type page struct {
	Page     int64              `json:"journal_page"` // from 1, without gaps
	Written  time.Time          `json:"written"`
	By       string             `json:"by"` // the store's instance
	Facts    []store.SealedFact `json:"facts"`
	Previous string             `json:"page_before"` // SHA-256 of the page before; "" for the first
}

const factsPerPage = 500

func pageName(number int64) string { return fmt.Sprintf("journal-%08d.json", number) }

// pageNumbers is the numbers of the pages among names, in order.
func pageNumbers(names []string) (numbers []int64) {
	for _, name := range names {
		var n int64
		if _, err := fmt.Sscanf(name, "journal-%d.json", &n); err == nil && pageName(n) == name {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// page reads one page; its digest is that of the file, whatever it holds.
func (s Shelf) page(ctx context.Context, number int64) (p page, digest string, err error) {
	doing := func(err error) error {
		return fmt.Errorf("page %d of the journal: %w", number, err)
	}
	file, err := s.read(ctx, pageName(number))
	if err != nil {
		return p, "", doing(err)
	}
	if digest, err = readSigned(file, s.Trusted, &p); err == nil && p.Page != number {
		err = fmt.Errorf("it is not that page")
	}
	if err != nil {
		return p, digest, doing(err)
	}
	return p, digest, nil
}

// newestPage is the number of the last page that stands; 0: none does.
func (s Shelf) newestPage(ctx context.Context) (int64, error) {
	names, err := s.Place.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("look into %s: %w", s.Place, err)
	}
	if numbers := pageNumbers(names); len(numbers) > 0 {
		return numbers[len(numbers)-1], nil
	}
	return 0, nil
}

// Facts is every fact in the pages behind one, oldest first. A page that is missing, altered or not ours is an error that names it.
func (s Shelf) Facts(ctx context.Context, behind int64, keys *store.Keys) (facts []store.Fact, err error) {
	names, err := s.Place.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", s.Place, err)
	}
	next, before := behind+1, ""
	for _, number := range pageNumbers(names) {
		if number <= behind {
			continue
		}
		if number != next {
			return nil, fault.New(fault.Conflict, "pages %d to %d of the journal in %s are gone", next, number-1, s.Place)
		}
		p, digest, err := s.page(ctx, number)
		if err != nil {
			return nil, fault.Wrap(fault.Conflict, err, "read the journal in %s", s.Place)
		}
		if before != "" && p.Previous != before {
			return nil, fault.New(fault.Conflict, "page %d of the journal in %s was not written behind the one before it", number, s.Place)
		}
		for _, sealed := range p.Facts {
			f, err := sealed.Open(keys)
			if err != nil {
				return nil, fault.Wrap(fault.Conflict, err, "read page %d of the journal", number)
			}
			facts = append(facts, f)
		}
		next, before = number+1, digest
	}
	return facts, nil
}

// RunJournal brings facts out every few seconds until ctx ends: what is not there yet when the machine is lost holds for nobody.
func (b *Backups) RunJournal(ctx context.Context) error {
	tick := time.NewTicker(or(b.Ship, 5*time.Second))
	defer tick.Stop()
	for {
		_, err := b.ShipJournal(ctx)
		if ctx.Err() != nil {
			return nil
		}
		b.tell(ctx, TroubleJournal, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ShipJournal brings the facts that wait to every place, and says how many it were. They count as brought out once the first place has them;
// further places that miss pages get them at the next call, and each backup looks again.
func (b *Backups) ShipJournal(ctx context.Context) (n int, err error) {
	b.shipping.Lock()
	defer b.shipping.Unlock()
	for {
		facts, err := b.DB.Waiting(ctx, factsPerPage)
		if err != nil || len(facts) == 0 && !b.behind {
			return n, err
		}
		if len(facts) == 0 {
			return n, b.fillPages(ctx)
		}
		if err := b.putPage(ctx, facts); err != nil {
			return n, fmt.Errorf("bring the journal to %s: %w", b.Places[0], err)
		}
		if err := b.DB.Shipped(ctx, facts); err != nil {
			return n, err
		}
		n += len(facts)
		b.behind = len(b.Places) > 1
	}
}

func (b *Backups) putPage(ctx context.Context, facts []store.SealedFact) error {
	signer, err := b.signer()
	if err != nil {
		return err
	}
	shelf := b.Shelf()
	last, err := shelf.newestPage(ctx)
	if err != nil {
		return err
	}
	p := page{Page: last + 1, Written: b.now(), Facts: facts}
	if m, _, err := shelf.newest(ctx); err == nil && m.Page >= p.Page { // somebody removed pages: none may stand where a backup looks behind
		p.Page = m.Page + 1
	}
	if last > 0 {
		if _, p.Previous, err = shelf.page(ctx, last); p.Previous == "" {
			return err
		} // what was done to one page must not stop the next
	}
	if err := b.DB.View(ctx, func(tx *store.Tx) (err error) { p.By, err = store.Instance(tx); return err }); err != nil {
		return err
	}
	content, err := sign(p, signer)
	if err != nil {
		return err
	}
	return putBytes(ctx, b.Places[0], pageName(p.Page), content, p.Written.Add(b.keep()))
}

// fillPages brings further places the pages that they miss.
func (b *Backups) fillPages(ctx context.Context) error {
	names, err := b.Places[0].List(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, to := range b.Places[1:] {
		has, err := to.List(ctx)
		if err == nil {
			theirs := pageNumbers(has)
			for _, number := range pageNumbers(names) {
				if err == nil && !slices.Contains(theirs, number) {
					if err = b.copy(ctx, to, pageName(number), b.now().Add(b.keep())); fault.Of(err) == fault.Exists {
						err = nil
					}
				}
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("bring the journal to %s: %w", to, err))
		}
	}
	err = errors.Join(problems...)
	b.behind = err != nil
	return err
}

// catchUp lets further places have what they miss, as after a start, when nobody knows.
func (b *Backups) catchUp(ctx context.Context) error {
	if len(b.Places) < 2 {
		return nil
	}
	b.shipping.Lock()
	defer b.shipping.Unlock()
	return b.fillPages(ctx)
}

// prunePages removes the pages that no backup which still stands needs.
func (b *Backups) prunePages(ctx context.Context, p Place, stay map[int64]bool, entries []Entry) error {
	names, err := p.List(ctx)
	if err != nil {
		return err
	}
	var problems []error
	numbers := pageNumbers(names)
	for _, number := range numbers[:max(0, len(numbers)-1)] { // the newest says where numbers go on
		if slices.ContainsFunc(entries, func(e Entry) bool { return stay[e.Number] && e.Page < number }) {
			break
		}
		problems = append(problems, p.Remove(ctx, pageName(number)))
	}
	return errors.Join(problems...)
}
