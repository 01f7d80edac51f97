// Package vobject reads and writes vCards (RFC 2426, RFC 6350) and iCalendar
// objects (RFC 5545) as what they are made of: content lines in components.
//
//	objects, err := vobject.Parse(data)
//	name := vobject.Unescape(objects[0].Value("FN"))
//	objects[0].Set(vobject.NewLine("NICKNAME", vobject.Text("Ada")))
//	data = objects[0].Bytes()
//
// A line that nobody touches is written as it was received, to the byte: what
// this package does not understand survives. Two objects that mean the same have
// the same canonical form (Canonical), whatever order, folding or spelling a
// server gave them.
package vobject

// Limits on what strangers send.
const (
	// MaxSize is the length in bytes of what Parse takes.
	MaxSize = 32 << 20
	// maxLines is how many content lines it may hold.
	maxLines = 500_000
	// maxDepth is how deep components may lie in each other.
	maxDepth = 8
)

// Param is a parameter of a line, such as TYPE=HOME,VOICE.
type Param struct {
	Name   string   // in upper case; a bare parameter of vCard 2.1 is a TYPE
	Values []string // without quotes
}

// Line is one content line, unfolded. It is changed by putting a new one in its
// place (NewLine, Set): its fields alone do not change what Bytes writes.
type Line struct {
	Group  string // of vCards: item1 in item1.TEL; as it is spelled
	Name   string // in upper case
	Params []Param
	Value  string // as it stands: escaped text, unless the property is none

	raw []byte // as it was received, line ends and folds included; nil for a line of our own
}

// Component is what stands between BEGIN and END.
type Component struct {
	Name  string // in upper case: VCARD, VCALENDAR, VEVENT, VTODO, VALARM, VTIMEZONE …
	Lines []Line
	Parts []*Component // in order

	after      []int  // of each part: how many of Lines stand before it
	begin, end []byte // as received
}
