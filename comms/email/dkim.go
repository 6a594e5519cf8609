package email

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"hash"
	"strconv"
	"strings"
	"time"

	"lifeline/store/fault"
)

// DKIM says how to sign (RFC 6376). Selector and Key may each hold several, selectors separated by spaces and keys as PEM
// blocks one after the other, in the same order: the message is then signed by each, as with an RSA key for everybody and
// an Ed25519 key (RFC 8463) for those who know it. Domain is one, or as many.
type DKIM struct {
	Domain   string
	Selector string
	Key      string
}

// signed are the fields under the signature. The first ones are named once more than they occur, so that nobody can add a
// second one; those of RFC 8058 must be covered, or one click does not count.
var signed = []string{
	"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID",
	"Reply-To", "In-Reply-To", "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Language",
	"Auto-Submitted", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post",
}

// signer signs messages; nil signs nothing. A library that reads each message from its first byte to its last costs 190 microseconds for each person of a
// broadcast; here what everybody gets is made ready once, see [relaxed].
type signer struct {
	keys []signingKey
	now  func() time.Time
}

// signingKey makes one signature.
type signingKey struct {
	crypto.Signer
	domain, selector string
	hash             crypto.Hash // of what Sign is given, as it wants to be told: 0 for Ed25519
	begin            string      // of the header field, up to the time
}

func newSigningKey(domain, selector string, k crypto.Signer) signingKey {
	kind, hash := "rsa", crypto.SHA256
	if _, ok := k.(ed25519.PrivateKey); ok {
		kind, hash = "ed25519", crypto.Hash(0) // RFC 8463 3: the digest itself is the message
	}
	names := folded(strings.Join(signed, ": "), len(" h="))
	return signingKey{k, domain, selector, hash, "DKIM-Signature: v=1; a=" + kind + "-sha256; c=relaxed/relaxed;\r\n d=" + domain + "; s=" + selector + ";\r\n h=" + names + ";\r\n t="}
}

func newSigner(d DKIM, now func() time.Time) (*signer, error) {
	domains, selectors := fields(d.Domain), fields(d.Selector)
	key := strings.TrimSpace(d.Key)
	if len(domains) == 0 && len(selectors) == 0 && key == "" {
		return nil, nil
	}
	if len(domains) == 0 || len(selectors) == 0 || key == "" {
		return nil, fault.BadField("dkim", "needs domain, selector and key together")
	}
	keys, err := parseKeys([]byte(key))
	if err != nil {
		return nil, err
	}
	if len(keys) != len(selectors) || len(domains) != 1 && len(domains) != len(keys) {
		return nil, fault.BadField("dkim", "has %d keys, %d selectors and %d domains; there must be as many selectors as keys, and one domain or as many", len(keys), len(selectors), len(domains))
	}
	s := &signer{now: now}
	for i, k := range keys {
		s.keys = append(s.keys, newSigningKey(domains[min(i, len(domains)-1)], selectors[i], k))
	}
	if _, err := s.sign(nil, sha256.Sum256(nil), []byte("From: check@example.com\r\n")); err != nil {
		return nil, fault.BadField("dkim", "does not sign: %s", err)
	}
	return s, nil
}

// Signing is what puts the signatures before a finished message, for whoever measures what they cost.
func (d DKIM) Signing() (func(msg []byte) ([]byte, error), error) {
	s, err := newSigner(d, time.Now)
	if err != nil {
		return nil, err
	}
	return func(msg []byte) ([]byte, error) {
		head, body, _ := bytes.Cut(msg, []byte("\r\n\r\n"))
		sum := newBodySum()
		sum.add(newRelaxed(body))
		signatures, err := s.sign(nil, sum.sum(), head, crlf)
		return append(signatures, msg...), err
	}, nil
}

// Record is what the DNS has to say for a signature to hold: a TXT record.
type Record struct {
	Name   string // SELECTOR._domainkey.DOMAIN
	Domain string
	Text   string
}

// Records are the records of all keys that sign; none when nothing is signed.
func (d DKIM) Records() (all []Record, err error) {
	s, err := newSigner(d, time.Now)
	if err != nil || s == nil {
		return nil, err
	}
	for _, k := range s.keys {
		kind, public := "rsa", []byte(nil)
		if bare, ok := k.Public().(ed25519.PublicKey); ok { // RFC 8463: the bare key
			kind, public = "ed25519", bare
		} else if public, err = x509.MarshalPKIXPublicKey(k.Public()); err != nil {
			return nil, err
		}
		all = append(all, Record{Name: k.selector + "._domainkey." + k.domain, Domain: k.domain, Text: "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public)})
	}
	return all, nil
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == ',' || c == ';' || c == '\n' || c == '\t' })
}

