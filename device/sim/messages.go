package sim

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf16"

	"russet/internal/sqlite"
)

// messagesSchema is a part of what iOS 17 has, with the indexes that make new rows touch pages all over the file.
var messagesSchema = []string{
	`CREATE TABLE message (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL, text TEXT,
		handle_id INTEGER DEFAULT 0, subject TEXT, attributedBody BLOB, service TEXT, account TEXT, date INTEGER,
		date_read INTEGER, date_delivered INTEGER, is_delivered INTEGER DEFAULT 0, is_from_me INTEGER DEFAULT 0,
		is_read INTEGER DEFAULT 0, is_sent INTEGER DEFAULT 0, cache_has_attachments INTEGER DEFAULT 0,
		item_type INTEGER DEFAULT 0, group_title TEXT, group_action_type INTEGER DEFAULT 0,
		associated_message_guid TEXT, associated_message_type INTEGER DEFAULT 0, balloon_bundle_id TEXT,
		payload_data BLOB, message_summary_info BLOB, thread_originator_guid TEXT, date_edited INTEGER DEFAULT 0,
		date_retracted INTEGER DEFAULT 0, associated_message_emoji TEXT)`,
	`CREATE TABLE handle (ROWID INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, id TEXT NOT NULL, country TEXT,
		service TEXT NOT NULL, uncanonicalized_id TEXT, person_centric_id TEXT, UNIQUE (id, service))`,
	`CREATE TABLE chat (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL, style INTEGER,
		state INTEGER, account_id TEXT, properties BLOB, chat_identifier TEXT, service_name TEXT, room_name TEXT,
		display_name TEXT, group_id TEXT)`,
	`CREATE TABLE attachment (ROWID INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT UNIQUE NOT NULL,
		created_date INTEGER DEFAULT 0, filename TEXT, uti TEXT, mime_type TEXT, transfer_name TEXT,
		total_bytes INTEGER DEFAULT 0, is_sticker INTEGER DEFAULT 0, hide_attachment INTEGER DEFAULT 0)`,
	`CREATE TABLE chat_handle_join (chat_id INTEGER REFERENCES chat (ROWID) ON DELETE CASCADE,
		handle_id INTEGER REFERENCES handle (ROWID) ON DELETE CASCADE, UNIQUE(chat_id, handle_id))`,
	`CREATE TABLE chat_message_join (chat_id INTEGER REFERENCES chat (ROWID) ON DELETE CASCADE,
		message_id INTEGER REFERENCES message (ROWID) ON DELETE CASCADE, message_date INTEGER DEFAULT 0,
		PRIMARY KEY (chat_id, message_id))`,
	`CREATE TABLE message_attachment_join (message_id INTEGER REFERENCES message (ROWID) ON DELETE CASCADE,
		attachment_id INTEGER REFERENCES attachment (ROWID) ON DELETE CASCADE, UNIQUE(message_id, attachment_id))`,
	`CREATE TABLE deleted_messages (ROWID INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, guid TEXT NOT NULL)`,
	`CREATE INDEX message_idx_date ON message(date)`,
	`CREATE INDEX message_idx_handle ON message(handle_id, date)`,
	`CREATE INDEX chat_message_join_idx_message_date_id_chat_id ON chat_message_join(chat_id, message_date, message_id)`,
}

// handles is how many people the phone exchanges messages with.
const handles = 40

// createMessages makes the messages database of generation 0.
func (d *Device) createMessages(ctx context.Context) error {
	return d.changeMessages(ctx, true, func(tx *sql.Tx) error {
		for _, statement := range messagesSchema {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		r := newRandom(d.config.Seed, "handles")
		for i := range handles {
			number := fmt.Sprintf("+1555%07d", 100_0000+i*7919)
			_, err := tx.ExecContext(ctx, `INSERT INTO handle (id, country, service) VALUES (?, 'us', 'iMessage')`, number)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO chat (guid, style, state, account_id, chat_identifier, service_name, group_id)
				VALUES (?, 45, 3, ?, ?, 'iMessage', ?)`, "iMessage;-;"+number, r.uuid(), number, r.uuid())
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO chat_handle_join VALUES (?, ?)`, i+1, i+1)
			if err != nil {
				return err
			}
		}
		// The years before, a message every few minutes to hours.
		start := d.config.Base.Add(-time.Duration(d.config.Messages) * 20 * time.Minute)
		return d.insertMessages(ctx, tx, d.config.Messages, start, d.config.Base)
	})
}

// openDatabase opens a database to be changed, in one transaction, or makes a new one.
func openDatabase(ctx context.Context, path string, create bool) (*sql.DB, *sql.Tx, error) {
	open := sqlite.Edit
	if create {
		open = func(path string) (*sql.DB, error) { return sqlite.Create(path, 0) }
	}
	db, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	// Rows go to random pages of the indexes: they should fit into memory.
	if _, err := db.ExecContext(ctx, `PRAGMA cache_size = -32768`); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, tx, nil
}

