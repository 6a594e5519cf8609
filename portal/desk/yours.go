package desk

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Yours is what a contact sees of her own sites by the link in a mail of an incident. The link alone shows how they stand: whoever it is forwarded to sees no person, no
// address and no figure. With a code that went to the same address it shows restore points and lost data as well.
type Yours struct {
	Address string // that the link was mailed to
	Locale  string // of the contact
	AsOf    time.Time
	Sites   []YourSite // those that need her most in front
	More    int        // further ones that are not listed
	Words   []comms.Fate
	Fine    bool          // with restore points
	Visit   string        // of whoever gave a code, carried on
	ToRead  *comms.ToRead // the newest update that went to her; nil: none did

	contact, account, incident string
}

// YourSite is one of them.
type YourSite struct {
	Name  string
	State string // Impaired, Unsure, Restored, Unharmed
	Stage string // how far its restore is; of one that is not in any affected set: ""
	comms.SiteFate
}

// How a site stands. Several incidents may speak of it: the first that applies, in this order, is what she reads.
const (
	Impaired = "impaired"
	Unsure   = "unknown"
	Restored = "restored"
	Unharmed = "fine"
)

var yourStates = []string{Impaired, Unsure, Restored, Unharmed}

// mostYours bounds the sites that the page lists.
const mostYours = 200

func errNotYours() error { return fault.New(fault.NotFound, "this link shows nothing any more") }

// Yours reads the page of a link; visit is that of whoever gave a code for it, or "". It is fault.NotFound when the link is not ours, when its contact is gone, has the address no
// more, or no role for any site, and when its incident is long over: which of these it is nobody is told.
func (d *Desk) Yours(ctx context.Context, token, visit string) (y Yours, err error) {
	if len(token) > maxToken {
		return y, errNotYours()
	}
	fine := false
	var own Own
	if visit != "" {
		if own, err = d.Own(ctx, visit); err != nil && fault.Of(err) != fault.NotFound {
			return y, err
		}
		fine = err == nil && own.May(SeePoints) == nil
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		y = Yours{AsOf: tx.Now()}
		who, incident, err := d.whose(tx, token, &y)
		if err != nil {
			return err
		}
		if y.Fine = fine && own.Contact.ID == who.ID; y.Fine {
			y.Visit = own.Token
		}
		if y.Words, err = d.Comms.Fates(tx, incident, y.account); err != nil {
			return err
		}
		y.incident = incident
		if y.ToRead, err = d.Comms.ToRead(tx, incident, who.ID, ""); err != nil {
			return err
		}
		for site, err := range d.Book.SitesOf(tx, y.account) {
			if err != nil {
				return err
			}
			if who.Value.Concerned(site.ID) {
				s := fateOf(y.Words, site.ID)
				s.Name = SiteTitle(site)
				if !y.Fine {
					s.Losses, s.Group = nil, 0
				}
				y.Sites = append(y.Sites, s)
			}
		}
		if len(y.Sites) == 0 {
			return errNotYours()
		}
		slices.SortStableFunc(y.Sites, func(a, b YourSite) int {
			return cmp.Or(slices.Index(yourStates, a.State)-slices.Index(yourStates, b.State), strings.Compare(a.Name, b.Name))
		})
		if y.More = max(0, len(y.Sites)-mostYours); y.More > 0 {
			y.Sites = y.Sites[:mostYours]
		}
		return nil
	})
	return y, err
}

// HasRead keeps that the contact of a link says she has read an update, which she saw on the link's page.
func (d *Desk) HasRead(ctx context.Context, token, update string) error {
	y, err := d.Yours(ctx, token, "")
	if err != nil {
		return err
	}
	return d.Comms.Acknowledge(ctx, y.incident, y.contact, update)
}

// whose finds the contact of a link, and the address of hers that it was mailed to.
func (d *Desk) whose(tx *store.Tx, token string, y *Yours) (who store.Rec[contacts.Contact], incident string, err error) {
	named, incident := comms.ReadSites(token[:max(0, strings.LastIndexByte(token, '.'))])
	who, err = d.Book.Contact(tx, named)
	switch fault.Of(err) {
	case "":
	case fault.NotFound, fault.Invalid:
		return who, "", errNotYours()
	default:
		return who, "", err
	}
	for _, a := range who.Value.Emails {
		if _, ok := d.Signing.read(comms.SitesPurpose(a.Value), token); ok && who.ID == named {
			y.contact, y.account, y.Address, y.Locale = who.ID, who.Value.Account, a.Value, who.Value.Locale
			return who, incident, nil
		}
	}
	return who, "", errNotYours()
}

// fateOf says how a site stands after what each incident did to it.
func fateOf(all []comms.Fate, site string) YourSite {
	out := YourSite{State: Unharmed}
	for _, f := range all {
		s := YourSite{State: Unharmed}
		fate, there := f.Sites[site]
		switch {
		case there:
			s = YourSite{State: Impaired, Stage: stageOf(fate.State), SiteFate: fate}
			if s.Stage == StageBack {
				s.State = Restored
			}
		case f.Open && !f.Whole:
			s.State = Unsure
		}
		if slices.Index(yourStates, s.State) < slices.Index(yourStates, out.State) {
			out = s
		}
	}
	return out
}
