package portal

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
	"lifeline/templates"
)

// The desk's pages about customers and their contacts. What somebody may not do is not offered to her; that it is refused is seen to by the
// routes, and for verbs of changes by the verb's own right.

func (p *Portal) bookPages() []route {
	one := "/desk/accounts/:id"
	all := []route{
		{method: "GET", path: one, page: true, right: auth.AccountRead, do: func(k *call) error { return k.bookAccount(200, nil) }},
		{method: "POST", path: one + "/delete", page: true, right: auth.RecordDelete, do: func(k *call) error {
			err := k.removeOne("account", k.Params("id"), k.FormValue("reason"))
			return k.backToAccount(k.Params("id"), err)
		}},
		{method: "POST", path: one + "/restore", page: true, right: auth.RecordDelete, do: func(k *call) error {
			id, err := p.Book.AccountID(k.UserContext(), k.Params("id"))
			if err == nil {
				_, err = p.Changes.Restore(k.UserContext(), k.person.ID, id, k.FormValue("reason"))
			}
			return k.backToAccount(k.Params("id"), err)
		}},
		{method: "POST", path: one + "/contacts", page: true, right: auth.RecordDelete, do: func(k *call) error {
			err := k.removeOne("contact", k.FormValue("contact"), k.FormValue("reason"))
			return k.backToAccount(k.Params("id"), err)
		}},
		{method: "POST", path: one + "/unmask", page: true, right: auth.ContactUnmask, seenTo: []auth.Grant{auth.WithAudit}, do: (*call).unmaskOnAccount},
		{method: "POST", path: one + "/roles", page: true, right: auth.ContactChange, do: (*call).proposeRole},
		{method: "POST", path: one + "/merge", page: true, right: auth.RecordMerge, do: (*call).proposeMerge},
	}
	return slices.Concat(all, p.importPages(), p.conflictPages(), p.changePages(), p.coveragePages(), p.stalePages())
}

// May says whether the person who looks has a right, so that a page offers only what will not be refused.
func (s shell) May(right string) bool { return s.Person.Can(auth.Right(right)) == nil }

// customerDesk is everything about a customer on one page.
type customerDesk struct {
	shell
	ID        string
	Deleted   string // when the account is deleted: what there is to say about it
	Account   contacts.Account
	Tier      int
	Recovery  recovery
	Weak      []string // on how few threads it hangs that she can be recovered, the worst first
	Sites     []siteDesk
	People    []personDesk // who may speak for the customer
	Others    []personDesk // whom to tell only
	AllSites  int
	AllPeople int
	MoreSites string // the address of the next page; "": none
	MorePeople,
	LessSites, LessPeople string
	Cut       bool // the account has more than one page can ever show
	Conflicts []conflictDesk
	More      bool // further conflicts
	Tickets   []store.Rec[desk.Ticket]
	Tasks     []store.Rec[comms.Task]
	Said      []comms.Word
	Work      desk.Work // what is and was done beside: escalations, and calls with what was said in them
	Changes   []store.Rec[contacts.Change]
	CanMerge  bool
	Shown     string // the contact whose addresses stand in full
}

// siteDesk is a site with where it stands in the incidents that are open.
type siteDesk struct {
	ID string
	contacts.Site
	Places []comms.Place
	Why    string // nobody who may speak for it can be reached: the reason; "": somebody can
	Stale  bool   // somebody can, and nobody of them was confirmed lately
}

// Old are the ids that the site had before the one in use.
func (s siteDesk) Old() []string { return s.ProductIDs[:max(0, len(s.ProductIDs)-1)] }

// personDesk is a contact with all that is known of how to reach her.
type personDesk struct {
	ID string
	contacts.Contact
	Grants    []grantDesk
	Addresses []addressDesk
	Stale     bool
	Shown     bool // her addresses stand in full
}

// Brief are her roles without their places: each once in each state.
func (p personDesk) Brief() (all []grantDesk) {
	for _, g := range p.Grants {
		if !slices.ContainsFunc(all, func(have grantDesk) bool { return have.Role == g.Role && have.State == g.State }) {
			all = append(all, g)
		}
	}
	return all
}

