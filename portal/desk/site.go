package desk

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/store/secret"
	"lifeline/templates"
)

// Each site that an incident affects has one ticket in it, where its customer talks with support until the site is handed back. A ticket that
// somebody filed, and whose account a person confirmed, stands for the site; where there is none, one is made. Nobody is written to: whom
// the site concerns is told by the incident's updates.

// byIncident is the route of a ticket that was made for an affected site, and not filed by anybody.
const byIncident = "incident"

// bySystem is who does what no person does.
const bySystem = "system:desk"

// mostMade bounds the tickets that one transaction makes, so that nobody who writes waits long behind it.
const mostMade = 50

// affectedAt is how many affected sites are looked at in one transaction.
const affectedAt = 100

// ticketOfSite is where the one ticket of a site in an incident is found. Site comes first, so that the tickets of a site in all incidents are a range.
func ticketOfSite(site, incident string) store.Query {
	return store.Query{Index: "site", Equal: []any{site, incident}}
}

// followed is up to which version of each incident its affected sites have their tickets. It is this process's alone: after a start everything
// is looked at once, and nothing is made twice.
type followed struct {
	mu sync.Mutex
	at map[string]int64
}

func (f *followed) is(incident string, version int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[incident] == version
}

func (f *followed) set(incident string, version int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[string]int64{}
	}
	f.at[incident] = version
}

// Duties are the standing duties of the desk, for the room that does them.
func (d *Desk) Duties() []comms.Duty {
	return []comms.Duty{
		{Name: "site_tickets", Every: d.Policy.Cases.SiteEvery, Turn: d.FollowSites},
		{Name: "bursts", Every: d.Policy.Cases.BurstEvery, Turn: d.WatchBursts},
		d.forgetting(),
		{Name: "amendments", Every: time.Minute, Turn: d.CarryAmendments},
		{Name: "silence", Every: 30 * time.Second, Turn: d.KeepSilence},
		{Name: "checks", Every: d.Policy.Checks.Sweeping, Turn: d.TendChecks},
		{Name: "presence", Every: time.Minute, Turn: func(ctx context.Context) error { return d.ForgetPresence(ctx, 1000) }},
		{Name: "rota_gaps", Every: time.Minute, Turn: d.WatchGaps},
	}
}

// FollowSites gives every affected site of every open incident its ticket. It does nothing for an incident that has not changed since, and when it is
// done again, by whomever, it changes nothing.
func (d *Desk) FollowSites(ctx context.Context) error {
	var open []store.Rec[comms.Incident]
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		open, err = d.Comms.OpenIncidents(tx)
		return err
	})
	for _, in := range open {
		if err != nil {
			return err
		}
		if in.Value.Loaded && !d.sites.is(in.ID, in.Version) {
			if err = d.TicketsFor(ctx, in.ID); err == nil {
				d.sites.set(in.ID, in.Version)
			}
		}
	}
	return err
}

