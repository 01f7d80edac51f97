package repo

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

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// States keeps what Russet itself remembers, of one kind, in snapshots of the
// repository: each of hostname and tag "russet-KIND", with the one path
// /russet-KIND/NAME and complete by itself, so that the newest of a name is enough.
// Its contexts must be those of a lock, shared or exclusive, and the index must be
// loaded. It is for one goroutine.
type States struct {
	r    *Repository
	kind string
	opt  StateOptions
	open map[string]*stateSnapshots // by name, as of what was loaded or saved last
}

// StateOptions say who keeps states.
type StateOptions struct {
	Owner   Owner  // its Time is that of the snapshots
	Version string // of the program, as snapshots note it
}

// stateSnapshots are the snapshots of one name.
type stateSnapshots struct {
	mine  []*Snapshot       // oldest first
	known map[chunk.ID]bool // all snapshots that were there
}

// StateError says why there is no state to be had, or why it was not saved.
type StateError uint8

// What may be wrong with a state.
const (
	NoState      StateError = iota + 1 // there is none of that name, or none any more
	StateChanged                       // another process saved one since it was loaded
	BadState                           // its folder cannot be read
)

// Error says it in words.
func (e StateError) Error() string {
	switch e {
	case NoState:
		return "there is no state of that name"
	case StateChanged:
		return "another process has saved that state meanwhile"
	case BadState:
		return "its files are damaged or gone"
	}
	return fmt.Sprintf("state error %d", uint8(e))
}

// NewStates returns the states of a kind, such as "sync".
func (r *Repository) NewStates(kind string, opt StateOptions) *States {
	return &States{r: r, kind: kind, opt: opt, open: map[string]*stateSnapshots{}}
}

// StateName is the name of the state of a kind that a snapshot holds, and whether
// it holds one.
func (s *Snapshot) StateName(kind string) (string, bool) {
	if len(s.Paths) != 1 {
		return "", false
	}
	return strings.CutPrefix(s.Paths[0], statePath(kind, ""))
}

func statePath(kind, name string) string { return "/" + statePrefix + kind + "/" + name }

// Names are those of all states, sorted. Snapshots that are damaged are passed over,
// as by Load; where no state is among the others, the error is theirs.
func (s *States) Names(ctx context.Context) ([]string, error) {
	all, err := s.r.AllSnapshots(ctx)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	var names []string
	for _, sn := range all {
		if name, ok := sn.StateName(s.kind); ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Load returns the files of the newest state of a name. Snapshots that are damaged are
// passed over. The error wraps NoState or BadState where it is one of these.
func (s *States) Load(ctx context.Context, name string) (*Tree, error) {
	at := &stateSnapshots{known: map[chunk.ID]bool{}}
	s.open[name] = at
	ids, err := s.r.listIDs(ctx, backend.Snapshot)
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
		if errors.Is(err, ErrDamaged) {
			unread = err
			continue
		}
		if err != nil { // it may be the newest, and what is saved next would take its place
			return nil, err
		}
		if of, ok := sn.StateName(s.kind); ok && of == name {
			at.mine = append(at.mine, sn)
		}
	}
	switch {
	case len(at.mine) == 0 && unread != nil:
		return nil, unread
	case len(at.mine) == 0:
		return nil, NoState
	}
	SortSnapshots(at.mine)
	top, err := s.r.Find(ctx, *at.mine[len(at.mine)-1].Tree, statePath(s.kind, name))
	if err == nil && top.Subtree == nil {
		err = errors.New("its folder is none")
	}
	if err != nil {
		return nil, badState(ctx, err)
	}
	return s.Folder(ctx, *top.Subtree)
}

// Folder reads a folder of a state. The error wraps BadState where it is one.
func (s *States) Folder(ctx context.Context, id chunk.ID) (*Tree, error) {
	t, err := s.r.LoadTree(ctx, id)
	if err != nil {
		return nil, badState(ctx, err)
	}
	return t, nil
}

// ReadFiles reads files of a state's folder, of at most limit bytes each. Those of
// names that it does not hold are absent. The error wraps BadState where it is one.
func (s *States) ReadFiles(ctx context.Context, folder *Tree, limit int64, names ...string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, n := range folder.Nodes {
		if n.Type != TypeFile || !slices.Contains(names, n.Name) {
			continue
		}
		data, err := s.r.ReadFile(ctx, n.Content, limit)
		if err != nil {
			return nil, badState(ctx, fmt.Errorf("%s: %w", n.Name, err))
		}
		files[n.Name] = data
	}
	return files, nil
}

// badState makes BadState of what is wrong with the files of a state; not of work that
// was stopped, nor of a place that was waited for in vain.
func badState(ctx context.Context, err error) error {
	if ctx.Err() != nil || backend.IsTemporary(err) {
		return err
	}
	return fmt.Errorf("%w: %w", BadState, err)
}

// Save makes the files that write returns the newest state of a name, which must
// have been loaded or saved before, or found to be absent. It stands before older
// ones of its name are removed. Of two processes that save at once neither or one
// succeeds: the error of the other wraps StateChanged, and it leaves nothing. Nor does
// one that was removed come back by it: the error then wraps NoState.
func (s *States) Save(ctx context.Context, name string, write func(w *StateWriter) (*Tree, error)) error {
	at := s.open[name]
	if at == nil {
		panic("repo: a state is saved that was not loaded")
	}
	if err := s.alone(ctx, name, at, chunk.ID{}); err != nil {
		return err
	}
	tree, err := s.write(ctx, name, write)
	if err != nil {
		return err
	}
	when := s.opt.Owner.Time
	if n := len(at.mine); n > 0 && !when.After(at.mine[n-1].Time) {
		when = at.mine[n-1].Time.Add(time.Millisecond) // a clock that was set back
	}
	host := statePrefix + s.kind
	sn := &Snapshot{
		Time: when, Tree: &tree, Paths: []string{statePath(s.kind, name)}, Hostname: host,
		Username: s.opt.Owner.Username, Tags: []string{host}, ProgramVersion: s.opt.Version,
	}
	id, err := s.r.SaveSnapshot(ctx, sn)
	if err != nil {
		return err
	}
	if err := s.alone(ctx, name, at, id); err != nil {
		return errors.Join(err, s.r.RemoveSnapshot(ctx, id))
	}
	at.known[id] = true
	mine := []*Snapshot{sn}
	for _, old := range at.mine {
		// Where that fails, as on a store that only grows, forget does it some day.
		if err := s.r.RemoveSnapshot(ctx, old.ID()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			mine = append(mine, old)
		}
	}
	SortSnapshots(mine)
	at.mine = mine
	return nil
}

// alone makes sure that nobody else saved a state of that name since it was loaded, or
// removed the one that was.
func (s *States) alone(ctx context.Context, name string, at *stateSnapshots, own chunk.ID) error {
	ids, err := s.r.listIDs(ctx, backend.Snapshot)
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
			return err
		}
		if of, ok := sn.StateName(s.kind); ok && of == name {
			return StateChanged
		}
		at.known[id] = true
	}
	if n := len(at.mine); n > 0 && !slices.Contains(ids, at.mine[n-1].ID()) {
		return NoState
	}
	return nil
}

