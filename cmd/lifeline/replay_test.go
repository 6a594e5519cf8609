package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// On 14 April 112 sites were back: of the 700 known then, and of the 883 that it turned out to be. Each figure names its unit, its whole and its time,
// and the customers stand beside the sites; "53 %", whose unit nobody knows, appears nowhere.
func TestTheReplayNamesUnitWholeAndTime(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT REPLAYED: a replay sends thousands of messages to files")
	}
	var as struct {
		Updates []told `json:"updates"`
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"replay", "--json"}, strings.NewReader(""), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &as); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "53 %") {
		t.Errorf("a share without its unit:\n%s", &out)
	}
	found := false
	for _, u := range as.Updates {
		if !u.At.Equal(time.Date(2022, 4, 14, 0, 0, 0, 0, time.UTC)) {
			continue
		}
		found = true
		f := u.Restored
		if f == nil || f.Sites.Restored != 112 || f.Sites.Total != 700 || f.Sites.Percent != "16.0" || !f.AsOf.Equal(u.At) || u.Hindsight != "112 of 883 (12.7 %)" {
			t.Errorf("as known on 14 April: %+v", u)
		}
		if f != nil && (f.Customers.Total == 0 || f.Customers.Percent != percent(f.Customers.Restored, f.Customers.Total) || f.Customers.Total == f.Sites.Total) {
			t.Errorf("the customers' share: %+v", f.Customers)
		}
	}
	if !found {
		t.Errorf("no update of 14 April: %+v", as)
	}
}
