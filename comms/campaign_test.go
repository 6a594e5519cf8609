package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// asking readies a house for campaigns: everything is live, and a link is its subject. The book is the two customers of every house, whom
// nobody has heard of since.
func (h house) asking() {
	h.Asking = Asking{Sign: func(subject string) string { return subject }, Live: func(string) bool { return true }, From: "status@vendor.example", Number: "+12025550100"}
	h.Policy.Confirm.PerHour = 600 // ten a minute, so that a turn asks all of them
	h.clock.Turn(400*24*time.Hour + 2*time.Hour)
}

func (h house) campaign() {
	h.Helper()
	if err := h.beginRounds(context.Background()); err != nil {
		h.Fatal(err)
	}
	if err := h.campaignTurn(context.Background(), func(*store.Tx) error { return nil }); err != nil {
		h.Fatal(err)
	}
}

// asked is what confirmations were sent so far: "email ann@acme.example", "again email ...", in order.
func (h house) asked() (all []string) {
	h.Helper()
	for _, n := range h.notices(templates.MsgConfirm) {
		var c templates.Confirm
		if err := json.Unmarshal(n.Data, &c); err != nil {
			h.Fatal(err)
		}
		line := n.To[0].Channel + " " + n.To[0].Address
		if c.Again {
			line = "again " + line
		}
		if n.Lane != LaneCampaign || !strings.HasPrefix(c.URL, "https://status.vendor.example/c/") || c.Card == "" {
			h.Errorf("%+v %+v", n, c)
		}
		all = append(all, line)
	}
	return all
}

func (h house) wantAsked(what string, want ...string) {
	h.Helper()
	if got := h.asked(); !slices.Equal(got, want) {
		h.Fatalf("%s: %q, not %q", what, got, want)
	}
}

// subjects are the links that were sent, by address.
func (h house) link(address string) (subject string) {
	h.Helper()
	for _, n := range h.notices(templates.MsgConfirm) {
		var c templates.Confirm
		if err := json.Unmarshal(n.Data, &c); err != nil {
			h.Fatal(err)
		}
		if n.To[0].Address == address {
			subject = strings.TrimPrefix(c.URL, "https://status.vendor.example/c/")
		}
	}
	return subject
}

const (
	ann   = "email ann@acme.example"
	annSM = "sms +12025550101"
	bo    = "email bo@acme.example"
	dai   = "email dai@bolt.example"
)

// Whoever does not answer gets a mail, a reminder, a text message, and, when she may speak for the customer, a person.
func TestACampaignAsksStepByStep(t *testing.T) {
	houses(t, func(h house) {
		h.asking()
		h.campaign()
		h.wantAsked("those who may speak come first", ann)
		h.campaign()
		h.wantAsked("then the others", ann, bo, dai)
		h.clock.Turn(2 * time.Hour)
		h.campaign()
		h.campaign()
		h.wantAsked("nobody twice", ann, bo, dai)

		h.clock.Turn(7 * day)
		h.campaign()
		h.wantAsked("the reminder", ann, bo, dai, "again "+ann, "again "+bo, "again "+dai)
		h.clock.Turn(7 * day)
		h.campaign()
		h.wantAsked("the second channel, where there is one", ann, bo, dai, "again "+ann, "again "+bo, "again "+dai, annSM)
		if owed := h.owed(TaskQuery{State: Open}); len(owed) != 0 {
			h.Errorf("too early: %+v", owed)
		}
		h.clock.Turn(4 * day)
		h.campaign()
		if owed := h.owed(TaskQuery{State: Open}); len(owed) != 1 || owed[0].What != OutreachConfirm {
			h.Errorf("the outreach to her who may speak, and to nobody else: %+v", owed)
		}
		h.clock.Turn(60 * day)
		h.campaign()
		if n := len(h.asked()); n != 7 {
			h.Errorf("asked again within the interval: %d", n)
		}
		h.clock.Turn(31 * day)
		h.campaign()
		h.campaign()
		if n := len(h.asked()); n != 10 {
			h.Errorf("a new round asks everybody once more: %d", n)
		}
	})
}

