package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/portal/page"
)

// mark stands in everything that is hostile and nowhere else: what a reader's program would act on must not hold it.
const mark = "zz9"

// hostilePieces are what texts are made of: words, and what some program takes for an order.
var hostilePieces = []string{
	"zz9 sites", "is gone", "12 sites", "zz9、サイト", "été", "👩‍💻",
	"<script>zz9()</script>", `"><img src=//zz9.example onzz9=zz9()>`, "</title></textarea></pre><zz9>", "<!--zz9", "]]><zz9/>", `<a href="javascript:zz9()">zz9</a>`, "&lt;zz9&gt;", "&#60;zz9&#62;",
	"\r\nZz9: yes", "\nZz9: yes", "\r\n\r\nzz9", "\x00", "\x1b[31m", "\u0085", "\u2028", "\u2029", "\u202egnp", "\u2066zz9\u2069", "\u200b", "\u00ad", "\ufeff", "\u3164", "\u034f", "\U000e0041", "\ue000", "\xff\xfe", "\xc3\x28", "\xed\xa0\x80",
	"{{.Vendor.Name}}zz9{{end}}", `{{template "zz9"}}`, "{0}{1}", "%s%d%!v(zz9)", "${zz9}", "⟦zz9⟧", "=?utf-8?q?zz9?=",
	"https://zz9.example/login", "http://127.0.0.1@zz9.example/", "www.zz9.example", "zz9.com", "https://st\u0430tus.zz9.example/", "mailto:zz9@zz9.example", "javascript:zz9()",
	"<https://zz9.example|our page>", "[our page](https://zz9.example)", "<!channel> zz9", "<@zz9>", "*zz9* _zz9_ ~zz9~ `zz9`", "\\",
	"=zz9()", "+zz9", "-zz9", "@zz9", "＝zz9", "\t=zz9", ";zz9", "\"", "'", ",",
}

// hostileText is the text of a number, always the same one: a few pieces in a row, sometimes far too long.
func hostileText(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString(hostilePieces[r.IntN(len(hostilePieces))])
		b.WriteString([]string{"", " ", ""}[r.IntN(3)])
	}
	if r.IntN(25) == 0 {
		return strings.Repeat(b.String(), 4000/b.Len()+1)
	}
	return b.String()
}

// hostileFields are the fields of an update that hold words.
var hostileFields = []string{"headline", "what_happened", "your_action", "technical", "scope.text", "scope.products", "scope.regions", "affected.who", "timeline.text", "data_loss.text", "known", "unknown", "doing",
	"long_because", "apology", "signed_by", "changed.sites", "translations.ja.headline", "translations.ja.what_happened", "translations.ja.known", "translations.ja.long_because"}

// Whatever somebody writes into an update, or what a product calls its customers, people and sites, is refused with the field that holds it, or is words and nothing else to whoever reads
// it: in mail, texts, tickets, pages, feeds and JSON, in chats, on the desk and in an export. LIFELINE_HOSTILE sets how many texts are tried.
func TestHostileTextsAreRefusedOrStayWords(t *testing.T) {
	n := 120
	if more, err := strconv.Atoi(os.Getenv("LIFELINE_HOSTILE")); err == nil {
		n = more
	}
	h := open(t, func(p *Portal) { p.Comms.Policy.Components = nil })
	rows := hostileBook(h, n/4)
	incident := h.declare()
	var sites strings.Builder
	sites.WriteString("site_id\n")
	for i := range rows {
		fmt.Fprintf(&sites, "H-%d\n", i)
	}
	h.do(ask{as: auth.Engineer, method: "PUT", path: "/api/v1/incidents/" + incident + "/affected", media: "text/csv", body: sites.String()}).want(200)
	u := h.draft(incident, h.statement())
	kept, refused := 0, 0
	for i := range n {
		r := rand.New(rand.NewPCG(9, uint64(i)))
		field, words := hostileFields[r.IntN(len(hostileFields))], hostileText(r)
		s := hostileStatement(h, field, words)
		a := h.do(ask{as: auth.Comms, method: "PATCH", path: "/api/v1/updates/" + u.ID, body: carelessJSON(s), header: map[string]string{"If-Match": "*"}})
		if a.StatusCode == 422 {
			refused++
			for _, name := range a.named() {
				if !strings.HasPrefix(name, field) {
					t.Fatalf("%s = %q: %s is blamed", field, words, name)
				}
			}
			continue
		}
		kept++
		a.want(200)
		channel := []string{"email", "sms", "page", "ticket", "webhook", "slack", "teams", "social", "media"}[i%9]
		var p previewAnswer
		h.get(auth.Auditor, "/api/v1/updates/"+u.ID+"/preview?channel="+channel+"&locale="+[]string{"en", "ja"}[i/9%2]).want(200).into(&p)
		where := fmt.Sprintf("%s = %q on %s", field, words, channel)
		inertText(t, where, p.Subject, false)
		inertText(t, where, p.Text, true)
		inertHTML(t, where, []byte(p.HTML))
		if slices.Contains([]string{"webhook", "slack", "teams"}, channel) {
			inertCard(t, where, channel, p.Text)
		}
	}
	if kept < n/10 || refused < n/10 {
		t.Errorf("of %d texts %d were kept and %d refused: the test tries too little", n, kept, refused)
	}
	t.Run("said", func(t *testing.T) { hostileSaid(t, h, incident, u.ID, rows) })
}

