package backend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestSplitAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, scheme, rest string }{
		{"/a/b", "local", "/a/b"},
		{"a", "local", "a"},
		{"", "local", ""},
		{"local:/a", "local", "/a"},
		{"local:a:b", "local", "a:b"},
		{"mem:", "mem", ""},
		{"s3:https://h/b", "s3", "https://h/b"},
		{`C:\a`, "local", `C:\a`},
		{"c:/a", "local", "c:/a"},
		{"./mem:", "local", "./mem:"},
		{"a/b:c", "local", "a/b:c"},
		{"2024:x", "local", "2024:x"},
		{"My Drive:x", "local", "My Drive:x"},
		{"Local:x", "local", "Local:x"},
		{":x", "local", ":x"},
	} {
		if scheme, rest := splitAddress(c.address); scheme != c.scheme || rest != c.rest {
			t.Errorf("%q: got %q, %q, want %q, %q", c.address, scheme, rest, c.scheme, c.rest)
		}
	}
}

// TestHandlesClose counts on the error that an operation on a closed file gives.
func TestHandlesClose(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var hs handles
	var all []*handle
	for i := range maxHandles + 5 {
		name := fmt.Sprint(i)
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := hs.acquire(root, name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	open := func() (n int) {
		for _, h := range all {
			if _, err := h.file.Stat(); !errors.Is(err, os.ErrClosed) {
				n++
			}
		}
		return n
	}
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"all in use", func() {}, maxHandles + 5},
		{"the first released, no longer kept", func() { hs.release(all[0]) }, maxHandles + 4},
		{"one that is kept released", func() { hs.release(all[10]) }, maxHandles + 4},
		{"and forgotten", func() { hs.forget("10") }, maxHandles + 3},
		{"one forgotten in use", func() { hs.forget("11") }, maxHandles + 3},
		{"and released", func() { hs.release(all[11]) }, maxHandles + 2},
		{"all forgotten", hs.forgetAll, maxHandles + 2},
		{"the others released", func() {
			for i, h := range all {
				if i != 0 && i != 10 && i != 11 {
					hs.release(h)
				}
			}
		}, 0},
	}
	for _, step := range steps {
		step.do()
		if got := open(); got != step.want {
			t.Errorf("%s: got %d open files, want %d", step.name, got, step.want)
		}
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	l, err := CreateLocal(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	name := filepath.Join(folder, "spool", "reserve")
	wantReserve := func(want int64) {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil || info.Size() != want {
			t.Fatalf("got %v, %v, want %d bytes", info, err, want)
		}
	}
	wantReserve(reserveSize)
	l.releaseReserve()
	if _, err := os.Stat(name); err == nil {
		t.Error("the reserve is still there")
	}
	l.releaseReserve() // nothing to do

	l.reserve = 3<<20 + 1
	for _, damage := range []func() error{
		func() error { return nil },
		func() error { return os.Truncate(name, 5) }, // as a killed init leaves it
		func() error { return os.RemoveAll(filepath.Dir(name)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := l.RestoreReserve(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantReserve(l.reserve)
	}
	l.reserve = 1 << 60
	if err := l.RestoreReserve(t.Context()); err != nil {
		t.Errorf("RestoreReserve without the space for it: %v", err)
	}
}
