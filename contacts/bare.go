package contacts

import (
	"bytes"
	"encoding/json"
	"time"

	"lifeline/store"
)

// bare is a contact without its provenance, which is most of its record.
type bare struct {
	Contact
	Sources   unread `json:"sources"`
	Origins   unread `json:"origins"`
	Lists     unread `json:"lists"`
	Conflicts unread `json:"conflicts"`
	Beyond    unread `json:"beyond"`
	Decided   unread `json:"decided"`
}

type unread struct{}

func (*unread) UnmarshalJSON([]byte) error { return nil }

var bares = store.Table[bare]{Kind: people.Kind, Read: readBare} // to read only

// readBare reads a contact as this package writes it. A broadcast reads a hundred thousand of them, and a search index all: encoding/json looks at each byte
// of the provenance twice before it leaves it out, and took most of the time of either. Whatever is not in the form that encoding/json writes is left to
// encoding/json, so the outcome is the same.
func readBare(body []byte, to *bare) error {
	if c, ok := readContact(body); ok {
		to.Contact = c
		return nil
	}
	return json.Unmarshal(body, to)
}

func readContact(body []byte) (c Contact, ok bool) {
	r := plainReader{rest: body}
	r.object(func(key []byte) {
		switch string(key) {
		case "account":
			c.Account = r.text()
		case "account_wide":
			c.AccountWide = r.truth()
		case "sites":
			c.Sites = r.texts()
		case "name":
			c.Name = r.text()
		case "roles":
			c.Roles = r.texts()
		case "grants":
			r.array(func() { c.Grants = append(c.Grants, r.grant()) })
		case "emails":
			r.array(func() { c.Emails = append(c.Emails, r.address()) })
		case "phones":
			r.array(func() { c.Phones = append(c.Phones, r.address()) })
		case "locale":
			c.Locale = r.text()
		case "time_zone":
			c.TimeZone = r.text()
		case "channels":
			c.Channels = r.texts()
		case "at_night":
			c.AtNight = r.truth()
		case "confirmed_at":
			c.ConfirmedAt = r.time()
		case "sources", "origins", "lists", "conflicts", "beyond", "decided":
			r.skip()
		default:
			r.odd = true
		}
	})
	return c, !r.odd && len(r.rest) == 0
}

func (r *plainReader) address() (a Address) {
	r.object(func(key []byte) {
		switch string(key) {
		case "value":
			a.Value = r.text()
		case "source":
			a.Source = r.text()
		case "how":
			a.How = How(r.text())
		case "first_seen":
			a.FirstSeen = r.time()
		case "changed_at":
			a.ChangedAt = r.time()
		case "confirmed_at":
			a.ConfirmedAt = r.time()
		case "bounced":
			a.Bounced = r.truth()
		case "bounce_reason":
			a.BounceReason = r.text()
		case "opted_out":
			a.OptedOut = r.truth()
		case "opt_out_reason":
			a.OptOutReason = r.text()
		default:
			r.odd = true
		}
	})
	return a
}

func (r *plainReader) grant() (g Grant) {
	r.object(func(key []byte) {
		switch string(key) {
		case "role":
			g.Role = r.text()
		case "sites":
			g.Sites = r.texts()
		case "state":
			g.State = RoleState(r.text())
		case "source":
			g.Source = r.text()
		case "confirmed_at":
			g.ConfirmedAt = r.time()
		case "seen":
			g.Seen = r.time()
		case "how":
			g.How = How(r.text())
		case "by":
			g.By = r.text()
		case "why":
			g.Why = r.text()
		default:
			r.odd = true
		}
	})
	return g
}

// plainReader reads JSON in the one form in which encoding/json writes it, without a space. It is odd, and its answers mean nothing, once it met anything else,
// or a text with an escape in it.
type plainReader struct {
	rest []byte
	odd  bool
}

func (r *plainReader) take(c byte) (ok bool) {
	if r.odd || len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *plainReader) want(c byte) {
	if !r.take(c) {
		r.odd = true
	}
}

// object calls value behind each key; value must read it.
func (r *plainReader) object(value func(key []byte)) {
	r.want('{')
	if r.take('}') {
		return
	}
	for !r.odd {
		key := r.bytes()
		r.want(':')
		value(key)
		if !r.take(',') {
			break
		}
	}
	r.want('}')
}

// array calls value for each of its values; value must read it.
func (r *plainReader) array(value func()) {
	r.want('[')
	if r.take(']') {
		return
	}
	for !r.odd {
		value()
		if !r.take(',') {
			break
		}
	}
	r.want(']')
}

// bytes reads a text; they are the document's own.
func (r *plainReader) bytes() []byte {
	r.want('"')
	end := bytes.IndexByte(r.rest, '"')
	if r.odd || end < 0 || bytes.IndexByte(r.rest[:end], '\\') >= 0 {
		r.odd = true
		return nil
	}
	b := r.rest[:end]
	r.rest = r.rest[end+1:]
	return b
}

func (r *plainReader) text() string { return string(r.bytes()) }

func (r *plainReader) texts() (all []string) {
	all = []string{}
	r.array(func() { all = append(all, r.text()) })
	return all
}

func (r *plainReader) truth() bool {
	for _, word := range []string{"true", "false"} {
		if !r.odd && bytes.HasPrefix(r.rest, []byte(word)) {
			r.rest = r.rest[len(word):]
			return word == "true"
		}
	}
	r.odd = true
	return false
}

func (r *plainReader) time() (at time.Time) {
	if err := at.UnmarshalText(r.bytes()); err != nil {
		r.odd = true
	}
	return at
}

// skip passes over a value, whatever it is.
func (r *plainReader) skip() {
	for deep := 0; !r.odd; {
		at := bytes.IndexAny(r.rest, `"{}[],`)
		if at < 0 {
			r.odd = true
			return
		}
		switch r.rest[at] {
		case '"':
			r.rest = r.rest[at+1:]
			r.endText()
			if deep == 0 {
				return
			}
			continue
		case '{', '[':
			deep++
		case '}', ']':
			if deep--; deep < 0 { // of what the value is in
				r.rest = r.rest[at:]
				return
			}
		case ',':
			if deep == 0 {
				r.rest = r.rest[at:]
				return
			}
		}
		r.rest = r.rest[at+1:]
		if deep == 0 {
			return
		}
	}
}

// endText passes over the rest of a text, escapes and all.
func (r *plainReader) endText() {
	for !r.odd {
		at := bytes.IndexByte(r.rest, '"')
		if at < 0 {
			r.odd = true
			return
		}
		escapes := 0
		for escapes < at && r.rest[at-1-escapes] == '\\' {
			escapes++
		}
		r.rest = r.rest[at+1:]
		if escapes%2 == 0 {
			return
		}
	}
}
