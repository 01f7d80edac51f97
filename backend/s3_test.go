package backend_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"russet/backend"
	"russet/backend/backendtest"
)

// s3Options are those for a server of the tests; nothing is tried twice.
func s3Options(s *backendtest.S3Server) backend.Options {
	return s3Login(s.AccessKey, s.SecretKey, "us-east-1")
}

func s3Login(access, secret, region string) backend.Options {
	return backend.Options{
		S3:      backend.S3Options{AccessKey: access, SecretKey: secret, Region: region},
		Network: backend.NetworkOptions{Retry: -1},
	}
}

func createAt(t *testing.T, address string, o backend.Options) backend.Backend {
	t.Helper()
	b, err := backend.Create(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func saveAt(t *testing.T, b backend.Backend, k backend.Kind, data []byte) backend.File {
	t.Helper()
	f := backendtest.Named(k, data)
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Fatalf("Save: %v", err)
	}
	return f
}

// suite runs the promises of a backend, each part with a place of its own.
func suite(t *testing.T, s *backendtest.S3Server, bucket string, o backend.Options) {
	t.Helper()
	var n atomic.Int64
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return createAt(t, s.Address(bucket+"/place"+strconv.FormatInt(n.Add(1), 10)), o)
	})
}

func TestS3(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	suite(t, s, "bucket", s3Options(s))
}

// TestS3Locked keeps all promises in a bucket where nothing is really removed.
func TestS3Locked(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := s3Options(s)
	o.S3.LockMode, o.S3.LockPeriod = "compliance", time.Hour
	o.S3.ListObjectsV1 = true
	suite(t, s, "locked", o)
}

// front puts a handler before a server. What it returns false for goes on to the server, as it came.
func front(t *testing.T, s *backendtest.S3Server, handle func(w http.ResponseWriter, r *http.Request) bool) (address string) {
	t.Helper()
	proxy, err := backendtest.StartWebProxy("http://" + s.Host)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !handle(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return "s3:" + server.URL + "/bucket"
}

// TestS3Headers uploads to servers that refuse headers, which they are asked with once only.
func TestS3Headers(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	const sums, conditions = "X-Amz-Checksum-Sha256", "If-None-Match"
	for _, refused := range [][]string{{sums}, {conditions}, {sums, conditions}} {
		var puts, bad atomic.Int64
		address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/index/") {
				return false
			}
			puts.Add(1)
			for _, name := range refused {
				if r.Header.Get(name) != "" {
					bad.Add(1)
					w.WriteHeader(http.StatusNotImplemented)
					return true
				}
			}
			return false
		})
		b := createAt(t, address+"/"+strconv.Itoa(len(refused))+refused[0], s3Options(s))
		for n := range 5 {
			saveAt(t, b, backend.Index, backendtest.Bytes(100+n, 1))
		}
		if want := puts.Load() - 5; bad.Load() != want || want > 3 {
			t.Errorf("%v refused: got %d requests, %d of them refused", refused, puts.Load(), bad.Load())
		}
		data := []byte("twice")
		saveAt(t, b, backend.Index, data)
		saveAt(t, b, backend.Index, data)
		saveAt(t, b, backend.Config, data)
		if err := b.Save(t.Context(), backend.File{}, data); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v refused: Save of a config that is there: got %v, want %v", refused, err, fs.ErrExist)
		}
	}
}

