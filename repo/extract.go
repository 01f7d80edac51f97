package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"russet/chunk"
	"russet/internal/durable"
)

// ExtractOptions say what to restore: the zero value everything, until the first
// thing that cannot be.
type ExtractOptions struct {
	// Select, if not nil, tells whether to restore a node; path is
	// slash-separated, without a slash in front. It is asked about everything
	// below a folder that it refuses too: such a folder is made only if
	// something in it is.
	Select   func(path string, n *Node) bool
	Progress *Progress
	// Failed is told what could not be restored, or not as it was. A nil
	// Failed, or an error from it, ends the work. Skipped, if not nil, is told
	// what is left out because this system or this user cannot have it.
	// Left, if not nil, is told of files that were there already with the very
	// content, as in OutputOptions; links that were there are nobody's failure
	// then either. None is called concurrently.
	Failed  func(path string, err error) error
	Left    func(path string)
	Skipped func(path string, why error)
}

// Extract restores what a tree holds below target: files, folders, links and
// special files, with their modes, times and extended attributes, and with
// their owners if the process is root's. Nothing is written through a symbolic
// link, and nothing that exists is replaced; folders that exist are filled up,
// and what an Extract that was killed has left in them is removed.
// Left out are sockets, and what only other systems have: special files
// elsewhere than on Linux, modes and attributes on Windows, generic attributes.
func (r *Repository) Extract(ctx context.Context, tree chunk.ID, target *os.Root, opt ExtractOptions) error {
	x := &extraction{
		r: r, root: target, opt: opt, owners: mayChown(),
		first: map[inode][]int{}, broken: map[string]bool{},
	}
	if opt.Progress != nil {
		opt.Progress.SetTotal(0, 0)
		opt.Progress.SetPhase("making folders")
	}
	durable.RemovePartial(target, ".")
	if err := x.tree(ctx, tree, &folder{made: true}, 0); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	if err := x.writeFiles(ctx); err != nil {
		return fmt.Errorf("extract: %w", err)
	}
	// Last, and the innermost first: whatever is made in a folder sets its time.
	for _, f := range slices.Backward(x.folders) {
		if err := x.finishFolder(f); err != nil {
			return fmt.Errorf("extract: %w", err)
		}
	}
	return nil
}

// extraction is one run of Extract.
type extraction struct {
	r      *Repository
	root   *os.Root
	opt    ExtractOptions
	owners bool
	visits visits

	files   []Output
	folders []*folder // in the order of their making
	groups  []names
	first   map[inode][]int // in groups

	mu     sync.Mutex // guards all below, and is held while callbacks run
	broken map[string]bool
	stop   error // from opt.Failed
}

// inode is what the names of one file have in common.
type inode struct{ device, number uint64 }

// names is a file that has several of them.
type names struct {
	n     *Node
	paths []string
}

// folder is made when something in it is.
type folder struct {
	parent *folder
	path   string // "" for the target
	n      *Node
	made   bool
	failed bool // to be made, which was reported
}

func (f *folder) join(name string) string {
	if f.path == "" {
		return name
	}
	return f.path + "/" + name
}

// fail reports what became of a path. The error that it returns ends the work.
func (x *extraction) fail(path string, err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stop == nil {
		x.stop = err
		if x.opt.Failed != nil {
			x.stop = x.opt.Failed(path, err)
		}
	}
	return x.stop
}

func (x *extraction) skip(path string, why error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.opt.Skipped != nil {
		x.opt.Skipped(path, why)
	}
}

// tree restores a tree into a folder, but only notes the files in it.
func (x *extraction) tree(ctx context.Context, id chunk.ID, f *folder, depth int) error {
	if err := checkDepth(f.path, depth); err != nil {
		return x.fail(f.path, err)
	}
	t, err := x.r.LoadTree(ctx, id)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return x.fail(f.path, err)
	}
	if err := x.visits.add(id, len(t.Nodes)); err != nil {
		return err
	}
	for _, n := range t.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := f.join(n.Name)
		err := n.CheckName()
		if err == nil {
			err = checkSystemName(n.Name)
		}
		if err != nil {
			if err := x.fail(path, err); err != nil {
				return err
			}
			continue
		}
		wanted := x.opt.Select == nil || x.opt.Select(path, n)
		if n.Type == TypeDir && n.Subtree != nil {
			below := &folder{parent: f, path: path, n: n}
			if wanted {
				err = x.mkdir(below)
			}
			if err == nil && !below.failed {
				err = x.tree(ctx, *n.Subtree, below, depth+1)
			}
		} else if wanted {
			err = x.node(n, f, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes a folder and those above it. f.made tells whether it is there.
func (x *extraction) mkdir(f *folder) error {
	if f.made || f.failed {
		return nil
	}
	if err := x.mkdir(f.parent); err != nil {
		return err
	}
	if !f.parent.made {
		f.failed = true
		return nil
	}
	// Nobody else looks in before its own mode is set.
	err := x.root.Mkdir(f.path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		if info, serr := x.root.Lstat(f.path); serr == nil && info.IsDir() {
			err = nil
			durable.RemovePartial(x.root, f.path)
		}
	}
	if err != nil {
		f.failed = true
		return x.fail(f.path, fmt.Errorf("make folder: %w", pathless(err)))
	}
	f.made = true
	x.folders = append(x.folders, f)
	return nil
}

// pathless takes the path off an error of package os: it is private, and whoever
// is told of the error is told the path too.
func pathless(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// node restores what is no folder into one.
func (x *extraction) node(n *Node, in *folder, path string) error {
	if n.Type == TypeSocket {
		x.skip(path, errors.New("a socket is nothing without its program"))
		return nil
	}
	if err := x.mkdir(in); err != nil || !in.made {
		return err
	}
	switch n.Type {
	case TypeFile:
		return x.note(n, path)
	case TypeSymlink:
		if err := x.root.Symlink(n.LinkTarget, path); err != nil && !x.hasLink(n, path) {
			return x.fail(path, fmt.Errorf("make link: %w", pathless(err)))
		}
		return x.finishOther(n, in, path)
	case TypeFIFO, TypeDevice, TypeCharDevice:
		return x.special(n, in, path)
	}
	return x.fail(path, fmt.Errorf("%w: %w", ErrDamaged, n.validate()))
}

// hasLink tells whether a link was left by a restore that was cut off.
func (x *extraction) hasLink(n *Node, path string) bool {
	if x.opt.Left == nil {
		return false
	}
	target, err := x.root.Readlink(path)
	return err == nil && target == n.LinkTarget
}

// note puts a file, or one more name of it, down for writeFiles.
func (x *extraction) note(n *Node, path string) error {
	if n.Content == nil {
		return x.fail(path, fmt.Errorf("%w: %w", ErrDamaged, errNoContent))
	}
	if n.Links < 2 || n.Inode == 0 {
		x.files = append(x.files, x.output(n, path))
		return nil
	}
	// The same number and other content: two file systems that were one device
	// at different times. A name of its own, then.
	key := inode{n.DeviceID, n.Inode}
	for _, i := range x.first[key] {
		if g := &x.groups[i]; slices.Equal(g.n.Content, n.Content) {
			g.paths = append(g.paths, path)
			return nil
		}
	}
	x.first[key] = append(x.first[key], len(x.groups))
	x.groups = append(x.groups, names{n, []string{path}})
	return nil
}

func (x *extraction) output(n *Node, path string) Output {
	return Output{
		Path: path, Content: n.Content, ModTime: n.ModTime, AccessTime: n.AccessTime,
		Finish: func(f *os.File) error { return x.finish(f, n, path) },
	}
}
