package portal

import (
	"bytes"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// What a stranger can send, to the real handler on a real store. Nothing of it may be our defect (5xx), and no page may carry a tag that
// somebody typed.

// stranger posts one body and gives the answer.
func (h *house) stranger(app fasthttp.RequestHandler, path, media string, body []byte) *fasthttp.Response {
	h.clock.Turn(3 * time.Second) // more than 30 of them are no flood
	var c fasthttp.RequestCtx
	var req fasthttp.Request
	req.Header.SetMethod("POST")
	req.SetRequestURI(path)
	req.Header.SetContentType(media)
	req.SetBody(body)
	c.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	app(&c)
	return &c.Response
}

func FuzzTicketJSON(f *testing.F) {
	h := open(f)
	app := h.Handler()
	for _, seed := range []string{filed, `{}`, `{"message":"x","phone":"+12025550101","site_url":"%%"}`, `{"message":"\ud800","email":"a@b.example"}`, `[[[[`, `{"message":{"a":1}}`, "", `{"message":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		res := h.stranger(app, "/api/v1/tickets", "application/json", body)
		if s := res.StatusCode(); s != 201 && s != 422 {
			t.Errorf("%d: %s", s, res.Body())
		}
	})
}

func FuzzTicketForm(f *testing.F) {
	h := open(f)
	app := h.Handler()
	f.Add("application/x-www-form-urlencoded", []byte("message=x&email=a%40b.example"))
	f.Add("application/x-www-form-urlencoded", []byte("message=%3Czz%3E&email=%3Czz%3E&locale=%3Czz%3E"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n<zz>\r\n--b--\r\n"))
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"<zz>\"\r\n\r\nx\r\n--b--\r\n"))
	f.Add("multipart/form-data", []byte("--\r\n"))
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		res := h.stranger(app, "/support", media, body)
		if s := res.StatusCode(); s != 201 && s != 422 && s != 415 {
			t.Errorf("%d: %s", s, res.Body())
		}
		if bytes.Contains(res.Body(), []byte("<zz")) {
			t.Errorf("a typed tag is on the page: %s", res.Body())
		}
	})
}

func FuzzTicketSecret(f *testing.F) {
	h := open(f)
	app := h.Handler()
	r := h.file(map[string]any{"message": "the first words", "email": "ann@acme.example"})
	for _, number := range []string{r.Number, "000-000-000", "", "..", "<zz>", "%00"} {
		for _, secret := range []string{"", "0", "AAAAA-AAAAA-AAAAA-AAAAA-AAAAAA", "<zz>", "\x00"} {
			f.Add(number, secret, "text")
		}
	}
	f.Fuzz(func(t *testing.T, number, secret, text string) {
		res := h.stranger(app, "/t/"+url.PathEscape(number), form, []byte(url.Values{"secret": {secret}, "text": {text}}.Encode()))
		if s := res.StatusCode(); s != 404 && s != 429 && s != 405 || bytes.Contains(res.Body(), []byte("the first words")) {
			t.Errorf("%q, %q: %d: %s", number, secret, s, res.Body())
		}
		if bytes.Contains(res.Body(), []byte("<zz")) {
			t.Errorf("a typed tag is on the page: %s", res.Body())
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	app := fiber.New()
	p := &Portal{Trusted: loopback()}
	for _, seed := range []string{"", "203.0.113.9", "203.0.113.9, 127.0.0.1", "::1, [2001:db8::1]:80", ",,,", "127.0.0.1:x", "1.2.3.4\t,\x00", "fe80::1%lo"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var c fasthttp.RequestCtx
		var req fasthttp.Request
		req.Header.Add("X-Forwarded-For", first)
		req.Header.Add("X-Forwarded-For", second)
		c.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
		k := app.AcquireCtx(&c)
		defer app.ReleaseCtx(k)
		got := p.source(k)
		ip := net.ParseIP(got)
		if ip == nil || p.trusts(ip) && got != "127.0.0.1" {
			t.Errorf("%q, %q: the source is %q", first, second, got)
		}
		c.Init(&req, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7)}, nil)
		if got := p.source(k); got != "203.0.113.7" {
			t.Errorf("%q, %q: a stranger is believed: %q", first, second, got)
		}
	})
}
