package portal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeline/contacts"
	"lifeline/portal/auth"
)

// sign makes the headers of Standard Webhooks, independently of the code that reads them.
func sign(key64, id string, at time.Time, body string) map[string]string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key64, "whsec_"))
	if err != nil {
		panic(err)
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return map[string]string{"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

func whsec(seed byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string('a'+rune(seed)), 24)))
}

// The example of the specification.
func TestASignatureIsThatOfTheSpecification(t *testing.T) {
	all, err := ParseSecrets("product=whsec_plJ3nmyCDGBKInavdOK15jsl")
	if err != nil {
		t.Fatal(err)
	}
	s := signature{id: "msg_loFOjxBNrRLzqYUf", stamp: "1731705121", given: []string{"v1a,nonsense", "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="}}
	mac := hmac.New(sha256.New, all["product"][0])
	fmt.Fprintf(mac, "%s.%s.", s.id, s.stamp)
	s.macs = append(s.macs, mac)
	_, _ = s.Write([]byte(`{"event_type":"ping","data":{"success":true}}`))
	if !s.right() {
		t.Error("the specification's own example is refused")
	}
	_, _ = s.Write([]byte(" "))
	if s.right() {
		t.Error("a body with a byte more is taken")
	}
	for _, bad := range []string{"product", "product=secret", "product=whsec_!!", "product=whsec_c2hvcnQ=", "=whsec_plJ3nmyCDGBKInavdOK15jsl"} {
		if _, err := ParseSecrets(bad); err == nil || strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAProductWithASecretSignsItsEvents(t *testing.T) {
	h := open(t)
	h.Secrets, _ = ParseSecrets("product=" + whsec(1) + " product=" + whsec(2))
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "text/csv", body: theContacts}).want(200)
	body := `{"type":"site.deleted","site_ids":["S-1"]}`
	post := func(body string, header map[string]string) answer {
		return h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/events/product", media: "application/json", body: body, header: header})
	}
	post(body, nil).want(403)
	post(body, sign(whsec(3), "msg_1", h.clock.Now(), body)).want(403)
	post(body, sign(whsec(1), "msg_1", h.clock.Now().Add(-6*time.Minute), body)).want(403)
	post(body, sign(whsec(1), "msg_1", h.clock.Now().Add(6*time.Minute), body)).want(403)
	post(body+" ", sign(whsec(1), "msg_1", h.clock.Now(), body)).want(403)
	// Another source, whose name nobody knows, is no way round.
	other := `{"type":"site.deleted","source":"sync","site_ids":["S-1"]}`
	post(other, nil).want(403)
	post(strings.Replace(other, "sync", "x", 1), nil).want(403)

	good := sign(whsec(1), "msg_1", h.clock.Now(), body)
	post(body, good).want(200)
	h.clock.Turn(4 * time.Minute)
	if a := post(body, good).want(409); !strings.Contains(string(a.body), "received before") {
		t.Errorf("%s", a.body)
	}
	post(body, sign(whsec(2), "msg_1", h.clock.Now(), body)).want(200) // the sender tries again, with the other key
	if strings.Contains(h.logs.String(), "whsec_") {
		t.Error("a secret was logged")
	}
}

func TestASourceWithASecretSignsItsImports(t *testing.T) {
	h := open(t)
	h.Secrets, _ = ParseSecrets("crm=" + whsec(1))
	post := func(source string, header map[string]string) answer {
		return h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=" + source, media: "text/csv", body: theContacts, header: header})
	}
	post("crm", nil).want(403)
	post("CRM", nil).want(403)
	post("crm", sign(whsec(1), "msg_1", h.clock.Now(), theContacts+"x")).want(403)
	if n, err := h.Book.Count(t.Context()); err != nil || n != (contacts.Counts{}) {
		t.Fatalf("written before the signature was right: %+v, %v", n, err)
	}
	good := sign(whsec(1), "msg_1", h.clock.Now(), theContacts)
	post("crm", good).want(200)
	post("crm", good).want(409)
	post("billing", nil).want(200) // has none
}

