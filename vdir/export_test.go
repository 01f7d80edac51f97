package vdir_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"russet/vdir"
)

// records are UIDs and names, in turns.
func records(of ...string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for pair := range slices.Chunk(of, 2) {
			if !yield(pair[0], card(pair[0], pair[1])) {
				return
			}
		}
	}
}

// export exports, and wants these counts.
func export(t *testing.T, f *vdir.Folder, name string, want vdir.Exported, of ...string) {
	t.Helper()
	got, err := f.Export(t.Context(), name, true, records(of...))
	if err != nil || got != want {
		t.Errorf("%s %q: got %+v, %v, want %+v", name, of, got, err, want)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// folder opens a new folder without a marker.
func folder(t *testing.T) (*vdir.Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := vdir.Open(dir, vdir.VCards)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func TestExport(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	write(t, dir, "own.vcf", []byte("mine"))
	write(t, dir, "notes.txt", []byte("mine"))
	export(t, f, "contacts", vdir.Exported{Written: 3}, "a", "A", "b", "B", "c", "C")
	old := time.Unix(1000, 0)
	for _, name := range []string{"a.vcf", ".russet-export"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	export(t, f, "contacts", vdir.Exported{Unchanged: 3}, "a", "A", "b", "B", "c", "C")
	if info, err := os.Stat(filepath.Join(dir, ".russet-export")); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("an export that changes nothing writes its list: %v", err)
	}
	export(t, f, "contacts", vdir.Exported{Written: 1, Updated: 1, Unchanged: 1, Removed: 1}, "a", "A", "b", "B2", "d", "D")
	if info, err := os.Stat(filepath.Join(dir, "a.vcf")); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("what is as it should be was touched: %v", err)
	}
	export(t, f, "others", vdir.Exported{Written: 1}, "o", "O")
	want := []string{".russet-export", "a.vcf", "b.vcf", "d.vcf", "notes.txt", "o.vcf", "own.vcf"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if read(t, dir, "b.vcf") != string(card("b", "B2")) || read(t, dir, "own.vcf") != "mine" {
		t.Error("other content than exported")
	}
	export(t, f, "contacts", vdir.Exported{Removed: 3})
	export(t, f, "others", vdir.Exported{Removed: 1})
}

func TestExportKeepsEdits(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	export(t, f, "x", vdir.Exported{Written: 3}, "a", "A", "b", "B", "c", "C")
	write(t, dir, "a.vcf", []byte("edited"))
	write(t, dir, "b.vcf", []byte("edited"))
	if err := os.Remove(filepath.Join(dir, "c.vcf")); err != nil {
		t.Fatal(err)
	}
	export(t, f, "x", vdir.Exported{Kept: 2, Written: 1}, "a", "A2", "c", "C")
	export(t, f, "x", vdir.Exported{Kept: 1, Unchanged: 1}, "a", "A3", "c", "C")
	if read(t, dir, "a.vcf") != "edited" || read(t, dir, "b.vcf") != "edited" {
		t.Error("edits are lost")
	}
	write(t, dir, "a.vcf", card("a", "A"))
	export(t, f, "x", vdir.Exported{Updated: 1, Unchanged: 1}, "a", "A3", "c", "C")
}

// Of records that are not all that there are, none is known to be gone.
func TestExportOfSome(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	export(t, f, "x", vdir.Exported{Written: 2}, "a", "A", "b", "B")
	got, err := f.Export(t.Context(), "x", false, records("a", "A2"))
	if want := (vdir.Exported{Updated: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if read(t, dir, "b.vcf") != string(card("b", "B")) {
		t.Error("the file of a record that was not read is gone")
	}
	export(t, f, "x", vdir.Exported{Unchanged: 1, Removed: 1}, "a", "A2")
}

// What somebody changes while an export runs is left alone, too.
func TestExportMeanwhile(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	export(t, f, "x", vdir.Exported{Written: 1}, "a", "A")
	turn := 0
	got, err := f.Export(t.Context(), "x", true, func(yield func(string, []byte) bool) {
		if turn++; turn == 2 {
			write(t, dir, "a.vcf", []byte("edited"))
		}
		yield("a", card("a", "A2"))
	})
	if want := (vdir.Exported{Kept: 1}); err != nil || got != want || read(t, dir, "a.vcf") != "edited" {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	export(t, f, "x", vdir.Exported{Kept: 1}, "a", "A2")
}

// Names that are taken, by a file or by another record, are never taken again.
func TestExportNames(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	write(t, dir, "a.vcf", []byte("somebody's"))
	write(t, dir, "same.vcf", card("same", "S"))
	if err := os.Mkdir(filepath.Join(dir, "b.vcf"), 0o700); err != nil {
		t.Fatal(err)
	}
	of := []string{"a", "A", "b", "B", "same", "S", "twice", "1", "twice", "2", "TWICE", "3", "twice", "4"}
	export(t, f, "x", vdir.Exported{Written: 6, Unchanged: 1}, of...)
	export(t, f, "x", vdir.Exported{Unchanged: 7}, of...)
	if read(t, dir, "a.vcf") != "somebody's" || read(t, dir, "twice.vcf") != string(card("twice", "1")) {
		t.Error("a file was replaced")
	}
	export(t, f, "x", vdir.Exported{Removed: 6})
	if got, want := files(t, dir), []string{".russet-export", "a.vcf", "b.vcf", "same.vcf"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An export that ends after any of its records is completed by the next one, even
// when the records are other ones by then.
func TestExportCutOff(t *testing.T) {
	t.Parallel()
	first := []string{"a", "A", "b", "B", "c", "C"}
	second := []string{"a", "A2", "b", "B2", "d", "D"}
	third := []string{"a", "A3", "b", "B", "e", "E"}
	for end := range 7 {
		f, dir := folder(t)
		export(t, f, "x", vdir.Exported{Written: 3}, first...)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		_, err := f.Export(ctx, "x", true, func(yield func(string, []byte) bool) {
			for uid, body := range records(second...) {
				if n++; n > end {
					cancel()
				}
				if !yield(uid, body) {
					return
				}
			}
		})
		if cancel(); (err == nil) != (end == 6) {
			t.Errorf("cut off at %d: got %v", end, err)
		}
		if _, err := f.Export(t.Context(), "x", true, records(third...)); err != nil {
			t.Errorf("cut off at %d: %v", end, err)
		}
		if got, want := files(t, dir), []string{".russet-export", "a.vcf", "b.vcf", "e.vcf"}; !slices.Equal(got, want) {
			t.Errorf("cut off at %d: got %q, want %q", end, got, want)
		}
		export(t, f, "x", vdir.Exported{Unchanged: 3}, third...)
	}
}

func TestExportList(t *testing.T) {
	t.Parallel()
	f, dir := folder(t)
	for _, list := range []string{"", "{}", `{"version":2}`, "[]"} {
		write(t, dir, ".russet-export", []byte(list))
		if got, err := f.Export(t.Context(), "x", true, records("a", "A")); err == nil {
			t.Errorf("%q: got %+v and no error", list, got)
		}
	}
	outside := filepath.Join(dir, "..", "victim.vcf")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".russet-export", []byte(`{"version":1,"exports":{"x":{"../victim.vcf":{"hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}}`))
	export(t, f, "x", vdir.Exported{Written: 1}, "a", "A")
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}
