package repo

import (
	"testing"
	"time"

	"russet/backend"
)

func TestLockHolder(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	now := time.Now()
	l, err := r.Lock(t.Context(), false, LockOptions{Owner: Owner{Hostname: "here"}, PID: 7})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(host string, pid int, at time.Time) bool {
		t.Helper()
		got, err := r.LockHolder(t.Context(), host, pid, "", at)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if !ask("here", 7, now) {
		t.Error("the holder of a lock is not seen")
	}
	if ask("here", 8, now) || ask("there", 7, now) {
		t.Error("somebody else is taken for the holder")
	}
	if ask("here", 7, now.Add(lockStale+time.Minute)) {
		t.Error("a stale lock counts")
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ask("here", 7, now) {
		t.Error("a lock that was released counts")
	}
}
