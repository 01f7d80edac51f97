package repo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"russet/chunk"
	"russet/internal/jsontext"
)

// The types of nodes, as trees spell them.
const (
	TypeFile       = "file"
	TypeDir        = "dir"
	TypeSymlink    = "symlink"
	TypeDevice     = "dev"
	TypeCharDevice = "chardev"
	TypeFIFO       = "fifo"
	TypeSocket     = "socket"
)

// Node is one name in a folder: a file, a folder, a link or something special
// (restic's design document, section "Trees and Data"). A node that was decoded
// may be copied and changed; what stays as it was is encoded as it was.
type Node struct {
	Name string // raw bytes, as the file system has them
	Type string // one of the Type constants

	// Mode holds the bits of a Go fs.FileMode, not those of a POSIX st_mode;
	// FileMode and PosixMode convert.
	Mode uint32

	// The times are encoded in their own zone, whose offset is kept when they
	// are decoded.
	ModTime    time.Time
	AccessTime time.Time
	ChangeTime time.Time

	UID, GID    uint32
	User, Group string
	Inode       uint64
	DeviceID    uint64 // st_dev: with the inode it tells hard links
	Size        uint64 // in bytes, of files
	Links       uint64 // hard links, where there may be several
	LinkTarget  string // raw bytes, of symbolic links

	ExtendedAttributes []ExtendedAttribute
	// GenericAttributes are those of one operating system, in JSON that must
	// be valid: what is not is encoded as null.
	GenericAttributes map[string]json.RawMessage
	Device            uint64 // st_rdev, of devices

	// Content lists the blobs of a file. It is nil for all that is no file,
	// and empty, but not nil, for an empty file.
	Content []chunk.ID
	Subtree *chunk.ID // the tree of a folder
	Error   string    // unused today

	spelled []spelling
}

// ExtendedAttribute is one of a node. A nil value is not an empty one.
type ExtendedAttribute struct {
	Name  string
	Value []byte
}

// spelling remembers a string that stood in a tree otherwise than we would
// write it, so that the tree can be written again with the same bytes. Which
// characters of a name are printable, and which have a short escape, depends on
// the version of Go that restic was built with; and a link target in no known
// character set is the same text afterwards as one that holds U+FFFD.
type spelling struct {
	field field  // one of an extended attribute is fieldXattr plus its number
	value string // of the node
	text  string // JSON
}

// FileMode converts a POSIX st_mode, type bits included.
func FileMode(posix uint32) fs.FileMode {
	mode := fs.FileMode(posix & 0o777)
	switch posix & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o060000:
		mode |= fs.ModeDevice
	case 0o020000:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case 0o010000:
		mode |= fs.ModeNamedPipe
	case 0o140000:
		mode |= fs.ModeSocket
	}
	if posix&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if posix&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if posix&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// PosixMode converts to a POSIX st_mode, type bits included. It is the inverse
// of FileMode.
func PosixMode(mode fs.FileMode) uint32 {
	posix := uint32(mode.Perm())
	switch {
	case mode&fs.ModeDir != 0:
		posix |= 0o040000
	case mode&fs.ModeSymlink != 0:
		posix |= 0o120000
	case mode&fs.ModeCharDevice != 0:
		posix |= 0o020000
	case mode&fs.ModeDevice != 0:
		posix |= 0o060000
	case mode&fs.ModeNamedPipe != 0:
		posix |= 0o010000
	case mode&fs.ModeSocket != 0:
		posix |= 0o140000
	case mode&fs.ModeIrregular == 0:
		posix |= 0o100000
	}
	if mode&fs.ModeSetuid != 0 {
		posix |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		posix |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		posix |= 0o1000
	}
	return posix
}

// TypeOf returns the type of a node with the given mode, "" for what trees
// cannot hold.
func TypeOf(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return TypeFile
	case fs.ModeDir:
		return TypeDir
	case fs.ModeSymlink:
		return TypeSymlink
	case fs.ModeDevice:
		return TypeDevice
	case fs.ModeDevice | fs.ModeCharDevice:
		return TypeCharDevice
	case fs.ModeNamedPipe:
		return TypeFIFO
	case fs.ModeSocket:
		return TypeSocket
	}
	return ""
}

var errName = errors.New("name that no file can have")

// CheckName reports as an error a name that must not reach a file system: one
// that is empty, "." or "..", or holds a slash or a NUL. A hostile repository
// would climb out of a folder by it. What else a system dislikes, such as
// backslashes, is for whoever writes there.
func (n *Node) CheckName() error {
	if n.Name == "" || n.Name == "." || n.Name == ".." || strings.ContainsAny(n.Name, "/\x00") {
		return errName
	}
	return nil
}

// validate does the part of Tree.Validate that one node is enough for.
func (n *Node) validate() error {
	if err := n.CheckName(); err != nil {
		return err
	}
	switch n.Type {
	case TypeFile:
		if n.Content == nil {
			return errNoContent
		}
	case TypeDir:
		if n.Subtree == nil {
			return errNoSubtree
		}
		if n.Subtree.IsZero() {
			return errNullBlob
		}
	case TypeSymlink, TypeDevice, TypeCharDevice, TypeFIFO, TypeSocket:
	default:
		return errType
	}
	for i := range n.Content {
		if n.Content[i].IsZero() {
			return errNullBlob
		}
	}
	return nil
}

