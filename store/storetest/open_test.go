package storetest

import (
	"testing"

	"lifeline/store"
)

func TestOpenGivesACheckedStore(t *testing.T) {
	Each(t, nil, func(t *testing.T, db *store.DB) {
		if len(db.Declared()) == 0 {
			t.Fatal("the store declares no kinds of its own")
		}
	})
}
