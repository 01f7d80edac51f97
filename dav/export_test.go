package dav

import (
	"context"
	"net"
)

// Lookup is for tests of what the DNS says.
type Lookup = lookup

// Dialing returns options that connect with dial.
func Dialing(o Options, dial func(ctx context.Context, network, address string) (net.Conn, error)) Options {
	o.dial = dial
	return o
}

// Looking returns options that ask l instead of the DNS.
func Looking(o Options, l Lookup) Options {
	o.lookup = l
	return o
}

// Bounded returns options that take answers of n bytes at most.
func Bounded(o Options, n int64) Options {
	o.bound = n
	return o
}
