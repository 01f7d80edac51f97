package offsite

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"russet/chunk"
	"russet/repo"
)

// fullState is a state in which every field says something.
func fullState() *State {
	a, b := chunk.Sum([]byte("a")), chunk.Sum([]byte("b"))
	st := &State{
		Config: Config{Name: "cloud", Kind: Twin, Address: "s3:https://s3.example.org/bucket", Repository: a, Last: 3, Devices: []string{"0000"}, Tags: []string{"pinned"}},
		Runs: []Run{
			{Time: hours(0), Action: Put, Snapshots: 2, Packs: 3, Bytes: 99, Bad: 1},
			{Time: hours(1), Action: Verify, Packs: 1, Bytes: 9, Cut: true},
		},
		Packs: Ledger{
			a: {Size: 16 << 20, Put: seconds(hours(0)), Proven: seconds(hours(1)), Method: Downloaded, Result: Right},
			b: {Size: 1, Put: 1, Result: Missing},
		},
		Snapshots: []Standing{
			{Path: "/a", Time: hours(0), Tree: a, Proven: hours(1)},
			{Path: "/a", Time: hours(0), Tree: b, Broken: true},
			{Path: "/b", Time: hours(1), Tree: a},
		},
	}
	slices.SortFunc(st.Snapshots, Standing.compare)
	return st
}

