package phone

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"russet/device"
	"russet/internal/plist"
)

// fuzzPhone makes a phone for a fuzz target.
func fuzzPhone(f *testing.F) *Phone {
	f.Helper()
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), testKey(), 0o600); err != nil {
		f.Fatal(err)
	}
	p, err := New(dir, Options{Observe: func(e Event) { _ = e.String() }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := p.Close(); err != nil {
			f.Error(err)
		}
	})
	return p
}

func FuzzLockdownRequest(f *testing.F) {
	p := fuzzPhone(f)
	for _, r := range []map[string]any{
		{"Request": "GetValue", "Domain": backupDomain},
		{"Request": "Pair", "PairRecord": map[string]any{"HostID": "x", "RootCertificate": []byte("-----BEGIN")}},
		{"Request": "StartSession", "HostID": "x"},
		{"Request": "StartService", "Service": afcService},
		{"Request": "Unpair", "PairRecord": map[string]any{}},
	} {
		var b bytes.Buffer
		if err := device.WritePlist(&b, r, plist.XML); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &line{p: p, active: map[*context.CancelFunc]struct{}{}, waiting: map[uint16]talk{}}
		pipe(t, data, func(ctx context.Context, conn net.Conn) { l.lockdown(ctx, nil, conn) })
	})
}
