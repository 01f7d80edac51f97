package repo

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// countdown is a context that ends after it was asked so often.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// cutMirror is a mirror in a real folder, of which a month later some files are
// to be set aside, and others to be dropped.
type cutMirror struct {
	full  string // the folder, which is copied
	had   map[backend.File]string
	aside int // files in the quarantine
	last  backend.Backend
	opt   MirrorOptions
}

func newCutMirror(t *testing.T) *cutMirror {
	t.Helper()
	ctx := t.Context()
	before, after := twoGenerations(t)
	m := &cutMirror{full: filepath.Join(t.TempDir(), "full"), last: lastGeneration(t, after), opt: MirrorOptions{Now: testTime().AddDate(0, 0, 40)}}
	l, err := backend.CreateLocal(ctx, m.full)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := InitMirror(ctx, before, l, testTime()); err != nil {
		t.Fatal(err)
	}
	for day, source := range []backend.Backend{before, after} {
		res, err := mirrorAll(ctx, source, l, MirrorOptions{Now: testTime().AddDate(0, 0, day)})
		if err != nil {
			t.Fatal(err)
		}
		m.aside += res.Aside.Files
	}
	m.had = filesOf(t, l)
	return m
}

// cutAt tells how many steps of n were left, and how many files the next run had
// still to drop.
func (m *cutMirror) cutAt(t *testing.T, n int) (left, dropped int) {
	t.Helper()
	ctx := t.Context()
	folder := filepath.Join(t.TempDir(), "mirror")
	if err := os.CopyFS(folder, os.DirFS(m.full)); err != nil {
		t.Fatal(err)
	}
	cut := &countdown{Context: context.WithoutCancel(ctx)}
	cut.left.Store(int64(n))
	l, err := backend.OpenLocal(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, cutOff := mirrorAll(cut, m.last, l, m.opt)
	usable(t, l)
	for f, data := range m.had {
		if got, err := backendtest.Read(ctx, l, f); err == nil && string(got) == data {
			continue
		}
		kept, err := filepath.Glob(filepath.Join(folder, "quarantine", "*", f.Kind.String(), f.Name))
		if err != nil || len(kept) != 1 {
			t.Fatalf("step %d: %v is neither there nor set aside: %v", n, f, err)
		}
	}
	res, err := mirrorAll(ctx, m.last, l, m.opt)
	if err != nil || cutOff == nil && res.Dropped > 0 {
		t.Fatalf("step %d: again: %+v, %v", n, res, err)
	}
	mirrored(t, m.last, l)
	return int(cut.left.Load()), res.Dropped
}

// TestMirrorInFolderIsCutOff ends the run that sets files aside in a real folder,
// and removes others that were set aside long ago, at each of its steps: the
// mirror is whole, and what it had is there or in its quarantine.
func TestMirrorInFolderIsCutOff(t *testing.T) {
	t.Parallel()
	m := newCutMirror(t)
	const many = 1 << 20
	left, _ := m.cutAt(t, many)
	steps := many - left
	stride, least := 5, steps-45 // the last ones are those that set aside and drop
	if *everyPoint {
		stride, least = 1, 1
	}
	partly := false
	for n := steps - 1 - rand.IntN(stride); n >= least; n -= stride {
		_, dropped := m.cutAt(t, n)
		partly = partly || dropped > 0 && dropped < m.aside
	}
	if !partly {
		t.Errorf("none of %d steps left a part of the %d files that were to be dropped", steps, m.aside)
	}
}
