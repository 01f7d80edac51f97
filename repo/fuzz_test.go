package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
)

// fuzzRepo is a repository whose key costs nothing.
func fuzzRepo(f *testing.F) (*Repository, *backend.Memory) {
	f.Helper()
	be := backend.NewMemory()
	r, err := Init(f.Context(), be, testPassword, InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		f.Fatal(err)
	}
	return r, be
}

func FuzzParseHeader(f *testing.F) {
	h := index.Handle{ID: chunk.Sum(nil), Type: index.Tree}
	f.Add([]byte{})
	f.Add(appendHeader(nil, []index.Blob{{Handle: h, Length: 100}, {Handle: h, Offset: 100, Length: 50, RawLength: 70}}))
	f.Add(appendHeader(nil, []index.Blob{{Handle: h, Length: 1<<32 - 1}, {Handle: h, Length: 32}}))
	f.Add(bytes.Repeat([]byte{4}, entrySize))
	f.Fuzz(func(t *testing.T, data []byte) {
		blobs, err := parseHeader(data)
		if err != nil {
			return
		}
		var offset int64
		odd := false
		for i, b := range blobs {
			if int64(b.Offset) != offset || b.Length < crypto.Overhead || b.Type > index.Tree {
				t.Fatalf("blob %d: %+v at %d", i, b, offset)
			}
			offset += int64(b.Length)
			odd = odd || b.RawLength == 0 // may be of a compressed one
		}
		if again := appendHeader(nil, blobs); !odd && !bytes.Equal(again, data) {
			t.Fatalf("got %x, want %x", again, data)
		}
	})
}

// A key file is in plain: whoever has the store can write what he likes.
func FuzzKeyFile(f *testing.F) {
	r, be := fuzzRepo(f)
	valid, err := loadAll(f.Context(), be, backend.File{Kind: backend.Key, Name: r.keyID.String()}, maxKeyFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Add([]byte(`{"kdf":"scrypt","N":2,"r":1,"p":1,"salt":"","data":""}`))
	f.Add([]byte(`{"kdf":"scrypt","N":-2,"r":0,"p":1073741824,"salt":null,"data":"AAAA"}`))
	f.Add([]byte(`{"kdf":"other"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var k keyFile
		if json.Unmarshal(data, &k) == nil && k.N > 1<<10 && k.R > 0 && k.P > 0 && (k.N > 1<<14 || k.R > 16 || k.P > 4) {
			t.Skip("dear, or refused for it")
		}
		store := backend.NewMemory()
		id := chunk.Sum(data)
		if err := store.Save(t.Context(), backend.File{Kind: backend.Key, Name: id.String()}, data); err != nil {
			t.Fatal(err)
		}
		key, got, err := openKey(t.Context(), store, testPassword, chunk.ID{})
		if (err == nil) != (key != nil) || err == nil && got != id {
			t.Fatalf("key %v, %v, %v", key != nil, got, err)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongPassword) {
			t.Fatalf("neither damaged nor the wrong password: %v", err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	r, _ := fuzzRepo(f)
	valid, err := json.Marshal(r.config)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add([]byte(`{"version":3,"id":"","chunker_polynomial":"1"}`))
	f.Add([]byte(`{"version":2,"is_hot":true,"chunker":"rabin","chunk_size":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		again := &Repository{key: r.key}
		if err := again.readConfig(r.key.Seal(nil, plain)); err != nil {
			return
		}
		if v := again.config.Version; v != 1 && v != 2 {
			t.Fatalf("version %d", v)
		}
		if _, err := chunk.NewCutter(again.config.Polynomial); err == nil {
			if _, err := chunk.ParsePol(again.config.Polynomial.String()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// put stores plain, sealed, as a file of a kind.
func put(t *testing.T, r *Repository, kind backend.Kind, plain []byte) (*Repository, chunk.ID) {
	t.Helper()
	sealed := r.key.Seal(nil, plain)
	id := chunk.Sum(sealed)
	store := backend.NewMemory()
	if err := store.Save(t.Context(), backend.File{Kind: kind, Name: id.String()}, sealed); err != nil {
		t.Fatal(err)
	}
	return on(r, store), id
}

func FuzzSnapshot(f *testing.F) {
	r, _ := fuzzRepo(f)
	id := chunk.Sum(nil)
	valid, err := json.Marshal(&Snapshot{Time: testTime(), Tree: &id, Paths: []string{"/x"}, Tags: []string{"a"}, Summary: &SnapshotSummary{FilesNew: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","tree":null,"paths":null}`))
	f.Add([]byte(`{"tree":"00","parent":7}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		on, id := put(t, r, backend.Snapshot, plain)
		s, err := on.LoadSnapshot(t.Context(), id)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if s.Tree == nil || s.ID() != id {
			t.Fatalf("%+v", s)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again Snapshot
		if err := json.Unmarshal(text, &again); err != nil || *again.Tree != *s.Tree || !again.Time.Equal(s.Time) {
			t.Fatalf("%v: %s", err, text)
		}
	})
}

func FuzzLock(f *testing.F) {
	r, _ := fuzzRepo(f)
	valid, err := json.Marshal(lockFile{Time: testTime(), Exclusive: true, Hostname: "h", Username: "u", PID: 1, UID: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add([]byte(`{"time":"0000-00-00","pid":-1}`))
	f.Add([]byte(`{"pid":1e99}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		on, _ := put(t, r, backend.Lock, plain)
		look := &lookout{r: on, exclusive: true, seen: map[chunk.ID]bool{}}
		if _, err := look.look(t.Context(), everyOne); !errors.Is(err, ErrLocked) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("a lock that blocks nobody: %v", err)
		}
		n, err := on.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()})
		if n != 1 || err != nil {
			t.Fatalf("unlock removed %d, %v", n, err)
		}
	})
}

func FuzzOpenUnpacked(f *testing.F) {
	r, _ := fuzzRepo(f)
	f.Add([]byte{}, false)
	f.Add([]byte(`{"packs":[]}`), true)
	f.Add(r.codec.compress([]byte{markCompressed}, []byte(`{"packs":[]}`)), true)
	f.Add([]byte{markCompressed}, true)
	f.Add([]byte{markCompressed, 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0}, true)
	f.Add([]byte{9, 9, 9}, true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if !sealed {
			if plain, err := r.openUnpacked(data); err == nil {
				t.Fatalf("opened without the key: %x", plain)
			}
			return
		}
		plain, err := r.openUnpacked(r.key.Seal(nil, data))
		if err != nil {
			return
		}
		if len(plain) > maxUnpackedRaw {
			t.Fatalf("%d bytes from %d", len(plain), len(data))
		}
		if len(data) > 0 && data[0] != markCompressed && !bytes.Equal(plain, data) {
			t.Fatalf("got %q, want %q", plain, data)
		}
	})
}
