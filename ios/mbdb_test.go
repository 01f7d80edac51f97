package ios

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"russet/internal/plist"
)

// appendMBDB appends a record, and to nothing the header first.
func appendMBDB(dst []byte, domain string, f *File, attributes ...string) []byte {
	if len(dst) == 0 {
		dst = append(dst, mbdbHeader...)
	}
	text := func(s []byte) {
		if s == nil {
			dst = binary.BigEndian.AppendUint16(dst, noString)
			return
		}
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
	}
	for _, s := range [][]byte{[]byte(domain), []byte(f.RelativePath), []byte(f.Target), f.Digest, f.EncryptionKey} {
		text(s)
	}
	b := binary.BigEndian
	dst = b.AppendUint16(dst, uint16(f.Mode))
	dst = b.AppendUint64(dst, f.Inode)
	dst = b.AppendUint32(b.AppendUint32(dst, f.UserID), f.GroupID)
	for _, t := range []int64{f.LastModified, f.LastStatusChange, f.Birth} {
		dst = b.AppendUint32(dst, uint32(t))
	}
	dst = b.AppendUint64(dst, uint64(f.Size))
	dst = append(dst, byte(f.ProtectionClass), byte(len(attributes)/2))
	for _, a := range attributes {
		text([]byte(a))
	}
	return dst
}

// oldFiles are of the kinds that a Manifest.mbdb may hold.
func oldFiles() []File {
	return []File{
		{
			RelativePath: "Library/SMS/sms.db", Mode: 0o100644, UserID: 501, GroupID: 501, Inode: 77, LastModified: 1400000000,
			LastStatusChange: 1400000001, Birth: -1, Size: 118784, ProtectionClass: 3, EncryptionKey: key(3), Digest: testBytes(20),
		},
		{RelativePath: "", Mode: 0o40755},
		{RelativePath: "link-ü", Target: "/private/var", Mode: 0o120755},
		{RelativePath: "socket", Mode: 0o140755, Size: 1 << 40},
	}
}

func TestParseMBDB(t *testing.T) {
	t.Parallel()
	var data []byte
	want := oldFiles()
	for i := range want {
		data = appendMBDB(data, "HomeDomain", &want[i])
	}
	flags := []int64{RegularFile, Directory, Symlink, 0}
	i := 0
	for r, err := range ParseMBDB(data) {
		if err != nil {
			t.Fatal(err)
		}
		var f File
		if err := r.Parse(&f); err != nil || !reflect.DeepEqual(f, want[i]) {
			t.Errorf("got %+v, want %+v, %v", f, want[i], err)
		}
		if r.Flags != flags[i] || r.FileID != FileID("HomeDomain", f.RelativePath) || r.RelativePath != f.RelativePath {
			t.Errorf("record %+v", r)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d records, want %d", i, len(want))
	}
}

func TestParseMBDBAttributes(t *testing.T) {
	t.Parallel()
	data := appendMBDB(nil, "D", &oldFiles()[0], "com.apple.x", "value", "com.apple.y", "")
	data = appendMBDB(data, "D", &oldFiles()[1])
	n := 0
	for r, err := range ParseMBDB(data) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 1 {
			continue
		}
		var f File
		if err := r.Parse(&f); err != nil {
			t.Fatal(err)
		}
		var got map[string][]byte
		if err := plist.Unmarshal(f.ExtendedAttributes, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || string(got["com.apple.x"]) != "value" {
			t.Errorf("got %v", got)
		}
	}
	if n != 2 {
		t.Errorf("%d records", n)
	}
}

// TestParseMBDBDamaged cuts a manifest at every place: what is whole comes, then an error.
func TestParseMBDBDamaged(t *testing.T) {
	t.Parallel()
	first := appendMBDB(nil, "D", &oldFiles()[0], "name", "value")
	data := appendMBDB(first, "D", &oldFiles()[2])
	for n := range len(data) {
		whole, errs := 0, 0
		for r, err := range ParseMBDB(data[:n]) {
			if err != nil {
				if errs++; !errors.Is(err, ErrUnreadable) {
					t.Errorf("%d bytes: %v", n, err)
				}
				continue
			}
			if err := r.Parse(new(File)); err != nil {
				t.Error(err)
			}
			whole++
		}
		wantWhole, wantErrs := 0, 1
		if n >= len(first) {
			wantWhole = 1
		}
		if n == len(first) || n == len(mbdbHeader) {
			wantErrs = 0
		}
		if whole != wantWhole || errs != wantErrs {
			t.Errorf("%d of %d bytes: %d records and %d errors, want %d and %d", n, len(data), whole, errs, wantWhole, wantErrs)
		}
	}
}

func FuzzParseMBDB(f *testing.F) {
	if found, err := filepath.Glob(filepath.Join(samples, "I-*", "*", MBDBName)); err == nil && len(found) == 1 {
		if data, err := os.ReadFile(found[0]); err == nil {
			f.Add(data)
		}
	}
	f.Add(appendMBDB(nil, "D", &oldFiles()[0], "name", "value"))
	f.Add(appendMBDB(appendMBDB(nil, "D", &oldFiles()[1]), "E", &oldFiles()[2]))
	f.Fuzz(func(t *testing.T, data []byte) {
		total := len(mbdbHeader)
		for r, err := range ParseMBDB(data) {
			if err != nil {
				return
			}
			total += len(r.Blob)
			var file File
			if err := r.Parse(&file); err != nil || file.RelativePath != r.RelativePath {
				t.Errorf("record %+v: %+v, %v", r, file, err)
			}
		}
		if total != len(data) {
			t.Errorf("records of %d bytes in a manifest of %d", total, len(data))
		}
	})
}