// grantDesk is a role with the names of the sites that it is for.
type grantDesk struct {
	contacts.Grant
	Places []string
	Tone   string
	Can    []contacts.RoleState // what a person may make of it
}

// addressDesk is an address, masked unless somebody asked for it in full.
type addressDesk struct {
	Channel string
	contacts.Address
	Told *comms.Told      // the last message to it
	Last contacts.Arrival // when one last got there
}

const shownAtOnce = 50

func (k *call) bookAccount(status int, refused error) error {
	return k.bookAccountWith("", status, refused)
}

// bookAccountWith is the page with the addresses of one contact in full; "": of nobody.
func (k *call) bookAccountWith(shown string, status int, refused error) error {
	ctx := k.UserContext()
	v := customerDesk{shell: k.shell("desk.customer"), Shown: shown}
	view, err := k.p.Book.AccountView(ctx, k.Params("id"))
	if fault.Of(err) == fault.NotFound {
		return k.deletedAccount(v, err, status, refused)
	}
	if err != nil {
		return err
	}
	v.ID, v.Account, v.Tier = view.Account.ID, view.Account.Value, view.Tier
	v.Title = v.Account.Name
	if v.Title == "" {
		v.Title = v.ID
	}
	known, err := k.customer(v.ID)
	if err != nil {
		return err
	}
	kept, err := k.p.Desk.KeptBy(ctx, v.ID)
	if err != nil {
		return err
	}
	v.Cut = view.MoreSites || view.MoreContacts
	v.fill(view, known, kept, k.p.Book.Policy, v.Now)
	v.page(k)
	if v.May(string(auth.TaskRead)) {
		if v.Work, err = k.workOn(v.ID, ""); err != nil {
			return err
		}
		v.Tasks = v.Work.Tasks
		if !v.May(string(auth.TicketRead)) {
			v.Work.Notes = nil
		}
	}
	if v.May(string(auth.UpdateRead)) {
		v.Said = known.Said
	}
	if v.May(string(auth.TicketRead)) {
		if v.Tickets, _, err = k.p.Desk.Tickets(ctx, desk.Filter{Account: v.ID, Limit: shownAtOnce}); err != nil {
			return err
		}
		if v.Tickets, err = openTo(k, v.Tickets, ofTicket); err != nil {
			return err
		}
	}
	open, next, err := k.p.Book.OpenConflicts(ctx, v.ID, store.Query{Limit: 5})
	if err != nil {
		return err
	}
	v.More = next != ""
	if v.Conflicts, err = k.conflictsDesk(v.shell, open); err != nil {
		return err
	}
	if v.May(string(auth.ChangeRead)) {
		if v.Changes, err = k.changesOf(view); err != nil {
			return err
		}
	}
	_, err = k.p.Changes.Verb(verbMergeAccounts)
	v.CanMerge = err == nil
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "book_account", v)
}

// unmaskOnAccount answers with the page itself: an address in full is never part of a URL.
func (k *call) unmaskOnAccount() error {
	err := k.mayUnmask()
	var rec store.Rec[contacts.Contact]
	if err == nil {
		rec, err = k.p.Book.Unmask(k.UserContext(), k.person.ID, k.FormValue("contact"), k.FormValue("reason"))
	}
	if err != nil {
		return k.bookAccount(problemOf(err).Status, err)
	}
	return k.bookAccountWith(rec.ID, 200, nil)
}

// deletedAccount is the page of an account that can be brought back; of one that never was, or is purged, there is none.
func (k *call) deletedAccount(v customerDesk, gone error, status int, refused error) error {
	id, err := k.p.Book.AccountID(k.UserContext(), k.Params("id"))
	if err != nil || !strings.Contains(gone.Error(), "was deleted on") {
		return gone
	}
	v.ID, v.Title, v.Deleted = id, id, gone.Error()
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "book_account", v)
}

