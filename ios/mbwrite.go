package ios

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// MarshalFile returns the record of a file, as iOS writes it into the file column of Manifest.db: an NSKeyedArchiver
// archive as a binary property list, with its objects in the same order. The same File always gives the same bytes.
// Strings are written as text: what is not UTF-8 in them is replaced.
func MarshalFile(f *File) []byte { return AppendFile(nil, f) }

// AppendFile appends the record of a file to dst (MarshalFile).
func AppendFile(dst []byte, f *File) []byte {
	const usual = 640 // bytes of a record
	dst = slices.Grow(dst, usual)
	w := archiveWriter{b: append(dst, "bplist00"...), start: len(dst), objects: make([]written, 0, 64)}
	w.add(dictionary{
		{"$version", number{n: 100000}},
		{"$archiver", "NSKeyedArchiver"},
		{"$top", dictionary{{"root", uid(1)}}},
		{"$objects", archived(f)},
	})
	return w.end()
}

// What a property list is made of, beside string and []byte.
type (
	number struct {
		wide bool // 64 bits: told apart from the others when equal ones are merged
		n    int64
	}
	uid        int64
	list       []any
	dictionary []entry
	entry      struct {
		key   string
		value any
	}
)

// archived returns the $objects of a record. A coder numbers an object when it meets it, and its class after it.
func archived(f *File) list {
	objects := list{"$null", nil, f.RelativePath}
	next := func(o ...any) uid {
		objects = append(objects, o...)
		return uid(len(objects) - len(o))
	}
	var target, key, digest, attributes []entry
	if f.Target != "" {
		target = []entry{{"Target", next(f.Target)}}
	}
	if f.Digest != nil {
		digest = []entry{{"Digest", next(f.Digest)}}
	}
	if f.EncryptionKey != nil {
		class := uid(len(objects) + 1)
		data := dictionary{{"NS.data", f.EncryptionKey}, {"$class", class}}
		key = []entry{{"EncryptionKey", next(data, classOf("NSMutableData", "NSData", "NSObject"))}}
	}
	if f.ExtendedAttributes != nil {
		attributes = []entry{{"ExtendedAttributes", next(f.ExtendedAttributes)}}
	}
	objects[1] = dictionary(slices.Concat(
		[]entry{
			{"LastModified", number{n: f.LastModified}},
			{"Flags", number{n: int64(f.Flags)}},
			{"GroupID", number{n: int64(f.GroupID)}},
		},
		target,
		[]entry{
			{"$class", uid(len(objects))},
			{"LastStatusChange", number{n: f.LastStatusChange}},
			{"RelativePath", uid(2)},
			{"Birth", number{n: f.Birth}},
			{"Size", number{wide: true, n: f.Size}},
			{"InodeNumber", number{wide: true, n: int64(f.Inode)}},
			{"Mode", number{n: int64(f.Mode)}},
			{"UserID", number{n: int64(f.UserID)}},
			{"ProtectionClass", number{n: int64(f.ProtectionClass)}},
		},
		key, digest, attributes,
	))
	return append(objects, classOf("MBFile", "NSObject"))
}

// classOf describes a class by its name and those that it inherits from.
func classOf(names ...string) dictionary {
	all := make(list, len(names))
	for i, n := range names {
		all[i] = n
	}
	return dictionary{{"$classname", names[0]}, {"$classes", all}}
}

// archiveWriter writes the objects of a binary property list in CoreFoundation's order: a collection, its keys, and
// its values, each with all that is below it. Equal strings, data and numbers are written once.
type archiveWriter struct {
	b       []byte
	start   int // of the list in b
	objects []written
}

// written is an object in the list.
type written struct {
	at, end int
	form    form
}

// form says with what a value is merged: its like.
type form uint8

const (
	alone form = iota
	merged
	mergedWide
)

// add appends a value, and returns the number of its object. References take one byte: a record has 50 objects.
func (w *archiveWriter) add(v any) byte {
	switch v := v.(type) {
	case dictionary:
		ref, refs := w.collection(kindDict, len(v), 2*len(v))
		for i, e := range v {
			w.put(refs+i, e.key)
		}
		for i, e := range v {
			w.put(refs+len(v)+i, e.value)
		}
		return ref
	case list:
		ref, refs := w.collection(kindArray, len(v), len(v))
		for i, e := range v {
			w.put(refs+i, e)
		}
		return ref
	case uid:
		at := len(w.b)
		w.b = append(w.b, kindUID<<4, byte(v))
		return w.object(at, alone)
	case number:
		at := len(w.b)
		w.b = appendInt(w.b, v.n)
		if v.wide {
			return w.object(at, mergedWide)
		}
		return w.object(at, merged)
	case string:
		at := len(w.b)
		w.b = appendText(w.b, v)
		return w.object(at, merged)
	case []byte:
		at := len(w.b)
		w.b = append(appendMarker(w.b, kindData, len(v)), v...)
		return w.object(at, merged)
	}
	panic("ios: property list of an unknown type")
}

// put adds a value, and puts the reference to it in its place.
func (w *archiveWriter) put(at int, v any) {
	ref := w.add(v) // which may move w.b
	w.b[at] = ref
}

// collection begins a collection, whose references are to be put at refs.
func (w *archiveWriter) collection(kind byte, items, references int) (ref byte, refs int) {
	at := len(w.b)
	w.b = appendMarker(w.b, kind, items)
	refs = len(w.b)
	w.b = append(w.b, make([]byte, references)...)
	return w.object(at, alone), refs
}

// object makes an object of what was written from at on, or takes that back where there is one like it.
func (w *archiveWriter) object(at int, f form) byte {
	b := w.b[at:]
	if f != alone {
		for i, o := range w.objects {
			if o.form == f && o.end-o.at == len(b) && string(w.b[o.at:o.end]) == string(b) {
				w.b = w.b[:at]
				return byte(i)
			}
		}
	}
	w.objects = append(w.objects, written{at, len(w.b), f})
	return byte(len(w.objects) - 1)
}

// end appends the table of offsets and the trailer.
func (w *archiveWriter) end() []byte {
	dst, table := w.b, len(w.b)-w.start
	size := 1
	for table>>(8*size) != 0 {
		size *= 2
	}
	for _, o := range w.objects {
		for i := size - 1; i >= 0; i-- {
			dst = append(dst, byte((o.at-w.start)>>(8*i)))
		}
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, byte(size), 1)
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(w.objects)))
	dst = binary.BigEndian.AppendUint64(dst, 0) // the top object
	return binary.BigEndian.AppendUint64(dst, uint64(table))
}

// appendMarker appends what opens an object of so many items.
func appendMarker(dst []byte, kind byte, items int) []byte {
	if items < 0xf {
		return append(dst, kind<<4|byte(items))
	}
	return appendInt(append(dst, kind<<4|0xf), int64(items))
}

// appendInt appends an integer: of 1, 2 or 4 bytes without a sign, of 8 with one.
func appendInt(dst []byte, n int64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	log := 3
	switch {
	case n < 0:
	case n < 1<<8:
		log = 0
	case n < 1<<16:
		log = 1
	case n < 1<<32:
		log = 2
	}
	return append(append(dst, kindInt<<4|byte(log)), b[8-1<<log:]...)
}

// appendText appends a string's object: one byte a character where all are ASCII, UTF-16 otherwise.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			units := utf16.Encode([]rune(s))
			dst = appendMarker(dst, kindUTF16, len(units))
			for _, u := range units {
				dst = binary.BigEndian.AppendUint16(dst, u)
			}
			return dst
		}
	}
	return append(appendMarker(dst, kindASCII, len(s)), s...)
}
