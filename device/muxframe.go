package device

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"russet/internal/plist"
)

// The header of a muxer's message: length with the header, version, kind, tag;
// each 32 bits, little endian.
const (
	muxHeader  = 16
	muxVersion = 1 // property lists
	muxPlist   = 8
	// maxMux bounds a message of the muxer. Pair records have some 10 kB, a
	// list of devices a kilobyte for each.
	maxMux = 4 << 20
)

// MuxResult is a muxer's answer in its Number.
type MuxResult int

// What muxers answer.
const (
	MuxOK         MuxResult = 0
	MuxBadCommand MuxResult = 1
	MuxBadDevice  MuxResult = 2 // or no such pair record
	MuxRefused    MuxResult = 3 // no such port
	MuxBadVersion MuxResult = 6
)

// ReadMux reads one message of a muxer, or to it, into v and returns its tag.
// The old binary messages are refused. At a clean end it returns io.EOF.
func ReadMux(r io.Reader, v any) (tag uint32, err error) {
	var head [muxHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	length, version := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	kind, tag := binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])
	switch {
	case length < muxHeader || length > maxMux:
		return tag, fmt.Errorf("read a muxer's message: a length of %d bytes", length)
	case version != muxVersion || kind != muxPlist:
		return tag, fmt.Errorf("read a muxer's message: version %d, kind %d is no property list", version, kind)
	}
	data, err := readExactly(r, int(length)-muxHeader)
	if err != nil {
		return tag, fmt.Errorf("read a muxer's message: %w", err)
	}
	if plist.Unmarshal(data, v) != nil {
		return tag, errMessage
	}
	return tag, nil
}

// WriteMux writes one message as [ReadMux] reads it, in one call to Write. The
// list is XML: libusbmuxd reads nothing else.
func WriteMux(w io.Writer, tag uint32, v any) error {
	data, err := plist.Marshal(v, plist.XML)
	if err != nil {
		return fmt.Errorf("write a muxer's message: %w", err)
	}
	if len(data) > maxMux-muxHeader {
		return fmt.Errorf("write a muxer's message: a length of %d bytes", len(data))
	}
	frame := make([]byte, 0, muxHeader+len(data))
	for _, n := range []uint32{uint32(muxHeader + len(data)), muxVersion, muxPlist, tag} {
		frame = binary.LittleEndian.AppendUint32(frame, n)
	}
	if _, err := w.Write(append(frame, data...)); err != nil {
		return fmt.Errorf("write a muxer's message: %w", err)
	}
	return nil
}

// MuxPort turns a port into the PortNumber of Connect, and back: its two bytes
// change places.
func MuxPort(port uint16) uint16 { return bits.ReverseBytes16(port) }
