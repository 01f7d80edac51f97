package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/device/mb2"
	"russet/index"
	"russet/ios"
	"russet/repo"
)

var errCut = errors.New("the cable was pulled")

// cutter is a folder whose n-th call fails, and every one after it.
type cutter struct {
	f     *Phone
	n     int // 0: none
	calls int
	hit   func() // is called once, at the cut
}

func (c *cutter) next() error {
	c.calls++
	if c.n == 0 || c.calls < c.n {
		return nil
	}
	if c.calls == c.n && c.hit != nil {
		c.hit()
	}
	return errCut
}

func (c *cutter) Mkdir(ctx context.Context, name string) error {
	if strings.HasSuffix(name, "/00") { // all the others are like it
		if err := c.next(); err != nil {
			return err
		}
	}
	return c.f.Mkdir(ctx, name)
}

func (c *cutter) List(ctx context.Context, name string) ([]mb2.Entry, error) {
	return c.f.List(ctx, name)
}

func (c *cutter) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return c.f.Open(ctx, name)
}

func (c *cutter) Create(ctx context.Context, name string) (mb2.File, error) {
	if err := c.next(); err != nil {
		return nil, err
	}
	f, err := c.f.Create(ctx, name)
	return &cutFile{f, c}, err
}

func (c *cutter) Move(ctx context.Context, from, to string) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.f.Move(ctx, from, to)
}

func (c *cutter) Remove(ctx context.Context, name string) error {
	if err := c.next(); err != nil {
		return err
	}
	return c.f.Remove(ctx, name)
}

func (c *cutter) Copy(ctx context.Context, from, to string) error { return c.f.Copy(ctx, from, to) }

func (c *cutter) Free(ctx context.Context) (int64, error) { return c.f.Free(ctx) }

type cutFile struct {
	mb2.File
	c *cutter
}

func (f *cutFile) Write(b []byte) (int, error) {
	if err := f.c.next(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *cutFile) Commit() error {
	if err := f.c.next(); err != nil {
		f.Abort()
		return err
	}
	return f.File.Commit()
}

// reopen opens the repository as another process would.
func reopen(t *testing.T, be backend.Backend) *repo.Repository {
	t.Helper()
	r, err := repo.Open(t.Context(), be, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// copied is a session as a process that dies now leaves it.
func (se *session) copied(t *testing.T) *session {
	t.Helper()
	// The journal first, since a checkpoint may go on: what it names is in the repository
	// already.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(se.spool)); err != nil {
		t.Fatal(err)
	}
	be, err := backendtest.Copy(t.Context(), se.r.Backend())
	if err != nil {
		t.Fatal(err)
	}
	return &session{reopen(t, be), dir}
}

// TestPhoneCut cuts a run at each of its calls, by the cable and by a kill. The
// last version stays; the next run is incremental where the first one was, and
// gives the phone's generation.
func TestPhoneCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		for _, full := range []bool{false, true} {
			s, se := newScriptedOf(t, small(), encrypted), newSession(t)
			first := s.dir
			var before *Result
			if !full {
				before = backUp(t, se, s)
				s.next()
			}
			whole := &cutter{f: openFolder(t, se, s)}
			if err := s.run(t.Context(), whole); err != nil {
				t.Fatal(err)
			}
			if err := whole.f.Drop(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d calls", whole.calls)
			step := max(1, whole.calls/8)
			if testing.Short() {
				step = whole.calls / 3
			}
			for n := 1 + step/3; n <= whole.calls; n += step {
				cutOnce(t, se, *s, n, full)
			}
			if before != nil {
				gives(t, se.r, before.Snapshot, first)
			}
		}
	})
}

// cutOnce cuts a run at its n-th call and makes the next one, on copies.
func cutOnce(t *testing.T, from *session, s scripted, n int, full bool) {
	t.Helper()
	se := from.copied(t)
	var killed *session
	p := openFolder(t, se, &s)
	c := &cutter{f: p, n: n, hit: func() { killed = se.copied(t) }}
	if err := s.run(t.Context(), c); !errors.Is(err, errCut) {
		t.Fatalf("cut %d: got %v", n, err)
	}
	sent := s.sent
	if err := p.Close(); err != nil {
		t.Fatalf("cut %d: close: %v", n, err)
	}
	for _, kill := range []bool{false, true} {
		again := s
		next := &session{reopen(t, se.r.Backend()), se.spool}
		if kill {
			next = killed
		}
		p := openFolder(t, next, &again)
		resumed, why := p.Resumed()
		if why != "" {
			t.Errorf("cut %d, kill %t: given up: %s", n, kill, why)
		}
		if err := again.run(t.Context(), p); err != nil {
			t.Fatalf("cut %d, kill %t: the next run: %v", n, kill, err)
		}
		if !kill && (!resumed && sent > 0 || again.full != full || sent > 0 && again.sent > s.total()-sent) {
			t.Errorf("cut %d: resumed %t, full %t, sent %d of %d, then %d", n, resumed, again.full, sent, s.total(), again.sent)
		}
		res, err := p.Commit(t.Context(), s.answered())
		if err != nil {
			t.Fatalf("cut %d, kill %t: %v", n, kill, err)
		}
		if res.Summary.Missing != 0 {
			t.Errorf("cut %d, kill %t: %+v", n, kill, res.Summary)
		}
		fresh := reopen(t, next.r.Backend())
		holds(t, fresh, res.Snapshot, s.dir)
		checkRepo(t, fresh)
	}
}

// total counts what a run of the generation sends.
func (s *scripted) total() int {
	n := 0
	for _, name := range s.files(s.dir) {
		if s.prev == "" || s.changed(name) {
			n++
		}
	}
	return n
}

// TestPhoneStatusIsDurable kills a run when Status.plist was committed: it is
// there, with all that came before it, and what came later is not.
func TestPhoneStatusIsDurable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		ctx := t.Context()
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		p := openFolder(t, se, s)
		defer p.Close()
		before, later := s.at(someID), s.at("f"+someID[1:])
		want := backendtest.Bytes(3000, 7)
		for _, step := range []struct {
			name string
			data []byte
		}{{before, want}, {s.at(ios.StatusName), s.status("uploading", true)}, {later, want}} {
			if err := write(ctx, p, step.name, step.data); err != nil {
				t.Fatal(err)
			}
		}
		killed := se.copied(t)
		again := openFolder(t, killed, s)
		if got, err := read(ctx, again, before); err != nil || !bytes.Equal(got, want) {
			t.Errorf("before the status: %d bytes, %v", len(got), err)
		}
		if got, err := read(ctx, again, s.at(ios.StatusName)); err != nil || !bytes.Equal(got, s.status("uploading", true)) {
			t.Errorf("the status: %d bytes, %v", len(got), err)
		}
		if _, err := again.Open(ctx, later); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the status: got %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if encrypted {
			return
		}
		// A prune in between took the blob: the file is not shown, the rest is.
		hide(t, killed, index.Handle{ID: chunk.Sum(want), Type: index.Data})
		again = openFolder(t, killed, s)
		defer again.Close()
		if _, err := again.Open(ctx, before); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("its blob is lost: got %v", err)
		}
		if _, err := read(ctx, again, s.at(ios.StatusName)); err != nil {
			t.Errorf("the status: %v", err)
		}
	})
}

// holds is gives without writing a folder, for tests that do it often.
func holds(t *testing.T, r *repo.Repository, snap *repo.Snapshot, dir string) {
	t.Helper()
	ctx := t.Context()
	v, err := Open(ctx, r, snap)
	if err != nil {
		t.Fatal(err)
	}
	files, err := v.folderFiles(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := bareState(t, dir)
	got := map[string]string{}
	for _, f := range files {
		data, err := r.ReadFile(ctx, f.content, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if f.key != nil {
			data = ios.Encrypt(nil, data, *f.key)
		}
		got[filepath.FromSlash(f.path)] = chunk.Sum(data).String()
	}
	for _, top := range v.received() {
		got[top.name] = top.sum.String()
	}
	compare(t, got, want)
}
