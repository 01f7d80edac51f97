package capture

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"russet/chunk"
	"russet/crypto"
)

func someOperations() []operation {
	at := time.Unix(1_700_000_000, 123)
	parent := chunk.Sum([]byte("parent"))
	return []operation{
		{verb: verbBegin, begin: beginning{repository: chunk.Sum(nil), udid: "U", parent: &parent, spooled: true}},
		{verb: verbMkdir, a: "U/ab"},
		{verb: verbPut, a: "U/ab/file", file: storedFile{size: 5, modified: stampOf(at), place: placeMemory}, held: held{data: []byte("bytes"), ids: []chunk.ID{}}},
		{verb: verbPut, a: "U/x", file: storedFile{size: 9, modified: stampOf(at)}, held: held{ids: []chunk.ID{chunk.Sum(nil), parent}}},
		{verb: verbPut, a: "U/y", file: storedFile{size: 7, modified: stampOf(at), place: placeSpool, ref: 1<<32 | 77}, held: held{ids: []chunk.ID{}}},
		{verb: verbMove, a: "U/x", b: "U/z"},
		{verb: verbCopy, a: "U/z", b: "U/x"},
		{verb: verbRemove, a: "U/z"},
		{verb: verbAnswered, at: at},
	}
}

func newJournal(t *testing.T, dir string) *journal {
	t.Helper()
	return &journal{frameSeal: frameSeal{key: testKey(), run: [16]byte{1, 2, 3}}, root: openRoot(t, dir)}
}

func testKey() *crypto.Key { return crypto.NewKey() }

func TestJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := newJournal(t, dir)
	want := someOperations()
	for i := range want {
		if err := j.append(want[i].append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(dir + "/" + journalName)
	if err != nil {
		t.Fatal(err)
	}
	load := func(data []byte, key *crypto.Key) (ops []operation, err error) {
		return loadJournal(t, &journal{frameSeal: frameSeal{key: key}, root: j.root}, data)
	}
	got, err := load(whole, j.key)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	frame := 4 + crypto.Overhead + frameHead + len(want[0].append(nil))
	for cut := len(whole) - 1; cut >= frame; cut -= 7 {
		got, err := load(whole[:cut], j.key)
		if err != nil || len(got) == 0 || len(got) >= len(want) || !reflect.DeepEqual(got, want[:len(got)]) {
			t.Fatalf("cut at %d: %d operations, %v", cut, len(got), err)
		}
		info, err := os.Stat(dir + "/" + journalName)
		if err != nil || info.Size() > int64(cut) {
			t.Fatalf("cut at %d: %v, %v", cut, info, err)
		}
	}
	zeros := append(bytes.Clone(whole[:len(whole)-20]), make([]byte, 20)...)
	if got, err := load(zeros, j.key); err != nil || len(got) != len(want)-1 {
		t.Errorf("the last frame was not written: %d operations, %v", len(got), err)
	}
	for name, bad := range map[string][]byte{
		"a bit":          flipped(whole, frame+30),
		"a frame less":   append(bytes.Clone(whole[:frame]), whole[frame+4+crypto.Overhead+frameHead+len(want[1].append(nil)):]...),
		"its beginning":  whole[frame:],
		"nothing":        nil,
		"the first only": whole[:20],
	} {
		if _, err := load(bad, j.key); !errors.Is(err, errJournal) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := load(whole, crypto.NewKey()); !errors.Is(err, errJournal) {
		t.Errorf("another key: got %v", err)
	}
	if err := j.root.Remove(journalName); err != nil {
		t.Fatal(err)
	}
	if err := j.read(nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
}

func loadJournal(t *testing.T, j *journal, data []byte) (ops []operation, err error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(j.root.Name(), journalName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	err = j.read(func(op operation) error {
		if len(op.held.data) == 0 {
			op.held.data = nil
		}
		ops = append(ops, op)
		return nil
	})
	return ops, err
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 4
	return data
}

func FuzzJournal(f *testing.F) {
	var all []byte
	for _, op := range someOperations() {
		f.Add(op.append(nil))
		all = op.append(all)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		var again []byte
		err := decodeOperations(data, func(op operation) error {
			if op.verb != verbAnswered && op.verb != verbBegin && legalName(op.a) != nil {
				t.Errorf("an illegal name of %d bytes", len(op.a))
			}
			again = op.append(again)
			return nil
		})
		if err != nil {
			if !errors.Is(err, errJournal) {
				t.Errorf("got %v", err)
			}
			return
		}
		var third []byte
		if err := decodeOperations(again, func(op operation) error { third = op.append(third); return nil }); err != nil {
			t.Errorf("what was written again is not read: %v", err)
		}
		if !bytes.Equal(again, third) {
			t.Error("the same operations are written differently")
		}
	})
}

// TestSpool writes files of all lengths around the size of a piece into small
// segments, and reads them whole and at any place.
func TestSpool(t *testing.T) {
	t.Parallel()
	s := &spool{root: openRoot(t, t.TempDir()), key: testKey(), run: [16]byte{9}, limit: 600 << 10}
	var files []spooledFile
	for i, n := range []int{0, 1, 1000, pieceSize - 1, pieceSize, pieceSize + 1, 5*pieceSize + 17, 3} {
		data := bytes.Repeat([]byte{byte(i), byte(n), 7}, n/3+1)[:n]
		s.begin()
		if err := s.write(data[:n/2]); err != nil {
			t.Fatal(err)
		}
		if err := s.write(data[n/2:]); err != nil {
			t.Fatal(err)
		}
		at, err := s.end()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, spooledFile{at, data})
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	found, err := s.segments()
	if err != nil || len(found) < 3 {
		t.Fatalf("segments %v, %v", found, err)
	}
	for _, size := range found {
		if size > s.limit {
			t.Errorf("a segment of %d bytes, over %d", size, s.limit)
		}
	}
	for i, f := range files {
		r := s.open(f.at, int64(len(f.data)))
		got := make([]byte, len(f.data)+1)
		if n, err := r.ReadAt(got, 0); n != len(f.data) || err == nil || !bytes.Equal(got[:n], f.data) {
			t.Errorf("file %d: %d bytes, %v", i, n, err)
		}
		for off := len(f.data) - 1; off >= 0; off -= 100_003 {
			if n, err := r.ReadAt(got[:1], int64(off)); n != 1 || err != nil || got[0] != f.data[off] {
				t.Errorf("file %d at %d: %v", i, off, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if !s.holds(found, f.at, int64(len(f.data))) {
			t.Errorf("file %d is not held", i)
		}
	}
	spoolRefuses(t, s, found, files[6])
}

type spooledFile struct {
	at   uint64
	data []byte
}

// spoolRefuses tries what must not read, and removes the first segments. A file
// long lies in several.
func spoolRefuses(t *testing.T, s *spool, found map[uint32]int64, long spooledFile) {
	t.Helper()
	delete(found, uint32(long.at>>32)+1)
	if s.holds(found, long.at, int64(len(long.data))) {
		t.Error("a file is held whose second segment is gone")
	}
	// A piece in another's place, another length and another run do not read.
	for _, r := range []*spoolFile{
		s.open(long.at, 10), s.open(long.at+4, 100),
		(&spool{root: s.root, key: s.key, run: [16]byte{8}}).open(long.at, int64(len(long.data))),
	} {
		if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, errSpool) || strings.Contains(err.Error(), s.root.Name()) {
			t.Errorf("got %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.removeBelow(long.at); err != nil {
		t.Fatal(err)
	}
	if found, err := s.segments(); err != nil || found[1] != 0 || found[uint32(long.at>>32)] == 0 {
		t.Errorf("left: %v, %v", found, err)
	}
}
