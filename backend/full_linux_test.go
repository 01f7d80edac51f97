package backend

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mountSmall mounts a file system in memory with so much space, which takes rights that a user does not have.
func mountSmall(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("not here: a drive that is full, without the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return folder
}

func named(k Kind, data []byte) File {
	sum := sha256.Sum256(data)
	return File{k, hex.EncodeToString(sum[:])}
}

// fill saves packs until the drive is full and returns them.
func fill(t *testing.T, l *Local) []File {
	t.Helper()
	var files []File
	for i := 0; ; i++ {
		data := bytes.Repeat([]byte{byte(i)}, 100_000)
		f := named(Data, data)
		err := l.Save(t.Context(), f, data)
		if err == nil {
			files = append(files, f)
			continue
		}
		if !IsFull(err) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Save on a full drive: got %v, want %v", err, syscall.ENOSPC)
		}
		if len(files) == 0 {
			t.Fatal("not even one pack has room")
		}
		return files
	}
}

// wantNoTemporary also looks into folders that List leaves out.
func wantNoTemporary(t *testing.T, folder string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(folder, "data", "*", "*-tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("got unfinished files %q, %v, want none", left, err)
	}
}

func TestFullDrive(t *testing.T) {
	t.Parallel()
	folder := mountSmall(t, "4m")
	l, err := CreateLocal(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := os.Stat(filepath.Join(folder, reserveName)); err == nil {
		t.Fatal("a tiny drive got a reserve")
	}
	l.reserve = 512 << 10
	if err := l.RestoreReserve(t.Context()); err != nil {
		t.Fatal(err)
	}
	packs := fill(t, l)
	wantNoTemporary(t, folder)
	small := bytes.Repeat([]byte("pack"), 50_000)
	if err := l.Save(t.Context(), named(Data, small), small); !IsFull(err) {
		t.Fatalf("a pack on a full drive: got %v, want %v", err, syscall.ENOSPC)
	}
	if _, err := os.Stat(filepath.Join(folder, reserveName)); err != nil {
		t.Fatalf("the reserve was given to a pack: %v", err)
	}

	for _, k := range []Kind{Index, Lock, Snapshot, Key} { // the first one gets the reserve, the others what is left
		data := bytes.Repeat([]byte(k.String()), 25_000)
		if err := l.Save(t.Context(), named(k, data), data); err != nil {
			t.Errorf("with a reserve: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, reserveName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve: got %v, want it gone", err)
	}
	fillRest(t, l)
	if err := l.RestoreReserve(t.Context()); err != nil {
		t.Errorf("RestoreReserve on a full drive: %v", err)
	}
	for _, f := range packs {
		if n, err := l.Load(context.Background(), f, 0, make([]byte, 100_001)); n != 100_000 || err != nil {
			t.Errorf("Load on a full drive: got %d, %v", n, err)
		}
		if err := l.Remove(t.Context(), f); err != nil {
			t.Errorf("Remove on a full drive: %v", err)
		}
	}
	if err := l.RestoreReserve(t.Context()); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(folder, reserveName)); err != nil || info.Size() != l.reserve {
		t.Errorf("the reserve after a prune: got %v, %v, want it back", info, err)
	}
}

// fillRest uses up what is left with a file of somebody else; then even an index has no room.
func fillRest(t *testing.T, l *Local) {
	t.Helper()
	f, err := l.root.Create("others")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !IsFull(err) {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 10_000)
	if err := l.Save(t.Context(), named(Index, data), data); !IsFull(err) {
		t.Errorf("an index without a reserve: got %v, want %v", err, syscall.ENOSPC)
	}
}
