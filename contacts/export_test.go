package contacts

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

func (o *office) exportAs(format string) string {
	o.Helper()
	var out bytes.Buffer
	if _, err := o.b.Export(context.Background(), &out, format, nil); err != nil {
		o.Fatal(err)
	}
	return out.String()
}

// An export read into an empty store gives the same export again.
func TestAnExportComesBackAsItWent(t *testing.T) {
	o := anOffice(t)
	o.b.mustImport(t, "product", file(t, "product.csv"))
	o.b.mustImport(t, "billing", file(t, "billing.jsonl"))
	o.b.mustImport(t, "product", crowd(120))
	o.b.mustImport(t, "product", "account_id,account,site_id,site_url,former_site_ids\nA-100,Acme Corp,S-101,https://acme.example/new,S-50;S-51\n")
	o.b.mustImport(t, "billing", "account_id,account,former_account_ids,name,email,phone,channels\nZ-3,'=Danger & Co,Z-1;Z-2,\"'@ \"\"quoted\"\", Ltd\",q@z.example,'+4930901820,email;sms\n"+
		"Z-4,'Tis Bakery,,''=x,,,\nZ-5,No Contact,,,,,\n")
	for _, format := range []string{FormatCSV, FormatJSONLines} {
		went := o.exportAs(format)
		other := anOffice(t)
		if r := other.b.mustImport(t, "billing", went); r.RejectedRows > 0 {
			t.Fatalf("%s: %+v", format, r.Rejected)
		}
		if back := other.exportAs(format); back != went {
			t.Errorf("%s came back another:\n%s", format, firstDifference(went, back))
		}
		here, _ := o.b.Count(context.Background())
		if there, _ := other.b.Count(context.Background()); there != here {
			t.Errorf("%s: %+v, %+v", format, here, there)
		}
	}
	if v := o.b.view(t, "Z-3"); v.Account.Value.Name != "=Danger & Co" || strings.Join(v.Account.Value.ProductIDs, " ") != "Z-1 Z-2 Z-3" {
		t.Errorf("%+v", v.Account.Value)
	}
	if s, err := in(t, o.b, func(tx *store.Tx) (store.Rec[Site], error) { return o.b.Site(tx, "S-50") }); err != nil || s.Value.URL != "https://acme.example/new" {
		t.Errorf("a former id leads to %+v, %v", s.Value, err)
	}
}

func firstDifference(a, b string) string {
	one, two := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(one), len(two)) {
		if one[i] != two[i] {
			return one[i] + "\n" + two[i]
		}
	}
	return "one is longer"
}

// No cell of an export begins with what a spreadsheet reckons with, and nothing is lost by that.
func TestNoCellIsAFormula(t *testing.T) {
	for _, v := range []string{"", "plain", "=1+1", "+4930901820", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x", "'", "''", "'=1", "'tis", "'s-Hertogenbosch", "a=b"} {
		cell := Guarded(v)
		if cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(cell)[0]) {
			t.Errorf("%q is written as %q", v, cell)
		}
		if back := unguarded(cell); back != v {
			t.Errorf("%q is written as %q and read as %q", v, cell, back)
		}
	}
	for _, foreign := range []string{"'tis", "'s-Hertogenbosch", "plain", "+49"} { // as others write them
		if unguarded(foreign) != foreign {
			t.Errorf("%q is read as %q", foreign, unguarded(foreign))
		}
	}
}

func TestAListThatCSVCannotHoldIsSaidSo(t *testing.T) {
	b := newBook(storetest.Open(t, allKinds()))
	b.mustImport(t, "billing", `{"account_id":"A","account":"Acme","former_names":["Acme; Sons"]}`+"\n")
	_, err := b.Export(context.Background(), &bytes.Buffer{}, FormatCSV, nil)
	if kept := b.view(t, "A").Account.Value.FormerNames; len(kept) != 1 || fault.Of(err) != fault.Invalid || !strings.Contains(err.Error(), "jsonl") {
		t.Errorf("%v", err)
	}
}
