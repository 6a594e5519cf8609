// Package secret makes what strangers must not guess, and what people must be able to say over the telephone.
//
// A secret is 130 random bits in Crockford's base 32 (https://www.crockford.com/base32.html), in groups of five or so for typing. It
// is shown once; what is kept is its [Hash], and [Match] compares in constant time. Because secrets are random and never chosen by
// people, one round of SHA-256 is enough: do not use this package for passwords. Numbers and phrases are no secrets at all.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"math/big"
	"strings"
)

const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// length is 26 digits of five bits.
const length = 26

// New makes a secret in the form that a person is shown, such as "7K3M9-…" in five groups, and the hash to keep.
func New() (plain string, hash []byte) {
	s := random(length)
	plain = s[:5] + "-" + s[5:10] + "-" + s[10:15] + "-" + s[15:20] + "-" + s[20:]
	return plain, Hash(plain)
}

// Token makes the same secret in one piece and lower case, for links, cookies and headers.
func Token() (plain string, hash []byte) {
	plain = strings.ToLower(random(length))
	return plain, Hash(plain)
}

// Hash is what is kept of a secret, 32 bytes. It is the same however a person typed the secret: see [Normal].
func Hash(plain string) []byte {
	sum := sha256.Sum256([]byte("lifeline secret\x00" + Normal(plain)))
	return sum[:]
}

// Match says whether plain is the secret of hash, in a time that does not depend on where they differ. Nothing matches an empty
// secret or an empty hash.
func Match(plain string, hash []byte) bool {
	same := subtle.ConstantTimeCompare(Hash(plain), hash) == 1
	return same && Normal(plain) != ""
}

// Normal reads a secret or a number as people type it: in either case, with I and L for 1 and O for 0, with spaces and hyphens
// anywhere. Text that cannot be one, because it is far too long or has other characters, becomes "".
func Normal(typed string) string {
	if len(typed) > 4*length {
		return ""
	}
	var b strings.Builder
	for _, r := range typed {
		switch r {
		case ' ', '-', '\t', '\n', '\r', '\u00a0', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014':
			continue
		}
		switch {
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		case r >= 'Ａ' && r <= 'Ｚ': // full width, as East Asian keyboards give them
			r -= 'Ａ' - 'A'
		case r >= 'ａ' && r <= 'ｚ':
			r -= 'ａ' - 'A'
		case r >= '０' && r <= '９':
			r -= '０' - '0'
		}
		switch r {
		case 'I', 'L':
			r = '1'
		case 'O':
			r = '0'
		}
		if r > 'Z' || !strings.ContainsRune(digits, r) {
			return ""
		}
		b.WriteRune(r)
	}
	return b.String()
}

// numberLength is 45 bits: among a million tickets two draw the same number with a chance of 1 in 70, and a unique index
// refuses it.
const numberLength = 9

// Number makes a number for people to quote, such as "7K3-M9Q-2X4". It is random so that it says nothing of how many there are or
// who came before; it is not a secret and opens nothing.
func Number() string {
	s := random(numberLength)
	return s[:3] + "-" + s[3:6] + "-" + s[6:]
}

// NormalNumber is a number in the form in which [Number] made it, however it was typed; "" when it cannot be one.
func NormalNumber(typed string) string {
	s := Normal(typed)
	if len(s) != numberLength {
		return ""
	}
	return s[:3] + "-" + s[3:6] + "-" + s[6:]
}

// Phrase draws two different words that staff quote first, so that a customer knows that the caller has her ticket in front of him.
// Twenty bits keep a cold caller from guessing; it opens nothing.
func Phrase() string {
	first, second := pick(), pick()
	for second == first {
		second = pick()
	}
	return first + " " + second
}

// words are what phrases are drawn from, in alphabetical order: short, friendly, and no two that one wrong letter confuses.
var words = strings.Fields(list)

func pick() string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		panic(err) // crypto/rand.Reader never fails (Go 1.24)
	}
	return words[n.Int64()]
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (Go 1.24)
	for i := range b {
		b[i] = digits[b[i]&31]
	}
	return string(b)
}
