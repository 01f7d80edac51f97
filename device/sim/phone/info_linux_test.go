package phone

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// Info.plist is the host's own, and what a host leaves out the phone that it is
// restored to lacks. Ours is that of idevicebackup2.
func TestInfoAsIdevicebackup2(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	p, g, j := newJudge(t, state, Options{Backup: func(_ context.Context, conn net.Conn, p *Phone) error {
		_, err := refuseBackup(p, conn)
		return err
	}})
	for name, text := range map[string]string{"iTunes_Control/iTunes/iTunesPrefs": "prefs", "Books/iBooksData2.plist": "books"} {
		file := filepath.Join(state, mediaDir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	out, _ := g.run(t, "idevicebackup2", "backup", dir) // refused, after it has written Info.plist
	data, err := os.ReadFile(filepath.Join(dir, p.UDID(), "Info.plist"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, h := reach(t, g.address, p.UDID())
	info, err := h.BackupInfo(t.Context(), time.Now(), strings.Repeat("A", 32), true)
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours map[string]any
	for data, m := range map[*[]byte]*map[string]any{&data: &theirs, &info: &ours} {
		if err := plist.Unmarshal(*data, m); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := slices.Sorted(maps.Keys(ours)), slices.Sorted(maps.Keys(theirs)); !slices.Equal(got, want) {
		t.Errorf("got the keys %q, want %q", got, want)
	}
	for key, want := range theirs {
		if anew := key == "GUID" || key == "Last Backup Date"; !anew && !reflect.DeepEqual(ours[key], want) {
			t.Errorf("%s: got %v, want %v", key, ours[key], want)
		}
	}
	j.clean(t)
}

// By network our host dials the phone itself, as idevice programs do.
func TestOurHostByNetwork(t *testing.T) {
	t.Parallel()
	p, g, j := newJudge(t, t.TempDir(), Options{Network: loopback(5)})
	m, _ := reach(t, g.address, p.UDID())
	all, err := m.Connections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d device.Device) bool { return d.Connection == device.Network })
	if i < 0 || all[i].Address != loopback(5) {
		t.Fatalf("got %+v", all)
	}
	l, err := m.OpenLockdown(t.Context(), all[i])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := m.PairRecord(t.Context(), p.UDID())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.StartSession(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	conn, err := l.StartService(t.Context(), "com.apple.afc", false)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	j.clean(t)
}
