package phone

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"russet/device"
	"russet/internal/plist"
)

// refuseBackup speaks as a backup service whose phone stays locked, and says
// how far the host came.
func refuseBackup(p *Phone, conn net.Conn) (locked bool, err error) {
	send := func(v ...any) {
		if err == nil {
			err = device.WritePlist(conn, v, plist.Binary)
		}
	}
	receive := func(want string) {
		var m []any
		if err == nil {
			err = device.ReadPlist(conn, &m)
		}
		if err == nil && (len(m) == 0 || m[0] != want) {
			err = fmt.Errorf("got %v, want %s", m, want)
		}
	}
	const message = "DLMessageProcessMessage"
	send("DLMessageVersionExchange", 300, 0)
	receive("DLMessageVersionExchange")
	send("DLMessageDeviceReady")
	receive(message) // Hello
	send(message, map[string]any{"MessageName": "Response", "ErrorCode": 0, "ProtocolVersion": 2.1})
	receive(message) // Backup
	p.locks.mu.Lock()
	locked = len(p.locks.held[mediaDir+"/com.apple.itunes.lock_sync"]) == 1
	p.locks.mu.Unlock()
	send(message, map[string]any{"MessageName": "Response", "ErrorCode": 208, "ErrorDescription": "the phone is locked"})
	receive("DLMessageDisconnect")
	return locked, err
}

// Until the backup begins, idevicebackup2 needs nearly every service.
func TestIdevicebackup2Opening(t *testing.T) {
	t.Parallel()
	var locked bool
	done := make(chan error, 1)
	state := t.TempDir()
	_, g, j := newJudge(t, state, Options{Escrow: EscrowAlways, Backup: func(_ context.Context, conn net.Conn, p *Phone) error {
		var err error
		locked, err = refuseBackup(p, conn)
		done <- err
		return err
	}})
	text := []byte("prefs of the media library")
	if err := os.WriteFile(filepath.Join(state, mediaDir, "iTunes_Control/iTunes/iTunesPrefs"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("idevicebackup2"); err != nil {
		t.Skip("judge missing: idevicebackup2")
	}
	target := t.TempDir()
	out, ok := g.run(t, "idevicebackup2", "backup", "--full", target)
	select {
	case err := <-done:
		if err != nil || !locked || ok {
			t.Errorf("got %v, sync lock %v, success %v\n%s", err, locked, ok, out)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it did not come to the backup service:\n%s", out)
	}
	wants(t, out, "Error Code 208")
	names, err := filepath.Glob(filepath.Join(target, "*", "Info.plist"))
	if err != nil || len(names) != 1 {
		t.Fatalf("got %v, %v, want one Info.plist\n%s", names, err, out)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Name         string                    `plist:"Device Name"`
		Applications map[string]map[string]any `plist:"Applications"`
		Files        map[string][]byte         `plist:"iTunes Files"`
		Number       string                    `plist:"Phone Number"`
	}
	if err := plist.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	app := info.Applications["org.example.notes"]
	if info.Name != "Russet's iPhone" || info.Number == "" || app["PlaceholderIcon"] == nil || app["iTunesMetadata"] == nil || !bytes.Equal(info.Files["iTunesPrefs"], text) {
		t.Errorf("got %+v", info)
	}
	j.clean(t)
}
