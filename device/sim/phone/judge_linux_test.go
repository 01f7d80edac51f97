package phone

import (
	"os"
	"os/exec"
	"testing"
)

// judge runs programs of libimobiledevice against a muxer.
type judge struct{ address string }

// run returns what a program says, and whether it succeeded.
func (g judge) run(t *testing.T, name string, args ...string) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "USBMUXD_SOCKET_ADDRESS="+g.address)
	out, err := cmd.CombinedOutput()
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

func TestLibimobiledevice(t *testing.T) {
	t.Parallel()
	p, j := newPhone(t, t.TempDir(), Options{})
	g := judge{serve(t, p)}
	defer func() { t.Log(j) }()
	wants(t, g.good(t, "idevice_id", "-l"), p.UDID())
	wants(t, g.good(t, "idevicepair", "pair"), "SUCCESS")
	wants(t, g.good(t, "idevicepair", "validate"), "SUCCESS")
	wants(t, g.good(t, "ideviceinfo"), "ProductVersion: 18.1", "SerialNumber: DX3RUSSET001")
	wants(t, g.good(t, "ideviceinfo", "-k", "DeviceName"), "Russet's iPhone")
	wants(t, g.good(t, "ideviceinfo", "-q", "com.apple.mobile.battery"), "BatteryCurrentCapacity: 87")
	wants(t, g.good(t, "ideviceinfo", "-x"), "<key>UniqueDeviceID</key>")
	wants(t, g.good(t, "idevicepair", "systembuid"), "-")
	g.good(t, "idevicename", "A New Name")
	wants(t, g.good(t, "idevicename"), "A New Name")
	wants(t, g.good(t, "idevicepair", "unpair"), "SUCCESS")
	out, ok := g.run(t, "idevicepair", "validate")
	t.Log(out, ok)
	j.clean(t)
}
