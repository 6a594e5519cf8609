package templates

import (
	"encoding/json"
	"slices"
	"strings"

	"unicode/utf8"
)

// A chat gets the facts of the page as cards that its program draws: Slack's blocks (https://api.slack.com/reference/block-kit/blocks) and the adaptive
// cards of Teams (https://adaptivecards.io, version 1.4). Both read marks in a text as orders, so every text is escaped for its program.

// Limits of the two programs, with some room left.
const (
	chatHeader  = 140    // characters
	chatPassage = 2800   // of one block, in characters
	chatAll     = 18_000 // bytes of all passages
	chatBlocks  = 40
)

// note is what is said in a chat.
type note struct {
	title  string
	parts  []chatPart
	link   string // behind the button; "": there is none
	button string
	small  []Phrase
}

// chatPart is a passage with a label in front of it; "": without one.
type chatPart struct {
	label string
	lines []Phrase
	items []Phrase
}

func (s Sheet) chat(w writer) note {
	n := note{title: s.Headline.String(), small: append(slices.Clone(s.Meta), s.Check, s.Never)}
	if base := strings.TrimSuffix(w.v.URL, "/"); isLink(base) {
		at := base + "/subscribe"
		n.small = append(n.small, w.say("subscribe.how", Phrase{{Text: at, Link: at}}))
	}
	marks := chatPart{lines: s.Marks}
	if w.u.Corrects > 0 { // who sees no more than the notification is to know that something is taken back
		var says []string
		for _, m := range s.Marks {
			says = append(says, m.String())
		}
		n.title, marks.lines = strings.Join(says, " "), []Phrase{s.Headline}
	}
	n.parts = append(n.parts, marks, chatPart{label: w.T("update.action"), lines: s.Action}, chatPart{lines: s.Assured})
	if len(s.Next) > 0 {
		n.parts = append(n.parts, chatPart{label: w.T(s.NextLabel()), lines: []Phrase{s.Next}})
	}
	for _, f := range s.Facts {
		if f.Public() {
			n.parts = append(n.parts, chatPart{label: f.Label, lines: f.Lines, items: f.Items})
		}
	}
	for _, last := range []Phrase{s.Signed, s.Prevails} {
		n.parts = append(n.parts, chatPart{lines: []Phrase{last}})
	}
	if isLink(w.u.Incident.URL) {
		n.link, n.button = w.u.Incident.URL, w.T("update.page")
	}
	return n
}

// chat puts the text of a message that is no update into a chat's form.
func (l *layouts) chat(channel, name string, letter Letter) (r Rendered, err error) {
	subject, err := l.part(name, "subject", letter)
	if err != nil {
		return r, err
	}
	text, err := l.part(name, "text", letter)
	if err != nil {
		return r, err
	}
	n := note{title: oneLine(subject)}
	for _, b := range blocks(text, letter) {
		part := chatPart{items: b.Items}
		if len(b.Line) > 0 {
			part.lines = []Phrase{b.Line}
		}
		n.parts = append(n.parts, part)
	}
	r.Text, err = n.encode(channel)
	return r, err
}

