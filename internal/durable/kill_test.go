package durable_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"russet/internal/durable"
)

const (
	victimMark = "victim-works-here"
	victimSize = 200_000
)

// TestKilled kills a process that writes the same file again and again. The file must hold one version, as a whole, and
// what else is there must be recognisable as unfinished.
func TestKilled(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, victimMark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	leftovers := 0
	for range 15 {
		killVictim(t, program, folder)
		root := openRoot(t, folder)
		wantUniform(t, root, victimSize)
		entries, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if final, ok := durable.IsTemporary(e.Name()); ok && final == "f" {
				leftovers++
				if err := root.Remove(e.Name()); err != nil {
					t.Fatal(err)
				}
			} else if e.Name() != "f" && e.Name() != victimMark {
				t.Errorf("the killed process left %q", e.Name())
			}
		}
	}
	t.Logf("%d of 15 killed in the middle of a write", leftovers)
}

func killVictim(t *testing.T, program, folder string) {
	t.Helper()
	victim := exec.CommandContext(t.Context(), program, "-test.run=^TestVictim$")
	victim.Dir = folder
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the victim did not begin: %v", err)
	}
	time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // says that it was killed
}

// TestVictim is the process that TestKilled kills. It does nothing unless it runs in the folder that was prepared.
func TestVictim(t *testing.T) {
	if _, err := os.Stat(victimMark); err != nil {
		t.Skip("not here: it runs in the folder that TestKilled prepares")
	}
	root := openRoot(t, ".")
	for i := range 5000 { // an end, in case nobody kills it
		if err := durable.WriteFile(root, "f", bytes.Repeat([]byte{byte(i)}, victimSize), 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			fmt.Println("begun")
		}
	}
}
