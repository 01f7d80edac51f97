package crypto

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestKeyJSON(t *testing.T) {
	t.Parallel()
	k := parseKey(t, testKey)
	got, err := json.Marshal(k)
	if err != nil || string(got) != testKey {
		t.Errorf("MarshalJSON = %s, %v, want %s", got, err, testKey)
	}
	drawn := NewKey()
	text, err := json.Marshal(drawn)
	if err != nil {
		t.Fatal(err)
	}
	again := parseKey(t, string(text))
	if plaintext, err := again.Open(nil, drawn.Seal(nil, []byte("x"))); err != nil || string(plaintext) != "x" {
		t.Errorf("a drawn key does not survive its JSON: %q, %v", plaintext, err)
	}
	if other, err := json.Marshal(NewKey()); err != nil || bytes.Equal(text, other) {
		t.Errorf("two keys are the same: %v", err)
	}
	if text, err := json.Marshal(new(Key)); err == nil {
		t.Errorf("the zero key becomes %s", text)
	}
}

func TestBadKeyJSON(t *testing.T) {
	t.Parallel()
	const k, r, encrypt = "QUJDREVGR0hJSktMTU5PUA==", "8PHy8/T19vf4+fr7/P3+/w==", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
	const zero16, zero32 = "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	bad := []string{"", "{}", "[]", "null", "0", testKey[1:], testKey + testKey, `{"mac":"QUJDREVG","encrypt":"AQIDBAUG"}`, `{"encrypt":271828}`}
	for _, change := range [][2]string{
		{k, ""},
		{k, zero16},
		{k, k[:20]},
		{k, encrypt},
		{k, "*UJDREVGR0hJSktMTU5PUA=="},
		{r, ""},
		{r, zero16},
		{r, r[:20]},
		{encrypt, ""},
		{encrypt, zero32},
		{encrypt, k},
		{`"mac"`, `"cam"`},
		{`"encrypt"`, `"decrypt"`},
	} {
		bad = append(bad, strings.Replace(testKey, change[0], change[1], 1))
	}
	for _, text := range bad {
		key := new(Key)
		err := key.UnmarshalJSON([]byte(text))
		if err == nil || key.stream != nil || key.encrypt != [encryptSize]byte{} {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, secret := range []string{"QUJD", "271828", "AQID"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows it: %v", text, err)
			}
		}
	}
	key := parseKey(t, testKey)
	if err := key.UnmarshalJSON([]byte("{}")); err == nil {
		t.Error("an empty object is a key")
	}
	if got, err := json.Marshal(key); err != nil || string(got) != testKey {
		t.Errorf("a refused key has changed the old one: %s, %v", got, err)
	}
}

