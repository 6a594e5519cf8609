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
