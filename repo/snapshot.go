package repo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"russet/backend"
	"russet/chunk"
)

// Snapshot is one version of something (restic design document, "Snapshots").
// The order of the fields is restic's; fields that are not here are dropped
// when a snapshot is saved again.
type Snapshot struct {
	Time           time.Time        `json:"time"`
	Parent         *chunk.ID        `json:"parent,omitempty"`
	Tree           *chunk.ID        `json:"tree"`
	Paths          []string         `json:"paths"`
	Hostname       string           `json:"hostname,omitempty"`
	Username       string           `json:"username,omitempty"`
	UID            uint32           `json:"uid,omitempty"`
	GID            uint32           `json:"gid,omitempty"`
	Excludes       []string         `json:"excludes,omitempty"`
	Tags           []string         `json:"tags,omitempty"`
	Original       *chunk.ID        `json:"original,omitempty"`
	ProgramVersion string           `json:"program_version,omitempty"`
	Summary        *SnapshotSummary `json:"summary,omitempty"`

	id      chunk.ID
	modTime time.Time // of its file; zero where it was not listed
}

// SnapshotSummary is what the run that made a snapshot did. Sizes are bytes.
type SnapshotSummary struct {
	BackupStart         time.Time `json:"backup_start"`
	BackupEnd           time.Time `json:"backup_end"`
	FilesNew            uint      `json:"files_new"`
	FilesChanged        uint      `json:"files_changed"`
	FilesUnmodified     uint      `json:"files_unmodified"`
	DirsNew             uint      `json:"dirs_new"`
	DirsChanged         uint      `json:"dirs_changed"`
	DirsUnmodified      uint      `json:"dirs_unmodified"`
	DataBlobs           int       `json:"data_blobs"`
	TreeBlobs           int       `json:"tree_blobs"`
	DataAdded           uint64    `json:"data_added"`
	DataAddedPacked     uint64    `json:"data_added_packed"`
	TotalFilesProcessed uint      `json:"total_files_processed"`
	TotalBytesProcessed uint64    `json:"total_bytes_processed"`
}

// ID is the snapshot's file name. It changes whenever the snapshot is saved
// again, so nothing that lasts should hold it.
func (s *Snapshot) ID() chunk.ID { return s.id }

// HasTag tells whether tag is among the snapshot's tags.
func (s *Snapshot) HasTag(tag string) bool { return slices.Contains(s.Tags, tag) }

// SaveSnapshot writes a snapshot, the last step of a backup, and sets its id.
// It refuses one whose tree is not in the index: a run that was cut off must
// not leave a snapshot of nothing.
func (r *Repository) SaveSnapshot(ctx context.Context, s *Snapshot) (chunk.ID, error) {
	if s.Tree == nil || s.Tree.IsZero() || !r.hasTree(*s.Tree) {
		return chunk.ID{}, errors.New("save snapshot: its tree is not in the repository")
	}
	if err := ctx.Err(); err != nil {
		return chunk.ID{}, fmt.Errorf("save snapshot: %w", err)
	}
	if err := confirmLock(ctx); err != nil {
		return chunk.ID{}, fmt.Errorf("save snapshot: %w", err)
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return chunk.ID{}, fmt.Errorf("encode snapshot: %w", err)
	}
	s.id, err = r.saveUnpacked(ctx, backend.Snapshot, plain)
	return s.id, err
}

// RemoveSnapshot removes a snapshot's file. What it alone refers to stays
// until a prune.
func (r *Repository) RemoveSnapshot(ctx context.Context, id chunk.ID) error {
	f := backend.File{Kind: backend.Snapshot, Name: id.String()}
	return r.be.Remove(ctx, f)
}

// LoadSnapshot loads one snapshot.
func (r *Repository) LoadSnapshot(ctx context.Context, id chunk.ID) (*Snapshot, error) {
	plain, err := r.loadUnpacked(ctx, backend.Snapshot, id)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{id: id}
	if err := json.Unmarshal(plain, s); err != nil {
		return nil, fmt.Errorf("decode snapshot %.8s: %w: %w", id.String(), ErrDamaged, err)
	}
	if s.Tree == nil {
		return nil, fmt.Errorf("decode snapshot %.8s: %w: it has no tree", id.String(), ErrDamaged)
	}
	return s, nil
}

