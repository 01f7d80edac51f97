package main

import (
	"strings"
	"testing"

	"russet/repo"
)

// Every kind of damage has its own advice, and none that does not help.
func TestCheckHints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		found  []repo.ProblemKind
		mirror bool
		want   []string // in lines, in this order
	}{
		{[]repo.ProblemKind{repo.PackDamaged, repo.BlobDamaged, repo.BlobMissing}, false, []string{"from there", "repair packs"}},
		{[]repo.ProblemKind{repo.BlobMissing, repo.LostFile}, false, []string{"repair files"}},
		{[]repo.ProblemKind{repo.PackUnnamed, repo.BlobMissing, repo.BadTree}, false, []string{"repair index"}},
		{[]repo.ProblemKind{repo.BadSnapshot, repo.BadIndex}, false, []string{"from there", "russet recover", "repair index"}},
		{[]repo.ProblemKind{repo.BadKey, repo.PackMissing}, false, []string{"from there", "key remove", "repair packs"}},
		{[]repo.ProblemKind{repo.BadLock}, false, []string{"unlock --remove-all"}},
		{[]repo.ProblemKind{repo.BlobDamaged}, true, []string{"use the original", "mirror --promote"}},
	} {
		found := map[repo.ProblemKind]bool{}
		for _, k := range c.found {
			found[k] = true
		}
		hint := hintFor(found, c.mirror)
		lines := strings.Split(hint, "\n")
		for i, want := range c.want {
			if len(lines) != len(c.want) || !strings.Contains(lines[i], want) {
				t.Errorf("%v: got %q, want lines with %q", c.found, hint, c.want)
				break
			}
		}
	}
	for k := repo.ProblemKind(0); !strings.HasPrefix(k.String(), "problem kind"); k++ {
		if hint := hintFor(map[repo.ProblemKind]bool{k: true}, false); (hint == "") != (k.Note() || k.Consequence()) {
			t.Errorf("%v: got the advice %q", k, hint)
		}
	}
}
