package portal

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"lifeline/store/fault"
)

// Whoever was refused learns whether to mend the input, to try again, or to try again with the same key; and never what is inside.
func TestAProblemSaysWhatToDo(t *testing.T) {
	full := fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", fault.ErrFull, syscall.ENOSPC), "this was not kept, for the disk is full; try again later")
	for name, test := range map[string]struct {
		err           error
		status        int
		title, detail string
	}{
		"a full disk":          {full, 507, "There is no room to keep it", "this was not kept, for the disk is full; try again later"},
		"a full disk, wrapped": {fmt.Errorf("file a ticket: %w", full), 507, "There is no room to keep it", "this was not kept, for the disk is full; try again later"},
		"a busy store":         {fault.New(fault.Unavailable, "the store is busy"), 503, "Not available now", "the store is busy"},
		"an unknown outcome":   {fault.Wrap(fault.Unknown, syscall.EIO, "nobody knows"), 503, "Nobody knows whether it was kept; it is safe to retry with the same Idempotency-Key", "nobody knows"},
		"a disk error inside":  {errors.New("write /var/lib: no space left"), 500, "Something is wrong on our side", "Nothing was done. Quote this reference."},
	} {
		if p := problemOf(test.err); p.Status != test.status || p.Title != test.title || p.Detail != test.detail {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
