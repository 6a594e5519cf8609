package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"lifeline/contacts"
	"lifeline/store"
)

// The limits of a search and of the proposals for a ticket, at the 95th percentile.
const (
	searchWithin = 20 * time.Millisecond
	matchWithin  = 5 * time.Millisecond
)

// search fills a book, reads its index, and asks it what a stressed person would.
func (b bench) search(ctx context.Context, name string, e store.Engine) error {
	db, err := store.Open(ctx, e, store.Options{Keys: b.keys, Kinds: kinds()})
	if err != nil {
		return err
	}
	town := newTown(b.known)
	book := &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}
	began, peak := time.Now(), own()
	file, write := io.Pipe()
	go func() { write.CloseWithError(town.write(write)) }()
	report, err := book.Import(ctx, "system:bench", file, contacts.ImportOptions{Source: "bench", Progress: func(int) { peak = max(peak, own()) }})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "search     %-8s %d contacts of %d accounts with %d sites imported: %.0f rows/s, at most %d MiB\n", name, b.known, town.accounts, town.sites,
		float64(report.Rows)/time.Since(began).Seconds(), peak)
	if report.RejectedRows > 0 {
		return fmt.Errorf("%d rows were refused: %+v", report.RejectedRows, report.Rejected[0])
	}

	if s, ok := e.(served); ok {
		if err := s.rest(ctx); err != nil {
			return err
		}
	}
	// What the import left in memory must not be counted.
	book = &contacts.Book{DB: db, Policy: contacts.DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}
	before := inHeap()
	began = time.Now()
	if _, err := book.Search(ctx, "nobody at all", 20); err != nil {
		return err
	}
	built := time.Since(began)
	index := inHeap() - before
	fmt.Fprintf(b.out, "search     %-8s index read in %.1f s, %.0f MB in memory: %.0f bytes a contact (limit 600)\n", name, built.Seconds(), float64(index)/1e6, float64(index)/float64(b.known))

	began = time.Now()
	if _, err := book.Standbys(ctx); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "search     %-8s who could be recovered: all contacts looked at in %.1f s, in the background\n", name, time.Since(began).Seconds())

	r := rand.New(rand.NewPCG(7, 7))
	if err := b.ask(name, "search", searchWithin, func() error {
		_, err := book.Search(ctx, town.query(r), 20)
		return err
	}); err != nil {
		return err
	}
	return b.ask(name, "proposals", matchWithin, func() error {
		_, err := book.Match(ctx, town.traces(r))
		return err
	})
}

func (b bench) ask(name, what string, limit time.Duration, once func() error) error {
	var took []time.Duration
	for end := time.Now().Add(2 * b.each); time.Now().Before(end) || len(took) < 100; {
		began := time.Now()
		if err := once(); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	at := func(percent int) float64 { return took[(len(took)-1)*percent/100].Seconds() * 1000 }
	fmt.Fprintf(b.out, "search     %-8s %-10s p50 %.1f ms  p95 %.1f ms (limit %.0f)  p99 %.1f ms  of %d\n", name, what, at(50), at(95), limit.Seconds()*1000, at(99), len(took))
	return nil
}

// inHeap is what is left once all that is of no use is gone.
func inHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// town is people, companies and sites with names as unlike each other as real ones: two hundred thousand words and as many repeated ones.
type town struct {
	people, accounts, sites int
	words                   []string
}

func newTown(people int) *town {
	t := &town{people: people, accounts: max(1, people/5), sites: max(1, people*3/10)}
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ba be bi bo bu da de di do du fa fe fi ga ge gi go ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu pa pe po ra re ri ro ru sa se si so su ta te ti to tu va ve vi wa we wo za ze zo schu berg man stein hof land ner ler ling ton son strom sky")
	for range 50_000 {
		var w strings.Builder
		for range 2 + r.IntN(3) {
			w.WriteString(syllables[r.IntN(len(syllables))])
		}
		t.words = append(t.words, w.String())
	}
	return t
}

// word is one of few words often, and of many seldom, as names are.
func (t *town) word(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	return t.words[int(float64(len(t.words))*r.Float64()*r.Float64()*r.Float64())]
}

var forms = []string{"GmbH", "Ltd", "Inc", "AG", "SARL", "BV", "KK", "Group"}

func (t *town) company(a int) string {
	return strings.Title(t.word(a*2)) + " " + strings.Title(t.word(a*2+1)) + " " + forms[a%len(forms)]
}
func (t *town) domain(a int) string { return fmt.Sprintf("%s-%d.example", t.word(a*2), a) }
func (t *town) person(n int) (first, last string) {
	return t.word(n*7 + 1_000_003), t.word(n*7 + 2_000_003)
}
func (t *town) email(n int) string {
	first, last := t.person(n)
	return fmt.Sprintf("%s.%s%d@%s", first, last, n%10, t.domain(n%t.accounts))
}
func (t *town) phone(n int) string { return fmt.Sprintf("+4930%07d", n) }

func (t *town) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprintln(out, "account,account_id,domain,site,site_id,site_url,name,role,email,phone,invoices")
	for n := range t.people {
		a := n % t.accounts
		site, siteID, url, invoice := "", "", "", ""
		if n < t.sites {
			site, siteID, url = "Site "+t.word(n+5_000_000), fmt.Sprintf("S-%d", n), fmt.Sprintf("https://%s/%d", t.domain(a), n/t.accounts)
		}
		if n < t.accounts {
			invoice = fmt.Sprintf("INV-%07d", n)
		}
		first, last := t.person(n)
		fmt.Fprintf(out, "%s,A-%d,%s,%s,%s,%s,%s %s,owner,%s,%s,%s\n", t.company(a), a, t.domain(a), site, siteID, url, first, last, t.email(n), t.phone(n), invoice)
	}
	return out.Flush()
}

// query is what somebody types: names whole, cut short and misspelt, addresses, numbers.
func (t *town) query(r *rand.Rand) string {
	n := r.IntN(t.people)
	a := n % t.accounts
	first, last := t.person(n)
	switch r.IntN(12) {
	case 0:
		return t.company(a)
	case 1:
		return misspelt(r, t.company(a))
	case 2:
		return first + " " + last
	case 3:
		return misspelt(r, first+" "+last)
	case 4:
		return t.email(n)
	case 5:
		return t.email(n)[:8]
	case 6:
		return t.phone(n)[3:]
	case 7:
		return fmt.Sprintf("inv %07d", a)
	case 8:
		return fmt.Sprintf("S-%d", r.IntN(t.sites))
	case 9:
		return "https://" + t.domain(a)
	case 10:
		return t.word(a * 2)[:4]
	}
	return last + " " + t.word(a*2)
}

func misspelt(r *rand.Rand, s string) string {
	at := 1 + r.IntN(len(s)-2)
	return s[:at] + string("abcdefghijklmnopqrstuvwxyz"[r.IntN(26)]) + s[at+1:]
}

// traces is what a ticket carries.
func (t *town) traces(r *rand.Rand) contacts.Traces {
	n := r.IntN(t.people)
	a := n % t.accounts
	first, last := t.person(n)
	c := contacts.Traces{Name: first + " " + last, Email: t.email(n), Text: fmt.Sprintf("Our site https://%s is gone, invoice INV-%07d, please call.", t.domain(a), a)}
	switch r.IntN(4) {
	case 0:
		c.Company = t.company(a)
	case 1:
		c.Company = misspelt(r, t.company(a))
	case 2:
		c.Email = first + "@gmail.com"
	case 3:
		c.Email = "x@" + misspelt(r, t.domain(a))
	}
	return c
}
