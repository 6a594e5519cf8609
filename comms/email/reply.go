package email

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeline/comms"
)

// Bounds on what a relay may answer; RFC 5321 4.5.3.1.5 allows 512 bytes a line.
const (
	maxReplyLines = 64
	maxReasonText = 200 // runes
)

var errReply = errors.New("the relay's answer is not SMTP")

// reply is one answer of a relay.
type reply struct {
	code     int
	enhanced string // RFC 2034, such as 5.1.1, or ""
	text     string // what follows, cleaned and bounded
}

// String is the named reason: "smtp 550 5.1.1 no such user".
func (r reply) String() string {
	s := "smtp " + strconv.Itoa(r.code)
	if r.enhanced != "" {
		s += " " + r.enhanced
	}
	if r.text != "" {
		s += " " + r.text
	}
	return s
}

func (r reply) class() int { return r.code / 100 }

// mostKnown bounds how many answers of one line a session knows by heart.
const mostKnown = 16

// readReply reads one answer, of several lines perhaps, and no more of it than the bounds allow. What a relay answers to everybody's commands is taken apart once and then
// known by its line; known nil: it is this message's own.
func readReply(br *bufio.Reader, known map[string]reply) (reply, error) {
	var (
		r    reply
		text strings.Builder
	)
	for range maxReplyLines {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, errReply
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return reply{}, err
		}
		if was, ok := known[string(line)]; ok && r.code == 0 {
			return was, nil
		}
		s := string(bytes.TrimRight(line, "\r\n"))
		code, more, rest, ok := splitReply(s)
		if !ok || r.code != 0 && code != r.code {
			return reply{}, errReply
		}
		r.code = code
		if !more && text.Len() == 0 {
			r.enhanced, r.text = splitEnhanced(rest, code)
			if known != nil && len(known) < mostKnown {
				known[string(line)] = r
			}
			return r, nil
		}
		if text.Len() > 0 {
			text.WriteByte(' ')
		}
		if text.Len() < 4*maxReasonText {
			text.WriteString(rest)
		}
		if !more {
			r.enhanced, r.text = splitEnhanced(text.String(), code)
			return r, nil
		}
	}
	return reply{}, errReply
}

// wholeReply says whether what has come begins with a whole answer.
func wholeReply(come []byte) bool {
	for {
		line, rest, ok := bytes.Cut(come, []byte("\n"))
		if !ok || len(line) < 4 || line[3] != '-' {
			return ok
		}
		come = rest
	}
}

func splitReply(s string) (code int, more bool, rest string, ok bool) {
	if len(s) < 3 {
		return 0, false, "", false
	}
	for _, c := range []byte(s[:3]) {
		if c < '0' || c > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", false
	}
	if len(s) == 3 {
		return code, false, "", true
	}
	if s[3] != ' ' && s[3] != '-' {
		return 0, false, "", false
	}
	return code, s[3] == '-', s[4:], true
}

// splitEnhanced takes the enhanced status code off a reply's text; lines after the first may repeat it.
func splitEnhanced(text string, code int) (enhanced, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	class, detail, _ := strings.Cut(word, ".")
	subject, detail, _ := strings.Cut(detail, ".")
	if len(class) != 1 || int(class[0]-'0') != code/100 || !upTo999(subject) || !upTo999(detail) {
		return "", clean(text)
	}
	return word, clean(strings.ReplaceAll(rest, " "+word+" ", " "))
}

func upTo999(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// clean makes a stranger's text safe to store and show: printable, one line, bounded.
func clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	n, space := 0, false
	for _, c := range s {
		if c == utf8.RuneError || !unicode.IsPrint(c) || unicode.IsSpace(c) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		if n++; n > maxReasonText {
			b.WriteString("…")
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// plain says that clean would leave a text as it is: one short line of printable ASCII without a space too many.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && (i == 0 || i == len(s)-1 || s[i+1] == ' ') {
			return false
		}
	}
	return len(s) <= maxReasonText
}

// phase is where a transaction stands when an answer comes.
type phase string

const (
	phaseReset   phase = "RSET"
	phaseMail    phase = "MAIL"
	phaseRcpt    phase = "RCPT"
	phaseData    phase = "DATA"
	phaseContent phase = "end of data"
)

// blame says what a refusal speaks of.
type blame int

const (
	blameNobody  blame = iota // accepted
	blameMessage              // this message or its recipient: another relay would say the same
	blameRelay                // the relay, or our standing with it: another may well take the message
)

// nobodyThere are the statuses that speak of an address at which there is no mailbox (RFC 3463 3.2, RFC 7505).
var nobodyThere = []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}

// usedUp are the statuses of a quota (RFC 3463 3.5, 3.8; what Google and Amazon answer when a day's or a second's messages are used up).
var usedUp = []string{"4.4.5", "5.4.5", "4.7.0"}

// unfit says that an answer speaks of the relay's own state for now, as a full disk (RFC 3463 3.4), though perhaps of this message alone: another relay may take it, and
// this one goes on with others.
func (r reply) unfit() bool {
	return r.class() == 4 && strings.HasPrefix(r.enhanced, "4.3.") && r.enhanced != "4.3.4"
}

// judge turns a relay's answer into the outcome of a delivery and says whom to blame. What a relay says to MAIL is about
// the sender, whatever the class: a relay that wants a password or does not like our From must not mark thousands of people
// as unreachable for good, so it counts as trouble with the relay. Only "too large" speaks of the message there.
//
// A quota that is used up is our standing with the relay too, whatever it is said to: large providers say 5.4.5 or 4.7.0 to the content of each message of the
// rest of a day, and not one of those people is unreachable for it.
func judge(p phase, r reply) (comms.Outcome, blame) {
	tooLarge := r.code == 552 || r.enhanced == "5.3.4"
	switch {
	case p == phaseContent && r.class() == 2:
		return comms.Outcome{State: comms.Sent, Ref: r.text}, blameNobody
	case r.code == 421, slices.Contains(usedUp, r.enhanced):
		return comms.Outcome{State: comms.Deferred, Reason: r.String()}, blameRelay
	case p == phaseMail && !tooLarge:
		return comms.Outcome{State: comms.Deferred, Reason: r.String() + " (to our sender address)"}, blameRelay
	case r.class() == 4:
		return comms.Outcome{State: comms.Deferred, Reason: r.String()}, blameMessage
	case r.class() == 5:
		return comms.Outcome{State: comms.Failed, Reason: r.String(), Gone: p == phaseRcpt && slices.Contains(nobodyThere, r.enhanced)}, blameMessage
	}
	return comms.Outcome{State: comms.Deferred, Reason: r.String() + " (unexpected)"}, blameRelay
}
