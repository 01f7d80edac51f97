package capture

import (
	"time"

	"russet/repo"
)

// Result is what a capture came to.
type Result struct {
	Snapshot         *repo.Snapshot
	UDID, DeviceName string
	// Kept: an earlier snapshot holds this very backup. What the Summary says was
	// stored had been lost from the repository.
	Kept bool
	// Sealed: the password was not known, so nothing of the snapshot can be looked
	// into. Its tag may be gone: restic changes tags.
	Sealed  bool
	Summary Summary
}

// Summary counts what a capture found and did. Sizes are bytes.
type Summary struct {
	FilesNew, FilesChanged, FilesUnmodified int
	FilesRead                               int   // opened
	BytesRead                               int64 // of those, as stored in the folder
	BytesTotal                              int64 // of all files in the folder
	BytesAdded                              int64 // new content, before compression
	BytesStored                             int64 // new content, as stored in the repository
	FilesSealed                             int   // kept as received, not readable
	NotReproducible                         int   // of those: not what their record says
	Missing                                 int   // listed by the manifest, not in the folder
	Unreadable                              int   // in the folder, but the drive does not give them; not Missing
	BadRecords                              int   // rows of the manifest that say nothing
	// WhyAll says why every file was read; empty when only some were.
	WhyAll string

	unreadListed                         int // of Unreadable: what the manifest lists
	dirsNew, dirsChanged, dirsUnmodified int
}

// finish adds what is known only at the end.
func (s *Summary) finish(stats repo.Stats, bad int, meta *Metadata) {
	s.BytesAdded, s.BytesStored = stats.Added, stats.AddedPacked
	s.BadRecords, s.Missing = bad, len(meta.Missing)-s.unreadListed
}

func (s *Summary) snapshotSummary(stats repo.Stats, start, end time.Time) *repo.SnapshotSummary {
	return &repo.SnapshotSummary{
		BackupStart: start, BackupEnd: end,
		FilesNew: uint(s.FilesNew), FilesChanged: uint(s.FilesChanged), FilesUnmodified: uint(s.FilesUnmodified),
		DirsNew: uint(s.dirsNew), DirsChanged: uint(s.dirsChanged), DirsUnmodified: uint(s.dirsUnmodified),
		DataBlobs: stats.DataBlobs, TreeBlobs: stats.TreeBlobs,
		DataAdded: uint64(stats.Added), DataAddedPacked: uint64(stats.AddedPacked),
		TotalFilesProcessed: uint(s.FilesNew + s.FilesChanged + s.FilesUnmodified),
		TotalBytesProcessed: uint64(s.BytesTotal),
	}
}
