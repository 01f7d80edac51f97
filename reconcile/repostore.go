package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"russet/chunk"
	"russet/index"
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

// read reads the state in a snapshot.
func (s *RepoStore) read(ctx context.Context, name string, at *stored, sn *repo.Snapshot) (*State, error) {
	top, err := s.r.Find(ctx, *sn.Tree, StatePath(name))
	if err == nil && top.Subtree == nil {
		err = errors.New("its folder is none")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	tree, err := s.r.LoadTree(ctx, *top.Subtree)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	files := map[string][]byte{}
	for _, n := range tree.Nodes {
		switch {
		case n.Type == repo.TypeFile && slices.Contains(stateFiles, n.Name):
			if files[n.Name], err = s.r.ReadFile(ctx, n.Content, maxStateFile); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrState, oneLine(n.Name), err)
			}
		case n.Name == dirBodies && n.Subtree != nil:
			if err := s.readLarge(ctx, at, *n.Subtree); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrState, err)
			}
		}
	}
	if at.small, err = decodeBodies(files[fileBodies]); err != nil {
		return nil, err
	}
	return decodeState(name, files)
}

// readLarge notes where large bodies are.
func (s *RepoStore) readLarge(ctx context.Context, at *stored, tree chunk.ID) error {
	t, err := s.r.LoadTree(ctx, tree)
	if err != nil {
		return err
	}
	if len(t.Nodes) > maxBodies {
		return fmt.Errorf("%d bodies are more than %d", len(t.Nodes), maxBodies)
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

// write writes the files of a state and returns its tree.
func (s *RepoStore) write(ctx context.Context, st *State, at *stored, fresh map[chunk.ID][]byte) (*stored, chunk.ID, error) {
	w := s.r.NewWriter(ctx)
	defer w.Close()
	o := output{s: s, w: w, when: s.opt.Owner.Time}
	next := &stored{small: map[chunk.ID][]byte{}, large: map[chunk.ID]*repo.Node{}}
	bodies, err := o.bodies(ctx, st, at, next, fresh)
	if err != nil {
		return nil, chunk.ID{}, err
	}
	files, err := encodeState(st)
	if err == nil {
		files[fileBodies], err = encodeBodies(next.small)
	}
	if err == nil {
		err = readable(files)
	}
	if err != nil {
		return nil, chunk.ID{}, err
	}
	top := new(repo.Tree)
	if bodies != nil {
		top.Nodes = append(top.Nodes, bodies)
	}
	for name, data := range files {
		n, err := o.file(ctx, name, data)
		if err != nil {
			return nil, chunk.ID{}, err
		}
		top.Nodes = append(top.Nodes, n)
	}
	id, err := o.folders(ctx, top, st.Config.Name, stateName)
	if err == nil {
		err = w.Flush(ctx)
	}
	return next, id, err
}

// output makes nodes of files and folders.
type output struct {
	s    *RepoStore
	w    *repo.Writer
	when time.Time
}

// bodies sorts the bodies that a state names into small and large ones, and returns
// the folder of the latter; nil where there are none.
func (o *output) bodies(ctx context.Context, st *State, at, next *stored, fresh map[chunk.ID][]byte) (*repo.Node, error) {
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
			next.large[id], err = o.file(ctx, id.String(), data)
		}
	})
	if err != nil || len(next.large) == 0 {
		return nil, err
	}
	t := new(repo.Tree)
	for _, n := range next.large {
		t.Nodes = append(t.Nodes, n)
	}
	return o.folder(ctx, dirBodies, t)
}

func (o *output) file(ctx context.Context, name string, data []byte) (*repo.Node, error) {
	n := &repo.Node{
		Name: name, Type: repo.TypeFile, Mode: 0o600, ModTime: o.when, AccessTime: o.when, ChangeTime: o.when,
		Size: uint64(len(data)), Content: []chunk.ID{},
	}
	split := o.s.r.Cutter().NewSplitter()
	split.Reset(bytes.NewReader(data))
	for {
		piece, err := split.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return nil, err
		}
		saved, err := o.w.Save(ctx, index.Data, piece)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, saved.ID)
	}
}

func (o *output) folder(ctx context.Context, name string, t *repo.Tree) (*repo.Node, error) {
	t.Sort()
	saved, err := o.w.SaveTree(ctx, t)
	if err != nil {
		return nil, err
	}
	return &repo.Node{
		Name: name, Type: repo.TypeDir, Mode: uint32(fs.ModeDir | 0o700), ModTime: o.when, AccessTime: o.when, ChangeTime: o.when,
		Subtree: &saved.ID,
	}, nil
}

// folders saves a tree below folders, innermost first, and returns the root.
func (o *output) folders(ctx context.Context, t *repo.Tree, names ...string) (chunk.ID, error) {
	for _, name := range names {
		n, err := o.folder(ctx, name, t)
		if err != nil {
			return chunk.ID{}, err
		}
		t = &repo.Tree{Nodes: []*repo.Node{n}}
	}
	saved, err := o.w.SaveTree(ctx, t)
	return saved.ID, err
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
