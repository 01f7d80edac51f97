package repo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
)

// anyMirror makes a mirror's place of any backend: its mark, and what is set
// aside, are files that are recorded with all others. What a folder renames is
// there twice for a moment.
type anyMirror struct{ backend.Backend }

func markName() backend.File {
	return backend.File{Kind: backend.Lock, Name: strings.Repeat("0", 64)} // locks are no part of a mirror
}

func (p anyMirror) LoadMark(ctx context.Context) ([]byte, error) {
	return backendtest.Read(ctx, p.Backend, markName())
}

func (p anyMirror) SaveMark(ctx context.Context, data []byte) error {
	return p.Save(ctx, markName(), data)
}

func (p anyMirror) SetAside(ctx context.Context, f backend.File, day time.Time) error {
	data, err := backendtest.Read(ctx, p.Backend, f)
	if err != nil {
		return err
	}
	data = append([]byte(day.Format(time.DateOnly)), data...)
	if err := p.Save(ctx, backendtest.Named(backend.Lock, data), data); err != nil {
		return err
	}
	return p.Remove(ctx, f)
}

// aside gives what is set aside, by the hash of its bytes, which is its name.
func (p anyMirror) aside(ctx context.Context, each func(day, name string, f backend.File) error) error {
	locks, err := listFiles(ctx, p.Backend, backend.Lock)
	if err != nil {
		return err
	}
	delete(locks, markName())
	for f := range locks {
		data, err := backendtest.Read(ctx, p.Backend, f)
		if err != nil {
			return err
		}
		day := len(time.DateOnly)
		if err := each(string(data[:day]), chunk.Sum(data[day:]).String(), f); err != nil {
			return err
		}
	}
	return nil
}

func (p anyMirror) DropAside(ctx context.Context, before time.Time) (n int, err error) {
	err = p.aside(ctx, func(day, _ string, f backend.File) error {
		if day >= before.Format(time.DateOnly) {
			return nil
		}
		n++
		return p.Remove(ctx, f)
	})
	return n, err
}

// TestCrashMirror cuts a first run, a later one, and one of the next month off:
// the mirror opens and is whole at every moment, what it had is there or set
// aside, and the next run makes it equal to the source, whatever that has become
// since.
func TestCrashMirror(t *testing.T) {
	t.Parallel()
	before, after := twoGenerations(t)
	last := lastGeneration(t, after)
	mirror := func(source backend.Backend, day int) func(ctx context.Context, be backend.Backend) error {
		return func(ctx context.Context, be backend.Backend) error {
			place := anyMirror{be}
			now := testTime().AddDate(0, 0, day)
			err := InitMirror(ctx, before, place, now)
			if err == nil {
				_, err = mirrorAll(ctx, source, place, MirrorOptions{Now: now})
			}
			return err
		}
	}
	stores := []*backend.Memory{backend.NewMemory()}
	for i, source := range []backend.Backend{before, after} {
		be, err := backendtest.Copy(t.Context(), stores[i])
		if err == nil {
			err = mirror(source, i)(t.Context(), be)
		}
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, be)
	}
	for i, c := range []struct {
		name         string
		source, next *backend.Memory
		day          int
	}{{"first", before, after, 0}, {"later", after, after, 1}, {"month", last, last, 40}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr := backendtest.Trial{Store: stores[i], Run: mirror(c.source, c.day), Every: *everyPoint, Sample: 20}
			tr.Judge = func(ctx context.Context, be backend.Backend, done bool) error {
				if err := errors.Join(opensWhole(ctx, be), hasOrKeeps(ctx, be, stores[i])); err != nil {
					return err
				}
				if err := mirror(c.next, c.day)(ctx, be); err != nil {
					return fmt.Errorf("the next run: %w", err)
				}
				return errors.Join(equalFiles(ctx, c.next, be), hasOrKeeps(ctx, be, stores[i]))
			}
			tr.Crashes(t)
			tr.Failures(t)
		})
	}
}

// lastGeneration is what a prune makes of a source that has lost a snapshot.
func lastGeneration(t *testing.T, from backend.Backend) *backend.Memory {
	t.Helper()
	last, err := backendtest.Copy(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	for info := range last.List(t.Context(), backend.Snapshot) {
		id, err := chunk.ParseID(info.Name)
		if err == nil {
			err = pruneByHand(t.Context(), last, id)
		}
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	t.Fatal("no snapshot")
	return nil
}

// hasOrKeeps wants all that a mirror had to be there still, or set aside.
func hasOrKeeps(ctx context.Context, be, had backend.Backend) error {
	files, err := listFiles(ctx, had, mirrorKinds()...)
	if err != nil {
		return err
	}
	there, err := listFiles(ctx, be, mirrorKinds()...)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	err = anyMirror{be}.aside(ctx, func(_, name string, _ backend.File) error {
		kept[name] = true
		return nil
	})
	if err != nil {
		return err
	}
	for f := range files {
		if _, ok := there[f]; !ok && !kept[f.Name] {
			return fmt.Errorf("%v is neither there nor set aside", f)
		}
	}
	return nil
}

// opensWhole is usable for a place whose mark is a lock.
func opensWhole(ctx context.Context, be backend.Backend) error {
	plain, err := backendtest.Copy(ctx, be)
	if err != nil {
		return err
	}
	locks, err := listFiles(ctx, plain, backend.Lock)
	if err != nil {
		return err
	}
	for f := range locks {
		if err := plain.Remove(ctx, f); err != nil {
			return err
		}
	}
	r, err := Open(ctx, plain, testPassword)
	if errors.Is(err, backend.ErrNoRepository) {
		return nil // cut off before the first file
	}
	if err != nil {
		return err
	}
	_, err = r.Check(ctx, CheckOptions{Read: AllPacks()})
	return err
}

// equalFiles compares what is mirrored.
func equalFiles(ctx context.Context, from, to backend.Backend) error {
	want, err := listFiles(ctx, from, append(mirrorKinds(), backend.Config)...)
	if err != nil {
		return err
	}
	got, err := listFiles(ctx, to, append(mirrorKinds(), backend.Config)...)
	if err != nil {
		return err
	}
	for f, size := range want {
		if got[f] != size {
			return fmt.Errorf("%v has %d bytes, want %d", f, got[f], size)
		}
		delete(got, f)
	}
	if len(got) > 0 {
		return fmt.Errorf("%d files are left", len(got))
	}
	return nil
}
