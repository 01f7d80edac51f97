package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend/backendtest"
	"russet/crypto"
)

// leaving is a server that goes away after some requests, and comes back.
type leaving struct {
	left atomic.Int64 // requests that are answered still
	*httptest.Server
}

func newLeaving(t *testing.T) *leaving {
	t.Helper()
	target, err := url.Parse(backendtest.RcloneServer{Remote: t.TempDir()}.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	l := new(leaving)
	proxy := httputil.NewSingleHostReverseProxy(target)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.left.Add(-1) < 0 {
			panic(http.ErrAbortHandler) // which cuts the connection
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

// TestServerGoes: a server that goes away at any request is told as one that is
// away, and never as damage; what was kept stays whole.
func TestServerGoes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: some eighty runs of the program")
	}
	l := newLeaving(t)
	work := t.TempDir()
	env := map[string]string{"RUSSET_REPOSITORY": "rest:" + l.URL + "/repo", "RUSSET_PASSWORD": "secret", "XDG_CACHE_HOME": work, "HOME": work, "LocalAppData": work}
	verb := func(requests int64, args ...string) (int, string) {
		var out bytes.Buffer
		p := newProgram(func(name string) string { return env[name] }, strings.NewReader(""), &out, &out)
		p.cost = func() crypto.Cost { return crypto.Cost{N: 16, R: 1, P: 1} }
		p.retry = time.Nanosecond // nothing is tried again
		l.left.Store(requests)
		return p.report(p.dispatch(context.Background(), append([]string{"russet"}, args...))), out.String()
	}
	const all = 1 << 20
	folder := filepath.Join(work, "backups")
	if err := writePhone([]string{folder, "0"}); err != nil {
		t.Fatal(err)
	}
	if code, said := verb(all, "init"); code != 0 {
		t.Fatal(said)
	}
	for _, args := range [][]string{
		{"backup", folder},
		{"snapshots"},
		{"check", "--read-data", "--no-cache"},
		{"restore", "latest", "--as", "files", "--target", filepath.Join(work, "out"), "--no-cache"},
		{"forget", "--keep-last", "1"},
		{"prune", "--max-unused", "0"},
	} {
		for n := int64(0); ; n += 1 + n/3 {
			code, said := verb(n, args...)
			if code == 0 {
				break
			}
			if code != codeStorageAway {
				t.Fatalf("%s, away after %d requests: got %d, want %d: %s", args[0], n, code, codeStorageAway, said)
			}
			if code, said := verb(all, "unlock", "--remove-all", "-q"); code != 0 {
				t.Fatalf("%s, away after %d requests: unlock: %s", args[0], n, said)
			}
		}
		if code, said := verb(all, "check", "--read-data", "-q"); code != 0 {
			t.Fatalf("after %s: %s", args[0], said)
		}
	}
}
