package vdir_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"russet/vdir"
)

// Whatever a list says and a record is called, an export writes one file into its
// folder, with a name that is an item's, and touches nothing outside.
func FuzzExport(f *testing.F) {
	f.Add([]byte(`{"version":1,"exports":{"x":{"a.vcf":{"hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}}`), "a")
	f.Add([]byte(`{"version":1,"exports":{"x":{"../out.vcf":{"hash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","was":""}}}}`), "../out")
	f.Add([]byte(`{"version":1,"exports":null}`), "con.\x00/")
	f.Add([]byte(""), "")
	f.Fuzz(func(t *testing.T, list []byte, uid string) {
		top := t.TempDir()
		dir := filepath.Join(top, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, top, "out.vcf", nil)
		if len(list) > 0 {
			write(t, dir, ".russet-export", list)
		}
		folder, err := vdir.Open(dir, vdir.VCards)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		got, err := folder.Export(t.Context(), "x", records(uid, "A"))
		if err == nil && got != (vdir.Exported{Written: 1}) {
			t.Errorf("got %+v, want one file", got)
		}
		if got := files(t, top); !slices.Equal(got, []string{"in", "out.vcf"}) {
			t.Errorf("outside: got %q", got)
		}
		if _, initErr := folder.Init("id"); initErr != nil {
			t.Fatal(initErr)
		}
		if names := hrefs(t, folder); err == nil && len(names) != 1 || err != nil && len(names) != 0 {
			t.Errorf("got %q, %v", names, err)
		}
	})
}