// carelessJSON is v with the bytes in it that are no UTF-8, as a careless program would send them.
func carelessJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(b), `\ufffd`, "\xff")
}

// hostileStatement is an update with words in one field.
func hostileStatement(h *house, field, words string) map[string]any {
	s := h.statement()
	s["channels"] = []string{"email", "sms", "page", "ticket", "webhook"}
	list := slices.Contains([]string{"known", "unknown", "doing", "scope.products", "scope.regions", "long_because", "translations.ja.known", "translations.ja.long_because"}, field)
	var value any = words
	if list {
		value = []string{words}
	}
	for _, parent := range []string{"changed", "translations", "translations.ja"} {
		if strings.HasPrefix(field, parent+".") {
			s = with(s, parent, map[string]any{})
		}
	}
	if field == "translations.ja.long_because" {
		s["long_because"] = []string{"Each site is checked."}
	}
	return with(s, field, value)
}

// hostileBook imports customers, sites and people of hostile names, and says how many the book took.
func hostileBook(h *house, n int) (rows int) {
	h.Helper()
	var b bytes.Buffer
	for i := range n {
		r := rand.New(rand.NewPCG(99, uint64(i)))
		line := carelessJSON(map[string]any{"account": hostileText(r), "account_id": fmt.Sprint("HA-", rows), "site": hostileText(r), "site_id": fmt.Sprint("H-", rows), "name": hostileText(r),
			"role": []string{"owner"}, "email": []string{fmt.Sprintf("h%d@acme.example", rows)}, "locale": "en"})
		var report contacts.Report
		h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing&dry_run=true", media: "application/x-ndjson", body: line}).want(200).into(&report)
		if len(report.Rejected) > 0 {
			if report.Rejected[0].Field == "" {
				h.Errorf("%s is refused without the name of a field: %+v", line, report.Rejected)
			}
			continue
		}
		b.WriteString(line + "\n")
		rows++
	}
	if rows == 0 {
		h.Fatal("the book took nothing")
	}
	h.do(ask{as: auth.Automation, method: "POST", path: "/api/v1/contacts/imports?source=billing", media: "application/x-ndjson", body: b.String()}).want(200)
	return rows
}

