// Package sqlite opens the SQLite databases found inside backups, which strangers wrote, and makes new ones.
//
//	db, err := sqlite.Open(r, size)
//	defer db.Close()
//	for row, err := range db.Rows(ctx, "SELECT name, data FROM things") { ... }
//
// A database is read from an io.ReaderAt, as it lies in a folder, below decryption or in a repository: no copy of it is
// made, and nothing is ever written beside it. The package owns the choice of the driver, a pure Go one.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"

	"modernc.org/sqlite"
	"modernc.org/sqlite/vfs"
)

// maxConns bounds the connections of one database: each has a page cache of its own.
const maxConns = 4

// cacheSize is SQLite's usual cache of a connection, in KiB if it is negative.
const cacheSize = -2000

// limitLength is SQLITE_LIMIT_LENGTH of SQLite's C interface.
const limitLength = 0

// DB is an open database. It is read-only, ignores a journal or write-ahead log, does not let the schema of the file
// call functions with side effects (trusted_schema), keeps temporary results in memory, and checks the pages that it
// meets (cell_size_check). It is safe for concurrent use.
type DB struct {
	*sql.DB
	vfs    *vfs.FS
	reader *reader
}

// ReadError says that a database could not be read because the reader below it failed, not because it is damaged.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return "read database: " + e.Err.Error() }
func (e *ReadError) Unwrap() error { return e.Err }

// Open opens the database that r holds in its first size bytes. r must be safe for concurrent use and stay readable
// until Close. What is not a database, or has a schema that cannot be read, is an error here; a damaged page is one when
// it is met.
func Open(r io.ReaderAt, size int64) (*DB, error) {
	below := &reader{r: r, size: size}
	below.budget.begin(size)
	name, fsys, err := vfs.New(below)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// The registry of file systems belongs to the process: what is made here ends in Close.
	q := url.Values{
		"vfs": {name}, "mode": {"ro"}, "immutable": {"1"}, "_defensive": {"1"}, "_error_rc": {"1"},
		"_pragma": {"trusted_schema(0)", "cell_size_check(1)", "temp_store(memory)", "query_only(1)", "mmap_size(0)"},
	}
	c, err := sqlite.NewConnector("file:" + fileName + "?" + q.Encode())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), fsys.Close())
	}
	db := &DB{DB: sql.OpenDB(c), vfs: fsys, reader: below}
	db.SetMaxOpenConns(maxConns)
	// The driver reads the schema where no context interrupts it.
	var tables int
	err = db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables)
	if err == nil {
		_, err = db.Exec(fmt.Sprintf("PRAGMA cache_size(%d)", cacheSize))
	}
	if below.budget.end() {
		err = errEndless
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", db.cause(err)), db.Close())
	}
	return db, nil
}

// Close closes the database. All rows of its queries must have been closed.
func (db *DB) Close() error {
	return errors.Join(db.DB.Close(), db.vfs.Close())
}

// cause returns the error of the reader below, which SQLite knows only as an I/O error, in place of err.
func (db *DB) cause(err error) error {
	if below := db.reader.failed(); below != nil && err != nil {
		return &ReadError{Err: below}
	}
	return err
}

// Rows runs a query and yields its rows. It is for the long ones: it leaves out the conversions of database/sql. The
// slice is used again for the next row, what it holds (int64, float64, string, []byte, nil) is not. No value may be
// longer than maxValue bytes. After an error no row follows.
func (db *DB) Rows(ctx context.Context, query string, maxValue int) iter.Seq2[[]driver.Value, error] {
	return func(yield func([]driver.Value, error) bool) {
		c, err := db.Conn(ctx)
		if err != nil {
			yield(nil, db.cause(err))
			return
		}
		defer c.Close()
		before, err := sqlite.Limit(c, limitLength, maxValue)
		if err != nil {
			yield(nil, err)
			return
		}
		defer sqlite.Limit(c, limitLength, before) // the connection goes back to the pool
		more := true
		err = c.Raw(func(dc any) error {
			rows, err := dc.(driver.QueryerContext).QueryContext(ctx, query, nil)
			if err != nil {
				return err
			}
			defer rows.Close()
			row := make([]driver.Value, len(rows.Columns()))
			for n := 0; more; n++ {
				if err := rows.Next(row); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				more = yield(row, nil)
			}
			return nil
		})
		if err != nil && more {
			yield(nil, db.cause(err))
		}
	}
}

// TooLong reports whether an error of Rows says that a row was longer than allowed.
func TooLong(err error) bool {
	const tooBig = 18 // SQLITE_TOOBIG
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == tooBig
}

// Check reads the whole database and returns an error when its pages do not fit together (PRAGMA quick_check).
func (db *DB) Check(ctx context.Context) error {
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("check database: %w", db.cause(err))
	}
	if found != "ok" {
		return fmt.Errorf("check database: %w", db.cause(errors.New(found)))
	}
	return nil
}
