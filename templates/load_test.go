package templates

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// operator writes files into a directory of an operator's own templates.
func operator(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// An operator replaces a sentence or a whole message, keeps notes beside them, and an approval of the old words no longer holds.
func TestOperatorsOwnWords(t *testing.T) {
	dir := operator(t, map[string]string{
		"README.md":         "our notes",
		".git/config":       "not ours to read",
		"en.json":           `{"update.never": "We never ask for your password.", "count.sites": {"one": "{0} space", "other": "{0} spaces"}}`,
		"ja/ticket_ack.txt": `{{define "subject"}}受付 {{.Data.Number}}{{end}}{{define "text"}}受け付けました。{{.Data.URL}}{{end}}{{define "sms"}}受付{{.Data.Number}} {{.Data.URL}}{{end}}`,
		"update.ticket.txt": `{{.Headline}} / {{range .Action}}{{.}}{{end}} / {{t "update.number" .Update.Number}}`,
	})
	own, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if own.Version() == loaded.Version() {
		t.Error("other words have the same version")
	}
	if got := own.Own(); !slices.Equal(got, []string{"en.json", "ja/ticket_ack.txt", "update.ticket.txt"}) {
		t.Errorf("in force are %v", got)
	}
	u := named("02_identified").update
	for _, c := range []struct{ got, want string }{
		{must(own.Update(Email, "en", u, acme)).Text, "We never ask for your password.\n"},
		{must(own.Update(Email, "en", u, acme)).Text, "About 700 spaces and about 400 customers."},
		{must(own.Update(Tickets, "en", u, acme)).Text, "A maintenance script deleted customer sites / Please do not create a new site under the old name. Tell your own users that this takes days. / Update 2\n"},
		{must(own.Message(Email, MsgTicketAck, "ja", TicketAck{Number: "K7Q"}, acme)).Subject, "受付 K7Q"},
		{must(own.Message(Email, MsgTicketAck, "en", TicketAck{Number: "K7Q"}, acme)).Subject, "[Acme] We have your message: ticket K7Q"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("lacks %q:\n%s", c.want, c.got)
		}
	}
	if strings.Contains(must(loaded.Update(Email, "en", u, acme)).Text, "spaces") {
		t.Error("one set of words changed another")
	}
}

// Nobody shall find out during an outage that a template is broken: it is refused at start, with the file, the line and what to do.
func TestBrokenTemplatesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []string
	}{
		{"a name that nobody uses", "update.mail.txt", "x", []string{"update.mail.txt: no words of this name", "update.email.txt"}},
		{"a language that there is not", "it.json", "{}", []string{"it.json: no words of this name"}},
		{"no JSON", "en.json", "{\n\"update.never\": oops}", []string{"en.json: line 2"}},
		{"a list", "en.json", "[]", []string{"en.json: line 1: must be one object"}},
		{"a second object", "en.json", "{}\n{}", []string{"something follows the object"}},
		{"a sentence that nobody says", "en.json", "{\n\n\"update.nevr\": \"x\"}", []string{"en.json: line 3", `no sentence is called "update.nevr"`}},
		{"a sentence twice", "en.json", "{\"update.never\": \"x\",\n\"update.never\": \"y\"}", []string{"line 2", "stands here twice"}},
		{"a lost placeholder", "ja.json", `{"update.number": "更新"}`, []string{"ja.json: line 1", `"update.number" must use the placeholders [0], not []`}},
		{"an invented placeholder", "en.json", `{"update.never": "{7}"}`, []string{"must use the placeholders [], not [7]"}},
		{"a named placeholder", "en.json", `{"update.number": "Update {n}"}`, []string{"{n} is not a placeholder"}},
		{"an open brace", "en.json", `{"update.never": "{"}`, []string{"a { has no }"}},
		{"a plural without other", "en.json", `{"count.sites": {"one": "{0} site"}}`, []string{`need "other"`}},
		{"an unknown plural", "en.json", `{"count.sites": {"some": "{0}", "other": "{0}"}}`, []string{`"some" is not a plural form`}},
		{"a number for a sentence", "en.json", `{"update.never": 7}`, []string{"must be a sentence"}},
		{"a template that does not parse", "update.email.txt", "a\n{{if}}", []string{"update.email.txt:2"}},
		{"a function that there is not", "update.page.html", "{{shout .Headline}}", []string{"update.page.html:1", "shout"}},
		{"a field that there is not", "update.email.html", "<p>\n{{.Headlin}}", []string{"update.email.html:2", "Headlin"}},
		{"a sentence that a layout asks for in vain", "update.ticket.txt", `{{t "update.nevr"}}`, []string{"update.ticket.txt:1", `no sentence "update.nevr" in en`}},
		{"a number that lacks", "update.ticket.txt", `{{t "update.number"}}`, []string{"lacks its argument 0"}},
		{"a message without its SMS", "en/ticket_ack.txt", `{{define "subject"}}x{{end}}{{define "text"}}{{.Data.URL}}{{end}}`, []string{"en/ticket_ack.txt", `lacks {{define "sms"}}`}},
		{"a subject that says nothing", "en/ticket_ack.txt", `{{define "subject"}} {{end}}{{define "text"}}x{{end}}{{define "sms"}}x{{end}}`, []string{"ticket_ack", "its subject is empty"}},
		{"a mail by which nobody can check it", "update.email.txt", "{{.Headline}}\n{{.Never}}", []string{"for email in en", "its text lacks the code by which it can be checked (.Check)"}},
		{"a mail that says less in colour", "update.email.html", "<h1>{{.Headline.HTML}}</h1><p>{{.Check.HTML}}</p>", []string{"its HTML lacks what we never ask for (.Never)"}},
		{"a text message without its page", "en/ticket_ack.txt", `{{define "subject"}}x{{end}}{{define "text"}}{{.Data.URL}}{{end}}{{define "sms"}}x{{end}}`, []string{"ticket_ack for sms in en", "its text lacks the page", "(.Data.URL)"}},
		{"a code that is not said", "en/code.txt", `{{define "subject"}}x{{end}}{{define "text"}}{{.Data.URL}}{{end}}{{define "sms"}}{{.Data.Code}}{{end}}`, []string{"code for email in en", "its text lacks its code (.Data.Code)"}},
		{"a layout that says nothing", "update.ticket.txt", "{{/* later */}}", []string{"its text is empty"}},
		{"a file without end", "update.ticket.txt", strings.Repeat("x", maxFile+1), []string{"is larger than 1048576 bytes"}},
	} {
		_, err := Load(operator(t, map[string]string{c.file: c.text}))
		if err == nil {
			t.Errorf("%s: taken", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error lacks %q: %v", c.name, want, err)
			}
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "read templates in") {
		t.Errorf("a directory that is not there: %v", err)
	}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(outside, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "en.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "en.json") {
		t.Errorf("a link out of the directory was followed: %v", err)
	}
}

