package mb2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

const udid = "00008030-0001544C1A2B402E"

// memFolder is a Folder in memory that notes every call.
type memFolder struct {
	t     testing.TB
	files map[string]string // name to content
	dirs  map[string]bool
	calls []string
	open  int              // files begun and not ended
	fails map[string]error // call ("Create NAME") to its error
	free  int64
	wrote time.Time                              // last
	enter func(ctx context.Context, call string) // is called at each call
}

func newFolder(t testing.TB, files ...string) *memFolder {
	f := &memFolder{
		t: t, files: map[string]string{}, dirs: map[string]bool{}, fails: map[string]error{}, free: 1 << 40,
	}
	for i := 0; i < len(files); i += 2 {
		f.files[files[i]] = files[i+1]
		for d := path.Dir(files[i]); d != "."; d = path.Dir(d) {
			f.dirs[d] = true
		}
	}
	return f
}

// note notes a call and returns the error it is to have. Names must be what the
// interface promises.
func (f *memFolder) note(ctx context.Context, call string, names ...string) error {
	for _, n := range names {
		if !fs.ValidPath(n) || n == "." || strings.ContainsAny(n, "\x00\\") || len(n) > 4096 {
			f.t.Errorf("%s was called with the name %q", call, n)
		}
	}
	call = strings.Join(append([]string{call}, names...), " ")
	f.calls = append(f.calls, call)
	if f.enter != nil {
		f.enter(ctx, call)
	}
	return f.fails[call]
}

func (f *memFolder) exists(name string) bool {
	_, ok := f.files[name]
	return ok || f.dirs[name]
}

func (f *memFolder) Mkdir(ctx context.Context, name string) error {
	if err := f.note(ctx, "Mkdir", name); err != nil {
		return err
	}
	if f.exists(name) {
		return fs.ErrExist
	}
	f.dirs[name] = true
	return nil
}

func (f *memFolder) List(ctx context.Context, name string) ([]Entry, error) {
	if err := f.note(ctx, "List", name); err != nil {
		return nil, err
	}
	if _, ok := f.files[name]; ok {
		return nil, ErrNotDir
	}
	if !f.dirs[name] {
		return nil, fs.ErrNotExist
	}
	var entries []Entry
	for n, content := range f.files {
		if path.Dir(n) == name {
			entries = append(entries, Entry{Name: path.Base(n), Size: int64(len(content)), ModTime: time.Unix(1e9, 0)})
		}
	}
	for n := range f.dirs {
		if path.Dir(n) == name {
			entries = append(entries, Entry{Name: path.Base(n), Dir: true, ModTime: time.Unix(1e9, 0)})
		}
	}
	return entries, nil
}

// failing is a file that ends in an error.
type failing struct {
	io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF && f.err != nil {
		err = f.err
	}
	return n, err
}

func (f *memFolder) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := f.note(ctx, "Open", name); err != nil {
		return nil, err
	}
	if f.dirs[name] {
		return nil, ErrIsDir
	}
	content, ok := f.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(failing{strings.NewReader(content), f.fails["Read "+name]}), nil
}

type memFile struct {
	f    *memFolder
	name string
	b    bytes.Buffer
	done bool
}

func (f *memFolder) Create(ctx context.Context, name string) (File, error) {
	if err := f.note(ctx, "Create", name); err != nil {
		return nil, err
	}
	f.open++
	return &memFile{f: f, name: name}, nil
}

func (m *memFile) Write(p []byte) (int, error) {
	if m.done {
		m.f.t.Errorf("%s was written after its end", m.name)
	}
	m.f.wrote = time.Now()
	if err := m.f.fails["Write "+m.name]; err != nil {
		return 0, err
	}
	return m.b.Write(p)
}

func (m *memFile) end() {
	if m.done {
		m.f.t.Errorf("%s was ended twice", m.name)
	}
	m.done = true
	m.f.open--
}

func (m *memFile) Commit() error {
	m.end()
	m.f.calls = append(m.f.calls, fmt.Sprintf("Commit %s %d", m.name, m.b.Len()))
	if err := m.f.fails["Commit "+m.name]; err != nil {
		return err
	}
	m.f.files[m.name] = m.b.String()
	return nil
}

func (m *memFile) Abort() {
	m.end()
	m.f.calls = append(m.f.calls, "Abort "+m.name)
}

// below returns the names that are name or lie in it.
func (f *memFolder) below(name string) (files, dirs []string) {
	in := func(n string) bool { return n == name || strings.HasPrefix(n, name+"/") }
	for n := range f.files {
		if in(n) {
			files = append(files, n)
		}
	}
	for n := range f.dirs {
		if in(n) {
			dirs = append(dirs, n)
		}
	}
	return files, dirs
}

func (f *memFolder) Move(ctx context.Context, from, to string) error {
	return f.transfer(ctx, "Move", from, to)
}

func (f *memFolder) Copy(ctx context.Context, from, to string) error {
	return f.transfer(ctx, "Copy", from, to)
}

func (f *memFolder) transfer(ctx context.Context, call, from, to string) error {
	if err := f.note(ctx, call, from, to); err != nil {
		return err
	}
	files, dirs := f.below(from)
	if len(files)+len(dirs) == 0 {
		return fs.ErrNotExist
	}
	for _, n := range files {
		content := f.files[n]
		if call == "Move" {
			delete(f.files, n)
		}
		f.files[to+strings.TrimPrefix(n, from)] = content
	}
	for _, n := range dirs {
		if call == "Move" {
			delete(f.dirs, n)
		}
		f.dirs[to+strings.TrimPrefix(n, from)] = true
	}
	return nil
}

func (f *memFolder) Remove(ctx context.Context, name string) error {
	if err := f.note(ctx, "Remove", name); err != nil {
		return err
	}
	files, dirs := f.below(name)
	if len(files)+len(dirs) == 0 {
		return fs.ErrNotExist
	}
	for _, n := range files {
		delete(f.files, n)
	}
	for _, n := range dirs {
		delete(f.dirs, n)
	}
	return nil
}

func (f *memFolder) Free(ctx context.Context) (int64, error) {
	return f.free, f.note(ctx, "Free")
}

// want compares the files with name, content, name, content ...
func (f *memFolder) want(files ...string) {
	f.t.Helper()
	if f.open != 0 {
		f.t.Errorf("%d files were begun and not ended", f.open)
	}
	want := map[string]string{}
	for i := 0; i < len(files); i += 2 {
		want[files[i]] = files[i+1]
	}
	if !maps.Equal(f.files, want) {
		f.t.Errorf("the folder holds %q, want %q", f.names(), slices.Sorted(maps.Keys(want)))
		for n, c := range want {
			if got := f.files[n]; got != c {
				f.t.Errorf("%s: got %.80q, want %.80q", n, got, c)
			}
		}
	}
}

func (f *memFolder) names() []string { return slices.Sorted(maps.Keys(f.files)) }

var (
	_       Folder = (*memFolder)(nil)
	errDisk        = errors.New("the disk is on fire")
)
