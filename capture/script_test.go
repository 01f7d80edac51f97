package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/device/mb2"
	"russet/device/sim"
	"russet/index"
	"russet/internal/plist"
	"russet/ios"
)

// scripted is a phone that calls a folder in the order in which phones do. What
// it holds are the generations of a generated backup folder.
type scripted struct {
	t    *testing.T
	udid string
	from *phone

	dir  string // the present generation, as a folder
	prev string // the last one that a run completed; empty before the first
	sent int    // files of the last run
	full bool   // the last run sent everything

	names map[string][]string // of the stored files, by folder
}

func newScripted(t *testing.T, encrypted bool) *scripted {
	t.Helper()
	return newScriptedOf(t, sim.Tiny(), encrypted)
}

// small is a phone for tests that back it up many times.
func small() sim.Config {
	c := sim.Tiny()
	c.SmallFiles, c.Photos, c.Videos, c.Messages = 12, 0, 0, 5
	return c
}

func newScriptedOf(t *testing.T, config sim.Config, encrypted bool) *scripted {
	t.Helper()
	s := &scripted{t: t, from: newPhoneOf(t, config, encrypted), names: map[string][]string{}}
	s.udid = s.from.d.Config().UDID
	s.keep()
	return s
}

// keep makes a copy of the generation, by links: the generator never writes
// into a file that is there.
func (s *scripted) keep() {
	s.t.Helper()
	s.dir = filepath.Join(s.t.TempDir(), s.udid)
	err := filepath.WalkDir(s.from.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.from.dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return nil // most are empty, and folders cost more than files
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.dir, rel)), 0o700); err != nil {
			return err
		}
		return os.Link(p, filepath.Join(s.dir, rel))
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scripted) next() {
	s.t.Helper()
	s.from.next()
	s.keep()
}

// files are the names of the stored files below a folder.
func (s *scripted) files(dir string) []string {
	s.t.Helper()
	if s.names[dir] != nil {
		return s.names[dir]
	}
	all, err := filepath.Glob(filepath.Join(dir, "??", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range all {
		all[i] = filepath.Base(all[i])
	}
	s.names[dir] = all
	return all
}

func (s *scripted) changed(name string) bool {
	was, err := os.Stat(filepath.Join(s.prev, storedPath(name, false)))
	if err != nil {
		return true
	}
	is, err := os.Stat(filepath.Join(s.dir, storedPath(name, false)))
	return err != nil || !os.SameFile(was, is)
}

func (s *scripted) status(state string, full bool) []byte {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, ios.StatusName))
	if err != nil {
		s.t.Fatal(err)
	}
	if state == "finished" {
		return data
	}
	var m map[string]any
	if err := plist.Unmarshal(data, &m); err != nil {
		s.t.Fatal(err)
	}
	m["SnapshotState"], m["IsFullBackup"] = state, full
	if data, err = plist.Marshal(m, plist.Binary); err != nil {
		s.t.Fatal(err)
	}
	return data
}

