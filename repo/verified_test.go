package repo

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

func TestVerifiedDue(t *testing.T) {
	t.Parallel()
	now := testTime()
	day := 24 * time.Hour
	v := NewVerified()
	packs := []packFile{{chunk.ID{1}, 1}, {chunk.ID{2}, 2}, {chunk.ID{3}, 3}, {chunk.ID{4}, 4}, {chunk.ID{5}, 5}}
	v.set(chunk.ID{1}, now.Add(-29*day), true)
	v.set(chunk.ID{2}, now.Add(-31*day), true)
	v.set(chunk.ID{3}, now.Add(-400*day), true)
	v.set(chunk.ID{5}, now.Add(day), true) // by a clock that was wrong
	v.set(chunk.ID{6}, now, true)
	want := []packFile{packs[3], packs[2], packs[1], packs[4]}
	if got := v.due(packs, now, 30*day); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if v.set(chunk.ID{1}, now, false); len(v.due(packs, now, 30*day)) != 5 {
		t.Error("a pack that is not right counts as verified")
	}
	if v.retain(packs); v.Len() != 3 {
		t.Errorf("times of %d packs are kept, want 3", v.Len())
	}
}

// What is sealed comes back; what anybody changed does not.
func TestSealVerified(t *testing.T) {
	t.Parallel()
	r := initRepo(t, backend.NewMemory(), 2)
	v := NewVerified()
	v.set(chunk.ID{1}, testTime(), true)
	v.set(chunk.ID{2}, time.Unix(-5, 0), true)
	sealed := r.SealVerified(v)
	got, err := r.OpenVerified(sealed)
	if err != nil || got.times[chunk.ID{1}] != testTime().Unix() || got.times[chunk.ID{2}] != -5 || got.Len() != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	other := initRepo(t, backend.NewMemory(), 2)
	for name, bad := range map[string][]byte{
		"changed": append(slices.Clone(sealed[:50]), append([]byte{sealed[50] ^ 1}, sealed[51:]...)...),
		"cut":     sealed[:len(sealed)-1], "empty": nil, "another's": other.SealVerified(v),
		"something else": r.key.Seal(nil, []byte("{}")), "too long": make([]byte, MaxVerified+1),
	} {
		if v, err := r.OpenVerified(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
}

func FuzzDecodeVerified(f *testing.F) {
	v := NewVerified()
	f.Add(v.append(nil))
	v.set(chunk.ID{1}, testTime(), true)
	f.Add(v.append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		v, err := decodeVerified(plain)
		if err != nil {
			return
		}
		again, err := decodeVerified(v.append(nil))
		if err != nil || !bytes.Equal(again.append(nil), v.append(nil)) {
			t.Errorf("%x: did not come back: %v", plain, err)
		}
	})
}

// A check reads what was not verified for so long, and no more.
func TestCheckMaxAge(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	snaps, files := versions(t, r, 2, 20_000)
	v := NewVerified()
	now := testTime()
	month := 30 * 24 * time.Hour
	read := func(want, recent int, opt CheckOptions) {
		t.Helper()
		opt.Verified, opt.Now = v, now
		res, err := r.Check(t.Context(), opt)
		if err != nil || res.PacksRead != want || res.PacksRecent != recent {
			t.Errorf("%d packs were read and %d recent, %v, want %d and %d", res.PacksRead, res.PacksRecent, err, want, recent)
		}
	}
	read(0, 0, CheckOptions{})
	read(4, 0, CheckOptions{MaxAge: month})
	read(0, 4, CheckOptions{MaxAge: month})
	now = now.Add(month / 2)
	snaps = append(snaps, saveFiles(t, r, map[string][]byte{"more": payload(9, 5000)}))
	files = append(files, map[string][]byte{"more": payload(9, 5000)})
	read(1, 4, CheckOptions{MaxAge: month, Read: Subset{size: 1}})
	read(1, 5, CheckOptions{MaxAge: month})
	now = now.Add(month/2 + time.Second)
	read(4, 2, CheckOptions{MaxAge: month})
	read(6, 0, CheckOptions{Read: AllPacks()})
	wantWhole(t, be, snaps, files)

	loc, _ := r.index.Lookup(index.Handle{ID: chunk.Sum(payload(9, 5000)), Type: index.Data})
	damage(t, be, packName(loc.Pack), int(loc.Offset)+100)
	read(0, 6, CheckOptions{MaxAge: month})
	now = now.Add(month + time.Second)
	for range 2 { // what is damaged is read each time
		if _, err := r.Check(t.Context(), CheckOptions{MaxAge: month, Verified: v, Now: now}); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want damage", err)
		}
	}
}

// A long check that is killed has saved what it knew a minute before.
func TestCheckSavesDates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		be := backend.NewMemory()
		r := initRepo(t, be, 2)
		versions(t, r, 4, 2000)
		saved := 0
		c := &checker{r: r, opt: CheckOptions{Verified: NewVerified(), Now: testTime(), Save: func() { saved++ }}}
		for i := range byte(10) {
			c.packRead(packFile{chunk.ID{i}, 1}, nil)
			time.Sleep(25 * time.Second)
		}
		if saved != 3 || c.opt.Verified.Len() != 10 {
			t.Errorf("saved %d times, %d dates", saved, c.opt.Verified.Len())
		}
	})
}
