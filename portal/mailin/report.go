package mailin

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"

	"github.com/emersion/go-message/textproto"

	"lifeline/comms"
	"lifeline/portal/desk"
)

// reported takes a part of a report; false: it is none that a report has.
func (l *letter) reported(media string, body []byte) bool {
	switch media {
	case "message/delivery-status", "message/feedback-report", "message/global-delivery-status":
		l.report.status = append(l.report.status, groups(body)...)
	case "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers":
		l.report.about = body
	default:
		return false
	}
	return true
}

// mostGroups bounds how many recipients of one report are read: our mails have one each.
const mostGroups = 20

// groups reads the fields of a status part: groups with empty lines between them (RFC 3464 2.1).
func groups(body []byte) (all []textproto.Header) {
	r := bufio.NewReader(bytes.NewReader(bytes.TrimLeft(body, "\r\n")))
	for len(all) < mostGroups {
		h, err := textproto.ReadHeader(r)
		if h.Len() > 0 {
			all = append(all, h)
		}
		if err != nil || h.Len() == 0 {
			return all
		}
		for { // several empty lines
			next, err := r.Peek(1)
			if err != nil || next[0] != '\r' && next[0] != '\n' {
				break
			}
			_, _ = r.Discard(1)
		}
	}
	return all
}

// bounce is what a mail says became of one of ours.
type bounce struct {
	state  comms.State // Failed, Suppressed (a complaint); "": nothing final
	reason string
	gone   bool
}

// readReport reads what a mail says of one of ours: in a form made for that, or in words, when it comes from a mail system. ok is false when it speaks
// of none.
func (l *letter) readReport(nullSender bool) (b bounce, ok bool) {
	switch l.report.kind {
	case "delivery-status":
		return l.deliveryStatus(), true
	case "feedback-report":
		return l.feedback(), true
	}
	if !nullSender && !systemSender(l.from) && l.head.Get("X-Failed-Recipients") == "" {
		return b, false
	}
	if l.automatic(nullSender) == desk.AutoSure && !systemSender(l.from) { // somebody is out of office
		return b, false
	}
	return l.inWords(), true
}

func (l *letter) deliveryStatus() (b bounce) {
	for _, h := range l.report.status {
		action := strings.ToLower(strings.TrimSpace(h.Get("Action")))
		if action != "failed" {
			continue
		}
		status := statusForm.FindString(h.Get("Status"))
		_, diagnosis, found := strings.Cut(h.Get("Diagnostic-Code"), ";")
		if !found {
			diagnosis = h.Get("Diagnostic-Code")
		}
		if inner := statusForm.FindString(diagnosis); (status == "" || strings.HasSuffix(status, ".0.0")) && inner != "" {
			status = inner
		}
		return failed(status, header(diagnosis))
	}
	return b
}

func failed(status, words string) bounce {
	return bounce{state: comms.Failed, reason: strings.Join(strings.Fields("returned "+status+" "+words), " "), gone: goneForm.MatchString(status) || status == "" && goneWords.MatchString(words)}
}

// feedback reads a complaint. Only what a reader said of the mail itself is one; a report that it is none (not-spam) or of a virus says nothing of
// what she wants.
func (l *letter) feedback() (b bounce) {
	for _, h := range l.report.status {
		switch strings.ToLower(strings.TrimSpace(h.Get("Feedback-Type"))) {
		case "abuse", "complaint", "opt-out", "opt-out-list", "fraud":
			return bounce{state: comms.Suppressed, reason: "complained"}
		}
	}
	return b
}

// inWords reads what mail systems write that know no form: qmail, and many that answer in the text alone.
func (l *letter) inWords() (b bounce) {
	words := l.subject + "\n" + l.text
	words = words[:min(len(words), 8<<10)]
	if delayed.MatchString(words) && !final.MatchString(words) {
		return b
	}
	status := statusForm.FindString(words)
	switch {
	case strings.HasPrefix(status, "5."), failures.MatchString(words), final.MatchString(words), goneWords.MatchString(words):
		line := reasonLine.FindString(words)
		return failed(status, line)
	}
	return b
}

