package davtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5" // as clients do
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"time"

	"russet/dav"
)

func options() dav.Options {
	return dav.Options{
		User: User, Password: Password,
		Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// maxRequest bounds what is read of a request.
const maxRequest = 64 << 20

// ServeHTTP answers a request, as far as no fault forbids.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return // the client went away
	}
	fault := s.fault(r.Method)
	if fault.Before != nil {
		fault.Before()
	}
	out := httptest.NewRecorder()
	s.mu.Lock()
	switch {
	case fault.Drop:
	case fault.Status != 0:
		out.Header().Set("Retry-After", fault.RetryAfter)
		out.WriteHeader(fault.Status)
		out.WriteString(fault.Body)
	default:
		s.answer(out, r, body)
	}
	s.compress(out, r)
	status := out.Code
	if fault.Drop || fault.Lost {
		status = 0
	}
	s.requests = append(s.requests, Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Header: r.Header.Clone(), Length: r.ContentLength, Body: string(body), Status: status,
	})
	s.mu.Unlock()
	send(w, out, fault)
}

// send passes an answer on, as far as the fault lets it.
func send(w http.ResponseWriter, out *httptest.ResponseRecorder, fault Fault) {
	if fault.Drop || fault.Lost {
		cut(w)
		return
	}
	maps.Copy(w.Header(), out.Header())
	data := out.Body.Bytes()
	if fault.Short > 0 {
		data = data[:min(len(data), fault.Short)]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(out.Code)
	if fault.Cut > 0 {
		_, _ = w.Write(data[:min(len(data), fault.Cut)]) // the client notices
		_ = http.NewResponseController(w).Flush()
		cut(w)
		return
	}
	_, _ = w.Write(data)
}

// cut ends the connection after what was written.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic("davtest: cut a connection: " + err.Error())
	}
	_ = conn.Close()
}

// fault takes the fault that a request meets.
func (s *Server) fault(method string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		switch {
		case f.Times == 0 || f.Method != "" && f.Method != method:
		case f.After > 0:
			f.After--
			return Fault{}
		default:
			f.Times--
			return *f
		}
	}
	return Fault{}
}

func (s *Server) compress(out *httptest.ResponseRecorder, r *http.Request) {
	if !s.quirks.Gzip || out.Body.Len() == 0 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return
	}
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	_, _ = z.Write(out.Body.Bytes()) // into memory
	_ = z.Close()
	out.Body = &small
	out.Header().Set("Content-Encoding", "gzip")
	if tag := out.Header().Get("ETag"); tag != "" {
		out.Header().Set("ETag", "W/"+tag) // as proxies do
	}
}

// answer is called with the lock.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		if s.quirks.WellKnown == 0 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Location", rootPath)
		w.WriteHeader(s.quirks.WellKnown)
		return
	}
	if !s.authorized(w, r) {
		return
	}
	if s.books[r.URL.Path+"/"] != nil && s.quirks.SlashRedirect != 0 {
		w.Header().Set("Location", r.URL.Path+"/")
		w.WriteHeader(s.quirks.SlashRedirect)
		return
	}
	folder, name := path.Split(r.URL.Path)
	c := s.books[folder]
	switch {
	case r.Method == "PROPFIND":
		s.propfind(w, r, body)
	case c == nil:
		http.NotFound(w, r)
	case r.Method == "REPORT" && name == "":
		s.report(w, r, folder, body)
	case name == "":
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		s.item(w, r, c, folder, name, string(body))
	}
}

// authorized asks for credentials where they are missing.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	if !s.quirks.Digest {
		user, password, ok := r.BasicAuth()
		if ok && user == User && password == Password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="davtest"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	p := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "Digest "), ", ") {
		k, v, _ := strings.Cut(part, "=")
		p[k] = strings.Trim(v, `"`)
	}
	sum := func(parts ...string) string {
		h := md5.Sum([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h[:])
	}
	nonce := "n" + strconv.Itoa(s.nonces)
	want := sum(sum(User, "da,v", Password), nonce, p["nc"], p["cnonce"], p["qop"], sum(r.Method, r.URL.RequestURI()))
	if p["username"] == User && p["response"] == want && p["uri"] == r.URL.RequestURI() && p["nc"] > s.count {
		s.count = p["nc"]
		return true
	}
	s.nonces++
	s.count = ""
	w.Header().Set("WWW-Authenticate", `Digest realm="da,v", qop="auth", nonce="n`+strconv.Itoa(s.nonces)+`", opaque="x"`)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// precondition answers with a status and what was not met.
func precondition(w http.ResponseWriter, status int, name string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><x:error xmlns:x="DAV:" xmlns:card="urn:ietf:params:xml:ns:carddav"><%s/></x:error>`, name)
}
