package phone

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// judge runs programs by others against a muxer.
type judge struct{ address string }

// judgePatience is how long a program may take. idevicebackup2 goes on for ever
// when the phone leaves it at the wrong moment.
const judgePatience = 60 * time.Second

// run returns what a program says, and whether it succeeded.
func (g judge) run(t *testing.T, name string, args ...string) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), judgePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "USBMUXD_SOCKET_ADDRESS="+g.address, "HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // and not longer than the test, if that is killed
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %q did not end:\n%s", name, args, out)
	}
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), err == nil
}

// good wants success.
func (g judge) good(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, ok := g.run(t, name, args...)
	if !ok {
		t.Fatalf("%s %q ended badly:\n%s", name, args, out)
	}
	return out
}

// newJudge makes a phone and a judge that is paired with it already: making
// keys is dear.
func newJudge(t *testing.T, state string, opts Options) (*Phone, judge, *journal) {
	t.Helper()
	p, j := newPhone(t, state, opts)
	h := newHost(t, serve(t, p), p)
	h.lockdown(t, 1).pair(t)
	h.save(t, p)
	return p, judge{h.address}, j
}

func TestLibimobiledevice(t *testing.T) {
	t.Parallel()
	p, j := newPhone(t, t.TempDir(), Options{})
	g := judge{serve(t, p)}
	wants(t, g.good(t, "idevice_id", "-l"), p.UDID())
	wants(t, g.good(t, "idevicepair", "pair"), "SUCCESS")
	wants(t, g.good(t, "idevicepair", "validate"), "SUCCESS")
	wants(t, g.good(t, "ideviceinfo"), "ProductVersion: 18.1", "SerialNumber: DX3RUSSET001")
	wants(t, g.good(t, "ideviceinfo", "-k", "DeviceName"), "Russet's iPhone")
	wants(t, g.good(t, "ideviceinfo", "-q", "com.apple.mobile.battery"), "BatteryCurrentCapacity: 87")
	wants(t, g.good(t, "ideviceinfo", "-s"), "DeviceName: Russet's iPhone") // without a session
	wants(t, g.good(t, "ideviceinfo", "-x"), "<key>UniqueDeviceID</key>")
	wants(t, g.good(t, "idevicepair", "systembuid"), "-")
	g.good(t, "idevicename", "A New Name")
	wants(t, g.good(t, "idevicename"), "A New Name")
	wants(t, g.good(t, "idevicediagnostics", "mobilegestalt", "ProductType"), "MobileGestaltDeprecated")
	wants(t, g.good(t, "idevicepair", "unpair"), "SUCCESS")
	j.clean(t)
}

// An older phone answers what newer ones do not any more.
func TestIdevicediagnostics(t *testing.T) {
	t.Parallel()
	_, g, j := newJudge(t, t.TempDir(), Options{ProductVersion: "16.7"})
	wants(t, g.good(t, "idevicediagnostics", "mobilegestalt", "ProductType"), "iPhone14,5")
	wants(t, g.good(t, "idevicediagnostics", "diagnostics", "GasGauge"), "CycleCount")
	j.clean(t)
}

// With phones before iOS 10 libimobiledevice speaks nothing newer than TLS 1.0.
func TestIdeviceOldTLS(t *testing.T) {
	t.Parallel()
	_, g, j := newJudge(t, t.TempDir(), Options{ProductVersion: "9.3.5"})
	wants(t, g.good(t, "ideviceinfo", "-k", "ProductVersion"), "9.3.5")
	j.clean(t)
}

func TestIdevicepairRefusals(t *testing.T) {
	t.Parallel()
	p, j := newPhone(t, t.TempDir(), Options{})
	g := judge{serve(t, p)}
	for _, c := range []struct {
		pairing Pairing
		want    string
	}{
		{Pairing{Locked: 1}, "passcode is set"},
		{Pairing{Pending: 1}, "accept the trust dialog"},
		{Pairing{Answer: Deny}, "user denied the trust dialog"},
		{Pairing{Answer: Managed}, "ERROR"},
	} {
		p.SetPairing(c.pairing)
		out, ok := g.run(t, "idevicepair", "pair")
		if ok {
			t.Errorf("%+v: the pairing succeeded", c.pairing)
		}
		wants(t, out, c.want)
	}
	j.clean(t)
}

