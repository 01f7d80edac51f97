package backend_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// everyCall makes one call of each kind, and returns the errors of those that do not succeed, by the call.
func everyCall(ctx context.Context, b backend.Backend) map[string]error {
	data := []byte("a file of the tests of S3")
	f := backendtest.Named(backend.Index, data)
	_, load := b.Load(ctx, f, 0, make([]byte, 10))
	_, stat := b.Load(ctx, f, 0, nil)
	_, _, sum := backend.Sum(ctx, b, f)
	errs := map[string]error{
		"Save": b.Save(ctx, f, data), "Load": load, "Load of nothing": stat, "Sum": sum, "Remove": b.Remove(ctx, f),
		"Save of a config": b.Save(ctx, backend.File{}, data),
	}
	for _, k := range []backend.Kind{backend.Index, backend.Config} {
		for _, err := range b.List(ctx, k) {
			if err != nil {
				errs["List of "+k.String()] = err
			}
		}
	}
	for call, err := range errs {
		if err == nil {
			delete(errs, call)
		}
	}
	return errs
}

// s3Answer is what a server says instead of what it was asked for.
type s3Answer struct {
	status    int
	code      string // in the XML of a body, which the answer to a HEAD has not
	says      string // what every error says
	wants     func(error) bool
	temporary bool
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

var s3Answers = []s3Answer{
	{status: 503, code: "SlowDown", says: "the server ", temporary: true},
	{status: 503, says: "the server is busy or out of order (503)", temporary: true},
	{status: 500, code: "InternalError", says: "the server is busy or out of order (500)", temporary: true},
	{status: 429, says: "the server is busy or out of order (429)", temporary: true},
	{status: 502, says: "the server is busy or out of order (502)", temporary: true},
	{status: 403, code: "InvalidAccessKeyId", says: "the server does not know the access key", wants: is(fs.ErrPermission)},
	{status: 403, code: "SignatureDoesNotMatch", says: "the secret key does not belong to the access key", wants: is(fs.ErrPermission)},
	{status: 400, code: "ExpiredToken", says: "the session token has expired", wants: is(fs.ErrPermission)},
	{status: 403, code: "AccessDenied", says: "the credentials do not allow it", wants: is(fs.ErrPermission)},
	{status: 403, says: "the credentials do not allow it", wants: is(fs.ErrPermission)},
	{status: 403, code: "InvalidObjectState", says: "it is in cold storage", wants: is(fs.ErrPermission)},
	{status: 404, code: "NoSuchBucket", says: "the bucket does not exist"},
	{status: 403, code: "RequestTimeTooSkewed", says: "the clock of this computer is 90 minutes slow", wants: is(backend.ErrClock)},
	{status: 400, code: "AuthorizationHeaderMalformed", says: "the bucket is in another region: eu-west-9"},
	{status: 301, code: "PermanentRedirect", says: "the "}, // with a region, which a HEAD does not tell
	{status: 307, says: "at another address"},
	{status: 507, says: "the storage is full", wants: backend.IsFull},
	{status: 403, code: "QuotaExceeded", says: "the quota is used up", wants: backend.IsFull},
	{status: 507, code: "XMinioStorageFull", says: "the storage is full", wants: backend.IsFull},
	{status: 409, code: "InvalidBucketState", says: "the server refuses the request (409"},
	{status: 501, code: "NotImplemented", says: "what the server cannot do", wants: is(errors.ErrUnsupported)},
	{status: 413, says: "the server takes no file of this size"},
	{status: 400, code: "EntityTooLarge", says: "the server "}, // a HEAD does not tell
	{status: 418, says: "the server refuses the request (418)"},
	{status: 400, code: "What\x1b[31m!", says: "the server refuses the request (400"},
}

// TestS3Answers asks servers that have one answer to everything.
func TestS3Answers(t *testing.T) {
	t.Parallel()
	for _, a := range s3Answers {
		t.Run(fmt.Sprintf("%d%s", a.status, a.code), func(t *testing.T) {
			t.Parallel()
			if testing.Short() && a.temporary && a.code == "" {
				t.Skip("short: the library pauses after each answer that may pass")
			}
			a.check(t)
		})
	}
}

func (a s3Answer) check(t *testing.T) {
	var bad atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !bad.Load() { // there is a bucket without a repository
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Date", time.Now().Add(90*time.Minute).UTC().Format(http.TimeFormat))
		w.Header().Set("Location", "http://elsewhere.example/")
		w.WriteHeader(a.status)
		if a.code != "" && r.Method != http.MethodHead {
			fmt.Fprintf(w, `<Error><Code>%s</Code><Message>%s at %s of %s</Message><Region>eu-west-9</Region></Error>`,
				a.code, secretKey, r.URL.Path, accessKey)
		}
	}))
	defer server.Close()
	address := "s3:" + strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/the-bucket/the-prefix"
	b := createAt(t, address, s3Login(accessKey, secretKey, "us-east-1"))
	bad.Store(true)
	errs := everyCall(t.Context(), b)
	if len(errs) != 8 {
		t.Errorf("got %d errors, want 8", len(errs))
	}
	_, errs["Open"] = backend.Open(t.Context(), address, s3Login(accessKey, secretKey, ""))
	for call, err := range errs {
		if !strings.Contains(err.Error(), a.says) || a.wants != nil && !a.wants(err) || backend.IsTemporary(err) != a.temporary {
			t.Errorf("%s: got %v, temporary %t, want %q, %t", call, err, backend.IsTemporary(err), a.says, a.temporary)
		}
		wantClean(t, err)
	}
}

