package backend_test

import (
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
)

// createSFTP makes a place in a folder on a server, and closes it in the end.
func createSFTP(t *testing.T, s *backendtest.SSHD, folder string, o backend.Options) backend.Backend {
	t.Helper()
	b, err := backend.Create(t.Context(), s.Address(folder), o)
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, b)
	return b
}

func closeLater(t *testing.T, b backend.Backend) {
	t.Cleanup(func() {
		if err := b.(interface{ Close() error }).Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	s := backendtest.StartSSHD(t)
	backendtest.Run(t, func(t *testing.T) backend.Backend { return createSFTP(t, s, t.TempDir(), s.Options()) })
}