// TicketsFor gives every affected site of an incident (our id) its ticket, some hundred sites in a transaction.
func (d *Desk) TicketsFor(ctx context.Context, incident string) error {
	for after := ""; ; {
		var page []comms.Affected
		var next string
		err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
			page, next, err = d.Comms.AffectedPage(tx, incident, after, affectedAt)
			return err
		})
		if err != nil {
			return err
		}
		var accounts []string
		for _, a := range page {
			accounts = append(accounts, a.Account)
		}
		for rest := slices.Compact(accounts); len(rest) > 0; {
			done, err := d.ticketsOf(ctx, incident, rest)
			if err != nil {
				return err
			}
			rest = rest[done:]
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// placeTries is how often a transaction is tried that began beside another one which did the same.
const placeTries = 5

// ticketsOf does accounts in one transaction, and says how many it has done whole; 0 is that there is more of the first.
func (d *Desk) ticketsOf(ctx context.Context, incident string, accounts []string) (done int, err error) {
	for try := 0; ; try++ {
		err = d.DB.Update(ctx, store.Act{By: bySystem, Verb: "ticket.site"}, func(tx *store.Tx) error {
			done = 0
			made := 0
			for _, account := range accounts {
				n, whole, err := d.arrange(tx, incident, account, mostMade-made)
				if err != nil {
					return err
				}
				if made += n; !whole {
					break
				}
				done++
			}
			return nil
		})
		if !limit.Lost(err) || try == placeTries { // else another process was faster
			return done, err
		}
	}
}

// arrange gives the affected sites of one account their tickets, at most most new ones, and says whether all have theirs now.
func (d *Desk) arrange(tx *store.Tx, incident, account string, most int) (made int, whole bool, err error) {
	ids, err := d.Comms.AffectedOf(tx, incident, account)
	if err != nil || len(ids) == 0 {
		return 0, true, err
	}
	places := make([]place, len(ids))
	for i, id := range ids {
		places[i].Site = id
		have, err := tickets.First(tx, ticketOfSite(id, incident))
		switch {
		case err == nil:
			places[i].Ticket = have.ID
			places[i].Silent = have.Value.silent()
		case fault.Of(err) != fault.NotFound:
			return 0, false, err
		}
	}
	own, err := d.bids(tx, incident, account, places)
	if err != nil {
		return 0, false, err
	}
	for _, s := range seat(places, own) {
		if err := d.take(tx, incident, s); err != nil {
			return 0, false, err
		}
		for i := range places {
			if places[i].Site == s.Site && !s.Twin {
				places[i].Ticket = s.Ticket
			}
		}
	}
	var of *incidentSite
	for _, p := range places {
		if p.Ticket != "" {
			continue
		}
		if made == most {
			return made, false, nil
		}
		if of == nil {
			if of, err = d.siteOf(tx, incident, account); err != nil {
				return made, false, err
			}
		}
		if err := d.makeFor(tx, *of, p.Site); err != nil {
			return made, false, err
		}
		made++
	}
	return made, true, nil
}

// place is an affected site of one account, with the ticket that stands for it.
type place struct {
	Site   string
	Ticket string // "": none yet
	Silent bool   // it was made for the site, and nobody has said anything in it
	Names  []string
}

// bid is a ticket that belongs to the account and stands for no site of the incident yet.
type bid struct {
	Ticket string
	Site   string   // the site that staff said it is about; "" nobody did
	Typed  []string // what its writer called her site, as names are compared
}

// seated is what becomes of a bid: its ticket stands for the site, or it is another one about the same site.
type seated struct {
	Ticket, Site string
	Twin         bool
	Instead      string // the silent ticket that gives way to it
}

// seat decides for which site each ticket of an account stands. One that names a site, or whose account has one affected site, stands for that;
// the next about the same is its twin, and keeps its own conversation, for two people of one company are two people. One that speaks of the
// account as a whole stands for the first site that nobody speaks for, and further ones are left as they are: nobody knows what they are about.
func seat(places []place, bids []bid) (all []seated) {
	taken := map[string]string{}
	silent := map[string]string{}
	for _, p := range places {
		if p.Silent {
			silent[p.Site] = p.Ticket
		} else if p.Ticket != "" {
			taken[p.Site] = p.Ticket
		}
	}
	stand := func(c bid, site string) {
		if taken[site] != "" {
			all = append(all, seated{Ticket: c.Ticket, Site: site, Twin: true})
			return
		}
		taken[site] = c.Ticket
		all = append(all, seated{Ticket: c.Ticket, Site: site, Instead: silent[site]})
	}
	var whole []bid
	for _, c := range bids {
		if site := c.about(places); site != "" {
			stand(c, site)
		} else {
			whole = append(whole, c)
		}
	}
	if len(whole) > 0 && !slices.ContainsFunc(places, func(p place) bool { return taken[p.Site] != "" }) {
		stand(whole[0], places[0].Site)
	}
	return all
}

// about is the site that a ticket is about; "": it does not say, and there are several.
func (c bid) about(places []place) string {
	if len(places) == 1 {
		return places[0].Site
	}
	for _, p := range places {
		if p.Site == c.Site {
			return p.Site
		}
	}
	found := ""
	for _, p := range places {
		if slices.ContainsFunc(c.Typed, func(name string) bool { return slices.Contains(p.Names, name) }) {
			if found != "" {
				return "" // what she typed is the name of two
			}
			found = p.Site
		}
	}
	return found
}

// siteName makes what people call a site comparable: an address is its host.
func siteName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, "/")
	return s
}

