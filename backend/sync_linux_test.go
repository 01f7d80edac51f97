//go:build amd64 || arm64

package backend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"russet/internal/durable"
)

// notification and answer are those of the kernel's linux/seccomp.h.
type notification struct {
	id         uint64
	pid, flags uint32
	call       int32
	arch       uint32
	at         uint64
	args       [6]uint64
}

type answer struct {
	id           uint64
	value        int64
	error, flags int32
}

// watched are the system calls that make something durable or visible.
var watched = map[int32]string{
	unix.SYS_FSYNC: "sync", unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_LINKAT: "link", unix.SYS_UNLINKAT: "remove",
}

// calls runs do, and returns in their order the system calls that it made on a
// folder: which file or folder below it was synced, and what was done to names.
func calls(t *testing.T, folder string, do func() error) []string {
	t.Helper()
	listener := make(chan int)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the filter goes with the thread
		fd, err := watch()
		listener <- fd
		if err != nil {
			done <- err
			return
		}
		err = do()
		_ = unix.Fsync(-1) // the last one that is looked at
		done <- err
	}()
	fd := <-listener
	if fd < 0 {
		t.Skipf("not here: system calls cannot be watched: %v", <-done)
	}
	defer unix.Close(fd)
	var seen []string
	for {
		var n notification
		if err := control(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err == unix.EINTR {
			continue
		} else if err != 0 {
			t.Fatal(err)
		}
		what := watched[n.call]
		last := n.call == unix.SYS_FSYNC && int32(n.args[0]) < 0
		if n.call == unix.SYS_FSYNC && !last {
			what += " " + opened(folder, int(n.args[0]))
		}
		if !last && (len(seen) == 0 || seen[len(seen)-1] != what) { // os tries to remove what may be a folder twice
			seen = append(seen, what)
		}
		a := answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if err := control(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)); err != 0 {
			t.Fatal(err)
		}
		if last {
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return seen
}

// watch has the kernel ask before each watched call of this thread.
func watch() (listener int, err error) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for call := range watched {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(call)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	fd, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		return -1, failed
	}
	return int(fd), nil
}

func control(fd int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return err
}

// opened names what is open, below the folder.
func opened(folder string, fd int) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err == nil {
		name, err = filepath.Rel(folder, name)
	}
	if err != nil {
		return err.Error()
	}
	if _, ok := durable.IsTemporary(filepath.Base(name)); ok {
		return "temporary"
	}
	return strings.ReplaceAll(name, testName, "NAME")
}

var testName = strings.Repeat("ab", nameSize/2)

// What Local has said to be there, or away, was synced: the bytes of a file
// before it gets its name, and the folders of its names after that.
func TestLocalSyncs(t *testing.T) {
	t.Parallel()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := createLocal(t.Context(), filepath.Join(folder, "repo"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, day := context.WithoutCancel(t.Context()), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	snapshot := File{Snapshot, testName}
	save := func(f File) func() error { return func() error { return l.Save(ctx, f, []byte("bytes")) } }
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"save config", save(File{}), []string{"sync temporary", "link", "remove", "sync ."}},
		{"save", save(snapshot), []string{"sync temporary", "rename", "sync snapshots"}},
		{"save again", save(snapshot), []string{"sync snapshots/NAME", "sync snapshots"}},
		{"save pack", save(File{Data, testName}), []string{"sync temporary", "rename", "sync data/ab"}},
		{"remove", func() error { return l.Remove(ctx, snapshot) }, []string{"remove", "sync snapshots"}},
		{"save once more", save(snapshot), []string{"sync temporary", "rename", "sync snapshots"}},
		{"set aside", func() error { return l.SetAside(ctx, snapshot, day) }, []string{
			"sync .", "sync quarantine", "sync quarantine/2026-03-01", "remove", "rename", "sync quarantine/2026-03-01/snapshots", "sync snapshots",
		}},
		{"mark", func() error { return l.SaveMark(ctx, []byte("mark")) }, []string{"sync temporary", "rename", "sync ."}},
		{"remove mark", func() error { return l.RemoveMark(ctx) }, []string{"remove", "sync ."}},
	} {
		if got := calls(t, filepath.Join(folder, "repo"), c.do); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
