package repo

import (
	"encoding/json"
	"io/fs"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"russet/chunk"
)

// refNode is the struct that restic gives encoding/json (its design document
// and ours give the keys), and refTree the one around it.
type (
	refTree struct {
		Nodes []*refNode `json:"nodes"`
	}
	refNode struct {
		Name          string                     `json:"name"`
		Type          string                     `json:"type"`
		Mode          uint32                     `json:"mode,omitempty"`
		ModTime       time.Time                  `json:"mtime"`
		AccessTime    time.Time                  `json:"atime"`
		ChangeTime    time.Time                  `json:"ctime"`
		UID           uint32                     `json:"uid"`
		GID           uint32                     `json:"gid"`
		User          string                     `json:"user,omitempty"`
		Group         string                     `json:"group,omitempty"`
		Inode         uint64                     `json:"inode,omitempty"`
		DeviceID      uint64                     `json:"device_id,omitempty"`
		Size          uint64                     `json:"size,omitempty"`
		Links         uint64                     `json:"links,omitempty"`
		LinkTarget    string                     `json:"linktarget,omitempty"`
		LinkTargetRaw []byte                     `json:"linktarget_raw,omitempty"`
		Xattrs        []refXattr                 `json:"extended_attributes,omitempty"`
		Generic       map[string]json.RawMessage `json:"generic_attributes,omitempty"`
		Device        uint64                     `json:"device,omitempty"`
		Content       []chunk.ID                 `json:"content"`
		Subtree       *chunk.ID                  `json:"subtree,omitempty"`
		Error         string                     `json:"error,omitempty"`
	}
	refXattr struct {
		Name  string `json:"name"`
		Value []byte `json:"value"`
	}
)

func newRefNode(n *Node) *refNode {
	quoted := strconv.Quote(n.Name)
	r := &refNode{
		Name: quoted[1 : len(quoted)-1], Type: n.Type, Mode: n.Mode,
		ModTime: n.ModTime, AccessTime: n.AccessTime, ChangeTime: n.ChangeTime,
		UID: n.UID, GID: n.GID, User: n.User, Group: n.Group, Inode: n.Inode, DeviceID: n.DeviceID,
		Size: n.Size, Links: n.Links, LinkTarget: n.LinkTarget, Generic: n.GenericAttributes,
		Device: n.Device, Content: n.Content, Subtree: n.Subtree, Error: n.Error,
	}
	if !utf8.ValidString(n.LinkTarget) {
		r.LinkTargetRaw = []byte(n.LinkTarget)
	}
	for _, a := range n.ExtendedAttributes {
		r.Xattrs = append(r.Xattrs, refXattr(a))
	}
	return r
}