// appendTo appends the node's JSON: the keys in the order of restic's struct,
// optional ones only where they are not zero.
func (n *Node) appendTo(dst []byte) []byte {
	dst = append(dst, `{"name":`...)
	dst = n.appendString(dst, fieldName, n.Name)
	dst = append(dst, `,"type":`...)
	dst = n.appendString(dst, fieldType, n.Type)
	dst = appendUint(dst, `,"mode":`, uint64(n.Mode))
	dst = n.appendTimes(dst)
	dst = append(dst, `,"uid":`...)
	dst = strconv.AppendUint(dst, uint64(n.UID), 10)
	dst = append(dst, `,"gid":`...)
	dst = strconv.AppendUint(dst, uint64(n.GID), 10)
	dst = n.appendOptional(dst, `,"user":`, fieldUser, n.User)
	dst = n.appendOptional(dst, `,"group":`, fieldGroup, n.Group)
	dst = appendUint(dst, `,"inode":`, n.Inode)
	dst = appendUint(dst, `,"device_id":`, n.DeviceID)
	dst = appendUint(dst, `,"size":`, n.Size)
	dst = appendUint(dst, `,"links":`, n.Links)
	dst = n.appendOptional(dst, `,"linktarget":`, fieldLinkTarget, n.LinkTarget)
	if !utf8.ValidString(n.LinkTarget) {
		dst = append(dst, `,"linktarget_raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(n.LinkTarget))
		dst = append(dst, '"')
	}
	dst = n.appendXattrs(dst)
	dst = appendGeneric(dst, n.GenericAttributes)
	dst = appendUint(dst, `,"device":`, n.Device)
	dst = appendContent(dst, n.Content)
	if n.Subtree != nil {
		dst = append(dst, `,"subtree":"`...)
		dst = n.Subtree.AppendHex(dst)
		dst = append(dst, '"')
	}
	dst = n.appendOptional(dst, `,"error":`, fieldError, n.Error)
	return append(dst, '}')
}

func (n *Node) appendOptional(dst []byte, key string, f field, value string) []byte {
	if value == "" {
		return dst
	}
	return n.appendString(append(dst, key...), f, value)
}

func (n *Node) appendString(dst []byte, f field, value string) []byte {
	for _, s := range n.spelled {
		if s.field == f && s.value == value {
			return append(dst, s.text...)
		}
	}
	if f == fieldName {
		return appendName(dst, value)
	}
	return jsontext.AppendString(dst, value)
}

// appendName appends a name as restic spells it: quoted as in a Go program,
// which takes care of bytes that are no UTF-8, and that without the quotes as a
// JSON string.
func appendName(dst []byte, name string) []byte {
	if jsontext.PlainLen(name) == len(name) {
		dst = append(dst, '"')
		dst = append(dst, name...)
		return append(dst, '"')
	}
	quoted := strconv.Quote(name)
	return jsontext.AppendString(dst, quoted[1:len(quoted)-1])
}

func (n *Node) appendXattrs(dst []byte) []byte {
	if len(n.ExtendedAttributes) == 0 {
		return dst
	}
	dst = append(dst, `,"extended_attributes":[`...)
	for i, a := range n.ExtendedAttributes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = n.appendString(dst, fieldXattr+field(i), a.Name)
		if a.Value == nil {
			dst = append(dst, `,"value":null}`...)
			continue
		}
		dst = append(dst, `,"value":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, a.Value)
		dst = append(dst, `"}`...)
	}
	return append(dst, ']')
}

func appendContent(dst []byte, content []chunk.ID) []byte {
	if content == nil {
		return append(dst, `,"content":null`...)
	}
	dst = append(dst, `,"content":[`...)
	for i := range content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = content[i].AppendHex(dst)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

const keyGeneric = `,"generic_attributes":`

// appendGeneric appends attributes sorted by their names. They are rare on all
// systems but Windows, so that encoding/json may do it.
func appendGeneric(dst []byte, attributes map[string]json.RawMessage) []byte {
	if len(attributes) == 0 {
		return dst
	}
	text, err := json.Marshal(attributes)
	if err != nil {
		valid := make(map[string]json.RawMessage, len(attributes))
		for name, value := range attributes {
			if json.Valid(value) {
				valid[name] = value
			} else {
				valid[name] = nil
			}
		}
		text, _ = json.Marshal(valid)
	}
	dst = append(dst, keyGeneric...)
	return append(dst, text...)
}

func appendUint(dst []byte, key string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, key...), n, 10)
}

// appendTimes appends the three times. The second is most often the first, by
// restic's choice: formatting it again would be an eighth of all the work.
func (n *Node) appendTimes(dst []byte) []byte {
	const mtime, atime, ctime = `,"mtime":"`, `,"atime":"`, `,"ctime":"`
	start := len(dst) + len(mtime)
	dst = appendTime(dst, mtime, n.ModTime)
	if n.AccessTime == n.ModTime { // the same zone, too
		text := dst[start:]
		dst = append(append(dst, atime...), text...)
	} else {
		dst = appendTime(dst, atime, n.AccessTime)
	}
	return appendTime(dst, ctime, n.ChangeTime)
}

// appendTime appends a time as encoding/json does. What RFC 3339 cannot say is
// moved to the nearest year that it can, or to UTC.
func appendTime(dst []byte, key string, t time.Time) []byte {
	if year := t.Year(); year < 0 || year > 9999 {
		t = t.AddDate(min(max(year, 0), 9999)-year, 0, 0)
	}
	before := len(dst)
	dst = append(dst, key...)
	dst = t.AppendFormat(dst, time.RFC3339Nano)
	// The offset, +-hh:mm where it is not Z, ends the text.
	if n := len(dst); dst[n-1] != 'Z' && (dst[n-6] >= '0' || string(dst[n-5:n-3]) >= "24") {
		return appendTime(dst[:before], key, t.UTC())
	}
	return append(dst, '"')
}
