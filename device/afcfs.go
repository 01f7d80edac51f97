package device

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
)

// FS returns the files of the service, from its root on. ctx holds for all that
// is done with them. Links are not followed.
func (a *AFC) FS(ctx context.Context) fs.FS { return &afcFS{a, ctx} }

type afcFS struct {
	a   *AFC
	ctx context.Context // package fs has none
}

func (s *afcFS) path(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join("/", name), nil
}

func (s *afcFS) Stat(name string) (fs.FileInfo, error) {
	p, err := s.path("stat", name)
	if err != nil {
		return nil, err
	}
	info, err := s.a.Stat(s.ctx, p)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	info.(*afcInfo).name = path.Base(name)
	return info, nil
}

func (s *afcFS) Lstat(name string) (fs.FileInfo, error) { return s.Stat(name) }

func (s *afcFS) ReadLink(name string) (string, error) {
	info, err := s.Stat(name)
	if err == nil && info.Mode().Type() != fs.ModeSymlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return info.Sys().(string), nil
}

func (s *afcFS) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := s.path("open", name)
	if err != nil {
		return nil, err
	}
	names, err := s.a.ReadDir(s.ctx, p)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var entries []fs.DirEntry
	for _, n := range names {
		child := path.Join(name, n)
		if !fs.ValidPath(child) {
			continue // no UTF-8
		}
		info, err := s.Stat(child)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone by now
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, fs.FileInfoToDirEntry(info))
	}
	return entries, nil
}

func (s *afcFS) Open(name string) (fs.File, error) {
	info, err := s.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &afcDir{fs: s, name: name, info: info}, nil
	}
	p, err := s.path("open", name)
	if err != nil {
		return nil, err
	}
	f, err := s.a.Open(s.ctx, p, AFCRead)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f, nil
}

// afcDir is an open folder.
type afcDir struct {
	fs     *afcFS
	name   string
	info   fs.FileInfo
	opened bool
	rest   []fs.DirEntry
}

func (d *afcDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *afcDir) Close() error               { return nil }

func (d *afcDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: AFCIsDir}
}

func (d *afcDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.opened {
		all, err := d.fs.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest, d.opened = all, true
	}
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part, nil
}
