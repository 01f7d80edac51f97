package agent

import (
	"errors"
	"io/fs"
	"runtime"
	"testing"
)

// What a phone remembers outlasts it, and is for its owner alone.
func TestState(t *testing.T) {
	t.Parallel()
	c, dir, h := quick(t, "a", "b"), t.TempDir(), newHost()
	p, err := Open(dir, c, Options{Iterations: rounds, Script: Script{Batch: 1}})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, p, h, passwordRequest("", "secret"), 0)
	p.SetScript(Script{Batch: 1, Disconnect: 1050})
	if _, r, err := speak(t.Context(), p, h, backupRequest(small().UDID)); !errors.Is(err, ErrCut) || r.Sent == 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	entries, err := fs.ReadDir(p.root.FS(), ".")
	if err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v, want the state and the manifest of the run that was cut", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = Open(dir, c, Options{Iterations: rounds}); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Encrypted() {
		t.Error("the phone forgot its password")
	}
	if r := backUp(t, p, h); !r.Resumed || !r.Full || r.Kept == 0 {
		t.Errorf("got %+v", r)
	}
	if got := contents(t, h.backup(), "secret"); len(got) != 3 {
		t.Errorf("got %v, want two files and a folder", got)
	}
}
