package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
		return nil, errAddress("place of rclone")
	}
	p := &rclone{program: cmp.Or(o.Rclone.Program, "rclone"), args: o.Rclone.Args}
	if p.args == nil {
		p.args = rcloneArgs()
	}
	p.args = append(slices.Clip(p.args), remote)
	t := &http.Transport{DialContext: p.dial, MaxConnsPerHost: 1, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	r := newREST(t, "http://rclone/", o.Rclone.Connections)
	r.close = p.end

	first, cancel := context.WithTimeoutCause(ctx, cmp.Or(o.Rclone.Timeout, rcloneTimeout), errSilent)
	defer cancel()
	err := r.begin(first, create)
	if err == nil {
		return r, nil
	}
	_ = r.Close()
	if ended, ok := errors.AsType[rcloneError](err); ok { // what ends at once ends the next time, too
		return nil, fmt.Errorf("start rclone: %w", ended)
	}
	if ctx.Err() == nil && first.Err() != nil {
		return nil, temporary(fmt.Errorf("start rclone: %w", errSilent))
	}
	return nil, err
}

// rclone starts the program, and ends it. It may be used concurrently.
type rclone struct {
	program string
	args    []string

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // programs that have not ended
	now     *rcloneConn    // the last one that was started
}

// rcloneError says what rclone said before it ended, or why it did not start.
type rcloneError struct{ error }

func (e rcloneError) Unwrap() error { return e.error }

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
	return c, nil
}

// start leaves paths out of its errors.
func (p *rclone) start() (*rcloneConn, error) {
	c := &rcloneConn{ended: make(chan struct{})}
	c.cmd = exec.Command(p.program, p.args...)
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
		if e := errors.Unwrap(err); e != nil {
			err = e // it holds the path
		}
		return nil, err
	}
	p.running.Go(func() {
		_ = c.cmd.Wait() // what it said tells more than its status
		close(c.ended)
	})
	return c, nil
}

// end ends the program and waits until it is gone.
func (p *rclone) end() error {
	p.mu.Lock()
	p.closed = true
	c := p.now
	p.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
	p.running.Wait()
	return nil
}

// A rcloneConn is a connection to a program that runs.
type rcloneConn struct {
	cmd   *exec.Cmd
	in    *os.File // our ends
	out   *os.File
	said  lastLine
	ended chan struct{} // closed when the program is gone
	once  sync.Once
}

// Read gives what the program said last in the place of the end of its output.
func (c *rcloneConn) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	return n, c.why(err)
}

// Write gives it when the program takes no more.
func (c *rcloneConn) Write(p []byte) (int, error) {
	n, err := c.in.Write(p)
	return n, c.why(err)
}

func (c *rcloneConn) why(err error) error {
	if err == nil {
		return nil
	}
	_ = c.Close()
	<-c.ended
	return temporary(rcloneError{errors.New("rclone has ended" + c.said.text())})
}

// Close lets the program end, and kills it when it does not.
func (c *rcloneConn) Close() error {
	c.once.Do(func() {
		_ = c.in.Close()
		kill := time.AfterFunc(rcloneEnd, func() { _ = c.cmd.Process.Kill() })
		go func() {
			<-c.ended
			kill.Stop()
			_ = c.out.Close()
		}()
	})
	return nil
}

// LocalAddr and RemoteAddr are what a connection has, and tell nothing.
func (c *rcloneConn) LocalAddr() net.Addr { return &net.UnixAddr{Name: "rclone", Net: "unix"} }

// RemoteAddr is the same.
func (c *rcloneConn) RemoteAddr() net.Addr { return c.LocalAddr() }

// SetDeadline sets both; pipes of Windows have none.
func (c *rcloneConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is that of the pipe.
func (c *rcloneConn) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline is that of the pipe.
func (c *rcloneConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }
