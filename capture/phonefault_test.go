package capture

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/device/mb2"
	"russet/repo"
)

// isSave admits what writes to the backend.
func isSave(op backendtest.Op) bool { return op.Verb == backendtest.Save }

// TestPhoneFaults lets each write of a run fail in turn, before and after it
// had its effect. The next run in the same process and one in another give the
// phone's generation.
func TestPhoneFaults(t *testing.T) {
	t.Parallel()
	s, from := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, from, s)
	s.next()
	for n := 1; ; n++ {
		se := from.copied(t)
		faulty := backendtest.NewFaulty(se.r.Backend(), backendtest.Faults{FailAt: n, Late: n%2 == 0, Only: isSave})
		se.r = reopen(t, faulty)
		p := openFolder(t, se, s)
		err := s.run(t.Context(), p)
		if err == nil {
			_, err = p.Commit(t.Context(), s.answered())
		}
		if !faulty.Fired() {
			if err != nil || n < 5 {
				t.Errorf("fault %d did not happen: %v", n, err)
			}
			return
		}
		if !errors.Is(err, backendtest.ErrInjected) {
			t.Fatalf("fault %d: got %v", n, err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("fault %d: close: %v", n, err)
		}
		if n%4 < 2 {
			se.r = reopen(t, faulty)
		}
		res, err := Drain(t.Context(), se.r, s.udid, s.options(se.spool))
		if err != nil {
			t.Fatalf("fault %d: drain: %v", n, err)
		}
		if res == nil {
			again := *s
			p := openFolder(t, se, &again)
			if err := again.run(t.Context(), p); err != nil {
				t.Fatalf("fault %d: the next run: %v", n, err)
			}
			if again.full {
				t.Errorf("fault %d: the next run is full", n)
			}
			if res, err = p.Commit(t.Context(), s.answered()); err != nil {
				t.Fatalf("fault %d: the next run: %v", n, err)
			}
		}
		fresh := reopen(t, se.r.Backend())
		holds(t, fresh, res.Snapshot, s.dir)
		checkRepo(t, fresh)
	}
}

// TestPhoneFull fills the place up: the phone is told so, and goes on when
// there is room.
func TestPhoneFull(t *testing.T) {
	t.Parallel()
	s, se := newScripted(t, false), newSession(t)
	store := se.r.Backend()
	faulty := backendtest.NewFaulty(store, backendtest.Faults{Room: 1 << 20})
	se.r = reopen(t, faulty)
	p := openFolder(t, se, s)
	err := s.run(t.Context(), p)
	if mb2.StatusOf(err) != mb2.StatusNoSpace {
		t.Errorf("got %v, status %d", err, mb2.StatusOf(err))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	se.r = reopen(t, store)
	res := backUp(t, se, s)
	gives(t, se.r, res.Snapshot, s.dir)
	checkRepo(t, reopen(t, store))
}

// TestPhoneGivesUp: a run that cannot be continued is given up with its reason,
// and the last version is what the phone sees.
func TestPhoneGivesUp(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, se *session, dir string, last *repo.Snapshot){
		"journal is damaged": func(t *testing.T, _ *session, dir string, _ *repo.Snapshot) {
			change(t, filepath.Join(dir, journalName), func(b []byte) []byte { return flipped(b, 60) })
		},
		"another repository": func(t *testing.T, se *session, dir string, _ *repo.Snapshot) {
			j := &journal{frameSeal: frameSeal{key: se.r.Key()}, root: openRoot(t, dir)}
			if err := j.root.Remove(journalName); err != nil {
				t.Fatal(err)
			}
			op := operation{verb: verbBegin, begin: beginning{udid: filepath.Base(dir)}}
			if err := errors.Join(j.append(op.append(nil)), j.close()); err != nil {
				t.Fatal(err)
			}
		},
		"not in the repository any more": func(t *testing.T, se *session, _ string, last *repo.Snapshot) {
			if err := se.r.RemoveSnapshot(t.Context(), last.ID()); err != nil {
				t.Fatal(err)
			}
		},
		"spooled files are missing": func(t *testing.T, _ *session, dir string, _ *repo.Snapshot) {
			if err := os.Remove(filepath.Join(dir, segmentName(1))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, se := newScriptedOf(t, small(), true), newSession(t)
			first := backUp(t, se, s)
			s.next()
			c := &cutter{f: openFolder(t, se, s), n: 40}
			if err := s.run(t.Context(), c); !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			if err := c.f.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t, se, filepath.Join(se.spool, s.udid), first.Snapshot)
			p := openFolder(t, se, s)
			if resumed, why := p.Resumed(); resumed || !strings.Contains(why, name) {
				t.Errorf("resumed %t, %q", resumed, why)
			}
			if err := s.run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			res, err := p.Commit(t.Context(), s.answered())
			if err != nil {
				t.Fatal(err)
			}
			gives(t, se.r, res.Snapshot, s.dir)
		})
	}
}

