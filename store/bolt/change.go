package bolt

import (
	"context"
	"strconv"

	bbolt "go.etcd.io/bbolt"
)

// Change names the last commit. Nothing is committed when nothing is written.
func (e *Engine) Change(context.Context) (name string, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		name = strconv.Itoa(tx.ID())
		return nil
	})
	return name, err
}
