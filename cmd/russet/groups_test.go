package main

import (
	"strings"
	"testing"

	"russet/chunk"
	"russet/repo"
)

// A phone that got another name is the same phone; its newest name is shown.
func TestByDevice(t *testing.T) {
	t.Parallel()
	snaps := []*repo.Snapshot{
		{Hostname: "old name", Paths: []string{"/UDID"}},
		{Hostname: "new name", Paths: []string{"/UDID"}},
		{Hostname: "new name", Paths: []string{"/UDID2"}},
		{Hostname: "russet-sync", Paths: []string{"/russet-sync/home"}},
		{Hostname: "h", Paths: []string{"/a", "/b"}},
		{Hostname: "h", Paths: []string{"/x/a b"}},
	}
	group := byDevice(snaps)
	for i, want := range []repo.ForgetGroup{
		{Name: "new name (UDID)"},
		{Name: "new name (UDID)"},
		{Name: "new name (UDID2)"},
		{Name: "/russet-sync/home", State: true},
		{Name: `h: ["/a" "/b"]`},
		{Name: `h: ["/x/a b"]`},
	} {
		if got := group(snaps[i]); got != want {
			t.Errorf("%q: got %+v, want %+v", snaps[i].Paths, got, want)
		}
	}
}

func TestLogicalPath(t *testing.T) {
	t.Parallel()
	for full, want := range map[string]string{
		"UDID/Files/HomeDomain/x": "HomeDomain/x", "UDID/Status.plist": "Status.plist", "UDID/": "UDID/", "UDID": "UDID",
		"UDID/Files/": "Files/", "UDID2/Files/x": "UDID2/Files/x", "UDID/Sealed/ab/x": "Sealed/ab/x",
	} {
		if got := logicalPath("UDID", full); got != want {
			t.Errorf("%q: got %q, want %q", full, got, want)
		}
	}
}

// A file's history is what changes from one snapshot to the next.
func TestNoteVersion(t *testing.T) {
	t.Parallel()
	file := func(content string) *repo.Node {
		return &repo.Node{Type: repo.TypeFile, Content: []chunk.ID{chunk.Sum([]byte(content))}}
	}
	var list []event
	var said []string
	for _, n := range []*repo.Node{nil, file("a"), file("a"), file("b"), nil, nil, file("b"), {Type: repo.TypeSymlink, LinkTarget: "b"}, {Type: repo.TypeSymlink, LinkTarget: "c"}} {
		before := len(list)
		list = noteVersion(list, &repo.Snapshot{}, "path", n)
		what := "-"
		if len(list) > before {
			what = list[before].what
		}
		said = append(said, what)
	}
	if got, want := strings.Join(said, " "), "- appeared - changed vanished - appeared changed changed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
