package backend_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

// answer is what a server says to a request in a test.
type answer = func(w http.ResponseWriter, r *http.Request)

// status answers with a status alone.
func status(code int) answer {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// with answers with a status, header fields "name: value", and a body; one that is shorter than its Content-Length is cut.
func with(code int, body string, fields ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		w.(http.Flusher).Flush()
	}
}

// openHostile opens a repository on a server that says say to all requests but the one for its config, and says of files
// that they have ten bytes.
func openHostile(t *testing.T, say answer, o backend.Options) backend.Backend {
	t.Helper()
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || strings.HasSuffix(r.URL.Path, "/config") {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("ten bytes."))
			return
		}
		say(w, r)
	}))
	b, err := backend.Open(t.Context(), strings.Replace(address, "//", "//secretuser:secretword@", 1), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// once are options under which nothing is tried again.
func once() backend.Options {
	return backend.Options{Network: backend.NetworkOptions{Retry: -1}}
}

// someFile is one that is never there.
func someFile() backend.File { return backendtest.Named(backend.Data, []byte("some")) }

// load loads up to 4 bytes.
func load(offset int64) func(t *testing.T, b backend.Backend) (string, error) {
	return func(t *testing.T, b backend.Backend) (string, error) {
		dst := make([]byte, 4)
		n, err := b.Load(t.Context(), someFile(), offset, dst)
		return string(dst[:n]), err
	}
}

func list(t *testing.T, b backend.Backend) (found string, err error) {
	for info, err := range b.List(t.Context(), backend.Index) {
		if err != nil {
			return found, err
		}
		found += fmt.Sprint(info.Name[:2], " ", info.Size, " ")
	}
	return found, nil
}

func remove(t *testing.T, b backend.Backend) (string, error) {
	return "", b.Remove(t.Context(), someFile())
}

// saveBytes saves a file of n bytes.
func saveBytes(n int) func(t *testing.T, b backend.Backend) (string, error) {
	return func(t *testing.T, b backend.Backend) (string, error) {
		data := make([]byte, n)
		return "", b.Save(t.Context(), backendtest.Named(backend.Data, data), data)
	}
}

// errMayPass stands for one that may pass by itself, errNoSpace for one of a full place, errForGood for any other one.
var (
	errMayPass = errors.New("passes")
	errNoSpace = errors.New("full")
	errForGood = errors.New("fails")
)

// A restCase is what a server says, what is done, and what comes of it.
type restCase struct {
	name  string
	say   answer
	do    func(t *testing.T, b backend.Backend) (string, error)
	found string
	want  error
	text  string
}

// restCases are answers, right and wrong; elsewhere is a server that must not be asked.
func restCases(elsewhere string) []restCase {
	const large = 3 << 20
	ab, cd := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	part := func(span string) string { return "Content-Range: bytes " + span }
	return []restCase{
		{"part", with(206, "2345", part("2-5/10"), "Content-Length: 4"), load(2), "2345", nil, ""},
		{"last part", with(206, "89", part("8-9/10"), "Content-Length: 2"), load(8), "89", nil, ""},
		{"part without length", with(206, "89", part("8-9/10")), load(8), "89", nil, ""},
		{"part behind the end", with(206, "", part("50-9/10")), load(50), "", nil, ""},
		{"part of nothing", with(206, "", part("0--1/0"), "Content-Length: 0"), load(0), "", nil, ""},
		{"no part behind the end", status(416), load(10), "", nil, ""},
		{"whole", with(200, "0123456789", "Content-Length: 10"), load(7), "789", nil, ""},
		{"whole behind the end", with(200, "0123456789", "Content-Length: 10"), load(70), "", nil, ""},
		{"other part", with(206, "2345", part("3-6/10"), "Content-Length: 4"), load(2), "", errForGood, "another part"},
		{"other part that ends there", with(206, "345", part("3-5/10"), "Content-Length: 4"), load(2), "", errForGood, "another part"},
		{"part of which file", with(206, "2345", "Content-Length: 4"), load(2), "", errForGood, "another part"},
		{"shorter part", with(206, "23", part("2-3/10"), "Content-Length: 2"), load(2), "", errForGood, "another part"},
		{"longer part", with(206, "234567", part("2-5/10"), "Content-Length: 6"), load(2), "", errForGood, "another length"},
		{"part cut", with(206, "23", part("2-5/10"), "Content-Length: 4"), load(2), "", errMayPass, "was lost"},
		{"part of no length cut", with(206, "23", part("2-5/10")), load(2), "", errMayPass, "was lost"},
		{"negative part", with(206, "", part("2--9/-8")), load(2), "", errForGood, "another part"},
		{"no part before the end", status(416), load(2), "", errForGood, "denies a part"},
		{"whole cut", with(200, "012", "Content-Length: 10"), load(2), "", errMayPass, "was lost"},
		{"whole without length", with(200, "0123456789"), load(2), "", errForGood, "no length"},
		{"absent", status(404), load(2), "", fs.ErrNotExist, ""},

		{"list 2", with(200, `[{"name":"`+ab+`","size":7},{"name":"../x","size":1},{"name":"`+ab+`","size":8}]`), list, "ab 7 ", nil, ""},
		{"list 1", with(200, `["`+cd+`","index","`+ab+`"]`), list, "cd 10 ab 10 ", nil, ""},
		{"list of nothing", with(200, `[]`), list, "", nil, ""},
		{"list null", with(200, `null`), list, "", nil, ""},
		{"list nowhere", status(404), list, "", nil, ""},
		{"list cut", with(200, `[{"name":"`+ab+`","size":7},{"na`), list, "", errMayPass, "was lost"},
		{"list cut by length", with(200, `[{"name":"`+ab+`","size":7}`, "Content-Length: 900"), list, "", errMayPass, "was lost"},
		{"list of less than nothing", with(200, `[{"name":"`+ab+`","size":-7}]`), list, "", errForGood, "not a list"},
		{"list of numbers", with(200, `[1,2]`), list, "", errForGood, "not a list"},
		{"list of one long name", with(200, `["`+strings.Repeat("x", 1<<20)+`"]`), list, "", errForGood, "not a list"},
		{"page", with(200, `<html>log in</html>`), list, "", errForGood, "not a list"},
		{"object", with(200, `{"a":1}`), list, "", errForGood, "not a list"},

		{"removed already", status(404), remove, "", fs.ErrNotExist, ""},
		{"may not remove", status(405), remove, "", fs.ErrPermission, "not allow"},
		{"same name and size", status(403), saveBytes(10), "", nil, ""},
		{"same name, other size", status(403), saveBytes(11), "", fs.ErrPermission, "another size"},
		{"refused without reading", status(401), saveBytes(large), "", fs.ErrPermission, "refuses the user name or the password"},
		{"too large", status(413), saveBytes(large), "", errNoSpace, ""},
		{"no space", status(507), saveBytes(9), "", errNoSpace, ""},
		{"too many", status(429), saveBytes(9), "", errMayPass, "status 429"},
		{"bug", status(500), remove, "", errMayPass, "status 500"},
		{"away", status(503), list, "", errMayPass, "status 503"},
		{"teapot", status(418), load(0), "", errForGood, "status 418"},
		{"redirect", http.RedirectHandler(elsewhere, http.StatusFound).ServeHTTP, load(0), "", errForGood, "another address"},
		{"redirect of what is sent", http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect).ServeHTTP, saveBytes(9), "", errForGood, "another address"},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, load(0), "", errMayPass, ""},
	}
}

func TestRESTAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := startREST(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	for _, c := range restCases(strings.TrimPrefix(elsewhere, "rest:")) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := c.do(t, openHostile(t, c.say, once()))
			if found != c.found {
				t.Errorf("got %q, want %q", found, c.found)
			}
			wantAnswer(t, err, c.want, c.text)
		})
	}
}

func wantAnswer(t *testing.T, err, want error, text string) {
	t.Helper()
	ok := false
	switch {
	case want == errMayPass:
		ok = backend.IsTemporary(err)
	case want == errNoSpace:
		ok = backend.IsFull(err) && !backend.IsTemporary(err)
	case want == errForGood:
		ok = err != nil && !backend.IsTemporary(err)
	default:
		ok = errors.Is(err, want) && !backend.IsTemporary(err)
	}
	if !ok || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, temporary: %t, want %v: %s", err, backend.IsTemporary(err), want, text)
	}
	if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1")) {
		t.Errorf("the error holds the address: %v", err)
	}
}

// TestRESTHangs has servers that say nothing, or stop in the middle.
func TestRESTHangs(t *testing.T) {
	t.Parallel()
	o := once()
	o.Network.Stall = 100 * time.Millisecond
	half := with(206, "23", "Content-Range: bytes 2-5/10", "Content-Length: 4")
	for _, say := range []answer{func(http.ResponseWriter, *http.Request) {}, half} {
		_, err := load(2)(t, openHostile(t, func(w http.ResponseWriter, r *http.Request) {
			say(w, r)
			<-r.Context().Done()
		}, o))
		wantAnswer(t, err, errMayPass, "nothing has moved")
	}
}

