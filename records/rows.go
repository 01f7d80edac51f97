package records

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"russet/internal/sqlite"
)

const (
	// maxRow is the length in bytes of the longest row that is read: one with a
	// picture of an address book is far below it.
	maxRow = 64 << 20
	// maxText is the length in bytes of a text that ends up in a record.
	maxText = 1 << 20
	// bytesPerRow bounds the rows of a table by the size of the database: pages can
	// refer to each other without end, and a row has more than four bytes.
	bytesPerRow = 4
)

// row is a row of a table. What its methods return of a column that is missing,
// NULL or of another type is zero; another type is a problem.
type row struct {
	id     int64
	s      *store // for its problems
	index  map[string]int
	values []driver.Value
	spoilt *[]string // columns of this row of which a method could not return all
}

// lost tells, once, that a method cannot return all of a column.
func (r row) lost(column, format string, args ...any) {
	if !slices.Contains(*r.spoilt, column) {
		*r.spoilt = append(*r.spoilt, column)
		r.s.lost(r.id, "column "+column+format, args...)
	}
}

// maxLongRows bounds the rows of a table that are passed over as too long.
const maxLongRows = 1000

// rows yields the rows of a table in the order of their rowids. Columns that the
// table has not are as if they were NULL; a table that is not there has no rows. A
// row that is too long is passed over and told as missing. The row is used again
// for the next one, what its methods return is not. After an error no row follows.
func (s *store) rows(ctx context.Context, table string, columns ...string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		if !s.schema.has(table) {
			return
		}
		r := row{s: s, index: map[string]int{}, spoilt: new([]string)}
		names := []string{"rowid"}
		for _, c := range columns {
			if s.schema.has(table, c) {
				r.index[c] = len(names)
				names = append(names, "+"+quoteName(c)) // an expression: the driver makes no times of its type
			}
		}
		const after = " FROM %s WHERE rowid > %d"
		query := "SELECT " + strings.Join(names, ", ") + after + " ORDER BY rowid"
		left := s.size/bytesPerRow + 1
		r.id = math.MinInt64 // which SQLite never gives
		for range maxLongRows {
			more, err := s.rowsAfter(ctx, fmt.Sprintf(query, quoteName(table), r.id), &r, &left, yield)
			if sqlite.TooLong(err) {
				last := r.id
				if err = s.db.QueryRowContext(ctx, fmt.Sprintf("SELECT min(rowid)"+after, quoteName(table), last)).Scan(&r.id); err == nil {
					s.missing(r.id, "a row of table %s is longer than %d bytes", table, s.row)
					continue
				}
			}
			if err != nil && more {
				yield(row{}, fmt.Errorf("read table %s: %w", table, err))
			}
			return
		}
		yield(row{}, fmt.Errorf("read table %s: more than %d rows are too long", table, maxLongRows))
	}
}

// rowsAfter yields the rows of a query until one cannot be read. more is false where
// the caller wants no more.
func (s *store) rowsAfter(ctx context.Context, query string, r *row, left *int64, yield func(row, error) bool) (more bool, err error) {
	for values, err := range s.db.Rows(ctx, query, s.row) {
		if err != nil {
			return true, err
		}
		if *left--; *left < 0 {
			return true, errors.New("it has more rows than there is space for")
		}
		r.id, _ = values[0].(int64)
		r.values, *r.spoilt = values, nil
		if !yield(*r, nil) {
			return false, nil
		}
	}
	return true, nil
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (r row) value(column string) driver.Value {
	if i, ok := r.index[column]; ok {
		return r.values[i]
	}
	return nil
}

// has reports whether the column is there and not NULL.
func (r row) has(column string) bool { return r.value(column) != nil }

// text returns a text in valid UTF-8. A number is written out, as SQLite does.
func (r row) text(column string) string {
	switch v := r.value(column).(type) {
	case string:
		return r.valid(column, v)
	case []byte:
		return r.valid(column, string(v)) // CallHistory and others keep text so
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// bad reports whether a method could not return all of one of these columns; without
// columns, of any.
func (r row) bad(columns ...string) bool {
	return len(columns) == 0 && len(*r.spoilt) > 0 ||
		slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(*r.spoilt, c) })
}

// valid returns a text as it may stand in a record, and tells what is lost.
func (r row) valid(column, text string) string {
	if len(text) > maxText {
		r.lost(column, " has more than %d bytes, and is cut there", maxText)
	}
	if !utf8.ValidString(text) {
		r.lost(column, " is not UTF-8")
	}
	return validText(text)
}

// validText returns s in valid UTF-8, and at most maxText bytes of it.
func validText(s string) string { return strings.ToValidUTF8(cutText(s, maxText), "\uFFFD") }

// cutText returns the beginning of s in whole characters, at most limit bytes.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := limit
	for n > limit-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// integer returns a whole number; ok is false where there is none.
func (r row) integer(column string) (n int64, ok bool) {
	switch v := r.value(column).(type) {
	case int64:
		return v, true
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<62 {
			return int64(v), true
		}
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err == nil || v == "" {
			return n, err == nil
		}
	}
	if r.has(column) {
		r.lost(column, " is no whole number")
	}
	return 0, false
}

// number returns a number; ok is false where there is none.
func (r row) number(column string) (f float64, ok bool) {
	switch v := r.value(column).(type) {
	case int64:
		return float64(v), true
	case float64:
		f, ok = v, true
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		f, ok = n, err == nil
	}
	if ok = ok && !math.IsNaN(f) && !math.IsInf(f, 0); !ok && r.has(column) && r.value(column) != "" {
		r.lost(column, " is no number")
	}
	return f, ok
}

// bytes returns a blob, or nil. It is the caller's.
func (r row) bytes(column string) []byte {
	switch v := r.value(column).(type) {
	case []byte:
		return slices.Clone(v)
	case string:
		return []byte(v)
	}
	if r.has(column) {
		r.lost(column, " is no blob")
	}
	return nil
}

// time returns a time that is kept as Cocoa seconds, in UTC; ok is false where
// there is none.
func (r row) time(column string) (t time.Time, ok bool) {
	f, ok := r.number(column)
	if !ok {
		return time.Time{}, false
	}
	return cocoaTime(f)
}

// cocoaTime returns the time that is seconds after the beginning of 2001, in UTC;
// ok is false of what stands for no time, and of what no calendar can write.
func cocoaTime(seconds float64) (t time.Time, ok bool) {
	const epoch = 978_307_200
	// Apple's distant past and future are the years 1 and 4001.
	const distantPast, distantFuture = -63_114_076_800, 64_092_211_200
	if math.IsNaN(seconds) || seconds <= distantPast || seconds >= distantFuture {
		return time.Time{}, false
	}
	whole := math.Floor(seconds)
	return time.Unix(epoch+int64(whole), int64((seconds-whole)*1e9)).UTC(), true
}
