package records

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits on a rule that a store holds.
const (
	maxSpecifier  = 4 << 10 // bytes
	maxRuleValues = 400     // values of one part: more than there are days in a year
	maxInterval   = 10_000
	maxCount      = 1_000_000
)

// weekdays in iCalendar's spelling, in the order in which stores count them: 1 is
// Sunday.
var weekdays = [...]string{"", "SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// weekday is a day of the week with its ordinal: the second Tuesday, the last
// Friday (-1), or every one (0).
type weekday struct {
	nth int
	day string
}

// rule is a recurrence rule: what RRULE (RFC 5545 3.3.10) can say of the four
// frequencies that phones have.
type rule struct {
	freq      string // DAILY, WEEKLY, MONTHLY, YEARLY
	interval  int    // 0 is 1
	count     int    // 0 is none
	until     string // as RRULE has it; "" is none, and so it is where count is given
	weekStart string // "" is not said

	days                                       []weekday
	months, weeks, yearDays, monthDays, places []int
}

// parseSpecifier adds what Calendar.sqlitedb's Recurrence.specifier says to r:
// parts separated by semicolons, each a letter, an equals sign and values
// separated by commas. D are weekdays with ordinals (0MO, +2SU, -1FR), M days of
// the month, O months, S set positions, Y days of the year, W weeks.
func (r *rule) parseSpecifier(s string) error {
	if len(s) > maxSpecifier {
		return fmt.Errorf("read recurrence: the specifier is %d bytes long", len(s))
	}
	seen := ""
	for part := range strings.SplitSeq(s, ";") {
		if part == "" {
			continue
		}
		key, list, ok := strings.Cut(part, "=")
		if !ok || len(key) != 1 || !strings.Contains("DMOSYW", key) {
			return fmt.Errorf("read recurrence: part %d of the specifier has a key that is not known", len(seen)+1)
		}
		if strings.Contains(seen, key) {
			return fmt.Errorf("read recurrence: the specifier has %s twice", key)
		}
		seen += key
		values := strings.Split(list, ",")
		if len(values) > maxRuleValues {
			return fmt.Errorf("read recurrence: the specifier has %d values of %s", len(values), key)
		}
		for _, v := range values {
			if err := r.add(key, strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds one value of a specifier's part.
func (r *rule) add(key, value string) error {
	if key == "D" {
		if len(value) < 2 {
			return fmt.Errorf("read recurrence: a weekday of %d letters", len(value))
		}
		number, day := value[:len(value)-2], strings.ToUpper(value[len(value)-2:])
		nth := 0
		if number != "" {
			n, err := strconv.Atoi(number)
			if err != nil {
				return fmt.Errorf("read recurrence: a weekday's ordinal is no number")
			}
			nth = n
		}
		r.days = append(r.days, weekday{nth: nth, day: day})
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("read recurrence: a value of %s is no number", key)
	}
	into := map[string]*[]int{"M": &r.monthDays, "O": &r.months, "S": &r.places, "Y": &r.yearDays, "W": &r.weeks}[key]
	*into = append(*into, n)
	return nil
}

// check refuses what RFC 5545 does not allow, orders what has no order, and drops
// ordinals where they mean nothing.
func (r *rule) check() error {
	switch {
	case !slices.Contains([]string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}, r.freq):
		return fmt.Errorf("read recurrence: the frequency is not known")
	case r.interval < 0 || r.interval > maxInterval:
		return fmt.Errorf("read recurrence: an interval of %d", r.interval)
	case r.count < 0 || r.count > maxCount:
		return fmt.Errorf("read recurrence: a count of %d", r.count)
	case len(r.weeks) > 0 && r.freq != "YEARLY":
		return fmt.Errorf("read recurrence: %s has week numbers", r.freq)
	case len(r.yearDays) > 0 && r.freq != "YEARLY":
		return fmt.Errorf("read recurrence: %s has days of the year", r.freq)
	case len(r.monthDays) > 0 && r.freq == "WEEKLY":
		return fmt.Errorf("read recurrence: %s has days of the month", r.freq)
	case len(r.places) > 0 && len(r.days)+len(r.months)+len(r.weeks)+len(r.yearDays)+len(r.monthDays) == 0:
		return fmt.Errorf("read recurrence: set positions of no set")
	}
	for _, p := range []struct {
		name     string
		values   []int
		min, max int
	}{
		{"months", r.months, 1, 12},
		{"week numbers", r.weeks, -53, 53},
		{"days of the year", r.yearDays, -366, 366},
		{"days of the month", r.monthDays, -31, 31},
		{"set positions", r.places, -366, 366},
	} {
		slices.Sort(p.values)
		for _, v := range p.values {
			if v == 0 || v < p.min || v > p.max {
				return fmt.Errorf("read recurrence: %d among the %s", v, p.name)
			}
		}
	}
	r.months, r.weeks, r.yearDays = slices.Compact(r.months), slices.Compact(r.weeks), slices.Compact(r.yearDays)
	r.monthDays, r.places = slices.Compact(r.monthDays), slices.Compact(r.places)
	return r.checkDays()
}

func (r *rule) checkDays() error {
	for i, d := range r.days {
		if d.day == "" || !slices.Contains(weekdays[:], d.day) {
			return fmt.Errorf("read recurrence: a weekday that is none")
		}
		if r.freq == "DAILY" || r.freq == "WEEKLY" || len(r.weeks) > 0 {
			r.days[i].nth = 0
		}
		if n := r.days[i].nth; n < -53 || n > 53 || (r.freq == "MONTHLY" || len(r.months) > 0) && (n < -5 || n > 5) {
			return fmt.Errorf("read recurrence: weekday number %d", n)
		}
	}
	slices.SortFunc(r.days, func(a, b weekday) int {
		if a.nth != b.nth {
			return a.nth - b.nth
		}
		// The week begins with Monday, as it does where RRULE does not say.
		return (slices.Index(weekdays[:], a.day)+5)%7 - (slices.Index(weekdays[:], b.day)+5)%7
	})
	r.days = slices.Compact(r.days)
	if r.weekStart != "" && !slices.Contains(weekdays[1:], r.weekStart) {
		return fmt.Errorf("read recurrence: the week begins with no day")
	}
	return nil
}

// String returns r as RRULE's value.
func (r *rule) String() string {
	var b strings.Builder
	b.WriteString("FREQ=" + r.freq)
	if r.interval > 1 {
		b.WriteString(";INTERVAL=" + strconv.Itoa(r.interval))
	}
	if r.count > 0 {
		b.WriteString(";COUNT=" + strconv.Itoa(r.count))
	} else if r.until != "" {
		b.WriteString(";UNTIL=" + r.until)
	}
	if r.weekStart != "" {
		b.WriteString(";WKST=" + r.weekStart)
	}
	for _, p := range []struct {
		name   string
		values []int
	}{{"BYMONTH", r.months}, {"BYWEEKNO", r.weeks}, {"BYYEARDAY", r.yearDays}, {"BYMONTHDAY", r.monthDays}} {
		writeNumbers(&b, p.name, p.values)
	}
	for i, d := range r.days {
		if i == 0 {
			b.WriteString(";BYDAY=")
		} else {
			b.WriteByte(',')
		}
		if d.nth != 0 {
			b.WriteString(strconv.Itoa(d.nth))
		}
		b.WriteString(d.day)
	}
	writeNumbers(&b, "BYSETPOS", r.places)
	return b.String()
}

func writeNumbers(b *strings.Builder, name string, values []int) {
	for i, v := range values {
		if i == 0 {
			b.WriteString(";" + name + "=")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(v))
	}
}
