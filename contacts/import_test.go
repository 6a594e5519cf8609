package contacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

var day = time.Date(2022, 4, 5, 7, 33, 0, 0, time.UTC)

// ticking is a domain clock that moves a second at each look, so that imports follow one another.
func ticking() store.Clock {
	var mu sync.Mutex
	now := day
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func newBook(db *store.DB) *Book {
	return &Book{DB: db, Policy: DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}
}

// each tells a story on both engines.
func each(t *testing.T, story func(t *testing.T, b *Book)) {
	storetest.Each(t, allKinds(), func(t *testing.T, db *store.DB) { story(t, newBook(db)) }, storetest.Clock(ticking()))
}

func one(t testing.TB) *Book {
	return newBook(storetest.Open(t, allKinds(), storetest.Clock(ticking())))
}

func (b *Book) mustImport(t testing.TB, source, text string) Report {
	t.Helper()
	r, err := b.Import(context.Background(), "stf_test", strings.NewReader(text), ImportOptions{Source: source})
	if err != nil {
		t.Fatalf("import: %v", err)
	}
	return r
}

func file(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func expect(t testing.TB, r Report, rows, created, updated, unchanged, conflicts, rejected int) {
	t.Helper()
	got := [6]int{r.Rows, r.Created, r.Updated, r.Unchanged, r.Conflicts, r.RejectedRows}
	want := [6]int{rows, created, updated, unchanged, conflicts, rejected}
	if got != want {
		t.Fatalf("rows, created, updated, unchanged, conflicts, rejected: got %v, want %v; %v", got, want, r.Rejected)
	}
	if r.Rows != r.Created+r.Updated+r.Unchanged+r.RejectedRows {
		t.Fatalf("the report does not add up: %+v", r)
	}
}

func (b *Book) view(t testing.TB, id string) View {
	t.Helper()
	v, err := b.AccountView(context.Background(), id)
	if err != nil {
		t.Fatalf("view %s: %v", id, err)
	}
	return v
}

func person(t testing.TB, v View, email string) store.Rec[Contact] {
	t.Helper()
	for _, c := range v.Contacts {
		if slices.ContainsFunc(c.Value.Emails, func(a Address) bool { return a.Value == email }) {
			return c
		}
	}
	t.Fatalf("nobody has %s", email)
	return store.Rec[Contact]{}
}

func (b *Book) audits(t testing.TB) (n int) {
	t.Helper()
	err := b.DB.View(context.Background(), func(tx *store.Tx) error {
		rows, _, err := store.AuditRows(tx, store.Query{})
		n = len(rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestThreeOverlappingFiles(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		expect(t, b.mustImport(t, "product", file(t, "product.csv")), 3, 3, 0, 0, 0, 0)
		// Billing outranks the product but has no date, so it may not overrule Ann's name: a person must.
		expect(t, b.mustImport(t, "billing", file(t, "billing.jsonl")), 2, 1, 1, 0, 1, 0)
		expect(t, b.mustImport(t, "outreach", file(t, "outreach.csv")), 3, 1, 2, 0, 0, 0)

		if n, err := b.Count(context.Background()); err != nil || n != (Counts{Accounts: 2, Sites: 3, Contacts: 5}) {
			t.Fatalf("counts %+v, %v", n, err)
		}
		v := b.view(t, "A-100")
		ann := person(t, v, "ann@acme.example").Value
		var sources []string
		for _, s := range ann.Sources {
			sources = append(sources, s.Source)
		}
		if !slices.Equal(sources, []string{"product", "billing", "outreach"}) {
			t.Errorf("Ann's sources: %v", sources)
		}
		if ann.Name != "Ann Lee" || len(ann.Conflicts) != 1 || ann.Conflicts[0].Offered != "Anne Lee" || ann.Conflicts[0].Source != "billing" {
			t.Errorf("Ann's name %q, conflicts %+v", ann.Name, ann.Conflicts)
		}
		if !slices.Equal(ann.Roles, []string{"owner", "site_admin", "billing", "executive"}) || len(ann.Phones) != 1 || ann.Phones[0].Value != "+4930901820" {
			t.Errorf("Ann's roles %v, phones %v", ann.Roles, ann.Phones)
		}
		if ann.ConfirmedAt.Format(time.DateOnly) != "2022-03-01" || !ann.AccountWide || len(ann.Sites) != 1 {
			t.Errorf("Ann: %+v", ann)
		}
		if !slices.Equal(v.Account.Value.Invoices, []string{"INV-1", "INV-2"}) {
			t.Errorf("invoices %v", v.Account.Value.Invoices)
		}
		yui := person(t, b.view(t, "A-200"), "yui@sora.example").Value
		if yui.Name != "Yui Tanaka" || !slices.Equal(yui.Channels, []string{"sms"}) {
			t.Errorf("the stronger and fresher source did not replace: %+v", yui)
		}

		before := b.audits(t)
		expect(t, b.mustImport(t, "product", file(t, "product.csv")), 3, 0, 0, 3, 0, 0)
		expect(t, b.mustImport(t, "billing", file(t, "billing.jsonl")), 2, 0, 0, 2, 1, 0)
		expect(t, b.mustImport(t, "outreach", file(t, "outreach.csv")), 3, 0, 0, 3, 0, 0)
		if after := b.audits(t); after != before {
			t.Errorf("importing the same files again wrote %d audit rows", after-before)
		}
		if again := b.view(t, "A-100"); again.Account.Version != v.Account.Version || person(t, again, "ann@acme.example").Version != person(t, v, "ann@acme.example").Version {
			t.Error("importing the same files again wrote records")
		}
	})
}

func TestBadRowsAreNamedAndGoodOnesKept(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		r := b.mustImport(t, "product", strings.Join([]string{
			"account_id,account,site_id,name,role,email,phone,locale,time_zone,channels,confirmed_at,tier",
			`A,Acme,S-1,Ann,owner,ann@acme.example,,,,,,`,
			`A,Acme,S-1,Bob,boss,bob@acme.example,,,,,,`,
			`A,Acme,S-1,Bob,owner,bob at acme,,,,,,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,030 1234,,,,,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,,english,,,,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,,,Mars/Base,,,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,,,,fax,,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,,,,,soon,`,
			`A,Acme,S-1,Bob,owner,bob@acme.example,,,,,,platinum`,
			`A,Acme,S-1,"Bob` + "\nX" + `",owner,bob@acme.example,,,,,,`,
			`A,Acme,S-1,Bob,owner`,
			`A,Acme,S-1,"Bob"x,owner,bob@acme.example,,,,,,`,
			`,,,Bob,owner,bob@acme.example,,,,,,`,
			`A,Acme,S-1,,owner,,,,,,,`,
			`A,Acme,S-1,"=HYPERLINK(""x"")",owner,cell@acme.example,,,,,,`,
			`B,Bee,S-1,Bob,owner,bob@acme.example,,,,,,`,
			`,,,,,,,,,,,`,
			``,
			`A,Acme,S-1,Bob,fool,nobody,12,,,,,`,
			"A,Acme,S-1,Stra\xdfe,owner,bob@acme.example,,,,,,",
		}, "\r\n")+"\r\n")
		want := []Rejected{
			{3, "role", ""}, {4, "email", ""}, {5, "phone", ""}, {6, "locale", ""}, {7, "time_zone", ""}, {8, "channels", ""},
			{9, "confirmed_at", ""}, {10, "tier", ""}, {11, "name", ""}, {13, "row", ""}, {14, "name", ""}, {15, "account", ""},
			{16, "email", ""}, {18, "site_id", ""}, {21, "role", ""}, {21, "email", ""}, {21, "phone", ""}, {22, "name", ""},
		}
		got := slices.Clone(r.Rejected)
		for i := range got {
			if got[i].Reason == "" {
				t.Errorf("line %d: no reason", got[i].Line)
			}
			got[i].Reason = ""
		}
		if !slices.Equal(got, want) {
			t.Errorf("rejected:\n%v\nwant lines and fields\n%v", r.Rejected, want)
		}
		expect(t, r, 18, 2, 0, 0, 0, 16)
		if n, _ := b.Count(context.Background()); n != (Counts{1, 1, 2}) {
			t.Errorf("a rejected row left something: %+v", n)
		}
	})
}

func TestDryRunCountsWhatAnImportDoes(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		b.mustImport(t, "product", file(t, "product.csv"))
		var text strings.Builder
		text.WriteString("account,site,name,email,phone,role\n")
		for i := range 700 { // later batches speak of what earlier ones would have made
			fmt.Fprintf(&text, "Company %d,Site,Person %d,p%d@example.com,,owner\n", i%350%100, i%350, i%350)
		}
		text.WriteString("Company 1,Site,Person 1,p1@example.com,+493012345678,owner\nCompany 1,,,nonsense,,\n")
		options := ImportOptions{Source: "billing", DryRun: true}
		dry, err := b.Import(context.Background(), "stf_test", strings.NewReader(text.String()), options)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := b.Count(context.Background()); n != (Counts{2, 3, 3}) {
			t.Fatalf("a dry run wrote: %+v", n)
		}
		var steps []int
		options.DryRun, options.Progress = false, func(rows int) { steps = append(steps, rows) }
		real, err := b.Import(context.Background(), "stf_test", strings.NewReader(text.String()), options)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(steps, []int{200, 400, 600, 702}) {
			t.Errorf("progress: %v", steps)
		}
		dry.DryRun = false
		if len(dry.Sample) != MaxSample || dry.Sample[0] != (Would{Line: 2, New: true, Says: "Company 0 · Site · Person 0 · p…@example.com · owner"}) {
			t.Errorf("it shows %+v", dry.Sample)
		}
		dry.Sample = nil
		if fmt.Sprint(dry) != fmt.Sprint(real) {
			t.Errorf("dry run said\n%+v\nthe import did\n%+v", dry, real)
		}
		expect(t, real, 702, 350, 1, 350, 0, 1)
	})
}

func TestTwoImportsAtOnceMakeOneOfEach(t *testing.T) {
	each(t, func(t *testing.T, b *Book) {
		var text strings.Builder
		text.WriteString("account_id,account,site_id,site_url,name,email,phone,role\n")
		for i := range 500 {
			fmt.Fprintf(&text, "A%d,Company %d,S%d,https://s%d.example.com,Person %d,p%d@example.com,+4930123%05d,owner\n", i/2, i/2, i, i, i, i, i)
		}
		reports := make([]Report, 3)
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i := range reports {
			wg.Go(func() {
				reports[i], errs[i] = b.Import(context.Background(), "stf_test", strings.NewReader(text.String()), ImportOptions{Source: "product"})
			})
		}
		wg.Wait()
		created := 0
		for i, r := range reports {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			created += r.Created
		}
		if n, _ := b.Count(context.Background()); n != (Counts{250, 500, 500}) || created != 500 {
			t.Errorf("%d rows created something; counts %+v", created, n)
		}
	})
}

func TestFilesThatAreRefusedWhole(t *testing.T) {
	b := one(t)
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "is empty"},
		{"only a byte order mark", "\xef\xbb\xbf", "is empty"},
		{"UTF-16 with its mark", "\xff\xfea\x00c\x00", "UTF-16"},
		{"UTF-16 the other way round", "\xfe\xff\x00a\x00c", "UTF-16"},
		{"UTF-16 without", "a\x00c\x00c\x00o\x00u\x00n\x00t\x00", "UTF-16"},
		{"NUL", "account,email\nx\x00,y\n", "NUL"},
		{"workbook", "PK\x03\x04....", "workbook"},
		{"gzip", "\x1f\x8b....", "compressed"},
		{"JSON array", `[{"account":"x"}]`, "JSON array"},
		{"semicolons", "account;email\nAcme;a@example.com\n", `";"`},
		{"tabs", "account\temail\nAcme\ta@example.com\n", `"\t"`},
		{"pipes", "account|email\nAcme|a@example.com\n", `"|"`},
		{"unknown columns", "account,e-mail,phonenumber\n", `"phonenumber"`},
		{"a column twice", "account,email,Email\n", "email is a column twice"},
		{"a column without name", "account,,email\n", "without a name"},
		{"nobody's rows", "name,email\nAnn,a@example.com\n", "account_id or site_id"},
		{"Latin-1 header", "account,stra\xdfe\n", "UTF-8"},
		{"old Mac lines", "account,email\rAcme,a@example.com\r", "CR alone"},
		{"open quotation mark", "\"account,email\n", "quotation mark"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := b.Import(context.Background(), "stf_test", strings.NewReader(c.text), ImportOptions{Source: "crm"})
			if fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q in it", err, c.says)
			}
		})
	}
	if n, err := b.Count(context.Background()); err != nil || n != (Counts{}) {
		t.Errorf("a file that was refused left something: %+v, %v", n, err)
	}
	for _, source := range []string{"", "two words", "a\nb", strings.Repeat("x", 65)} {
		if _, err := b.Import(context.Background(), "stf_test", strings.NewReader("account\nx\n"), ImportOptions{Source: source}); fault.Of(err) != fault.Invalid {
			t.Errorf("source %q: %v", source, err)
		}
	}
	if _, err := b.Import(context.Background(), "stf_test", strings.NewReader("account\nx\n"), ImportOptions{Source: "crm", Format: "xml"}); fault.Of(err) != fault.Invalid {
		t.Errorf("format: %v", err)
	}
}

func TestFormsOfAFile(t *testing.T) {
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbfaccount,email\nAcme,a@example.com\n",
		"quoted header":   "\"account\",\"email\"\n\"Acme\",\"a@example.com\"",
		"letter case":     "Account , EMAIL\r\n Acme , a@example.com \r\n",
		"blank lines":     "\n\naccount,email\n\n\nAcme,a@example.com\n\n,\n",
		"JSON lines":      `{"account":"Acme","email":["a@example.com"],"tier":1,"phone":null}` + "\r\n\n",
		"JSON with mark":  "\xef\xbb\xbf{\"account\":\"Acme\",\"email\":\"a@example.com\"}",
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, one(t).mustImport(t, "crm", text), 1, 1, 0, 0, 0, 0)
		})
	}
}

func TestJSONLinesAreReadStrictly(t *testing.T) {
	b := one(t)
	r := b.mustImport(t, "crm", strings.Join([]string{
		`{"account":"Acme","email":"a@example.com"}`,
		`{"account":"Acme","mail":"a@example.com"}`,
		`{"account":"Acme","account":"Bee"}`,
		`{"account":["Acme"]}`,
		`{"account":"Acme","email":{"work":"a@example.com"}}`,
		`{"account":"Acme","email":[["a@example.com"]]}`,
		`{"account":"Acme","email":[1]}`,
		`{"account":"Acme","invoices":7}`,
		`{"account":"Acme"} {"account":"Bee"}`,
		`{"account":"Acme"`,
		`["account"]`,
		`nonsense`,
		"{\"account\":\"Acm\xff\"}",
		`{"account":"Ac\u0000me"}`,
		`{}`,
	}, "\n"))
	expect(t, r, 14, 1, 0, 0, 0, 13)
	for i, rej := range r.Rejected {
		if rej.Line != i+2 || rej.Field == "" || rej.Reason == "" {
			t.Errorf("rejected %d: %+v", i, rej)
		}
	}
	if r.Rejected[0].Field != `"mail"` {
		t.Errorf("the unknown key is not named: %+v", r.Rejected[0])
	}
}

// One stray quotation mark costs its own row and no other.
func TestAStrayQuotationMarkCostsOneRow(t *testing.T) {
	for name, bad := range map[string]string{
		"never closed": `"Acme,x@example.com`,
		"bare":         `Ac"me,x@example.com`,
		"text behind":  `"Ac"me,x@example.com`,
	} {
		t.Run(name, func(t *testing.T) {
			r := one(t).mustImport(t, "crm", "account,email\nAcme,a@example.com\n"+bad+"\nAcme,b@example.com\nAcme,c@example.com\n")
			expect(t, r, 4, 3, 0, 0, 0, 1)
			if rej := r.Rejected[0]; rej.Line != 3 || rej.Field != "account" || !strings.Contains(rej.Reason, "quotation mark") {
				t.Errorf("rejected %+v", r.Rejected)
			}
		})
	}
}

func TestLimitsOfAFile(t *testing.T) {
	// A value of ten megabytes, in quotation marks or not, costs its row; the good ones around it are kept.
	const ten = 10 << 20
	for _, c := range []struct{ name, row, field, says string }{
		{"value", "Acme," + strings.Repeat("x", maxField+1), "email", "64 KiB"},
		{"line", strings.Repeat("x,", maxLine/2+1), "row", "far more values"},
		{"value of 10 MB", "Acme," + strings.Repeat("x", ten), "email", "64 KiB"},
		{"quoted value of 10 MB", `Acme,"` + strings.Repeat("x", ten) + `"`, "email", "64 KiB"},
		{"JSON value", `{"account":"Acme","email":"` + strings.Repeat("x", maxField+1) + `"}`, "email", "64 KiB"},
		{"JSON value of 10 MB", `{"account":"Acme","email":"` + strings.Repeat("x", ten) + `"}`, "row", "1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, good := "account,email\n", "Acme,%s@example.com\n"
			if c.row[0] == '{' {
				head, good = "\n", `{"account":"Acme","email":"%s@example.com"}`+"\n"
			}
			b := one(t)
			r := b.mustImport(t, "crm", head+fmt.Sprintf(good, "a")+c.row+"\n"+fmt.Sprintf(good, "b"))
			expect(t, r, 3, 2, 0, 0, 0, 1)
			if rej := r.Rejected[0]; rej.Line != 3 || rej.Field != c.field || !strings.Contains(rej.Reason, c.says) {
				t.Errorf("%+v", rej)
			}
			if n, _ := b.Count(context.Background()); n != (Counts{1, 0, 2}) {
				t.Errorf("the row left something, or the good ones are missing: %+v", n)
			}
		})
	}
	t.Run("file", func(t *testing.T) {
		b := one(t)
		b.Policy.MaxImport = 1000
		var text bytes.Buffer
		text.WriteString("account,email\n")
		for i := range 100 {
			fmt.Fprintf(&text, "Acme,p%d@example.com\n", i)
		}
		if _, err := b.Import(context.Background(), "stf_test", &text, ImportOptions{Source: "crm"}); fault.Of(err) != fault.TooLarge {
			t.Errorf("got %v", err)
		}
	})
	t.Run("rejected rows", func(t *testing.T) {
		r := one(t).mustImport(t, "crm", "account,email\n"+strings.Repeat("Acme,nonsense\n", maxRejected+50))
		if len(r.Rejected) != maxRejected || r.RejectedMore != 50 || r.RejectedRows != maxRejected+50 {
			t.Errorf("%d listed, %d more, %d rows", len(r.Rejected), r.RejectedMore, r.RejectedRows)
		}
	})
	t.Run("addresses", func(t *testing.T) {
		var mails []string
		for i := range maxAddresses + 1 {
			mails = append(mails, fmt.Sprintf("p%d@example.com", i))
		}
		b := one(t)
		r := b.mustImport(t, "crm", "account,email\nAcme,"+strings.Join(mails, ";")+"\n")
		expect(t, r, 1, 0, 0, 0, 0, 1)
		if n, _ := b.Count(context.Background()); n != (Counts{}) {
			t.Errorf("a row that was refused late left something: %+v", n)
		}
	})
}

// A reader that fails in the middle leaves what was committed, and says how much that was.
func TestAFileThatBreaksOff(t *testing.T) {
	b := one(t)
	b.Policy.Guard.ChangedFloor = 300 // nobody has to look at the rest of it
	var text strings.Builder
	text.WriteString("account,email\n")
	for i := range 300 {
		fmt.Fprintf(&text, "Acme,p%d@example.com\n", i)
	}
	broken := errors.New("connection reset")
	r, err := b.Import(context.Background(), "stf_test", io.MultiReader(strings.NewReader(text.String()), failing{broken}), ImportOptions{Source: "crm"})
	if !errors.Is(err, broken) || r.Rows != 200 {
		t.Fatalf("rows %d, %v", r.Rows, err)
	}
	expect(t, b.mustImport(t, "crm", text.String()), 300, 100, 0, 200, 0, 0)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func BenchmarkImport(b *testing.B) {
	var text strings.Builder
	text.WriteString("account_id,account,site_id,site,site_url,name,email,phone,role\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "A%d,Company %d,S%d,Site %d,https://s%d.example.com,Person %d,p%d@example.com,+4930123%05d,owner\n", i, i, i, i, i, i, i, i)
	}
	for _, engine := range []struct {
		name string
		open func(testing.TB) store.Engine
	}{{"bolt", storetest.Bolt}, {"postgres", storetest.Postgres}} {
		for _, again := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/again=%t", engine.name, again), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					db, err := store.Open(context.Background(), engine.open(b), store.Options{Keys: storetest.Keys(b), Kinds: Kinds()})
					if err != nil {
						b.Fatal(err)
					}
					book := newBook(db)
					if again {
						book.mustImport(b, "product", text.String())
					}
					b.StartTimer()
					if r := book.mustImport(b, "product", text.String()); r.Created+r.Unchanged != 10_000 {
						b.Fatalf("%+v", r)
					}
				}
				b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
