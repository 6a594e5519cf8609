package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"lifeline/store/fault"
)

// Cost is what one guess of a password costs. The zero value is the second choice of RFC 9106 section 4: argon2id with 64 MiB, three passes and four lanes.
type Cost struct {
	Passes uint32
	KiB    uint32
	Lanes  uint8
}

func (c Cost) or() Cost {
	if c == (Cost{}) {
		return Cost{3, 64 << 10, 4}
	}
	return c
}

const (
	shortestPassword = 12   // characters
	longestPassword  = 1024 // bytes; more is no better and makes hashing slow
	fewestDifferent  = 6    // characters of a password
	saltBytes        = 16
	hashBytes        = 32
	hashesAtOnce     = 2               // each holds Cost.KiB while it runs, so that strangers cannot fill the memory
	hashWait         = 3 * time.Second // for a place among them
)

// badPassword says what is wrong with a password that somebody chose, "" when nothing is. Of shares of it that others can guess it knows her own names.
func badPassword(password string, own ...string) string {
	folded, different := strings.ToLower(password), map[rune]bool{}
	for _, r := range folded {
		different[r] = true
	}
	switch {
	case utf8.RuneCountInString(password) < shortestPassword:
		return fmt.Sprintf("has fewer than %d characters; three or four words that do not belong together are easy to keep", shortestPassword)
	case len(password) > longestPassword:
		return fmt.Sprintf("is longer than %d bytes", longestPassword)
	case len(different) < fewestDifferent:
		return "is too much of the same; take words that do not belong together"
	}
	for _, name := range own {
		for _, part := range strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" @.-_", r) }) {
			if len(part) >= 4 && strings.Contains(folded, part) {
				return "holds a part of your name or address"
			}
		}
	}
	if strings.Contains("12345678901234567890 qwertyuiopasdfghjklzxcvbnm abcdefghijklmnopqrstuvwxyz", folded) || triedFirst(folded) {
		return "is one of the first that everybody tries"
	}
	return ""
}

//go:embed common.txt
var commonList string

// common are the passwords of the list. It is read when somebody first chooses one.
var common = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(commonList) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") {
			all[line] = true
		}
	}
	return all
})

// triedFirst says whether a password is a common one, or one or two of them with digits and marks around: most who must add something add that.
func triedFirst(folded string) bool {
	bare := func(s string) string {
		return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	}
	if all := common(); all[folded] || all[bare(folded)] {
		return true
	}
	for i := range folded {
		if common()[bare(folded[:i])] && common()[bare(folded[i:])] {
			return true
		}
	}
	return false
}

// seat waits for a place among those who hash; the answer gives it back.
func (g *Gate) seat(ctx context.Context) (func(), error) {
	g.mu.Lock()
	if g.hashing == nil {
		g.hashing = make(chan struct{}, hashesAtOnce)
	}
	seats := g.hashing
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case seats <- struct{}{}:
		return func() { <-seats }, nil
	case <-ctx.Done():
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "too many people sign in at once; try again in a moment", Wait: hashWait}
	}
}

// hash is what is kept of a password, in the PHC string format.
func (g *Gate) hash(ctx context.Context, password string) (string, error) {
	done, err := g.seat(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	c, salt := g.Cost.or(), make([]byte, saltBytes)
	rand.Read(salt) // never fails (Go 1.24)
	return c.phc(salt, argon2.IDKey([]byte(password), salt, c.Passes, c.KiB, c.Lanes, hashBytes)), nil
}

func (c Cost) phc(salt, sum []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.KiB, c.Passes, c.Lanes, b.EncodeToString(salt), b.EncodeToString(sum))
}

// matches says whether a password is the one of a hash, in a time that tells nothing. Against no hash it takes as long and says no, so that nobody learns
// which accounts there are.
func (g *Gate) matches(ctx context.Context, password, kept string) (bool, error) {
	done, err := g.seat(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	c, salt, want, ok := parsePHC(kept)
	if !ok {
		c, salt, want = g.Cost.or(), make([]byte, saltBytes), make([]byte, hashBytes)
	}
	if len(password) > longestPassword {
		password, ok = "", false
	}
	got := argon2.IDKey([]byte(password), salt, c.Passes, c.KiB, c.Lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && ok, nil
}

func parsePHC(kept string) (c Cost, salt, sum []byte, ok bool) {
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.KiB, &c.Passes, &c.Lanes); err != nil || c.Passes == 0 || c.Lanes == 0 {
		return c, nil, nil, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return c, nil, nil, false
	}
	sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	return c, salt, sum, err == nil && len(sum) >= 16
}
