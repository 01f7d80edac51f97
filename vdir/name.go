package vdir

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strconv"
	"strings"

	"russet/internal/durable"
)

// maxPlain is the longest UID in bytes that is a name: with an ending and what
// durable puts behind it, it is below every file system's limit.
const maxPlain = 200

// isItem reports whether a name is one of an item: that of a file in the folder
// itself, with its ending, not hidden and not half written. On Windows "x:y.vcf" is
// no file but a stream of one, and "con.vcf" may be a device.
func (f *Folder) isItem(name string) bool {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") || len(name) > 255 {
		return false
	}
	_, temporary := durable.IsTemporary(name)
	ending := len(name) - len(f.kind)
	return !temporary && ending > 0 && strings.EqualFold(name[ending:], string(f.kind))
}

// nameOf returns the n-th name for a record's file: the first is the UID where that
// is a plain name on every system, the second its SHA-256, and further ones are for
// records that share a UID.
func (f *Folder) nameOf(uid string, n int) string {
	if n == 0 && plain(uid) {
		return uid + string(f.kind)
	}
	if n > 1 {
		uid += "\x00" + strconv.Itoa(n)
	}
	sum := sha256.Sum256([]byte(uid))
	return hex.EncodeToString(sum[:]) + string(f.kind)
}

// reserved are names that Windows gives to devices, whatever their ending.
const reserved = " CON PRN AUX NUL COM0 COM1 COM2 COM3 COM4 COM5 COM6 COM7 COM8 COM9 LPT0 LPT1 LPT2 LPT3 LPT4 LPT5 LPT6 LPT7 LPT8 LPT9 "

// plain reports whether a UID can be the name of a file everywhere.
func plain(uid string) bool {
	if uid == "" || len(uid) > maxPlain || uid[0] == '.' || uid[0] == '-' {
		return false
	}
	for _, r := range uid {
		if !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || strings.ContainsRune("-_.@+", r)) {
			return false
		}
	}
	if _, temporary := durable.IsTemporary(uid + ".x"); temporary {
		return false
	}
	device, _, _ := strings.Cut(uid, ".")
	return !strings.Contains(reserved, " "+strings.ToUpper(device)+" ")
}
