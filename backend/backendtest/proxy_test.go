package backendtest_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"russet/backend/backendtest"
)

// echo is a server that sends back what it is sent.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	return l.Addr().String()
}

func startProxy(t *testing.T, line backendtest.Line) *backendtest.Proxy {
	t.Helper()
	target := echo(t)
	p, err := backendtest.StartProxy(target, line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func dial(t *testing.T, p *backendtest.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends data and returns what comes back.
func ask(c net.Conn, data []byte) ([]byte, error) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { _, _ = c.Write(data) }) // what goes wrong shows in what comes back
	got := make([]byte, len(data))
	n, err := io.ReadFull(c, got)
	return got[:n], err
}

func wantEcho(t *testing.T, c net.Conn, n int) {
	t.Helper()
	data := backendtest.Bytes(n, 1)
	if got, err := ask(c, data); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, %v, want %d", len(got), err, n)
	}
}

func TestProxyPasses(t *testing.T) {
	t.Parallel()
	for _, line := range []backendtest.Line{{}, {Latency: time.Millisecond}, {Up: 50 << 20, Down: 50 << 20, Latency: time.Millisecond}} {
		p := startProxy(t, line)
		for range 2 {
			c := dial(t, p)
			wantEcho(t, c, 1_000_000)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
				t.Errorf("after the end: got %d bytes, %v, want none", len(rest), err)
			}
		}
		if got, want := p.Traffic(), (backendtest.Traffic{Connections: 2, Up: 2_000_000, Down: 2_000_000}); got != want {
			t.Errorf("%+v: got %+v, want %+v", line, got, want)
		}
	}
}

// TestProxyDelays holds the proxy to what it must take at the least.
func TestProxyDelays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line backendtest.Line
		size int
		want time.Duration
	}{
		{backendtest.Line{Latency: 30 * time.Millisecond}, 1, 120 * time.Millisecond}, // one round trip to connect, one to ask
		{backendtest.Line{Up: 1 << 20}, 104 << 10, 90 * time.Millisecond},
		{backendtest.Line{Down: 1 << 20}, 104 << 10, 90 * time.Millisecond},
	} {
		p := startProxy(t, c.line)
		begun := time.Now()
		wantEcho(t, dial(t, p), c.size)
		if took := time.Since(begun); took < c.want {
			t.Errorf("%+v: %d bytes went and came in %v, want %v", c.line, c.size, took, c.want)
		}
	}
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	p := startProxy(t, backendtest.Line{})
	c, idle := dial(t, p), dial(t, p)
	wantEcho(t, c, 10)
	wantEcho(t, idle, 10)
	p.CutAfter(200_000)
	got, err := ask(c, backendtest.Bytes(500_000, 1))
	if err == nil || len(got) > 200_000 {
		t.Errorf("cut after 200,000 bytes: got %d bytes, %v", len(got), err)
	}
	if n, err := idle.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the other connection: got %d bytes, %v, want an error", n, err)
	}

	c = dial(t, p)
	wantEcho(t, c, 500_000) // once only
	p.Cut()
	if got, err := ask(c, []byte("hello")); err == nil {
		t.Errorf("cut: got %q", got)
	}
	wantEcho(t, dial(t, p), 10)
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	p := startProxy(t, backendtest.Line{})
	c := dial(t, p)
	wantEcho(t, c, 10)
	p.Refuse(true)
	if got, err := ask(c, []byte("hello")); err == nil {
		t.Errorf("refused: got %q on an old connection", got)
	}
	if c, err := net.Dial("tcp", p.Address()); err == nil {
		defer c.Close()
		if got, err := ask(c, []byte("hello")); err == nil {
			t.Errorf("refused: got %q on a new connection", got)
		}
	}
	p.Refuse(false)
	p.SetTarget(echo(t))
	wantEcho(t, dial(t, p), 10)
}

func TestProxyHangs(t *testing.T) {
	t.Parallel()
	p := startProxy(t, backendtest.Line{})
	c := dial(t, p)
	wantEcho(t, c, 10)
	p.Hang(true)
	p.Hang(true)
	for _, c := range []net.Conn{c, dial(t, p)} {
		if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var late net.Error
		if got, err := ask(c, []byte("hello")); !errors.As(err, &late) || !late.Timeout() || len(got) > 0 {
			t.Errorf("hanging: got %q, %v, want nothing in time", got, err)
		}
	}
	p.Hang(false)
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("no longer hanging: got %q, %v, want hello", got, err)
	}
}

func TestWebProxy(t *testing.T) {
	t.Parallel()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Host+" "+string(body))
		w.Header().Set("X-Mine", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("done"))
	}))
	defer server.Close()
	p, err := backendtest.StartWebProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func(method string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, p.URL()+"/a%2Fb?c=d", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "signed.example"
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if res.StatusCode != want || err != nil {
			t.Errorf("got status %d, %v, want %d", res.StatusCode, err, want)
		}
		if ours := res.Header.Get("X-Mine") != "yes" || string(body) != "done"; ours != (want != http.StatusAccepted) {
			t.Errorf("status %d: got %q with %v", want, body, res.Header)
		}
	}
	send("PUT", http.StatusAccepted)
	p.Fail(2, http.StatusServiceUnavailable, false)
	send("PUT", http.StatusServiceUnavailable)
	send("PUT", http.StatusServiceUnavailable)
	send("DELETE", http.StatusAccepted)
	p.Fail(1, http.StatusInternalServerError, true)
	send("POST", http.StatusInternalServerError)

	var want []string
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		want = append(want, method+" /a%2Fb?c=d signed.example body")
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("the server was asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
	if got, want := p.Requests(), map[string]int{"PUT": 3, "DELETE": 1, "POST": 1}; !maps.Equal(got, want) {
		t.Errorf("got requests %v, want %v", got, want)
	}
}

// TestWebProxyCuts passes on an answer that ends too early, and no answer at all, as what they are.
func TestWebProxyCuts(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("part"))
	}))
	defer server.Close()
	p, err := backendtest.StartWebProxy(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	res, err := http.Get(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("got %q, want an error", body)
	}
	server.Close()
	res, err = http.Get(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadGateway {
		t.Errorf("without a server: got status %d, want %d", res.StatusCode, http.StatusBadGateway)
	}
}
