package backend_test

import (
	"bytes"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"russet/backend"
)

// TestSFTPDurable reads what OpenSSH's server notes down: bytes are synced before they get their name, and names before a
// call returns.
func TestSFTPDurable(t *testing.T) {
	t.Parallel()
	var notes bytes.Buffer
	o := sftpServer(t, "-e", "-l", "VERBOSE")
	o.SFTP.Stderr = &notes
	folder := t.TempDir()
	b, err := backend.OpenSFTP(t.Context(), "host:"+folder+"/a/b", o, true)
	if err != nil {
		t.Fatal(err)
	}
	var files []backend.File
	for _, k := range []backend.Kind{backend.Config, backend.Data, backend.Lock} {
		f := mustSave(t, b, k, "text")
		if k != backend.Config {
			mustSave(t, b, k, "text")
			if err := b.Remove(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		files = append(files, f)
	}
	if err := b.(io.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	got := steps(notes.String(), folder)
	at := slices.Index(got, "open /a/b/config-tmp")
	if at < 0 {
		t.Fatalf("got %q, want the config to be saved", got)
	}
	made, got := got[:at], got[at:]
	for _, want := range []string{"sync ", "sync /a", "sync /a/b", "sync /a/b/data"} {
		if !slices.Contains(made, want) {
			t.Errorf("creation: got %q, want %q", made, want)
		}
	}
	pack, lock := place("/a/b", files[1]), place("/a/b", files[2])
	want := append(saving("/a/b/config", "rename"), saving(pack, "posix-rename")...)
	want = append(append(want, saving(pack, "posix-rename")...), "remove "+pack)
	want = append(append(want, saving(lock, "posix-rename")...), saving(lock, "posix-rename")...)
	want = append(want, "remove "+lock, "sync /a/b/locks")
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func saving(name, rename string) []string {
	return []string{"open " + name + "-tmp", "sync " + name + "-tmp", rename + " " + name + "-tmp", "sync " + path.Dir(name)}
}

// note is a line of the log of sftp-server.
var note = regexp.MustCompile(`(?m)^(open|fsync|rename|posix-rename|remove)(?: old| name)? "([^"]*)"(.*)$`)

// steps gives what counts of a log, with short names.
func steps(log, folder string) (steps []string) {
	random := regexp.MustCompile("-tmp-[0-9a-f]+$")
	for _, m := range note.FindAllStringSubmatch(log, -1) {
		if m[1] == "open" && !strings.Contains(m[3], "CREATE") {
			continue
		}
		name := random.ReplaceAllString(strings.TrimPrefix(m[2], folder), "-tmp")
		steps = append(steps, strings.TrimPrefix(m[1], "f")+" "+name)
	}
	return steps
}
