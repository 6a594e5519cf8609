package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

func TestEachSettingThatCouldLoseAnAcknowledgedWriteIsNamed(t *testing.T) {
	pgtest.URL(t) // says so when there is no PostgreSQL
	server, err := pgtest.StartServer("", "fsync=off", "full_page_writes=off", "synchronous_commit=local")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	problems := open(t, server.URL(), postgres.Options{}).Unsafe(t.Context())
	for _, setting := range []string{"fsync=off", "full_page_writes=off", "synchronous_commit=local"} {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, setting) }) {
			t.Errorf("%s is not named: %q", setting, problems)
		}
	}
	if len(problems) != 3 {
		t.Errorf("%d problems, want 3: %q", len(problems), problems)
	}
	standby, err := server.Standby(pgtest.Durable, "full_page_writes=on", "synchronous_commit=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	problems = open(t, standby.URL(), postgres.Options{}).Unsafe(t.Context())
	if len(problems) != 1 || !strings.Contains(problems[0], "in recovery") {
		t.Errorf("of a standby: %q", problems)
	}
}

// Whoever names several servers wants each commit to be on two of them. A standby that was promoted has nobody to wait for: that is said, and
// it serves.
func TestServersThatKeepNothingForEachOtherAreNamed(t *testing.T) {
	primary, standby := pgtest.Pair(t)
	alone, both := open(t, primary.URL(), postgres.Options{}), open(t, pgtest.Either(primary, standby), postgres.Options{})
	wants := func(what string, e *postgres.Engine, named bool) {
		t.Helper()
		if why := e.Unreplicated(t.Context()); strings.Contains(why, "synchronous_standby_names") != named {
			t.Errorf("%s: %q", what, why)
		}
		if problems := e.Unsafe(t.Context()); len(problems) != 0 {
			t.Errorf("%s is said to be unsafe: %q", what, problems)
		}
	}
	wants("one server", alone, false)
	wants("two, the standby not awaited", both, true)
	if err := primary.Synchronous(); err != nil {
		t.Fatal(err)
	}
	wants("two, the standby awaited", both, false)
	primary.Stop()
	if why := both.Unreplicated(t.Context()); why != "" {
		t.Errorf("nobody answers: %q", why)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	wants("promoted", open(t, pgtest.Either(primary, standby), postgres.Options{}), true)
}
