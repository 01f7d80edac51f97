package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// Edit opens a database file that Create made, to change it in place: pages that no statement touches stay as they are.
// Like Create it is for generators and without a journal.
func Edit(name string) (*sql.DB, error) {
	if _, err := os.Stat(name); err != nil {
		return nil, fmt.Errorf("edit database: %w", err)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("edit database: %w", err)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": {
		"journal_mode(off)", "synchronous(off)", "secure_delete(1)", "locking_mode(exclusive)", "temp_store(memory)",
	}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	if u.Path[0] != '/' {
		u.Path = "/" + u.Path // C:/...
	}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("edit database: %w", err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("edit database: %w", err)
	}
	return db, nil
}
