package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// backPurpose is what the links are for by which a customer says whether her site works. One names a check and its attempt: a link from before the site
// was rebuilt once more says nothing about it.
const backPurpose = "site back"

func (d *Desk) backLink(rec store.Rec[Check]) string {
	token := d.Signing.sign(backPurpose, rec.ID+"."+strconv.Itoa(rec.Value.Attempt))
	if token == "" {
		return strings.TrimSuffix(d.Comms.Vendor.URL, "/") + "/support"
	}
	return strings.TrimSuffix(d.Comms.Vendor.URL, "/") + "/b/" + token
}

// tellPassed tells who may speak for a site that it is back, in the transaction in which it passed. Where nobody may, somebody here owes them a call.
func (d *Desk) tellPassed(tx *store.Tx, rec store.Rec[Check]) error {
	c := rec.Value
	people, err := d.Book.ContactsOfSite(tx, c.Site, contacts.ApprovedOnly)
	if err != nil {
		return err
	}
	to := d.directs(people)
	if len(to) == 0 {
		_, err := d.Comms.Owe(tx, comms.Task{What: "outreach.site_back", Of: rec.ID, Account: c.Account, Incident: c.Incident,
			Title: "nobody could be told that site " + c.Site + " is back"})
		return err
	}
	data, err := json.Marshal(templates.SiteBack{Site: d.siteTitle(tx, c.Site), URL: d.backLink(rec), Until: tx.Now().Add(d.Policy.Checks.Reopen)})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(to, mostBack) {
		if _, err := d.Comms.Tell(tx, comms.Notice{Lane: comms.LaneDirect, Name: templates.MsgSiteBack, Channels: []string{contacts.Email, contacts.SMS}, To: part, Data: data}); err != nil {
			return err
		}
	}
	return nil
}

// directs are the addresses at which people are told: by text only whom no mail reaches.
func (d *Desk) directs(people []store.Rec[contacts.Contact]) (to []comms.Direct) {
	for _, p := range people {
		for _, channel := range []string{contacts.Email, contacts.SMS} {
			all, _ := contacts.Reach(p.Value, channel)
			for _, a := range all {
				to = append(to, comms.Direct{Channel: channel, Address: a.Value, Name: p.Value.Name, Locale: d.Comms.Words.Match(p.Value.Locale)})
			}
			if len(all) > 0 {
				break
			}
		}
	}
	return to
}

// Back is what the page behind a customer's link shows.
type Back struct {
	Check  string
	Site   string
	State  string // passed, accepted, rejected
	Until  time.Time
	Open   bool // something missing may still be said
	Locale string
}

// BackBy reads the link of a customer; fault.NotFound when it opens nothing any more.
func (d *Desk) BackBy(ctx context.Context, token string) (b Back, err error) {
	subject, ok := d.Signing.read(backPurpose, token)
	at := strings.LastIndexByte(subject, '.')
	if !ok || at < 0 {
		return b, fault.New(fault.NotFound, "this link opens nothing")
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		c, m, err := checks.Get(tx, subject[:at])
		if err != nil {
			return err
		}
		if strconv.Itoa(c.Attempt) != subject[at+1:] {
			return fault.New(fault.NotFound, "this link is from before the site was rebuilt once more")
		}
		b, err = d.backOf(tx, m.ID, c)
		return err
	})
	return b, err
}

func (d *Desk) backOf(tx *store.Tx, id string, c Check) (Back, error) {
	b := Back{Check: id, Site: d.siteTitle(tx, c.Site), State: c.State, Locale: c.Language}
	if c.Answer != "" {
		b.State = c.Answer
	}
	if c.PassedAt != nil {
		b.Until = c.PassedAt.Add(d.Policy.Checks.Reopen)
		b.Open = c.State == CheckPassed && c.Answer != Rejected && tx.Now().Before(b.Until)
	}
	return b, nil
}

// BackOf is the question to the customer of a ticket's site; false when there is nothing to ask.
func (d *Desk) BackOf(ctx context.Context, t Ticket) (b Back, asked bool, err error) {
	if t.Site == "" || t.Incident == "" {
		return b, false, nil
	}
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		c, m, err := checks.Get(tx, checkID(t.Incident, t.Site))
		if fault.Of(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		b, err = d.backOf(tx, m.ID, c)
		asked = b.Open
		return err
	})
	return b, asked, err
}

