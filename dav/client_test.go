package dav_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"russet/dav"
	"russet/dav/davtest"
	"russet/merge"
)

// waits returns options that note each pause instead of making it.
func waits(s *davtest.Server, into *[]time.Duration) dav.Options {
	o := s.Options()
	o.Wait = func(ctx context.Context, d time.Duration) error {
		*into = append(*into, d)
		return ctx.Err()
	}
	return o
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		fault davtest.Fault
		want  []time.Duration
		fails bool
	}{
		"429 with seconds":   {davtest.Fault{Status: 429, RetryAfter: "7"}, []time.Duration{7 * time.Second}, false},
		"503 twice":          {davtest.Fault{Status: 503, Times: 2}, []time.Duration{time.Second, 2 * time.Second}, false},
		"503 with a second":  {davtest.Fault{Status: 503, RetryAfter: "0", Times: 2}, []time.Duration{time.Second, 2 * time.Second}, false},
		"502, 504":           {davtest.Fault{Status: 504, Times: 1}, []time.Duration{time.Second}, false},
		"no end of it":       {davtest.Fault{Status: 503, Times: 9}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, true},
		"an hour":            {davtest.Fault{Status: 429, RetryAfter: "3600"}, nil, true},
		"for ever":           {davtest.Fault{Status: 429, RetryAfter: strings.Repeat("9", 30)}, nil, true},
		"nonsense":           {davtest.Fault{Status: 429, RetryAfter: "-1"}, []time.Duration{time.Second}, false},
		"a date long past":   {davtest.Fault{Status: 429, RetryAfter: "Sun, 06 Nov 1994 08:49:37 GMT"}, []time.Duration{time.Second}, false},
		"a date far ahead":   {davtest.Fault{Status: 429, RetryAfter: "Sun, 06 Nov 2094 08:49:37 GMT"}, nil, true},
		"connection cut":     {davtest.Fault{Drop: true}, []time.Duration{time.Second}, false},
		"500 is no weather":  {davtest.Fault{Status: 500}, nil, true},
		"cut in the listing": {davtest.Fault{Cut: 50}, []time.Duration{time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := davtest.Start(t, davtest.Quirks{})
			var got []time.Duration
			c := open(t, waits(s, &got), s.Book(), dav.AddressBook)
			s.Fail(try.fault)
			_, err := c.List(t.Context(), "")
			if (err != nil) != try.fails {
				t.Errorf("got %v, fails: %v", err, try.fails)
			}
			if try.fault.RetryAfter == "3600" && !strings.Contains(err.Error(), "for 1h0m0s") {
				t.Errorf("got %v, want how long it takes", err)
			}
			if !slices.Equal(got, try.want) {
				t.Errorf("waited %v, want %v", got, try.want)
			}
		})
	}
}

// A PUT that was put off is sent again, whatever it depends on.
func TestPutLater(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{NoETags: true})
	var got []time.Duration
	c := open(t, waits(s, &got), s.Book(), dav.AddressBook)
	s.Fail(davtest.Fault{Method: "PUT", Status: 429, RetryAfter: "3", Times: 2})
	if _, err := c.Create(t.Context(), "a", []byte(card("a", "A"))); err != nil {
		t.Fatal(err)
	}
	ref := one(t, c).Ref
	s.Fail(davtest.Fault{Method: "PUT", Status: 503})
	if _, err := c.Update(t.Context(), ref, []byte(card("a", "B"))); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{3 * time.Second, 3 * time.Second, time.Second}; !slices.Equal(got, want) {
		t.Errorf("waited %v, want %v", got, want)
	}
}

// A wait that is cancelled ends the call.
func TestWaitCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := davtest.New(davtest.Quirks{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		o := dav.Dialing(dav.Options{User: davtest.User, Password: davtest.Password}, piped(t, s))
		c := open(t, o, "http://127.0.0.1/dav/books/tester/people/", dav.AddressBook)
		s.Fail(davtest.Fault{Status: 503, RetryAfter: "20", Times: 9})
		start := time.Now()
		if _, err := c.List(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		equal(t, "ended after", time.Since(start), 30*time.Second)
		time.Sleep(2 * time.Minute) // idle connections end
	})
}

// A server that says nothing more is given up after some minutes, not never.
func TestStall(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"before": "", "within": "<multistatus"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang := make(chan struct{})
				o := dav.Dialing(dav.Options{}, piped(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if begin != "" {
						w.WriteHeader(http.StatusMultiStatus)
						_, _ = io.WriteString(w, begin)
						_ = http.NewResponseController(w).Flush()
					}
					<-hang
				})))
				start := time.Now()
				_, err := dav.Open(t.Context(), o, "http://localhost/", dav.AddressBook)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want DeadlineExceeded", err)
				}
				if d := time.Since(start); d > 20*time.Minute {
					t.Errorf("took %v", d)
				}
				close(hang)
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// piped serves connections that exist in memory only.
func piped(t *testing.T, h http.Handler) func(context.Context, string, string) (net.Conn, error) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case l.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	close(l.closed)
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestDigest(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{Digest: true}, "a")
	if _, err := c.Update(t.Context(), one(t, c).Ref, []byte(card("a", "New"))); err != nil {
		t.Fatal(err)
	}
	equal(t, "requests", methods(s, 0), "PROPFIND 401, PROPFIND 207, PROPFIND 207, REPORT 207, PUT 204")
	o := s.Options()
	o.Password = "wrong"
	if _, err := dav.Open(t.Context(), o, s.Book(), dav.AddressBook); !errors.Is(err, merge.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{})
	var got []string
	o := s.Options()
	o.Trace = func(r dav.Request) { got = append(got, r.String()) }
	c := open(t, o, s.Book(), dav.AddressBook)
	s.Fail(davtest.Fault{Drop: true})
	list(t, c, "")
	host := strings.TrimPrefix(s.URL, "http://")
	want := "PROPFIND at " + host + ": 207\nPROPFIND at " + host + ": no answer\nPROPFIND at " + host + ": 207"
	equal(t, "trace", strings.Join(got, "\n"), want)
}

