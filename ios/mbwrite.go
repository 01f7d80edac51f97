package ios

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// MarshalFile returns the record of a file, as iOS writes it into the file column of Manifest.db: an NSKeyedArchiver
// archive as a binary property list, with its objects in the same order. The same File always gives the same bytes.
// Strings are written as text: what is not UTF-8 in them is replaced.
func MarshalFile(f *File) []byte { return AppendFile(nil, f) }

// AppendFile appends the record of a file to dst (MarshalFile).
func AppendFile(dst []byte, f *File) []byte {
	w := archiveWriter{seen: make(map[string]byte)}
	w.add(dictionary{
		{"$version", number{n: 100000}},
		{"$archiver", "NSKeyedArchiver"},
		{"$top", dictionary{{"root", uid(1)}}},
		{"$objects", archived(f)},
	})
	return w.append(dst)
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

// archiveWriter collects the objects of a binary property list in CoreFoundation's order: a collection, its keys, and
// its values, each with all that is below it. Equal strings, data and numbers are written once.
type archiveWriter struct {
	objects [][]byte
	seen    map[string]byte // numbers of objects by their bytes, with a mark before wide numbers
}

// add appends a value, and returns the number of its object. References take one byte: a record has 50 objects.
func (w *archiveWriter) add(v any) byte {
	switch v := v.(type) {
	case dictionary:
		ref := w.object(nil)
		var keys, values []byte
		for _, e := range v {
			keys = append(keys, w.add(e.key))
		}
		for _, e := range v {
			values = append(values, w.add(e.value))
		}
		w.objects[ref] = slices.Concat(marker(kindDict, len(v)), keys, values)
		return ref
	case list:
		ref := w.object(nil)
		var values []byte
		for _, e := range v {
			values = append(values, w.add(e))
		}
		w.objects[ref] = append(marker(kindArray, len(v)), values...)
		return ref
	case uid:
		return w.object([]byte{kindUID << 4, byte(v)})
	case number:
		mark := ""
		if v.wide {
			mark = "wide"
		}
		return w.once(mark, appendInt(nil, v.n))
	case string:
		return w.once("", encodeText(v))
	case []byte:
		return w.once("", append(marker(kindData, len(v)), v...))
	}
	panic("ios: property list of an unknown type")
}

func (w *archiveWriter) object(b []byte) byte {
	w.objects = append(w.objects, b)
	return byte(len(w.objects) - 1)
}

func (w *archiveWriter) once(mark string, b []byte) byte {
	key := mark + string(b)
	ref, ok := w.seen[key]
	if !ok {
		ref = w.object(b)
		w.seen[key] = ref
	}
	return ref
}

// append appends the property list.
func (w *archiveWriter) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, "bplist00"...)
	offsets := make([]int, len(w.objects))
	for i, o := range w.objects {
		offsets[i] = len(dst) - start
		dst = append(dst, o...)
	}
	table := len(dst) - start
	size := 1
	for table>>(8*size) != 0 {
		size *= 2
	}
	for _, o := range offsets {
		dst = append(dst, binary.BigEndian.AppendUint64(nil, uint64(o))[8-size:]...)
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, byte(size), 1)
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(w.objects)))
	dst = binary.BigEndian.AppendUint64(dst, 0) // the top object
	return binary.BigEndian.AppendUint64(dst, uint64(table))
}

// marker returns what opens an object of so many items.
func marker(kind byte, items int) []byte {
	if items < 0xf {
		return []byte{kind<<4 | byte(items)}
	}
	return appendInt([]byte{kind<<4 | 0xf}, int64(items))
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

// encodeText returns a string's object: one byte a character where all are ASCII, UTF-16 otherwise.
func encodeText(s string) []byte {
	if !slices.ContainsFunc([]byte(s), func(c byte) bool { return c >= 0x80 }) {
		return append(marker(kindASCII, len(s)), s...)
	}
	units := utf16.Encode([]rune(s))
	b := marker(kindUTF16, len(units))
	for _, u := range units {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}
