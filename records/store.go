package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"russet/internal/sqlite"
)

const (
	// walSuffix is that of the write-ahead log beside a database, which backups
	// have not and images of whole file systems have.
	walSuffix = "-wal"
	// maxMemory is the length in bytes of a file that is read into memory, which is
	// done only where the file cannot be read at any place.
	maxMemory = 512 << 20
	// maxTables and maxColumns bound a schema; Photos.sqlite has some 100 tables.
	maxTables, maxColumns = 2000, 2000
)

// store is an open database of a phone.
type store struct {
	path   string
	fsys   fs.FS // where it lies: for what lies beside it
	db     *sqlite.DB
	schema schema
	size   int64
	row    int  // bytes of the longest row that is read
	set    *Set // what it holds, filled by its reader
	files  []io.Closer
}

// openStore opens the database at name, with its write-ahead log, for reading.
func openStore(ctx context.Context, fsys fs.FS, name string) (*store, error) {
	s := &store{path: name, fsys: fsys, row: maxRow, set: &Set{Complete: true}}
	err := s.open(ctx)
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *store) open(ctx context.Context) error {
	r, size, err := s.readerAt(s.path)
	if err != nil {
		return err
	}
	wal, walSize, err := s.readerAt(s.path + walSuffix)
	if err == nil {
		r, size, err = sqlite.WithWAL(r, size, wal, walSize)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.size = size
	if s.db, err = sqlite.Open(r, size); err != nil {
		return err
	}
	s.schema, err = readSchema(ctx, s.db)
	return err
}

// readerAt opens a file for reading at any place, until the store is closed.
func (s *store) readerAt(name string) (io.ReaderAt, int64, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, 0, err
	}
	s.files = append(s.files, f)
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("open database: it is not a file")
	}
	if r, ok := f.(io.ReaderAt); ok {
		return r, info.Size(), nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxMemory+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxMemory {
		return nil, 0, fmt.Errorf("open database: more than %d bytes, and they cannot be read at any place", maxMemory)
	}
	return strings.NewReader(string(data)), int64(len(data)), nil
}

// Close closes the database and its files.
func (s *store) Close() {
	if s.db != nil {
		s.db.Close() // of what was only read nothing can be lost
	}
	for _, f := range s.files {
		f.Close()
	}
}

// maxProblems bounds what is told of one database.
const maxProblems = 10_000

// note says that something is odd, though nothing is lost.
func (s *store) note(row int64, format string, args ...any) { s.problem(row, false, format, args) }

// lost says that a part of a record, or something that is no record, is missing.
func (s *store) lost(row int64, format string, args ...any) { s.problem(row, true, format, args) }

// missing says that a record is missing, so that the set is not complete.
func (s *store) missing(row int64, format string, args ...any) {
	s.set.Complete = false
	s.problem(row, true, format, args)
}

func (s *store) problem(row int64, lost bool, format string, args []any) {
	if len(s.set.Problems) < maxProblems {
		s.set.Problems = append(s.set.Problems, Problem{Store: s.path, Row: row, Text: fmt.Sprintf(format, args...), Lost: lost})
	}
}

// schema is the columns of each table, both in lower case, as SQLite compares
// names without regard to case. Views and virtual tables, which run code of the
// database's own, are not in it.
type schema map[string][]string

func readSchema(ctx context.Context, db *sqlite.DB) (schema, error) {
	const query = `SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c ` +
		`WHERE m.type = 'table' AND m.rootpage > 0 AND m.sql NOT LIKE 'CREATE VIRTUAL%'`
	found := schema{}
	for row, err := range db.Rows(ctx, query, 1<<20) {
		if err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		table, _ := row[0].(string)
		column, _ := row[1].(string)
		table = strings.ToLower(table)
		found[table] = append(found[table], strings.ToLower(column))
		if len(found) > maxTables || len(found[table]) > maxColumns {
			return nil, fmt.Errorf("read schema: more than %d tables or columns", maxTables)
		}
	}
	return found, nil
}

// has reports whether there is a table with at least these columns.
func (s schema) has(table string, columns ...string) bool {
	there, ok := s[strings.ToLower(table)]
	return ok && !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(there, strings.ToLower(c)) })
}

// String names the tables, as evidence of a layout that nobody knows.
func (s schema) String() string {
	var names []string
	for table, columns := range s {
		name := strings.Map(func(r rune) rune {
			if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
				return r
			}
			return '?'
		}, table[:min(len(table), 40)])
		names = append(names, fmt.Sprintf("%s (%d columns)", name, len(columns)))
	}
	if len(names) == 0 {
		return "it has no tables"
	}
	slices.Sort(names)
	const shown = 30
	if rest := len(names) - shown; rest > 0 {
		names = append(names[:shown], fmt.Sprintf("%d more", rest))
	}
	return "its tables are " + strings.Join(names, ", ")
}