// refEncode encodes as restic does.
func refEncode(t *testing.T, nodes []*Node) string {
	t.Helper()
	tree := refTree{Nodes: []*refNode{}}
	for _, n := range nodes {
		tree.Nodes = append(tree.Nodes, newRefNode(n))
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// plainNodes returns copies without what decoding remembers.
func plainNodes(nodes []*Node) []Node {
	var plain []Node
	for _, n := range nodes {
		c := *n
		c.spelled = nil
		plain = append(plain, c)
	}
	return plain
}

// manyNodes returns a node of each kind, and values at the limits of theirs.
func manyNodes() []*Node {
	id, other := chunk.Sum([]byte("one")), chunk.Sum([]byte("other"))
	east := time.FixedZone("", 5*3600+45*60)
	west := time.FixedZone("", -(3*3600 + 30*60))
	at := func(nanos int, zone *time.Location) time.Time { return time.Date(2024, 2, 29, 23, 59, 59, nanos, zone) }
	return []*Node{
		{},
		{Name: "a", Type: TypeFile, Mode: 0o644, ModTime: at(1, time.UTC), AccessTime: at(100_000_000, east), ChangeTime: at(999_999_999, west), UID: math.MaxUint32, GID: 7, User: "anna", Group: "staff", Inode: math.MaxUint64, DeviceID: 3, Size: 1 << 40, Links: 2, Content: []chunk.ID{id, other, id}},
		{Name: "b", Type: TypeFile, Mode: math.MaxUint32, ModTime: time.Date(0, 1, 1, 0, 0, 0, 0, east), AccessTime: time.Date(9999, 12, 31, 23, 59, 59, 0, west), ChangeTime: at(120_000, east), User: "anna", Group: "", Content: []chunk.ID{}},
		{Name: "dir <&>\"\\'\u2028\x7f\n\x00é\xff\u00ad\U0001f600/..", Type: TypeDir, Subtree: &id, Error: "e<\b\f\x01>"},
		{Name: "link", Type: TypeSymlink, LinkTarget: "é<>\u2029\b\f\n\x1f\x7f\ufffd"},
		{Name: "link raw", Type: TypeSymlink, LinkTarget: "\xff/\xe2\x80"},
		{Name: "xattr", Type: TypeFIFO, User: "\xffü\t", Group: "&", ExtendedAttributes: []ExtendedAttribute{{"user.a", []byte("1")}, {"user.<b>", []byte{}}, {"user.\u2028", nil}, {}}},
		{Name: "generic", Type: TypeSocket, GenericAttributes: map[string]json.RawMessage{
			"windows.file_attributes": json.RawMessage(`32`), "b": json.RawMessage(`"<é\u0008\/` + "\u2028" + `>"`), "a": json.RawMessage("null"), "": json.RawMessage(`{"z":[1,{}],"y":1e5}`), "<": nil,
		}},
		{Name: "dev", Type: TypeCharDevice, Device: math.MaxUint64, ModTime: at(5, east), AccessTime: at(5, east).In(west)},
	}
}

func TestNodeEncode(t *testing.T) {
	t.Parallel()
	for _, n := range manyNodes() {
		got, want := string(AppendTree(nil, []*Node{n})), refEncode(t, []*Node{n})
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// What encoding/json refuses becomes null.
	n := &Node{GenericAttributes: map[string]json.RawMessage{"bad": json.RawMessage("{"), "good": json.RawMessage("[1]")}}
	if got := string(n.appendTo(nil)); !strings.Contains(got, `"generic_attributes":{"bad":null,"good":[1]}`) {
		t.Errorf("got %s", got)
	}
}

func TestNodeTimes(t *testing.T) {
	t.Parallel()
	utc := func(year int) time.Time { return time.Date(year, 5, 6, 7, 8, 9, 10, time.UTC) }
	for _, c := range []struct {
		time time.Time
		want string
	}{
		{time.Time{}, "0001-01-01T00:00:00Z"},
		{utc(2024), "2024-05-06T07:08:09.00000001Z"},
		{utc(-3), "0000-05-06T07:08:09.00000001Z"},
		{utc(10000), "9999-05-06T07:08:09.00000001Z"},
		{utc(2024).In(time.FixedZone("", 0)), "2024-05-06T07:08:09.00000001Z"},
		{utc(2024).In(time.FixedZone("", 3600)), "2024-05-06T08:08:09.00000001+01:00"},
		{utc(2024).In(time.FixedZone("", -3599)), "2024-05-06T06:08:10.00000001-00:59"},
		{utc(2024).In(time.FixedZone("", 24*3600)), "2024-05-06T07:08:09.00000001Z"},
		{utc(2024).In(time.FixedZone("", -100*3600)), "2024-05-06T07:08:09.00000001Z"},
		{utc(9999).In(time.FixedZone("", 24*364*3600)), "9998-05-05T07:08:09.00000001Z"},
	} {
		got := string(appendTime(nil, "", c.time))
		if got != c.want+`"` {
			t.Errorf("%v: got %s, want %s", c.time, got, c.want)
		}
		var back time.Time
		if err := back.UnmarshalText([]byte(c.want)); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

func TestNodeMode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		posix uint32
		mode  fs.FileMode
		typ   string
	}{
		{0o100644, 420, TypeFile},
		{0o40755, 2147484141, TypeDir},
		{0o120777, 134218239, TypeSymlink},
		{0o60660, fs.ModeDevice | 0o660, TypeDevice},
		{0o20620, fs.ModeDevice | fs.ModeCharDevice | 0o620, TypeCharDevice},
		{0o10600, fs.ModeNamedPipe | 0o600, TypeFIFO},
		{0o140777, fs.ModeSocket | 0o777, TypeSocket},
		{0o104711, fs.ModeSetuid | 0o711, TypeFile},
		{0o102711, fs.ModeSetgid | 0o711, TypeFile},
		{0o41777, fs.ModeDir | fs.ModeSticky | 0o777, TypeDir},
		{0o107000, fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky, TypeFile},
	} {
		if got := FileMode(c.posix); got != c.mode {
			t.Errorf("%o: got %v, want %v", c.posix, got, c.mode)
		}
		if got := PosixMode(c.mode); got != c.posix {
			t.Errorf("%v: got %o, want %o", c.mode, got, c.posix)
		}
		if got := TypeOf(c.mode); got != c.typ {
			t.Errorf("%v: got %q, want %q", c.mode, got, c.typ)
		}
	}
	if TypeOf(fs.ModeIrregular) != "" || PosixMode(fs.ModeIrregular|0o7) != 7 {
		t.Error("an irregular file is something")
	}
}

func TestNodeCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "..", "/", "a/b", "../x", "a\x00", "\x00"} {
		if (&Node{Name: name}).CheckName() == nil {
			t.Errorf("%q is a name", name)
		}
	}
	for _, name := range []string{"a", "...", ".a", "a\\b", "\xff", "a\nb", " "} {
		if err := (&Node{Name: name}).CheckName(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzNodeName compares names and what else is a string with encoding/json, and
// reads them back.
func FuzzNodeName(f *testing.F) {
	var every strings.Builder
	for c := range 256 {
		every.WriteByte(byte(c))
	}
	f.Add(every.String(), "target", "user", []byte("x"), int64(1), 120)
	f.Add("é\u00ad\ufeff\u2028\ufffd\U0001fae0e\u0301 \xed\xa0\x80", "\xff", "\ufffd", []byte{}, int64(-1e18), -1439)
	f.Fuzz(func(t *testing.T, name, target, user string, value []byte, nanos int64, minutes int) {
		when := time.Unix(nanos>>20, nanos&(1<<20-1)*953).UTC()
		if minutes %= 24 * 60; minutes != 0 {
			when = when.In(time.FixedZone("", 60*minutes))
		}
		if when.Year() < 0 || when.Year() > 9999 {
			t.Skip()
		}
		n := &Node{
			Name: name, LinkTarget: target, User: user, Group: target, Type: user, Error: name,
			ModTime: when, AccessTime: when, ChangeTime: when.Add(time.Millisecond).UTC(),
			ExtendedAttributes: []ExtendedAttribute{{Name: user, Value: value}},
		}
		got := string(AppendTree(nil, []*Node{n}))
		if want := refEncode(t, []*Node{n}); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		tree, err := DecodeTree([]byte(got))
		if err != nil || tree.Lossy {
			t.Fatalf("%s: lossy %v, %v", got, err == nil, err)
		}
		if again := string(tree.Append(nil)); again != got {
			t.Fatalf("got  %s\nwant %s", again, got)
		}
		back := tree.Nodes[0]
		// Only these two keep what is no UTF-8.
		if back.Name != name || back.LinkTarget != target || back.User != string([]rune(user)) {
			t.Fatalf("%q %q %q come back as %q %q %q", name, target, user, back.Name, back.LinkTarget, back.User)
		}
		if !back.ModTime.Equal(when) || !reflect.DeepEqual(back.ExtendedAttributes[0].Value, value) {
			t.Fatalf("%v %q come back as %v %q", when, value, back.ModTime, back.ExtendedAttributes[0].Value)
		}
	})
}
