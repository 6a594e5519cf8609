package storetest

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/postgres"
	"lifeline/store/postgres/pgtest"
)

// What was acknowledged survives the loss of the database's primary when its standby is synchronous, and two processes go on by themselves
// once the standby is promoted: a primary that is killed, and one that is stopped in order because somebody planned to switch over. LIFELINE_CRASH=1
// plays many of both; each round goes over to a new standby of the server before. The short form switches over once; a primary that is killed is
// the story of the whole program: TestReplicasOutliveTheirDatabasesPrimary of cmd/lifeline.

const failovers = 10

// mostAway is how long the service may be away after a standby was promoted.
const mostAway = 120 * time.Second

// failOver ends the primary under two writing processes, promotes its standby, and names what of the acknowledged is not there then. With
// line false the standby was cut off, and nobody waited for it.
func failOver(t *testing.T, p place, primary *pgtest.Server, end func(*pgtest.Server) error, line bool) (promoted *pgtest.Server, said, lost int) {
	t.Helper()
	standby, err := primary.Standby(pgtest.Durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	if line {
		err = primary.Synchronous()
	} else {
		err = primary.CatchUp()
		if err == nil {
			err = standby.Detach()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	either := pgtest.Either(primary, standby)
	replicas := []*writer{startChild(t, either, p.keyDir, honest), startChild(t, either, p.keyDir, honest)}
	for _, w := range replicas {
		w.hear(30 + rand.IntN(60))
	}
	if err := end(primary); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	away := untilBack(t, either, p)
	for _, w := range replicas {
		w.hear(100)
	}
	var all []string
	for _, w := range replicas {
		w.kill()
		all = append(all, w.said...)
	}
	gone := missing(t, standby.URL(), p.keys, all)
	for i, w := range replicas {
		if filedSince(t, standby.URL(), p.keys, w.said, back) == 0 {
			t.Errorf("replica %d acknowledged nothing after the failover", i)
		}
	}
	t.Logf("%d acknowledged, %d lost; service was back %.2f s after the promotion", len(all), len(gone), away.Seconds())
	if away > mostAway {
		t.Errorf("service was back after %s only", away)
	}
	if line && len(gone) > 0 {
		t.Errorf("of %d acknowledged tickets %d are lost: %q", len(all), len(gone), gone)
	}
	return standby, len(all), len(gone)
}

// untilBack says how long it takes, from now, until a ticket is acknowledged.
func untilBack(t *testing.T, url string, p place) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), mostAway)
	defer cancel()
	var db *store.DB
	eventually(t, "the service is back", func() bool {
		var err error
		if db == nil {
			if db, err = start(ctx, url, p.keyDir, honest); err != nil {
				return false
			}
		}
		_, err = fileTicket(ctx, db, "back-"+store.NewSuffix())
		return err == nil
	})
	away := time.Since(began)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return away
}

// filedSince counts the tickets of one process that were filed after a time.
func filedSince(t *testing.T, url string, keys *store.Keys, said []string, since time.Time) (n int) {
	t.Helper()
	engine, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	db, err := store.Open(t.Context(), engine, store.Options{Keys: keys, Kinds: TicketKinds()})
	if err != nil {
		t.Fatal(err)
	}
	run, _, _ := strings.Cut(said[0], "-")
	err = db.View(t.Context(), func(tx *store.Tx) error {
		n = 0
		for rec, err := range tickets.Scan(tx, store.Query{}) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(rec.Value.Number, run+"-") && rec.Value.At.After(since) {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatWasAcknowledgedSurvivesAFailover(t *testing.T) {
	pgtest.URL(t) // says so when there is no PostgreSQL
	rounds := failovers
	if os.Getenv("LIFELINE_CRASH") != "1" {
		rounds = 1
	}
	primary, err := pgtest.StartServer("", pgtest.Durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Stop)
	p, said := newPlace(t, primary.URL()), 0
	for n := range rounds {
		end := (*pgtest.Server).Shut
		if n%2 == 1 {
			end = (*pgtest.Server).Kill
		}
		standby, n, _ := failOver(t, p, primary, end, true)
		primary.Stop()
		primary, said = standby, said+n
		if t.Failed() {
			return
		}
	}
	t.Logf("%d failovers, %d acknowledged, none lost", rounds, said)
	// A suite that cannot see a loss proves nothing.
	t.Run("which a standby that nobody waits for does not give", func(t *testing.T) {
		if _, said, lost := failOver(t, p, primary, (*pgtest.Server).Kill, false); lost == 0 {
			t.Errorf("none of %d acknowledged tickets is lost", said)
		}
	})
}
