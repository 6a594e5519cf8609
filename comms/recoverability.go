package comms

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
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
	AsOf            time.Time     `json:"as_of"`
	Items           []Recoverable `json:"items"`
	Next            string        `json:"next"`
}

// standby is the last count of how well customers could be recovered.
type standby struct {
	mu   sync.Mutex
	all  []Recoverable
	at   time.Time
	took time.Duration
	err  error
	busy chan struct{} // closed when the count that goes on is done; nil: none does
}

// The book is walked for it, half a minute or more at a million contacts.
const (
	standbyFew   = 2000             // so few customers,
	standbyQuick = time.Second      // where that takes no longer, are counted anew each time that it is asked for
	standbyPart  = 20               // what others come to is shown for so many times as long as it took, with its time,
	standbyFor   = 10 * time.Minute // and no longer than this
	standbyWait  = 2 * time.Second  // a first count is waited for no longer than this
)

// counted is how every customer could be recovered, as of when it was counted. Where that takes long it goes on in the background, and until it is done the
// figures before it are given.
func (r *Room) counted(ctx context.Context) ([]Recoverable, time.Time, error) {
	s := &r.standby
	s.mu.Lock()
	long := len(s.all) > standbyFew || s.took > standbyQuick
	if s.busy == nil && (!long || r.DB.Now().Sub(s.at) >= min(standbyFor, standbyPart*s.took)) {
		s.busy = make(chan struct{})
		fault.Go(r.Log, "count who could be recovered", func() { s.count(context.WithoutCancel(ctx), r) })
	}
	busy := s.busy
	s.mu.Unlock()
	if busy != nil && !long {
		patience := time.NewTimer(standbyWait)
		defer patience.Stop()
		select {
		case <-busy:
		case <-patience.C:
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.at.IsZero() {
		return nil, time.Time{}, fault.New(fault.Unavailable, "all customers are being counted, which takes a while with so many; ask again in a minute")
	}
	return s.all, s.at, s.err
}

func (s *standby) count(ctx context.Context, r *Room) {
	began, at := time.Now(), r.DB.Now()
	var all []Recoverable
	err := errUncounted // of a panic
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; err == nil {
			s.all, s.at, s.took = all, at, time.Since(began)
		}
		close(s.busy)
		s.busy = nil
	}()
	all, err = r.recoverable(ctx)
}

var errUncounted = errors.New("the customers could not be counted")

// Recoverability reads how well each customer could be recovered, as of the time that it gives. After is the Next of the page before; most below 0 is all of
// them. While a first count of very many goes on it is fault.Unavailable.
func (r *Room) Recoverability(ctx context.Context, after string, most int) (out Recoverability, err error) {
	from := 0
	if after != "" {
		if from, err = strconv.Atoi(after); err != nil || from < 0 {
			return out, fault.BadField("after", "is not the next of a page before")
		}
	}
	all, at, err := r.counted(ctx)
	if err != nil {
		return out, err
	}
	out.AsOf = at
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
func (r *Room) recoverable(ctx context.Context) (all []Recoverable, err error) {
	standbys, err := r.Book.Standbys(ctx)
	if err != nil {
		return nil, err
	}
	sites, err := r.Book.SitesByAccount(ctx)
	if err != nil {
		return nil, err
	}
	var kept map[string]contacts.Kept
	if r.Kept != nil {
		if kept, err = r.Kept(ctx); err != nil {
			return nil, err
		}
	}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		asked := map[string]Confirmation{} // by account: the times of the last
		for rec, err := range confirmations.Scan(tx, store.Query{}) {
			if err != nil {
				return err
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
				return err
			}
			a := Recoverable{Account: account, Standby: standbys[account]}
			a.Standby.Sites, a.Standby.Kept = sites[account], kept[account]
			a.AskedAt, a.AnsweredAt = asked[account].AskedAt, asked[account].AnsweredAt
			a.Reasons, a.Recoverable = a.Weaknesses()
			all = append(all, a)
		}
		return nil
	})
	if err != nil {
		return nil, err
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
