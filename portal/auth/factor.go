package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"lifeline/store/secret"
)

// The second factor is RFC 6238 as every authenticator app knows it: SHA-1, six digits, steps of 30 seconds, one step of leeway to each side.
const (
	stepSeconds = 30
	stepLeeway  = 1
	factorBytes = 20 // of its secret, what RFC 4226 section 4 recommends
	savedCodes  = 8  // recovery codes
)

var plain32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// factorOf makes the secret of the second factor that an enrolment link leads to: the same at each look, out of the link's own secret and a key that never
// leaves this machine, so that nothing is written before somebody enrols and neither of the two alone gives it away later.
func (k SigningKey) factorOf(link string) string {
	derive := hmac.New(sha256.New, k.private.Seed())
	derive.Write([]byte("lifeline second factor v1\x00" + link))
	return plain32.EncodeToString(derive.Sum(nil)[:factorBytes])
}

// factorURL is what an authenticator app reads from a QR code.
func factorURL(issuer, account, secret string) string {
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		issuer = u.Hostname()
	}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" +
		strings.ReplaceAll(url.Values{"secret": {secret}, "issuer": {issuer}, "digits": {"6"}, "period": {"30"}, "algorithm": {"SHA1"}}.Encode(), "+", "%20")
}

// stepOf finds the time step whose code was typed, later than the last one that was taken: a code works once (RFC 6238 section 5.2).
func stepOf(kept, typed string, last int64, now time.Time) (int64, bool) {
	typed = strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９': // full width, as East Asian keyboards give them
			return r - '０' + '0'
		case r == ' ' || r == '-':
			return -1
		}
		return r
	}, typed)
	at := now.Unix() / stepSeconds
	found, ok := int64(0), false
	for step := at - stepLeeway; step <= at+stepLeeway; step++ {
		code, err := hotp.GenerateCodeCustom(kept, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && step > last && subtle.ConstantTimeCompare([]byte(code), []byte(typed)) == 1 {
			found, ok = step, true
		}
	}
	return found, ok
}

// newCodes makes recovery codes, and the hashes to keep.
func newCodes() (plain []string, kept [][]byte) {
	for range savedCodes {
		code, hash := secret.New()
		plain, kept = append(plain, code), append(kept, hash)
	}
	return plain, kept
}

// QR draws text as a QR code: a path of an SVG whose view box is Size units square, a quiet zone of four around it (ISO/IEC 18004). Size 0 says that the
// text is too long.
type QR struct {
	Size int
	Path string
}

// DrawQR draws text as a QR code.
func DrawQR(text string) QR {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}
	}
	var b strings.Builder
	side, quiet := code.Bounds().Dx(), 4
	for y := range side {
		for x := 0; x < side; x++ {
			from := x
			for x < side && dark(code.At(x, y)) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return QR{side + 2*quiet, b.String()}
}

func dark(c interface{ RGBA() (r, g, b, a uint32) }) bool {
	r, _, _, _ := c.RGBA()
	return r < 0x8000
}
