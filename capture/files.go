package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	"russet/repo"
)

// RestoreFiles writes the phone's files, readable, to
// target/<domain>/<relative path>. Symlinks are written as the text that they
// are on the phone, and never followed. Files that exist are not overwritten.
func (v *Version) RestoreFiles(ctx context.Context, target *os.Root, opt RestoreOptions) (*Restored, error) {
	res := &Restored{Original: !v.Edited && v.lost == nil}
	var outs []repo.Output
	var dirs, links []placedNode
	damaged := func(p string, err error) {
		to := hostPath(p)
		res.Failed, res.Original = append(res.Failed, to), false
		if opt.Failed != nil {
			opt.Failed(to, err)
		}
	}
	err := v.walkWhole(ctx, nameFiles, damaged, func(p string, n *repo.Node) error {
		if opt.Select != nil && !opt.Select(p, n.Type == repo.TypeDir) {
			if n.Type == repo.TypeDir {
				return repo.ErrSkipDir
			}
			return nil
		}
		to := hostPath(p)
		switch n.Type {
		case repo.TypeDir:
			dirs = append(dirs, placedNode{to, n})
		case repo.TypeSymlink:
			links = append(links, placedNode{to, n})
		case repo.TypeFile:
			outs = append(outs, repo.Output{
				Path: to, Content: n.Content, ModTime: n.ModTime, AccessTime: n.ModTime,
				Mode: fs.FileMode(n.Mode).Perm(),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("restore files: %w", err)
	}
	if err := v.writeTree(ctx, target, dirs, outs, links, res, opt); err != nil {
		return nil, fmt.Errorf("restore files: %w", err)
	}
	return res, nil
}

// placedNode is a node and where it goes.
type placedNode struct {
	to string
	n  *repo.Node
}

func (v *Version) writeTree(ctx context.Context, target *os.Root, dirs []placedNode, outs []repo.Output, links []placedNode, res *Restored, opt RestoreOptions) error {
	need := map[string]bool{".": true}
	for i := range outs {
		addParents(need, outs[i].Path)
	}
	for _, l := range links {
		addParents(need, l.to)
	}
	for _, d := range dirs {
		// A selection leaves out folders in which nothing was selected.
		if opt.Select != nil && !need[d.to] {
			continue
		}
		need[d.to] = true
		if err := target.MkdirAll(d.to, 0o755); err != nil {
			return err
		}
	}
	if err := v.write(ctx, target, outs, res, opt); err != nil {
		return err
	}
	for _, l := range links {
		if err := target.Symlink(l.n.LinkTarget, l.to); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return err
			}
			res.Failed = append(res.Failed, l.to)
			if opt.Failed != nil {
				opt.Failed(l.to, err)
			}
			continue
		}
		res.Files++
	}
	for i := len(dirs) - 1; i >= 0; i-- { // inner ones first: what is made in a folder changes its time
		if d := dirs[i]; need[d.to] {
			if err := target.Chtimes(d.to, d.n.ModTime, d.n.ModTime); err != nil {
				return err
			}
		}
	}
	return nil
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
