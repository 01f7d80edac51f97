package capture

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"russet/device/mb2"
)

const someID = "0123456789abcdef0123456789abcdef01234567"

// shown lists all files and folders of an overlay, files with their sizes.
func shown(o *overlay) map[string]int64 {
	m := map[string]int64{}
	o.root.walk("", func(at string, b *branch) {
		if at != "" {
			m[at+"/"] = 0
		}
		b.each(func(name string, f storedFile) { m[strings.TrimPrefix(at+"/"+name, "/")] = f.size })
	})
	return m
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	o := &overlay{root: newBranch()}
	f := func(size int64) storedFile { return storedFile{size: size} }
	step := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) || want == nil && got != nil {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
		if n := o.root.size(); n != o.count {
			t.Errorf("%s: counted %d, there are %d", what, o.count, n)
		}
	}
	step("mkdir", o.mkdir("U"), nil)
	step("mkdir again", o.mkdir("U"), fs.ErrExist)
	step("mkdir nowhere", o.mkdir("X/y"), fs.ErrNotExist)
	step("mkdir of the top", o.mkdir("."), fs.ErrInvalid)
	step("put", o.put("U/a", f(1)), nil)
	step("put an id", o.put("U/"+someID, f(2)), nil)
	step("put again", o.put("U/a", f(3)), nil)
	step("put on a folder", o.put("U", f(1)), mb2.ErrIsDir)
	step("put below a file", o.put("U/a/b", f(1)), mb2.ErrNotDir)
	step("mkdir on a file", o.mkdir("U/"+someID), fs.ErrExist)
	for _, name := range []string{"", "/a", "../a", "U/../a", "U//a", "U/.", "a\x00b", strings.Repeat("a/", 600) + "a", strings.Repeat("a", 5000)} {
		step("put an illegal name", o.put(name, f(1)), fs.ErrInvalid)
	}
	step("mkdir", o.mkdir("U/d"), nil)
	step("put", o.put("U/d/x", f(4)), nil)
	step("move replaces", o.move("U/a", "U/"+someID), nil)
	step("move what is gone", o.move("U/a", "U/b"), fs.ErrNotExist)
	step("move onto a folder", o.move("U/"+someID, "U/d"), mb2.ErrIsDir)
	step("move a folder onto a file", o.move("U/d", "U/"+someID), mb2.ErrNotDir)
	step("move a folder into itself", o.move("U/d", "U/d/e"), fs.ErrInvalid)
	step("move onto itself", o.move("U/d", "U/d"), nil)
	step("copy a folder", o.copy("U/d", "U/e"), nil)
	step("copy a file", o.copy("U/e/x", "U/e/y"), nil)
	step("copy over a file", o.copy("U/"+someID, "U/e/y"), nil)
	step("copy onto a folder", o.copy("U/e", "U/d"), fs.ErrExist)
	step("copy a folder into itself", o.copy("U/d", "U/d/z"), fs.ErrInvalid)
	step("copy what is not there", o.copy("U/no", "U/f"), fs.ErrNotExist)
	step("move a folder onto a full one", o.move("U/e", "U/d"), fs.ErrExist)
	step("move the top folder", o.move("U", "U-20260304-050607"), nil)
	step("mkdir", o.mkdir("V"), nil)
	step("move onto an empty folder", o.move("U-20260304-050607", "V"), nil)
	step("remove a file", o.remove("V/d/x"), nil)
	step("remove again", o.remove("V/d/x"), fs.ErrNotExist)
	step("remove the top", o.remove("."), fs.ErrInvalid)
	want := map[string]int64{"V/": 0, "V/d/": 0, "V/e/": 0, "V/e/x": 4, "V/e/y": 3, "V/" + someID: 3}
	if got := shown(o); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, slices.Sorted(maps.Keys(want)))
	}
	step("remove all", o.remove("V"), nil)
	if o.count != 0 {
		t.Errorf("%d are left", o.count)
	}
	o.count = maxPhoneFiles
	if err := o.put("z", f(1)); !errors.Is(err, errTooMany) {
		t.Errorf("too many: got %v", err)
	}
}
