package contacts

import (
	"slices"

	"lifeline/store"
	"lifeline/store/fault"
)

// Grant is a role that a contact has, had, or may get, and on whose word. There is one for each role and place; places with the same story
// share an entry.
type Grant struct {
	Role  string    `json:"role"`
	Sites []string  `json:"sites,omitempty"` // our ids; none: for the account as a whole
	State RoleState `json:"state"`
	Origin
}

// RoleState is how sure a role is.
type RoleState string

// The states of a role. Stated and confirmed ones count.
const (
	RoleProposed  RoleState = "proposed"  // somebody too weak to say so alone said so
	RoleStated    RoleState = "stated"    // a source that the policy believes said so
	RoleConfirmed RoleState = "confirmed" // a person did
	RoleRevoked   RoleState = "revoked"   // a person took it away; no weaker and no staler word brings it back
)

func (s RoleState) counts() bool { return s == RoleStated || s == RoleConfirmed }

// speaks says whether a role lets somebody speak for the customer. The others only say whom to tell.
func speaks(role string) bool { return role == Owner || role == SiteAdmin || role == Executive }

// AllGrants is every role, in the order in which they came. Roles from before grants were kept count as stated, wherever she was named.
func (c Contact) AllGrants() []Grant {
	if len(c.Grants) > 0 || len(c.Roles) == 0 {
		return c.Grants
	}
	var all []Grant
	for _, role := range c.Roles {
		g := Grant{Role: role, State: RoleStated, Origin: c.OriginOf(colRole.String(), role)}
		if !c.AccountWide {
			g.Sites = c.Sites
		}
		all = append(all, g)
	}
	return all
}

// Approved says whether the contact may speak for the customer anywhere: as owner, site admin or executive, stated by a source that the
// policy believes or confirmed by a person.
func (c Contact) Approved() bool {
	return slices.ContainsFunc(c.AllGrants(), func(g Grant) bool { return speaks(g.Role) && g.State.counts() })
}

// ApprovedFor says whether she may speak for one site (our id) of her account.
func (c Contact) ApprovedFor(site string) bool {
	account, sites := c.speaksFor()
	return account || slices.Contains(sites, site)
}

// Concerned says whether she may know where a site (our id) of her account stands: by a role that counts there or for the account. What somebody too
// weak to say so proposed gives her no such right.
func (c Contact) Concerned(site string) bool {
	return slices.ContainsFunc(c.AllGrants(), func(g Grant) bool {
		return g.State.counts() && (len(g.Sites) == 0 || slices.Contains(g.Sites, site))
	})
}

// speaksFor is what she may speak for: the whole account, or some sites.
func (c Contact) speaksFor() (account bool, sites []string) {
	for _, g := range c.AllGrants() {
		switch {
		case !speaks(g.Role) || !g.State.counts():
		case len(g.Sites) == 0:
			account = true
		default:
			for _, s := range g.Sites {
				if !slices.Contains(sites, s) {
					sites = append(sites, s)
				}
			}
		}
	}
	return account, sites
}

// at finds the grant of a role for a site; "" is the account as a whole.
func (c Contact) grantAt(role, site string) (Grant, bool) {
	for _, g := range c.Grants {
		if g.Role == role && (site == "" && len(g.Sites) == 0 || site != "" && slices.Contains(g.Sites, site)) {
			return g, true
		}
	}
	return Grant{}, false
}

// setGrant makes a role stand for a site, or the account, as said.
func (c *Contact) setGrant(role, site string, state RoleState, origin Origin) {
	c.Grants = slices.Clone(c.AllGrants())
	if i := slices.IndexFunc(c.Grants, func(g Grant) bool {
		return g.Role == role && (site == "" && len(g.Sites) == 0 || site != "" && slices.Contains(g.Sites, site))
	}); i >= 0 {
		rest := slices.DeleteFunc(slices.Clone(c.Grants[i].Sites), func(s string) bool { return s == site })
		if len(rest) == 0 {
			c.Grants = slices.Delete(c.Grants, i, i+1)
		} else {
			c.Grants[i].Sites = rest
		}
	}
	c.addGrant(role, site, state, origin)
	c.nameRoles()
}

func (c *Contact) addGrant(role, site string, state RoleState, origin Origin) {
	if site == "" {
		c.Grants = append(c.Grants, Grant{Role: role, State: state, Origin: origin})
		return
	}
	i := slices.IndexFunc(c.Grants, func(g Grant) bool {
		return g.Role == role && len(g.Sites) > 0 && g.State == state && g.Origin.equal(origin)
	})
	if i < 0 {
		c.Grants = append(c.Grants, Grant{Role: role, Sites: []string{site}, State: state, Origin: origin})
		return
	}
	c.Grants[i].Sites = append(slices.Clone(c.Grants[i].Sites), site)
}

