package ios

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// keybagVector is one wrapped class key whose password is known. Real ones and hashcat's examples, published with
// John the Ripper and hashcat (modes 14700 and 14800).
type keybagVector struct {
	name, password, wrapped, salt, preSalt string
	preRounds                              uint32
	class                                  string
}

func (v keybagVector) keybag(t testing.TB) []byte {
	t.Helper()
	bag := appendTag(nil, "UUID", make([]byte, 16))
	bag = appendTag(bag, "SALT", unhex(t, v.salt))
	bag = appendNumber(bag, "ITER", 10_000)
	if v.preRounds > 0 {
		bag = appendTag(bag, "DPSL", unhex(t, v.preSalt))
		bag = appendNumber(bag, "DPIC", v.preRounds)
	}
	bag = appendTag(bag, "UUID", make([]byte, 16))
	bag = appendNumber(bag, "CLAS", 3)
	bag = appendNumber(bag, "WRAP", wrapPassword)
	return appendTag(bag, "WPKY", unhex(t, v.wrapped))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeybagUnlock(t *testing.T) {
	t.Parallel()
	for _, v := range []keybagVector{
		{
			name: "iOS 10.2, ten million rounds", password: "test123",
			wrapped: "deff6d646eb1fa2b6741efee8b70eda84341a838cef2bb10e582669759d7e33c399a0ba2a52cb9ec",
			salt:    "f09cfa82cc1695657cb2c347ee127c2523795fda",
			preSalt: "66f159e15f3ddbbdd4057f8babef7ad4472fac10", preRounds: 10_000_000,
			class: "c92b6a58e988a31c65fff965911147f624567facbfce602efc1a1da2374de238",
		},
		{
			name: "iTunes 9, first", password: "123456",
			wrapped: "bc707ac0151660426c8114d04caad9d9ee2678a7b7ab05c18ee50cafb2613c31c8978e8b1e9cad2a",
			salt:    "266343aaf99102ba7f6af64a3a2d62637793f753",
			class:   "0003897185014cf89b30fb01979f5e675409edfce0cda6cba5f5467a969ebbae",
		},
		{
			name: "iTunes 9, second", password: "test123",
			wrapped: "06dc04bca4eeea2fbc1bc7356fa758243bead479673640a668db285c8f48c402cc435539d935509e",
			salt:    "37d2bd7caefbb24a9729e41a3257ef06188dc01e",
			class:   "974df46624faf86673d42c658a628872963ed4ab1527b01f75f8c87719c8a44c",
		},
		{
			name: "hashcat 14700", password: "hashcat",
			wrapped: "b8e3f3a970239b22ac199b622293fe4237b9d16e74bad2c3c3568cd1bd3c471615a6c4f867265642",
			salt:    "4542263740587424862267232255853830404566",
			class:   "ef6350dc7dd100005d63c19758080000d16b7de7ab7300000f6187b152020000",
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && v.preRounds > 0 {
				t.Skip("short: takes seconds")
			}
			kb, err := ParseKeybag(v.keybag(t))
			if err != nil {
				t.Fatal(err)
			}
			keys, err := kb.Unlock(t.Context(), v.password)
			if err != nil {
				t.Fatal(err)
			}
			if got := keys[3]; hex.EncodeToString(got[:]) != v.class {
				t.Errorf("class key %x, want %s", got[:], v.class)
			}
			if v.preRounds > 0 {
				return
			}
			if _, err := kb.Unlock(t.Context(), v.password+" "); !errors.Is(err, ErrWrongPassword) {
				t.Errorf("another password: %v, want ErrWrongPassword", err)
			}
		})
	}
}

func TestPBKDF2(t *testing.T) {
	t.Parallel()
	for _, rounds := range []int{1, 2, 1000} {
		want, err := pbkdf2.Key(sha1.New, "secret", []byte("salt"), rounds, 32)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pbkdf2To32(t.Context(), sha1.New, []byte("secret"), []byte("salt"), rounds)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d rounds of SHA-1: %x, %v, want %x", rounds, got, err, want)
		}
	}
}

