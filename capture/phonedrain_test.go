package capture

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/device/sim"
	"russet/index"
	"russet/ios"
	"russet/repo"
)

// TestPhoneDrain lets each write fail after the phone has answered. Without the
// phone the run is finished by a later process, and what was drained is not
// read again.
func TestPhoneDrain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		backUp(t, se, s)
		s.next()
		for n := 1; ; n++ {
			next := se.copied(t)
			faulty := backendtest.NewFaulty(next.r.Backend(), backendtest.Faults{})
			next.r = reopen(t, faulty)
			p := openFolder(t, next, s)
			if err := s.run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			failing := backendtest.NewFaulty(next.r.Backend(), backendtest.Faults{
				FailAt: n, FailCount: -1, Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Save },
			})
			p.r, p.w = redirect(t, p, failing)
			res, err := p.Commit(t.Context(), s.answered())
			if !failing.Fired() {
				if err != nil {
					t.Fatal(err)
				}
				if n < 3 {
					t.Errorf("only %d writes", n-1)
				}
				return
			}
			if !errors.Is(err, backendtest.ErrInjected) {
				t.Fatalf("fault %d: got %v, %v", n, res, err)
			}
			next.r = reopen(t, next.r.Backend())
			res, err = Drain(t.Context(), next.r, s.udid, s.options(next.spool))
			if err != nil || res == nil {
				t.Fatalf("fault %d: drain: %v, %v", n, res, err)
			}
			if !res.Snapshot.Time.Equal(s.answered()) || res.Summary.Missing != 0 || res.Summary.FilesUnmodified == 0 {
				t.Errorf("fault %d: %v, %+v", n, res.Snapshot.Time, res.Summary)
			}
			fresh := reopen(t, next.r.Backend())
			holds(t, fresh, res.Snapshot, s.dir)
			checkRepo(t, fresh)
			if res, err := Drain(t.Context(), next.r, s.udid, s.options(next.spool)); res != nil || err != nil {
				t.Errorf("fault %d: drained twice: %v, %v", n, res, err)
			}
		}
	})
}

// redirect lets a run go on in a repository whose files lie elsewhere.
func redirect(t *testing.T, p *Phone, be backend.Backend) (*repo.Repository, *repo.Writer) {
	t.Helper()
	p.unprepare() // what Commit stores goes there, too
	if err := p.in.settle(); err != nil {
		t.Fatal(err)
	}
	r := reopen(t, be)
	w := r.NewWriter(t.Context())
	p.in.stop()
	if err := p.w.Close(); err != nil {
		t.Fatal(err)
	}
	p.in = newIntake(w, r.Cutter(), p.slots)
	return r, w
}

// TestPhoneDrainSegments drains several segments and stops in the middle: those
// that were drained are gone, and the rest is enough.
func TestPhoneDrainSegments(t *testing.T) {
	t.Parallel()
	s, se := newScripted(t, true), newSession(t)
	opt := s.options(se.spool)
	opt.segment, opt.drain = 256<<10, 512<<10
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		names, err := filepath.Glob(filepath.Join(se.spool, s.udid, segmentPrefix+"*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	before := count()
	if before < 10 {
		t.Fatalf("%d segments", before)
	}
	saves := 0
	failing := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{
		FailAt: 12, FailCount: -1, Only: func(op backendtest.Op) bool {
			if op.Verb == backendtest.Save {
				saves++
			}
			return op.Verb == backendtest.Save
		},
	})
	p.r, p.w = redirect(t, p, failing)
	if _, err := p.Commit(t.Context(), s.answered()); !errors.Is(err, backendtest.ErrInjected) {
		t.Fatalf("got %v after %d saves", err, saves)
	}
	if left := count(); left == 0 || left > before-3 {
		t.Errorf("%d of %d segments are left", left, before)
	}
	se.r = reopen(t, se.r.Backend())
	res, err := Drain(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	gives(t, se.r, res.Snapshot, s.dir)
	checkRepo(t, reopen(t, se.r.Backend()))
	if left := count(); left != 0 {
		t.Errorf("%d segments are left", left)
	}
}

// TestPhoneSpoolIsSealed looks for what the phone sent in the spool: neither
// private text nor the ciphertext as it came may lie there.
func TestPhoneSpoolIsSealed(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		s, se := newScripted(t, encrypted), newSession(t)
		opt := s.options(se.spool)
		spooled := true // a phone may be wrong about what it will do
		opt.WillEncrypt = &spooled
		p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		stored, f := s.from.stored(func(f *sim.File) bool { return f.Length() > 5000 })
		sent, err := os.ReadFile(stored)
		if err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(se.spool, s.udid, "*"))
		if err != nil || len(names) < 3 {
			t.Fatalf("%q, %v", names, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, sent[1000:1100]) || bytes.Contains(data, []byte(sim.Secret)) ||
				bytes.Contains(data, []byte(f.RelativePath)) || bytes.Contains(data, []byte("SQLite")) {
				t.Errorf("%s holds what it must not", filepath.Base(name))
			}
		}
		res, err := p.Commit(t.Context(), s.answered())
		if err != nil {
			t.Fatal(err)
		}
		gives(t, se.r, res.Snapshot, s.dir)
	}
}

