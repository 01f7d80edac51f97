package backend

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"russet/internal/durable"
)

const (
	spoolFolder = "spool"
	reserveName = spoolFolder + "/reserve"

	// reserveSize holds the locks and the largest index file of a prune with room to spare.
	reserveSize = 32 << 20

	// reserveShare is how many times the reserve must be free before it is made: on a tiny drive the space is
	// worth more to its owner.
	reserveShare = 4
)

// RestoreReserve makes spool/reserve if it is missing or short. A drive with too little free space, or one that cannot
// tell, is no error: the repository works without. The reserve holds random bytes, which no file system can compress or
// leave out.
func (l *Local) RestoreReserve(ctx context.Context) error {
	if info, err := l.root.Lstat(reserveName); err == nil && info.Size() == l.reserve {
		return nil
	}
	if free, err := l.Free(ctx); err != nil || free < reserveShare*l.reserve {
		return ctx.Err()
	}
	if err := l.mkdir(spoolFolder); err != nil {
		return fmt.Errorf("make %s: %w", spoolFolder, err)
	}
	if err := l.fillReserve(ctx); err != nil {
		l.releaseReserve()
		if IsFull(err) {
			return nil
		}
		return fmt.Errorf("write %s: %w", reserveName, durable.WithoutPath(err))
	}
	return nil
}

// fillReserve does not sync: after a power cut the next prune makes it again.
func (l *Local) fillReserve(ctx context.Context) (err error) {
	f, err := l.root.OpenFile(reserveName, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	// The key stream of a cipher is many times faster than the system's random numbers, and as good for this.
	var seed [2 * aes.BlockSize]byte
	_, _ = rand.Read(seed[:]) // never fails: it ends the program instead
	block, err := aes.NewCipher(seed[:aes.BlockSize])
	if err != nil {
		return err
	}
	stream := cipher.NewCTR(block, seed[aes.BlockSize:])
	buf := make([]byte, 1<<20)
	for left := l.reserve; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		stream.XORKeyStream(buf, buf)
		n, err := f.Write(buf[:min(left, int64(len(buf)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// releaseReserve gives the space of the reserve back. The sync makes file systems that free blocks late do it now.
// What goes wrong shows when the write is tried again.
func (l *Local) releaseReserve() {
	if err := l.root.Remove(reserveName); err == nil || !errors.Is(err, fs.ErrNotExist) {
		_ = durable.SyncFolder(l.root, spoolFolder)
	}
}
