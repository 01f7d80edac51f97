package capture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"slices"
	"strings"

	"russet/ios"
)

// The flags column of the manifest.
const (
	flagFile    = 1
	flagDir     = 2
	flagSymlink = 4
)

const (
	// maxName is the longest name that file systems take.
	maxName = 255
	// maxDepth bounds the folders of a path; iOS's own limit of 1,024 bytes a
	// path allows no more.
	maxDepth = 512
)

// fileID is the name of a stored file: the SHA-1 of domain-path.
type fileID [20]byte

func (id fileID) String() string { return hex.EncodeToString(id[:]) }

// parseFileID accepts 40 lower-case hex digits only: any other name is not one
// that a phone gives.
func parseFileID(s string) (id fileID, ok bool) {
	if len(s) != 2*len(id) || strings.ToLower(s) != s {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(s))
	return id, err == nil && n == len(id)
}

// entry is one record of the manifest and what became of it.
type entry struct {
	path  string // domain/relative path; once it has its place in a dir only the last name
	id    fileID
	flag  uint8
	keyed bool // it has a key: encrypted backups only
	found bool // it lies in the folder
	// reused: content is the parent's
	reused bool

	mode  uint32 // POSIX st_mode
	uid   uint32
	gid   uint32
	mtime int64 // Unix seconds
	ctime int64
	inode uint64
	hash  uint64 // of the record's bytes, to compare with the parent's
	// more is what few entries have, or need for longer than until they are
	// found to be unchanged; nil where there is nothing.
	more *entryMore

	stored  storedFile // as found in the folder
	content *content   // nil before it is known, and for what the phone's holdings tell
}

// entryMore is what the manifest says of an entry besides.
type entryMore struct {
	target string // of a symlink
	key    []byte // class and wrapped key
	digest []byte // SHA-1 of the stored bytes, where the phone gave one
}

func (e *entry) target() string {
	if e.more == nil {
		return ""
	}
	return e.more.target
}

func (e *entry) key() []byte {
	if e.more == nil {
		return nil
	}
	return e.more.key
}

func (e *entry) digest() []byte {
	if e.more == nil {
		return nil
	}
	return e.more.digest
}

// name is the last component of the path.
func (e *entry) name() string { return e.path[strings.LastIndexByte(e.path, '/')+1:] }

// representable tells whether a record can stand under Files: its path must be
// one that any file system and restic accept.
func representable(domain, relativePath string) bool {
	if strings.IndexByte(domain, '/') >= 0 || !validName(domain) {
		return false
	}
	if relativePath == "" {
		return true
	}
	depth := 0
	for name := range strings.SplitSeq(relativePath, "/") {
		if depth++; !validName(name) || depth > maxDepth {
			return false
		}
	}
	return true
}

func validName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= maxName && strings.IndexByte(s, 0) < 0
}

// comparePaths orders paths as trees order them: name by name, as bytes.
func comparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		// A slash ends a name, and a name sorts before its extensions.
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// records is what a manifest lists.
type records struct {
	entries []*entry // those that can stand under Files, in tree order
	// sealed are files that cannot: their stored form is kept as received.
	sealed []*entry
	bad    int // rows that could not be read
	// unchanged, if not nil, tells files whose key and digest are not needed.
	unchanged func(*entry) bool
	names     names
	room      []entry // entries are taken from
}

// entry returns a new entry. They are made many at once: there are hundreds of
// thousands.
func (recs *records) entry() *entry {
	if len(recs.room) == 0 {
		recs.room = make([]entry, 256)
	}
	e := &recs.room[0]
	recs.room = recs.room[1:]
	return e
}

// names keeps many short texts in few pieces of memory.
type names struct{ b strings.Builder }

// namesSize is the length of such a piece.
const namesSize = 64 << 10

// add returns the parts put together.
func (n *names) add(parts ...string) string {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	if n.b.Len()+length > n.b.Cap() {
		n.b = strings.Builder{}
		n.b.Grow(max(namesSize, length))
	}
	from := n.b.Len()
	for _, p := range parts {
		n.b.WriteString(p)
	}
	return n.b.String()[from:]
}

// recordHasher hashes manifest records of this run; the seed makes the hashes
// unpredictable to whoever made the phone's files.
type recordHasher struct{ seed maphash.Seed }

