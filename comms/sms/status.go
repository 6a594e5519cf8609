package sms

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the provider's signature is an HMAC with SHA-1
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lifeline/comms"
)

// ValidSignature says whether the provider signed this callback: header is its X-Twilio-Signature, and address the public
// URL that was configured, query and all, not what a proxy made of it. The signature is an HMAC-SHA1 over the URL and the
// form's fields in order; the provider is not consistent about a default port, so both forms count.
// https://www.twilio.com/docs/usage/security#validating-requests
func ValidSignature(authToken, address string, form url.Values, header string) bool {
	if authToken == "" || header == "" {
		return false
	}
	valid := false
	for _, u := range []string{address, otherPort(address)} {
		if hmac.Equal([]byte(Signature(authToken, u, form)), []byte(header)) {
			valid = true
		}
	}
	return valid
}

// Signature is what the provider puts into X-Twilio-Signature.
func Signature(authToken, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	mac.Write([]byte(address))
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		values := slices.Clone(form[k])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			mac.Write([]byte(k))
			mac.Write([]byte(v))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// otherPort is the URL with its port left out, or the default one put in. It leaves every other byte alone.
func otherPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	if p := u.Port(); p != "" {
		return scheme + "://" + strings.TrimSuffix(authority, ":"+p) + tail
	}
	port := ":443"
	if strings.EqualFold(scheme, "http") {
		port = ":80"
	}
	return scheme + "://" + authority + port + tail
}

// Status reads a status callback: which message, in what state, and why when it did not arrive. ok is false when the form is
// none. Callbacks come late, twice and in any order: apply a state only if its Rank is higher than that which is known.
func Status(form url.Values) (sid string, state comms.State, reason string, ok bool) {
	sid = first(form, "MessageSid", "SmsSid")
	if !sidForm.MatchString(sid) {
		return "", "", "", false
	}
	status := strings.ToLower(first(form, "MessageStatus", "SmsStatus"))
	code, err := strconv.Atoi(form.Get("ErrorCode"))
	if err != nil || code < 0 || code > 999999 {
		code = 0
	}
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent":
		return sid, comms.Sent, "", true
	case "delivered", "read":
		return sid, comms.Delivered, "", true
	case "undelivered", "failed", "canceled":
		reason = "twilio " + status
		if code != 0 {
			reason = named(code, form.Get("ErrorMessage"))
		}
		if meanings[code].state == comms.Suppressed {
			return sid, comms.Suppressed, reason, true
		}
		return sid, comms.Failed, reason, true
	}
	return "", "", "", false
}

func first(form url.Values, keys ...string) string {
	for _, k := range keys {
		if v := form.Get(k); v != "" {
			return v
		}
	}
	return ""
}

// Inbound reads a text message that somebody sent to one of our numbers. ok is false when the form is none.
// https://www.twilio.com/docs/messaging/guides/webhook-request
func Inbound(form url.Values) (in comms.Incoming, ok bool) {
	in = comms.Incoming{Ref: first(form, "MessageSid", "SmsSid"), From: form.Get("From"), Text: form.Get("Body")}
	if !sidForm.MatchString(in.Ref) || !numberForm.MatchString(in.From) {
		return comms.Incoming{}, false
	}
	if n, err := strconv.Atoi(form.Get("NumMedia")); err == nil && n > 0 {
		in.Media = min(n, 100)
	}
	switch strings.ToUpper(form.Get("OptOutType")) { // the provider has answered these itself
	case "STOP":
		in.Keyword = comms.Stop
	case "START":
		in.Keyword = comms.Start
	case "HELP":
		in.Keyword = comms.Help
	}
	return in, true
}

// Answer is what the provider is answered: it sends the words to whom it asks for, or nothing when there are none (TwiML).
func Answer(words string) []byte {
	if words == "" {
		return []byte(xml.Header + "<Response/>")
	}
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Response><Message>")
	_ = xml.EscapeText(&b, []byte(words)) // a buffer takes all
	b.WriteString("</Message></Response>")
	return b.Bytes()
}
