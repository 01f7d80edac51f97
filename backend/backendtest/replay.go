package backendtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"slices"

	"russet/backend"
)

// content tells two states of a storage apart.
type content [sha256.Size]byte

// replay is a recording that is gone through again.
type replay struct {
	changes []Change
	files   map[backend.File][]byte
	flying  []int          // changes that have begun and not ended
	removed map[int][]byte // what the removals of packs have removed
	last    string
}

func newReplay(before map[backend.File][]byte, changes []Change) *replay {
	return &replay{changes: changes, files: maps.Clone(before), removed: make(map[int][]byte), last: "at the beginning"}
}

func (s *replay) advance(m moment) {
	if !m.end {
		s.flying = append(s.flying, m.change)
		s.last = "in " + s.changes[m.change].String()
		return
	}
	s.flying = slices.DeleteFunc(s.flying, func(number int) bool { return number == m.change })
	if c := s.changes[m.change]; c.Verb == Remove && c.File.Kind == backend.Data {
		s.removed[m.change] = s.files[c.File]
	}
	s.apply(m.change)
	s.last = "after " + s.changes[m.change].String()
}

func (s *replay) apply(number int) {
	c := s.changes[number]
	if c.Verb == Save {
		s.files[c.File] = c.data
	} else {
		delete(s.files, c.File)
	}
}

// crashes yields those of this moment.
func (s *replay) crashes() iter.Seq[Crash] {
	return func(yield func(Crash) bool) {
		for _, kept := range subsets(s.flying) {
			if !yield(s.crash(Crash{kept: kept, torn: -1})) {
				return
			}
		}
		for _, number := range s.flying {
			c := s.changes[number]
			for _, part := range parts(len(c.data)) {
				for _, named := range []bool{false, true} {
					if c.Verb != Save || named && c.File.Kind != backend.Data {
						continue
					}
					if !yield(s.crash(Crash{torn: number, part: part, named: named})) {
						return
					}
				}
			}
		}
		for _, back := range subsets(slices.Sorted(maps.Keys(s.removed))) {
			if len(back) > 0 && !yield(s.crash(Crash{back: back, torn: -1})) {
				return
			}
		}
	}
}

// subsets are none, each one and all of the numbers.
func subsets(numbers []int) [][]int {
	sets := [][]int{nil}
	for i := range numbers {
		sets = append(sets, numbers[i:i+1:i+1])
	}
	if len(numbers) > 1 {
		sets = append(sets, slices.Clone(numbers))
	}
	for i := range sets {
		sets[i] = slices.Clone(sets[i]) // the slice that they are of goes on changing
	}
	return sets
}

// parts are lengths at which a file is torn.
func parts(size int) []int {
	return slices.Compact(slices.DeleteFunc([]int{0, 1, size / 2, size - 1}, func(n int) bool { return n < 0 || n >= size }))
}

// crash fills in what the storage has. Files are told apart by their names, which are hashes, and their lengths.
func (s *replay) crash(c Crash) Crash {
	c.when = s.last
	sizes := make(map[string]int, len(s.files))
	for f, data := range s.files {
		sizes[f.String()] = len(data)
	}
	for _, number := range c.kept {
		if kept := s.changes[number]; kept.Verb == Save {
			sizes[kept.File.String()] = len(kept.data)
		} else {
			delete(sizes, kept.File.String())
		}
	}
	for _, number := range c.back {
		sizes[s.changes[number].File.String()] = len(s.removed[number])
	}
	if c.torn >= 0 {
		name := s.changes[c.torn].File.String()
		if !c.named {
			name += temporary
		}
		sizes[name] = c.part
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		fmt.Fprintln(sum, name, sizes[name])
	}
	sum.Sum(c.sum[:0])
	return c
}

// temporary ends the name of an unfinished file, as those of package durable end.
const temporary = "-tmp-00c0ffee00c0ffee"

// Lay makes a folder of what the storage has after a crash, in restic's layout, with the unfinished file that it left.
func (r *Recorder) Lay(ctx context.Context, c Crash, folder string) (err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("lay a folder: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	files := make(map[string][]byte)
	for f, data := range r.files(c) {
		files[place(f)] = data
	}
	if c.torn >= 0 && !c.named {
		r.mu.Lock()
		torn := r.changes[c.torn]
		r.mu.Unlock()
		files[place(torn.File)+temporary] = torn.data[:c.part]
	}
	for k := backend.Key; k <= backend.Data; k++ { // made before anything else, and to last
		if err := root.Mkdir(k.String(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("lay a folder: %w", err)
		}
	}
	for name, data := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("lay a folder: %w", err)
		}
		if err := root.WriteFile(name, data, 0o600); err != nil {
			return fmt.Errorf("lay a folder: %w", err)
		}
	}
	return nil
}

// place is where restic's layout has a file.
func place(f backend.File) string {
	if f.Kind == backend.Data {
		return path.Join(f.Kind.String(), f.Name[:2], f.Name)
	}
	return f.String()
}
