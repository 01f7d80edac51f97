package repo

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// savePack stores a pack of the given blobs, raw, and returns what an index says
// of it.
func savePack(t *testing.T, r *Repository, blobs ...index.Blob) index.Pack {
	t.Helper()
	p := new(pack)
	for _, b := range blobs {
		p.add(b.Handle, r.key.Seal(nil, payload(uint64(b.Length), int(b.Length))), 0)
	}
	done, err := p.finish(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.be.Save(t.Context(), packName(done.ID), p.buf); err != nil {
		t.Fatal(err)
	}
	return done
}

// blobOf is a blob of n random bytes for savePack.
func blobOf(kind index.BlobType, n int) index.Blob {
	return index.Blob{Handle: index.Handle{ID: chunk.Sum(payload(uint64(n), n)), Type: kind}, Length: uint32(n)}
}

func saveIndex(t *testing.T, r *Repository, packs ...index.Pack) {
	t.Helper()
	if _, err := r.saveUnpacked(t.Context(), backend.Index, index.Append(nil, packs)); err != nil {
		t.Fatal(err)
	}
}

// saveTrees stores trees as they are, legal or not, and a snapshot of the last.
func saveTrees(t *testing.T, r *Repository, trees ...string) *Snapshot {
	t.Helper()
	w := r.NewWriter(t.Context())
	defer w.Close()
	var last chunk.ID
	for _, text := range trees {
		s, err := w.Save(t.Context(), index.Tree, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		last = s.ID
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &Snapshot{Time: testTime(), Tree: &last, Paths: []string{"/"}}
	if _, err := r.SaveSnapshot(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func lostPaths(found []Problem) []string {
	var paths []string
	for _, p := range found {
		if p.Kind.Consequence() {
			paths = append(paths, p.Path)
		}
	}
	return paths
}

// Damage is told with the paths of all snapshots that it reaches, each once.
func TestCheckNamesFiles(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	shared, gone := payload(1, 5000), payload(2, 6000)
	first := saveFiles(t, r, map[string][]byte{"shared": shared, "gone": gone, "fine": []byte("a")})
	second := saveFiles(t, r, map[string][]byte{"shared": shared, "copy": shared, "fine": []byte("b")})
	third := saveFiles(t, r, map[string][]byte{"fine": []byte("c")})

	loc, ok := r.index.Lookup(index.Handle{ID: chunk.Sum(shared), Type: index.Data})
	if !ok {
		t.Fatal("no such blob")
	}
	err := backendtest.Damage(t.Context(), be, packName(loc.Pack), func(data []byte) []byte {
		data[loc.Offset+100] ^= 1
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
	res, found, err := check(t, r)
	if !errors.Is(err, ErrDamaged) || res.Affected != 2 || res.Errors != 2 {
		t.Errorf("got %+v, %v, want 2 errors and 2 files", res, err)
	}
	want := map[string][]chunk.ID{"/d/shared": {first.id, second.id}, "/d/copy": {second.id}}
	for _, p := range ofKind(found, LostFile) {
		slices.SortFunc(p.Snapshots, chunk.ID.Compare)
		slices.SortFunc(want[p.Path], chunk.ID.Compare)
		if !slices.Equal(p.Snapshots, want[p.Path]) {
			t.Errorf("%v, want snapshots %v", p, want[p.Path])
		}
		if text := p.String(); !strings.Contains(text, p.Path) || strings.Contains(text, third.id.String()[:8]) {
			t.Errorf("text of the problem: %s", text)
		}
		delete(want, p.Path)
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}

	// A second copy of the blob makes the file whole again, and damage remains.
	again := savePackOf(t, r, shared)
	saveIndex(t, r, again)
	if res, found, err = check(t, r); !errors.Is(err, ErrDamaged) || res.Affected != 0 {
		t.Errorf("with a second copy: %+v, %v, %v, want damage that costs nothing", res, err, found)
	}
}

// savePackOf stores a pack with one blob.
func savePackOf(t *testing.T, r *Repository, plain []byte) index.Pack {
	t.Helper()
	p := new(pack)
	p.add(index.Handle{ID: chunk.Sum(plain), Type: index.Data}, r.key.Seal(nil, plain), 0)
	done, err := p.finish(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.be.Save(t.Context(), packName(done.ID), p.buf); err != nil {
		t.Fatal(err)
	}
	return done
}

// A store that knows no key can put one authentic blob where another was: only
// the hash of the plaintext tells.
func TestSwappedBlobs(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	a, b := payload(1, 4000), payload(2, 4000)
	saveFiles(t, r, map[string][]byte{"a": a, "b": b})
	at := func(plain []byte) index.Location {
		loc, ok := r.index.Lookup(index.Handle{ID: chunk.Sum(plain), Type: index.Data})
		if !ok {
			t.Fatal("no such blob")
		}
		return loc
	}
	la, lb := at(a), at(b)
	err := backendtest.Damage(t.Context(), be, packName(la.Pack), func(data []byte) []byte {
		da, db := data[la.Offset:la.Offset+la.Length], data[lb.Offset:lb.Offset+lb.Length]
		was := bytes.Clone(da)
		copy(da, db)
		copy(db, was)
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range [][]byte{a, b} {
		got, err := r.Load(t.Context(), at(plain).Handle, nil)
		if !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("load of a swapped blob: %d bytes, %v, want ErrDamaged", len(got), err)
		}
		err = r.NewLoader().Load(t.Context(), []index.Handle{at(plain).Handle}, func(_ int, got []byte, err error) error {
			if got != nil {
				t.Errorf("loader gives %d bytes of a swapped blob", len(got))
			}
			return err
		})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("loader: %v, want ErrDamaged", err)
		}
	}
	_, found, err := check(t, r)
	if want := []string{"/d/a", "/d/b"}; !errors.Is(err, ErrDamaged) || !slices.Equal(lostPaths(found), want) || len(ofKind(found, BlobDamaged)) != 2 {
		t.Errorf("got %v, %v, want %v", err, found, want)
	}
}

// Nor does the seal say what kind of file it is.
func TestSwappedFiles(t *testing.T) {
	t.Parallel()
	r, be := smallRepo(t)
	for _, from := range files(t, be) {
		if from.Kind != backend.Lock && from.Kind != backend.Index {
			continue
		}
		broken, err := backendtest.Copy(t.Context(), be)
		if err != nil {
			t.Fatal(err)
		}
		data, err := backendtest.Read(t.Context(), be, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := broken.Save(t.Context(), backend.File{Kind: backend.Snapshot, Name: from.Name}, data); err != nil {
			t.Fatal(err)
		}
		_, found, err := check(t, on(r, broken))
		if !errors.Is(err, ErrDamaged) || len(ofKind(found, BadSnapshot)) != 1 {
			t.Errorf("%v among the snapshots: %v, %v", from, err, found)
		}
		all, err := on(r, broken).AllSnapshots(t.Context())
		if !errors.Is(err, ErrDamaged) || len(all) != 1 {
			t.Errorf("%v among the snapshots: %d load, %v", from, len(all), err)
		}
	}
}

func TestCheckIndexLies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want ProblemKind
		make func(r *Repository)
	}{
		"conflict": {IndexConflict, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100), blobOf(index.Data, 200))
			saveIndex(t, r, p)
			saveIndex(t, r, index.Pack{ID: p.ID, Blobs: p.Blobs[:1]})
		}},
		"twice": {NoteDuplicate, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100))
			saveIndex(t, r, p)
			saveIndex(t, r, p, savePack(t, r, blobOf(index.Data, 50)))
		}},
		"mixed": {NoteMixed, func(r *Repository) {
			saveIndex(t, r, savePack(t, r, blobOf(index.Data, 100), blobOf(index.Tree, 90)))
		}},
		"unreferenced": {NoteUnreferenced, func(r *Repository) { savePack(t, r, blobOf(index.Data, 100)) }},
		"lacks a blob": {PackSize, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100), blobOf(index.Data, 200))
			saveIndex(t, r, index.Pack{ID: p.ID, Blobs: p.Blobs[:1]})
		}},
		"other blob": {PackDamaged, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100))
			p.Blobs[0].ID[5] ^= 1
			saveIndex(t, r, p)
		}},
		"other type": {PackDamaged, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100))
			p.Blobs[0].Type = index.Tree
			saveIndex(t, r, p)
		}},
		"other order": {PackDamaged, func(r *Repository) {
			p := savePack(t, r, blobOf(index.Data, 100), blobOf(index.Data, 200))
			p.Blobs[0].ID, p.Blobs[1].ID = p.Blobs[1].ID, p.Blobs[0].ID
			saveIndex(t, r, p)
		}},
	} {
		r := initRepo(t, backend.NewMemory(), 2)
		c.make(r)
		_, found, err := check(t, r)
		if len(found) == 0 || len(ofKind(found, c.want)) != 1 || errors.Is(err, ErrDamaged) == c.want.Note() {
			t.Errorf("%s: %v, %v, want one %v", name, err, found, c.want)
		}
	}
}

