package mb2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"russet/internal/plist"
)

const (
	// MaxName bounds the unit of a file's name, in bytes.
	MaxName = 64 << 10
	// MaxData bounds a unit of a file's content, in bytes. Phones send
	// 256 KiB.
	MaxData = 16 << 20
	// MaxMessage bounds a unit that is a message, in bytes. A move of a batch
	// has 30 kB, the listing of a folder with every file of a phone some 50 MB.
	MaxMessage = 64 << 20
	// DataSize is the length of the data units that a host sends, the leading
	// byte apart. A phone holds a whole unit in memory, and its backup service
	// is killed when they are large.
	DataSize = 32 << 10
)

// Code is the first byte of a unit within a file.
type Code byte

// What the units of a file begin with. Other values are failures, too.
const (
	CodeEnd      Code = 0x00 // the file is complete
	CodeNotFound Code = 0x06
	CodeIO       Code = 0x0B
	CodeData     Code = 0x0C // the rest of the unit is content
	CodeNoSpace  Code = 0x0F
)

// Text is the argument that stands where there is none.
const Text = "___EmptyParameterString___"

// ReadUnit reads one unit, an unsigned 32-bit length, big endian, and so many
// bytes of at most limit, into buf's memory where it is large enough. A unit of
// no bytes ends a batch. At a clean end it returns io.EOF.
func ReadUnit(r io.Reader, buf []byte, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return nil, fmt.Errorf("read a unit: %w: a length of %d bytes, over %d", ErrDesync, n, limit)
	}
	buf = buf[:0]
	for len(buf) < int(n) {
		// Memory grows in step with what comes: a length alone costs nothing.
		have := len(buf)
		want := min(int(n), max(cap(buf), 2*have, 64<<10))
		if cap(buf) < want {
			buf = append(make([]byte, 0, want), buf...)
		}
		buf = buf[:want]
		if _, err := io.ReadFull(r, buf[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read a unit: %w", err)
		}
	}
	return buf, nil
}

// ErrDesync says that a length or a byte cannot be what it should be: bytes
// were lost or invented on the way.
var ErrDesync = errors.New("the connection carries something else than the protocol")

// AppendUnit appends one unit made of the parts to b.
func AppendUnit(b []byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// ReadMessage reads a unit that is a message: a property list whose first
// element is the message's name, and the others its arguments.
func ReadMessage(r io.Reader) (name string, args []any, err error) {
	data, err := ReadUnit(r, nil, MaxMessage)
	if err != nil {
		return "", nil, err
	}
	var list []any
	if plist.Unmarshal(data, &list) != nil { // whose error quotes what came
		return "", nil, fmt.Errorf("read a message: %w: its property list is damaged", ErrDesync)
	}
	if len(list) > 0 {
		if name, ok := list[0].(string); ok && name != "" {
			return name, list[1:], nil
		}
	}
	return "", nil, fmt.Errorf("read a message: %w: it has no name", ErrDesync)
}

// WriteMessage writes a message as [ReadMessage] reads it, in one call to
// Write.
func WriteMessage(w io.Writer, name string, args ...any) error {
	data, err := marshalMessage(name, args)
	if err != nil {
		return err
	}
	if _, err := w.Write(AppendUnit(nil, data)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func marshalMessage(name string, args []any) ([]byte, error) {
	data, err := plist.Marshal(append([]any{name}, args...), plist.Binary)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("write %s: its length of %d bytes is over %d", name, len(data), MaxMessage)
	}
	return data, nil
}

// Integer returns the integer in a message. Negative ones travel in two forms:
// as what they are, and as the same 64 bits without a sign.
func Integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), true
	}
	return 0, false
}
