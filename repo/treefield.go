package repo

import (
	"bytes"
	"unicode/utf8"
)

// field is a key of a node, in the order in which they are written.
type field int

const (
	fieldName field = iota
	fieldType
	fieldMode
	fieldModTime
	fieldAccessTime
	fieldChangeTime
	fieldUID
	fieldGID
	fieldUser
	fieldGroup
	fieldInode
	fieldDeviceID
	fieldSize
	fieldLinks
	fieldLinkTarget
	fieldLinkTargetRaw
	fieldXattrs
	fieldGeneric
	fieldDevice
	fieldContent
	fieldSubtree
	fieldError
	fieldUnknown
	fieldXattr // the first extended attribute, then the second and so on
)

// fieldNames are the keys, as restic writes them.
var fieldNames = [fieldUnknown]string{
	fieldName:          "name",
	fieldType:          "type",
	fieldMode:          "mode",
	fieldModTime:       "mtime",
	fieldAccessTime:    "atime",
	fieldChangeTime:    "ctime",
	fieldUID:           "uid",
	fieldGID:           "gid",
	fieldUser:          "user",
	fieldGroup:         "group",
	fieldInode:         "inode",
	fieldDeviceID:      "device_id",
	fieldSize:          "size",
	fieldLinks:         "links",
	fieldLinkTarget:    "linktarget",
	fieldLinkTargetRaw: "linktarget_raw",
	fieldXattrs:        "extended_attributes",
	fieldGeneric:       "generic_attributes",
	fieldDevice:        "device",
	fieldContent:       "content",
	fieldSubtree:       "subtree",
	fieldError:         "error",
}

// fieldOf tells which field restic takes a key for.
func fieldOf(key []byte) field {
	switch string(key) {
	case "name":
		return fieldName
	case "type":
		return fieldType
	case "mode":
		return fieldMode
	case "mtime":
		return fieldModTime
	case "atime":
		return fieldAccessTime
	case "ctime":
		return fieldChangeTime
	case "uid":
		return fieldUID
	case "gid":
		return fieldGID
	case "user":
		return fieldUser
	case "group":
		return fieldGroup
	case "inode":
		return fieldInode
	case "device_id":
		return fieldDeviceID
	case "size":
		return fieldSize
	case "links":
		return fieldLinks
	case "linktarget":
		return fieldLinkTarget
	case "linktarget_raw":
		return fieldLinkTargetRaw
	case "extended_attributes":
		return fieldXattrs
	case "generic_attributes":
		return fieldGeneric
	case "device":
		return fieldDevice
	case "content":
		return fieldContent
	case "subtree":
		return fieldSubtree
	case "error":
		return fieldError
	}
	for f, name := range fieldNames {
		if isKey(key, name) {
			return field(f)
		}
	}
	return fieldUnknown
}

// isKey tells whether restic takes a key for the one of that name: as
// encoding/json does, whatever its case. What restic restores, nothing here may
// pass over.
func isKey(key []byte, name string) bool {
	return string(key) == name || len(key) <= utf8.UTFMax*len(name) && bytes.EqualFold(key, []byte(name))
}

// everyNode holds the bits of the keys that restic always writes.
const everyNode = 1<<fieldName | 1<<fieldType | 1<<fieldModTime | 1<<fieldAccessTime | 1<<fieldChangeTime |
	1<<fieldUID | 1<<fieldGID | 1<<fieldContent
