package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"russet/internal/durable"
)

// maxRounds is how many questions about names are on their way at once: a place has 256 folders of packs, and each costs
// four rounds.
const maxRounds = 32

// inParallel does n pieces of work, some at once, and returns the first error, after which it begins no more.
func inParallel(ctx context.Context, n int, work func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, maxRounds) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// List reads many folders at once. What is left out is the same as in [Local.List].
func (p *sftpPlace) List(ctx context.Context, k Kind) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range p.entries(ctx, k) {
			if err != nil {
				yield(Info{}, fmt.Errorf("list %s: %w", k, err))
				return
			}
			if !info.Mode().IsRegular() || !isListed(k, info.Name()) {
				continue
			}
			listed := Info{Name: info.Name(), Size: info.Size(), ModTime: info.ModTime()}
			if k == Config {
				listed.Name = ""
			}
			if !yield(listed, nil) {
				return
			}
		}
	}
}

// entries yields what lies in the folders of a kind, proper or not. The first error ends it. It takes no slot, since the
// loop may save and remove files.
func (p *sftpPlace) entries(ctx context.Context, k Kind) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := errors.Join(ctx.Err(), k.validate()); err != nil {
			yield(nil, err)
			return
		}
		stopped := false
		err := p.line.use(ctx, func(c *sftpConn) error {
			folders, err := p.folders(ctx, c, k)
			if err != nil {
				return err
			}
			return p.readFolders(ctx, c, folders, func(folder string, info fs.FileInfo) bool {
				if k == Data && !isBelow(folder, info.Name()) {
					return true
				}
				stopped = !yield(info, nil)
				return !stopped
			})
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// validate refuses what is no kind.
func (k Kind) validate() error {
	if k > Data {
		return fs.ErrInvalid
	}
	return nil
}

// folders gives the folders that may hold files of a kind.
func (p *sftpPlace) folders(ctx context.Context, c *sftpConn, k Kind) ([]string, error) {
	switch {
	case k == Config:
		return []string{p.root}, nil
	case k < Data:
		return []string{path.Join(p.root, k.String())}, nil
	}
	top := path.Join(p.root, k.String())
	entries, err := p.readFolder(ctx, c, top)
	var folders []string
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) == 2 {
			folders = append(folders, path.Join(top, e.Name()))
		}
	}
	return folders, err
}

// readFolders gives visit what lies in folders, as it comes, until that returns false.
func (p *sftpPlace) readFolders(ctx context.Context, c *sftpConn, folders []string, visit func(folder string, info fs.FileInfo) bool) error {
	type content struct {
		folder  string
		entries []fs.FileInfo
	}
	inner, cancel := context.WithCancel(ctx)
	contents := make(chan content)
	done := make(chan error, 1)
	go func() {
		defer close(contents)
		done <- inParallel(inner, len(folders), func(i int) error {
			entries, err := p.readFolder(inner, c, folders[i])
			if err != nil {
				return err
			}
			select {
			case contents <- content{folders[i], entries}:
			case <-inner.Done():
			}
			return nil
		})
	}()
	defer func() { <-done }()
	defer cancel()
	for some := range contents {
		for _, info := range some.entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !visit(some.folder, info) {
				return nil
			}
		}
	}
	err := <-done
	done <- nil
	return err
}

// readFolder reads a folder. One that is missing is empty while the config is still there, as in Local.readFolder.
func (p *sftpPlace) readFolder(ctx context.Context, c *sftpConn, name string) ([]fs.FileInfo, error) {
	end := c.answers.folder()
	entries, err := c.ReadDirContext(ctx, name)
	end()
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := c.Stat(p.path(File{})); err != nil {
			return nil, fmt.Errorf("look for config: %w", c.explain(err))
		}
		return nil, nil
	}
	return entries, c.explain(err)
}

// Lacks reports whether the folder of a kind is missing, which List takes for an empty one.
func (p *sftpPlace) Lacks(ctx context.Context, k Kind) (lacks bool, err error) {
	if err = ctx.Err(); err == nil {
		err = p.do(ctx, func(c *sftpConn) error {
			_, err := c.Stat(path.Join(p.root, k.String()))
			if errors.Is(err, fs.ErrNotExist) {
				if _, err = c.Stat(p.path(File{})); err == nil {
					lacks = true
					return nil
				}
			}
			return c.explain(err)
		})
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", k, err)
	}
	return lacks, nil
}

// CleanTemporary removes the unfinished files that programs left behind, Russet's and restic's, once they are older than a
// day. It returns how many it removed, also beside an error.
func (p *sftpPlace) CleanTemporary(ctx context.Context) (removed int, err error) {
	for k := Config; k <= Data; k++ {
		for info, err := range p.entries(ctx, k) {
			if err != nil {
				return removed, fmt.Errorf("clean %s: %w", k, err)
			}
			final, ok := durable.IsTemporary(info.Name())
			if !ok || !isKept(k, final) || !info.Mode().IsRegular() || time.Since(info.ModTime()) <= temporaryAge {
				continue
			}
			f := File{Kind: k}
			if k != Config {
				f.Name = final
			}
			err = p.do(ctx, func(c *sftpConn) error {
				return c.explain(c.Remove(path.Join(path.Dir(p.path(f)), info.Name())))
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return removed, fmt.Errorf("clean %s: %w", k, err)
			}
			removed++
		}
	}
	return removed, nil
}
