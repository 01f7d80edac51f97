package main

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"syscall"
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
	return []trialCase{
		{},
		{what: "a file is saved and read back", want: verdictFailed, be: bent{load: func(b backend.Backend, f backend.File, offset int64, dst []byte) (int, error) {
			n, err := b.Load(ctx, f, offset, dst)
			if n > 1000 {
				dst[1000] ^= 1
			}
			return n, err
		}}},
		{what: "a part of a file is read", want: verdictFailed, be: bent{load: func(b backend.Backend, f backend.File, _ int64, dst []byte) (int, error) {
			return b.Load(ctx, f, 0, dst)
		}}},
		{what: "a list shows at once what was saved", want: verdictFailed, be: bent{list: func(info backend.Info) (backend.Info, bool) { return info, false }}},
		{what: "a list shows at once what was saved", want: verdictFailed, be: bent{list: func(info backend.Info) (backend.Info, bool) {
			info.Size++
			return info, true
		}}},
		{what: "a file that is not there is told as absent", want: verdictFailed, be: bent{load: func(b backend.Backend, f backend.File, offset int64, dst []byte) (int, error) {
			n, err := b.Load(ctx, f, offset, dst)
			if err != nil && f.Kind == backend.Data {
				err = nil
			}
			return n, err
		}}},
		{what: "the same file may be saved again", want: verdictFailed, be: bent{save: func(b backend.Backend, f backend.File, data []byte) error {
			if n, err := b.Load(ctx, f, 0, make([]byte, 1)); n > 0 && err == nil {
				return fs.ErrExist
			}
			return b.Save(ctx, f, data)
		}}},
		{what: "the config is never replaced", want: verdictFailed, be: bent{save: func(b backend.Backend, f backend.File, data []byte) error {
			if f.Kind == backend.Config {
				_ = b.Remove(ctx, f)
			}
			return b.Save(ctx, f, data)
		}}},
		{what: "names as a repository has them", want: verdictFailed, be: bent{save: func(b backend.Backend, f backend.File, data []byte) error {
			if f.Kind == backend.Key {
				return fmt.Errorf("save %s: the server does not do it", f)
			}
			return b.Save(ctx, f, data)
		}}},
		{what: "a pack of 16 MiB", want: verdictFailed, be: bent{save: func(b backend.Backend, f backend.File, data []byte) error {
			if len(data) > 8<<20 {
				return fmt.Errorf("save %s: it is too large", f)
			}
			return b.Save(ctx, f, data)
		}}},
		{what: "files can be removed", want: verdictFailed, be: bent{remove: func(backend.Backend, backend.File) error { return nil }}},
		{what: "files can be removed", want: verdictMissing, left: 29, be: bent{remove: func(backend.Backend, backend.File) error { return fs.ErrPermission }}},
		{what: "the storage's clock agrees with this computer's", want: verdictMissing, be: bent{list: func(info backend.Info) (backend.Info, bool) {
			info.ModTime = time.Now().Add(-time.Hour)
			return info, true
		}}},
	}
}

// TestTrialFull: a storage without space ends the trials, and is not called unfit.
func TestTrialFull(t *testing.T) {
	t.Parallel()
	var shown []string
	tr := &trial{show: func(r trialResult) error {
		shown = append(shown, r.what)
		return nil
	}, be: bent{Backend: backend.NewMemory(), save: func(backend.Backend, backend.File, []byte) error { return syscall.ENOSPC }}}
	if err := tr.run(t.Context()); !backend.IsFull(err) || len(shown) != 1 {
		t.Errorf("got %v after %q, want %v after one trial", err, shown, syscall.ENOSPC)
	}
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
