package sim

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"russet/internal/sqlite"
	"russet/ios"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "Manifest.db")
	m, err := OpenManifest(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		f := NewFile("HomeDomain", ios.File{RelativePath: name, Mode: modeRegular | 0o644, LastModified: 7}, 1)
		id := ios.FileID(f.Domain, name)
		want = append(want, id)
		if err := m.Put(t.Context(), false, id, f, ios.MarshalFile(&f.File)); err != nil {
			t.Fatal(err)
		}
	}
	folder := NewFile("HomeDomain", ios.File{Mode: modeFolder | 0o755}, 0)
	if err := m.Put(t.Context(), false, ios.FileID("HomeDomain", ""), folder, ios.MarshalFile(&folder.File)); err != nil {
		t.Fatal(err)
	}
	if err := m.Commit(); err != nil {
		t.Fatal(err)
	}
	if m, err = OpenManifest(t.Context(), path, false); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var got []string
	for _, digit := range "0123456789abcdef" {
		ids, err := m.Stored(t.Context(), string(digit))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids...)
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if record, err := m.Record(t.Context(), want[0]); err != nil || len(record) == 0 {
		t.Errorf("got %d bytes, %v", len(record), err)
	}
	if record, err := m.Record(t.Context(), "none"); err != nil || record != nil {
		t.Errorf("got %q, %v", record, err)
	}
}

func TestManifestOfAStranger(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sql.DB) error{
		"trigger": func(db *sql.DB) error {
			_, err := db.Exec(`CREATE TRIGGER t AFTER INSERT ON Files BEGIN DELETE FROM Files; END`)
			return err
		},
		"no index": func(db *sql.DB) error {
			_, err := db.Exec(`DROP INDEX FilesDomainIdx`)
			return err
		},
	} {
		path := filepath.Join(t.TempDir(), "Manifest.db")
		m, err := OpenManifest(t.Context(), path, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			t.Fatal(err)
		}
		db, err := sqlite.Edit(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(db); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if m, err := OpenManifest(t.Context(), path, false); err == nil {
			m.Close()
			t.Errorf("%s: the manifest was opened", name)
		}
	}
}
