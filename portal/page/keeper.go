package page

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
)

// Keeper keeps the shown page and the static site at the store's edition. Whatever fails, the last good edition stays shown: a page
// that is an hour old and says so is better than none.
type Keeper struct {
	Press   *Press
	Server  *Server
	Edition func(context.Context) (int64, error)        // cheap: asked every Poll
	Public  func(context.Context) (comms.Public, error) // read once per edition
	Wake    <-chan struct{}                             // a hint that the edition moved; may be nil
	Poll    time.Duration                               // 0: [anotherReplica]
	Log     *slog.Logger

	state atomic.Pointer[KeeperState]
}

// KeeperState is what metrics and readiness tell of the page.
type KeeperState struct {
	Shown     int64     // the edition that readers get
	Wanted    int64     // the newest that the store told of
	ShownAt   time.Time // when Shown was rendered
	Written   int64     // the edition that the static site holds
	Renders   int64     // that succeeded
	Failures  int64     // renders, reads and writes that failed, ever
	LastError string    // "" when the last attempt succeeded
}

// State may be read at any time.
func (k *Keeper) State() KeeperState {
	if s := k.state.Load(); s != nil {
		return *s
	}
	return KeeperState{}
}

// anotherReplica is how soon it is noticed that another replica has published: with the rendering behind it, all show the same within a second.
const anotherReplica = 400 * time.Millisecond

// Run renders at once and whenever the edition moved, until ctx ends. The process can be ready as soon as State().Renders is
// not 0. It returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	every := k.Poll
	if every <= 0 {
		every = anotherReplica
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		case <-k.Wake:
		}
		k.Turn(ctx)
		next := every
		if k.State().LastError != "" { // what just failed will likely fail again; a wake-up still comes through
			next = failedTurns * every
		}
		wait.Reset(next)
	}
}

// failedTurns is how many polls are left out after a turn that failed.
const failedTurns = 12

// Turn brings page and static site up to the store's edition once. What fails is logged when it changes, counted, and tried again
// at the next turn.
func (k *Keeper) Turn(ctx context.Context) {
	s := k.State()
	err := k.turn(ctx, &s)
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		if s.LastError != "" {
			k.Log.Info("the public page is up to date again", "edition", s.Shown)
		}
		s.LastError = ""
	default:
		s.Failures++
		if text := err.Error(); text != s.LastError {
			k.Log.Error("the public page stays as it was", "shown", s.Shown, "wanted", s.Wanted, "error", err)
			s.LastError = text
		}
	}
	k.state.Store(&s)
}

func (k *Keeper) turn(ctx context.Context, s *KeeperState) (err error) {
	defer func() { // a template that panics must not take the last good page away
		if p := recover(); p != nil {
			k.Log.Error("rendering panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "rendering panicked: %v", p)
		}
	}()
	wanted, err := k.Edition(ctx)
	if err != nil {
		return fmt.Errorf("ask for the edition: %w", err)
	}
	s.Wanted = wanted
	shown := k.Server.Shown()
	if shown == nil || shown.Number != wanted || k.Press.stale(shown) {
		p, err := k.Public(ctx)
		if err != nil {
			return fmt.Errorf("read what is public: %w", err)
		}
		next, err := k.Press.Render(p)
		if err != nil {
			return fmt.Errorf("render edition %d: %w", p.Edition, err)
		}
		k.Server.Show(next)
		shown = next
		s.Shown, s.ShownAt = next.Number, next.Written
		s.Renders++
	}
	if k.Press.Dir == "" || k.Press.onDisk.Load() == shown {
		return nil
	}
	if err := k.Press.Write(shown); err != nil {
		return err
	}
	s.Written = shown.Number
	return nil
}
