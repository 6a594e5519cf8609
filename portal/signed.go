package portal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"strings"
	"time"

	"lifeline/store/fault"
	"lifeline/store/limit"
)

// What a source with a secret sends is signed as Standard Webhooks are (https://github.com/standard-webhooks/standard-webhooks, version 1):
// webhook-signature holds "v1," and the base64 of HMAC-SHA256 over webhook-id, webhook-timestamp and the body, joined by dots. The secret is
// "whsec_" and the base64 of the key.

// Secrets are the keys of the sources that sign, by the source's name; any of several counts, so that one can be changed for another.
type Secrets map[string][][]byte

// ParseSecrets reads "product=whsec_... billing=whsec_...", separated by spaces.
func ParseSecrets(text string) (Secrets, error) {
	all := Secrets{}
	for i, item := range strings.Fields(text) {
		source, secret, ok := strings.Cut(item, "=")
		if !ok || source == "" {
			return nil, fault.New(fault.Invalid, "item %d is not SOURCE=whsec_...", i+1)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || !strings.HasPrefix(secret, "whsec_") || len(key) < 16 {
			return nil, fault.New(fault.Invalid, "the secret of %s is not whsec_ and the base64 of at least 16 bytes", source)
		}
		source = strings.ToLower(source)
		all[source] = append(all[source], key)
	}
	return all, nil
}

// signedWithin is how far a signature's time may lie from ours, and so how long it has to be remembered.
const signedWithin = 5 * time.Minute

// signature is a signed message while its body is read.
type signature struct {
	id, stamp string
	given     []string
	macs      []hash.Hash
}

var errSignature = fault.New(fault.Forbidden, "this source signs what it sends, and the signature is missing or wrong (webhook-id, webhook-timestamp, webhook-signature)")

// signature reads the headers of a message of a source; nil when the source has no secret.
func (k *call) signature(source string) (*signature, error) {
	keys := k.p.Secrets[strings.ToLower(strings.TrimSpace(source))]
	if len(keys) == 0 || k.Context().UserValue(controlKey) == true { // who can open the control socket needs no secret
		return nil, nil
	}
	s := &signature{id: k.Get("webhook-id"), stamp: k.Get("webhook-timestamp"), given: strings.Fields(k.Get("webhook-signature"))}
	seconds, err := parseInt(s.stamp)
	if s.id == "" || len(s.id) > 255 || err != nil || len(s.given) == 0 || len(s.given) > 20 {
		return nil, errSignature
	}
	if off := k.p.DB.Now().Sub(time.Unix(seconds, 0)); off > signedWithin || off < -signedWithin {
		return nil, fault.New(fault.Forbidden, "the signature is not of these five minutes: send it anew, with a clock that is right")
	}
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, s.id+"."+s.stamp+".")
		s.macs = append(s.macs, mac)
	}
	return s, nil
}

// Write takes the body.
func (s *signature) Write(b []byte) (int, error) {
	for _, m := range s.macs {
		m.Write(b)
	}
	return len(b), nil
}

// right says whether one of the signatures is that of one of the keys.
func (s *signature) right() bool {
	for _, m := range s.macs {
		want := []byte("v1," + base64.StdEncoding.EncodeToString(m.Sum(nil)))
		for _, given := range s.given {
			if hmac.Equal([]byte(given), want) {
				return true
			}
		}
	}
	return false
}

// judge refuses a wrong signature, and a right one that was there before: the same message is taken once. A sender who tries again signs anew,
// with the time of the new try.
func (k *call) judge(s *signature, source string) error {
	if !s.right() {
		return errSignature
	}
	err := limit.Take(k.UserContext(), k.p.DB, "signed by "+source+" "+s.stamp+" "+s.id, 1, 2*signedWithin)
	var many *fault.Error
	if errors.As(err, &many) && many.Kind == fault.TooMany {
		return fault.New(fault.Conflict, "this very message was received before")
	}
	return err
}

// signedBody checks a body that was read already.
func (k *call) signedBody(source string) error {
	s, err := k.signature(source)
	if s == nil || err != nil {
		return err
	}
	_, _ = s.Write(k.Request().Body())
	return k.judge(s, source)
}
