package mb2

import (
	"context"
	"io"
	"strings"
)

// maxIdle bounds how often a file may return nothing and no error.
const maxIdle = 100

// downloadFiles sends the files that the phone asks for, each under exactly the
// name that it used: content, and a code. One that cannot be sent has a code
// and a text, and the others follow. After the last an empty unit.
func (s *Session) downloadFiles(ctx context.Context, args arguments) (reply, error) {
	names, ok := args.texts(0)
	if !ok {
		r := s.refuse("DLMessageDownloadFiles", "something else than names, or too many")
		return r, s.endOfBatch()
	}
	if restores(names) {
		s.enter(PhaseSending)
	} else {
		s.reading()
	}
	var b batch
	for _, name := range names {
		if name == "" { // an empty unit would end the batch
			b.note(name, s.refuse("DLMessageDownloadFiles", "an empty name").status)
			continue
		}
		status, err := s.sendFile(ctx, name)
		if err != nil {
			return reply{}, err
		}
		b.note(name, status)
	}
	return b.reply(), s.endOfBatch()
}

// endOfBatch writes the unit that ends a batch, with the status that follows.
func (s *Session) endOfBatch() error {
	s.rec.end(fromHost)
	return s.queue()
}

// restores reports whether a phone that asks for these files wants content:
// what lies deeper than the manifests.
func restores(names []string) bool {
	return len(names) > 0 && strings.Count(names[0], "/") >= 2 && !strings.Contains(names[0], "/Snapshot/")
}

// sendFile sends one file, or says that it cannot. Its error ends the session.
func (s *Session) sendFile(ctx context.Context, name string) (Status, error) {
	if err := s.queue([]byte(name)); err != nil {
		return 0, err
	}
	run := s.rec.file(fromHost, name)
	defer run.close()
	status, err := s.sendContent(ctx, name, run)
	if err != nil {
		return 0, err
	}
	end := []byte{byte(-status)} // the codes are the statuses without their sign
	run.end(Code(end[0]))
	if status != StatusOK {
		end = append(end, status.text()...)
	} else {
		s.count(1, 0)
	}
	return status, s.queue(end)
}

// sendContent sends the content of one file.
func (s *Session) sendContent(ctx context.Context, name string, run *fileRun) (Status, error) {
	if rule := s.roots.broken(name); rule != "" {
		return s.refuse("DLMessageDownloadFiles", rule).status, nil
	}
	f, err := s.folder.Open(ctx, name)
	if err != nil {
		return s.status(err), nil
	}
	defer f.Close()
	if s.content == nil {
		s.content = make([]byte, DataSize)
	}
	for {
		n, err := fill(f, s.content)
		if n > 0 {
			run.data(s.content[:n])
			if err := s.queue([]byte{byte(CodeData)}, s.content[:n]); err != nil {
				return 0, err
			}
			s.count(0, int64(n))
		}
		if err == io.EOF {
			return StatusOK, nil
		}
		if err != nil {
			// Whatever it is, it is not that there is no such file.
			s.blame(err)
			return StatusIO, nil
		}
	}
}

// fill reads until buf is full. Only io.EOF is the end of a file: a reader that
// fails with io.ErrUnexpectedEOF has lost something, which io.ReadFull would
// take for the end.
func fill(r io.Reader, buf []byte) (int, error) {
	n := 0
	for idle := 0; n < len(buf); idle++ {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			idle = 0
		}
		if idle > maxIdle {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}
