package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"russet/internal/plist"
)

// MaxFrame bounds a message of lockdownd and of the services that frame as it
// does, in bytes. The largest ones seen are lists of installed applications,
// of some megabytes.
const MaxFrame = 32 << 20

// errMessage is all that is said of a message that cannot be read: the parser's
// own words quote it, and pair records travel in messages.
var errMessage = errors.New("read a message: its property list is damaged")

// ReadPlist reads one message: an unsigned 32-bit length, big endian, and a
// property list of either form, into v. At a clean end it returns io.EOF.
func ReadPlist(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return fmt.Errorf("read a message: its length of %d bytes is over %d", n, MaxFrame)
	}
	data, err := readExactly(r, int(n))
	if err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	if plist.Unmarshal(data, v) != nil {
		return errMessage
	}
	return nil
}

// WritePlist writes one message as [ReadPlist] reads it, in one call to Write.
func WritePlist(w io.Writer, v any, f plist.Format) error {
	data, err := plist.Marshal(v, f)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	if len(data) > MaxFrame {
		return fmt.Errorf("write a message: its length of %d bytes is over %d", len(data), MaxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(data)), uint32(len(data)))
	if _, err := w.Write(append(frame, data...)); err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	return nil
}

// firstRead is what is allocated for a message before any of it has come: a
// length alone costs no more.
const firstRead = 64 << 10

// readExactly reads n bytes. It allocates in step with what comes.
func readExactly(r io.Reader, n int) ([]byte, error) {
	data := make([]byte, min(n, firstRead))
	for have := 0; ; {
		m, err := io.ReadFull(r, data[have:])
		have += m
		if err == io.EOF && n > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || have == n {
			return data[:have], err
		}
		data = append(data, make([]byte, min(n-have, have))...)
	}
}