// The samples that a template is tried with at start say every sentence that an update can say: a broken one cannot hide.
func TestSamplesReachEverySentence(t *testing.T) {
	set := must(Load(""))
	c := set.catalogs["en"]
	for key, e := range c.words {
		if key == "sms.date_layout" || key == "sms.months" {
			continue
		}
		marked := form{{text: "⟪" + key + "⟫", arg: -1}}
		for _, n := range e.places() {
			marked = append(marked, part{arg: n})
		}
		c.words[key] = entry{form: marked}
	}
	said := ""
	for _, u := range sampleUpdates() {
		for _, vendor := range []Vendor{acme, {Name: "Acme", Support: acme.Support}} {
			for _, channel := range []string{Email, OnPage, Tickets} {
				r := must(set.Update(channel, "en", u, vendor))
				said += r.Subject + r.Text + r.HTML
			}
			for _, locales := range [][]string{u.Statement.Locales, {"ja"}} {
				w := writer{Catalog: c, u: u, v: vendor, st: u.Statement, prose: proseLang(locales), brief: true, most: 60}
				l := w.smsLead()
				said += l.String() + l.see
				for _, f := range w.smsFacts() {
					said += f.text + f.more
				}
				said += w.prevails().String()
			}
		}
	}
	said = strings.Join(strings.Fields(said), "")
	groups := strings.Fields("affected apology assured confidence data_loss fold full_scope mark pass_on picture recovery restored scope security sms update was_not")
	elsewhere := []string{"sms.date_layout", "sms.months"}
	for _, key := range c.keys() {
		group, _, _ := strings.Cut(key, ".")
		if slices.Contains(groups, group) && !slices.Contains(elsewhere, key) && !strings.Contains(said, "⟪"+key+"⟫") {
			t.Errorf("no sample says %q", key)
		}
	}
}