// AnswerBack takes a customer's word for a site: that it works, which hands it back, or that something is missing, which opens it again for the policy's
// time. by is whose act it is in the audit log: a link's or a ticket's. To say the same twice changes nothing.
func (d *Desk) AnswerBack(ctx context.Context, by, id, answer, words string) error {
	if answer != Accepted && answer != Rejected {
		return fault.BadField("answer", "must be accepted or rejected")
	}
	words = text(words)
	if answer == Rejected && words == "" {
		return fault.BadField("words", "is missing: say what is missing")
	}
	if len(words) > maxMessage {
		return fault.BadField("words", "is longer than 64 KiB")
	}
	_, err := d.withCheck(ctx, store.Act{By: by, Verb: "check.answer"}, id, func(tx *store.Tx, rec store.Rec[Check]) (store.Rec[Check], error) {
		c, now := rec.Value, tx.Now()
		switch {
		case c.Answer == answer:
			return rec, store.ErrNothing
		case c.State != CheckPassed || c.Answer == Rejected:
			return rec, fault.New(fault.Conflict, "this site is being worked on again")
		case answer == Rejected && !now.Before(c.PassedAt.Add(d.Policy.Checks.Reopen)):
			return rec, fault.New(fault.Conflict, "this was to be said until %s; write to support", c.PassedAt.Add(d.Policy.Checks.Reopen).UTC().Format(time.RFC3339))
		}
		in, err := d.Comms.IncidentIn(tx, c.Incident)
		if err != nil {
			return rec, err
		}
		over := in.Value.State == comms.Closed
		c.Answer, c.AnswerAt = answer, &now
		if answer == Accepted {
			if rec, err = d.putCheck(tx, rec, c); err != nil || over {
				return rec, err
			}
			return rec, d.Comms.MoveSite(tx, comms.Mover{By: by, Finish: true}, c.Incident, c.Site, comms.MoveLine{State: comms.HandedBack, Reason: "the customer says that it works"})
		}
		if err := d.hearMissing(tx, rec, in, words); err != nil {
			return rec, err
		}
		if over { // the ledger of a closed incident stays as it was; the ticket and the task are how she is helped
			return d.putCheck(tx, rec, c)
		}
		return d.fail(tx, by, rec, c, "customer", "the customer says that something is missing")
	})
	return err
}

// hearMissing puts what is missing where people see it: into the site's ticket, and as something owed by the lead of the batch.
func (d *Desk) hearMissing(tx *store.Tx, rec store.Rec[Check], in store.Rec[comms.Incident], words string) error {
	c := rec.Value
	ticket, err := tickets.First(tx, ticketOfSite(c.Site, c.Incident))
	if fault.Of(err) == fault.NotFound {
		if err := d.makeFor(tx, incidentSite{Incident: openOf(in), Account: c.Account, Locale: c.Language}, c.Site); err != nil {
			return err
		}
		ticket, err = tickets.First(tx, ticketOfSite(c.Site, c.Incident))
	}
	if err != nil {
		return err
	}
	if _, err := d.say(tx, "public:site", ticket.ID, Message{From: "customer", Via: ViaBack, Text: words}); err != nil {
		return err
	}
	owner := ""
	if b, err := d.Comms.BatchIn(tx, c.Incident, c.Batch); err == nil {
		owner = b.Value.Lead
	} else if fault.Of(err) != fault.NotFound {
		return err
	}
	_, err = d.Comms.Owe(tx, comms.Task{What: taskRejected, Of: rec.ID, Account: c.Account, Incident: c.Incident, Owner: owner,
		Title: fmt.Sprintf("the customer of site %s says that something is missing: ticket %s", c.Site, ticket.Value.Number)})
	return err
}

// ViaBack marks what a customer wrote when she said that something is missing.
const ViaBack = "back"

// mostBack is how many addresses one notice about a site names.
const mostBack = 500
