package contacts

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var manyContacts = flag.Int("contacts", 100_000, "contacts in the index that BenchmarkIndex asks")

// BenchmarkIndex fills the index alone, without a store: five contacts to an account and three sites to two accounts, named from fifty thousand
// words of which few are common. It reports what a contact costs in memory, and the 95th percentile of searches and of proposals.
// go test ./contacts -run xxx -bench Index -contacts 1000000 -benchtime 2000x
func BenchmarkIndex(b *testing.B) {
	n := *manyContacts
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ba be bi bo bu da de di do du fa fe fi ga ge gi go ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu pa pe po ra re ri ro ru sa se si so su ta te ti to tu va ve vi wa we wo za ze zo schu berg man stein hof land ner ler ling ton son strom sky")
	var lexicon []string
	for range 50_000 {
		w := ""
		for range 2 + r.IntN(3) {
			w += syllables[r.IntN(len(syllables))]
		}
		lexicon = append(lexicon, w)
	}
	word := func(i int) string {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		return lexicon[int(float64(len(lexicon))*r.Float64()*r.Float64()*r.Float64())]
	}
	company := func(a int) string { return word(2*a) + " " + word(2*a+1) + " GmbH" }
	domain := func(a int) string { return fmt.Sprintf("%s-%d.example", word(2*a), a) }
	person := func(i int) string { return word(7*i+1_000_003) + " " + word(7*i+2_000_003) }
	email := func(i int) string {
		return strings.ReplaceAll(person(i), " ", ".") + fmt.Sprint(i%10) + "@" + domain(i/5)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}

	book := &Book{Policy: DefaultPolicy()}
	ix := &book.index
	ix.numbers = map[recordID]uint32{}
	before, began := heap(), time.Now()
	var batch []entry
	step := func(e entry) {
		if batch = append(batch, e); len(batch) == freezeAt {
			ix.add(freeze(batch))
			batch = batch[:0]
		}
	}
	id := func(prefix string, i int) string { return fmt.Sprintf("%s_%026d", prefix, i) }
	for a := range n / 5 {
		step(ix.entryOfAccount(id("acc", a), Account{Name: company(a), Domains: []string{domain(a)}, ProductIDs: []string{fmt.Sprint("A-", a)}, Invoices: []string{fmt.Sprint("INV-", a)}}))
	}
	for s := range 3 * n / 10 {
		step(ix.entryOfSite(id("sit", s), Site{Account: id("acc", s*2/3), Name: "Site " + word(s+5_000_000), URL: fmt.Sprintf("https://%s/%d", domain(s*2/3), s), ProductIDs: []string{fmt.Sprint("S-", s)}}))
	}
	for i := range n {
		step(ix.entryOfContact(id("con", i), Contact{Account: id("acc", i/5), Name: person(i), Emails: []Address{{Value: email(i)}}, Phones: []Address{{Value: fmt.Sprintf("+4930%07d", i)}}}))
	}
	ix.add(freeze(batch))
	ix.show(true, 0, 0)
	batch = nil
	built, perContact := time.Since(began).Seconds(), float64(heap()-before)/float64(n)
	sight := ix.sight.Load()

	misspelt := func(s string) string {
		at := 1 + r.IntN(len(s)-2)
		return s[:at] + string("abcdefghijklmnopqrstuvwxyz"[r.IntN(26)]) + s[at+1:]
	}
	var searches, matches []time.Duration
	for b.Loop() {
		i := r.IntN(n)
		q := []string{company(i / 5), misspelt(company(i / 5)), person(i), misspelt(person(i)), email(i), email(i)[:8], fmt.Sprintf("30%07d", i), fmt.Sprint("inv ", i/5),
			fmt.Sprint("S-", i*3/10), "https://" + domain(i/5), word(i)[:4], person(i) + " " + word(2*(i/5))}[r.IntN(12)]
		at := time.Now()
		book.ask(sight, q, asking{limit: 20, edits: 2, only: ^uint16(1 << inLookalike)})
		searches = append(searches, time.Since(at))

		t := Traces{Name: person(i), Email: email(i), Company: company(i / 5), Text: fmt.Sprintf("https://%s is gone, INV-%d", domain(i/5), i/5)}
		switch r.IntN(4) {
		case 0:
			t.Company = misspelt(t.Company)
		case 1:
			t.Email = "x@gmail.com"
		case 2:
			t.Email = "x@" + misspelt(domain(i/5))
		}
		at = time.Now()
		c := &matching{book: book, sight: sight, found: map[uint32]*suspicion{}}
		c.traces(t)
		c.ranked()
		matches = append(matches, time.Since(at))
	}
	b.ReportMetric(built, "build-s")
	b.ReportMetric(perContact, "B/contact")
	for _, m := range []struct {
		what string
		took []time.Duration
	}{{"search", searches}, {"match", matches}} {
		slices.Sort(m.took)
		for _, p := range []int{50, 95, 99} {
			b.ReportMetric(float64(m.took[(len(m.took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", m.what, p))
		}
	}
	runtime.KeepAlive(book)
}
