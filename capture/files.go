package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"russet/internal/durable"
	"russet/repo"
)

// RestoreFiles writes the phone's files, readable, to
// target/<domain>/<relative path>. Symlinks are written as the text that they
// are on the phone, and never followed. Nothing that exists is replaced: what
// has the very content is left and counted as such, anything else in the way of
// a file is that file's failure (fs.ErrExist), and the rest is written. So is
// one of two names that the target's file system takes for the same.
func (v *Version) RestoreFiles(ctx context.Context, target *os.Root, opt RestoreOptions) (*Restored, error) {
	t := &fileRestore{v: v, target: target, opt: opt, res: &Restored{Original: !v.Edited && v.lost == nil}, blocked: map[string]bool{}}
	opt.setPhase("reading the list of files")
	damaged := func(p string, err error) { t.failed(hostPath(p), err) }
	if err := v.walkWhole(ctx, nameFiles, damaged, t.note); err != nil {
		return nil, fmt.Errorf("restore files: %w", err)
	}
	if err := t.write(ctx); err != nil {
		return nil, fmt.Errorf("restore files: %w", err)
	}
	return t.res, nil
}

// fileRestore is one run of RestoreFiles.
type fileRestore struct {
	v      *Version
	target *os.Root
	opt    RestoreOptions
	res    *Restored

	outs        []repo.Output
	dirs, links []placedNode
	blocked     map[string]bool // folders in whose place something else is
}

// placedNode is a node and where it goes.
type placedNode struct {
	to string
	n  *repo.Node
}

// note puts a node on the list of what is to be written.
func (t *fileRestore) note(p string, n *repo.Node) error {
	if t.opt.Select != nil && !t.opt.Select(p, n.Type == repo.TypeDir) {
		if n.Type == repo.TypeDir {
			return repo.ErrSkipDir
		}
		return nil
	}
	to := hostPath(p)
	switch n.Type {
	case repo.TypeDir:
		t.dirs = append(t.dirs, placedNode{to, n})
	case repo.TypeSymlink:
		t.links = append(t.links, placedNode{to, n})
	case repo.TypeFile:
		t.outs = append(t.outs, repo.Output{
			Path: to, Content: n.Content, ModTime: n.ModTime, AccessTime: n.ModTime,
			Mode: fs.FileMode(n.Mode).Perm(),
		})
	}
	return nil
}

func (t *fileRestore) failed(to string, err error) {
	t.res.Failed, t.res.Original = append(t.res.Failed, to), false
	if t.opt.Failed != nil {
		t.opt.Failed(to, err)
	}
}

func (t *fileRestore) write(ctx context.Context) error {
	if err := t.makeDirs(ctx); err != nil {
		return err
	}
	if err := t.removePartial(ctx); err != nil {
		return err
	}
	t.outs = slices.DeleteFunc(t.outs, func(o repo.Output) bool { return t.isBlocked(o.Path) })
	err := t.v.write(ctx, t.target, t.outs, t.res, t.opt, func(string) { t.res.Left++ })
	if err != nil {
		return err
	}
	for _, l := range t.links {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.link(l)
	}
	for _, d := range slices.Backward(t.dirs) { // inner ones first: what is made in a folder changes its time
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.target.Chtimes(d.to, d.n.ModTime, d.n.ModTime); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs makes the folders that are wanted, and leaves only those in t.dirs.
func (t *fileRestore) makeDirs(ctx context.Context) error {
	t.opt.setPhase("making folders")
	need := map[string]bool{".": true}
	for i := range t.outs {
		addParents(need, t.outs[i].Path)
	}
	for _, l := range t.links {
		addParents(need, l.to)
	}
	made := t.dirs[:0]
	for _, d := range t.dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		// A selection leaves out folders in which nothing was selected.
		if t.opt.Select != nil && !need[d.to] || t.isBlocked(d.to) {
			continue
		}
		if err := t.target.MkdirAll(d.to, 0o755); err != nil {
			if info, lerr := t.target.Lstat(d.to); lerr != nil || info.IsDir() {
				return err
			}
			t.blocked[d.to] = true
			t.failed(d.to, fmt.Errorf("make folder: %w", fs.ErrExist))
			continue
		}
		made = append(made, d)
	}
	t.dirs = made
	return nil
}

// removePartial removes what a restore that was killed has left in the folders
// that this one writes to.
func (t *fileRestore) removePartial(ctx context.Context) error {
	for _, d := range t.dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		durable.RemovePartial(t.target, d.to)
	}
	return nil
}

// isBlocked tells whether to lies where no folder could be made, and reports
// it then.
func (t *fileRestore) isBlocked(to string) bool {
	if len(t.blocked) == 0 {
		return false
	}
	for d := path.Dir(to); d != "."; d = path.Dir(d) {
		if t.blocked[d] {
			t.failed(to, fmt.Errorf("its folder was not made: %w", fs.ErrExist))
			return true
		}
	}
	return false
}

// link makes a symlink.
func (t *fileRestore) link(l placedNode) {
	if t.isBlocked(l.to) {
		return
	}
	err := t.target.Symlink(l.n.LinkTarget, l.to)
	if errors.Is(err, fs.ErrExist) {
		if text, rerr := t.target.Readlink(l.to); rerr == nil && text == l.n.LinkTarget {
			t.res.Left++
			err = nil
		}
	}
	if err != nil {
		t.failed(l.to, err)
		return
	}
	t.res.Files++
}

func addParents(need map[string]bool, p string) {
	for d := path.Dir(p); !need[d]; d = path.Dir(d) {
		need[d] = true
	}
}

// hostPath changes what this computer's file system does not take in names:
// on Windows the characters <>:"|?*\ and control characters become _, and so
// does a dot or space at a name's end and what follows a device's name.
func hostPath(p string) string {
	if runtime.GOOS != "windows" {
		return p
	}
	names := strings.Split(p, "/")
	for i, name := range names {
		names[i] = windowsName(name)
	}
	return strings.Join(names, "/")
}

func windowsName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`<>:"|?*\`, r) {
			return '_'
		}
		return r
	}, name)
	if trimmed := strings.TrimRight(name, ". "); trimmed != name {
		name = trimmed + strings.Repeat("_", len(name)-len(trimmed))
	}
	base, _, _ := strings.Cut(name, ".")
	switch strings.ToUpper(base) {
	case "CON", "PRN", "AUX", "NUL",
		"COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8", "COM9",
		"LPT1", "LPT2", "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9":
		return base + "_" + name[len(base):]
	}
	return name
}
