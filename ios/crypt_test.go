package ios

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func testBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{9}).Read(b)
	return b
}

func testKey() Key { return Key(testBytes(32)) }

// cryptSizes stand around the borders of blocks and buffers.
var cryptSizes = []int{
	0, 1, 15, 16, 17, 31, 32, 4096, cryptBuffer - 17, cryptBuffer - 16, cryptBuffer - 1, cryptBuffer, cryptBuffer + 1,
	cryptBuffer + 16, 2*cryptBuffer - 1, 2 * cryptBuffer, 3*cryptBuffer + 5,
}

func TestCrypt(t *testing.T) {
	t.Parallel()
	k := testKey()
	for _, size := range cryptSizes {
		plain := testBytes(size)
		prefix := []byte("prefix")
		sealed := Encrypt(prefix, plain, k)[len(prefix):]
		if int64(len(sealed)) != EncryptedSize(int64(size)) {
			t.Errorf("%d bytes: %d stored, EncryptedSize says %d", size, len(sealed), EncryptedSize(int64(size)))
		}
		if got, err := Decrypt(prefix, sealed, k); err != nil || !bytes.Equal(got[len(prefix):], plain) {
			t.Errorf("%d bytes: Decrypt gave %d others, %v", size, len(got)-len(prefix), err)
		}
		if got, err := Decrypt(bytes.Clone(sealed)[:0], sealed, k); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: Decrypt in place gave others, %v", size, err)
		}
		if got, err := io.ReadAll(NewEncrypter(bytes.NewReader(plain), k)); err != nil || !bytes.Equal(got, sealed) {
			t.Errorf("%d bytes: NewEncrypter gave %d others, %v", size, len(got), err)
		}
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(sealed), "halves": iotest.HalfReader(bytes.NewReader(sealed)),
			"early end": iotest.DataErrReader(bytes.NewReader(sealed)),
		} {
			if got, err := io.ReadAll(NewDecrypter(r, k)); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %s: NewDecrypter gave %d others, %v", size, name, len(got), err)
			}
		}
	}
}

// TestEncryptStandard compares with padding and encryption written out.
func TestEncryptStandard(t *testing.T) {
	t.Parallel()
	k := testKey()
	block, err := aes.NewCipher(k[:])
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte("eleven byte"), 5, 5, 5, 5, 5)
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(want, want)
	if got := Encrypt(nil, []byte("eleven byte"), k); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestDecrypterReset(t *testing.T) {
	t.Parallel()
	k := testKey()
	var d Decrypter
	for _, size := range cryptSizes {
		plain := testBytes(size)
		d.Reset(bytes.NewReader(Encrypt(nil, plain, k)), k)
		if err := iotest.TestReader(&d, plain); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		d.Reset(bytes.NewReader(make([]byte, 64)), k) // left in the middle
		_, _ = d.Read(make([]byte, 5))
	}
}

// sealRaw encrypts whole blocks without adding padding.
func sealRaw(t *testing.T, plain []byte, k Key) []byte {
	t.Helper()
	sealed := bytes.Clone(plain)
	newEncryption(k).CryptBlocks(sealed, sealed)
	return sealed
}

func TestPadding(t *testing.T) {
	t.Parallel()
	k := testKey()
	for _, blocks := range []int{1, 2, cryptBuffer / aes.BlockSize, cryptBuffer/aes.BlockSize + 1} {
		for _, end := range [][]byte{{0}, {17}, {255}, {1, 2}, {3, 2, 3}, append([]byte{15}, bytes.Repeat([]byte{16}, 15)...)} {
			plain := bytes.Repeat([]byte{99}, blocks*aes.BlockSize)
			copy(plain[len(plain)-len(end):], end)
			checkPadding(t, fmt.Sprintf("%d blocks, end %v", blocks, end), sealRaw(t, plain, k), k)
		}
	}
	checkPadding(t, "empty", nil, k)
	sealed := Encrypt(nil, testBytes(2*cryptBuffer), k)
	for _, size := range []int{1, 15, 17, cryptBuffer - 1, cryptBuffer + 1, len(sealed) - 1} {
		checkPadding(t, fmt.Sprintf("cut to %d bytes", size), sealed[:size], k)
	}
}