// encode writes the note for a program. What is too long for it is left out from the end, with a mark: the link leads to all of it.
func (n note) encode(channel string) (string, error) {
	c := chatter{slack: channel == Slack, room: chatAll}
	var passages []string
	for _, p := range n.parts {
		if said := c.passage(p); said != "" && len(passages) < chatBlocks {
			passages = append(passages, said)
		}
	}
	var card any
	if c.slack {
		card = c.slackCard(n, passages)
	} else {
		card = c.teamsCard(n, passages)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // no browser reads it, and Teams counts bytes
	err := e.Encode(card)
	return strings.TrimSpace(b.String()), err
}

// chatter escapes for one program, and counts the room that is left.
type chatter struct {
	slack bool
	room  int // bytes
}

func (c *chatter) passage(p chatPart) string {
	var lines []string
	for _, l := range p.lines {
		if s := c.phrase(l); s != "" {
			lines = append(lines, s)
		}
	}
	for _, item := range p.items {
		if s := c.phrase(item); s != "" && c.slack {
			lines = append(lines, "• "+s)
		} else if s != "" {
			lines = append(lines, "- "+s)
		}
	}
	if len(lines) == 0 || c.room <= 0 {
		return ""
	}
	if label := strings.TrimSpace(p.label); label != "" {
		lines = append([]string{c.bold(label)}, lines...)
	}
	gap := "\n\n" // Teams reads one as a space
	if c.slack {
		gap = "\n"
	}
	said := ""
	for _, line := range lines { // whole lines only: a mark cut in half would be an order
		if utf8.RuneCountInString(said+line) > chatPassage || len(said+line) > c.room {
			said += "…"
			break
		}
		said += line + gap
	}
	c.room -= len(said)
	return strings.TrimSpace(said)
}

func (c *chatter) bold(s string) string {
	if c.slack {
		return "*" + c.escape(s) + "*"
	}
	return "**" + c.escape(s) + "**"
}

// phrase is a line with its links as the program understands them.
func (c *chatter) phrase(p Phrase) string {
	var b strings.Builder
	for _, piece := range p {
		text := c.escape(piece.Text)
		if strings.HasPrefix(piece.Link, "https://") || strings.HasPrefix(piece.Link, "http://") {
			link := strings.NewReplacer("|", "%7C", ">", "%3E", "<", "%3C", ")", "%29", " ", "%20").Replace(piece.Link)
			if c.slack && piece.Text == piece.Link { // Slack shows the address as it is; beside a word joiner it could not be copied
				text = "<" + link + ">"
			} else if c.slack {
				text = "<" + link + "|" + text + ">"
			} else {
				text = "[" + text + "](" + link + ")"
			}
		}
		b.WriteString(text)
	}
	return strings.TrimSpace(b.String())
}

var (
	// Slack asks for these three; the rest are marks of its own, which a word joiner breaks.
	slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", "*\u2060", "_", "_\u2060", "~", "~\u2060", "`", "'")
	teamsEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "#", `\#`, "`", "'", "<", "&lt;", ">", "&gt;")
)

func (c *chatter) escape(s string) string {
	if c.slack {
		return slackEscapes.Replace(s)
	}
	return teamsEscapes.Replace(s)
}

func (c *chatter) title(n note) string {
	return shorten(oneLine(n.title), "…", func(s string) bool { return utf8.RuneCountInString(s) <= chatHeader })
}

func (c *chatter) small(n note) string {
	var all []string
	for _, p := range n.small {
		if s := c.phrase(p); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, " · ")
}

type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type slackBlock struct {
	Type     string        `json:"type"`
	Text     *slackText    `json:"text,omitempty"`
	Elements []slackButton `json:"elements,omitempty"`
}

// slackButton is an element of a block: a button of an actions block, or a text of a context block.
type slackButton struct {
	Type string `json:"type"`
	Text any    `json:"text"`
	URL  string `json:"url,omitempty"`
}

// slackCard has a plain text besides, for notifications and for screen readers.
func (c *chatter) slackCard(n note, passages []string) any {
	title := c.title(n)
	all := []slackBlock{{Type: "header", Text: &slackText{"plain_text", title}}}
	for _, p := range passages {
		all = append(all, slackBlock{Type: "section", Text: &slackText{"mrkdwn", p}})
	}
	if n.link != "" {
		all = append(all, slackBlock{Type: "actions", Elements: []slackButton{{"button", slackText{"plain_text", shorten(n.button, "…", func(s string) bool { return utf8.RuneCountInString(s) <= 70 })}, n.link}}})
	}
	if small := c.small(n); small != "" {
		all = append(all, slackBlock{Type: "context", Elements: []slackButton{{Type: "mrkdwn", Text: small}}})
	}
	return struct {
		Text        string       `json:"text"`
		Blocks      []slackBlock `json:"blocks"`
		UnfurlLinks bool         `json:"unfurl_links"`
		UnfurlMedia bool         `json:"unfurl_media"`
	}{Text: c.escape(title), Blocks: all}
}

type teamsBlock struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Wrap     bool   `json:"wrap"`
	Size     string `json:"size,omitempty"`
	Weight   string `json:"weight,omitempty"`
	IsSubtle bool   `json:"isSubtle,omitempty"`
	Style    string `json:"style,omitempty"`
}

type teamsAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

type teamsContent struct {
	Schema  string        `json:"$schema"`
	Type    string        `json:"type"`
	Version string        `json:"version"`
	Body    []teamsBlock  `json:"body"`
	Actions []teamsAction `json:"actions,omitempty"`
	Speak   string        `json:"fallbackText"`
}

type teamsAttachment struct {
	ContentType string       `json:"contentType"`
	Content     teamsContent `json:"content"`
}

func (c *chatter) teamsCard(n note, passages []string) any {
	title := c.title(n)
	card := teamsContent{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", Speak: title}
	card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: c.escape(title), Wrap: true, Size: "Large", Weight: "Bolder", Style: "heading"})
	for _, p := range passages {
		card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: p, Wrap: true})
	}
	if small := c.small(n); small != "" {
		card.Body = append(card.Body, teamsBlock{Type: "TextBlock", Text: small, Wrap: true, Size: "Small", IsSubtle: true})
	}
	if n.link != "" {
		card.Actions = []teamsAction{{"Action.OpenUrl", n.button, n.link}}
	}
	return struct {
		Type        string            `json:"type"`
		Attachments []teamsAttachment `json:"attachments"`
	}{"message", []teamsAttachment{{"application/vnd.microsoft.card.adaptive", card}}}
}
