package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"russet/chunk"
	"russet/ios"
	"russet/repo"
)

// Tags that tell what kind of version a snapshot is.
const (
	TagEncrypted  = "encrypted"
	TagPlain      = "plain"
	TagIncomplete = "incomplete" // the backup's state was not "finished"
	TagSealed     = "sealed"     // kept as received: the password was not known
	TagUnreadable = "unreadable" // kept as received: the manifest cannot be read
)

// TagIOS begins the tag that tells the version of iOS.
const TagIOS = "ios-"

// stateTagPrefix begins the hostname, the tag and the path of snapshots that
// hold Russet's own state, which are no versions of a device.
const stateTagPrefix = "russet-"

// UDID is the device whose version a snapshot is; false for snapshots of
// anything else.
func UDID(s *repo.Snapshot) (string, bool) {
	if len(s.Paths) != 1 || !strings.HasPrefix(s.Paths[0], "/") {
		return "", false
	}
	name := s.Paths[0][1:]
	if !validName(name) || !fs.ValidPath(name) || strings.Contains(name, "/") || strings.HasPrefix(name, stateTagPrefix) {
		return "", false
	}
	return name, true
}

// Version is one snapshot of a device, opened.
type Version struct {
	Snapshot *repo.Snapshot
	UDID     string
	Metadata *Metadata
	// Edited: the snapshot is not what was captured. Other programs change
	// snapshots without leaving a mark; russet.json shows it.
	Edited bool

	r    *repo.Repository
	tree *repo.Tree // of /<UDID>
	lost error      // why russet.json cannot be read; Metadata is empty then
}

// ErrNotDevice says that a snapshot is not a version of a device.
var ErrNotDevice = errors.New("not a snapshot of a device's backup")

// Open reads the top of a device's snapshot. Snapshots of anything else give
// ErrNotDevice. One whose russet.json is damaged gives its files only.
func Open(ctx context.Context, r *repo.Repository, s *repo.Snapshot) (*Version, error) {
	udid, ok := UDID(s)
	if !ok {
		return nil, fmt.Errorf("open snapshot %.8s: %w", s.ID().String(), ErrNotDevice)
	}
	v := &Version{Snapshot: s, UDID: udid, r: r}
	n, err := r.Find(ctx, *s.Tree, udid)
	if err == nil && n.Subtree == nil {
		err = ErrNotDevice
	}
	if errors.Is(err, repo.ErrNotFound) {
		err = ErrNotDevice
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot %.8s: %w", s.ID().String(), err)
	}
	if v.tree, err = r.LoadTree(ctx, *n.Subtree); err != nil {
		return nil, fmt.Errorf("open snapshot %.8s: %w", s.ID().String(), err)
	}
	m := v.tree.Find(nameMetadata)
	if m == nil || m.Type != repo.TypeFile {
		return nil, fmt.Errorf("open snapshot %.8s: %w: it has no %s", s.ID().String(), ErrNotDevice, nameMetadata)
	}
	data, err := r.ReadFile(repo.Near(ctx), m.Content, maxMetadata)
	if errors.Is(err, repo.ErrDamaged) && ctx.Err() == nil {
		v.Metadata, v.lost = new(Metadata), fmt.Errorf("read %s: %w", nameMetadata, err)
		return v, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot %.8s: %w", s.ID().String(), err)
	}
	if v.Metadata, err = decodeMetadata(data); err != nil {
		return nil, fmt.Errorf("open snapshot %.8s: %w", s.ID().String(), err)
	}
	v.Edited = v.edited()
	return v, nil
}

// edited compares the snapshot with its own russet.json.
func (v *Version) edited() bool {
	if !v.Metadata.known() {
		return false // nothing is known of what it should be
	}
	seen := 0
	for _, n := range v.tree.Nodes {
		switch n.Name {
		case nameMetadata:
		case nameFiles, nameSealed, nameOther:
			want := v.Metadata.tree(n.Name)
			if want == nil || n.Subtree == nil || *want != *n.Subtree {
				return true
			}
			seen++
		default:
			top := v.Metadata.top(n.Name)
			if top == nil || !slices.Equal(top.Content, n.Content) {
				return true
			}
			seen++
		}
	}
	want := len(v.Metadata.Top)
	for _, name := range []string{nameFiles, nameSealed, nameOther} {
		if v.Metadata.tree(name) != nil {
			want++
		}
	}
	return seen != want
}

func (m *Metadata) tree(name string) *chunk.ID {
	switch name {
	case nameFiles:
		return m.Trees.Files
	case nameSealed:
		return m.Trees.Sealed
	case nameOther:
		return m.Trees.Other
	}
	return nil
}

