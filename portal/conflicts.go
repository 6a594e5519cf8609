package portal

import (
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
)

// conflictAnswer is a value that a source offered, beside the one that stands. Addresses are masked.
type conflictAnswer struct {
	object
	Of        string              `json:"of"` // our id of the record
	Kind      string              `json:"kind"`
	Account   string              `json:"account_id"`
	Field     string              `json:"field"`
	Have      string              `json:"have"` // what stands; for an e-mail address: the contact who has it
	HaveFrom  originAnswer        `json:"have_from"`
	Offered   string              `json:"offered"`
	Source    string              `json:"source"`
	At        time.Time           `json:"at"`
	Confirmed *time.Time          `json:"confirmed_at"` // what the source says of when it was confirmed
	Waiting   int                 `json:"waiting"`      // on the same record
	Decisions []contacts.Decision `json:"decisions"`
}

type originAnswer struct {
	Source    string     `json:"source"`
	How       string     `json:"how"`
	Seen      *time.Time `json:"seen"`
	Confirmed *time.Time `json:"confirmed_at"`
	By        string     `json:"by,omitempty"`
	Why       string     `json:"why,omitempty"`
}

func originOf(o contacts.Origin) originAnswer {
	return originAnswer{o.Source, o.How.String(), given(o.Seen), given(o.ConfirmedAt), o.By, o.Why}
}

func conflictOf(c contacts.OpenConflict) conflictAnswer {
	a := conflictAnswer{object: objectOf(c.Entry), Of: c.Of, Kind: c.Kind, Account: c.Account, Field: c.Field, Have: c.Have, HaveFrom: originOf(c.HaveOrigin),
		Offered: c.Offered, Source: c.Source, At: c.At, Confirmed: given(c.ConfirmedAt), Waiting: c.Waiting, Decisions: c.Decisions()}
	if c.Field == contacts.Email {
		a.Offered = maskAddress(contacts.Email, c.Offered)
	}
	return a
}

// decisionAnswer is what became of a conflict.
type decisionAnswer struct {
	Conflict string `json:"conflict_id"`
	Of       string `json:"of"`
	Decided  bool   `json:"decided"`             // false: it waits until the change is done
	Change   string `json:"change_id,omitempty"` // proposed: a second person must approve it
}

// reopeningAnswer is the conflict that waits again.
type reopeningAnswer struct {
	Conflict string `json:"conflict_id"`
	Of       string `json:"of"`
}

func (p *Portal) conflictRoutes() []route {
	return []route{
		{method: "GET", path: "/api/v1/contacts/conflicts", right: auth.ContactRead, tag: "contacts", summary: "values that wait for a person, the oldest first", query: []string{"account", "after", "limit"},
			answer: list[conflictAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				account := k.Query("account")
				if account != "" {
					err := p.DB.View(k.UserContext(), func(tx *store.Tx) error {
						rec, err := p.Book.Account(tx, account)
						account = rec.ID
						return err
					})
					if err != nil {
						return err
					}
				}
				page, next, err := p.Book.OpenConflicts(k.UserContext(), account, store.Query{After: k.Query("after"), Limit: limit})
				if err != nil {
					return err
				}
				out := list[conflictAnswer]{Next: next}
				for _, c := range page {
					out.Items = append(out.Items, conflictOf(c))
				}
				return send(k.Ctx, 200, out)
			}},
		{method: "POST", path: "/api/v1/contacts/conflicts/decisions", right: auth.ContactChange, tag: "contacts", summary: "decide a conflict; the same word is not asked about again",
			body: contacts.ConflictAnswer{}, needs: []string{"conflict_id", "decision", "reason"}, answer: decisionAnswer{}, do: func(k *call) error {
				var in contacts.ConflictAnswer
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				done, change, err := p.Book.DecideConflict(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, decisionAnswer{in.Conflict, done.Of, change == "", change})
			}},
		{method: "POST", path: "/api/v1/contacts/conflicts/reopenings", right: auth.ContactChange, tag: "contacts", summary: "take a decision back that needed no second person; the conflict waits again",
			body: contacts.Reopening{}, needs: []string{"of", "conflict_id"}, answer: reopeningAnswer{}, do: func(k *call) error {
				var in contacts.Reopening
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				entry, err := p.Book.ReopenConflict(k.UserContext(), k.person.ID, in)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, reopeningAnswer{entry, in.Of})
			}},
	}
}
