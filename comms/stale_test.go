package comms

import (
	"testing"
	"time"

	"lifeline/contacts"
)

func TestWhatComesNextForAStaleContact(t *testing.T) {
	now := outbreak
	mail, phone := contacts.Address{Value: "ann@acme.example"}, contacts.Address{Value: "+12025550101"}
	bounced := func(a contacts.Address) contacts.Address { a.Bounced = true; return a }
	who := func(emails, phones []contacts.Address) contacts.Contact {
		return contacts.Contact{Emails: emails, Phones: phones}
	}
	some := func(all ...contacts.Address) []contacts.Address { return all }
	muted := phone
	muted.OptedOut = true
	recently := Confirmation{AskedAt: now.Add(-time.Hour), Next: now.Add(time.Hour)}
	given := func(answer string) Confirmation { return Confirmation{AskedAt: now.Add(-time.Hour), Answer: answer} }
	for _, c := range []struct {
		name  string
		who   contacts.Contact
		asked Confirmation
		live  string // the channels that reach people
		want  NextStep
	}{
		{"never asked", who(some(mail), some(phone)), Confirmation{}, "email sms", NextMail},
		{"the mailbox is gone", who(some(bounced(mail)), some(phone)), Confirmation{}, "email sms", NextText},
		{"the mailbox is gone and no text message is sent here", who(some(bounced(mail)), some(phone)), Confirmation{}, "email", NextCall},
		{"nothing is sent here", who(some(mail), some(phone)), Confirmation{}, "", NextCall},
		{"asked an hour ago", who(some(mail), some(phone)), recently, "email sms", NextWait},
		{"asked by everything", who(some(mail), some(phone)), given(""), "email sms", NextCall},
		{"asked by everything there is, which was mail", who(some(mail), nil), given(""), "email sms", NextReplace},
		{"asked long ago", who(some(mail), nil), Confirmation{AskedAt: now.Add(-100 * 24 * time.Hour), Answer: AnswerWrong}, "email", NextMail},
		{"the wrong person", who(some(mail), some(phone)), given(AnswerWrong), "email sms", NextReplace},
		{"named another address", who(some(mail), some(phone)), given(AnswerOther), "email sms", NextCall},
		{"wants no text messages", who(some(bounced(mail)), some(muted)), Confirmation{}, "email sms", NextCall},
		{"nothing works", who(some(bounced(mail)), some(bounced(phone))), Confirmation{}, "email sms", NextReplace},
		{"nothing is known", who(nil, nil), Confirmation{}, "email sms", NextReplace},
	} {
		live := func(channel string) bool {
			return channel == ChannelEmail && c.live != "" || channel == ChannelSMS && c.live == "email sms"
		}
		if got := nextStep(c.who, c.asked, live, 90*24*time.Hour, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
