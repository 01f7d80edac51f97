package capture

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/ios"
)

// partlyDrained is an answered run whose drain, in batches of so many bytes, was
// killed at its n-th save. before, if not nil, may change the spool first.
func partlyDrained(t *testing.T, s *scripted, se *session, batch int64, n int, before func(*Phone)) PhoneOptions {
	t.Helper()
	opt := s.options(se.spool)
	opt.segment, opt.drain = 256<<10, batch
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if before != nil {
		if err := p.checkpoint(); err != nil {
			t.Fatal(err)
		}
		before(p)
	}
	failing := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{FailAt: n, FailCount: -1, Only: isSave})
	p.r, p.w = redirect(t, p, failing)
	if _, err := p.Commit(t.Context(), s.answered()); !errors.Is(err, backendtest.ErrInjected) {
		t.Fatal(err)
	}
	se.r = reopen(t, se.r.Backend())
	return opt
}

// TestPhoneDrainWantsItsPassword: what a drain has opened cannot be sealed
// again by one that does not know the password, whatever it is built upon.
func TestPhoneDrainWantsItsPassword(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*scripted, *session){
		"first backup": func(*scripted, *session) {},
		"other keys": func(s *scripted, se *session) {
			backUp(t, se, s)
			s.from.opt.Full = true
			s.next()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := 0
			for n := 3; n < 12; n += 2 {
				s, se := newScripted(t, true), newSession(t)
				begin(s, se)
				opt := partlyDrained(t, s, se, 32<<10, n, nil)
				without := opt
				without.Password = nil
				res, err := Drain(t.Context(), se.r, s.udid, without)
				if errors.Is(err, ErrNeedsPassword) {
					refused++
					res, err = Drain(t.Context(), se.r, s.udid, opt)
				}
				if err != nil {
					t.Fatal(err)
				}
				gives(t, se.r, res.Snapshot, s.dir)
			}
			if refused == 0 {
				t.Error("no drain had opened anything")
			}
		})
	}
}

// TestPhoneDrainOfAFailingDrive: a version that cannot be read just now is not
// gone, and what is built upon it is kept, whenever the drive fails for a while.
func TestPhoneDrainOfAFailingDrive(t *testing.T) {
	t.Parallel()
	s, from := newScriptedOf(t, small(), false), newSession(t)
	backUp(t, from, s)
	s.next()
	opt := partlyDrained(t, s, from, 32<<10, 1, nil)
	for _, kind := range []backend.Kind{backend.Data, backend.Snapshot} {
		for n := 1; ; n += 9 {
			se := from.copied(t)
			opt.Spool = openRoot(t, se.spool)
			failing := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{
				FailAt: n, FailCount: 2, // a blob is tried twice
				Only: func(op backendtest.Op) bool { return op.Verb == backendtest.Load && op.File.Kind == kind },
			})
			res, err := Drain(t.Context(), reopen(t, failing), s.udid, opt)
			if !failing.Fired() {
				break
			}
			if errors.Is(err, backendtest.ErrInjected) {
				res, err = Drain(t.Context(), se.r, s.udid, opt)
			}
			if err != nil || res == nil {
				t.Fatalf("%v %d: got %v, %v", kind, n, res, err)
			}
			gives(t, reopen(t, se.r.Backend()), res.Snapshot, s.dir)
		}
	}
}

// TestPhoneSpoolBeyondHelp: an answered run whose manifest is damaged in the
// spool is given up, and the phone begins anew.
func TestPhoneSpoolBeyondHelp(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	p := openFolder(t, se, s)
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := p.checkpoint(); err != nil {
		t.Fatal(err)
	}
	f := p.topFiles()[ios.DatabaseName]
	change(t, filepath.Join(se.spool, s.udid, segmentName(uint32(f.ref>>32))), func(b []byte) []byte {
		return flipped(b, int(f.ref&0xffffffff)+200)
	})
	if _, err := p.Commit(t.Context(), s.answered()); !errors.Is(err, errSpool) {
		t.Errorf("commit: got %v, want %v", err, errSpool)
	}
	se.r = reopen(t, se.r.Backend())
	if res, err := Drain(t.Context(), se.r, s.udid, s.options(se.spool)); res != nil || err != nil {
		t.Errorf("drain: got %v, %v, want nothing to do", res, err)
	}
	gives(t, se.r, backUp(t, se, s).Snapshot, s.dir)
}

// TestPhoneSpoolDamagedAndKilled: one file that the spool does not give back
// costs that file alone, also when the drain is killed behind it.
func TestPhoneSpoolDamagedAndKilled(t *testing.T) {
	t.Parallel()
	for n := 8; n < 14; n++ {
		s, se := newScripted(t, true), newSession(t)
		opt := partlyDrained(t, s, se, 512<<10, n, func(*Phone) {
			change(t, filepath.Join(se.spool, s.udid, segmentName(1)), func(b []byte) []byte { return flipped(b, 100) })
		})
		res, err := Drain(t.Context(), se.r, s.udid, opt)
		if err != nil {
			t.Fatalf("killed at save %d: %v", n, err)
		}
		if lost := res.Summary.Missing + res.Summary.Unreadable; lost != 1 {
			t.Errorf("killed at save %d: %d files are lost, want 1: %+v", n, lost, res.Summary)
		}
	}
}

// TestPhoneDroppedRun: of a run that is given up nothing is left, not even its
// reasons.
func TestPhoneDroppedRun(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, se, s)
	s.next()
	opt := s.options(se.spool)
	opt.Full = true
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), &cutter{f: p, n: 40}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(se.spool, s.udid, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	p = openFolder(t, se, s)
	defer p.Close()
	if _, dropped := p.Resumed(); dropped == "" || p.Why() != "" {
		t.Errorf("dropped because %q, full because %q; want a reason and none", dropped, p.Why())
	}
}

// TestPhoneWithoutInfo: a run that the host gives nothing begins, and ends at
// any time.
func TestPhoneWithoutInfo(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	opt := s.options(se.spool)
	opt.Info = nil
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Mkdir(t.Context(), s.udid); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPhoneKeepsIDs: the key of a file that lies decrypted goes by its id, so
// that it keeps it wherever it is moved.
func TestPhoneKeepsIDs(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, se, s)
	p := openFolder(t, se, s)
	defer p.Close()
	var id string
	var want []byte
	for _, id = range s.files(s.dir) {
		var err error
		if want, err = os.ReadFile(filepath.Join(s.dir, storedPath(id, false))); err != nil {
			t.Fatal(err)
		}
		if len(want) > 0 {
			break
		}
	}
	from, other := s.at(storedPath(id, false)), s.at("f"+someID[1:])
	if err := p.Move(t.Context(), from, other); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("move to another id: got %v, want %v", err, fs.ErrInvalid)
	}
	if err := p.Copy(t.Context(), from, other); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("copy to another id: got %v, want %v", err, fs.ErrInvalid)
	}
	if got, err := read(t.Context(), p, from); err != nil || string(got) != string(want) {
		t.Errorf("afterwards: %d bytes, %v, want %d", len(got), err, len(want))
	}
}
