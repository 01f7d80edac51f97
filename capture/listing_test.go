package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"

	"russet/chunk"
	"russet/crypto"
)

func someListing() listingOf {
	return listingOf{repository: chunk.Sum([]byte("repository")), udid: "U", tree: chunk.Sum([]byte("tree"))}
}

// someListed are entries of all kinds, so many that they take three frames.
func someListed() []listed {
	all := []listed{
		{kind: listedFolder, tree: 1},
		{kind: listedFolder, path: "HomeDomain", tree: 2},
		{kind: listedFolder, path: "HomeDomain/Library", tree: 3},
		{kind: listedFolder, path: "HomeDomain/Library/Deep", tree: 4},
		{kind: listedFile, id: fileID{1}, modified: -5, ids: []chunk.ID{}},
		{kind: listedFolder, path: "HomeDomain/Libraries", tree: 1 << 63},
		{kind: listedFolder, path: "MediaDomain", tree: 5},
		{kind: listedFile, id: fileID{2}, modified: 1 << 60, ids: []chunk.ID{chunk.Sum([]byte("a")), chunk.Sum([]byte("b"))}},
		{kind: listedSealed, id: fileID{3}, ids: []chunk.ID{chunk.Sum([]byte("c"))}},
		{kind: listedOther, path: "some/thing", modified: 7, ids: []chunk.ID{chunk.Sum([]byte("d"))}},
	}
	for i := range 2 * listingFrame / 55 {
		e := listed{kind: listedSealed, modified: stamp(i), ids: []chunk.ID{chunk.Sum([]byte("e"))}}
		binary.BigEndian.PutUint64(e.id[:], uint64(i))
		all = append(all, e)
	}
	return all
}

// write adds e, whose folder's depth is what its path says.
func (l *listingWriter) write(e *listed) {
	switch e.kind {
	case listedFolder:
		depth, name := 0, e.path
		if e.path != "" {
			depth = 1 + bytes.Count([]byte(e.path), []byte("/"))
			name = e.path[bytes.LastIndexByte([]byte(e.path), '/')+1:]
		}
		l.folder(depth, name, e.tree)
	case listedOther:
		l.other(e.path, e.modified, e.ids)
	default:
		l.stored(e.kind, e.id, e.modified, e.ids)
	}
}

