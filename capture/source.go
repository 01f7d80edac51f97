package capture

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path"
	"slices"
	"time"

	"russet/chunk"
	"russet/ios"
)

// storedFile is what the folder says of a file before it is opened.
type storedFile struct {
	size     int64 // as it is stored in the folder
	modified stamp

	// Of a phone's files only.
	ref   uint64 // the record's hash in the last version, or the place in the spool
	slot  uint32 // of the holdings
	place place
	last  bool // it is the last version's
	// replaces: the last version had another file under its name.
	replaces bool
}

// stamp is a time in nanoseconds since 1970: there are as many as files, and a
// time.Time takes three times as much. Years that it cannot tell become the
// nearest that it can.
type stamp int64

func stampOf(t time.Time) stamp {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return stamp(t.UnixNano())
}

func (s stamp) time() time.Time { return time.Unix(0, int64(s)) }

// place is where the bytes of a phone's file are.
type place uint8

const (
	placeReceived place = iota // in the repository, as received
	placeOpened                // in the repository, decrypted
	placeSpool
	placeMemory // in memory and in the journal: small files
	lastPlace   = placeMemory
)

// folder is a backup folder being read. Its listing is taken once.
type folder struct {
	from   opener
	stored storedFiles
	other  []otherFile
	empty  []pathText
}

// storedFiles are stored files by their ids, in a map for each of the folders
// that they lie in.
type storedFiles [256]map[fileID]storedFile

func (s *storedFiles) get(id fileID) (storedFile, bool) {
	f, ok := s[id[0]][id]
	return f, ok
}

func (s *storedFiles) put(id fileID, f storedFile) {
	if s[id[0]] == nil {
		s[id[0]] = map[fileID]storedFile{}
	}
	s[id[0]][id] = f
}

// keep forgets all files but those that are still to be read.
func (s *storedFiles) keep(jobs []job) {
	*s = storedFiles{}
	for _, j := range jobs {
		s.put(j.id(), j.stored())
	}
}

// opener opens what a folder's listing named.
type opener interface {
	open(id fileID) (io.ReadCloser, error)
	openOther(path string) (io.ReadCloser, error)
	close()
}

// otherFile is anything in the folder that no phone puts there.
type otherFile struct {
	path    string
	modTime time.Time
	link    bool
	target  string     // of a link
	ids     []chunk.ID // once it is stored; of a link none
}

// diskFolder opens what lies in a folder of this computer.
type diskFolder struct {
	root   *os.Root
	flat   bool
	shards map[string]*os.Root // open, so that a file takes one system call to open
}

// listing is a folder of this computer while it is listed.
type listing struct {
	folder
	disk *diskFolder
}

// topNames are the files on top of a backup folder that the format knows.
func topNames() []string {
	return []string{ios.InfoName, ios.DatabaseName, ios.MBDBName, ios.ManifestName, ios.StatusName}
}

// listFolder lists a backup folder.
func listFolder(ctx context.Context, root *os.Root, flat bool) (*folder, error) {
	disk := &diskFolder{root: root, flat: flat, shards: map[string]*os.Root{}}
	f := &listing{folder{from: disk}, disk}
	names, err := readNames(root)
	if err != nil {
		return nil, fmt.Errorf("list backup folder: %w", err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			f.close()
			return nil, err
		}
		if err := f.listTop(ctx, name); err != nil {
			f.close()
			return nil, fmt.Errorf("list backup folder: %w", err)
		}
	}
	return &f.folder, nil
}

