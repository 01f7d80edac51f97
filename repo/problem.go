package repo

import (
	"fmt"
	"strconv"
	"strings"

	"russet/backend"
	"russet/chunk"
	"russet/index"
)

// ProblemKind says what a check found. Kinds whose Note is true are no damage.
type ProblemKind uint8

// What a check can find.
const (
	NoteUnreferenced ProblemKind = iota // a pack that no index names: left by a run that was cut off
	NoteDuplicate                       // a pack that several index files describe, in the same way
	NoteMixed                           // a pack of version 2 with both files' content and trees
	NoteTransient                       // read wrongly once and rightly the second time
	BadConfig                           // the config cannot be read
	BadKey                              // a key file is damaged: its password opens nothing
	BadLock                             // a lock file is damaged: it blocks everybody
	BadIndex                            // an index file cannot be read
	BadSnapshot                         // a snapshot cannot be read
	SnapshotsMissing                    // the folder of the snapshots is gone, and there is what they led to
	IndexConflict                       // a pack that index files describe in different ways
	PackMissing                         // an index names a pack that is not there
	PackUnnamed                         // a pack that no index names holds content that is missing
	PackSize                            // a pack is not as long as the index says
	PackDamaged                         // a pack's bytes, header or order are not what they must be
	BlobDamaged                         // one copy of a blob cannot be read from its pack
	BlobMissing                         // a file or folder needs a blob that is in no index
	BadTree                             // a folder's list of names cannot be read or is not legal
	LostFile                            // a file is incomplete: a consequence of the above
	LostFolder                          // a folder cannot be read: a consequence of the above
)

var problemNames = [...]string{
	NoteUnreferenced: "unreferenced pack", NoteDuplicate: "pack indexed twice", NoteMixed: "mixed pack",
	NoteTransient: "transient read error", BadConfig: "damaged config", BadKey: "damaged key",
	BadLock: "damaged lock", BadIndex: "damaged index", BadSnapshot: "damaged snapshot",
	SnapshotsMissing: "missing snapshots",
	IndexConflict:    "conflicting index", PackMissing: "missing pack", PackUnnamed: "pack in no index", PackSize: "pack of wrong size",
	PackDamaged: "damaged pack", BlobDamaged: "damaged blob", BlobMissing: "missing blob",
	BadTree: "damaged tree", LostFile: "affected file", LostFolder: "affected folder",
}

// String gives the kind in two or three words.
func (k ProblemKind) String() string {
	if int(k) < len(problemNames) {
		return problemNames[k]
	}
	return "problem kind " + strconv.Itoa(int(k))
}

// MarshalText gives the words of String.
func (k ProblemKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Note tells whether the kind is harmless.
func (k ProblemKind) Note() bool { return k <= NoteTransient }

// Consequence tells whether the kind says what a damage that was reported
// before costs the owner.
func (k ProblemKind) Consequence() bool { return k == LostFile || k == LostFolder }

// Problem is one thing that a check found. Fields that do not apply are zero.
type Problem struct {
	Kind ProblemKind
	File backend.File // of the repository
	Blob index.Handle
	// Path is a file or folder of the owner's, slash-separated from the root of
	// the snapshots that have it so: raw bytes, and private.
	Path      string
	Snapshots []chunk.ID
	Err       error
}

// String gives the problem in one line. It holds Path.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Kind.String())
	if p.File != (backend.File{}) {
		fmt.Fprintf(&b, " %v", p.File)
	}
	if !p.Blob.ID.IsZero() {
		fmt.Fprintf(&b, " %v %v", p.Blob.Type, p.Blob.ID)
	}
	if p.Path != "" {
		fmt.Fprintf(&b, " %q", p.Path)
	}
	for i, id := range p.Snapshots {
		b.WriteString([]string{" in snapshot ", ", "}[min(i, 1)])
		b.WriteString(id.String()[:8])
	}
	if p.Err != nil {
		fmt.Fprintf(&b, ": %v", p.Err)
	}
	return b.String()
}
