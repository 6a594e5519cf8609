package contacts

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/postgres/pgtest"
	"lifeline/store/storetest"
)

const clientele = `account,account_id,domain,site,site_id,site_url,tier,name,role,email,phone,former_names,invoices,old_tickets
Müller Maschinenbau GmbH,A-1,mueller-bau.example,Werkbank,S-1,https://werkbank.mueller-bau.example/wiki,2,Jürgen Groß,owner,j.gross@mueller-bau.example,+49 30 901820,Maschinen Meier,INV-2022/0417,T-77
Acme,A-2,acme.example,Wiki,S-2,https://wiki.acme.example,3,Ann Lee,owner,ann@acme.example,+44 20 7946 0018,,,
Acme Nord,A-3,acme-nord.example,Handbook,S-300,https://handbook.acme-nord.example,0,Ben Ito,owner,ben@acme-nord.example,,,,
Acmf,A-4,acmf.example,,,,1,Lee Annan,owner,lee@acmf.example,,,,
株式会社東京データ,A-5,tokyo-data.example,カスタマー窓口,S-5,https://tokyo-data.example,1,山田太郎,owner,yamada@tokyo-data.example,,,,
上海云计算有限公司,A-6,yun.example,,,,1,王伟,owner,wang@yun.example,,,,
Заря,A-7,zarya.example,,,,1,Пётр Ёлкин,owner,petr@zarya.example,,,,
`

// asked is the names of the accounts that a search finds, in order, with why.
func (b *Book) asked(t testing.TB, q string) (names []string, why string, f Found) {
	t.Helper()
	f, err := b.Search(context.Background(), q, 10)
	if err != nil {
		t.Fatalf("%q: %v", q, err)
	}
	for _, h := range f.Hits {
		names = append(names, h.Account.Value.ProductIDs[0])
	}
	if len(f.Hits) > 0 {
		why = f.Hits[0].Why
	}
	return names, why, f
}

func TestSearchFindsWhatPeopleRemember(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", clientele)
	for q, want := range map[string]string{
		"muller":                         "A-1 account",     // without its accent
		"MÜLLER maschinenbau":            "A-1 account",     // case
		"GmbH  Maschinenbau":             "A-1 account",     // order
		"masch mull":                     "A-1 account",     // beginnings
		"Maschinanbau":                   "A-1 account",     // a typo
		"Mascihnenbua":                   "A-1 account",     // two
		"groß jürgen":                    "A-1 contact",     // a person
		"gross juergen":                  "A-1 contact",     // as a foreign keyboard writes it
		"j.gross@mueller-bau.example":    "A-1 email",       // an address
		"J.Gross@Mueller":                "A-1 email",       // its beginning
		"j.gros@mueller-bau.example":     "A-1 email",       // a typo in it
		"mueller-bau.example":            "A-1 domain",      //
		"0049 30 901820":                 "A-1 phone",       // with another prefix
		"030 901820":                     "A-1 phone",       // without the country
		"(901820":                        "A-1 phone",       // no more than the end
		"inv 2022 0417":                  "A-1 invoice",     // other punctuation
		"t77":                            "A-1 old_ticket",  //
		"S-1":                            "A-1 site_id",     //
		"werkbank.mueller-bau.example/w": "A-1 site_url",    // the beginning of an address
		"Maschinen Meier":                "A-1 former_name", //
		"werkbank":                       "A-1 site",        //
		"東京":                             "A-5 account",     // Japanese
		"データ株式会社":                        "A-5 account",     // in another order
		"かすたまー":                          "A-5 site",        // hiragana for katakana
		"ｶｽﾀﾏｰ":                          "A-5 site",        // half width
		"山田":                             "A-5 contact",     //
		"云计算":                            "A-6 account",     // Chinese
		"雲計算":                            "A-6 account",     // in traditional signs
		"東京データ株式會社":                      "A-5 account",     // in old ones
		"东京":                             "A-5 account",     // as they write it in China
		"上海云计祘":                          "A-6 account",     // a wrong sign at the end
		"上海雲汁算有限公司":                      "A-6 account",     // within
		"山田太朗":                           "A-5 contact",     // as it is heard
		"カスタマ窓口":                         "A-5 site",        // a sign short
		"上海海运":                           "",                // that is another name
		"ＡＣＭＥ　ＮＯＲＤ":                      "A-3 account",     // full width
		"елкин петр":                     "A-7 contact",     // Cyrillic without its marks
		"ann lee":                        "A-2 A-4 contact", // both words in one record first
		"nothing of this":                "",                //
		"acme":                           "A-2 A-3 account", // the whole name before the beginning of one, whatever the tier
		"owner":                          "",                // nor are roles
	} {
		names, why, f := b.asked(t, q)
		if got := strings.TrimSpace(strings.Join(names, " ") + " " + why); got != want || f.Partial || f.Read != 100 {
			t.Errorf("%q: got %q (partial %v), want %q", q, got, f.Partial, want)
		}
	}
	if names, _, _ := b.asked(t, "acmx"); !slices.Equal(names, []string{"A-3", "A-4", "A-2"}) {
		t.Errorf("equal hits go by tier: %v", names)
	}
	if _, _, f := b.asked(t, "acmx"); !f.Hits[0].Typo {
		t.Error("a hit that is only similar does not say so")
	}
}

