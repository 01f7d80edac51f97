package records

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

const sampleStores = "../../shared/samples/stores"

// samplePhone is the home folder of a sample as the files of a phone.
func samplePhone(t *testing.T, home string) fs.FS {
	t.Helper()
	dir := filepath.Join(sampleStores, home)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("samples missing: " + home)
	}
	files := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), "Library", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		files["HomeDomain/"+name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	got, err := readAccounts(t.Context(), samplePhone(t, "iLEAPP/josh_ios15_ffs/mobile"))
	if err != nil {
		t.Fatal(err)
	}
	const carddav, host = "BEBE918C-3A13-4949-8C19-9B6B7E7E266F", "google.com"
	if a := got[carddav]; len(got) != 19 || a.name != "Gmail" || a.host != host || a.kind != "com.apple.account.CardDAV" {
		t.Errorf("got %d accounts, want 19; the second CardDAV account has the host %q, want %q", len(got), a.host, host)
	}
}
