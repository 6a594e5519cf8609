package contacts

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"lifeline/store"
	"lifeline/store/fault"
)

// Hit is an account that a search found, and by what.
type Hit struct {
	Account store.Rec[Account]
	Why     string // id, account_id, site_id, email, email_domain, phone, account, former_name, domain, site, site_url, contact, invoice, old_ticket
	On      string // our id of the record that matched best
	Typo    bool   // it is only similar to what was asked for
}

// Found is what a search found.
type Found struct {
	Hits    []Hit
	Partial bool // there may be more: the limit was reached, or so many matched that not all were looked at, or Read is below 100
	Read    int  // percent of the book that could be searched; less than 100 for a while after a start
}

const (
	searchLimit = 200     // hits at the most
	mostWords   = 6       // of one search; more are left out
	mostPosts   = 100_000 // records looked at for one word
	mostPassed  = 500_000 // and for one that only those are asked for who have the rarer words: half of all may be called GmbH
	fewSimilar  = 3       // so few that words two edits away are looked for as well
	mostSimilar = 60      // similar words of one word
)

// The scores of how a word matched. A hit is as good as its worst word.
const (
	asID         = 240
	asAddress    = 235
	asWhole      = 200 // the whole of a name
	asWholeStart = 170
	asWord       = 120
	asStart      = 90 // the beginning of a word, an id, an address
	asTypo       = 50 // one edit; a second costs ten
	sameRecord   = 8  // all words in one record
)

// better says a little which of two equal matches is meant.
var better = [fieldCount]uint8{inAccount: 9, inDomain: 8, inSite: 7, inSiteURL: 6, inFormerName: 5, inContact: 4, inEmail: 3, inEmailDomain: 2,
	inAccountID: 9, inSiteID: 8, inInvoice: 7, inOldTicket: 6, inPhone: 5}

// Search finds accounts by what people remember of them: any id of theirs, of their sites or contacts, e-mail addresses and domains, phones
// and the ends of phones, names, former names, site addresses, invoices and old ticket numbers. Words may come in any order, be cut short, lack
// their accents, or have a typo (two, from eight letters on, behind a right first letter; a wrong sign in a
// Chinese or Japanese name of four signs or more). Exact ids and addresses come first, then
// whole names, then beginnings, then, when no whole word was met, what is only similar; among equals the more urgent tier. An account is listed once. It says why, never
// an address.
func (b *Book) Search(ctx context.Context, q string, limit int) (found Found, err error) {
	q, err = text(q, maxName)
	if err != nil {
		return found, fault.BadField("q", "%s", err)
	}
	if q == "" {
		return found, fault.BadField("q", "is missing")
	}
	if limit <= 0 || limit > searchLimit {
		limit = searchLimit
	}
	sight, fresh, err := b.current(ctx)
	if err != nil {
		return found, err
	}
	got, more := b.ask(sight, q, asking{limit: limit, edits: 2, only: ^uint16(1 << inLookalike)})
	of := make([]string, len(got))
	for i, g := range got {
		of[i] = sight.seat(g.account).id.String()
	}
	err = b.DB.View(ctx, func(tx *store.Tx) error {
		found = Found{Partial: more || !sight.whole || !fresh, Read: sight.percent()}
		if err := b.known(tx, q, &found); err != nil {
			return err
		}
		known, err := accounts.GetAll(tx, of)
		if err != nil {
			return err
		}
		for i, g := range got {
			if len(found.Hits) == limit {
				found.Partial = true
				break
			}
			if a, ok := known[of[i]]; ok { // else it was deleted this moment
				found.add(Hit{Account: a, Why: whys[g.field], On: sight.record(g), Typo: g.score < asStart-10})
			}
		}
		return nil
	})
	return found, err
}

func (f *Found) add(h Hit) {
	if !slices.ContainsFunc(f.Hits, func(have Hit) bool { return have.Account.ID == h.Account.ID }) {
		f.Hits = append(f.Hits, h)
	}
}

// addOf adds the account of a record that was found.
func (f *Found) addOf(tx *store.Tx, h Hit, account string) (err error) {
	h.Account.Value, h.Account.Meta, err = accounts.Get(tx, account)
	if fault.Of(err) == fault.NotFound {
		return nil // deleted this moment
	}
	if err == nil {
		f.add(h)
	}
	return err
}

