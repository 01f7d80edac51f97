package sim

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"maps"
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

// manifest is a Manifest.db that is being changed, in one transaction.
type manifest struct {
	db     *sql.DB
	tx     *sql.Tx
	insert *sql.Stmt
	update *sql.Stmt
}

// openManifest opens the database at path, or makes a new one there.
func openManifest(ctx context.Context, path string, create bool) (*manifest, error) {
	db, tx, err := openDatabase(ctx, path, create)
	if err != nil {
		return nil, err
	}
	m := &manifest{db: db, tx: tx}
	if err := m.begin(ctx, create); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *manifest) begin(ctx context.Context, create bool) (err error) {
	if create {
		for _, statement := range manifestSchema {
			if _, err := m.tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	m.insert, err = m.tx.PrepareContext(ctx, `INSERT INTO Files (domain, relativePath, flags, file, fileID) VALUES (?,?,?,?,?)`)
	if err != nil {
		return err
	}
	m.update, err = m.tx.PrepareContext(ctx, `UPDATE Files SET file = ? WHERE fileID = ?`)
	return err
}

// times returns the time of modification in every record, by file id.
func (m *manifest) times(ctx context.Context) (map[string]int64, error) {
	rows, err := m.tx.QueryContext(ctx, `SELECT fileID, file FROM Files`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	times := make(map[string]int64)
	for rows.Next() {
		var id string
		var blob sql.RawBytes
		if err := rows.Scan(&id, &blob); err != nil {
			return nil, err
		}
		var f ios.File
		if err := ios.ParseFile(blob, &f); err != nil {
			return nil, err
		}
		times[id] = f.LastModified
	}
	return times, rows.Err()
}

// put adds the record of f, or replaces the one that is known.
func (m *manifest) put(ctx context.Context, known bool, id string, f *File, record []byte) error {
	if known {
		_, err := m.update.ExecContext(ctx, record, id)
		return err
	}
	flags := ios.Directory
	switch {
	case f.Regular():
		flags = ios.RegularFile
	case f.Mode&modeLink == modeLink:
		flags = ios.Symlink
	}
	_, err := m.insert.ExecContext(ctx, f.Domain, f.RelativePath, flags, record, id)
	return err
}

// remove deletes rows and returns the ids of those that were regular files.
func (m *manifest) remove(ctx context.Context, ids map[string]int64) ([]string, error) {
	var files []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		var flags int
		if err := m.tx.QueryRowContext(ctx, `DELETE FROM Files WHERE fileID = ? RETURNING flags`, id).Scan(&flags); err != nil {
			return nil, err
		}
		if flags == ios.RegularFile {
			files = append(files, id)
		}
	}
	return files, nil
}

// setPassword adds what the manifest of an encrypted backup knows about the password: one round of SHA-256.
func (m *manifest) setPassword(ctx context.Context, password string, salt []byte) error {
	hash := sha256.Sum256(append([]byte(password), salt...))
	_, err := m.tx.ExecContext(ctx, `INSERT INTO Properties VALUES ('salt', ?), ('passwordHash', ?)`, salt, hash[:])
	return err
}

// commit makes the changes and closes the database.
func (m *manifest) commit() error {
	if err := m.tx.Commit(); err != nil {
		return err
	}
	return m.db.Close()
}

// close gives up what was not committed.
func (m *manifest) close() {
	_ = m.tx.Rollback()
	_ = m.db.Close()
}
