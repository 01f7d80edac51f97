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
	up, down   *rate.Limiter // nil is no limit
	stall      time.Duration
	operations atomic.Int64 // that wait for the place
	since      atomic.Int64 // when the first of them began, in nanoseconds after start
	start      time.Time
}

func (o NetworkOptions) newLink() *link {
	return &link{up: limiter(o.Upload), down: limiter(o.Download), stall: o.stall(), start: time.Now()}
}

func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), piece(bytes))
}

// piece is how many bytes are moved at once with a limit.
func piece(bytes int64) int { return int(min(max(bytes/10, minPiece), maxPiece)) }

func (l *link) now() int64 { return int64(time.Since(l.start)) }

// busy counts an operation that waits for the place.
func (o NetworkOptions) busy(operation func() error) error {
	if o.link == nil {
		return operation()
	}
	if o.link.operations.Add(1) == 1 {
		o.link.since.Store(o.link.now())
	}
	defer o.link.operations.Add(-1)
	return operation()
}

// idle takes time out of an operation in which it does not wait for the place.
func (o NetworkOptions) idle(work func()) {
	if o.link != nil {
		o.link.operations.Add(-1)
		defer func() {
			if o.link.operations.Add(1) == 1 {
				o.link.since.Store(o.link.now())
			}
		}()
	}
	work()
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
	moved   atomic.Int64 // when bytes moved last, in nanoseconds after the link's start
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
		l.operations.Add(1)
	}
	f := &flow{r: r, w: w, close: close, link: l, closed: make(chan struct{})}
	f.moved.Store(l.now())
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
	l := f.link
	last := max(f.moved.Load(), l.since.Load())
	if l.operations.Load() == 0 || f.held.Load() > 0 {
		last = l.now()
	}
	if left := l.stall - time.Duration(l.now()-last); left > 0 {
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
	f.moved.Store(f.link.now())
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
		f.moved.Store(f.link.now())
		written += n
		if err != nil || written == len(p) {
			return written, f.say("send", err)
		}
	}
}

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
	defer f.held.Add(-1)
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
