package records

import (
	"context"
	"slices"
)

// unreadable gathers what could not be read whole of records, while the rows that
// belong to them are read.
type unreadable struct {
	of  map[int64][]string // properties by the row of the record
	all []string           // those of rows that may be of any record
}

// add names properties of the record in a row; known is false where it could not be
// read which row that is.
func (u *unreadable) add(row int64, known bool, properties ...string) {
	if !known {
		u.all = with(u.all, properties...)
		return
	}
	if u.of == nil {
		u.of = map[int64][]string{}
	}
	u.of[row] = with(u.of[row], properties...)
}

// names returns the properties of a record that is made of some rows, as a Record has
// them.
func (u *unreadable) names(rows ...int64) []string {
	names := slices.Clone(u.all)
	for _, row := range rows {
		names = with(names, u.of[row]...)
	}
	return slices.Sorted(slices.Values(names))
}

// with returns names with those of more that are not among them: rows without number
// name the same few.
func with(names []string, more ...string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// part is a step of a reader: tables whose rows become properties of records.
type part struct {
	read       func(context.Context) error
	properties []string
}

// readParts reads one part after the other. It returns the properties of those of
// which rows are missing.
func (s *store) readParts(ctx context.Context, parts []part) (unread []string, err error) {
	for _, p := range parts {
		before := s.set.Complete
		s.set.Complete = true
		if err := p.read(ctx); err != nil {
			return nil, err
		}
		if !s.set.Complete {
			unread = with(unread, p.properties...)
		}
		s.set.Complete = s.set.Complete && before
	}
	return unread, nil
}
