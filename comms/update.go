package comms

import (
	"encoding/json"
	"time"

	"lifeline/store"
	"lifeline/templates"
)

// Update is one structured update: a draft until it is published, then frozen with the ledger's figures of that moment.
type Update struct {
	Incident    string              `json:"incident"`
	Number      int                 `json:"number"`
	State       string              `json:"state"` // draft, published, retracted
	Statement   templates.Statement `json:"statement"`
	Author      string              `json:"author"`
	First       bool                `json:"first"`    // the first notice
	Corrects    int                 `json:"corrects"` // number of the update it takes back; 0: none
	Figures     *templates.Figures  `json:"figures"`  // frozen at publishing; nil: no affected set was loaded
	Security    string              `json:"security_cause"`
	Pinned      []string            `json:"pinned"`
	Digest      string              `json:"digest"` // of what was published
	People      int                 `json:"people"` // whom it was meant for, at publishing
	PublishedAt *time.Time          `json:"published_at"`
	PublishedBy string              `json:"published_by"`
	Unread      bool                `json:"unread"`    // published, but not yet read by a second person
	PageOnly    bool                `json:"page_only"` // published to the page alone, without an approver
	Notice      string              `json:"notice"`    // the outbox's notice that carries it
	RetractedAt *time.Time          `json:"retracted_at"`
	RetractedBy string              `json:"retracted_by"`
}

// The states of an update.
const (
	Draft     = "draft"
	Published = "published"
	Retracted = "retracted"
)

var updates = store.Table[Update]{
	Kind: store.Kind{Name: "update", Prefix: "upd", Schema: 1, Keep: 10 * 365 * 24 * time.Hour, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "number", Type: store.Int}}, Unique: true},
	}},
	Tuples: func(u Update) store.Tuples { return store.Tuples{"incident": {u.Incident, u.Number}} },
}

// WorkingCopy keeps what somebody is typing, complete or not. Its id is wcp_<incident suffix>.
type WorkingCopy struct {
	Incident string          `json:"incident"`
	By       string          `json:"by"`
	At       time.Time       `json:"at"`
	Text     json.RawMessage `json:"text"` // as it was sent
}

var copies = store.Table[WorkingCopy]{Kind: store.Kind{Name: "working copy", Prefix: "wcp", Schema: 1, Composed: true}}

// edition is the one record whose version moves with everything that public pages show; a page that was rendered from
// an older version is stale. Its id is edn_page.
type edition struct {
	At time.Time `json:"at"`
}

var editions = store.Table[edition]{Kind: store.Kind{Name: "edition", Prefix: "edn", Schema: 1, Composed: true}}

const editionID = "edn_page"