func readNames(root *os.Root) ([]string, error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (f *listing) listTop(ctx context.Context, name string) error {
	if slices.Contains(topNames(), name) {
		return nil
	}
	info, err := f.disk.root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() && isShard(name) && !f.disk.flat {
		return f.listShard(ctx, name)
	}
	if id, ok := parseFileID(name); ok && f.disk.flat && info.Mode().IsRegular() {
		f.stored.put(id, storedFile{size: info.Size(), modified: stampOf(info.ModTime())})
		return nil
	}
	return f.listOther(ctx, name, info, 0)
}

// isShard tells whether name is one of the folders 00 to ff.
func isShard(name string) bool {
	return len(name) == 2 && isHex(name[0]) && isHex(name[1])
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

func (f *listing) listShard(ctx context.Context, shard string) error {
	root, err := f.disk.root.OpenRoot(shard)
	if err != nil {
		return err
	}
	f.disk.shards[shard] = root
	names, err := readNames(root)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		f.empty = append(f.empty, pathText(shard))
	}
	for _, name := range names {
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		id, ok := parseFileID(name)
		if ok && name[:2] == shard && info.Mode().IsRegular() {
			f.stored.put(id, storedFile{size: info.Size(), modified: stampOf(info.ModTime())})
			continue
		}
		if err := f.listOther(ctx, path.Join(shard, name), info, 1); err != nil {
			return err
		}
	}
	return nil
}

// listOther notes what lies at p, and below it when it is a folder. Devices,
// sockets and pipes are no part of a backup and left out.
func (f *listing) listOther(ctx context.Context, p string, info fs.FileInfo, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("folders nested deeper than %d", maxDepth)
	}
	switch {
	case info.Mode().IsRegular():
		f.other = append(f.other, otherFile{path: p, modTime: info.ModTime()})
	case info.Mode().Type() == fs.ModeSymlink:
		target, err := f.disk.root.Readlink(p)
		if err != nil {
			return err
		}
		f.other = append(f.other, otherFile{path: p, modTime: info.ModTime(), link: true, target: target})
	case info.IsDir():
		sub, err := f.disk.root.OpenRoot(p)
		if err != nil {
			return err
		}
		defer sub.Close()
		names, err := readNames(sub)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			f.empty = append(f.empty, pathText(p))
		}
		for _, name := range names {
			info, err := sub.Lstat(name)
			if err != nil {
				return err
			}
			if err := f.listOther(ctx, path.Join(p, name), info, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// close may be called on nil.
func (f *folder) close() {
	if f != nil {
		f.from.close()
	}
}

func (d *diskFolder) close() {
	for _, s := range d.shards {
		s.Close()
	}
	clear(d.shards)
}

// open opens a stored file by its id. It must still be a regular file.
func (d *diskFolder) open(id fileID) (io.ReadCloser, error) {
	name := id.String()
	root := d.root
	if !d.flat {
		if root = d.shards[name[:2]]; root == nil {
			return nil, fs.ErrNotExist
		}
	}
	return root.Open(name)
}

func (d *diskFolder) openOther(path string) (io.ReadCloser, error) { return d.root.Open(path) }

// received is a top file as it was when it was read.
type received struct {
	name    string
	size    int64
	sum     chunk.ID
	modTime time.Time
}

// readTop hashes the top files that are there.
func readTop(fsys fs.FS) ([]received, error) {
	var top []received
	for _, name := range topNames() {
		r, err := hashFile(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		top = append(top, r)
	}
	return top, nil
}

func hashFile(fsys fs.FS, name string) (received, error) {
	info, err := fs.Stat(fsys, name) // before it is opened, which waits for ever at a pipe
	if err != nil {
		return received{}, err
	}
	if !info.Mode().IsRegular() {
		return received{}, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return received{}, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return received{}, err
	}
	if t, ok := f.(*topFile); ok && t.summed {
		return received{name, t.Size(), t.sum, info.ModTime()}, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return received{}, err
	}
	return received{name, n, chunk.ID(h.Sum(nil)), info.ModTime()}, nil
}

// sameState tells whether two readings of the top files show the same backup:
// Status and manifests, not Info.plist, which hosts rewrite at will.
func sameState(a, b []received) bool {
	pick := func(top []received) map[string]chunk.ID {
		m := map[string]chunk.ID{}
		for _, r := range top {
			if r.name != ios.InfoName {
				m[r.name] = r.sum
			}
		}
		return m
	}
	am, bm := pick(a), pick(b)
	if len(am) != len(bm) {
		return false
	}
	for name, sum := range am {
		if other, ok := bm[name]; !ok || other != sum {
			return false
		}
	}
	return true
}

// storedPath is where a stored file lies in the backup folder.
func storedPath(id string, flat bool) string {
	if flat {
		return id
	}
	return id[:2] + "/" + id
}

// openRecords opens the folder's manifest, decrypted under key where that is
// not nil. done must be called after use.
func openRecords(ctx context.Context, fsys fs.FS, key *ios.Key, flat bool) (recs recordSeq, done func(), err error) {
	f, err := fsys.Open(manifestName(flat))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		f.Close()
		return nil, nil, errors.New("open manifest: it cannot be read at any place")
	}
	size := info.Size()
	if key != nil {
		d, err := ios.NewDecrypterAt(r, size, *key)
		if err != nil {
			f.Close()
			return nil, nil, fmt.Errorf("decrypt manifest: %w", err)
		}
		r, size = d, d.Size()
	}
	recs, closeRecords, err := manifestRecords(ctx, r, size, flat)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return recs, func() { closeRecords(); f.Close() }, nil
}

// recordSeq is the records of a manifest of either kind.
type recordSeq = iter.Seq2[ios.Record, error]

func manifestName(flat bool) string {
	if flat {
		return ios.MBDBName
	}
	return ios.DatabaseName
}

// maxMBDB bounds a Manifest.mbdb, which is read whole: some 500 bytes a file.
const maxMBDB = 512 << 20

// manifestRecords reads the records of a manifest that is no longer encrypted.
func manifestRecords(ctx context.Context, r io.ReaderAt, size int64, flat bool) (recs recordSeq, done func(), err error) {
	if !flat {
		m, err := ios.OpenManifest(r, size)
		if err != nil {
			return nil, nil, err
		}
		return m.Records(ctx), func() { m.Close() }, nil
	}
	if size > maxMBDB {
		return nil, nil, fmt.Errorf("read manifest: %d bytes: %w", size, ios.ErrUnreadable)
	}
	data := make([]byte, size)
	if _, err := r.ReadAt(data, 0); err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("read manifest: %w", err)
	}
	return ios.ParseMBDB(data), func() {}, nil
}
