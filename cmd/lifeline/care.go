package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeline/comms"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/fault"
)

// What is not as it must be and yet serves: readiness stays, so that no load balancer takes the page away, and everybody who looks is told.
const (
	degradedEscrow  = "escrow"  // fewer than two people have proved that they can open the keys in use
	degradedHeld    = "held"    // nothing is sent until somebody has looked
	degradedJournal = "journal" // what must hold after a restore does not get out of this machine
	degradedDisk    = "disk"    // little room is left under LIFELINE_DATA
	degradedPage    = "page"    // the status page, or what is written of it for a file server, is not up to date
	degradedAlone   = "alone"   // several database servers are named, and no commit waits for a second one
)

// degradations are all of them.
func degradations() []string {
	return []string{degradedEscrow, degradedHeld, degradedJournal, degradedDisk, degradedPage, degradedAlone}
}

// journalLate is how long facts may wait before that is worth a word; as a rule it is seconds.
const journalLate = time.Minute

// degraded says what is not as it must be.
func (h *house) degraded(ctx context.Context) (what []string) {
	if h.demo {
		return nil
	}
	current, held := 0, ""
	err := h.db.View(ctx, func(tx *store.Tx) (err error) {
		current = 0
		all, err := store.Custodians(tx)
		for _, c := range all {
			if c.Current {
				current++
			}
		}
		if err == nil {
			held, err = store.Held(tx)
		}
		return err
	})
	if err == nil && current < 2 {
		what = append(what, degradedEscrow)
	}
	if err == nil && held != "" {
		what = append(what, degradedHeld)
	}
	if err == nil && h.backups != nil {
		var j store.JournalState
		if j, err = h.db.Journal(ctx); err == nil && j.Waiting > 0 && h.db.Now().Sub(j.Since) > journalLate {
			what = append(what, degradedJournal)
		}
	}
	if _, short := room(absolute(h.cfg.get("LIFELINE_DATA"))); short {
		what = append(what, degradedDisk)
	}
	if h.pageTrouble() != "" {
		what = append(what, degradedPage)
	}
	if h.unreplicated(ctx) != "" {
		what = append(what, degradedAlone)
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("nobody can say what needs care", "err", err)
	}
	return what
}

// pageTrouble is why the status page is not up to date; "": it is, or this process serves none.
func (h *house) pageTrouble() string {
	if h.keeper == nil {
		return ""
	}
	return h.keeper.State().LastError
}

// unreplicated says why what the database acknowledges could be lost with its server, though others are named; "": it is not, or it is no database.
func (h *house) unreplicated(ctx context.Context) string {
	if engine, ok := h.engine.(interface {
		Unreplicated(context.Context) string
	}); ok {
		return engine.Unreplicated(ctx)
	}
	return ""
}

// watchCare shows the same as figures.
func (h *house) watchCare() { h.metrics.MustRegister(care{h}) }

// care looks once for all of them whenever somebody reads the metrics.
type care struct{ *house }

var degradedMetric = prometheus.NewDesc("lifeline_degraded", "1 while something is not as it must be, though everything is served.", []string{"what"}, nil)

func (c care) Describe(to chan<- *prometheus.Desc) { to <- degradedMetric }

func (c care) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now := c.degraded(ctx)
	for _, name := range degradations() {
		is := 0.0
		if slices.Contains(now, name) {
			is = 1
		}
		to <- prometheus.MustNewConstMetric(degradedMetric, prometheus.GaugeValue, is, name)
	}
}

// troubles is what each of the things that can go wrong with backups means for whoever takes the task.
var troubles = map[string]string{
	backup.TroubleBackup:  "A backup was not taken, or not everywhere: lifeline backup now, lifeline doctor",
	backup.TroubleFrozen:  "The store shrank sharply; old backups are kept until somebody looked: lifeline backup list, then lifeline backup thaw",
	backup.TroubleJournal: "What must hold after a restore does not reach the backup place: lifeline doctor",
	backup.TroubleVerify:  "A backup is not whole: lifeline backup verify",
	backup.TroubleDrill:   "A restore drill failed or missed its targets: lifeline backup drill",
}

// trouble makes a task of what is wrong, which somebody follows to its end; with detail "" it is not wrong any more, and the task ends.
func (h *house) trouble(ctx context.Context, what, detail string) error {
	title, known := troubles[what]
	if !known {
		return fault.BadField("what", "%.40q is nothing that can be wrong with backups", what)
	}
	return h.owed(ctx, "backup."+what, "backups", title, detail == "")
}

// owed makes a task of what is wrong, or ends it once it went well.
func (h *house) owed(ctx context.Context, sort, of, title string, well bool) error {
	if well {
		return h.db.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			return h.comms.Settle(tx, sort, of, byOperator, "it went well since")
		})
	}
	family, _, _ := strings.Cut(sort, ".")
	return h.db.Update(ctx, store.Act{By: byOperator, Verb: family + ".trouble"}, func(tx *store.Tx) error {
		_, err := h.comms.Owe(tx, comms.Task{What: sort, Of: of, Title: title})
		return err
	})
}

// pageBucket is where a copy of the page is kept; nil: nowhere.
func (c config) pageBucket() (*page.Bucket, error) {
	at := c.get("LIFELINE_PAGE_BUCKET")
	if at == "" {
		return nil, nil
	}
	o, err := s3At(at)
	if err == nil && o.Bucket == "" {
		err = errors.New("names no bucket; write s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=NAME")
	}
	if err != nil {
		return nil, err
	}
	client, err := o.Client()
	if err != nil {
		return nil, err
	}
	b := &page.Bucket{Client: client, Name: o.Bucket}
	if prefix := strings.Trim(o.Prefix, "/"); prefix != "" {
		b.Prefix = prefix + "/"
	}
	return b, nil
}

// bucketTrouble makes a task of it that the page's copy is not up to date.
func (h *house) bucketTrouble(ctx context.Context, detail string) {
	err := h.owed(ctx, "finding.page_bucket", "page", "The copy of the status page in the bucket is not up to date: lifeline doctor says why", detail == "")
	if err != nil && !errors.Is(err, context.Canceled) {
		h.log.Error("no task was made of what is wrong with the page's copy", "err", err)
	}
}

// bucketEvery is how often it is looked whether the bucket holds the page that is shown.
const bucketEvery = 10 * time.Second

// careFor is trouble for those who cannot do anything about an error.
func (h *house) careFor(ctx context.Context, what, detail string) {
	if err := h.trouble(ctx, what, detail); err != nil && !errors.Is(err, context.Canceled) {
		h.log.Error("no task was made of what is wrong with backups", "what", what, "err", err)
	}
}
