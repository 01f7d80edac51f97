package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"
)

// noTool says in sftpPlace.tool that the server computes no sums.
const noTool = ""

// maxConfig is far more than a config takes.
const maxConfig = 64 << 10

// Sum lets the server compute the SHA-256 of a file, with sha256sum or shasum, where the account may run programs. Whether
// it may is found out once.
func (p *sftpPlace) Sum(ctx context.Context, f File) (sum [32]byte, how Proof, err error) {
	if err = admit(ctx, f); err == nil {
		select {
		case p.sums <- struct{}{}:
			err = p.line.use(ctx, func(c *sftpConn) (err error) {
				sum, err = p.sum(ctx, c, f)
				return err
			})
			<-p.sums
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return [32]byte{}, "", fmt.Errorf("ask for the SHA-256 of %s: %w", f, err)
	}
	return sum, ProofRead, nil
}

func (p *sftpPlace) sum(ctx context.Context, c *sftpConn, f File) (sum [32]byte, err error) {
	tool := p.tool.Load()
	if tool == nil {
		found, err := p.findTool(ctx, c)
		if err != nil {
			return sum, err
		}
		tool = &found
		p.tool.Store(tool)
	}
	if *tool == noTool {
		return sum, fmt.Errorf("the server runs no program that computes it: %w", errors.ErrUnsupported)
	}
	sum, ok, err := c.runSum(ctx, *tool, p.path(f))
	if err != nil || ok {
		return sum, err
	}
	if _, err := c.Lstat(p.path(f)); err != nil {
		return sum, c.explain(err)
	}
	return sum, errors.New("the server's program cannot read the file")
}

// findTool looks for a program that gives the right sum of the config. That also proves that it sees the same files: some
// servers show other folders to SFTP than to programs.
func (p *sftpPlace) findTool(ctx context.Context, c *sftpConn) (string, error) {
	if c.shell == nil {
		return noTool, nil
	}
	config := make([]byte, maxConfig)
	n, err := c.load(ctx, p.path(File{}), 0, config)
	if err != nil {
		return noTool, fmt.Errorf("load config: %w", err)
	}
	want := sha256.Sum256(config[:n])
	for _, tool := range []string{"sha256sum", "shasum -a 256"} {
		sum, ok, err := c.runSum(ctx, tool, p.path(File{}))
		if err != nil {
			return noTool, err
		}
		if ok && sum == want {
			return tool, nil
		}
	}
	return noTool, nil
}

// maxRest is more than the "  -" that follows a sum.
const maxRest = 1 << 10

// runSum runs a program on a file as its standard input, which no name can make it take for an option. ok tells that it
// gave a sum; the error is one of the connection.
func (c *sftpConn) runSum(ctx context.Context, tool, name string) (sum [32]byte, ok bool, err error) {
	session, err := c.shell.NewSession()
	if err != nil {
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); refused {
			return sum, false, nil
		}
		return sum, false, c.ended()
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	out, err := session.StdoutPipe()
	if err == nil {
		err = session.Start(tool + " < " + quote(name))
	}
	if err != nil {
		return sum, false, c.lostOr(ctx)
	}
	line := make([]byte, hex.EncodedLen(len(sum)))
	_, readErr := io.ReadFull(out, line)
	if _, err := hex.Decode(sum[:], line); err != nil {
		readErr = err
	}
	rest, _ := io.Copy(io.Discard, io.LimitReader(out, maxRest))
	if readErr != nil || rest == maxRest {
		return [32]byte{}, false, c.lostOr(ctx)
	}
	if err := session.Wait(); err != nil {
		return [32]byte{}, false, c.lostOr(ctx)
	}
	return sum, true, nil
}

// lostOr tells a connection that is gone from a program that did not do its work.
func (c *sftpConn) lostOr(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.isLost() {
		return c.ended()
	}
	return nil
}

// quote makes one word of a name for a shell, whatever is in it.
func quote(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
