// Package templates holds the words: one source per message and language for subject, text, HTML, SMS and page, the
// catalogs of every sentence that a page shows, and the data contract (this file) that operators' own templates may rely on.
//
// It knows nothing of who sends a message or where it is stored. Text from people arrives here as data and is escaped for
// its channel; only the files under words/ are trusted.
package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// NotKnown is the honest value of a fact that nobody has yet.
const NotKnown = "not_known"

// Statement is what a person writes in one structured update. JSON names are the outside contract.
// Validation is comms's; here it is only rendered.
type Statement struct {
	Phase        string   `json:"phase"` // investigating, identified, monitoring, resolved
	Headline     string   `json:"headline"`
	WhatHappened string   `json:"what_happened"`
	YourAction   string   `json:"your_action"` // "nothing" is a value
	Technical    string   `json:"technical,omitempty"`
	Scope        Scope    `json:"scope"`
	Affected     Affected `json:"affected"`
	Timeline     Timeline `json:"timeline"`
	DataLoss     DataLoss `json:"data_loss"`
	Known        []string `json:"known"`
	Unknown      []string `json:"unknown"`
	Doing        []string `json:"doing"`
	UnknownNone  bool     `json:"unknown_none,omitempty"`
	NextUpdateBy Moment   `json:"next_update_by"` // a time, or "none" on resolved
	NoChange     bool     `json:"no_change,omitempty"`
	Audience     string   `json:"audience"`
	Channels     []string `json:"channels"`
	Locales      []string `json:"locales"`

	Picture      Picture                `json:"picture,omitzero"`         // what of the whole is established by now
	LongBecause  []string               `json:"long_because,omitempty"`   // why it takes as long as it does
	SignedBy     string                 `json:"signed_by,omitempty"`      // name and title of whoever signs, which makes the update a letter
	Apology      string                 `json:"apology,omitempty"`        // "standard" is put into the reader's language
	WasNot       []string               `json:"was_not,omitempty"`        // of [WasNots]; whether it was an attack is the security cause's
	Unaffected   bool                   `json:"say_unaffected,omitempty"` // say the share that is not affected, of all that is on record
	Translations map[string]Translation `json:"translations,omitempty"`   // by locale other than the first: the same words in it
	Changed      map[string]string      `json:"changed,omitempty"`        // by figure, one of [Changeable]: why it is another than in the update before
}

// Translation is a person's words in another language, made by a person. What is left out is shown in the original, labelled; the lists go entry by entry.
type Translation struct {
	Headline     string   `json:"headline,omitempty"`
	WhatHappened string   `json:"what_happened,omitempty"`
	YourAction   string   `json:"your_action,omitempty"`
	Technical    string   `json:"technical,omitempty"`
	Scope        string   `json:"scope,omitempty"`
	Who          string   `json:"who,omitempty"`
	Timeline     string   `json:"timeline,omitempty"`
	DataLoss     string   `json:"data_loss,omitempty"`
	Known        []string `json:"known,omitempty"`
	Unknown      []string `json:"unknown,omitempty"`
	Doing        []string `json:"doing,omitempty"`
	LongBecause  []string `json:"long_because,omitempty"`
}

// UnmarshalJSON refuses names that a translation does not have.
func (t *Translation) UnmarshalJSON(b []byte) error {
	type plain Translation
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(t)); err != nil {
		return fmt.Errorf("must be an object of translated texts: %w", err)
	}
	return nil
}

// Language is the one that the statement is written in, which also prevails; "" when none is named.
func (s Statement) Language() string { return proseLang(s.Locales) }

// HeadlineIn is the headline in a language where a person has translated it, or the original; and the language that it is in.
func (s Statement) HeadlineIn(locale string) (text, in string) {
	if t := s.Translations[locale].Headline; t != "" {
		return t, locale
	}
	return s.Headline, s.Language()
}

// words are the original's texts with their translations.
func (t Translation) words(s Statement) map[string]string {
	all := map[string]string{}
	add := func(original, translated string) {
		if original != "" && translated != "" {
			all[original] = translated
		}
	}
	add(s.Headline, t.Headline)
	add(s.WhatHappened, t.WhatHappened)
	add(s.YourAction, t.YourAction)
	add(s.Technical, t.Technical)
	add(s.Scope.Text, t.Scope)
	add(s.Affected.Who, t.Who)
	add(s.Timeline.Text, t.Timeline)
	add(s.DataLoss.Text, t.DataLoss)
	for _, l := range []struct{ ours, theirs []string }{{s.Known, t.Known}, {s.Unknown, t.Unknown}, {s.Doing, t.Doing}, {s.LongBecause, t.LongBecause}} {
		for i := range min(len(l.ours), len(l.theirs)) {
			add(l.ours[i], l.theirs[i])
		}
	}
	return all
}

