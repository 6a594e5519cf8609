package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The messages that are no update, and their data.
const (
	MsgTicketAck     = "ticket_ack"     // TicketAck
	MsgTicketAnswer  = "ticket_answer"  // TicketAnswer
	MsgDeadline      = "deadline"       // DeadlineNotice
	MsgSecondReading = "second_reading" // SecondReading
	MsgDeclared      = "declared"       // Declared
	MsgConfirm       = "confirm"        // Confirm
	MsgCode          = "code"           // Code
	MsgAccount       = "account"        // AccountNotice
	MsgSiteBack      = "site_back"      // SiteBack
	MsgSiteNews      = "site_news"      // SiteNews
	MsgSubscribe     = "subscribe"      // Subscribe
	MsgMaintenance   = "maintenance"    // Planned
	MsgWayIn         = "way_in"         // WayIn
)

// TicketAck goes to an address that nobody has proved: it has no room for a stranger's text.
type TicketAck struct {
	Number string `json:"number"`
	URL    string `json:"url"`
	Reply  bool   `json:"reply"` // an answer on this channel is read
}

// TicketAnswer tells a customer what staff answered. A text message says only that there is an answer: it is shown on locked screens, and numbers
// change hands.
type TicketAnswer struct {
	Number string   `json:"number"`
	URL    string   `json:"url"`    // of the ticket, for this address alone
	Phrase string   `json:"phrase"` // by which she knows that it is us
	Lines  []string `json:"lines"`  // what staff wrote
	Files  int      `json:"files"`  // that came with it; they are on the page
	Reply  bool     `json:"reply"`  // an answer on this channel is read
}

// DeadlineNotice tells staff that something is due or late.
type DeadlineNotice struct {
	What  string    `json:"what"` // next_update, first_answer, second_reading; any other is shown as it is
	Of    string    `json:"of"`   // title of the incident or number of the ticket; may be empty
	Since time.Time `json:"since"`
	Near  bool      `json:"near,omitempty"` // it has not passed yet
	URL   string    `json:"url"`
	Rung  int       `json:"rung"`           // 1: the first to be told, or told before it passes; 0: not said
	More  int       `json:"more,omitempty"` // so many more are due, of which nobody is told one by one
}

// SecondReading asks a second person to read a first notice that one person sent alone.
type SecondReading struct {
	Title    string    `json:"title"`
	Severity string    `json:"severity"`
	Headline string    `json:"headline"`
	SentAt   time.Time `json:"sent_at"`
	By       time.Time `json:"by"` // when it must have been read
	URL      string    `json:"url"`
}

// Declared tells the key people inside that an incident has begun.
type Declared struct {
	Title    string    `json:"title"`
	Severity string    `json:"severity"`
	Category string    `json:"category"`
	Summary  string    `json:"summary"`
	Impact   string    `json:"impact"`
	At       time.Time `json:"at"`
	URL      string    `json:"url"`
	Drill    bool      `json:"drill"`
}

// Confirm asks a customer's contact, before any incident, whether an address still reaches the right person.
type Confirm struct {
	URL     string `json:"url"`     // of the page that only this address was told
	Card    string `json:"card"`    // URL of the contact card
	From    string `json:"from"`    // our mail sender; "": not said
	Number  string `json:"number"`  // our SMS sender; "": not said
	Account string `json:"account"` // the customer's name; "": not said
	Again   bool   `json:"again"`   // it is the reminder
}

// Code goes to an address that may be anybody's: it has no room for a stranger's text.
type Code struct {
	Code    string `json:"code"`    // "": nothing is known at this address, and the message says so
	Minutes int    `json:"minutes"` // for which it holds
	Number  string `json:"number"`  // of the ticket; "": it opens her own page
	URL     string `json:"url"`     // confirms the same by a button; "": nothing does
}

// AccountNotice tells every address on file of a customer what is being done in its name, so that the right people can say no.
type AccountNotice struct {
	What   string    `json:"what"`   // NoticePair, NoticeChange, NoticeRecovery
	Number string    `json:"number"` // of the ticket in which it was asked for; "": in none
	From   time.Time `json:"from"`   // when it takes effect; zero: it has
	URL    string    `json:"url"`    // where to say no
}

// SiteBack tells a customer that a site has passed its checks, and asks her whether it works.
type SiteBack struct {
	Site  string    `json:"site"`
	URL   string    `json:"url"`   // where one tap says so, for this site alone
	Until time.Time `json:"until"` // until when she may say that something is missing
}

// SiteNews tells a customer's contact where sites came to, all that one act moved together. Names are those by which people call the sites.
type SiteNews struct {
	Back   []string `json:"back,omitempty"`   // handed back
	Passed []string `json:"passed,omitempty"` // said to be whole by a person, without a question to the customer
	Failed []string `json:"failed,omitempty"` // an attempt to restore them did not succeed
	Again  []string `json:"again,omitempty"`  // had passed, and are taken up again
	URL    string   `json:"url"`              // where to write
}