// TestS3Requests counts what each call asks the server.
func TestS3Requests(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	proxy, err := backendtest.StartWebProxy("http://" + s.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	o, address := s3Login(s.AccessKey, s.SecretKey, ""), "s3:"+proxy.URL()+"/bucket"
	b := createAt(t, address, o)
	saveAt(t, b, backend.Config, []byte("config"))
	data := backendtest.Bytes(100, 1)
	f := backendtest.Named(backend.Data, data)
	for _, c := range []struct {
		what string
		do   func() error
		want map[string]int
	}{
		{"Remove of nothing", func() error {
			if err := b.Remove(t.Context(), f); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Remove of nothing: got %v, want %v", err, fs.ErrNotExist)
			}
			return nil
		}, map[string]int{"HEAD": 1, "DELETE": 1}},
		{"Open", func() (err error) { b, err = backend.Open(t.Context(), address, o); return err }, map[string]int{"GET": 1}},
		{"Load of the config", func() error { _, err := b.Load(t.Context(), backend.File{}, 0, make([]byte, 9)); return err }, nil},
		{"Load of the config again", func() error { _, err := b.Load(t.Context(), backend.File{}, 0, make([]byte, 9)); return err }, map[string]int{"GET": 1}},
		{"Save", func() error { return b.Save(t.Context(), f, data) }, map[string]int{"PUT": 1}},
		{"Load", func() error { _, err := b.Load(t.Context(), f, 10, data); return err }, map[string]int{"GET": 1}},
		{"Sum", func() error { _, _, err := backend.Sum(t.Context(), b, f); return err }, map[string]int{"HEAD": 1}},
		{"List", func() (last error) {
			for _, last = range b.List(t.Context(), backend.Data) {
			}
			return last
		}, map[string]int{"GET": 1}},
		{"Remove", func() error { return b.Remove(t.Context(), f) }, map[string]int{"HEAD": 1, "DELETE": 1}},
		{"a lock", func() error { return b.Remove(t.Context(), saveAt(t, b, backend.Lock, data)) }, map[string]int{"PUT": 1, "DELETE": 1}},
	} {
		before := proxy.Requests()
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		got := proxy.Requests()
		for method := range got {
			if got[method] -= before[method]; got[method] == 0 {
				delete(got, method)
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: got requests %v, want %v", c.what, got, c.want)
		}
	}
}

// TestS3Pages lists more than fits into one answer, by both versions of the list.
func TestS3Pages(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := s3Options(s)
	createAt(t, s.Address("bucket"), o)
	folder := filepath.Join(s.Folder("bucket"), "place", "index")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const files = 2100
	for n := range files {
		if err := os.WriteFile(filepath.Join(folder, backendtest.Named(backend.Index, backendtest.Bytes(n, 1)).Name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, o.S3.ListObjectsV1 = range []bool{false, true} {
		got := make(map[string]bool)
		for info, err := range createAt(t, s.Address("bucket/place"), o).List(t.Context(), backend.Index) {
			if err != nil {
				t.Fatal(err)
			}
			got[info.Name] = true
		}
		if len(got) != files {
			t.Errorf("List, the old way %t: got %d files, want %d", o.S3.ListObjectsV1, len(got), files)
		}
	}
}

// TestS3Corrupted lets one upload reach the server with another byte, which it must find.
func TestS3Corrupted(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	b := createAt(t, s.Address("bucket"), s3Options(s))
	data := backendtest.Bytes(5000, 1)
	f := backendtest.Named(backend.Data, data)
	data[17]++
	if err := b.Save(t.Context(), f, data); !errors.Is(err, fs.ErrInvalid) || backend.IsTemporary(err) {
		t.Errorf("Save of bytes that the name is not of: got %v, want %v", err, fs.ErrInvalid)
	}
	if _, err := b.Load(t.Context(), f, 0, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: got %v, want %v", err, fs.ErrNotExist)
	}
}

// TestS3Damaged replaces an object that has another length than it was saved with.
func TestS3Damaged(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	b := createAt(t, s.Address("bucket"), s3Options(s))
	data := backendtest.Bytes(5000, 1)
	f := saveAt(t, b, backend.Index, data)
	if err := os.Truncate(filepath.Join(s.Folder("bucket"), "index", f.Name), 100); err != nil {
		t.Fatal(err)
	}
	saveAt(t, b, backend.Index, data)
	if got, err := backendtest.Read(t.Context(), b, f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after a Save over damage: got %d bytes, %v, want %d", len(got), err, len(data))
	}
}

// TestS3Sum compares what the server tells with the file's name, for what we have saved and what restic has.
func TestS3Sum(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	b := createAt(t, s.Address("bucket"), s3Options(s))
	f := saveAt(t, b, backend.Data, backendtest.Bytes(100_000, 1))
	sum, how, err := backend.Sum(t.Context(), b, f)
	if hex.EncodeToString(sum[:]) != f.Name || how != backend.ProofStored || err != nil {
		t.Errorf("Sum: got %x, %s, %v, want %s, %s", sum, how, err, f.Name, backend.ProofStored)
	}
	refuses := createAt(t, front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Mode") == "" {
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		return true
	}), s3Options(s))
	if _, _, err := backend.Sum(t.Context(), refuses, f); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Sum of a server that refuses to tell: got %v, want %v", err, errors.ErrUnsupported)
	}
	absent := backendtest.Named(backend.Data, nil)
	if _, _, err := backend.Sum(t.Context(), b, absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Sum of nothing: got %v, want %v", err, fs.ErrNotExist)
	}
	if err := os.Mkdir(filepath.Join(s.Folder("bucket"), "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Folder("bucket"), "keys", f.Name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := backend.Sum(t.Context(), b, backend.File{Kind: backend.Key, Name: f.Name}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Sum of what has none: got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestS3Class looks at which storage class each kind of file asks for.
func TestS3Class(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	classes := make(chan string, 10)
	address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/place/") {
			classes <- r.Header.Get("X-Amz-Storage-Class")
			w.WriteHeader(http.StatusOK)
			return true
		}
		return false
	})
	o := s3Options(s)
	o.S3.StorageClass = "GLACIER_IR"
	b := createAt(t, address+"/place", o)
	data := backendtest.Bytes(100, 1)
	saveAt(t, b, backend.Data, data)
	if got := <-classes; got != "GLACIER_IR" {
		t.Errorf("a pack of data: got class %q, want GLACIER_IR", got)
	}
	if err := backend.SaveTrees(t.Context(), b, backendtest.Named(backend.Data, data), data); err != nil {
		t.Fatal(err)
	}
	if got := <-classes; got != "" {
		t.Errorf("a pack of trees: got class %q, want none", got)
	}
	for _, k := range []backend.Kind{backend.Config, backend.Key, backend.Lock, backend.Snapshot, backend.Index} {
		saveAt(t, b, k, data)
		if got := <-classes; got != "" {
			t.Errorf("%s: got class %q, want none", k, got)
		}
	}
}

// TestS3OfRestic reads a place that restic has made, and lets restic read one of ours.
func TestS3OfRestic(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: restic takes seconds")
	}
	s := backendtest.VersityGW(t, os.UserCacheDir)
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("judge missing: restic")
	}
	cmd := exec.CommandContext(t.Context(), "restic", "-r", s.Address("bucket/by/restic"), "init")
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=x", "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("restic: %v\n%s", err, out)
	}
	for _, address := range []string{
		"s3:http://" + s.Host + "/bucket/by/restic",
		"s3:http://" + s.Host + "/bucket/by//restic/",
	} {
		b, err := backend.Open(t.Context(), address, s3Options(s))
		if err != nil {
			t.Fatal(err)
		}
		for info, err := range b.List(t.Context(), backend.Key) {
			if err != nil {
				t.Fatal(err)
			}
			got, err := backendtest.Read(t.Context(), b, backend.File{Kind: backend.Key, Name: info.Name})
			if sum := sha256.Sum256(got); err != nil || hex.EncodeToString(sum[:]) != info.Name || info.Size != int64(len(got)) {
				t.Errorf("Load of a key by restic: got %d bytes, %v", len(got), err)
			}
			if since := time.Since(info.ModTime); since < 0 || since > time.Hour {
				t.Errorf("the key was written at %v", info.ModTime)
			}
		}
		if _, err := backend.Create(t.Context(), address, s3Options(s)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create over restic's: got %v, want %v", err, fs.ErrExist)
		}
	}
}

