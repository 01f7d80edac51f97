package repo

import (
	"testing"
	"time"

	"russet/chunk"
)

// Two snapshots of one time: the one that was saved later is the newer, by
// whatever id, and one that does not tell when it was saved is the older.
func TestSortSnapshotsOfOneTime(t *testing.T) {
	t.Parallel()
	snap := func(id byte, date, saved time.Duration) *Snapshot {
		s := &Snapshot{Time: testTime().Add(date), id: chunk.ID{id}}
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
	if want := "\x07\x08\x09\x05\x01\x03"; string(got) != want {
		t.Errorf("SortSnapshots sorts as %q, want %q", got, want)
	}
}
