package mb2

import (
	"context"
	"fmt"
)

const (
	// maxUpload bounds the files in one batch that a phone sends. Phones send
	// 128.
	maxUpload = 1 << 20
	// maxFileText bounds what a phone says of a file, in bytes.
	maxFileText = 1024
)

// reception is one batch of files that the phone sends.
type reception struct {
	status Status // the first failure, which is what the phone is told
	closed bool   // after a failure of the folder: the rest is read and dropped
}

// fail notes the first failure.
func (b *reception) fail(status Status) {
	if b.status == StatusOK {
		b.status = status
	}
}

// uploadFiles takes the files that follow the order on the wire: for each the
// path on the phone, the name in the folder, content, and a code; after the
// last an empty unit. What the phone could not read is reported and is no
// failure of the batch.
func (s *Session) uploadFiles(ctx context.Context, _ arguments) (reply, error) {
	if s.progress.Phase < PhaseReceiving {
		s.enter(PhaseReceiving)
	}
	var b reception
	for range maxUpload {
		unit, err := s.read(MaxName)
		if err != nil {
			return reply{}, err
		}
		if len(unit) == 0 {
			s.rec.end(fromPhone)
			return reply{status: b.status}, nil
		}
		path := string(unit)
		if unit, err = s.read(MaxName); err != nil {
			return reply{}, err
		}
		if err := s.receiveFile(ctx, &b, path, string(unit)); err != nil {
			return reply{}, err
		}
	}
	return reply{}, fmt.Errorf("%w: over %d files in one batch", ErrDesync, maxUpload)
}

// create begins a file in the folder, unless it is not to be.
func (s *Session) create(ctx context.Context, b *reception, path, name string) File {
	if rule := s.roots.broken(name); rule != "" {
		b.fail(s.refuse("DLMessageUploadFiles", rule).status)
		return nil
	}
	if b.closed {
		return nil
	}
	var f File
	var err error
	if folder, ok := s.folder.(Sourced); ok {
		f, err = folder.CreateFrom(ctx, name, path)
	} else {
		f, err = s.folder.Create(ctx, name)
	}
	if err != nil {
		s.rejected(b, err)
		return nil
	}
	return f
}

// rejected notes that the folder does not take a file: the phone must hear of
// it, whatever the reason.
func (s *Session) rejected(b *reception, err error) {
	b.fail(StatusOf(err))
	b.closed = true
	s.blame(err)
}

// receiveFile takes the content of one file. It is committed only where the
// phone ended it as complete.
func (s *Session) receiveFile(ctx context.Context, b *reception, path, name string) error {
	f := s.create(ctx, b, path, name)
	defer func() {
		if f != nil {
			f.Abort()
		}
	}()
	run := s.rec.file(fromPhone, name)
	defer run.close()
	for {
		unit, err := s.read(MaxData)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(unit) == 0 {
			return fmt.Errorf("%w: a file without an end", ErrDesync)
		}
		code, rest := Code(unit[0]), unit[1:]
		if code == CodeData {
			run.data(rest)
			if f != nil {
				if _, err := f.Write(rest); err != nil {
					f.Abort()
					f = nil
					s.rejected(b, err)
				}
			}
			s.count(0, int64(len(rest)))
			continue
		}
		run.end(code)
		if code != CodeEnd {
			s.unread(FileError{
				DevicePath: shown(path, maxPath), Name: shown(name, maxPath), Code: code, Text: shown(string(rest), maxFileText),
			})
			return nil
		}
		if f == nil {
			return nil
		}
		err = f.Commit()
		f = nil
		if err != nil {
			s.rejected(b, err)
			return nil
		}
		s.count(1, 0)
		return nil
	}
}

// unread reports a file that the phone could not read.
func (s *Session) unread(e FileError) {
	s.result.Unread++
	if len(s.result.FileErrors) < MaxFileErrors {
		s.result.FileErrors = append(s.result.FileErrors, e)
	}
	if s.o.FileError != nil {
		s.o.FileError(e)
	}
}
