package agent

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"russet/device/mb2"
	"russet/ios"
)

// fileSink keeps a file of the host in the state directory.
type fileSink struct {
	f   *os.File
	w   *bufio.Writer
	sum hash.Hash
}

func (s *session) newFileSink(name string) (*fileSink, error) {
	if err := s.p.drop(name); err != nil {
		return nil, err
	}
	f, err := s.p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &fileSink{f: f, w: bufio.NewWriterSize(f, 256<<10), sum: sha256.New()}, nil
}

// Write implements io.Writer.
func (k *fileSink) Write(p []byte) (int, error) {
	k.sum.Write(p)
	return k.w.Write(p)
}

// Close writes what is buffered.
func (k *fileSink) Close() error { return errors.Join(k.w.Flush(), k.f.Close()) }

// Abort gives the file up.
func (k *fileSink) Abort() { _ = k.f.Close() }

// fetchDatabase reads a manifest of the host into the file that is worked on,
// in plain. A code of the host is no error; one that cannot be decrypted is
// reported as StatusIO. sum is that of the bytes on the host.
func (s *session) fetchDatabase(path string, key *ios.Key) (code mb2.Status, sum []byte, err error) {
	name := workName
	if key != nil {
		name = storedName
	}
	k, err := s.newFileSink(name)
	if err != nil {
		return 0, nil, err
	}
	defer k.f.Close()
	if code, err = s.downloadOne(path, 0, k); err != nil || code != mb2.StatusOK {
		return code, nil, err
	}
	sum = k.sum.Sum(nil)
	if key == nil {
		return mb2.StatusOK, sum, nil
	}
	if err := s.decrypt(storedName, workName, *key); errors.Is(err, ios.ErrPadding) {
		return mb2.StatusIO, sum, nil
	} else if err != nil {
		return 0, nil, err
	}
	return mb2.StatusOK, sum, s.p.drop(storedName)
}

// decrypt makes the plaintext of a file of the state directory.
func (s *session) decrypt(from, to string, key ios.Key) error {
	src, err := s.p.root.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := s.newFileSink(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst.w, ios.NewDecrypter(src, key)); err != nil {
		dst.Abort()
		return err
	}
	return dst.Close()
}
