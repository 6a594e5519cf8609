package main

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/store/postgres/pgtest"
	"lifeline/templates"
)

// Whoever names several database servers is told, by everything that tells, when none keeps what another acknowledged; and is served.
func TestADatabaseThatNoSecondServerFollowsIsSaidAndServes(t *testing.T) {
	m := newMachine(t)
	u, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	seen := func() (degraded bool, doctor string) {
		h, stop := m.serve()
		defer stop()
		if why := strings.Join(h.unready(t.Context(), &life{}), "\n"); strings.Contains(why, "synchronous_standby_names") {
			t.Errorf("it takes the page away: %s", why)
		}
		doctor, _ = m.run("doctor")
		return slices.Contains(h.degraded(t.Context()), degradedAlone), doctor
	}
	bad := regexp.MustCompile(`bad +replication .*synchronous_standby_names`)
	m.env["LIFELINE_STORE"] = u.String()
	if degraded, doctor := seen(); degraded || bad.MatchString(doctor) {
		t.Errorf("one server: %v\n%s", degraded, doctor)
	}
	q := u.Query()
	if host := q.Get("host"); host != "" { // a socket
		q.Set("host", host+","+t.TempDir())
		u.RawQuery = q.Encode()
	} else {
		u.Host += ",127.0.0.1:1"
	}
	m.env["LIFELINE_STORE"] = u.String()
	if degraded, doctor := seen(); !degraded || !bad.MatchString(doctor) {
		t.Errorf("two servers: %v\n%s", degraded, doctor)
	}
}

// A page that no file server gets any more is said by everything that tells, and served from memory meanwhile.
func TestAPageThatCannotBeWrittenIsSaidAndServed(t *testing.T) {
	m := newMachine(t)
	m.env["LIFELINE_PAGE_DIR"] = filepath.Join(m.env["key of ann"], "page") // a file stands where a directory would have to
	h, done := m.open()
	defer done()
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- h.serve(ctx, func() { close(ready) }) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.FailNow()
	}
	for begin := time.Now(); !slices.Contains(h.degraded(t.Context()), degradedPage); time.Sleep(time.Millisecond) { // it is served at once, and written behind that
		if time.Since(begin) > 10*time.Second {
			t.Fatal(h.degraded(t.Context()))
		}
	}
	if doctor, _ := m.run("doctor"); !regexp.MustCompile(`bad +page +it is not up to date: .*\n.*LIFELINE_PAGE_DIR`).MatchString(doctor) {
		t.Error(doctor)
	}
	res, err := http.Get("http://" + m.env["LIFELINE_LISTEN"] + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

// Every staff page says in words what is degraded.
func TestWhatIsDegradedIsSaidInEveryLanguage(t *testing.T) {
	words, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.StaffLocales() {
		for _, what := range degradations() {
			if !words.Catalog(locale).Has("desk.degraded." + what) {
				t.Errorf("%s has no sentence for %s", locale, what)
			}
		}
	}
}

// Who can get in while single sign-on is down, as it may be together with the product.
func TestTheDoctorCountsWhoHasNoPasswordHere(t *testing.T) {
	cfg, err := from(map[string]string{"LIFELINE_OIDC": "https://id:s3cret@login.product.example"})
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := cfg.print(&shown); err != nil || strings.Contains(shown.String(), "s3cret") {
		t.Errorf("--print-config shows the secret, or %v", err)
	}
	for n, want := range map[auth.WaysIn]string{{Own: 4}: "ok", {Own: 3, Single: 2}: "warning", {}: "bad"} {
		d := &doctor{cfg: cfg}
		if d.waysIn(n); len(d.found) != 1 || d.found[0].Level != want {
			t.Errorf("%+v: %+v", n, d.found)
		}
	}
	d := &doctor{cfg: cfg}
	if d.sharedFate("product.example"); len(d.found) != 1 || d.found[0].Level != "warning" || !strings.Contains(d.found[0].Says, "single sign-on (login.product.example)") {
		t.Errorf("%+v", d.found)
	}
}

func TestTheDoctorNamesWhatIsNotEncrypted(t *testing.T) {
	for _, c := range []struct{ url, smtp, store, level, says string }{
		{"http://127.0.0.1:8080", "smtp://127.0.0.1:25?tls=none", "bolt:", "ok", "on this machine"},
		{"https://status.example.com", "smtp://user:pass@relay.example.net smtps://relay2.example.net", "postgres://db.example.net/lifeline?sslmode=verify-full", "ok", "with encryption"},
		{"https://status.example.com", "", "postgres:///lifeline?host=/var/run/postgresql", "ok", "on this machine"},
		{"http://status.example.com", "", "bolt:", "bad", "http://status.example.com is not encrypted"},
		{"https://status.example.com", "smtp://relay.example.net:25?tls=none", "bolt:", "warning", "relay.example.net:25 is given mail"},
		{"https://status.example.com", "", "postgres://db.example.net/lifeline", "warning", "database at db.example.net"},
		{"https://status.example.com", "", "postgres://db.example.net/lifeline?sslmode=require", "warning", "database at db.example.net"},
		{"https://status.example.com", "", "postgres:///lifeline?host=10.0.0.1,10.0.0.2&sslmode=disable", "warning", "database at 10.0.0.1"},
	} {
		cfg, err := from(map[string]string{"LIFELINE_URL": c.url, "LIFELINE_SMTP": c.smtp, "LIFELINE_STORE": c.store, "LIFELINE_MAIL_FROM": "status@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		d := &doctor{cfg: cfg}
		if d.encryption(); len(d.found) == 0 || d.found[0].Level != c.level || !strings.Contains(d.found[0].Says, c.says) || (c.level == "ok") != (d.found[0].Do == "") {
			t.Errorf("%s %s %s: %+v", c.url, c.smtp, c.store, d.found)
		}
	}
}
