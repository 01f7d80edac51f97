package agent

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"russet/device/mb2"
	"russet/internal/plist"
)

// The names on top of a backup.
const (
	statusName   = "Status.plist"
	manifestName = "Manifest.plist"
	databaseName = "Manifest.db"
	snapshotName = "Snapshot"
)

// The states of a backup on the host.
const (
	stateUploading = "uploading"
	stateMoving    = "moving"
	stateRemoving  = "removing"
	stateFinished  = "finished"
)

// onHost is a Status.plist that the host has.
type onHost struct {
	uuid, backupState, snapshotState string
	version                          float64
	full                             bool
	date                             time.Time
}

// readStatus reads the host's Status.plist, and returns nil where there is
// none. All types are checked.
func (s *session) readStatus(target string) (*onHost, error) {
	path := target + "/" + statusName
	data, code, err := s.downloadBytes(path)
	if err != nil {
		return nil, err
	}
	if code == mb2.StatusNotFound {
		return nil, nil
	}
	if err := readError(code); err != nil {
		return nil, err
	}
	bad := &Refusal{Code: codeCorrupt, Text: "Error reading status"}
	var m map[string]any
	if plist.Unmarshal(data, &m) != nil {
		return nil, bad
	}
	version, ok := m["Version"].(string)
	if !ok {
		return nil, bad
	}
	var h onHost
	if h.version, err = strconv.ParseFloat(version, 64); err != nil {
		return nil, bad
	}
	var ok1, ok2, ok3, ok4, ok5 bool
	h.uuid, ok1 = m["UUID"].(string)
	h.backupState, ok2 = m["BackupState"].(string)
	h.snapshotState, ok3 = m["SnapshotState"].(string)
	h.full, ok4 = m["IsFullBackup"].(bool)
	h.date, ok5 = m["Date"].(time.Time)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return nil, bad
	}
	return &h, nil
}

// properties is what a run needs of the host's Manifest.plist.
type properties struct {
	all       map[string]any
	data      []byte // as the host serves it
	encrypted bool
	bag, key  []byte // BackupKeyBag, ManifestKey
}

// properties reads the host's Manifest.plist, and returns nil where there is
// none. Where a finished Status stands beside it there must be one.
func (s *session) properties(target string, finished bool) (*properties, error) {
	data, code, err := s.downloadBytes(target + "/" + manifestName)
	if err != nil {
		return nil, err
	}
	if code != mb2.StatusOK && code != mb2.StatusNotFound {
		return nil, readError(code)
	}
	if code == mb2.StatusNotFound || len(data) == 0 {
		if finished || code == mb2.StatusOK {
			_ = s.broken(RuleManifest, "no %s, or one of no bytes, beside a Status that says finished", manifestName)
			return nil, &Refusal{Code: codeCorrupt, Text: "Error deserializing properties"}
		}
		return nil, nil
	}
	p := &properties{data: data}
	if plist.Unmarshal(data, &p.all) != nil {
		return nil, &Refusal{Code: codeCorrupt, Text: "Error deserializing properties"}
	}
	p.encrypted, _ = p.all["IsEncrypted"].(bool)
	p.bag, _ = p.all["BackupKeyBag"].([]byte)
	p.key, _ = p.all["ManifestKey"].([]byte)
	return p, nil
}

// writeStatus sends Status.plist.
func (b *backup) writeStatus(snapshotState string, percent float64) error {
	state := b.backupState
	if snapshotState != stateUploading {
		state = "new"
	}
	b.date = b.s.p.o.Now().UTC().Truncate(time.Second)
	if last := b.s.p.remembered().Last; last != nil && !b.date.After(last.Date) {
		b.date = last.Date.Add(time.Second) // by the Date it is told which backup a host has
	}
	data, err := plist.Marshal(map[string]any{
		"Version": "3.3", "UUID": b.uuid, "Date": b.date,
		"BackupState": state, "SnapshotState": snapshotState,
		"IsFullBackup": b.full && snapshotState != stateFinished,
	}, plist.Binary)
	if err != nil {
		return err
	}
	b.sent(statusName, data)
	return b.s.uploadBytes(statusName, b.target+"/"+statusName, data, percent)
}

// listing is a folder of the host, by name.
type listing map[string]entry

// entry is a file or folder of the host. Its size is -1 for folders.
type entry struct {
	size int64
}

func (e entry) folder() bool { return e.size < 0 }

// list reads a folder of the host. Where there is none it returns nil.
func (s *session) list(path string, percent float64) (listing, error) {
	a, err := s.order("DLContentsOfDirectory", path, path, map[string]any{}, percent)
	if err != nil {
		return nil, err
	}
	if a.code == mb2.StatusNotFound {
		return nil, nil
	}
	if err := readError(a.code); err != nil {
		return nil, err
	}
	bad := func(what string) (listing, error) {
		_ = s.broken(RuleStatus, "a listing with %s", what)
		return nil, &Refusal{Code: codeIO, Text: "Invalid response"}
	}
	names, ok := a.value.(map[string]any)
	if !ok && a.value != nil {
		return bad("something else than names")
	}
	l := make(listing, len(names))
	for name, v := range names {
		d, ok := v.(map[string]any)
		if !ok {
			return bad("an entry that is no dictionary")
		}
		size, ok := mb2.Integer(d["DLFileSize"])
		_, dated := d["DLFileModificationDate"].(time.Time)
		if !ok || !dated || size < 0 {
			return bad("an entry without a size or a date")
		}
		switch d["DLFileType"] {
		case "DLFileTypeRegular":
			l[name] = entry{size: size}
		case "DLFileTypeDirectory":
			l[name] = entry{size: -1}
		case "DLFileTypeUnknown":
		default:
			return bad("an entry of no type")
		}
	}
	return l, nil
}

// shard is the name of one of the 256 folders.
func shard(i int) string { return fmt.Sprintf("%02x", i) }

// isID says whether a name is that of a stored file.
func isID(name string) bool {
	if len(name) != 40 {
		return false
	}
	return len(bytes.Trim([]byte(name), "0123456789abcdef")) == 0
}
