package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// RcloneOptions are the settings of places that are reached by rclone.
type RcloneOptions struct {
	Program     string        // empty is "rclone", looked for as commands are
	Args        []string      // nil is "serve restic --stdio --b2-hard-delete", as restic has it; the remote follows them
	Connections int           // requests at the same time; zero means 5, as restic has it
	Timeout     time.Duration // for the first answer; zero means a minute, as restic has it
}

const (
	rcloneTimeout = time.Minute
	rcloneEnd     = 5 * time.Second // for rclone to end in when its input has ended
)

// rcloneArgs makes rclone speak the REST protocol on its input and output. B2 keeps old versions of what is removed unless it
// is told not to.
func rcloneArgs() []string { return []string{"serve", "restic", "--stdio", "--b2-hard-delete"} }

// errSilent says that the first answer of rclone took too long.
var errSilent = errors.New("rclone does not answer")

// openRclone opens a place, or with create makes it, as [Open] and [Create] say. remote is the address behind the scheme, as
// rclone spells places: remote:path. The program that it starts runs until the backend is closed; one that dies is started
// again by the next request.
func openRclone(ctx context.Context, remote string, o Options, create bool) (Backend, error) {
	if remote == "" || remote[0] == '-' || strings.ContainsRune(remote, 0) {
		return nil, errAddress("a place of rclone", "it wants the name of a remote, a colon and a path")
	}
	p := &rclone{program: cmp.Or(o.Rclone.Program, "rclone"), args: o.Rclone.Args, network: o.Network}
	if p.args == nil {
		p.args = rcloneArgs()
	}
	p.args = append(slices.Clip(p.args), remote)
	t := &http.Transport{DialContext: p.dial, MaxConnsPerHost: 1, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	// Its storage may be slow, and rclone waits for that longer than we do; that it answers pings shows that it works.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: o.Network.stall() / 3, PingTimeout: o.Network.stall()}
	r := newREST(t, "http://rclone/", o.Rclone.Connections, o.Network.settleTime())
	r.close = func() error { return p.end(rcloneEnd) }

	first, cancel := context.WithTimeoutCause(ctx, cmp.Or(o.Rclone.Timeout, rcloneTimeout), errSilent)
	defer cancel()
	err := r.begin(first, create)
	if err == nil {
		return r, nil
	}
	if first.Err() != nil {
		_ = p.end(0) // it does not listen
	}
	_ = r.Close()
	if ended, ok := errors.AsType[rcloneError](err); ok { // what ends at once ends the next time, too
		is := []error{ErrProgram}
		if errors.Is(ended.error, exec.ErrNotFound) {
			is = append(is, exec.ErrNotFound)
		}
		return nil, fmt.Errorf("start rclone: %w", marked{ended, is})
	}
	if ctx.Err() == nil && first.Err() != nil {
		return nil, fmt.Errorf("start rclone: %w", marked{errSilent, []error{ErrProgram}})
	}
	return nil, err
}

// rclone starts the program, and ends it. It may be used concurrently.
type rclone struct {
	program string
	args    []string
	network NetworkOptions

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // programs that have not ended
	now     *rcloneProcess // the last one that was started
}

// rcloneError says what rclone said before it ended, or why it did not start. It hides what it holds: that there is no program
// does not mean that there is no file.
type rcloneError struct{ error }

// dial starts the program. The transport calls it for its first request, and again when the program has ended.
func (p *rclone) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, rcloneError{fs.ErrClosed}
	}
	c, err := p.start()
	if err != nil {
		return nil, rcloneError{err}
	}
	p.now = c
	return rcloneConn{p.network.limited(c, c, c.Close)}, nil
}

// start leaves paths out of its errors.
func (p *rclone) start() (*rcloneProcess, error) {
	c := &rcloneProcess{ended: make(chan struct{})}
	c.cmd = exec.Command(p.program, p.args...)
	withoutOwnSecrets(c.cmd)
	c.cmd.Stderr = &c.said
	c.cmd.WaitDelay = rcloneEnd // where what it started itself still holds its output
	apart(c.cmd)
	in, toChild, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", errors.Unwrap(err))
	}
	defer in.Close()
	fromChild, out, err := os.Pipe()
	if err != nil {
		_ = toChild.Close()
		return nil, fmt.Errorf("make a pipe: %w", errors.Unwrap(err))
	}
	defer out.Close()
	c.cmd.Stdin, c.cmd.Stdout = in, out
	c.in, c.out = toChild, fromChild
	if err := c.cmd.Start(); err != nil {
		_, _ = toChild.Close(), fromChild.Close()
		for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
			err = e
		}
		return nil, err
	}
	p.running.Go(func() {
		_ = c.cmd.Wait() // what it said tells more than its status
		close(c.ended)
	})
	return c, nil
}

// end lets the program end, kills it when it takes longer than patience, and waits until it is gone.
func (p *rclone) end(patience time.Duration) error {
	p.mu.Lock()
	p.closed = true
	c := p.now
	p.mu.Unlock()
	if c != nil {
		c.end(patience)
	}
	p.running.Wait()
	return nil
}

// A rcloneProcess is a program that runs, and the stream to and from it.
type rcloneProcess struct {
	cmd   *exec.Cmd
	in    *os.File // our ends
	out   *os.File
	said  lastLine
	ended chan struct{} // closed when the program is gone
	once  sync.Once
}

// Read gives what the program said last in the place of the end of its output.
func (c *rcloneProcess) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	return n, c.why(err)
}

// Write gives it when the program takes no more.
func (c *rcloneProcess) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	return n, c.why(err)
}

func (c *rcloneProcess) why(err error) error {
	if err == nil || errors.Is(err, os.ErrClosed) {
		return err
	}
	c.end(rcloneEnd)
	<-c.ended
	return temporary(rcloneError{errors.New("rclone has ended" + c.said.text())})
}

// Close ends reads and writes at once, and lets the program end.
func (c *rcloneProcess) Close() error {
	c.end(rcloneEnd)
	return errors.Join(c.in.Close(), c.out.Close())
}

// end lets the program end, whose input ends, and kills it when it takes longer than patience.
func (c *rcloneProcess) end(patience time.Duration) {
	c.once.Do(func() {
		_ = c.in.Close()
		kill := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
		go func() {
			<-c.ended
			kill.Stop()
		}()
	})
}

// A rcloneConn is what a transport wants of a connection.
type rcloneConn struct{ io.ReadWriteCloser }

// LocalAddr tells nothing.
func (rcloneConn) LocalAddr() net.Addr { return &net.UnixAddr{Name: "rclone", Net: "unix"} }

// RemoteAddr tells nothing.
func (c rcloneConn) RemoteAddr() net.Addr { return c.LocalAddr() }

// SetDeadline does nothing: a stream that stalls is given up by its limits.
func (rcloneConn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline does nothing.
func (rcloneConn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline does nothing.
func (rcloneConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