// WasNots is what an incident can be said not to have been.
func WasNots() []string { return []string{"capacity", "hardware", "intent", "customer"} }

// Picture says which parts of the whole are established. The zero value says nothing.
type Picture struct {
	SiteList     Established `json:"site_list,omitzero"`     // which sites are affected
	Contacts     Established `json:"contacts,omitzero"`      // whose they are and how to reach them
	RestoreScope Established `json:"restore_scope,omitzero"` // what can be brought back
}

// Established is how far one of these is known.
type Established struct {
	State      string `json:"state"`      // known, partly, not_known
	Confidence string `json:"confidence"` // low, medium, high
}

// The figures that an update may change, and for which it then gives a reason.
const (
	FigureSites     = "sites"
	FigureCustomers = "customers"
	FigureUsers     = "users"
	FigureTimeline  = "timeline"
	FigureLoss      = "data_loss"
)

// Changeable lists those figures.
func Changeable() []string {
	return []string{FigureSites, FigureCustomers, FigureUsers, FigureTimeline, FigureLoss}
}

// Before holds the figures of the update before this one, to the same readers.
type Before struct {
	Number   int      `json:"number"`
	Affected Affected `json:"affected"`
	Timeline Timeline `json:"timeline"`
	DataLoss DataLoss `json:"data_loss"`
}

// Differs lists the figures that were given before and are others now, in the order of [Changeable]. What was not known, or only a direction, is no
// figure: giving one then is news and no change.
func (b Before) Differs(s Statement) (all []string) {
	a, t, d := b.Affected, b.Timeline, b.DataLoss
	dated := t.Kind == "at" || t.Kind == "range"
	bounded := d.Kind == "at_most" || d.Kind == "range" || d.Kind == "none_verified"
	for _, f := range []struct {
		name    string
		differs bool
	}{
		{FigureSites, a.Sites.State == CountKnown && a.Sites != s.Affected.Sites},
		{FigureCustomers, a.Customers.State == CountKnown && a.Customers != s.Affected.Customers},
		{FigureUsers, a.Users.State == CountKnown && a.Users != s.Affected.Users},
		{FigureTimeline, dated && (t.Kind != s.Timeline.Kind || !same(t.Earliest, s.Timeline.Earliest) || !same(t.Latest, s.Timeline.Latest))},
		{FigureLoss, bounded && (d.Kind != s.DataLoss.Kind || !equal(d.AtLeast, s.DataLoss.AtLeast) || !equal(d.AtMost, s.DataLoss.AtMost))},
	} {
		if f.differs {
			all = append(all, f.name)
		}
	}
	return all
}

func same(a, b *time.Time) bool { return a == nil && b == nil || a != nil && b != nil && a.Equal(*b) }

func equal(a, b *Span) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// Scope is where the trouble is.
type Scope struct {
	Products []string `json:"products"`
	Regions  []string `json:"regions"`
	Text     string   `json:"text"`
}

// Affected counts who is hit; Sites and Customers are a number or not_known.
type Affected struct {
	Who        string `json:"who"`
	Sites      Count  `json:"sites"`
	Customers  Count  `json:"customers"`
	Users      Amount `json:"users,omitzero"`      // of the customers: a number, a range or not_known; nothing is said of them without
	OwnSites   string `json:"own_sites,omitempty"` // whether the vendor's own sites are in the counts: counted, not_counted, none
	Status     string `json:"status"`              // estimate, final
	Confidence string `json:"confidence"`          // low, medium, high
}

// Timeline says when it will be over, in one of five honest forms.
type Timeline struct {
	Kind        string     `json:"kind"` // at, range, direction, no_date_possible, not_known
	Earliest    *time.Time `json:"earliest"`
	Latest      *time.Time `json:"latest"`
	Text        string     `json:"text"`
	Confidence  string     `json:"confidence"`
	FullScopeBy Moment     `json:"full_scope_by"` // a time, not_known, or none on resolved
}

