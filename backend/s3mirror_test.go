package backend_test

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/internal/durable"
)

// TestS3MirrorIsKnown to who opens it as a repository, who asks for nothing where it is none.
func TestS3MirrorIsKnown(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	o := s3Options(s)
	proxy, err := backendtest.StartWebProxy("http://" + s.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	for name, want := range map[string]bool{"mirror": true, "repository": false} {
		p := createMirror(t, s.Address("bucket/"+name), o).(markedPlace)
		if want {
			if err := p.SaveMark(t.Context(), []byte("mark")); err != nil {
				t.Fatal(err)
			}
		}
		mustSave(t, p, backend.Config, "config")
		b, err := backend.Open(t.Context(), "s3:"+proxy.URL()+"/bucket/"+name, o)
		if err != nil {
			t.Fatal(err)
		}
		closeLater(t, b)
		opened := b.(markedPlace)
		before := maps.Clone(proxy.Requests())
		if is, err := opened.IsMirror(t.Context()); err != nil || is != want {
			t.Errorf("%s: got %v, %v, want %v", name, is, err, want)
		}
		if asked := !maps.Equal(before, proxy.Requests()); asked != want {
			t.Errorf("%s: asked the server: %v, want %v", name, asked, want)
		}
		if err := p.SaveMark(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := p.RemoveMark(t.Context()); err != nil {
			t.Fatal(err)
		}
		if is, err := opened.IsMirror(t.Context()); err != nil || is {
			t.Errorf("%s, promoted: got %v, %v, want none", name, is, err)
		}
	}
}

// TestS3MirrorLock: a lock that nobody has renewed for long, by the server's clock, goes over to one of those that ask.
func TestS3MirrorLock(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	for name, lax := range map[string]bool{"strict": false, "lax": true} {
		o := s3Options(s)
		address := s.Address("bucket/" + name)
		if lax { // a server that knows no conditions
			address = front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				refuse := r.Header.Get("If-None-Match")+r.Header.Get("If-Match") != ""
				if refuse {
					w.WriteHeader(http.StatusNotImplemented)
				}
				return refuse
			}) + "/" + name
		}
		one := createMirror(t, address, o).(markedPlace)
		if err := one.SaveMark(t.Context(), []byte("mark")); err != nil {
			t.Fatal(err)
		}
		mustSave(t, one, backend.Config, "config")
		within, release, err := one.Occupy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		lock := filepath.Join(s.Folder("bucket"), name, "mirror.lock")
		age := func(by time.Duration) {
			t.Helper()
			if err := os.Chtimes(lock, time.Time{}, time.Now().Add(-by)); err != nil {
				t.Fatal(err)
			}
		}
		occupy := func() (func(), error) {
			b, err := backend.OpenMirror(t.Context(), address, o)
			if err != nil {
				return nil, err
			}
			closeLater(t, b)
			_, release, err := b.(markedPlace).Occupy(t.Context())
			return release, err
		}
		age(29 * time.Minute)
		if _, err := occupy(); !errors.Is(err, durable.ErrInUse) {
			t.Fatalf("%s, held: got %v, want %v", name, err, durable.ErrInUse)
		}
		age(31 * time.Minute)
		heir, err := occupy()
		if err != nil {
			t.Fatalf("%s, stale: %v", name, err)
		}
		if _, err := occupy(); !errors.Is(err, durable.ErrInUse) {
			t.Errorf("%s, taken over: got %v, want %v", name, err, durable.ErrInUse)
		}
		if err := one.SaveMark(within, []byte("late")); !errors.Is(err, durable.ErrInUse) {
			t.Errorf("%s, SaveMark: got %v, want %v", name, err, durable.ErrInUse)
		}
		heir()
	}
}

// TestS3MirrorTakesOne: of many that ask for a lock at once one gets it.
func TestS3MirrorTakesOne(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	p := createMirror(t, s.Address("bucket/one"), s3Options(s)).(markedPlace)
	var taken atomic.Int64
	var asked sync.WaitGroup
	for range 8 {
		asked.Go(func() {
			if _, _, err := p.Occupy(t.Context()); err == nil {
				taken.Add(1)
			} else if !errors.Is(err, durable.ErrInUse) {
				t.Errorf("got %v, want %v", err, durable.ErrInUse)
			}
		})
	}
	asked.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d have it, want 1", n)
	}
}

// TestS3MirrorRace refuses a lock although there is none: the first time, as somebody has given it back by then, while another
// is about to take it, who keeps it; or each time, as servers do that take the marker of a removal for an object, and do not
// keep anybody from it.
func TestS3MirrorRace(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	for name, want := range map[string]error{"race": durable.ErrInUse, "marker": nil} {
		other := createMirror(t, s.Address("bucket/"+name), s3Options(s)).(markedPlace)
		var asked atomic.Int64
		address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if path.Base(r.URL.Path) != "mirror.lock" || r.Header.Get("If-None-Match") == "" {
				return false
			}
			refuse := asked.Add(1) == 1 || want == nil
			if refuse {
				w.WriteHeader(http.StatusPreconditionFailed)
			} else if _, _, err := other.Occupy(t.Context()); err != nil {
				t.Error(err)
			}
			return refuse
		})
		p := createMirror(t, address+"/"+name, s3Options(s)).(markedPlace)
		if _, _, err := p.Occupy(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("%s: asked %d times, want 2", name, n)
		}
	}
}

// TestS3MirrorCopies removes nothing where the server's copy is not what it should be.
func TestS3MirrorCopies(t *testing.T) {
	t.Parallel()
	s := backendtest.VersityGW(t, os.UserCacheDir)
	for name, answer := range map[string]string{
		"an error that looks like success": `<?xml version="1.0"?><Error><Code>InternalError</Code></Error>`,
		"nothing":                          `<?xml version="1.0"?><CopyObjectResult></CopyObjectResult>`,
	} {
		address := front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Amz-Copy-Source") == "" {
				return false
			}
			_, _ = w.Write([]byte(answer))
			return true
		})
		p := createMirror(t, address+"/copies", s3Options(s))
		data := []byte("pack of " + name)
		f := saveAt(t, p, backend.Data, data)
		if err := p.SetAside(t.Context(), f, time.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got, err := backendtest.Read(t.Context(), p, f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
