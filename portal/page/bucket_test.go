package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeline/comms"
	"lifeline/store/storetest"
)

// What pages load is sent before the pages, what is there already is not sent, and what no page names any more is removed, but for assets.
func TestWhatABucketLacks(t *testing.T) {
	pieces := []piece{{name: "assets/style.2.css"}, {name: "en/index.html"}, {name: "index.html"}}
	before := Manifest{Files: []ManifestFile{{Path: "assets/style.1.css"}, {Path: "en/index.html"}, {Path: "en/old/index.html"}, {Path: "../else"}}}
	got := changes(pieces, before, func(p piece) bool { return p.name == "index.html" })
	names := func(batch []piece) (out []string) {
		for _, p := range batch {
			out = append(out, p.name)
		}
		return out
	}
	if !slices.Equal(names(got.send[0]), []string{"assets/style.2.css"}) || !slices.Equal(names(got.send[1]), []string{"en/index.html"}) || !slices.Equal(got.remove, []string{"en/old/index.html"}) {
		t.Errorf("%v, then %v, then without %v", names(got.send[0]), names(got.send[1]), got.remove)
	}
}

// wire counts what is asked of a bucket, and can be cut.
type wire struct {
	mu   sync.Mutex
	seen []string // PUT and DELETE with their paths, in the order in which they ended
	cut  func(method, path string) bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.cut != nil && w.cut(r.Method, r.URL.Path) {
		return nil, errors.New("the wire is cut")
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if r.Method == http.MethodPut || r.Method == http.MethodDelete {
		w.mu.Lock()
		w.seen = append(w.seen, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
	}
	return res, err
}

func (w *wire) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	did := w.seen
	w.seen = nil
	return did
}

// The page in a bucket is the page, and follows it: only what changed is sent, the list of files last, what is gone is removed behind it; a failure is told and mended.
func TestABucketHoldsThePage(t *testing.T) {
	g := storetest.S3(t)
	w := &wire{}
	client, err := minio.New(g.Addr, &minio.Options{Creds: credentials.NewStaticV4(g.Access, g.Secret, ""), Region: g.Region, Transport: w, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), "pages", minio.MakeBucketOptions{Region: g.Region}); err != nil {
		t.Fatal(err)
	}
	sign := func(m []byte) []byte { s := sha256.Sum256(append([]byte("secret"), m...)); return s[:] }
	press := samplePress(t, "")
	now := press.Now()
	press.Now = func() time.Time { return now }
	server := &Server{}
	show := func(p comms.Public) *Edition {
		t.Helper()
		e, err := press.Render(p)
		if err != nil {
			t.Fatal(err)
		}
		server.Show(e)
		return e
	}
	var troubles []string
	open := func(prefix string) *Bucket {
		return &Bucket{Client: client, Name: "pages", Prefix: prefix, Server: server, Sign: sign, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return now },
			Trouble: func(_ context.Context, detail string) { troubles = append(troubles, detail) }}
	}
	b := open("site/")
	w.did()

	e := show(sampleRecovery())
	if err := b.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	did := w.did()
	at := func(name string) int { return slices.Index(did, "PUT /pages/site/"+name) }
	if at(ownerFile) != 0 || at(manifest) != len(did)-1 || at(signed) != len(did)-2 || at("assets/") > at("index.html") {
		t.Errorf("the order is %q", did)
	}
	last := 0
	for i, name := range did {
		if strings.HasPrefix(name, "PUT /pages/site/assets/") {
			last = i
		}
	}
	if first := slices.IndexFunc(did, func(name string) bool { return strings.Contains(name, ".html") }); first < last {
		t.Error("a page went before what it loads")
	}
	// A server that hands on what lies there, with its headers, is a page that an outside watch believes.
	files := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if strings.HasSuffix(name, "/") { // as a bucket that serves a site does
			name += "index.html"
		}
		o, err := client.GetObject(r.Context(), "pages", "site"+name, minio.GetObjectOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		info, err := o.Stat()
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", info.ContentType)
		for _, h := range []string{"Cache-Control", "Content-Encoding", "Content-Language"} {
			rw.Header().Set(h, info.Metadata.Get(h))
		}
		io.Copy(rw, o)
	}))
	defer files.Close()
	watch := Watch{URL: files.URL + "/", Client: files.Client(), Now: func() time.Time { return now }, Valid: func(m, s []byte) bool { return bytes.Equal(s, sign(m)) }}
	look := func(release int) {
		t.Helper()
		if m, err := watch.Look(t.Context(), release); err != nil || m.Release != release || m.Edition != server.Shown().Number {
			t.Errorf("a watch sees number %d of edition %d: %v", m.Release, m.Edition, err)
		}
	}
	look(1)
	raw := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for name, want := range map[string][4]string{
		"ja/index.html":       {htmlType, cachePage, "", "ja"},
		"ja/index.html.br":    {htmlType, cachePage, "br", "ja"},
		"history.atom.gz":     {"application/atom+xml; charset=utf-8", cachePage, "gzip", "en"},
		"api/v2/summary.json": {jsonType, cachePage, "", ""},
		manifest:              {jsonType, cacheNever, "", ""},
	} {
		res, err := raw.Get(files.URL + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for i, h := range []string{"Content-Type", "Cache-Control", "Content-Encoding", "Content-Language"} {
			if got := res.Header.Get(h); got != want[i] {
				t.Errorf("%s: %s is %q, want %q", name, h, got, want[i])
			}
		}
	}

	// Nothing new: nothing is sent, neither by this process nor by another that has rendered the same.
	now = now.Add(time.Second)
	show(sampleRecovery())
	for _, who := range []*Bucket{b, open("site/")} {
		if err := who.Turn(t.Context()); err != nil || len(w.did()) > 0 {
			t.Errorf("it sent again what is there: %v", err)
		}
	}
	// Another edition, in which the incident is gone.
	now = now.Add(time.Minute)
	p := sampleEmpty()
	p.Edition = e.Number + 1
	show(p)
	if err := b.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	did = w.did()
	if i := at(manifest); i < 0 || slices.ContainsFunc(did[:i], func(name string) bool { return strings.HasPrefix(name, "DELETE") }) || at("robots.txt") >= 0 ||
		slices.Index(did, "DELETE /pages/site/incidents/"+sampleID+"/index.html") < i || slices.ContainsFunc(did, func(name string) bool { return strings.Contains(name, "assets/") }) {
		t.Errorf("the order is %q", did)
	}
	look(2)

	// The wire is cut in the middle: whoever reads the list of files reads the old one, it is told once it fails, waits, and is whole again.
	p = sampleRecovery()
	p.Edition = e.Number + 2
	show(p)
	w.cut = func(method, path string) bool {
		return method == http.MethodPut && strings.HasSuffix(path, "/history.rss")
	}
	if err := b.Turn(t.Context()); err == nil {
		t.Error("a cut wire is no failure")
	}
	if did = w.did(); at(manifest) >= 0 || at(signed) >= 0 {
		t.Errorf("the list of files went ahead of them: %q", did)
	}
	w.cut = nil
	if err := b.Turn(t.Context()); err != nil || len(w.did()) > 0 {
		t.Errorf("it does not rest after a failure: %v", err)
	}
	now = now.Add(turnRest)
	if err := b.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(3)
	if len(troubles) != 4 || troubles[0]+troubles[1]+troubles[3] != "" || !strings.Contains(troubles[2], "history.rss") { // each process says once that it goes well
		t.Errorf("it told %q", troubles)
	}

	// What is not ours is left alone.
	if _, err := client.PutObject(t.Context(), "pages", "theirs/index.html", strings.NewReader("theirs"), 6, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	w.did()
	if err := open("theirs/").Turn(t.Context()); err == nil || len(w.did()) > 0 {
		t.Errorf("it wrote among files that are not ours: %v", err)
	}
}
