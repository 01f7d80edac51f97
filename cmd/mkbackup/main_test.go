package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"russet/device/sim"
	"russet/ios"
)

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, step := range []struct{ args, want string }{
		{"-encrypt -password x -iterations 1", "full backup"},
		{"-encrypt -password x -iterations 1 -generation 1", "incremental backup"},
		{"-encrypt -password x -iterations 1 -generation 1 -full", "full backup"},
		{"-archive-date 20240102-030405", sim.Tiny().UDID + "-20240102-030405"},
		{"-udid 00008110-0000000000000001", "00008110-0000000000000001"},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"-dir", dir, "-preset", "tiny"}, strings.Fields(step.args)...)
		if code := run(t.Context(), args, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Fatalf("%s: exit code %d, %s", step.args, code, &stderr)
		}
		if !strings.Contains(stdout.String(), step.want) {
			t.Errorf("%s: printed %q, want %q in it", step.args, &stdout, step.want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d folders, %v, want 3", len(entries), err)
	}
	for _, e := range entries {
		b, err := ios.Open(os.DirFS(filepath.Join(dir, e.Name())))
		if err != nil {
			t.Fatal(err)
		}
		if !b.Finished() || b.UDID() != e.Name()[:25] {
			t.Errorf("%s: finished %v, UDID %s", e.Name(), b.Finished(), b.UDID())
		}
	}
}

func TestRunWrongArguments(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"", "-preset demo", "-dir x -preset none", "-dir x -generation -1", "-dir x y", "-dir x -archive-date now", "-x",
		"-dir x -encrypt -password=",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d and %q, want 2 and a message", args, code, &stderr)
		}
	}
}
