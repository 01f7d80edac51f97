package repo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"russet/chunk"
	"russet/internal/jsontext"
)

// DecodeTree decodes a tree. It takes what restic takes, whatever the order of
// nodes and keys, and says by Lossy when Append would not give data again;
// Validate and CheckName say what is wrong with the nodes. The error is not nil
// when data is not JSON, a value is none of its kind, or the nodes would need
// very much more memory than their JSON. The tree does not refer to data.
func DecodeTree(data []byte) (*Tree, error) {
	var d treeDecoder
	d.s.Reset(data)
	t := &Tree{Nodes: make([]*Node, 0, len(data)/usualNode+1)}
	listed := false
	for d.s.Object(); d.s.More(); {
		key := d.s.Key()
		known := isKey(key, "nodes") && !listed
		d.lossy = d.lossy || !known || string(key) != "nodes" || !d.s.Plain()
		if !known {
			d.s.Skip()
			continue
		}
		listed = true
		if d.s.Null() {
			d.lossy = true
			continue
		}
		for d.s.Array(); d.s.More(); {
			if len(t.Nodes) > freeNodes && len(t.Nodes) > len(data)/leastNode {
				d.s.Fail(errManyNodes)
			}
			t.Nodes = append(t.Nodes, d.node())
		}
	}
	t.Lossy = d.lossy || !listed || d.s.Spaced() || !bytes.HasSuffix(data, []byte("}\n"))
	if err := d.s.End(); err != nil {
		return nil, fmt.Errorf("node %d: %w", len(t.Nodes), err)
	}
	return t, nil
}

// Lengths of the JSON of a node. usualNode is a guess, by which memory is
// asked for; a hostile tree may hold freeNodes nodes as short as it likes, but
// then they must have leastNode bytes each, of which ours are a dozen times as
// many.
const (
	usualNode = 350
	leastNode = 32
	freeNodes = 1000
)

type treeDecoder struct {
	s     jsontext.Scanner
	lossy bool
	buf   []byte

	slab  int        // how many nodes were allocated together
	nodes []Node     // not handed out yet
	ids   []chunk.ID // empty; its capacity is what was not handed out yet

	last     [fieldUnknown]string // of the field, in any node
	strings  map[string]string    // values of fields, so that nodes share them
	time     time.Time
	timeText []byte                 // of time
	zones    map[int]*time.Location // by minutes east of UTC

	// Of the node that is being read.
	target    []byte // the link target, as it stands in the JSON
	targetRaw bool
}

func (d *treeDecoder) newNode() *Node {
	if len(d.nodes) == 0 {
		d.slab = min(max(4, 2*d.slab), 64)
		d.nodes = make([]Node, d.slab)
	}
	n := &d.nodes[0]
	d.nodes = d.nodes[1:]
	return n
}

func (d *treeDecoder) node() *Node {
	n := d.newNode()
	d.target, d.targetRaw = nil, false
	var seen uint32
	last := fieldName - 1
	for d.s.Object(); d.s.More(); {
		key := d.s.Key()
		f := fieldOf(key)
		d.lossy = d.lossy || f == fieldUnknown || f <= last || !d.s.Plain() || string(key) != fieldNames[f]
		last = f
		seen |= 1 << f
		switch {
		case f == fieldUnknown:
			d.s.Skip()
		case !d.s.Null():
			d.value(n, f)
		case f == fieldContent:
			n.Content = nil
		default:
			d.lossy = true
		}
	}
	d.lossy = d.lossy || seen&everyNode != everyNode
	if n.LinkTarget != "" {
		d.spell(n, fieldLinkTarget, n.LinkTarget, d.target)
	}
	// Otherwise the key would be there, or would not.
	d.lossy = d.lossy || d.targetRaw == utf8.ValidString(n.LinkTarget) || (d.target == nil) != (n.LinkTarget == "")
	return n
}

