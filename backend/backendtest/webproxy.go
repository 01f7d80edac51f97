package backendtest

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// A WebProxy stands before a web server on this computer, counts what is asked, and answers in its place when it is told
// to. Requests reach the server with the Host that the client has written, so that signatures hold. It may be used
// concurrently.
type WebProxy struct {
	target    *url.URL
	listener  net.Listener
	server    http.Server
	transport http.Transport

	group sync.WaitGroup

	mu     sync.Mutex
	counts map[string]int
	status int // of answers in the server's place
	times  int // how many more of them
	late   bool
}

// StartWebProxy passes requests on to target, as in http://127.0.0.1:8000. The proxy must be closed.
func StartWebProxy(target string) (*WebProxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &WebProxy{target: u, listener: listener, counts: make(map[string]int)}
	p.server.Handler = p
	p.transport.DisableCompression = true
	p.transport.MaxIdleConnsPerHost = 64
	p.group.Go(func() { _ = p.server.Serve(listener) }) // ends with Close
	return p, nil
}

// URL is what clients use in the place of the server's.
func (p *WebProxy) URL() string { return "http://" + p.listener.Addr().String() }

// Close ends all connections.
func (p *WebProxy) Close() error {
	err := p.server.Close()
	p.group.Wait()
	p.transport.CloseIdleConnections()
	return err
}

// Requests tells how many there were of each method, those that the proxy answered too.
func (p *WebProxy) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Fail answers the next requests with a status, as in 503: the server never sees them, or with late it does, and only
// its answer is lost.
func (p *WebProxy) Fail(times, status int, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times, p.status, p.late = times, status, late
}

// next counts a request and returns the status that it is answered with; 0 is what the server says.
func (p *WebProxy) next(method string) (status int, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[method]++
	if p.times == 0 {
		return 0, false
	}
	p.times--
	return p.status, p.late
}

// ServeHTTP implements http.Handler.
func (p *WebProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, late := p.next(r.Method)
	if status != 0 && !late {
		_, _ = io.Copy(io.Discard, r.Body) // a client that is still sending would see its connection lost
		w.WriteHeader(status)
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	res, err := p.transport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		// The client must not take what it has for the whole.
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
	}
}
