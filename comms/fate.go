package comms

import (
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Fate is what an incident did to one customer's sites, as far as customers were told of the incident.
type Fate struct {
	Short string // of the incident: its id on public pages
	Open  bool
	Whole bool             // customers were told that all affected sites are known: whoever is not among them is not affected
	Next  templates.Moment // when the next word is due, as the newest update for everybody promises
	Sites map[string]SiteFate
}

// SiteFate is what it did to one site.
type SiteFate struct {
	State  string        // as it counts
	Losses []Loss        // by data store; none: no restore point is known
	Group  time.Duration // the most that its group of sites may have lost; 0: it is in none, or no bound is known
}

// Loss is what one data store of a site lost, with how sure that is.
type Loss struct {
	SiteLoss
	Confidence string // low, medium, high
}

// Took is how much of its last work it lost.
func (l Loss) Took() time.Duration { return time.Duration(l.Seconds * float64(time.Second)) }

// fateFor is how long behind the end of an incident a link from its messages still shows something.
const fateFor = 30 * 24 * time.Hour

// Fates reads what happens to an account's sites (our id): in the incident of a link, and in every other that is open and was told of. The newest is in front. When the
// link's incident is over for longer than a link holds, or was a drill, the error is fault.NotFound.
func (r *Room) Fates(tx *store.Tx, incident, account string) (all []Fate, err error) {
	over := fault.New(fault.NotFound, "this link shows nothing any more")
	linked, err := findIncident(tx, incident)
	if fault.Of(err) == fault.NotFound || err == nil && linked.Value.overFor(tx.Now()) > fateFor {
		return nil, over
	}
	if err != nil {
		return nil, err
	}
	open, err := r.OpenIncidents(tx)
	if err != nil {
		return nil, err
	}
	if linked.Value.State != Open {
		open = append(open, linked)
	}
	for _, in := range open {
		if in.Value.Drill {
			continue
		}
		said, err := standing(tx, in.ID, AudiencePublic)
		if err != nil {
			return nil, err
		}
		if said == nil && in.ID != linked.ID { // nobody may learn of it here first
			continue
		}
		f, err := r.fateIn(tx, in, account)
		if err != nil {
			return nil, err
		}
		if said != nil {
			f.Whole, f.Next = f.Whole && said.Statement.Affected.Status == "final", said.Statement.NextUpdateBy
		} else {
			f.Whole = false
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, over
	}
	return all, nil
}

// overFor is how long it is since an incident was resolved; 0: it is not.
func (in Incident) overFor(now time.Time) time.Duration {
	if in.State == Open || in.ResolvedAt == nil {
		return 0
	}
	return now.Sub(*in.ResolvedAt)
}

func (r *Room) fateIn(tx *store.Tx, in store.Rec[Incident], account string) (Fate, error) {
	f := Fate{Short: in.Value.Short, Open: in.Value.State == Open, Whole: in.Value.Loaded, Sites: map[string]SiteFate{}}
	for rec, err := range rows.Scan(tx, store.Query{Index: "account", Equal: []any{in.ID, account}}) {
		if err != nil {
			return f, err
		}
		w := rec.Value
		var s SiteFate
		s.State, _ = w.standing(tx.Now(), r.Policy.NoAnswer)
		lost, known := r.lostAt(tx, w, in.Value)
		for _, one := range w.losses(lost) {
			s.Losses = append(s.Losses, Loss{one, sureOf(s.State, known)})
		}
		if i, grouped := in.Value.cohort(w.Cohort); grouped && in.Value.Cohorts[i].AtMost != nil {
			s.Group = time.Duration(*in.Value.Cohorts[i].AtMost)
		}
		f.Sites[w.Site] = s
	}
	return f, nil
}

// sureOf is how sure the loss of a site is: low while the moment of the loss is taken from the incident as a whole, medium when the site's own is known, and high when the
// site was also checked after its restore.
func sureOf(state string, known bool) string {
	switch {
	case !known:
		return "low"
	case state == Passed || state == HandedBack:
		return "high"
	}
	return "medium"
}

// SitesPurpose is what a link is signed for by which a contact sees where her sites stand. It holds the address that the link was mailed to, which the link itself does not
// show: it opens nothing once the contact has that address no more.
func SitesPurpose(address string) string { return "your sites " + strings.ToLower(address) }

// ReadSites takes apart what such a link names: the contact and the incident of the message.
func ReadSites(subject string) (contact, incident string) {
	contact, incident, _ = strings.Cut(subject, ".")
	return "con_" + contact, "inc_" + incident
}

// toContact adds to a contact's mail of an incident the link by which she sees where her own sites stand. It is the last thing in it, apart from every passage that is
// meant to be passed on.
func (r *Room) toContact(m Message, k deliveryKey, channel string, w wording) Message {
	if r.SignSites == nil || channel != ChannelEmail || w.incident == "" || w.drill || k.Account == "0" || k.Pass != passApproved && k.Pass != passOthers {
		return m
	}
	link := r.Vendor.URL + "/y/" + r.SignSites(SitesPurpose(m.To), k.Contact+"."+suffix(w.incident))
	m.Ending = Ending{Words: w.yours, Link: link}
	return m
}
