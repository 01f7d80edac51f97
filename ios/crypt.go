package ios

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A file of an encrypted backup is stored as AES-256-CBC, with a zero IV, of its plaintext with PKCS#7 padding, under
// the key in its manifest record (docs/format.md). The two directions are exact inverses.

// ErrPadding says that a stored file is not what encryption makes: it is empty, its length is not a multiple of 16, its
// padding is wrong, or its key is.
var ErrPadding = errors.New("invalid padding")

// cryptBuffer is how much is encrypted or decrypted at once.
const cryptBuffer = 64 << 10

// EncryptedSize returns the stored length of a file of plain bytes.
func EncryptedSize(plain int64) int64 { return plain - plain%aes.BlockSize + aes.BlockSize }

// Encrypt appends the stored form of plain to dst. The two must not overlap.
func Encrypt(dst, plain []byte, k Key) []byte {
	start := len(dst)
	dst = appendPadding(append(dst, plain...), len(plain))
	newEncryption(k).CryptBlocks(dst[start:], dst[start:])
	return dst
}

// Decrypt appends the plaintext of sealed to dst. The two must not overlap, unless dst is sealed[:0]. With an error,
// which is ErrPadding, the bytes behind dst are undefined.
func Decrypt(dst, sealed []byte, k Key) ([]byte, error) {
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return dst, ErrPadding
	}
	start := len(dst)
	dst = append(dst, sealed...)
	d := decryption{block: newCipher(k)}
	d.blocks(dst[start:])
	n, err := paddingLen(dst[start:])
	return dst[:len(dst)-n], err
}

func newCipher(k Key) cipher.Block {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic("ios: " + err.Error()) // a Key always has the right length
	}
	return block
}

func newEncryption(k Key) cipher.BlockMode {
	return cipher.NewCBCEncrypter(newCipher(k), make([]byte, aes.BlockSize))
}

// decryption takes CBC off a run of blocks. The standard library's own does so one block at a time, in more than twice
// the time: only the chaining of whole pieces can be done at once.
type decryption struct {
	block  cipher.Block
	sealed [aes.BlockSize + 4<<10]byte // the ciphertext block before, then a piece
}

// blocks decrypts whole blocks in place, the next ones of the run.
func (d *decryption) blocks(buf []byte) {
	for len(buf) > 0 {
		n := copy(d.sealed[aes.BlockSize:], buf)
		for i := 0; i < n; i += aes.BlockSize {
			d.block.Decrypt(buf[i:], d.sealed[aes.BlockSize+i:])
		}
		subtle.XORBytes(buf[:n], buf[:n], d.sealed[:n])
		copy(d.sealed[:aes.BlockSize], d.sealed[n:])
		buf = buf[n:]
	}
}

// appendPadding appends the padding of a file of size bytes (RFC 5652 section 6.3).
func appendPadding(dst []byte, size int) []byte {
	n := aes.BlockSize - size%aes.BlockSize
	return append(dst, bytes.Repeat([]byte{byte(n)}, n)...)
}

// paddingLen returns the length of the padding at the end of plain, which holds at least one block.
func paddingLen(plain []byte) (int, error) {
	last := plain[len(plain)-aes.BlockSize:]
	n := int(last[aes.BlockSize-1])
	if n == 0 || n > aes.BlockSize {
		return 0, ErrPadding
	}
	for _, b := range last[aes.BlockSize-n:] {
		if int(b) != n {
			return 0, ErrPadding
		}
	}
	return n, nil
}

// Decrypter reads the plaintext of a stored file. It ends with ErrPadding instead of io.EOF when the file is not what
// encryption makes, which shows only at its end. It is not safe for concurrent use.
type Decrypter struct {
	r       io.Reader
	mode    decryption
	buf     []byte // room for the block that was held back, then for what is read
	ready   []byte // plaintext in buf that Read has not given out yet
	last    [aes.BlockSize]byte
	holding bool  // last is set: the plaintext's newest block, which may be padding
	err     error // what comes after ready
}

// NewDecrypter returns a Decrypter of the stored file that r reads.
func NewDecrypter(r io.Reader, k Key) *Decrypter {
	d := new(Decrypter)
	d.Reset(r, k)
	return d
}

// Reset makes d read another file, with the buffer that it has. The zero Decrypter may be reset, too.
func (d *Decrypter) Reset(r io.Reader, k Key) {
	buf := d.buf
	if buf == nil {
		buf = make([]byte, aes.BlockSize+cryptBuffer)
	}
	*d = Decrypter{r: r, mode: decryption{block: newCipher(k)}, buf: buf}
}

