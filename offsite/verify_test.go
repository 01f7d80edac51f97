package offsite

import (
	"errors"
	"slices"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// TestRounds: what was put there is unproven; verifications read what was proven
// longest ago, each pack once a round, and snapshots are proven as of their oldest.
func TestRounds(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for i := range 6 {
		p.save(t, "a", hours(0).Add(time.Duration(i)), byte(i))
		if err := p.run(t.Context(), hours(2)); err != nil {
			t.Fatal(err)
		}
	}
	st, s := p.status(t)
	if len(s.Snapshots) != 6 || len(s.Waiting) != 0 || s.Proven != 0 || s.NeverProven != s.Packs || s.Packs != len(packs(t, p.copy)) || !s.LastRun.Equal(hours(2)) {
		t.Fatalf("after the runs: %+v", s)
	}
	for id, e := range st.Packs {
		if e.Put != seconds(hours(2)) {
			t.Errorf("pack %v was put there at %v, want %v", id, moment(e.Put), hours(2))
		}
	}
	p.save(t, "a", hours(3), 7)
	if _, s := p.status(t); len(s.Waiting) != 1 || len(s.Snapshots) != 6 {
		t.Errorf("a new snapshot: %+v", s)
	}
	for round := range 2 {
		begin, done, runs := hours(10+100*round), 0, 0
		for ; done < s.Packs; runs++ {
			res, err := p.verify(t.Context(), hours(10+100*round+runs), 0.3)
			if err != nil || res.Read == 0 || res.Told > 0 || runs > 10 {
				t.Fatalf("round %d, run %d: %+v, %v", round, runs, res, err)
			}
			want := min(done+res.Read, s.Packs)
			done = 0
			st, _ := p.status(t)
			for _, e := range st.Packs {
				if e.Proven >= seconds(begin) {
					done++
				}
			}
			if done != want {
				t.Fatalf("round %d, run %d: %d packs are proven, want %d: some were read twice", round, runs, done, want)
			}
		}
		if runs < 3 {
			t.Errorf("round %d took %d runs", round, runs)
		}
		_, s = p.status(t)
		if s.Proven != 6 || s.NeverProven != 0 || !s.Since.Equal(s.Oldest) || s.Since.Before(begin) || s.Since.After(hours(10+100*round+2)) {
			t.Errorf("after round %d: %+v", round, s)
		}
	}
}

// TestTold: a storage that tells what it has is asked, and nothing is read from it.
func TestTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		how         backend.Proof
		first, next Method
	}{{backend.ProofStored, PutVerified, HeadSHA256}, {backend.ProofRead, RemoteSHA256, RemoteSHA256}} {
		p := newPair(t)
		p.save(t, "a", hours(0), 1, 2, 3)
		p.copy = teller{Backend: p.copy, how: c.how}
		if err := p.run(t.Context(), hours(1)); err != nil {
			t.Fatal(err)
		}
		want := func(method Method, when time.Time, packs int) {
			t.Helper()
			st, s := p.status(t)
			n := 0
			for _, e := range st.Packs {
				if e.Method == method && e.Result == Right && e.Proven == seconds(when) {
					n++
				}
			}
			if n != packs || s.Proven != 1 || s.NeverProven != 0 {
				t.Errorf("%s: %d packs by %v, want %d: %+v", c.how, n, method, packs, st.Packs)
			}
		}
		all := len(packs(t, p.copy))
		want(c.first, hours(1), all)
		tiny, err := p.verify(t.Context(), hours(2), 0.0001)
		if err != nil {
			t.Fatal(err)
		}
		if c.how == backend.ProofStored {
			if tiny.Told != all || tiny.ReadBytes != 0 || tiny.There != 0 {
				t.Errorf("%s: %+v, want all told", c.how, tiny)
			}
			want(c.next, hours(2), all)
		} else if tiny.Read == 0 || tiny.There != tiny.Read || tiny.ThereBytes != tiny.ReadBytes {
			t.Errorf("%s: %+v, want some read there", c.how, tiny)
		}
		if res, err := p.verify(t.Context(), hours(3), 1); err != nil || res.Told+res.Read != all || res.Left != 0 {
			t.Errorf("%s: %+v, %v, want all", c.how, res, err)
		}
		want(c.next, hours(3), all)
	}
}