// fill puts sites and contacts beside what the comms room knows of them.
func (v *customerDesk) fill(view contacts.View, known comms.Customer, kept contacts.Kept, policy contacts.Policy, now time.Time) {
	names, places := map[string]string{}, map[string][]comms.Place{}
	for _, s := range view.Sites {
		names[s.ID] = siteTitle(s)
	}
	for _, p := range known.Places {
		places[p.Site] = append(places[p.Site], p)
	}
	v.Recovery = recoveryOf(view, policy, now)
	all := make([]contacts.Contact, len(view.Contacts))
	for i, rec := range view.Contacts {
		all[i] = rec.Value
	}
	standby := policy.StandbyOf(all, now)
	standby.Kept = kept
	v.Weak, _ = standby.Weaknesses()
	for _, s := range view.Sites {
		r := v.Recovery.at[s.ID]
		v.Sites = append(v.Sites, siteDesk{ID: s.ID, Site: s.Value, Places: places[s.ID], Why: r.why, Stale: r.stale})
	}
	told := map[string]*comms.Told{} // the newest first
	for _, w := range known.Said {
		for i, t := range w.Told {
			if key := t.Contact + " " + t.Channel + " " + t.Address; told[key] == nil {
				told[key] = &w.Told[i]
			}
		}
	}
	for _, c := range view.Contacts {
		p := personDesk{ID: c.ID, Contact: c.Value, Stale: policy.Stale(c.Value, now), Shown: c.ID == v.Shown}
		for _, g := range c.Value.AllGrants() {
			p.Grants = append(p.Grants, grantOf(g, names))
		}
		p.Addresses = addressesOf(c, view.Arrivals)
		for i, a := range p.Addresses {
			p.Addresses[i].Told = told[c.ID+" "+a.Channel+" "+a.Value]
			if !p.Shown {
				p.Addresses[i].Value = maskAddress(a.Channel, a.Value)
			}
		}
		if c.Value.Approved() {
			v.People = append(v.People, p)
		} else {
			v.Others = append(v.Others, p)
		}
	}
}

// addressesOf are the addresses of a contact in full, with when a message last got to each.
func addressesOf(c store.Rec[contacts.Contact], last contacts.Arrivals) (all []addressDesk) {
	for channel, some := range orderly(map[string][]contacts.Address{contacts.Email: c.Value.Emails, contacts.SMS: c.Value.Phones}) {
		for _, a := range some {
			all = append(all, addressDesk{Channel: channel, Address: a, Last: last.At(c.ID, channel, a.Value)})
		}
	}
	return all
}

