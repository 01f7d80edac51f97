package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// writeFiles writes all files that were noted, and then their further names.
func (x *extraction) writeFiles(ctx context.Context) error {
	files, groups := x.files, x.groups
	if p := x.opt.Progress; p != nil {
		var size int64
		for i := range files {
			size += x.r.ContentSize(files[i].Content)
		}
		for i := range groups {
			size += x.r.ContentSize(groups[i].n.Content)
		}
		p.SetTotal(int64(len(files)+len(groups)), size)
		p.SetPhase("writing files")
	}
	for len(files)+len(groups) > 0 {
		for _, g := range groups {
			files = append(files, x.output(g.n, g.paths[0]))
		}
		err := x.r.WriteFiles(ctx, x.root, files, OutputOptions{Progress: x.opt.Progress, Failed: x.notWritten, Left: x.opt.Left})
		if err != nil {
			return err
		}
		if groups, err = x.link(groups); err != nil {
			return err
		}
		files = nil
	}
	return nil
}

func (x *extraction) notWritten(path string, err error) error {
	x.mu.Lock()
	x.broken[path] = true
	x.mu.Unlock()
	return x.fail(path, err)
}

// link gives files their further names. It returns those whose first name was
// not written, perhaps because something else has it, to be tried as the next.
func (x *extraction) link(groups []names) ([]names, error) {
	var again []names
	for _, g := range groups {
		if x.broken[g.paths[0]] {
			if g.paths = g.paths[1:]; len(g.paths) > 0 {
				again = append(again, g)
			}
			continue
		}
		for _, p := range g.paths[1:] {
			if err := x.root.Link(g.paths[0], p); err != nil && !x.hasName(g.paths[0], p) {
				if err := x.fail(p, fmt.Errorf("make link: %w", pathless(err))); err != nil {
					return nil, err
				}
			}
		}
	}
	return again, nil
}

// hasName tells whether another name of a file was left by a restore that was cut
// off.
func (x *extraction) hasName(path, other string) bool {
	if x.opt.Left == nil {
		return false
	}
	one, err := x.root.Lstat(path)
	two, oerr := x.root.Lstat(other)
	return err == nil && oerr == nil && os.SameFile(one, two)
}

// special makes a FIFO or a device.
func (x *extraction) special(n *Node, in *folder, path string) error {
	err := x.inFolder(in, func(dir *os.File) error { return makeSpecial(dir, n) })
	switch {
	case err == nil:
		return x.finishOther(n, in, path)
	case errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission):
		x.skip(path, fmt.Errorf("make special file: %w", err))
		return nil
	}
	return x.fail(path, fmt.Errorf("make special file: %w", err))
}

func (x *extraction) inFolder(in *folder, do func(dir *os.File) error) error {
	dir, err := x.root.Open(path.Join(".", in.path))
	if err != nil {
		return pathless(err)
	}
	defer dir.Close()
	return pathless(do(dir))
}

// permissions are the bits of a mode that can be set.
const permissions = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// finish sets the owner, the attributes and the mode of an open file or folder.
// The owner comes first, since the system takes special modes and capabilities
// from a file that changes hands; the mode last, since it may forbid the rest.
func (x *extraction) finish(f *os.File, n *Node, path string) error {
	if x.owners {
		if err := f.Chown(int(n.UID), int(n.GID)); err != nil {
			if err := x.fail(path, fmt.Errorf("set owner: %w", pathless(err))); err != nil {
				return err
			}
		}
	}
	for _, a := range n.ExtendedAttributes {
		if err := x.attribute(path, a, setAttribute(f, a)); err != nil {
			return err
		}
	}
	if !systemHasModes {
		return nil
	}
	if err := f.Chmod(fs.FileMode(n.Mode) & permissions); err != nil {
		return x.fail(path, fmt.Errorf("set mode: %w", pathless(err)))
	}
	return nil
}

// attribute reports what became of an extended attribute: many are of one
// system, or root's.
func (x *extraction) attribute(path string, a ExtendedAttribute, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("set attribute %q: %w", a.Name, err)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		x.skip(path, err)
		return nil
	}
	return x.fail(path, err)
}

func (x *extraction) finishFolder(f *folder) error {
	dir, err := x.root.Open(f.path)
	if err != nil {
		return x.fail(f.path, fmt.Errorf("finish folder: %w", pathless(err)))
	}
	defer dir.Close()
	if err := x.finish(dir, f.n, f.path); err != nil {
		return err
	}
	if err := x.root.Chtimes(f.path, f.n.AccessTime, f.n.ModTime); err != nil {
		return x.fail(f.path, fmt.Errorf("set times: %w", pathless(err)))
	}
	return nil
}

// finishOther does for links and special files, which cannot be opened, what
// finish does.
func (x *extraction) finishOther(n *Node, in *folder, path string) error {
	var errs []error
	if x.owners {
		errs = append(errs, pathless(x.root.Lchown(path, int(n.UID), int(n.GID))))
	}
	if n.Type != TypeSymlink {
		errs = append(errs, pathless(x.root.Chmod(path, fs.FileMode(n.Mode)&permissions)))
	}
	errs = append(errs, x.inFolder(in, func(dir *os.File) error {
		for _, a := range n.ExtendedAttributes {
			if err := x.attribute(path, a, setAttributeAt(dir, n.Name, a)); err != nil {
				return err
			}
		}
		return setTimesAt(dir, n)
	}))
	if err := errors.Join(errs...); err != nil {
		return x.fail(path, fmt.Errorf("finish: %w", err))
	}
	return nil
}
