package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"russet/internal/plist"
	"russet/ios"
)

// sameBackup is the script command `[!] samebackup [-noinfo] ONE OTHER [PASSWORD]`: two backup
// folders that different hosts have of the same phone must say the same: the
// same files with the same records and contents, property lists with the same
// keys, and the same values but for what each run makes anew. With -noinfo
// Info.plist, which is each host's own, may be another.
func sameBackup(ts *testscript.TestScript, neg bool, args []string) {
	plists := []string{ios.StatusName, ios.ManifestName}
	if len(args) > 0 && args[0] == "-noinfo" {
		args = args[1:]
	} else {
		plists = append(plists, ios.InfoName)
	}
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: [!] samebackup [-noinfo] ONE OTHER [PASSWORD]")
	}
	password := strings.Join(args[2:], "")
	one, err := readMeaning(ts.MkAbs(args[0]), password, plists)
	ts.Check(err)
	other, err := readMeaning(ts.MkAbs(args[1]), password, plists)
	ts.Check(err)
	wantSame(ts, neg, one, other)
}

// wantSame compares two descriptions, name by name; with neg they must differ.
func wantSame(ts *testscript.TestScript, neg bool, one, other map[string]string) {
	if len(one) < 100 {
		ts.Fatalf("there are only %d things to compare", len(one))
	}
	name := difference(one, other)
	switch {
	case neg && name == "":
		ts.Fatalf("they are the same")
	case !neg && name != "":
		ts.Fatalf("%s: %.300q in one, %.300q in the other", name, one[name], other[name])
	}
}

// difference is the first name that is not the same in both.
func difference(one, other map[string]string) string {
	both := maps.Clone(other)
	maps.Copy(both, one)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		if one[name] != other[name] {
			return name
		}
	}
	return ""
}

// anew are the keys whose values differ from run to run, and those that are
// different things to different hosts.
func anew(file, key string) bool {
	switch key {
	case "UUID", "Date", "BackupKeyBag", "ManifestKey":
		return true
	}
	return file == ios.InfoName
}

// readMeaning is what a backup folder says.
func readMeaning(dir, password string, plists []string) (map[string]string, error) {
	fsys := os.DirFS(dir)
	b, err := ios.Open(fsys)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, file := range plists {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if err := plist.Unmarshal(data, &m); err != nil {
			return nil, err
		}
		for key, v := range m {
			if all[file+" "+key] = fmt.Sprintf("%T", v); !anew(file, key) {
				all[file+" "+key] = fmt.Sprint(v)
			}
		}
	}
	data, err := fs.ReadFile(fsys, ios.DatabaseName)
	if err != nil {
		return nil, err
	}
	var keys ios.ClassKeys
	if password != "" {
		if keys, data, err = unlockBackup(b, data, password); err != nil {
			return nil, err
		}
	}
	if err := readFiles(dir, b, keys, data, all); err != nil {
		return nil, err
	}
	stored, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	all["stored files"] = fmt.Sprint(len(stored))
	return all, err
}

func unlockBackup(b *ios.Backup, data []byte, password string) (ios.ClassKeys, []byte, error) {
	bag, err := b.Keybag()
	if err != nil {
		return nil, nil, err
	}
	keys, err := bag.Unlock(context.Background(), password)
	if err != nil {
		return nil, nil, err
	}
	k, _, err := b.ManifestKey(keys)
	if err == nil {
		data, err = ios.Decrypt(nil, data, k)
	}
	return keys, data, err
}

func readFiles(dir string, b *ios.Backup, keys ios.ClassKeys, manifest []byte, all map[string]string) error {
	m, err := ios.OpenManifest(bytes.NewReader(manifest), int64(len(manifest)))
	if err != nil {
		return err
	}
	defer m.Close()
	for r, err := range m.Records(context.Background()) {
		if err != nil {
			return err
		}
		var f ios.File
		if err := ios.ParseFile(bytes.Clone(r.Blob), &f); err != nil {
			return err
		}
		var data []byte
		if r.Flags == ios.RegularFile {
			if data, err = os.ReadFile(filepath.Join(dir, b.Path(r.FileID))); err != nil {
				return err
			}
		}
		if len(f.EncryptionKey) > 0 {
			k, err := keys.Unwrap(f.EncryptionKey)
			if err == nil {
				data, err = ios.Decrypt(nil, data, k)
			}
			if err != nil {
				return err
			}
			f.EncryptionKey, f.Digest = nil, nil // of each run's own
		}
		all[r.FileID+" "+r.Domain+"-"+r.RelativePath] = fmt.Sprintf("%d %+v %d bytes %x", r.Flags, f, len(data), sha256.Sum256(data))
	}
	return nil
}
