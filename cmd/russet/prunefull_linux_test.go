package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"russet/device/sim"
)

// On a drive on which not a byte is free a prune that copies nothing frees
// space: the reserve gives way to its lock and its index.
func TestPruneOnFullDrive(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "200m")
	d.russet(0, "init")
	d.russet(0, "backup", writeSimulated(t, sim.Demo()))
	snapshots := filepath.Join(d.folder, "repo", "snapshots", "*")
	forgotten, err := filepath.Glob(snapshots)
	if err != nil || len(forgotten) != 1 {
		t.Fatalf("got %q, %v", forgotten, err)
	}
	if err := os.Remove(forgotten[0]); err != nil {
		t.Fatal(err)
	}
	reserve := filepath.Join(d.folder, "repo", "spool", "reserve")
	if _, err := os.Stat(reserve); err != nil {
		t.Fatal(err)
	}
	fillDrive(t, d.folder)
	stdout, _ := d.russet(0, "prune", "--no-snapshots", "--max-repack", "0", "--json")
	wantText(t, stdout, `"copied_bytes":0,`)
	if strings.Contains(stdout, `"deleted_packs":0,`) {
		t.Errorf("nothing was deleted: %s", stdout)
	}
	if _, err := os.Stat(reserve); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reserve: %v, want it gone", err)
	}

	d.russet(0, "backup", writeSimulated(t, sim.Tiny()))
	stdout, _ = d.russet(0, "check", "--read-data")
	wantText(t, stdout, "no damage was found")
}

// Where what is needed lies beside what is not, a full drive has no space for
// copies: the prune says so, and does it when there is.
func TestPruneWithoutSpaceForCopies(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "200m")
	d.russet(0, "init")
	phone, err := sim.New(t.Context(), sim.Demo(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backups := t.TempDir()
	var forgotten []string
	for day := range 2 {
		if day > 0 {
			if forgotten, err = filepath.Glob(filepath.Join(d.folder, "repo", "snapshots", "*")); err == nil {
				err = phone.Next(t.Context())
			}
		}
		if err == nil {
			_, err = phone.WriteBackup(t.Context(), backups, sim.Options{})
		}
		if err != nil {
			t.Fatal(err)
		}
		d.russet(0, "backup", backups)
	}
	for _, name := range forgotten {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	junk := fillDrive(t, d.folder)
	stdout, _ := d.russet(0, "prune", "--max-unused", "0")
	wantText(t, stdout, ": there is no space for copies of what is needed in them, until another prune\n")
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	stdout, _ = d.russet(0, "prune", "--max-unused", "0")
	wantText(t, stdout, "repack")
	stdout, _ = d.russet(0, "prune", "--max-unused", "0", "--json")
	wantText(t, stdout, `"late_packs":0,`)
	wantText(t, stdout, `"unused_bytes":0,`)
	stdout, _ = d.russet(0, "check", "--read-data")
	wantText(t, stdout, "no damage was found")
}

// fillDrive writes a file until there is no space, and returns its name.
func fillDrive(t *testing.T, folder string) string {
	t.Helper()
	f, err := os.CreateTemp(folder, "junk")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := []byte(strings.Repeat("junk", 1<<10))
	for len(buf) > 0 {
		_, err := f.Write(buf)
		if errors.Is(err, syscall.ENOSPC) {
			buf = buf[:len(buf)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// A copy that fills the drive says which of the two it is, and goes on when there
// is room.
func TestCopyFillsDrive(t *testing.T) {
	t.Parallel()
	d, second := mountDrive(t, "80m"), mountDrive(t, "12m")
	d.russet(0, "init")
	d.russet(0, "backup", writeSimulated(t, sim.Demo()))
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	twin := filepath.Join(second.folder, "twin")
	d.russet(0, "init", "-r", twin)
	_, stderr := d.russet(codeFull, "copy", "--to", twin, "--to-password-file", password)
	wantText(t, stderr, "copy to "+twin+": ")
	wantText(t, stderr, "free some space there")
	d.russet(0, "check", "-r", twin, "--read-data")
	second.remount(0, "80m")
	d.russet(0, "copy", "--to", twin, "--to-password-file", password)
	d.russet(0, "check", "-r", twin, "--read-data")
}
