package desk

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Anybody can type a number, and for some numbers whoever owns them earns by every text. So what goes to a number that nobody has proved is bounded by its country
// and sort, by the number, by the numbers beside it and by money; and all of it out of budgets of its own, so that a flood of numbers of strangers never uses up what
// codes to numbers on file may cost.
//
// What a stranger is told about it never depends on whether a number is on file: a number on file is treated as any other, and gets its text nevertheless.

// TextPolicy bounds texts to numbers that nobody has proved. Money is counted in hundredths of whatever the provider bills in.
type TextPolicy struct {
	Countries []string       `yaml:"countries" json:"countries"`                       // ISO 3166 codes of numbers that are texted; AnyCountry: all
	Number    int            `yaml:"number_daily" json:"number_daily"`                 // to one number
	Prefix    int            `yaml:"prefix_daily" json:"prefix_daily"`                 // to all numbers that differ in no more than their last four digits
	Cents     map[string]int `yaml:"cents" json:"cents"`                               // what a message costs, all its parts together, by country; OtherCountry: in all others
	Receipts  int            `yaml:"receipts_daily_cents" json:"receipts_daily_cents"` // for receipts, which anybody can cause
	Codes     int            `yaml:"codes_daily_cents" json:"codes_daily_cents"`       // for codes
	Answers   int            `yaml:"answers_daily_cents" json:"answers_daily_cents"`   // for what staff write
}

// What stands for countries in a TextPolicy.
const (
	AnyCountry   = "any"
	OtherCountry = "other"
)

func defaultTexts() TextPolicy {
	return TextPolicy{
		Countries: []string{"AT", "AU", "BE", "BR", "CA", "CH", "CN", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HK", "HU", "IE", "IL", "IN", "IT", "JP", "KR", "LT", "LU",
			"LV", "MX", "NL", "NO", "NZ", "PL", "PT", "RO", "SE", "SG", "SI", "SK", "TW", "US", "ZA"},
		Number: 6, Prefix: 60,
		Cents:    map[string]int{"US": 2, "CA": 2, OtherCountry: 12},
		Receipts: 6000, Codes: 6000, Answers: 20_000,
	}
}

func (p TextPolicy) check(bad func(field, reason string)) {
	for field, n := range map[string]int{"number_daily": p.Number, "prefix_daily": p.Prefix, "receipts_daily_cents": p.Receipts, "codes_daily_cents": p.Codes, "answers_daily_cents": p.Answers} {
		if n < 1 {
			bad("texts."+field, "must be at least 1")
		}
	}
	for _, country := range p.Countries {
		if country != AnyCountry && !contacts.Country(country) {
			bad("texts.countries", "names "+country+", which is no country code (ISO 3166), nor "+AnyCountry)
		}
	}
	for country, cents := range p.Cents {
		if country != OtherCountry && !contacts.Country(country) {
			bad("texts.cents", "names "+country+", which is no country code (ISO 3166), nor "+OtherCountry)
		}
		if cents < 0 {
			bad("texts.cents", "must not be below 0")
		}
	}
	if _, ok := p.Cents[OtherCountry]; !ok {
		bad("texts.cents", "must say what a message costs in all "+OtherCountry+" countries")
	}
}

// Why a number is not texted: the words of it are text.not.NAME.
const (
	NotCountry = "country" // it is of a country to which we do not write unasked
	NotSort    = "sort"    // its owner would earn by it, or nobody could read it
	NotNumber  = "number"  // it had enough of them today
	NotPrefix  = "prefix"  // the numbers beside it had
	NotMoney   = "money"   // the day's money is spent
	NotWanted  = "stopped" // she answered STOP
)

// Why a mail that a stranger causes does not go out.
const (
	NotDomain = "domain" // so many went to the domain
	NotAll    = "all"    // so many went out in all
)

// never says by a number alone why it is not texted; "": it may be.
func (p TextPolicy) never(number string) string {
	country, fit := contacts.Texting(number)
	switch {
	case !fit:
		return NotSort
	case !slices.Contains(p.Countries, AnyCountry) && !slices.Contains(p.Countries, country):
		return NotCountry
	}
	return ""
}

// cost is what a message to a number costs; at least one cent, so that a day has an end.
func (p TextPolicy) cost(number string) int {
	country, _ := contacts.Texting(number)
	cents, ok := p.Cents[country]
	if !ok {
		cents = p.Cents[OtherCountry]
	}
	return max(cents, 1)
}

// besideDigits is how many of its last digits the numbers beside a number differ in.
const besideDigits = 4

