package phone

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// pymobiledevice3 finds the program on the path, or where scripts/judges.sh
// puts it. It comes from PyPI, which is not reached everywhere.
func pymobiledevice3(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: every command takes seconds to start")
	}
	if name, err := exec.LookPath("pymobiledevice3"); err == nil {
		return name
	}
	cache, err := os.UserCacheDir()
	name := filepath.Join(cache, "russet-judges/pymobiledevice3/bin/pymobiledevice3")
	if err == nil {
		_, err = os.Stat(name)
	}
	if err != nil {
		t.Skip("not here: pymobiledevice3, which scripts/judges.sh fetches where PyPI is reached")
	}
	return name
}

// What it backs up is judged in cmd/russet.
func TestPymobiledevice3(t *testing.T) {
	t.Parallel()
	name := pymobiledevice3(t)
	p, j := newPhone(t, t.TempDir(), Options{})
	g := judge{serve(t, p)}
	wants(t, g.good(t, name, "usbmux", "list"), p.UDID())
	g.good(t, name, "lockdown", "pair")
	wants(t, g.good(t, name, "lockdown", "info"), "DX3RUSSET001", "+44 7700 900123")
	dir := t.TempDir()
	up, down := filepath.Join(dir, "up"), filepath.Join(dir, "down")
	if err := os.WriteFile(up, []byte("written by another program"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.good(t, name, "afc", "push", up, "/DCIM/file")
	g.good(t, name, "afc", "pull", "/DCIM/file", down)
	if got, err := os.ReadFile(down); err != nil || string(got) != "written by another program" {
		t.Errorf("got %q, %v", got, err)
	}
	// It sends RootPrivateKey with its request, for which a phone has no use.
	if got, want := j.violations(), []string{"lockdownd: Pair: a private key left the host"}; !slices.Equal(got, want) {
		t.Errorf("got violations %q, want %q", got, want)
	}
}
