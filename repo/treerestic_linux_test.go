package repo

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
)

// oddFolder fills dir with what a tree can hold. What needs a privilege or a
// file system that is not there is left out.
func oddFolder(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return dir + "/" + name }
	for c := 1; c < 256; c++ {
		if c != '/' {
			must(os.WriteFile(path("x"+string([]byte{byte(c)})), nil, 0o600))
		}
	}
	for i, name := range []string{
		"é", "e\u0301", "\u00ad", "\ufeff", "\u2028\u2029", "\ufffd", "\U0001f600", "\U0001fae0", "\U0001f9cc", "\u200d", "\u3000", "\u0378",
		"\xed\xa0\x80", "\xf0\x9f\x98", "we\"ird <&>\n name", "\\", "\\x41", "\\\"", "'", "-", " ", "...", "日本語", "\xc3\x28", strings.Repeat("\xff", 255),
	} {
		must(os.WriteFile(path(name), fmt.Appendf(nil, "content %d", i), 0o644))
		when := time.Date(1960+7*i, 2, 28, 23, 59, i, i*1_010_000, time.UTC)
		must(os.Chtimes(path(name), when.Add(time.Hour), when))
	}
	for mode := range uint32(8) {
		name := fmt.Sprint("mode", mode)
		must(os.WriteFile(path(name), nil, 0o600))
		permissions := mode * 0o111
		if os.Geteuid() != 0 {
			permissions |= 0o400 // restic has to read it
		}
		must(unix.Chmod(path(name), mode<<9|permissions))
		must(os.Mkdir(path("dir"+name), 0o700))
		must(unix.Chmod(path("dir"+name), mode<<9|0o700))
	}
	must(os.Link(path("mode4"), path("hard")))
	must(unix.Mkfifo(path("fifo"), 0o640))
	for i, target := range []string{"mode4", "gone", "\xff/\xe2\x80", "\ufffd", "\xff\ufffd", "a\b\f\x01\t\n\r\x7f", "<&>\"\\\u2028", "\U0001fae0"} {
		must(os.Symlink(target, path(fmt.Sprint("link", i))))
	}
	_ = unix.Mknod(path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
	_ = unix.Mknod(path("loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 200)))
	_ = os.Chown(path("hard"), 54321, 65432)
	for i, name := range []string{"user.a", "user.<&>\b\f\x01", "user.\xff", "user.\ufffd", "user.\u2028", "user.empty"} {
		_ = unix.Setxattr(path("xa"), name, bytes.Repeat([]byte{0, 0xff}, 10*(5-i)), 0)
		_ = unix.Setxattr(path("dirmode1"), name, []byte{byte(i)}, 0)
	}
}

// Every tree that the installed restic writes is encoded again as it was.
func TestTreeOfRestic(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("restic")
	if err != nil {
		t.Skip("judge missing: restic")
	}
	source, store := t.TempDir(), filepath.Join(t.TempDir(), "repo")
	oddFolder(t, source)
	be, err := backend.Create(t.Context(), store, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cost := crypto.Cost{N: 16, R: 1, P: 1} // restic runs several times
	if _, err := Init(t.Context(), be, "x", InitOptions{Version: 2, Cost: cost}); err != nil {
		t.Fatal(err)
	}
	run := func(zone string, arguments ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), program, append([]string{"--no-cache", "-q", "-r", store}, arguments...)...)
		c.Dir = source
		c.Env = []string{"RESTIC_PASSWORD=x", "HOME=" + t.TempDir(), "TZ=" + zone}
		var problems bytes.Buffer
		c.Stderr = &problems
		out, err := c.Output()
		if err != nil {
			t.Fatalf("restic %v: %v: %s", arguments, err, problems.String())
		}
		return string(out)
	}
	run("UTC", "backup", ".")
	run("Asia/Kathmandu", "backup", "--with-atime", "--force", ".")
	run("America/St_Johns", "backup", "--force", ".")
	nodes, trees, spelled, attributes := 0, 0, 0, 0
	for line := range strings.Lines(run("UTC", "list", "blobs")) {
		kind, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "tree" {
			continue
		}
		text := run("UTC", "--no-lock", "cat", "blob", id)
		if got := chunk.Sum([]byte(text)).String(); got != id {
			t.Fatalf("restic cat gives %s for %s", got, id)
		}
		tree, err := DecodeTree([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(tree.Append(nil)); tree.Lossy || got != text {
			t.Errorf("lossy %v\ngot  %s\nwant %s", tree.Lossy, got, text)
		}
		if err := tree.Validate(); err != nil {
			t.Error(err)
		}
		trees++
		nodes += len(tree.Nodes)
		for _, n := range tree.Nodes {
			spelled += len(n.spelled)
			attributes += len(n.ExtendedAttributes)
			checkOddNode(t, source, n)
		}
	}
	t.Logf("%d trees with %d nodes, %d extended attributes, %d strings spelled otherwise", trees, nodes, attributes, spelled)
	if trees < 4 || nodes < 900 {
		t.Error("fewer trees than there were backups")
	}
}

// checkOddNode compares a node with the file that it was made of.
func checkOddNode(t *testing.T, dir string, n *Node) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(dir+"/"+n.Name, &st); err != nil {
		t.Errorf("%q is not there: %v", n.Name, err)
		return
	}
	if got := uint32(FileMode(st.Mode)); got != n.Mode || TypeOf(FileMode(st.Mode)) != n.Type || n.Inode != st.Ino || n.UID != st.Uid {
		t.Errorf("%q: got %+v, want mode %o, inode %d", n.Name, n, st.Mode, st.Ino)
	}
	if sec, nsec := n.ModTime.Unix(), n.ModTime.Nanosecond(); sec != st.Mtim.Sec || int64(nsec) != st.Mtim.Nsec {
		t.Errorf("%q: modified %v, want %d.%d", n.Name, n.ModTime, st.Mtim.Sec, st.Mtim.Nsec)
	}
}