func read(ctx context.Context, f mb2.Folder, name string) ([]byte, error) {
	r, err := f.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func write(ctx context.Context, f mb2.Folder, name string, data []byte) error {
	w, err := f.Create(ctx, name)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(data, 256<<10) {
		if _, err := w.Write(part); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Commit()
}

// run backs the generation up into f.
func (s *scripted) run(ctx context.Context, f mb2.Folder) error {
	state, err := s.choose(ctx, f)
	if err != nil {
		return err
	}
	if free, err := f.Free(ctx); err != nil || free < 1<<20 {
		return fmt.Errorf("free: %d, %w", free, err)
	}
	s.sent = 0
	if state == "finished" || state == "uploading" {
		if err := s.upload(ctx, f); err != nil {
			return err
		}
		state = "moving"
	}
	if state == "moving" {
		if err := s.moves(ctx, f); err != nil {
			return err
		}
	}
	if err := s.removals(ctx, f); err != nil {
		return err
	}
	if err := write(ctx, f, s.at(ios.StatusName), s.status("finished", false)); err != nil {
		return err
	}
	return s.verify(ctx, f, s.dir)
}

func (s *scripted) at(name string) string { return path.Join(s.udid, name) }

// choose reads what is there, decides between full and incremental, and
// returns from where to go on.
func (s *scripted) choose(ctx context.Context, f mb2.Folder) (state string, err error) {
	data, err := read(ctx, f, s.at(ios.StatusName))
	s.full = true
	if errors.Is(err, fs.ErrNotExist) {
		return "finished", nil
	}
	if err != nil {
		return "", err
	}
	var status struct {
		SnapshotState string
		IsFullBackup  bool
		UUID          string
	}
	if err := plist.Unmarshal(data, &status); err != nil {
		return "", err
	}
	s.full = status.IsFullBackup
	if status.SnapshotState != "finished" {
		return status.SnapshotState, nil
	}
	s.full = false
	if s.prev == "" {
		s.full = true
		return "finished", nil
	}
	if err := s.verify(ctx, f, s.prev); err != nil {
		if !errors.Is(err, errCorrupt) {
			return "", err
		}
		s.full = true // a phone says nothing, and sends everything
		s.t.Logf("full: %v", err)
	}
	return "finished", nil
}

var errCorrupt = errors.New("the existing backup is corrupt")

// verify compares what f shows with a folder.
func (s *scripted) verify(ctx context.Context, f mb2.Folder, dir string) error {
	for _, name := range []string{ios.StatusName, ios.ManifestName, ios.DatabaseName} {
		got, err := read(ctx, f, s.at(name))
		if err != nil {
			return err
		}
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: other bytes: %w", name, errCorrupt)
		}
	}
	listed := map[string]int64{}
	top, err := f.List(ctx, s.udid)
	if err != nil {
		return err
	}
	for _, e := range top {
		if !e.Dir || len(e.Name) != 2 {
			continue
		}
		shard, err := f.List(ctx, s.at(e.Name))
		if err != nil {
			return err
		}
		for _, e := range shard {
			listed[e.Name] = e.Size
		}
	}
	for _, name := range s.files(dir) {
		info, err := os.Stat(filepath.Join(dir, storedPath(name, false)))
		if err != nil {
			return err
		}
		size, ok := listed[name]
		if !ok || size != info.Size() {
			return fmt.Errorf("%s: listed %t with %d bytes, want %d: %w", name, ok, size, info.Size(), errCorrupt)
		}
		delete(listed, name)
	}
	if len(listed) > 0 {
		return fmt.Errorf("%d files too many: %w", len(listed), errCorrupt)
	}
	return nil
}

func (s *scripted) upload(ctx context.Context, f mb2.Folder) error {
	dirs := []string{s.udid, s.at("Snapshot")}
	for i := range 256 {
		dirs = append(dirs, s.at(fmt.Sprintf("%02x", i)), s.at(fmt.Sprintf("Snapshot/%02x", i)))
	}
	for _, dir := range dirs {
		if err := f.Mkdir(ctx, dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := write(ctx, f, s.at(ios.StatusName), s.status("uploading", s.full)); err != nil {
		return err
	}
	for _, name := range s.files(s.dir) {
		if !s.full && !s.changed(name) {
			continue
		}
		there, err := f.List(ctx, s.at("Snapshot/"+name[:2]))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(there, func(e mb2.Entry) bool { return e.Name == name }) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.dir, storedPath(name, false)))
		if err != nil {
			return err
		}
		if err := write(ctx, f, s.at("Snapshot/"+storedPath(name, false)), data); err != nil {
			return err
		}
		s.sent++
	}
	for _, name := range []string{ios.ManifestName, ios.DatabaseName} {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		if err := write(ctx, f, s.at("Snapshot/"+name), data); err != nil {
			return err
		}
	}
	return write(ctx, f, s.at(ios.StatusName), s.status("moving", s.full))
}

func (s *scripted) moves(ctx context.Context, f mb2.Folder) error {
	top, err := f.List(ctx, s.at("Snapshot"))
	if err != nil {
		return err
	}
	slices.SortFunc(top, func(a, b mb2.Entry) int { return strings.Compare(b.Name, a.Name) }) // manifests last but one
	for _, e := range top {
		if !e.Dir {
			continue
		}
		list, err := f.List(ctx, s.at("Snapshot/"+e.Name))
		if err != nil {
			return err
		}
		for _, file := range list {
			if err := f.Move(ctx, s.at("Snapshot/"+e.Name+"/"+file.Name), s.at(e.Name+"/"+file.Name)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{ios.ManifestName, ios.DatabaseName} {
		if err := f.Move(ctx, s.at("Snapshot/"+name), s.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return write(ctx, f, s.at(ios.StatusName), s.status("removing", s.full))
}

func (s *scripted) removals(ctx context.Context, f mb2.Folder) error {
	for i := range 256 {
		shard := fmt.Sprintf("%02x", i)
		list, err := f.List(ctx, s.at(shard))
		if err != nil {
			return err
		}
		for _, e := range list {
			if _, ok := slices.BinarySearch(s.files(s.dir), e.Name); ok {
				continue
			}
			if err := f.Remove(ctx, s.at(shard+"/"+e.Name)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"Manifest.mbdb", "Snapshot"} {
		if err := f.Remove(ctx, s.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// done says that the run was answered with 0.
func (s *scripted) done() { s.prev = s.dir }

// bareState is a folder's state without times and folders.
func bareState(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := state(t, dir)
	for p, v := range m {
		if m[p], _, _ = strings.Cut(v, " "); v == "dir" {
			delete(m, p)
		}
	}
	return m
}

// hide takes a blob out of the repository's index files.
func hide(t *testing.T, se *session, gone index.Handle) {
	t.Helper()
	ctx := t.Context()
	be := se.r.Backend()
	var left []index.Pack
	for loc := range se.r.Index().Blobs() {
		if loc.Handle == gone {
			continue
		}
		if n := len(left); n > 0 && left[n-1].ID == loc.Pack {
			left[n-1].Blobs = append(left[n-1].Blobs, loc.Blob)
			continue
		}
		left = append(left, index.Pack{ID: loc.Pack, Blobs: []index.Blob{loc.Blob}})
	}
	for info, err := range be.List(ctx, backend.Index) {
		if err == nil {
			err = be.Remove(ctx, backend.File{Kind: backend.Index, Name: info.Name})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sealed := se.r.Key().Seal(nil, index.Append(nil, left))
	if err := be.Save(ctx, backendtest.Named(backend.Index, sealed), sealed); err != nil {
		t.Fatal(err)
	}
	if err := se.r.LoadIndex(ctx); err != nil {
		t.Fatal(err)
	}
	if se.r.Index().Has(gone) {
		t.Fatal("the blob is still there")
	}
}