// By network libimobiledevice dials the phone itself, at every port.
func TestIdeviceNetwork(t *testing.T) {
	t.Parallel()
	p, g, j := newJudge(t, t.TempDir(), Options{Network: loopback(3)})
	wants(t, g.good(t, "idevice_id", "-n"), p.UDID())
	wants(t, g.good(t, "ideviceinfo", "-n", "-k", "ProductVersion"), "18.1")
	wants(t, g.good(t, "idevicediagnostics", "-n", "mobilegestalt", "ProductType"), "MobileGestaltDeprecated")
	j.clean(t)
}

// A Unix socket serves as well.
func TestIdeviceUnixSocket(t *testing.T) {
	t.Parallel()
	p, _ := newPhone(t, t.TempDir(), Options{})
	socket := filepath.Join(t.TempDir(), "mux")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serveAt(t, p.Serve, l)
	wants(t, judge{"UNIX:" + socket}.good(t, "idevice_id", "-l"), p.UDID())
}

// mount mounts with ifuse until the test ends.
func (g judge) mount(t *testing.T, args ...string) string {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("not here: ", err)
	}
	f.Close()
	dir := t.TempDir()
	g.good(t, "ifuse", append(args, dir)...)
	t.Cleanup(func() {
		if out, err := exec.Command("fusermount", "-u", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	return dir
}

func TestIfuse(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	_, g, j := newJudge(t, state, Options{})
	wants(t, g.good(t, "ifuse", "--list-apps"), "org.example.notes")

	const big = 3_000_000
	for _, c := range []struct {
		below string
		args  []string
	}{
		{filepath.Join(state, mediaDir), nil},
		{filepath.Join(state, appsDir, "org.example.notes", documents), []string{"--documents", "org.example.notes"}},
	} {
		if err := os.WriteFile(filepath.Join(c.below, "there"), []byte("already"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := g.mount(t, c.args...)
		if got, err := os.ReadFile(filepath.Join(dir, "there")); err != nil || string(got) != "already" {
			t.Errorf("got %q, %v", got, err)
		}
		work := filepath.Join(dir, "New Folder")
		content := bytes.Repeat([]byte("0123456789abcdef"), big/16)
		when := time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)
		for _, err := range []error{
			os.Mkdir(work, 0o700),
			os.WriteFile(filepath.Join(work, "a"), content, 0o600),
			os.Rename(filepath.Join(work, "a"), filepath.Join(work, "b")),
			os.Chtimes(filepath.Join(work, "b"), when, when),
			os.WriteFile(filepath.Join(work, "short"), []byte("to be cut"), 0o600),
			os.Truncate(filepath.Join(work, "short"), 5),
			os.Symlink("b", filepath.Join(work, "link")),
			os.Mkdir(filepath.Join(work, "gone"), 0o700),
			os.Remove(filepath.Join(work, "gone")),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		for _, root := range []string{dir, c.below} {
			work := filepath.Join(root, "New Folder")
			if got, err := os.ReadFile(filepath.Join(work, "link")); err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(content))
			}
			if got, err := os.ReadFile(filepath.Join(work, "short")); err != nil || string(got) != "to be" {
				t.Errorf("got %q, %v", got, err)
			}
			info, err := os.Stat(filepath.Join(work, "b"))
			if err != nil || !info.ModTime().Equal(when) {
				t.Errorf("got %v, %v, want the time %v", info, err, when)
			}
			entries, err := os.ReadDir(work)
			if err != nil || len(entries) != 3 {
				t.Errorf("got %v, %v, want three names", entries, err)
			}
		}
		if err := os.Remove(filepath.Join(dir, "New Folder")); err == nil {
			t.Error("a folder that is not empty was removed")
		}
		if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v for what is not there", err)
		}
	}
	j.clean(t)
}
