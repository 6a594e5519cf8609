package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// What is put together out of kept parts is what any reader of gzip makes of it, whatever stands beside them.
func TestAListOfPartsIsGzip(t *testing.T) {
	c := newCoder()
	packed := func(text string) part {
		t.Helper()
		p, err := c.pack([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	long := packed(strings.Repeat("the same over and over, ", 5000))
	for name, parts := range map[string][]part{
		"nothing":       nil,
		"nothing in it": {packed(""), between("")},
		"one":           {long},
		"several":       {between("["), packed("a"), between(","), long, between(","), packed(strings.Repeat("復旧", 40000)), long, between("]")},
	} {
		var body []byte
		for _, p := range parts {
			body = append(body, p.body...)
		}
		r, err := gzip.NewReader(bytes.NewReader(joined(body, parts)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r.Multistream(false) // many clients read the first member alone
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes and %v, want %d", name, len(got), err, len(body))
		}
	}
	if again := packed(string(long.body)); !bytes.Equal(again.packed, long.packed) {
		t.Error("the same body has other bytes the second time")
	}
}
