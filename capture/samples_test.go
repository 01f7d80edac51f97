package capture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/crypto"
	"russet/ios"
	"russet/repo"
)

const samples = "../../shared/samples/backups"

const samplePassword = "Grün-fixture 42"

func sampleFolder(t *testing.T, name string) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(samples, name, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			return d
		}
	}
	t.Skip("samples missing: " + name)
	return ""
}

// cheapInit keeps key derivation out of the tests' time.
func cheapInit() repo.InitOptions {
	return repo.InitOptions{Cost: crypto.Cost{N: 1 << 10, R: 1, P: 1}, Owner: repo.Owner{Time: time.Unix(0, 0)}}
}

func newRepo(t *testing.T) *repo.Repository {
	t.Helper()
	r, err := repo.Init(t.Context(), backend.NewMemory(), "x", cheapInit())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func withPassword(password string) Options {
	return Options{Password: func(_ context.Context, a Ask) (string, bool, error) {
		return password, !a.Wrong, nil
	}}
}

func keep(t *testing.T, r *repo.Repository, dir string, opt Options) *Result {
	t.Helper()
	res, err := Folder(t.Context(), r, openRoot(t, dir), filepath.Base(dir), opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// state is a folder: each path with the hash and time of a file, the target of
// a link, or "dir".
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			m[rel] = "dir"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			m[rel] = "link " + target
		default:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			m[rel] = hex.EncodeToString(sum[:]) + " " + info.ModTime().UTC().Format(time.RFC3339Nano)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for p, w := range want {
		if got[p] != w {
			t.Errorf("%s: got %q, want %q", p, got[p], w)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s: was not there", p)
		}
	}
}

// writeBack restores a snapshot's folder and compares it with dir.
func writeBack(t *testing.T, r *repo.Repository, s *repo.Snapshot, dir string) {
	t.Helper()
	compare(t, state(t, writtenOut(t, r, s)), state(t, dir))
}

// writtenOut writes a snapshot's folder out, which must be the original, and
// returns where it lies.
func writtenOut(t *testing.T, r *repo.Repository, s *repo.Snapshot) string {
	t.Helper()
	v, err := Open(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	res, err := v.RestoreFolder(t.Context(), openRoot(t, target), RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Original || len(res.Failed) > 0 {
		t.Errorf("restored: %+v, want the original", res)
	}
	return filepath.Join(target, v.UDID)
}

// truth compares the plaintext of a snapshot with the sample's truth.json.
func truth(t *testing.T, r *repo.Repository, s *repo.Snapshot, sample string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(samples, sample, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Files []struct {
			Domain, RelativePath string
			Plain                string `json:"plain_sha256"`
			Missing              bool
		}
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if _, err := v.RestoreFiles(t.Context(), openRoot(t, target), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, f := range want.Files {
		got, err := os.ReadFile(filepath.Join(target, f.Domain, f.RelativePath))
		if f.Missing {
			if err == nil {
				t.Errorf("%s/%s: is there, but should be missing", f.Domain, f.RelativePath)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		compared++
		if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != f.Plain {
			t.Errorf("%s/%s: plaintext differs", f.Domain, f.RelativePath)
		}
	}
	if compared == 0 {
		t.Error("truth.json lists no files")
	}
}

func TestSamplesByteForByte(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A-enc-full", "B-enc-incr-of-A", "D-unencrypted-same-content-as-B", "E-enc-10M-rounds", "I-ios9-mbdb-plain", "greatvovan"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(name, "E") && testing.Short() {
				t.Skip("short: ten million rounds of key derivation")
			}
			dir := sampleFolder(t, name)
			r := newRepo(t)
			opt := withPassword(samplePassword)
			opt.Incomplete = true
			res := keep(t, r, dir, opt)
			writeBack(t, r, res.Snapshot, dir)
			if name != "greatvovan" {
				truth(t, r, res.Snapshot, name)
			}
			if again := keep(t, r, dir, opt); !again.Kept {
				t.Errorf("the same folder was kept twice: %+v", again.Summary)
			}
		})
	}
}

func TestSamplesDeduplicate(t *testing.T) {
	t.Parallel()
	a, b, d := sampleFolder(t, "A-enc-full"), sampleFolder(t, "B-enc-incr-of-A"), sampleFolder(t, "D-unencrypted-same-content-as-B")
	r := newRepo(t)
	opt := withPassword(samplePassword)
	opt.Keys = map[string]ios.ClassKeys{}
	for _, dir := range []string{a, b, d} {
		res := keep(t, r, dir, opt)
		t.Logf("%s: %+v", filepath.Base(filepath.Dir(dir)), res.Summary)
		if dir == d && res.Summary.BytesStored > 100<<10 {
			t.Errorf("the same content in plain took %d bytes", res.Summary.BytesStored)
		}
		writeBack(t, r, res.Snapshot, dir)
	}
}

func TestSealed(t *testing.T) {
	t.Parallel()
	dir := sampleFolder(t, "A-enc-full")
	r := newRepo(t)
	res := keep(t, r, dir, Options{})
	if !res.Snapshot.HasTag(TagSealed) {
		t.Errorf("tags %q, want sealed", res.Snapshot.Tags)
	}
	writeBack(t, r, res.Snapshot, dir)
	if again := keep(t, r, dir, Options{}); !again.Kept {
		t.Error("a sealed folder was kept twice")
	}
	again := keep(t, r, dir, withPassword("wrong"))
	if !again.Kept {
		t.Error("a sealed folder was kept twice, with a wrong password")
	}
	open := keep(t, r, dir, withPassword(samplePassword))
	if open.Kept || open.Snapshot.HasTag(TagSealed) {
		t.Errorf("with its password: %+v, tags %q", open, open.Snapshot.Tags)
	}
	writeBack(t, r, open.Snapshot, dir)
	truth(t, r, open.Snapshot, "A-enc-full")
}
