package contacts

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/outbound"
)

// Pull is a file that is fetched and imported again and again.
type Pull struct {
	Source   string        `yaml:"source"`
	URL      string        `yaml:"url"` // https://..., or s3://HOST/BUCKET/NAME?region=NAME; without credentials
	Every    time.Duration `yaml:"every"`
	Snapshot bool          `yaml:"snapshot"` // it is all that the source knows
	Format   string        `yaml:"format"`   // csv or jsonl; "": told by the first character
}

const (
	pullTimeout = 15 * time.Minute // of one fetch, its import included; the lease is as long
	pullTick    = 10 * time.Second
	pullTries   = 3 // that failed one behind the other before a person is told
	pullBy      = "system:pull"
)

func (p Pull) check() error {
	if _, err := parseSource(p.Source); err != nil || p.Source == staffWord {
		return fault.BadField("contacts.pulls", "%q cannot be the name of a source", p.Source)
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "s3":
		return fault.BadField("contacts.pulls", "the url of %s is not https://... or s3://HOST/BUCKET/NAME", p.Source)
	case u.User != nil:
		return fault.BadField("contacts.pulls", "the url of %s holds credentials: put them into LIFELINE_PULL_KEYS", p.Source)
	case u.Scheme == "s3" && strings.Count(strings.Trim(u.Path, "/"), "/") < 1:
		return fault.BadField("contacts.pulls", "the url of %s names no bucket and object: s3://HOST/BUCKET/NAME", p.Source)
	case p.Every < time.Minute:
		return fault.BadField("contacts.pulls", "%s is fetched every %s; a minute is the least", p.Source, p.Every)
	case p.Format != FormatAuto && p.Format != FormatCSV && p.Format != FormatJSONLines:
		return fault.BadField("contacts.pulls", "the format of %s is %q; it may be csv or jsonl", p.Source, p.Format)
	}
	return nil
}

func checkPulls(all []Pull) error {
	sources := map[string]bool{}
	for _, p := range all {
		if err := p.check(); err != nil {
			return err
		}
		if sources[p.Source] {
			return fault.BadField("contacts.pulls", "%s is fetched from two places: give each a source of its own, such as %s-2", p.Source, p.Source)
		}
		sources[p.Source] = true
	}
	return nil
}

// Puller fetches what the policy names. Of several replicas one fetches a source at a time, by a lease.
type Puller struct {
	Book   *Book
	Dialer *outbound.Dialer
	Keys   map[string]string // by source: what follows "Bearer " for a URL, KEY:SECRET for s3 (and for a URL with a password)
	Plain  bool              // s3 without TLS; for tests
	Holder string            // this process
	Log    *slog.Logger
}

