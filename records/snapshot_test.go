package records_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"russet/backend"
	"russet/capture"
	"russet/crypto"
	"russet/internal/vobject"
	"russet/records"
	"russet/repo"
)

// TestSnapshots reads the contacts of two versions of an encrypted backup out of a
// repository, where databases lie in many blobs.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	r, err := repo.Init(t.Context(), backend.NewMemory(), "x", repo.InitOptions{Cost: crypto.Cost{N: 1 << 10, R: 1, P: 1}, Owner: repo.Owner{Time: time.Unix(0, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	var sets []*records.Set
	for _, name := range []string{"A-enc-full", "B-enc-incr-of-A"} {
		files := snapshot(t, r, name)
		set, err := records.Read(t.Context(), files, records.Contacts)
		if err != nil {
			t.Fatal(err)
		}
		stores, err := records.Stores(files, records.Contacts)
		if err != nil || !reflect.DeepEqual(stores, set.Stores) {
			t.Errorf("%s: stores %v, %v, want %v", name, stores, err, set.Stores)
		}
		sets = append(sets, set)
	}
	before := map[string]vobject.Hash{}
	for _, c := range sets[0].Records {
		before[c.UID] = vobject.HashOf(vobject.Canonical(c.Object))
	}
	var changed []string
	for _, c := range sets[1].Records {
		if before[c.UID] != vobject.HashOf(vobject.Canonical(c.Object)) {
			changed = append(changed, c.UID)
		}
	}
	want := []string{"12e8c6810b22e7de", "5f8646a08d4d90b4"}
	if len(sets[0].Records) != 9 || len(sets[1].Records) != 9 || !reflect.DeepEqual(changed, want) {
		t.Errorf("%d contacts, then %d of which %v changed, want 9 each and %v", len(sets[0].Records), len(sets[1].Records), changed, want)
	}
}

// snapshot keeps a sample in r and returns the phone's files.
func snapshot(t *testing.T, r *repo.Repository, name string) fs.FS {
	t.Helper()
	dir := filepath.Join("../../shared/samples/backups", name, "00008030-000A1B2C3D4E5F60")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Skip("samples missing: " + name)
	}
	defer root.Close()
	password := func(_ context.Context, a capture.Ask) (string, bool, error) { return "Grün-fixture 42", !a.Wrong, nil }
	res, err := capture.Folder(t.Context(), r, root, name, capture.Options{Password: password})
	if err != nil {
		t.Fatal(err)
	}
	v, err := capture.Open(t.Context(), r, res.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(v.FS(t.Context()), "Files")
	if err != nil {
		t.Fatal(err)
	}
	return files
}
