package ios

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"russet/internal/plist"
)

// The files on top of a backup folder.
const (
	InfoName     = "Info.plist"     // written by the computer
	StatusName   = "Status.plist"   // sent by the phone, like the others
	ManifestName = "Manifest.plist" // how the backup is encrypted
	DatabaseName = "Manifest.db"    // its list of files, since iOS 10
	MBDBName     = "Manifest.mbdb"  // the same, up to iOS 9
)

// ErrNotBackup says that a folder lacks what every backup has.
var ErrNotBackup = errors.New("not a backup of a phone")

// Status is the content of Status.plist. What it lacks, or has another type than expected, is zero: here and in
// Properties and Info.
type Status struct {
	UUID          string // of this backup
	Version       string // "3.3" since iOS 10
	BackupState   string // "new" or "empty"
	SnapshotState string // "finished"; of an interrupted backup "new", "uploading", "moving" or "removing"
	IsFullBackup  bool
	Date          time.Time
}

// Finished tells whether the backup is complete.
func (s Status) Finished() bool { return s.SnapshotState == "finished" }

// Properties is the content of Manifest.plist.
type Properties struct {
	Version        string // "10.0" since iOS 10
	Date           time.Time
	IsEncrypted    bool
	WasPasscodeSet bool
	BackupKeyBag   []byte // plain backups may have one, too
	ManifestKey    []byte // the key of Manifest.db, wrapped: encrypted backups since iOS 10.2
	Lockdown       Lockdown
}

// Lockdown is what the phone says of itself in Manifest.plist.
type Lockdown struct {
	UniqueDeviceID, DeviceName, ProductType, ProductVersion, BuildVersion, SerialNumber string
}

// Info is what is used of Info.plist, which the computer wrote and which nothing is decided by.
type Info struct {
	DeviceName, DisplayName, ProductType, ProductVersion, BuildVersion, SerialNumber string

	TargetIdentifier string
	UniqueIdentifier string // in capitals whatever the phone's own form
	LastBackupDate   time.Time
}

// Backup is the head of one backup folder. It is immutable and safe for concurrent use.
type Backup struct {
	Status     Status
	Properties Properties
	Info       Info

	flat bool
}

// Open reads the head of the backup folder fsys. It returns ErrNotBackup when there is no Manifest.plist or no
// Status.plist. A Status.plist or Info.plist that cannot be decoded counts as empty: the first makes the backup an
// unfinished one, the second says nothing that matters. A Manifest.plist must be readable.
func Open(fsys fs.FS) (*Backup, error) {
	var b Backup
	manifest, err := readPlist(fsys, ManifestName)
	if err != nil {
		return nil, err
	}
	b.Properties = manifest.properties()
	status, err := readPlist(fsys, StatusName)
	if err != nil && !isSyntax(err) {
		return nil, err
	}
	b.Status = status.status()
	info, err := readPlist(fsys, InfoName)
	if err != nil && !isSyntax(err) && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	b.Info = info.info()
	if b.flat, err = isFlat(fsys); err != nil {
		return nil, err
	}
	return &b, nil
}

// IsBackup reports whether fsys looks like a backup folder, finished or not: it has a manifest, and Info.plist or
// Status.plist. It opens nothing.
func IsBackup(fsys fs.FS) bool {
	has := func(names ...string) bool {
		for _, name := range names {
			if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() {
				return true
			}
		}
		return false
	}
	return has(ManifestName, DatabaseName, MBDBName) && has(InfoName, StatusName)
}

// isFlat reports whether the folder has the manifest of iOS 9 and before, and with it all files beside each other.
func isFlat(fsys fs.FS) (bool, error) {
	for _, name := range []string{DatabaseName, MBDBName} {
		switch info, err := fs.Stat(fsys, name); {
		case err == nil && info.Size() == 0: // left behind by a tool that tried to open what was not there
		case err == nil:
			return name == MBDBName, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("open backup: %w", err)
		}
	}
	return false, nil
}

// UDID returns the phone's identifier as the backup has it: Lockdown's, else Info.plist's Target Identifier, else its
// Unique Identifier, else nothing (the folder's name may tell).
func (b *Backup) UDID() string {
	return cmp.Or(b.Properties.Lockdown.UniqueDeviceID, b.Info.TargetIdentifier, b.Info.UniqueIdentifier)
}

// DeviceName returns the name that the phone's owner gave it.
func (b *Backup) DeviceName() string {
	return cmp.Or(b.Properties.Lockdown.DeviceName, b.Info.DeviceName, b.Info.DisplayName)
}

// ProductType returns the model, as in "iPhone12,1".
func (b *Backup) ProductType() string {
	return cmp.Or(b.Properties.Lockdown.ProductType, b.Info.ProductType)
}

// ProductVersion returns the version of iOS, as in "18.1".
func (b *Backup) ProductVersion() string {
	return cmp.Or(b.Properties.Lockdown.ProductVersion, b.Info.ProductVersion)
}

