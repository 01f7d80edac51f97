package backendtest_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

var errMine = errors.New("mine")

// packs are what work saves.
var packs = [...][]byte{[]byte("zero"), []byte("one"), []byte("two")}

// work does six operations: it saves three packs, lists them, loads the second and removes the last. It returns the first
// error, with the number of the operation.
func work(ctx context.Context, b backend.Backend) (step int, err error) {
	var files []backend.File
	for i, data := range packs {
		files = append(files, backendtest.Named(backend.Data, data))
		if err := b.Save(ctx, files[i], data); err != nil {
			return i + 1, err
		}
	}
	for _, err := range b.List(ctx, backend.Data) {
		if err != nil {
			return 4, err
		}
	}
	if _, err := b.Load(ctx, files[1], 1, make([]byte, 10)); err != nil {
		return 5, err
	}
	if err := b.Remove(ctx, files[2]); err != nil {
		return 6, err
	}
	return 0, nil
}

func contents(t *testing.T, b backend.Backend) (all []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		data, err := backendtest.Read(t.Context(), b, backend.File{Kind: backend.Data, Name: info.Name})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	slices.Sort(all)
	return all
}

func wantContents(t *testing.T, b backend.Backend, want ...string) {
	t.Helper()
	if got := contents(t, b); !slices.Equal(got, want) {
		t.Errorf("got %q stored, want %q", got, want)
	}
}

func TestFailAt(t *testing.T) {
	t.Parallel()
	n := 1
	for ; ; n++ {
		b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{FailAt: n})
		step, err := work(t.Context(), b)
		if !b.Fired() {
			if err != nil {
				t.Errorf("nothing fired: got %v", err)
			}
			break
		}
		if step != n || !errors.Is(err, backendtest.ErrInjected) {
			t.Errorf("fail at %d: got %d, %v", n, step, err)
		}
		if got := len(b.Ops()); got != n {
			t.Errorf("fail at %d: got %d operations logged, want %d", n, got, n)
		}
	}
	if n != 7 {
		t.Errorf("got no fault for n = %d, want 7, one more than there are operations", n)
	}
}

func TestFailedSave(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		m := backend.NewMemory()
		b := backendtest.NewFaulty(m, backendtest.Faults{FailAt: 2, Err: errMine, Late: late})
		if step, err := work(t.Context(), b); step != 2 || !errors.Is(err, errMine) {
			t.Errorf("got %d, %v, want 2, %v", step, err, errMine)
		}
		if late {
			wantContents(t, m, "one", "zero")
		} else {
			wantContents(t, m, "zero")
		}
	}
}

func TestFailCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ count, failures int }{{0, 1}, {1, 1}, {3, 3}, {-1, 9}} {
		b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{
			FailAt: 2, FailCount: c.count,
			Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
		})
		failures := 0
		for i := range 10 {
			for range b.List(t.Context(), backend.Key) {
				t.Fatal("a key")
			}
			data := []byte(strconv.Itoa(i))
			if err := b.Save(t.Context(), backendtest.Named(backend.Data, data), data); err != nil {
				failures++
			}
		}
		if failures != c.failures {
			t.Errorf("count %d: got %d failures, want %d", c.count, failures, c.failures)
		}
	}
}

func TestDieAt(t *testing.T) {
	t.Parallel()
	half := func(size int) int { return size / 2 }
	for _, c := range []struct {
		at     int
		tear   func(int) int
		step   int
		stored []string
	}{
		{1, nil, 1, nil},
		{2, nil, 2, []string{"zero"}},
		{3, half, 3, []string{"one", "t", "zero"}},
		{3, func(size int) int { return size + 9 }, 3, []string{"one", "two", "zero"}},
		{4, half, 6, []string{"one", "two", "zero"}},
		{5, half, 0, []string{"one", "zero"}},
	} {
		m := backend.NewMemory()
		b := backendtest.NewFaulty(m, backendtest.Faults{DieAt: c.at, Tear: c.tear})
		step, err := work(t.Context(), b)
		if step != c.step || (step > 0) != errors.Is(err, backendtest.ErrDead) || b.Fired() != (step > 0) {
			t.Errorf("die at write %d: got %d, %v, fired %v, want %d", c.at, step, err, b.Fired(), c.step)
		}
		if step > 0 {
			if step, err := work(t.Context(), b); step != 1 || !errors.Is(err, backendtest.ErrDead) {
				t.Errorf("after death: got %d, %v, want 1, %v", step, err, backendtest.ErrDead)
			}
			for _, err := range b.List(t.Context(), backend.Data) {
				if !errors.Is(err, backendtest.ErrDead) {
					t.Errorf("List after death: got %v, want %v", err, backendtest.ErrDead)
				}
			}
		}
		wantContents(t, m, c.stored...)
	}
}

// TestDieInList dies while a loop runs: it ends, with an error.
func TestDieInList(t *testing.T) {
	t.Parallel()
	m := backend.NewMemory()
	for _, data := range packs {
		if err := m.Save(t.Context(), backendtest.Named(backend.Data, data), data); err != nil {
			t.Fatal(err)
		}
	}
	b := backendtest.NewFaulty(m, backendtest.Faults{DieAt: 1})
	files, last := 0, error(nil)
	for info, err := range b.List(t.Context(), backend.Data) {
		if last = err; err == nil {
			files++
			_ = b.Remove(t.Context(), backend.File{Kind: backend.Data, Name: info.Name})
		}
	}
	if files != 1 || !errors.Is(last, backendtest.ErrDead) {
		t.Errorf("got %d files, then %v, want 1, then %v", files, last, backendtest.ErrDead)
	}
}