// accessKey and secretKey are seen in no error, nor are the parts of an address.
const (
	accessKey = "AKTHATISSEENNOWHERE"
	secretKey = "secret-that-is-seen-nowhere"
)

// wantClean wants an error of one line that does not tell where the place is, or how to get in.
func wantClean(t *testing.T, err error) {
	t.Helper()
	for _, private := range []string{accessKey, secretKey, "127.0.0.1", "localhost", "the-bucket", "the-prefix", "elsewhere", "\x1b", "\n"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("an error holds %q: %v", private, err)
		}
	}
}

// TestS3WrongKeys has the answers of a real server.
func TestS3WrongKeys(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	saveAt(t, createAt(t, s.Address("the-bucket"), s3Options(s)), backend.Config, []byte("config"))
	right, noKeys := s3Options(s).S3, "the server wants credentials"
	for _, c := range []struct {
		access, secret, bucket, says string
		wants                        error
	}{
		{accessKey, secretKey, "the-bucket", "does not know the access key", fs.ErrPermission},
		{right.AccessKey, secretKey, "the-bucket", "the secret key does not belong", fs.ErrPermission},
		{"", "", "the-bucket", noKeys, fs.ErrPermission},
		{right.AccessKey, right.SecretKey, "the-bucket-not", "the bucket does not exist", backend.ErrNoRepository},
		{right.AccessKey, right.SecretKey, "the-bucket/the-prefix", "no repository here", backend.ErrNoRepository},
	} {
		for _, region := range []string{"us-east-1", ""} {
			o := s3Login(c.access, c.secret, region)
			_, err := backend.Open(t.Context(), s.Address(c.bucket), o)
			if !errors.Is(err, c.wants) || !strings.Contains(err.Error(), c.says) || backend.IsTemporary(err) {
				t.Errorf("Open of %s as %q in %q: got %v, want %q", c.bucket, c.access, region, err, c.says)
				continue
			}
			wantClean(t, err)
		}
	}
}

// TestS3File has credentials in a file.
func TestS3File(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	name := filepath.Join(t.TempDir(), "the-file")
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n[mine]\naws_access_key_id = %s\naws_secret_access_key = %s\n[empty]\n",
		accessKey, secretKey, s.AccessKey, s.SecretKey)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, profile, says string }{
		{name, "mine", ""},
		{name, "", "the server does not know the access key"},
		{name, "empty", "no usable keys"},
		{name, "other", "no usable keys"},
		{name + "not", "mine", "file does not exist"},
	} {
		o := s3Login("", "", "us-east-1")
		o.S3.CredentialsFile, o.S3.Profile = c.file, c.profile
		_, err := backend.Create(t.Context(), s.Address("the-bucket"), o)
		if c.says == "" && err == nil {
			continue
		}
		if err == nil || c.says == "" || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "the-file") {
			t.Errorf("profile %q: got %v, want %q", c.profile, err, c.says)
			continue
		}
		wantClean(t, err)
	}
}

