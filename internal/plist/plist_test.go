package plist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// doctype is how Apple's programs begin an XML property list.
const doctype = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
`

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := map[string]any{
		"text": "ä ö 日本 & <x>", "empty": "", "yes": true, "no": false, "n": uint64(1 << 40), "negative": int64(-2),
		"real": 1.5, "data": []byte{0, 1, 2}, "date": time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC),
		"list": []any{"a", "a", map[string]any{"deep": uint64(1)}}, "uid": UID(7),
	}
	for _, f := range []Format{Binary, XML} {
		data, err := Marshal(want, f)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 { // maps have no order
			again, err := Marshal(want, f)
			if err != nil || !bytes.Equal(data, again) {
				t.Fatalf("format %d: two different encodings, %v", f, err)
			}
		}
		var got map[string]any
		if err := Unmarshal(data, &got); err != nil {
			t.Fatalf("format %d: %v", f, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("format %d: got %v, want %v", f, got, want)
		}
	}
}

func TestUnmarshalXML(t *testing.T) {
	t.Parallel()
	const body = `<dict><key>A</key><string>b&amp;c</string><!-- <dict> --><key>N</key><integer>-3</integer></dict>`
	for name, in := range map[string]string{
		"apple":       doctype + "<plist version=\"1.0\">\n" + body + "\n</plist>\n",
		"mark":        "\xef\xbb\xbf" + doctype + "<plist version='1.0'>" + body + "</plist>",
		"no prolog":   "<plist>" + body + "</plist>",
		"no plist":    "\r\n\t" + body,
		"comment":     "<!-- made by > x -->" + doctype + "<plist>" + body + "</plist>",
		"cdata":       "<plist><dict><key>A</key><string><![CDATA[b&c]]></string><key>N</key><integer>-3</integer></dict></plist>",
		"after":       "<plist>" + body + "</plist>" + strings.Repeat("<array>", 1000),
		"open":        "<plist>" + body,
		"lower case":  `<?xml version="1.0" encoding='utf-8' standalone="yes"?><plist>` + body + "</plist>",
		"greater":     `<plist a="<b>"` + ` b='/>'>` + body + "</plist>",
		"instruction": `<?x <array> ?><plist><?y <array><array> ?>` + body + "</plist>",
	} {
		var got map[string]any
		err := Unmarshal([]byte(in), &got)
		if name == "greater" { // encoding/xml refuses '<' in an attribute
			if err == nil {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		if want := map[string]any{"A": "b&c", "N": int64(-3)}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestUnmarshalStruct(t *testing.T) {
	t.Parallel()
	var got struct {
		Name  any    `plist:"Device Name"`
		Other string `plist:"None"`
	}
	in := doctype + "<plist><dict><key>Device Name</key><string>x</string></dict></plist>"
	if err := Unmarshal([]byte(in), &got); err != nil || got.Name != "x" || got.Other != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := Unmarshal([]byte(in), got); err == nil {
		t.Error("decoded into a value that is no pointer")
	}
	if _, err := Marshal(func() {}, XML); err == nil {
		t.Error("encoded a function")
	}
}

// list builds a binary property list of objects with 4-byte references, which stand in them as %04x of their number.
func list(objects ...[]byte) []byte {
	data := []byte("bplist00")
	var table []byte
	for _, o := range objects {
		table = binary.BigEndian.AppendUint32(table, uint32(len(data)))
		data = append(data, o...)
	}
	start := len(data)
	data = append(data, table...)
	data = append(data, 0, 0, 0, 0, 0, 0, 4, 4)
	data = binary.BigEndian.AppendUint64(data, uint64(len(objects)))
	data = binary.BigEndian.AppendUint64(data, 0)
	return binary.BigEndian.AppendUint64(data, uint64(start))
}

// array builds an array object of less than 15 references.
func array(refs ...int) []byte {
	b := []byte{0xa0 | byte(len(refs))}
	for _, r := range refs {
		b = binary.BigEndian.AppendUint32(b, uint32(r))
	}
	return b
}

// chain builds n arrays, each of which holds the next one width times, and a number.
func chain(n, width int) []byte {
	var objects [][]byte
	for i := range n {
		refs := make([]int, width)
		for j := range refs {
			refs[j] = i + 1
		}
		objects = append(objects, array(refs...))
	}
	return list(append(objects, []byte{0x10, 7})...)
}

// forked builds an array of two: a chain of arrays, and another one that ends in the first one's start.
func forked(first, second int) []byte {
	objects := [][]byte{array(1, first+1)}
	for i := range first {
		objects = append(objects, array(i+2))
	}
	objects[first] = array()
	for i := range second {
		objects = append(objects, array(first+2+i))
	}
	objects[first+second] = array(1)
	return list(objects...)
}

// overlapping builds an array of strings that all lie in the same place, with a table of offsets that says so.
func overlapping() []byte {
	text := append([]byte{0x6f, 0x11, 0x40, 0}, bytes.Repeat([]byte{0x30, 0x42}, 0x4000)...)
	objects := [][]byte{array(1, 2, 3, 4), text, {}, {}, {}}
	data := list(objects...)
	table := len(data) - 32 - 4*len(objects)
	for i := range 3 {
		copy(data[table+4*(i+2):], data[table+4:][:4])
	}
	return data
}

func TestUnmarshalHostile(t *testing.T) {
	t.Parallel()
	trailer := func(change func(b []byte)) []byte {
		data := chain(1, 1)
		change(data[len(data)-32:])
		return data
	}
	for name, in := range map[string][]byte{
		"empty":          {},
		"text format":    []byte("{ a = b; }"),
		"text data":      []byte("<0fbd>"),
		"text nested":    bytes.Repeat([]byte("("), 1<<20),
		"html":           []byte("<html></html>"),
		"UTF-16":         []byte("\xfe\xff\x00<\x00p\x00l\x00i\x00s\x00t\x00>"),
		"other encoding": []byte(`<?xml version="1.0" encoding="UTF-16"?><plist><true/></plist>`),
		"entities":       []byte(`<!DOCTYPE plist [<!ENTITY a "b">]><plist><string>&a;</string></plist>`),
		"subset":         []byte(`<!DOCTYPE plist [ ]><plist><true/></plist>`),
		"open directive": []byte(`<!DOCTYPE plist "><plist><true/></plist>`),
		"deep XML":       []byte("<plist>" + strings.Repeat("<array>", maxDepth)),
		"very deep XML":  []byte("<plist>" + strings.Repeat("<array>", 4<<20)),
		"no value":       []byte("<plist/>"),
		"no value, open": []byte("<plist version=\"1.0\">\n</plist>"),
		"bad number":     []byte("<plist><integer>x</integer></plist>"),
		"deep":           chain(maxDepth+1, 1),
		"laughs":         chain(30, 14),
		"deep later":     forked(maxDepth-20, 50),
		"cycle":          list(array(1), array(0)),
		"self":           list(array(0)),
		"overlap":        overlapping(),
		"beyond":         list(array(9)),
		"no header":      []byte("bplist00"),
		"long array":     list([]byte{0xaf, 0x13, 0x40, 0, 0, 0, 0, 0, 0, 0}),
		"long text":      list([]byte{0x6f, 0x13, 0x80, 0, 0, 0, 0, 0, 0, 0}),
		"long data":      list([]byte{0x4f, 0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"odd length":     list([]byte{0x4f, 0x44, 0}),
		"number as key":  list([]byte{0xd1, 0, 0, 0, 1, 0, 0, 0, 1}, []byte{0x10, 1}),
		"set":            list([]byte{0xc0}),
		"null":           list([]byte{0x00}),
		"no offsets":     trailer(func(b []byte) { b[6] = 0 }),
		"no refs":        trailer(func(b []byte) { b[7] = 0 }),
		"wide offsets":   trailer(func(b []byte) { b[6] = 255 }),
		"many objects":   trailer(func(b []byte) { b[8] = 0x40 }),
		"table beyond":   trailer(func(b []byte) { b[24] = 0x40 }),
		"top beyond":     trailer(func(b []byte) { b[23] = 9 }),
	} {
		var v any
		if err := Unmarshal(in, &v); err == nil {
			t.Errorf("%s: decoded to %v", name, v)
		} else if err.Error() == "read property list: malformed" {
			t.Errorf("%s: came as far as a panic", name)
		}
	}
}

