package templates

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Count is a number of things, or not known. The zero value is absent, so that a missing field can be named.
type Count struct {
	N     int
	State CountState
}

// CountState says what a Count holds.
type CountState int

// The states of a Count.
const (
	CountAbsent CountState = iota
	CountUnknown
	CountKnown
)

// Known makes a Count of n.
func Known(n int) Count { return Count{N: n, State: CountKnown} }

// MarshalJSON writes the number, "not_known", or null.
func (c Count) MarshalJSON() ([]byte, error) {
	switch c.State {
	case CountKnown:
		return strconv.AppendInt(nil, int64(c.N), 10), nil
	case CountUnknown:
		return []byte(`"` + NotKnown + `"`), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads a whole number from 0, "not_known", or null.
func (c *Count) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*c = Count{}
		return nil
	case `"` + NotKnown + `"`:
		*c = Count{State: CountUnknown}
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("must be a whole number from 0 to %d or %q", math.MaxInt32, NotKnown)
	}
	*c = Known(int(n))
	return nil
}

// Amount is a number of things, a range of numbers, or not known. The zero value is absent.
type Amount struct {
	From, To int // the same when it is exact
	State    CountState
}

// Between makes an Amount.
func Between(from, to int) Amount { return Amount{From: from, To: to, State: CountKnown} }

var amountForm = regexp.MustCompile(`^(\d{1,9})\s*(?:-|–|to)\s*(\d{1,9})$`)

// MarshalJSON writes the number, the range as "1000-5000", "not_known", or null.
func (a Amount) MarshalJSON() ([]byte, error) {
	switch {
	case a.State == CountUnknown:
		return []byte(`"` + NotKnown + `"`), nil
	case a.State == CountAbsent:
		return []byte("null"), nil
	case a.From == a.To:
		return strconv.AppendInt(nil, int64(a.From), 10), nil
	}
	return json.Marshal(strconv.Itoa(a.From) + "-" + strconv.Itoa(a.To))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Amount) UnmarshalJSON(b []byte) error {
	var c Count
	if err := c.UnmarshalJSON(b); err == nil {
		*a = Amount{From: c.N, To: c.N, State: c.State}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		if m := amountForm.FindStringSubmatch(strings.TrimSpace(s)); m != nil {
			from, _ := strconv.Atoi(m[1]) // digits, bounded by the form
			to, _ := strconv.Atoi(m[2])
			if from < to {
				*a = Between(from, to)
				return nil
			}
		}
	}
	return fmt.Errorf("must be a whole number, a range such as %q, or %q", "1000-5000", NotKnown)
}

// Moment is a time, or one of the words not_known and none. The zero value is absent.
type Moment struct {
	At   time.Time
	Word string // "", "not_known", "none"
}

// Absent says that nothing was given.
func (m Moment) Absent() bool { return m.Word == "" && m.At.IsZero() }

// MarshalJSON writes RFC 3339 in UTC, the word, or null.
func (m Moment) MarshalJSON() ([]byte, error) {
	switch {
	case m.Word != "":
		return json.Marshal(m.Word)
	case m.At.IsZero():
		return []byte("null"), nil
	}
	return json.Marshal(m.At.UTC())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Moment) UnmarshalJSON(b []byte) error {
	if string(b) == "null" || string(b) == `""` {
		*m = Moment{}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("must be an RFC 3339 time, %q or %q", NotKnown, "none")
	}
	if s == NotKnown || s == "none" {
		*m = Moment{Word: s}
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("must be an RFC 3339 time, %q or %q", NotKnown, "none")
	}
	*m = Moment{At: t.UTC()}
	return nil
}

// Span is a duration, in ISO 8601 on the outside (P1DT2H, PT5M): weeks, days, hours, minutes and whole seconds.
// A month or a year has no fixed length and is refused.
type Span time.Duration

var spanForm = regexp.MustCompile(`^P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?$`)

// ParseSpan reads an ISO 8601 duration.
func ParseSpan(s string) (Span, error) {
	m := spanForm.FindStringSubmatch(s)
	if m == nil || s == "P" || strings.HasSuffix(s, "T") {
		return 0, fmt.Errorf("must be an ISO 8601 duration such as PT5M or P1D")
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi("0" + m[i+1]) // digits only, bounded by the form
		total += time.Duration(n) * unit
	}
	return Span(total), nil
}

// String is the ISO 8601 form in days, hours, minutes and seconds.
func (s Span) String() string {
	d := time.Duration(s)
	if d < time.Second {
		return "PT0S"
	}
	out := "P"
	if days := d / (24 * time.Hour); days > 0 {
		out += strconv.Itoa(int(days)) + "D"
		d -= days * 24 * time.Hour
	}
	if d < time.Second {
		return out
	}
	out += "T"
	for _, u := range []struct {
		unit time.Duration
		mark string
	}{{time.Hour, "H"}, {time.Minute, "M"}, {time.Second, "S"}} {
		if n := d / u.unit; n > 0 {
			out += strconv.Itoa(int(n)) + u.mark
			d -= n * u.unit
		}
	}
	return out
}

// MarshalJSON writes the ISO 8601 form.
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads the ISO 8601 form.
func (s *Span) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("must be an ISO 8601 duration such as PT5M")
	}
	v, err := ParseSpan(text)
	if err != nil {
		return err
	}
	*s = v
	return nil
}
