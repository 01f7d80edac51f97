package repo

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/index"
)

// someFiles are of a single blob each.
func someFiles() map[string][]byte {
	files := map[string][]byte{}
	for i := range uint64(20) {
		files[fmt.Sprint(i)] = payload(100+i, 1000)
	}
	return files
}

// endBadly saves files in a session that is never flushed, but ends once a pack
// is durable.
func endBadly(ctx context.Context, t *testing.T, r *Repository, files map[string][]byte, stop func()) {
	t.Helper()
	w := r.NewWriter(ctx)
	for _, data := range files {
		if _, err := w.Save(ctx, index.Data, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.finishPacks(); err != nil { // as if they were full
		t.Fatal(err)
	}
	for durable := 0; durable == 0; runtime.Gosched() {
		w.mu.Lock()
		durable = len(w.packs)
		w.mu.Unlock()
	}
	stop()
	if err := w.Close(); err != nil {
		t.Logf("close: %v", err)
	}
}

func count(t *testing.T, be backend.Backend, kind backend.Kind) (n int) {
	t.Helper()
	for _, err := range be.List(t.Context(), kind) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// wantVersion wants the snapshot of saveFiles whole for whoever opens the
// repository afterwards.
func wantVersion(t *testing.T, be backend.Backend, s *Snapshot, files map[string][]byte) {
	t.Helper()
	r := checkClean(t, be)
	n, err := r.Find(t.Context(), *s.Tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	if !hasFiles(t, r, *n.Subtree, files) {
		t.Error("the snapshot is not whole")
	}
}

// A snapshot rests on nothing that an earlier session of the same process stored
// without its index, whatever ended that one; and what can be indexed is not
// stored twice.
func TestSessionAfterBadEnd(t *testing.T) {
	t.Parallel()
	noIndex := func(op backendtest.Op) bool {
		return op.Verb == backendtest.Save && op.File.Kind == backend.Index
	}
	for name, c := range map[string]struct {
		faults backendtest.Faults
		cancel bool
		twice  bool // what was stored cannot be used
	}{
		"dropped":         {},
		"cancelled":       {cancel: true},
		"no index":        {faults: backendtest.Faults{FailAt: 1, Only: noIndex}, twice: true},
		"cancel no index": {faults: backendtest.Faults{FailAt: 1, Only: noIndex}, cancel: true, twice: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := backend.NewMemory()
			r := on(initRepo(t, store, 2), backendtest.NewFaulty(store, c.faults))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			files := someFiles()
			endBadly(ctx, t, r, files, func() {
				if c.cancel {
					cancel()
				}
			})
			left := count(t, store, backend.Data)
			if left == 0 {
				t.Fatal("no pack was stored")
			}
			snap := saveFiles(t, r, files)
			wantVersion(t, store, snap, files)
			res, _, _ := check(t, checkClean(t, store))
			if stored := res.Unreferenced > 0; stored != c.twice {
				t.Errorf("%d packs are of no use, want some: %v", res.Unreferenced, c.twice)
			}
		})
	}
}

// After a lost lock nothing is written that refers to other files: who took the
// lock for stale may have removed them.
func TestNothingAfterLostLock(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*Lock){
		"noticed": func(l *Lock) { _ = l.lose(errLockGone) },
		"slept": func(l *Lock) { // the refresher did not run meanwhile
			l.mu.Lock()
			defer l.mu.Unlock()
			l.file.Time = time.Now().Add(-time.Hour)
			if err := l.r.be.Remove(l.ctx, backend.File{Kind: backend.Lock, Name: l.id.String()}); err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { nothingAfterLostLock(t, lose) })
		})
	}
}

func nothingAfterLostLock(t *testing.T, lose func(*Lock)) {
	t.Helper()
	store := backend.NewMemory()
	r := initRepo(t, store, 2)
	first := saveFiles(t, r, map[string][]byte{"a": []byte("b")})
	lock, err := r.Lock(t.Context(), false, LockOptions{Owner: Owner{Hostname: "h"}, PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := count(t, store, backend.Index)
	endBadly(lock.Context(), t, r, someFiles(), func() { lose(lock) })
	if after := count(t, store, backend.Index); after != before {
		t.Errorf("%d index files were written", after-before)
	}
	again := &Snapshot{Time: testTime(), Tree: first.Tree, Paths: []string{"/"}}
	if _, err := r.SaveSnapshot(context.WithoutCancel(lock.Context()), again); !errors.Is(err, errLockGone) {
		t.Errorf("save snapshot: %v, want that the lock is gone", err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if got := count(t, store, backend.Snapshot); got != 1 {
		t.Errorf("%d snapshots, want 1", got)
	}
}

// A lock that was not refreshed in time but is still there is refreshed, and
// the work goes on.
func TestConfirmLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := backend.NewMemory()
		r := initRepo(t, store, 2)
		lock, err := r.Lock(t.Context(), false, LockOptions{Owner: Owner{Hostname: "h"}, PID: 1})
		if err != nil {
			t.Fatal(err)
		}
		lock.mu.Lock()
		lock.file.Time = time.Now().Add(-time.Hour)
		old := lock.id
		lock.mu.Unlock()
		if err := confirmLock(lock.Context()); err != nil {
			t.Fatal(err)
		}
		if lock.id == old {
			t.Error("the lock was not refreshed")
		}
		if err := lock.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := confirmLock(lock.Context()); !errors.Is(err, errReleased) {
			t.Errorf("after unlock: %v, want errReleased", err)
		}
		if got := count(t, store, backend.Lock); got != 0 {
			t.Errorf("%d locks are left", got)
		}
	})
}
