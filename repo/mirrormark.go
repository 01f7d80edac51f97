package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"russet/backend"
	"russet/chunk"
)

// mirrorMark is what a mirror knows of itself (docs/format.md, "mirror.json").
type mirrorMark struct {
	Config  chunk.ID  // the hash of the config of its repository, as stored
	Updated time.Time // when a run wrote it last
	// Since is when the clock jumped last: from then on it has gone as clocks do.
	Since time.Time
	// Done says that the run which wrote it has come to its end: all of Names lay
	// there then, but those in Aside, which it has set aside. They are names of runs
	// all the same: after a power cut they may be back.
	Done  bool
	Aside []chunk.ID
	// Names are the files that runs have put there, or were about to.
	Names map[backend.Kind][]chunk.ID // each list sorted
}

// markFile is its JSON.
type markFile struct {
	Version   int        `json:"version"`
	Config    chunk.ID   `json:"config"`
	Updated   time.Time  `json:"updated"`
	Since     time.Time  `json:"since,omitzero"`
	Done      bool       `json:"done,omitempty"`
	Aside     []chunk.ID `json:"aside,omitempty"`
	Keys      []chunk.ID `json:"keys"`
	Snapshots []chunk.ID `json:"snapshots"`
	Index     []chunk.ID `json:"index"`
	Data      []chunk.ID `json:"data"`
}

const markVersion = 1

// loadMark loads the mark of a mirror. The error is NoMirror where there is none,
// and BadMark where it cannot be read.
func loadMark(ctx context.Context, at MirrorPlace) (mirrorMark, error) {
	data, err := at.LoadMark(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return mirrorMark{}, NoMirror
	}
	if err != nil {
		return mirrorMark{}, err
	}
	return decodeMark(data)
}

func decodeMark(data []byte) (mirrorMark, error) {
	var f markFile
	if err := json.Unmarshal(data, &f); err != nil {
		return mirrorMark{}, fmt.Errorf("decode mirror.json: %w: %w", BadMark, err)
	}
	if f.Version != markVersion {
		return mirrorMark{}, fmt.Errorf("decode mirror.json: version %d is not known", f.Version)
	}
	m := mirrorMark{Config: f.Config, Updated: f.Updated, Since: f.Since, Done: f.Done, Aside: f.Aside, Names: map[backend.Kind][]chunk.ID{
		backend.Key: f.Keys, backend.Snapshot: f.Snapshots, backend.Index: f.Index, backend.Data: f.Data,
	}}
	for _, ids := range m.Names {
		slices.SortFunc(ids, chunk.ID.Compare)
	}
	return m, nil
}

func saveMark(ctx context.Context, at MirrorPlace, m mirrorMark) error {
	data, err := json.Marshal(markFile{
		markVersion, m.Config, m.Updated.UTC(), m.Since.UTC(), m.Done, m.Aside,
		m.Names[backend.Key], m.Names[backend.Snapshot], m.Names[backend.Index], m.Names[backend.Data],
	})
	if err != nil {
		return fmt.Errorf("encode mirror.json: %w", err)
	}
	return at.SaveMark(ctx, append(data, '\n'))
}

// has tells whether a run has put the file there.
func (m *mirrorMark) has(f backend.File) bool {
	id, err := chunk.ParseID(f.Name)
	if err != nil {
		return false
	}
	_, ok := slices.BinarySearchFunc(m.Names[f.Kind], id, chunk.ID.Compare)
	return ok
}

// strange is why a place with another config is neither the source nor the mirror:
// it is of another repository, unless it has files that runs have put there.
func (m *mirrorMark) strange(ctx context.Context, be backend.Backend) error {
	files, err := listFiles(ctx, be, mirrorKinds()...)
	if err != nil {
		return err
	}
	for f := range files {
		if m.has(f) {
			return OtherConfig
		}
	}
	return OtherRepository
}

// lay tells whether the file lay there after a run that came to its end.
func (m *mirrorMark) lay(f backend.File) bool {
	id, err := chunk.ParseID(f.Name)
	return err == nil && m.Done && m.has(f) && !slices.Contains(m.Aside, id)
}

// A clock that goes back by more than clockBack, or leaps by more than clockLeap,
// was wrong then or is wrong now.
const (
	clockBack = 24 * time.Hour
	clockLeap = 365 * 24 * time.Hour
)

// setTime notes the time of a run, and returns that under which it sets files
// aside: by a clock that was put back they would seem to be old.
func (m *mirrorMark) setTime(now time.Time) (aside time.Time) {
	aside = now
	if m.Updated.After(now) {
		aside = m.Updated
	}
	switch d := now.Sub(m.Updated); {
	case d < -clockBack || d > clockLeap:
		m.Updated, m.Since = now, now
	case d > 0:
		m.Updated = now
	}
	return aside
}

// setNames makes the mark that of these files.
func (m *mirrorMark) setNames(lists ...fileList) {
	m.Names = map[backend.Kind][]chunk.ID{}
	for _, files := range lists {
		for f := range files {
			if id, err := chunk.ParseID(f.Name); err == nil {
				m.Names[f.Kind] = append(m.Names[f.Kind], id)
			}
		}
	}
	for k, ids := range m.Names {
		slices.SortFunc(ids, chunk.ID.Compare)
		m.Names[k] = slices.Compact(ids)
	}
}
