package dav

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Limits and times of requests.
const (
	// maxBody bounds an answer, expanded: 100,000 items of a listing, or an item.
	maxBody = 64 << 20
	// maxRedirects bounds the redirects of one request.
	maxRedirects = 5
	// maxTries bounds how often a request is made when it fails in passing.
	maxTries = 4
	// firstWait is before the second try; it doubles with each further one.
	firstWait = time.Second
	// maxWait is the longest Retry-After that is waited for.
	maxWait = 2 * time.Minute
	// stall ends a request of which no byte moved for so long. Servers with large
	// collections think for long.
	stall = 3 * time.Minute
)

var errTooLarge = errors.New("the answer is too large")

// client makes requests of one server. Its methods are called one at a time.
type client struct {
	o      Options
	home   *url.URL // what the user gave: see resolve
	rt     http.RoundTripper
	digest *digest // once the server wanted it
}

func newClient(o Options, home *url.URL) *client {
	if o.dial == nil {
		o.dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.lookup == nil {
		o.lookup = net.DefaultResolver
	}
	if o.bound == 0 {
		o.bound = maxBody
	}
	return &client{o: o, home: home, rt: &http.Transport{
		DialContext:            o.dial,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    30 * time.Second,
		IdleConnTimeout:        time.Minute,
		MaxConnsPerHost:        2,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // send asks for it and bounds what comes out
	}}
}

// wait is Options.Wait where the caller has none.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is what is asked of a server.
type call struct {
	method string
	url    *url.URL
	header map[string]string
	body   []byte // nil: none
	what   string // for errors: verb and object
	// repeat says that it may be sent again when nobody knows whether the server
	// has carried it out.
	repeat bool
}

// answer is what the server said, whatever its status.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL // after redirects
	// precondition is the name of what was not met, if the server says one.
	precondition string
	// unsure says that an earlier try may have been carried out.
	unsure bool
}

// do makes a request, again after a while where that may help. What it returns
// has any status but one of those after which it tried until it gave up.
func (c *client) do(ctx context.Context, q call) (*answer, error) {
	unsure := false
	delay := firstWait
	for try := 1; ; try++ {
		a, sent, err := c.follow(ctx, q)
		if err == nil && !passing(a.status) {
			a.unsure = unsure
			a.explain(q.method)
			return a, nil
		}
		refused := err == nil && (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable)
		unsure = unsure || sent && !refused
		pause := delay
		if err == nil {
			err = c.statusError(q, a, nil)
			pause = retryAfter(a.header.Get("Retry-After"), time.Now(), delay)
		} else if !passingError(err) {
			return nil, c.lost(q, unsure, err)
		}
		if pause > maxWait {
			err = fmt.Errorf("%w; it wants to be left alone for %v", err, pause.Truncate(time.Second))
		}
		if try == maxTries || pause > maxWait || unsure && !q.repeat || ctx.Err() != nil {
			return nil, c.lost(q, unsure, err)
		}
		if errWait := c.o.Wait(ctx, pause); errWait != nil {
			return nil, c.lost(q, unsure, fmt.Errorf("%s: %w", q.what, errWait))
		}
		delay *= 2
	}
}

