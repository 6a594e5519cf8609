package comms

import (
	"context"
	"strconv"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// Texting is what an SMS costs and how fast it goes, as the operator's provider has it. It is asked for before anything is sent, and paces nothing.
type Texting struct {
	Price    float64 `yaml:"price" json:"price"`       // of one segment; 0: nobody said
	Currency string  `yaml:"currency" json:"currency"` // ISO 4217
	Rate     float64 `yaml:"rate" json:"rate"`         // segments that all senders together send within a second
}

// Texts is what texting a statement takes, if every one of its people read this wording.
type Texts struct {
	People   int    `json:"people"`   // who have a number that takes texts
	Segments int    `json:"segments"` // of all their messages together
	Cost     string `json:"cost"`     // "" where the policy names no price
	Currency string `json:"currency,omitempty"`
	Seconds  int    `json:"seconds"` // from the first to the last
}

// Takes is how long the sending takes.
func (t Texts) Takes() time.Duration { return time.Duration(t.Seconds) * time.Second }

// of is what so many people and segments each take.
func (t Texting) of(people, segments int) Texts {
	all := people * segments
	out := Texts{People: people, Segments: all, Seconds: int(float64(all)/t.Rate + 0.999)}
	if t.Price > 0 {
		out.Cost, out.Currency = strconv.FormatFloat(float64(all)*t.Price, 'f', 2, 64), t.Currency
	}
	return out
}

// TextsFor is what texting a statement would take, with a wording of so many segments.
func (r *Room) TextsFor(ctx context.Context, incident string, s templates.Statement, segments int) (t Texts, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if bad, err := r.badReaders(tx, in.Value, s.Audience); err != nil || len(bad) > 0 {
			return err
		}
		crowd, err := r.about(tx, in.ID, s.Audience, []string{ChannelSMS})
		t = r.Policy.Texting.of(crowd.People, segments)
		return err
	})
	return t, err
}
