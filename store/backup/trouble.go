package backup

import (
	"context"
	"errors"
)

// What can be wrong for long, and is somebody's to mend.
const (
	TroubleBackup  = "backup"  // none could be taken, or a place did not take it
	TroubleFrozen  = "frozen"  // the store shrank; old backups are kept until somebody looked
	TroubleJournal = "journal" // what must hold after a restore was not brought out
	TroubleVerify  = "verify"  // a backup is not whole
	TroubleDrill   = "drill"   // a drill failed, or missed its targets
)

// tell says once that something is wrong, and once that it is not any more.
func (b *Backups) tell(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	b.telling.Lock()
	defer b.telling.Unlock()
	was, known := b.told[what]
	if known && was == detail {
		return
	}
	if b.told == nil {
		b.told = map[string]string{}
	}
	b.told[what] = detail
	if err != nil {
		b.log().Error("backups need care", "what", what, "err", err)
	}
	if b.Trouble != nil {
		b.Trouble(ctx, what, detail)
	}
}

// Note tells what came of a backup that was asked for by hand: a frozen one was taken. Run does so itself.
func (b *Backups) Note(ctx context.Context, m Manifest, err error) {
	switch {
	case errors.Is(err, ErrUnchanged):
		b.tell(ctx, TroubleBackup, nil)
	case errors.Is(err, ErrFrozen):
		b.tell(ctx, TroubleFrozen, err)
	default:
		b.tell(ctx, TroubleBackup, err)
		if err == nil {
			b.tell(ctx, TroubleFrozen, nil)
		}
	}
}
