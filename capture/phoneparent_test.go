package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"russet/ios"
)

// TestPhoneReadsParent reads every file of the last version as the phone sent
// it, and commits a run in which nothing was sent but a new Status.plist.
func TestPhoneReadsParent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, encrypted bool) {
		ctx := t.Context()
		s, se := newScriptedOf(t, small(), encrypted), newSession(t)
		backUp(t, se, s)
		p := openFolder(t, se, s)
		names := []string{ios.InfoName, ios.StatusName, ios.ManifestName, ios.DatabaseName}
		for _, name := range s.files(s.dir) {
			names = append(names, storedPath(name, false))
		}
		for _, name := range names {
			want, err := os.ReadFile(filepath.Join(s.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(ctx, p, s.at(name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		}
		if err := write(ctx, p, s.at(ios.StatusName), s.status("finished", false)); err != nil {
			t.Fatal(err)
		}
		res, err := p.Commit(ctx, s.answered().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Summary; got.FilesRead != 0 || got.FilesSealed != 0 || got.FilesUnmodified != len(names)-4 || got.BytesStored > 10_000 {
			t.Errorf("%+v", got)
		}
		gives(t, se.r, res.Snapshot, s.dir)
	})
}

// TestPhoneChangedRecord: the phone changed the keys in some records, or all
// keys, and did not send the files. What it had sent comes back.
func TestPhoneChangedRecord(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint("all=", all), func(t *testing.T) {
			t.Parallel()
			changedRecord(t, all)
		})
	}
}

func changedRecord(t *testing.T, all bool) {
	t.Helper()
	ctx := t.Context()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, se, s)
	s.from.opt.Full = all
	s.next()
	p := openFolder(t, se, s)
	for _, name := range []string{ios.DatabaseName, ios.ManifestName, ios.StatusName} {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(ctx, p, s.at(name), data); err != nil {
			t.Fatal(err)
		}
	}
	res, err := p.Commit(ctx, s.answered())
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Summary; got.FilesSealed == 0 || got.Missing == 0 || (got.FilesSealed > 30) != all {
		t.Errorf("%+v", res.Summary)
	}
	showsSame(t, se, s)
	v, err := Open(ctx, se.r, res.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if _, err := v.RestoreFolder(ctx, openRoot(t, target), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range s.files(s.prev) {
		want, err := os.ReadFile(filepath.Join(s.prev, storedPath(name, false)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(target, s.udid, storedPath(name, false)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

// TestPhoneFullOption: an empty folder is shown, a run that was not full is
// given up for it, and one that was is continued without the option.
func TestPhoneFullOption(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, se := newScriptedOf(t, small(), true), newSession(t)
	backUp(t, se, s)
	s.next()
	cut := func(opt PhoneOptions, n int) (bool, string) {
		t.Helper()
		p, err := OpenPhone(ctx, se.r, s.udid, opt)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := s.run(ctx, &cutter{f: p, n: n}); !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		return p.Resumed()
	}
	full := s.options(se.spool)
	full.Full = true
	if resumed, why := cut(s.options(se.spool), 30); resumed || why != "" {
		t.Errorf("first: resumed %t, %q", resumed, why)
	}
	if resumed, why := cut(full, 60); resumed || why == "" || !s.full {
		t.Errorf("full: resumed %t, %q, the phone's run full %t", resumed, why, s.full)
	}
	if resumed, why := cut(full, 20); !resumed || !s.full {
		t.Errorf("full again: resumed %t, %q, the phone's run full %t", resumed, why, s.full)
	}
	p := openFolder(t, se, s)
	if resumed, _ := p.Resumed(); !resumed {
		t.Error("not resumed without the option")
	}
	if err := s.run(ctx, p); err != nil {
		t.Fatal(err)
	}
	res, err := p.Commit(ctx, s.answered())
	if err != nil {
		t.Fatal(err)
	}
	if !s.full || res.Summary.WhyAll == "" || res.Summary.FilesUnmodified != 0 || res.Snapshot.Parent == nil {
		t.Errorf("full %t, %+v", s.full, res.Summary)
	}
	gives(t, se.r, res.Snapshot, s.dir)
}

// TestPhoneUnfinished: a run that the phone has not finished is no version, and
// goes on.
func TestPhoneUnfinished(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, se := newScriptedOf(t, small(), false), newSession(t)
	c := &cutter{f: openFolder(t, se, s), n: 150}
	if err := s.run(ctx, c); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if _, err := c.f.Commit(ctx, s.answered()); !errors.Is(err, ErrUnfinished) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit: got %v, want %v, and what is missing", err, ErrUnfinished)
	}
	c.n = 0
	if err := s.run(ctx, c); err != nil {
		t.Fatal(err)
	}
	res, err := c.f.Commit(ctx, s.answered())
	if err != nil {
		t.Fatal(err)
	}
	gives(t, se.r, res.Snapshot, s.dir)
	if _, err := c.f.Open(ctx, s.at(ios.StatusName)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after the commit: got %v", err)
	}
	if _, err := OpenPhone(ctx, se.r, "../up", s.options(se.spool)); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("an illegal name: got %v", err)
	}
}
