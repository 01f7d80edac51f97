package capture

import (
	"context"
	"errors"
	"io"
	"path"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/device/mb2"
	"russet/index"
	"russet/repo"
)

// ranPrepared makes a run up to where the phone has read back what it sent, and
// waits for what is prepared meanwhile.
func ranPrepared(t *testing.T, se *session, s *scripted) *Phone {
	t.Helper()
	p := openFolder(t, se, s)
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if p.prepared != nil {
		<-p.prepared.done
	}
	return p
}

// committed commits a run and checks that the snapshot gives the phone's folder back.
func committed(t *testing.T, se *session, s *scripted, p *Phone) *Result {
	t.Helper()
	res, err := p.Commit(t.Context(), s.answered())
	if err != nil {
		t.Fatal(err)
	}
	gives(t, reopen(t, se.r.Backend()), res.Snapshot, s.dir)
	return res
}

// TestPhonePrepares: of a plain backup all is stored before the phone has answered but the
// snapshot's own file, in each generation. An encrypted one waits.
func TestPhonePrepares(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		for range 3 {
			p := ranPrepared(t, se, s)
			if made := p.prepared != nil && p.prepared.made != nil; made == encrypted {
				t.Fatalf("prepared: %v", made)
			}
			received, before := p.w.Stats().Added, trees(se.r)
			res := committed(t, se, s, p)
			if n := res.Summary.BytesAdded; received == 0 && !encrypted || n <= received || trees(se.r) == before {
				t.Errorf("%d bytes were received, %d stored, trees among them: %v", received, n, trees(se.r) > before)
			}
			s.done()
			s.next()
		}
		checkRepo(t, reopen(t, se.r.Backend()))
	})
}

// trees counts the trees that a repository knows.
func trees(r *repo.Repository) (n int) {
	for b := range r.Index().Blobs() {
		if b.Type == index.Tree {
			n++
		}
	}
	return n
}

// TestPhoneGoesOn: what was prepared is given up when the phone changes anything after it said that
// its backup is complete, and the snapshot is of what it has changed.
func TestPhoneGoesOn(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	p := ranPrepared(t, se, s)
	ctx := t.Context()
	left, moved := path.Join(s.udid, "left"), path.Join(s.udid, "moved")
	for name, change := range map[string]func() error{
		"mkdir": func() error { return p.Mkdir(ctx, path.Join(s.udid, "new")) },
		"create": func() error {
			f, err := p.Create(ctx, left)
			if err == nil {
				_, err = io.WriteString(f, "more")
			}
			return errors.Join(err, f.Commit())
		},
		"copy": func() error {
			if err := p.Copy(ctx, path.Join(s.udid, "Info.plist"), moved); err != nil {
				return err
			}
			return p.Move(ctx, moved, left)
		},
		"move": func() error {
			return errors.Join(p.Copy(ctx, path.Join(s.udid, "Info.plist"), moved), p.Remove(ctx, moved))
		},
		"remove": func() error { return p.Remove(ctx, path.Join(s.udid, "none")) },
	} {
		if err := change(); err != nil && mb2.StatusOf(err) != mb2.StatusNotFound {
			t.Fatalf("%s: %v", name, err)
		}
		if p.prepared != nil {
			t.Errorf("%s: what was prepared is still there", name)
		}
		p.prepared = &preparation{cancel: func() {}, done: make(chan struct{})}
		close(p.prepared.done)
	}
	p.unprepare()
	if err := errors.Join(p.Remove(ctx, left), p.Remove(ctx, path.Join(s.udid, "new"))); err != nil {
		t.Fatal(err)
	}
	s.done()
	s.next()
	p.opt.Info = s.options(se.spool).Info
	if err := p.putInfo(); err != nil {
		t.Fatal(err)
	}
	if err := s.run(ctx, p); err != nil { // as if it had had its backup made again
		t.Fatal(err)
	}
	if <-p.prepared.done; p.prepared.made == nil {
		t.Error("the second time nothing is prepared")
	}
	committed(t, se, s, p)
	checkRepo(t, reopen(t, se.r.Backend()))
}

// TestPhonePreparesNoLargeOne: of a phone of very many files Commit does it all.
func TestPhonePreparesNoLargeOne(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	opt := s.options(se.spool)
	opt.prepare = 10
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if p.prepared != nil {
		t.Error("it is prepared all the same")
	}
	committed(t, se, s, p)
}

// TestPhonePreparesInVain: where nothing comes of it, Commit does it all.
func TestPhonePreparesInVain(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	p := ranPrepared(t, se, s)
	p.unprepare()
	whole := p.r
	for n := 1; n <= 3; n++ {
		p.r = reopen(t, backendtest.NewFaulty(whole.Backend(), backendtest.Faults{
			FailAt: n, FailCount: -1,
			Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Load && op.File.Kind == backend.Data },
		}))
		if p.makeBeside(t.Context()) != nil {
			if n == 1 {
				t.Error("it is made of what cannot be read")
			}
			break
		}
	}
	p.r = whole
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if p.makeBeside(cancelled) != nil {
		t.Error("it is made after it was cancelled")
	}
	p.prepared = &preparation{cancel: cancel, done: make(chan struct{})}
	if _, err := p.takePrepared(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits for it is not cancelled: %v", err)
	}
	close(p.prepared.done)
	committed(t, se, s, p)
	checkRepo(t, reopen(t, se.r.Backend()))
}

// TestPhonePreparesOnABadDrive: what cannot be read while the snapshot is prepared, Commit reads once
// more: a drive may fail for a while only.
func TestPhonePreparesOnABadDrive(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	var bad atomic.Bool
	var loads atomic.Int32
	faulty := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{Corrupt: func(f backend.File, _ int64, data []byte) []byte {
		if f.Kind == backend.Data && bad.Load() && loads.Add(1) > 2 { // of which the manifest needs some
			return flipped(data, len(data)/2)
		}
		return data
	}})
	se.r = reopen(t, faulty)
	p := ranPrepared(t, se, s)
	p.unprepare()
	for i := range p.slots.slots {
		p.slots.slots[i].sum = 0 // as of files of which no digest was expected, which are read again
	}
	whole := p.r
	p.r = reopen(t, faulty) // which has nothing in memory
	bad.Store(true)
	made := p.makeBeside(t.Context())
	bad.Store(false)
	if loads.Load() <= 2 {
		t.Fatalf("%d loads: nothing was read again", loads.Load())
	}
	if made != nil {
		t.Errorf("it is made without what cannot be read: %+v", made.c.sum)
		made.close()
	}
	p.r = whole
	res := committed(t, se, s, p)
	if res.Summary.Unreadable+res.Summary.Missing > 0 {
		t.Errorf("the drive is well again, and the snapshot lacks files: %+v", res.Summary)
	}
}