func change(t *testing.T, name string, by func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, by(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPhoneSpoolDamaged: a bad sector in the spool costs the file that lies
// there, and the version says so.
func TestPhoneSpoolDamaged(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	p := openFolder(t, se, s)
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(se.spool, s.udid, segmentName(1)), func(b []byte) []byte { return flipped(b, 100) })
	res, err := p.Commit(t.Context(), s.answered())
	if err != nil {
		t.Fatal(err)
	}
	if res.Summary.Missing != 0 || res.Summary.Unreadable != 1 {
		t.Errorf("%+v", res.Summary)
	}
	showsSame(t, se, s)
	v, err := Open(t.Context(), se.r, res.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if _, err := v.RestoreFolder(t.Context(), openRoot(t, target), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	got, want := bareState(t, filepath.Join(target, s.udid)), bareState(t, s.dir)
	for _, id := range v.Metadata.Missing {
		delete(want, storedPath(id, false))
	}
	compare(t, got, want)
}

// TestPhoneFile: what was not sent to its end is not there, and what was sent
// twice is what came last.
func TestPhoneFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		ctx := t.Context()
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		p := openFolder(t, se, s)
		defer p.Close()
		name := s.at(someID)
		long := bytes.Repeat([]byte("a long file "), 200_000)
		for _, data := range [][]byte{long, []byte("short"), nil, long[:wholeFile+1]} {
			if err := write(ctx, p, name, []byte("before")); err != nil {
				t.Fatal(err)
			}
			f, err := p.Create(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(data); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Create(ctx, s.at("other")); err == nil {
				t.Error("two files are received at once")
			}
			f.Abort()
			if got, err := read(ctx, p, name); string(got) != "before" || err != nil {
				t.Errorf("aborted: got %d bytes, %v", len(got), err)
			}
			if err := write(ctx, p, name, data); err != nil {
				t.Fatal(err)
			}
			if got, err := read(ctx, p, name); !bytes.Equal(got, data) || err != nil {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(data))
			}
			list, err := p.List(ctx, s.udid)
			if err != nil || len(list) != 2 || list[0].Size+list[1].Size != int64(len(data)+len(s.options(se.spool).Info)) {
				t.Errorf("listed %v, %v", list, err)
			}
		}
	})
}

// TestPhoneRestic lets restic judge what two runs leave.
func TestPhoneRestic(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	each(t, func(t *testing.T, encrypted bool) {
		dir := filepath.Join(t.TempDir(), "repo")
		be, err := backend.Create(t.Context(), dir, backend.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := repo.Init(t.Context(), be, "x", cheapInit())
		if err != nil {
			t.Fatal(err)
		}
		s, se := newScriptedOf(t, small(), encrypted), &session{r, filepath.Join(dir, "spool")}
		backUpBeside(t, se, s)
		s.next()
		backUpBeside(t, se, s)
		cmd := exec.CommandContext(t.Context(), "restic", "-r", dir, "--no-cache", "check", "--read-data")
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=x")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "no errors were found") {
			t.Errorf("restic: %v\n%s", err, out)
		}
	})
}

// backUpBeside is backUp with a spool folder that holds other things.
func backUpBeside(t *testing.T, se *session, s *scripted) {
	t.Helper()
	p := openFolder(t, se, s)
	if free, err := p.Free(t.Context()); err != nil || free <= 0 || free >= plenty {
		t.Errorf("free: %d, %v", free, err)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(t.Context(), s.answered()); err != nil {
		t.Fatal(err)
	}
	s.done()
	if _, err := os.Lstat(filepath.Join(se.spool, s.udid)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool is left: %v", err)
	}
}
