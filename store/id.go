package store

import (
	"crypto/sha256"
	"strings"

	"github.com/google/uuid"

	"lifeline/store/fault"
)

// Ids are TypeIDs (https://github.com/jetify-com/typeid, version 0.3): a kind's prefix, "_", and a UUIDv7 (RFC 9562) in 26
// characters of Crockford's base 32, so that an id says what it names and sorts by the time it was made.

const base32Digits = "0123456789abcdefghjkmnpqrstvwxyz"

// base32Values is what each digit stands for; noDigit where a byte is none.
var base32Values = func() (values [256]byte) {
	for i := range values {
		values[i] = noDigit
	}
	for i := range len(base32Digits) {
		values[base32Digits[i]] = byte(i)
	}
	return values
}()

const noDigit = 0xff

// NewSuffix is the part of a new id behind the prefix.
func NewSuffix() string { return encodeSuffix(uuid.Must(uuid.NewV7())) }

func encodeSuffix(u uuid.UUID) string {
	var out [26]byte
	// 128 bits in 26 digits of 5: the first digit holds the top 3 bits.
	var acc uint32
	bits := 2 // two zero bits in front
	n := 0
	for _, b := range u {
		acc = acc<<8 | uint32(b)
		bits += 8
		for bits >= 5 {
			bits -= 5
			out[n] = base32Digits[acc>>bits&31]
			n++
		}
	}
	return string(out[:])
}

// Brief is the suffix of an id in the bytes that it was made of: a third of what the text takes, without a pointer.
type Brief [16]byte

// Briefly is the suffix of an id in brief. Of what is not well-formed it is a sum, which differs from everything else's as well, but of which the text cannot be
// had again: not whole.
func Briefly(id string) (b Brief, whole bool) {
	_, suffix, _ := strings.Cut(id, "_")
	if !wellFormed(suffix) {
		sum := sha256.Sum256([]byte(id))
		return Brief(sum[:len(b)]), false
	}
	var acc uint32
	bits := -2 // two zero bits in front
	n := 0
	for i := range len(suffix) {
		acc = acc<<5 | uint32(base32Values[suffix[i]])
		if bits += 5; bits >= 8 {
			bits -= 8
			b[n] = byte(acc >> bits)
			n++
		}
	}
	return b, true
}

// Suffix is the text again.
func (b Brief) Suffix() string { return encodeSuffix(uuid.UUID(b)) }

func wellFormed(suffix string) bool {
	if len(suffix) != 26 || suffix[0] > '7' {
		return false
	}
	for i := range len(suffix) {
		if base32Values[suffix[i]] == noDigit {
			return false
		}
	}
	return true
}

// CheckID says whether id is one of kind k: the right prefix and, unless its ids are composed, a well-formed suffix.
func (k Kind) CheckID(id string) error {
	prefix, suffix, found := strings.Cut(id, "_")
	if !found || prefix != k.Prefix {
		return fault.New(fault.NotFound, "%.80q is not the id of a %s (they begin with %q)", id, k.Name, k.Prefix+"_")
	}
	if k.Composed {
		return nil
	}
	if !wellFormed(suffix) {
		return fault.New(fault.NotFound, "%.80q is not a well-formed id of a %s", id, k.Name)
	}
	return nil
}
