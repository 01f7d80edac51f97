package repo

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// madeUpPack describes a pack of n blobs that is nowhere.
func madeUpPack(seed uint32, n int) index.Pack {
	p := index.Pack{ID: chunk.Sum(binary.BigEndian.AppendUint32(nil, seed))}
	for i := range n {
		id := chunk.Sum(binary.BigEndian.AppendUint32(p.ID[:], uint32(i)))
		p.Blobs = append(p.Blobs, index.Blob{Handle: index.Handle{ID: id, Type: index.Data}, Offset: uint32(100 * i), Length: 100})
	}
	return p
}

// madeUpIndex is a repository with an index file for each of files.
func madeUpIndex(t *testing.T, files ...[]index.Pack) (*Repository, *backend.Memory) {
	t.Helper()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	for _, packs := range files {
		saveIndex(t, r, packs...)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, be
}

// without is the numbers of all packs but those.
func marksWithout(t *testing.T, r *Repository, packs ...index.Pack) *index.Marks {
	t.Helper()
	want := new(index.Marks)
	for id := range r.index.Packs() {
		number, _ := r.index.PackNumber(id)
		if !slices.ContainsFunc(packs, func(p index.Pack) bool { return p.ID == id }) {
			want.Add(number)
		}
	}
	return want
}

func rewriteIndex(t *testing.T, r *Repository, want *index.Marks) *indexRewrite {
	t.Helper()
	w := &indexRewrite{r: r, want: want, strict: true}
	if err := w.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// Full index files of which nothing goes are left alone; small ones are put
// together; what is described twice is described once.
func TestIndexRewrite(t *testing.T) {
	t.Parallel()
	full := []index.Pack{madeUpPack(1, 15_000), madeUpPack(2, 15_000)}
	pruned := []index.Pack{madeUpPack(3, 15_000), madeUpPack(4, 15_000), madeUpPack(5, 15_000)}
	small := []index.Pack{madeUpPack(6, 3)}
	tiny := []index.Pack{madeUpPack(7, 1), small[0]}
	r, be := madeUpIndex(t, full, pruned, small, tiny)
	before := fileSizes(t, be, backend.Index)
	w := rewriteIndex(t, r, marksWithout(t, r, pruned[1]))
	if w.wrote != 1 || w.removed != 3 {
		t.Errorf("%d files were written and %d removed, want 1 and 3", w.wrote, w.removed)
	}
	kept := 0
	for name := range fileSizes(t, be, backend.Index) {
		if _, ok := before[name]; ok {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d files were left alone, want 1", kept)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.index.Len(); n != 30_000+30_000+3+1 {
		t.Errorf("%d blobs are left", n)
	}
	if r.index.HasPack(pruned[1].ID) {
		t.Error("the pack is still named")
	}
}

// A file at a time: never is there more than one new file beside the old ones
// that it replaces.
func TestIndexRewriteNeedsLittleSpace(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: 200,000 made-up blobs")
	}
	var files [][]index.Pack
	var gone []index.Pack
	for i := range 5 {
		files = append(files, []index.Pack{madeUpPack(uint32(2*i), 20_000), madeUpPack(uint32(2*i+1), 20_000)})
		gone = append(gone, files[i][0])
	}
	r, be := madeUpIndex(t, files...)
	want := marksWithout(t, r, gone...)
	r.be = backendtest.NewFaulty(be, backendtest.Faults{Room: 4 << 20}) // a new file has some 2.5 MB as random ids do not compress
	w := rewriteIndex(t, r, want)
	if w.wrote < 2 || w.removed != 5 {
		t.Errorf("%d files were written and %d removed", w.wrote, w.removed)
	}
	if err := r.LoadIndex(t.Context()); err != nil || r.index.Len() != 5*20_000 {
		t.Errorf("%d blobs are left, %v", r.index.Len(), err)
	}
}

// An index file of somebody who writes beside us is not removed.
func TestIndexRewriteBesideOthers(t *testing.T) {
	t.Parallel()
	r, be := madeUpIndex(t, []index.Pack{madeUpPack(1, 3)}, []index.Pack{madeUpPack(2, 3)})
	other := *r
	saveIndex(t, &other, madeUpPack(3, 3))
	w := &indexRewrite{r: r, want: marksWithout(t, r), strict: true}
	if err := w.run(t.Context()); err == nil {
		t.Error("nothing was noticed")
	}
	if err := r.LoadIndex(t.Context()); err != nil || r.index.Len() != 9 {
		t.Errorf("%d blobs are left, %v, want 9", r.index.Len(), err)
	}
	for name := range fileSizes(t, be, backend.Index) {
		damage(t, be, backend.File{Kind: backend.Index, Name: name}, 50)
		break
	}
	if err := w.run(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want damage", err)
	}
}
