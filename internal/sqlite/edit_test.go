package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func execAndClose(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a folder #1?.db")
	if _, err := Edit(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	db, err := Create(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	execAndClose(t, db, `CREATE TABLE a (x)`, `CREATE TABLE b (x)`, `INSERT INTO a VALUES ('old')`)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if db, err = Edit(name); err != nil {
		t.Fatal(err)
	}
	execAndClose(t, db, `UPDATE a SET x = 'new'`)
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 3*4096 || !bytes.Equal(after[2*4096:], before[2*4096:]) {
		t.Error("the page of the table that nobody touched is another one")
	}
	if bytes.Contains(after, []byte("old")) || !bytes.Contains(after, []byte("new")) {
		t.Error("the row is not the new one")
	}
	names, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(names) != 1 {
		t.Errorf("%d files, %v, want the database alone", len(names), err)
	}
}
