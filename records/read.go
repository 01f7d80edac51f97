package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// place is where databases of a kind lie on a phone.
type place struct {
	domain, path string   // elements may be patterns of path.Match
	also         []string // paths in the domain that records come from too, where they are there
	readers      []reader // the first one that fits the database reads it
}

// reader reads one layout of a kind of database.
type reader struct {
	name string // of the layout: "iOS 7 and later"
	fits func(schema) bool
	// read adds to the set of s what the database holds. An error means that what
	// the database holds is not known; a bad row is a problem of s.
	read func(ctx context.Context, s *store) error
}

// places returns where the databases of a kind lie.
func places(kind Kind) []place {
	switch kind {
	case Contacts:
		return contactPlaces()
	case Calendar:
		return calendarPlaces()
	case Reminders:
		return reminderPlaces()
	}
	return nil
}

// Read reads all records of a kind. fsys holds the phone's files as a snapshot
// has them below Files: HomeDomain/Library/AddressBook/AddressBook.sqlitedb. It is
// only read from; write-ahead logs beside the databases are taken into account.
//
// Without any database of the kind the error is ErrNoStore. Where one of several
// databases cannot be read the set has what the others hold, a problem says so, and
// Complete is false; where none can be read that is the error.
func Read(ctx context.Context, fsys fs.FS, kind Kind) (*Set, error) {
	set := &Set{Kind: kind, Complete: true}
	var failed []error
	for _, p := range places(kind) {
		found, err := glob(fsys, p.domain+"/"+p.path)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", kind, err)
		}
		for _, name := range found {
			if err := readStore(ctx, fsys, p, name, set); ctx.Err() != nil {
				return nil, fmt.Errorf("read %s: %w", kind, context.Cause(ctx))
			} else if err != nil {
				failed = append(failed, fmt.Errorf("read %s: %w", name, err))
				set.Problems = append(set.Problems, Problem{Store: name, Text: err.Error(), Lost: true})
				set.Complete = false
			}
		}
	}
	switch {
	case len(set.Stores) == 0 && len(failed) > 0:
		return nil, errors.Join(failed...)
	case len(set.Stores) == 0:
		return nil, fmt.Errorf("find %s: %w", kind, ErrNoStore)
	}
	set.sort()
	return set, nil
}

// readStore reads one database into set, whole or not at all.
func readStore(ctx context.Context, fsys fs.FS, p place, name string, set *Set) error {
	s, err := openStore(ctx, fsys, name)
	if err != nil {
		return err
	}
	defer s.Close()
	i := slices.IndexFunc(p.readers, func(r reader) bool { return r.fits(s.schema) })
	if i < 0 {
		return fmt.Errorf("%w: %s", ErrUnknownLayout, s.schema)
	}
	part := &Set{Kind: set.Kind, Complete: true}
	s.set = part
	if err := p.readers[i].read(ctx, s); errors.Is(err, errOtherKind) {
		return nil
	} else if err != nil {
		return err
	}
	set.Stores = append(append(set.Stores, name), part.Stores...)
	set.Readers = append(set.Readers, path.Base(name)+" ("+p.readers[i].name+")")
	set.Containers = append(set.Containers, part.Containers...)
	set.Records = append(set.Records, part.Records...)
	set.Problems = append(set.Problems, part.Problems...)
	set.Complete = set.Complete && part.Complete
	return nil
}

func (s *Set) sort() {
	slices.SortStableFunc(s.Records, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.UID, b.UID), strings.Compare(a.Container, b.Container))
	})
	slices.SortStableFunc(s.Containers, func(a, b Container) int { return strings.Compare(a.ID, b.ID) })
}

// Stores returns the paths of the files that the records of a kind come from,
// sorted: databases, their write-ahead logs, and databases beside them that hold
// pictures. Where none of them has changed, neither have the records. Accounts,
// which only name containers, are not among them.
func Stores(fsys fs.FS, kind Kind) ([]string, error) {
	var paths []string
	for _, p := range places(kind) {
		for _, name := range append([]string{p.path}, p.also...) {
			for _, suffix := range []string{"", walSuffix} {
				found, err := glob(fsys, p.domain+"/"+name+suffix)
				if err != nil {
					return nil, fmt.Errorf("find %s: %w", kind, err)
				}
				paths = append(paths, found...)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// maxFound bounds the files that a pattern may find.
const maxFound = 1000

// glob returns the files that a pattern names, sorted. Unlike fs.Glob it tells of
// folders that could not be read.
func glob(fsys fs.FS, pattern string) ([]string, error) {
	found := []string{"."}
	for element := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, dir := range found {
			names, err := globElement(fsys, dir, element)
			if err != nil {
				return nil, err
			}
			next = append(next, names...)
		}
		if len(next) > maxFound {
			return nil, fmt.Errorf("more than %d files are named like %s", maxFound, pattern)
		}
		found = next
	}
	return found, nil
}

// globElement returns what a folder holds of that name or pattern.
func globElement(fsys fs.FS, dir, element string) ([]string, error) {
	if !strings.ContainsAny(element, `*?[\`) {
		name := path.Join(dir, element)
		if _, err := fs.Stat(fsys, name); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return []string{name}, nil
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ok, err := path.Match(element, e.Name()); err != nil {
			return nil, err
		} else if ok {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names, nil
}
