package ios

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// archive is a binary property list (CFBinaryPList.c of Apple's CoreFoundation) that holds an NSKeyedArchiver archive,
// read in place. Its methods report false on whatever CoreFoundation does not write, for a general decoder to judge.
// They follow references as far as a file record needs, which is a fixed number of levels: cycles do no harm.
type archive struct {
	data    []byte // up to the table of offsets
	table   []byte
	offsets int    // bytes of an offset: 1, 2, 4 or 8
	refs    int    // bytes of a reference, too
	objects []byte // the elements of $objects: references, to which the archive's UIDs are indices
}

// Kinds of object in a binary property list: the upper half of the byte that opens one.
const (
	kindInt   = 0x1
	kindData  = 0x4
	kindASCII = 0x5
	kindUTF16 = 0x6
	kindUID   = 0x8
	kindArray = 0xa
	kindDict  = 0xd
)

// object is one object: a number, or the bytes of what it holds.
type object struct {
	kind  byte
	n     int64  // of an integer and a UID
	bytes []byte // data, text in its encoding, or references; of a dictionary the keys, then the values
}

// parseArchive reads a record of the usual form into f, which is zero but for the path that is expected.
func parseArchive(data []byte, f *File) bool {
	var a archive
	top, ok := a.open(data)
	if !ok || top.kind != kindDict {
		return false
	}
	root, ok := a.root(top)
	if !ok || root.kind != kindDict {
		return false
	}
	half := len(root.bytes) / 2
	named := false
	for i := 0; i < half; i += a.refs {
		key, ok := a.at(root.bytes[i:])
		if !ok || key.kind != kindASCII || !a.field(f, key.bytes, root.bytes[half+i:]) {
			return false
		}
		named = named || string(key.bytes) == "RelativePath"
	}
	if !named {
		f.RelativePath = "" // the caller's guess
	}
	return true
}

// open reads the trailer, and returns the top object.
func (a *archive) open(data []byte) (object, bool) {
	const header, trailer = "bplist00", 32
	if len(data) < len(header)+trailer || string(data[:len(header)]) != header {
		return object{}, false
	}
	t := data[len(data)-trailer:]
	a.offsets, a.refs = int(t[6]), int(t[7])
	count, top := binary.BigEndian.Uint64(t[8:]), binary.BigEndian.Uint64(t[16:])
	start, end := binary.BigEndian.Uint64(t[24:]), uint64(len(data)-trailer)
	if !numberSize(a.offsets) || !numberSize(a.refs) || start < uint64(len(header)) || start > end ||
		count > (end-start)/uint64(a.offsets) {
		return object{}, false
	}
	a.data, a.table = data[:start], data[start:][:count*uint64(a.offsets)]
	return a.object(top)
}

// root finds $objects and the object that $top calls root.
func (a *archive) root(top object) (object, bool) {
	var heads []byte // reference to the value of $top
	half := len(top.bytes) / 2
	for i := 0; i < half; i += a.refs {
		key, ok := a.at(top.bytes[i:])
		if !ok || key.kind != kindASCII {
			return object{}, false
		}
		switch string(key.bytes) {
		case "$objects":
			o, ok := a.at(top.bytes[half+i:])
			if !ok || o.kind != kindArray {
				return object{}, false
			}
			a.objects = o.bytes
		case "$top":
			heads = top.bytes[half+i:]
		}
	}
	if heads == nil {
		return object{}, false
	}
	d, ok := a.at(heads)
	if !ok || d.kind != kindDict {
		return object{}, false
	}
	return a.entry(d, "root")
}

// entry returns the value called key of a dictionary, with a reference into the archive followed.
func (a *archive) entry(d object, key string) (found object, ok bool) {
	half := len(d.bytes) / 2
	for i := 0; i < half; i += a.refs {
		k, kok := a.at(d.bytes[i:])
		if !kok || k.kind != kindASCII {
			return object{}, false
		}
		if string(k.bytes) == key {
			if found, ok = a.value(d.bytes[half+i:]); !ok {
				return object{}, false
			}
		}
	}
	return found, ok
}

