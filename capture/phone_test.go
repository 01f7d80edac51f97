package capture

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"russet/internal/durable"
	"russet/ios"
	"russet/repo"
)

// answered is the moment at which the phone answered in this generation.
func (s *scripted) answered() time.Time {
	return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Add(time.Duration(s.from.d.Generation()) * time.Hour)
}

// session is a repository and the spool beside it.
type session struct {
	r     *repo.Repository
	spool string
}

func newSession(t *testing.T) *session {
	t.Helper()
	return &session{r: newRepo(t), spool: t.TempDir()}
}

func (s *scripted) options(spool string) PhoneOptions {
	s.t.Helper()
	info, err := os.ReadFile(filepath.Join(s.dir, ios.InfoName))
	if err != nil {
		s.t.Fatal(err)
	}
	encrypted := s.from.opt.Password != ""
	opt := PhoneOptions{Options: withPassword(simPassword), Spool: openRoot(s.t, spool), Info: info, WillEncrypt: &encrypted}
	opt.segment, opt.checkpoint = 1<<20, 64<<10
	return opt
}

func openFolder(t *testing.T, se *session, s *scripted) *Phone {
	t.Helper()
	p, err := OpenPhone(t.Context(), se.r, s.udid, s.options(se.spool))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// backUp makes a complete run.
func backUp(t *testing.T, se *session, s *scripted) *Result {
	t.Helper()
	return backUpAs(t, se, s, s.options(se.spool))
}

// backUpAs is backUp with other options.
func backUpAs(t *testing.T, se *session, s *scripted, opt PhoneOptions) *Result {
	t.Helper()
	p, err := OpenPhone(t.Context(), se.r, s.udid, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	res, err := p.Commit(t.Context(), s.answered())
	if err != nil {
		t.Fatal(err)
	}
	s.done()
	if left, err := os.ReadDir(se.spool); err != nil || len(left) != 1 || left[0].Name() != s.udid+".listing" {
		t.Errorf("the spool holds %v, %v; want a listing", left, err)
	}
	return res
}

// gives checks that a snapshot gives back the folder dir.
func gives(t *testing.T, r *repo.Repository, snap *repo.Snapshot, dir string) {
	t.Helper()
	compare(t, bareState(t, writtenOut(t, r, snap)), bareState(t, dir))
}

func checkRepo(t *testing.T, r *repo.Repository) {
	t.Helper()
	if res, err := r.Check(t.Context(), repo.CheckOptions{}); err != nil {
		t.Errorf("check: %v, %+v", err, res)
	}
}

func TestPhoneGenerations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		s, se := newScripted(t, encrypted), newSession(t)
		res := backUp(t, se, s)
		if !s.full || res.Summary.Missing != 0 || res.Summary.FilesSealed != 0 || res.Summary.FilesNew != s.sent {
			t.Errorf("first: full %t, %+v", s.full, res.Summary)
		}
		if !res.Snapshot.Time.Equal(s.answered()) || res.Snapshot.Parent != nil {
			t.Errorf("first: %+v", res.Snapshot)
		}
		gives(t, se.r, res.Snapshot, s.dir)
		v, err := Open(t.Context(), se.r, res.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		shards, err := filepath.Glob(filepath.Join(s.dir, "??"))
		if n := len(v.Metadata.EmptyFolders) + len(shards); err != nil || n != 256 || v.Metadata.Source != sourcePhone {
			t.Errorf("%d folders, %v, source %q; want 256 and %q", n, err, v.Metadata.Source, sourcePhone)
		}
		all := s.sent
		for range 4 {
			before := res
			s.next()
			res = backUp(t, se, s)
			if s.full || s.sent == 0 || s.sent > all/2 {
				t.Errorf("next: full %t, %d files sent", s.full, s.sent)
			}
			if got := res.Summary; got.WhyAll != "" || got.Missing != 0 || got.FilesRead != s.sent ||
				got.FilesUnmodified == 0 || got.FilesChanged == 0 || got.FilesNew == 0 {
				t.Errorf("next: %+v, sent %d", got, s.sent)
			}
			if p := res.Snapshot.Parent; p == nil || *p != before.Snapshot.ID() {
				t.Errorf("next: parent %v", p)
			}
			gives(t, se.r, res.Snapshot, s.dir)
		}
		checkRepo(t, se.r)
	})
}

// A phone that does not take the version that it is shown for its own sends
// everything, without a word: then it is said here.
func TestPhoneForgets(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	if res := backUp(t, se, s); res.Summary.WhyAll == "" {
		t.Error("no reason for a first backup")
	}
	s.next()
	s.prev = ""
	res := backUp(t, se, s)
	if want := "the phone did not take the last version for its own"; !s.full || res.Summary.WhyAll != want {
		t.Errorf("full %t, got reason %q, want %q", s.full, res.Summary.WhyAll, want)
	}
	gives(t, se.r, res.Snapshot, s.dir)
	s.next()
	if res = backUp(t, se, s); s.full || res.Summary.WhyAll != "" {
		t.Errorf("the next one: full %t, reason %q", s.full, res.Summary.WhyAll)
	}
}

// TestPhoneInUse: two runs never share what is kept of one phone.
func TestPhoneInUse(t *testing.T) {
	t.Parallel()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	p := openFolder(t, se, s)
	if _, err := OpenPhone(t.Context(), se.r, s.udid, s.options(se.spool)); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a second run: got %v, want %v", err, durable.ErrInUse)
	}
	if err := s.run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := Drain(t.Context(), se.r, s.udid, s.options(se.spool)); !errors.Is(err, durable.ErrInUse) {
		t.Errorf("a drain: got %v, want %v", err, durable.ErrInUse)
	}
	res, err := p.Commit(t.Context(), s.answered())
	if err != nil {
		t.Fatal(err)
	}
	gives(t, se.r, res.Snapshot, s.dir)
	if err := openFolder(t, se, s).Close(); err != nil {
		t.Errorf("after the run: %v", err)
	}
}
