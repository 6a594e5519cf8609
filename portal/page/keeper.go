package page

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
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

	mu             sync.Mutex
	state          KeeperState
	unread, undone string // why the last look at the store and the last writing failed, "": they did not
}

// KeeperState is what metrics and readiness tell of the page.
type KeeperState struct {
	Shown     int64     // the edition that readers get
	Wanted    int64     // the newest that the store told of
	ShownAt   time.Time // when Shown was rendered
	Written   int64     // the edition that the static site holds
	Renders   int64     // that succeeded
	Failures  int64     // renders, reads and writes that failed, ever
	LastError string    // "" when the last attempt of each succeeded
}

// State may be read at any time.
func (k *Keeper) State() KeeperState {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	s.LastError = cmp.Or(k.unread, k.undone)
	return s
}

// anotherReplica is how soon it is noticed that another replica has published: with the rendering behind it, all show the same within a second.
const anotherReplica = 400 * time.Millisecond

// Run renders at once and whenever the edition moved, until ctx ends. The static site is written beside it: a word that comes while the copy of the one before is
// being written is shown at once, and its copy follows. The process can be ready as soon as State().Renders is not 0. It returns ctx's error.
func (k *Keeper) Run(ctx context.Context) error {
	every := k.Poll
	if every <= 0 {
		every = anotherReplica
	}
	shown := make(chan struct{}, 1)
	written := make(chan struct{})
	defer func() { <-written }() // nothing is written once it has returned
	fault.Go(k.Log, "static page", func() {
		defer close(written)
		for {
			select {
			case <-ctx.Done():
				k.copy(context.WithoutCancel(ctx)) // whoever serves the files from now on has the last word
				return
			case <-shown:
				k.copy(ctx)
			}
		}
	})
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		case <-k.Wake:
		}
		k.Look(ctx)
		select {
		case shown <- struct{}{}:
		default: // it is told already, and takes the newest
		}
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
	k.Look(ctx)
	k.copy(ctx)
}

// Look is the half of Turn that readers wait for: it brings the page up to the store's edition.
func (k *Keeper) Look(ctx context.Context) { k.attempt(ctx, &k.unread, k.show) }

// copy brings the static site up to the page.
func (k *Keeper) copy(ctx context.Context) { k.attempt(ctx, &k.undone, k.write) }

// attempt does one of the two, and keeps in last why it failed.
func (k *Keeper) attempt(ctx context.Context, last *string, do func(context.Context) error) {
	err := k.safely(ctx, do)
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case text != "" && text != *last:
		k.Log.Error("the public page stays as it was", "shown", k.state.Shown, "wanted", k.state.Wanted, "error", err)
	case text == "" && *last != "":
		k.Log.Info("the public page is up to date again", "edition", k.state.Shown)
	}
	if *last = text; err != nil {
		k.state.Failures++
	}
}

// safely makes an error of a panic: a template that panics must not take the last good page away.
func (k *Keeper) safely(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			k.Log.Error("rendering panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "rendering panicked: %v", p)
		}
	}()
	return do(ctx)
}

func (k *Keeper) show(ctx context.Context) error {
	wanted, err := k.Edition(ctx)
	if err != nil {
		return fmt.Errorf("ask for the edition: %w", err)
	}
	k.note(func(s *KeeperState) { s.Wanted = wanted })
	shown := k.Server.Shown()
	if shown != nil && shown.Number == wanted && !k.Press.stale(shown) {
		return nil
	}
	p, err := k.Public(ctx)
	if err != nil {
		return fmt.Errorf("read what is public: %w", err)
	}
	next, err := k.Press.Render(p)
	if err != nil {
		return fmt.Errorf("render edition %d: %w", p.Edition, err)
	}
	k.Server.Show(next)
	k.note(func(s *KeeperState) { s.Shown, s.ShownAt, s.Renders = next.Number, next.Written, s.Renders+1 })
	return nil
}

func (k *Keeper) write(context.Context) error {
	shown := k.Server.Shown()
	if shown == nil || k.Press.Dir == "" || k.Press.onDisk.Load() == shown {
		return nil
	}
	if err := k.Press.Write(shown); err != nil {
		return err
	}
	k.note(func(s *KeeperState) { s.Written = shown.Number })
	return nil
}

func (k *Keeper) note(what func(*KeeperState)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	what(&k.state)
}
