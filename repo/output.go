package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/chunk"
	"russet/index"
	"russet/internal/durable"
)

const (
	// batchSize is how much plaintext one worker loads at once: neighbours in a
	// pack come with one request. Larger files pass through in such pieces.
	batchSize = 8 << 20
	// batchFiles bounds the files of a batch, which share buffers.
	batchFiles = 1024
	// openDirs is how many folders the workers keep open together: a backup has
	// 256, and the files of one pack lie in all of them.
	openDirs = 600
)

// Filter turns a file's plaintext into what is written. It sees the pieces in
// order, the last of them, perhaps empty, marked so.
type Filter interface {
	Append(dst, piece []byte, last bool) []byte
}

// Output is one file to write out of a repository.
type Output struct {
	Path                string // slash-separated, below the target; its folder exists
	Content             []chunk.ID
	ModTime, AccessTime time.Time
	Mode                fs.FileMode   // permissions
	Filter              func() Filter // nil: as it is
	// Finish, if not nil, is called with the file once its content is written
	// and before its times are set: for owners, modes and attributes. It runs
	// beside those of other files. An error from it fails the file.
	Finish func(*os.File) error
}

// OutputOptions say whom to tell. Failed is told of each file that could not be
// had; it is not left behind. A nil Failed, or an error from it, ends the work.
// Left is told of each file that was there already with the very content that
// is wanted, which a restore that was cut off leaves: only its times are set.
// Where Left is nil such a file is one that could not be had, as is any other
// that exists. Neither is called concurrently.
type OutputOptions struct {
	Progress *Progress
	Failed   func(path string, err error) error
	Left     func(path string)
	// Unfinished says that root is a folder that has yet to get its name, or is
	// thrown away. Then files are written under their own names at once, which
	// is a little faster.
	Unfinished bool
}

// WriteFiles writes files below root, in the order in which their content lies
// in the repository, with a worker a core or connection. A
// file that exists is an error, fs.ErrExist, and is never replaced. A file has
// its name when it is whole, until then that of a durable.CreatePartial, which
// stays where the process is killed.
func (r *Repository) WriteFiles(ctx context.Context, root *os.Root, files []Output, opt OutputOptions) error {
	batches := r.batches(files)
	queue := make(chan []sized)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(queue)
		for _, b := range batches {
			select {
			case queue <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	var told, naming sync.Mutex
	workers := r.readers()
	for range workers {
		group.Go(func() error {
			w := &outputWorker{
				root: root, l: r.NewLoader(), opt: opt, told: &told, naming: &naming,
				dirs: map[string]*os.Root{}, openDirs: openDirs/workers + 1,
			}
			defer w.close()
			for b := range queue {
				b, err := w.leave(ctx, b)
				if err == nil && len(b) > 0 {
					err = w.write(ctx, b)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// sized is an output with what the index says of it.
type sized struct {
	*Output
	sizes []int64 // of its blobs
	size  int64
	err   error // a blob is in no index
	first index.Location

	absent bool // nothing had its name when it was looked for
}

// batches sorts files by where their content begins and groups neighbours.
func (r *Repository) batches(files []Output) [][]sized {
	all := make([]sized, len(files))
	for i := range files {
		all[i] = r.measure(&files[i])
	}
	slices.SortStableFunc(all, func(a, b sized) int {
		return cmp.Or(a.first.Pack.Compare(b.first.Pack), cmp.Compare(a.first.Offset, b.first.Offset))
	})
	var batches [][]sized
	for len(all) > 0 {
		n, size := 1, all[0].size
		for n < len(all) && n < batchFiles && size+all[n].size <= batchSize {
			size += all[n].size
			n++
		}
		batches = append(batches, all[:n])
		all = all[n:]
	}
	return batches
}

func (r *Repository) measure(f *Output) sized {
	s := sized{Output: f, sizes: make([]int64, len(f.Content))}
	for i, id := range f.Content {
		loc, ok := r.index.Lookup(index.Handle{ID: id, Type: index.Data})
		if !ok {
			s.err = fmt.Errorf("blob %v: %w: it is in no index", id, ErrDamaged)
			return s
		}
		if err := checkSize(loc.Blob); err != nil {
			s.err = fmt.Errorf("blob %v: %w", id, err)
			return s
		}
		if i == 0 {
			s.first = loc
		}
		s.sizes[i] = loc.Size()
		s.size += loc.Size()
	}
	return s
}

// outputWorker writes batches. It belongs to one goroutine.
type outputWorker struct {
	root   *os.Root
	l      *Loader
	opt    OutputOptions
	told   *sync.Mutex // held while opt's functions run
	naming *sync.Mutex // of durable.GiveName
	dirs   map[string]*os.Root

	openDirs int // how many dirs may hold

	plain   []byte // of a batch, or of a piece of a large file
	out     []byte // filtered
	handles []index.Handle
	at      []place
}

// place says where a blob's plaintext goes.
type place struct {
	file   int
	offset int64 // in w.plain
}

func (w *outputWorker) close() {
	for _, d := range w.dirs {
		d.Close()
	}
}

func (w *outputWorker) write(ctx context.Context, batch []sized) error {
	if len(batch) == 1 && batch[0].size > batchSize {
		return w.outcome(ctx, &batch[0], w.large(ctx, &batch[0]))
	}
	errs, err := w.load(ctx, batch)
	if err != nil {
		return err
	}
	var from int64
	for i := range batch {
		f := &batch[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if errs[i] == nil {
			errs[i] = w.small(f, w.plain[from:from+f.size])
		}
		from += f.size
		if err := w.outcome(ctx, f, errs[i]); err != nil {
			return err
		}
	}
	return nil
}

// outcome reports what became of a file.
func (w *outputWorker) outcome(ctx context.Context, f *sized, err error) error {
	if p := w.opt.Progress; p != nil {
		p.Add(1, 0)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.opt.Failed == nil {
		return err
	}
	w.told.Lock()
	defer w.told.Unlock()
	return w.opt.Failed(f.Path, err)
}

// load fills w.plain with the content of all files of a batch, one after the
// other.
func (w *outputWorker) load(ctx context.Context, batch []sized) ([]error, error) {
	errs := make([]error, len(batch))
	w.handles, w.at = w.handles[:0], w.at[:0]
	var total int64
	for i := range batch {
		f := &batch[i]
		errs[i] = f.err
		if f.err != nil {
			f.size = 0
			continue
		}
		offset := total
		for k, id := range f.Content {
			w.handles = append(w.handles, index.Handle{ID: id, Type: index.Data})
			w.at = append(w.at, place{i, offset})
			offset += f.sizes[k]
		}
		total = offset
	}
	w.plain = slices.Grow(w.plain[:0], int(total))[:total]
	err := w.l.Load(ctx, w.handles, func(i int, plain []byte, err error) error {
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs[w.at[i].file] = err
			return nil
		}
		copy(w.plain[w.at[i].offset:], plain)
		return nil
	})
	return errs, err
}

// small writes a file whose whole content is at hand.
func (w *outputWorker) small(f *sized, plain []byte) error {
	return w.file(f, func(out *os.File, filter Filter) error {
		return w.piece(out, filter, plain, true)
	})
}

// large writes a file piece by piece.
func (w *outputWorker) large(ctx context.Context, f *sized) error {
	return w.file(f, func(out *os.File, filter Filter) error {
		for from := 0; from < len(f.Content); {
			to, size := from, int64(0)
			for to < len(f.Content) && (to == from || size+f.sizes[to] <= batchSize) {
				size += f.sizes[to]
				to++
			}
			part := sized{Output: &Output{Content: f.Content[from:to]}, sizes: f.sizes[from:to], size: size}
			errs, err := w.load(ctx, []sized{part})
			if err = cmp.Or(err, errs[0]); err != nil {
				return err
			}
			if err := w.piece(out, filter, w.plain, to == len(f.Content)); err != nil {
				return err
			}
			from = to
		}
		return nil
	})
}

func (w *outputWorker) piece(out *os.File, filter Filter, plain []byte, last bool) error {
	data := plain
	if filter != nil {
		w.out = filter.Append(w.out[:0], plain, last)
		data = w.out
	}
	if len(data) == 0 {
		return nil
	}
	if p := w.opt.Progress; p != nil {
		defer p.Add(0, int64(len(plain)))
	}
	return durable.Write(out, data)
}

// file writes a file under a temporary name, has it filled, sets its times and
// gives it its own: half a file looks like a whole one. One that fails is removed.
func (w *outputWorker) file(f *sized, fill func(*os.File, Filter) error) error {
	dir, err := w.dir(path.Dir(f.Path))
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	name := path.Base(f.Path)
	out, written, err := w.create(dir, name, f)
	if err != nil { // the name alone is not found again
		return fmt.Errorf("write file: %w", &fs.PathError{Op: "create", Path: f.Path, Err: durable.WithoutPath(err)})
	}
	var filter Filter
	if f.Filter != nil {
		filter = f.Filter()
	}
	err = fill(out, filter)
	if err == nil && f.Finish != nil {
		err = f.Finish(out)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil && !f.ModTime.IsZero() {
		err = dir.Chtimes(written, f.AccessTime, f.ModTime)
	}
	if err == nil && written != name {
		err = durable.GiveName(dir, written, name, w.naming)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), dir.Remove(written))
	}
	return nil
}

// create makes a file, and tells under which name it is written.
func (w *outputWorker) create(dir *os.Root, name string, f *sized) (out *os.File, written string, err error) {
	perm := 0o600 | f.Mode.Perm()
	if w.opt.Unfinished {
		out, err = dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		return out, name, err
	}
	if !f.absent { // GiveName finds it too, but after all the work
		if _, err := dir.Lstat(name); err == nil {
			return nil, "", fs.ErrExist
		}
	}
	return durable.CreatePartial(dir, perm)
}

// leave takes out of a batch what is there already, before the repository is
// asked for it. The batch is changed.
func (w *outputWorker) leave(ctx context.Context, batch []sized) ([]sized, error) {
	if w.opt.Left == nil {
		return batch, nil
	}
	rest := batch[:0]
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f := &batch[i]
		dir, err := w.dir(path.Dir(f.Path))
		if err != nil || !w.same(dir, path.Base(f.Path), f) { // what is wrong with the folder shows when it is written to
			rest = append(rest, *f)
			continue
		}
		if err := w.outcome(ctx, f, w.keep(dir, path.Base(f.Path), f)); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// same tells whether a file that is there has the content that f is to have. It
// reads no further than the first blob that differs.
func (w *outputWorker) same(dir *os.Root, name string, f *sized) bool {
	info, err := dir.Lstat(name)
	f.absent = errors.Is(err, fs.ErrNotExist)
	if err != nil || f.err != nil || f.Filter != nil || !info.Mode().IsRegular() || info.Size() != f.size {
		return false
	}
	in, err := dir.Open(name)
	if err != nil {
		return false
	}
	defer in.Close()
	for i, id := range f.Content {
		w.out = slices.Grow(w.out[:0], int(f.sizes[i]))[:f.sizes[i]]
		if _, err := io.ReadFull(in, w.out); err != nil || chunk.Sum(w.out) != id {
			return false
		}
	}
	return true
}

// keep counts a file that is there and sets its times.
func (w *outputWorker) keep(dir *os.Root, name string, f *sized) error {
	if p := w.opt.Progress; p != nil {
		p.Add(0, f.size)
	}
	w.told.Lock()
	w.opt.Left(f.Path)
	w.told.Unlock()
	if f.ModTime.IsZero() {
		return nil
	}
	if err := dir.Chtimes(name, f.AccessTime, f.ModTime); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// dir opens the folder of a file, and keeps it open for the next ones.
func (w *outputWorker) dir(name string) (*os.Root, error) {
	if name == "." {
		return w.root, nil
	}
	if d := w.dirs[name]; d != nil {
		return d, nil
	}
	d, err := w.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if len(w.dirs) >= w.openDirs {
		for k, old := range w.dirs {
			old.Close()
			delete(w.dirs, k)
			break
		}
	}
	w.dirs[name] = d
	return d, nil
}
