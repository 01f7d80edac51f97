package reconcile

import (
	"context"
	"errors"

	"russet/chunk"
)

var (
	// ErrNoSync is in errors of a name that has no state.
	ErrNoSync = errors.New("no such sync")
	// ErrBusy is in errors of a sync of which another run is under way.
	ErrBusy = errors.New("another run of this sync is under way")
	// ErrState is in errors of a state that cannot be read: damaged, or of a newer
	// program.
	ErrState = errors.New("the state of the sync cannot be read")
	// ErrGuard is in errors of a plan that a guard holds back: Plan.Guards says why,
	// and whether approving of it helps.
	ErrGuard = errors.New("a guard holds the plan back")
	// ErrOutdated is in errors of a plan that is not what would be done now, and of
	// one that was applied already.
	ErrOutdated = errors.New("the plan is out of date")
)

// Store keeps the states of syncs. The one in a repository is RepoStore.
type Store interface {
	// Load returns the newest state; ErrNoSync where there is none.
	Load(ctx context.Context, name string) (*State, error)
	// Body returns a body that the state last loaded or saved names.
	Body(ctx context.Context, name string, id chunk.ID) ([]byte, error)
	// Save makes st the newest state, complete by itself. fresh holds the bodies that
	// it names and the last one did not. ErrBusy says that another process saved one
	// since Load, ErrNoSync that one removed it. It keeps nothing of st.
	Save(ctx context.Context, st *State, fresh map[chunk.ID][]byte) error
	// Runs tells whether the process that left the mark in a state may still run.
	Runs(ctx context.Context, r Running) (bool, error)
}