func TestACampaignStandsStillInAnIncidentAndAtNight(t *testing.T) {
	houses(t, func(h house) {
		h.asking()
		in := h.declare()
		h.campaign()
		h.wantAsked("a P0 is open")
		lower := "P2"
		if _, err := h.Amend(context.Background(), "stf_ann", in.ID, 0, Amend{Severity: &lower, Reason: "few are hit"}); err != nil {
			h.Fatal(err)
		}
		h.clock.Turn(9 * time.Hour) // 19:17
		h.campaign()
		h.wantAsked("it is evening")
		h.Asking.Live = func(string) bool { return false }
		h.clock.Turn(14 * time.Hour)
		h.campaign()
		h.wantAsked("nothing is sent")
		h.Asking.Live = func(string) bool { return true }
		h.Policy.Confirm.Off = true
		h.campaign()
		h.wantAsked("it is off")
		h.Policy.Confirm.Off = false
		h.load("account,account_id,name,role,email\nNew,A-7,Gil,owner,gil@new.example\n")
		h.campaign()
		h.clock.Turn(2 * time.Hour)
		h.campaign()
		h.wantAsked("everybody but who came yesterday", bo, dai, ann)
	})
}

// One click confirms the address for everybody who has it; anything else is for staff to look at, and changes nothing.
func TestWhatIsAnsweredToACampaign(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		h.asking()
		h.load("account,account_id,name,role,email,confirmed_at\nBolt,A-2,Ann at Bolt,technical,ANN@acme.example,2022-04-01\n")
		h.clock.Turn(24 * time.Hour)
		h.campaign()
		h.campaign()
		h.wantAsked("one mailbox is asked once, whoever has it", ann, bo, dai)
		asked, err := h.AskedBy(ctx, h.link("ann@acme.example"))
		if err != nil || asked.Answer != "" || len(asked.Accounts) != 2 || strings.Contains(asked.Address, "ann@") {
			h.Fatalf("%+v %v", asked, err)
		}
		for range 2 {
			if err := h.Answer(ctx, h.link("ann@acme.example"), Answered{Answer: AnswerYes}); err != nil {
				h.Fatal(err)
			}
		}
		h.view(func(tx *store.Tx) error {
			have, err := h.Book.ByAddress(tx, contacts.Email, "ann@acme.example")
			if len(have) != 2 {
				h.Errorf("%d have it", len(have))
			}
			for _, who := range have {
				if !who.Value.Emails[0].ConfirmedAt.Equal(h.clock.Now()) || h.Book.Policy.FreshnessOf(who.Value, tx.Now()) != contacts.Fresh {
					h.Errorf("%+v", who.Value)
				}
			}
			return err
		})

		if err := h.Answer(ctx, h.link("bo@acme.example"), Answered{Answer: AnswerWrong}); err != nil {
			h.Fatal(err)
		}
		h.refused(h.Answer(ctx, h.link("dai@bolt.example"), Answered{Answer: AnswerOther}), fault.Invalid, "address is missing")
		h.refused(h.Answer(ctx, h.link("dai@bolt.example"), Answered{Answer: AnswerOther, Address: "who@where@x"}), fault.Invalid, "address")
		h.refused(h.Answer(ctx, h.link("dai@bolt.example"), Answered{Answer: "maybe"}), fault.Invalid, "answer")
		if err := h.Answer(ctx, h.link("dai@bolt.example"), Answered{Answer: AnswerOther, Address: "thief@evil.example"}); err != nil {
			h.Fatal(err)
		}
		what := map[string]string{}
		for _, task := range h.owed(TaskQuery{State: Open}) {
			what[task.What] = string(task.Detail)
		}
		if len(what) != 2 || what["contact.wrong_person"] == "" || !strings.Contains(what["contact.new_address"], "t…@evil.example") || strings.Contains(what["contact.new_address"], "thief") {
			h.Errorf("%v", what)
		}
		h.view(func(tx *store.Tx) error {
			if have, err := h.Book.ByAddress(tx, contacts.Email, "thief@evil.example"); err != nil || len(have) != 0 {
				h.Errorf("a stranger's word became an address: %+v %v", have, err)
			}
			return nil
		})
		var d map[string]string
		if err := json.Unmarshal([]byte(what["contact.new_address"]), &d); err != nil {
			h.Fatal(err)
		}
		if _, err := h.Confirmation(ctx, "stf_ann", d["confirmation_id"], ""); fault.Of(err) != fault.Invalid {
			h.Errorf("shown without a reason: %v", err)
		}
		full, err := h.Confirmation(ctx, "stf_ann", d["confirmation_id"], "called the customer")
		if err != nil || full.Value.Proposal != "thief@evil.example" || !slices.Contains(h.verbs(), "contact.unmask") {
			h.Errorf("%+v %v", full, err)
		}

		h.clock.Turn(8 * day)
		h.campaign()
		h.wantAsked("who answered hears nothing more", ann, bo, dai)
		h.clock.Turn(90 * day)
		_, err = h.AskedBy(ctx, h.link("ann@acme.example"))
		h.refused(err, fault.NotFound)
		h.refused(h.Answer(ctx, "nonsense", Answered{Answer: AnswerYes}), fault.NotFound)
	})
}