func checkPadding(t *testing.T, name string, sealed []byte, k Key) {
	t.Helper()
	if _, err := Decrypt(nil, sealed, k); !errors.Is(err, ErrPadding) {
		t.Errorf("%s: Decrypt: %v", name, err)
	}
	if _, err := io.Copy(io.Discard, NewDecrypter(bytes.NewReader(sealed), k)); !errors.Is(err, ErrPadding) {
		t.Errorf("%s: Decrypter: %v", name, err)
	}
	if _, err := NewDecrypterAt(bytes.NewReader(sealed), int64(len(sealed)), k); !errors.Is(err, ErrPadding) {
		t.Errorf("%s: NewDecrypterAt: %v", name, err)
	}
}

func TestCryptReadErrors(t *testing.T) {
	t.Parallel()
	k := testKey()
	broken := errors.New("broken")
	half := io.MultiReader(bytes.NewReader(testBytes(cryptBuffer+32)), iotest.ErrReader(broken))
	if _, err := io.Copy(io.Discard, NewDecrypter(half, k)); !errors.Is(err, broken) {
		t.Errorf("Decrypter: %v", err)
	}
	half = io.MultiReader(bytes.NewReader(testBytes(cryptBuffer+32)), iotest.ErrReader(broken))
	if _, err := io.Copy(io.Discard, NewEncrypter(half, k)); !errors.Is(err, broken) {
		t.Errorf("Encrypter: %v", err)
	}
}

func TestDecrypterAt(t *testing.T) {
	t.Parallel()
	k := testKey()
	for _, size := range cryptSizes {
		plain := testBytes(size)
		sealed := Encrypt(nil, plain, k)
		d, err := NewDecrypterAt(bytes.NewReader(sealed), int64(len(sealed)), k)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if d.Size() != int64(size) {
			t.Errorf("%d bytes: size %d", size, d.Size())
		}
		if err := iotest.TestReader(io.NewSectionReader(d, 0, d.Size()), plain); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestDecrypterAtPlaces(t *testing.T) {
	t.Parallel()
	k := testKey()
	plain := testBytes(2*cryptBuffer + 100)
	sealed := Encrypt(nil, plain, k)
	d, err := NewDecrypterAt(bytes.NewReader(sealed), int64(len(sealed)), k)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.NewReader(plain)
	for _, off := range []int64{0, 1, 15, 16, 17, cryptBuffer - 16, cryptBuffer - 3, int64(len(plain)) - 20, int64(len(plain)), 1 << 40} {
		for _, n := range []int{1, 15, 16, 17, 4096, cryptBuffer, cryptBuffer + 20, len(plain), len(plain) + 7} {
			got, exp := make([]byte, n), make([]byte, n)
			gotN, gotErr := d.ReadAt(got, off)
			expN, expErr := want.ReadAt(exp, off)
			if gotN != expN || gotErr != expErr || !bytes.Equal(got[:gotN], exp[:expN]) {
				t.Errorf("%d bytes at %d: %d, %v, want %d, %v", n, off, gotN, gotErr, expN, expErr)
			}
		}
	}
	if _, err := d.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read before the start")
	}
}

// TestDecrypterAtShort has a file that was cut after it was opened.
func TestDecrypterAtShort(t *testing.T) {
	t.Parallel()
	k := testKey()
	sealed := Encrypt(nil, testBytes(4096), k)
	r := &shrinking{data: sealed}
	d, err := NewDecrypterAt(r, int64(len(sealed)), k)
	if err != nil {
		t.Fatal(err)
	}
	r.data = sealed[:1024]
	if n, err := d.ReadAt(make([]byte, 4096), 0); err != io.ErrUnexpectedEOF {
		t.Errorf("got %d bytes, %v, want %v", n, err, io.ErrUnexpectedEOF)
	}
}

type shrinking struct{ data []byte }

func (s *shrinking) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.data).ReadAt(p, off)
}

func BenchmarkDecrypter(b *testing.B) {
	k := testKey()
	for _, size := range []int{4 << 10, 4 << 20} {
		sealed := Encrypt(nil, testBytes(size), k)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var d Decrypter
			for b.Loop() {
				d.Reset(bytes.NewReader(sealed), k)
				if _, err := io.Copy(io.Discard, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncrypt(b *testing.B) {
	k, plain := testKey(), testBytes(4<<20)
	dst := make([]byte, 0, EncryptedSize(int64(len(plain))))
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		dst = Encrypt(dst[:0], plain, k)
	}
}