// TestRESTConsent wants a server that refuses to be asked before much is sent: while it closes the connection its answer can
// get lost.
func TestRESTConsent(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	b := openHostile(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Expect")
		w.WriteHeader(http.StatusInsufficientStorage)
	}, once())
	for _, c := range []struct {
		bytes int
		want  string
	}{{100, ""}, {1 << 20, "100-continue"}} {
		_, err := saveBytes(c.bytes)(t, b)
		wantAnswer(t, err, errNoSpace, "")
		if got := <-asked; got != c.want {
			t.Errorf("%d bytes: got Expect %q, want %q", c.bytes, got, c.want)
		}
	}
}

// TestRESTConfig lets two create at once: the other one's config appears between our look and our writing.
func TestRESTConfig(t *testing.T) {
	t.Parallel()
	var heads atomic.Int64
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead && heads.Add(1) <= 2:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && r.URL.RawQuery == "":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.Header().Set("Content-Length", "0")
		}
	}))
	b, err := backend.Create(t.Context(), address, once())
	if err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, b.Save(t.Context(), backend.File{}, []byte("x")), fs.ErrExist, "")
	_, err = backend.Create(t.Context(), address, once())
	wantAnswer(t, err, fs.ErrExist, "create repository")
}

// TestRESTOther makes a place at a server that is none of REST's.
func TestRESTOther(t *testing.T) {
	t.Parallel()
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusConflict)
	}))
	_, err := backend.Create(t.Context(), address, once())
	wantAnswer(t, err, backend.ErrAddress, "does not speak restic's REST protocol")
}

// TestRESTGone wants no empty list of a repository that has vanished.
func TestRESTGone(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "ten bytes.")
	}))
	b, err := backend.Open(t.Context(), address, once())
	if err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	_, err = list(t, b)
	wantAnswer(t, err, fs.ErrNotExist, "look for config")
	_, err = backend.Open(t.Context(), address, once())
	wantAnswer(t, err, backend.ErrNoRepository, "")
}

// TestRESTConnections wants no more requests at once than are allowed, and that a loop over a list may save.
func TestRESTConnections(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	h := restServer{files: backend.NewMemory()}
	address := startREST(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		h.ServeHTTP(w, r)
	}))
	for _, allowed := range []int{1, 3} {
		most.Store(0)
		o := once()
		o.REST.Connections = allowed
		b, err := backend.Create(t.Context(), address, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if _, err := saveBytes(i+100*allowed)(t, b); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, err := range b.List(t.Context(), backend.Data) {
			if n++; err == nil {
				_, err = saveBytes(1000+n)(t, b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n < 30 || most.Load() > int64(allowed) {
			t.Errorf("got %d files and %d requests at once, want 30 and at most %d", n, most.Load(), allowed)
		}
	}
}

func TestRESTAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"", "x", "/path", "http:", "http:///path", "ftp://secret/", "http://secret:secret@/x", "http://secret/x?secret", "http://secret/#secret",
		"http://secret:port/", "http://sec ret/", "http+unix://", "http+unix:///secret", "http+unix://:/x",
	} {
		for _, open := range []func() (backend.Backend, error){
			func() (backend.Backend, error) { return backend.Open(t.Context(), "rest:"+address, once()) },
			func() (backend.Backend, error) { return backend.Create(t.Context(), "rest:"+address, once()) },
		} {
			_, err := open()
			wantAnswer(t, err, fs.ErrInvalid, "address of a REST server")
		}
	}
	paths := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ten bytes.")
		user, password, ok := r.BasicAuth()
		paths <- user + ":" + password + ":" + strconv.FormatBool(ok) + " " + r.URL.EscapedPath()
	}))
	defer server.Close()
	given := once()
	given.REST = backend.RESTOptions{User: "u", Password: "p"}
	for _, c := range []struct {
		user, path string
		o          backend.Options
		want       string
	}{
		{"", "", once(), "::false /config"},
		{"", "/", given, "u:p:true /config"},
		{"a:b%40@", "/x%2fy/z", given, "a:b@:true /x%2fy/z/config"},
		{"a@", "/x/", given, "a::true /x/config"},
	} {
		address := "rest:" + strings.Replace(server.URL, "//", "//"+c.user, 1) + c.path
		if _, err := backend.Open(t.Context(), address, c.o); err != nil {
			t.Error(err)
		}
		if got := <-paths; got != c.want {
			t.Errorf("%s: got %s, want %s", c.path, got, c.want)
		}
	}
}
