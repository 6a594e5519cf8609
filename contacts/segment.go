package contacts

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
)

// recordID is the id of an account, site or contact without what all share: a letter for the kind, and the suffix.
type recordID [27]byte

func recordIDOf(id string) (r recordID, ok bool) {
	prefix, suffix, _ := strings.Cut(id, "_")
	if len(suffix) != 26 || prefix != accounts.Prefix && prefix != sites.Prefix && prefix != people.Prefix {
		return r, false
	}
	r[0] = prefix[0]
	copy(r[1:], suffix)
	return r, true
}

func (r recordID) String() string {
	for _, prefix := range []string{accounts.Prefix, sites.Prefix, people.Prefix} {
		if prefix[0] == r[0] {
			return prefix + "_" + string(r[1:])
		}
	}
	return ""
}

// entry is a record on its way into a segment.
type entry struct {
	id      recordID
	account uint32 // its place in the register
	clues   clues
}

// segment is an inverted index over some records that never changes but for the records that died. Documents stand in the order of their ids and
// terms in the order of their bytes, each list in one piece of memory without a pointer: that is what makes a million contacts fit.
type segment struct {
	ids      []recordID
	accounts []uint32
	dead     []atomic.Uint64
	died     atomic.Int64

	text   []byte
	textAt []uint32 // where each term begins, and the end
	posts  []uint32 // document<<4 | field
	postAt []uint32
}

func (s *segment) size() int         { return len(s.ids) }
func (s *segment) living() int       { return len(s.ids) - int(s.died.Load()) }
func (s *segment) terms() int        { return len(s.textAt) - 1 }
func (s *segment) term(i int) []byte { return s.text[s.textAt[i]:s.textAt[i+1]] }
func (s *segment) isDead(doc uint32) bool {
	return s.dead[doc/64].Load()&(1<<(doc%64)) != 0
}

// postings of the terms lo to hi, exclusive.
func (s *segment) postings(lo, hi int) []uint32 { return s.posts[s.postAt[lo]:s.postAt[hi]] }

// find is where a record stands.
func (s *segment) find(id recordID) (int, bool) {
	return slices.BinarySearchFunc(s.ids, id, func(a, b recordID) int { return bytes.Compare(a[:], b[:]) })
}

func (s *segment) kill(id recordID) {
	at, ok := s.find(id)
	if !ok || s.isDead(uint32(at)) {
		return
	}
	s.dead[at/64].Or(1 << (at % 64))
	s.died.Add(1)
}

// exactly is the range of a term: empty, or one.
func (s *segment) exactly(term string) (lo, hi int) {
	n := s.terms()
	lo = sort.Search(n, func(i int) bool { return string(s.term(i)) >= term })
	if lo < n && string(s.term(lo)) == term {
		return lo, lo + 1
	}
	return lo, lo
}

// beginning is the range of the terms that begin with a prefix.
func (s *segment) beginning(prefix string) (lo, hi int) {
	n := s.terms()
	lo = sort.Search(n, func(i int) bool { return string(s.term(i)) >= prefix })
	return lo, s.behind(lo, []byte(prefix))
}

// behind is the first term from lo on that does not begin with a prefix, given that lo's place is not behind them. It gallops, for most
// ranges are short.
func (s *segment) behind(lo int, prefix []byte) int {
	n, step := s.terms(), 1
	hi := lo
	for hi < n && bytes.HasPrefix(s.term(hi), prefix) {
		lo, hi = hi+1, hi+step
		step *= 2
	}
	hi = min(hi, n)
	return lo + sort.Search(hi-lo, func(i int) bool { return !bytes.HasPrefix(s.term(lo+i), prefix) })
}