func TestStore(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	want := fullState()
	one, other := p.open(t), p.open(t)
	if _, err := one.Load(t.Context(), "none"); !errors.Is(err, ErrNoCopy) {
		t.Errorf("of a name that is not there: %v", err)
	}
	for _, s := range []*Store{one, other} {
		if _, err := s.Load(t.Context(), "cloud"); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := other.Save(t.Context(), want); !errors.Is(err, ErrBusy) {
		t.Errorf("the second of two: %v, want ErrBusy", err)
	}
	s := p.open(t)
	got, err := s.Load(t.Context(), "cloud")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	all, err := s.r.AllSnapshots(t.Context())
	if err != nil || len(all) != 1 || all[0].Hostname != "russet-offsite" || fmt.Sprint(all[0].Tags, all[0].Paths) != "[russet-offsite] [/russet-offsite/cloud]" {
		t.Errorf("the snapshots are %+v, %v", all, err)
	}
	if names, err := s.Names(t.Context()); err != nil || fmt.Sprint(names) != "[cloud]" {
		t.Errorf("names are %v, %v", names, err)
	}
	if err := s.Free(t.Context(), "cloud"); err == nil || !strings.Contains(err.Error(), "there is one of that name") {
		t.Errorf("a second one of a name: %v", err)
	}
	if err := s.Remove(t.Context(), "cloud"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Names(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("names after removal are %v, %v", names, err)
	}
	_, _ = s.Load(t.Context(), "cloud") // who looked in vain is not told that it was removed
	if err := s.Remove(t.Context(), "cloud"); !errors.Is(err, ErrNoCopy) {
		t.Errorf("the removal of a copy that is not there: %v, want ErrNoCopy", err)
	}
}

// TestOther: another repository at the copy's address is refused.
func TestOther(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.copy = newPlace(t, copyPassword)
	if _, _, err := p.attach(t.Context()); !errors.Is(err, ErrOther) {
		t.Errorf("got %v, want ErrOther", err)
	}
}

// TestHostileState: what is not a state of ours is an error that says so, and never
// one that quotes it.
func TestHostileState(t *testing.T) {
	t.Parallel()
	files, err := fullState().encode()
	if err != nil {
		t.Fatal(err)
	}
	first := chunk.Sum([]byte("a"))
	row := len(first) + 14
	for _, c := range []struct{ file, old, new string }{
		{fileState, `"version": 1`, `"version": 2`},
		{fileState, `"name": "cloud"`, `"name": "personal"`},
		{fileState, `"kind": "twin"`, `"kind": "personal"`},
		{fileState, "s3:https://", "s3:https://ada:personal@"},
		{fileState, `{`, `personal`},
		{fileState, `"last": 3`, `"last": -3`},
		{fileLedger, "ledger 1", "ledger 2"},
		{fileLedger, string(first[:]), string(make([]byte, len(first))) + "x"},
		{fileLedger, ledgerMark + string(files[fileLedger][len(ledgerMark):][:row]), ledgerMark + strings.Repeat(string(files[fileLedger][len(ledgerMark):][:row]), 2)},
		{fileLedger, "\x04\x01", "\x05\x01"},
		{fileLedger, "\x04\x01", "\x04\x04"},
		{fileSnapshots, `"tree":"`, `"tree":"personal`},
	} {
		changed := maps.Clone(files)
		changed[c.file] = bytes.Replace(files[c.file], []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(changed[c.file], files[c.file]) {
			t.Fatalf("%s does not hold %q", c.file, c.old)
		}
		if _, err := decodeState("cloud", changed); !errors.Is(err, ErrState) || strings.Contains(err.Error(), "personal") {
			t.Errorf("%s with %q: got %v", c.file, c.new, err)
		}
	}
}

// TestLargeLedger: 100,000 packs are 4.6 MB, and a ledger of more than a million is
// not written.
func TestLargeLedger(t *testing.T) {
	t.Parallel()
	l := Ledger{}
	for i := range 100_000 {
		l[chunk.Sum(fmt.Append(nil, i))] = Entry{Size: int64(i), Proven: uint32(i), Method: HeadSHA256, Result: Right}
	}
	data, err := l.encode()
	if err != nil || len(data) > 46*100_000+100 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	got, err := decodeLedger(data)
	if err != nil || !maps.Equal(got, l) {
		t.Errorf("it is read as another one: %v", err)
	}
	if _, err := decodeLedger(append(slices.Clone(data), 0)); err == nil {
		t.Error("a part of an entry is taken for one")
	}
	if _, err := decodeLedger(append([]byte(ledgerMark), make([]byte, entrySize*(maxPacks+1))...)); err == nil {
		t.Error("a ledger of any length is read")
	}
}

// TestDue: the oldest proofs come first; what is bad, or was proven by a clock that
// was ahead, counts as never.
func TestDue(t *testing.T) {
	t.Parallel()
	ids := []chunk.ID{{1}, {2}, {3}, {4}, {5}, {6}}
	l := Ledger{
		ids[0]: {Proven: seconds(hours(5)), Result: Right},
		ids[1]: {Proven: seconds(hours(4)), Result: Right},
		ids[2]: {Proven: seconds(hours(99)), Result: Right},
		ids[3]: {Proven: seconds(hours(1)), Result: Damaged},
		ids[4]: {},
		ids[5]: {Proven: seconds(hours(4)), Result: Right},
	}
	want := []chunk.ID{ids[2], ids[3], ids[4], ids[1], ids[5], ids[0]}
	if got := l.due(hours(6)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	snap := func(path string, hour int, tags ...string) *repo.Snapshot {
		return &repo.Snapshot{Time: hours(hour), Paths: []string{path}, Tags: tags, Tree: &chunk.ID{byte(hour)}}
	}
	all := []*repo.Snapshot{
		snap("/AA1", 1), snap("/AA1", 2, "pinned"), snap("/AA1", 3), snap("/BB2", 4), snap("/BB2", 5, "pinned"),
		snap("/russet-sync/x", 6), snap("/russet-sync/x", 7), snap("/russet-sync/y", 8), snap("/russet-offsite/cloud", 9), snap("/russet-new/z", 10),
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Kind: Twin}, "1 2 3 4 5 7 8 10"},
		{Config{Kind: Mirror}, "1 2 3 4 5 6 7 8 10"},
		{Config{Kind: Twin, Last: 1}, "3 5 7 8 10"},
		{Config{Kind: Twin, Devices: []string{"aa", "cc"}}, "1 2 3 7 8 10"},
		{Config{Kind: Twin, Tags: []string{"pinned"}, Last: 2}, "2 5 7 8 10"},
		{Config{Kind: Twin, Tags: []string{"none"}}, "7 8 10"},
	} {
		var got []string
		for _, s := range c.config.Choose(all) {
			got = append(got, fmt.Sprint(int(s.Time.Sub(testTime()).Hours())))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v, want %s", c.config, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"rest:https://ada:pw@host/repo", "s3:https://a:b@h/x", "sftp://ada:pw@host//repo", "rest:http://a:b@[::1]:8000/", "rclone::webdav,user=a,pass=pw:x",
		"rclone:remote,pass=pw:path", "rclone::s3,env_auth=false,secret_access_key=x:b", `rclone::drive,token="{x}":x`, "rclone::b2,account=a,key=x:x",
		`rclone::webdav,url="https://a:b@h/":x`, "rclone::sftp,pass=true-x:y",
	} {
		c := Config{Name: "a", Kind: Twin, Address: address}
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: got %v", address, err)
		}
	}
	for _, address := range []string{
		"/a//b:c@d", "rest:https://ada@host:8000/a:b@c", "sftp:ada@host:/repo", `C:\a\b`, "s3:host/bucket", "rclone:remote:path",
		"rclone::s3,provider=AWS,env_auth=true:bucket", "rclone::sftp,host=nas,key_file=/k:x", "rclone:remote,env_auth:key=x",
	} {
		c := Config{Name: "a", Kind: Twin, Address: address}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, c := range []Config{
		{Name: "A", Kind: Twin, Address: "a"},
		{Name: "a/b", Kind: Twin, Address: "a"},
		{Kind: Twin, Address: "a"},
		{Name: "a", Address: "a"},
		{Name: "a", Kind: Twin},
		{Name: "a", Kind: Mirror, Address: "a", Last: 1},
		{Name: "a", Kind: Twin, Address: strings.Repeat("a", maxText+1)},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func FuzzState(f *testing.F) {
	files, err := fullState().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[fileState], files[fileLedger], files[fileSnapshots])
	f.Add([]byte(`{"version":1}`), []byte(ledgerMark), []byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, top, ledger, snapshots []byte) {
		got, err := decodeState("cloud", map[string][]byte{fileState: top, fileLedger: ledger, fileSnapshots: snapshots})
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Errorf("got %v, want ErrState", err)
			}
			return
		}
		_ = got.Status(nil)
		again, err := got.encode()
		if err != nil {
			t.Fatalf("it cannot be written again: %v", err)
		}
		if !bytes.Equal(again[fileLedger], ledger) {
			t.Error("the ledger is written otherwise than it was read")
		}
	})
}
