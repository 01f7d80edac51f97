package durable_test

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"russet/internal/durable"
)

// resident is how many pages of a file lie in the system's cache.
func resident(t *testing.T, root *os.Root, name string) (n int) {
	t.Helper()
	f, err := root.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Skip("not here: files in memory: ", err)
	}
	defer unix.Munmap(mapped)
	pages := make([]byte, (len(mapped)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Skip("not here: what lies in the cache: ", errno)
	}
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// TestUncached: what is written uncached leaves the cache. A file system in memory is nothing
// but cache, and others may know better.
func TestUncached(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var info unix.Statfs_t
	if err := unix.Statfs(folder, &info); err != nil {
		t.Fatal(err)
	}
	switch info.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC:
	default:
		t.Skipf("not here: a file system of type %x", info.Type)
	}
	root := openRoot(t, folder)
	data := bytes.Repeat([]byte("russet"), 1<<18)
	for name, write := range map[string]writer{"cached": durable.WriteFile, "uncached": durable.WriteUncached} {
		if err := write(root, name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cached, uncached := resident(t, root, "cached"), resident(t, root, "uncached")
	if cached == 0 || uncached > cached/2 {
		t.Errorf("%d pages of an uncached file are in the cache, %d of another", uncached, cached)
	}
}

// TestUncachedLengths: a file written past the cache is the same, whatever its length and wherever it lay in memory.
func TestUncachedLengths(t *testing.T) {
	t.Parallel()
	root := openRoot(t, t.TempDir())
	const block, piece = 4 << 10, 4 << 20
	memory := make([]byte, 2*piece+3*block)
	for i := range memory {
		memory[i] = byte(i / 251)
	}
	for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, piece, piece + block, 2*piece + 2*block - 1} {
		for _, from := range []int{0, 8, block} {
			data := memory[from:][:n]
			if err := durable.WriteUncached(root, "file", data, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := root.ReadFile("file"); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes from %d on: %d came back, or others: %v", n, from, len(got), err)
			}
		}
	}
}

// BenchmarkWrite tells what it costs the processor to write packs through the system's cache and past it.
func BenchmarkWrite(b *testing.B) {
	for name, write := range map[string]writer{"cached": durable.WriteFile, "uncached": durable.WriteUncached} {
		b.Run(name, func(b *testing.B) {
			root, err := os.OpenRoot(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			data := bytes.Repeat([]byte("russet"), 16<<20/6)
			before := processorTime(b)
			for b.Loop() {
				if err := write(root, "pack", data, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-before)/float64(b.N)/float64(len(data))*1e9, "CPU-s/GB")
		})
	}
}

// processorTime is that of this process, in seconds.
func processorTime(b *testing.B) float64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
