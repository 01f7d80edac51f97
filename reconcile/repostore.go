package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"russet/chunk"
	"russet/repo"
)

// RepoStore keeps states as snapshots of a repository. Its contexts must be those of
// a lock, shared or exclusive, and the index must be loaded. It is for one goroutine.
type RepoStore struct {
	r      *repo.Repository
	opt    StoreOptions
	states *repo.States
	open   map[string]*stored // by name, what was loaded or saved last
}

// StoreOptions say who keeps states.
type StoreOptions struct {
	Owner   repo.Owner // its Time is that of the snapshots
	PID     int
	Boot    string // repo.ThisBoot
	Version string // of the program, as snapshots note it
}

// stored are the bodies that a state in the repository has.
type stored struct {
	small map[chunk.ID][]byte
	large map[chunk.ID]*repo.Node
}

// NewRepoStore returns the store of a repository.
func NewRepoStore(r *repo.Repository, opt StoreOptions) *RepoStore {
	return &RepoStore{
		r: r, opt: opt, open: map[string]*stored{},
		states: r.NewStates(stateKind, repo.StateOptions{Owner: opt.Owner, Version: opt.Version}),
	}
}

// Names are those of all syncs, sorted.
func (s *RepoStore) Names(ctx context.Context) ([]string, error) {
	names, err := s.states.Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("list syncs: %w", err)
	}
	return names, nil
}

