package repo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// mirrorAll makes plans and applies them until one was not given up.
func mirrorAll(ctx context.Context, from backend.Backend, to MirrorPlace, opt MirrorOptions) (MirrorResult, error) {
	for {
		plan, err := PlanMirror(ctx, from, to, opt)
		if err != nil {
			return MirrorResult{}, err
		}
		res, err := plan.Apply(ctx, new(Progress))
		if err != nil || !res.Again {
			return res, err
		}
	}
}

func newMirror(t *testing.T, from backend.Backend) *backend.Memory {
	t.Helper()
	to := backend.NewMemory()
	if err := InitMirror(t.Context(), from, to, testTime()); err != nil {
		t.Fatal(err)
	}
	return to
}

// files lists what is mirrored, with its bytes.
func filesOf(t *testing.T, be backend.Backend) map[backend.File]string {
	t.Helper()
	all := map[backend.File]string{}
	names, err := listFiles(t.Context(), be, append(mirrorKinds(), backend.Config)...)
	if err != nil {
		t.Fatal(err)
	}
	for f, size := range names {
		data := make([]byte, size)
		if n, err := be.Load(t.Context(), f, 0, data); err != nil || n != len(data) {
			t.Fatal(n, err)
		}
		all[f] = string(data)
	}
	return all
}

func mirrored(t *testing.T, from, to backend.Backend) {
	t.Helper()
	want, got := filesOf(t, from), filesOf(t, to)
	for f, data := range want {
		if got[f] != data {
			t.Errorf("%v differs", f)
		}
		delete(got, f)
	}
	for f := range got {
		t.Errorf("%v is left", f)
	}
}

// usable checks a mirror as whoever comes to it now would find it. Before the
// first run has written the config it is nothing yet.
func usable(t *testing.T, be backend.Backend) {
	t.Helper()
	r, err := Open(t.Context(), be, testPassword)
	if errors.Is(err, backend.ErrNoRepository) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.Check(t.Context(), CheckOptions{Read: AllPacks(), Report: func(p Problem) {
		if !p.Kind.Note() {
			t.Error(p)
		}
	}})
	if err != nil || res.Errors > 0 {
		t.Fatalf("the mirror is not whole: %+v, %v", res, err)
	}
}

