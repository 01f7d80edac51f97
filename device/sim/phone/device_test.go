package phone

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// reach finds the phone as our own host does.
func reach(t *testing.T, address, udid string) (*device.Mux, *device.Phone) {
	t.Helper()
	m, err := device.OpenMux(address)
	if err != nil {
		t.Fatal(err)
	}
	h, err := m.Open(t.Context(), udid)
	if err != nil {
		t.Fatal(err)
	}
	return m, h
}

// TestOurHost judges package device by the phone, and the phone by package
// device: every service that the host knows.
func TestOurHost(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"18.1", "9.3.5"} { // the latter over TLS 1.0
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p, j := newPhone(t, dir, Options{ProductVersion: version, Pairing: Pairing{Locked: 1, Pending: 1}})
			_, h := reach(t, serve(t, p), p.UDID())
			ourPairing(t, h, version)
			ourFiles(t, h)
			ourApps(t, h, filepath.Join(dir, appsDir))
			ourNotifications(t, h)
			ourInfo(t, h)
			ourValues(t, h)
			if err := h.Unpair(t.Context()); err != nil {
				t.Error(err)
			}
			if l, err := h.Lockdown(t.Context()); err == nil {
				l.Close()
				t.Error("a session began without a pairing")
			}
			j.clean(t)
		})
	}
}

func ourPairing(t *testing.T, h *device.Phone, version string) {
	t.Helper()
	ctx := t.Context()
	if f, err := h.Facts(ctx); err != nil || f.Paired || f.HasSession || f.Version != version {
		t.Fatalf("before: got %+v, %v", f, err)
	}
	for _, want := range []error{device.PasswordProtected, device.TrustPending, nil, nil} {
		if err := h.Pair(ctx, time.Now()); !errors.Is(err, want) {
			t.Fatalf("pair: got %v, want %v", err, want)
		}
	}
	f, err := h.Facts(ctx)
	if err != nil || !f.Paired || !f.HasSession || f.Locked || f.WillEncrypt || f.Connection != device.USB ||
		f.Name != "Russet's iPhone" || f.Serial != "DX3RUSSET001" || f.Capacity == 0 || f.Free == 0 {
		t.Errorf("afterwards: got %+v, %v", f, err)
	}
}

func ourFiles(t *testing.T, h *device.Phone) {
	t.Helper()
	ctx := t.Context()
	lock, err := h.SyncLock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Error(err)
	}
	a, err := h.AFC(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.MkdirAll(ctx, "/DCIM/100APPLE"); err != nil {
		t.Error(err)
	}
	w, err := a.Open(ctx, "/DCIM/100APPLE/a.jpg", device.AFCWrite)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, "hello")
	if err := errors.Join(err, w.Close()); err != nil {
		t.Error(err)
	}
	if err := fstest.TestFS(a.FS(ctx), "DCIM/100APPLE/a.jpg"); err != nil {
		t.Error(err)
	}
	if got, err := fs.ReadFile(a.FS(ctx), "DCIM/100APPLE/a.jpg"); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := a.Stat(ctx, "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v for what is not there", err)
	}
}

func ourApps(t *testing.T, h *device.Phone, below string) {
	t.Helper()
	ctx := t.Context()
	apps, err := h.Apps(ctx)
	if err != nil || len(apps) < 2 {
		t.Fatalf("got %+v, %v", apps, err)
	}
	shared := 0
	for _, app := range apps {
		d, err := h.Documents(ctx, app.ID)
		if err != nil {
			continue
		}
		shared++
		if err := d.MkdirAll(ctx, "/Documents/made"); err != nil {
			t.Errorf("%s: %v", app.ID, err)
		}
		if got, err := filepath.Glob(filepath.Join(below, app.ID, documents, "made")); err != nil || len(got) != 1 {
			t.Errorf("%s: got %q, %v", app.ID, got, err)
		}
		d.Close()
	}
	if shared != 1 {
		t.Errorf("%d applications show their documents, want 1", shared)
	}
}

func ourNotifications(t *testing.T, h *device.Phone) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n, err := h.Notifications(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := errors.Join(n.Observe(ctx, device.SyncCancelRequest), n.Post(ctx, device.SyncCancelRequest)); err != nil {
		t.Fatal(err)
	}
	for name, err := range n.Received(ctx) {
		if err != nil || name != device.SyncCancelRequest {
			t.Errorf("got %q, %v", name, err)
		}
		break
	}
}

func ourInfo(t *testing.T, h *device.Phone) {
	t.Helper()
	info, err := h.BackupInfo(t.Context(), time.Now(), strings.Repeat("A", 32), true)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Name      string   `plist:"Device Name"`
		Target    string   `plist:"Target Identifier"`
		Installed []string `plist:"Installed Applications"`
	}
	if err := plist.Unmarshal(info, &m); err != nil || m.Name != "Russet's iPhone" || m.Target != h.UDID() || !slices.Contains(m.Installed, "org.example.notes") {
		t.Errorf("got %+v, %v", m, err)
	}
}

func ourValues(t *testing.T, h *device.Phone) {
	t.Helper()
	ctx := t.Context()
	if f, err := h.Facts(ctx); err != nil || f.WillEncrypt {
		t.Errorf("encrypts: got %+v, %v", f, err)
	}
	l, err := h.Lockdown(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetValue(ctx, "", "DeviceName", "A New Name"); err != nil {
		t.Error(err)
	}
	if got, err := l.Value(ctx, "", "DeviceName"); err != nil || got != "A New Name" {
		t.Errorf("got the name %v, %v", got, err)
	}
	_, err = l.StartService(ctx, "com.apple.mobilebackup2", true)
	if e, ok := errors.AsType[device.LockdownError](err); !ok || e != device.InvalidService {
		t.Errorf("a service that does not exist: got %v", err)
	}
}
