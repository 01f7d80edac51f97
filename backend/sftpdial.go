package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// An sftpWay leads to a server, through others where ssh_config says so.
type sftpWay struct {
	network NetworkOptions
	hops    []*sftpLogin
}

// dial connects to each server through the one before it, and speaks SFTP with the last.
func (w *sftpWay) dial(ctx context.Context) (*sftpConn, error) {
	var clients []*ssh.Client
	cut := func() {
		for _, c := range slices.Backward(clients) {
			_ = c.Close()
		}
	}
	connect := w.network.dial
	for _, hop := range w.hops {
		conn, err := connect(ctx, "tcp", hop.target.address())
		if err == nil {
			var client *ssh.Client
			if client, err = hop.shake(ctx, conn); err == nil {
				clients = append(clients, client)
				connect = client.DialContext
				continue
			}
		} else if len(clients) > 0 {
			err = temporary(errors.New("connect: the server on the way does not reach the next one"))
		}
		cut()
		return nil, err
	}
	last := clients[len(clients)-1]
	client, answers, err := startSubsystem(ctx, last)
	if err != nil {
		cut()
		return nil, err
	}
	return newSFTPConn(client, answers, last, cut, func() {}), nil
}

// shake agrees with a server on keys, looks at its host key and logs in. It closes conn on an error.
func (l *sftpLogin) shake(ctx context.Context, conn net.Conn) (*ssh.Client, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	methods, closeAgent := l.methods(ctx)
	defer closeAgent()
	config := &ssh.ClientConfig{
		User:              l.target.user,
		Auth:              methods,
		HostKeyCallback:   l.hostKeys.verify,
		HostKeyAlgorithms: l.hostKeys.algorithms(l.target.known),
	}
	c, channels, requests, err := ssh.NewClientConn(conn, l.target.known, config)
	if err != nil {
		_ = conn.Close()
		return nil, l.explain(ctx, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

// explain says why nobody could log in, without names.
func (l *sftpLogin) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if key, ok := errors.AsType[*HostKeyError](err); ok {
		return key
	}
	if l.failed != nil {
		return l.failed
	}
	if none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		if strings.Contains(none.What, "host key") {
			return fmt.Errorf("check the host key: the server has none of the types that are known or that can be trusted: %w", fs.ErrPermission)
		}
		return fmt.Errorf("connect: the server offers no %s that can be trusted: %w", none.What, errors.ErrUnsupported)
	}
	if isCut(err) {
		return whyLost(err)
	}
	return fmt.Errorf("log in: the server takes neither a key nor a password that there is: %w", fs.ErrPermission)
}

// startSubsystem starts SFTP on a connection.
func startSubsystem(ctx context.Context, shell *ssh.Client) (*sftp.Client, *sftpAnswers, error) {
	stop := context.AfterFunc(ctx, func() { _ = shell.Close() })
	defer stop()
	client, answers, err := subsystem(shell)
	switch {
	case err == nil:
		return client, answers, nil
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case isCut(err):
		return nil, nil, whyLost(err)
	default:
		return nil, nil, fmt.Errorf("start SFTP: the server does not offer it: %w", errors.ErrUnsupported)
	}
}

// subsystem is sftp.NewClient with an eye on what the server sends.
func subsystem(shell *ssh.Client) (*sftp.Client, *sftpAnswers, error) {
	session, err := shell.NewSession()
	if err != nil {
		return nil, nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	said, err := session.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return nil, nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // until the connection ends: it must not fill up
	answers := newSFTPAnswers(out)
	client, err := sftp.NewClientPipe(answers, in)
	return client, answers, err
}

// argv is the program to run, or nothing.
func (o SFTPOptions) argv(a sftpAddress) []string {
	if len(o.Command) > 0 || len(o.Args) == 0 {
		return o.Command
	}
	argv := []string{"ssh"}
	if a.port != "" {
		argv = append(argv, "-p", a.port)
	}
	if a.user != "" {
		argv = append(argv, "-l", a.user)
	}
	return slices.Concat(argv, o.Args, []string{"-s", "--", a.host, "sftp"})
}

// startSFTP starts a program that speaks SFTP. What may pass is not told from what does not.
func (o Options) startSFTP(ctx context.Context, argv []string) (*sftpConn, error) {
	program := exec.Command(argv[0], argv[1:]...)
	withoutOwnSecrets(program)
	program.Stderr = o.SFTP.Stderr
	program.WaitDelay = time.Second // what it started may keep its standard error open
	in, err := program.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the program for SFTP: %w", err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the program for SFTP: %w", err)
	}
	if err := program.Start(); err != nil {
		return nil, fmt.Errorf("start the program for SFTP: %w", marked{programError(err), []error{ErrProgram}})
	}
	cut := func() {
		_ = in.Close()
		_ = program.Process.Kill()
	}
	stop := context.AfterFunc(ctx, cut)
	defer stop()
	stream := o.Network.limited(out, in, func() error {
		cut()
		return nil
	})
	answers := newSFTPAnswers(stream)
	client, err := sftp.NewClientPipe(answers, stream)
	if err == nil {
		return newSFTPConn(client, answers, nil, func() { _ = stream.Close() }, func() { _ = program.Wait() }), nil
	}
	_ = stream.Close()
	code := ""
	if exit, ok := errors.AsType[*exec.ExitError](program.Wait()); ok && exit.Exited() {
		code = " and ends with " + strconv.Itoa(exit.ExitCode())
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, mark("start the program for SFTP: it does not speak SFTP"+code, ErrProgram)
}

// programError leaves the program's name out, which may hold a host's.
func programError(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
