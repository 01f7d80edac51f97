package backend

import "time"

// Temporary is what a place on a network marks its errors with.
func Temporary(err error) error { return temporary(err) }

// Persistent is what Open and Create put around a place on a network, with pauses of no length.
func Persistent(o NetworkOptions, b Backend) Backend {
	o.pause = 2 * time.Nanosecond
	return PersistentSlow(o, b)
}

// PersistentSlow is what Open and Create put around a place on a network.
func PersistentSlow(o NetworkOptions, b Backend) Backend {
	o.link = o.newLink()
	return o.persistent(b)
}

// Hurried are options with short pauses, for tests with servers.
func Hurried(o NetworkOptions) NetworkOptions {
	o.pause, o.settle = time.Millisecond, time.Second
	return o
}