// hostileSaid says an update to people of hostile names and reads what leaves the house, and every page.
func hostileSaid(t *testing.T, h *house, incident, update string, rows int) {
	s := hostileStatement(h, "what_happened", `zz9 <script>zz9()</script> {{.Vendor}} *zz9* & "zz9"`)
	h.do(ask{as: auth.Comms, method: "PATCH", path: "/api/v1/updates/" + update, body: s, header: map[string]string{"If-Match": "*"}}).want(200)
	h.post(auth.Approver, "/api/v1/updates/"+update+"/approve", nil).want(200)
	dir := t.TempDir()
	mailer, err := email.Open(email.Config{Relays: []string{"file:" + dir}, From: "Vendor <status@vendor.example>"})
	if err != nil {
		t.Fatal(err)
	}
	defer mailer.Close()
	h.send(mailer)
	h.post(auth.Comms, "/api/v1/updates/"+update+"/publish", nil).want(200)
	h.settled("/api/v1/updates/"+update, func(r comms.Reach) bool { return r.Done })
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) < rows {
		t.Fatalf("%d mails for %d people: %v", len(files), rows, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v:\n%s", err, raw)
		}
		if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || !strings.HasSuffix(to[0].Address, "@acme.example") && !strings.HasSuffix(to[0].Address, "@vendor.example") {
			t.Errorf("To: %q: %v", m.Header.Get("To"), err)
		}
		for header := range m.Header {
			if strings.Contains(strings.ToLower(header), mark) {
				t.Errorf("a header of somebody else: %s\n%s", header, raw)
			}
		}
	}
	public, err := h.Comms.Public(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	edition, err := (&page.Press{Words: h.Words, Vendor: h.Comms.Vendor, Log: h.Portal.Log}).Render(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/ja/", "/history", "/incidents/" + public.Incidents[0].ID, "/history.atom", "/history.rss", "/api/v2/summary.json", "/api/v2/incidents.json"} {
		body := edition.Body(path, "en")
		switch {
		case len(body) == 0:
			t.Errorf("there is no %s", path)
		case strings.HasSuffix(path, ".json"):
			if !json.Valid(body) {
				t.Errorf("%s is no JSON", path)
			}
		default:
			inertHTML(t, path, body)
		}
	}
	cookie, _ := h.signIn(auth.Commander)
	for _, path := range []string{"/desk", "/desk/incidents/" + incident, "/desk/incidents/" + incident + "/sites", "/desk/updates/" + update + "/deliveries", "/desk/search?q=" + mark, "/desk/tasks"} {
		a := h.do(ask{method: "GET", path: path, header: map[string]string{"Cookie": cookie.String()}}).want(200)
		inertHTML(t, path, a.body)
	}
}

// inertText finds what a text must not hold: what steers a terminal, ends a header or turns the reading direction.
func inertText(t *testing.T, where, text string, lines bool) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("%s is no UTF-8: %.300q", where, text)
	}
	for _, c := range text {
		if c != '\n' && unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point) || c == '\n' && !lines {
			t.Fatalf("%s holds %U: %.300q", where, c, text)
		}
	}
}

// inertHTML reads what a browser would read: no element, attribute or address is of somebody else.
func inertHTML(t *testing.T, where string, text []byte) {
	t.Helper()
	z := html.NewTokenizer(bytes.NewReader(text))
	script := false
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return
		case html.CommentToken:
			if bytes.Contains(z.Raw(), []byte(mark)) {
				t.Fatalf("%s: a comment of somebody else: %.300q", where, z.Raw())
			}
		case html.TextToken:
			if script && bytes.Contains(z.Raw(), []byte(mark)) {
				t.Fatalf("%s: a script of somebody else: %.300q", where, z.Raw())
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			tag := z.Token()
			script = kind == html.StartTagToken && (tag.Data == "script" || tag.Data == "style")
			if strings.Contains(tag.Data, mark) {
				t.Fatalf("%s: an element of somebody else: %s", where, tag)
			}
			for _, a := range tag.Attr {
				leads := slices.Contains([]string{"href", "src", "action", "formaction", "srcset", "style"}, a.Key)
				if strings.Contains(a.Key, mark) || strings.HasPrefix(a.Key, "on") || leads && (strings.Contains(a.Val, mark+".") || strings.HasPrefix(a.Val, "javascript:")) {
					t.Fatalf("%s: an attribute of somebody else: %s", where, tag)
				}
			}
		}
	}
}

// What a chat takes for an order: Slack's angle brackets, and a link of the adaptive cards' Markdown.
var (
	slackOrder = regexp.MustCompile(`<[^>]*(zz9|!|@)`)
	teamsOrder = regexp.MustCompile(`(^|[^\\])\]\([^)]*zz9`)
)

func inertCard(t *testing.T, where, channel, text string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s is no JSON: %v", where, err)
	}
	order := map[string]*regexp.Regexp{"slack": slackOrder, "teams": teamsOrder}[channel]
	var look func(v any, marked bool)
	look = func(v any, marked bool) {
		switch v := v.(type) {
		case string:
			inertText(t, where, v, true)
			if marked && order != nil && order.MatchString(v) {
				t.Fatalf("%s orders %q", where, v)
			}
		case []any:
			for _, e := range v {
				look(e, marked)
			}
		case map[string]any:
			for name, e := range v {
				look(e, marked && v["type"] != "plain_text" && name != "fallbackText") // these two are shown as they are
			}
		}
	}
	look(v, true)
}
