//go:build !linux

package durable

import "os"

// uncache does nothing: the system decides.
func uncache(*os.File) {}
