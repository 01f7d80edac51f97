package vobject

import (
	"slices"
	"strings"
)

// spelling is how the values of a parameter are compared.
type spelling int

const (
	exact    spelling = iota // what no table names
	caseless                 // the same in any case
	address                  // a URI
	zone                     // a TZID
	silent                   // says nothing, or nothing more once the value is read
)

// spellings are those of the parameters that are not compared as they stand.
var spellings = map[string]spelling{
	"VALUE": silent, "ENCODING": silent, "CHARSET": silent, "X-APPLE-OMIT-YEAR": silent,
	"SCHEDULE-AGENT": silent, "SCHEDULE-STATUS": silent, "SCHEDULE-FORCE-SEND": silent,
	"X-VOBJ-FLOATINGTIME-ALLOWED": silent, "X-VOBJ-ORIGINAL-TZID": silent,
	"TYPE": caseless, "CUTYPE": caseless, "ROLE": caseless, "PARTSTAT": caseless, "RSVP": caseless, "RELTYPE": caseless,
	"RELATED": caseless, "RANGE": caseless, "FBTYPE": caseless, "LANGUAGE": caseless, "MEDIATYPE": caseless, "EMAIL": caseless,
	"X-SERVICE-TYPE": caseless,
	"SENT-BY":        address, "DELEGATED-TO": address, "DELEGATED-FROM": address, "MEMBER": address,
	"TZID": zone,
}

// noise are parameters that say what their absence says.
var noise = map[Property]bool{
	{Name: "EMAIL", Params: "TYPE", Value: "internet"}:            true,
	{Name: "TEL", Params: "TYPE", Value: "voice"}:                 true,
	{Name: "ATTENDEE", Params: "CUTYPE", Value: "individual"}:     true,
	{Name: "ATTENDEE", Params: "ROLE", Value: "req-participant"}:  true,
	{Name: "ATTENDEE", Params: "PARTSTAT", Value: "needs-action"}: true,
	{Name: "ATTENDEE", Params: "RSVP", Value: "false"}:            true,
	{Name: "RELATED-TO", Params: "RELTYPE", Value: "parent"}:      true,
	{Name: "TRIGGER", Params: "RELATED", Value: "start"}:          true,
	{Name: "FREEBUSY", Params: "FBTYPE", Value: "busy"}:           true,
}

// mediaTypes are the parameters that name the type of media.
var mediaTypes = map[string]bool{"TYPE": true, "MEDIATYPE": true, "FMTTYPE": true}

// canonicalParams returns the parameters of a line, and labels, in one spelling:
// each value by itself, sorted, each once.
func canonicalParams(l Line, labels []string) string {
	if len(l.Params) == 0 && len(labels) == 0 {
		return ""
	}
	params := slices.Clone(labels)
	_, inline := inlineData(l)
	for _, p := range l.Params {
		name := strings.ToUpper(p.Name)
		if inline && mediaTypes[name] {
			continue
		}
		values := p.Values
		if name == "TYPE" { // in quotes by some, as TYPE="CELL,VOICE"
			values = strings.Split(strings.Join(values, ","), ",")
		}
		for _, v := range values {
			if v = canonicalParam(name, v); v != "" && !noise[Property{Name: l.Name, Params: name, Value: v}] {
				params = append(params, name+"="+escapeParam(v))
			}
		}
	}
	slices.Sort(params)
	return strings.Join(slices.Compact(params), ";")
}

// canonicalParam returns the value of a parameter in one spelling, "" where it says
// nothing.
func canonicalParam(name, v string) string {
	v = strings.TrimSpace(withoutControls(lineEnds(v)))
	switch spellings[name] {
	case silent:
		return ""
	case caseless:
		return strings.ToLower(v)
	case address:
		return canonicalURI(v)
	case zone:
		if v = zoneName(v); isUTC(v) {
			return ""
		}
	}
	return v
}

// areas are the first words of the tz database's names; singleZones are whole names.
const (
	areas       = " Africa America Antarctica Arctic Asia Atlantic Australia Brazil Canada Chile Etc Europe Indian Mexico Pacific US "
	singleZones = " UTC GMT Zulu UCT Universal Greenwich GMT0 GMT+0 GMT-0 CET MET EET WET EST MST HST EST5EDT CST6CDT MST7MDT PST8PDT " +
		"Cuba Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya NZ NZ-CHAT Navajo PRC Poland " +
		"Portugal ROC ROK Singapore Turkey W-SU "
)

// oneOf reports whether name is in a list of words with blanks around each.
func oneOf(list, name string) bool { return strings.Contains(list, " "+name+" ") }

// isZone reports whether a TZID has the form of a name of the tz database. The
// form, and not the database of this computer, decides: the answer must be the same
// everywhere and for ever.
func isZone(tzid string) bool {
	name := zoneName(tzid)
	area, place, ok := strings.Cut(name, "/")
	if !ok {
		return oneOf(singleZones, name)
	}
	return oneOf(areas, area) && place != ""
}

// zoneName takes what some programs put before a name of the tz database off, as in
// /freeassociation.sourceforge.net/Europe/Berlin (RFC 5545 3.8.3.1).
func zoneName(tzid string) string {
	tzid = strings.TrimSpace(tzid)
	if !strings.HasPrefix(tzid, "/") {
		return tzid
	}
	words := strings.Split(tzid, "/")
	for i, w := range words[:len(words)-1] {
		if w != "" && oneOf(areas, w) {
			return strings.Join(words[i:], "/")
		}
	}
	return tzid
}

// isUTC reports whether a zone is UTC under another name.
func isUTC(zone string) bool {
	return oneOf(" UTC GMT ZULU UCT UNIVERSAL ETC/UTC ETC/GMT ETC/ZULU ETC/UCT ETC/UNIVERSAL ", strings.ToUpper(zone))
}
