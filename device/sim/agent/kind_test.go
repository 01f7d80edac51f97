package agent

import (
	"os"
	"path/filepath"
	"testing"

	"russet/device/sim"
	"russet/ios"
)

// A name that becomes another kind of thing within a second is removed and added.
func TestNameOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "secret"} {
		t.Run("password="+password, func(t *testing.T) {
			t.Parallel()
			const at = 1_700_000_000
			dir := t.TempDir()
			c, err := sim.OpenFolder(dir, small())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			set := func(name string, mode uint32) {
				t.Helper()
				if err := os.RemoveAll(filepath.Join(dir, "Files", "HomeDomain", name)); err != nil {
					t.Fatal(err)
				}
				if mode == 0o100644 {
					put(t, c, name, "content of "+name, at)
					return
				}
				record := ios.File{RelativePath: name, Mode: mode, LastModified: at}
				if mode == 0o120755 {
					record.Target = "elsewhere"
				}
				if err := c.Put(sim.NewFile("HomeDomain", record, 0), nil); err != nil {
					t.Fatal(err)
				}
			}
			kinds := []uint32{0o100644, 0o040755, 0o120755}
			names := [][]string{{"ff", "fd", "fl"}, {"df", "dd", "dl"}, {"lf", "ld", "ll"}} // from and to
			for from := range kinds {
				for to := range kinds {
					set(names[from][to], kinds[from])
				}
			}
			p, h := openPhone(t, c, Options{}), newHost()
			if password != "" {
				ask(t, p, h, passwordRequest("", password), 0)
			}
			backUp(t, p, h)
			for from := range kinds {
				for to := range kinds {
					if from != to {
						set(names[from][to], kinds[to])
					}
				}
			}
			if r := backUp(t, p, h); r.Full || r.Sent != 2 || r.Removed != 2 || r.Kept != 1 {
				t.Errorf("got %+v", r)
			}
			got := contents(t, h.backup(), password)
			q, fresh := openPhone(t, c, Options{}), newHost()
			if password != "" {
				ask(t, q, fresh, passwordRequest("", password), 0)
			}
			backUp(t, q, fresh)
			same(t, got, contents(t, fresh.backup(), password))
		})
	}
}
