package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// sameTree is the script command `[!] sametree ONE OTHER`: two folders hold the
// same names, of the same kinds, modes and contents, and files of the same times
// in whole seconds, which is what a backup keeps of them.
func sameTree(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] sametree ONE OTHER")
	}
	one, err := readTree(ts.MkAbs(args[0]))
	ts.Check(err)
	other, err := readTree(ts.MkAbs(args[1]))
	ts.Check(err)
	wantSame(ts, neg, one, other)
}

// readTree says what each name below dir is.
func readTree(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %d %d bytes %x", info.ModTime().Unix(), len(data), sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			what += " " + target
		}
		all[name[len(dir):]] = what
		return nil
	})
	return all, err
}
