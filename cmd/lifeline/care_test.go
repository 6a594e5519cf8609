package main

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

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

// Every staff page says in words what is degraded.
func TestWhatIsDegradedIsSaidInEveryLanguage(t *testing.T) {
	words, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range templates.Locales() {
		for _, what := range degradations() {
			if !words.Catalog(locale).Has("desk.degraded." + what) {
				t.Errorf("%s has no sentence for %s", locale, what)
			}
		}
	}
}
