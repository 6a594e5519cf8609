package templates

import (
	"crypto/sha256"
	"strings"
)

// codeLetters have none that is taken for another when it is read aloud or typed (Crockford's base 32).
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeLength is how many of them a code has, 35 bits: a text message in Japanese has no room for more.
const codeLength = 7

// CheckCode is the code that every message of an update carries: by it anybody finds out on our own page whether a message is ours, and what it truly says.
// It follows from the update's id, so a preview shows the code that will be sent.
func CheckCode(update string) string {
	sum := sha256.Sum256([]byte("message " + update))
	code := make([]byte, codeLength)
	for i := range code {
		code[i] = codeLetters[sum[i]%32]
	}
	return string(code)
}

// ReadCode is a code as somebody typed it, in the form of [CheckCode]; "": it can be none.
func ReadCode(typed string) string {
	typed = strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", "#", "", " ", "").Replace(strings.ToUpper(strings.TrimSpace(typed)))
	if len(typed) != codeLength || strings.Trim(typed, codeLetters) != "" {
		return ""
	}
	return typed
}

// ShownCode is a code in two groups, as people read it.
func ShownCode(code string) string { return code[:codeLength/2] + "-" + code[codeLength/2:] }

// checking says where a message can be checked, and by which code.
func (w *writer) checking() Phrase {
	code := ShownCode(CheckCode(w.u.ID))
	base := strings.TrimSuffix(w.v.URL, "/")
	if !isLink(base) {
		return w.say("update.code", code)
	}
	at := base + "/verify"
	return w.say("update.check", code, Phrase{{Text: at, Link: at}})
}
