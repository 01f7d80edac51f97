package capture

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"russet/chunk"
	"russet/ios"
)

// The names at the top of a device's folder in a snapshot (docs/format.md).
const (
	nameFiles    = "Files"
	nameSealed   = "Sealed"
	nameOther    = "Other"
	nameMetadata = "russet.json"
)

// metadataVersion is what is written. Snapshots of a version that is not known
// give their files, but are neither written back nor built upon.
const metadataVersion = 1

// maxMetadata bounds russet.json: 300,000 missing files and empty folders
// would fit.
const maxMetadata = 64 << 20

// Metadata is russet.json: what is needed, beside the files, to write the
// backup folder back. It holds no time of the run, so that two captures of one
// folder give one tree.
type Metadata struct {
	Version int    `json:"version"`
	Source  string `json:"source"` // "folder"
	// Flat: files lie beside the plists (iOS 9 and older), not in folders 00 to ff.
	Flat bool `json:"flat,omitempty"`
	// Manifest tells in which form the manifest lies on top.
	Manifest ManifestForm `json:"manifest,omitempty"`
	Top      []TopFile    `json:"top"`
	// EmptyFolders are paths in the backup folder.
	EmptyFolders []pathText `json:"emptyFolders,omitempty"`
	// Missing are the ids of files that the manifest lists and the folder lacked.
	Missing []string  `json:"missing,omitempty"`
	Keybag  *Keybag   `json:"keybag,omitempty"`
	Trees   TreeNames `json:"trees"`
}

// ManifestForm is how a snapshot holds the manifest.
type ManifestForm string

const (
	// ManifestReceived: as it came, plain or not to be opened.
	ManifestReceived ManifestForm = "received"
	// ManifestDecrypted: it came encrypted under the ManifestKey of
	// Manifest.plist, and lies in plain.
	ManifestDecrypted ManifestForm = "decrypted"
)

// TopFile is one of the files on top of a backup folder: as received (Size,
// SHA256, ModTime), and as stored (Content).
type TopFile struct {
	Name    string     `json:"name"`
	Size    int64      `json:"size"`
	SHA256  chunk.ID   `json:"sha256"`
	ModTime time.Time  `json:"modTime"`
	Content []chunk.ID `json:"content"`
}

// TreeNames are the ids of the snapshot's trees; one that is absent is null.
type TreeNames struct {
	Files  *chunk.ID `json:"files"`
	Sealed *chunk.ID `json:"sealed"`
	Other  *chunk.ID `json:"other"`
}

// Keybag holds the unwrapped keys of the classes that protect files (1 to 4),
// which open nothing but the files that lie beside them, so that a phone's
// backup password is asked once per keybag. The keychain's classes are not
// kept.
type Keybag struct {
	UUID string            `json:"uuid"` // 32 hex digits
	Keys map[string][]byte `json:"keys"` // by class number
}

const (
	firstFileClass = 1
	lastFileClass  = 4
)

// fileClasses leaves out the keys that russet.json does not keep. Files are not
// opened with them either: nothing could encrypt such a file again.
func fileClasses(keys ios.ClassKeys) ios.ClassKeys {
	files := ios.ClassKeys{}
	for class, key := range keys {
		if firstFileClass <= class && class <= lastFileClass {
			files[class] = key
		}
	}
	return files
}

func newKeybag(uuid [16]byte, keys ios.ClassKeys) *Keybag {
	k := &Keybag{UUID: hex.EncodeToString(uuid[:]), Keys: map[string][]byte{}}
	for class, key := range fileClasses(keys) {
		k.Keys[strconv.Itoa(int(class))] = key[:]
	}
	return k
}

// classKeys returns the keys in the form in which they are used.
func (k *Keybag) classKeys() (ios.ClassKeys, error) {
	keys := ios.ClassKeys{}
	for name, b := range k.Keys {
		class, err := strconv.ParseUint(name, 10, 32)
		if err != nil || len(b) != len(ios.Key{}) {
			return nil, fmt.Errorf("read keybag of snapshot: class %q is malformed", name)
		}
		keys[uint32(class)] = ios.Key(b)
	}
	return fileClasses(keys), nil
}

// encode gives the bytes of russet.json: the same for the same values. What no
// reader would take is an error: the snapshot could not be restored.
func (m *Metadata) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", nameMetadata, err)
	}
	if len(b) >= maxMetadata {
		return nil, fmt.Errorf("encode %s: %d bytes are over its limit of %d", nameMetadata, len(b), maxMetadata)
	}
	return append(b, '\n'), nil
}

func decodeMetadata(b []byte) (*Metadata, error) {
	m := new(Metadata)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("decode %s: %w", nameMetadata, err)
	}
	return m, nil
}

// known tells whether the folder can be written back from m.
func (m *Metadata) known() bool { return m != nil && m.Version == metadataVersion }

// top returns the file of that name, or nil.
func (m *Metadata) top(name string) *TopFile {
	for i := range m.Top {
		if m.Top[i].Name == name {
			return &m.Top[i]
		}
	}
	return nil
}

// pathText is a path of any bytes, in JSON quoted as restic quotes names.
type pathText string

// MarshalText quotes control characters and bytes that are not UTF-8.
func (p pathText) MarshalText() ([]byte, error) {
	q := strconv.Quote(string(p))
	return []byte(q[1 : len(q)-1]), nil
}

// UnmarshalText reverses MarshalText.
func (p *pathText) UnmarshalText(b []byte) error {
	s, err := strconv.Unquote(`"` + string(b) + `"`)
	if err != nil {
		return fmt.Errorf("path %q: %w", strings.ToValidUTF8(string(b), "?"), err)
	}
	*p = pathText(s)
	return nil
}