// What is being done in a customer's name.
const (
	NoticePair     = "pair"     // somebody is about to be recognised as a contact
	NoticeChange   = "change"   // contacts, domains or ways to recover are about to be changed
	NoticeRecovery = "recovery" // saved recovery codes were made
)

// WayIn tells one of the staff what was changed of how she signs in. It has no room for anybody's text: whoever got into her account could write it.
type WayIn struct {
	What string    `json:"what"` // set_up, password, recovery, reset, email, passkey, passkey_removed, passkey_barred, single, single_removed
	By   string    `json:"by"`   // owner, administrator, operator, lifeline
	Left int       `json:"left"` // recovery codes that are left, of recovery
	At   time.Time `json:"at"`
	URL  string    `json:"url"` // of her own account
}

// Subscribe goes to an address that a stranger named on the status page: it has no room for a stranger's text.
type Subscribe struct {
	URL string `json:"url"` // of the page on which it is confirmed, changed and ended
	On  bool   `json:"on"`  // it is subscribed already, and only the page was asked for

	Test   bool `json:"test,omitempty"`   // it shows that messages arrive
	Paused bool `json:"paused,omitempty"` // to a webhook's owner: nothing is sent there any more
}

// Planned tells subscribers of work that is planned, or of what became of the plan. A message has its title and lines in the reader's language where somebody
// translated them.
type Planned struct {
	Title      string    `json:"title"`
	Lines      []string  `json:"lines"` // what is done, and what readers will notice
	Components string    `json:"components"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	What       string    `json:"what"` // "": it is new; held, resumed, cancelled
	Reason     string    `json:"reason"`
	URL        string    `json:"url"`

	Locale       string                 `json:"locale,omitempty"`       // in which all this is written; "": it is not known
	Translations map[string]PlannedText `json:"translations,omitempty"` // by other locales
	Reasons      map[string]string      `json:"reasons,omitempty"`      // the reason by other locales
	Note         string                 `json:"-"`                      // which version prevails, for who reads another; "": she reads the only one
}

// PlannedText is what a plan says in another language.
type PlannedText struct {
	Title string   `json:"title"`
	Lines []string `json:"lines"`
}

// speak puts a plan into the language of a catalog as far as somebody has translated it.
func (p *Planned) speak(c Catalog) {
	own, translated := p.Translations[c.locale]
	if translated && c.locale != p.Locale {
		p.Title, p.Lines = oneLine(own.Title), nil
		for _, line := range own.Lines {
			p.Lines = append(p.Lines, oneLine(line))
		}
	}
	reason, explained := p.Reasons[c.locale]
	if explained && c.locale != p.Locale {
		p.Reason = oneLine(reason)
	}
	left := p.Locale != c.locale && (!translated || p.Reason != "" && !explained)
	p.Note = c.Versions(p.Locale, len(p.Translations)+len(p.Reasons) > 0, left)
}

// kinds gives each message the type of its data.
func messageData(name string) (any, bool) {
	switch name {
	case MsgTicketAck:
		return &TicketAck{}, true
	case MsgTicketAnswer:
		return &TicketAnswer{}, true
	case MsgDeadline:
		return &DeadlineNotice{}, true
	case MsgSecondReading:
		return &SecondReading{}, true
	case MsgDeclared:
		return &Declared{}, true
	case MsgConfirm:
		return &Confirm{}, true
	case MsgCode:
		return &Code{}, true
	case MsgAccount:
		return &AccountNotice{}, true
	case MsgSiteBack:
		return &SiteBack{}, true
	case MsgSiteNews:
		return &SiteNews{}, true
	case MsgSubscribe:
		return &Subscribe{}, true
	case MsgMaintenance:
		return &Planned{}, true
	case MsgWayIn:
		return &WayIn{}, true
	}
	return nil, false
}

// Messages lists the names that [Set.Message] knows.
func Messages() []string {
	return []string{MsgAccount, MsgCode, MsgConfirm, MsgDeadline, MsgDeclared, MsgMaintenance, MsgSecondReading, MsgSiteBack, MsgSiteNews, MsgSubscribe, MsgTicketAck, MsgTicketAnswer, MsgWayIn}
}

// Letter is what a message's template is given: .Data is its struct with every text made one clean line, .Zone the vendor's zone.
type Letter struct {
	Data   any
	Vendor Vendor
	Zone   string
	Lang   string
	// For the HTML layout:
	Subject string
	Blocks  []Block
}

// Block is a paragraph, or a list when it has items.
type Block struct {
	Line  Phrase
	Items []Phrase
}

// Message renders a message that is no update, for "email", "sms", "slack" or "teams". The data is the struct that belongs to the name, a pointer to it, or its JSON.
func (s *Set) Message(channel, name, locale string, data any, v Vendor) (Rendered, error) {
	if locale = s.Match(locale); slices.Contains(staffMessages, name) {
		locale = s.MatchStaff(locale)
	}
	r, err := s.message(channel, name, locale, data, cleanVendor(v))
	if err != nil {
		return Rendered{}, fmt.Errorf("render %s for %s in %s: %w", name, channel, locale, err)
	}
	return r, nil
}

func (s *Set) message(channel, name, locale string, data any, v Vendor) (Rendered, error) {
	typed, err := typedData(name, data)
	if err != nil {
		return Rendered{}, err
	}
	if p, is := typed.(*Planned); is {
		p.speak(s.catalogs[locale])
	}
	l := s.layouts[locale]
	letter := Letter{Data: typed, Vendor: v, Zone: v.Zone, Lang: locale}
	switch channel {
	case Email:
		return l.mail(name, letter)
	case Slack, Teams:
		return l.chat(channel, name, letter)
	case SMS:
		text, err := l.part(name, "sms", letter)
		if err != nil {
			return Rendered{}, err
		}
		return brief(text), nil
	}
	return Rendered{}, fmt.Errorf("there is no channel %q for it", channel)
}

func (l *layouts) mail(name string, letter Letter) (Rendered, error) {
	subject, err := l.part(name, "subject", letter)
	if err != nil {
		return Rendered{}, err
	}
	text, err := l.part(name, "text", letter)
	if err != nil {
		return Rendered{}, err
	}
	letter.Subject = oneLine(subject)
	letter.Blocks = blocks(text, letter)
	page, err := l.run(messageLayout, letter)
	if err != nil {
		return Rendered{}, err
	}
	return Rendered{Subject: letter.Subject, Text: wrap(tidy(text)), HTML: page}, nil
}

// brief makes an SMS of a text: plain typography when that saves segments, and at most three of them.
func brief(text string) Rendered {
	text, mark := oneLine(text), "…"
	if p := plainly(text); gsm(p) {
		text, mark = p, "..."
	}
	text = shorten(text, mark, func(s string) bool { n, _ := Segments(s); return n <= maxSegments })
	n, _ := Segments(text)
	return Rendered{Text: text, Segments: n}
}

// part executes one define of a message's file.
func (l *layouts) part(name, define string, letter Letter) (string, error) {
	t := l.text[name+".txt"].Lookup(define)
	if t == nil {
		return "", fmt.Errorf("%s: lacks {{define %q}}", l.text[name+".txt"].Name(), define)
	}
	var b bytes.Buffer
	err := t.Execute(&b, letter)
	return b.String(), err
}

// blocks cuts a text into paragraphs and lists for the HTML layout. Addresses that the data or the vendor name become links, others stay text.
func blocks(text string, letter Letter) []Block {
	var out []Block
	links := addresses(letter)
	fresh := true
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(line, "- ")
		switch {
		case line == "":
			fresh = true
			continue
		case isItem && !fresh && len(out) > 0:
			out[len(out)-1].Items = append(out[len(out)-1].Items, linked(item, links))
		case isItem:
			out = append(out, Block{Items: []Phrase{linked(item, links)}})
		default:
			out = append(out, Block{Line: linked(line, links)})
		}
		fresh = false
	}
	return out
}

func addresses(letter Letter) []string {
	all := []string{letter.Vendor.Support, letter.Vendor.URL}
	v := reflect.Indirect(reflect.ValueOf(letter.Data))
	for _, name := range []string{"URL", "Card"} {
		if f := v.FieldByName(name); f.IsValid() {
			all = append(all, f.String())
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return !isLink(s) })
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // the longest first: one may begin with another
	return all
}

func linked(line string, links []string) Phrase {
	for _, a := range links {
		if before, after, ok := strings.Cut(line, a); ok {
			return join("", linked(before, links), Phrase{{Text: a, Link: a}}, linked(after, links))
		}
	}
	if line == "" {
		return nil
	}
	return Phrase{{Text: line}}
}

// typedData is the message's own struct, from itself or from JSON, with every string made one clean line.
func typedData(name string, data any) (any, error) {
	want, ok := messageData(name)
	if !ok {
		return nil, fmt.Errorf("there is no message %q; there are %s", name, strings.Join(Messages(), ", "))
	}
	raw, isJSON := data.([]byte)
	if m, ok := data.(json.RawMessage); ok {
		raw, isJSON = m, true
	}
	if isJSON {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(want); err != nil {
			return nil, fmt.Errorf("read its data: %w", err)
		}
	} else {
		given := reflect.Indirect(reflect.ValueOf(data))
		if !given.IsValid() || given.Type() != reflect.TypeOf(want).Elem() {
			return nil, fmt.Errorf("its data must be %T, not %T", want, data)
		}
		reflect.ValueOf(want).Elem().Set(given)
	}
	v := reflect.ValueOf(want).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(oneLine(f.String()))
		case reflect.Slice: // of lines
			lines := slices.Clone(f.Interface().([]string))
			for i := range lines {
				lines[i] = oneLine(lines[i])
			}
			f.Set(reflect.ValueOf(lines))
		}
	}
	return want, nil
}
