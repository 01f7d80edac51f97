package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"russet/crypto"
	"russet/device/sim"
)

// drive is a file system in memory of its own, which takes rights to mount that
// a user does not have.
type drive struct {
	t      *testing.T
	folder string
}

func mountDrive(t *testing.T, size string) drive {
	t.Helper()
	d := drive{t, t.TempDir()}
	if err := unix.Mount("tmpfs", d.folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("not here: a drive of its own, without the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.folder, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return d
}

func (d drive) remount(flags uintptr, size string) {
	d.t.Helper()
	if err := unix.Mount("", d.folder, "", unix.MS_REMOUNT|flags, "size="+size); err != nil {
		d.t.Fatal(err)
	}
}

// russet runs the program on buffers and wants an exit code.
func (d drive) russet(want int, args ...string) (stdout, stderr string) {
	d.t.Helper()
	env := map[string]string{"RUSSET_PASSWORD": "secret", "RUSSET_REPOSITORY": filepath.Join(d.folder, "repo")}
	var out, complaints bytes.Buffer
	p := newProgram(func(name string) string { return env[name] }, strings.NewReader(""), &out, &complaints)
	p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
	code := p.report(p.dispatch(d.t.Context(), append([]string{"russet"}, args...)))
	if code != want {
		d.t.Fatalf("russet %s: got %d, want %d: %s%s", strings.Join(args, " "), code, want, &out, &complaints)
	}
	return out.String(), complaints.String()
}

// writeSimulated writes the backup of a simulated phone and returns the folder
// above it.
func writeSimulated(t *testing.T, config sim.Config) string {
	t.Helper()
	d, err := sim.New(t.Context(), config, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, err := d.WriteBackup(t.Context(), folder, sim.Options{}); err != nil {
		t.Fatal(err)
	}
	return folder
}

func wantText(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("got %q, want %q in it", text, part)
	}
}

// A backup that fills the drive says so once, harms nothing that was kept, and
// succeeds when there is room.
func TestBackupFillsDrive(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "12m")
	d.russet(0, "init")
	small, large := writeSimulated(t, sim.Tiny()), writeSimulated(t, sim.Demo())
	d.russet(0, "backup", small)
	_, stderr := d.russet(codeFull, "backup", large)
	wantText(t, stderr, "free some space there and run the same command again; nothing that was kept is lost")
	if n := strings.Count(stderr, "no space left"); n != 1 {
		t.Errorf("it is said %d times: %s", n, stderr)
	}
	for _, folder := range []string{"locks", "data"} {
		left, err := filepath.Glob(filepath.Join(d.folder, "repo", folder, "*", "*-tmp-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left in %s: %q, %v", folder, left, err)
		}
	}
	d.russet(0, "check", "--read-data")
	stdout, _ := d.russet(0, "backup", small)
	wantText(t, stdout, "is kept already")
	d.remount(0, "80m")
	d.russet(0, "backup", large)
	stdout, _ = d.russet(0, "check", "--read-data")
	wantText(t, stdout, "no damage was found")
}

// A restore that fills the drive begins again as a folder; of the phone's files
// those that are whole stay, and the next run goes on.
func TestRestoreFillsDrive(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "40m")
	d.russet(0, "init")
	d.russet(0, "backup", writeSimulated(t, sim.Tiny()))
	small := mountDrive(t, "3m")
	folder, files := filepath.Join(small.folder, "a"), filepath.Join(small.folder, "b")
	_, stderr := d.russet(codeFull, "restore", "latest", "--target", folder)
	wantText(t, stderr, "run the same command again; nothing that was kept is lost")
	if found, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(found) != 1 || !strings.HasSuffix(found[0], ".russet-partial") {
		t.Errorf("half a backup is called %q, %v", found, err)
	}
	_, stderr = d.russet(codeFull, "restore", "latest", "--target", files, "--as", "files")
	wantText(t, stderr, "run the same command again: what is there already is left")
	small.remount(0, "40m")
	d.russet(0, "restore", "latest", "--target", folder)
	stdout, _ := d.russet(0, "restore", "latest", "--target", files, "--as", "files")
	wantText(t, stdout, "there already, with the same content: ")
}

// A drive that cannot be written can be read, and who is told no learns how.
func TestReadOnlyDrive(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "40m")
	d.russet(0, "init")
	backups := writeSimulated(t, sim.Tiny())
	d.russet(0, "backup", backups)
	d.remount(unix.MS_RDONLY, "40m")
	out := t.TempDir()
	for _, args := range [][]string{{"snapshots"}, {"check"}, {"ls", "latest"}, {"restore", "latest", "--target", out}} {
		_, stderr := d.russet(codeError, args...)
		wantText(t, stderr, "add --no-lock")
		d.russet(0, append(args, "--no-lock")...)
	}
	_, stderr := d.russet(codeError, "backup", backups)
	wantText(t, stderr, "is the drive write-protected")
	if strings.Contains(stderr, "--no-lock") {
		t.Errorf("a backup has no use for --no-lock: %s", stderr)
	}
}

// On a drive that is full to the last byte snapshots can be forgotten and pinned:
// the room that was reserved is for that.
func TestForgetOnFullDrive(t *testing.T) {
	t.Parallel()
	d := mountDrive(t, "160m")
	d.russet(0, "init")
	d.russet(0, "backup", writeSimulated(t, sim.Tiny()))
	f, err := os.Create(filepath.Join(d.folder, "others"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(block)
		if err != nil && len(block) > 1 {
			block, err = block[:len(block)/2], nil
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	d.russet(0, "pin", "latest")
	d.russet(0, "note", "latest", "the drive was full")
	stdout, _ := d.russet(0, "forget", "latest", "--pinned")
	wantText(t, stdout, "removed 1 snapshot")
	d.russet(0, "check", "--read-data")
}
