package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"
)

// linkBytes of a signature stay in a link: 128 bits, which nobody guesses over the network, and short enough for a text message.
const linkBytes = 16

// linkMAC is the HMAC under which links are signed, with memory to work in: a broadcast signs two for each person.
type linkMAC struct {
	hash.Hash
	room []byte
}

// SignLink makes a token that only this key could have made for a purpose: the subject, which it shows, and a signature (HMAC-SHA-256 under a
// key derived from the signing key, so that a token is never a JWT and a JWT never a link). It keeps no state: how long it holds, and whether
// it was used, is a matter of the record that the subject names.
func (k SigningKey) SignLink(purpose, subject string) string {
	sum := k.whole(purpose, subject)
	var end [32]byte
	return subject + "." + string(base64.RawURLEncoding.AppendEncode(end[:0], sum[:linkBytes]))
}

// OpenLink reads the subject of a token that SignLink made for the purpose; false when it was not.
func (k SigningKey) OpenLink(purpose, token string) (subject string, ok bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", false
	}
	sum, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil || !k.signed(sum, purpose, token[:at]) {
		return "", false
	}
	return token[:at], true
}

// signed says whether a sum is that of a link.
func (k SigningKey) signed(sum []byte, purpose, subject string) bool {
	want := k.whole(purpose, subject)
	return hmac.Equal(sum, want[:linkBytes])
}

// whole is the signature uncut.
func (k SigningKey) whole(purpose, subject string) (sum [sha256.Size]byte) {
	if k.links == nil {
		panic("auth: a link is asked of a key that was never opened") // under no key anybody could sign it
	}
	mac := k.links.Get().(*linkMAC) // used before, it need not take in the key again
	defer k.links.Put(mac)
	mac.Reset()
	mac.room = append(append(append(mac.room[:0], purpose...), 0), subject...)
	mac.Write(mac.room)
	mac.room = mac.Sum(mac.room[:0])
	return [sha256.Size]byte(mac.room)
}

// SignPage signs what the static page holds, so that a copy of it elsewhere can be told from a forged one. CheckPage needs the public key alone.
func (k SigningKey) SignPage(manifest []byte) []byte {
	return ed25519.Sign(k.private, pageMessage(manifest))
}

// CheckPage says whether SignPage of the key made the signature.
func CheckPage(public ed25519.PublicKey, manifest, signature []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, pageMessage(manifest), signature)
}

// pageMessage keeps a signed page from being anything else that this key signs.
func pageMessage(manifest []byte) []byte { return append([]byte("lifeline page v1\x00"), manifest...) }