// Date returns when the backup was made, in UTC: the Date of Status.plist, else of Manifest.plist, else Info.plist's
// Last Backup Date, else the zero time.
func (b *Backup) Date() time.Time {
	for _, t := range []time.Time{b.Status.Date, b.Properties.Date, b.Info.LastBackupDate} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// Finished reports whether the phone completed the backup.
func (b *Backup) Finished() bool { return b.Status.Finished() }

// Encrypted reports whether the files are encrypted.
func (b *Backup) Encrypted() bool { return b.Properties.IsEncrypted }

// Flat reports whether all files lie beside the manifest, as up to iOS 9, and not in folders 00 to ff.
func (b *Backup) Flat() bool { return b.flat }

// ManifestFile returns the name of the list of files: Manifest.db, or Manifest.mbdb in a flat backup.
func (b *Backup) ManifestFile() string {
	if b.flat {
		return MBDBName
	}
	return DatabaseName
}

// Path returns where the folder has the stored file called fileID, at least two bytes long.
func (b *Backup) Path(fileID string) string {
	if b.flat {
		return fileID
	}
	return fileID[:2] + "/" + fileID
}

// Keybag returns the keys of the backup, still locked.
func (b *Backup) Keybag() (*Keybag, error) {
	if len(b.Properties.BackupKeyBag) == 0 {
		return nil, errors.New("backup has no keybag")
	}
	return ParseKeybag(b.Properties.BackupKeyBag)
}

// ManifestKey returns the key of Manifest.db, and whether there is one: plain backups, and those of iOS before 10.2,
// have a plain Manifest.db.
func (b *Backup) ManifestKey(keys ClassKeys) (Key, bool, error) {
	if !b.Encrypted() || len(b.Properties.ManifestKey) == 0 {
		return Key{}, false, nil
	}
	k, err := keys.Unwrap(b.Properties.ManifestKey)
	if err != nil {
		return Key{}, false, fmt.Errorf("open manifest: %w", err)
	}
	return k, true, nil
}

// syntaxError says that a property list could not be decoded.
type syntaxError struct{ err error }

func (e *syntaxError) Error() string { return e.err.Error() }
func (e *syntaxError) Unwrap() error { return e.err }

func isSyntax(err error) bool {
	_, ok := errors.AsType[*syntaxError](err)
	return ok
}

// readPlist reads a property list of the folder.
func readPlist(fsys fs.FS, name string) (dict, error) {
	info, err := fs.Stat(fsys, name) // before it is opened, which waits for ever at a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open backup: %w: no %s: %w", ErrNotBackup, name, fs.ErrNotExist)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no file", ErrNotBackup, name)
	}
	if err != nil {
		return nil, fmt.Errorf("open backup: %w", err)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open backup: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, plist.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	var d map[string]any
	if err := plist.Unmarshal(data, &d); err != nil {
		return nil, &syntaxError{fmt.Errorf("read %s: %w", name, err)}
	}
	return d, nil
}

// dict is a decoded property list. A value that is missing or has another type than expected is zero.
type dict map[string]any

func value[T any](d dict, key string) T {
	v, _ := d[key].(T)
	return v
}

func (d dict) text(key string) string { return value[string](d, key) }

// date leaves out what no phone ever had and what other formats cannot hold.
func (d dict) date(key string) time.Time {
	t := value[time.Time](d, key).UTC()
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// ParseStatus reads a Status.plist.
func ParseStatus(data []byte) (Status, error) {
	var d dict
	if err := plist.Unmarshal(data, &d); err != nil {
		return Status{}, fmt.Errorf("read %s: %w", StatusName, err)
	}
	return d.status(), nil
}

func (d dict) status() Status {
	return Status{
		UUID: d.text("UUID"), Version: d.text("Version"), BackupState: d.text("BackupState"),
		SnapshotState: d.text("SnapshotState"), IsFullBackup: value[bool](d, "IsFullBackup"), Date: d.date("Date"),
	}
}

func (d dict) properties() Properties {
	l := dict(value[map[string]any](d, "Lockdown"))
	return Properties{
		Version: d.text("Version"), Date: d.date("Date"), IsEncrypted: value[bool](d, "IsEncrypted"),
		WasPasscodeSet: value[bool](d, "WasPasscodeSet"), BackupKeyBag: value[[]byte](d, "BackupKeyBag"),
		ManifestKey: value[[]byte](d, "ManifestKey"),
		Lockdown: Lockdown{
			UniqueDeviceID: l.text("UniqueDeviceID"), DeviceName: l.text("DeviceName"),
			ProductType: l.text("ProductType"), ProductVersion: l.text("ProductVersion"),
			BuildVersion: l.text("BuildVersion"), SerialNumber: l.text("SerialNumber"),
		},
	}
}

func (d dict) info() Info {
	return Info{
		DeviceName: d.text("Device Name"), DisplayName: d.text("Display Name"), ProductType: d.text("Product Type"),
		ProductVersion: d.text("Product Version"), BuildVersion: d.text("Build Version"),
		SerialNumber: d.text("Serial Number"), TargetIdentifier: d.text("Target Identifier"),
		UniqueIdentifier: d.text("Unique Identifier"), LastBackupDate: d.date("Last Backup Date"),
	}
}
