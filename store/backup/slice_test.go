package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/blob"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// belongings says whose the records are.
func belongings() map[string]store.Owner {
	all := map[string]store.Owner{"person": {Field: "account", Kinds: []string{"account"}}, "note": {Field: "of", Kinds: []string{"account", "person"}}}
	maps.Copy(all, blob.Owners("note"))
	return all
}

// slice picks from the newest backup and puts it into the store.
func (v *vendor) slice(pick PickOptions, o SliceOptions) (Sliced, error) {
	v.Helper()
	pick.RestoreOptions = v.options()
	if pick.Kind == "" {
		pick.Kind = "account"
	}
	pick.Owners = belongings()
	pick.Named = func(kind string, value json.RawMessage) (name, id string) {
		var p person
		if kind == "person" && json.Unmarshal(value, &p) == nil {
			return "name of " + p.Account, p.Account
		}
		return "", ""
	}
	var b bytes.Buffer
	if _, err := v.Shelf().Pick(v.Context(), v.find(time.Time{}), pick, &b); err != nil {
		return Sliced{}, err
	}
	o.By, o.Reason = "stf_ada", "a script deleted them"
	return PutSlice(v.Context(), v.DB, &b, o)
}

// settleAccounts is settle, with the accounts and a note for each person.
func (v *vendor) settleAccounts(n int) {
	v.Helper()
	v.settle(n) // even numbers are of account a, odd ones of b
	v.update(v.DB, func(tx *store.Tx) error {
		for _, id := range []string{"acc_a", "acc_b"} {
			if err := accounts.Put(tx, id, id, 0); err != nil {
				return err
			}
		}
		for i := range n {
			if err := notes.Put(tx, fmt.Sprintf("not_%04d", i), note{Of: fmt.Sprintf("per_%04d", i)}, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestOneAccountIsRestoredAndNoOtherIsTouched(t *testing.T) {
	each(t, func(v *vendor) {
		v.settleAccounts(20)
		before := records(v.T, v.DB)
		v.back()
		v.update(v.DB, func(tx *store.Tx) error {
			for i := 2; i < 20; i++ {
				if err := put(tx, fmt.Sprintf("per_%04d", i), person{Account: "acc_" + string('a'+rune(i%2)), Name: "changed"}); err != nil {
					return err
				}
			}
			if err := people.Delete(tx, "per_0000", 1); err != nil {
				return err
			}
			for kind, id := range map[string]string{"person": "per_0004", "account": "acc_a", "note": "not_0006"} {
				if err := tx.RemoveStored(kind, id); err != nil {
					return err
				}
			}
			return put(tx, "per_new", person{Account: "acc_a", Name: "new"})
		})
		between := records(v.T, v.DB)
		dry, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, SliceOptions{Dry: true})
		if err != nil || dry.Total() != 12 || dry.Gone != 4 || dry.Same != 9 || len(dry.Sample) != 10 || !dry.Dry {
			v.Fatalf("a dry run: %+v, %v", dry, err)
		}
		if !reflect.DeepEqual(records(v.T, v.DB), between) {
			v.Error("a dry run changed something")
		}
		done, err := v.slice(PickOptions{Roots: []string{"name of acc_a"}}, SliceOptions{}) // by another name that the backup knows it by
		if err != nil || fmt.Sprint(done.Restored) != "map[account:1 note:1 person:10]" || done.Gone != 4 || done.Same != 9 {
			v.Fatalf("%+v, %v", done, err)
		}
		after := records(v.T, v.DB)
		ofA := func(id string) bool { return id == "acc_a" || id[3] == '_' && len(id) == 8 && (id[7]-'0')%2 == 0 }
		for id, raw := range after {
			switch {
			case id == "per_new":
			case ofA(id):
				was := before[id]
				if !bytes.Equal(raw.Body, was.Body) || !reflect.DeepEqual(raw.Tuples, was.Tuples) || !raw.Deleted.Equal(was.Deleted) || !raw.Created.Equal(was.Created) {
					v.Errorf("%s is not as it was: %+v, was %+v", id, raw.Meta, was.Meta)
				}
			case !reflect.DeepEqual(raw, between[id]):
				v.Errorf("%s was touched", id)
			}
		}
		if len(after) != len(between)+3 { // what came after the backup stays
			v.Errorf("%d records, had %d", len(after), len(between))
		}
		for _, problem := range storetest.Check(v.engine, v.DB.Declared()) {
			v.Error(problem)
		}
		if done, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, SliceOptions{}); err != nil || done.Total() != 0 || done.Same != 21 {
			v.Errorf("once more: %+v, %v", done, err)
		}
		// An address that somebody of another account has by now: nothing of the slice is written.
		v.update(v.DB, func(tx *store.Tx) error {
			if err := tx.RemoveStored("person", "per_0006"); err != nil {
				return err
			}
			return put(tx, "per_0003", person{Account: "acc_b", Name: "taker", Mail: "grace.6@example.com"})
		})
		between = records(v.T, v.DB)
		if _, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, SliceOptions{}); fault.Of(err) != fault.Exists {
			v.Errorf("an address taken meanwhile: %v", err)
		}
		if !reflect.DeepEqual(records(v.T, v.DB), between) {
			v.Error("a slice was half restored")
		}
		if _, err := v.slice(PickOptions{Roots: []string{"acc_a", "acc_z", "per_0002"}}, SliceOptions{}); fault.Of(err) != fault.NotFound || !strings.Contains(err.Error(), `["acc_z" "per_0002"]`) {
			v.Errorf("roots that are not there, or no accounts: %v", err)
		}
	})
}

func TestASliceThatWasCutOrForgedIsRefused(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settleAccounts(4)
	v.back()
	v.update(v.DB, func(tx *store.Tx) error { return tx.RemoveStored("person", "per_0002") })
	var b bytes.Buffer
	pick := PickOptions{RestoreOptions: v.options(), Kind: "account", Roots: []string{"acc_a"}, Owners: map[string]store.Owner{"person": {Field: "account", Kinds: []string{"account"}}}}
	_, err := v.Shelf().Pick(v.Context(), v.find(time.Time{}), pick, &b)
	v.must(err)
	whole := b.Bytes()
	for name, content := range map[string][]byte{
		"cut":     whole[:len(whole)-3],
		"altered": bytes.Replace(whole, []byte("per_0002"), []byte("per_0003"), 1),
		"nothing": nil,
	} {
		between := records(t, v.DB)
		if _, err := PutSlice(v.Context(), v.DB, bytes.NewReader(content), SliceOptions{By: "stf_ada"}); err == nil || !reflect.DeepEqual(records(t, v.DB), between) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if done, err := PutSlice(v.Context(), v.DB, bytes.NewReader(whole), SliceOptions{By: "stf_ada"}); err != nil || done.Gone != 1 {
		t.Errorf("whole: %+v, %v", done, err)
	}
}

// The files of a customer go where her records go: through a change of keys, into a backup, out of it into an empty store, and back into the live one with a slice,
// which holds no more than a stated number of bytes.
func TestFilesAreCarriedLikeAnyRecord(t *testing.T) {
	v := newVendor(t, storetest.Bolt(t))
	v.settleAccounts(4) // per_0000 and per_0002 are of acc_a
	content := map[string][]byte{}
	hang := func(of string, n int) (id string) {
		t.Helper()
		file := bytes.Repeat([]byte(of), n/len(of))
		l, err := blob.Put(t.Context(), v.DB, blob.Upload{Name: "shot.png", Type: "image/png", From: bytes.NewReader(file), Max: 64 << 20})
		v.must(err)
		v.update(v.DB, func(tx *store.Tx) error { return l.Keep(tx, of) })
		content[l.ID()] = file
		return l.ID()
	}
	hers := hang("not_0002", 3*blob.ChunkSize)
	hang("not_0003", 1000) // of acc_b
	whole := func(when string, db *store.DB) {
		t.Helper()
		for id, want := range content {
			var got []byte
			var rec blob.Rec
			err := db.View(t.Context(), func(tx *store.Tx) (err error) {
				rec, err = blob.Get(tx, id)
				return err
			})
			if err == nil {
				got, err = io.ReadAll(blob.Open(t.Context(), db, rec))
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s has %d bytes of %d: %v", when, id, len(got), len(want), err)
			}
		}
	}
	v.must(v.DB.Rotate(t.Context(), store.Act{By: "stf_ada", Verb: "key.rotate"}))
	v.must(v.DB.Reseal(t.Context(), nil))
	whole("behind a change of keys", v.DB)
	v.back()
	whole("restored", v.restore(v.find(time.Time{}), storetest.Bolt(t)))

	v.update(v.DB, func(tx *store.Tx) error {
		for kind := range blob.Owners("note") {
			for raw, err := range tx.Stored(kind) {
				if err != nil {
					return err
				}
				if strings.Contains(raw.ID, hers[4:]) {
					if err := tx.RemoveStored(kind, raw.ID); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if _, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, SliceOptions{most: 3 * blob.ChunkSize}); fault.Of(err) != fault.TooLarge {
		t.Errorf("more bytes than may be held: %v", err)
	}
	if _, err := v.slice(PickOptions{Roots: []string{"acc_a"}, most: 3 * blob.ChunkSize}, SliceOptions{}); fault.Of(err) != fault.TooLarge {
		t.Errorf("more bytes than may be picked: %v", err)
	}
	done, err := v.slice(PickOptions{Roots: []string{"acc_a"}}, SliceOptions{})
	if err != nil || fmt.Sprint(done.Restored) != "map[blob:1 chunk:3]" {
		t.Errorf("%+v, %v", done, err)
	}
	whole("behind a slice", v.DB)
}
