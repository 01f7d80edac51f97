package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func newDevice(t *testing.T, c Config) *Device {
	t.Helper()
	d, err := New(t.Context(), c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// read returns the plaintext of f.
func read(t *testing.T, d *Device, f *File) []byte {
	t.Helper()
	r, err := d.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != f.Length() {
		t.Errorf("%q: %d bytes, Length says %d", f.RelativePath, len(b), f.Length())
	}
	return b
}

// state returns a hash of the plaintext of each regular file.
func state(t *testing.T, d *Device) map[string][32]byte {
	t.Helper()
	m := make(map[string][32]byte)
	for f := range d.Files() {
		if f.Regular() {
			m[pathKey(f.Domain, f.RelativePath)] = sha256.Sum256(read(t, d, f))
		}
	}
	return m
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, Tiny()), newDevice(t, Tiny())
	other := Tiny()
	other.Seed++
	c := newDevice(t, other)
	for range 2 {
		if !maps.Equal(state(t, a), state(t, b)) {
			t.Errorf("generation %d: the same phone has other files", a.Generation())
		}
		for _, d := range []*Device{a, b} {
			if err := d.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if maps.Equal(state(t, a), state(t, c)) {
		t.Error("another seed makes the same files")
	}
}

// TestGolden fails when the bytes of a phone become others than they were in the last release, or are others on this
// platform: whoever changes them on purpose changes the hash.
func TestGolden(t *testing.T) {
	t.Parallel()
	const want = "8e890c84c914f76011d61d739a817b30361dc5e1ac1c71cc55717238e47b929c"
	h := sha256.New()
	d := newDevice(t, Tiny())
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for f := range d.Files() {
		io.WriteString(h, pathKey(f.Domain, f.RelativePath))
		if f.content != messagesDB && f.Regular() { // SQLite's bytes are another project's
			h.Write(read(t, d, f))
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func TestContentReads(t *testing.T) {
	t.Parallel()
	d := newDevice(t, Tiny())
	for range 3 {
		if err := d.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	edited := 0
	for f := range d.Files() {
		if !f.Regular() || len(f.edits) == 0 && f.content != literal && f.content != photo && !strings.HasSuffix(f.RelativePath, "log") {
			continue
		}
		edited += len(f.edits)
		want := read(t, d, f)
		r, err := d.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(iotest.HalfReader(r))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: other bytes when read in other pieces, %v", f.RelativePath, err)
		}
		r.Close()
	}
	if edited < 3 {
		t.Errorf("%d edits in three days", edited)
	}
}

// TestNext looks at what changed between two generations.
func TestNext(t *testing.T) {
	t.Parallel()
	d := newDevice(t, Tiny())
	before, times := state(t, d), make(map[string]int64)
	for f := range d.Files() {
		times[pathKey(f.Domain, f.RelativePath)] = f.LastModified
	}
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := Tiny().Base.Add(24 * time.Hour); !d.Date().Equal(want) {
		t.Errorf("date %v, want %v", d.Date(), want)
	}
	after := state(t, d)
	var changed, touched, added, pictures int
	for f := range d.Files() {
		key := pathKey(f.Domain, f.RelativePath)
		was, known := times[key]
		switch {
		case !known && f.content == photo:
			pictures++
		case !known:
			added++
		case before[key] != after[key] && was == f.LastModified:
			t.Errorf("%q changed under the same time", f.RelativePath)
		case before[key] != after[key]:
			changed++
		case was != f.LastModified:
			touched++
		}
	}
	removed := 0
	for key := range before {
		if _, ok := after[key]; !ok {
			removed++
		}
	}
	if changed < 2 || touched < 1 || added < 2 || pictures < 1 || removed < 2 {
		t.Errorf("%d changed, %d touched, %d added, %d pictures, %d removed", changed, touched, added, pictures, removed)
	}
}

// TestMove has a file that keeps its bytes under another name.
func TestMove(t *testing.T) {
	t.Parallel()
	d := newDevice(t, Tiny())
	before := state(t, d)
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, sum := range state(t, d) {
		if old, ok := strings.CutSuffix(key, "-moved1"); ok {
			if before[old] != sum {
				t.Errorf("%q has other bytes than before it was moved", key)
			}
			return
		}
	}
	t.Error("nothing was moved")
}

// TestPages compares the messages database of two days: most pages stay.
func TestPages(t *testing.T) {
	t.Parallel()
	c := Tiny()
	c.Messages = 5000
	d := newDevice(t, c)
	before, err := os.ReadFile(d.messagesPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(d.messagesPath())
	if err != nil {
		t.Fatal(err)
	}
	pages, equal := 0, 0
	for page := range slices.Chunk(after, 4096) {
		if at := pages * 4096; at < len(before) && bytes.Equal(page, before[at:at+4096]) {
			equal++
		}
		pages++
	}
	if equal*10 < pages*8 || equal == pages {
		t.Errorf("%d of %d pages are the same", equal, pages)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	d := newDevice(t, Tiny())
	for f := range d.Files() {
		found := f.Regular() && bytes.Contains(read(t, d, f), []byte(Secret))
		want := f.content == messagesDB || strings.Contains(f.RelativePath, Secret)
		if found != want {
			t.Errorf("%q holds the secret: %v, want %v", f.RelativePath, found, want)
		}
	}
}

func TestLogNormal(t *testing.T) {
	t.Parallel()
	r := newRandom(1)
	sizes := make([]int64, 20_000)
	var sum int64
	for i := range sizes {
		sizes[i] = r.logNormal()
		sum += sizes[i]
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median < 2500 || median > 3300 {
		t.Errorf("median %d", median)
	}
	if mean := sum / int64(len(sizes)); mean < 11_000 || mean > 18_000 {
		t.Errorf("mean %d", mean)
	}
}

func TestNewFolderMissing(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), Tiny(), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("made a phone without a scratch folder")
	}
}
