// Package plist reads and writes property lists, XML and binary, through
// howett.net/plist, with limits: lists from phones and backup folders are
// foreign bytes, and a few hundred of them can nest, repeat or expand without
// end.
package plist

import (
	"bytes"
	"errors"
	"fmt"

	"howett.net/plist"
)

const (
	// MaxSize bounds a list's bytes. Info.plist, the largest there is, has up
	// to 10 MB.
	MaxSize = 64 << 20
	// maxDepth bounds how deep values nest.
	maxDepth = 256
	// maxValues bounds the values of a list once shared ones are counted as
	// often as they are used.
	maxValues = 1 << 20
)

var errUnknown = errors.New("neither XML nor binary")

// Format is one of the two forms in use.
type Format int

const (
	// XML is the form of Info.plist.
	XML Format = plist.XMLFormat
	// Binary is the form of what a phone writes.
	Binary Format = plist.BinaryFormat
)

// UID is a reference within a keyed archive.
type UID = plist.UID

// Unmarshal reads a list into v, as howett.net/plist does. It never panics.
func Unmarshal(data []byte, v any) (err error) {
	if len(data) > MaxSize {
		return fmt.Errorf("read property list: %d bytes are over the limit of %d", len(data), MaxSize)
	}
	if bytes.HasPrefix(data, []byte("bplist")) {
		err = checkBinary(data)
	} else {
		data, err = checkXML(data)
	}
	if err != nil {
		return fmt.Errorf("read property list: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("read property list: malformed")
		}
	}()
	if _, err := plist.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read property list: %w", err)
	}
	return nil
}

// Marshal writes a list. Keys of dictionaries are sorted, so equal values give
// equal bytes.
func Marshal(v any, f Format) ([]byte, error) {
	b, err := plist.MarshalIndent(v, int(f), "\t")
	if err != nil {
		return nil, fmt.Errorf("write property list: %w", err)
	}
	return b, nil
}
