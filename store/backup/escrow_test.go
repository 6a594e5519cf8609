package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// The whole story of a lost machine: nothing is left but the backups and what one custodian keeps.
func TestALostMachineIsRestoredFromABackupAndACustodian(t *testing.T) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) {
			keyDir := filepath.Join(t.TempDir(), "keys")
			keys, err := store.OpenKeys(keyDir, true)
			if err != nil {
				t.Fatal(err)
			}
			v := newVendor(t, storetest.Bolt(t)) // for its recipients; the store is another
			v.keys, v.engine = keys, fresh(t)
			v.DB, err = store.Open(t.Context(), v.engine, store.Options{Keys: keys, Kinds: kinds()})
			v.must(err)
			v.Signer, err = OpenSigner(keyDir)
			v.must(err)
			v.settle(30)
			v.back() // under the first keys
			act := store.Act{By: "stf_ada", Verb: "key.rotate"}
			v.must(v.DB.Rotate(t.Context(), act))
			v.settle(40)
			v.pass(time.Minute)
			v.back() // half under the first, half under the second
			v.must(v.DB.Reseal(t.Context(), nil))
			v.pass(time.Minute)
			v.back()

			custodians := map[string]age.Recipient{"notary": v.ids[0].Recipient(), "founder": v.ids[1].Recipient()}
			out := filepath.Join(t.TempDir(), "escrow")
			paths, err := Escrow(keyDir, out, custodians)
			if err != nil || len(paths) != 2 {
				t.Fatalf("%v, %v", paths, err)
			}
			act.Verb = "key.escrow"
			for i, who := range []string{"founder", "notary"} {
				file, err := os.ReadFile(paths[i])
				v.must(err)
				if _, err := OpenEscrow(bytes.NewReader(file), v.ids[i]); err == nil {
					t.Errorf("%s opened another's file", who)
				}
				files, err := OpenEscrow(bytes.NewReader(file), v.ids[1-i])
				v.must(err)
				v.must(v.DB.ProveEscrow(t.Context(), act, who, files))
			}
			v.must(v.DB.View(t.Context(), func(tx *store.Tx) error {
				all, err := store.Custodians(tx)
				if err != nil || len(all) != 2 || !all[0].Current || !all[1].Current {
					t.Errorf("%+v, %v", all, err)
				}
				return err
			}))

			v.must(os.RemoveAll(keyDir)) // the machine burns
			file, err := os.Open(filepath.Join(out, "escrow-notary.age"))
			v.must(err)
			defer file.Close()
			files, err := OpenEscrow(file, v.ids[0])
			v.must(err)
			again := filepath.Join(t.TempDir(), "keys")
			v.must(RestoreKeys(files, again))
			if err := RestoreKeys(files, again); fault.Of(err) != fault.Exists {
				t.Errorf("keys were overwritten: %v", err)
			}
			v.keys, err = store.OpenKeys(again, false)
			v.must(err)
			if signer, err := OpenSigner(again); err != nil || !signer.Equal(v.Signer) {
				t.Errorf("the signer is another: %v", err)
			}
			entries, err := v.Shelf().List(t.Context())
			v.must(err)
			for i, e := range entries { // each opens with the keys of today, and is found by address
				db := v.restore(e, fresh(t))
				v.must(db.Reseal(t.Context(), nil))
				v.must(db.View(t.Context(), func(tx *store.Tx) error {
					rec, err := people.First(tx, store.Query{Index: "mail", Equal: []any{"grace.29@example.com"}})
					if err != nil || rec.Value.Name != "Grace Hopper 29" {
						t.Errorf("backup %d: %+v, %v", i+1, rec, err)
					}
					return nil
				}))
			}
		})
	}
}

func TestAnEscrowNeedsTwo(t *testing.T) {
	keyDir := filepath.Join(t.TempDir(), "keys")
	if _, err := store.OpenKeys(keyDir, true); err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, custodians := range []map[string]age.Recipient{
		{}, {"notary": id.Recipient()}, {"notary": id.Recipient(), "founder": id.Recipient()}, {"../x": id.Recipient(), "b": id.Recipient()},
	} {
		if _, err := Escrow(keyDir, t.TempDir(), custodians); fault.Of(err) != fault.Invalid {
			t.Errorf("%v: %v", custodians, err)
		}
	}
}

// A slice of a backup that was sealed with old keys comes back under those of today, and is found by address.
func TestASliceFromBeforeARotationIsFound(t *testing.T) {
	each(t, func(v *vendor) {
		v.settle(10)
		v.back()
		v.must(v.DB.Rotate(v.Context(), store.Act{By: "stf_ada", Verb: "key.rotate"}))
		v.must(v.DB.Reseal(v.Context(), nil))
		v.update(v.DB, func(tx *store.Tx) error { return tx.RemoveStored("person", "per_0004") })
		if done, err := v.slice(PickOptions{Kind: "person", Roots: []string{"per_0004"}}, SliceOptions{}); err != nil || done.Total() != 1 || done.Gone != 1 {
			v.Fatalf("%+v, %v", done, err)
		}
		v.must(v.DB.View(v.Context(), func(tx *store.Tx) error {
			_, err := people.First(tx, store.Query{Index: "mail", Equal: []any{"grace.4@example.com"}})
			return err
		}))
	})
}
