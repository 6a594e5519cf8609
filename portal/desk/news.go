package desk

import (
	"encoding/json"
	"slices"
	"strings"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// TellMoves tells who may speak for sites that they passed without a check of ours, were handed back, or could not be restored: the rest of a site's way stands in its
// ticket. All that one act moved is one message to a person, in the transaction of the act. What a check passed has told its customer itself, with a question.
func (d *Desk) TellMoves(tx *store.Tx, all []comms.Moved) error {
	type reader struct {
		to   comms.Direct
		news templates.SiteNews
	}
	var order []string
	readers := map[string]*reader{}
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
		name := d.siteTitle(tx, m.Now.Site)
		for _, to := range d.directs(people) {
			key := to.Channel + " " + strings.ToLower(to.Address)
			r := readers[key]
			if r == nil {
				r = &reader{to: to, news: templates.SiteNews{URL: strings.TrimSuffix(d.Comms.Vendor.URL, "/") + "/support"}}
				readers[key], order = r, append(order, key)
			}
			switch m.Now.State {
			case comms.HandedBack:
				r.news.Back = append(r.news.Back, name)
			case comms.Passed:
				r.news.Passed = append(r.news.Passed, name)
			default:
				r.news.Failed = append(r.news.Failed, name)
			}
		}
	}
	// Who reads the same gets it by one notice: most often that is everybody of one customer.
	var texts []string
	same := map[string][]comms.Direct{}
	for _, key := range order {
		data, err := json.Marshal(readers[key].news)
		if err != nil {
			return err
		}
		if same[string(data)] == nil {
			texts = append(texts, string(data))
		}
		same[string(data)] = append(same[string(data)], readers[key].to)
	}
	for _, data := range texts {
		for part := range slices.Chunk(same[data], mostBack) {
			if _, err := d.Comms.Tell(tx, comms.Notice{Lane: comms.LaneDirect, Name: templates.MsgSiteNews, Channels: []string{contacts.Email, contacts.SMS}, To: part, Data: []byte(data)}); err != nil {
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