// field sets the field of f that is called key to the value that ref refers to.
func (a *archive) field(f *File, key, ref []byte) bool {
	text, data := f.text(string(key)), f.data(string(key))
	if text == nil && data == nil && !isNumber(string(key)) {
		return true
	}
	v, ok := a.value(ref)
	if !ok {
		return false
	}
	if v.kind == kindDict && data != nil {
		if v, ok = a.entry(v, "NS.data"); !ok {
			return false
		}
	}
	switch {
	case text != nil:
		return v.kind == kindASCII && setASCII(text, v.bytes) || v.kind == kindUTF16 && setUTF16(text, v.bytes)
	case data != nil:
		*data = v.bytes
		return v.kind == kindData
	}
	return v.kind == kindInt && f.setNumber(string(key), v.n) == nil
}

// setASCII sets a string, unless it has that value.
func setASCII(dst *string, b []byte) bool {
	if string(b) != *dst {
		*dst = string(b)
	}
	return len(b) <= maxPath
}

// setUTF16 sets a string to big-endian UTF-16 text, unless it has that value. Lone surrogates become U+FFFD.
func setUTF16(dst *string, b []byte) bool {
	var room [512]byte
	s := room[:0]
	for ; len(b) >= 2; b = b[2:] {
		r := rune(binary.BigEndian.Uint16(b))
		if utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if len(b) >= 4 {
				low = rune(binary.BigEndian.Uint16(b[2:]))
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				b = b[2:]
			}
		}
		s = utf8.AppendRune(s, r)
	}
	return setASCII(dst, s)
}

// value returns the object that a reference stands for; where that is a UID, the archive's object with that number.
func (a *archive) value(ref []byte) (object, bool) {
	o, ok := a.at(ref)
	if !ok || o.kind != kindUID {
		return o, ok
	}
	// Number 0 is the archive's nil. It is rare enough for the general decoder.
	if o.n <= 0 || o.n >= int64(len(a.objects)/a.refs) {
		return object{}, false
	}
	return a.at(a.objects[int(o.n)*a.refs:])
}

// at returns the object that the reference at the start of b names.
func (a *archive) at(b []byte) (object, bool) {
	return a.object(uintBE(b[:a.refs]))
}

// object returns the object with a number.
func (a *archive) object(ref uint64) (object, bool) {
	if ref >= uint64(len(a.table)/a.offsets) {
		return object{}, false
	}
	at := uintBE(a.table[int(ref)*a.offsets:][:a.offsets])
	if at >= uint64(len(a.data)) {
		return object{}, false
	}
	b := a.data[at:]
	kind, n := b[0]>>4, uint64(b[0]&0xf)
	b = b[1:]
	size := n // in bytes
	switch kind {
	case kindInt:
		size = 1 << n
	case kindUID:
		size = n + 1
	case kindData, kindASCII, kindUTF16, kindArray, kindDict:
		if n == 0xf {
			var ok bool
			if n, b, ok = longCount(b); !ok {
				return object{}, false
			}
		}
		size = n * a.itemSize(kind)
	default:
		return object{}, false
	}
	if size > uint64(len(b)) {
		return object{}, false
	}
	b = b[:size]
	if kind != kindInt && kind != kindUID {
		return object{kind: kind, bytes: b}, true
	}
	// Integers of 8 bytes have a sign, shorter ones have none.
	return object{kind: kind, n: int64(uintBE(b))}, numberSize(int(size))
}

// longCount reads the integer with the number of an object's items that follows when there are 15 or more. No object
// has more items than the list has bytes.
func longCount(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]>>4 != kindInt || b[0]&0xf > 3 {
		return 0, nil, false
	}
	size := 1 << (b[0] & 0xf)
	b = b[1:]
	if size > len(b) {
		return 0, nil, false
	}
	n = uintBE(b[:size])
	return n, b[size:], n <= uint64(len(b))
}

// itemSize returns how many bytes an item takes: a byte, a character, a reference, a key and a value.
func (a *archive) itemSize(kind byte) uint64 {
	switch kind {
	case kindUTF16:
		return 2
	case kindArray:
		return uint64(a.refs)
	case kindDict:
		return 2 * uint64(a.refs)
	}
	return 1
}

// numberSize reports whether CoreFoundation writes numbers of so many bytes.
func numberSize(n int) bool { return n == 1 || n == 2 || n == 4 || n == 8 }

// uintBE reads a big-endian number of 1, 2, 4 or 8 bytes; of another length, of which there is none, it is 0.
func uintBE(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
