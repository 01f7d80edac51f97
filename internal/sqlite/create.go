package sqlite

import (
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
)

// Create makes a database file, which must not exist yet, with pages of pageSize bytes (a power of two from 512 to
// 65536; 0 is 4096). It is for generators: there is no journal, so a process that dies leaves a file to throw away, and
// the same statements in the same order give the same bytes (as long as the driver's version is the same), because
// there is one connection only and unused space is filled with zeros. It is fast inside one transaction:
//
//	db, err := sqlite.Create(name, 0)
//	tx, err := db.Begin()
//	tx.Exec("CREATE TABLE ...")
//	insert, err := tx.Prepare("INSERT INTO ...")
//	insert.Exec(...)
//	tx.Commit()
//	db.Close()
//
// The file is complete when Close returns nil.
func Create(name string, pageSize int) (*sql.DB, error) {
	if pageSize == 0 {
		pageSize = 4096
	}
	if pageSize < 512 || pageSize > 65536 || pageSize&(pageSize-1) != 0 {
		return nil, fmt.Errorf("create database: page size %d", pageSize)
	}
	if _, err := os.Lstat(name); err == nil {
		return nil, &fs.PathError{Op: "create database", Path: name, Err: fs.ErrExist}
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	q := url.Values{"_pragma": {
		"page_size(" + strconv.Itoa(pageSize) + ")", "journal_mode(off)", "synchronous(off)", "secure_delete(1)",
		"locking_mode(exclusive)", "temp_store(memory)",
	}}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	if u.Path[0] != '/' {
		u.Path = "/" + u.Path // C:/...
	}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("create database: %w", err)
	}
	return db, nil
}