// A compressed blob whose length the index tells wrong has the right hash, but
// would be put in the wrong place.
func TestIndexLiesAboutLength(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	plain := bytes.Repeat([]byte("text "), 1000)
	h := index.Handle{ID: chunk.Sum(plain), Type: index.Data}
	p := new(pack)
	p.add(h, r.key.Seal(nil, r.codec.compress(nil, plain)), len(plain)+10)
	done, err := p.finish(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.be.Save(t.Context(), packName(done.ID), p.buf); err != nil {
		t.Fatal(err)
	}
	saveIndex(t, r, done)
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), h, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("load: %v, want ErrDamaged", err)
	}
	if _, found, err := check(t, r); !errors.Is(err, ErrDamaged) || len(ofKind(found, BlobDamaged)) != 1 {
		t.Errorf("check: %v, %v", err, found)
	}
}

// node is the JSON of a node, times and owner included.
func node(fields string) string {
	return `{` + fields + `,"mode":420,"mtime":"2026-01-01T00:00:00Z","atime":"2026-01-01T00:00:00Z","ctime":"2026-01-01T00:00:00Z","uid":0,"gid":0,"content":null}`
}

func TestCheckBadTrees(t *testing.T) {
	t.Parallel()
	dir := func(name, tree string) string {
		return strings.Replace(node(`"name":"`+name+`","type":"dir"`), `"content":null`, `"content":null,"subtree":"`+chunk.Sum([]byte(tree)).String()+`"`, 1)
	}
	tree := func(nodes ...string) string { return `{"nodes":[` + strings.Join(nodes, ",") + "]}\n" }
	file := strings.Replace(node(`"name":"f","type":"file"`), "null", "[]", 1)
	missing := strings.Replace(node(`"name":"f","type":"file"`), "null", `["`+chunk.Sum(nil).String()+`"]`, 1)
	for name, c := range map[string]struct {
		bad  string // the tree of folder "in"
		kind ProblemKind
		lost string
	}{
		"fine":        {tree(file), 0, ""},
		"no json":     {"{", BadTree, "/in"},
		"climbs":      {tree(strings.Replace(file, `"f"`, `".."`, 1)), BadTree, "/in"},
		"slash":       {tree(strings.Replace(file, `"f"`, `"a/b"`, 1)), BadTree, "/in"},
		"no name":     {tree(strings.Replace(file, `"f"`, `""`, 1)), BadTree, "/in"},
		"no content":  {tree(node(`"name":"f","type":"file"`)), BadTree, "/in"},
		"no subtree":  {tree(node(`"name":"f","type":"dir"`)), BadTree, "/in"},
		"odd type":    {tree(node(`"name":"f","type":"door"`)), BadTree, "/in"},
		"twice":       {tree(file, file), BadTree, "/in"},
		"no order":    {tree(strings.Replace(file, `"f"`, `"g"`, 1), file), BadTree, "/in"},
		"zero blob":   {tree(strings.Replace(missing, chunk.Sum(nil).String(), strings.Repeat("0", 64), 1)), BadTree, "/in"},
		"lost blob":   {tree(missing), BlobMissing, "/in/f"},
		"lost folder": {tree(dir("deep", "not there")), BlobMissing, "/in/deep"},
	} {
		r := initRepo(t, backend.NewMemory(), 2)
		root := tree(dir("in", c.bad))
		saveTrees(t, r, c.bad, root)
		_, found, err := check(t, r)
		if c.lost == "" {
			if err != nil {
				t.Errorf("%s: %v, %v", name, err, found)
			}
			continue
		}
		if !errors.Is(err, ErrDamaged) || len(ofKind(found, c.kind)) != 1 || !slices.Contains(lostPaths(found), c.lost) {
			t.Errorf("%s: %v, %v, want %v at %s", name, err, found, c.kind, c.lost)
		}
	}
}