// orderly walks a map in the order of its keys.
func orderly[V any](m map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

func siteTitle(s store.Rec[contacts.Site]) string {
	for _, name := range append([]string{s.Value.Name, s.Value.URL}, s.Value.ProductIDs...) {
		if name != "" {
			return name
		}
	}
	return s.ID
}

var roleTones = map[contacts.RoleState]string{contacts.RoleConfirmed: "tone-good", contacts.RoleProposed: "tone-warn", contacts.RoleRevoked: "tone-bad"}

func grantOf(g contacts.Grant, names map[string]string) grantDesk {
	d := grantDesk{Grant: g, Tone: roleTones[g.State]}
	for _, s := range g.Sites {
		name := names[s]
		if name == "" {
			name = s
		}
		d.Places = append(d.Places, name)
	}
	if g.State != contacts.RoleConfirmed {
		d.Can = append(d.Can, contacts.RoleConfirmed)
	}
	if g.State != contacts.RoleRevoked {
		d.Can = append(d.Can, contacts.RoleRevoked)
	}
	return d
}

// page leaves on the page what is asked for, and makes the addresses of what is before and behind it.
func (v *customerDesk) page(k *call) {
	v.AllSites, v.AllPeople = len(v.Sites), len(v.People)+len(v.Others)
	sites, people := offset(k.Query("sites"), v.AllSites), offset(k.Query("people"), v.AllPeople)
	if at := slices.IndexFunc(slices.Concat(v.People, v.Others), func(p personDesk) bool { return p.Shown }); at >= 0 {
		people = at / shownAtOnce * shownAtOnce
	}
	at := func(sites, people int) string {
		return fmt.Sprintf("/desk/accounts/%s?sites=%d&people=%d", v.ID, sites, people)
	}
	if sites > 0 {
		v.LessSites = at(max(0, sites-shownAtOnce), people) + "#sites"
	}
	if sites+shownAtOnce < v.AllSites {
		v.MoreSites = at(sites+shownAtOnce, people) + "#sites"
	}
	if people > 0 {
		v.LessPeople = at(sites, max(0, people-shownAtOnce)) + "#people"
	}
	if people+shownAtOnce < v.AllPeople {
		v.MorePeople = at(sites, people+shownAtOnce) + "#people"
	}
	v.Sites = v.Sites[sites:min(len(v.Sites), sites+shownAtOnce)]
	speak := len(v.People)
	all := slices.Concat(v.People, v.Others)[people:min(v.AllPeople, people+shownAtOnce)]
	v.People, v.Others = all[:max(0, min(len(all), speak-people))], all[max(0, min(len(all), speak-people)):]
}

// offset reads where a page of a list of n begins.
func offset(s string, n int) int {
	at, err := parseInt(s)
	if err != nil || at < 0 || at >= int64(n) {
		return 0
	}
	return int(at)
}

// recovery is whether somebody who may speak for a customer could be told today, for each of its sites.
type recovery struct {
	Sites, Reached, Fresh int // a customer without sites counts as one
	Reasons               []reasonCount
	at                    map[string]spoken
}

type reasonCount struct {
	Why string
	N   int
}

// spoken is how well somebody who may speak for a site can be reached.
type spoken struct {
	why   string // nobody can: the reason
	stale bool
}

// Tone is good when all is well, and bad when nobody can be told anything.
func (r recovery) Tone() string {
	switch r.Sites {
	case r.Fresh:
		return "tone-good"
	case r.Reached:
		return "tone-warn"
	}
	return "tone-bad"
}

// State is the word for it.
func (r recovery) State() string {
	switch {
	case r.Fresh == r.Sites:
		return "yes"
	case r.Reached == r.Sites:
		return "stale"
	case r.Reached == 0:
		return "no"
	}
	return "part"
}

func recoveryOf(view contacts.View, policy contacts.Policy, now time.Time) recovery {
	r := recovery{at: map[string]spoken{}}
	reasons := map[string]int{}
	places := []string{""}
	if len(view.Sites) > 0 {
		places = nil
	}
	for _, s := range view.Sites {
		places = append(places, s.ID)
	}
	for _, site := range places {
		s := spokenFor(site, view.Contacts, policy, now)
		r.at[site] = s
		r.Sites++
		switch {
		case s.why != "":
			reasons[s.why]++
			continue
		case s.stale:
			reasons["stale"]++
		default:
			r.Fresh++
		}
		r.Reached++
	}
	for why, n := range orderly(reasons) {
		r.Reasons = append(r.Reasons, reasonCount{why, n})
	}
	return r
}

// spokenFor says how well those who may speak for a site ("": for the account anywhere) can be reached, by the rule of an incident's coverage.
func spokenFor(site string, all []store.Rec[contacts.Contact], policy contacts.Policy, now time.Time) spoken {
	var approved []contacts.Standing
	stale := true
	for _, rec := range all {
		s := rec.Value.Standing()
		if !s.ApprovedFor(site) {
			continue
		}
		approved = append(approved, s)
		if s.Not(contacts.Email) == "" || s.Not(contacts.SMS) == "" {
			stale = stale && policy.Stale(rec.Value, now)
		}
	}
	why := comms.WhyUncovered(site, approved)
	return spoken{why: why, stale: why == "" && stale}
}

// changesOf are the changes that have not ended and name the account or what belongs to it.
func (k *call) changesOf(view contacts.View) (all []store.Rec[contacts.Change], err error) {
	ids := []string{view.Account.ID}
	for _, id := range view.Account.Value.ProductIDs {
		ids = append(ids, string(mustJSON(id)))
	}
	for _, s := range view.Sites {
		ids = append(ids, s.ID)
	}
	for _, c := range view.Contacts {
		ids = append(ids, c.ID)
	}
	for _, state := range []contacts.ChangeState{contacts.ChangeProposed, contacts.ChangeApproved, contacts.ChangeRunning, contacts.ChangePaused, contacts.ChangeStopped} {
		page, _, err := k.changes(state, store.Query{Limit: maxList})
		if err != nil {
			return nil, err
		}
		for _, rec := range page {
			if slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(string(rec.Value.Input), id) }) {
				all = append(all, rec)
			}
		}
	}
	return all, nil
}

