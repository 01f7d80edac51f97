package ios

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"russet/internal/plist"
)

// TestRecordsOfAPhone writes records that a phone wrote (iOS 16) once more: they must come out the same.
func TestRecordsOfAPhone(t *testing.T) {
	t.Parallel()
	all := records(t, "greatvovan")
	if len(all) != 6 {
		t.Fatalf("%d records", len(all))
	}
	for _, r := range all {
		var f File
		if err := r.Parse(&f); err != nil {
			t.Fatal(err)
		}
		if f.RelativePath != r.RelativePath || r.FileID != FileID(r.Domain, r.RelativePath) {
			t.Errorf("%+v is not of %+v", f, r)
		}
		if got := MarshalFile(&f); !bytes.Equal(got, r.Blob) {
			t.Errorf("MarshalFile:\n%x, want\n%x", got, r.Blob)
		}
	}
}

// TestReadersAgree reads the records of the samples, which two programs wrote, in both ways.
func TestReadersAgree(t *testing.T) {
	t.Parallel()
	for _, r := range append(records(t, "D-*"), records(t, "greatvovan")...) {
		var fast, generic File
		if !parseArchive(r.Blob, &fast) {
			t.Errorf("%d: not of the usual form", r.Flags)
		}
		if err := parseGeneric(r.Blob, &generic); err != nil || !reflect.DeepEqual(fast, generic) {
			t.Errorf("got %+v, want %+v, %v", fast, generic, err)
		}
	}
}

func key(class byte) []byte { return append([]byte{class, 0, 0, 0}, bytes.Repeat([]byte{0xab}, 40)...) }

// files are of many kinds.
func files() []File {
	return []File{
		{},
		{
			RelativePath: "Library/SMS/sms.db", Mode: 0o100644, UserID: 501, GroupID: 501, Inode: 12884901889, LastModified: 1690000000,
			LastStatusChange: 1690000001, Birth: 1600000000, Size: 118784, ProtectionClass: 3, EncryptionKey: key(3), Digest: testBytes(20),
		},
		{RelativePath: "a/ä ö – 日本 \U0001f600.txt", Mode: 0o100600, Size: 5 << 32, EncryptionKey: key(4), ExtendedAttributes: testBytes(1000)},
		{RelativePath: "link", Target: "/var/db/timezone/zoneinfo/Europe/Berlin", Mode: 0o120755, Flags: 128},
		{RelativePath: "decomposed e\u0301", Target: "ziel-ü", Mode: 0o40755, UserID: 1<<32 - 2, LastModified: -1, Birth: 1 << 33, Inode: 1<<64 - 1},
		{RelativePath: strings.Repeat("x", 300), Digest: []byte{}, EncryptionKey: []byte{}, Size: -5},
		{RelativePath: strings.Repeat("ü", 600), Mode: 0o100644, ExtendedAttributes: testBytes(70000)},
	}
}

func TestMarshalFile(t *testing.T) {
	t.Parallel()
	for i, want := range files() {
		data := MarshalFile(&want)
		if again := AppendFile([]byte("before"), &want); !bytes.Equal(again, append([]byte("before"), data...)) {
			t.Errorf("%d: not the same bytes again", i)
		}
		var fast, generic File
		if !parseArchive(data, &fast) || !reflect.DeepEqual(fast, want) {
			t.Errorf("%d: got %+v, want %+v", i, fast, want)
		}
		if err := parseGeneric(data, &generic); err != nil || !reflect.DeepEqual(generic, want) {
			t.Errorf("%d: got %+v, want %+v, %v", i, generic, want, err)
		}
	}
}

