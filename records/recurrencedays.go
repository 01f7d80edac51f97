package records

import (
	"iter"
	"slices"
	"time"
)

// times yields when a rule says that something takes place, on a clock that is
// written as UTC, from start on and not after end, in order. COUNT and UNTIL are
// the caller's. Periods without any day cost little, and there are none after end.
func (r *rule) times(start, end time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		w := r.completed(start)
		day := midnight(start)
		clock := start.Sub(day)
		for n := 0; ; n++ {
			first, last := w.period(day, n*max(1, r.interval))
			if first.After(end) {
				return
			}
			for _, d := range w.placed(w.daysOf(first, last)) {
				t := d.Add(clock)
				if t.After(end) {
					return
				}
				if !t.Before(start) && !yield(t) {
					return
				}
			}
		}
	}
}

// completed returns the rule with what it leaves to its start (RFC 5545 3.3.10).
func (r *rule) completed(start time.Time) *rule {
	w := *r
	weekdayOfStart := []weekday{{day: weekdays[start.Weekday()+1]}}
	switch {
	case len(w.days)+len(w.yearDays)+len(w.monthDays) > 0:
	case len(w.weeks) > 0 || w.freq == "WEEKLY":
		w.days = weekdayOfStart
	case w.freq == "MONTHLY":
		w.monthDays = []int{start.Day()}
	case w.freq == "YEARLY":
		w.monthDays = []int{start.Day()}
		if len(w.months) == 0 {
			w.months = []int{int(start.Month())}
		}
	}
	return &w
}

// period returns the first and the last day of the period that is n days, weeks,
// months or years after the one of day.
func (r *rule) period(day time.Time, n int) (first, last time.Time) {
	switch r.freq {
	case "DAILY":
		first = day.AddDate(0, 0, n)
		return first, first
	case "WEEKLY":
		first = weekOf(day, r.firstDay()).AddDate(0, 0, 7*n)
		return first, first.AddDate(0, 0, 6)
	case "MONTHLY":
		first = time.Date(day.Year(), day.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		return first, first.AddDate(0, 1, -1)
	}
	first = time.Date(day.Year()+n, 1, 1, 0, 0, 0, 0, time.UTC)
	return first, first.AddDate(1, 0, -1)
}

func (r *rule) firstDay() time.Weekday {
	if i := slices.Index(weekdays[:], r.weekStart); i > 0 {
		return time.Weekday(i - 1)
	}
	return time.Monday
}

// weekOf returns the first day of the week that a day is in.
func weekOf(day time.Time, first time.Weekday) time.Time {
	return day.AddDate(0, 0, -int((day.Weekday()-first+7)%7))
}

// daysOf returns the days of a period that the rule names.
func (r *rule) daysOf(first, last time.Time) []time.Time {
	var found []time.Time
	for d := first; !d.After(last); d = d.AddDate(0, 0, 1) {
		if len(r.months) > 0 && !slices.Contains(r.months, int(d.Month())) {
			d = time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC) // the last of the month
			continue
		}
		length := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
		if !among(r.monthDays, d.Day(), length) || !among(r.yearDays, d.YearDay(), yearLength(d.Year())) {
			continue
		}
		if r.inWeeks(d) && r.onDays(d, length) {
			found = append(found, d)
		}
	}
	return found
}

// among reports whether a list, counted from either end, has the n-th of so many;
// an empty one has all.
func among(list []int, n, of int) bool {
	return len(list) == 0 || slices.Contains(list, n) || slices.Contains(list, n-of-1)
}

func yearLength(year int) int { return time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay() }

// inWeeks reports whether a day is in one of the rule's weeks. The first one of a
// year has four days of it at least.
func (r *rule) inWeeks(d time.Time) bool {
	if len(r.weeks) == 0 {
		return true
	}
	week := weekOf(d, r.firstDay())
	year := week.AddDate(0, 0, 3).Year()
	begin := func(year int) time.Time { return weekOf(time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC), r.firstDay()) }
	const length = 7 * 24 * time.Hour
	return among(r.weeks, int(week.Sub(begin(year))/length)+1, int(begin(year+1).Sub(begin(year))/length))
}

// onDays reports whether a day is one of the rule's weekdays: the n-th of its
// month, or, where a yearly rule names no month, of its year.
func (r *rule) onDays(d time.Time, monthLength int) bool {
	if len(r.days) == 0 {
		return true
	}
	name := weekdays[d.Weekday()+1]
	at, of := d.Day(), monthLength
	if r.freq == "YEARLY" && len(r.months) == 0 {
		at, of = d.YearDay(), yearLength(d.Year())
	}
	forward, backward := (at+6)/7, -((of - at + 7) / 7)
	return slices.ContainsFunc(r.days, func(w weekday) bool {
		return w.day == name && (w.nth == 0 || w.nth == forward || w.nth == backward)
	})
}

// placed returns those days of a period that have one of the rule's set positions.
func (r *rule) placed(days []time.Time) []time.Time {
	if len(r.places) == 0 {
		return days
	}
	var found []time.Time
	for i, d := range days {
		if among(r.places, i+1, len(days)) {
			found = append(found, d)
		}
	}
	return found
}
