package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// endlessSchema is a database whose schema table has some 10^10 rows in a few pages: its pages refer to the same one
// below, several levels deep, and that one to a row that may be repeated. The layout is that of SQLite's "Database File
// Format", section 1.6.
func endlessSchema(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := Create(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (a TEXT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const first = 100 // bytes of the file's header, before the page's own
	size := int(binary.BigEndian.Uint16(data[16:]))
	head := bytes.Clone(data[first : first+8+2*2])
	if head[0] != 13 || binary.BigEndian.Uint16(head[3:]) != 2 {
		t.Fatal("the schema is not two rows in one page")
	}
	leaf := func(head []byte) int {
		page := bytes.Clone(data[:size])
		clear(page[:first+12])
		copy(page, head)
		data = append(data, page...)
		return len(data) / size
	}
	both := leaf(head)
	index := bytes.Clone(head)
	binary.BigEndian.PutUint16(index[3:], 1)
	copy(index[8:], head[10:]) // the second row alone: the index of the primary key
	below := leaf(index)
	interior := func(page []byte, from, firstChild, below int) {
		clear(page[from:])
		count := (size - from - 12) / 7
		page[from] = 5
		binary.BigEndian.PutUint16(page[from+3:], uint16(count))
		binary.BigEndian.PutUint32(page[from+8:], uint32(below))
		at := size
		for i := range count {
			at -= 5
			child := below
			if i == 0 {
				child = firstChild
			}
			binary.BigEndian.PutUint32(page[at:], uint32(child))
			page[at+4] = 1
			binary.BigEndian.PutUint16(page[from+12+2*i:], uint16(at))
		}
		binary.BigEndian.PutUint16(page[from+5:], uint16(at))
	}
	for range 3 {
		page := make([]byte, size)
		interior(page, 0, below, below)
		data = append(data, page...)
		below = len(data) / size
	}
	interior(data[:size], first, both, below)
	binary.BigEndian.PutUint32(data[28:], uint32(len(data)/size))
	return data
}

func TestEndlessSchema(t *testing.T) {
	t.Parallel()
	data := endlessSchema(t)
	db, err := Open(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		_ = db.Close()
	}
	if !errors.Is(err, errEndless) {
		t.Errorf("open: %v, want that there is no end", err)
	}
	if _, ok := errors.AsType[*ReadError](err); ok {
		t.Errorf("open: %v blames the reader", err)
	}
}
