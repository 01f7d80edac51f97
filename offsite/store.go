package offsite

import (
	"context"
	"errors"
	"fmt"

	"russet/repo"
)

var (
	// ErrNoCopy is in errors of a name that has no state.
	ErrNoCopy = errors.New("no such offsite copy")
	// ErrBusy is in errors of a copy whose state another run has saved meanwhile.
	ErrBusy = errors.New("another run of this offsite copy is under way")
	// ErrState is in errors of a state that cannot be read: damaged, or of a newer
	// program.
	ErrState = errors.New("the state of the offsite copy cannot be read")
	// ErrOther is in errors of an address at which another repository lies than the copy.
	ErrOther = errors.New("it is another repository than the copy")
	// ErrBad is in errors of a copy that holds something that is damaged, or lacks
	// something that it had.
	ErrBad = errors.New("the copy is damaged")
)

// Store keeps the states of copies in their source. Its contexts must be those of a
// lock of that, shared where anything is saved, and its index must be loaded. It is
// for one goroutine.
type Store struct {
	r      *repo.Repository
	states *repo.States
}

// NewStore returns the store in a repository, the source.
func NewStore(r *repo.Repository, opt repo.StateOptions) *Store {
	return &Store{r, r.NewStates(stateKind, opt)}
}

// stateError is an error of the repository's in the terms of this package.
func stateError(err error) error {
	switch {
	case errors.Is(err, repo.NoState):
		return ErrNoCopy
	case errors.Is(err, repo.StateChanged):
		return ErrBusy
	case errors.Is(err, repo.BadState):
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	return err
}

// Names are those of all copies, sorted.
func (s *Store) Names(ctx context.Context) ([]string, error) {
	names, err := s.states.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("list offsite copies: %w", err)
	}
	return names, nil
}

// Load returns what is remembered of a copy. The error wraps ErrNoCopy or ErrState
// where it is one of these.
func (s *Store) Load(ctx context.Context, name string) (*State, error) {
	st, err := s.load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("load state of offsite copy %s: %w", name, err)
	}
	return st, nil
}

func (s *Store) load(ctx context.Context, name string) (*State, error) {
	tree, err := s.states.Load(ctx, name)
	if err != nil {
		return nil, stateError(err)
	}
	files, err := s.states.ReadFiles(ctx, tree, maxFile, fileState, fileLedger, fileSnapshots)
	if err != nil {
		return nil, stateError(err)
	}
	return decodeState(name, files)
}

// Save makes st the newest state of its copy. ErrBusy says that another process has
// saved one since it was loaded.
func (s *Store) Save(ctx context.Context, st *State) error {
	err := s.states.Save(ctx, st.Config.Name, func(w *repo.StateWriter) (*repo.Tree, error) {
		files, err := st.encode()
		if err != nil {
			return nil, err
		}
		return w.Files(ctx, files)
	})
	if err != nil {
		return fmt.Errorf("save state of offsite copy %s: %w", st.Config.Name, stateError(err))
	}
	return nil
}

// Free is an error if there is a copy of that name already.
func (s *Store) Free(ctx context.Context, name string) error {
	_, err := s.Load(ctx, name)
	switch {
	case errors.Is(err, ErrNoCopy):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("add offsite copy %s: there is one of that name", name)
}

// Remove forgets a copy and its ledger. The copy stays as it is.
func (s *Store) Remove(ctx context.Context, name string) error {
	if err := s.states.Remove(ctx, name); err != nil {
		return fmt.Errorf("remove offsite copy %s: %w", name, stateError(err))
	}
	return nil
}
