package backend_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

func TestSFTPSum(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	for _, name := range []string{"plain", `a 'b" $(touch c)`, "-c", "d\\e `f`"} {
		folder := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, "config"), "config")
		b, err := backend.OpenSFTP(t.Context(), s.User+"@nas:"+folder, aliasFor(t, s), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		f := mustSave(t, b, backend.Data, "data")
		sum, how, err := backend.Sum(t.Context(), b, f)
		if err != nil || how != backend.ProofRead || hex.EncodeToString(sum[:]) != f.Name {
			t.Errorf("%s: got %x, %q, %v, want %s", name, sum, how, err, f.Name)
		}
		if err := os.WriteFile(place(folder, f), []byte("rotten"), 0o600); err != nil {
			t.Fatal(err)
		}
		if sum, _, err = backend.Sum(t.Context(), b, f); err != nil || sum != sha256.Sum256([]byte("rotten")) {
			t.Errorf("%s, damaged: got %x, %v", name, sum, err)
		}
		_, _, err = backend.Sum(t.Context(), b, backendtest.Named(backend.Data, []byte("absent")))
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, absent: got %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

// aliasFor reaches a server under the name "nas", so that an address need not be a URL.
func aliasFor(t *testing.T, s *backendtest.SSHD) backend.Options {
	t.Helper()
	o := s.Options()
	config := filepath.Join(t.TempDir(), "config")
	writeFile(t, config, "Host nas\nHostName "+s.Host+"\nPort "+s.Port+"\n")
	o.SFTP.Config = []string{config}
	return o
}

// TestSFTPNoSum has accounts that run no program but SFTP, and one whose programs see other files.
func TestSFTPNoSum(t *testing.T) {
	t.Parallel()
	folder := aRepository(t)
	for _, c := range []struct{ rule, folder string }{
		{"ForceCommand internal-sftp", folder},
		{"MaxSessions 1", folder},
		{"Subsystem sftp internal-sftp -d " + filepath.Dir(folder), filepath.Base(folder)},
	} {
		s := backendtest.StartSSHD(t, c.rule)
		b, err := backend.OpenSFTP(t.Context(), s.User+"@nas:"+c.folder, aliasFor(t, s), false)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		f := mustSave(t, b, backend.Data, "data")
		for range 2 {
			if _, _, err := backend.Sum(t.Context(), b, f); !errors.Is(err, errors.ErrUnsupported) || backend.IsTemporary(err) {
				t.Errorf("%s: got %v, want %v", c.rule, err, errors.ErrUnsupported)
			}
		}
		if got, err := backendtest.Read(t.Context(), b, f); err != nil || string(got) != "data" {
			t.Errorf("%s: Load: got %q, %v", c.rule, got, err)
		}
		if s.Accepted() != 1 {
			t.Errorf("%s: got %d connections, want 1", c.rule, s.Accepted())
		}
	}
}
