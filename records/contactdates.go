package records

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"russet/internal/plist"
	"russet/internal/vobject"
)

// noYear is the year of a day without one.
const noYear = 1604

// day is a day of the Gregorian calendar.
type day struct {
	year, month, day int // the year may be noYear
}

// isoDay is a day as text: 1990-04-01, maybe with a time behind it, or --04-01.
var isoDay = regexp.MustCompile(`^(\d{4}-|--)(\d\d)-?(\d\d)(?:$|[T ])`)

// parseDay reads a day: Cocoa seconds at noon, UTC, or ISO 8601.
func parseDay(text string) (day, bool) {
	text = strings.TrimSpace(text)
	if m := isoDay.FindStringSubmatch(text); m != nil {
		d := day{year: noYear}
		if m[1] != "--" {
			d.year, _ = strconv.Atoi(m[1][:4])
		}
		d.month, _ = strconv.Atoi(m[2])
		d.day, _ = strconv.Atoi(m[3])
		t := time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC)
		return d, d.year > 0 && int(t.Month()) == d.month && t.Day() == d.day
	}
	seconds, err := strconv.ParseFloat(text, 64)
	t, ok := cocoaTime(seconds)
	if err != nil || !ok || seconds == 0 || seconds == -1 { // 0 and -1 stand for none
		return day{}, false
	}
	return day{year: t.Year(), month: int(t.Month()), day: t.Day()}, true
}

// String returns the day as YYYY-MM-DD.
func (d day) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day) }

// line returns a line of that day. A year that is none is marked as Apple does.
func (d day) line(name string) vobject.Line {
	l := vobject.NewLine(name, d.String())
	if d.year == noYear {
		l.Params = []vobject.Param{{Name: "X-APPLE-OMIT-YEAR", Values: []string{strconv.Itoa(noYear)}}}
	}
	return l
}

func (w *card) birthdays() {
	if text := w.p.birthday; strings.TrimSpace(text) != "" {
		if d, ok := parseDay(text); ok {
			w.c.Add(d.line("BDAY"))
		} else {
			w.s.lost(w.p.row, "the birthday is no date")
			w.unread("BDAY")
		}
	}
	data := w.p.alternateBirthday
	if len(data) == 0 {
		return
	}
	if l, ok := alternateBirthday(data); ok {
		w.c.Add(l)
		return
	}
	w.s.note(w.p.row, "the birthday of another calendar is not understood, and kept as it is")
	w.add("X-ALTBDAY", base64.StdEncoding.EncodeToString(data), vobject.Param{Name: "ENCODING", Values: []string{"b"}})
}

// alternateBirthday reads a birthday of another calendar: a property list with the
// calendar's name, era, year, month and day, plain or as an NSKeyedArchiver wrote
// date components. A day without a year is --MM-DD.
func alternateBirthday(data []byte) (vobject.Line, bool) {
	var list any
	if plist.Unmarshal(data, &list) != nil {
		return vobject.Line{}, false
	}
	calendar, numbers := "", map[string]int64{}
	var read func(v any, key string, depth int)
	read = func(v any, key string, depth int) {
		key = strings.ToLower(strings.TrimPrefix(key, "NS."))
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				if depth > 0 {
					read(inner, k, depth-1)
				}
			}
		case []any:
			for _, inner := range v {
				if depth > 0 {
					read(inner, "", depth-1)
				}
			}
		case string:
			if key == "calendar" || key == "calendaridentifier" || key == "identifier" || calendars[v] {
				calendar = strings.ToLower(spaced(v))
			}
		case uint64:
			numbers[key] = int64(v)
		case int64:
			numbers[key] = v
		case bool:
			if v {
				numbers[key] = 1
			}
		}
	}
	read(list, "", 4)
	month, day := numbers["month"], numbers["day"]
	if calendar == "" || month < 1 || month > 13 || day < 1 || day > 32 {
		return vobject.Line{}, false
	}
	value := fmt.Sprintf("--%02d-%02d", month, day)
	if year := numbers["year"]; year > 0 && year < 10_000 {
		value = fmt.Sprintf("%04d-%02d-%02d", year, month, day)
	}
	l := vobject.NewLine("X-ALTBDAY", value, vobject.Param{Name: "CALSCALE", Values: []string{calendar}})
	if era := numbers["era"]; era > 0 {
		l.Params = append(l.Params, vobject.Param{Name: "X-ERA", Values: []string{strconv.FormatInt(era, 10)}})
	}
	if numbers["isleapmonth"]+numbers["leapmonth"] > 0 {
		l.Params = append(l.Params, vobject.Param{Name: "X-LEAP-MONTH", Values: []string{"1"}})
	}
	return l, true
}

// calendars are the names of calendars that an archive holds among its objects.
var calendars = map[string]bool{
	"chinese": true, "hebrew": true, "islamic": true, "islamic-civil": true, "islamic-umalqura": true, "islamic-tbla": true, "persian": true,
	"indian": true, "buddhist": true, "japanese": true, "coptic": true, "ethiopic": true, "ethiopic-amete-alem": true, "roc": true, "gregorian": true,
	"dangi": true, "vietnamese": true,
}
