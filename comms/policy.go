package comms

import "time"

// Policy is comms's section of the policy file. Every duration can be set, down to a second.
type Policy struct {
	Categories []string                 `yaml:"categories" json:"categories"`
	NextUpdate map[string]time.Duration `yaml:"next_update" json:"next_update"`         // by severity: the longest promise without a finding
	Ladders    map[string]Ladder        `yaml:"ladders" json:"ladders"`                 // by deadline: who is told
	SecondRead time.Duration            `yaml:"second_reading" json:"second_reading"`   // of a first notice
	PageOnly   time.Duration            `yaml:"page_only_after" json:"page_only_after"` // no approver for so long: the author of a P0 may publish to the page
	NoAnswer   time.Duration            `yaml:"no_answer" json:"no_answer"`             // a passed site counts as handed back after it
	Retry      Retry                    `yaml:"retry" json:"retry"`
	Lease      time.Duration            `yaml:"lease" json:"lease"`     // of a page; outlasts the longest SMTP phase or is renewed
	Workers    int                      `yaml:"workers" json:"workers"` // pages worked on at once
	Senders    int                      `yaml:"senders" json:"senders"` // messages under way at once in one page
	SMSValid   time.Duration            `yaml:"sms_valid" json:"sms_valid"`
	Internal   []Direct                 `yaml:"internal" json:"internal"` // told when an incident is declared
	Components []ComponentPolicy        `yaml:"components" json:"components"`
	Links      []string                 `yaml:"links" json:"links"` // hosts that updates may link to besides this portal's own
}

// ComponentPolicy names a part of the vendor's service for the public pages, in their order. An update's scope.products name it by Name.
type ComponentPolicy struct {
	Name        string `yaml:"name" json:"name"`
	Group       string `yaml:"group" json:"group"`
	Description string `yaml:"description" json:"description"`
}

// Ladder is who is told when a deadline passes, one rung after the other.
type Ladder []Rung

// Rung is told After the deadline passed (the first often at once).
type Rung struct {
	After time.Duration `yaml:"after" json:"after"`
	To    []Direct      `yaml:"to" json:"to"`
}

// Retry is when a deferred delivery is tried again.
type Retry struct {
	Waits  []time.Duration `yaml:"waits" json:"waits"`   // the last one repeats
	Jitter float64         `yaml:"jitter" json:"jitter"` // share of a wait that chance adds
	Most   int             `yaml:"most" json:"most"`     // attempts; then it has failed
	// Unknown is how often a message whose fate nobody knows is sent again, by channel. A second copy of an e-mail carries the same
	// Message-ID and does little harm; a second SMS costs money and trust, and its provider will say what became of the first.
	Unknown map[string]int `yaml:"unknown" json:"unknown"`
}

// DefaultPolicy is what is in force when the policy file says nothing.
func DefaultPolicy() Policy {
	return Policy{
		Categories: []string{"availability", "performance", "data", "access", "security", "third_party", "maintenance"},
		NextUpdate: map[string]time.Duration{"P0": 2 * time.Hour, "P1": 4 * time.Hour, "P2": 24 * time.Hour, "P3": 24 * time.Hour},
		Ladders:    map[string]Ladder{},
		SecondRead: time.Hour,
		PageOnly:   15 * time.Minute,
		NoAnswer:   72 * time.Hour,
		Retry: Retry{Waits: []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}, Jitter: 0.2, Most: 12,
			Unknown: map[string]int{"email": 1}},
		Lease:    2 * time.Minute,
		Workers:  4,
		Senders:  8,
		SMSValid: 4 * time.Hour,
	}
}
