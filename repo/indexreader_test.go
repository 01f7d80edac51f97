package repo

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// manyPacks describes so much that its JSON is far larger than what of it is in
// memory at a time.
func manyPacks() []index.Pack {
	var packs []index.Pack
	for i := range 40 {
		p := index.Pack{ID: chunk.Sum([]byte{byte(i)})}
		for j := range 200 {
			p.Blobs = append(p.Blobs, index.Blob{
				Handle: index.Handle{ID: chunk.Sum([]byte{byte(i), byte(j)})}, Offset: uint32(100 * j), Length: 100, RawLength: uint32(j),
			})
		}
		packs = append(packs, p)
	}
	return packs
}

// collect adds packs to what dst points to.
func collect(dst *[]index.Pack) func(index.Pack) error {
	return func(p index.Pack) error {
		*dst = append(*dst, index.Pack{ID: p.ID, Blobs: slices.Clone(p.Blobs)})
		return nil
	}
}

// saveSealed saves what was sealed as an index file.
func saveSealed(ctx context.Context, t *testing.T, r *Repository, sealed []byte) chunk.ID {
	t.Helper()
	f := backendtest.Named(backend.Index, sealed)
	if err := r.be.Save(ctx, f, sealed); err != nil {
		t.Fatal(err)
	}
	id, err := chunk.ParseID(f.Name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// One reader reads large and small files of both versions, damaged ones in
// between, and gives what stands before the damage.
func TestIndexReader(t *testing.T) {
	t.Parallel()
	for version := range uint(2) {
		r := initRepo(t, backend.NewMemory(), version+1)
		want := manyPacks()
		large, err := r.saveUnpacked(t.Context(), backend.Index, index.Append(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		small, err := r.saveUnpacked(t.Context(), backend.Index, index.Append(nil, want[:1]))
		if err != nil {
			t.Fatal(err)
		}
		body := index.Append(nil, want)
		if version == 1 {
			body = r.codec.compress([]byte{markCompressed}, body)
		}
		short := saveSealed(t.Context(), t, r, r.key.Seal(nil, body[:len(body)*9/10]))
		x := &indexReader{r: r}
		for range 2 {
			var got []index.Pack
			if err := x.read(t.Context(), large, collect(&got)); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("large: got %d packs, %v", len(got), err)
			}
			got = nil
			if err := x.read(t.Context(), short, collect(&got)); !errors.Is(err, ErrDamaged) {
				t.Fatalf("cut short: %v", err)
			}
			if len(got) < len(want)/2 || len(got) >= len(want) || !reflect.DeepEqual(got, want[:len(got)]) {
				t.Errorf("cut short: %d packs of %d", len(got), len(want))
			}
			got = nil
			if err := x.read(t.Context(), small, collect(&got)); err != nil || !reflect.DeepEqual(got, want[:1]) {
				t.Fatalf("small: got %d packs, %v", len(got), err)
			}
			stop := errors.New("stop")
			if err := x.read(t.Context(), large, func(index.Pack) error { return stop }); err != stop {
				t.Fatalf("stopped: %v", err)
			}
			if err := x.read(t.Context(), chunk.ID{1}, collect(&got)); err == nil || errors.Is(err, ErrDamaged) {
				t.Fatalf("of a file that is not there: %v", err)
			}
		}
	}
}

// What a listing says of lengths is a hint, and no more.
func TestIndexReaderExpects(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	id, err := r.saveUnpacked(t.Context(), backend.Index, index.Append(nil, manyPacks()))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{-1 << 63, -1, 0, 1, 256 << 10, 1<<63 - 1} {
		x := &indexReader{r: r}
		x.expect(size)
		if made := int64(len(x.sealed)); made > maxExpected+256<<10 || made <= min(size, maxExpected) {
			t.Errorf("%d bytes are expected, %d were made", size, made)
		}
		var got []index.Pack
		if err := x.read(t.Context(), id, collect(&got)); err != nil || len(got) != 40 {
			t.Errorf("%d bytes are expected: got %d packs, %v", size, len(got), err)
		}
	}
}

// FuzzReadIndex reads any sealed bytes bit by bit, and as a whole: the same must
// come out.
func FuzzReadIndex(f *testing.F) {
	r, be := fuzzRepo(f)
	text := index.Append(nil, manyPacks()[:2])
	frame := r.codec.compress([]byte{markCompressed}, text)
	for _, seed := range [][]byte{
		text, frame, frame[:len(frame)/2], frame[:len(frame)-1], append(frame[:len(frame):len(frame)], 'x'),
		append(frame[:len(frame):len(frame)], frame[1:]...),
		{},
		{markCompressed},
		{9},
		text[:len(text)-3],
		{markCompressed, 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0},
	} {
		f.Add(seed)
	}
	x := &indexReader{r: r}
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := r.key.Seal(nil, data)
		id := saveSealed(t.Context(), t, r, sealed)
		defer func() {
			_ = be.Remove(context.WithoutCancel(t.Context()), backend.File{Kind: backend.Index, Name: id.String()})
		}()
		var got, want []index.Pack
		readErr := x.read(t.Context(), id, collect(&got))
		plain, err := r.openUnpacked(sealed)
		if err == nil {
			err = new(index.Decoder).Decode(bytes.NewReader(plain), collect(&want))
		}
		if (readErr == nil) != (err == nil) {
			t.Fatalf("bit by bit: %v, as a whole: %v", readErr, err)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("bit by bit: %v, as a whole: %v", got, want)
		}
	})
}
