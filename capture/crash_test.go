package capture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/device/sim"
	"russet/repo"
)

var everyPoint = flag.Bool("every", false, "cut runs off at every point")

// keepLocked is a run as the program makes it: under a lock that it takes and
// gives back.
func keepLocked(ctx context.Context, be backend.Backend, dir string, opt Options) (res *Result, err error) {
	r, err := repo.Open(ctx, be, "x")
	if err != nil {
		return nil, err
	}
	lock, err := r.Lock(ctx, false, repo.LockOptions{Owner: repo.Owner{Hostname: "h"}, PID: os.Getpid()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock(ctx)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return Folder(lock.Context(), r, root, filepath.Base(dir), opt)
}

// versions are backup folders as they were kept, the oldest first.
type versions []map[string]string

// held wants each of the versions to come back from some snapshot, and a
// repository without damage.
func (want versions) held(ctx context.Context, t *testing.T, be backend.Backend) error {
	t.Helper()
	r, err := repo.Open(ctx, be, "x")
	if err != nil {
		return err
	}
	var found error
	_, err = r.Check(ctx, repo.CheckOptions{Read: repo.AllPacks(), Report: func(p repo.Problem) {
		if !p.Kind.Note() {
			found = errors.Join(found, errors.New(p.String()))
		}
	}})
	if err != nil {
		return errors.Join(err, found)
	}
	all, err := r.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	var states []map[string]string
	for _, s := range all {
		got, err := writtenState(ctx, t, r, s)
		if err != nil {
			return err
		}
		states = append(states, got)
	}
	if left := want.notIn(states); left > 0 {
		return fmt.Errorf("%d of %d versions are in none of %d snapshots", left, len(want), len(all))
	}
	return nil
}

// notIn is how many of the versions are none of the states.
func (want versions) notIn(states []map[string]string) int {
	left := 0
	for _, v := range want {
		if !slices.ContainsFunc(states, func(got map[string]string) bool { return maps.Equal(got, v) }) {
			left++
		}
	}
	return left
}

// Two snapshots of one version are not two versions.
func TestVersionsNotIn(t *testing.T) {
	t.Parallel()
	one, other := map[string]string{"f": "1"}, map[string]string{"f": "2"}
	for _, c := range []struct {
		states []map[string]string
		want   int
	}{
		{nil, 2},
		{[]map[string]string{one, one}, 1},
		{[]map[string]string{other, one, other}, 0},
	} {
		if got := (versions{one, other}).notIn(c.states); got != c.want {
			t.Errorf("%v: got %d, want %d", c.states, got, c.want)
		}
	}
}

// writtenState is a snapshot as it is written out.
func writtenState(ctx context.Context, t *testing.T, r *repo.Repository, s *repo.Snapshot) (map[string]string, error) {
	t.Helper()
	v, err := Open(ctx, r, s)
	if err != nil {
		return nil, err
	}
	target, err := os.MkdirTemp(t.TempDir(), "") // removed at once: there are thousands
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(target)
	root, err := os.OpenRoot(target)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	res, err := v.RestoreFolder(ctx, root, RestoreOptions{})
	if err == nil && !res.Original {
		err = fmt.Errorf("written out it is not the original: %w", fs.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return state(t, filepath.Join(target, v.UDID)), nil
}

// A backup of a folder, the first or the next, plain or encrypted, is cut off
// wherever it can be, and fails wherever it can.
func TestCrashFolder(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		for day := range 2 {
			if !*everyPoint && (!encrypted || day == 0) {
				continue // they differ in little
			}
			t.Run(fmt.Sprintf("encrypted=%t day=%d", encrypted, day), func(t *testing.T) {
				t.Parallel()
				config := sim.Tiny() // a point costs what the phone's files cost
				config.SmallFiles, config.Photos, config.Videos, config.Messages = 3, 1, 0, 20
				p := newPhoneOf(t, config, encrypted)
				store := backend.NewMemory()
				if _, err := repo.Init(t.Context(), store, "x", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
					t.Fatal(err)
				}
				var before versions
				for range day {
					keep(t, openLoaded(t, store), p.dir, withPassword(simPassword))
					before = append(before, state(t, p.dir))
					p.next()
				}
				after := append(before[:len(before):len(before)], state(t, p.dir))
				run := func(ctx context.Context, be backend.Backend) error {
					_, err := keepLocked(ctx, be, p.dir, withPassword(simPassword))
					return err
				}
				judge := func(ctx context.Context, be backend.Backend, done bool) error {
					want := before
					if done {
						want = after
					}
					if err := want.held(ctx, t, be); err != nil {
						return err
					}
					if err := run(ctx, be); err != nil {
						return fmt.Errorf("the next run: %w", err)
					}
					return after.held(ctx, t, be)
				}
				trial := backendtest.Trial{Store: store, Run: run, Judge: judge, Every: *everyPoint, Sample: 10}
				synctest.Test(t, func(t *testing.T) { trial.Crashes(t) })
				synctest.Test(t, func(t *testing.T) { trial.Failures(t) })
			})
		}
	}
}
