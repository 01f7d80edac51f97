package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"russet/chunk"
	"russet/index"
	"russet/repo"
)

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