// backToAccount shows the account after something was done to it, or why it was not.
func (k *call) backToAccount(id string, err error) error {
	if err != nil {
		return k.bookAccount(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/accounts/"+url.PathEscape(id), fiber.StatusSeeOther)
}

// removeOne deletes one record, as the API does: one person may, with a reason, and so many in an hour.
func (k *call) removeOne(kind, id, reason string) error {
	if err := limit.Take(k.UserContext(), k.p.DB, "delete by "+k.person.ID, deletesPerHour, time.Hour); err != nil {
		return err
	}
	rec, err := k.proposeChange(kind+".delete", contacts.Named{IDs: []string{id}}, reason, 0)
	if err == nil {
		_, err = k.p.Changes.Run(k.UserContext(), k.person.ID, rec.ID)
	}
	return err
}

// proposeChange proposes what a form asked for, if its sender has the right that the verb needs.
func (k *call) proposeChange(verb string, input any, reason string, rehearse int) (rec store.Rec[contacts.Change], err error) {
	if err := k.p.may(k, verb); err != nil {
		return rec, err
	}
	body, err := json.Marshal(input)
	if err != nil {
		return rec, err
	}
	return k.p.Changes.Propose(k.UserContext(), k.person.ID, contacts.Proposal{Verb: verb, Input: body, Reason: reason, Rehearse: rehearse})
}

// toChange shows what was proposed, or on the account why it was not.
func (k *call) toChange(rec store.Rec[contacts.Change], err error) error {
	if err != nil {
		return k.bookAccount(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/changes/"+rec.ID, fiber.StatusSeeOther)
}

// proposeRole proposes what becomes of a role, and shows the proposal.
func (k *call) proposeRole() error {
	in := contacts.RoleChange{Contact: k.FormValue("contact"), Role: k.FormValue("role"), Site: k.FormValue("site"), State: contacts.RoleState(k.FormValue("state"))}
	return k.toChange(k.proposeChange(contacts.VerbRole, in, k.FormValue("reason"), 0))
}

// verbMergeAccounts makes one account out of two.
const verbMergeAccounts = "account.merge"

func (k *call) proposeMerge() error {
	other := strings.TrimSpace(k.FormValue("other"))
	if other == "" {
		return k.bookAccount(422, fault.BadField("other", "is missing: name the account that is the same customer"))
	}
	return k.toChange(k.proposeChange(verbMergeAccounts, map[string]any{"merges": []contacts.Pair{{From: other, Into: k.Params("id")}}}, k.FormValue("reason"), 0))
}

// What parts of pages are given: a view has one argument.
type (
	labelled struct {
		Words templates.Catalog
		ID    string
	}
	sided struct {
		Words templates.Catalog
		Side  sideDesk
	}
	personPart struct {
		Words          templates.Catalog
		CSRF, Account  string
		Change, Delete bool
		Unmask         bool
		Person         personDesk
	}
	countPart struct {
		Words templates.Catalog
		All   []kindCount
	}
	kindCount struct {
		What string
		N    int
	}
)

// part is one person of the page.
func (v customerDesk) part(p personDesk) personPart {
	unmask := v.Person.Can(auth.ContactUnmask, auth.WithAudit) == nil
	return personPart{v.Words, v.CSRF, v.ID, v.May(string(auth.ContactChange)), v.May(string(auth.RecordDelete)), unmask && !p.Shown, p}
}

func counted(words templates.Catalog, all map[string]int) countPart {
	part := countPart{Words: words}
	for what, n := range orderly(all) {
		part.All = append(part.All, kindCount{what, n})
	}
	return part
}

// day is a date without its time.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}
