package comms

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
)

// Asked is a question as the page shows it to whoever has its link, which is whoever reads the mail.
type Asked struct {
	ID       string
	Channel  string
	Address  string // masked
	Accounts []string
	Locale   string
	Answer   string // "": not answered yet
	AtNight  bool   // whoever has the address wants to be told by night too
}

// Answered is what somebody pressed.
type Answered struct {
	Answer  string
	Address string // with AnswerOther: an e-mail address or a number
	AtNight bool   // with AnswerYes: she wants to be told by night too
}

// mostNamed bounds the customers that the page names for one address.
const mostNamedAccounts = 5

var errOldQuestion = fault.New(fault.NotFound, "this link is not valid any more")

// AskedBy reads the question behind a link's subject. It changes nothing, so a scanner that follows the link consumes nothing. A link that is
// older than the policy's interval, or of an earlier round, is fault.NotFound.
func (r *Room) AskedBy(ctx context.Context, subject string) (a Asked, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		rec, err := r.question(tx, subject)
		if err != nil {
			return err
		}
		c := rec.Value
		a = Asked{ID: rec.ID, Channel: c.Channel, Address: contacts.Mask(c.Channel, c.Address), Locale: c.Locale, Answer: c.Answer}
		have, err := r.Book.ByAddress(tx, c.Channel, c.Address)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, who := range have {
			a.AtNight = a.AtNight || who.Value.AtNight
			if seen[who.Value.Account] || len(a.Accounts) == mostNamedAccounts {
				continue
			}
			seen[who.Value.Account] = true
			account, err := r.Book.Account(tx, who.Value.Account)
			if err != nil && fault.Of(err) != fault.NotFound {
				return err
			}
			if account.Value.Name != "" {
				a.Accounts = append(a.Accounts, account.Value.Name)
			}
		}
		return nil
	})
	return a, err
}

func (r *Room) question(tx *store.Tx, subject string) (store.Rec[Confirmation], error) {
	id, round, _ := strings.Cut(subject, ".")
	n, err := strconv.Atoi(round)
	if err != nil {
		return store.Rec[Confirmation]{}, errOldQuestion
	}
	c, m, err := confirmations.Get(tx, confirmations.Prefix+"_"+id)
	switch {
	case fault.Of(err) == fault.NotFound:
		return store.Rec[Confirmation]{}, errOldQuestion
	case err != nil:
		return store.Rec[Confirmation]{}, err
	case c.Round != n || tx.Now().Sub(c.AskedAt) > r.Policy.Confirm.Interval:
		return store.Rec[Confirmation]{}, errOldQuestion
	}
	return store.Rec[Confirmation]{Meta: m, Value: c}, nil
}

// Answer takes what somebody pressed. The first answer to a question stands; pressing again changes nothing. "Yes" confirms the address for
// everybody who has it. "Wrong person" and another address change nothing by themselves: whoever reads the mail may be a stranger by now, so
// they become a task of staff.
func (r *Room) Answer(ctx context.Context, subject string, in Answered) error {
	if f := oneOf(nil, "answer", in.Answer, AnswerYes, AnswerWrong, AnswerOther); len(f) > 0 {
		return fault.BadFields(f...)
	}
	return asItWas(r.DB.Update(ctx, store.Act{By: "public:confirm", Verb: "confirmation.answer"}, func(tx *store.Tx) error {
		rec, err := r.question(tx, subject)
		if err != nil {
			return err
		}
		c := rec.Value
		if c.Answer != "" {
			return errAsItWas
		}
		tx.On(rec.ID, c.Contact)
		c.Answer, c.AnsweredAt, c.Next, c.Step = in.Answer, tx.Now(), time.Time{}, stepOver
		if err := r.settleOutreach(tx, c); err != nil {
			return err
		}
		switch in.Answer {
		case AnswerYes:
			err = r.confirm(tx, c, in.AtNight)
		case AnswerWrong:
			err = r.oweAnswer(tx, rec.ID, c, "contact.wrong_person", "Somebody says that an address is the wrong person's, or that she left")
		case AnswerOther:
			if c.ProposalOn, c.Proposal, err = r.proposal(tx, in.Address); err == nil {
				err = r.oweAnswer(tx, rec.ID, c, "contact.new_address", "Somebody names another address for a contact: call before it is taken over")
			}
		}
		if err != nil {
			return err
		}
		return confirmations.Put(tx, rec.ID, c, rec.Version)
	}))
}

func (r *Room) settleOutreach(tx *store.Tx, c Confirmation) error {
	return r.Settle(tx, OutreachConfirm, c.Contact, "public:confirm", "answered")
}

// confirm notes the proof on everybody who has the address: it is one mailbox or phone, whoever's record it stands in.
func (r *Room) confirm(tx *store.Tx, c Confirmation, atNight bool) error {
	have, err := r.Book.ByAddress(tx, c.Channel, c.Address)
	if err != nil {
		return err
	}
	for _, who := range have {
		if err := r.Book.Confirmed(tx, who.ID, c.Channel, c.Address, tx.Now()); err != nil {
			return err
		}
		if err := r.Book.TellAtNight(tx, who.ID, atNight); err != nil {
			return err
		}
	}
	return nil
}

// proposal reads another address: what has an @ is meant as an e-mail address.
func (r *Room) proposal(tx *store.Tx, s string) (channel, address string, err error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", "", fault.BadFields(missing("address"))
	}
	if f := (prose{most: 254}).bad(nil, "address", s); len(f) > 0 {
		return "", "", fault.BadFields(f...)
	}
	channel = ChannelSMS
	if strings.Contains(s, "@") {
		channel = ChannelEmail
	}
	if _, err := r.Book.ByAddress(tx, channel, s); fault.Of(err) == fault.Invalid {
		return "", "", fault.BadFields(wrong("address", "is neither an e-mail address nor a phone number such as +12025550101"))
	} else if err != nil {
		return "", "", err
	}
	return channel, s, nil
}

// oweAnswer makes an answer that staff must look at their task. It holds ids: the address that was named stands in the confirmation.
func (r *Room) oweAnswer(tx *store.Tx, id string, c Confirmation, what, title string) error {
	detail := map[string]string{"contact_id": c.Contact, "confirmation_id": id, "asked": contacts.Mask(c.Channel, c.Address)}
	if c.Proposal != "" {
		detail["named"] = contacts.Mask(c.ProposalOn, c.Proposal)
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("write the detail of an answer: %w", err)
	}
	_, err = r.Owe(tx, Task{What: what, Of: c.Contact, Account: c.Account, Title: title, Detail: raw})
	return err
}

// Confirmation reads what became of asking an address, in full: whoever shows it sees to who may. The act leaves an audit row.
func (r *Room) Confirmation(ctx context.Context, by, id, reason string) (rec store.Rec[Confirmation], err error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
		return rec, fault.BadFields(f...)
	}
	err = r.DB.Update(ctx, store.Act{By: by, Verb: "contact.unmask", Reason: reason}, func(tx *store.Tx) error {
		c, m, err := confirmations.Get(tx, id)
		if err != nil {
			return err
		}
		tx.On(id, c.Contact)
		rec = store.Rec[Confirmation]{Meta: m, Value: c}
		return nil
	})
	return rec, err
}
