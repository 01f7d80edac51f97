package capture

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/ios"
	"russet/repo"
)

// largeFile: files from this size on are read first, so that none of them is
// what all workers wait for at the end.
const largeFile = 32 << 20

// job is one stored file to read: an entry of Files, or a sealed file.
type job struct {
	e *entry
	s *sealedFile
}

func (j job) id() fileID {
	if j.e != nil {
		return j.e.id
	}
	return j.s.id
}

func (j job) size() int64 {
	if j.e != nil {
		return j.e.stored.size
	}
	return j.s.stored.size
}

// read stores the content of all files that are not reused. It returns sealed
// with those added whose stored form cannot be had from a plaintext.
func (c *run) read(ctx context.Context, sealed []*sealedFile) ([]*sealedFile, error) {
	jobs := c.jobs(sealed)
	if p := c.opt.Progress; p != nil {
		var bytes int64
		for _, j := range jobs {
			bytes += j.size()
		}
		p.SetTotal(int64(len(jobs)), bytes)
	}
	if c.phone != nil {
		return c.drain(ctx, jobs, sealed)
	}
	c.setPhase("reading files")
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { // the manifest is one large file
		c.topNodes, err = c.storeTop(gctx, c.meta)
		return err
	})
	group.Go(func() error {
		more, err := c.readJobs(gctx, jobs)
		sealed = append(sealed, more...)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read backup folder: %w", err)
	}
	sortSealed(sealed)
	return sealed, nil
}

func sortSealed(sealed []*sealedFile) {
	slices.SortFunc(sealed, func(a, b *sealedFile) int { return slices.Compare(a.id[:], b.id[:]) })
}

// readJobs stores the content of files, by a worker a core. It returns those
// whose stored form cannot be had from a plaintext.
func (c *run) readJobs(ctx context.Context, jobs []job) (sealed []*sealedFile, err error) {
	queue := make(chan job)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(queue)
		for _, j := range jobs {
			select {
			case queue <- j:
			case <-gctx.Done():
				return gctx.Err()
			}
		}
		return nil
	})
	for range workers() {
		group.Go(func() error {
			w := c.newReader()
			for j := range queue {
				s, err := w.do(gctx, j)
				if err != nil {
					return err
				}
				c.mu.Lock() // which guards sealed, too
				if s != nil && s != j.s {
					sealed = append(sealed, s)
					c.sum.NotReproducible++
				}
				if w.unreadable {
					c.sum.Unreadable++
					if j.e != nil {
						c.sum.unreadListed++
					}
				}
				if c.phone == nil {
					c.sum.FilesRead++
					c.sum.BytesRead += j.size()
				}
				c.mu.Unlock()
			}
			return nil
		})
	}
	return sealed, group.Wait()
}

// jobs are the files to read: large ones first, then in tree order.
func (c *run) jobs(sealed []*sealedFile) []job {
	var jobs []job
	c.dir.each(func(e *entry) {
		if e.flag == flagFile && e.found {
			c.sum.BytesTotal += e.stored.size
			if !e.reused {
				jobs = append(jobs, job{e: e})
			}
		}
	})
	for _, s := range sealed {
		c.sum.BytesTotal += s.stored.size
		if !s.reused {
			jobs = append(jobs, job{s: s})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int {
		switch {
		case a.size() >= largeFile && b.size() < largeFile:
			return -1
		case a.size() < largeFile && b.size() >= largeFile:
			return 1
		}
		return 0
	})
	return jobs
}

// reader is one worker: it reads, decrypts and cuts files, and saves their
// blobs.
type reader struct {
	c     *run
	split *chunk.Splitter
	dec   *ios.Decrypter
	sha   hash.Hash

	unreadable bool // the last file could not be read
}

func (c *run) newReader() *reader {
	return &reader{c: c, split: c.r.Cutter().NewSplitter(), dec: ios.NewDecrypter(nil, ios.Key{}), sha: sha1.New()}
}

// do stores one file. A sealed file is returned when the stored form is kept.
// A file that the drive does not give is counted, and the rest goes on.
func (w *reader) do(ctx context.Context, j job) (*sealedFile, error) {
	if p := w.c.opt.Progress; p != nil {
		defer p.Add(1, 0)
	}
	s, err := w.store(ctx, j)
	_, w.unreadable = errors.AsType[*readError](err)
	if w.c.phone != nil {
		// A repository that cannot be reached now has lost nothing.
		w.unreadable = w.unreadable && (errors.Is(err, errSpool) || errors.Is(err, repo.ErrDamaged))
	}
	if !w.unreadable {
		return s, err
	}
	if j.e != nil {
		j.e.found = false
	} else {
		j.s.content.ids = nil
	}
	return nil, nil
}

func (w *reader) store(ctx context.Context, j job) (*sealedFile, error) {
	if j.s != nil {
		return j.s, w.seal(ctx, j.s)
	}
	ok, err := w.file(ctx, j.e)
	if err != nil || ok {
		return nil, err
	}
	j.e.found = false // not under Files
	s := &sealedFile{id: j.e.id, stored: j.e.stored}
	return s, w.seal(ctx, s)
}

// file stores the plaintext of a file of the phone; false when its stored form
// must be kept instead.
func (w *reader) file(ctx context.Context, e *entry) (bool, error) {
	var key ios.Key
	encrypted := w.c.decrypts(e)
	if encrypted {
		var err error
		if key, err = w.c.keys.Unwrap(e.key()); err != nil {
			return false, nil
		}
	}
	f, err := w.c.folder.from.open(e.id)
	if err != nil {
		return false, &readError{err}
	}
	defer f.Close()
	var src io.Reader = &meter{f, w.c}
	if len(e.digest()) > 0 {
		w.sha.Reset()
		src = io.TeeReader(src, w.sha)
	}
	if encrypted {
		w.dec.Reset(src, key)
		src = w.dec
	}
	got, err := w.blobs(ctx, src)
	switch {
	case errors.Is(err, ios.ErrPadding):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %v: %w", e.id, err)
	case len(e.digest()) > 0 && !slices.Equal(w.sha.Sum(nil), e.digest()):
		return false, nil
	case w.c.storedSize(e, got.size) != e.stored.size:
		return false, fmt.Errorf("read %v: %w", e.id, errMoved)
	}
	e.content = &got
	return true, nil
}

// seal stores a file as it was received.
func (w *reader) seal(ctx context.Context, s *sealedFile) error {
	f, err := w.c.folder.from.open(s.id)
	if err != nil {
		return &readError{err}
	}
	defer f.Close()
	s.content, err = w.blobs(ctx, &meter{f, w.c})
	if err == nil && s.content.size != s.stored.size {
		err = errMoved
	}
	if err != nil {
		return fmt.Errorf("read %v: %w", s.id, err)
	}
	return nil
}

// blobs cuts a stream and saves its pieces.
func (w *reader) blobs(ctx context.Context, src io.Reader) (content, error) {
	w.split.Reset(src)
	return saveBlobs(ctx, w.c.w, w.split)
}

// meter counts what is read for the progress.
type meter struct {
	r io.Reader
	c *run
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	if pr := m.c.opt.Progress; pr != nil && n > 0 {
		pr.Add(0, int64(n))
	}
	return n, err
}

// readError: the folder's drive did not give a file.
type readError struct{ err error }

func (e *readError) Error() string { return "read stored file: " + e.err.Error() }

func (e *readError) Unwrap() error { return e.err }
