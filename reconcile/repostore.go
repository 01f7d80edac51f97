package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"russet/chunk"
	"russet/repo"
)

// RepoStore keeps states as snapshots of a repository. Its contexts must be those of
// a lock, shared or exclusive, and the index must be loaded. It is for one goroutine.
type RepoStore struct {
	r    *repo.Repository
	opt  StoreOptions
	open map[string]*stored // by name, what was loaded or saved last
}

// StoreOptions say who keeps states.
type StoreOptions struct {
	Owner   repo.Owner // its Time is that of the snapshots
	PID     int
	Boot    string // repo.ThisBoot
	Version string // of the program, as snapshots note it
}

// stored is a state in the repository.
type stored struct {
	mine  []*repo.Snapshot  // of this name, oldest first
	known map[chunk.ID]bool // all snapshots that were there
	small map[chunk.ID][]byte
	large map[chunk.ID]*repo.Node
}

// NewRepoStore returns the store of a repository.
func NewRepoStore(r *repo.Repository, opt StoreOptions) *RepoStore {
	return &RepoStore{r: r, opt: opt, open: map[string]*stored{}}
}

// Names are those of all syncs, sorted.
func (s *RepoStore) Names(ctx context.Context) ([]string, error) {
	all, err := s.r.AllSnapshots(ctx)
	if err != nil {
		return nil, fmt.Errorf("list syncs: %w", err)
	}
	var names []string
	for _, sn := range all {
		if name, ok := stateOf(sn); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// stateOf is the name of the sync whose state a snapshot holds.
func stateOf(s *repo.Snapshot) (string, bool) {
	if len(s.Paths) != 1 {
		return "", false
	}
	return strings.CutPrefix(s.Paths[0], StatePath(""))
}

// Load implements Store.
func (s *RepoStore) Load(ctx context.Context, name string) (*State, error) {
	at := &stored{known: map[chunk.ID]bool{}, small: map[chunk.ID][]byte{}, large: map[chunk.ID]*repo.Node{}}
	s.open[name] = at
	ids, err := s.r.SnapshotIDs(ctx)
	if err != nil {
		return nil, err
	}
	var unread error
	for _, id := range ids {
		at.known[id] = true
		sn, err := s.r.LoadSnapshot(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten since it was listed
		}
		if err != nil {
			unread = err
			continue
		}
		if of, ok := stateOf(sn); ok && of == name {
			at.mine = append(at.mine, sn)
		}
	}
	if len(at.mine) == 0 {
		if unread != nil {
			return nil, fmt.Errorf("load state: %w", unread)
		}
		return nil, fmt.Errorf("load state %s: %w", name, ErrNoSync)
	}
	repo.SortSnapshots(at.mine)
	st, err := s.read(ctx, name, at, at.mine[len(at.mine)-1])
	if err != nil {
		return nil, fmt.Errorf("load state %s: %w", name, err)
	}
	return st, nil
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
// removed. Of two processes that save at once, neither or one succeeds.
func (s *RepoStore) Save(ctx context.Context, st *State, fresh map[chunk.ID][]byte) error {
	name := st.Config.Name
	at := s.open[name]
	if at == nil {
		panic("reconcile: a state is saved that was not loaded")
	}
	if err := s.alone(ctx, name, at, chunk.ID{}); err != nil {
		return err
	}
	next, tree, err := s.write(ctx, st, at, fresh)
	if err != nil {
		return fmt.Errorf("save state %s: %w", name, err)
	}
	when := s.opt.Owner.Time
	if n := len(at.mine); n > 0 && !when.After(at.mine[n-1].Time) {
		when = at.mine[n-1].Time.Add(time.Millisecond) // a clock that was set back
	}
	sn := &repo.Snapshot{
		Time: when, Tree: &tree, Paths: []string{StatePath(name)}, Hostname: stateName,
		Username: s.opt.Owner.Username, Tags: []string{stateName}, ProgramVersion: s.opt.Version,
	}
	id, err := s.r.SaveSnapshot(ctx, sn)
	if err != nil {
		return fmt.Errorf("save state %s: %w", name, err)
	}
	if err := s.alone(ctx, name, at, id); err != nil {
		return errors.Join(err, s.r.RemoveSnapshot(ctx, id))
	}
	next.mine, next.known = []*repo.Snapshot{sn}, at.known
	next.known[id] = true
	for _, old := range at.mine {
		// Where that fails, as on a store that only grows, forget does it some day.
		if err := s.r.RemoveSnapshot(ctx, old.ID()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			next.mine = append(next.mine, old)
		}
	}
	repo.SortSnapshots(next.mine)
	s.open[name] = next
	return nil
}

// alone makes sure that nobody else saved a state of that name since it was loaded.
func (s *RepoStore) alone(ctx context.Context, name string, at *stored, own chunk.ID) error {
	ids, err := s.r.SnapshotIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if at.known[id] || id == own {
			continue
		}
		sn, err := s.r.LoadSnapshot(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("save state %s: %w", name, err)
		}
		if of, ok := stateOf(sn); ok && of == name {
			return fmt.Errorf("save state %s: %w", name, ErrBusy)
		}
		at.known[id] = true
	}
	return nil
}

// Remove forgets a sync: its state, attic and journal. Both sides stay as they are.
func (s *RepoStore) Remove(ctx context.Context, name string) error {
	at := s.open[name]
	if at == nil {
		if _, err := s.Load(ctx, name); err != nil && !errors.Is(err, ErrState) {
			return err
		}
		at = s.open[name]
	}
	for _, sn := range at.mine {
		if err := s.r.RemoveSnapshot(ctx, sn.ID()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove sync %s: %w", name, err)
		}
	}
	delete(s.open, name)
	return nil
}
