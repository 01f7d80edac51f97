package crypto

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	//lint:ignore SA1019 the repository's format is Poly1305-AES
	"golang.org/x/crypto/poly1305"
)

// testKey is a key whose r is not clamped, as restic's are not.
const testKey = `{"mac":{"k":"QUJDREVGR0hJSktMTU5PUA==","r":"8PHy8/T19vf4+fr7/P3+/w=="},` +
	`"encrypt":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="}`

func parseKey(tb testing.TB, text string) *Key {
	tb.Helper()
	k := new(Key)
	if err := k.UnmarshalJSON([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	return k
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// The sealed bytes were computed by a Poly1305 and a counter mode written in Python for this purpose, after the formulas of
// RFC 8439 and NIST SP 800-38A; the only thing they share with this package is AES itself.
func TestOpenKnown(t *testing.T) {
	t.Parallel()
	k := parseKey(t, testKey)
	for _, c := range []struct{ name, plaintext, sealed string }{
		{"empty", "", "000102030405060708090a0b0c0d0e0f045ae6f3321b6fc6e4e79da9eb862921"},
		{"byte", "a", "000102030405060708090a0b0c0d0e0f8c6299b40fa99073189193d831ce689adf"},
		{
			"blocks", "the plaintext of restic format: more than two blocks",
			"000102030405060708090a0b0c0d0e0f9902655c382d992b571dbd45f2f6450b1700aa08572bc510046bc513b6ff3f18" +
				"d79be716db31263e25770d900f8a2ba12aec0008264cb92f80af824deea7b6f9d07dc14a",
		},
		{
			"counter wraps round", "0123456789abcdef0123456789abcdef0123456789abcdefx",
			"ffffffffffffffffffffffffffffffffa270a1d27d4dacfc656ec802c88ac0c5970d6745524e4d749a03febb53d1233b" +
				"2f5925a193f1310ca2d896c1a5135ce5be68fdff2ba312009dfcc6d5e8f1538a7d",
		},
		{
			"zeros", strings.Repeat("\x00", 65),
			"000000000000000000000000000000011f681792a7c4073b9ae1f7a3c6773983c679db19bd5515e51f2ae40c7730aafa" +
				"cb7789063fb48c236d6a46b587c7f7577389196e22266b0d2e71a8ae48a4ebe6a4059da028403b1191feb4cc25ca2ee83c",
		},
	} {
		got, err := k.Open(nil, unhex(t, c.sealed))
		if err != nil || string(got) != c.plaintext {
			t.Errorf("%s: Open = %q, %v, want %q", c.name, got, err, c.plaintext)
		}
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := NewKey()
	for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 33, 255, 4096, 100_003, 1 << 20} {
		plaintext := make([]byte, n)
		for i := range plaintext {
			plaintext[i] = byte(i * i >> 3)
		}
		sealed := k.Seal(nil, plaintext)
		if len(sealed) != n+Overhead {
			t.Errorf("%d bytes sealed are %d, want %d", n, len(sealed), n+Overhead)
		}
		if n >= 16 && bytes.Contains(sealed, plaintext[n-16:]) {
			t.Errorf("%d bytes sealed hold plaintext", n)
		}
		got, err := k.Open(nil, sealed)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes do not come back: %v", n, err)
		}
	}
}

// What lies before and behind must stay as it is, whether or not dst has room.
func TestAppend(t *testing.T) {
	t.Parallel()
	k := NewKey()
	plaintext := []byte("some bytes that are longer than a block")
	for _, room := range []int{0, 1, len(plaintext), len(plaintext) + Overhead, 1000} {
		backing := bytes.Repeat([]byte{'#'}, 6+room)
		copy(backing, "before")
		sealed := k.Seal(backing[:6], plaintext)
		if string(sealed[:6]) != "before" || len(sealed) != 6+len(plaintext)+Overhead {
			t.Fatalf("room %d: Seal = %q", room, sealed)
		}
		if rest := backing[min(len(sealed), len(backing)):]; len(bytes.Trim(rest, "#")) != 0 {
			t.Errorf("room %d: Seal wrote behind its end: %q", room, rest)
		}
		backing = bytes.Repeat([]byte{'#'}, 6+room)
		copy(backing, "before")
		got, err := k.Open(backing[:6], sealed[6:])
		if err != nil || string(got) != "before"+string(plaintext) {
			t.Fatalf("room %d: Open = %q, %v", room, got, err)
		}
		if rest := backing[min(len(got), len(backing)):]; len(bytes.Trim(rest, "#")) != 0 {
			t.Errorf("room %d: Open wrote behind its end: %q", room, rest)
		}
	}
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	k := NewKey()
	for n := range 100 {
		plaintext := bytes.Repeat([]byte("0123456789"), 10)[:n]
		buf := make([]byte, NonceSize+n, n+Overhead)
		copy(buf[NonceSize:], plaintext)
		sealed := k.Seal(buf[:0], buf[NonceSize:])
		if &sealed[0] != &buf[:1][0] {
			t.Fatalf("%d bytes: Seal made a copy", n)
		}
		for _, at := range []int{0, NonceSize} {
			work := bytes.Clone(sealed)
			got, err := k.Open(work[at:at], work)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%d bytes, at %d: Open in place = %q, %v", n, at, got, err)
			}
			if n > 0 && &got[0] != &work[at] {
				t.Errorf("%d bytes, at %d: Open made a copy", n, at)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	k := NewKey()
	for _, n := range []int{0, 1, 40} {
		sealed := k.Seal(nil, bytes.Repeat([]byte{'p'}, n))
		dst := []byte("................................................")
		for bit := range 8 * len(sealed) {
			bad := bytes.Clone(sealed)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := k.Open(dst[:0], bad); !errors.Is(err, ErrUnauthenticated) || got != nil {
				t.Errorf("%d bytes, bit %d flipped: Open = %q, %v", n, bit, got, err)
			}
		}
		for size := range sealed {
			got, err := k.Open(dst[:0], sealed[:size])
			if err == nil || got != nil || errors.Is(err, ErrUnauthenticated) != (size >= Overhead) {
				t.Errorf("%d bytes, cut to %d of %d: Open = %q, %v", n, size, len(sealed), got, err)
			}
		}
		for _, bad := range [][]byte{append(bytes.Clone(sealed), 0), append([]byte{0}, sealed...)} {
			if got, err := k.Open(dst[:0], bad); !errors.Is(err, ErrUnauthenticated) || got != nil {
				t.Errorf("%d bytes and one more: Open = %q, %v", n, got, err)
			}
		}
		if strings.Trim(string(dst), ".") != "" {
			t.Errorf("Open wrote %q before it had checked", dst)
		}
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	sealed := parseKey(t, testKey).Seal(nil, []byte("plaintext"))
	for _, other := range []*Key{
		NewKey(),
		parseKey(t, strings.Replace(testKey, "QUJD", "QUJE", 1)),                         // k
		parseKey(t, strings.Replace(testKey, "8PHy8/T19vf4+fr7", "8PHy8/T19vf4+fr8", 1)), // r
	} {
		if got, err := other.Open(nil, sealed); !errors.Is(err, ErrUnauthenticated) || got != nil {
			t.Errorf("with another key: Open = %q, %v", got, err)
		}
	}
	// Another encryption key under the same MAC key is not noticed by the MAC; the caller's check of the hash does.
	other := parseKey(t, strings.Replace(testKey, "AQIDBA", "AQIDBB", 1))
	if got, err := other.Open(nil, sealed); err != nil || string(got) == "plaintext" {
		t.Errorf("with another encryption key: Open = %q, %v", got, err)
	}
}

func TestZeroNonce(t *testing.T) {
	t.Parallel()
	k := parseKey(t, testKey)
	// Authentic but for the rule.
	authentic := make([]byte, Overhead+4)
	s := new(scratch)
	s.oneTime(k, authentic[:NonceSize])
	poly1305.Sum(&s.tag, authentic[NonceSize:NonceSize+4], &s.once)
	copy(authentic[NonceSize+4:], s.tag[:])
	for _, sealed := range [][]byte{authentic, make([]byte, Overhead), make([]byte, 100)} {
		if got, err := k.Open(nil, sealed); err != errZeroNonce || got != nil {
			t.Errorf("%x: Open = %q, %v, want %v", sealed, got, err, errZeroNonce)
		}
	}
	// A draw of zeros is drawn again.
	s.left = 3 * NonceSize
	s.nonces[0] = 1
	if n := s.nonce(); n[0] != 1 || s.left != 0 {
		t.Errorf("nonce = %x", n)
	}
}

func TestNoncesDiffer(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 2000
	k := NewKey()
	out := make([][]byte, workers)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			for range each {
				out[i] = k.Seal(out[i], nil)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, b := range out {
		for ; len(b) > 0; b = b[Overhead:] {
			seen[string(b[:NonceSize])] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d nonces for %d calls", len(seen), workers*each)
	}
}

// One allocation is that of the library's counter mode.
func TestAllocations(t *testing.T) { // not parallel: it counts those of the whole process
	k := NewKey()
	plaintext := make([]byte, 1000)
	sealed := k.Seal(nil, plaintext)
	buf := make([]byte, 0, 2000)
	if n := testing.AllocsPerRun(1000, func() { k.Seal(buf, plaintext) }); n > 1 {
		t.Errorf("Seal: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := k.Open(buf, sealed); err != nil {
			t.Error(err)
		}
	}); n > 1 {
		t.Errorf("Open: %v allocations", n)
	}
}

func TestKeyThatWasNeverSet(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r == nil || !strings.HasPrefix(r.(string), "crypto: ") {
			t.Errorf("Seal with the zero key: %v, want a panic", r)
		}
	}()
	new(Key).Seal(nil, nil)
}

func FuzzOpen(f *testing.F) {
	k := parseKey(f, testKey)
	f.Add([]byte{})
	f.Add(make([]byte, Overhead))
	f.Add(k.Seal(nil, []byte("plaintext")))
	f.Add(unhex(f, "000102030405060708090a0b0c0d0e0f8c6299b40fa99073189193d831ce689adf"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		got, err := k.Open(nil, sealed)
		if (err == nil) != (len(got) == len(sealed)-Overhead) && len(got) > 0 {
			t.Errorf("Open(%x) = %x, %v", sealed, got, err)
		}
		sum := sha256.Sum256(sealed)
		again, err := k.Open(nil, k.Seal(nil, sealed))
		if err != nil || sha256.Sum256(again) != sum {
			t.Errorf("%x does not come back: %x, %v", sealed, again, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, n := range map[string]int{"1K": 1 << 10, "1M": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			k, plaintext, buf := NewKey(), make([]byte, n), make([]byte, 0, n+Overhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				k.Seal(buf, plaintext)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for name, n := range map[string]int{"1K": 1 << 10, "1M": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			k, buf := NewKey(), make([]byte, 0, n)
			sealed := k.Seal(nil, make([]byte, n))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(buf, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	k := NewKey()
	for _, size := range []int{0, 1, verifyPiece - 1, verifyPiece, 3*verifyPiece + 7} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(i * 7 >> 3)
		}
		sealed := k.Seal(nil, plain)
		if err := k.Verify(sealed, plain); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		for _, i := range []int{0, size / 2, size - 1} {
			if i < 0 || i >= size {
				continue
			}
			plain[i] ^= 1
			if err := k.Verify(sealed, plain); !errors.Is(err, ErrDiffers) {
				t.Errorf("%d bytes, byte %d differs: %v, want ErrDiffers", size, i, err)
			}
			plain[i] ^= 1
		}
		for i := 0; i < len(sealed); i += max(1, len(sealed)/50) {
			sealed[i] ^= 4
			if err := k.Verify(sealed, plain); !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%d bytes, sealed byte %d flipped: %v, want ErrUnauthenticated", size, i, err)
			}
			sealed[i] ^= 4
		}
		if err := k.Verify(sealed, append(plain, 0)); !errors.Is(err, ErrDiffers) {
			t.Errorf("%d bytes against one more: %v, want ErrDiffers", size, err)
		}
	}
}
