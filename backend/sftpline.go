package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// An sftpLine is the connection to a server, made when it is needed and made anew when it was lost. It may be used
// concurrently.
type sftpLine struct {
	dial func(ctx context.Context) (*sftpConn, error)
	turn chan struct{} // holds a token while somebody looks at what is below

	conn   *sftpConn // guarded by turn
	closed bool      // guarded by turn
}

// newSFTPLine reads what is needed to reach a server, and does not do so yet.
func newSFTPLine(a sftpAddress, o Options) (*sftpLine, error) {
	l := &sftpLine{turn: make(chan struct{}, 1)}
	switch argv := o.SFTP.argv(a); {
	case len(argv) > 0:
		spoken := false // guarded by turn
		l.dial = func(ctx context.Context) (*sftpConn, error) {
			c, err := o.startSFTP(ctx, argv)
			if err != nil && spoken {
				err = temporary(err)
			}
			spoken = spoken || err == nil
			return c, err
		}
	default:
		route, err := o.SFTP.route(a)
		if err != nil {
			return nil, err
		}
		w := &sftpWay{network: o.Network}
		for _, target := range route {
			keys, err := readHostKeys(target.knownHosts)
			if err != nil {
				return nil, err
			}
			w.hops = append(w.hops, &sftpLogin{options: o.SFTP, network: o.Network, target: target, hostKeys: keys})
		}
		l.dial = w.dial
	}
	return l, nil
}

// get gives the connection that there is, or a new one.
func (l *sftpLine) get(ctx context.Context) (*sftpConn, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	if l.closed {
		return nil, fs.ErrClosed
	}
	if l.conn != nil && !l.conn.isLost() {
		return l.conn, nil
	}
	if l.conn != nil {
		l.conn.end()
	}
	c, err := l.dial(ctx)
	l.conn = c
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return c, err
}

// cancelGrace is how long a cancelled operation may take to notice it before the connection is cut: the other operations
// would lose it too.
const cancelGrace = time.Second

// use runs work, which explains its errors, on the connection.
func (l *sftpLine) use(ctx context.Context, work func(c *sftpConn) error) error {
	c, err := l.get(ctx)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-over:
		case <-time.After(cancelGrace):
			c.cut()
		}
	})
	err = work(c)
	stop()
	close(over)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (l *sftpLine) close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.closed = true
	if l.conn != nil {
		l.conn.end()
		l.conn.waitForCloses()
	}
	return nil
}

// An sftpConn is one connection.
type sftpConn struct {
	*sftp.Client
	answers *sftpAnswers
	shell   *ssh.Client   // nil where a program makes the connection
	cut     func()        // ends it at once
	lost    chan struct{} // closed when it has ended
	why     error         // it ended; to be read then

	mu     sync.Mutex
	over   bool // guarded by mu: nothing is added to closes
	closes sync.WaitGroup
}

// newSFTPConn watches a connection; wait is called when it has ended.
func newSFTPConn(c *sftp.Client, answers *sftpAnswers, shell *ssh.Client, cut, wait func()) *sftpConn {
	conn := &sftpConn{Client: c, answers: answers, shell: shell, cut: cut, lost: make(chan struct{})}
	go func() {
		why := c.Wait()
		cut()
		if shell != nil {
			why = errors.Join(why, shell.Wait())
		}
		conn.why = whyLost(why)
		wait()
		close(conn.lost)
	}()
	return conn
}

func (c *sftpConn) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

// end closes the connection, also one that is lost already.
func (c *sftpConn) end() {
	c.cut()
	<-c.lost
}

// closeLater closes a file that was read, for which nobody needs to wait.
func (c *sftpConn) closeLater(f *sftp.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.closes.Go(func() { _ = f.Close() })
	}
}

// waitForCloses waits for what closeLater has begun. Nothing more is closed then: with the connection all files are.
func (c *sftpConn) waitForCloses() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.closes.Wait()
}

// errConnectionLost is what becomes of all errors that only a connection has.
var errConnectionLost = errors.New("the connection to the server is lost")

// whyLost leaves of the reason why a connection ended what does not name it.
func whyLost(why error) error {
	for _, endless := range []error{errEndlessFolder, errNoData} {
		if errors.Is(why, endless) {
			return endless
		}
	}
	if errors.Is(why, errStalled) {
		return temporary(errStalled)
	}
	return temporary(errConnectionLost)
}

// explain says what an error of package sftp means, without names of the server's.
func (c *sftpConn) explain(err error) error {
	for _, known := range []error{
		nil, fs.ErrNotExist, fs.ErrPermission, fs.ErrExist, context.Canceled, context.DeadlineExceeded, errFull, errors.ErrUnsupported,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if IsTemporary(err) { // from the connection, which is of no use to the next operation either
		c.end()
		return err
	}
	if status, ok := errors.AsType[*sftp.StatusError](err); ok {
		switch status.FxCode() {
		case sftp.ErrSSHFxFailure:
			return errors.New("the server says that it went wrong, and not why")
		case sftp.ErrSSHFxOpUnsupported:
			return fmt.Errorf("the server cannot do that: %w", errors.ErrUnsupported)
		case sftp.ErrSSHFxNoConnection, sftp.ErrSSHFxConnectionLost:
		default:
			return fmt.Errorf("the server answers with status %d", status.Code)
		}
	}
	// What is left is the connection's, but for answers that make no sense, after which it is of no use either.
	return c.ended()
}

// ended ends the connection, if it has not ended, and says why it did.
func (c *sftpConn) ended() error {
	c.end()
	return c.why
}

// isCut reports whether an error is one that a connection has that was cut or hangs.
func isCut(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || IsTemporary(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
