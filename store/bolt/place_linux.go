package bolt

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Place says where the file lies in a way that a copy cannot share: its inode and when that was made (statx(2), stx_btime). Renaming it, or the
// directories above, changes neither, and nor does mounting its disk elsewhere; a file system that keeps no birth time is known by the inode alone.
// "" when it cannot be asked.
func (e *Engine) Place() string {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, e.db.Path(), unix.AT_STATX_SYNC_AS_STAT, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return ""
	}
	place := fmt.Sprintf("inode %d", s.Ino)
	if s.Mask&unix.STATX_BTIME != 0 {
		place += fmt.Sprintf(" of %d.%09d", s.Btime.Sec, s.Btime.Nsec)
	}
	return place
}