// encode encodes a record with a general encoder.
func encode(t testing.TB, root any, objects ...any) []byte {
	t.Helper()
	data, err := plist.Marshal(map[string]any{
		"$version": 100000, "$archiver": "NSKeyedArchiver", "$top": map[string]any{"root": root},
		"$objects": append([]any{"$null"}, objects...),
	}, plist.Binary)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fields is a dictionary.
type fields = map[string]any

// TestForms reads records whose values stand in other places and types than usual.
func TestForms(t *testing.T) {
	t.Parallel()
	k, sum := key(3), testBytes(20)
	for name, c := range map[string]struct {
		data []byte
		want File
		fast bool
	}{
		"data in dictionaries": {encode(t, plist.UID(1), fields{"EncryptionKey": plist.UID(2), "Digest": plist.UID(3), "ExtendedAttributes": plist.UID(3)},
			fields{"NS.data": k, "$class": plist.UID(4)}, fields{"NS.data": plist.UID(4)}, sum), File{EncryptionKey: k, Digest: sum, ExtendedAttributes: sum}, true},
		"data as objects": {
			encode(t, plist.UID(1), fields{"EncryptionKey": plist.UID(2), "Digest": plist.UID(3)}, k, sum),
			File{EncryptionKey: k, Digest: sum},
			true,
		},
		"data inline": {
			encode(t, plist.UID(1), fields{"EncryptionKey": k, "Digest": sum, "RelativePath": "x"}),
			File{EncryptionKey: k, Digest: sum, RelativePath: "x"},
			true,
		},
		"numbers as objects": {encode(t, plist.UID(2), 7, fields{"Mode": plist.UID(1), "Size": plist.UID(1)}), File{Mode: 7, Size: 7}, true},
		"nil":                {encode(t, plist.UID(1), fields{"Target": plist.UID(0), "Size": plist.UID(0), "Digest": plist.UID(0), "Mode": 1}), File{Mode: 1}, false},
		"no target":          {encode(t, plist.UID(1), fields{"Target": plist.UID(0), "Mode": 1}), File{Mode: 1}, false},
		"nowhere":            {encode(t, plist.UID(1), fields{"Target": plist.UID(99), "Mode": 1}), File{Mode: 1}, false},
		"real":               {encode(t, plist.UID(1), fields{"LastModified": 1.5e9}), File{LastModified: 1.5e9}, false},
		"mutable string":     {encode(t, plist.UID(1), fields{"RelativePath": plist.UID(2)}, fields{"NS.string": "x"}), File{RelativePath: "x"}, false},
		"other keys":         {encode(t, plist.UID(1), fields{"Mode": 1, "New": []any{1}, "Newer": true, "$class": plist.UID(9)}), File{Mode: 1}, true},
		"root inline":        {encode(t, fields{"Mode": 1}), File{Mode: 1}, true},
	} {
		f := File{RelativePath: "old", Target: "old", Size: 1, Digest: k}
		if err := ParseFile(c.data, &f); err != nil || !reflect.DeepEqual(f, c.want) && fmt.Sprint(f) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %+v, want %+v, %v", name, f, c.want, err)
		}
		if got := parseArchive(c.data, new(File)); got != c.fast {
			t.Errorf("%s: read directly: %v", name, got)
		}
	}
}

func TestParseFileRefuses(t *testing.T) {
	t.Parallel()
	good := MarshalFile(&files()[1])
	for name, data := range map[string][]byte{
		"nothing":      nil,
		"text":         []byte("not a property list, and longer than the trailer of one would be"),
		"encrypted":    testBytes(512),
		"too long":     make([]byte, maxBlob+1),
		"no archive":   encodePlain(t, map[string]any{"a": 1}),
		"array":        encodePlain(t, []any{1}),
		"no root":      encode(t, plist.UID(7)),
		"root is text": encode(t, plist.UID(1), "x"),
		"root itself":  encode(t, plist.UID(1), plist.UID(1)),
		"text as mode": encode(t, plist.UID(1), fields{"Mode": "x"}),
		"wide mode":    encode(t, plist.UID(1), fields{"Mode": 1 << 40}),
		"low user":     encode(t, plist.UID(1), fields{"UserID": -1 << 40}),
		"real mode":    encode(t, plist.UID(1), fields{"Mode": 1e300}),
		"real size":    encode(t, plist.UID(1), fields{"Size": 1e300}),
		"number path":  encode(t, plist.UID(1), fields{"RelativePath": 7}),
		"text key":     encode(t, plist.UID(1), fields{"EncryptionKey": "x"}),
		"no data":      encode(t, plist.UID(1), fields{"Digest": fields{"NS.other": []byte{1}}}),
		"long path":    encode(t, plist.UID(1), fields{"RelativePath": strings.Repeat("x", maxPath+1)}),
	} {
		var f File
		if err := ParseFile(data, &f); err == nil {
			t.Errorf("%s: read as %+v", name, f)
		}
	}
	wrapped := bytes.Clone(good)
	copy(wrapped[bytes.Index(good, []byte("Library/SMS"))-3:], "\x6f\x13\x80\x00\x00\x00\x00\x00\x00\x00")
	if err := ParseFile(wrapped, new(File)); err == nil {
		t.Error("read a path of 2^63 characters")
	}
	for n := range len(good) {
		var f File
		if err := ParseFile(good[:n], &f); err == nil {
			t.Errorf("%d of %d bytes: read as %+v", n, len(good), f)
		}
	}
}

