package capture

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"russet/repo"
)

// Whenever every file was read though there is an earlier version, the summary
// says why.
func TestWhyAll(t *testing.T) {
	t.Parallel()
	why := func(t *testing.T, res *Result, want string) {
		t.Helper()
		s := res.Summary
		if s.FilesUnmodified != 0 || !strings.Contains(s.WhyAll, want) {
			t.Errorf("%d files unchanged, all read because %q; want 0, %q", s.FilesUnmodified, s.WhyAll, want)
		}
	}
	t.Run("samples", func(t *testing.T) {
		t.Parallel()
		r := newRepo(t)
		keep(t, r, sampleFolder(t, "A-enc-full"), withPassword(samplePassword))
		why(t, keep(t, r, sampleFolder(t, "B-enc-incr-of-A"), withPassword(samplePassword)), "every file changed")
	})
	t.Run("sealed", func(t *testing.T) {
		t.Parallel()
		p := newPhone(t, true)
		r := newRepo(t)
		keep(t, r, p.dir, withPassword(simPassword))
		p.opt.Full = true // under new keys
		p.next()
		why(t, keep(t, r, p.dir, Options{}), "kept sealed")
		p.opt.Full = false
		p.next()
		if res := keep(t, r, p.dir, Options{}); res.Summary.FilesUnmodified == 0 || res.Summary.WhyAll != "" {
			t.Errorf("sealed upon sealed: %+v", res.Summary)
		}
	})
	t.Run("copied without times", func(t *testing.T) {
		t.Parallel()
		p := newPhone(t, false)
		r := newRepo(t)
		keep(t, r, p.dir, Options{})
		setStatusKey(t, p, "UUID", "another") // or it is kept already
		at := time.Now()
		err := filepath.WalkDir(p.dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				err = os.Chtimes(name, at, at)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		why(t, keep(t, r, p.dir, Options{}), "another size or time")
	})
}

// A snapshot that got another tag, as from restic tag, is still the one that
// holds the backup, also where that shows only at the end.
func TestKeptThoughTagged(t *testing.T) {
	t.Parallel()
	p := newPhone(t, false)
	setStatus(t, p, "uploading")
	r := newRepo(t)
	opt := Options{Incomplete: true}
	retag(t, r, keep(t, r, p.dir, opt).Snapshot, TagIncomplete, "pinned")
	if res := keep(t, r, p.dir, opt); !res.Kept || !res.Snapshot.HasTag("pinned") {
		t.Errorf("an unfinished backup was kept twice: %+v", res.Snapshot)
	}
	setStatus(t, p, "finished")
	opt = Options{Force: true}
	done := keep(t, r, p.dir, opt)
	retag(t, r, done.Snapshot, "mine")
	if res := keep(t, r, p.dir, opt); !res.Kept {
		t.Errorf("with Force a backup was kept twice: %+v", res.Snapshot)
	}
	// Without the tag that says so, an unfinished one would pass for complete.
	setStatus(t, p, "moving")
	opt = Options{Incomplete: true}
	retag(t, r, keep(t, r, p.dir, opt).Snapshot, "mine")
	if res := keep(t, r, p.dir, opt); res.Kept || !res.Snapshot.HasTag(TagIncomplete) {
		t.Errorf("what lost its tag counts as kept: %+v", res.Snapshot)
	}
}

// retag saves a snapshot again with other tags, as restic does.
func retag(t *testing.T, r *repo.Repository, s *repo.Snapshot, tags ...string) {
	t.Helper()
	other, was := *s, s.ID()
	other.Tags, other.Original = tags, &was
	if _, err := r.SaveSnapshot(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveSnapshot(t.Context(), was); err != nil {
		t.Fatal(err)
	}
}

// A sealed version that lost its tag is opened all the same once its password
// is given.
func TestSealedWithoutItsTag(t *testing.T) {
	t.Parallel()
	p := newPhone(t, true)
	r := newRepo(t)
	retag(t, r, keep(t, r, p.dir, Options{}).Snapshot, "mine")
	if res := keep(t, r, p.dir, Options{}); !res.Kept {
		t.Errorf("without the password it was kept twice: %+v", res.Snapshot)
	}
	if res := keep(t, r, p.dir, withPassword(simPassword)); res.Kept || res.Snapshot.HasTag(TagSealed) {
		t.Errorf("with the password: %+v, want it opened", res.Snapshot)
	}
}
