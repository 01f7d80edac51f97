//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNextRun(t *testing.T) {
	t.Parallel()
	p := &simulated{runs: make(chan simulatedRun, 1)}
	p.runs <- simulatedRun{Sent: 3}
	if r, err := p.nextRun(time.Hour); err != nil || r.Sent != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := p.nextRun(time.Millisecond); err == nil {
		t.Errorf("got %+v of a phone that says nothing", r)
	}
	close(p.runs)
	if r, err := p.nextRun(time.Hour); err == nil {
		t.Errorf("got %+v of a phone that has ended", r)
	}
}

// A phone that is kept is changed by the next run of the benchmark, too.
func TestChangeOfAKeptPhone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := filepath.Join(dir, "phone", "Files", "HomeDomain")
	if err := os.MkdirAll(files, 0o700); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1000)
	for i := range 3 * oneIn {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("%03d", i)), []byte(long), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts := map[string]bool{} // of files that were changed
	for run := range 2 {
		if err := (&simulated{dir: dir}).change(); err != nil {
			t.Fatal(err)
		}
		found := 0
		for i := range 3 * oneIn {
			name := filepath.Join(files, fmt.Sprintf("%03d", i))
			text, err := os.ReadFile(name)
			if err != nil || len(text) != len(long) {
				t.Fatalf("got %d bytes, %v", len(text), err)
			}
			info, err := os.Stat(name)
			if err != nil || info.ModTime().After(time.Now()) {
				t.Errorf("got %v, %v, want no time to come", info.ModTime(), err)
			}
			if string(text) != long {
				found++
				texts[string(text)] = true
			}
		}
		if found != 3 || len(texts) != 3*(run+1) {
			t.Errorf("run %d: %d files are changed, %d texts in all", run, found, len(texts))
		}
	}
}
