package portal

import (
	"context"
	"strings"
	"testing"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// Whoever looks at a customer sees of each address when a message last got there, and whether that is known or only that a relay took it.
func TestStaffSeeWhenAMessageLastGotToAnAddress(t *testing.T) {
	h := open(t)
	h.loadContacts()
	arrived := func(channel, address string, accepted bool) {
		t.Helper()
		err := h.DB.Update(context.Background(), store.Act{}, func(tx *store.Tx) error {
			return h.Book.Arrived(tx, "", channel, address, contacts.Arrival{At: outbreak, Accepted: accepted})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var before, after accountView
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200).into(&before)
	arrived(contacts.Email, "Ann@acme.example", true)
	arrived(contacts.SMS, "+12025550101", false)
	arrived(contacts.Email, "nobody@acme.example", true)
	h.get(auth.Support, "/api/v1/accounts/A-1").want(200).into(&after)
	at := outbreak
	var ofSite struct{ Items []contactAnswer }
	h.get(auth.Support, "/api/v1/sites/S-1/contacts").want(200).into(&ofSite)
	for _, all := range [][]contactAnswer{after.Contacts, ofSite.Items} {
		i := 0
		for ; i < len(all) && all[i].Name != "Ann Lee"; i++ {
		}
		if i == len(all) {
			t.Fatalf("%+v", all)
		}
		mail, phone := all[i].Emails[0], all[i].Phones[0]
		if mail.LastDelivered == nil || !mail.LastDelivered.Equal(at) || mail.LastState != "accepted" || phone.LastDelivered == nil || phone.LastState != "delivered" {
			t.Errorf("%+v %+v", mail, phone)
		}
	}
	for i := range after.Contacts { // nothing else moved, versions among it
		if c := &after.Contacts[i]; c.Name == "Ann Lee" {
			c.Emails[0].LastDelivered, c.Emails[0].LastState, c.Phones[0].LastDelivered, c.Phones[0].LastState = nil, "", nil, ""
		}
	}
	same(t, "the customer", after, before)

	cookie, _ := h.signIn(auth.Support)
	page := h.do(ask{method: "GET", path: "/desk/accounts/A-1", header: map[string]string{"Cookie": cookie.String()}}).want(200).says("last delivered ", "last mail accepted ")
	if n := strings.Count(string(page.body), "last mail accepted "); n != 1 {
		t.Errorf("%d addresses are said to have got a mail", n)
	}
}