// Who was heard of by another way meanwhile gets no reminder.
func TestACampaignHearsOfOtherProofs(t *testing.T) {
	houses(t, func(h house) {
		h.asking()
		h.campaign()
		h.wantAsked("", ann)
		h.clock.Turn(day)
		h.load("account,account_id,name,role,email,confirmed_at\nAcme,A-1,Ann Lee,owner,ann@acme.example," + h.clock.Now().Format(time.RFC3339) + "\n")
		h.clock.Turn(7 * day)
		h.campaign()
		if slices.Contains(h.asked(), "again "+ann) {
			h.Errorf("%q", h.asked())
		}
	})
}

// What is allowed follows the hour and the day, and the day's share grows with the volume that receivers have seen.
func TestACampaignPacesItself(t *testing.T) {
	now := time.Date(2023, 5, 10, 9, 0, 0, 0, time.UTC)
	p := DefaultPolicy().Confirm
	at := func(minute int) time.Time { return now.Add(time.Duration(minute) * time.Minute) }
	for _, c := range []struct {
		name string
		c    campaign
		at   time.Time
		want int
	}{
		{"the first minute", campaign{}, at(0), 4},
		{"half an hour of nothing, and a new domain's day", campaign{}, at(59), 50},
		{"the hour is used up so far", campaign{Hour: now, InHour: 10, Day: "2023-05-10", Today: 10}, at(2), 0},
		{"a new hour", campaign{Hour: now.Add(-time.Hour), InHour: 200, Day: "2023-05-10", Today: 10}, at(0), 4},
		{"the day is used up", campaign{Day: "2023-05-10", Today: 50}, at(59), 0},
		{"the day before counts no more", campaign{Day: "2023-05-09", Today: 50}, at(11), 40},
		{"half as much again", campaign{Day: "2023-05-10", Today: 50, Volume: map[string]int{"2023-05-08": 100}}, at(59), 100},
		{"today's own mail is not yesterday's", campaign{Day: "2023-05-10", Today: 50, Volume: map[string]int{"2023-05-10": 9000}}, at(59), 0},
		{"a broadcast of last month warms nothing", campaign{Volume: map[string]int{"2023-04-10": 9000}}, at(59), 50},
		{"a well known domain", campaign{Volume: map[string]int{"2023-05-09": 9000}}, at(59), 200},
	} {
		if got := c.c.allowance(p, c.at); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
	if Supports(0) != 500 || Supports(4000) != 40_000 {
		t.Error("the rule is ten times the largest day")
	}
}

func TestTheConfirmPolicyIsChecked(t *testing.T) {
	p := DefaultPolicy()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	p.Confirm = Confirm{FromHour: 20, ToHour: 8, Settle: -1}
	err := p.Check()
	for _, field := range []string{"every", "interval", "remind_after", "text_after", "outreach_after", "audit_every", "settle", "per_hour", "from_hour"} {
		if err == nil || !strings.Contains(err.Error(), "comms.confirm."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// The audit says what changed since the last one that somebody kept, and is owed when that is too long ago.
func TestTheAuditOfTheContacts(t *testing.T) {
	houses(t, func(h house) {
		ctx := context.Background()
		a, err := h.KeepReport(ctx, "stf_ann")
		if err != nil || a.Contacts != 3 || a.Approved != 1 || a.Freshness[contacts.Fresh] != 3 || a.Last != nil {
			h.Fatalf("%+v %v", a, err)
		}
		h.asking()
		h.Policy.Confirm.Off = true
		h.optOut("bo@acme.example")
		h.campaign()
		owed := h.owed(TaskQuery{State: Open})
		if len(owed) != 1 || owed[0].What != AuditTask || len(h.due(AuditTask)) != 1 {
			h.Fatalf("%+v", owed)
		}
		a, err = h.ContactsReport(ctx)
		if err != nil || a.Last == nil || a.Last.By != "stf_ann" {
			h.Fatalf("%+v %v", a, err)
		}
		if got, want := fmt.Sprint(a.Since), fmt.Sprint(map[string]int{"fresh": -3, "stale": 2, "unreachable": 1, "approved_fresh": -1, "approved_stale": 1, "opted_out": 1}); got != want {
			h.Errorf("%s, not %s", got, want)
		}
		if _, err := h.KeepReport(ctx, "stf_bo"); err != nil {
			h.Fatal(err)
		}
		h.campaign()
		if owed := h.owed(TaskQuery{State: Open}); len(owed) != 0 {
			h.Errorf("%+v", owed)
		}
	})
}
