package ios

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"russet/internal/plist"
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

// openSample opens the manifest of a sample that is not encrypted.
func openSample(t testing.TB, pattern string) *Manifest {
	t.Helper()
	f, err := os.Open(filepath.Join(sample(t, pattern), DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenManifest(f, info.Size())
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

// blobs returns the records of a sample.
func blobs(t testing.TB, pattern string) []Record {
	t.Helper()
	var all []Record
	for r, err := range openSample(t, pattern).Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestRecordsOfAPhone writes records that an iPhone wrote (iOS 16) once more: they must come out the same.
func TestRecordsOfAPhone(t *testing.T) {
	t.Parallel()
	all := blobs(t, "greatvovan")
	if len(all) != 6 {
		t.Fatalf("%d records", len(all))
	}
	for _, r := range all {
		var f File
		if err := r.Parse(&f); err != nil {
			t.Fatal(err)
		}
		if f.RelativePath != r.RelativePath || r.FileID != FileID(r.Domain, r.RelativePath) {
			t.Errorf("%+v is not of %+v", f, r)
		}
		if got := MarshalFile(&f); !bytes.Equal(got, r.Blob) {
			t.Errorf("MarshalFile:\n%x, want\n%x", got, r.Blob)
		}
	}
}

var _ = []any{context.Background, json.Marshal, fs.ErrExist, reflect.DeepEqual, plist.Binary}

func BenchmarkParseFile(b *testing.B) {
	all := blobs(b, "D-*")
	var f File
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := all[i%len(all)].Parse(&f); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