func (h recordHasher) sum(rec *ios.Record) uint64 {
	var m maphash.Hash
	m.SetSeed(h.seed)
	m.WriteByte(byte(rec.Flags))
	m.Write(rec.Blob)
	return m.Sum64()
}

// path hashes a path.
func (h recordHasher) path(p string) uint64 { return maphash.String(h.seed, p) }

// skippable tells the error of one row from that of the manifest.
func skippable(err error) bool {
	_, row := errors.AsType[*ios.RowError](err)
	return row && !errors.Is(err, ios.ErrUnreadable)
}

// recordBatch is records of a manifest that lie together, for another goroutine.
type recordBatch struct {
	recs []ios.Record
	bad  int // rows among them that could not be read
	err  error
}

const (
	// batchRecords is how many records are handed over at once, and batchBytes how much
	// they hold, or one that is longer: those of a phone have some 500 bytes, and may have
	// a megabyte, which a database can say many times of the same pages.
	batchRecords = 256
	batchBytes   = 1 << 20
)

// inBatches reads a manifest's records and hands them over. The last batch has the error
// that ended it, if any. It stops when ctx is done; until then all batches must be taken.
func inBatches(ctx context.Context, seq recordSeq, out chan<- recordBatch) {
	defer close(out)
	var b recordBatch
	size := 0
	for rec, err := range seq {
		if skippable(err) {
			b.bad++
			continue
		}
		if err == nil {
			err = ctx.Err()
		}
		if b.err = err; err != nil {
			break
		}
		b.recs = append(b.recs, rec)
		if size += len(rec.Blob) + len(rec.RelativePath); len(b.recs) < batchRecords && size < batchBytes {
			continue
		}
		out <- b
		b, size = recordBatch{recs: make([]ios.Record, 0, batchRecords)}, 0
	}
	out <- b
}

// readRecords reads the whole manifest: the database by one goroutine, and what its
// records say by another.
func readRecords(ctx context.Context, seq recordSeq, h recordHasher, unchanged func(*entry) bool) (*records, error) {
	recs := &records{unchanged: unchanged}
	batches := make(chan recordBatch, 2)
	go inBatches(ctx, seq, batches)
	var err error
	for b := range batches { // all, since seq must not be read any more once this returns
		recs.bad += b.bad
		if err = b.err; err != nil {
			continue
		}
		for i := range b.recs {
			if recs.add(&b.recs[i], h) != nil {
				recs.bad++
			}
		}
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(recs.entries, func(a, b *entry) int { return comparePaths(a.path, b.path) })
	return recs, nil
}

func (recs *records) add(rec *ios.Record, h recordHasher) error {
	id, ok := parseFileID(rec.FileID)
	if !ok {
		return nil // a stored file of such a name goes to Other by its own path
	}
	if rec.Flags != flagFile && rec.Flags != flagDir && rec.Flags != flagSymlink {
		return nil
	}
	e := recs.entry()
	*e = entry{id: id, flag: uint8(rec.Flags), hash: h.sum(rec)}
	var f ios.File
	if err := rec.Parse(&f); err != nil {
		if e.flag == flagFile {
			recs.sealed = append(recs.sealed, e)
		}
		return err
	}
	e.mode, e.uid, e.gid = f.Mode, f.UserID, f.GroupID
	e.mtime, e.ctime, e.inode = f.LastModified, f.LastStatusChange, f.Inode
	e.keyed = len(f.EncryptionKey) > 0
	if (e.keyed || len(f.Digest) > 0 || f.Target != "") && (recs.unchanged == nil || !recs.unchanged(e)) {
		e.more = &entryMore{strings.Clone(f.Target), bytes.Clone(f.EncryptionKey), bytes.Clone(f.Digest)}
	}
	if rec.RelativePath == "" {
		e.path = recs.names.add(rec.Domain)
	} else {
		e.path = recs.names.add(rec.Domain, "/", rec.RelativePath)
	}
	switch {
	case representable(rec.Domain, rec.RelativePath) && id == ios.FileSum(rec.Domain, rec.RelativePath) &&
		!(e.flag == flagFile && rec.RelativePath == ""):
		recs.entries = append(recs.entries, e)
	case e.flag == flagFile:
		recs.sealed = append(recs.sealed, e)
	}
	return nil
}
