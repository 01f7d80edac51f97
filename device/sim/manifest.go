package sim

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"

	"russet/ios"
)

var manifestSchema = []string{
	`CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB)`,
	`CREATE INDEX FilesDomainIdx ON Files(domain)`,
	`CREATE INDEX FilesRelativePathIdx ON Files(relativePath)`,
	`CREATE INDEX FilesFlagsIdx ON Files(flags)`,
	`CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB)`,
	`PRAGMA user_version = 2`,
}

// Manifest is a Manifest.db in plain that is being changed, in one transaction. It is not safe for concurrent use.
type Manifest struct {
	db     *sql.DB
	tx     *sql.Tx
	insert *sql.Stmt
	update *sql.Stmt
	stored *sql.Stmt
}

// OpenManifest opens the database at path, or makes a new one there. A database with another schema than a phone's is
// an error: it may come from a stranger, and its triggers would run.
func OpenManifest(ctx context.Context, path string, create bool) (*Manifest, error) {
	db, tx, err := openDatabase(ctx, path, create)
	if err != nil {
		return nil, err
	}
	m := &Manifest{db: db, tx: tx}
	if err := m.begin(ctx, create); err != nil {
		m.Close()
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	return m, nil
}

func (m *Manifest) begin(ctx context.Context, create bool) (err error) {
	if create {
		for _, statement := range manifestSchema {
			if _, err := m.tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	} else if err := m.checkSchema(ctx); err != nil {
		return err
	}
	m.insert, err = m.tx.PrepareContext(ctx, `INSERT INTO Files (domain, relativePath, flags, file, fileID) VALUES (?,?,?,?,?)`)
	if err != nil {
		return err
	}
	m.update, err = m.tx.PrepareContext(ctx, `UPDATE Files SET file = ? WHERE fileID = ?`)
	if err != nil {
		return err
	}
	// The plus keeps SQLite from the index of flags, in which nearly all rows are alike.
	m.stored, err = m.tx.PrepareContext(ctx, `SELECT fileID FROM Files WHERE +flags = ? AND fileID >= ? AND fileID < ? || 'g'`)
	return err
}

// checkSchema wants the statements that made the database to be those of manifestSchema.
func (m *Manifest) checkSchema(ctx context.Context) error {
	rows, err := m.tx.QueryContext(ctx, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL`)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			return err
		}
		if !slices.Contains(manifestSchema, statement) {
			return errors.New("the schema is not a phone's")
		}
		n++
	}
	if n != len(manifestSchema)-1 {
		return errors.New("the schema lacks a table or an index")
	}
	return rows.Err()
}

// Known is what a manifest says about a file that tells whether it has changed.
type Known struct {
	Modified int64 // in seconds since 1970
	Kind     int64 // as [File.Kind]
}

// Known returns what every row says, by file id.
func (m *Manifest) Known(ctx context.Context) (map[string]Known, error) {
	rows, err := m.tx.QueryContext(ctx, `SELECT fileID, flags, file FROM Files`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := make(map[string]Known)
	for rows.Next() {
		var id string
		var k Known
		var blob sql.RawBytes
		if err := rows.Scan(&id, &k.Kind, &blob); err != nil {
			return nil, err
		}
		var f ios.File
		if err := ios.ParseFile(blob, &f); err != nil {
			return nil, err
		}
		k.Modified = f.LastModified
		known[id] = k
	}
	return known, rows.Err()
}

// Record returns the file column of a row, and nil where there is no such row.
func (m *Manifest) Record(ctx context.Context, id string) ([]byte, error) {
	var blob []byte
	err := m.tx.QueryRowContext(ctx, `SELECT file FROM Files WHERE fileID = ?`, id).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return blob, err
}

// Stored returns the ids of regular files that begin with prefix: what must lie in one folder of the backup.
func (m *Manifest) Stored(ctx context.Context, prefix string) ([]string, error) {
	rows, err := m.stored.QueryContext(ctx, ios.RegularFile, prefix, prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Put adds the record of f, or replaces the one that is known, which must be of the same kind: a row whose kind has
// changed is removed first.
func (m *Manifest) Put(ctx context.Context, known bool, id string, f *File, record []byte) error {
	if known {
		_, err := m.update.ExecContext(ctx, record, id)
		return err
	}
	_, err := m.insert.ExecContext(ctx, f.Domain, f.RelativePath, f.Kind(), record, id)
	return err
}

// Remove deletes rows, all of which must exist, and returns the ids of those that were regular files, sorted.
func (m *Manifest) Remove(ctx context.Context, ids iter.Seq[string]) ([]string, error) {
	var files []string
	for _, id := range slices.Sorted(ids) {
		var flags int64
		if err := m.tx.QueryRowContext(ctx, `DELETE FROM Files WHERE fileID = ? RETURNING flags`, id).Scan(&flags); err != nil {
			return nil, err
		}
		if flags == ios.RegularFile {
			files = append(files, id)
		}
	}
	return files, nil
}

// SetPassword adds what the manifest of an encrypted backup knows about the password: one round of SHA-256.
func (m *Manifest) SetPassword(ctx context.Context, password string, salt []byte) error {
	hash := sha256.Sum256(append([]byte(password), salt...))
	_, err := m.tx.ExecContext(ctx, `INSERT INTO Properties VALUES ('salt', ?), ('passwordHash', ?)`, salt, hash[:])
	return err
}

// Commit makes the changes and closes the database.
func (m *Manifest) Commit() error {
	if err := m.tx.Commit(); err != nil {
		return err
	}
	return m.db.Close()
}

// Close gives up what was not committed.
func (m *Manifest) Close() {
	_ = m.tx.Rollback()
	_ = m.db.Close()
}
