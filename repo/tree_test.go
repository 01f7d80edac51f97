package repo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"russet/chunk"
)

func TestTreeRoundTrip(t *testing.T) {
	t.Parallel()
	nodes := manyNodes()
	for i, n := range nodes {
		for _, list := range [][]*Node{nodes[i:], {n, nodes[0]}, {n}, {}} {
			want := refEncode(t, list)
			tree, err := DecodeTree([]byte(want))
			if err != nil || tree.Lossy {
				t.Fatalf("%s: lossy %v, %v", want, err == nil, err)
			}
			if got := string(tree.Append([]byte("x"))); got != "x"+want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
	// A tree that is decoded has the same values as the one encoded, but for
	// what JSON cannot keep.
	list := []*Node{nodes[1], nodes[2], nodes[3], nodes[5], nodes[8]}
	tree, err := DecodeTree([]byte(refEncode(t, list)))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range tree.Nodes {
		list[i].Error = strings.ToValidUTF8(list[i].Error, "\ufffd")
		for _, pair := range [][2]*time.Time{{&n.ModTime, &list[i].ModTime}, {&n.AccessTime, &list[i].AccessTime}, {&n.ChangeTime, &list[i].ChangeTime}} {
			_, got := pair[0].Zone()
			_, want := pair[1].Zone()
			if !pair[0].Equal(*pair[1]) || got != want {
				t.Errorf("node %d: got %v, want %v", i, pair[0], pair[1])
			}
			*pair[0], *pair[1] = time.Time{}, time.Time{}
		}
	}
	if got, want := plainNodes(tree.Nodes), plainNodes(list); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

const (
	treeTimes = `"mtime":"2024-05-06T07:08:09Z","atime":"2024-05-06T07:08:09.5+02:00","ctime":"2024-05-06T07:08:09Z","uid":0,"gid":0`
	treeNode  = `{"name":"a","type":"symlink","mode":134218239,` + treeTimes + `,"content":null}`
	treeOne   = `{"nodes":[` + treeNode + "]}\n"
)

// Other versions of Go and of restic spell some strings otherwise. They come
// back as they were, unless they are changed.
func TestTreeSpelling(t *testing.T) {
	t.Parallel()
	text := `{"nodes":[{"name":"\\U0001fae0 \\u00e9\u0062","type":"f\u0069le",` + treeTimes +
		`,"user":"a\u0008\u000c\b\f","group":"\u0061\u0008\u000c\b\f","linktarget":"\ufffd é\u0008",` +
		`"extended_attributes":[{"name":"user.\ufffd","value":"AA=="},{"name":"user.` + "\ufffd" + `","value":""}],"content":null,"error":"\/"},` +
		treeNode + "]}\n"
	tree, err := DecodeTree([]byte(text))
	if err != nil || tree.Lossy {
		t.Fatalf("lossy %v, %v", err == nil, err)
	}
	if got := string(tree.Append(nil)); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
	n := tree.Nodes[0]
	if n.Name != "\U0001fae0 éb" || n.Type != TypeFile || n.User != "a\b\f\b\f" || n.LinkTarget != "\ufffd é\b" || n.ExtendedAttributes[0].Name != "user.\ufffd" {
		t.Errorf("got %+v", n)
	}
	n.Name, n.Type, n.User, n.Group, n.LinkTarget, n.Error = n.Name+"c", "dir", "b\b", n.User, "\ufffd", "//"
	n.ExtendedAttributes[0], n.ExtendedAttributes[1] = n.ExtendedAttributes[1], n.ExtendedAttributes[0]
	n.ExtendedAttributes[1].Name += "\b"
	changed := string(tree.Append(nil))
	if want := refEncode(t, []*Node{n, tree.Nodes[1]}); strings.Replace(changed, `\u0061\u0008\u000c\b\f`, `a\b\f\b\f`, 1) !=
		strings.Replace(want, "user.\ufffd", `user.\ufffd`, 1) {
		t.Errorf("got  %s\nwant %s", changed, want)
	}
}

func TestTreeLossy(t *testing.T) {
	t.Parallel()
	id := chunk.Sum(nil).String()
	change := func(from, to string) string {
		if strings.Count(treeOne, from) != 1 {
			t.Fatalf("%s is not there once", from)
		}
		return strings.Replace(treeOne, from, to, 1)
	}
	add := func(more string) string { return change(`,"content":null`, more) }
	if tree, err := DecodeTree([]byte(treeOne)); err != nil || tree.Lossy || len(tree.Nodes) != 1 {
		t.Fatal(err)
	}
	for _, text := range []string{
		"{}", "{}\n", `{"nodes":null}` + "\n", `{"nodes":[]}`, " " + treeOne, treeOne + "\n", treeOne[:len(treeOne)-1],
		change(`[{`, `[ {`), change(`]}`, `]} `), change(`]}`, `],"more":1}`), change(`{"nodes"`, `{"more":{},"nodes"`),
		change(`"nodes"`, `"\u006eodes"`), change(`]}`, `],"nodes":[]}`),
		change(`"mode"`, `"MODE"`), change(`"mode"`, `"mod\u0065"`), change(`"mode"`, `"more"`), change(`"mode":134218239`, `"mode":0`),
		change(`"mode":134218239`, `"mode":null`), change(`"name":"a",`, ``), change(`"name":"a",`, `"name":null,`), change(`"type":"symlink",`, ``),
		change(`"name":"a","type":"symlink"`, `"type":"symlink","name":"a"`), change(`"name":"a"`, `"name":"a","name":"a"`),
		change(`,"uid":0`, ``), change(`,"gid":0`, ``), change(`,"content":null`, ``), change(`"mtime":"2024-05-06T07:08:09Z",`, ``),
		change(`"mtime":"2024-05-06T07:08:09Z"`, `"mtime":null`),
		change(`.5+`, `.50+`), change(`.5+`, `.0+`), change(`.5+`, `.0000000001+`), change(`+02:00`, `+00:00`), change(`+02:00`, `+24:00`), change(`+02:00`, `+02:60`), change(`T07:08:09.5`, `T7:08:09.5`), change(`.5+`, `,5+`), change(`+02:00`, `-00:00`), change(`+02:00`, `\u002b02:00`),
		add(`,"user":"","content":null`), add(`,"group":"","content":null`), add(`,"inode":0,"content":null`), add(`,"device_id":0,"content":null`),
		add(`,"size":0,"content":null`), add(`,"links":0,"content":null`), add(`,"device":0,"content":null`), add(`,"user":null,"content":null`),
		add(`,"linktarget":"","content":null`), add(`,"linktarget":"x","linktarget_raw":"eA==","content":null`), add(`,"linktarget_raw":"/w==","content":null`),
		add(`,"linktarget_raw":"/w==","linktarget":"\ufffd","content":null`), add(`,"linktarget":"\ufffd","linktarget_raw":"/x==","content":null`),
		add(`,"linktarget":"\ufffd","linktarget_raw":"","content":null`), add(`,"linktarget":"\ufffd","linktarget_raw":null,"linktarget":"","content":null`),
		add(`,"extended_attributes":[],"content":null`), add(`,"extended_attributes":null,"content":null`),
		add(`,"extended_attributes":[{}],"content":null`), add(`,"extended_attributes":[{"name":"a"}],"content":null`),
		add(`,"extended_attributes":[{"value":"","name":"a"}],"content":null`), add(`,"extended_attributes":[{"name":"a","value":"","x":[{}]}],"content":null`),
		add(`,"extended_attributes":[{"name":null,"value":""}],"content":null`), add(`,"extended_attributes":[{"name":"a","value":"\u0041A=="}],"content":null`),
		add(`,"extended_attributes":[{"name":"a","v\u0061lue":""}],"content":null`), add(`,"extended_attributes":[{"name":"a","value":"AA==\n"}],"content":null`),
		add(`,"generic_attributes":{},"content":null`), add(`,"generic_attributes":null,"content":null`), add(`,"generic_attributes":{"b":1,"a":2},"content":null`),
		add(`,"generic_attributes":{"a":1,"a":2},"content":null`), add(`,"generic_attributes":{"a": 1},"content":null`), add(`,"generic_attributes":{"a":"<"},"content":null`),
		add(`,"generic_attributes":{"\u0061":1},"content":null`),
		add(`,"content":null,"subtree":null`), add(`,"subtree":"` + id + `","content":null`), add(`,"content":null,"error":""`), add(`,"content":[],"content":null`),
	} {
		tree, err := DecodeTree([]byte(text))
		if err != nil || !tree.Lossy {
			t.Errorf("not lossy: %s, %v", text, err)
			continue
		}
		if string(tree.Append(nil)) == text {
			t.Errorf("not lossy in fact: %s", text)
		}
	}
	for _, text := range []string{
		add(`,"content":[]`), add(`,"content":null,"subtree":"` + id + `"`), add(`,"linktarget":"\ufffd","content":null`), add(`,"linktarget":"\ufffd","linktarget_raw":"/w==","content":null`),
		add(`,"generic_attributes":{"a":"\u003c\u0041","b":null},"content":["` + id + `"]`),
		change(`2024-05-06T07:08:09.5`, `0000-02-29T00:00:00`), change(`2024-05-06T07:08:09.5`, `2023-01-31T00:00:00`), change(`.5+02:00`, `.000000001-23:59`),
	} {
		if tree, err := DecodeTree([]byte(text)); err != nil || tree.Lossy || string(tree.Append(nil)) != text {
			t.Errorf("lossy: %s, %v", text, err)
		}
	}
}

func TestTreeRefuses(t *testing.T) {
	t.Parallel()
	id := chunk.Sum(nil).String()
	for _, c := range [][2]string{
		{`{"nodes":[`, `{"nodes":[null,`},
		{`{"nodes":[`, `[`},
		{"]}\n", "]}}\n"},
		{"]}\n", "]"},
		{`"a"`, `1`},
		{`"a"`, `"secret\\"`},
		{`"a"`, `"secret\""`},
		{`"a"`, `"secret\n"`},
		{`"a"`, `"\\ud800"`},
		{`"uid":0`, `"uid":4294967296`},
		{`"uid":0`, `"uid":-1`},
		{`"uid":0`, `"uid":"0"`},
		{`"uid":0`, `"uid":0.0`},
		{`"mode":134218239`, `"mode":4294967296`},
		{`07:08:09.5`, `24:08:09.5`},
		{`07:08:09.5`, `07:60:09.5`},
		{`07:08:09.5`, `07:08:60.5`},
		{`07:08:09.5`, `07:08:09.`},
		{`2024-05-06T07:08:09.5`, `2023-02-29T07:08:09.5`},
		{`2024-05-06T07:08:09.5`, `2024-04-31T07:08:09.5`},
		{`2024-05-06T07:08:09.5`, `2024-13-01T07:08:09.5`},
		{`2024-05-06T07:08:09.5`, `10000-01-01T07:08:09.5`},
		{`2024-05-06T07:08:09.5`, `secret`},
		{`2024-05-06T07:08:09.5+02:00`, ``},
		{`2024-05-06T07:08:09Z","atime`, `","atime`},
		{`+02:00`, `+0200`},
		{`+02:00`, ``},
		{`+02:00`, `z`},
		{`"content":null`, `"content":[null]`},
		{`"content":null`, `"content":["` + id[1:] + `"]`},
		{`"content":null`, `"content":["` + strings.ToUpper(id) + `"]`},
		{`"content":null`, `"content":{}`},
		{`"content":null`, `"content":["` + id + `"`},
		{`"content":null`, `"subtree":""`},
		{`"content":null`, `"subtree":"` + id + `0"`},
		{`"content":null`, `"extended_attributes":[null]`},
		{`"content":null`, `"extended_attributes":[{"name":"a","value":[1]}]`},
		{`"content":null`, `"extended_attributes":[{"name":"a","value":"A"}]`},
		{`"content":null`, `"linktarget_raw":"x"`},
		{`"content":null`, `"generic_attributes":[]`},
		{`"content":null`, `"generic_attributes":{"a":tru}`},
		{`"content":null`, `"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)},
	} {
		text := strings.Replace(treeOne, c[0], c[1], 1)
		if text == treeOne {
			t.Fatalf("%s is not there", c[0])
		}
		_, err := DecodeTree([]byte(text))
		if err == nil {
			t.Errorf("accepted %s", text)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), id[:8]) {
			t.Errorf("error shows content: %v", err)
		}
	}
	for n := range len(treeOne) - 1 {
		if _, err := DecodeTree([]byte(treeOne[:n])); err == nil {
			t.Errorf("accepted %q", treeOne[:n])
		}
	}
	if _, err := DecodeTree([]byte(`{"nodes":[{}` + strings.Repeat(",{}", freeNodes/2) + `]}`)); err != nil {
		t.Error(err)
	}
	if _, err := DecodeTree([]byte(`{"nodes":[{}` + strings.Repeat(",{}", 1<<20) + `]}`)); err == nil {
		t.Error("accepted a million empty nodes")
	}
}

func TestTreeValidate(t *testing.T) {
	t.Parallel()
	id := chunk.Sum(nil)
	file := func(name string) *Node { return &Node{Name: name, Type: TypeFile, Content: []chunk.ID{id}} }
	dir := func(name string, id *chunk.ID) *Node { return &Node{Name: name, Type: TypeDir, Subtree: id} }
	for _, c := range []struct {
		nodes []*Node
		want  error
	}{
		{nil, nil},
		{[]*Node{file("A"), file("B"), dir("a", &id), file("a\x00"[:1] + "b"), {Name: "c", Type: TypeFile, Content: []chunk.ID{}}, {Name: "é", Type: TypeSymlink}, {Name: "\xff", Type: TypeFIFO}}, nil},
		{[]*Node{file("b"), file("a")}, errOrder},
		{[]*Node{file("\xff"), file("é")}, errOrder},
		{[]*Node{file("a"), file("a")}, errDuplicate},
		{[]*Node{file("")}, errName},
		{[]*Node{file("a/b")}, errName},
		{[]*Node{{Name: "a", Type: "files"}}, errType},
		{[]*Node{{Name: "a", Type: TypeFile}}, errNoContent},
		{[]*Node{{Name: "a", Type: TypeFile, Content: make([]chunk.ID, 2)}}, errNullBlob},
		{[]*Node{dir("a", nil)}, errNoSubtree},
		{[]*Node{dir("a", new(chunk.ID))}, errNullBlob},
	} {
		err := (&Tree{Nodes: c.nodes}).Validate()
		if (err == nil) != (c.want == nil) || c.want != nil && !strings.HasSuffix(err.Error(), c.want.Error()) {
			t.Errorf("%v: got %v, want %v", c.nodes, err, c.want)
		}
	}
	tree := &Tree{Nodes: []*Node{file("b"), file("a"), file("c")}}
	if tree.Find("a") != tree.Nodes[1] || tree.Find("d") != nil {
		t.Error("Find looks at the order")
	}
}

// FuzzTree decodes any bytes. What is not lossy, must be encoded as it was, and
// encoding/json must see the same values in it.
func FuzzTree(f *testing.F) {
	f.Add([]byte(treeOne))
	f.Add([]byte(`{"nodes":[{"name":"a\\n\u0008\\\"","linktarget":"\ufffd\u000c","linktarget_raw":"/w==","extended_attributes":[{"name":"a","value":null}],"generic_attributes":{"a":[1,"<"]}}]}` + "\n"))
	f.Add(AppendTree(nil, manyNodes()[:3]))
	f.Add(AppendTree(nil, manyNodes()[3:]))
	f.Add([]byte(`{"nodes":[{"mtime":"2024-02-30T00:00:00+24:00"}],"x":[[[]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := DecodeTree(data)
		if err != nil {
			return
		}
		_ = tree.Validate()
		again := tree.Append(nil)
		if tree.Lossy == (string(again) == string(data)) {
			t.Fatalf("lossy %v: %q gives %q", tree.Lossy, data, again)
		}
		back, err := DecodeTree(again)
		if err != nil || string(back.Append(nil)) != string(again) {
			t.Fatalf("%q is not stable: %v", again, err)
		}
		var ref refTree
		if err := json.Unmarshal(again, &ref); err != nil || len(ref.Nodes) != len(tree.Nodes) {
			t.Fatalf("encoding/json: %q: %v", again, err)
		}
		for i, n := range tree.Nodes {
			r := ref.Nodes[i]
			if r.Type != n.Type || r.Mode != n.Mode || !r.ModTime.Equal(n.ModTime) || r.User != n.User || r.Size != n.Size ||
				len(r.Xattrs) != len(n.ExtendedAttributes) || len(r.Generic) != len(n.GenericAttributes) || fmt.Sprint(r.Content, r.Subtree) != fmt.Sprint(n.Content, n.Subtree) {
				t.Fatalf("%q: got %+v, want %+v", again, n, r)
			}
		}
	})
}

func benchmarkTree() []*Node {
	var nodes []*Node
	when := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.FixedZone("", 3600))
	for i := range 60_000 {
		id := chunk.Sum([]byte{byte(i), byte(i >> 8)})
		when = when.Add(time.Duration(i) * time.Microsecond)
		nodes = append(nodes, &Node{
			Name: fmt.Sprintf("%08d-%s.plist", i, id.String()[:24]), Type: TypeFile, Mode: 0o644,
			ModTime: when, AccessTime: when, ChangeTime: when.Add(7654321), UID: 501, GID: 501, User: "mobile", Group: "mobile",
			Inode: uint64(i) * 12345, DeviceID: 65024, Size: uint64(i), Links: 1, Content: []chunk.ID{id},
		})
	}
	return nodes
}

func TestTreeAllocations(t *testing.T) {
	data := AppendTree(nil, benchmarkTree()[:10000])
	var tree *Tree
	decode := testing.AllocsPerRun(1, func() { tree, _ = DecodeTree(data) })
	_ = append(tree.Nodes[0].Content, chunk.ID{}) // must not reach the next node's
	if tree.Lossy || string(tree.Append(nil)) != string(data) {
		t.Error("10000 nodes are not the same again")
	}
	if decode > 11000 { // the names, and little else
		t.Errorf("%v allocations decode 10000 nodes", decode)
	}
	if encode := testing.AllocsPerRun(1, func() { tree.Append(nil) }); encode > 3 {
		t.Errorf("%v allocations encode 10000 nodes", encode)
	}
}

func BenchmarkTreeDecode(b *testing.B) {
	data := AppendTree(nil, benchmarkTree())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeTree(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTreeEncode(b *testing.B) {
	nodes := benchmarkTree()
	b.SetBytes(int64(len(AppendTree(nil, nodes))))
	b.ReportAllocs()
	for b.Loop() {
		AppendTree(nil, nodes)
	}
}
