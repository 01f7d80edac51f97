package ios

import (
	"context"
	"crypto/sha1"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"russet/internal/sqlite"
)

// ErrUnreadable says that a manifest is not one, is damaged, or has a form that no released version of iOS writes (the
// betas of iOS 10.0 encrypt its records).
var ErrUnreadable = errors.New("unreadable manifest")

// Record is one row of a manifest: a file, a folder or a link of the phone.
type Record struct {
	FileID       string // the name of the stored file, which only a RegularFile has; 40 hex digits, unless damaged
	Domain       string // a part of the phone: HomeDomain, AppDomain-com.example.app
	RelativePath string // below the domain; empty for its root
	Flags        int64  // RegularFile, Directory or Symlink
	Blob         []byte // the rest, as it is stored, for Parse; equal bytes mean an equal record

	mbdb bool // Blob is a record of a Manifest.mbdb
}

// Parse reads the record's Blob into f, all of it; f aliases it.
func (r *Record) Parse(f *File) error {
	if r.mbdb {
		return parseMBDBRecord(r.Blob, f)
	}
	f.RelativePath = r.RelativePath
	return ParseFile(r.Blob, f)
}

// RowError says that one row of a manifest makes no sense. The rows after it are not concerned.
type RowError struct {
	Row int64 // counted from 1
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("manifest row %d: %v", e.Row, e.Err) }
func (e *RowError) Unwrap() error { return e.Err }

// FileID returns the name under which a backup stores a file: the SHA-1 of domain, "-" and path, of their exact bytes,
// in lower-case hex.
func FileID(domain, relativePath string) string {
	sum := FileSum(domain, relativePath)
	var id [2 * sha1.Size]byte
	hex.Encode(id[:], sum[:])
	return string(id[:])
}

// FileSum is FileID as the 20 bytes that it spells.
func FileSum(domain, relativePath string) [sha1.Size]byte {
	var room [256]byte
	return sha1.Sum(append(append(append(room[:0], domain...), '-'), relativePath...))
}

// HasDigest says whether the records of a domain's files hold a Digest (seen in real backups).
func HasDigest(domain string) bool { return slices.Contains(digestDomains[:], domain) }

var digestDomains = [...]string{
	"HomeDomain", "RootDomain", "HealthDomain", "WirelessDomain", "SystemPreferencesDomain", "DatabaseDomain",
	"HomeKitDomain", "InstallDomain", "ManagedPreferencesDomain", "KeyboardDomain", "KeychainDomain",
}

// maxGuessed bounds the path that ExpectsDigest looks at, and maxGuesses its parts: strangers wrote it.
const (
	maxGuessed = 1 << 10
	maxGuesses = 32
)

// ExpectsDigest guesses whether the record of a stored file, which comes last, will hold a Digest. phonePath is where the
// phone says that the file lies: it ends with the path in its domain, and the file's id tells which domain that is.
func ExpectsDigest(phonePath string, id [sha1.Size]byte) bool {
	if len(phonePath) > maxGuessed {
		return false
	}
	for range maxGuesses {
		for _, domain := range digestDomains {
			if FileSum(domain, phonePath) == id {
				return true
			}
		}
		_, rest, ok := strings.Cut(phonePath, "/")
		if !ok {
			return false
		}
		phonePath = rest
	}
	return false
}

// Manifest is an open Manifest.db. It is safe for concurrent use.
type Manifest struct {
	db      *sqlite.DB
	maxRows int64
}

// A row takes several hundred bytes, if only for the names. A hostile manifest may hold freeRows that are shorter than
// leastRow, but no more: the pages of a table can refer to each other so that a few of them never end.
const (
	freeRows = 1000
	leastRow = 64
)

var errManyRows = errors.New("it has more rows than its length explains")

// OpenManifest opens the Manifest.db, not encrypted, that r holds in its first size bytes. r must be safe for
// concurrent use and stay readable until Close; nothing of it is copied to a disk. What is not a manifest is
// ErrUnreadable; an error of r is not.
func OpenManifest(r io.ReaderAt, size int64) (*Manifest, error) {
	db, err := sqlite.Open(r, size)
	if err != nil {
		return nil, manifestError("open manifest", err)
	}
	if err := checkSchema(db); err != nil {
		return nil, errors.Join(manifestError("open manifest", err), db.Close())
	}
	return &Manifest{db: db, maxRows: freeRows + size/leastRow}, nil
}

