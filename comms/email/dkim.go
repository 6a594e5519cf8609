package email

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

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

// signer signs messages; nil signs nothing.
type signer struct {
	options []*dkim.SignOptions
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
	s := &signer{}
	for i, k := range keys {
		s.options = append(s.options, &dkim.SignOptions{
			Domain: domains[min(i, len(domains)-1)], Selector: selectors[i], Signer: k, HeaderKeys: signed,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
	}
	var sample bytes.Buffer
	fmt.Fprintf(&sample, "From: check@example.com\r\nDate: %s\r\n\r\n\r\n", now().Format(time.RFC1123Z))
	if err := s.sign(&sample); err != nil {
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
		buf := bytes.NewBuffer(bytes.Clone(msg))
		err := s.sign(buf)
		return buf.Bytes(), err
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
	for _, o := range s.options {
		kind, public := "rsa", []byte(nil)
		if k, ok := o.Signer.Public().(ed25519.PublicKey); ok { // RFC 8463: the bare key
			kind, public = "ed25519", k
		} else if public, err = x509.MarshalPKIXPublicKey(o.Signer.Public()); err != nil {
			return nil, err
		}
		all = append(all, Record{Name: o.Selector + "._domainkey." + o.Domain, Domain: o.Domain, Text: "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(public)})
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

// sign puts the signatures before the message in buf.
func (s *signer) sign(buf *bytes.Buffer) error {
	if s == nil {
		return nil
	}
	var head strings.Builder
	for _, o := range s.options {
		d, err := dkim.NewSigner(o)
		if err != nil {
			return err
		}
		if _, err := d.Write(buf.Bytes()); err != nil {
			_ = d.Close()
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
		head.WriteString(d.Signature())
	}
	msg := append([]byte(nil), buf.Bytes()...)
	buf.Reset()
	buf.WriteString(head.String())
	buf.Write(msg)
	return nil
}