// prune does to a source what a prune does, with files of its own: what
// snapshots need is stored anew and indexed, and then all that was there before
// is removed.
func pruneByHand(ctx context.Context, be backend.Backend, forget ...chunk.ID) error {
	r, err := Open(ctx, be, testPassword)
	if err != nil {
		return err
	}
	for _, id := range forget {
		if err := r.RemoveSnapshot(ctx, id); err != nil {
			return err
		}
	}
	old, err := listFiles(ctx, be, backend.Index, backend.Data)
	if err != nil {
		return err
	}
	snaps, err := r.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	fresh, err := Open(ctx, be, testPassword)
	if err != nil {
		return err
	}
	w := fresh.NewWriter(ctx)
	defer w.Close()
	save := func(h index.Handle) error {
		plain, err := r.Load(ctx, h, nil)
		if err == nil {
			_, err = w.Save(ctx, h.Type, plain)
		}
		return err
	}
	for _, s := range snaps {
		err := save(index.Handle{ID: *s.Tree, Type: index.Tree})
		if err != nil {
			return err
		}
		err = r.WalkOnce(ctx, *s.Tree, func(n *Node, err error) error {
			for _, id := range n.Content {
				err = errors.Join(err, save(index.Handle{ID: id, Type: index.Data}))
			}
			if n.Subtree != nil {
				err = errors.Join(err, save(index.Handle{ID: *n.Subtree, Type: index.Tree}))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	for _, kind := range []backend.Kind{backend.Index, backend.Data} {
		for f := range old {
			if f.Kind == kind {
				if err := be.Remove(ctx, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// twoGenerations makes a source before and after a prune, a backup and a change
// of the password.
func twoGenerations(t *testing.T) (before, after *backend.Memory) {
	t.Helper()
	before = backend.NewMemory()
	r := initRepo(t, before, 2)
	files := map[string][]byte{"a": payload(1, 5000), "b": payload(2, 60_000)}
	first := saveFiles(t, r, files)
	files["c"] = payload(3, 4000)
	saveFiles(t, r, files)
	after, err := backendtest.Copy(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	if err := pruneByHand(t.Context(), after, first.ID()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), after, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	files["d"] = payload(4, 3000)
	saveFiles(t, again, files)
	if _, err := again.AddKey(t.Context(), "second", cheap, Owner{}); err != nil {
		t.Fatal(err)
	}
	return before, after
}

func TestMirror(t *testing.T) {
	t.Parallel()
	before, after := twoGenerations(t)
	to := newMirror(t, before)
	res, err := mirrorAll(t.Context(), before, to, MirrorOptions{Now: testTime()})
	if err != nil || res.Aside.Files != 0 || res.Copied.Files != len(filesOf(t, before))-1 {
		t.Fatalf("got %+v, %v", res, err)
	}
	mirrored(t, before, to)
	plan, err := PlanMirror(t.Context(), before, to, MirrorOptions{Now: testTime()})
	if err != nil || plan.Copy.Files+plan.Aside.Files != 0 {
		t.Fatalf("there is more to do: %v, %v", plan, err)
	}
	if plan, err = PlanMirror(t.Context(), after, to, MirrorOptions{Now: testTime()}); err != nil {
		t.Fatal(err)
	}
	if want := "for 30 days"; !strings.Contains(plan.String(), want) {
		t.Errorf("got %s, want %s", plan, want)
	}
	if res, err = plan.Apply(t.Context(), nil); err != nil || res.Copied != plan.Copy || res.Aside != plan.Aside || res.Dropped != 0 {
		t.Fatalf("got %+v for %v, %v", res, plan, err)
	}
	mirrored(t, after, to)
	usable(t, to)
	aside := res.Aside.Files
	for _, c := range []struct {
		days, want int
	}{{1, 0}, {30, 0}, {31, aside}, {32, 0}} {
		res, err := mirrorAll(t.Context(), after, to, MirrorOptions{Now: testTime().AddDate(0, 0, c.days)})
		if err != nil || res.Dropped != c.want {
			t.Errorf("day %d: got %+v, %v, want %d dropped", c.days, res, err, c.want)
		}
	}
}

func TestMirrorRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	before, after := twoGenerations(t)
	opt := MirrorOptions{Now: testTime()}
	want := func(what string, err error, want MirrorRefusal) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	_, err := mirrorAll(ctx, before, backend.NewMemory(), opt)
	want("an empty place", err, NoMirror)
	other := backend.NewMemory()
	initRepo(t, other, 2)
	_, err = mirrorAll(ctx, before, other, opt)
	want("a repository", err, NoMirror)
	want("a new mirror there", InitMirror(ctx, before, other, testTime()), NotEmpty)

	to := newMirror(t, before)
	if _, err := mirrorAll(ctx, before, to, opt); err != nil {
		t.Fatal(err)
	}
	_, err = mirrorAll(ctx, other, to, opt)
	want("another source", err, OtherRepository)
	want("a new mirror of that", InitMirror(ctx, other, to, testTime()), OtherRepository)
	if err := InitMirror(ctx, before, to, testTime()); err != nil {
		t.Errorf("begun again: %v", err)
	}

	// The drive holds the mark of ours, and another config.
	mark, err := to.LoadMark(ctx)
	if err != nil || other.SaveMark(ctx, mark) != nil {
		t.Fatal(err)
	}
	_, err = mirrorAll(ctx, before, other, opt)
	want("another config", err, OtherRepository)

	r, err := Open(ctx, to, testPassword)
	if err != nil {
		t.Fatal(err)
	}
	saveFiles(t, r, map[string][]byte{"x": payload(8, 100)})
	_, err = mirrorAll(ctx, after, to, opt)
	want("written elsewhere", err, WrittenElsewhere)
}

// TestMirrorNamesAStrangeConfig has the config damaged, of the source or of the
// mirror: that is not taken for another repository.
func TestMirrorNamesAStrangeConfig(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"source", "mirror"} {
		from, _ := twoGenerations(t)
		to := newMirror(t, from)
		if _, err := mirrorAll(t.Context(), from, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		be := map[string]backend.Backend{"source": from, "mirror": to}[where]
		err := backendtest.Damage(t.Context(), be, backend.File{Kind: backend.Config}, func(b []byte) []byte {
			b[len(b)/2] ^= 1
			return b
		})
		if err != nil {
			t.Fatal(err)
		}
		have := filesOf(t, to)
		_, err = mirrorAll(t.Context(), from, to, MirrorOptions{Now: testTime()})
		if !errors.Is(err, OtherConfig) || !strings.Contains(err.Error(), where) {
			t.Errorf("%s: got %v, want %v", where, err, OtherConfig)
		}
		if !maps.Equal(filesOf(t, to), have) {
			t.Errorf("%s: the mirror was changed", where)
		}
	}
}

// TestMirrorKeepsWhatIsTooMuch mirrors a source that has lost its snapshots, or
// many packs.
func TestMirrorKeepsWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, kind := range []backend.Kind{backend.Snapshot, backend.Data} {
		from := backend.NewMemory()
		r := initRepo(t, from, 2)
		for n := range 4 {
			saveFiles(t, r, map[string][]byte{"a": payload(uint64(n), 1000)})
		}
		to := newMirror(t, from)
		if _, err := mirrorAll(ctx, from, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		all, err := listFiles(ctx, from, kind)
		if err != nil {
			t.Fatal(err)
		}
		for f := range all {
			if err := from.Remove(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		saveFiles(t, r, map[string][]byte{"new": payload(9, 1000)})
		if kind == backend.Snapshot {
			left, _ := listFiles(ctx, from, kind)
			for f := range left {
				_ = from.Remove(ctx, f)
			}
		}
		res, err := mirrorAll(ctx, from, to, MirrorOptions{Now: testTime()})
		if !errors.Is(err, ManyRemovals) || res.Aside.Files != 0 || res.Copied.Files == 0 {
			t.Errorf("%v: got %+v, %v", kind, res, err)
		}
		usable(t, to)
		res, err = mirrorAll(ctx, from, to, MirrorOptions{Now: testTime(), Many: true})
		if err != nil || res.Aside.Files != len(all) {
			t.Errorf("%v: got %+v, %v", kind, res, err)
		}
	}
}

// TestMirrorLeavesBadFiles does not copy what is not what its name says, and sets
// nothing aside then.
func TestMirrorLeavesBadFiles(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, kind := range mirrorKinds() {
		before, after := twoGenerations(t)
		to := newMirror(t, before)
		if _, err := mirrorAll(ctx, before, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		var bad backend.File
		have := filesOf(t, to)
		for f := range filesOf(t, after) {
			if _, ok := have[f]; f.Kind == kind && !ok {
				bad = f
			}
		}
		good, err := backendtest.Read(ctx, after, bad)
		if err != nil {
			t.Fatal(err)
		}
		flip := backendtest.NewFaulty(after, backendtest.Faults{Corrupt: backendtest.FlipBit(bad, 20, 3)})
		res, err := mirrorAll(ctx, flip, to, MirrorOptions{Now: testTime()})
		if !errors.Is(err, ErrDamaged) || !slices.Equal(res.Bad, []backend.File{bad}) || res.Aside.Files != 0 {
			t.Errorf("%v: got %+v, %v", kind, res, err)
		}
		if want := kind == backend.Data || kind == backend.Index; res.Held != want {
			t.Errorf("%v: held %v", kind, res.Held)
		}
		usable(t, to)
		if _, err := backendtest.Read(ctx, to, bad); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: a bad file was copied: %v", kind, err)
		}
		for f, data := range have {
			if got, err := backendtest.Read(ctx, to, f); err != nil || string(got) != data {
				t.Errorf("%v: %v is no longer there: %v", kind, f, err)
			}
		}
		// A good copy that the mirror has got by then stays.
		if res, err = mirrorAll(ctx, after, to, MirrorOptions{Now: testTime()}); err != nil || res.Aside.Files == 0 {
			t.Errorf("%v: got %+v, %v", kind, res, err)
		}
		if got, err := backendtest.Read(ctx, to, bad); err != nil || !bytes.Equal(got, good) {
			t.Errorf("%v: not copied: %v", kind, err)
		}
	}
}

// TestMirrorMendsShortFiles copies what the mirror has in another length.
func TestMirrorMendsShortFiles(t *testing.T) {
	t.Parallel()
	before, _ := twoGenerations(t)
	to := newMirror(t, before)
	if _, err := mirrorAll(t.Context(), before, to, MirrorOptions{Now: testTime()}); err != nil {
		t.Fatal(err)
	}
	for f := range filesOf(t, before) {
		if f.Kind == backend.Data {
			if err := backendtest.Damage(t.Context(), to, f, func(b []byte) []byte { return b[:len(b)/2] }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := mirrorAll(t.Context(), before, to, MirrorOptions{Now: testTime()}); err != nil {
		t.Fatal(err)
	}
	mirrored(t, before, to)
}

// TestMirrorOfBrokenSource wants nothing changed where the source has lost all
// its keys, its index or its packs, whatever is admitted, and only some snapshots less than
// half to be set aside at once.
func TestMirrorOfBrokenSource(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	source := backend.NewMemory()
	r := initRepo(t, source, 2)
	for n := range 3 {
		saveFiles(t, r, map[string][]byte{"a": payload(uint64(n), 1000)})
	}
	for _, c := range []struct {
		kind       backend.Kind
		left       int
		want, many error
	}{
		{backend.Key, 0, BrokenSource, BrokenSource},
		{backend.Index, 0, BrokenSource, BrokenSource},
		{backend.Data, 0, BrokenSource, BrokenSource},
		{backend.Snapshot, 1, ManyRemovals, nil},
		{backend.Snapshot, 2, nil, nil},
	} {
		from, err := backendtest.Copy(ctx, source)
		if err != nil {
			t.Fatal(err)
		}
		to := newMirror(t, from)
		if _, err := mirrorAll(ctx, from, to, MirrorOptions{Now: testTime()}); err != nil {
			t.Fatal(err)
		}
		all, err := listFiles(ctx, from, c.kind)
		if err != nil {
			t.Fatal(err)
		}
		left := len(all)
		for f := range all {
			if left > c.left && from.Remove(ctx, f) == nil {
				left--
			}
		}
		for _, many := range []bool{false, true} {
			want := map[bool]error{false: c.want, true: c.many}[many]
			res, err := mirrorAll(ctx, from, to, MirrorOptions{Now: testTime(), Many: many})
			if !errors.Is(err, want) || want != nil && res.Aside.Files > 0 {
				t.Errorf("%d of %v are left, many %v: got %+v, %v, want %v", c.left, c.kind, many, res, err, want)
			}
			usable(t, to)
		}
	}
}