// lost says of a write that may have been carried out that nobody knows.
func (c *client) lost(q call, unsure bool, err error) error {
	if unsure && writes(q.method) {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

func writes(method string) bool { return method == http.MethodPut || method == http.MethodDelete }

// passing reports whether a status is one that goes away by itself.
func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusBadGateway ||
		status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// passingError reports whether a request without an answer is worth another.
func passingError(err error) bool {
	_, host := errors.AsType[*HostError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	return !host && !cert && !(isDNS && dns.IsNotFound) && !errors.Is(err, errTooLarge) && !errors.Is(err, errRedirect)
}

var errRedirect = errors.New("a redirect that leads nowhere")

// follow makes a request and goes where redirects lead, with method and body
// kept. sent says that the server may have seen it.
func (c *client) follow(ctx context.Context, q call) (a *answer, sent bool, err error) {
	at, asked := q.url, false
	for range maxRedirects + 1 {
		a, sent, err = c.send(ctx, q, at)
		if err != nil {
			return nil, sent, fmt.Errorf("%s: %w", q.what, err)
		}
		switch a.status {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			if at, err = c.resolve(at, a.header.Get("Location")); err != nil {
				return nil, false, fmt.Errorf("%s: follow redirect: %w", q.what, err)
			}
			if at.String() == a.url.String() {
				return nil, false, fmt.Errorf("%s: %w", q.what, errRedirect)
			}
			continue
		case http.StatusUnauthorized:
			if d := challenge(a.header.Values("WWW-Authenticate")); d != nil && !asked && c.o.User != "" {
				c.digest, asked = d, true
				continue
			}
		}
		return a, sent, nil
	}
	return nil, false, fmt.Errorf("%s: %w", q.what, errRedirect)
}

// send makes one request. It is the only place where credentials leave.
func (c *client) send(ctx context.Context, q call, at *url.URL) (a *answer, sent bool, err error) {
	if !c.trusted(at) {
		return nil, false, &HostError{Host: at.Host}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no byte moved for %v: %w", stall, context.DeadlineExceeded)) })
	defer idle.Stop()
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	req, err := c.request(httptrace.WithClientTrace(ctx, trace), q, at, idle)
	if err != nil {
		return nil, false, err
	}
	resp, err := c.rt.RoundTrip(req)
	if c.o.Trace != nil {
		r := Request{Method: q.method, Host: at.Host}
		if err == nil {
			r.Status = resp.StatusCode
		}
		c.o.Trace(r)
	}
	if err != nil {
		return nil, connected, cmp.Or(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	a = &answer{status: resp.StatusCode, header: resp.Header, url: at}
	a.body, err = c.readBody(resp, idle)
	if err != nil && (writes(q.method) || resp.StatusCode/100 != 2) {
		a.body, err = nil, nil // the status says it all
	}
	if err != nil {
		return nil, true, fmt.Errorf("read answer: %w", cmp.Or(context.Cause(ctx), err))
	}
	return a, true, nil
}

func (c *client) request(ctx context.Context, q call, at *url.URL, idle *time.Timer) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: malformed") // the cause would repeat the URL
	}
	if q.body != nil {
		req.ContentLength = int64(len(q.body))
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(&moving{r: bytes.NewReader(q.body), idle: idle}), nil
		}
		req.Body, _ = req.GetBody()
	}
	req.Header.Set("User-Agent", "Russet")
	req.Header.Set("Accept-Encoding", "gzip")
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	switch {
	case c.o.User == "":
	case c.digest != nil:
		req.Header.Set("Authorization", c.digest.answer(c.o.User, c.o.Password, q.method, at.RequestURI()))
	default:
		req.SetBasicAuth(c.o.User, c.o.Password)
	}
	return req, nil
}

// moving puts off the end of a request that stalls with each read.
type moving struct {
	r    io.Reader
	idle *time.Timer
}

func (m *moving) Read(p []byte) (int, error) {
	m.idle.Reset(stall)
	return m.r.Read(p)
}

// readBody reads a body that may be compressed. A cut one is an error.
func (c *client) readBody(resp *http.Response, idle *time.Timer) ([]byte, error) {
	var r io.Reader = &moving{r: resp.Body, idle: idle}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(r)
		if errors.Is(err, io.EOF) {
			return nil, nil // no body at all
		}
		if err != nil {
			return nil, err
		}
		r = z
	}
	body, err := io.ReadAll(io.LimitReader(r, c.o.bound+1))
	if err == nil && int64(len(body)) > c.o.bound {
		err = errTooLarge
	}
	return body, err
}

// retryAfter returns how long a server wants us to wait: seconds, or a date (RFC
// 9110 section 10.2.3). otherwise is for where it says nothing or nonsense.
func retryAfter(s string, now time.Time, otherwise time.Duration) time.Duration {
	s = strings.TrimSpace(s)
	if s != "" && strings.Trim(s, "0123456789") == "" {
		if len(s) > 9 {
			return maxWait + 1
		}
		if d, err := time.ParseDuration(s + "s"); err == nil {
			return max(d, otherwise)
		}
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), otherwise)
	}
	return otherwise
}

// propfind asks for properties, and reports each response.
func (c *client) propfind(ctx context.Context, at *url.URL, depth, what string, props []prop, yield func(at *url.URL, r response) error) (*url.URL, error) {
	body := xmlStart + `<propfind ` + xmlNames + `>` + propList(props) + `</propfind>`
	a, err := c.do(ctx, call{
		method: "PROPFIND", url: at, what: what, body: []byte(body), repeat: true,
		header: map[string]string{"Depth": depth, "Content-Type": xmlType},
	})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusMultiStatus {
		return nil, c.statusError(call{method: "PROPFIND", what: what, url: at}, a, readMeaning(a.status))
	}
	_, err = readMultistatus(a.body, func(r response) error { return yield(a.url, r) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return a.url, nil
}

// What requests with XML begin with.
const (
	xmlType  = "application/xml; charset=utf-8"
	xmlStart = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	xmlNames = `xmlns="DAV:" xmlns:A="` + nsCard + `" xmlns:C="` + nsCal + `" xmlns:S="` + nsServer + `" xmlns:I="` + nsApple + `"`
)

// prop is a property as our requests spell it, with the prefixes of xmlNames.
type prop string

func propList(props []prop) string {
	var b strings.Builder
	b.WriteString("<prop>")
	for _, p := range slices.Sorted(slices.Values(props)) {
		b.WriteString("<" + string(p) + "/>")
	}
	b.WriteString("</prop>")
	return b.String()
}