func writtenListing(t *testing.T, key *crypto.Key, of listingOf, entries []listed) []byte {
	t.Helper()
	var b bytes.Buffer
	w := newListingWriter(&b, frameSeal{key: key, run: newRun()}, of)
	for i := range entries {
		w.write(&entries[i])
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func loadListing(data []byte, key *crypto.Key, of listingOf) (got []listed, err error) {
	err = readListing(bytes.NewReader(data), int64(len(data)), key, of, func(e *listed) error {
		kept := *e
		kept.ids = slices.Clone(e.ids)
		got = append(got, kept)
		return nil
	})
	return got, err
}

// frames cuts a listing into its frames.
func frames(data []byte) (all [][]byte) {
	for len(data) > 0 {
		n := 4 + binary.BigEndian.Uint32(data)
		all = append(all, data[:n])
		data = data[n:]
	}
	return all
}

func TestListing(t *testing.T) {
	t.Parallel()
	key, of, want := testKey(), someListing(), someListed()
	whole := writtenListing(t, key, of, want)
	got, err := loadListing(whole, key, of)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %d entries, %v; want %d", len(got), err, len(want))
	}
	f, g := frames(whole), frames(writtenListing(t, key, of, want))
	if len(f) != 3 {
		t.Fatalf("%d frames, want 3", len(f))
	}
	for name, bad := range map[string][]byte{
		"nothing":                   nil,
		"a bit of the last frame":   flipped(whole, len(whole)-100),
		"a bit of the second frame": flipped(whole, len(f[0])+100),
		"a length":                  flipped(whole, len(f[0])+1),
		"without its first frame":   slices.Concat(f[1], f[2]),
		"without its second":        slices.Concat(f[0], f[2]),
		"without its last":          slices.Concat(f[0], f[1]),
		"torn":                      whole[:len(whole)-1],
		"torn later":                append(bytes.Clone(whole[:len(whole)-100]), make([]byte, 100)...),
		"one frame twice":           slices.Concat(f[0], f[1], f[1], f[2]),
		"two in the wrong order":    slices.Concat(f[0], f[2], f[1]),
		"one of another listing":    slices.Concat(f[0], g[1], f[2]),
		"something behind it":       append(bytes.Clone(whole), 0),
		"a frame behind it":         slices.Concat(whole, g[2]),
	} {
		if _, err := loadListing(bad, key, of); !errors.Is(err, errListing) {
			t.Errorf("%s: got %v, want %v", name, err, errListing)
		}
	}
	if _, err := loadListing(whole, testKey(), of); !errors.Is(err, errListing) {
		t.Errorf("another key: got %v", err)
	}
	if err := readListing(bytes.NewReader(whole), maxListing+1, key, of, nil); !errors.Is(err, errListing) {
		t.Errorf("too long: got %v", err)
	}
	listingOfOthers(t, whole, key)
}

// listingOfOthers reads a listing for what it is not of.
func listingOfOthers(t *testing.T, whole []byte, key *crypto.Key) {
	t.Helper()
	for want, change := range map[error]func(of *listingOf){
		errOtherVersion: func(of *listingOf) { of.tree[31]++ },
		errListing:      func(of *listingOf) { of.repository[0]++ },
	} {
		of := someListing()
		change(&of)
		if got, err := loadListing(whole, key, of); !errors.Is(err, want) || len(got) > 0 {
			t.Errorf("got %d entries, %v; want %v", len(got), err, want)
		}
	}
	of := someListing()
	of.udid = "V"
	if got, err := loadListing(whole, key, of); !errors.Is(err, errListing) || len(got) > 0 {
		t.Errorf("another phone: got %d entries, %v", len(got), err)
	}
	j := &journal{frameSeal: frameSeal{key: key}, root: openRoot(t, t.TempDir())}
	if _, err := loadJournal(t, j, whole); !errors.Is(err, errJournal) {
		t.Errorf("as a journal: got %v", err)
	}
}

// Entries that no run writes are refused.
func TestListingIllegal(t *testing.T) {
	t.Parallel()
	key, of := testKey(), someListing()
	top := listed{kind: listedFolder}
	for name, fill := range map[string]func(w *listingWriter){
		"no Files":          func(w *listingWriter) { w.folder(1, "a", 1) },
		"Files with a name": func(w *listingWriter) { w.folder(0, "a", 1) },
		"Files twice":       func(w *listingWriter) { w.write(&top); w.write(&top) },
		"a folder too deep": func(w *listingWriter) { w.write(&top); w.folder(2, "a", 1) },
		"no name":           func(w *listingWriter) { w.write(&top); w.folder(1, "", 1) },
		"up":                func(w *listingWriter) { w.write(&top); w.folder(1, "..", 1) },
		"two names":         func(w *listingWriter) { w.write(&top); w.folder(1, "a/b", 1) },
		"an illegal path":   func(w *listingWriter) { w.other("../x", 1, nil) },
		"another kind":      func(w *listingWriter) { w.stored(9, fileID{}, 1, nil) },
		"two ends":          func(w *listingWriter) { w.plain = append(w.plain, byte(listedEnd)) },
		"too many blobs": func(w *listingWriter) {
			w.plain = append(binary.AppendUvarint(append(w.plain, byte(listedOther), 1, 'x', 0), 1<<40), 1)
		},
	} {
		var b bytes.Buffer
		w := newListingWriter(&b, frameSeal{key: key, run: newRun()}, of)
		fill(w)
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := loadListing(b.Bytes(), key, of); !errors.Is(err, errListing) {
			t.Errorf("%s: got %v, want %v", name, err, errListing)
		}
	}
	w := newListingWriter(io.Discard, frameSeal{key: key}, of)
	w.stored(listedFile, fileID{}, 0, make([]chunk.ID, maxFrame/32))
	if err := w.end(); err == nil {
		t.Error("a frame that is too long was written")
	}
}

func FuzzListing(f *testing.F) {
	key, of := crypto.NewKey(), someListing()
	w := newListingWriter(io.Discard, frameSeal{key: key}, of)
	some := someListed()[:12]
	for i := range some {
		w.write(&some[i])
	}
	head := len(of.head()) + len(of.tree)
	entries := bytes.Clone(w.plain[frameHead+head:])
	f.Add(entries, uint16(0))
	f.Add(append(entries, byte(listedEnd)), uint16(100))
	f.Add([]byte{byte(listedEnd)}, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		// The entries come in two frames.
		at := min(int(cut), len(data))
		s := frameSeal{key: key}
		plain := slices.Concat(make([]byte, frameHead), of.head(), of.tree[:], data[:at])
		whole := s.seal(s.seal(nil, plain), append(make([]byte, frameHead), data[at:]...))
		got, err := loadListing(whole, key, of)
		for _, e := range got {
			if e.kind == 0 || e.kind >= listedEnd || len(e.ids)*32 > len(data) || e.kind == listedOther && legalName(e.path) != nil {
				t.Errorf("got %+v", e)
			}
		}
		if err != nil {
			if !errors.Is(err, errListing) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := loadListing(writtenListing(t, key, of, got), key, of)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("written again: %d entries, %v; want %d", len(again), err, len(got))
		}
	})
}
