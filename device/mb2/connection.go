package mb2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Names of messages that are used at more than one place.
const (
	processMessage = "DLMessageProcessMessage"
	disconnect     = "DLMessageDisconnect"
)

// farewell is how long a host waits for the phone to take its leave, too.
// Whoever cancels waits for it.
const farewell = 800 * time.Millisecond

// errLeft says that nothing can be written any more.
var errLeft = fmt.Errorf("%w: we took our leave", ErrDisconnected)

// receive reads the next message.
func (s *Session) receive() (string, arguments, error) {
	name, args, err := ReadMessage(s.r)
	if err != nil {
		return "", nil, lost(err)
	}
	s.rec.message(fromPhone, name, args)
	return name, args, nil
}

// read reads the next unit, into memory that the next call uses again.
func (s *Session) read(limit int) ([]byte, error) {
	unit, err := ReadUnit(s.r, s.unit, limit)
	if err != nil {
		return nil, lost(err)
	}
	s.unit = unit[:0]
	return unit, nil
}

// lost marks an error of the connection as [ErrDisconnected]; a violation of
// the protocol stays what it is.
func lost(err error) error {
	switch {
	case errors.Is(err, ErrDesync), errors.Is(err, ErrDisconnected):
		return err
	case errors.Is(err, io.EOF):
		return ErrDisconnected
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, err)
}

// send writes a message, and before it what is queued.
func (s *Session) send(name string, args ...any) error {
	data, err := marshalMessage(name, args)
	if err != nil {
		return err
	}
	s.rec.message(fromHost, name, args)
	if err := s.queue(data); err != nil {
		return err
	}
	return s.flush()
}

// queue adds a unit to those to be written, and writes them when they are many.
func (s *Session) queue(parts ...[]byte) error {
	s.out = AppendUnit(s.out, parts...)
	if len(s.out) < DataSize {
		return nil
	}
	return s.flush()
}

// flush writes the units that are queued.
func (s *Session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.left {
		return errLeft
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	if err != nil {
		return lost(err)
	}
	return nil
}

// Close takes leave of the phone and closes the connection. Whether the phone
// was still there makes no difference; the error says what went wrong with the
// transcript, if anything did.
func (s *Session) Close() error {
	s.leave()
	s.hangUp()
	return s.rec.failed()
}

// hangUp closes the connection, once.
func (s *Session) hangUp() {
	s.closing.Do(func() { _ = s.conn.Close() })
}

// leave writes DLMessageDisconnect behind the unit that is being written. If
// that takes long, the connection is cut.
func (s *Session) leave() {
	timer := time.AfterFunc(farewell, s.hangUp)
	defer timer.Stop()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.left {
		return
	}
	s.left = true
	_ = WriteMessage(s.conn, disconnect, Text) // the phone may be gone already
}

// watch takes leave of the phone when ctx is done. The function that it returns
// ends that; if the leave was taken, it drops what the phone still sends until
// the phone closes, too, or [farewell] is over.
func (s *Session) watch(ctx context.Context) func() {
	done := make(chan struct{})
	var cut *time.Timer
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		cut = time.AfterFunc(farewell, s.hangUp)
		s.leave()
	})
	return func() {
		if stop() {
			return
		}
		_, _ = io.Copy(io.Discard, s.r)
		<-done
		cut.Stop()
		s.hangUp()
	}
}
