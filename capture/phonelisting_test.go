package capture

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// begun is what a run begins with.
type begun struct {
	files   map[string]string
	folders map[uint64]uint64
	count   int
	why     string
}

// showNow begins a run, whose hashes have the given seed, and gives it up again.
// entries are what the listing says; there is none where the trees were loaded.
func showNow(t *testing.T, se *session, s *scripted, seed maphash.Seed) (got begun, entries []listed) {
	t.Helper()
	p, err := openPhone(t.Context(), se.r, s.udid, s.options(se.spool))
	if err != nil {
		t.Fatal(err)
	}
	p.hash = recordHasher{seed}
	if err := p.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = p.readListing(*p.parent.Snapshot.Tree, func(e *listed) error {
		kept := *e
		kept.ids = append([]chunk.ID{}, e.ids...)
		entries = append(entries, kept)
		return nil
	})
	if err != nil {
		entries = nil
	}
	got = begun{files: map[string]string{}, folders: p.folders, count: p.overlay.count, why: p.why}
	p.overlay.root.walk("", func(at string, b *branch) {
		got.files[at] = "a folder"
		b.each(func(name string, f storedFile) {
			h := p.slots.at(f.slot)
			f.slot = 0
			got.files[path.Join(at, name)] = fmt.Sprintf("%+v %v %t", f, h, h.ids == nil)
		})
	})
	if err := p.abandon(); err != nil {
		t.Fatal(err)
	}
	return got, entries
}

func (s *scripted) listing(se *session) string { return filepath.Join(se.spool, s.udid+".listing") }

// showsSame compares what is shown by the listing with what the trees say, and
// returns both.
func showsSame(t *testing.T, se *session, s *scripted) (begun, []listed) {
	t.Helper()
	seed := maphash.MakeSeed()
	got, entries := showNow(t, se, s, seed)
	if len(entries) == 0 {
		t.Fatal("there is no listing of the last version")
	}
	away := s.listing(se) + ".away"
	if err := os.Rename(s.listing(se), away); err != nil {
		t.Fatal(err)
	}
	want, none := showNow(t, se, s, seed)
	if len(none) > 0 || len(want.files) < 300 || len(want.folders) < 5 {
		t.Fatalf("without a listing: %d entries, %d files, %d folders", len(none), len(want.files), len(want.folders))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("shown by the listing: %d files and folders, %d trees, %d, %q; by the trees: %d, %d, %d, %q",
			len(got.files), len(got.folders), got.count, got.why, len(want.files), len(want.folders), want.count, want.why)
		for name := range want.files {
			if got.files[name] != want.files[name] {
				t.Errorf("%s: got %s, want %s", name, got.files[name], want.files[name])
				break
			}
		}
	}
	if err := os.Rename(away, s.listing(se)); err != nil {
		t.Fatal(err)
	}
	return got, entries
}

const strayID = "00ffffffffffffffffffffffffffffffffffffff"

// oddGenerations is how many of them a test makes.
const oddGenerations = 3

// backUpOdd makes a run in which more is left in the folder than a phone leaves:
// a stored file in no record, files of other names, folders with nothing in them.
// In the last run a file is missing.
func backUpOdd(t *testing.T, se *session, s *scripted, n int) {
	t.Helper()
	ctx := t.Context()
	p := openFolder(t, se, s)
	for _, name := range []string{"00/" + strayID, "odd"} {
		if err := p.Remove(ctx, s.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := s.run(ctx, p); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"odd", "odd/deep", fmt.Sprint("odd/empty", n)} {
		if err := p.Mkdir(ctx, s.at(name)); err != nil {
			t.Fatal(err)
		}
	}
	long := bytes.Repeat(fmt.Append(nil, "long", n), smallFile)
	for name, data := range map[string][]byte{
		"00/" + strayID: fmt.Append(nil, "stray", n), "odd/none": nil, "odd/deep/long": long, "odd/" + strings.ToUpper(strayID): long[:99],
	} {
		if err := write(ctx, p, s.at(name), data); err != nil {
			t.Fatal(err)
		}
	}
	if n == oddGenerations-1 { // one that the manifest lists
		if err := p.Remove(ctx, s.at(storedPath(s.files(s.dir)[0], false))); err != nil {
			t.Fatal(err)
		}
	}
	res, err := p.Commit(ctx, s.answered())
	if err != nil || s.full != (n == 0) || res.Summary.FilesSealed != 1 || (res.Summary.Missing > 0) != (n == oddGenerations-1) {
		t.Fatalf("full %t, %+v, %v", s.full, res, err)
	}
	s.done()
}

// TestPhoneListing compares what a listing shows with what the trees say, of
// several generations, and where the repository has lost something.
func TestPhoneListing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScripted(t, encrypted), newSession(t)
		var got begun
		var entries []listed
		for n := range oddGenerations {
			backUpOdd(t, se, s, n)
			got, entries = showsSame(t, se, s)
			if got.why != "" {
				t.Errorf("generation %d: %s", n, got.why)
			}
			s.next()
		}
		count := map[listedKind]int{}
		lost := map[listedKind]chunk.ID{}
		var folder string
		for _, e := range entries {
			count[e.kind]++
			if len(e.ids) > 0 {
				lost[e.kind] = e.ids[0]
			}
			if folder == "" && e.kind == listedFolder && strings.Count(e.path, "/") == 1 { // not where a file is lost
				folder = e.path
			}
		}
		if count[listedFolder] < 5 || count[listedFile] < 50 || count[listedSealed] != 1 || count[listedOther] != 3 || len(lost) != 3 || folder == "" {
			t.Errorf("listed: %v", count)
		}
		for kind, id := range lost {
			hide(t, se, index.Handle{ID: id, Type: index.Data})
			less, _ := showsSame(t, se, s)
			if less.why == "" || len(less.files) >= len(got.files) {
				t.Errorf("without a blob of a file of kind %d: %q, %d files, had %d", kind, less.why, len(less.files), len(got.files))
			}
			got = less
		}
		hideFolder(t, se, s, folder)
		if more, entries := showNow(t, se, s, maphash.MakeSeed()); len(more.files) != len(got.files) || more.why != got.why || len(entries) == 0 {
			t.Errorf("without a tree: %q, %d files, want %q and %d: the listing was not read", more.why, len(more.files), got.why, len(got.files))
		}
		backUp(t, se, s) // which stores the tree again
		if got, _ = showsSame(t, se, s); got.why != "" {
			t.Errorf("after the next run: %s", got.why)
		}
	})
}

