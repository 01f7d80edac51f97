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

	mu    sync.Mutex // guards what follows
	fault *fault     // nil: everything passes
	left  int        // requests that pass before it
	dead  bool
	cut   bool // the fault has happened
}

// fault is what happens in a request.
type fault struct {
	passed bool // the server does what it asks, but nobody hears of it
	lives  bool // the process lives on: only this answer is lost
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

// fail lets f happen in the n-th request from now on, counted from 0.
func (g *gate) fail(n int, f fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault, g.left = &f, n
}

// revive lets everything pass again, and tells whether the fault has happened.
func (g *gate) revive() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	cut := g.cut
	g.fault, g.dead, g.cut = nil, false, false
	return cut
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
	case g.fault == nil || g.cut:
	case g.left == 0:
		g.cut, g.dead = true, !g.fault.lives
		return g.fault.passed, false
	default:
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