// known asks the store for what it finds exactly, by ids of our own and, while the index is not whole, by everything it can look up.
func (b *Book) known(tx *store.Tx, q string, found *Found) error {
	if _, ours := kindOf(q, Kinds()); ours {
		return b.byID(tx, q, found)
	}
	if found.Read == 100 || strings.ContainsAny(q, " \u3000") && !phoneMarks.MatchString(q) {
		return nil
	}
	if err := b.byID(tx, q, found); err != nil {
		return err
	}
	for _, try := range []struct{ channel, why string }{{Email, "email"}, {SMS, "phone"}} {
		recs, err := b.ByAddress(tx, try.channel, q)
		if fault.Of(err) == fault.Invalid {
			continue
		}
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := found.addOf(tx, Hit{Why: try.why, On: rec.ID}, rec.Value.Account); err != nil {
				return err
			}
		}
	}
	return nil
}

// byID looks in the spaces of all ids, since the person who searches may not know which kind hers is.
func (b *Book) byID(tx *store.Tx, q string, found *Found) error {
	_, ours := kindOf(q, Kinds())
	why := func(column string) string {
		if ours {
			return "id"
		}
		return column
	}
	a, err := b.Account(tx, q)
	if err == nil {
		found.add(Hit{Account: a, Why: why("account_id"), On: a.ID})
	}
	if err != nil && !unknown(err) {
		return err
	}
	site, err := b.Site(tx, q)
	if err == nil {
		err = found.addOf(tx, Hit{Why: why("site_id"), On: site.ID}, site.Value.Account)
	}
	if err != nil && !unknown(err) {
		return err
	}
	c, err := b.Contact(tx, q)
	if err == nil {
		err = found.addOf(tx, Hit{Why: "id", On: c.ID}, c.Value.Account)
	}
	if err != nil && !unknown(err) {
		return err
	}
	return nil
}

func unknown(err error) bool {
	return fault.Of(err) == fault.NotFound || fault.Of(err) == fault.Invalid
}

// sighting is an account that the index found, and the record of it that matched best.
type sighting struct {
	account uint32
	score   int
	field   uint8
	segment int
	doc     uint32
}

func (s *sight) record(g sighting) string { return s.segments[g.segment].ids[g.doc].String() }

// reading is one way to understand a search, or a word of it: a term that matches exactly and, with start above 0, as the beginning of others.
type reading struct {
	term         string
	exact, start int
}

// readings are the ways to understand the whole of what was typed.
func (b *Book) readings(q string) (all []reading) {
	add := func(term string, exact, start int) { all = append(all, reading{term, exact, start}) }
	p := plain(q)
	if key := codeKey(q); key != "" {
		start := 0
		if utf8.RuneCountInString(key) >= 3 {
			start = asStart
		}
		add(code+key, asID, start)
	}
	if phoneMarks.MatchString(q) {
		if e164, err := ParsePhone(q, b.Policy.PhoneCountry); err == nil {
			add(phoneEnd+digitsBack(e164), asAddress, 0)
		}
		if end := digitsBack(strings.TrimPrefix(strings.TrimLeft(q, " +"), "00")); len(end) >= 6 {
			add(phoneEnd+end, asAddress, asStart)
		}
	}
	if strings.Contains(q, "@") {
		add(addressKey(Email, q), asAddress, asStart)
	}
	if key := URLKey(q); strings.Contains(key, ".") {
		add(siteKey+key, asAddress, asStart)
		if host := hostOf(key); host == key {
			add(host, asAddress, asStart)
		} else {
			add(host, asStart, 0)
		}
	}
	add(wholeName+wholeKey(p), asWhole, asWholeStart)
	return all
}

// asking is how a search goes about it.
type asking struct {
	limit int
	edits int    // so many typos in a word
	only  uint16 // the fields that it looks at, a bit each
}

// ask finds the accounts that match best, best first; more says that there are others.
func (b *Book) ask(s *sight, q string, how asking) (got []sighting, more bool) {
	f := b.index.finder(s)
	f.asking = how
	defer b.index.release(f)
	for _, r := range b.readings(q) {
		f.read(r)
	}
	if f.best < asAddress {
		if strings.Contains(q, "@") {
			f.similar(addressKey(Email, q))
		}
		f.words(queryWords(s, q), false)
		if f.bestTotal() < asWord {
			f.words(queryWords(s, q), true)
		}
	}
	return f.top(how.limit, b.Policy.DefaultTier)
}

