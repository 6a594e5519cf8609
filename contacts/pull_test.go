package contacts

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/outbound"
	"lifeline/store/storetest"
)

// origin is a server with one file on it.
type origin struct {
	*httptest.Server
	body     atomic.Value // string; "": it fails
	asked    atomic.Int32
	sent     atomic.Int32 // with a body
	password atomic.Value
}

func newOrigin(t *testing.T, path string) *origin {
	o := &origin{}
	o.body.Store("")
	o.password.Store("")
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		o.password.Store(r.Header.Get("Authorization"))
		body := o.body.Load().(string)
		tag := fmt.Sprintf("%q", fmt.Sprint(digestOf(body)))
		switch {
		case r.URL.Path != path:
			http.Redirect(w, r, path, http.StatusFound)
		case body == "":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Header.Get("If-None-Match") == tag:
			w.WriteHeader(http.StatusNotModified)
		default:
			o.sent.Add(1)
			w.Header().Set("ETag", tag)
			w.Header().Set("Last-Modified", day.Format(http.TimeFormat))
			_, _ = w.Write([]byte(body))
		}
	}))
	t.Cleanup(o.Close)
	return o
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func (b *Book) puller(p ...Pull) *Puller {
	b.Policy.Pulls = p
	return &Puller{Book: b, Dialer: &outbound.Dialer{Allow: loopback}, Holder: "test", Log: b.Log}
}

func (b *Book) feed(t testing.TB, source string) feed {
	t.Helper()
	rec, err := in(t, b, func(tx *store.Tx) (store.Rec[feed], error) { return feedOf(tx, source) })
	if err != nil {
		t.Fatal(err)
	}
	return rec.Value
}

// once is one claim and what follows; leases know the wall clock only, so a whole Turn on a clock of 2022 would never end.
func once(t testing.TB, p *Puller) {
	t.Helper()
	if err := p.enroll(context.Background()); err != nil {
		t.Fatal(err)
	}
	held, err := p.Book.DB.Claim(context.Background(), store.Lease{Kind: feeds.Name, Lane: pullLane, Holder: p.Holder, For: time.Minute, Limit: 1})
	if err != nil || len(held) != 1 {
		t.Fatalf("claimed %v, %v", held, err)
	}
	if err := p.one(context.Background(), held[0]); err != nil {
		t.Fatal(err)
	}
}

func TestASourceIsFetchedWhenItChanged(t *testing.T) {
	storetest.Each(t, allKinds(), func(t *testing.T, db *store.DB) {
		b := newBook(db)
		found := b.finds()
		o := newOrigin(t, "/contacts.csv")
		p := b.puller(Pull{Source: "billing", URL: o.URL + "/contacts.csv", Every: time.Hour, Snapshot: true})
		p.Keys, _ = ParseKeys("billing=t0ken")
		o.body.Store(customers(5, noMore))
		once(t, p)
		if n, _ := b.Count(context.Background()); n.Contacts != 5 || o.password.Load() != "Bearer t0ken" {
			t.Fatalf("%+v, %v", n, o.password.Load())
		}
		f := b.feed(t, "billing")
		if f.ETag == "" || f.GoodAt.IsZero() || !f.Due.Equal(f.GoodAt.Add(time.Hour)) || f.Tries != 0 {
			t.Fatalf("%+v", f)
		}
		once(t, p)
		if o.asked.Load() != 2 || o.sent.Load() != 1 {
			t.Errorf("asked %d times, sent %d: an unchanged file was sent again", o.asked.Load(), o.sent.Load())
		}
		// It fails: once is nothing, the third time a person is told, once; when it works again that is over.
		*found = nil
		o.body.Store("")
		for i := 1; i <= 4; i++ {
			once(t, p)
			if got := slices.Contains(what(*found), PullFailed); got != (i >= pullTries) || len(*found) > 1 {
				t.Fatalf("after %d failures: %v", i, what(*found))
			}
		}
		if f := b.feed(t, "billing"); f.Tries != 4 || !strings.Contains(f.Why, "503") || f.ETag == "" {
			t.Errorf("%+v", f)
		}
		*found = nil
		o.body.Store(customers(6, noMore))
		once(t, p)
		if names := what(*found); !slices.Contains(names, PullFailed+" over") {
			t.Errorf("found %v", names)
		}
		if n, _ := b.Count(context.Background()); n.Contacts != 6 {
			t.Errorf("%+v", n)
		}
		// The policy names it no longer: it is not fetched again.
		b.Policy.Pulls = nil
		asked := o.asked.Load()
		once(t, p)
		if f := b.feed(t, "billing"); !f.Due.IsZero() || o.asked.Load() != asked {
			t.Errorf("%+v", f)
		}
	}, storetest.Clock(func() time.Time { return day })) // leases run on the wall clock, and it lies long before that
}