// Read implements io.Reader.
func (d *Decrypter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// fill reads and decrypts the next bytes.
func (d *Decrypter) fill() {
	n, err := io.ReadFull(d.r, d.buf[aes.BlockSize:])
	end := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !end {
		d.err = err
		return
	}
	if n%aes.BlockSize != 0 {
		d.err = ErrPadding
		return
	}
	plain := d.buf[aes.BlockSize:][:n]
	d.mode.blocks(plain)
	if d.holding {
		copy(d.buf, d.last[:])
		plain = d.buf[:aes.BlockSize+n]
	}
	switch {
	case !end:
		d.ready = plain[:len(plain)-aes.BlockSize]
		d.holding = copy(d.last[:], plain[len(d.ready):]) > 0
	case len(plain) == 0:
		d.err = ErrPadding
	default:
		var padding int
		if padding, d.err = paddingLen(plain); d.err == nil {
			d.ready, d.err = plain[:len(plain)-padding], io.EOF
		}
	}
}

// encrypter reads the stored form of a file.
type encrypter struct {
	r     io.Reader
	mode  cipher.BlockMode
	buf   []byte
	ready []byte // ciphertext in buf that Read has not given out yet
	err   error  // what comes after ready
}

// NewEncrypter returns a reader of the stored form of the plaintext that r reads.
func NewEncrypter(r io.Reader, k Key) io.Reader {
	return &encrypter{r: r, mode: newEncryption(k), buf: make([]byte, cryptBuffer+aes.BlockSize)}
}

// Read implements io.Reader.
func (e *encrypter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(e.ready) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.fill()
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n, nil
}

// fill reads and encrypts the next bytes.
func (e *encrypter) fill() {
	n, err := io.ReadFull(e.r, e.buf[:cryptBuffer])
	switch err {
	case nil:
		e.ready = e.buf[:n]
	case io.EOF, io.ErrUnexpectedEOF:
		e.ready, e.err = appendPadding(e.buf[:n], n), io.EOF
	default:
		e.err = err
		return
	}
	e.mode.CryptBlocks(e.ready, e.ready)
}

// DecrypterAt reads the plaintext of a stored file at any place: CBC decrypts a block from itself and the one before.
// It is safe for concurrent use when the reader below it is.
type DecrypterAt struct {
	r     io.ReaderAt
	block cipher.Block
	size  int64     // of the plaintext
	bufs  sync.Pool // of *pieceRoom
}

// pieceRoom is what reading a piece takes.
type pieceRoom struct {
	decryption
	buf [aes.BlockSize + cryptBuffer]byte
}

// NewDecrypterAt returns a reader of the plaintext of the stored file that r holds in its first size bytes. It reads
// the end of the file, and fails with ErrPadding when that is not what encryption makes.
func NewDecrypterAt(r io.ReaderAt, size int64, k Key) (*DecrypterAt, error) {
	if size <= 0 || size%aes.BlockSize != 0 {
		return nil, ErrPadding
	}
	d := &DecrypterAt{r: r, block: newCipher(k), size: size}
	d.bufs.New = func() any { return &pieceRoom{decryption: decryption{block: d.block}} }
	var last [aes.BlockSize]byte
	if _, err := d.ReadAt(last[:], size-aes.BlockSize); err != nil {
		return nil, fmt.Errorf("read last block: %w", err)
	}
	padding, err := paddingLen(last[:])
	if err != nil {
		return nil, err
	}
	d.size -= int64(padding)
	return d, nil
}

// Size returns the length of the plaintext.
func (d *DecrypterAt) Size() int64 { return d.size }

// ReadAt implements io.ReaderAt.
func (d *DecrypterAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read before the start")
	}
	if off >= d.size {
		return 0, io.EOF
	}
	var end error
	if left := d.size - off; left < int64(len(p)) {
		p, end = p[:left], io.EOF
	}
	room := d.bufs.Get().(*pieceRoom)
	defer d.bufs.Put(room)
	done := 0
	for done < len(p) {
		n, err := d.readPiece(room, p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, end
}

// readPiece fills as much of p as one buffer allows.
func (d *DecrypterAt) readPiece(room *pieceRoom, p []byte, off int64) (int, error) {
	skip := int(off % aes.BlockSize)
	blocks := min((skip+len(p)+aes.BlockSize-1)/aes.BlockSize, cryptBuffer/aes.BlockSize)
	buf := room.buf[:(1+blocks)*aes.BlockSize]
	from := off - int64(skip) - aes.BlockSize // the block before, too
	in := buf
	if from < 0 {
		clear(buf[:aes.BlockSize])
		in, from = buf[aes.BlockSize:], 0
	}
	if n, err := d.r.ReadAt(in, from); n < len(in) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file is shorter than it was said to be
		}
		return 0, err
	}
	plain := buf[aes.BlockSize:]
	copy(room.sealed[:], buf[:aes.BlockSize])
	room.blocks(plain)
	return copy(p, plain[skip:]), nil
}
