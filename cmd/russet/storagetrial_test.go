package main

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"time"

	"russet/backend"
)

// bent is a memory in which some things go otherwise.
type bent struct {
	backend.Backend
	save   func(b backend.Backend, f backend.File, data []byte) error
	load   func(b backend.Backend, f backend.File, offset int64, dst []byte) (int, error)
	list   func(info backend.Info) (backend.Info, bool)
	remove func(b backend.Backend, f backend.File) error
}

func (b bent) Save(ctx context.Context, f backend.File, data []byte) error {
	if b.save != nil {
		return b.save(b.Backend, f, data)
	}
	return b.Backend.Save(ctx, f, data)
}

func (b bent) Load(ctx context.Context, f backend.File, offset int64, dst []byte) (int, error) {
	if b.load != nil {
		return b.load(b.Backend, f, offset, dst)
	}
	return b.Backend.Load(ctx, f, offset, dst)
}

func (b bent) List(ctx context.Context, k backend.Kind) iter.Seq2[backend.Info, error] {
	return func(yield func(backend.Info, error) bool) {
		for info, err := range b.Backend.List(ctx, k) {
			show := true
			if b.list != nil {
				info, show = b.list(info)
			}
			if show && !yield(info, err) {
				return
			}
		}
	}
}

func (b bent) Remove(ctx context.Context, f backend.File) error {
	if b.remove != nil {
		return b.remove(b.Backend, f)
	}
	return b.Backend.Remove(ctx, f)
}

// trialCase is a storage, and what a trial finds of it.
type trialCase struct {
	what string // that does not end well; "" for nothing
	want verdict
	left int
	be   bent
}

func trialCases(ctx context.Context) []trialCase {
	return []trialCase{}
}

// TestTrialFinds: each thing that a storage does wrong is found by its trial.
func TestTrialFinds(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, c := range trialCases(ctx) {
		c.be.Backend = backend.NewMemory()
		var bad []string
		found := verdictOK
		tr := &trial{be: c.be, show: func(r trialResult) error {
			if r.what == c.what {
				found = r.verdict
			}
			if r.verdict != verdictOK && r.what != string(backend.TellsSums) {
				bad = append(bad, r.what)
			}
			return nil
		}}
		if err := tr.run(ctx); err != nil {
			t.Fatal(err)
		}
		left, err := tr.remove(ctx)
		if err != nil || left != c.left && c.left > 0 {
			t.Errorf("%s: %d files are left, %v, want %d", c.what, left, err, c.left)
		}
		if c.what == "" && len(bad) > 0 || c.what != "" && found != c.want {
			t.Errorf("%q: got %s (%s), want %s", c.what, found, strings.Join(bad, ", "), c.want)
		}
	}
}