// Undated says that nobody can say yet when it will be over, so that a talk is worth more than a date.
func (t Timeline) Undated() bool { return t.Kind == "no_date_possible" || t.Kind == NotKnown }

// DataLoss is an upper bound or an admission; bounds are ISO 8601 durations such as PT5M.
type DataLoss struct {
	Kind       string `json:"kind"` // not_known, direction, at_most, range, none_verified
	AtLeast    *Span  `json:"at_least"`
	AtMost     *Span  `json:"at_most"`
	Text       string `json:"text"`
	Confidence string `json:"confidence"`
}

// Figures are what the ledger says at one moment. They are computed, never typed.
type Figures struct {
	AsOf      time.Time       `json:"as_of"`
	Sites     SiteFigures     `json:"sites"`
	Customers CustomerFigures `json:"customers"`
	Stored    *Stored         `json:"stored,omitempty"` // only where an update says the share that is not affected
}

// Stored counts all that is on record, and what of it is not affected.
type Stored struct {
	Sites            int    `json:"sites"`
	UnaffectedSites  int    `json:"unaffected_sites"`
	SitesPercent     string `json:"sites_percent"` // not affected
	Customers        int    `json:"customers"`
	Unaffected       int    `json:"unaffected_customers"`
	CustomersPercent string `json:"customers_percent"`
}

// SiteFigures counts sites: Rebuilt, Checked and Confirmed are cumulative (a confirmed site was also checked and rebuilt);
// NoAnswer is the part of the handed-back sites whose customer stayed silent for 72 h. Percent is handed back of total, one decimal,
// half up, and 100.0 only when all are.
type SiteFigures struct {
	Total     int            `json:"total"`
	ByState   map[string]int `json:"by_state"`
	Rebuilt   int            `json:"rebuilt"`
	Checked   int            `json:"checked"`
	Confirmed int            `json:"confirmed"`
	NoAnswer  int            `json:"no_answer"`
	Restored  int            `json:"restored"` // handed back: confirmed or without an answer
	Percent   string         `json:"percent"`  // "12.7"
}

// CustomerFigures counts customers; one is restored when all her affected sites are handed back.
type CustomerFigures struct {
	Total    int    `json:"total"`
	Restored int    `json:"restored"`
	Percent  string `json:"percent"`
}

// CohortLoss is the bound of a part of the affected sites.
type CohortLoss struct {
	Name   string `json:"name"`
	Sites  int    `json:"sites"`
	AtMost Span   `json:"at_most"`
}

// Update is everything a published (or previewed) update says, ready to be rendered in any language and channel.
type Update struct {
	ID        string       `json:"id"`
	Number    int          `json:"number"`
	Incident  Incident     `json:"incident"`
	Statement Statement    `json:"statement"`
	Restored  *Figures     `json:"restored"` // nil: no affected set is loaded yet
	Before    *Before      `json:"before,omitempty"`
	Cohorts   []CohortLoss `json:"cohorts,omitempty"` // parts of the affected that may lose more than the rest
	Security  string       `json:"security_cause"`
	Pinned    []string     `json:"pinned"`
	At        time.Time    `json:"at"`       // published at; zero in a preview
	Unread    bool         `json:"unread"`   // not yet read by a second person
	FirstWord bool         `json:"first"`    // the incident's first notice
	Corrects  int          `json:"corrects"` // the number of the update that this one takes back; 0: none
	Retracted bool         `json:"retracted"`
	Drill     bool         `json:"drill"`
}

// Incident is the part of an incident that strangers may read.
type Incident struct {
	ID       string    `json:"id"`
	Number   int       `json:"number"` // for feed ids
	Title    string    `json:"title"`
	Severity string    `json:"severity"` // P0 to P3
	Impact   string    `json:"impact"`
	Started  time.Time `json:"started_at"`
	URL      string    `json:"url"` // absolute, of its public page
}

// Vendor is who speaks: set by the operator.
type Vendor struct {
	Name    string `json:"name"`
	URL     string `json:"url"`     // public base URL of this portal
	Support string `json:"support"` // absolute URL of the support form
	Phone   string `json:"phone"`   // optional support number, E.164
	Zone    string `json:"zone"`    // IANA zone shown beside UTC; "" is UTC alone
}
