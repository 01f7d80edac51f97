package device

import (
	"encoding/binary"
	"fmt"
	"io"
)

// AFCOp says what a packet of the file service asks or answers.
type AFCOp uint64

// The operations that clients use.
const (
	AFCStatus       AFCOp = 0x01 // answer: an AFCError
	AFCData         AFCOp = 0x02 // answer: bytes
	AFCReadDir      AFCOp = 0x03
	AFCTruncate     AFCOp = 0x07
	AFCRemovePath   AFCOp = 0x08
	AFCMakeDir      AFCOp = 0x09
	AFCFileInfo     AFCOp = 0x0A
	AFCDeviceInfo   AFCOp = 0x0B
	AFCFileOpen     AFCOp = 0x0D
	AFCFileOpened   AFCOp = 0x0E // answer: a handle
	AFCFileRead     AFCOp = 0x0F
	AFCFileWrite    AFCOp = 0x10
	AFCFileSeek     AFCOp = 0x11
	AFCFileTell     AFCOp = 0x12
	AFCFileTold     AFCOp = 0x13 // answer: an offset
	AFCFileClose    AFCOp = 0x14
	AFCFileSetSize  AFCOp = 0x15
	AFCRenamePath   AFCOp = 0x18
	AFCSetBlockSize AFCOp = 0x19
	AFCSetSockBlock AFCOp = 0x1A
	AFCFileLock     AFCOp = 0x1B
	AFCMakeLink     AFCOp = 0x1C
	AFCSetModTime   AFCOp = 0x1E
	AFCRemoveAll    AFCOp = 0x22
)

// AFCError is the code in an AFCStatus packet. Zero is success, no error.
type AFCError uint64

// The codes that hosts act on, and phones give.
const (
	AFCOK            AFCError = 0
	AFCUnknown       AFCError = 1
	AFCUnknownPacket AFCError = 6
	AFCInvalid       AFCError = 7
	AFCNotFound      AFCError = 8
	AFCIsDir         AFCError = 9
	AFCDenied        AFCError = 10
	afcEndOfData     AFCError = 14
	AFCUnsupported   AFCError = 15
	AFCExists        AFCError = 16
	AFCNoSpace       AFCError = 18
	AFCWouldBlock    AFCError = 19
	AFCIO            AFCError = 20
	AFCNotEmpty      AFCError = 33
)

// Error says what the phone's file service answered.
func (e AFCError) Error() string {
	switch e {
	case AFCNotFound:
		return "the phone has no such file"
	case AFCDenied:
		return "the phone denies access to the file"
	case AFCExists:
		return "the phone has this file already"
	case AFCNoSpace:
		return "the phone is full"
	case AFCWouldBlock:
		return "the phone's file is locked by another program"
	}
	return fmt.Sprintf("the phone's file service answered %d", uint64(e))
}

// AFCPacket is one packet of the file service, com.apple.afc. Params are the
// fixed parameters of its operation, Data is what a write carries besides.
type AFCPacket struct {
	Number uint64 // an answer repeats its request's
	Op     AFCOp
	Params []byte
	Data   []byte
}

// The header: magic, whole length, length without Data, number, operation;
// each 64 bits, little endian.
const (
	afcMagic  = "CFA6LPAA"
	afcHeader = 40
	// MaxAFC bounds a packet, in bytes. Clients read and write at most 4 MiB
	// at a time.
	MaxAFC = 8 << 20
)

// ReadAFC reads one packet. At a clean end it returns io.EOF.
func ReadAFC(r io.Reader) (*AFCPacket, error) {
	var head [afcHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	whole, fixed := le.Uint64(head[8:]), le.Uint64(head[16:])
	if string(head[:8]) != afcMagic || fixed < afcHeader || whole < fixed || whole > MaxAFC {
		return nil, fmt.Errorf("read a packet of the file service: its header is damaged")
	}
	data, err := readExactly(r, int(whole)-afcHeader)
	if err != nil {
		return nil, fmt.Errorf("read a packet of the file service: %w", err)
	}
	cut := int(fixed) - afcHeader
	return &AFCPacket{Number: le.Uint64(head[24:]), Op: AFCOp(le.Uint64(head[32:])), Params: data[:cut:cut], Data: data[cut:]}, nil
}

// WriteAFC writes one packet, in one call to Write.
func WriteAFC(w io.Writer, p *AFCPacket) error {
	fixed := afcHeader + len(p.Params)
	whole := fixed + len(p.Data)
	if whole > MaxAFC {
		return fmt.Errorf("write a packet of the file service: %d bytes are over %d", whole, MaxAFC)
	}
	le := binary.LittleEndian
	b := append(make([]byte, 0, whole), afcMagic...)
	for _, n := range []uint64{uint64(whole), uint64(fixed), p.Number, uint64(p.Op)} {
		b = le.AppendUint64(b, n)
	}
	b = append(append(b, p.Params...), p.Data...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write a packet of the file service: %w", err)
	}
	return nil
}
