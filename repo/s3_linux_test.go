package repo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// TestS3InTurn lets restic and us work in turn on one repository in a bucket.
func TestS3InTurn(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := backend.Options{S3: backend.S3Options{AccessKey: s.AccessKey, SecretKey: s.SecretKey}}
	j := judge{
		dir: s.Address("phones/of the family"), cwd: t.TempDir(),
		env: []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey},
	}
	be, err := backend.Create(t.Context(), j.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	files := testFiles()
	saveFiles(t, initRepo(t, be, 2), files)
	if out := j.run(t, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Errorf("check: %s", out)
	}
	content := payload(3, 700_000)
	if err := os.WriteFile(filepath.Join(j.cwd, "by restic"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	j.run(t, "backup", "by restic")
	be, err = backend.Open(t.Context(), j.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	r := checkClean(t, be)
	saveFiles(t, r, map[string][]byte{"again": payload(4, 100_000)})
	j.run(t, "forget", "--prune", "--max-unused", "0", "--keep-last", "1", "--group-by", "paths")
	r = checkClean(t, be)
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil || len(snaps) != 2 {
		t.Fatalf("got %d snapshots, %v, want one of each path", len(snaps), err)
	}
	target := t.TempDir()
	j.run(t, "restore", "latest", "--path", filepath.Join(j.cwd, "by restic"), "--target", target)
	got, err := os.ReadFile(filepath.Join(target, "by restic"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("restored %d bytes, %v, want %d", len(got), err, len(content))
	}
	j.run(t, "check", "--read-data")
}
