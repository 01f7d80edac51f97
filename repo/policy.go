package repo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TagPinned is the tag of snapshots that every policy keeps. With stock restic,
// --keep-tag pinned keeps them too.
const TagPinned = "pinned"

// KeepAll as a count of a Policy keeps all that there are.
const KeepAll = -1

// Policy says which snapshots of one group stay. Its fields are restic's, and
// decide as restic's forget does; a snapshot that any of them keeps stays. The
// zero value keeps the pinned ones alone.
//
// Hours, days, ISO weeks, months and years are those of the clock by which the
// snapshot was dated, and each is represented by its newest snapshot.
type Policy struct {
	// How many snapshots stay, and of how many hours, days, ... that have any,
	// counted from the newest.
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	// How far back from the newest snapshot all stay, and one an hour, a day, ...
	Within, WithinHourly, WithinDaily, WithinWeekly, WithinMonthly, WithinYearly Span
	// Tags are lists of tags: who has all of one list stays. An empty tag stands
	// for having none.
	Tags [][]string
	// EachTag are beginnings of tags: of each tag that begins so, the newest
	// snapshot stays.
	EachTag []string
}

// IsZero tells whether the policy asks for nothing to be kept.
func (p Policy) IsZero() bool {
	return len(p.Tags) == 0 && len(p.EachTag) == 0 && p.Within.IsZero() &&
		!slices.ContainsFunc(p.buckets(), func(b bucket) bool { return b.left != 0 || !b.within.IsZero() })
}

// Decision is what becomes of one snapshot, and why it is kept.
type Decision struct {
	Snapshot *Snapshot
	Keep     bool
	Reasons  []string // empty where it is not kept
}

// keep adds a reason.
func (d *Decision) keep(reason string) {
	d.Keep = true
	d.Reasons = append(d.Reasons, reason)
}

// Why those are kept of which no policy decides.
const (
	reasonFuture = "dated in the future"
	reasonPinned = TagPinned
	reasonState  = "newest state"
)

// bucket counts the hours, days, ... that are kept.
type bucket struct {
	reason string
	of     func(time.Time) int // equal for times of one hour, day, ...; nil: none are
	left   int                 // how many more; less than 0 without end
	within Span                // or how far back
	last   int                 // that is kept
}

// buckets are in the order in which restic gives their reasons.
func (p Policy) buckets() []bucket {
	hour := func(t time.Time) int { return ymd(t)*100 + t.Hour() }
	week := func(t time.Time) int { y, w := t.ISOWeek(); return y*100 + w }
	month := func(t time.Time) int { return ymd(t) / 100 }
	return []bucket{
		{"last snapshot", nil, p.Last, Span{}, -1},
		{"hourly snapshot", hour, p.Hourly, Span{}, -1},
		{"daily snapshot", ymd, p.Daily, Span{}, -1},
		{"weekly snapshot", week, p.Weekly, Span{}, -1},
		{"monthly snapshot", month, p.Monthly, Span{}, -1},
		{"yearly snapshot", time.Time.Year, p.Yearly, Span{}, -1},
		{"hourly within", hour, 0, p.WithinHourly, -1},
		{"daily within", ymd, 0, p.WithinDaily, -1},
		{"weekly within", week, 0, p.WithinWeekly, -1},
		{"monthly within", month, 0, p.WithinMonthly, -1},
		{"yearly within", time.Time.Year, 0, p.WithinYearly, -1},
	}
}

func ymd(t time.Time) int { return t.Year()*10000 + int(t.Month())*100 + t.Day() }

// Decide decides about the snapshots of one group, and returns them newest
// first.
//
// Snapshots dated after now are kept and count as nothing: neither does one
// take the place of another that a count would keep, nor does a span begin at
// one. A phone or a computer whose clock is wrong, or somebody who may only
// add, cannot drive real snapshots out by that. A computer whose own clock is
// late keeps too much, and one whose clock is early nothing less.
func (p Policy) Decide(snaps []*Snapshot, now time.Time) []Decision {
	list := newestFirst(snaps)
	var newest time.Time // that is not dated in the future
	for _, d := range list {
		if !d.Snapshot.Time.After(now) {
			newest = d.Snapshot.Time
			break
		}
	}
	buckets := p.buckets()
	seen := map[string]bool{} // tags that begin as EachTag wants
	for i := range list {
		d := &list[i]
		s := d.Snapshot
		if s.HasTag(TagPinned) {
			d.keep(reasonPinned)
		}
		if s.Time.After(now) {
			d.keep(reasonFuture)
			continue
		}
		for _, tags := range p.Tags {
			if s.hasTags(tags) {
				d.keep("has tags [" + strings.Join(tags, ", ") + "]")
			}
		}
		for _, tag := range s.Tags {
			if !seen[tag] && slices.ContainsFunc(p.EachTag, func(begin string) bool { return strings.HasPrefix(tag, begin) }) {
				seen[tag] = true
				d.keep("newest of " + tag)
			}
		}
		if !p.Within.IsZero() && s.Time.After(p.Within.before(newest)) {
			d.keep("within " + p.Within.String())
		}
		for i := range buckets {
			if reason := buckets[i].take(s.Time, newest); reason != "" {
				d.keep(reason)
			}
		}
	}
	return list
}

