package durable

import (
	"errors"
	"fmt"
	"os"
)

// ErrInUse says that another process, or another part of this one, holds a lock.
var ErrInUse = errors.New("another process is using it")

// Lock keeps what a file stands for to one holder, among all that ask for it. The operating system takes it back when
// the process ends, however it ends.
type Lock struct {
	root *os.Root
	name string
	f    *os.File
}

// TryLock takes the lock of the file name, which is made where there is none. It does not wait: the error is ErrInUse
// while another holds it. On a file system without locks (some network shares) everybody gets it. root must stay open
// until Close.
func TryLock(root *os.Root, name string) (*Lock, error) {
	for range attempts {
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", WithoutPath(err))
		}
		if err := lockOpened(f); err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		l := &Lock{root, name, f}
		if l.named() {
			return l, nil
		}
		_ = f.Close() // its last holder has removed it since it was opened
	}
	return nil, fmt.Errorf("lock: %w", ErrInUse)
}

// named tells whether the file that is locked is the one that others find.
func (l *Lock) named() bool {
	info, err := l.f.Stat()
	if err != nil {
		return false
	}
	found, err := l.root.Lstat(l.name)
	return err == nil && os.SameFile(info, found)
}

// Close gives the lock up, and removes its file where the system removes what is open.
func (l *Lock) Close() error {
	_ = l.root.Remove(l.name)
	return l.f.Close()
}