// TestS3Vanished takes the bucket away, then the server.
func TestS3Vanished(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	b := createAt(t, s.Address("the-bucket"), s3Options(s))
	if err := os.RemoveAll(s.Folder("the-bucket")); err != nil {
		t.Fatal(err)
	}
	errs := everyCall(t.Context(), b)
	if len(errs) != 8 {
		t.Errorf("got %d errors, want 8", len(errs))
	}
	for call, err := range errs {
		if errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the bucket does not exist") {
			t.Errorf("%s: got %v", call, err)
		}
		wantClean(t, err)
	}
	s.Stop()
	for call, err := range everyCall(t.Context(), b) {
		if !backend.IsTemporary(err) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: got %v", call, err)
		}
		wantClean(t, err)
	}
	s.Restart()
	createAt(t, s.Address("the-bucket"), s3Options(s))
	saveAt(t, b, backend.Config, []byte("config"))
}

// TestS3Redirect has credentials that stay with the host they were given for.
func TestS3Redirect(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, status)
		}))
		o := s3Login(accessKey, secretKey, "")
		_, err := backend.Open(t.Context(), "s3:"+server.URL+"/the-bucket", o)
		if err == nil || !strings.Contains(err.Error(), "the server wants to be asked at another address") {
			t.Errorf("Open, redirected by %d: got %v", status, err)
		}
		server.Close()
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// TestS3Cut breaks connections in the middle of answers and of what is sent.
func TestS3Cut(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	var cut atomic.Bool
	address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if !cut.Load() {
			return false
		}
		if r.Method == http.MethodPut {
			_, _ = io.CopyN(io.Discard, r.Body, 10)
		} else {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			_, _ = io.WriteString(w, `<?xml version="1.0"?><ListBucketResult><Contents>`)
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	b := createAt(t, address, s3Options(s))
	data := backendtest.Bytes(1000, 1)
	f := saveAt(t, b, backend.Data, data)
	cut.Store(true)
	_, load := b.Load(t.Context(), f, 0, make([]byte, 1000))
	errs := map[string]error{"Load": load, "Save": b.Save(t.Context(), backendtest.Named(backend.Data, data[:999]), data[:999])}
	for _, errs["List"] = range b.List(t.Context(), backend.Data) {
	}
	for call, err := range errs {
		if !backend.IsTemporary(err) {
			t.Errorf("%s: got %v, want a temporary error", call, err)
			continue
		}
		wantClean(t, err)
	}
	cut.Store(false)
	saveAt(t, b, backend.Data, data[:999])
}

// TestS3Hostile asks a server that sends what was not asked for.
func TestS3Hostile(t *testing.T) {
	t.Parallel()
	body, header, status := "", http.Header{}, 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	status = 404
	b := createAt(t, "s3:"+server.URL+"/the-bucket", s3Login("", "", "us-east-1"))
	load := func(offset int64) error {
		_, err := b.Load(t.Context(), backendtest.Named(backend.Data, nil), offset, make([]byte, 10))
		return err
	}
	status, body = 200, "0123456789abcdef"
	if err := load(5); err == nil {
		t.Error("a server that does not know ranges: got no error")
	}
	status = 206
	header.Set("Content-Range", "bytes 6-15/16")
	if err := load(5); err == nil {
		t.Error("another range: got no error")
	}
	header.Set("Content-Range", "bytes 5-9/16")
	body = "56789"
	if err := load(5); err == nil {
		t.Error("fewer bytes than the file has: got no error")
	}
	header.Set("Content-Range", "bytes 5-9/10")
	if err := load(5); err != nil {
		t.Errorf("the rest of the file: got %v", err)
	}
	status, header = 200, http.Header{}
	key := "data/ab/" + strings.Repeat("ab", 32)
	page := `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>%s</ListBucketResult>`
	object := "<Contents><Key>%s</Key><Size>%s</Size></Contents>"
	for what, list := range map[string]string{
		"no XML":        "{}",
		"the same page": fmt.Sprintf(page, fmt.Sprintf(object, key, "1")),
		"a huge page":   "<ListBucketResult><Name>" + strings.Repeat("x", 9<<20) + "</Name></ListBucketResult>",
		"empty pages":   fmt.Sprintf(page, ""),
		"no token":      `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`,
	} {
		body = list
		var err error
		for _, err = range b.List(t.Context(), backend.Data) {
		}
		if err == nil || backend.IsTemporary(err) {
			t.Errorf("a list with %s: got %v, want an error", what, err)
			continue
		}
		wantClean(t, err)
	}
}

// TestS3Storm asks a server that wants to be asked again later, and one that does not answer.
func TestS3Storm(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	var storm atomic.Int64
	address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch n := storm.Add(-1); {
		case n > 100:
			_, _ = io.Copy(io.Discard, r.Body) // to see the connection end
			<-r.Context().Done()
			return true
		case n >= 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	o := s3Options(s)
	o.Network.Retry = time.Minute
	b := createAt(t, address, o)
	storm.Store(1)
	saveAt(t, b, backend.Data, []byte("the first"))

	o.Network = backend.NetworkOptions{Retry: -1, Stall: 500 * time.Millisecond}
	b = createAt(t, address, o)
	storm.Store(1000)
	data := []byte("the second")
	f := backendtest.Named(backend.Data, data)
	var calls sync.WaitGroup
	for call, do := range map[string]func() error{
		"Save":   func() error { return b.Save(t.Context(), f, data) },
		"Load":   func() error { _, err := b.Load(t.Context(), f, 0, make([]byte, 1)); return err },
		"Remove": func() error { return b.Remove(t.Context(), f) },
		"List": func() (last error) {
			for _, last = range b.List(t.Context(), backend.Data) {
			}
			return last
		},
	} {
		calls.Go(func() {
			err := do()
			if !backend.IsTemporary(err) || !strings.Contains(err.Error(), "nothing has moved") {
				t.Errorf("%s of a server that hangs: got %v", call, err)
				return
			}
			wantClean(t, err)
		})
	}
	calls.Wait()
}

// TestS3AppendOnly has credentials that may not delete, which shows before there is anything to delete.
func TestS3AppendOnly(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	b := createAt(t, front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusForbidden)
		}
		return r.Method == http.MethodDelete
	}), s3Options(s))
	data := []byte("a file that stays")
	for _, k := range []backend.Kind{backend.Snapshot, backend.Lock} {
		f := backendtest.Named(k, data)
		for _, what := range []string{"nothing", "a file"} {
			if err := b.Remove(t.Context(), f); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("Remove of %s: got %v, want %v", what, err, fs.ErrPermission)
			}
			saveAt(t, b, k, data)
		}
		if got, err := backendtest.Read(t.Context(), b, f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("Load after Remove: got %q, %v", got, err)
		}
	}
}

