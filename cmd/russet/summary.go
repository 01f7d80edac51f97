package main

import (
	"fmt"
	"strings"
	"time"

	"russet/capture"
)

// summaryMessage is what came of one backup folder, with restic's fields and
// ours.
type summaryMessage struct {
	MessageType     string  `json:"message_type" doc:"\"summary\""`
	Folder          string  `json:"folder,omitempty" doc:"the backup folder; absent where the phone itself was backed up"`
	Device          string  `json:"udid" doc:"of the phone"`
	Hostname        string  `json:"hostname" doc:"the phone's name"`
	SnapshotID      string  `json:"snapshot_id" doc:"the snapshot that holds the backup"`
	Kept            bool    `json:"kept_already" doc:"the snapshot was there; data_added is what the repository had lost of it, mostly 0"`
	FilesNew        int     `json:"files_new" doc:""`
	FilesChanged    int     `json:"files_changed" doc:""`
	FilesUnmodified int     `json:"files_unmodified" doc:"their content was not read"`
	FilesRead       int     `json:"files_read" doc:""`
	BytesRead       int64   `json:"bytes_read" doc:"of those, as they lie in the folder"`
	DataAdded       int64   `json:"data_added" doc:"new content in bytes, before compression"`
	DataAddedPacked int64   `json:"data_added_packed" doc:"the same as it is stored"`
	TotalFiles      int     `json:"total_files_processed" doc:""`
	TotalBytes      int64   `json:"total_bytes_processed" doc:"the size of the folder"`
	TotalDuration   float64 `json:"total_duration" doc:"seconds"`
	ReadAll         string  `json:"read_all_because,omitempty" doc:"why every file was read; absent when only some were"`
	FilesSealed     int     `json:"files_sealed" doc:"kept as received, not readable"`
	FilesMissing    int     `json:"files_missing" doc:"listed by the backup's manifest, but not in the folder"`
	FilesUnreadable int     `json:"files_unreadable" doc:"in the folder, but the drive does not give them"`
	BadRecords      int     `json:"bad_records" doc:"rows of the manifest that say nothing"`
	Encrypted       bool    `json:"encrypted" doc:"a backup that is not holds no passwords, Health data or call history"`
	Sealed          bool    `json:"sealed" doc:"the whole backup is kept unread, as its password was not known"`
	Incomplete      bool    `json:"incomplete" doc:"the backup was cut off when it was made"`
}

func describeResult(folder string, res *capture.Result, took time.Duration) summaryMessage {
	s := &res.Summary
	return summaryMessage{
		MessageType: "summary", Folder: folder, Device: res.UDID, Hostname: res.DeviceName,
		SnapshotID: res.Snapshot.ID().String(), Kept: res.Kept,
		FilesNew: s.FilesNew, FilesChanged: s.FilesChanged, FilesUnmodified: s.FilesUnmodified,
		FilesRead: s.FilesRead, BytesRead: s.BytesRead, DataAdded: s.BytesAdded, DataAddedPacked: s.BytesStored,
		TotalFiles: s.FilesNew + s.FilesChanged + s.FilesUnmodified, TotalBytes: s.BytesTotal,
		TotalDuration: took.Seconds(), ReadAll: s.WhyAll,
		FilesSealed: s.FilesSealed, FilesMissing: s.Missing, FilesUnreadable: s.Unreadable, BadRecords: s.BadRecords,
		Encrypted: res.Snapshot.HasTag(capture.TagEncrypted), Sealed: res.Sealed || res.Snapshot.HasTag(capture.TagSealed),
		Incomplete: res.Snapshot.HasTag(capture.TagIncomplete),
	}
}

// showSummary prints what came of a folder.
func (p *program) showSummary(folder string, res *capture.Result, took time.Duration) error {
	switch {
	case p.json:
		return p.emit(describeResult(folder, res, took))
	case p.quiet:
		return nil
	}
	_, err := fmt.Fprint(p.stdout, summaryText(res, took))
	return err
}

// summaryText tells people what matters.
func summaryText(res *capture.Result, took time.Duration) string {
	var b strings.Builder
	s, snap := &res.Summary, res.Snapshot
	fmt.Fprintf(&b, "%s, backed up %s\n", phoneName(res.DeviceName, res.UDID), moment(snap.Time, time.Local))
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	if res.Kept {
		line("is kept already, as snapshot %s", shortID(snap))
		if s.BytesStored > 0 {
			line("content that the repository had lost was stored again: %s (%s stored)", size(s.BytesAdded), size(s.BytesStored))
		}
		for _, w := range keptWarnings(res) {
			line("note: %s", w)
		}
		return b.String()
	}
	line("snapshot %s: %s new, %s changed, %s unchanged files", shortID(snap),
		count(int64(s.FilesNew)), count(int64(s.FilesChanged)), count(int64(s.FilesUnmodified)))
	line("read %s of %s, added %s (%s stored) in %s", size(s.BytesRead), size(s.BytesTotal),
		size(s.BytesAdded), size(s.BytesStored), duration(took))
	if s.WhyAll != "" {
		line("all files were read: %s", visible(s.WhyAll))
	}
	for _, w := range warnings(res) {
		line("note: %s", w)
	}
	return b.String()
}

// warnings says what the snapshot lacks, and what can be done about it.
func warnings(res *capture.Result) []string {
	var list []string
	s, snap := &res.Summary, res.Snapshot
	if s.Missing > 0 {
		list = append(list, plural(s.Missing, "file")+" listed by the backup "+isAre(s.Missing)+" not in the folder; a new backup of the phone brings what is missing")
	}
	if s.Unreadable > 0 {
		list = append(list, plural(s.Unreadable, "file")+" could not be read from the folder's drive, and "+isAre(s.Unreadable)+" not kept")
	}
	if s.BadRecords > 0 {
		list = append(list, plural(s.BadRecords, "record")+" of the backup's manifest cannot be understood")
	}
	if s.FilesSealed > 0 && !snap.HasTag(capture.TagSealed) {
		list = append(list, plural(s.FilesSealed, "file")+" "+isAre(s.FilesSealed)+" not what the manifest says, and kept as received")
	}
	list = append(list, keptWarnings(res)...)
	if snap.HasTag(capture.TagPlain) {
		list = append(list, "the backup is not encrypted, so it holds no passwords, Health data or call history; turn on \"Encrypt local backup\" for these")
	}
	return list
}

// keptWarnings says what is so of a snapshot for as long as it is kept.
func keptWarnings(res *capture.Result) []string {
	var list []string
	snap := res.Snapshot
	switch {
	case snap.HasTag(capture.TagUnreadable):
		list = append(list, "the backup's manifest cannot be read: the backup is kept as it came, and cannot be looked into")
	case res.Sealed || snap.HasTag(capture.TagSealed):
		list = append(list, "the backup password is not known: the backup is kept sealed, and cannot be looked into; run this again with --backup-password-file")
	}
	if snap.HasTag(capture.TagIncomplete) {
		list = append(list, "the backup was cut off when it was made, and is not complete")
	}
	return list
}

// isAre is the verb that goes with n of something.
func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
