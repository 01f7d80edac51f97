package ios

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"
)

// samples is the folder of sample backups beside the checkout.
const samples = "../../shared/samples/backups"

// sample returns the path of one sample backup, or skips the test.
func sample(t testing.TB, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(samples, pattern, "*", ManifestName))
	if err != nil || len(found) != 1 {
		t.Skip("samples missing: " + samples + "/" + pattern)
	}
	return filepath.Dir(found[0])
}

// openFile opens a file until the test ends, and returns its size, too.
func openFile(t testing.TB, name string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

// openManifest opens a manifest until the test ends.
func openManifest(t testing.TB, r io.ReaderAt, size int64) *Manifest {
	t.Helper()
	m, err := OpenManifest(r, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// records returns the records of a sample that is not encrypted.
func records(t testing.TB, pattern string) []Record {
	t.Helper()
	f, size := openFile(t, filepath.Join(sample(t, pattern), DatabaseName))
	var all []Record
	for r, err := range openManifest(t, f, size).Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// truth is what the generator of a sample says that it holds.
type truth struct {
	Password string
	UDID     string
	Files    []fileTruth
}

type fileTruth struct {
	FileID, Domain, RelativePath string
	SHA256                       string `json:"plain_sha256"`
	Size                         int64  `json:"manifest_size"`
	PlainSize                    int64  `json:"plain_size"`
	Class                        uint32 `json:"class_"`
}

func readTruth(t testing.TB, folder string) truth {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "..", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tr truth
	if err := json.Unmarshal(data, &tr); err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestSamples reads every file of every sample, as a caller does.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"A-*", "B-*", "D-*", "I-*"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			folder := sample(t, pattern)
			want := readTruth(t, folder)
			b, err := Open(os.DirFS(folder))
			if err != nil {
				t.Fatal(err)
			}
			if b.UDID() != want.UDID || b.Encrypted() != (want.Password != "") || !b.Finished() || !IsBackup(os.DirFS(folder)) {
				t.Errorf("%+v is not as in %+v", b, want)
			}
			keys := unlockSample(t, b, want.Password)
			left := make(map[string]fileTruth)
			for _, f := range want.Files {
				left[f.FileID] = f
			}
			for _, r := range sampleRecords(t, b, folder, keys) {
				if r.FileID != FileID(r.Domain, r.RelativePath) {
					t.Errorf("%s is not %s-%s", r.FileID, r.Domain, r.RelativePath)
				}
				if r.Flags != RegularFile {
					continue
				}
				if err := checkFile(b, folder, keys, &r, left[r.FileID]); err != nil {
					t.Errorf("%s %s: %v", r.Domain, r.RelativePath, err)
				}
				delete(left, r.FileID)
			}
			if len(left) > 0 {
				t.Errorf("not in the manifest: %v", left)
			}
		})
	}
}

// unlockSample returns the keys of an encrypted sample.
func unlockSample(t *testing.T, b *Backup, password string) ClassKeys {
	t.Helper()
	if !b.Encrypted() {
		return nil
	}
	kb, err := b.Keybag()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := kb.Unlock(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// sampleRecords returns the records of any sample.
func sampleRecords(t *testing.T, b *Backup, folder string, keys ClassKeys) []Record {
	t.Helper()
	f, size := openFile(t, filepath.Join(folder, b.ManifestFile()))
	var seq iter.Seq2[Record, error]
	if b.Flat() {
		data, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		seq = ParseMBDB(data)
	} else {
		var r io.ReaderAt = f
		k, sealed, err := b.ManifestKey(keys)
		if err != nil || sealed != b.Encrypted() {
			t.Fatal(sealed, err)
		}
		if sealed {
			d, err := NewDecrypterAt(f, size, k)
			if err != nil {
				t.Fatal(err)
			}
			r, size = d, d.Size()
		}
		m := openManifest(t, r, size)
		if err := m.Check(t.Context()); err != nil {
			t.Error(err)
		}
		seq = m.Records(t.Context())
	}
	var all []Record
	for r, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// checkFile compares the record and the content of a file with the truth.
func checkFile(b *Backup, folder string, keys ClassKeys, r *Record, want fileTruth) error {
	var f File
	if err := r.Parse(&f); err != nil {
		return err
	}
	if f.RelativePath != want.RelativePath || r.Domain != want.Domain || f.ProtectionClass != want.Class ||
		f.Mode&0o170000 != 0o100000 || !b.Flat() && f.Size != want.Size || f.Digest != nil && len(f.Digest) != sha1.Size {
		return fmt.Errorf("%+v is not as in %+v", f, want)
	}
	data, err := os.ReadFile(filepath.Join(folder, b.Path(r.FileID)))
	if err != nil {
		return err
	}
	if sum := sha1.Sum(data); f.Digest != nil && sum != [sha1.Size]byte(f.Digest) {
		return fmt.Errorf("digest %x of a file with %x", f.Digest, sum)
	}
	if b.Encrypted() {
		k, err := keys.Unwrap(f.EncryptionKey)
		if err != nil {
			return err
		}
		if data, err = Decrypt(data[:0], data, k); err != nil {
			return err
		}
	} else if f.EncryptionKey != nil {
		return fmt.Errorf("a key in a plain backup")
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want.SHA256 || int64(len(data)) != want.PlainSize {
		return fmt.Errorf("%d bytes with SHA-256 %x", len(data), sum)
	}
	return nil
}