// usable tells whether later captures can build on v.
func (v *Version) usable() bool {
	return v.Metadata.known() && !v.Edited && !v.Snapshot.HasTag(TagIncomplete)
}

// FS is the version's folder: the plists, Files, and so on.
func (v *Version) FS(ctx context.Context) fs.FS {
	fsys, err := fs.Sub(v.r.FS(ctx, *v.Snapshot.Tree), v.UDID)
	if err != nil {
		panic("capture: " + err.Error()) // UDID is a legal name, or Open had failed
	}
	return fsys
}

// subtree returns the tree of Files, Sealed or Other, or nil.
func (v *Version) subtree(name string) *chunk.ID {
	if n := v.tree.Find(name); n != nil {
		return n.Subtree
	}
	return nil
}

// keys are the class keys that the snapshot holds for the keybag, or nil.
func (v *Version) keys(uuid string) ios.ClassKeys {
	k := v.Metadata.Keybag
	if !v.Metadata.known() || k == nil || k.UUID != uuid {
		return nil
	}
	keys, err := k.classKeys()
	if err != nil {
		return nil
	}
	return keys
}

// received is the snapshot's record of its top files.
func (v *Version) received() []received {
	var top []received
	for _, t := range v.Metadata.Top {
		top = append(top, received{t.Name, t.Size, t.SHA256, t.ModTime})
	}
	return top
}

// history is the snapshots of a device, newest first. They are opened as they
// are asked for, since nearly every run needs only the newest. It is for one
// goroutine.
type history struct {
	r         *repo.Repository
	snapshots []*repo.Snapshot
	opened    []opening // of the first snapshots
	unlisted  error     // why there may be more snapshots
}

// opening is what came of opening a snapshot: a version or an error.
type opening struct {
	v   *Version
	err error
}

// readHistory lists the snapshots of a device.
func readHistory(ctx context.Context, r *repo.Repository, udid string) (*history, error) {
	list, err := r.AllSnapshots(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	h := &history{r: r, unlisted: err}
	for _, s := range slices.Backward(list) {
		if name, ok := UDID(s); ok && name == udid {
			h.snapshots = append(h.snapshots, s)
		}
	}
	return h, nil
}

// versions yields the versions that can be opened: check tells why others
// cannot. The error is that of a context that is done.
func (h *history) versions(ctx context.Context) iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		for i, s := range h.snapshots {
			if i == len(h.opened) {
				v, err := Open(ctx, h.r, s)
				if ctx.Err() != nil {
					yield(nil, ctx.Err())
					return
				}
				h.opened = append(h.opened, opening{v, err})
			}
			if o := h.opened[i]; o.err == nil && !yield(o.v, nil) {
				return
			}
		}
	}
}

// unread tells why a version that newest did not find may be there all the same:
// the drive did not give it back. The error is nil where it is gone or damaged.
func (h *history) unread(tree chunk.ID) error {
	err := h.unlisted
	for i, o := range h.opened {
		if *h.snapshots[i].Tree == tree {
			err = o.err
		}
	}
	if errors.Is(err, repo.ErrDamaged) || errors.Is(err, ErrNotDevice) {
		return nil
	}
	return err
}

// newest returns the newest version that accept takes, or nil.
func (h *history) newest(ctx context.Context, accept func(*Version) bool) (*Version, error) {
	for v, err := range h.versions(ctx) {
		if err != nil || accept(v) {
			return v, err
		}
	}
	return nil, nil
}

// records opens the records of the version's manifest, which lies in plain.
// done must be called after use. The error is ErrDamaged when there is none.
func (v *Version) records(ctx context.Context) (recs recordSeq, done func(), err error) {
	n := v.tree.Find(manifestName(v.Metadata.Flat))
	if n == nil {
		return nil, nil, fmt.Errorf("%w: the snapshot has no manifest", repo.ErrDamaged)
	}
	r, err := v.r.NewFileReader(repo.Near(ctx), n.Content)
	if err != nil {
		return nil, nil, err
	}
	return manifestRecords(ctx, r, r.Size(), v.Metadata.Flat)
}

// recordHashes maps the ids of the version's records to their hashes.
func (v *Version) recordHashes(ctx context.Context, h recordHasher) (map[fileID]uint64, error) {
	recs, done, err := v.records(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	hashes := map[fileID]uint64{}
	for rec, err := range recs {
		if skippable(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if id, ok := parseFileID(rec.FileID); ok {
			hashes[id] = h.sum(&rec)
		}
	}
	return hashes, nil
}