// queryWords cuts a search into words. What is joined by punctuation is one word if the index knows something that begins so, else several.
func queryWords(s *sight, q string) []string {
	var out []string
	for _, chunk := range strings.Fields(plain(q)) {
		chunk = strings.Trim(chunk, ".,;:!?()[]{}<>\"'/@-_")
		pieces := words(chunk)
		if len(pieces) > 1 && strings.ContainsAny(chunk, ".@-_") && s.knows(chunk) {
			pieces = []string{chunk}
		}
		out = append(out, pieces...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(s.common(a), s.common(b)) }) // the rarest first: it decides which accounts are looked at
	if len(out) > mostWords {
		out = out[:mostWords]
	}
	return out
}

// has says whether a word stands in the index as it is.
func (s *sight) has(word string) bool {
	return slices.ContainsFunc(s.segments, func(seg *segment) bool { lo, hi := seg.exactly(word); return lo < hi })
}

func (s *sight) knows(start string) bool {
	return slices.ContainsFunc(s.segments, func(seg *segment) bool { lo, hi := seg.beginning(start); return lo < hi })
}

// common is how many records a word matches, those that it begins among them.
func (s *sight) common(word string) (n int) {
	for _, seg := range s.segments {
		n += len(seg.postings(seg.beginning(word)))
	}
	return n
}

// mention is what a search knows of one account.
type mention struct {
	words   uint8 // which matched, a bit each
	scores  [mostWords]uint8
	direct  uint8 // the score of a reading of the whole
	field   uint8
	bits    uint8 // of the words, those that the shown record matched
	score   uint8 // of its last match
	segment uint16
	doc     uint32
}

// finder is the scratch memory of one search.
type finder struct {
	sight    *sight
	mentions []mention // by account
	touched  []uint32
	docs     [][]uint8 // by segment and document: the words that matched
	marked   [][]uint32
	want     uint8 // the words that a hit has to have
	loose    uint8 // of them, pairs of signs: a wrong sign spoils up to two of a name
	slack    int   // so many of those a hit may lack
	best     uint8
	cut      bool     // not everything was looked at
	open     []uint64 // a bit for each account that has all the words so far: most of a common word's are told by it alone
	next     []uint64 // the same with the word that is being looked at
	asking
}

func (ix *index) finder(s *sight) *finder {
	f, _ := ix.scratches.Get().(*finder)
	if f == nil {
		f = &finder{}
	}
	f.sight, f.want, f.best, f.cut, f.loose, f.slack = s, 0, 0, false, 0, 0
	if n := len(s.register) * registerPage; len(f.mentions) < n {
		f.mentions, f.open, f.next = make([]mention, n), make([]uint64, n/64), make([]uint64, n/64)
	}
	for len(f.docs) < len(s.segments) {
		f.docs, f.marked = append(f.docs, nil), append(f.marked, nil)
	}
	for i, seg := range s.segments {
		if len(f.docs[i]) < seg.size() {
			f.docs[i] = make([]uint8, seg.size())
		}
	}
	return f
}

// release cleans what was touched, and keeps the memory for the next search.
func (ix *index) release(f *finder) {
	for _, a := range f.touched {
		f.mentions[a] = mention{}
	}
	f.touched, f.sight = f.touched[:0], nil
	for i, docs := range f.marked {
		for _, d := range docs {
			f.docs[i][d] = 0
		}
		f.marked[i] = docs[:0]
	}
	ix.scratches.Put(f)
}

// read takes what one reading of the whole matches.
func (f *finder) read(r reading) {
	left := mostPosts
	for i, seg := range f.sight.segments {
		lo, hi := seg.exactly(r.term)
		f.direct(i, seg.postings(lo, hi), r.exact, &left)
		if r.start > 0 {
			lo, hi := seg.beginning(r.term)
			f.direct(i, seg.postings(lo, hi), r.start, &left)
		}
	}
}

