package mb2

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	u := udid + "/"
	big := strings.Repeat("0123456789abcdef", 3*DataSize/16) + "rest"
	f := newFolder(t, u+"big", big, u+"empty", "", u+first, "1", u+"bad", "begin")
	f.fails["Read "+u+"bad"] = io.ErrUnexpectedEOF
	f.fails["Open "+u+"locked"] = fs.ErrPermission
	long := u + strings.Repeat("x", 5000)
	var violations int
	o := Options{Violation: func(Violation) { violations++ }}
	err := ordered(t, f, o, func(p *phone) {
		files := p.download(u+"gone", u+"big", u+"empty", u+"ab", u+"bad", u+"locked", "../x", long, "", u+"big")
		want := []sent{
			{u + "gone", "", CodeNotFound, "No such file or directory"},
			{u + "big", big, CodeEnd, ""},
			{u + "empty", "", CodeEnd, ""},
			{u + "ab", "", 9, "Is a directory"},
			{u + "bad", "begin", CodeIO, "Input/output error"},
			{u + "locked", "", CodeIO, "Input/output error"},
			{"../x", "", 3, "Bad parameter"},
			{long, "", 3, "Bad parameter"},
			{u + "big", big, CodeEnd, ""},
		}
		if !slices.Equal(files, want) {
			for i := range min(len(files), len(want)) {
				if files[i] != want[i] {
					t.Errorf("got %.80q, want %.80q", files[i], want[i])
				}
			}
			t.Errorf("got %d files, want %d", len(files), len(want))
		}
		checkDetails(t, p.wantStatus(StatusMulti), map[string]Status{
			u + "gone": StatusNotFound, u + "ab": StatusIsDir, u + "bad": StatusIO, u + "locked": StatusIO,
			"../x": StatusBadParameter, long: StatusBadParameter, "": StatusBadParameter,
		})
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want what the folder said first", err)
	}
	if violations != 3 {
		t.Errorf("got %d violations, want 3", violations)
	}
}

func TestDownloadNothing(t *testing.T) {
	t.Parallel()
	for _, list := range []any{[]any{}, []any{uint64(1)}, "file", nil} {
		want := StatusBadParameter
		if empty, ok := list.([]any); ok && len(empty) == 0 {
			want = StatusOK
		}
		args := []any{list, map[string]any{}, 0.0, uint64(0)}
		if list == nil {
			args = nil
		}
		if err := ordered(t, newFolder(t), Options{}, func(p *phone) {
			p.say("DLMessageDownloadFiles", args...)
			if files := p.files(); len(files) != 0 {
				t.Errorf("got %v", files)
			}
			p.wantStatus(want)
		}); err != nil {
			t.Error(err)
		}
	}
}

// A file that vanishes while it is read was there: "not found" would make the
// phone believe that there is no backup.
func TestVanishedWhileRead(t *testing.T) {
	t.Parallel()
	f := newFolder(t, udid+"/Status.plist", "begin")
	f.fails["Read "+udid+"/Status.plist"] = fs.ErrNotExist
	err := ordered(t, f, Options{}, func(p *phone) {
		if files := p.download(udid + "/Status.plist"); len(files) != 1 || files[0].code != CodeIO {
			t.Errorf("got %v", files)
		}
		checkDetails(t, p.wantStatus(StatusMulti), map[string]Status{udid + "/Status.plist": StatusIO})
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want what the folder said", err)
	}
}

// Phones hold a whole unit in memory: every one but the last has 32 KiB.
func TestDownloadUnits(t *testing.T) {
	t.Parallel()
	f := newFolder(t, udid+"/big", strings.Repeat("x", 5*DataSize/2))
	if err := ordered(t, f, Options{}, func(p *phone) {
		p.say("DLMessageDownloadFiles", []any{udid + "/big"}, map[string]any{}, 0.0, uint64(0))
		var lengths []int
		for {
			unit, err := ReadUnit(p.conn, nil, MaxData)
			p.must(err)
			lengths = append(lengths, len(unit))
			if len(unit) == 0 {
				break
			}
		}
		if want := []int{len(udid) + 4, DataSize + 1, DataSize + 1, DataSize/2 + 1, 1, 0}; !slices.Equal(lengths, want) {
			t.Errorf("got units of %v bytes, want %v", lengths, want)
		}
		p.wantStatus(StatusOK)
	}); err != nil {
		t.Error(err)
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	buf := make([]byte, 4)
	if n, err := fill(bytes.NewReader([]byte("abcdef")), buf); n != 4 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := fill(io.MultiReader(strings.NewReader("a"), strings.NewReader("b")), buf); n != 2 || err != io.EOF {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := fill(idle{}, buf); err != io.ErrNoProgress {
		t.Errorf("got %v for a file that never ends", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }
