package contacts

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// FuzzImport feeds whole files from strangers to a dry run: it ends, the report adds up, every rejected row has a line, a
// field and a printable reason, and nothing is written.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"product.csv", "billing.jsonl", "outreach.csv"} {
		f.Add([]byte(file(f, name)))
	}
	f.Add([]byte("account,email\n\"Acme,x\n\"\"\"\n\"a\"b,c\n"))
	f.Add([]byte("account;email\n"))
	f.Add([]byte(`{"account":"A","email":["a@b.cd",null]}` + "\n{\n[]\n"))
	f.Add([]byte("\xff\xfea\x00"))
	b := newBook(storetest.Open(f, Kinds()))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := b.Import(context.Background(), "stf_test", strings.NewReader(string(data)), ImportOptions{Source: "crm", DryRun: true})
		if err != nil && fault.Of(err) != fault.Invalid {
			t.Fatalf("a file is refused as invalid or not at all: %v", err)
		}
		if err != nil && !utf8.ValidString(err.Error()) {
			t.Fatalf("%q", err)
		}
		if r.Rows != r.Created+r.Updated+r.Unchanged+r.RejectedRows || (r.RejectedRows > 0) != (len(r.Rejected) > 0) {
			t.Fatalf("does not add up: %+v", r)
		}
		for _, rej := range r.Rejected {
			if rej.Line < 1 || rej.Field == "" || rej.Reason == "" || len(rej.Reason) > 1000 || strings.ContainsFunc(rej.Field+rej.Reason, func(c rune) bool { return c < ' ' }) {
				t.Fatalf("%+v", rej)
			}
		}
		if n, err := b.Count(context.Background()); err != nil || n != (Counts{}) {
			t.Fatalf("a dry run wrote: %+v, %v", n, err)
		}
	})
}

// FuzzCSV compares the reader with the standard library's on everything that both take.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n\"c,\"\"d\",e\r\n")
	f.Add("\"a\nb\",c\n\n\"\",\"\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\r") || len(text) > 1<<16 {
			return // the library turns CRLF within quotation marks into LF, as we do, but treats a lone CR otherwise
		}
		std := csv.NewReader(strings.NewReader(text))
		std.FieldsPerRecord = -1
		want, err := std.ReadAll()
		if err != nil {
			return
		}
		want = slices.DeleteFunc(want, func(r []string) bool {
			return len(r) > 4*int(columnCount) || len(r) == 1 && strings.TrimSpace(r[0]) == ""
		})
		c := csvReader{lines: newLines(strings.NewReader(text), 1<<20)}
		var got [][]string
		for {
			cells, _, reason, err := c.record()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if reason != "" && !strings.Contains(reason, "far more") {
				t.Fatalf("%q: %s", text, reason)
			}
			if reason == "" && !(len(cells) == 1 && strings.TrimSpace(cells[0]) == "") {
				got = append(got, cells)
			}
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

// FuzzImportInto feeds whole files from strangers to an import into a book that holds somebody: a file that is refused changes nothing, one
// that is taken says the same again without writing, and who was there stays.
func FuzzImportInto(f *testing.F) {
	long := strings.Repeat("x", 10<<20)
	for _, seed := range []string{
		"account,email\nAcme,a@example.com\n", "\xef\xbb\xbfaccount,email\nAcme,a@example.com\n", "\xff\xfea\x00", "account;email\nA;b\n", "account\temail\nA\tb\n",
		"account,email,email\nA,b@c.de,b@c.de\n", "account,name,email\nAcme,\"=cmd|' /C calc'!A0\",a@example.com\nAcme,@SUM(1),b@example.com\n",
		"account,name\nAcme,\"" + long + "\"\n", "account,name\nAcme," + long, "account,name\n\"Acme", "account,name\nStra\xdfe,x\n",
		`{"account":"Acme","name":"` + long + `"}`, `{"account":"Acme","account":"B"}` + "\n", "account,email\r\nAcme,a@example.com\r\n\r\n,,,\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBook(storetest.Open(t, allKinds()))
		b.Changes = &Changes{DB: b.DB, Verbs: b.ChangeVerbs(), Log: b.Log}
		b.mustImport(t, "product", "account_id,name,email\nA,Ann,ann@x.example\n")
		was, audits := b.view(t, "A"), b.audits(t)
		send := func() (Report, error) {
			return b.Import(context.Background(), "stf_test", strings.NewReader(string(data)), ImportOptions{Source: "crm", Snapshot: true})
		}
		first, err := send()
		if err != nil {
			if fault.Of(err) != fault.Invalid || len(err.Error()) > 4000 {
				t.Fatalf("%v", err)
			}
			if n, _ := b.Count(context.Background()); n != (Counts{1, 0, 1}) || b.audits(t) != audits {
				t.Fatalf("refused, and something was written: %+v", n)
			}
			return
		}
		now := b.view(t, "A")
		if !slices.ContainsFunc(now.Contacts, func(c store.Rec[Contact]) bool { return c.ID == was.Contacts[0].ID }) {
			t.Fatal("somebody was lost")
		}
		if first.Waiting != nil {
			return
		}
		audits = b.audits(t)
		second, err := send()
		if err != nil || second.Created+second.Updated > 0 || b.audits(t) != audits {
			t.Fatalf("the same again: %+v, %v, after %+v", second, err, first)
		}
	})
}
