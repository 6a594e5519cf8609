package contacts

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/quick"
	"time"
)

// TestBareReadsLikeJSON: what is read by hand is what encoding/json reads, whatever is in the record.
func TestBareReadsLikeJSON(t *testing.T) {
	texts := []string{"", "Ann", "Müller <b> & \"Söhne\"", `back\slash`, `ends in \`, "two\nlines", "{[,]}", "日本", "\u2028", "\x00"}
	dice := rand.New(rand.NewPCG(1, 2))
	text := func() string { return texts[dice.IntN(len(texts))] }
	plain := func() string { return []string{"a", "bc", "d e"}[dice.IntN(3)] }
	when := func() time.Time {
		if dice.IntN(2) == 0 {
			return time.Time{}
		}
		return time.UnixMicro(dice.Int64N(1 << 51)).UTC()
	}
	some := func(n int, add func()) {
		for range dice.IntN(n) {
			add()
		}
	}
	byHand := 0
	for range 3000 {
		if dice.IntN(2) == 0 {
			text = plain
		} else {
			text = func() string { return texts[dice.IntN(len(texts))] }
		}
		c := Contact{Account: "acc_" + plain(), AccountWide: dice.IntN(2) == 0, Name: text(), Locale: plain(), TimeZone: text(), AtNight: dice.IntN(2) == 0, ConfirmedAt: when()}
		some(3, func() { c.Sites = append(c.Sites, text()) })
		some(3, func() { c.Roles = append(c.Roles, plain()) })
		some(3, func() { c.Channels = append(c.Channels, plain()) })
		some(3, func() {
			c.Grants = append(c.Grants, Grant{Role: plain(), Sites: slices.Clone(c.Sites), State: RoleStated, Origin: Origin{Source: text(), Seen: when(), ConfirmedAt: when(), How: How(plain()), By: text(), Why: text()}})
		})
		some(3, func() {
			c.Emails = append(c.Emails, Address{Value: text(), Source: plain(), FirstSeen: when(), ChangedAt: when(), ConfirmedAt: when(), Bounced: dice.IntN(2) == 0, BounceReason: text(), OptedOut: dice.IntN(2) == 0, OptOutReason: text(), How: ByStaff})
		})
		some(2, func() { c.Phones = append(c.Phones, Address{Value: plain()}) })
		some(3, func() { c.Sources = append(c.Sources, Source{Source: text(), FirstSeen: when()}) })
		some(3, func() { c.Conflicts = append(c.Conflicts, Conflict{Field: text(), Have: text(), Offered: text()}) })
		some(3, func() { c.Beyond = append(c.Beyond, dice.Uint64()) })
		some(3, func() { c.Origins = map[string]Origin{text(): {Source: text()}, text(): {}} })
		body, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if dice.IntN(4) == 0 { // broken somewhere
			body[dice.IntN(len(body))] = `{}[]",:\ xt0`[dice.IntN(12)]
		}
		var want, got bare
		wrong := json.Unmarshal(body, &want)
		failed := readBare(body, &got)
		if wrong == nil && (failed != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("%s is read as\n%+v, not\n%+v (%v)", body, got, want, failed)
		}
		if _, ok := readContact(body); ok {
			byHand++
		}
	}
	if byHand < 1000 {
		t.Errorf("only %d of 3000 were read by hand", byHand)
	}
	if err := quick.Check(func(body []byte) bool { // it ends, and never panics
		_, ok := readContact(body)
		return !ok
	}, nil); err != nil {
		t.Error(err)
	}
}