// TestS3Probe asks a real server, and one that does not do what it says.
func TestS3Probe(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := s3Options(s)
	createAt(t, s.Address("plain"), o)
	o.S3.LockMode, o.S3.LockPeriod = "governance", time.Hour
	createAt(t, s.Address("locked"), o)
	// Deletes what is locked, replaces what is there, looks at no checksum and keeps none.
	lax := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.Contains(r.URL.Path, "/probe-"):
			return false
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("X-Amz-Version-Id", "1")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		}
		return true
	})
	createAt(t, s.Address("bucket"), o)
	for _, c := range []struct {
		address string
		has     []bool
	}{
		{s.Address("locked"), []bool{true, true, true, true}},
		{s.Address("plain/place"), []bool{true, true, true, false}},
		{lax, []bool{false, false, false, false}},
	} {
		b := createAt(t, c.address, s3Options(s))
		found, err := backend.Probe(t.Context(), b)
		if err != nil || len(found) != len(c.has) {
			t.Errorf("Probe of %s: got %v, %v", c.address, found, err)
			continue
		}
		for i, f := range found {
			if f.Has != c.has[i] || f.Err != nil {
				t.Errorf("Probe of %s: %s: got %t, %v, want %t", c.address, f.Feature, f.Has, f.Err, c.has[i])
			}
		}
	}
	for _, place := range []string{"plain/place", "locked"} {
		left, err := filepath.Glob(filepath.Join(s.Folder(place), "probe-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("after Probe %s holds %v, %v", place, left, err)
		}
	}
	if _, err := backend.Probe(t.Context(), backend.NewMemory()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Probe of a memory: got %v, want %v", err, errors.ErrUnsupported)
	}
}

// TestS3LockedVersions looks behind a removal: what was locked is still there, and cannot be deleted; locks of repositories
// are not locked.
func TestS3LockedVersions(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := s3Options(s)
	o.S3.LockMode, o.S3.LockPeriod = "compliance", time.Hour
	b := createAt(t, s.Address("locked"), o)
	data := []byte("a file that is locked")
	client, err := minio.New(s.Host, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []backend.Kind{backend.Data, backend.Snapshot, backend.Lock} {
		f := saveAt(t, b, k, data)
		if err := b.Remove(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		kept := 0
		for v := range client.ListObjectsIter(t.Context(), "locked", minio.ListObjectsOptions{Prefix: k.String(), Recursive: true, WithVersions: true}) {
			if v.Err != nil {
				t.Fatal(v.Err)
			}
			if v.IsDeleteMarker {
				continue
			}
			err := client.RemoveObject(t.Context(), "locked", v.Key, minio.RemoveObjectOptions{VersionID: v.VersionID})
			if err != nil {
				kept++
			}
		}
		want := 1
		if k == backend.Lock {
			want = 0
		}
		if kept != want {
			t.Errorf("%s: %d versions could not be deleted, want %d", k, kept, want)
		}
		saveAt(t, b, k, data)
	}
	o.S3.LockPeriod = 0
	if _, err := backend.Open(t.Context(), s.Address("locked"), o); err == nil {
		t.Error("a lock mode without a period: got no error")
	}
	createAt(t, s.Address("plain"), s3Options(s))
	o.S3.LockPeriod = time.Hour
	_, err = backend.Create(t.Context(), s.Address("plain"), o)
	if _, ok := errors.AsType[*backend.NoLocksError](err); !ok {
		t.Errorf("locks in a bucket without locks: got %v", err)
	}
}
