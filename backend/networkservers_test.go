package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/index"
	"russet/repo"
)

// behind is a place on a server of somebody else behind a bad line.
type behind struct {
	address string
	options backend.Options
	line    *backendtest.Proxy
	web     *backendtest.WebProxy // nil where it does not speak HTTP
	stop    func()                // the server itself
	start   func()
}

func badLine(t *testing.T, target string) *backendtest.Proxy {
	t.Helper()
	p, err := backendtest.StartProxy(target, backendtest.Line{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func badWeb(t *testing.T, target string) *backendtest.WebProxy {
	t.Helper()
	p, err := backendtest.StartWebProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func farREST(t *testing.T) *behind {
	server := backendtest.RcloneServer{Remote: t.TempDir()}
	web := badWeb(t, strings.TrimSuffix(server.Start(t), "/"))
	line := badLine(t, strings.TrimPrefix(web.URL(), "http://"))
	return &behind{
		address: "rest:http://" + line.Address() + "/repo/", line: line, web: web,
		stop: func() { line.Refuse(true) }, start: func() { line.Refuse(false) },
	}
}

func farS3(t *testing.T) *behind {
	server := backendtest.VersityGW(t, os.UserCacheDir)
	web := badWeb(t, "http://"+server.Host)
	line := badLine(t, strings.TrimPrefix(web.URL(), "http://"))
	return &behind{
		address: "s3:http://" + line.Address() + "/bucket/repo", options: s3Options(server), line: line, web: web,
		stop: server.Stop, start: server.Restart,
	}
}

func farSFTP(t *testing.T) *behind {
	server := backendtest.StartSSHD(t)
	folder := filepath.Join(t.TempDir(), "repo")
	line := badLine(t, net.JoinHostPort(server.Host, server.Port))
	// The server's key is known under the line's port.
	_, port, _ := net.SplitHostPort(line.Address())
	known, err := os.ReadFile(server.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(name, bytes.Replace(known, []byte(":"+server.Port+" "), []byte(":"+port+" "), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	o := server.Options()
	o.SFTP.KnownHosts = []string{name}
	return &behind{
		address: strings.Replace(server.Address(folder), ":"+server.Port+"/", ":"+port+"/", 1), options: o, line: line,
		stop: server.Stop, start: func() { server.Start(t) },
	}
}

// A trouble begins before an operation, and ends when somebody was warned of it.
type trouble struct {
	name  string
	begin func(f *behind)
	end   func(f *behind)
	web   bool // only where HTTP is spoken
}

func nothing(*behind) {}

var troubles = []trouble{
	{name: "the server is stopped", begin: func(f *behind) { f.stop() }, end: func(f *behind) { f.start() }},
	{name: "connections are cut", begin: func(f *behind) { f.line.CutAfter(rand.Int64N(30_000)) }, end: nothing},
	{name: "a storm of refusals", begin: func(f *behind) { f.web.Fail(5, 503, false) }, end: nothing, web: true},
	{name: "the server hangs", begin: func(f *behind) { f.line.Hang(true) }, end: func(f *behind) { f.line.Hang(false) }},
	{name: "answers are lost", begin: func(f *behind) { f.web.Fail(3, 500, true) }, end: nothing, web: true},
	{name: "connections are refused", begin: func(f *behind) { f.line.Refuse(true) }, end: func(f *behind) { f.line.Refuse(false) }},
}

// TestFarTroubles makes backups while the server and the line to it are in trouble, one after the other, each few operations:
// the work goes on, and everything is there afterwards.
func TestFarTroubles(t *testing.T) {
	t.Parallel()
	for scheme, open := range map[string]func(t *testing.T) *behind{"REST": farREST, "S3": farS3, "SFTP": farSFTP} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && scheme != "REST" {
				t.Skip("short: REST has all of the troubles")
			}
			f := open(t)
			makeTrouble(t, f)
			wantVersions(t, f, 2)
			wantLimits(t, f)
			wantAway(t, f)
		})
	}
}

// wantLimits moves half a MiB each way with limits, which takes its time at the least, and asks for what is absent.
func wantLimits(t *testing.T, f *behind) {
	t.Helper()
	for _, limits := range []backend.NetworkOptions{{Upload: 2 << 20}, {Download: 2 << 20}} {
		o := f.options
		o.Network = limits
		b, err := backend.Open(t.Context(), f.address, o)
		if err != nil {
			t.Fatal(err)
		}
		defer closeAt(t, b)
		data := backendtest.Bytes(512<<10, 99)
		begun := time.Now()
		pack := saveAt(t, b, backend.Data, data)
		if got, err := backendtest.Read(t.Context(), b, pack); err != nil || !bytes.Equal(got, data) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(data))
		}
		if took := time.Since(begun); took < 200*time.Millisecond {
			t.Errorf("%d bytes moved in %v with the limits %d and %d", len(data), took, limits.Upload, limits.Download)
		}
		if _, err := b.Load(t.Context(), backendtest.Named(backend.Data, nil), 0, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load of what is absent: got %v, want %v", err, fs.ErrNotExist)
		}
	}
}

// wantAway opens a place at an address where nobody listens: nothing is tried again.
func wantAway(t *testing.T, f *behind) {
	t.Helper()
	if err := f.line.Close(); err != nil {
		t.Error(err)
	}
	o := f.options
	o.Network.Warn = func(err error, _ time.Duration) { t.Errorf("warned of %v", err) }
	_, err := backend.Open(t.Context(), f.address, o)
	if !backend.IsTemporary(err) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("Open where nobody listens: got %v, want a temporary error", err)
	}
}

// makeTrouble makes two backups with all kinds of trouble.
func makeTrouble(t *testing.T, f *behind) {
	t.Helper()
	var mu sync.Mutex // guards what follows
	var now *trouble
	warnings, operations, begun := 0, 0, 0
	f.options.Network = backend.Hurried(backend.NetworkOptions{
		Stall: 150 * time.Millisecond, Retry: time.Minute,
		Warn: func(err error, _ time.Duration) {
			if text := err.Error(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "secret") {
				t.Errorf("the warning holds what is private: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			warnings++
			if now != nil {
				now.end(f)
				now = nil
			}
		},
	})
	store := createAt(t, f.address, f.options)
	defer closeAt(t, store)
	if _, err := repo.Init(t.Context(), store, "password", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	b := backendtest.NewFaulty(store, backendtest.Faults{Before: func(_ context.Context, op backendtest.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if operations++; operations%5 > 0 || now != nil {
			return nil
		}
		for now == nil || now.web && f.web == nil {
			now = &troubles[begun%len(troubles)]
			begun++
		}
		t.Logf("before %v: %s", op.Verb, now.name)
		now.begin(f)
		return nil
	}})
	for version := range byte(2) {
		if err := saveVersion(t.Context(), b, version); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if now != nil {
		now.end(f)
	}
	f.line.CutAfter(-1)
	if begun < len(troubles) || warnings < len(troubles)/2 {
		t.Errorf("got %d troubles and %d warnings in %d operations", begun, warnings, operations)
	}
}

func closeAt(t *testing.T, b backend.Backend) {
	t.Helper()
	if c, ok := b.(interface{ Close() error }); ok {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// content is that of the blobs of a version.
func content(version byte) (blobs [][]byte) {
	for n := range 6 {
		blobs = append(blobs, backendtest.Bytes(30_000+n, version))
	}
	return blobs
}

// saveVersion is a backup of a program.
func saveVersion(ctx context.Context, b backend.Backend, version byte) (err error) {
	r, err := repo.Open(ctx, b, "password")
	if err != nil {
		return err
	}
	lock, err := r.Lock(ctx, false, repo.LockOptions{Owner: repo.Owner{Hostname: "h"}, PID: os.Getpid(), Boot: "b"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock(ctx)) }()
	if err := r.LoadIndex(ctx); err != nil {
		return err
	}
	w := r.NewWriter(ctx)
	defer w.Close()
	n := &repo.Node{Name: "file", Type: repo.TypeFile, Mode: 0o644}
	for _, data := range content(version) {
		saved, err := w.Save(ctx, index.Data, data)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, saved.ID)
		n.Size += uint64(len(data))
		if err := w.Checkpoint(); err != nil {
			return err
		}
	}
	top, err := w.SaveTree(ctx, &repo.Tree{Nodes: []*repo.Node{n}})
	if err != nil {
		return err
	}
	if err := w.Flush(ctx); err != nil {
		return err
	}
	_, err = r.SaveSnapshot(ctx, &repo.Snapshot{Time: time.Unix(int64(version), 0), Tree: &top.ID, Paths: []string{fmt.Sprint(version)}})
	return err
}

// wantVersions opens the repository anew and wants it clean, with each version once and nobody's lock.
func wantVersions(t *testing.T, f *behind, versions int) {
	t.Helper()
	ctx := t.Context()
	b, err := backend.Open(ctx, f.address, f.options)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAt(t, b)
	for range b.List(ctx, backend.Lock) {
		t.Error("a lock is left")
	}
	r, err := repo.Open(ctx, b, "password")
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.Check(ctx, repo.CheckOptions{Read: repo.AllPacks(), Report: func(p repo.Problem) { t.Errorf("check: %v", p) }})
	if err != nil || res.Snapshots != versions {
		t.Fatalf("check: got %d snapshots, %v, want %d", res.Snapshots, err, versions)
	}
	if err := r.LoadIndex(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := r.AllSnapshots(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		tree, err := r.LoadTree(ctx, *s.Tree)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ReadFile(ctx, tree.Nodes[0].Content, 1<<20)
		if want := bytes.Join(content(byte(s.Time.Unix())), nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("snapshot %v: got %d bytes, %v, want %d", s.Paths, len(got), err, len(want))
		}
	}
}