// hideFolder takes the tree of a folder of the newest version out of the index.
func hideFolder(t *testing.T, se *session, s *scripted, folder string) {
	t.Helper()
	h, err := readHistory(t.Context(), se.r, s.udid)
	if err != nil {
		t.Fatal(err)
	}
	n, err := se.r.Find(t.Context(), *h.snapshots[0].Tree, path.Join(s.udid, nameFiles, folder))
	if err != nil {
		t.Fatal(err)
	}
	hide(t, se, index.Handle{ID: *n.Subtree, Type: index.Tree})
}

// TestPhoneListingRefused: what a listing says is not believed where it is not
// whole or is another version's, and the next run writes it again.
func TestPhoneListingRefused(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, se, s)
	older, err := os.ReadFile(s.listing(se))
	if err != nil {
		t.Fatal(err)
	}
	s.next()
	backUp(t, se, s)
	want, entries := showsSame(t, se, s)
	whole, err := os.ReadFile(s.listing(se))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		kept bool
	}{
		"of the version before":    {older, true},
		"torn":                     {whole[:len(whole)-1], false},
		"bad at its end":           {laterBad(t, se, s, entries), false},
		"empty":                    {nil, false},
		"of a program that is new": {bytes.Repeat([]byte{0, 0, 0, 40}, 100), false},
	} {
		if err := os.WriteFile(s.listing(se), c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, entries := showNow(t, se, s, maphash.MakeSeed())
		if len(entries) > 0 || len(got.files) != len(want.files) || len(got.folders) != len(want.folders) || got.count != want.count || got.why != "" {
			t.Errorf("%s: %d files, %d trees, %q; want %d and %d", name, len(got.files), len(got.folders), got.why, len(want.files), len(want.folders))
		}
		if _, err := os.Lstat(s.listing(se)); (err == nil) != c.kept {
			t.Errorf("%s: afterwards %v", name, err)
		}
	}
	s.next()
	backUp(t, se, s)
	showsSame(t, se, s)
}

// laterBad is a listing that has more than it should, and whose last frame is
// damaged.
func laterBad(t *testing.T, se *session, s *scripted, entries []listed) []byte {
	t.Helper()
	h, err := readHistory(t.Context(), se.r, s.udid)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := newListingWriter(&b, frameSeal{key: se.r.Key(), run: newRun()}, listingOf{se.r.ID(), s.udid, *h.snapshots[0].Tree})
	for i := range entries {
		w.write(&entries[i])
	}
	w.stored(listedSealed, fileID{1, 2, 3}, 1, nil)
	w.stored(listedSealed, fileID{4}, 1, []chunk.ID{{}})
	w.folder(1, "NoDomain", 1)
	w.flush()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	whole := append(b.Bytes(), 0) // such that the last frame is not the end
	return flipped(whole, len(whole)-3)
}

// TestPhoneListingDrained: a run that is finished without its phone leaves a
// listing, too, and one that was cut off is continued by it.
func TestPhoneListingDrained(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScripted(t, encrypted), newSession(t)
		backUp(t, se, s)
		s.next()
		p := openFolder(t, se, s)
		if err := s.run(t.Context(), &cutter{f: p, n: 60}); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		showsSame(t, se, s)
		if p = openFolder(t, se, s); !p.resumed {
			t.Fatal("the run is not continued")
		}
		if err := s.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		p.r, p.w = redirect(t, p, backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{
			FailAt: 1, FailCount: -1, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
		}))
		if res, err := p.Commit(t.Context(), s.answered()); err == nil {
			t.Fatalf("got %v", res)
		}
		se.r = reopen(t, se.r.Backend())
		if res, err := Drain(t.Context(), se.r, s.udid, s.options(se.spool)); err != nil || res == nil {
			t.Fatalf("drain: %v, %v", res, err)
		}
		s.done()
		showsSame(t, se, s)
	})
}

// TestPhoneListingInTheWay: a run whose listing cannot be written is a run all
// the same.
func TestPhoneListingInTheWay(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	for _, name := range []string{s.listing(se), s.listing(se) + "-tmp-0"} {
		if err := os.MkdirAll(filepath.Join(name, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			p := openFolder(t, se, s)
			if err := s.run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if res, err := p.Commit(t.Context(), s.answered()); err != nil || s.full != (res.Snapshot.Parent == nil) {
				t.Fatalf("with %s: %v, full %t", name, err, s.full)
			}
			s.done()
			s.next()
		}
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := fs.ReadDir(os.DirFS(se.spool), "."); err != nil || len(f) != 0 {
		t.Errorf("in the spool: %v, %v", f, err)
	}
}