// TestPhoneUnknownEncryption: nobody said that the first backup is encrypted.
func TestPhoneUnknownEncryption(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	opt := s.options(se.spool)
	opt.WillEncrypt = nil
	res := backUpAs(t, se, s, opt)
	if res.Summary.FilesSealed != 0 {
		t.Errorf("%+v", res.Summary)
	}
	gives(t, se.r, res.Snapshot, s.dir)
	s.next()
	opt = s.options(se.spool)
	opt.WillEncrypt = nil // now the last version tells
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !p.begun.spooled {
		t.Error("the last version is encrypted, but this one is not spooled")
	}
	if err := s.run(t.Context(), p); err != nil || s.full {
		t.Fatalf("full %t, %v", s.full, err)
	}
	if res, err = p.Commit(t.Context(), s.answered()); err != nil {
		t.Fatal(err)
	}
	gives(t, se.r, res.Snapshot, s.dir)
}

// TestPhoneSealed: without the password all is kept as received, the chain goes
// on, and the password opens it later.
func TestPhoneSealed(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	run := func(password bool) *Result {
		t.Helper()
		opt := s.options(se.spool)
		if !password {
			opt.Password = nil
		}
		res := backUpAs(t, se, s, opt)
		gives(t, se.r, res.Snapshot, s.dir)
		return res
	}
	if res := run(false); !res.Snapshot.HasTag(TagSealed) || res.Summary.FilesSealed != s.sent {
		t.Errorf("tags %q, %+v", res.Snapshot.Tags, res.Summary)
	}
	s.next()
	if res := run(false); s.full || !res.Snapshot.HasTag(TagSealed) || res.Summary.FilesUnmodified == 0 {
		t.Errorf("full %t, tags %q, %+v", s.full, res.Snapshot.Tags, res.Summary)
	}
	s.next()
	res := run(true)
	if s.full || res.Snapshot.HasTag(TagSealed) || res.Summary.FilesSealed != 0 {
		t.Errorf("with the password: full %t, tags %q, %+v", s.full, res.Snapshot.Tags, res.Summary)
	}
	checkRepo(t, reopen(t, se.r.Backend()))
}

// TestPhoneListsWhatIsThere takes blobs of the last version away: the files
// that need them are not listed, so that the phone sends everything again.
func TestPhoneListsWhatIsThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		res := backUp(t, se, s)
		v, err := Open(t.Context(), se.r, res.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		files, err := v.folderFiles(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var lost stored
		for _, f := range files {
			if len(f.content) > 0 && f.link == "" {
				lost = f
			}
		}
		s.next()
		next := se.copied(t)
		gone := index.Handle{ID: lost.content[0], Type: index.Data}
		hide(t, next, gone)
		p := openFolder(t, next, s)
		if p.Why() == "" {
			t.Error("nothing says why")
		}
		if _, err := p.Open(t.Context(), s.at(lost.path)); err == nil {
			t.Error("a file whose blob is lost was opened")
		}
		if err := s.run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if !s.full {
			t.Error("the phone did not send everything: the lost file was listed")
		}
		if res, err = p.Commit(t.Context(), s.answered()); err != nil {
			t.Fatal(err)
		}
		if res.Summary.Missing != 0 || res.Summary.WhyAll == "" {
			t.Errorf("%+v", res.Summary)
		}
		gives(t, reopen(t, next.r.Backend()), res.Snapshot, s.dir)
	})
}

// TestPhoneManifestLost: without its manifest nothing of a version is shown.
func TestPhoneManifestLost(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	res := backUp(t, se, s)
	v, err := Open(t.Context(), se.r, res.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	hide(t, se, index.Handle{ID: v.Metadata.top(ios.DatabaseName).Content[0], Type: index.Data})
	p := openFolder(t, se, s)
	defer p.Close()
	list, err := p.List(t.Context(), s.udid)
	if err != nil || len(list) != 1 || list[0].Name != ios.InfoName || p.Why() == "" {
		t.Errorf("got %v, %v, %q; want nothing but Info.plist, and why", list, err, p.Why())
	}
}