// changeMessages lets change work on the messages database, then updates its file record.
func (d *Device) changeMessages(ctx context.Context, create bool, change func(*sql.Tx) error) error {
	db, tx, err := openDatabase(ctx, d.messagesPath(), create)
	if err != nil {
		return err
	}
	defer db.Close()
	defer tx.Rollback()
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	info, err := os.Stat(d.messagesPath())
	if err != nil {
		return err
	}
	f := d.byPath[pathKey("HomeDomain", "Library/SMS/sms.db")]
	f.length = info.Size()
	// What the phone claims is the size of the live file, with free pages and without what its WAL holds: never this one.
	f.Size = f.length + int64(d.generation%2*2-1)*5*4096
	return nil
}

// insertMessages appends count messages, the first sent after start and the last before end.
func (d *Device) insertMessages(ctx context.Context, tx *sql.Tx, count int, start, end time.Time) error {
	message, err := tx.PrepareContext(ctx, `INSERT INTO message (guid, text, handle_id, attributedBody, service, account,
		date, date_read, date_delivered, is_delivered, is_from_me, is_read, is_sent) VALUES (?,?,?,?,'iMessage',?,?,?,?,1,?,1,?)`)
	if err != nil {
		return err
	}
	defer message.Close()
	join, err := tx.PrepareContext(ctx, `INSERT INTO chat_message_join VALUES (?, ?, ?)`)
	if err != nil {
		return err
	}
	defer join.Close()
	r := newRandom(d.config.Seed, "messages", d.generation)
	step := int64(end.Sub(start)) / int64(max(1, count))
	for i := range count {
		date := cocoa(start) + int64(i)*step + int64(r.n(int(step)))
		handle := r.n(handles)*r.n(handles)/handles + 1 // a few people write most
		body := sentence(r)
		for range r.n(3) {
			body += " " + sentence(r)
		}
		if r.oneIn(100) {
			body = Secret + " " + body
		}
		var plain any // which iOS leaves out since version 16, mostly
		if r.oneIn(4) {
			plain = body
		}
		mine := r.n(2)
		if _, err := message.ExecContext(ctx, r.uuid(), plain, handle, attributedBody(body), "p:+15550100199",
			date, date+int64(r.n(3600))*1e9, date+1e9, mine, mine); err != nil {
			return err
		}
		if _, err := join.ExecContext(ctx, handle, d.nextRow, date); err != nil {
			return err
		}
		d.nextRow++
	}
	return nil
}

// cocoa returns t as the messages database has it: nanoseconds since 2001.
func cocoa(t time.Time) int64 {
	return t.Sub(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).Nanoseconds()
}

// The parts of an attributed string in Apple's typedstream format, around its text and around its length.
const (
	typedStart = "\x04\x0bstreamtyped\x81\xe8\x03\x84\x01@\x84\x84\x84\x19NSMutableAttributedString\x00\x84\x84\x12NSAttributedString" +
		"\x00\x84\x84\x08NSObject\x00\x85\x92\x84\x84\x84\x0fNSMutableString\x01\x84\x84\x08NSString\x01\x95\x84\x01+"
	typedRange = "\x86\x84\x02iI\x01"
	typedEnd   = "\x92\x84\x84\x84\x0cNSDictionary\x00\x95\x84\x01i\x01\x92\x84\x98\x98\x1d__kIMMessagePartAttributeName" +
		"\x86\x92\x84\x84\x84\x08NSNumber\x00\x84\x84\x07NSValue\x00\x95\x84\x01*\x84\x9b\x9b\x00\x86\x86\x86"
)

// attributedBody returns text as the column of that name holds it: one run without formatting.
func attributedBody(text string) []byte {
	b := append(make([]byte, 0, 256+len(text)), typedStart...)
	b = appendTypedInt(b, len(text))
	b = append(b, text...)
	b = append(b, typedRange...)
	b = appendTypedInt(b, len(utf16.Encode([]rune(text))))
	return append(b, typedEnd...)
}

// appendTypedInt appends a number: one byte, or two after a mark.
func appendTypedInt(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	return binary.LittleEndian.AppendUint16(append(b, 0x81), uint16(n))
}

// messagesOfADay appends the messages of the day before the present generation and changes some that were there: most
// of them recent ones.
func (d *Device) messagesOfADay(ctx context.Context) error {
	return d.changeMessages(ctx, false, func(tx *sql.Tx) error {
		r := newRandom(d.config.Seed, "message changes", d.generation)
		rows := d.nextRow - 1
		if rows == 0 {
			return nil
		}
		for i := range max(1, rows/5000) {
			row := max(1, rows-r.n(min(rows, 500)))
			if i%2 == 1 {
				row = 1 + r.n(rows)
			}
			_, err := tx.ExecContext(ctx, `UPDATE message SET date_read = ?, is_read = 1 WHERE ROWID = ?`, cocoa(d.Date()), row)
			if err != nil {
				return err
			}
		}
		return d.insertMessages(ctx, tx, max(1, rows/500), d.dateOf(d.generation-1), d.Date())
	})
}