// write saves the files of a state and returns the tree of its snapshot.
func (s *States) write(ctx context.Context, name string, write func(w *StateWriter) (*Tree, error)) (chunk.ID, error) {
	w := &StateWriter{r: s.r, w: s.r.NewWriter(ctx), when: s.opt.Owner.Time}
	defer w.w.Close()
	tree, err := write(w)
	if err != nil {
		return chunk.ID{}, err
	}
	for _, above := range []string{name, statePrefix + s.kind} {
		n, err := w.Folder(ctx, above, tree)
		if err != nil {
			return chunk.ID{}, err
		}
		tree = &Tree{Nodes: []*Node{n}}
	}
	saved, err := w.w.SaveTree(ctx, tree)
	if err != nil {
		return chunk.ID{}, err
	}
	return saved.ID, w.w.Flush(ctx)
}

// Remove removes all states of a name. The error wraps NoState where there are none,
// and StateChanged where another process saved one since they were loaded: that stays.
func (s *States) Remove(ctx context.Context, name string) error {
	if at := s.open[name]; at == nil || len(at.mine) == 0 { // the second: a Load that found none
		if _, err := s.Load(ctx, name); err != nil && !errors.Is(err, BadState) {
			return err
		}
	}
	at := s.open[name]
	for _, sn := range at.mine {
		if err := s.r.RemoveSnapshot(ctx, sn.ID()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	at.mine = nil
	delete(s.open, name)
	return s.alone(ctx, name, at, chunk.ID{})
}

// StateWriter stores the files of a state.
type StateWriter struct {
	r    *Repository
	w    *Writer
	when time.Time
}

// File stores a file and returns its node.
func (o *StateWriter) File(ctx context.Context, name string, data []byte) (*Node, error) {
	n := &Node{
		Name: name, Type: TypeFile, Mode: 0o600, ModTime: o.when, AccessTime: o.when, ChangeTime: o.when,
		Size: uint64(len(data)), Content: []chunk.ID{},
	}
	split := o.r.Cutter().NewSplitter()
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

// Files stores files and returns a folder of them, which has no order yet.
func (o *StateWriter) Files(ctx context.Context, files map[string][]byte) (*Tree, error) {
	t := new(Tree)
	for name, data := range files {
		n, err := o.File(ctx, name, data)
		if err != nil {
			return nil, err
		}
		t.Nodes = append(t.Nodes, n)
	}
	return t, nil
}

// Folder stores a folder, whose nodes it sorts, and returns its node.
func (o *StateWriter) Folder(ctx context.Context, name string, t *Tree) (*Node, error) {
	t.Sort()
	saved, err := o.w.SaveTree(ctx, t)
	if err != nil {
		return nil, err
	}
	return &Node{
		Name: name, Type: TypeDir, Mode: uint32(fs.ModeDir | 0o700), ModTime: o.when, AccessTime: o.when, ChangeTime: o.when,
		Subtree: &saved.ID,
	}, nil
}
