package repo

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
)

// Two snapshots of one time: the one that was saved later is the newer, by
// whatever id; one that does not tell is as old as its file.
func TestSortSnapshotsOfOneTime(t *testing.T) {
	t.Parallel()
	snap := func(id byte, date, saved time.Duration) *Snapshot {
		s := &Snapshot{Time: testTime().Add(date), id: chunk.ID{id}, modTime: testTime().Add(8*time.Hour + 30*time.Minute)}
		if saved > 0 {
			s.Summary = &SnapshotSummary{BackupEnd: testTime().Add(saved)}
		}
		return s
	}
	all := []*Snapshot{
		snap(1, 0, 9*time.Hour), snap(5, 0, 8*time.Hour), snap(9, 0, 0), snap(8, 0, 0),
		snap(7, -time.Hour, 10*time.Hour), snap(3, time.Hour, 0),
	}
	SortSnapshots(all)
	var got []byte
	for _, s := range all {
		got = append(got, s.id[0])
	}
	if want := "\x07\x05\x08\x09\x01\x03"; string(got) != want {
		t.Errorf("SortSnapshots sorts as %q, want %q", got, want)
	}
}

func TestAllSnapshotsByTheirFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	be, err := backend.CreateLocal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	r := initRepo(t, be, 2)
	a := saveFiles(t, r, map[string][]byte{"a": nil})
	b := saveFiles(t, r, map[string][]byte{"b": nil})
	for _, order := range [][2]*Snapshot{{a, b}, {b, a}} {
		for i, s := range order {
			at := testTime().Add(time.Duration(i) * time.Hour)
			if err := os.Chtimes(filepath.Join(dir, "snapshots", s.ID().String()), at, at); err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.FindSnapshot(t.Context(), "latest", nil)
		if err != nil || got.ID() != order[1].ID() {
			t.Errorf("latest is %v, %v; want that whose file is the newer", got, err)
		}
	}
}