func TestUnmarshalSize(t *testing.T) {
	t.Parallel()
	var v any
	if err := Unmarshal(make([]byte, MaxSize+1), &v); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v", err)
	}
	wide := []byte("<plist><array>" + strings.Repeat("<true/>", 2*maxValues) + "</array></plist>")
	if err := Unmarshal(wide, &v); !errors.Is(err, errValues) {
		t.Errorf("got %v", err)
	}
}

// TestUnmarshalLimits decodes what just lies within the limits.
func TestUnmarshalLimits(t *testing.T) {
	t.Parallel()
	var v any
	if err := Unmarshal(chain(maxDepth-1, 1), &v); err != nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	if err := Unmarshal(forked(maxDepth-51, 50), &v); err != nil {
		t.Errorf("forked: %v", err)
	}
	if err := Unmarshal(chain(5, 14), &v); err != nil { // 14^5 numbers, and the arrays
		t.Errorf("shared values: %v", err)
	}
	in := strings.Repeat("<array>", maxDepth-1) + strings.Repeat("</array>", maxDepth-1)
	if err := Unmarshal([]byte("<plist>"+in+"</plist>"), &v); err != nil {
		t.Errorf("%d levels of XML: %v", maxDepth, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, format := range []Format{Binary, XML} {
		data, err := Marshal(map[string]any{"a": []any{"b", uint64(1), []byte{2}, UID(3), "ü", 1.5, true}}, format)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(chain(4, 3))
	f.Add(overlapping())
	f.Add([]byte(doctype + "<plist><dict><key>a</key><date>2026-08-01T10:00:00Z</date></dict></plist>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if err := Unmarshal(data, &v); err == nil {
			_ = fmt.Sprint(v)
		}
		var s struct {
			A []byte         `plist:"a"`
			B map[string]any `plist:"b"`
		}
		_ = Unmarshal(data, &s)
	})
}
