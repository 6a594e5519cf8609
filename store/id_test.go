package store_test

import (
	"testing"

	"lifeline/store"
)

func TestAnIDInBriefSaysAllOfIt(t *testing.T) {
	ids := []string{"sit_00000000000000000000000000", "sit_7zzzzzzzzzzzzzzzzzzzzzzzzz", "sit_01h455vb4pex5vsknk084sn02q"}
	for range 1000 {
		ids = append(ids, "acc_"+store.NewSuffix())
	}
	seen := map[store.Brief]bool{}
	for _, id := range ids {
		b, ok := store.Briefly(id)
		if !ok || seen[b] || id[:4]+b.Suffix() != id {
			t.Errorf("%s is %x, %v, and again %s", id, b, ok, b.Suffix())
		}
		seen[b] = true
	}
	for _, id := range []string{"", "a", "01h455vb4pex5vsknk084sn02q", "sit_", "sit_01h455vb4pex5vsknk084sn02", "sit_81h455vb4pex5vsknk084sn02q", "sit_01h455vb4pex5vsknk084sn02u", "sit_01H455VB4PEX5VSKNK084SN02Q", "led_01h455vb4pex5vsknk084sn02q.01h455vb4pex5vsknk084sn02q"} {
		if b, ok := store.Briefly(id); ok {
			t.Errorf("%q is said to be %x", id, b)
		}
	}
}
