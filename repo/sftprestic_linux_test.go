package repo

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestSFTPInTurn has restic and us work in turn on a repository on a server, where restic gets with the program ssh.
func TestSFTPInTurn(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	source := plainLinks(t, sourceFolder(t))
	j := judge{dir: s.Address(filepath.Join(t.TempDir(), "of", "ours")), cwd: source}
	by := "sftp.command=" + strings.Join(s.Command(), " ")

	be, err := backend.Create(t.Context(), j.dir, s.Options())
	if err != nil {
		t.Fatal(err)
	}
	closeInTheEnd(t, be)
	r := initRepo(t, be, 2)
	saveFiles(t, r, map[string][]byte{"a": payload(1, 3_000_000), "empty": {}})
	j.run(t, "-o", by, "backup", ".")

	again, err := backend.Open(t.Context(), j.dir, s.Options())
	if err != nil {
		t.Fatal(err)
	}
	closeInTheEnd(t, again)
	r = checkClean(t, again)
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil || len(snaps) != 2 {
		t.Fatalf("got %d snapshots, %v, want 2", len(snaps), err)
	}
	sameFolder(t, extract(t, r, *snaps[1].Tree), source)
	saveFiles(t, r, map[string][]byte{"a": payload(2, 100_000)})

	j.run(t, "-o", by, "forget", "--prune", "--max-unused", "0", "--keep-last", "1", "--group-by", "paths")
	if snaps, err = checkClean(t, again).AllSnapshots(t.Context()); err != nil || len(snaps) != 2 {
		t.Errorf("got %d snapshots, %v, want one of each path", len(snaps), err)
	}
	if out := j.run(t, "-o", by, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("check: %s", out)
	}
}

// TestSFTPByRestic opens the place that restic has made; its key is too dear for more.
func TestSFTPByRestic(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	j := judge{dir: s.Address(filepath.Join(t.TempDir(), "repo"))}
	j.run(t, "-o", "sftp.command="+strings.Join(s.Command(), " "), "init")
	be, err := backend.Open(t.Context(), j.dir, s.Options())
	if err != nil {
		t.Fatal(err)
	}
	closeInTheEnd(t, be)
	for _, k := range []backend.Kind{backend.Config, backend.Key, backend.Data} {
		files := 0
		for _, err := range be.List(t.Context(), k) {
			if err != nil {
				t.Fatal(err)
			}
			files++
		}
		if want := map[backend.Kind]int{backend.Config: 1, backend.Key: 1}[k]; files != want {
			t.Errorf("%v: got %d files, want %d", k, files, want)
		}
	}
	data := payload(1, 1000)
	if err := be.Save(t.Context(), backendtest.Named(backend.Data, data), data); err != nil {
		t.Error(err)
	}
}

func closeInTheEnd(t *testing.T, be backend.Backend) {
	t.Cleanup(func() {
		if err := be.(io.Closer).Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