// Run fetches whatever is due until ctx ends.
func (p *Puller) Run(ctx context.Context) {
	if len(p.Book.Policy.Pulls) == 0 {
		return
	}
	tick := time.NewTicker(pullTick)
	defer tick.Stop()
	for {
		if err := p.Turn(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("contacts were not fetched", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Turn fetches every source that is due, one behind the other.
func (p *Puller) Turn(ctx context.Context) error {
	if err := p.enroll(ctx); err != nil {
		return err
	}
	for {
		held, err := p.Book.DB.Claim(ctx, store.Lease{Kind: feeds.Name, Lane: pullLane, Holder: p.Holder, For: pullTimeout + time.Minute, Limit: 1})
		if err != nil || len(held) == 0 {
			return err
		}
		if err := p.one(ctx, held[0]); err != nil {
			return err
		}
	}
}

// enroll makes a feed due that the policy names and that was never fetched.
func (p *Puller) enroll(ctx context.Context) error {
	for _, pull := range p.Book.Policy.Pulls {
		err := again(ctx, func() error {
			return p.Book.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
				rec, err := feedOf(tx, pull.Source)
				if err != nil || !rec.Value.Due.IsZero() {
					return err
				}
				rec.Value.Due = tx.Now()
				return putFeed(tx, rec.Meta, rec.Value)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// one fetches and imports one source, and notes how that ended.
func (p *Puller) one(ctx context.Context, held store.Meta) error {
	source := strings.TrimPrefix(held.ID, feeds.Prefix+"_")
	var pull Pull
	for _, c := range p.Book.Policy.Pulls {
		if c.Source == source {
			pull = c
		}
	}
	etag, err := "", error(nil)
	if pull.Source != "" {
		etag, err = p.fetch(ctx, pull)
	}
	if ctx.Err() != nil {
		return ctx.Err() // shutting down is no failure: the lease ends by itself
	}
	if err != nil {
		p.Log.Warn("a source cannot be fetched", "source", source, "err", err)
	}
	return again(context.WithoutCancel(ctx), func() error {
		return p.Book.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error {
			rec, failed := feedOf(tx, source)
			if failed != nil {
				return failed
			}
			f := p.after(pull, rec.Value, tx.Now(), etag, err)
			if err := p.tell(tx, rec.Value, f); err != nil {
				return err
			}
			if err := putFeed(tx, rec.Meta, f); err != nil {
				return err
			}
			return feeds.Release(tx, held.ID, held.Holder, held.Epoch)
		})
	})
}

// after is what is remembered of a source when it was fetched, or was not. A pull that the policy names no longer is not due again.
func (p *Puller) after(pull Pull, f feed, now time.Time, etag string, err error) feed {
	switch {
	case pull.Source == "":
		f.Due, f.Tries, f.Why, f.ETag = time.Time{}, 0, "", ""
	case err != nil:
		f.Tries++
		f.Why = cleanReason(err.Error())
		f.Due = now.Add(min(pull.Every, time.Minute<<min(f.Tries-1, 10)))
	default:
		f.Tries, f.Why, f.GoodAt, f.Due = 0, "", now, now.Add(pull.Every)
		f.ETag = cmp.Or(etag, f.ETag)
	}
	return f
}

// tell finds a source that failed too often, once, and settles it when it works again.
func (p *Puller) tell(tx *store.Tx, was, now feed) error {
	switch {
	case was.Tries < pullTries && now.Tries >= pullTries:
		return p.Book.found(tx, Finding{What: PullFailed, Source: now.Source, Count: now.Tries})
	case was.Tries >= pullTries && now.Tries == 0:
		return p.Book.found(tx, Finding{What: PullFailed, Source: now.Source, Over: true})
	}
	return nil
}

// errUnchanged says that the file is the one that was imported last.
var errUnchanged = errors.New("unchanged")

// fetch imports a source's file and gives its ETag; "" when it is to be read again next time.
func (p *Puller) fetch(ctx context.Context, pull Pull) (etag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	var was feed
	err = p.Book.DB.View(ctx, func(tx *store.Tx) error {
		rec, err := feedOf(tx, pull.Source)
		was = rec.Value
		return err
	})
	if err != nil {
		return "", err
	}
	open := p.fromURL
	if strings.HasPrefix(pull.URL, "s3://") {
		open = p.fromS3
	}
	body, etag, err := open(ctx, pull, was.ETag)
	if errors.Is(err, errUnchanged) {
		return was.ETag, nil
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	report, err := p.Book.Import(ctx, pullBy, body, ImportOptions{Source: pull.Source, Format: pull.Format, Snapshot: pull.Snapshot})
	if err != nil {
		return "", err
	}
	if w := report.Waiting; w != nil {
		p.Log.Warn("a fetched file waits for a second person", "source", pull.Source, "change", w.Change, "addresses", w.Addresses)
		return "", nil // read again next time: it runs when it was approved
	}
	p.Log.Info("contacts were fetched", "source", pull.Source, "rows", report.Rows, "created", report.Created, "updated", report.Updated,
		"conflicts", report.Conflicts, "rejected", report.RejectedRows, "missing", report.Missing)
	return etag, nil
}

func (p *Puller) client() *http.Client {
	c := p.Dialer.Client()
	c.Timeout = pullTimeout // its own ten seconds are too short for half a gigabyte; the dial and the header keep theirs
	return c
}

func (p *Puller) fromURL(ctx context.Context, pull Pull, etag string) (io.ReadCloser, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pull.URL, nil)
	if err != nil {
		return nil, "", err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	if user, password, both := strings.Cut(p.Keys[pull.Source], ":"); both {
		req.SetBasicAuth(user, password)
	} else if user != "" {
		req.Header.Set("Authorization", "Bearer "+user)
	}
	res, err := p.client().Do(req)
	if err != nil {
		return nil, "", err
	}
	switch {
	case res.StatusCode == http.StatusOK && res.Header.Get("Content-Encoding") == "":
		return res.Body, res.Header.Get("ETag"), nil
	case res.StatusCode == http.StatusNotModified && etag != "":
		err = errUnchanged
	case res.StatusCode == http.StatusOK:
		err = fault.New(fault.Permanent, "it answers compressed, though that was not asked for")
	default:
		err = fault.New(fault.Unavailable, "it answers %d", res.StatusCode)
	}
	_ = res.Body.Close()
	return nil, "", err
}

func (p *Puller) fromS3(ctx context.Context, pull Pull, etag string) (io.ReadCloser, string, error) {
	u, err := url.Parse(pull.URL)
	if err != nil {
		return nil, "", err
	}
	bucket, name, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	key, secret, _ := strings.Cut(p.Keys[pull.Source], ":")
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(key, secret, ""), Secure: !p.Plain, Region: cmp.Or(u.Query().Get("region"), "us-east-1"),
		Transport: p.client().Transport, MaxRetries: 2})
	if err != nil {
		return nil, "", err
	}
	o := minio.GetObjectOptions{}
	if etag != "" {
		if err := o.SetMatchETagExcept(etag); err != nil {
			return nil, "", err
		}
	}
	body, info, _, err := (&minio.Core{Client: client}).GetObject(ctx, bucket, name, o)
	if code := minio.ToErrorResponse(err); err != nil && code.StatusCode == http.StatusNotModified {
		return nil, "", errUnchanged
	}
	return body, info.ETag, err
}

// ParseKeys reads "billing=TOKEN crm=KEY:SECRET", separated by spaces.
func ParseKeys(text string) (map[string]string, error) {
	all := map[string]string{}
	for i, item := range strings.Fields(text) {
		source, key, ok := strings.Cut(item, "=")
		if _, err := parseSource(source); err != nil || !ok || key == "" {
			return nil, fault.New(fault.Invalid, "item %d is not SOURCE=TOKEN or SOURCE=KEY:SECRET", i+1)
		}
		all[source] = key
	}
	return all, nil
}
