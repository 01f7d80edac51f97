package repo

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestRESTInTurn has restic and us work in turn on repositories behind servers of its REST protocol, one of which only
// appends, and through an rclone that each of us starts.
func TestRESTInTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		address func(t *testing.T) string
	}{
		{"server", func(t *testing.T) string {
			return "rest:" + backendtest.RcloneServer{Remote: t.TempDir()}.Start(t) + "repo/"
		}},
		{"append-only", func(t *testing.T) string {
			return "rest:" + backendtest.RcloneServer{Remote: ":memory:", AppendOnly: true}.Start(t) + "a/repo/"
		}},
		{"rclone", func(t *testing.T) string {
			backendtest.Rclone(t)
			return "rclone:" + filepath.ToSlash(t.TempDir())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			source := plainLinks(t, sourceFolder(t))
			j := judge{dir: c.address(t), cwd: source}
			be, err := backend.Create(t.Context(), j.dir, backend.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer closePlace(t, be)
			r := initRepo(t, be, 2)
			saveFiles(t, r, map[string][]byte{"a": payload(1, 3_000_000), "empty": {}})

			j.run(t, "backup", ".")
			if out := j.run(t, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
				t.Errorf("check: %s", out)
			}
			again, place := openStore(t, j.dir)
			defer closePlace(t, place)
			snaps, err := again.AllSnapshots(t.Context())
			if err != nil || len(snaps) != 2 {
				t.Fatalf("got %d snapshots, %v, want 2", len(snaps), err)
			}
			saveFiles(t, again, map[string][]byte{"a": payload(2, 100_000)})
			if out := j.run(t, "snapshots", "--json"); strings.Count(out, `"short_id"`) != 3 {
				t.Errorf("got %s, want 3 snapshots", out)
			}
			remove(t, place, c.name == "append-only")
		})
	}
}

// remove removes what a server may refuse to remove, and what it must not refuse.
func remove(t *testing.T, place backend.Backend, refused bool) {
	t.Helper()
	lock := backendtest.Named(backend.Lock, []byte("lock"))
	if err := place.Save(t.Context(), lock, []byte("lock")); err != nil {
		t.Fatal(err)
	}
	if err := place.Remove(t.Context(), lock); err != nil {
		t.Errorf("remove a lock: %v", err)
	}
	for info, err := range place.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		err = place.Remove(t.Context(), backend.File{Kind: backend.Data, Name: info.Name})
		if refused != errors.Is(err, fs.ErrPermission) || !refused && err != nil || backend.IsTemporary(err) {
			t.Errorf("remove a pack: got %v, refused: %t", err, refused)
		}
	}
}

func closePlace(t *testing.T, place backend.Backend) {
	t.Helper()
	if err := place.(io.Closer).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
