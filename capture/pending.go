package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"

	"russet/chunk"
	"russet/crypto"
	"russet/index"
	"russet/internal/durable"
	"russet/repo"
)

// Pending lists the devices below spool of whose runs something is kept: each
// may be one to drain, or one to continue.
func Pending(spool *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(spool.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	var udids []string
	for _, e := range entries {
		if !e.IsDir() || legalDevice(e.Name()) != nil {
			continue
		}
		if _, err := spool.Lstat(path.Join(e.Name(), journalName)); err == nil {
			udids = append(udids, e.Name())
		}
	}
	return udids, nil
}

// PendingBlobs yields the blobs that runs below spool have stored and that no
// snapshot names yet, some more than once: a prune that removed them would make a
// phone send everything again, or end a run whose phone has answered. A journal
// that cannot be believed is no error: nobody can go on from it.
func PendingBlobs(spool *os.Root, r *repo.Repository) iter.Seq2[index.Handle, error] {
	return func(yield func(index.Handle, error) bool) {
		udids, err := Pending(spool)
		if err != nil {
			yield(index.Handle{}, err)
			return
		}
		for _, udid := range udids {
			stopped := errors.New("enough")
			err := journalBlobs(spool, udid, r.Key(), func(id chunk.ID) error {
				if !yield(index.Handle{ID: id, Type: index.Data}, nil) {
					return stopped
				}
				return nil
			})
			if err == stopped {
				return
			}
			if err != nil && !errors.Is(err, errJournal) && !errors.Is(err, fs.ErrNotExist) {
				yield(index.Handle{}, err)
				return
			}
		}
	}
}

// journalBlobs calls each for the blobs in one device's journal, which it leaves
// as it is.
func journalBlobs(spool *os.Root, udid string, key *crypto.Key, each func(chunk.ID) error) error {
	root, err := spool.OpenRoot(udid)
	if err != nil {
		return fmt.Errorf("read journal: %w", durable.WithoutPath(err))
	}
	defer root.Close()
	j := &journal{frameSeal: frameSeal{key: key}, root: root}
	f, size, err := j.open(os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = j.frames(f, size, func(op operation) error {
		for _, id := range op.held.ids {
			if err := each(id); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