func (o Origin) equal(p Origin) bool {
	return o.Source == p.Source && o.How == p.How && o.By == p.By && o.Why == p.Why && o.Seen.Equal(p.Seen) && o.ConfirmedAt.Equal(p.ConfirmedAt)
}

// nameRoles makes Roles the names of what counts.
func (c *Contact) nameRoles() {
	counts := func(role string) bool {
		return slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Role == role && g.State.counts() })
	}
	c.Roles = slices.DeleteFunc(slices.Clone(c.Roles), func(r string) bool { return !counts(r) })
	for _, g := range c.Grants {
		if g.State.counts() && !slices.Contains(c.Roles, g.Role) {
			c.Roles = append(c.Roles, g.Role)
		}
	}
}

// offer merges a role that a row names for a site, or for the account.
func (c *Contact) offer(t *tally, role, site string, s statement) {
	state := RoleStated
	if speaks(role) && !s.mayState {
		state = RoleProposed
	}
	if len(c.Grants) == 0 {
		c.Grants = slices.Clone(c.AllGrants())
	}
	g, there := c.grantAt(role, site)
	origin := s.origin()
	switch {
	case !there:
	case g.State == RoleRevoked:
		if weigh(Origin{Source: g.Source, ConfirmedAt: g.Seen}, s) != take {
			return
		}
	case g.State == RoleProposed && state == RoleStated:
	case g.State == RoleStated && state == RoleStated && s.confirmed.After(g.ConfirmedAt) && s.rank(s.source) <= s.rank(g.Source):
		origin.Seen, origin.How = g.Seen, g.How // it stands the firmer, and was said before
		if s.source != g.Source {
			origin = s.origin()
		}
	default:
		return
	}
	c.setGrant(role, site, state, origin)
	t.changed = true
}

// RoleChange is what a person does to a role of a contact.
type RoleChange struct {
	Contact string    `json:"contact_id"` // our id
	Role    string    `json:"role"`
	Site    string    `json:"site_id"` // any id; "": the account as a whole
	State   RoleState `json:"state"`   // proposed, confirmed or revoked
	Why     string    `json:"-"`
	By      string    `json:"-"` // who does it
	How     How       `json:"-"` // staff, customer or outreach
}

// check reads the change against the store: the contact, and the site by our id.
func (b *Book) checkRole(tx *store.Tx, r RoleChange) (rec store.Rec[Contact], site string, err error) {
	if r.Role, err = oneOf(r.Role, roles); err != nil {
		return rec, "", fault.BadField("role", "%s", err)
	}
	if r.State != RoleProposed && r.State != RoleConfirmed && r.State != RoleRevoked {
		return rec, "", fault.BadField("state", "%.40q must be proposed, confirmed or revoked", r.State)
	}
	if rec, err = b.Contact(tx, r.Contact); err != nil || r.Site == "" {
		return rec, "", err
	}
	at, err := b.Site(tx, r.Site)
	if err != nil {
		return rec, "", err
	}
	if at.Value.Account != rec.Value.Account {
		return rec, "", fault.BadField("site_id", "is a site of another account than the contact")
	}
	return rec, at.ID, nil
}

// SetRole does what a person decided about a role, in a transaction of the caller's. Who proposed a role cannot confirm it. A role that is
// taken from the account as a whole stays where a site has it of its own, and the other way round.
func (b *Book) SetRole(tx *store.Tx, r RoleChange) error {
	rec, site, err := b.checkRole(tx, r)
	if err != nil {
		return err
	}
	if r.Why == "" {
		return fault.BadField("reason", "is missing: whoever looks for it later has to know why")
	}
	c := rec.Value.clone()
	if len(c.Grants) == 0 {
		c.Grants = slices.Clone(c.AllGrants())
	}
	g, there := c.grantAt(r.Role, site)
	switch {
	case !there && r.State == RoleRevoked:
		return fault.New(fault.Conflict, "she does not have this role there")
	case there && g.State == r.State, there && g.State.counts() && r.State == RoleProposed:
		return fault.New(fault.Conflict, "this role is %s already", g.State)
	case there && g.State == RoleProposed && r.State == RoleConfirmed && g.By == r.By:
		return fault.New(fault.Forbidden, "who proposed a role cannot confirm it; a second person must")
	}
	source := string(r.How)
	c.setGrant(r.Role, site, r.State, Origin{Source: source, ConfirmedAt: tx.Now(), Seen: tx.Now(), How: r.How, By: r.By, Why: r.Why})
	if site != "" && r.State != RoleRevoked && !slices.Contains(c.Sites, site) {
		c.Sites = append(c.Sites, site)
	}
	if site == "" && r.State == RoleConfirmed {
		c.AccountWide = true
	}
	tx.On(rec.ID)
	return people.Put(tx, rec.ID, c, rec.Version)
}