// What one process writes another finds at its next search: new, changed, deleted and brought back.
func TestSearchFollowsTheStore(t *testing.T) {
	story := func(t *testing.T, here, there *Book) {
		if names, _, _ := there.asked(t, "acme"); names != nil {
			t.Fatalf("nothing is there yet: %v", names)
		}
		here.mustImport(t, "product", clientele)
		if names, _, f := there.asked(t, "acme"); len(names) != 2 || f.Partial {
			t.Fatalf("an import: %v, %+v", names, f)
		}
		ann := person(t, here.view(t, "A-2"), "ann@acme.example")
		for i, step := range []struct {
			do   func(tx *store.Tx) error
			want string
		}{
			{func(tx *store.Tx) error {
				c := ann.Value.clone()
				c.Name = "Zoe Quist"
				return people.Put(tx, ann.ID, c, 1)
			}, "A-2"},
			{func(tx *store.Tx) error { return people.Delete(tx, ann.ID, 2) }, ""},
			{func(tx *store.Tx) error { return people.Undelete(tx, ann.ID, 3) }, "A-2"},
		} {
			here.do(t, step.do)
			if names, _, _ := there.asked(t, "quist"); strings.Join(names, " ") != step.want {
				t.Errorf("step %d: %v, want %q", i, names, step.want)
			}
			if names, _, _ := there.asked(t, "ann lee"); slices.Contains(names, "A-2") {
				t.Errorf("step %d: the former name is found: %v", i, names)
			}
		}
	}
	t.Run("bolt", func(t *testing.T) { b := one(t); story(t, b, b) })
	t.Run("postgres", func(t *testing.T) {
		here, there := postgresPair(t)
		story(t, here, there)
	})
}

// While the book is still being read searches say so, and what the store can look up by itself is found all the same.
func TestSearchSaysWhatItHasNotReadYet(t *testing.T) {
	b := one(t)
	b.mustImport(t, "product", clientele)
	b.index.ready()
	b.index.kept.Store(true) // somebody is to read it, and has not begun
	for q, want := range map[string]string{"acme": "", "ann@acme.example": "A-2 email", "S-300": "A-3 site_id", "+44 20 7946 0018": "A-2 phone"} {
		names, why, f := b.asked(t, q)
		if got := strings.TrimSpace(strings.Join(names, " ") + " " + why); got != want || !f.Partial || f.Read != 0 {
			t.Errorf("%q: got %q, %+v, want %q", q, got, f, want)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Follow(ctx) }()
	for { // until it is whole
		if names, _, f := b.asked(t, "acme"); f.Read == 100 && !f.Partial {
			if len(names) != 2 {
				t.Errorf("%v", names)
			}
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// distance is the number of edits by the book: optimal string alignment.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// The walk over the tree of terms finds what comparing with each of them finds.
func TestNearFindsEveryTermThatIsNear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		out := make([]byte, 3+r.IntN(7))
		for i := range out {
			out[i] = "abc"[r.IntN(3)]
		}
		return string(out)
	}
	var c clues
	for range 2000 {
		c.add(inAccount, word())
	}
	c.add(inAccount, wholeName+"abcabc")
	s := freeze([]entry{{id: recordID{1}, clues: c}})
	for range 200 {
		w := word()
		for k := 1; k <= 2; k++ {
			for fixed := 0; fixed <= 1; fixed++ {
				var got, want []string
				s.near(w, k, fixed, func(term, edits int) { got = append(got, fmt.Sprint(string(s.term(term)), edits)) })
				for i := range s.terms() {
					term := string(s.term(i))
					if d := distance(w, term); d <= k && term[:fixed] == w[:fixed] && term[0] != '=' {
						want = append(want, fmt.Sprint(term, d))
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %d edits, %d fixed: got %v, want %v", w, k, fixed, got, want)
				}
			}
		}
	}
}

// A merge is what freezing the living records together would have been.
func TestMergedSegmentsAreWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var all []entry
	for i := range 300 {
		e := entry{account: uint32(i / 3)}
		copy(e.id[:], fmt.Sprintf("a%026d", i))
		for range r.IntN(5) {
			e.clues.add(uint8(r.IntN(fieldCount)), fmt.Sprint("w", r.IntN(50)))
		}
		all = append(all, e)
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	parts := []*segment{freeze(slices.Clone(all[:50])), freeze(slices.Clone(all[50:60])), freeze(slices.Clone(all[60:]))}
	var living []entry
	for i, e := range all {
		if i%4 == 0 {
			for _, p := range parts {
				p.kill(e.id)
				p.kill(e.id) // twice is once
			}
			continue
		}
		living = append(living, e)
	}
	got, want := merge(parts), freeze(living)
	if !slices.Equal(got.ids, want.ids) || !slices.Equal(got.accounts, want.accounts) || string(got.text) != string(want.text) ||
		!slices.Equal(got.textAt, want.textAt) || !slices.Equal(got.posts, want.posts) || !slices.Equal(got.postAt, want.postAt) {
		t.Errorf("merged: %d records, %d terms, %d postings; frozen: %d, %d, %d", got.size(), got.terms(), len(got.posts), want.size(), want.terms(), len(want.posts))
	}
	if parts[0].died.Load() != 13 {
		t.Errorf("%d died", parts[0].died.Load())
	}
}

// postgresPair is the book in two processes.
func postgresPair(t *testing.T) (here, there *Book) {
	url := pgtest.URL(t)
	keys := storetest.Keys(t)
	open := func() *Book {
		db, err := store.Open(t.Context(), storetest.PostgresAt(t, url), store.Options{Keys: keys, Kinds: Kinds()})
		if err != nil {
			t.Fatal(err)
		}
		return &Book{DB: db, Policy: one(t).Policy}
	}
	return open(), open()
}