// Each tree is checked once, however many paths lead to it: here 2^60.
func TestCheckTreeBomb(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	trees := []string{"{\"nodes\":[]}\n"}
	for range 60 {
		id := chunk.Sum([]byte(trees[len(trees)-1]))
		tree := new(Tree)
		for _, name := range []string{"a", "b"} {
			tree.Nodes = append(tree.Nodes, &Node{Name: name, Type: TypeDir, Mode: uint32(fs.ModeDir | 0o755), Subtree: &id})
		}
		trees = append(trees, string(tree.Append(nil)))
	}
	saveTrees(t, r, trees...)
	if res, found, err := check(t, r); err != nil || res.Trees != 61 {
		t.Errorf("%+v, %v, %v", res, err, found)
	}
}

// What a password, a key and a config can be wrong about is told apart.
func TestOpenTellsDamageFromPassword(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	if _, err := r.AddKey(t.Context(), "second", cheap, Owner{}); err != nil {
		t.Fatal(err)
	}
	var keys []backend.File
	for info := range be.List(t.Context(), backend.Key) {
		keys = append(keys, backend.File{Kind: backend.Key, Name: info.Name})
	}
	own := backend.File{Kind: backend.Key, Name: r.keyID.String()}
	other := keys[0]
	if other == own {
		other = keys[1]
	}
	flip := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	cut := func(data []byte) []byte { return data[:len(data)/2] }
	empty := func([]byte) []byte { return nil }
	for _, change := range []func([]byte) []byte{flip, cut, empty} {
		for _, c := range []struct {
			file     backend.File
			password string
			want     error
		}{
			{own, testPassword, ErrDamaged},
			{own, "second", nil}, // one damaged key does not lock out the others
			{other, testPassword, nil},
			{other, "second", ErrDamaged},
			{backend.File{}, testPassword, ErrDamaged},
			{backend.File{}, "wrong", ErrWrongPassword},
		} {
			broken, err := backendtest.Copy(t.Context(), be)
			if err != nil {
				t.Fatal(err)
			}
			if err := backendtest.Damage(t.Context(), broken, c.file, change); err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), broken, c.password)
			if !errors.Is(err, c.want) || errors.Is(err, ErrDamaged) && errors.Is(err, ErrWrongPassword) {
				t.Errorf("%v damaged, password %q: %v, want %v", c.file, c.password, err, c.want)
			}
		}
	}
	for _, f := range keys {
		if err := be.Remove(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), be, testPassword); !errors.Is(err, ErrDamaged) {
		t.Errorf("without keys: %v, want ErrDamaged", err)
	}
}
