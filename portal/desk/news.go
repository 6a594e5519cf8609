package desk

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// siteNews is the sort of the deadline that folds what a person hears of her sites. While it runs she has been told something, or it is night where she
// is: what comes up meanwhile is noted in it, and told as it stands when the time is over.
const siteNews = "site_news"

// TellMoves tells who may speak for sites that they passed without a check of ours, were handed back, could not be restored, or are taken up again: the rest of a site's way stands in its
// ticket. All that one act moved is one message to a person, in the transaction of the act, and she gets the next one when the policy's time is over or her
// night is. What a check passed has told its customer itself, with a question.
func (d *Desk) TellMoves(tx *store.Tx, all []comms.Moved) error {
	if on, err := d.Comms.RuleInForce(tx, comms.RuleSite); err != nil || !on {
		return err
	}
	told := newsletter{d: d}
	folds := map[string]*between{}
	for _, m := range newest(all) {
		tell, err := d.worthTelling(tx, m)
		if err != nil {
			return err
		}
		if !tell {
			continue
		}
		people, err := d.Book.ContactsOfSite(tx, m.Now.Site, contacts.ApprovedOnly)
		if err != nil {
			return err
		}
		for _, person := range people {
			f := folds[person.ID]
			if f == nil {
				if f, err = d.foldOf(tx, person); err != nil {
					return err
				}
				folds[person.ID] = f
			}
			if f.waits {
				f.note(m.Now)
			} else {
				told.add(person, m.Now, d.siteTitle(tx, m.Now.Site))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(folds)) {
		if err := d.Comms.Wait(tx, folds[id].due); err != nil {
			return err
		}
	}
	return told.send(tx)
}

// between is a person's time between two messages.
type between struct {
	due   comms.Due
	waits bool // what comes up is told later
}

// foldOf is the fold that a person is in; one begins when she is in none.
func (d *Desk) foldOf(tx *store.Tx, person store.Rec[contacts.Contact]) (*between, error) {
	due, running, err := d.Comms.Waiting(tx, person.ID, siteNews)
	if err != nil || running {
		return &between{due, true}, err
	}
	due.Deadline = comms.Deadline{What: siteNews, Of: person.ID, Many: true}
	f := &between{due: due}
	f.due.Due, f.waits = d.nextNews(tx, person.Value)
	return f, nil
}

// Deeds are what the desk does when deadlines of its own pass.
func (d *Desk) Deeds() map[string]func(context.Context, comms.Due) error {
	return map[string]func(context.Context, comms.Due) error{siteNews: d.TellNews}
}

// nextNews is when a person is told next if she is told now, or, when it is night where she is, until when she is told nothing.
func (d *Desk) nextNews(tx *store.Tx, c contacts.Contact) (at time.Time, night bool) {
	if day := d.Comms.DayFor(c.TimeZone, tx.Now()); day.After(tx.Now()) && !c.AtNight {
		return day, true
	}
	return tx.Now().Add(d.Comms.Policy.Automatic.Every), false
}

// mostNoted bounds what one message tells.
const mostNoted = 500

func (f *between) note(w comms.Row) {
	about := w.Incident + " " + w.Site
	if !slices.Contains(f.due.About, about) && len(f.due.About) < mostNoted {
		f.due.About = append(f.due.About, about)
	}
}

// TellNews tells a person what has come up about her sites while she was not to be told, as it stands now. With nothing to tell her fold ends.
func (d *Desk) TellNews(ctx context.Context, due comms.Due) error {
	return d.DB.Update(ctx, store.Act{By: "system:news"}, func(tx *store.Tx) error {
		now, running, err := d.Comms.Waiting(tx, due.Of, siteNews)
		switch {
		case err != nil:
			return err
		case !running || !now.Fire.Equal(due.Fire): // something came up at this moment
			return store.ErrNothing
		}
		on, err := d.Comms.RuleInForce(tx, comms.RuleSite)
		if err != nil {
			return err
		}
		person, err := d.Book.Contact(tx, due.Of)
		switch {
		case fault.Of(err) == fault.NotFound || err == nil && (!on || len(now.About) == 0):
			return d.Comms.Withdraw(tx, due.Of, siteNews)
		case err != nil:
			return err
		}
		told := newsletter{d: d}
		next, night := d.nextNews(tx, person.Value)
		if !night {
			for _, about := range now.About {
				incident, site, _ := strings.Cut(about, " ")
				w, err := d.Comms.RowIn(tx, incident, site)
				if fault.Of(err) == fault.NotFound {
					continue
				}
				if err != nil {
					return err
				}
				if slices.Contains(newsStates, w.State) {
					told.add(person, w, d.siteTitle(tx, site))
				}
			}
			now.About = nil
		}
		now.Due = next
		if err := d.Comms.Wait(tx, now); err != nil {
			return err
		}
		return told.send(tx)
	})
}

// newsStates are the states of a site that its people hear of.
var newsStates = []string{comms.HandedBack, comms.FailedSite, comms.Passed}

// newsletter gathers what each address is told of its sites.
type newsletter struct {
	d       *Desk
	order   []string
	readers map[string]*reader
}

type reader struct {
	to   comms.Direct
	news templates.SiteNews
}

func (l *newsletter) add(person store.Rec[contacts.Contact], w comms.Row, name string) {
	if l.readers == nil {
		l.readers = map[string]*reader{}
	}
	for _, to := range l.d.directs([]store.Rec[contacts.Contact]{person}) {
		key := to.Channel + " " + strings.ToLower(to.Address)
		r := l.readers[key]
		if r == nil {
			r = &reader{to: to, news: templates.SiteNews{URL: strings.TrimSuffix(l.d.Comms.Vendor.URL, "/") + "/support"}}
			l.readers[key], l.order = r, append(l.order, key)
		}
		list := map[string]*[]string{comms.HandedBack: &r.news.Back, comms.Passed: &r.news.Passed, comms.FailedSite: &r.news.Failed}[w.State]
		if w.Again() { // nobody tried in vain: what was given back is not as good as it has to be
			list = &r.news.Again
		}
		if !slices.Contains(*list, name) { // two people who share an address
			*list = append(*list, name)
		}
	}
}

// send writes the notices. Who reads the same gets it by one: most often that is everybody of one customer.
func (l *newsletter) send(tx *store.Tx) error {
	var texts []string
	same := map[string][]comms.Direct{}
	for _, key := range l.order {
		data, err := json.Marshal(l.readers[key].news)
		if err != nil {
			return err
		}
		if same[string(data)] == nil {
			texts = append(texts, string(data))
		}
		same[string(data)] = append(same[string(data)], l.readers[key].to)
	}
	for _, data := range texts {
		for part := range slices.Chunk(same[data], mostBack) {
			if _, err := l.d.Comms.Tell(tx, comms.Notice{Lane: comms.LaneDirect, Name: templates.MsgSiteNews, Channels: []string{contacts.Email, contacts.SMS}, To: part, Data: []byte(data), Rule: comms.RuleSite}); err != nil {
				return err
			}
		}
	}
	return nil
}

// newest keeps of each site only where it came to last: who hears that it is handed back need not hear that it passed a moment before.
func newest(all []comms.Moved) (last []comms.Moved) {
	for i, m := range all {
		again := func(later comms.Moved) bool {
			return later.Now.Site == m.Now.Site && later.Now.State != later.Was.State
		}
		if !slices.ContainsFunc(all[i+1:], again) {
			last = append(last, m)
		}
	}
	return last
}

// worthTelling says whether a move is news for the site's contacts, which nothing else has told them.
func (d *Desk) worthTelling(tx *store.Tx, m comms.Moved) (bool, error) {
	if m.Now.State == m.Was.State {
		return false, nil
	}
	switch m.Now.State {
	case comms.HandedBack, comms.FailedSite:
		return true, nil
	case comms.Passed:
		c, _, err := checks.Get(tx, checkID(m.Now.Incident, m.Now.Site))
		if fault.Of(err) == fault.NotFound {
			return true, nil
		}
		return c.State != CheckPassed, err
	}
	return false, nil
}
