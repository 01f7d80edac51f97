//go:build !linux

package repo

import (
	"errors"
	"os"
)

// makeSpecial would make a FIFO or a device in a folder: outside Linux there is
// no safe way to.
func makeSpecial(*os.File, *Node) error { return errors.ErrUnsupported }

// setAttributeAt would set an extended attribute of a link or special file.
func setAttributeAt(*os.File, string, ExtendedAttribute) error { return errors.ErrUnsupported }