// purpose is what a text is for; each has a budget of its own.
type purpose struct {
	name string
	cap  int
}

func (p TextPolicy) receipts() purpose { return purpose{"receipt", p.Receipts} }
func (p TextPolicy) codes() purpose    { return purpose{"code", p.Codes} }
func (p TextPolicy) answers() purpose  { return purpose{"answer", p.Answers} }

const day = 24 * time.Hour

// mayText looks whether a text that a stranger causes may go to a number, and says why not: a Not constant; "": it may. What it takes of the number's and of those
// beside it goes into the transaction that would write the text, whether or not there then is money for it, which [Desk.payText] says.
func (d *Desk) mayText(tx *store.Tx, number string) (taken []limit.Taking, not string, err error) {
	p := d.Policy.Texts
	if not = p.never(number); not != "" {
		return nil, not, nil
	}
	for _, l := range []struct {
		not, key string
		n        int
	}{
		{NotNumber, "texts to " + number, p.Number},
		{NotPrefix, "texts beside " + number[:max(0, len(number)-besideDigits)], p.Prefix},
	} {
		t, err := limit.Look(tx, l.key, limit.Rule{N: l.n, Per: day})
		if fault.Of(err) == fault.TooMany {
			return taken, l.not, nil
		}
		if err != nil {
			return nil, "", err
		}
		taken = append(taken, t)
	}
	return taken, "", nil
}

// payText takes what a text costs that mayText found allowed, and counts it where it is refused by the one or the other. All texts share the money, so it is taken in lots.
func (d *Desk) payText(ctx context.Context, for_ purpose, number, not string) (string, error) {
	if not == "" {
		err := d.receipts.TakeSome(ctx, d.DB, "text cents "+for_.name, d.Policy.Texts.cost(number), for_.cap, day)
		if fault.Of(err) == fault.TooMany {
			not = NotMoney
		} else if err != nil {
			return "", err
		}
	}
	d.refused(contacts.SMS, for_.name, not)
	return not, nil
}

// mayAnswer is mayText for what staff write, in the transaction that writes it: they decide to whom and how often. A number on file, or one that was proved in the
// ticket, costs nothing of it.
func (d *Desk) mayAnswer(tx *store.Tx, ticket, number string) (not string, err error) {
	known, err := d.onFile(tx, contacts.SMS, number)
	if err == nil && !known {
		known, err = proved(tx, ticket, contacts.SMS, number)
	}
	if err != nil || known {
		return "", err
	}
	p := d.Policy.Texts
	if not = p.never(number); not == "" {
		taking, err := limit.LookSome(tx, "text cents "+p.answers().name, p.cost(number), limit.Rule{N: p.Answers, Per: day})
		if err == nil {
			err = taking.In(tx)
		}
		if fault.Of(err) == fault.TooMany {
			not, err = NotMoney, nil
		}
		if err != nil {
			return "", err
		}
	}
	tx.After(func() { d.refused(contacts.SMS, p.answers().name, not) })
	return not, nil
}

// onFile says whether an address is a contact's.
func (d *Desk) onFile(tx *store.Tx, channel, address string) (bool, error) {
	have, err := d.Book.ByAddress(tx, channel, address)
	return len(have) > 0, err
}

// proved says whether somebody showed in a ticket that an address reaches her.
func proved(tx *store.Tx, ticket, channel, address string) (bool, error) {
	all, err := evidenceOf(tx, ticket)
	return slices.ContainsFunc(all, func(rec store.Rec[Evidence]) bool {
		e := rec.Value
		return e.Voided.IsZero() && !e.Failed && e.Channel == channel && sameAddress(channel, e.Address, address)
	}), err
}

// Untexted says of a ticket whether its writer is told by texts only and none go to her number, whatever is known of it; why, as a Not constant.
func (d *Desk) Untexted(t Ticket) string {
	switch {
	case t.Email != "" || t.Phone == "":
		return ""
	case t.NoText:
		return NotWanted
	}
	return d.Policy.Texts.never(t.Phone)
}

// NewRefusals counts the messages that did not go to strangers, for Desk.Refused.
func NewRefusals() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lifeline_stranger_messages_refused_total",
		Help: "Messages to addresses that nobody proved which were not sent, by what they were for and which limit refused them."}, []string{"channel", "for", "reason"})
}

func (d *Desk) refused(channel, what, not string) {
	if d.Refused != nil && not != "" {
		d.Refused.WithLabelValues(channel, what, not).Inc()
	}
}