var (
	statusForm = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`)
	goneForm   = regexp.MustCompile(`^5\.1\.(1|2|3|6|10)$`) // no such mailbox, no such system, no address, moved away, takes no mail
	goneWords  = regexp.MustCompile(`(?i)(user|mailbox|recipient|address|account)[^\n]{0,40}(unknown|not found|does ?n.t exist|does not exist|disabled|unavailable)|no such (user|mailbox|recipient|account|address)|unknown (user|recipient|mailbox)|no mailbox here`)
	failures   = regexp.MustCompile(`(?i)\b5\d\d[ -]|undeliver|could not be delivered|delivery (has )?failed|failure notice|mail delivery failed|returned mail|退信|投递失败|配信できません|配達できません|unzustellbar`)
	delayed    = regexp.MustCompile(`(?i)delay|will (keep|continue|be) (try|retr)|still trying|warning: could not send|not yet been delivered|遅延|延迟`)
	final      = regexp.MustCompile(`(?i)permanent|fatal error|giving up|gave up|will not be retried`)
	reasonLine = regexp.MustCompile(`(?im)^.*(\b5\d\d\b|5\.\d+\.\d+|unknown|no such|not exist|disabled).*$`)
)

// systemSender says whether an address is that of a mail system.
func systemSender(address string) bool {
	local, _, _ := strings.Cut(strings.ToLower(address), "@")
	return local == "mailer-daemon" || local == "mailerdaemon" || local == "postmaster"
}

// automatic says whether a program wrote the mail on its own: by what it says of itself (RFC 3834 2 and 5, and the fields that were used before), or
// by its subject, which is not enough to leave it unread.
func (l *letter) automatic(nullSender bool) desk.Auto {
	h := l.head
	auto, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))), ";")
	precedence := strings.ToLower(strings.TrimSpace(h.Get("Precedence")))
	switch {
	case auto != "" && strings.TrimSpace(auto) != "no", nullSender, systemSender(l.from):
		return desk.AutoSure
	case h.Has("X-Autoreply"), h.Has("X-Autorespond"), h.Has("X-Autoresponder"), h.Has("X-Auto-Reply-From"), h.Has("X-Mail-Autoreply"), h.Has("X-Facebook-Notify"):
		return desk.AutoSure
	case precedence == "auto_reply":
		return desk.AutoSure
	case precedence == "bulk", precedence == "junk", precedence == "list", h.Has("List-Id"), outOfOffice.MatchString(l.subject):
		return desk.AutoMaybe // people write through lists as well
	}
	return desk.ByHand
}

var outOfOffice = regexp.MustCompile(`(?i)^\s*(auto(matic|matische)?[ -]?(reply|response|antwort)|out of (the )?office|abwesenheit|réponse automatique|respuesta automática|resposta automática|自动回复|自動回覆|自動返信|自動応答|不在)`)

// returnAddresses are all addresses in a mail that look like return addresses of ours: in the mail of ours that it carries, and in its text.
func (l *letter) returnAddresses(local, domain string, to []string) (all []string) {
	form := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(local+"+") + `[0-9a-z.]{20,80}@` + regexp.QuoteMeta(domain))
	all = append(all, to...)
	for _, text := range [][]byte{l.report.about, []byte(l.text)} {
		for _, found := range form.FindAll(text[:min(len(text), 256<<10)], 5) {
			all = append(all, string(found))
		}
	}
	for _, h := range l.report.status {
		for fields := h.Fields(); fields.Next(); {
			for _, found := range form.FindAllString(fields.Value(), 2) {
				all = append(all, found)
			}
		}
	}
	return all
}

// aboutIDs are the Message-IDs of the mail of ours that a report carries.
func (l *letter) aboutIDs() []string {
	text := l.report.about
	if text == nil {
		text = []byte(l.text)
	}
	return append(messageIDs(string(text[:min(len(text), 64<<10)])), l.refs...)
}
