package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
)

// TestCrashCopy cuts a copy off: the twin opens and is whole, and the copy can be
// gone on with. It runs without locks, whose crashes are tried elsewhere.
func TestCrashCopy(t *testing.T) {
	t.Parallel()
	source, versions := backend.NewMemory(), []map[string][]byte{many(1, 4), many(3, 6), many(30, 3)}
	r, err := Init(t.Context(), source, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range versions {
		saveFiles(t, r, files)
	}
	empty := backend.NewMemory()
	if _, err := Init(t.Context(), empty, twinPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, be backend.Backend) error {
		_, _, err := copyAll(ctx, source, be)
		return err
	}
	judge := func(ctx context.Context, be backend.Backend, done bool) error {
		if err := holdsTwins(ctx, be, len(versions), done); err != nil {
			return err
		}
		if err := run(ctx, be); err != nil {
			return fmt.Errorf("the next run: %w", err)
		}
		return holdsTwins(ctx, be, len(versions), true)
	}
	tr := backendtest.Trial{Store: empty, Run: run, Judge: judge, Every: *everyPoint, Sample: 20}
	tr.Crashes(t)
	tr.Failures(t)
}

// holdsTwins wants a clean check, and, with done, so many snapshots.
func holdsTwins(ctx context.Context, be backend.Backend, want int, done bool) error {
	twin, err := Open(ctx, be, twinPassword)
	if err != nil {
		return err
	}
	res, err := twin.Check(ctx, CheckOptions{Read: AllPacks()})
	if err == nil && (res.Snapshots > want || done && res.Snapshots < want) {
		err = fmt.Errorf("%d snapshots, want %d", res.Snapshots, want)
	}
	return err
}

// TestCrashPassword cuts a change of the password off: one of the two opens the
// repository, and the new one where it was said so.
func TestCrashPassword(t *testing.T) {
	t.Parallel()
	store := backend.NewMemory()
	weak := crypto.Cost{N: 2, R: 1, P: 1}
	if _, err := Init(t.Context(), store, testPassword, InitOptions{Cost: weak}); err != nil {
		t.Fatal(err)
	}
	change := func(ctx context.Context, be backend.Backend, from, to string) error {
		r, err := Open(ctx, be, from)
		if err == nil {
			_, err = r.ChangePassword(ctx, to, weak, Owner{Time: testTime()})
		}
		return err
	}
	tr := backendtest.Trial{
		Store: store, Every: *everyPoint,
		Run: func(ctx context.Context, be backend.Backend) error { return change(ctx, be, testPassword, "new") },
		Judge: func(ctx context.Context, be backend.Backend, done bool) error {
			_, older := Open(ctx, be, testPassword)
			_, newer := Open(ctx, be, "new")
			switch {
			case older != nil && newer != nil:
				return errors.Join(older, newer)
			case done && older == nil:
				return errors.New("the old password is still good")
			case done && newer != nil:
				return newer
			case newer == nil:
				return change(ctx, be, "new", "newest")
			}
			return change(ctx, be, testPassword, "new")
		},
	}
	tr.Crashes(t)
	tr.Failures(t)
}

// anyMirror makes a mirror's place of any backend: its mark is a file that is
// recorded with all others, and what is set aside is removed.
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

func (p anyMirror) SetAside(ctx context.Context, f backend.File, _ time.Time) error {
	return p.Remove(ctx, f)
}

func (p anyMirror) DropAside(context.Context, time.Time) (int, error) { return 0, nil }

// TestCrashMirror cuts a first run and a later one off: the mirror opens and is
// whole at every moment, and the next run makes it equal to the source, whatever
// that has become since.
func TestCrashMirror(t *testing.T) {
	t.Parallel()
	before, after := twoGenerations(t)
	full := backend.NewMemory()
	mirror := func(source backend.Backend) func(ctx context.Context, be backend.Backend) error {
		return func(ctx context.Context, be backend.Backend) error {
			place := anyMirror{be}
			err := InitMirror(ctx, before, place, testTime())
			if err == nil {
				_, err = mirrorAll(ctx, source, place, MirrorOptions{Now: testTime()})
			}
			return err
		}
	}
	if err := mirror(before)(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		store  *backend.Memory
		source *backend.Memory
	}{{"first", backend.NewMemory(), before}, {"later", full, after}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr := backendtest.Trial{Store: c.store, Run: mirror(c.source), Every: *everyPoint, Sample: 20, Judge: func(ctx context.Context, be backend.Backend, done bool) error {
				if err := opensWhole(ctx, be); err != nil {
					return err
				}
				if err := mirror(after)(ctx, be); err != nil {
					return fmt.Errorf("the next run: %w", err)
				}
				return equalFiles(ctx, after, be)
			}}
			tr.Crashes(t)
			tr.Failures(t)
		})
	}
}

// opensWhole is usable for a place whose mark is a lock.
func opensWhole(ctx context.Context, be backend.Backend) error {
	plain, err := backendtest.Copy(ctx, be)
	if err != nil {
		return err
	}
	if err := plain.Remove(ctx, markName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
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