// Everything that reads XML says how deep, and what has a body how long it is.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s, c := book(t, davtest.Quirks{}, "a")
	token := list(t, c, "").Token
	one(t, c)
	s.Put(s.Book(), "b.vcf", card("b", "B"))
	list(t, c, token)
	for _, r := range s.Requests() {
		if r.Header.Get("Depth") == "" || r.Length != int64(len(r.Body)) || r.Header.Get("Accept-Encoding") != "gzip" || r.Header.Get("User-Agent") != "Russet" {
			t.Errorf("%s: %v, length %d", r.Method, r.Header, r.Length)
		}
	}
}

// A redirect keeps method and body, and credentials stay with the host.
func TestRedirects(t *testing.T) {
	t.Parallel()
	foreign := davtest.Start(t, davtest.Quirks{})
	for status, want := range map[int]bool{301: true, 302: true, 307: true, 308: true, 303: false, 300: false} {
		s, _ := book(t, davtest.Quirks{}, "a")
		for _, to := range []string{s.Book() + "a.vcf", foreign.Book() + "a.vcf", "https://evil.example/", "//evil.example/x", "gopher://127.0.0.1/"} {
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/go" {
					w.Header().Set("Location", strings.Replace(to, s.URL, "", 1))
					w.WriteHeader(status)
					return
				}
				s.ServeHTTP(w, r)
			}))
			c := open(t, s.Options(), front.URL+"/dav/books/tester/people/", dav.AddressBook)
			_, err := c.Update(t.Context(), merge.Ref{Href: front.URL + "/go", ETag: one(t, c).ETag}, []byte(card("a", to+strconv.Itoa(status))))
			front.Close()
			if to == s.Book()+"a.vcf" && want {
				equal(t, "stored", s.Items(s.Book())["a.vcf"], card("a", to+strconv.Itoa(status)))
				continue
			}
			if err == nil {
				t.Errorf("%d to %s: no error", status, to)
			}
			if _, host := errors.AsType[*dav.HostError](err); want && strings.Contains(to, "evil") && !host {
				t.Errorf("%d to %s: got %v, want a HostError", status, to, err)
			}
		}
	}
	equal(t, "requests at the foreign host", methods(foreign, 0), "")
}

func TestRedirectLoop(t *testing.T) {
	t.Parallel()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Location", r.URL.Path+"x")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(s.Close)
	if _, err := dav.Open(t.Context(), dav.Options{}, s.URL, dav.AddressBook); err == nil || n > 10 {
		t.Errorf("got %v after %d requests", err, n)
	}
}

// TLS is verified, and needs the right authority.
func TestTLS(t *testing.T) {
	t.Parallel()
	d := davtest.New(davtest.Quirks{})
	s := httptest.NewUnstartedServer(d)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	url := s.URL + "/dav/books/tester/people/"
	n := 0
	o := d.Options()
	o.Trace = func(dav.Request) { n++ }
	if _, err := dav.Open(t.Context(), o, url, dav.AddressBook); err == nil {
		t.Error("an unknown authority is trusted")
	}
	equal(t, "tries", n, 1)
	equal(t, "requests", methods(d, 0), "")
	o.Roots = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if _, err := dav.Open(t.Context(), o, url, dav.AddressBook); err != nil {
		t.Error(err)
	}
}

// What a server sends is bounded when it is expanded.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := davtest.Start(t, davtest.Quirks{Gzip: true})
	n := 0
	o := dav.Bounded(s.Options(), 5000)
	o.Trace = func(dav.Request) { n++ }
	c := open(t, o, s.Book(), dav.AddressBook)
	var hrefs []string
	for i := range 8 { // each fits, three do not
		name := strconv.Itoa(i)
		s.Put(s.Book(), name+".vcf", card(name, strings.Repeat("x", 1000)))
		hrefs = append(hrefs, s.Book()+name+".vcf")
	}
	n = 0
	items, err := c.Get(t.Context(), hrefs)
	if err != nil || len(items) != 8 || n != 1+2+4 {
		t.Errorf("got %d items, %v after %d requests", len(items), err, n)
	}
	s.Put(s.Book(), "9.vcf", card("9", strings.Repeat("x", 6000)))
	if _, err := c.Get(t.Context(), []string{s.Book() + "9.vcf"}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v, want that it is too large", err)
	}
	n = 0
	for i := range 30 {
		s.Put(s.Book(), strconv.Itoa(100+i)+".vcf", card("a", "b"))
	}
	if _, err := c.List(t.Context(), ""); err == nil || n != 1 {
		t.Errorf("got %v after %d requests", err, n)
	}
}
