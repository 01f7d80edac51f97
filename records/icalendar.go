package records

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"russet/internal/vobject"
)

// The forms in which iCalendar writes times (RFC 5545 3.3.4, 3.3.5).
const (
	dateForm  = "20060102"
	localForm = "20060102T150405"
	utcForm   = "20060102T150405Z"
)

// clock says how an object writes its times.
type clock struct {
	zone     *zone // whose clock it is; UTC's of floating times, which are kept so
	floating bool  // the same on every clock of the world
	date     bool  // days, not times
}

// local returns t as c's clock shows it, written as if that were UTC.
func (c clock) local(t time.Time) time.Time {
	t = t.In(c.zone.loc)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// until returns a rule's last moment as RRULE wants it: in UTC, unless the object
// has dates or floating times.
func (c clock) until(t time.Time) string {
	switch {
	case c.date:
		return c.local(t).Format(dateForm)
	case c.floating:
		return c.local(t).Format(localForm)
	}
	return t.UTC().Format(utcForm)
}

// calendarObject is a VCALENDAR in the making.
type calendarObject struct {
	parts []*vobject.Component
	years map[*zone]int // the zones that are used, and from which year on
}

// time returns a line with a time on c's clock, and notes that its zone is used.
func (o *calendarObject) time(name string, c clock, t time.Time) vobject.Line {
	local := c.local(t)
	switch {
	case c.date:
		return vobject.NewLine(name, local.Format(dateForm), vobject.Param{Name: "VALUE", Values: []string{"DATE"}})
	case c.floating:
		return vobject.NewLine(name, local.Format(localForm))
	case c.zone.id == "":
		return vobject.NewLine(name, local.Format(utcForm))
	}
	if year, ok := o.years[c.zone]; !ok || local.Year() < year {
		if o.years == nil {
			o.years = map[*zone]int{}
		}
		o.years[c.zone] = local.Year()
	}
	return vobject.NewLine(name, local.Format(localForm), vobject.Param{Name: "TZID", Values: []string{c.zone.id}})
}

// component returns the whole, with the VTIMEZONE of each zone that is used.
func (o *calendarObject) component() *vobject.Component {
	c := vobject.New("VCALENDAR")
	c.Add(vobject.NewLine("VERSION", "2.0"), vobject.NewLine("PRODID", "-//Russet//Russet//EN"))
	var zones []*zone
	for z := range o.years {
		zones = append(zones, z)
	}
	slices.SortFunc(zones, func(a, b *zone) int { return strings.Compare(a.id, b.id) })
	for _, z := range zones {
		c.AddPart(z.component(o.years[z]))
	}
	for _, p := range o.parts {
		c.AddPart(p)
	}
	return c
}

// addText adds a text property, unless there is no text.
func addText(c *vobject.Component, name, text string) {
	if text = strings.TrimSpace(text); text != "" {
		c.Add(vobject.NewLine(name, vobject.Text(text)))
	}
}

// addURI adds a property whose value is a URI, unless it cannot be one.
func addURI(c *vobject.Component, name, uri string, params ...vobject.Param) {
	if uri = cleanURI(uri); uri != "" {
		c.Add(vobject.NewLine(name, uri, params...))
	}
}

// cleanURI returns s without what no URI holds: control characters and spaces.
func cleanURI(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// addStamps adds when the object was made and changed. DTSTAMP, which there must
// be, is the same as long as the object is.
func addStamps(c *vobject.Component, created, modified time.Time) {
	stamp := modified
	if stamp.IsZero() {
		stamp = created
	}
	if stamp.IsZero() {
		stamp = time.Unix(0, 0).UTC()
	}
	c.Add(vobject.NewLine("DTSTAMP", stamp.Format(utcForm)))
	if !created.IsZero() {
		c.Add(vobject.NewLine("CREATED", created.Format(utcForm)))
	}
	if !modified.IsZero() {
		c.Add(vobject.NewLine("LAST-MODIFIED", modified.Format(utcForm)))
	}
}

// location is a place of the store.
type location struct {
	title, address string
	lat, lon       float64
	known          bool // lat and lon are
	radius         float64
	bad            bool // something of it could not be read
}

func (l location) text() string {
	title, address := strings.TrimSpace(l.title), strings.TrimSpace(l.address)
	switch {
	case title == "" || strings.HasPrefix(address, title):
		return address
	case address == "" || strings.Contains(title, address):
		return title
	}
	return title + "\n" + address
}

// line returns X-APPLE-STRUCTURED-LOCATION, in which Apple's clients keep a place
// on the map.
func (l location) line() vobject.Line {
	oneLine := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), ", ")
	}
	params := []vobject.Param{{Name: "VALUE", Values: []string{"URI"}}}
	if l.address != "" {
		params = append(params, vobject.Param{Name: "X-ADDRESS", Values: []string{oneLine(l.address)}})
	}
	if l.radius > 0 {
		params = append(params, vobject.Param{Name: "X-APPLE-RADIUS", Values: []string{decimal(l.radius)}})
	}
	if l.title != "" {
		params = append(params, vobject.Param{Name: "X-TITLE", Values: []string{oneLine(l.title)}})
	}
	return vobject.NewLine("X-APPLE-STRUCTURED-LOCATION", "geo:"+decimal(l.lat)+","+decimal(l.lon), params...)
}

// coordinates reads a position; ok is false of none. Zero and zero is how stores
// say that they know none.
func coordinates(r row, latitude, longitude string) (lat, lon float64, ok bool) {
	lat, latOK := r.number(latitude)
	lon, lonOK := r.number(longitude)
	ok = latOK && lonOK && math.Abs(lat) <= 90 && math.Abs(lon) <= 180 && (lat != 0 || lon != 0)
	return lat, lon, ok
}

// decimal writes a number to the millionth: a place to the hand's breadth.
func decimal(f float64) string {
	text := strings.TrimRight(strconv.FormatFloat(f, 'f', 6, 64), "0")
	return strings.TrimSuffix(text, ".")
}

// duration writes seconds as iCalendar does (RFC 5545 3.3.6): -PT15M, P1D.
func duration(seconds int64) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	if seconds == 0 {
		return "PT0S"
	}
	var b strings.Builder
	b.WriteString(sign + "P")
	if days := seconds / 86400; days > 0 {
		fmt.Fprintf(&b, "%dD", days)
	}
	if seconds %= 86400; seconds > 0 {
		b.WriteByte('T')
	}
	for _, u := range []struct {
		size int64
		name string
	}{{3600, "H"}, {60, "M"}, {1, "S"}} {
		if n := seconds / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
		}
		seconds %= u.size
	}
	return b.String()
}
