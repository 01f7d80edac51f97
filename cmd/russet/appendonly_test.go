package main

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/repo"
)

// Where nothing can be removed, a person is told what works there, and not that
// a drive is write-protected.
func TestAppendOnlyAdvice(t *testing.T) {
	t.Parallel()
	be := backendtest.NewAppendOnly(backend.NewMemory(), true)
	r, err := repo.Init(t.Context(), be, "secret", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Lock(t.Context(), true, repo.LockOptions{})
	if !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("got %v, want fs.ErrPermission", err)
	}
	err = lockError(err, false)
	if a := adviceFor(err); !strings.Contains(a.hint, "credentials that may remove files") {
		t.Errorf("the hint of %q is %q", err, a.hint)
	}
}