func TestOneReplicaFetchesAtATime(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		p := b.puller(Pull{Source: "billing", URL: "https://files.example/x.csv", Every: time.Hour})
		if err := p.enroll(context.Background()); err != nil {
			t.Fatal(err)
		}
		lease := store.Lease{Kind: feeds.Name, Lane: pullLane, Holder: "one", For: time.Minute, Limit: 1}
		if held, err := b.DB.Claim(context.Background(), lease); err != nil || len(held) != 1 {
			t.Fatalf("%v %v", held, err)
		}
		lease.Holder = "two"
		if held, err := b.DB.Claim(context.Background(), lease); err != nil || len(held) != 0 {
			t.Errorf("a second replica got it too: %v %v", held, err)
		}
	})
}

func TestWhereAFileMayNotBeFetchedFrom(t *testing.T) {
	b := one(t)
	o := newOrigin(t, "/contacts.csv")
	o.body.Store(customers(2, noMore))
	for name, c := range map[string]struct {
		url   string
		allow []netip.Prefix
	}{
		"a redirect":        {o.URL + "/moved", loopback},
		"a private address": {o.URL + "/contacts.csv", nil},
	} {
		p := b.puller(Pull{Source: "billing", URL: c.url, Every: time.Hour})
		p.Dialer = &outbound.Dialer{Allow: c.allow}
		if _, err := p.fetch(context.Background(), b.Policy.Pulls[0]); err == nil {
			t.Errorf("%s was fetched", name)
		}
	}
	if n, _ := b.Count(context.Background()); n != (Counts{}) {
		t.Errorf("%+v", n)
	}
	for _, bad := range []Pull{
		{Source: "", URL: "https://a.example/x", Every: time.Hour}, {Source: "staff", URL: "https://a.example/x", Every: time.Hour},
		{Source: "crm", URL: "file:///etc/passwd", Every: time.Hour}, {Source: "crm", URL: "https://k:s@a.example/x", Every: time.Hour},
		{Source: "crm", URL: "s3://a.example/bucket", Every: time.Hour}, {Source: "crm", URL: "https://a.example/x", Every: time.Second},
		{Source: "crm", URL: "https://a.example/x", Every: time.Hour, Format: "xml"},
	} {
		policy := DefaultPolicy()
		if policy.Pulls = []Pull{bad}; fault.Of(policy.Check()) != fault.Invalid {
			t.Errorf("%+v is taken", bad)
		}
	}
	twice := DefaultPolicy()
	good := Pull{Source: "crm", URL: "https://a.example/x", Every: time.Hour}
	if twice.Pulls = []Pull{good, good}; fault.Of(twice.Check()) != fault.Invalid {
		t.Error("one source from two places is taken")
	}
	if twice.Pulls = []Pull{good}; twice.Check() != nil {
		t.Error(twice.Check())
	}
}

func TestAFileIsFetchedFromABucket(t *testing.T) {
	b := one(t)
	o := newOrigin(t, "/bucket/exports/contacts.csv")
	o.body.Store(customers(3, noMore))
	p := b.puller(Pull{Source: "crm", URL: strings.Replace(o.URL, "http", "s3", 1) + "/bucket/exports/contacts.csv?region=eu-central-1", Every: time.Hour})
	p.Plain, p.Keys = true, map[string]string{"crm": "AKIA:s3cret"}
	once(t, p)
	if n, _ := b.Count(context.Background()); n.Contacts != 3 {
		t.Fatalf("%+v, %+v", n, b.feed(t, "crm"))
	}
	if a := o.password.Load().(string); !strings.Contains(a, "AKIA/") || !strings.Contains(a, "eu-central-1") || strings.Contains(a, "s3cret") {
		t.Errorf("not signed with the key: %q", a)
	}
	once(t, p)
	if o.sent.Load() != 1 || b.feed(t, "crm").Tries != 0 {
		t.Errorf("sent %d times; %+v", o.sent.Load(), b.feed(t, "crm"))
	}
	o.body.Store("{\"account_id\":\"A0\",\"email\":[\"new@x.example\"]}\n{\"account_id\":\"A9\",\"account\":\"Nine\",\"email\":\"nine@x.example\"}\n") // JSON lines by now
	once(t, p)
	if n, _ := b.Count(context.Background()); n.Contacts != 5 || n.Accounts != 4 || b.feed(t, "crm").Tries != 0 {
		t.Errorf("%+v, %+v", n, b.feed(t, "crm"))
	}
}
