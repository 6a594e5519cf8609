package desk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"lifeline/store/secret"
)

// signing is what the portal's key does.
func signing(key string) Signing {
	sum := func(purpose, subject string) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(purpose + "\x00" + subject))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	}
	return Signing{
		Sign: func(purpose, subject string) string { return subject + "." + sum(purpose, subject) },
		Read: func(purpose, token string) (string, bool) {
			at := strings.LastIndexByte(token, '.')
			return token[:max(at, 0)], at > 0 && hmac.Equal([]byte(token[at+1:]), []byte(sum(purpose, token[:at])))
		},
	}
}

// A ticket's address and the ids of its mails name it, whatever case a relay makes of them; nobody else can make one, and other tokens are none.
func TestATicketsAddressIsOurs(t *testing.T) {
	d, other := &Desk{Signing: signing("ours"), Inbox: Inbox{Local: "support", Domain: "vendor.example"}}, &Desk{Signing: signing("theirs")}
	ticket := Ticket{Number: secret.Number()}
	talk := d.talk("tic_1", ticket)
	token, _, _ := strings.Cut(strings.TrimPrefix(talk.ReplyTo, "support+"), "@")
	local, _, _ := strings.Cut(talk.ReplyTo, "@")
	if len(local) > 64 || d.mailTicket(token) != ticket.Number || d.mailTicket(strings.ToUpper(token)) != ticket.Number {
		t.Errorf("%s leads to %q, not to %s", talk.ReplyTo, d.mailTicket(token), ticket.Number)
	}
	for _, id := range []string{talk.Root + "@h.example", talk.Root + ".abc@h.example", strings.ToUpper(talk.Root) + "@h.example"} {
		if d.referred(id) != ticket.Number {
			t.Errorf("%s leads to %q", id, d.referred(id))
		}
	}
	number, sum, _ := strings.Cut(token, ".")
	flipped := "a" + sum[1:]
	if sum[0] == 'a' {
		flipped = "b" + sum[1:]
	}
	for _, bad := range []string{"", ".", number, number + ".", "." + sum, number + "." + flipped, number + "." + sum[:len(sum)-2], number + "." + sum + "a", "0000000000." + sum,
		d.Signing.Sign("ticket link", ticket.Number), strings.Repeat("a", 1000) + "." + sum} {
		if got := d.mailTicket(bad); got != "" {
			t.Errorf("%.80q leads to %s", bad, got)
		}
	}
	if got := other.mailTicket(token); got != "" {
		t.Errorf("another key reads %s", got)
	}
	for _, bad := range []string{"", "@", "t", "t.@x", "x." + token + "@h", "t." + number + "@h.example", "t." + number + "." + flipped + "@h.example"} {
		if got := d.referred(bad); got != "" {
			t.Errorf("%q leads to %s", bad, got)
		}
	}
	if talk := (&Desk{}).talk("tic_1", ticket); talk.ReplyTo != "" || talk.Root != "" {
		t.Errorf("nothing signs, and there is %+v", talk)
	}
}

func FuzzMailToken(f *testing.F) {
	d := &Desk{Signing: signing("ours")}
	mine := d.mailToken("7K3-M9Q-2X4")
	for _, s := range []string{mine, strings.ToUpper(mine), mine[:20], "t." + mine + "@x", "", ".", "\x00.\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if number := d.mailTicket(token); number != "" && !strings.EqualFold(strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.ToLower(token)), d.mailToken(number)) && secret.NormalNumber(strings.Split(token, ".")[0]) != number {
			t.Errorf("%q leads to %s", token, number)
		}
		d.referred(token)
	})
}