// A person sees both sides, decides once, and is not asked again.
func TestConflictsAreDecidedByAPerson(t *testing.T) {
	h := open(t)
	send := func(source, rows string) answer {
		return h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=" + source, media: "text/csv", body: rows}).want(200)
	}
	const head, asked = "account_id,account,name,email,role,confirmed_at\n", "2022-04-01"
	send("crm", head+"A-1,Acme,Ann,ann@acme.example,owner,"+asked+"\nA-1,Acme,Bob,bob@acme.example,billing,\n")
	again := head + "A-1,Acme,Anna,ann@acme.example;bob@acme.example,owner," + asked + "\n"
	send("billing", again)
	var page struct {
		Items []struct {
			ID, Of, Field, Have, Offered, Source string
			Account                              string                       `json:"account_id"`
			From                                 struct{ Source, How string } `json:"have_from"`
			Confirmed                            *time.Time                   `json:"confirmed_at"`
			Decisions                            []string
		}
		Next string
	}
	list := func(query string) {
		t.Helper()
		page.Items = nil
		h.do(ask{as: auth.Support, method: "GET", path: "/api/v1/contacts/conflicts" + query}).want(200).into(&page)
	}
	list("?account=A-1&limit=10")
	if len(page.Items) != 2 {
		t.Fatalf("%+v", page)
	}
	for _, c := range page.Items {
		if strings.Contains(c.Offered, "bob@acme") {
			t.Errorf("an address in full: %+v", c)
		}
		if c.Confirmed == nil || c.Confirmed.Format(time.DateOnly) != asked {
			t.Errorf("nobody sees how fresh the word is: %+v", c)
		}
		decision := "take_offered"
		if c.Field == "email" {
			decision = "keep_apart"
		} else if c.Have != "Ann" || c.Offered != "Anna" || c.Source != "billing" || c.From.Source != "crm" || c.From.How != "import" {
			t.Errorf("%+v", c)
		}
		h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/contacts/conflicts/decisions", body: map[string]string{"conflict_id": c.ID, "decision": "toss_a_coin", "reason": "x"}}).want(422)
		h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/contacts/conflicts/decisions", body: map[string]string{"conflict_id": c.ID, "decision": decision, "reason": "asked her"}}).want(200)
		h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/contacts/conflicts/decisions", body: map[string]string{"conflict_id": c.ID, "decision": decision, "reason": "asked her"}}).want(404)
		var back struct {
			ID string `json:"conflict_id"`
		}
		reopen := ask{as: auth.Support, method: "POST", path: "/api/v1/contacts/conflicts/reopenings", body: map[string]string{"of": c.Of, "conflict_id": c.ID}}
		h.do(reopen).want(200).into(&back)
		h.do(reopen).want(404)
		h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/contacts/conflicts/decisions", body: map[string]string{"conflict_id": back.ID, "decision": decision, "reason": "asked her"}}).want(200)
	}
	send("billing", again)
	if list(""); len(page.Items) != 0 {
		t.Errorf("asked again: %+v", page.Items)
	}
	h.do(ask{as: auth.Support, method: "GET", path: "/api/v1/contacts/conflicts?account=nobody"}).want(404)
}

func TestAnImportThatChangesManyAddressesIsAnsweredWithWhatToApprove(t *testing.T) {
	h := open(t)
	h.Book.Changes = &contacts.Changes{DB: h.DB, Verbs: h.Book.ChangeVerbs(), Log: h.Portal.Log}
	rows := func(more string) string {
		var b strings.Builder
		b.WriteString("account_id,name,email,role\n")
		for i := range 40 {
			fmt.Fprintf(&b, "A%d,P,p%d@x.example%s,owner\n", i, i, strings.ReplaceAll(more, "N", strconv.Itoa(i)))
		}
		return b.String()
	}
	post := func(query, body string) answer {
		return h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=product" + query, media: "text/csv", body: body})
	}
	post("&snapshot=true", rows("")).want(200)
	a := post("", rows(";evilN@bad.example")).want(409)
	if !strings.Contains(string(a.body), "40 addresses") || !strings.Contains(string(a.body), "chg_") || strings.Contains(string(a.body), "bad.example") {
		t.Errorf("%s", a.body)
	}
	var r contacts.Report
	post("&snapshot=true&dry_run=true", "account_id,name,email,role\nA1,P,p1@x.example,owner\n").want(200).into(&r)
	if r.Missing != 78 {
		t.Errorf("a dry run of a snapshot: %+v", r)
	}
	post("&snapshot=perhaps", rows("")).want(422)
}
