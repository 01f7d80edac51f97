//go:build !linux

package durable

import "os"

// writeUncached leaves to the system what it keeps in its cache.
func writeUncached(f *os.File, data []byte) error { return writeCached(f, data) }
