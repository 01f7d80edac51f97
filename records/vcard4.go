package records

import (
	"regexp"
	"slices"
	"strings"

	"russet/internal/vobject"
)

// VCard4 returns a card that Read made as a vCard 4.0 (RFC 6350). What 4.0 has no
// property for stays as it is. c is not changed.
func VCard4(c *vobject.Component) *vobject.Component {
	v := &upgrade{from: c, to: vobject.New(c.Name), grouped: map[[2]string]string{}, kept: map[string]bool{}}
	for _, l := range c.Lines {
		if l.Group != "" {
			v.grouped[[2]string{l.Group, l.Name}] = vobject.Unescape(l.Value)
		}
	}
	for _, l := range c.Lines {
		v.line(l)
	}
	return v.to
}

// upgrade is one card on its way to 4.0.
type upgrade struct {
	from, to    *vobject.Component
	grouped     map[[2]string]string // the text of a line of from by group and name
	kept        map[string]bool      // the groups that to has lines of
	anniversary bool                 // to has one, and may have no other
}

// isUUID knows the UIDs that become a URN.
var isUUID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func (v *upgrade) line(l vobject.Line) {
	group, params := l.Group, slices.Clone(l.Params)
	name, value := l.Name, l.Value
	switch name {
	case "VERSION":
		value = "4.0"
	case "UID":
		if isUUID.MatchString(value) {
			value = "urn:uuid:" + value
		} else {
			params = append(params, vobject.Param{Name: "VALUE", Values: []string{"text"}})
		}
	case "REV":
		value = strings.NewReplacer("-", "", ":", "").Replace(value)
	case "N":
		params = append(params, v.sortAs()...)
	case "X-ABSHOWAS":
		name, value = "KIND", "org"
	case "URL":
		value, params = vobject.Unescape(value), v.types(params) // a URI, which is not escaped
	case "TEL", "EMAIL", "IMPP":
		params = v.types(params)
	case "ADR":
		params = v.types(params)
		if cc := v.grouped[[2]string{group, "X-ABADR"}]; cc != "" {
			params = append(params, vobject.Param{Name: "CC", Values: []string{strings.ToUpper(cc)}}) // RFC 8605
		}
	case "X-ABADR":
		return
	case "BDAY":
		value, params = day4(value, params)
	case "X-ABDATE":
		if v.grouped[[2]string{group, "X-ABLABEL"}] == "_$!<Anniversary>!$_" && !v.anniversary {
			name, group, v.anniversary = "ANNIVERSARY", "", true
		}
		value, params = day4(value, params)
	case "X-ABRELATEDNAMES":
		name = "RELATED"
		if t := relations[v.grouped[[2]string{group, "X-ABLABEL"}]]; t != "" {
			params = append(params, vobject.Param{Name: "TYPE", Values: []string{t}})
		}
		params = append(params, vobject.Param{Name: "VALUE", Values: []string{"text"}})
	case "X-ABLABEL":
		if !v.kept[group] { // the property says by itself what its label said
			return
		}
	case "PHOTO":
		value, params = "data:image/"+strings.ToLower(param(params, "TYPE"))+";base64,"+value, nil
	}
	v.kept[group] = true
	v.to.Add(vobject.NewLine(name, value, params...).In(group))
}

// relations are the types of RELATED for labels that iOS brings.
var relations = map[string]string{
	"_$!<Spouse>!$_": "spouse", "_$!<Child>!$_": "child", "_$!<Son>!$_": "child", "_$!<Daughter>!$_": "child", "_$!<Parent>!$_": "parent",
	"_$!<Mother>!$_": "parent", "_$!<Father>!$_": "parent", "_$!<Brother>!$_": "sibling", "_$!<Sister>!$_": "sibling",
	"_$!<Friend>!$_": "friend", "_$!<Partner>!$_": "sweetheart", "_$!<Assistant>!$_": "agent", "_$!<Manager>!$_": "colleague",
}

// sortAs returns how a name is sorted by how it is spoken.
func (v *upgrade) sortAs() []vobject.Param {
	last, first := vobject.Unescape(v.from.Value("X-PHONETIC-LAST-NAME")), vobject.Unescape(v.from.Value("X-PHONETIC-FIRST-NAME"))
	if last == "" && first == "" {
		return nil
	}
	return []vobject.Param{{Name: "SORT-AS", Values: []string{spaced(last), spaced(first)}}}
}

// types returns parameters with the types of 4.0, which are in lower case. Those
// that it has not are marked.
func (v *upgrade) types(params []vobject.Param) []vobject.Param {
	var changed []vobject.Param
	for _, p := range params {
		if p.Name == "TYPE" {
			var types []string
			for _, t := range p.Values {
				switch t = strings.ToLower(t); t {
				case "internet":
				case "home", "work", "cell", "fax", "pager":
					types = append(types, t)
				default:
					types = append(types, "x-"+t)
				}
			}
			p.Values = types
		}
		if len(p.Values) > 0 {
			changed = append(changed, p)
		}
	}
	return changed
}

// day4 returns a day as 4.0 writes it: YYYYMMDD or --MMDD.
func day4(value string, params []vobject.Param) (string, []vobject.Param) {
	d, ok := parseDay(value)
	if !ok {
		return value, params
	}
	value = strings.ReplaceAll(d.String(), "-", "")
	if d.year == noYear {
		value = "--" + value[len("1604"):]
	}
	return value, slices.DeleteFunc(params, func(p vobject.Param) bool { return p.Name == "X-APPLE-OMIT-YEAR" })
}

// param returns the first value of a parameter, or "".
func param(params []vobject.Param, name string) string {
	for _, p := range params {
		if p.Name == name && len(p.Values) > 0 {
			return p.Values[0]
		}
	}
	return ""
}
