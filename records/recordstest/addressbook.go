package recordstest

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"russet/internal/sqlite"
)

// addressBook is where the address book and its pictures lie.
const addressBook = "HomeDomain/Library/AddressBook/"

// CardDAVHost is the server of the account that some people are in.
const CardDAVHost = "dav.example.test"

// Write writes the address book, its pictures and the phone's accounts below dir, a
// folder of a phone's domains. Databases that an earlier Write of b left there are
// changed in place.
func (b *Book) Write(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, addressBook), 0o700); err != nil {
		return err
	}
	if err := writeAccounts(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, addressBook, "AddressBook.sqlitedb")
	rows := b.pending(name, b.People)
	err := inDatabase(name, bookSchema, func(w *writer) {
		writeNames(w)
		for _, row := range rows {
			b.writePerson(w, row)
		}
	})
	if err != nil {
		return fmt.Errorf("write address book: %w", err)
	}
	err = inDatabase(filepath.Join(dir, addressBook, "AddressBookImages.sqlitedb"), imagesSchema, func(w *writer) {
		for _, row := range rows {
			b.writePhoto(w, row)
		}
	})
	if err != nil {
		return fmt.Errorf("write pictures: %w", err)
	}
	clear(b.dirty)
	return nil
}

// writer is a transaction whose first error is kept.
type writer struct {
	tx    *sql.Tx
	ready map[string]*sql.Stmt
	err   error
}

// exec runs a statement.
func (w *writer) exec(query string, args ...any) {
	if w.err != nil {
		return
	}
	stmt := w.ready[query]
	if stmt == nil {
		if stmt, w.err = w.tx.Prepare(query); w.err != nil {
			return
		}
		w.ready[query] = stmt
	}
	_, w.err = stmt.Exec(args...)
}

// inDatabase runs fill in a database, which is made with that schema if it is not
// there.
func inDatabase(name string, schema []string, fill func(*writer)) error {
	db, err := sqlite.Edit(name)
	if errors.Is(err, fs.ErrNotExist) {
		db, err = sqlite.Create(name, 4096)
	} else {
		schema = nil
	}
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		db.Close()
		return err
	}
	w := &writer{tx: tx, ready: map[string]*sql.Stmt{}}
	for _, s := range schema {
		w.exec(s)
	}
	fill(w)
	if w.err == nil {
		w.err = tx.Commit()
	}
	if err := db.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// writeNames writes the texts that values refer to by their rows.
func writeNames(w *writer) {
	for i, label := range labels {
		w.exec(`INSERT OR IGNORE INTO ABMultiValueLabel (rowid, value) VALUES (?, ?)`, i+1, label)
	}
	for i, key := range entryKeys {
		w.exec(`INSERT OR IGNORE INTO ABMultiValueEntryKey (rowid, value) VALUES (?, ?)`, i+1, key)
	}
	for i, name := range groupNames {
		w.exec(`INSERT OR IGNORE INTO ABGroup (ROWID, Name, guid) VALUES (?, ?, ?)`, i+1, name, fmt.Sprintf("group-%d", i))
	}
}

func (b *Book) writePerson(w *writer, row int64) {
	w.exec(`DELETE FROM ABMultiValueEntry WHERE parent_id IN (SELECT UID FROM ABMultiValue WHERE record_id = ?)`, row)
	w.exec(`DELETE FROM ABMultiValue WHERE record_id = ?`, row)
	w.exec(`DELETE FROM ABGroupMembers WHERE member_id = ?`, row)
	p := b.dirty[row]
	if p == nil {
		w.exec(`DELETE FROM ABPerson WHERE ROWID = ?`, row)
		return
	}
	store, kind := 0, 0
	if p.Server {
		store = 1
	}
	if p.Company {
		kind = 1
	}
	columns, marks := "ROWID, guid, Kind, StoreID, CreationDate, ModificationDate", "?, ?, ?, ?, ?, ?"
	args := []any{p.row, p.GUID, kind, store, 690_000_000 + p.row, p.Modified}
	for _, c := range personColumns {
		columns, marks = columns+", "+c, marks+", ?"
		if text, ok := p.Text[c]; ok {
			args = append(args, text)
		} else {
			args = append(args, nil)
		}
	}
	w.exec(`INSERT OR REPLACE INTO ABPerson (`+columns+`) VALUES (`+marks+`)`, args...)
	for i, v := range p.Values {
		w.exec(`INSERT INTO ABMultiValue (UID, record_id, property, identifier, label, value, guid) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			v.uid, p.row, v.Property, i, nullable(int64(slices.Index(labels, v.Label)+1), v.Label != ""), nullable(v.Text, v.Parts == nil),
			fmt.Sprintf("%s-%d", p.GUID, v.uid))
		for key, name := range entryKeys {
			if text := v.Parts[name]; text != "" {
				w.exec(`INSERT INTO ABMultiValueEntry VALUES (?, ?, ?)`, v.uid, key+1, text)
			}
		}
	}
	for _, g := range p.Groups {
		w.exec(`INSERT INTO ABGroupMembers (group_id, member_type, member_id) VALUES (?, 0, ?)`, g+1, p.row)
	}
}

func nullable(v any, there bool) any {
	if !there {
		return nil
	}
	return v
}

func (b *Book) writePhoto(w *writer, row int64) {
	w.exec(`DELETE FROM ABFullSizeImage WHERE record_id = ?`, row)
	w.exec(`DELETE FROM ABThumbnailImage WHERE record_id = ?`, row)
	if p := b.dirty[row]; p != nil && p.Photo != nil {
		w.exec(`INSERT INTO ABFullSizeImage (record_id, crop_x, crop_y, crop_width, data) VALUES (?, 0, 0, 24, ?)`, row, p.Photo)
		w.exec(`INSERT INTO ABThumbnailImage (record_id, format, derived_from_format, data) VALUES (?, 0, 5, ?)`, row, p.Photo[:len(p.Photo)/2])
	}
}

// personColumns are the columns of text that a person may have.
var personColumns = []string{
	"First", "Last", "Middle", "Prefix", "Suffix", "Nickname", "FirstPhonetic", "LastPhonetic", "Organization", "Department", "JobTitle",
	"PreviousFamilyName", "Note", "Birthday", "ExternalUUID",
}
