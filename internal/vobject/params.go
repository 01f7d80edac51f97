package vobject

import (
	"slices"
	"strings"
)

// silent are parameters that say nothing, or nothing more once the value is read.
const silent = " VALUE ENCODING CHARSET SCHEDULE-AGENT SCHEDULE-STATUS SCHEDULE-FORCE-SEND X-APPLE-OMIT-YEAR "

// caseless are the parameters whose values say the same in any case.
const caseless = " TYPE CUTYPE ROLE PARTSTAT RSVP RELTYPE RELATED RANGE FBTYPE LANGUAGE MEDIATYPE EMAIL X-SERVICE-TYPE X-ABADR "

// defaultParams are parameters that say what their absence says.
const defaultParams = " CUTYPE=individual ROLE=req-participant PARTSTAT=needs-action RSVP=false RELTYPE=parent RELATED=start FBTYPE=busy "

// mediaTypes are the parameters that name the type of media.
const mediaTypes = " TYPE MEDIATYPE FMTTYPE "

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
		if oneOf(silent, name) || strings.HasPrefix(name, "X-VOBJ-") || inline && oneOf(mediaTypes, name) {
			continue
		}
		for _, v := range p.Values {
			if name == "TYPE" { // quoted by some, as TYPE="CELL,VOICE"
				for t := range strings.SplitSeq(strings.ToLower(v), ",") {
					if t = strings.TrimSpace(t); t != "" && !(t == "internet" && l.Name == "EMAIL") && !(t == "voice" && l.Name == "TEL") {
						params = append(params, name+"="+escapeParam(t))
					}
				}
				continue
			}
			if v = canonicalParam(name, v); v != "" && !oneOf(defaultParams, name+"="+v) {
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
	switch {
	case name == "TZID":
		if v = zoneName(v); isUTC(v) {
			return ""
		}
		return v
	case oneOf(caseless, name):
		return strings.ToLower(v)
	case name == "SENT-BY" || name == "DELEGATED-TO" || name == "DELEGATED-FROM" || name == "MEMBER":
		return canonicalURI(v)
	}
	return strings.TrimSpace(lineEnds(v))
}

// areas are the first words of the tz database's names; the others are whole names.
const (
	areas       = " Africa America Antarctica Arctic Asia Atlantic Australia Brazil Canada Chile Etc Europe Indian Mexico Pacific US "
	singleZones = " UTC GMT Zulu UCT Universal Greenwich GMT0 GMT+0 GMT-0 CET MET EET WET EST MST HST EST5EDT CST6CDT MST7MDT PST8PDT " +
		"Cuba Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya NZ NZ-CHAT Navajo PRC Poland " +
		"Portugal ROC ROK Singapore Turkey W-SU "
)

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