func (d *treeDecoder) value(n *Node, f field) {
	switch f {
	case fieldName:
		d.name(n)
	case fieldType:
		n.Type = d.string(n, f)
	case fieldMode:
		n.Mode = uint32(d.optional(math.MaxUint32))
	case fieldModTime:
		n.ModTime = d.readTime()
	case fieldAccessTime:
		n.AccessTime = d.readTime()
	case fieldChangeTime:
		n.ChangeTime = d.readTime()
	case fieldUID:
		n.UID = uint32(d.s.Uint(math.MaxUint32))
	case fieldGID:
		n.GID = uint32(d.s.Uint(math.MaxUint32))
	case fieldUser:
		n.User = d.string(n, f)
	case fieldGroup:
		n.Group = d.string(n, f)
	case fieldInode:
		n.Inode = d.optional(math.MaxUint64)
	case fieldDeviceID:
		n.DeviceID = d.optional(math.MaxUint64)
	case fieldSize:
		n.Size = d.optional(math.MaxUint64)
	case fieldLinks:
		n.Links = d.optional(math.MaxUint64)
	case fieldLinkTarget:
		target := d.s.Text()
		if !d.targetRaw {
			n.LinkTarget = string(target)
		}
		d.target = d.s.Token()
	case fieldLinkTargetRaw:
		d.targetRaw = true
		n.LinkTarget = string(d.base64())
	case fieldXattrs:
		d.xattrs(n)
	case fieldGeneric:
		d.generic(n)
	case fieldDevice:
		n.Device = d.optional(math.MaxUint64)
	case fieldContent:
		n.Content = d.content()
	case fieldSubtree:
		n.Subtree = new(chunk.ID)
		d.s.Hex(n.Subtree[:])
	case fieldError:
		n.Error = d.string(n, f)
	}
}

// optional reads a number that is left out when it is zero.
func (d *treeDecoder) optional(limit uint64) uint64 {
	value := d.s.Uint(limit)
	d.lossy = d.lossy || value == 0
	return value
}

// string reads a string that many nodes share.
func (d *treeDecoder) string(n *Node, f field) string {
	text := d.s.Text()
	value := d.last[f]
	if string(text) != value {
		value = d.shared(text)
		d.last[f] = value
	}
	d.lossy = d.lossy || value == "" && f != fieldType
	d.spellText(n, f, value)
	return value
}

func (d *treeDecoder) shared(text []byte) string {
	value, ok := d.strings[string(text)]
	if ok {
		return value
	}
	value = string(text)
	if d.strings == nil {
		d.strings = make(map[string]string)
	}
	if len(d.strings) < 1000 {
		d.strings[value] = value
	}
	return value
}

// spellText does what spell does for the string last read.
func (d *treeDecoder) spellText(n *Node, f field, value string) {
	if !d.s.Plain() {
		d.spell(n, f, value, d.s.Token())
	}
}

// spell remembers how the string was spelled, unless we would do the same.
func (d *treeDecoder) spell(n *Node, f field, value string, text []byte) {
	if f == fieldName {
		d.buf = appendName(d.buf[:0], value)
	} else {
		d.buf = jsontext.AppendString(d.buf[:0], value)
	}
	if text != nil && !bytes.Equal(text, d.buf) {
		n.spelled = append(n.spelled, spelling{field: f, value: value, text: string(text)})
	}
}

func (d *treeDecoder) name(n *Node) {
	text := d.s.Text()
	n.Name = string(text)
	if d.s.Plain() {
		return
	}
	name, err := strconv.Unquote(`"` + n.Name + `"`)
	if err != nil {
		d.s.Fail(errQuotedName)
		return
	}
	n.Name = name
	d.spellText(n, fieldName, name)
}

func (d *treeDecoder) base64() []byte {
	value := d.s.Base64()
	d.buf = base64.StdEncoding.AppendEncode(append(d.buf[:0], '"'), value)
	d.lossy = d.lossy || string(d.s.Token()) != string(append(d.buf, '"'))
	return value
}

func (d *treeDecoder) xattrs(n *Node) {
	n.ExtendedAttributes = nil
	for d.s.Array(); d.s.More(); {
		i := len(n.ExtendedAttributes)
		n.ExtendedAttributes = append(n.ExtendedAttributes, ExtendedAttribute{})
		d.xattr(n, &n.ExtendedAttributes[i], fieldXattr+field(i))
	}
	d.lossy = d.lossy || len(n.ExtendedAttributes) == 0
}