// versions saves many versions in the source and copies each by itself, so that the copy
// has a lot of packs.
func (p pair) versions(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		p.save(t, "a", hours(0).Add(time.Duration(i)), byte(i))
		if err := p.run(t.Context(), hours(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemoteShare: what the storage reads to tell it counts as read.
func TestRemoteShare(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.versions(t, 12)
	p.copy = teller{Backend: p.copy, how: backend.ProofRead}
	if res, err := p.verify(t.Context(), hours(2), 0.1); err != nil || res.Read == 0 || res.Read > 2*provers || res.Left == 0 || res.Told > 0 {
		t.Errorf("%+v, %v, want a part", res, err)
	}
}

// TestMute: an object of which the storage tells nothing is read, and what was told
// takes nothing off what may be read.
func TestMute(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.versions(t, 12)
	st, _ := p.status(t)
	due := st.Packs.due(hours(2)) // the mute ones come last, when 0.6 of the bytes have been asked for
	last := due[len(due)-2:]
	p.copy = teller{p.copy, backend.ProofStored, func(f backend.File) bool {
		return slices.ContainsFunc(last, func(id chunk.ID) bool { return fileOf(id) == f })
	}}
	res, err := p.verify(t.Context(), hours(2), 0.6)
	if err != nil || res.Told != len(due)-2 || res.Read != 2 || res.Left != 0 {
		t.Errorf("%+v, %v, want all but two told, and these read", res, err)
	}
	for _, id := range last {
		if st, _ := p.status(t); st.Packs[id].Method != Downloaded {
			t.Errorf("a mute one was proven by %v", st.Packs[id].Method)
		}
	}
}

// TestBad: a pack that is damaged, cut short, grown or gone is found and named,
// costs the snapshots that need it their proof, and is right again when it is mended.
func TestBad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   Result
	}{
		"flipped": {func(b []byte) []byte { b[7] ^= 1; return b }, Damaged},
		"cut":     {func(b []byte) []byte { return b[:len(b)-1] }, Damaged},
		"grown":   {func(b []byte) []byte { return append(b, 0) }, Damaged},
		"gone":    {nil, Missing},
	} {
		p := newPair(t)
		p.save(t, "a", hours(0), 1)
		p.save(t, "b", hours(1), 2)
		if err := p.run(t.Context(), hours(2)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.verify(t.Context(), hours(3), 1); err != nil {
			t.Fatal(err)
		}
		f, whole := spoil(t, p, 2, c.change)
		res, err := p.verify(t.Context(), hours(4), 1)
		if !errors.Is(err, ErrBad) || len(res.Problems) != 1 || res.Problems[0].Result != c.want || res.Problems[0].File != f {
			t.Errorf("%s: %+v, %v, want %v", name, res, err, c.want)
		}
		if _, s := p.status(t); s.Bad != 1 || s.Broken != 1 || s.Proven != 1 {
			t.Errorf("%s: %+v, want one snapshot broken", name, s)
		}
		_ = p.copy.Remove(t.Context(), f)
		if err := p.copy.Save(t.Context(), f, whole); err != nil {
			t.Fatal(err)
		}
		if res, err := p.verify(t.Context(), hours(5), 0.0001); err != nil || res.Read != 1 {
			t.Errorf("%s, mended: %+v, %v", name, res, err)
		}
		if _, s := p.status(t); s.Bad != 0 || s.Broken != 0 || s.Proven != 2 || !s.Since.Equal(hours(4)) {
			t.Errorf("%s, mended: %+v", name, s)
		}
	}
}

// TestBadSmall: damage in a snapshot's file or the index is found, whatever a cache may
// have of it, and named before it ends anything.
func TestBadSmall(t *testing.T) {
	t.Parallel()
	for _, kind := range []backend.Kind{backend.Snapshot, backend.Index} {
		p := newPair(t)
		p.save(t, "a", hours(0), 1)
		p.save(t, "b", hours(0), 2)
		if err := p.run(t.Context(), hours(1)); err != nil {
			t.Fatal(err)
		}
		store, c, err := p.attach(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var bad backend.File
		for info, err := range p.copy.List(t.Context(), kind) {
			if err != nil {
				t.Fatal(err)
			}
			bad = backend.File{Kind: kind, Name: info.Name}
		}
		if err := backendtest.Damage(t.Context(), p.copy, bad, func(b []byte) []byte { b[40] ^= 1; return b }); err != nil {
			t.Fatal(err)
		}
		var told []Problem
		res, err := c.Verify(t.Context(), VerifyOptions{Now: hours(2), Share: 1, Report: func(p Problem) { told = append(told, p) }})
		if !errors.Is(err, ErrBad) || len(told) != 1 || told[0].File != bad || len(res.Problems) != 1 || told[0].Result != Damaged {
			t.Errorf("%v: %+v, %v, told %v", kind, res, err, told)
		}
		if err := store.Save(t.Context(), c.State); err != nil {
			t.Fatal(err)
		}
		if _, s := p.status(t); kind == backend.Snapshot && (len(s.Waiting) != 1 || s.Proven != 1) {
			t.Errorf("%v: %+v, want the other one proven", kind, s)
		}
	}
}

// TestHeal: a run copies again what the copy has lost, and says so at once. The pack
// stays missing until the copy's index is repaired; the snapshot is whole.
func TestHeal(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	spoil(t, p, 1, nil)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	st, s := p.status(t)
	if len(st.Runs) != 2 || s.Bad != 1 || s.Broken != 0 || s.Packs != 3 {
		t.Errorf("after the run: %+v, %+v", s, st.Runs)
	}
	if res, err := p.verify(t.Context(), hours(2), 1); !errors.Is(err, ErrBad) || res.AllProven != 1 {
		t.Errorf("%+v, %v, want the snapshot proven and a pack missing", res, err)
	}
}

// TestSourceBroken: where the source has lost folders, the copy's are read.
func TestSourceBroken(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sn := p.save(t, "a", hours(0), 1)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	r := p.open(t).r
	loc, ok := r.Index().Lookup(index.Handle{ID: *sn.Tree, Type: index.Tree})
	if !ok {
		t.Fatal("the source has no such tree")
	}
	if err := p.source.Remove(t.Context(), fileOf(loc.Pack)); err != nil {
		t.Fatal(err)
	}
	if res, err := p.verify(t.Context(), hours(2), 1); err != nil || res.AllProven != 1 {
		t.Errorf("%+v, %v, want the snapshot proven", res, err)
	}
}

// spoil changes the pack of the copy that holds the file of a seed; nil removes it.
func spoil(t *testing.T, p pair, seed byte, change func([]byte) []byte) (backend.File, []byte) {
	t.Helper()
	_, c, err := p.attach(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := chunk.Sum(backendtest.Bytes(2000+int(seed), seed))
	for loc := range c.to.Index().Blobs() {
		if loc.ID != want {
			continue
		}
		f := fileOf(loc.Pack)
		data, err := backendtest.Read(t.Context(), p.copy, f)
		if err != nil {
			t.Fatal(err)
		}
		if change == nil {
			err = p.copy.Remove(t.Context(), f)
		} else {
			err = backendtest.Damage(t.Context(), p.copy, f, change)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f, data
	}
	t.Fatal("no pack holds that file")
	return backend.File{}, nil
}

// TestFlicker: what is right when it is read again is no damage.
func TestFlicker(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	once := map[string]bool{}
	p.copy = backendtest.NewFaulty(p.copy, backendtest.Faults{Corrupt: func(f backend.File, at int64, b []byte) []byte {
		if f.Kind == backend.Data && at == 0 && len(b) > 1000 && !once[f.Name] {
			once[f.Name] = true
			b[0] ^= 1
		}
		return b
	}})
	if res, err := p.verify(t.Context(), hours(2), 1); err != nil || res.Read != res.Packs || len(once) == 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestVerifyFaults lets each operation on the copy fail in turn: nothing is proven that
// was not read, nothing is called damaged, what was proven is kept, and the next run
// does the rest. Nothing is ever written to the copy.
func TestVerifyFaults(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.save(t, "a", hours(0), 1, 2, 3)
	if err := p.run(t.Context(), hours(1)); err != nil {
		t.Fatal(err)
	}
	source := p.source
	for n := 1; ; n++ {
		var err error
		if p.source, err = backendtest.Copy(t.Context(), source); err != nil {
			t.Fatal(err)
		}
		faulty := backendtest.NewFaulty(p.copy, backendtest.Faults{FailAt: n})
		broken := pair{p.source, faulty, p.config}
		res, err := broken.verify(t.Context(), hours(2), 1)
		if !faulty.Fired() {
			if err != nil || res.NeverProven > 0 || n < 10 {
				t.Errorf("without a fault: %+v, %v, after %d", res, err, n)
			}
			break
		}
		if len(res.Problems) > 0 || errors.Is(err, ErrBad) {
			t.Errorf("operation %d fails: %+v, %v, want no damage", n, res, err)
		}
		for _, op := range faulty.Ops() {
			if op.Verb == backendtest.Save || op.Verb == backendtest.Remove {
				t.Fatalf("operation %d fails: %v", n, op)
			}
		}
		st, s := p.status(t)
		if err != nil && s.Packs-s.NeverProven != res.Read || s.Bad > 0 {
			t.Errorf("operation %d fails, %v: %+v, state %+v", n, err, res, st.Packs)
		}
		next, err := p.verify(t.Context(), hours(3), 1)
		if err != nil || next.NeverProven > 0 {
			t.Errorf("after operation %d failed: %+v, %v", n, next, err)
		}
	}
}
