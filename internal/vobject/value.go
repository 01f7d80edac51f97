package vobject

import (
	"slices"
	"strconv"
	"strings"
)

// form is how the values of a property are spelled.
type form int

const (
	text form = iota // what no table names
	fields
	uri
	clock
	day
	duration
	word
	lower
	place
	rule
)

// forms are the forms of the values that are not just text.
var forms = map[string]form{
	"N": fields, "ADR": fields, "ORG": fields,
	"URL": uri, "ATTENDEE": uri, "ORGANIZER": uri, "IMPP": uri, "RELATED": uri, "MEMBER": uri, "SOURCE": uri, "FBURL": uri,
	"CALURI": uri, "CALADRURI": uri, "TEL": uri, "CONFERENCE": uri, "PHOTO": uri, "LOGO": uri, "SOUND": uri, "KEY": uri,
	"ATTACH": uri, "IMAGE": uri, "TZURL": uri, "X-SOCIALPROFILE": uri, "X-APPLE-STRUCTURED-LOCATION": uri,
	"X-ADDRESSBOOKSERVER-MEMBER": uri,
	"DTSTART":                    clock, "DTEND": clock, "DUE": clock, "COMPLETED": clock, "RECURRENCE-ID": clock, "EXDATE": clock, "RDATE": clock,
	"FREEBUSY": clock,
	"BDAY":     day, "ANNIVERSARY": day, "DEATHDATE": day, "X-ANNIVERSARY": day, "X-ABDATE": day,
	"TRIGGER": duration, "DURATION": duration, "X-APPLE-TRAVEL-DURATION": duration,
	"TRANSP": word, "CLASS": word, "STATUS": word, "ACTION": word,
	"KIND": lower, "X-ABADR": lower,
	"GEO":   place,
	"RRULE": rule, "EXRULE": rule,
}

// canonicalValue returns the value of a line in one spelling.
func canonicalValue(l Line) string {
	if sum, ok := media(l); ok {
		return sum
	}
	return spelled(l, l.Value)
}

// spelled returns v, the value of a line that holds no media, or one value of its list,
// in one spelling.
func spelled(l Line, v string) string {
	switch forms[l.Name] {
	case fields:
		return canonicalFields(l, v)
	case uri:
		return canonicalURI(l.decode(v))
	case clock:
		return canonicalTime(l, v)
	case day:
		return canonicalDay(l, v)
	case duration:
		return canonicalDuration(l, v)
	case word:
		return strings.ToUpper(strings.TrimSpace(v))
	case lower:
		return strings.ToLower(strings.TrimSpace(v))
	case place:
		return canonicalPlace(v)
	case rule:
		return canonicalRule(v)
	default:
		return canonicalText(l.decode(v))
	}
}

// canonicalText returns the text that v stands for, without blanks around it.
func canonicalText(v string) string { return strings.TrimSpace(lineEnds(Unescape(v))) }

// canonicalFields returns a structured value with the same escapes everywhere and
// without empty components at its end.
func canonicalFields(l Line, v string) string {
	parts := Fields(v)
	for i, f := range parts {
		f = strings.ReplaceAll(canonicalText(l.decode(f)), `\`, `\\`)
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(f, ";", `\;`), "\n", `\n`)
	}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ";")
}

// canonicalPlace returns latitude and longitude with the shortest digits; geo:
// of vCard 4 goes.
func canonicalPlace(v string) string {
	v = strings.TrimPrefix(canonicalURI(v), "geo:")
	numbers := strings.FieldsFunc(v, func(r rune) bool { return r == ';' || r == ',' })
	if len(numbers) != 2 {
		return v
	}
	for i, s := range numbers {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return v
		}
		numbers[i] = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strings.Join(numbers, ";")
}

// canonicalURI returns a URI, or the number of a TEL that is none. No backslash can
// stand in one: those that servers put before commas and colons go.
func canonicalURI(v string) string {
	v = strings.TrimSpace(strings.ReplaceAll(v, `\`, ""))
	scheme, rest, ok := strings.Cut(v, ":")
	if !ok {
		return v
	}
	switch strings.ToLower(scheme) {
	case "mailto":
		return strings.ToLower(v)
	case "tel":
		return rest
	}
	return v
}

// canonicalTime returns a date, a time or a period: UTC under any name ends in Z.
func canonicalTime(l Line, v string) string {
	utc := isUTC(zoneName(l.Param("TZID")))
	parts := strings.Split(strings.ToUpper(v), "/")
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if utc && strings.Contains(p, "T") && !strings.HasSuffix(p, "Z") && !strings.HasPrefix(p, "P") {
			p += "Z"
		}
		parts[i] = p
	}
	return strings.Join(parts, "/")
}

// canonicalDay returns a date of a vCard in the basic form, 19850412 or --0412.
func canonicalDay(l Line, v string) string {
	v = canonicalText(l.decode(v))
	date, clock, timed := strings.Cut(v, "T")
	if strings.Trim(date, "0123456789-") != "" || len(date) < 8 && !strings.HasPrefix(date, "--") {
		return v // a text, or a date that is not whole
	}
	date = strings.ReplaceAll(strings.TrimPrefix(date, "--"), "-", "")
	switch year := l.Param("X-APPLE-OMIT-YEAR"); {
	case len(date) == 4:
		date = "--" + date
	case len(date) != 8:
		return v
	case year != "" && strings.HasPrefix(date, year):
		date = "--" + date[4:]
	}
	if timed && strings.Trim(clock, "0:Z.") != "" {
		date += "T" + strings.ReplaceAll(clock, ":", "")
	}
	return date
}

// canonicalDuration returns a duration in seconds, as -PT900S; a TRIGGER may be a
// time instead.
func canonicalDuration(l Line, v string) string {
	v = strings.ToUpper(strings.TrimSpace(v))
	rest, minus := strings.CutPrefix(strings.TrimPrefix(v, "+"), "-")
	rest, ok := strings.CutPrefix(rest, "P")
	if !ok {
		return canonicalTime(l, v)
	}
	var seconds, n int64
	digits := 0
	for _, r := range rest {
		unit := int64(0)
		switch r {
		case 'W':
			unit = 7 * 24 * 3600
		case 'D':
			unit = 24 * 3600
		case 'H':
			unit = 3600
		case 'M':
			unit = 60
		case 'S':
			unit = 1
		case 'T':
			continue
		default:
			if r < '0' || r > '9' || digits == 9 {
				return v
			}
			n, digits = n*10+int64(r-'0'), digits+1
			continue
		}
		seconds, n, digits = seconds+n*unit, 0, 0
	}
	sign := ""
	if minus && seconds != 0 {
		sign = "-"
	}
	return sign + "PT" + strconv.FormatInt(seconds, 10) + "S"
}

// canonicalRule returns a recurrence rule with its parts and their lists sorted,
// without those that are the default.
func canonicalRule(v string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.ToUpper(Unescape(strings.TrimSpace(v))), ";") {
		name, list, _ := strings.Cut(strings.TrimSpace(part), "=")
		values := strings.Split(list, ",")
		for i, s := range values {
			values[i] = strings.TrimPrefix(strings.TrimSpace(s), "+")
		}
		slices.Sort(values)
		part = name + "=" + strings.Join(values, ",")
		if part != "=" && part != "INTERVAL=1" && part != "WKST=MO" {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ";")
}