// take returns why the bucket keeps a snapshot of that time, or nothing.
// Snapshots come newest first.
func (b *bucket) take(t, newest time.Time) string {
	if b.within.IsZero() && b.left == 0 || !b.within.IsZero() && !t.After(b.within.before(newest)) {
		return ""
	}
	if b.of != nil {
		if n := b.of(t); n != b.last {
			b.last = n
		} else {
			return ""
		}
	}
	if !b.within.IsZero() {
		return b.reason + " " + b.within.String()
	}
	b.left--
	return b.reason
}

// decideState keeps of a group of snapshots, each of which is complete by
// itself, the newest, and what Decide keeps under every policy.
func decideState(snaps []*Snapshot, now time.Time) []Decision {
	list := Policy{}.Decide(snaps, now)
	for i := range list {
		if !list[i].Snapshot.Time.After(now) {
			list[i].keep(reasonState)
			break
		}
	}
	return list
}

func newestFirst(snaps []*Snapshot) []Decision {
	sorted := slices.Clone(snaps)
	SortSnapshots(sorted)
	list := make([]Decision, 0, len(sorted))
	for _, s := range slices.Backward(sorted) {
		list = append(list, Decision{Snapshot: s})
	}
	return list
}

// hasTags tells whether the snapshot has all of the tags. An empty one is had
// by a snapshot without tags.
func (s *Snapshot) hasTags(tags []string) bool {
	for _, tag := range tags {
		if tag == "" && len(s.Tags) == 0 {
			return true
		}
		if !s.HasTag(tag) {
			return false
		}
	}
	return true
}

// Span is a length of time by the calendar: a month before the 31st of March is
// the 3rd of March, as in restic.
type Span struct{ Years, Months, Days, Hours int }

// maxSpan bounds each part of a Span: longer ones mean for ever.
const maxSpan = 1_000_000

// IsZero tells whether the span is empty.
func (d Span) IsZero() bool { return d == Span{} }

// before is the time that lies so far back.
func (d Span) before(t time.Time) time.Time {
	return t.AddDate(-d.Years, -d.Months, -d.Days).Add(-time.Duration(d.Hours) * time.Hour)
}

// parts are the letters of a span, and what they stand for.
func (d *Span) parts() []spanPart {
	return []spanPart{{'y', &d.Years}, {'m', &d.Months}, {'d', &d.Days}, {'h', &d.Hours}}
}

type spanPart struct {
	letter byte
	n      *int
}

// String writes the span as ParseSpan reads it.
func (d Span) String() string {
	var b strings.Builder
	for _, part := range d.parts() {
		if *part.n != 0 {
			fmt.Fprintf(&b, "%d%c", *part.n, part.letter)
		}
	}
	return cmp.Or(b.String(), "0h")
}

// ParseSpan reads a span as restic's forget does: numbers of years, months, days
// and hours, such as 1y6m or 2d12h.
func ParseSpan(text string) (Span, error) {
	var d Span
	if text == "" {
		return d, fmt.Errorf("%q is no span of time; 1y6m, 30d and 12h are", text)
	}
	n, digits := 0, 0
	for _, c := range []byte(text) {
		if '0' <= c && c <= '9' {
			if n = n*10 + int(c-'0'); n > maxSpan {
				return Span{}, fmt.Errorf("%q has a number over %d", text, maxSpan)
			}
			digits++
			continue
		}
		i := slices.IndexFunc(d.parts(), func(part spanPart) bool { return part.letter == c })
		if i < 0 || digits == 0 {
			return Span{}, fmt.Errorf("%q is no span of time; 1y6m, 30d and 12h are", text)
		}
		*d.parts()[i].n = n
		n, digits = 0, 0
	}
	if digits > 0 {
		return Span{}, fmt.Errorf("%q ends without a unit: y, m, d or h", text)
	}
	return d, nil
}
