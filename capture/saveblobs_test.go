package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"russet/repo"
)

// sqliteBytes looks like a database of 4 KiB pages to who cuts it.
func sqliteBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	copy(b, "SQLite format 3\x00\x10\x00")
	return b
}

// What is saved beside others is what is saved in order: for databases, whose pieces
// are short, for long pieces, and for files that have none.
func TestSaveBeside(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	database := sqliteBytes(3<<20 + 4096)
	long := slices.Clone(database[1:])
	for name, data := range map[string][]byte{
		"a database": database, "another file": long, "a short one": long[:100], "an empty one": nil,
		"a database and more": append(slices.Clone(database), long...),
	} {
		want, err := saved(t, r, saveBlobs, bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := saved(t, r, saveBeside, iotest.HalfReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.size != int64(len(data)) || got.size != want.size || !slices.Equal(got.ids, want.ids) || got.ids == nil {
			t.Errorf("%s: got %d bytes in %d pieces, want %d in %d", name, got.size, len(got.ids), want.size, len(want.ids))
		}
	}
}

// A stream that breaks, and a session that is over, are told as what they are.
func TestSaveBesideFails(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	database := sqliteBytes(1 << 20)
	cut := io.MultiReader(bytes.NewReader(database), iotest.ErrReader(errAborted))
	if _, err := saved(t, r, saveBeside, cut); !errors.Is(err, errAborted) {
		t.Errorf("a stream that breaks: got %v, want %v", err, errAborted)
	}
	w := r.NewWriter(t.Context())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	src := bytes.NewReader(sqliteBytes(64 << 20))
	split := r.Cutter().NewSplitter()
	split.Reset(src)
	if _, err := saveBeside(t.Context(), w, split); err == nil {
		t.Error("pieces are saved after the end of the session")
	}
	if src.Len() == 0 {
		t.Error("a database is read to its end although its pieces cannot be saved")
	}
}

// saved saves a stream in a session of its own.
func saved(t *testing.T, r *repo.Repository, save blobSaver, src io.Reader) (content, error) {
	t.Helper()
	w := r.NewWriter(t.Context())
	defer w.Close()
	split := r.Cutter().NewSplitter()
	split.Reset(src)
	got, err := save(t.Context(), w, split)
	if err != nil {
		return got, err
	}
	return got, w.Flush(t.Context())
}