func FuzzKeyJSON(f *testing.F) {
	f.Add([]byte(testKey))
	f.Add([]byte(`{"mac":{},"encrypt":null}`))
	f.Add([]byte(`{"mac":{"k":"QUJDREVGR0hJSktMTU5PUA==","r":[1]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k := new(Key)
		if err := k.UnmarshalJSON(text); err != nil {
			return
		}
		if _, err := k.Open(nil, k.Seal(nil, text)); err != nil {
			t.Errorf("%s: a key that opens nothing: %v", text, err)
		}
	})
}

// The expected bytes are those of Python's hashlib.scrypt (OpenSSL), in restic's order: encrypt, k, r.
func TestDerive(t *testing.T) {
	t.Parallel()
	salt := make([]byte, SaltSize)
	for i := range salt {
		salt[i] = byte(i)
	}
	for _, c := range []struct {
		password string
		cost     Cost
		want     string
	}{
		{
			"password", Cost{16, 8, 1}, "0dca25e31cd27b11f42c6af4483d55082d5001ff91ecfed1fca4878c20974f52" +
				"bad2e7d2613bb9ad659708a1066ef787c5bd2613696896a80dd0fe63662ecf1f",
		},
		{
			"", Cost{2, 1, 1}, "9d0b56f760163a7739a9dfff34aefdfce835013cab20992752c5ac87508294f5" +
				"b550c5b3dbdfbf531facfe044c9c57305ae3156852c93f441fbad33f2682180c",
		},
		{
			"pässwört\x00 ", Cost{1024, 8, 3}, "e2931ef79addf0013ad312d23c7ab2ff01622a960888df0850e2bc96f7e909b2" +
				"2fce5d99f749f1127eef2d1d4b49f407a0e8b9c6cc9f003e0bcc86725de154a9",
		},
	} {
		k, err := Derive(c.password, salt, c.cost)
		if err != nil {
			t.Errorf("Derive(%q, %v): %v", c.password, c.cost, err)
			continue
		}
		if got := bytes.Join([][]byte{k.encrypt[:], k.k[:], k.r[:]}, nil); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("Derive(%q, %v) = %x, want %s", c.password, c.cost, got, c.want)
		}
	}
}

// None of these may take the time or the memory that it asks for.
func TestDeriveRefuses(t *testing.T) {
	t.Parallel()
	salt := make([]byte, SaltSize)
	const most = int(^uint(0) >> 1)
	for _, c := range []Cost{
		{},
		{N: 16, R: 8},
		{N: 16, P: 1},
		{R: 8, P: 1},
		{1, 8, 1},
		{-16, 8, 1},
		{16, -8, 1},
		{16, 8, -1},
		{15, 8, 1},
		{18, 8, 1},
		{1 << 24, 8, 1},
		{1 << 21, 8, 1},
		{1 << 14, 1024, 1},
		{1 << 15, 8, 1 << 20},
		{2, 8, 1 << 21},
		{2, 1 << 22, 4},
		{1 << 20, 8, 17},
		{most, 8, 1},
		{16, most, 1},
		{16, 8, most},
		{most, most, most},
		{1 << 30, 1 << 30, 1 << 30},
		{most/2 + 1, 2, 1},
	} {
		start := time.Now()
		if _, err := Derive("password", salt, c); err == nil {
			t.Errorf("Derive takes %+v", c)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%+v took %v", c, d)
		}
	}
	for _, n := range []int{0, 8, SaltSize - 1, SaltSize + 1} {
		if _, err := Derive("password", make([]byte, n), Cost{16, 8, 1}); err == nil {
			t.Errorf("Derive takes a salt of %d bytes", n)
		}
	}
}

// What restic's and rustic's calibration yields, and far more, must open.
func TestCostsInUse(t *testing.T) {
	t.Parallel()
	for _, c := range []Cost{
		DefaultCost(), {32768, 8, 2}, {32768, 8, 24}, {65536, 8, 1}, {1 << 17, 8, 1}, {1 << 20, 8, 1}, {1 << 20, 8, 16}, {2, 1, 1},
	} {
		if err := c.check(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	const ms, mib = time.Millisecond, int64(1) << 20
	for _, c := range []struct {
		took, want time.Duration
		memory     int64
		cost       Cost
	}{
		{100 * ms, 500 * ms, 60 * mib, Cost{32768, 8, 5}},
		{240 * ms, 500 * ms, 60 * mib, Cost{32768, 8, 2}},
		{100 * ms, 500 * ms, 64 * mib, Cost{65536, 8, 2}},
		{100 * ms, 500 * ms, 1 << 40, Cost{131072, 8, 1}},
		{3000 * ms, 500 * ms, 60 * mib, Cost{32768, 8, 1}}, // a slow computer takes longer, its passwords are worth as much
		{100 * ms, 500 * ms, mib, Cost{32768, 8, 5}},
		{0, 500 * ms, 60 * mib, Cost{32768, 8, 32}},
		{0, time.Hour, 1 << 40, Cost{1 << 19, 8, 32}},
		{100 * ms, 0, 0, Cost{32768, 8, 1}},
		{100 * ms, -1, -1, Cost{32768, 8, 1}},
	} {
		got := DefaultCost().scale(c.took, c.want, c.memory)
		if got != c.cost {
			t.Errorf("took %v, want %v and %d bytes: %+v, want %+v", c.took, c.want, c.memory, got, c.cost)
		}
		if err := got.check(); err != nil {
			t.Errorf("a calibrated cost would be refused: %v", err)
		}
	}
}

func TestCalibrate(t *testing.T) {
	t.Parallel()
	if got := Calibrate(0, 0); got != DefaultCost() {
		t.Errorf("Calibrate(0, 0) = %+v, want %+v", got, DefaultCost())
	}
}
