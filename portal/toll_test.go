package portal

import (
	"crypto/sha256"
	"fmt"
	"html"
	"math/bits"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
)

// flooded is a house whose form costs something soon.
func flooded(t *testing.T, p desk.FloodPolicy) *house {
	return open(t, func(portal *Portal) { portal.Desk.Policy.Flood = p })
}

// supports sends the form from a source.
func (h *house) supports(source string, fields url.Values) answer {
	h.Helper()
	return h.do(ask{method: "POST", path: "/support", media: form, body: fields.Encode(), header: map[string]string{"X-Forwarded-For": source}})
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// hiddenOf are the hidden fields of a page's form.
func hiddenOf(t testing.TB, a answer) url.Values {
	t.Helper()
	all := url.Values{}
	for _, m := range hidden.FindAllSubmatch(a.body, -1) {
		all.Set(string(m[1]), html.UnescapeString(string(m[2])))
	}
	if all.Get("toll") == "" {
		t.Fatalf("nothing to confirm: %s", a.body)
	}
	return all
}

// prove does the work that the page's script does.
func prove(token string, zeros int) string {
	for n := 0; ; n++ {
		sum := sha256.Sum256([]byte(token + ":" + strconv.Itoa(n)))
		got := 0
		for _, b := range sum {
			got += bits.LeadingZeros8(b)
			if b != 0 {
				break
			}
		}
		if got >= zeros {
			return strconv.Itoa(n)
		}
	}
}

// Who writes too often is asked to confirm, keeps everything that she typed, and is heard; only a source that goes on and on is told to wait, and nobody
// else notices anything.
func TestAFloodCostsAButtonAndRefusesNobody(t *testing.T) {
	h := flooded(t, desk.FloodPolicy{Source: 2, Confirmed: 2, Busy: 1000})
	typed := url.Values{"message": {"we cannot log in <b>"}, "email": {"ann@acme.example"}, "company": {`A "C" & Söhne`}, "locale": {"ja"}, "impact": {desk.LostAccess}}
	for range 2 {
		h.supports("203.0.113.9", typed).want(201)
	}
	page := h.supports("203.0.113.9", typed).want(200).says(`<html lang="ja"`, "we cannot log in &lt;b&gt;").silent("<b>")
	fields := hiddenOf(t, page)
	for name, want := range typed {
		if fields.Get(name) != want[0] {
			t.Errorf("%s is %q on the page, not %q", name, fields.Get(name), want[0])
		}
	}
	h.supports("203.0.113.10", typed).want(201) // another source

	// Too early: the page again, with the same of everything. In time: filed, and once.
	early := hiddenOf(t, h.supports("203.0.113.9", fields).want(429))
	if early.Get("toll") != fields.Get("toll") || early.Get("message") != typed.Get("message") {
		t.Errorf("%v", early)
	}
	h.clock.Turn(4 * time.Second)
	h.supports("203.0.113.9", fields).want(201)
	again := hiddenOf(t, h.supports("203.0.113.9", fields).want(200))
	if again.Get("toll") == fields.Get("toll") {
		t.Error("what was paid with is asked for again")
	}
	// Or at once, with work.
	fresh := hiddenOf(t, h.supports("203.0.113.9", typed).want(200))
	fresh.Set("proof", prove(fresh.Get("toll"), 14))
	h.clock.Turn(time.Minute) // the source's two confirmations of a minute are free again
	fresh = hiddenOf(t, h.supports("203.0.113.9", url.Values{"message": {"x"}, "email": {"a@b.example"}, "toll": {"forged"}}).want(200))
	wrong := url.Values{"message": {"x"}, "email": {"a@b.example"}, "toll": fresh["toll"], "proof": {"nonsense"}}
	h.supports("203.0.113.9", wrong).want(429)
	fresh.Set("proof", prove(fresh.Get("toll"), 14))
	h.supports("203.0.113.9", fresh).want(201)
	fresh.Set("proof", prove(fresh.Get("toll"), 14)) // once
	h.supports("203.0.113.9", fresh).want(200)
	// A source that goes on: it waits, alone.
	last := hiddenOf(t, h.supports("203.0.113.9", url.Values{"message": {"x"}, "email": {"a@b.example"}, "toll": {"forged"}}).want(200))
	last.Set("proof", prove(last.Get("toll"), 14))
	if a := h.supports("203.0.113.9", last).want(429).says("x"); a.Header.Get("Retry-After") == "" {
		t.Error("nobody says when to try again")
	}
	h.supports("203.0.113.10", typed).want(201)
	// A page that was open for too long asks once more.
	h.clock.Turn(2 * time.Hour)
	h.supports("203.0.113.9", early).want(200)
}

// When very many write from everywhere, everybody confirms, at a price that grows; nobody is refused.
func TestAFloodFromEverywhereCostsEverybodyALittle(t *testing.T) {
	h := flooded(t, desk.FloodPolicy{Source: 30, Confirmed: 30, Busy: 64})
	price := map[string]int{}
	for i := range 300 {
		a := h.supports(fmt.Sprintf("198.51.%d.%d", i/200, i%200), url.Values{"message": {"help"}, "email": {fmt.Sprintf("p%d@acme.example", i)}})
		bits := regexp.MustCompile(`data-bits="(\d+)"`).FindSubmatch(a.body)
		switch {
		case a.StatusCode == 201:
			price["free"]++
		case a.StatusCode == 200 && bits != nil:
			price[string(bits[1])]++
		default:
			t.Fatalf("%d: %s", a.StatusCode, a.body)
		}
	}
	if price["free"] != 64 || price["14"] != 64 || price["16"] != 64 || price["18"] != 108 {
		t.Errorf("prices: %v", price)
	}
	asked := hiddenOf(t, h.supports("198.51.100.1", url.Values{"message": {"help"}, "email": {"z@acme.example"}}).want(200))
	h.clock.Turn(20 * time.Second)
	h.supports("198.51.100.1", asked).want(201)
	h.clock.Turn(2 * time.Minute)
	h.supports("198.51.100.2", url.Values{"message": {"help"}, "email": {"y@acme.example"}}).want(201)
}

// A second try is filed with a receipt of its own; staff see what it is likely a second try of, and the customer sees nothing of it.
func TestASecondTryIsFiledAndMarked(t *testing.T) {
	h := open(t)
	first := h.file(map[string]any{"message": "help", "email": "ann@acme.example"})
	h.clock.Turn(5 * time.Minute)
	second := h.file(map[string]any{"message": "did you get this?", "email": "Ann@acme.example", "phone": "+12025550101"})
	third := h.file(map[string]any{"message": "hello?", "phone": "+1 202 555 0101"})
	other := h.file(map[string]any{"message": "help", "email": "bo@acme.example"})
	h.clock.Turn(11 * time.Minute)
	late := h.file(map[string]any{"message": "another thing", "email": "ann@acme.example"})
	for number, want := range map[string]string{first.Number: "", second.Number: first.Number, third.Number: second.Number, other.Number: "", late.Number: ""} {
		var ticket ticketAnswer
		h.get(auth.Support, "/api/v1/tickets/"+number).want(200).into(&ticket)
		if ticket.Like != want {
			t.Errorf("%s is like %q, want %q", number, ticket.Like, want)
		}
	}
	if second.Secret == first.Secret || second.Number == first.Number || second.Secret == "" {
		t.Error("the second has no receipt of its own")
	}
	h.do(ask{method: "POST", path: "/t/" + second.Number, media: form, body: url.Values{"secret": {second.Secret}, "here": {"1"}}.Encode()}).want(200).silent(first.Number)
	if strings.Contains(string(h.post("", "/api/v1/tickets", map[string]any{"message": "x", "email": "ann@acme.example"}).want(201).body), "likely_duplicate") {
		t.Error("the receipt says so")
	}
}

// While strangers file as fast as they can and hundreds of receipts wait to be sent, staff sign in and see the desk, and a code goes out. What is counted are
// tickets and messages that got in between, so that it says the same of a slow machine.
func TestCodesAndStaffDoNotWaitBehindAFlood(t *testing.T) {
	h := flooded(t, desk.FloodPolicy{Source: 30, Confirmed: 30, Busy: 1_000_000})
	h.loadContacts()
	out := h.send() // nobody takes the receipts from it
	const clients = 64
	var filed atomic.Int64
	over, many := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				req, err := http.NewRequest("POST", h.URL+"/api/v1/tickets", strings.NewReader(fmt.Sprintf(`{"message":"help","email":"p%d@d%d-%d.example"}`, n, c, n)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Forwarded-For", fmt.Sprintf("2001:db8:%x:%x::1", c, n/20))
				res, err := h.client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				if res.StatusCode != 201 {
					t.Errorf("a ticket: %s", res.Status)
					return
				}
				if filed.Add(1) == 200 {
					close(many)
				}
			}
		})
	}
	defer func() { close(over); all.Wait() }()
	select {
	case <-many:
	case <-time.After(patience):
		t.Fatal("there is no flood")
	}
	within := func(what string, act func()) {
		t.Helper()
		was := filed.Load()
		if act(); filed.Load()-was > 10*clients {
			t.Errorf("%s waited for %d tickets", what, filed.Load()-was)
		}
	}
	var s sitting
	within("signing in", func() { s = h.sits(auth.Support) })
	within("the desk", func() { s.page("/desk").want(200) })
	within("the queue", func() { s.page("/desk/tickets").want(200) })
	within("asking for a code", func() {
		h.do(ask{method: "POST", path: "/me", media: form, body: url.Values{"to": {"ann@acme.example"}}.Encode(), header: map[string]string{"X-Forwarded-For": "203.0.113.77"}}).want(200)
	})
	var taken []string // when each receipt was, as ids tell it
	m := out.next()
	for ; m.To != "ann@acme.example"; m = out.next() {
		taken = append(taken, "dlv_"+store.NewSuffix())
	}
	receipts := 0 // after the code was written, which is behind the answer; some were under way already
	for _, t := range taken {
		if t > m.Delivery {
			receipts++
		}
	}
	if most := 2 * max(8, h.Comms.Policy.Workers); receipts > most {
		t.Errorf("the code came behind %d receipts", receipts)
	}
}
