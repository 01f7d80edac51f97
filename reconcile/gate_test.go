package reconcile_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"russet/chunk"
	"russet/reconcile"
)

// errKilled is what a process that was killed does: nothing.
var errKilled = errors.New("the process was killed")

// gate stands before a server and kills the process that asks it: from one request
// on nothing passes any more, and nothing is kept in the repository (mortal).
type gate struct {
	URL    string // to ask instead of the server's
	server http.Handler

	mu     sync.Mutex // guards what follows
	armed  bool
	left   int  // requests that pass before the process dies
	passed bool // the request in which it dies is done, but nobody hears of it
	dead   bool
}

func newGate(t testing.TB, server string) *gate {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	g := &gate{server: &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.URL = s.URL
	return g
}

// kill lets the process die in the n-th request from now on, counted from 0.
func (g *gate) kill(n int, passed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed, g.left, g.passed = true, n, passed
}

// revive lets everything pass again, and tells whether the process died.
func (g *gate) revive() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	died := g.dead
	g.armed, g.dead = false, false
	return died
}

func (g *gate) killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

// next tells whether the next request reaches the server, and whether its answer
// comes back.
func (g *gate) next() (reaches, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.dead:
		return false, false
	case g.armed && g.left == 0:
		g.dead = true
		return g.passed, false
	case g.armed:
		g.left--
	}
	return true, true
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reaches, answered := g.next()
	if answered {
		g.server.ServeHTTP(w, r)
		return
	}
	if reaches {
		g.server.ServeHTTP(httptest.NewRecorder(), r)
	}
	panic(http.ErrAbortHandler)
}

// mortal is the store of a process that dies at a gate.
type mortal struct {
	reconcile.Store
	gate *gate
}

func (m mortal) Save(ctx context.Context, st *reconcile.State, fresh map[chunk.ID][]byte) error {
	if m.gate.killed() {
		return errKilled
	}
	return m.Store.Save(ctx, st, fresh)
}