func encodePlain(t testing.TB, v any) []byte {
	t.Helper()
	data, err := plist.Marshal(v, plist.Binary)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReadersAgreeOnDamage changes every byte of records, and compares the two readers where both still read them.
func TestReadersAgreeOnDamage(t *testing.T) {
	t.Parallel()
	for _, file := range files()[1:4] {
		good := MarshalFile(&file)
		for i := range good {
			for _, b := range []byte{0, 1, 0x13, 0x14, 0x4f, 0x5f, 0x6f, 0x82, 0xa1, 0xd1, 0xdf, 0xff, good[i] ^ 1, good[i] ^ 0x80} {
				data := bytes.Clone(good)
				data[i] = b
				var fast, generic File
				if parseArchive(data, &fast) && parseGeneric(data, &generic) == nil && !reflect.DeepEqual(fast, generic) {
					t.Errorf("byte %d is %#x: got %+v, want %+v", i, b, fast, generic)
				}
			}
		}
	}
}

// TestParseFileAllocates makes sure that a manifest is read without an allocation for each of its records.
func TestParseFileAllocates(t *testing.T) {
	for _, want := range files()[:6] {
		data := MarshalFile(&want)
		f := File{}
		allowed := 0.0
		if want.Target != "" {
			allowed = 1
		}
		if n := testing.AllocsPerRun(10, func() {
			f.RelativePath = want.RelativePath
			if err := ParseFile(data, &f); err != nil {
				t.Error(err)
			}
		}); n > allowed {
			t.Errorf("%q: %v allocations", want.RelativePath, n)
		}
	}
}

// FuzzParseFile compares the two readers: where both read a record they must agree.
func FuzzParseFile(f *testing.F) {
	for _, file := range files()[:5] {
		f.Add(MarshalFile(&file))
	}
	f.Add(encode(f, plist.UID(1), fields{"EncryptionKey": plist.UID(2), "Mode": 1}, fields{"NS.data": key(1), "$class": plist.UID(0)}))
	f.Add(encode(f, plist.UID(1), fields{"RelativePath": plist.UID(1), "Size": -1, "Birth": 1.5}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var fast, generic File
		ok := parseArchive(data, &fast)
		err := parseGeneric(data, &generic)
		if ok && err == nil && fmt.Sprintf("%+v", fast) != fmt.Sprintf("%+v", generic) {
			t.Errorf("read directly:\n%+v, in general:\n%+v", fast, generic)
		}
		var f File
		if got := ParseFile(data, &f); (got == nil) != (ok || err == nil) {
			t.Errorf("ParseFile: %v, with %v and %v", got, ok, err)
		}
		if ok {
			var again File
			if err := ParseFile(MarshalFile(&fast), &again); err != nil || fast.Size != again.Size || fast.Mode != again.Mode {
				t.Errorf("written again: %+v, %v", again, err)
			}
		}
	})
}

func BenchmarkParseFile(b *testing.B) {
	file := files()[1]
	r := Record{RelativePath: file.RelativePath, Blob: MarshalFile(&file)}
	var f File
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Parse(&f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalFile(b *testing.B) {
	file := files()[1]
	var dst []byte
	for b.Loop() {
		dst = AppendFile(dst[:0], &file)
	}
}