// stateError is an error of the repository's in the terms of a Store.
func stateError(err error) error {
	switch {
	case errors.Is(err, repo.NoState):
		return ErrNoSync
	case errors.Is(err, repo.StateChanged):
		return ErrBusy
	case errors.Is(err, repo.BadState):
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	return err
}

// Load implements Store.
func (s *RepoStore) Load(ctx context.Context, name string) (*State, error) {
	at := &stored{small: map[chunk.ID][]byte{}, large: map[chunk.ID]*repo.Node{}}
	s.open[name] = at
	tree, err := s.states.Load(ctx, name)
	if errors.Is(err, repo.NoState) {
		return nil, ErrNoSync // whoever asks for a sync names it
	}
	if err != nil {
		return nil, fmt.Errorf("load state %s: %w", name, stateError(err))
	}
	st, err := s.read(ctx, name, at, tree)
	if err != nil {
		return nil, fmt.Errorf("load state %s: %w", name, err)
	}
	return st, nil
}

// read reads the state in a folder.
func (s *RepoStore) read(ctx context.Context, name string, at *stored, tree *repo.Tree) (*State, error) {
	files, err := s.states.ReadFiles(ctx, tree, maxStateFile, stateFiles...)
	if err != nil {
		return nil, stateError(err)
	}
	if n := tree.Find(dirBodies); n != nil && n.Subtree != nil {
		if err := s.readLarge(ctx, at, *n.Subtree); err != nil {
			return nil, stateError(err)
		}
	}
	if at.small, err = decodeBodies(files[fileBodies]); err != nil {
		return nil, err
	}
	return decodeState(name, files)
}

// readLarge notes where large bodies are.
func (s *RepoStore) readLarge(ctx context.Context, at *stored, tree chunk.ID) error {
	t, err := s.states.Folder(ctx, tree)
	if err != nil {
		return err
	}
	if len(t.Nodes) > maxBodies {
		return fmt.Errorf("%w: %d bodies are more than %d", repo.BadState, len(t.Nodes), maxBodies)
	}
	for _, n := range t.Nodes {
		if id, err := chunk.ParseID(n.Name); err == nil && n.Type == repo.TypeFile {
			at.large[id] = n
		}
	}
	return nil
}

// Body implements Store.
func (s *RepoStore) Body(ctx context.Context, name string, id chunk.ID) ([]byte, error) {
	at := s.open[name]
	if at == nil {
		panic("reconcile: a body of a state that was not loaded")
	}
	if data, ok := at.small[id]; ok {
		return data, nil
	}
	n := at.large[id]
	if n == nil {
		return nil, fmt.Errorf("%w: it lacks a body", ErrState)
	}
	data, err := s.r.ReadFile(ctx, n.Content, maxStateFile)
	if errors.Is(err, repo.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if err != nil {
		return nil, err
	}
	if chunk.Sum(data) != id {
		return nil, fmt.Errorf("%w: a body is another than its name says", ErrState)
	}
	return data, nil
}

// Runs implements Store: whoever runs holds a lock of the repository.
func (s *RepoStore) Runs(ctx context.Context, r Running) (bool, error) {
	if r.Host == s.opt.Owner.Hostname && r.PID == s.opt.PID {
		return false, nil // an earlier attempt of this very process, which has ended
	}
	return s.r.LockHolder(ctx, r.Host, r.PID, s.opt.Boot, time.Now())
}

// Save implements Store. The new snapshot stands before older ones of its name are
// removed. Of two processes that save at once, neither or one succeeds. A sync that was
// removed since it was loaded is ErrNoSync, and stays removed.
func (s *RepoStore) Save(ctx context.Context, st *State, fresh map[chunk.ID][]byte) error {
	name := st.Config.Name
	at := s.open[name]
	if at == nil {
		panic("reconcile: a state is saved that was not loaded")
	}
	next := &stored{small: map[chunk.ID][]byte{}, large: map[chunk.ID]*repo.Node{}}
	err := s.states.Save(ctx, name, func(w *repo.StateWriter) (*repo.Tree, error) {
		return write(ctx, w, st, at, next, fresh)
	})
	if errors.Is(err, repo.NoState) {
		return fmt.Errorf("save state %s: %w: it was removed meanwhile", name, ErrNoSync)
	}
	if err != nil {
		return fmt.Errorf("save state %s: %w", name, stateError(err))
	}
	s.open[name] = next
	return nil
}

// write writes the files of a state, and notes in next where its bodies are.
func write(ctx context.Context, w *repo.StateWriter, st *State, at, next *stored, fresh map[chunk.ID][]byte) (*repo.Tree, error) {
	large, err := writeBodies(ctx, w, st, at, next, fresh)
	if err != nil {
		return nil, err
	}
	files, err := encodeState(st)
	if err == nil {
		files[fileBodies], err = encodeBodies(next.small)
	}
	if err == nil {
		err = readable(files)
	}
	if err != nil {
		return nil, err
	}
	top, err := w.Files(ctx, files)
	if err == nil && large != nil {
		top.Nodes = append(top.Nodes, large)
	}
	return top, err
}

// writeBodies sorts the bodies that a state names into small and large ones, and returns
// the folder of the latter; nil where there are none.
func writeBodies(ctx context.Context, w *repo.StateWriter, st *State, at, next *stored, fresh map[chunk.ID][]byte) (*repo.Node, error) {
	var err error
	st.bodies(func(id chunk.ID) {
		if err != nil || next.small[id] != nil || next.large[id] != nil {
			return
		}
		data, ok := fresh[id]
		if !ok {
			data = at.small[id]
		}
		switch {
		case data == nil && at.large[id] != nil:
			next.large[id] = at.large[id]
		case data == nil: // it was lost before: what can be had is kept
		case len(data) < largeBody:
			next.small[id] = data
		default:
			next.large[id], err = w.File(ctx, id.String(), data)
		}
	})
	if err != nil || len(next.large) == 0 {
		return nil, err
	}
	t := new(repo.Tree)
	for _, n := range next.large {
		t.Nodes = append(t.Nodes, n)
	}
	return w.Folder(ctx, dirBodies, t)
}

// Remove forgets a sync: its state, attic and journal. Both sides stay as they are.
func (s *RepoStore) Remove(ctx context.Context, name string) error {
	if err := s.states.Remove(ctx, name); err != nil {
		return fmt.Errorf("remove sync %s: %w", name, stateError(err))
	}
	delete(s.open, name)
	return nil
}
