package ios

import (
	"bytes"
	"errors"
	"io/fs"
	"reflect"
	"testing"
	"testing/fstest"
	"time"

	"russet/internal/plist"
)

// folder is a backup folder of property lists and other files.
func folder(t testing.TB, lists map[string]map[string]any, names ...string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, v := range lists {
		format := plist.Binary
		if name == InfoName {
			format = plist.XML
		}
		data, err := plist.Marshal(v, format)
		if err != nil {
			t.Fatal(err)
		}
		fsys[name] = &fstest.MapFile{Data: data}
	}
	for _, name := range names {
		fsys[name] = &fstest.MapFile{Data: []byte("x")}
	}
	return fsys
}

func day(n int) time.Time { return time.Date(2026, 8, n, 10, 0, 0, 0, time.UTC) }

// head is what a backup of today holds.
func head() map[string]map[string]any {
	return map[string]map[string]any{
		StatusName: {
			"UUID": "4E6B1F0C-5B3D-4B77-9D0C-1F7B7A4B6C21", "Version": "3.3", "BackupState": "new", "SnapshotState": "finished",
			"IsFullBackup": true, "Date": day(1),
		},
		ManifestName: {
			"Version": "10.0", "Date": day(2), "IsEncrypted": true, "WasPasscodeSet": true, "BackupKeyBag": []byte("bag"),
			"ManifestKey": []byte("key"), "Applications": map[string]any{}, "Lockdown": map[string]any{
				"UniqueDeviceID": "00008030-000A1B2C3D4E5F60", "DeviceName": "Fixture’s iPhone", "ProductType": "iPhone12,1",
				"ProductVersion": "17.3", "BuildVersion": "21D50", "SerialNumber": "F2LFIXTURE01",
			},
		},
		InfoName: {
			"Device Name": "Old name", "Display Name": "Shown name", "Product Type": "iPhone1,1", "Product Version": "1.0",
			"Build Version": "1A543a", "Serial Number": "X", "Target Identifier": "target", "Unique Identifier": "UNIQUE",
			"Last Backup Date": day(3),
		},
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	b, err := Open(folder(t, head(), DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	want := &Backup{
		Status: Status{
			UUID: "4E6B1F0C-5B3D-4B77-9D0C-1F7B7A4B6C21", Version: "3.3", BackupState: "new", SnapshotState: "finished",
			IsFullBackup: true, Date: day(1),
		},
		Properties: Properties{
			Version: "10.0", Date: day(2), IsEncrypted: true, WasPasscodeSet: true, BackupKeyBag: []byte("bag"),
			ManifestKey: []byte("key"), Lockdown: Lockdown{
				UniqueDeviceID: "00008030-000A1B2C3D4E5F60", DeviceName: "Fixture’s iPhone",
				ProductType: "iPhone12,1", ProductVersion: "17.3", BuildVersion: "21D50", SerialNumber: "F2LFIXTURE01",
			},
		},
		Info: Info{
			DeviceName: "Old name", DisplayName: "Shown name", ProductType: "iPhone1,1", ProductVersion: "1.0",
			BuildVersion: "1A543a", SerialNumber: "X", TargetIdentifier: "target", UniqueIdentifier: "UNIQUE", LastBackupDate: day(3),
		},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("got %+v, want %+v", b, want)
	}
	if !b.Finished() || !b.Encrypted() || b.Flat() || b.ManifestFile() != DatabaseName || b.Path("abcd") != "ab/abcd" {
		t.Errorf("finished %v, encrypted %v, flat %v, %s, %s", b.Finished(), b.Encrypted(), b.Flat(), b.ManifestFile(), b.Path("abcd"))
	}
	if b.UDID() != "00008030-000A1B2C3D4E5F60" || b.DeviceName() != "Fixture’s iPhone" || b.ProductType() != "iPhone12,1" || b.ProductVersion() != "17.3" {
		t.Errorf("%s, %s, %s, %s", b.UDID(), b.DeviceName(), b.ProductType(), b.ProductVersion())
	}
}

// TestFallbacks takes the sources of each answer away, one after the other.
func TestFallbacks(t *testing.T) {
	t.Parallel()
	lists := head()
	check := func(udid, name, version string, date time.Time) {
		t.Helper()
		b, err := Open(folder(t, lists, MBDBName))
		if err != nil {
			t.Fatal(err)
		}
		if b.UDID() != udid || b.DeviceName() != name || b.ProductVersion() != version || !b.Date().Equal(date) {
			t.Errorf("got %q, %q, %q, %v", b.UDID(), b.DeviceName(), b.ProductVersion(), b.Date())
		}
		if !b.Flat() || b.ManifestFile() != MBDBName || b.Path("abcd") != "abcd" {
			t.Errorf("flat %v, %s, %s", b.Flat(), b.ManifestFile(), b.Path("abcd"))
		}
	}
	check("00008030-000A1B2C3D4E5F60", "Fixture’s iPhone", "17.3", day(1))
	delete(lists[ManifestName], "Lockdown")
	delete(lists[StatusName], "Date")
	check("target", "Old name", "1.0", day(2))
	delete(lists[InfoName], "Target Identifier")
	delete(lists[InfoName], "Device Name")
	lists[ManifestName]["Date"] = "yesterday"
	check("UNIQUE", "Shown name", "1.0", day(3))
	delete(lists, InfoName)
	lists[ManifestName]["Date"] = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	check("", "", "", time.Time{})
}

// TestOpenOddTypes opens property lists in which everything has another type than expected.
func TestOpenOddTypes(t *testing.T) {
	t.Parallel()
	lists := head()
	for name, d := range lists {
		for key := range d {
			lists[name][key] = []any{uint64(1), "x"}
		}
	}
	b, err := Open(folder(t, lists, DatabaseName))
	if err != nil || !reflect.DeepEqual(b, new(Backup)) {
		t.Errorf("got %+v, %v", b, err)
	}
	if _, err := b.Keybag(); err == nil {
		t.Error("a keybag from nowhere")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{ManifestName, StatusName} {
		fsys := folder(t, head(), DatabaseName)
		delete(fsys, missing)
		if _, err := Open(fsys); !errors.Is(err, ErrNotBackup) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	for _, bad := range []string{"", "garbage", "bplist00"} {
		for _, name := range []string{ManifestName, StatusName, InfoName} {
			fsys := folder(t, head(), DatabaseName)
			fsys[name] = &fstest.MapFile{Data: []byte(bad)}
			b, err := Open(fsys)
			switch {
			case name == ManifestName:
				if err == nil || errors.Is(err, ErrNotBackup) {
					t.Errorf("%s is %q: %v", name, bad, err)
				}
			case err != nil:
				t.Errorf("%s is %q: %v", name, bad, err)
			case name == StatusName && b.Finished():
				t.Errorf("finished, with %s %q", name, bad)
			}
		}
	}
	if _, err := Open(broken{folder(t, head(), DatabaseName), InfoName}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Info.plist may not be read: %v", err)
	}
}

// broken is a file system in which one file may not be read.
type broken struct {
	fs.FS
	name string
}

func (b broken) Open(name string) (fs.File, error) {
	if name == b.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.FS.Open(name)
}

func TestIsBackup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names []string
		want  bool
	}{
		{nil, false},
		{[]string{InfoName, StatusName}, false},
		{[]string{ManifestName}, false},
		{[]string{ManifestName, InfoName}, true},
		{[]string{DatabaseName, StatusName}, true},
		{[]string{MBDBName, InfoName}, true},
		{[]string{"Backup/" + ManifestName, "Backup/" + StatusName}, false},
		{[]string{ManifestName + "/x", StatusName}, false},
	} {
		if got := IsBackup(folder(t, nil, c.names...)); got != c.want {
			t.Errorf("%q: got %v", c.names, got)
		}
	}
}

// TestEmptyDatabase has a Manifest.db without a byte beside an old manifest, as a tool leaves that asked SQLite for it.
func TestEmptyDatabase(t *testing.T) {
	t.Parallel()
	fsys := folder(t, head(), MBDBName)
	fsys[DatabaseName] = &fstest.MapFile{}
	if b, err := Open(fsys); err != nil || !b.Flat() {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestManifestKey(t *testing.T) {
	t.Parallel()
	k := testKey()
	keys := ClassKeys{4: testKey()}
	b := &Backup{Properties: Properties{IsEncrypted: true, ManifestKey: keys.Wrap(4, k)}}
	if got, ok, err := b.ManifestKey(keys); got != k || !ok || err != nil {
		t.Errorf("got %x, %v, %v", got[:], ok, err)
	}
	if _, ok, err := b.ManifestKey(ClassKeys{3: k}); ok || err == nil {
		t.Errorf("without the class key: %v, %v", ok, err)
	}
	b.Properties.IsEncrypted = false
	if _, ok, err := b.ManifestKey(keys); ok || err != nil {
		t.Errorf("plain: %v, %v", ok, err)
	}
	b.Properties = Properties{IsEncrypted: true} // iOS 10.0
	if _, ok, err := b.ManifestKey(keys); ok || err != nil {
		t.Errorf("no key: %v, %v", ok, err)
	}
}

func TestBackupKeybag(t *testing.T) {
	t.Parallel()
	data, keys, err := NewKeybag(bytes.NewReader(testBytes(4096)), "secret", 10)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := (&Backup{Properties: Properties{BackupKeyBag: data}}).Keybag()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kb.Unlock(t.Context(), "secret"); err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("got %v, want %v, %v", got, keys, err)
	}
}
