package records

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"russet/internal/vobject"
)

// Properties of which a person may have several values, by their numbers.
const (
	phoneProperty   = 3
	emailProperty   = 4
	addressProperty = 5
	dateProperty    = 12
	messageProperty = 13
	urlProperty     = 22
	relatedProperty = 23
	profileProperty = 46
)

// phoneTypes and placeTypes are the types of labels that iOS brings, by their names
// within _$!<>!$_ in lower case, or as they are.
var (
	phoneTypes = map[string][]string{
		"mobile": {"CELL"}, "iphone": {"IPHONE", "CELL"}, "home": {"HOME"}, "work": {"WORK"}, "main": {"MAIN"}, "pager": {"PAGER"},
		"homefax": {"HOME", "FAX"}, "workfax": {"WORK", "FAX"},
	}
	placeTypes = map[string][]string{"home": {"HOME"}, "work": {"WORK"}}
)

// typesOf returns the types that stand for a label, or the label where none do.
func typesOf(label string, known map[string][]string) (types []string, rest string) {
	name := label
	if inner, ok := strings.CutPrefix(label, "_$!<"); ok {
		name = strings.ToLower(strings.TrimSuffix(inner, ">!$_"))
	} else if label != "iPhone" { // which is written without
		return nil, label
	}
	if types = known[strings.ToLower(name)]; types != nil {
		return slices.Clone(types), ""
	}
	return nil, label
}

// is reports whether v is of a property and says something.
func (w *card) is(v multiValue, property int64) bool {
	if v.property != property {
		return false
	}
	if strings.TrimSpace(v.text) == "" && len(v.parts) == 0 {
		w.s.note(v.row, "a value is empty")
		return false
	}
	return true
}

func (w *card) phone(v multiValue) {
	if w.is(v, phoneProperty) {
		types, label := typesOf(v.label, phoneTypes)
		w.labelled(vobject.NewLine("TEL", vobject.Text(v.text)), types, label)
	}
}

func (w *card) email(v multiValue) {
	if w.is(v, emailProperty) {
		types, label := typesOf(v.label, placeTypes)
		w.labelled(vobject.NewLine("EMAIL", vobject.Text(v.text)), append([]string{"INTERNET"}, types...), label)
	}
}

// address writes the parts of an address. What the standard has no field for goes
// into lines of the same group, as Apple does.
func (w *card) address(v multiValue) {
	if !w.is(v, addressProperty) {
		return
	}
	rest := maps.Clone(v.parts)
	take := func(key string) string {
		value := rest[key]
		delete(rest, key)
		return value
	}
	street := take("street")
	if len(v.parts) == 0 {
		street = v.text
	}
	value := structured("", "", street, take("city"), take("state"), take("zip"), take("country"))
	var more []vobject.Line
	for _, c := range []struct{ name, key string }{
		{"X-ABADR", "countrycode"},
		{"X-APPLE-SUBLOCALITY", "sublocality"},
		{"X-APPLE-SUBADMINISTRATIVEAREA", "subadministrativearea"},
	} {
		if text := take(c.key); text != "" {
			more = append(more, vobject.NewLine(c.name, vobject.Text(text)))
		}
	}
	w.left(v, rest)
	types, label := typesOf(v.label, placeTypes)
	w.labelled(vobject.NewLine("ADR", value), types, label, more...)
}

// left tells of the parts of a value that nothing was made of.
func (w *card) left(v multiValue, parts map[string]string) {
	for _, text := range parts {
		if text != "" {
			w.s.lost(v.row, "a part of a value of property %d has no place in a vCard", v.property)
		}
	}
}

func (w *card) url(v multiValue) {
	if w.is(v, urlProperty) {
		types, label := typesOf(v.label, placeTypes)
		// Escaped as text, which readers of 3.0 undo: of a bare comma a server that is
		// built on python-vobject, such as Radicale, keeps what stands before it.
		w.labelled(vobject.NewLine("URL", vobject.Text(uri(v.text))), types, label)
	}
}

