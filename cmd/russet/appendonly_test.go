package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/crypto"
	"russet/repo"
)

// appendOnlyKinds start servers at which files are added, and removed by nobody.
var appendOnlyKinds = map[string]func(t *testing.T) storageServer{
	"rest": func(t *testing.T) storageServer { // locks can be removed
		at := backendtest.RcloneServer{Remote: t.TempDir(), AppendOnly: true}.Start(t)
		return storageServer{store: "rest:" + strings.TrimSuffix(at, "/")}
	},
	"sftp": func(t *testing.T) storageServer {
		return sftpStorage(t, "Subsystem sftp internal-sftp -P remove,rmdir")
	},
	"s3":       func(t *testing.T) storageServer { return keepingS3(t, "") },
	"s3-locks": func(t *testing.T) storageServer { return keepingS3(t, "/locks/") },
}

// keepingS3 is a server of S3 with credentials that may remove nothing but what
// has something in its path, if that is given.
func keepingS3(t *testing.T, removable string) storageServer {
	t.Helper()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: s.Host})
		r.Out.Host = r.In.Host // which is signed
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && (removable == "" || !strings.Contains(r.URL.Path, removable)) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return storageServer{
		store: "s3:" + front.URL + "/bucket/below",
		env:   []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey},
	}
}

// TestAppendOnlyScripts runs the scenarios in testdata/appendonly over each.
func TestAppendOnlyScripts(t *testing.T) {
	t.Parallel()
	for kind, start := range appendOnlyKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && kind != "rest" {
				t.Skip("short: one kind of server is enough")
			}
			start(t).run(t, kind, "testdata/appendonly")
		})
	}
}

// Where nothing can be removed, a person is told what works there, and not that
// a drive is write-protected.
func TestAppendOnlyAdvice(t *testing.T) {
	t.Parallel()
	be := backendtest.NewAppendOnly(backend.NewMemory(), true)
	r, err := repo.Init(t.Context(), be, "secret", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Lock(t.Context(), true, repo.LockOptions{})
	if !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("got %v, want fs.ErrPermission", err)
	}
	err = lockError(err, false)
	if a := adviceFor(err); !strings.Contains(a.hint, "credentials that may remove files") {
		t.Errorf("the hint of %q is %q", err, a.hint)
	}
}
