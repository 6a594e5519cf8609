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