// Snapshots yields every snapshot, in no order. One that cannot be loaded is
// yielded as its error, and the rest still come.
func (r *Repository) Snapshots(ctx context.Context) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		var listed []backend.Info
		for info, err := range r.be.List(ctx, backend.Snapshot) {
			if err != nil {
				yield(nil, fmt.Errorf("list snapshots: %w", err))
				return
			}
			listed = append(listed, info)
		}
		for some := range slices.Chunk(listed, r.readers()) {
			snaps, errs := r.loadListed(ctx, some)
			for i, err := range errs {
				if errors.Is(err, fs.ErrNotExist) {
					continue // forgotten since it was listed
				}
				if !yield(snaps[i], err) {
					return
				}
			}
		}
	}
}

// loadListed loads snapshots side by side.
func (r *Repository) loadListed(ctx context.Context, listed []backend.Info) ([]*Snapshot, []error) {
	snaps, errs := make([]*Snapshot, len(listed)), make([]error, len(listed))
	var work sync.WaitGroup
	for i, info := range listed {
		work.Go(func() {
			id, err := chunk.ParseID(info.Name)
			if err == nil {
				snaps[i], err = r.LoadSnapshot(ctx, id)
			}
			if errs[i] = err; err == nil {
				snaps[i].modTime = info.ModTime
			}
		})
	}
	work.Wait()
	return snaps, errs
}

// AllSnapshots loads every snapshot, oldest first. Those that load are returned
// beside the joined errors of those that do not; none where the place was waited
// for in vain.
func (r *Repository) AllSnapshots(ctx context.Context) ([]*Snapshot, error) {
	var all []*Snapshot
	var errs []error
	for s, err := range r.Snapshots(ctx) {
		if backend.IsTemporary(err) {
			return nil, err
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, s)
	}
	SortSnapshots(all)
	return all, errors.Join(errs...)
}

// SortSnapshots sorts by time, oldest first. Of equal times that which was
// saved later is the newer: a backup that was kept sealed and then again
// readable has two snapshots of one time. What is still equal is sorted by id.
func SortSnapshots(all []*Snapshot) {
	slices.SortFunc(all, func(a, b *Snapshot) int {
		return cmp.Or(a.Time.Compare(b.Time), a.saved().Compare(b.saved()), a.id.Compare(b.id))
	})
}

// saved is when the run that made the snapshot ended, or else the time of its
// file: restic before 0.17 drops the summary with every change of a tag.
func (s *Snapshot) saved() time.Time {
	if s.Summary == nil {
		return s.modTime
	}
	return s.Summary.BackupEnd
}

// FindSnapshot names a snapshot by a prefix of its id, or as "latest": the
// newest that accept takes. accept may be nil.
func (r *Repository) FindSnapshot(ctx context.Context, name string, accept func(*Snapshot) bool) (*Snapshot, error) {
	if name == "latest" {
		return r.latest(ctx, accept)
	}
	id, err := r.FindSnapshotID(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.LoadSnapshot(ctx, id)
}

// FindSnapshotID names the file of a snapshot by a prefix of its id. It is not
// read, and may be damaged.
func (r *Repository) FindSnapshotID(ctx context.Context, name string) (chunk.ID, error) {
	var none chunk.ID
	if name == "" || strings.Trim(name, "0123456789abcdef") != "" || len(name) > 2*len(chunk.ID{}) {
		return none, fmt.Errorf("find snapshot %q: it is neither an id nor \"latest\": %w", name, ErrNotFound)
	}
	var found []chunk.ID
	for info, err := range r.be.List(ctx, backend.Snapshot) {
		if err != nil {
			return none, fmt.Errorf("list snapshots: %w", err)
		}
		if id, err := chunk.ParseID(info.Name); err == nil && strings.HasPrefix(info.Name, name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return none, fmt.Errorf("find snapshot %s: %w", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return none, fmt.Errorf("find snapshot %s: %d snapshots begin so: %w", name, len(found), ErrNotFound)
}

func (r *Repository) latest(ctx context.Context, accept func(*Snapshot) bool) (*Snapshot, error) {
	all, err := r.AllSnapshots(ctx)
	for _, s := range slices.Backward(all) {
		if accept == nil || accept(s) {
			return s, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("find latest snapshot: %w", ErrNotFound)
}
