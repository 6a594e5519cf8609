package comms

import (
	"context"
	"encoding/json"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// WorkingCopy keeps what somebody is typing, complete or not. Its id is wcp_<incident suffix>.
type WorkingCopy struct {
	Incident string          `json:"incident"`
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Text     json.RawMessage `json:"text"` // as it was sent
}

var copies = store.Table[WorkingCopy]{Kind: store.Kind{Name: "working copy", Prefix: "wcp", Schema: 1, Composed: true}}

// MaxCopy is the most that a working copy may hold, in bytes.
const MaxCopy = 64 << 10

// SaveCopy keeps what is being typed for an incident: any JSON object of at most MaxCopy bytes. The newest one stands.
func (r *Room) SaveCopy(ctx context.Context, by, incident string, text json.RawMessage) (c WorkingCopy, err error) {
	var object map[string]json.RawMessage
	switch {
	case len(text) > MaxCopy:
		return c, fault.New(fault.TooLarge, "a working copy holds at most %d bytes", MaxCopy)
	case json.Unmarshal(text, &object) != nil || object == nil:
		return c, fault.BadField("text", "must be a JSON object")
	}
	// No audit row: an editor saves every few seconds, and nobody is told anything by it.
	err = r.DB.Update(ctx, store.Act{By: by}, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		id := "wcp_" + suffix(in.ID)
		_, m, err := copies.Get(tx, id)
		if err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		c = WorkingCopy{Incident: in.ID, By: by, At: tx.Now(), Text: text}
		return copies.Put(tx, id, c, m.Version)
	})
	return c, err
}

// Copy is what was being typed for an incident; fault.NotFound when nobody has typed anything.
func (r *Room) Copy(ctx context.Context, incident string) (c WorkingCopy, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		c, _, err = copies.Get(tx, "wcp_"+suffix(in.ID))
		if fault.Of(err) == fault.NotFound {
			return fault.New(fault.NotFound, "nothing is being typed for this incident")
		}
		return err
	})
	return c, err
}