func TestUnlockStops(t *testing.T) {
	t.Parallel()
	v := keybagVector{
		wrapped: "deff6d646eb1fa2b6741efee8b70eda84341a838cef2bb10e582669759d7e33c399a0ba2a52cb9ec",
		salt:    "f09cfa82cc1695657cb2c347ee127c2523795fda",
		preSalt: "66f159e15f3ddbbdd4057f8babef7ad4472fac10", preRounds: maxIterations,
	}
	kb, err := ParseKeybag(v.keybag(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := kb.Unlock(ctx, "any"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("stopped after %v", d)
	}
}

func TestNewKeybag(t *testing.T) {
	t.Parallel()
	seed := [32]byte{1}
	bag, want, err := NewKeybag(rand.NewChaCha8(seed), "pass", 10)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := NewKeybag(rand.NewChaCha8(seed), "pass", 10)
	if err != nil || !bytes.Equal(bag, again) {
		t.Errorf("the same random bytes make another keybag, %v", err)
	}
	kb, err := ParseKeybag(bag)
	if err != nil {
		t.Fatal(err)
	}
	got, err := kb.Unlock(t.Context(), "pass")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 {
		t.Errorf("%d classes open, want 1 to 4 and 6 to 8 only", len(got))
	}
	for class, k := range got {
		if k != want[class] {
			t.Errorf("class %d: %x, want %x", class, k[:], want[class])
		}
	}
	if _, err := kb.Unlock(t.Context(), "word"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("wrong password: %v", err)
	}
	if _, _, err := NewKeybag(bytes.NewReader(nil), "pass", 10); !errors.Is(err, io.EOF) {
		t.Errorf("no random bytes: %v", err)
	}
}

// TestDeviceKeys builds a keybag in which only a class that is bound to the phone passes the integrity check.
func TestRewrapKeybag(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	_, keys, err := NewKeybag(random, "old", 3)
	if err != nil {
		t.Fatal(err)
	}
	bag, err := RewrapKeybag(random, keys, "new", 3)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := ParseKeybag(bag)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kb.Unlock(t.Context(), "old"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("the old password: got %v, want ErrWrongPassword", err)
	}
	got, err := kb.Unlock(t.Context(), "new")
	if err != nil || !maps.Equal(got, keys) {
		t.Errorf("got other keys, %v", err)
	}
}

func TestDeviceKeys(t *testing.T) {
	t.Parallel()
	bag, _, err := NewKeybag(rand.NewChaCha8([32]byte{2}), "pass", 1)
	if err != nil {
		t.Fatal(err)
	}
	usable := appendNumber(nil, "WRAP", wrapPassword)
	bound := bytes.ReplaceAll(bag, usable, appendNumber(nil, "WRAP", wrapDevicePassword))
	kb, err := ParseKeybag(bound)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := kb.Unlock(t.Context(), "pass"); err == nil || errors.Is(err, ErrWrongPassword) {
		t.Errorf("got %d keys and %v, want an error other than a wrong password", len(keys), err)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	// RFC 3394 section 4.6.
	ck := ClassKeys{4: Key(unhex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))}
	k := Key(unhex(t, "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f"))
	want := unhex(t, "0400000028c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21")
	wrapped := ck.Wrap(4, k)
	if !bytes.Equal(wrapped, want) {
		t.Errorf("wrapped %x, want %x", wrapped, want)
	}
	if got, err := ck.Unwrap(wrapped); err != nil || got != k {
		t.Errorf("unwrapped %x, %v, want %x", got[:], err, k[:])
	}
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 1
		if _, err := ck.Unwrap(bad); err == nil {
			t.Errorf("a flipped bit in byte %d was not noticed", i)
		}
		if _, err := ck.Unwrap(wrapped[:i]); err == nil {
			t.Errorf("%d bytes were taken", i)
		}
	}
}

func TestParseKeybagDamaged(t *testing.T) {
	t.Parallel()
	v := keybagVector{wrapped: "00", salt: "00", preSalt: "00", preRounds: 1}
	good := v.keybag(t)
	if _, err := ParseKeybag(append(good, appendTag(nil, "NEW!", []byte("?"))...)); err != nil {
		t.Errorf("unknown tag: %v", err)
	}
	long := bytes.Clone(good)
	binary.BigEndian.PutUint32(long[4:], 1<<31)
	for name, bag := range map[string][]byte{
		"nothing":           nil,
		"length beyond end": long,
		"odd end":           append(bytes.Clone(good), "WR"...),
		"too many rounds":   keybagVector{salt: "00", preSalt: "00", preRounds: maxIterations + 1}.keybag(t),
		"no rounds":         bytes.Replace(good, appendNumber(nil, "ITER", 10_000), appendNumber(nil, "ITER", 0), 1),
		"no DPIC":           bytes.Replace(good, []byte("DPIC"), []byte("XXXX"), 1),
		"short number":      append(bytes.Clone(good), appendTag(nil, "CLAS", []byte{1})...),
		"short UUID":        appendTag(nil, "UUID", []byte{1}),
		"many classes":      append(bytes.Clone(good), bytes.Repeat(appendTag(nil, "UUID", nil), maxKeybagClass)...),
		"too big":           append(bytes.Clone(good), appendTag(nil, "NEW!", make([]byte, maxKeybagSize))...),
	} {
		if _, err := ParseKeybag(bag); !errors.Is(err, errKeybag) {
			t.Errorf("%s: got %v, want a damaged keybag", name, err)
		}
	}
}

func FuzzParseKeybag(f *testing.F) {
	bag, _, err := NewKeybag(rand.NewChaCha8([32]byte{3}), "pass", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bag)
	f.Add(bag[:100])
	f.Add(keybagVector{wrapped: "00", salt: "00"}.keybag(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		kb, err := ParseKeybag(data)
		if err == nil && (kb.rounds < 1 || kb.rounds > maxIterations || kb.preRounds > maxIterations) {
			t.Errorf("rounds %d and %d", kb.rounds, kb.preRounds)
		}
	})
}

func BenchmarkPBKDF2(b *testing.B) {
	salt := make([]byte, saltSize)
	b.Run("interruptible", func(b *testing.B) {
		if _, err := pbkdf2To32(b.Context(), sha256.New, salt, salt, b.N); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("standard", func(b *testing.B) {
		if _, err := pbkdf2.Key(sha256.New, string(salt), salt, b.N, 32); err != nil {
			b.Fatal(err)
		}
	})
}