// parseKeys reads private keys in PEM: PKCS #8, or PKCS #1 for RSA.
func parseKeys(rest []byte) ([]crypto.Signer, error) {
	var keys []crypto.Signer
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		k, err := parseKey(block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fault.BadField("dkim", "has a key that is not PEM")
	}
	return keys, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if k, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, fault.BadField("dkim", "has a key that is neither PKCS #8 nor PKCS #1; an encrypted one must be decrypted first")
		}
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 1024 {
			return nil, fault.BadField("dkim", "has an RSA key under 1024 bits, which verifiers refuse (RFC 8301)")
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fault.BadField("dkim", "has a key that is neither RSA nor Ed25519")
}

// sign appends the signatures, as header fields, of a message with this digest of its body and these header fields, in one block or several of whole lines.
func (s *signer) sign(dst []byte, body [sha256.Size]byte, header ...[]byte) ([]byte, error) {
	under := make([]byte, 0, 4<<10)
	all := headerFields(make([][]byte, 0, 32), header)
	for _, name := range signed {
		for i := len(all) - 1; i >= 0; i-- { // from the last one on (RFC 6376 5.4.2)
			if f := all[i]; len(f) > len(name) && f[len(name)] == ':' && strings.EqualFold(string(f[:len(name)]), name) {
				under, all[i] = relaxedField(under, f), nil
				break
			}
		}
	}
	const wide = 72 // characters of base 64 in a line
	digest := sha256.New()
	for _, k := range s.keys {
		from := len(dst)
		dst = strconv.AppendInt(append(dst, k.begin...), s.now().Unix(), 10)
		dst = base64.StdEncoding.AppendEncode(append(dst, ";\r\n bh="...), body[:])
		dst = append(dst, ";\r\n b="...)
		digest.Reset()
		digest.Write(under)
		digest.Write(bytes.TrimSuffix(relaxedField(make([]byte, 0, 1<<10), dst[from:]), crlf))
		signature, err := k.Sign(rand.Reader, digest.Sum(nil), k.hash)
		if err != nil {
			return nil, err
		}
		for line := base64.StdEncoding.EncodeToString(signature); line != ""; {
			n := min(wide, len(line))
			dst = append(dst, line[:n]...)
			if line = line[n:]; line != "" {
				dst = append(dst, "\r\n "...)
			}
		}
		dst = append(dst, crlf...)
	}
	return dst, nil
}

var crlf = []byte("\r\n")

// headerFields takes header blocks apart into fields, folded lines and all.
func headerFields(all [][]byte, header [][]byte) [][]byte {
	for _, block := range header {
		for len(block) > 0 {
			n := bytes.IndexByte(block, '\n') + 1
			if n == 0 {
				n = len(block)
			}
			if at := len(all) - 1; at >= 0 && (block[0] == ' ' || block[0] == '\t') {
				all[at] = all[at][:len(all[at])+n] // it stands behind it
			} else {
				all = append(all, block[:n])
			}
			block = block[n:]
		}
	}
	return all
}

// relaxedField appends a header field as it is signed (RFC 6376 3.4.2).
func relaxedField(dst, field []byte) []byte {
	name, value, _ := bytes.Cut(field, []byte(":"))
	for _, c := range bytes.TrimRight(name, " \t") {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	space, begun := false, false
	for _, c := range value {
		switch c {
		case '\r', '\n':
		case ' ', '\t':
			space = begun
		default:
			if space {
				dst = append(dst, ' ')
			}
			dst, space, begun = append(dst, c), false, true
		}
	}
	return append(dst, crlf...)
}

// relaxed is a part of a body as it is signed (RFC 6376 3.4.4): no space ends a line, between words there is one, and the line ends behind the text count only once more
// follows. A part begins a line, or is what comes behind an encoded body, which ends in no space.
type relaxed struct {
	text []byte
	ends int
}

func newRelaxed(part []byte) relaxed { return appendRelaxed(make([]byte, 0, len(part)), part) }

// appendRelaxed makes it in memory that is there.
func appendRelaxed(dst, part []byte) relaxed {
	space, ends := false, 0
	for i := 0; i < len(part); i++ {
		switch c := part[i]; c {
		case '\r':
		case '\n':
			space, ends = false, ends+1
		case ' ', '\t':
			space = true
		default:
			for ; ends > 0; ends-- {
				dst = append(dst, crlf...)
			}
			if space {
				dst = append(dst, ' ')
			}
			dst, space = append(dst, c), false
		}
	}
	return relaxed{dst, ends}
}

// bodySum is the digest of a body that comes in parts.
type bodySum struct {
	hash hash.Hash
	some bool // text has come
	ends int  // line ends that have come behind it
}

func newBodySum() *bodySum { return &bodySum{hash: sha256.New()} }

func (s *bodySum) add(r relaxed) {
	if len(r.text) > 0 {
		for ; s.ends > 0; s.ends-- {
			s.hash.Write(crlf)
		}
		s.hash.Write(r.text)
		s.some = true
	}
	s.ends += r.ends
}

// sum is the digest: whatever empty lines end it, the body ends in one line end, and in none when there is nothing in it.
func (s *bodySum) sum() (digest [sha256.Size]byte) {
	if s.some {
		s.hash.Write(crlf)
	}
	s.hash.Sum(digest[:0])
	return digest
}