// TestS3Region finds out in which region a bucket is: because the server says so, or because it is asked.
func TestS3Region(t *testing.T) {
	t.Parallel()
	for _, told := range []string{"eu-west-9", ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Query().Has("location"):
				fmt.Fprint(w, `<LocationConstraint>eu-west-9</LocationConstraint>`)
			case !strings.Contains(r.Header.Get("Authorization"), "/eu-west-9/s3/"):
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `<Error><Code>AuthorizationHeaderMalformed</Code><Region>%s</Region></Error>`, told)
			default:
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
			}
		}))
		_, err := backend.Open(t.Context(), "s3:"+server.URL+"/the-bucket", s3Login(accessKey, secretKey, ""))
		if !errors.Is(err, backend.ErrNoRepository) {
			t.Errorf("Open, told %q: got %v, want %v", told, err, backend.ErrNoRepository)
		}
		_, err = backend.Open(t.Context(), "s3:"+server.URL+"/the-bucket", s3Login(accessKey, secretKey, "us-east-1"))
		if err == nil || !strings.Contains(err.Error(), "the bucket is in another region") || !strings.Contains(err.Error(), told) {
			t.Errorf("Open in another region: got %v", err)
		}
		server.Close()
	}
}

// TestS3TLS reaches a server whose certificate only the options know.
func TestS3TLS(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	proxy, err := backendtest.StartWebProxy("http://" + s.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that nobody trusts it
	server.StartTLS()
	defer server.Close()
	o := s3Options(s)
	_, err = backend.Create(t.Context(), "s3:"+server.URL+"/the-bucket", o)
	if !errors.Is(err, backend.ErrCertificate) || !strings.Contains(err.Error(), "certificate") || backend.IsTemporary(err) {
		t.Errorf("Create at a server that nobody trusts: got %v", err)
	}
	o.Network.CACert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	b := createAt(t, "s3:"+server.URL+"/the-bucket", o)
	data := backendtest.Bytes(100_000, 1)
	f := saveAt(t, b, backend.Data, data)
	if got, err := backendtest.Read(t.Context(), b, f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Load over TLS: got %d bytes, %v, want %d", len(got), err, len(data))
	}
	if _, err := backend.Create(t.Context(), strings.Replace(proxy.URL(), "http:", "s3:https:", 1)+"/the-bucket", o); err == nil || backend.IsTemporary(err) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("Create over TLS at a server without: got %v", err)
	}
}