// Close closes the manifest. No Records may be running.
func (m *Manifest) Close() error { return m.db.Close() }

// Check reads the whole database and returns ErrUnreadable when its parts do not fit together.
func (m *Manifest) Check(ctx context.Context) error {
	if err := m.db.Check(ctx); err != nil {
		return manifestError("check manifest", err)
	}
	return nil
}

// manifestError blames the manifest for an error, unless reading failed or was cancelled.
func manifestError(doing string, err error) error {
	if _, ok := errors.AsType[*sqlite.ReadError](err); ok ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnreadable, err)
}

// checkSchema makes sure that the rows come from an ordinary table: a view or a computed column would run what
// strangers wrote.
func checkSchema(db *sqlite.DB) error {
	var kind string
	err := db.QueryRow("SELECT type FROM pragma_table_list('Files') WHERE schema = 'main'").Scan(&kind)
	if err != nil {
		return fmt.Errorf("look for table Files: %w", err)
	}
	if kind != "table" {
		return errors.New("the table Files is none")
	}
	rows, err := db.Query("SELECT name, hidden FROM pragma_table_xinfo('Files')")
	if err != nil {
		return fmt.Errorf("list columns: %w", err)
	}
	defer rows.Close()
	missing := map[string]bool{"fileid": true, "domain": true, "relativepath": true, "flags": true, "file": true}
	for rows.Next() {
		var name string
		var hidden int
		if err := rows.Scan(&name, &hidden); err != nil {
			return fmt.Errorf("list columns: %w", err)
		}
		if hidden == 0 {
			delete(missing, strings.ToLower(name))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("list columns: %w", err)
	}
	if len(missing) > 0 {
		return errors.New("the table Files lacks columns")
	}
	return nil
}

// recordsQuery leaves out what is longer than its limit before it is read. Without an order the rows come as they lie
// in the file.
func recordsQuery() string {
	return fmt.Sprintf(`SELECT CASE WHEN octet_length(fileID) <= %[1]d THEN fileID END,
		CASE WHEN octet_length(domain) <= %[1]d THEN domain END,
		CASE WHEN octet_length(relativePath) <= %[1]d THEN relativePath END,
		flags, CASE WHEN octet_length(file) <= %[2]d THEN file END FROM Files`, maxPath, maxBlob)
}

// Records yields the rows of the manifest in the order in which they lie in the file. A *RowError stands for one row
// and is followed by the others; any other error is the last. What a Record holds stays valid; to keep all Blobs of a
// large phone takes 200 MB.
func (m *Manifest) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var n int64
		domain := "" // most rows have the domain of the row before
		for row, err := range m.db.Rows(ctx, recordsQuery(), maxBlob) {
			if err != nil {
				yield(Record{}, manifestError("read manifest", err))
				return
			}
			if n++; n > m.maxRows {
				yield(Record{}, manifestError("read manifest", errManyRows))
				return
			}
			if n%pollRows == 0 && ctx.Err() != nil {
				yield(Record{}, fmt.Errorf("read manifest: %w", ctx.Err()))
				return
			}
			rec, err := rowRecord(row)
			if err != nil {
				err = &RowError{Row: n, Err: err}
			}
			if rec.Domain == domain {
				rec.Domain = domain // one copy is kept instead of many
			}
			domain = rec.Domain
			if !yield(rec, err) {
				return
			}
		}
	}
}

// pollRows is how often Records looks whether it has been cancelled: some milliseconds.
const pollRows = 1024

// rowRecord makes a record of a row of recordsQuery.
func rowRecord(row []driver.Value) (Record, error) {
	var rec Record
	for i, dst := range []*string{&rec.FileID, &rec.Domain, &rec.RelativePath} {
		s, ok := row[i].(string)
		if !ok {
			return Record{}, errors.New("a name is missing or too long")
		}
		*dst = s
	}
	flags, ok := row[3].(int64)
	if !ok {
		return Record{}, errors.New("flags are no number")
	}
	rec.Flags = flags
	if rec.Blob, ok = row[4].([]byte); !ok {
		return Record{}, errors.New("the file record is missing or too long")
	}
	return rec, nil
}
