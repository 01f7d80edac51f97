package repo

import (
	"context"
	"errors"
	"fmt"
	"testing"

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