func (d *treeDecoder) xattr(n *Node, a *ExtendedAttribute, f field) {
	keys := 0
	for d.s.Object(); d.s.More(); keys++ {
		key := string(d.s.Key())
		d.lossy = d.lossy || !d.s.Plain() || (key != "name" || keys != 0) && (key != "value" || keys != 1)
		switch {
		case d.s.Null():
			d.lossy = d.lossy || key != "value"
		case key == "value":
			a.Value = d.base64()
		case key == "name":
			a.Name = string(d.s.Text())
			d.spellText(n, f, a.Name)
		default:
			d.s.Skip()
		}
	}
	d.lossy = d.lossy || keys != 2
}

func (d *treeDecoder) generic(n *Node) {
	text := d.s.Raw()
	if d.s.Err() != nil {
		return
	}
	n.GenericAttributes = nil
	if err := json.Unmarshal(text, &n.GenericAttributes); err != nil {
		d.s.Fail(err)
		return
	}
	d.buf = appendGeneric(d.buf[:0], n.GenericAttributes)
	d.lossy = d.lossy || string(d.buf) != keyGeneric+string(text)
}

func (d *treeDecoder) content() []chunk.ID {
	if cap(d.ids) == 0 {
		d.ids = make([]chunk.ID, 0, d.slab)
	}
	list := d.ids
	for d.s.Array(); d.s.More(); {
		list = append(list, chunk.ID{})
		d.s.Hex(list[len(list)-1][:])
	}
	if len(list) == 0 {
		return []chunk.ID{}
	}
	if n := len(list); n <= cap(d.ids) {
		d.ids = d.ids[n:n]
	}
	return slices.Clip(list)
}

// readTime reads a time. Most are equal to the one before: a file that was
// written once has but one.
func (d *treeDecoder) readTime() time.Time {
	text := d.s.Text()
	if d.timeText != nil && d.s.Plain() && bytes.Equal(text, d.timeText) {
		return d.time
	}
	t, ok := d.parseTime(text)
	if !ok {
		if err := t.UnmarshalText(text); err != nil {
			d.s.Fail(errSpelledTime)
			return time.Time{}
		}
		d.buf = appendTime(d.buf[:0], "", t)
		d.lossy = d.lossy || string(d.buf) != string(text)+`"`
	}
	if !d.s.Plain() {
		d.lossy = true
		return t
	}
	d.time, d.timeText = t, text
	return t
}

// parseTime parses a time in the form in which appendTime writes it, unless
// that is a rare one.
func (d *treeDecoder) parseTime(text []byte) (time.Time, bool) {
	const form = "2006-01-02T15:04:05"
	if len(text) <= len(form) || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return time.Time{}, false
	}
	year, month, day := number(text[:4]), number(text[5:7]), number(text[8:10])
	hour, minute, second := number(text[11:13]), number(text[14:16]), number(text[17:19])
	if year|month|day|hour|minute|second < 0 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	text = text[len(form):]
	nanos := 0
	if text[0] == '.' {
		digits := 0
		for digits+1 < len(text) && text[digits+1]-'0' <= 9 {
			digits++
		}
		if digits < 1 || digits > 9 || text[digits] == '0' {
			return time.Time{}, false
		}
		nanos = number(text[1:1+digits]) * int(math.Pow10(9-digits))
		text = text[1+digits:]
	}
	zone, ok := d.zone(text)
	if !ok {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	return t, day <= 28 || t.Day() == day // there is no 30 February
}

// number returns the value of a few decimal digits, less than 0 if they are
// none.
func number(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// zone returns the zone that ends a time.
func (d *treeDecoder) zone(text []byte) (*time.Location, bool) {
	if string(text) == "Z" {
		return time.UTC, true
	}
	if len(text) != len("+hh:mm") || text[0] != '+' && text[0] != '-' || text[3] != ':' {
		return nil, false
	}
	hours, minutes := number(text[1:3]), number(text[4:6])
	east := 60*hours + minutes
	if hours|minutes < 0 || hours > 23 || minutes > 59 || east == 0 {
		return nil, false
	}
	if text[0] == '-' {
		east = -east
	}
	zone, ok := d.zones[east]
	if !ok {
		zone = time.FixedZone("", 60*east)
		if d.zones == nil {
			d.zones = make(map[int]*time.Location)
		}
		d.zones[east] = zone
	}
	return zone, true
}