// freeze makes a segment of entries, each of another record.
func freeze(entries []entry) *segment {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	s := &segment{ids: make([]recordID, len(entries)), accounts: make([]uint32, len(entries)), dead: make([]atomic.Uint64, len(entries)/64+1)}
	type pair struct {
		term string
		post uint32
	}
	var pairs []pair
	for i, e := range entries {
		s.ids[i], s.accounts[i] = e.id, e.account
		for _, m := range e.clues {
			pairs = append(pairs, pair{m.term, uint32(i)<<4 | uint32(m.field)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(strings.Compare(a.term, b.term), cmp.Compare(a.post, b.post)) })
	for i, p := range pairs {
		if i == 0 || p.term != pairs[i-1].term {
			s.textAt, s.postAt = append(s.textAt, uint32(len(s.text))), append(s.postAt, uint32(len(s.posts)))
			s.text = append(s.text, p.term...)
		} else if p.post == pairs[i-1].post {
			continue
		}
		s.posts = append(s.posts, p.post)
	}
	return s.seal()
}

// seal ends the lists and gives back the memory that they grew into.
func (s *segment) seal() *segment {
	s.textAt, s.postAt = append(s.textAt, uint32(len(s.text))), append(s.postAt, uint32(len(s.posts)))
	s.text, s.textAt, s.posts, s.postAt = tight(s.text), tight(s.textAt), tight(s.posts), tight(s.postAt)
	return s
}

func tight[T any](list []T) []T {
	if cap(list)-len(list) < len(list)/16 {
		return list
	}
	return append(make([]T, 0, len(list)), list...)
}

// merge makes one segment of several, without the dead. A record lives in one of them at the most.
func merge(parts []*segment) *segment {
	out := &segment{}
	moved := make([][]uint32, len(parts)) // where each document goes
	at := make([]int, len(parts))
	docs, terms, posts, text := 0, 0, 0, 0
	for i, p := range parts {
		moved[i] = make([]uint32, p.size())
		docs, terms, posts, text = docs+p.size(), max(terms, p.terms()), posts+len(p.posts), max(text, len(p.text))
	}
	out.ids, out.accounts = make([]recordID, 0, docs), make([]uint32, 0, docs)
	for {
		from := -1
		for i, p := range parts {
			for at[i] < p.size() && p.isDead(uint32(at[i])) {
				moved[i][at[i]] = nowhere
				at[i]++
			}
			if at[i] < p.size() && (from < 0 || bytes.Compare(p.ids[at[i]][:], parts[from].ids[at[from]][:]) < 0) {
				from = i
			}
		}
		if from < 0 {
			break
		}
		moved[from][at[from]] = uint32(len(out.ids))
		out.ids = append(out.ids, parts[from].ids[at[from]])
		out.accounts = append(out.accounts, parts[from].accounts[at[from]])
		at[from]++
	}
	out.dead = make([]atomic.Uint64, len(out.ids)/64+1)
	out.text, out.textAt = make([]byte, 0, text), make([]uint32, 0, terms+1)
	out.posts, out.postAt = make([]uint32, 0, posts), make([]uint32, 0, terms+1)
	clear(at)
	var same []int
	for {
		same = same[:0]
		var least []byte
		for i, p := range parts {
			if at[i] >= p.terms() {
				continue
			}
			t := p.term(at[i])
			switch c := bytes.Compare(t, least); {
			case len(same) == 0 || c < 0:
				least, same = t, append(same[:0], i)
			case c == 0:
				same = append(same, i)
			}
		}
		if len(same) == 0 {
			break
		}
		began := len(out.posts)
		for _, i := range same {
			for _, post := range parts[i].postings(at[i], at[i]+1) {
				if to := moved[i][post>>4]; to != nowhere {
					out.posts = append(out.posts, to<<4|post&15)
				}
			}
			at[i]++
		}
		if len(out.posts) == began {
			continue // all who had it are dead
		}
		if len(same) > 1 {
			slices.Sort(out.posts[began:])
		}
		out.textAt, out.postAt = append(out.textAt, uint32(len(out.text))), append(out.postAt, uint32(began))
		out.text = append(out.text, least...)
	}
	out.ids, out.accounts = tight(out.ids), tight(out.accounts)
	return out.seal()
}

const nowhere = ^uint32(0)

// near calls found with each term within k edits of a word (insertions, deletions, replacements and swaps of neighbours, in bytes), in
// order. With fixed, that many first bytes must be right.
func (s *segment) near(word string, k, fixed int, found func(term, edits int)) {
	lo, end := s.beginning(word[:fixed])
	if fixed == 0 {
		lo, end = s.letters()
	}
	if k == 1 {
		s.edited(word, fixed, lo, end, found)
		return
	}
	s.walk(word, k, lo, end, found)
}

// noWord is what a term begins with that is looked up whole only.
func noWord(first byte) bool { return first == wholeName[0] || first == skeletons[0] }

// edited finds the terms of a range with one edit at the most. Up to the edit they are the word, behind it they are the rest of it: so that where
// the word is left, each letter that the terms go on with is followed by one of four endings, which are looked up.
func (s *segment) edited(word string, at, lo, hi int, found func(term, edits int)) {
	var all []int
	for ; lo < hi; at++ { // the terms of the range begin with word[:at]
		first := lo
		if len(s.term(lo)) == at {
			if at >= len(word)-1 {
				all = append(all, lo) // the word, or all but its last letter
			}
			first++
		}
		nextLo, nextHi := lo, lo // of those that go on like the word
		for first < hi {
			c := s.term(first)[at]
			last := min(hi, s.behind(first, s.term(first)[:at+1]))
			look := func(ending string) {
				i := first + sort.Search(last-first, func(i int) bool { return string(s.term(first + i)[at+1:]) >= ending })
				if i < last && string(s.term(i)[at+1:]) == ending {
					all = append(all, i)
				}
			}
			switch {
			case at == 0 && noWord(c):
			case at == len(word):
				look("")
			case c == word[at]:
				nextLo, nextHi = first, last
			default:
				look(word[at+1:])
				look(word[at:])
				if at+1 < len(word) && c == word[at+1] {
					look(word[at+2:])
					look(word[at:at+1] + word[at+2:])
				}
			}
			first = last
		}
		if at == len(word) {
			break
		}
		lo, hi = nextLo, nextHi
	}
	slices.Sort(all)
	for _, i := range slices.Compact(all) {
		edits := 1
		if string(s.term(i)) == word {
			edits = 0
		}
		found(i, edits)
	}
}

// walk finds the terms of a range within k edits of a word, walking the sorted terms as the tree that they are and leaving a branch as soon as
// nothing on it can be near.
func (s *segment) walk(word string, k, lo, end int, found func(term, edits int)) {
	m := len(word)
	rows := [][]uint8{make([]uint8, m+1)}
	for j := range rows[0] {
		rows[0][j] = uint8(j)
	}
	var last []byte // what the rows stand for
	for i := lo; i < end; {
		t := s.term(i)
		if t[0] != word[0] && noWord(t[0]) {
			i = s.behind(i, t[:1])
			continue
		}
		depth := 0
		for depth < len(last) && depth < len(t) && last[depth] == t[depth] {
			depth++
		}
		pruned := false
		for ; depth < len(t); depth++ {
			if len(rows) == depth+1 {
				rows = append(rows, make([]uint8, m+1))
			}
			if !nextRow(rows, depth, word, t, k) {
				pruned = true
				break
			}
		}
		if pruned {
			last = t[:depth] // its row is of no use, but those above are
			i = s.behind(i, t[:depth+1])
			continue
		}
		last = t
		if d := rows[len(t)][m]; int(d) <= k {
			found(i, int(d))
		}
		i++
	}
}

// letters is the range of the terms that are words.
func (s *segment) letters() (lo, hi int) {
	n := s.terms()
	lo = sort.Search(n, func(i int) bool { return string(s.term(i)) >= "0" })
	return lo, n
}

// nextRow fills the row of distances behind t[:depth+1]; false: all are above k.
func nextRow(rows [][]uint8, depth int, word string, t []byte, k int) bool {
	above, row, c := rows[depth], rows[depth+1], t[depth]
	row[0] = uint8(min(depth+1, 255))
	least := row[0]
	for j := 1; j < len(row); j++ {
		d := above[j-1]
		if word[j-1] != c {
			d = min(d, above[j], row[j-1]) + 1
			if depth > 0 && j > 1 && word[j-1] == t[depth-1] && word[j-2] == c {
				d = min(d, rows[depth-1][j-2]+1)
			}
		}
		row[j] = d
		least = min(least, d)
	}
	return int(least) <= k
}
