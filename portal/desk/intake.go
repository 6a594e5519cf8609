package desk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// Intake is what a person in distress typed. Message and one of Email and Phone are enough.
type Intake struct {
	Message   string    `json:"message"`
	Email     string    `json:"email,omitempty"`
	Phone     string    `json:"phone,omitempty"`
	Name      string    `json:"name,omitempty"`
	Company   string    `json:"company,omitempty"`
	SiteURL   string    `json:"site_url,omitempty"`
	SiteName  string    `json:"site_name,omitempty"`
	Domain    string    `json:"domain,omitempty"`
	Invoice   string    `json:"invoice,omitempty"`
	OldTicket string    `json:"old_ticket,omitempty"`
	Impact    string    `json:"impact,omitempty"`
	Locale    string    `json:"locale,omitempty"`
	Route     string    `json:"-"`
	Files     *Attached `json:"-"` // that came with it
	Ref       string    `json:"-"` // Message-ID of the mail that it came as
	Fare      Fare      `json:"-"` // of the form

	once    *limit.Taking // taken with it: what it came as is here now
	quiet   bool          // no receipt: its address may not be its writer's, or a program wrote it
	private bool          // it is about its writer's own record

	also func(tx *store.Tx, number string) error // what is promised with it; nil: nothing
}

const (
	maxMessage = 64 << 10 // bytes
	maxLine    = 500      // bytes of any one-line field
)

// The impacts that the form offers. Anything else is kept as text and changes nothing.
const (
	LostAccess = "lost_access"
	Degraded   = "degraded"
	Question   = "question"
)

// validate cleans what was typed and names everything that is wrong with it. Country is the ISO 3166 code of phone numbers without "+".
func validate(in Intake, country string) (Intake, error) {
	var bad []fault.Field
	say := func(field, code, reason string) {
		bad = append(bad, fault.Field{Field: field, Code: code, Reason: reason})
	}
	in.Message = text(in.Message)
	switch {
	case in.Message == "":
		say("message", "missing", "is missing: tell us in a few words what is wrong")
	case len(in.Message) > maxMessage:
		say("message", "too_long", "is longer than 64 KiB")
	}
	for _, f := range []struct {
		name string
		at   *string
	}{
		{"name", &in.Name}, {"company", &in.Company}, {"site_url", &in.SiteURL}, {"site_name", &in.SiteName}, {"domain", &in.Domain},
		{"invoice", &in.Invoice}, {"old_ticket", &in.OldTicket}, {"impact", &in.Impact}, {"email", &in.Email}, {"phone", &in.Phone},
	} {
		*f.at = line(*f.at)
		if len(*f.at) > maxLine {
			say(f.name, "too_long", "is longer than 500 bytes")
		}
	}
	if in.Email == "" && in.Phone == "" {
		say("email", "no_way_back", "or phone is missing: give one way to reach you")
	}
	if in.Email != "" {
		mail, err := contacts.ParseEmail(in.Email)
		if err != nil {
			say("email", "malformed", "is not an e-mail address we can write to")
		} else {
			in.Email = mail
		}
	}
	if in.Phone != "" {
		phone, err := contacts.ParsePhone(in.Phone, country)
		if err != nil {
			say("phone", "malformed", "is not a phone number we can reach; begin with + and the country code")
		} else {
			in.Phone = phone
		}
	}
	if len(bad) > 0 {
		return in, fault.BadFields(bad...)
	}
	return in, nil
}

// line makes one clean line of what a stranger typed: no control or direction characters, white space folded.
func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(clean, strings.ToValidUTF8(s, "\uFFFD"))), " ")
}

// text keeps line breaks and nothing else that steers a terminal or a reader.
func text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r == '\r' {
			return '\n'
		}
		return clean(r)
	}, s))
}

func clean(r rune) rune {
	switch {
	case r == utf8.RuneError:
		return r
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	case unicode.IsControl(r):
		return -1
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0xFEFF: // direction and byte order marks
		return -1
	}
	return r
}

// open is what triage needs to know of an open incident.
type open struct {
	ID       string
	Severity string
	Category string
}

// triage decides the queue and priority of a new ticket by what the person says and by what is going on, never by a site
// address or an account. A total loss of access goes to the top. While a P0 or P1 is open everybody who writes is taken to be hit by the
// newest of the worst, but for whoever says that she only has a question: she waits where questions wait, by the same clock. A person may move each of them
// later, in or out.
func triage(impact string, incidents []open) (incident, priority string) {
	worst := ""
	for _, i := range incidents { // newest first
		if i.Category == comms.CategorySecurity { // who answers customers could not read what came into its queue
			continue
		}
		if i.Severity <= "P1" && (worst == "" || i.Severity < worst) {
			incident, worst = i.ID, i.Severity
		}
	}
	switch strings.ToLower(impact) {
	case LostAccess, "lost access", "lost all access":
		return incident, "P0"
	case Degraded:
		if worst == "" {
			worst = "P2"
		}
	case Question:
		return "", "P3"
	}
	if worst == "" {
		worst = "P3"
	}
	return incident, worst
}