func TestRoom(t *testing.T) {
	t.Parallel()
	b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{Room: 8})
	step, err := work(t.Context(), b)
	if step != 3 || !errors.Is(err, syscall.ENOSPC) || !backend.IsFull(err) || !b.Fired() {
		t.Fatalf("got %d, %v, want 3, %v", step, err, syscall.ENOSPC)
	}
	if err := b.Remove(t.Context(), backendtest.Named(backend.Data, packs[1])); err != nil {
		t.Fatal(err)
	}
	f := backendtest.Named(backend.Data, packs[2])
	if err := b.Save(t.Context(), f, packs[2]); err != nil {
		t.Errorf("Save after a Remove made room: %v", err)
	}
	if err := b.Save(t.Context(), backendtest.Named(backend.Key, []byte("xx")), []byte("xx")); !backend.IsFull(err) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	m := backend.NewMemory()
	data := backendtest.Bytes(1000, 0)
	f, other := backendtest.Named(backend.Data, data), backendtest.Named(backend.Index, data)
	for _, f := range []backend.File{f, other} {
		if err := m.Save(t.Context(), f, data); err != nil {
			t.Fatal(err)
		}
	}
	b := backendtest.NewFaulty(m, backendtest.Faults{Corrupt: backendtest.FlipBit(f, 500, 7)})
	load := func(f backend.File, offset int64) []byte {
		t.Helper()
		dst := make([]byte, 400)
		if n, err := b.Load(t.Context(), f, offset, dst); n != 400 || err != nil {
			t.Fatalf("got %d, %v, want 400", n, err)
		}
		return dst
	}
	if !bytes.Equal(load(f, 0), data[:400]) || !bytes.Equal(load(f, 501), data[501:901]) ||
		!bytes.Equal(load(other, 300), data[300:700]) || b.Fired() {
		t.Error("a bit was flipped elsewhere")
	}
	want := bytes.Clone(data[300:700])
	want[200] ^= 0x80
	if !bytes.Equal(load(f, 300), want) || !b.Fired() {
		t.Error("the bit was not flipped")
	}

	b = backendtest.NewFaulty(m, backendtest.Faults{
		Corrupt: func(_ backend.File, _ int64, data []byte) []byte { return data[:len(data)-1] },
	})
	if n, err := b.Load(t.Context(), f, 0, make([]byte, 400)); n != 399 || err != nil || !b.Fired() {
		t.Errorf("a short read: got %d, %v, want 399", n, err)
	}
}

func TestBefore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		if op.Verb == backendtest.List {
			cancel()
		}
		return nil
	}})
	if step, err := work(ctx, b); step != 4 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d, %v, want 4, %v", step, err, context.Canceled)
	}
	b = backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{
		Before: func(context.Context, backendtest.Op) error { return errMine },
	})
	if step, err := work(t.Context(), b); step != 1 || !errors.Is(err, errMine) {
		t.Errorf("got %d, %v, want 1, %v", step, err, errMine)
	}
}

func TestOps(t *testing.T) {
	t.Parallel()
	b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{})
	if _, err := work(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return backendtest.Named(backend.Data, packs[i]).String() }
	want := []string{
		"save " + name(0) + " 4", "save " + name(1) + " 3", "save " + name(2) + " 3",
		"list data", "load " + name(1) + " 1+10", "remove " + name(2),
	}
	var got []string
	for _, op := range b.Ops() {
		got = append(got, op.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFaultsTogether counts faults under concurrency: as many as were asked for.
func TestFaultsTogether(t *testing.T) {
	t.Parallel()
	b := backendtest.NewFaulty(backend.NewMemory(), backendtest.Faults{FailAt: 20, FailCount: 30})
	var mu sync.Mutex
	failures := 0
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			for j := range 10 {
				data := []byte{byte(i), byte(j)}
				if err := b.Save(t.Context(), backendtest.Named(backend.Data, data), data); err != nil {
					mu.Lock()
					failures++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if failures != 30 || len(b.Ops()) != 100 {
		t.Errorf("got %d failures and %d operations, want 30 and 100", failures, len(b.Ops()))
	}
}

func TestDamageAndCopy(t *testing.T) {
	t.Parallel()
	m := backend.NewMemory()
	f := backendtest.Named(backend.Data, packs[0])
	for _, f := range []backend.File{f, {}} {
		if err := m.Save(t.Context(), f, packs[0]); err != nil {
			t.Fatal(err)
		}
	}
	c, err := backendtest.Copy(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := backendtest.Damage(t.Context(), m, f, func(data []byte) []byte { return data[1:] }); err != nil {
		t.Fatal(err)
	}
	wantContents(t, m, "ero")
	wantContents(t, c, "zero")
	if got, err := backendtest.Read(t.Context(), c, backend.File{}); err != nil || string(got) != "zero" {
		t.Errorf("config: got %q, %v, want zero", got, err)
	}
	absent := backendtest.Named(backend.Key, nil)
	err = backendtest.Damage(t.Context(), m, absent, func(data []byte) []byte { return data })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Damage of nothing: got %v, want %v", err, fs.ErrNotExist)
	}
}
