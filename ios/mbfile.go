package ios

import (
	"errors"
	"fmt"

	"russet/internal/plist"
)

// Limits on what a manifest record may hold. Real ones are 412 to 1,850 bytes long.
const (
	maxBlob = 1 << 20
	maxPath = 64 << 10
)

// The kinds of a record's Flags.
const (
	RegularFile = 1
	Directory   = 2
	Symlink     = 4
)

var (
	errRecord     = errors.New("not a file record")
	errFieldType  = errors.New("field of an unexpected type")
	errFieldRange = errors.New("field out of range")
)

// File is what the phone says of one file, folder or link of its own. Times are in whole seconds since 1970, and may
// be zero, negative or far in the future. What a record lacks is zero.
type File struct {
	RelativePath     string // below the domain's root; equals the column of the manifest
	Target           string // of a symbolic link, as on the phone
	Mode             uint32 // st_mode with its type bits: 0o100644, 0o40755, 0o120755
	UserID, GroupID  uint32
	Inode            uint64
	LastModified     int64
	LastStatusChange int64
	Birth            int64

	// Size is the length on the phone. What is stored is often shorter or longer: databases are sent as fresh copies.
	Size            int64
	Flags           uint32 // of unknown meaning, nearly always 0; not the Flags of Record
	ProtectionClass uint32 // 1 to 4 for files

	// EncryptionKey is the file's key, wrapped, 44 bytes (ClassKeys.Unwrap); nil in plain backups.
	EncryptionKey []byte
	// Digest is the SHA-1 of the file as it is stored; nil where the phone gives none.
	Digest []byte
	// ExtendedAttributes is a binary property list: a dictionary of names and data.
	ExtendedAttributes []byte
}

// ParseFile reads the file column of a Manifest.db row into f, all of it. Byte slices in f alias data, and where
// f.RelativePath holds the right path already it is kept: a caller who sets it to the row's relativePath saves an
// allocation. With an error the content of f is undefined.
//
// The record is an NSKeyedArchiver archive of an MBFile object. The usual form is read directly, which is 20 times
// faster than a general decoder; whatever is not quite that is left to the general one.
func ParseFile(data []byte, f *File) error {
	if len(data) > maxBlob {
		return fmt.Errorf("parse file record: %d bytes", len(data))
	}
	path := f.RelativePath
	*f = File{RelativePath: path}
	if parseArchive(data, f) {
		return nil
	}
	*f = File{}
	if err := parseGeneric(data, f); err != nil {
		return fmt.Errorf("parse file record: %w", err)
	}
	return nil
}

// setNumber sets the number called key; other keys are ignored.
func (f *File) setNumber(key string, n int64) error {
	switch key {
	case "Mode":
		return set32(&f.Mode, n)
	case "UserID":
		return set32(&f.UserID, n)
	case "GroupID":
		return set32(&f.GroupID, n)
	case "Flags":
		return set32(&f.Flags, n)
	case "ProtectionClass":
		return set32(&f.ProtectionClass, n)
	case "InodeNumber":
		f.Inode = uint64(n)
	case "LastModified":
		f.LastModified = n
	case "LastStatusChange":
		f.LastStatusChange = n
	case "Birth":
		f.Birth = n
	case "Size":
		f.Size = n
	}
	return nil
}

// set32 takes a number of 32 bits, written with or without a sign: user -2 is 4294967294.
func set32(dst *uint32, n int64) error {
	if n < -1<<31 || n >= 1<<32 {
		return errFieldRange
	}
	*dst = uint32(n)
	return nil
}

// data returns the place of the data called key, or nil.
func (f *File) data(key string) *[]byte {
	switch key {
	case "EncryptionKey":
		return &f.EncryptionKey
	case "Digest":
		return &f.Digest
	case "ExtendedAttributes":
		return &f.ExtendedAttributes
	}
	return nil
}

// text returns the place of the string called key, or nil.
func (f *File) text(key string) *string {
	switch key {
	case "RelativePath":
		return &f.RelativePath
	case "Target":
		return &f.Target
	}
	return nil
}

// isNumber reports whether key is one that setNumber sets.
func isNumber(key string) bool {
	switch key {
	case "Mode", "UserID", "GroupID", "Flags", "ProtectionClass", "InodeNumber",
		"LastModified", "LastStatusChange", "Birth", "Size":
		return true
	}
	return false
}

// parseGeneric reads a record with the general decoder. It says why where it cannot.
func parseGeneric(data []byte, f *File) error {
	var archive struct {
		Objects []any          `plist:"$objects"`
		Top     map[string]any `plist:"$top"`
	}
	if err := plist.Unmarshal(data, &archive); err != nil {
		return err
	}
	root, ok := resolve(archive.Objects, archive.Top["root"]).(map[string]any)
	if !ok {
		return errRecord
	}
	for key, v := range root {
		v = unwrapObject(archive.Objects, resolve(archive.Objects, v))
		if err := f.set(key, v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// resolve follows a reference into the archive's objects, once. Object 0 stands for nil.
func resolve(objects []any, v any) any {
	uid, ok := v.(plist.UID)
	switch {
	case !ok:
		return v
	case uid == 0 || uint64(uid) >= uint64(len(objects)):
		return nil
	}
	return objects[uid]
}

// unwrapObject returns the content of an archived NSMutableData or NSMutableString.
func unwrapObject(objects []any, v any) any {
	d, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for _, key := range []string{"NS.data", "NS.string"} {
		if v, ok := d[key]; ok {
			return resolve(objects, v)
		}
	}
	return v
}

// set sets the field called key to a value of the general decoder; other keys are ignored.
func (f *File) set(key string, v any) error {
	if dst := f.text(key); dst != nil {
		s, ok := v.(string)
		if !ok && v != nil {
			return errFieldType
		}
		if len(s) > maxPath {
			return errFieldRange
		}
		*dst = s
		return nil
	}
	if dst := f.data(key); dst != nil {
		b, ok := v.([]byte)
		if !ok && v != nil {
			return errFieldType
		}
		*dst = b
		return nil
	}
	if !isNumber(key) {
		return nil
	}
	switch v := v.(type) {
	case int64:
		return f.setNumber(key, v)
	case uint64:
		return f.setNumber(key, int64(v))
	case float64:
		if !(v > -1<<53 && v < 1<<53) {
			return errFieldRange
		}
		return f.setNumber(key, int64(v))
	case nil:
		return f.setNumber(key, 0)
	}
	return errFieldType
}