// uri returns s as the value of a property whose values are not escaped.
func uri(s string) string { return strings.TrimSpace(oneLine(s)) }

// date writes an anniversary or another day.
func (w *card) date(v multiValue) {
	if !w.is(v, dateProperty) {
		return
	}
	d, ok := parseDay(v.text)
	if !ok {
		w.s.lost(v.row, "a date is none")
		w.unread("X-ABDATE")
		return
	}
	w.labelled(d.line("X-ABDATE"), nil, v.label)
}

func (w *card) related(v multiValue) {
	if w.is(v, relatedProperty) {
		w.labelled(vobject.NewLine("X-ABRELATEDNAMES", vobject.Text(v.text)), nil, v.label)
	}
}

// schemes are the schemes of messaging services' addresses; of others it is x-apple.
var schemes = map[string]string{
	"aim": "aim", "icq": "aim", "jabber": "xmpp", "googletalk": "xmpp", "facebook": "xmpp", "msn": "msnim", "skype": "skype", "yahoo": "ymsgr",
}

// message writes the address of a messaging service.
func (w *card) message(v multiValue) {
	if !w.is(v, messageProperty) {
		return
	}
	rest := maps.Clone(v.parts)
	service, user := oneLine(rest["service"]), oneLine(rest["username"])
	delete(rest, "service")
	delete(rest, "username")
	if len(v.parts) == 0 {
		user = oneLine(v.text)
	}
	w.left(v, rest)
	scheme := schemes[strings.ToLower(service)]
	if scheme == "" {
		scheme = "x-apple"
	}
	line := vobject.NewLine("IMPP", scheme+":"+escapeUser(user))
	if service != "" {
		line.Params = append(line.Params, vobject.Param{Name: "X-SERVICE-TYPE", Values: []string{service}})
	}
	types, label := typesOf(v.label, placeTypes)
	w.labelled(line, types, label)
}

// escapeUser writes a name into a URI; the at sign of addresses may stand as it is.
func escapeUser(user string) string {
	return strings.ReplaceAll(url.PathEscape(user), "%40", "@")
}

// profileParams are what is known of a social profile beside its address.
var profileParams = []struct{ param, key string }{
	{"X-USER", "username"},
	{"X-USERID", "identifier"},
	{"X-DISPLAYNAME", "displayname"},
	{"X-BUNDLEIDENTIFIERS", "bundleidentifiers"},
	{"X-TEAMIDENTIFIER", "teamidentifier"},
}

// profile writes a profile of a social network.
func (w *card) profile(v multiValue) {
	if !w.is(v, profileProperty) {
		return
	}
	rest := maps.Clone(v.parts)
	service, address, user := rest["service"], uri(rest["url"]), rest["username"]
	delete(rest, "service")
	delete(rest, "url")
	if len(v.parts) == 0 {
		address = uri(v.text)
	}
	if address == "" {
		address = "x-apple:" + escapeUser(oneLine(user))
	}
	line := vobject.NewLine("X-SOCIALPROFILE", address)
	var types []string
	if service != "" {
		types = []string{strings.ToLower(oneLine(service))}
	}
	for _, c := range profileParams {
		if text := oneLine(rest[c.key]); text != "" {
			line.Params = append(line.Params, vobject.Param{Name: c.param, Values: []string{text}})
		}
		delete(rest, c.key)
	}
	w.left(v, rest)
	w.labelled(line, types, v.label)
}

// other keeps what is of a property that no vCard has, such as a ring tone.
func (w *card) other(v multiValue) {
	if valueProperties[v.property] != nil {
		return
	}
	w.left(v, v.parts)
	if v.text != "" {
		number := vobject.Param{Name: "X-NUMBER", Values: []string{strconv.FormatInt(v.property, 10)}}
		w.labelled(vobject.NewLine(otherProperty, vobject.Text(v.text), number), nil, v.label)
	}
}
