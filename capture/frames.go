package capture

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"russet/crypto"
	"russet/internal/durable"
)

// Frames are what the journal and the listing consist of (docs/format.md, "A run
// of a phone"): a length of 4 bytes, and so many sealed bytes.
const (
	// maxFrame bounds one frame as stored: operations between two checkpoints,
	// the longest of which lists the blobs of a file of a terabyte.
	maxFrame = 64 << 20
	// frameHead is the run and the number of the frame, before its content.
	frameHead = 16 + 8
)

// errFrame: the frames of a file are not those that were written to it.
var errFrame = errors.New("a frame is damaged")

// frameSeal binds the frames of a file to each other and to their order.
type frameSeal struct {
	key  *crypto.Key
	run  [16]byte // the same in all frames of a file, and in no other file
	next uint64   // number of the next frame
}

// newRun returns what no other file has in its frames.
func newRun() (run [16]byte) {
	_, _ = rand.Read(run[:]) // never fails: it ends the program instead
	return run
}

// seal appends the next frame to dst. The first frameHead bytes of plain are
// filled in here.
func (s *frameSeal) seal(dst, plain []byte) []byte {
	copy(plain, s.run[:])
	binary.BigEndian.PutUint64(plain[len(s.run):], s.next)
	s.next++
	return s.key.Seal(binary.BigEndian.AppendUint32(dst, uint32(len(plain)+crypto.Overhead)), plain)
}

// openFrames opens a file that consists of frames, and says how many bytes it has.
func openFrames(root *os.Root, name string, flag int) (f *os.File, size int64, err error) {
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: it is no file", errFrame)
	}
	if err == nil {
		f, err = root.OpenFile(name, flag, 0)
	}
	if err != nil {
		return nil, 0, durable.WithoutPath(err)
	}
	return f, info.Size(), nil
}

// frameReader reads the frames of a file that is size bytes long.
type frameReader struct {
	*frameSeal
	r            *bufio.Reader
	good, size   int64 // good is where the last frame that was read ends
	frame, plain []byte
}

func newFrameReader(s *frameSeal, f io.Reader, size int64) *frameReader {
	return &frameReader{frameSeal: s, r: bufio.NewReaderSize(f, 1<<20), size: size}
}

// read returns the content of the next frame, until the next call. The first
// tells the run. The error is io.EOF where no frame follows that was written to
// its end, and errFrame where one is damaged.
func (r *frameReader) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, onlyEnd(err)
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	end := r.good + int64(len(head)) + n
	if end > r.size {
		return nil, io.EOF
	}
	if n > maxFrame {
		return nil, fmt.Errorf("%w: it has %d bytes", errFrame, n)
	}
	if int64(cap(r.frame)) < n {
		r.frame = make([]byte, n)
	}
	r.frame = r.frame[:n]
	if _, err := io.ReadFull(r.r, r.frame); err != nil {
		return nil, onlyEnd(err)
	}
	plain, err := r.key.Open(r.plain[:0], r.frame)
	if err != nil && end == r.size {
		return nil, io.EOF // its length was written, its bytes were not
	}
	if err != nil || len(plain) < frameHead {
		return nil, fmt.Errorf("%w: it does not open", errFrame)
	}
	r.plain = plain
	if r.next == 0 {
		copy(r.run[:], plain)
	}
	if [16]byte(plain) != r.run || binary.BigEndian.Uint64(plain[len(r.run):]) != r.next {
		return nil, fmt.Errorf("%w: it is not in its place", errFrame)
	}
	r.next++
	r.good = end
	return plain[frameHead:], nil
}

// onlyEnd makes the end of a file in the midst of a frame its end.
func onlyEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
