package backend

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxPiece is how much is read or written at once: a slow line moves it well before it counts as stalled.
	maxPiece = 32 << 10

	// minPiece bounds the costs of each on lines with a limit; pieces are a tenth of a second long between the two.
	minPiece = 1 << 10
)

// A link is what the connections of one place share. It may be used concurrently.
type link struct {
	up, down *rate.Limiter // nil is no limit
	stall    time.Duration

	mu         sync.Mutex
	reached    bool      // at the other end somebody answered once
	operations int       // that wait for the place
	since      time.Time // when the first of them began to wait
	warned     time.Time // until when no warning is due: of all that wait, one says so
}

func (o NetworkOptions) newLink() *link {
	return &link{up: limiter(o.Upload), down: limiter(o.Download), stall: o.stall()}
}

func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), piece(bytes))
}

// piece is how many bytes are moved at once with a limit.
func piece(bytes int64) int { return int(min(max(bytes/10, minPiece), maxPiece)) }

// wait counts operations that begin to wait for the place, or with -1 one that no longer does.
func (l *link) wait(operations int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.operations == 0 {
		l.since = time.Now()
	}
	l.operations += operations
}

// waits returns since when an operation has been waiting for the place, or now.
func (l *link) waits() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.operations == 0 {
		return time.Now()
	}
	return l.since
}

func (l *link) reach() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reached = true
}

func (l *link) wasReached() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reached
}

// busy counts an operation that waits for the place.
func (o NetworkOptions) busy(operation func() error) error {
	if o.link != nil {
		o.link.wait(1)
		defer o.link.wait(-1)
	}
	return operation()
}

// idle takes time out of an operation in which it does not wait for the place.
func (o NetworkOptions) idle(work func()) {
	if o.link != nil {
		o.link.wait(-1)
		defer o.link.wait(1)
	}
	work()
}

// warn calls Warn, unless a pause that it was called for is still going on.
func (o NetworkOptions) warn(err error, next time.Duration) {
	if o.Warn == nil {
		return
	}
	if l := o.link; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		if now.Before(l.warned) {
			return
		}
		l.warned = now.Add(next)
	}
	o.Warn(err, next)
}

// errStalled is what a connection says that was given up.
var errStalled = errors.New("the other side does not answer")

// flow is one stream of bytes each way, with the limits of its link.
type flow struct {
	r     io.Reader
	w     io.Writer
	close func() error
	link  *link

	once    sync.Once
	closed  chan struct{}
	watch   *time.Timer
	stalled atomic.Bool
	begun   time.Time
	moved   atomic.Int64 // when bytes moved last, in nanoseconds after begun
	held    atomic.Int64 // how many wait for their turn by the limit
}

// limited gives a pair of pipes the limits of connections. close closes both, and lets reads and writes on them end.
func (o NetworkOptions) limited(r io.Reader, w io.Writer, close func() error) io.ReadWriteCloser {
	return o.newFlow(r, w, close)
}

func (o NetworkOptions) newFlow(r io.Reader, w io.Writer, close func() error) *flow {
	l := o.link
	if l == nil { // a connection that nobody counts operations for always waits
		l = o.newLink()
		l.wait(1)
	}
	l.reach()
	f := &flow{r: r, w: w, close: close, link: l, closed: make(chan struct{}), begun: time.Now()}
	f.watch = time.AfterFunc(math.MaxInt64, f.look)
	f.watch.Reset(l.stall) // not before look can see the timer
	return f
}

// look gives the connection up when nothing has moved for too long while an operation waited.
func (f *flow) look() {
	select {
	case <-f.closed:
		return
	default:
	}
	since := f.link.waits()
	if moved := f.begun.Add(time.Duration(f.moved.Load())); since.Before(moved) {
		since = moved
	}
	if f.held.Load() > 0 {
		since = time.Now()
	}
	if left := f.link.stall - time.Since(since); left > 0 {
		f.watch.Reset(left)
		return
	}
	f.stalled.Store(true)
	_ = f.Close() // that it is closed shows to who waits
}

// Close lets reads and writes end.
func (f *flow) Close() (err error) {
	f.once.Do(func() {
		f.watch.Stop()
		close(f.closed)
		err = f.close()
	})
	return err
}

func (f *flow) Read(p []byte) (int, error) {
	p = p[:min(len(p), pieceOf(f.link.down))]
	n, err := f.r.Read(p)
	f.mark()
	f.hold(f.link.down, n)
	return n, f.say("receive", err)
}

func (f *flow) Write(p []byte) (int, error) {
	written := 0
	for {
		part := p[written:]
		part = part[:min(len(part), pieceOf(f.link.up))]
		f.hold(f.link.up, len(part))
		n, err := f.w.Write(part)
		f.mark()
		written += n
		if err != nil || written == len(p) {
			return written, f.say("send", err)
		}
	}
}

// mark notes that the connection is alive.
func (f *flow) mark() { f.moved.Store(int64(time.Since(f.begun))) }

func pieceOf(l *rate.Limiter) int {
	if l == nil {
		return maxPiece
	}
	return l.Burst()
}

// hold waits until n bytes may travel, or the connection is closed.
func (f *flow) hold(l *rate.Limiter, n int) {
	if l == nil || n == 0 {
		return
	}
	f.held.Add(1)
	defer func() { f.mark(); f.held.Add(-1) }()
	timer := time.NewTimer(l.ReserveN(time.Now(), n).Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.closed:
	}
}

// say marks errors as temporary; the end of what comes is none.
func (f *flow) say(verb string, err error) error {
	switch {
	case f.stalled.Load() && err != nil:
		return temporary(fmt.Errorf("%s: nothing has moved for %v: %w", verb, f.link.stall, errStalled))
	case err == nil || err == io.EOF:
		return err
	default:
		return temporary(fmt.Errorf("%s: %w", verb, withoutAddress(err)))
	}
}

// watchedConn is a connection whose bytes go through a flow.
type watchedConn struct {
	net.Conn
	*flow
}

func (o NetworkOptions) watched(c net.Conn) net.Conn {
	return watchedConn{c, o.newFlow(c, c, c.Close)}
}

func (c watchedConn) Read(p []byte) (int, error)  { return c.flow.Read(p) }
func (c watchedConn) Write(p []byte) (int, error) { return c.flow.Write(p) }
func (c watchedConn) Close() error                { return c.flow.Close() }
