package device

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"russet/internal/plist"
)

// label is how we call ourselves to muxers and phones.
const label = "russet"

// within runs f, which reads or writes whole messages on conn, for at most
// limit, or until ctx's own deadline when it has one; a limit of 0 is none. The
// deadline is set through set. When f fails, or ctx ends while it runs, the
// connection is cut, for nobody knows where in the stream it stands.
func within(ctx context.Context, conn net.Conn, set func(time.Time) error, limit time.Duration, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, own := ctx.Deadline(); !own && limit > 0 {
		if err := set(time.Now().Add(limit)); err != nil {
			return err
		}
		defer set(time.Time{})
	}
	stop := context.AfterFunc(ctx, func() { cut(conn) })
	err := f()
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		cut(conn)
	}
	return err
}

// cut closes a connection at once. A TLS connection's own Close would first
// wait until the other side takes its farewell.
func cut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close()
}

// send writes one message of a service.
func send(ctx context.Context, conn net.Conn, limit time.Duration, v any) error {
	return within(ctx, conn, conn.SetWriteDeadline, limit, func() error { return WritePlist(conn, v, plist.XML) })
}

// receive reads one message of a service.
func receive(ctx context.Context, conn net.Conn, limit time.Duration) (dict, error) {
	var d dict
	err := within(ctx, conn, conn.SetReadDeadline, limit, func() error { return unexpected(ReadPlist(conn, &d)) })
	return d, err
}

// call sends one message and reads the answer.
func call(ctx context.Context, conn net.Conn, limit time.Duration, v any) (dict, error) {
	if err := send(ctx, conn, limit, v); err != nil {
		return nil, err
	}
	return receive(ctx, conn, limit)
}
