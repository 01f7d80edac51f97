package main

import (
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	t.Parallel()
	list := func(s string) []string { return strings.Fields(s) }
	for _, c := range []struct {
		include, exclude, path string
		dir, want              bool
	}{
		{"", "", "HomeDomain/a", false, true},
		{"HomeDomain", "", "HomeDomain/Library/x", false, true},
		{"HomeDomain", "", "MediaDomain/x", false, false},
		{"HomeDomain", "", "MediaDomain", true, true}, // a folder in it may have the name
		{"HomeDomain/Library", "", "HomeDomain", true, true},
		{"HomeDomain/Library", "", "HomeDomain/Media", true, false},
		{"HomeDomain/Library", "", "HomeDomain/Library/SMS/sms.db", false, true},
		{"HomeDomain/Library/", "", "HomeDomain/Library2/x", false, false},
		{"*.jpg", "", "CameraRollDomain/Media/DCIM/1.jpg", false, true},
		{"*.jpg", "", "CameraRollDomain/Media/DCIM/1.mov", false, false},
		{"*/Media", "", "CameraRollDomain/Media/x", false, true},
		{"CameraRollDomain/**/IMG_????.*", "", "CameraRollDomain/Media/DCIM/100/IMG_0001.HEIC", false, true},
		{"CameraRollDomain/**/IMG_????.*", "", "CameraRollDomain/IMG_0001.HEIC", false, true},
		{"CameraRollDomain/**/IMG_????.*", "", "CameraRollDomain/Media", true, true},
		{"CameraRollDomain/**", "", "CameraRollDomain/x", false, true},
		{"**", "", "a/b", false, true},
		{"", "*.mov", "CameraRollDomain/1.mov", false, false},
		{"", "HomeDomain/Library", "HomeDomain/Library", true, false},
		{"", "HomeDomain/Library", "HomeDomain", true, true},
		{"HomeDomain", "HomeDomain/Library/Caches", "HomeDomain/Library/Caches/x", false, false},
		{"HomeDomain", "HomeDomain/Library/Caches", "HomeDomain/Library/x", false, true},
		{"a/b c/d", "", "x", false, false},
	} {
		s, err := newSelection(list(c.include), list(c.exclude))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.selects(c.path, c.dir); got != c.want {
			t.Errorf("include %q, exclude %q: selects(%q, %t) = %t, want %t", c.include, c.exclude, c.path, c.dir, got, c.want)
		}
	}
}

func TestSelectionRefusesPatterns(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "/", "a/[b", `a\`} {
		if _, err := newSelection([]string{text}, nil); err == nil {
			t.Errorf("the pattern %q is taken, want an error", text)
		}
	}
}

// FuzzSelection holds that a folder is entered when something in it is wanted.
func FuzzSelection(f *testing.F) {
	f.Add("a/**/b*", "a/x/y/bc")
	f.Add("**/**/x", "x")
	f.Add("[a-c]/?", "b/d")
	f.Fuzz(func(t *testing.T, text, name string) {
		s, err := newSelection([]string{text}, nil)
		if err != nil || !s.selects(name, false) {
			return
		}
		for i, r := range name {
			if r == '/' && !s.selects(name[:i], true) {
				t.Errorf("--include %q wants %q, but not to enter %q", text, name, name[:i])
			}
		}
	})
}