func (f *finder) direct(segment int, posts []uint32, score int, left *int) {
	seg := f.sight.segments[segment]
	for _, p := range f.within(posts, left) {
		doc, field := p>>4, uint8(p&15)
		if f.only>>field&1 == 0 || seg.isDead(doc) {
			continue
		}
		t := f.mention(seg.accounts[doc])
		if s := uint8(score) + better[field]; s > t.direct {
			t.direct, t.field, t.segment, t.doc, t.bits, t.score = s, field, uint16(segment), doc, 0xff, s
			f.best = max(f.best, s)
		}
	}
}

// similar takes who has an address that is only similar.
func (f *finder) similar(address string) {
	left := mostPosts
	for _, s := range f.sight.similar(address, 1) {
		f.direct(s.segment, f.sight.segments[s.segment].postings(s.term, s.term+1), asTypo-10*(s.edits-1), &left)
	}
}

func (f *finder) within(posts []uint32, left *int) []uint32 {
	if len(posts) > *left {
		posts, f.cut = posts[:*left], true
	}
	*left -= len(posts)
	return posts
}

func (f *finder) mention(account uint32) *mention {
	t := &f.mentions[account]
	if t.direct == 0 && t.words == 0 {
		f.touched = append(f.touched, account)
	}
	return t
}

// words takes the accounts that all words match, each somewhere. With typos also by what is only similar.
func (f *finder) words(all []string, typos bool) {
	lacking := 0 // words that nobody has: they are the ones that were misspelt
	for _, word := range all {
		if typos && !f.sight.has(word) {
			lacking++
		}
	}
	edits := f.edits
	if lacking == 0 {
		edits = 1
	}
	f.want = 1<<len(all) - 1
	if typos {
		f.loose, f.slack = f.sight.pairs(all)
	}
	for i, word := range all {
		left := mostPosts
		if i > 0 {
			left = mostPassed
		}
		clear(f.next)
		for n, seg := range f.sight.segments {
			lo, hi := seg.exactly(word)
			f.word(n, i, seg.postings(lo, hi), asWord, &left)
			lo, hi = seg.beginning(word)
			if hi > lo && string(seg.term(lo)) == word {
				lo++
			}
			f.word(n, i, seg.postings(lo, hi), asStart, &left)
		}
		if typos && (lacking == 0 || !f.sight.has(word)) {
			for _, s := range f.sight.similar(word, edits) {
				f.word(s.segment, i, f.sight.segments[s.segment].postings(s.term, s.term+1), asTypo-10*(s.edits-1), &left)
			}
		}
		if f.open, f.next = f.next, f.open; f.slack == 0 && !slices.ContainsFunc(f.open, func(some uint64) bool { return some > 0 }) {
			return // nobody has all words
		}
	}
}

// legalForms are the pairs of signs in what companies are called by law.
var legalForms = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, pair := range words(plain("株式会社 有限会社 合同会社 股份有限公司 有限责任公司")) {
		all[pair] = true
	}
	return all
})

// pairs says which words are pairs of signs of a script without spaces, a bit each, and how many of them a wrong sign may spoil: two, if it stands within the
// name; so that two are left to tell by. The pairs of a legal form, and what very many are called, tell nobody.
func (s *sight) pairs(all []string) (which uint8, slack int) {
	size, tell := 0, 0
	for _, seg := range s.segments {
		size += seg.size()
	}
	for i, word := range all {
		if first, n := utf8.DecodeRuneInString(word); bigrammed(first) && n < len(word) {
			which |= 1 << i
			if !legalForms()[word] && s.common(word) <= max(mostSharers, size/100) {
				tell++
			}
		}
	}
	return which, max(0, min(2, tell-2))
}

// lacks says that an account has too few of the words so far to be a hit.
func (f *finder) lacks(account uint32, word int) bool {
	if f.slack == 0 {
		return word > 0 && f.open[account/64]>>(account%64)&1 == 0
	}
	return bits.OnesCount8(f.mentions[account].words) < word-f.slack
}

func (f *finder) word(segment, word int, posts []uint32, score int, left *int) {
	seg, bit := f.sight.segments[segment], uint8(1)<<word
	for _, p := range f.within(posts, left) {
		doc, field := p>>4, uint8(p&15)
		if f.only>>field&1 == 0 {
			continue
		}
		account := seg.accounts[doc]
		if f.lacks(account, word) || seg.isDead(doc) {
			continue // lacks a rarer word, or is gone
		}
		f.next[account/64] |= 1 << (account % 64)
		t, s := f.mention(account), uint8(score)+better[field]
		t.words |= bit
		t.scores[word] = max(t.scores[word], s)
		have := &f.docs[segment][doc]
		if *have == 0 {
			f.marked[segment] = append(f.marked[segment], doc)
		}
		*have |= bit
		if t.direct > 0 {
			continue
		}
		if n, m := bits.OnesCount8(*have), bits.OnesCount8(t.bits); n > m || n == m && s > t.score {
			t.bits, t.score, t.field, t.segment, t.doc = *have, s, field, uint16(segment), doc
		}
	}
}

// total is the score of an account, 0 when it is no hit.
func (f *finder) total(t *mention) int {
	best := int(t.direct)
	if f.want == 0 {
		return best
	}
	if t.words != f.want {
		return max(best, f.nearly(t))
	}
	worst := 255
	for i := range bits.OnesCount8(f.want) {
		worst = min(worst, int(t.scores[i]))
	}
	if t.bits&f.want == f.want && f.want&(f.want-1) != 0 {
		worst += sameRecord
	}
	return max(best, worst)
}

// nearly is the score of an account that has most pairs of signs of a name in one record, and every other word; 0 when it is no hit.
func (f *finder) nearly(t *mention) int {
	missing := f.want &^ (t.bits & t.words)
	if n := bits.OnesCount8(missing); missing&^f.loose == 0 && n <= f.slack && t.direct == 0 {
		return asTypo - 10*(n-1)
	}
	return 0
}

func (f *finder) bestTotal() (best int) {
	for _, a := range f.touched {
		best = max(best, f.total(&f.mentions[a]))
	}
	return best
}

// top is the best accounts in order: by score, then by tier, then as they were first heard of.
func (f *finder) top(limit, standardTier int) (out []sighting, more bool) {
	for _, a := range f.touched {
		t := &f.mentions[a]
		if score := f.total(t); score > 0 {
			out = append(out, sighting{account: a, score: score, field: t.field, segment: int(t.segment), doc: t.doc})
		}
	}
	out = best(out, limit, func(g sighting) int { return g.score*8 + 7 - min(7, f.sight.tier(g.account, standardTier)) })
	return out, f.cut
}

// best keeps the limit+1 highest, sorted, without sorting all: a common word matches a hundred thousand.
func best(all []sighting, limit int, rank func(sighting) int) []sighting {
	if len(all) > limit+1 {
		var counts [1 << 11]int
		for _, g := range all {
			counts[min(rank(g), len(counts)-1)]++
		}
		least, n := len(counts)-1, 0
		for ; least > 0 && n+counts[least] <= limit; least-- {
			n += counts[least]
		}
		room := limit + 1 - n // for those of the least rank
		all = slices.DeleteFunc(all, func(g sighting) bool {
			r := rank(g)
			if r == least {
				room--
			}
			return r < least || r == least && room < 0
		})
	}
	slices.SortStableFunc(all, func(a, b sighting) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(a.account, b.account))
	})
	return all
}

// similarTerm is a term that is within a few edits of a word.
type similarTerm struct{ segment, term, edits int }

// similar finds terms that are an edit away from words of four letters and more, or two from words of eight and more if the first letter is
// right. The nearest and rarest come first.
func (s *sight) similar(word string, most int) (all []similarTerm) {
	n := utf8.RuneCountInString(word)
	if first, _ := utf8.DecodeRuneInString(word); n < 4 || bigrammed(first) {
		return nil
	}
	for i, seg := range s.segments {
		seg.near(word, 1, 0, func(term, edits int) {
			if edits > 0 {
				all = append(all, similarTerm{i, term, edits})
			}
		})
	}
	if most > 1 && n >= 8 && len(all) < fewSimilar {
		for i, seg := range s.segments {
			seg.near(word, 2, 1, func(term, edits int) {
				if edits == 2 {
					all = append(all, similarTerm{i, term, edits})
				}
			})
		}
	}
	slices.SortStableFunc(all, func(a, b similarTerm) int { return cmp.Compare(a.edits, b.edits) })
	if len(all) > mostSimilar {
		all = all[:mostSimilar]
	}
	return all
}