func names(all ...string) (out []string) {
	for _, s := range all {
		if s = siteName(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// bids are the account's tickets that may stand for its sites in an incident, the oldest first. Only what a person confirmed hangs on an account.
// When there are any and several sites, places learn what their sites are called.
func (d *Desk) bids(tx *store.Tx, incident, account string, places []place) (all []bid, err error) {
	for rec, err := range tickets.Scan(tx, store.Query{Index: "account", Equal: []any{account}}) {
		if err != nil {
			return nil, err
		}
		t := rec.Value
		if t.State == Closed || t.Into != "" || t.Site != "" && t.Incident != "" && (t.Incident != incident || t.seatedAt(rec.ID, places)) {
			continue
		}
		all = append(all, bid{Ticket: rec.ID, Site: t.Site, Typed: names(t.SiteURL, t.SiteName)})
	}
	if len(all) == 0 || len(places) == 1 {
		return all, nil
	}
	for i := range places {
		rec, err := d.Book.Site(tx, places[i].Site)
		if fault.Of(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		places[i].Names = names(append([]string{rec.Value.URL, rec.Value.Name}, rec.Value.ProductIDs...)...)
	}
	return all, nil
}

// seatedAt says whether a ticket stands for its site, or is a twin of the one that does.
func (t Ticket) seatedAt(id string, places []place) bool {
	return slices.ContainsFunc(places, func(p place) bool { return p.Site == t.Site && p.Ticket == cmp.Or(t.Twin, id) })
}

// seatAt makes room for a ticket at the site that a person gave it: what was made for the site and says nothing gives way, and beside any other it is a
// further one about the same.
func (d *Desk) seatAt(tx *store.Tx, was store.Rec[Ticket], t *Ticket) error {
	if t.Site == was.Value.Site {
		return nil
	}
	t.Twin = ""
	if t.Site == "" || t.Incident == "" {
		return nil
	}
	there, err := tickets.First(tx, ticketOfSite(t.Site, t.Incident))
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if !there.Value.silent() {
		t.Twin = there.ID
		return nil
	}
	return d.giveWay(tx, there.ID, was.ID)
}

// giveWay closes a silent ticket in favour of another.
func (d *Desk) giveWay(tx *store.Tx, silent, to string) error {
	t, m, err := tickets.Get(tx, silent)
	if err != nil {
		return err
	}
	was := store.Rec[Ticket]{Meta: m, Value: t}
	t.Twin, t.State = to, Closed
	tx.On(m.ID)
	return d.put(tx, bySystem, was, t)
}

// silent says of a ticket that it was made for a site and that nobody has touched it.
func (t Ticket) silent() bool {
	return t.Route == byIncident && t.ChangedAt.Equal(t.FiledAt) && t.State == Waiting
}

// Stands is how a ticket stands in words for its customer: its state, but that one which we opened for her site is not called answered before anybody has said a word,
// and one that goes on in another is not called closed.
func (t Ticket) Stands() string {
	if t.Into != "" {
		return "joined"
	}
	if t.Route == byIncident && t.State == Waiting && t.AnswerAt.IsZero() {
		return "opened"
	}
	return t.State
}

// take carries out what was decided about one ticket.
func (d *Desk) take(tx *store.Tx, incident string, s seated) error {
	if s.Instead != "" {
		if err := d.giveWay(tx, s.Instead, s.Ticket); err != nil {
			return err
		}
	}
	t, m, err := tickets.Get(tx, s.Ticket)
	if err != nil {
		return err
	}
	was := store.Rec[Ticket]{Meta: m, Value: t}
	in, err := d.Comms.IncidentIn(tx, incident)
	if err != nil {
		return err
	}
	t = d.Policy.enters(t, openOf(in)).raised(in.Value.Severity)
	if t.Flow != was.Value.Flow || t.Priority != was.Value.Priority {
		t = d.Policy.weighed(was.Value, t, tx.Now())
	}
	t.Site, t.Twin = s.Site, ""
	if s.Twin {
		main, err := tickets.First(tx, ticketOfSite(s.Site, incident))
		if err != nil {
			return err
		}
		t.Twin = main.ID
	}
	tx.On(m.ID)
	return d.put(tx, bySystem, was, t)
}

// incidentSite is what the tickets that are made for the sites of one account in one incident have in common.
type incidentSite struct {
	Incident        open
	Account, Locale string
}

func (d *Desk) siteOf(tx *store.Tx, incident, account string) (*incidentSite, error) {
	in, err := d.Comms.IncidentIn(tx, incident)
	if err != nil {
		return nil, err
	}
	locale, err := d.localeOf(tx, account)
	return &incidentSite{Incident: openOf(in), Account: account, Locale: locale}, err
}

// localeOf is the language in which an account is written to: that of who may speak for it, else of anybody of it, else its own.
func (d *Desk) localeOf(tx *store.Tx, account string) (string, error) {
	speaks, anyone := "", ""
	for rec, err := range d.Book.ContactsOf(tx, account) {
		if err != nil {
			return "", err
		}
		anyone = cmp.Or(anyone, rec.Value.Locale)
		if rec.Value.Approved() && rec.Value.Locale != "" {
			speaks = rec.Value.Locale
			break
		}
	}
	own := ""
	if rec, err := d.Book.Account(tx, account); err == nil {
		own = rec.Value.Locale
	} else if fault.Of(err) != fault.NotFound {
		return "", err
	}
	return d.Comms.Words.Match(cmp.Or(speaks, anyone, own)), nil
}

// makeFor makes the ticket of a site. It waits for the customer: she has been told, and nothing is owed to her here but her site, which has a clock of
// its own. Nobody knows its secret; she comes to it by what she proves.
func (d *Desk) makeFor(tx *store.Tx, of incidentSite, site string) error {
	_, hash := secret.New()
	id := tickets.NewID()
	tx.On(id)
	return tickets.Put(tx, id, d.Policy.enters(Ticket{Number: secret.Number(), Secret: hash, Phrase: secret.Phrase(), StartedBy: bySystem, Locale: of.Locale, Route: byIncident,
		Priority: of.Incident.Severity, State: Waiting, Account: of.Account, Site: site, FiledAt: tx.Now(), ChangedAt: tx.Now()}, of.Incident), 0)
}

// arrangeOpen looks again for whose sites an account's tickets stand, in every open incident that affects it, in the transaction that changed them.
func (d *Desk) arrangeOpen(tx *store.Tx, account string) error {
	open, err := d.Comms.OpenIncidents(tx)
	if err != nil {
		return err
	}
	for _, in := range open {
		if in.Value.Loaded {
			if _, _, err := d.arrange(tx, in.ID, account, mostMade); err != nil {
				return err
			}
		}
	}
	return nil
}

// ViaSite marks an entry of a conversation that says where the site stands. It is read from the ledger, and nobody sees it who has not proved enough.
const ViaSite = "site"

// Stages are what has happened to a ticket's site, as entries of its conversation in its language, oldest first. They are read from the ledger whenever
// the conversation is shown, so that it can never say anything else than the page does.
func (d *Desk) Stages(tx *store.Tx, t Ticket) ([]Message, error) {
	if t.Site == "" || t.Incident == "" {
		return nil, nil
	}
	steps, err := d.Comms.Journey(tx, t.Incident, t.Site)
	if err != nil {
		return nil, err
	}
	return stages(d.Comms.Words.Catalog(t.Locale), d.siteTitle(tx, t.Site), steps), nil
}

// showStages adds to what a visitor sees of her ticket where its site stands, when she has shown enough of who she is.
func (d *Desk) showStages(ctx context.Context, visit Visit, v *View) error {
	if v.Ticket.Site == "" || visit.May(SeeStage) != nil {
		return nil
	}
	return d.DB.View(ctx, func(tx *store.Tx) error {
		where, err := d.Stages(tx, v.Ticket)
		v.Messages = inOrder(append(v.Messages, where...))
		return err
	})
}

func stages(words templates.Catalog, site string, steps []comms.Step) (all []Message) {
	for _, s := range steps {
		key := "ticket.site." + s.State
		if s.NoAnswer {
			key = "ticket.site.no_answer"
		}
		all = append(all, Message{From: "system", Via: ViaSite, Text: words.T(key, site), At: s.At})
	}
	return all
}

func (d *Desk) siteTitle(tx *store.Tx, site string) string {
	rec, err := d.Book.Site(tx, site)
	if err != nil {
		return site
	}
	return SiteTitle(rec)
}

// SiteTitle is what people call a site.
func SiteTitle(s store.Rec[contacts.Site]) string {
	newest := ""
	if n := len(s.Value.ProductIDs); n > 0 {
		newest = s.Value.ProductIDs[n-1]
	}
	return cmp.Or(s.Value.Name, s.Value.URL, newest, s.ID)
}
