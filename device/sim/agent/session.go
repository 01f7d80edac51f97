package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"russet/device/mb2"
)

// The messages of DeviceLink that both ends know.
const (
	msgVersion    = "DLMessageVersionExchange"
	msgReady      = "DLMessageDeviceReady"
	msgProcess    = "DLMessageProcessMessage"
	msgDisconnect = "DLMessageDisconnect"
	msgPing       = "DLMessagePing"
	msgStatus     = "DLMessageStatusResponse"
)

// ErrCut says that the connection was ended because the script says so.
var ErrCut = errors.New("the connection was cut as the script says")

// ErrGone says that the host said goodbye in the middle of a run.
var ErrGone = errors.New("the host has disconnected")

// Event is something that happened in a session, for a log.
type Event struct {
	Step         int
	Message      string // that was sent or read, or "file" and "end" within an upload
	Path         string // below the host's folder, where the message has one
	Phase        Phase  // that began
	Notification string // that was posted
	Violation    *Violation
}

// Report says what a session did.
type Report struct {
	Request    string // the last one
	Steps      int    // messages and answers, and two for each file that was sent
	Full       bool   // the backup is a full one
	Fallback   string // why, where the host showed a backup that was finished
	Resumed    bool   // it went on with one that was cut
	Sent       int    // files
	Bytes      int64  // of them, as stored
	Kept       int    // files that were not sent
	Removed    int    // files that the phone does not have any more
	Restored   int    // files
	Code       int    // of the last final answer
	Answered   bool   // there was one
	DeviceLink int    // the version that was agreed upon

	Violations []*Violation // the first 100
}

// maxViolations bounds what a report holds.
const maxViolations = 100

// session is one connection.
type session struct {
	p      *Phone
	script Script
	conn   io.ReadWriteCloser
	r      *peekReader
	w      *bufio.Writer
	report Report
	due    *Answer // to be given before the next message
	sent   int     // files, for the script's numbers
	buf    []byte  // a data unit behind its code
}

func newSession(p *Phone, conn io.ReadWriteCloser, script Script) *session {
	return &session{
		p: p, script: script, conn: conn,
		r: &peekReader{r: bufio.NewReaderSize(conn, 64<<10)}, w: bufio.NewWriterSize(conn, 64<<10),
		buf: make([]byte, 1+script.Unit),
	}
}

// peekReader lets a session notice what comes while it waits for something else.
type peekReader struct {
	r       *bufio.Reader
	pending chan error // the result of a Peek that is on its way
}

// peek returns a channel that gets a value when there is something to read.
func (p *peekReader) peek() <-chan error {
	if p.pending == nil {
		c := make(chan error, 1)
		p.pending = c
		go func() {
			_, err := p.r.Peek(1)
			c <- err
		}()
	}
	return p.pending
}

// settle waits until nobody else reads.
func (p *peekReader) settle() {
	if p.pending != nil {
		<-p.pending
		p.pending = nil
	}
}

// Read implements io.Reader.
func (p *peekReader) Read(b []byte) (int, error) {
	p.settle()
	return p.r.Read(b)
}

// broken records that the host broke a rule, and returns that as an error.
func (s *session) broken(rule Rule, format string, args ...any) error {
	v := &Violation{Rule: rule, Step: s.report.Steps, Detail: fmt.Sprintf(format, args...)}
	if !s.p.allows(rule) && len(s.report.Violations) < maxViolations {
		s.report.Violations = append(s.report.Violations, v)
	}
	s.event(Event{Violation: v})
	return v
}

func (s *session) event(e Event) {
	if s.p.o.Event != nil {
		e.Step = s.report.Steps
		s.p.o.Event(e)
	}
}

func (s *session) notify(name string) {
	s.event(Event{Notification: name})
	if s.p.o.Notify != nil {
		s.p.o.Notify(name)
	}
}

// step counts what is about to happen. The script may end the connection here.
func (s *session) step(message, path string) error {
	s.report.Steps++
	s.event(Event{Message: message, Path: path})
	if s.script.Disconnect == s.report.Steps {
		_ = s.w.Flush() // what was written before has arrived
		_ = s.conn.Close()
		return ErrCut
	}
	for i := range s.script.Respond {
		if a := &s.script.Respond[i]; a.At.Step == s.report.Steps {
			s.due = a
		}
	}
	return nil
}

// refusal returns the answer that the script wants before the next message.
func (s *session) refusal() error {
	if a := s.due; a != nil {
		s.due = nil
		if a.Notify != "" {
			s.notify(a.Notify)
		}
		if a.Code != 0 {
			return &Refusal{Code: a.Code, Text: a.Text}
		}
	}
	return nil
}

// phase begins a part of a run.
func (s *session) phase(name Phase) error {
	s.event(Event{Phase: name})
	for i := range s.script.Respond {
		if a := &s.script.Respond[i]; a.At.Phase == name {
			s.due = a
		}
	}
	return s.refusal()
}

// wait lets time pass in which the host has nothing to say.
func (s *session) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		case err := <-s.r.peek():
			s.r.pending = nil
			if err != nil {
				return fmt.Errorf("wait: %w", err)
			}
			name, _, err := s.readAny()
			if err != nil {
				return err
			}
			if name == msgPing {
				continue
			}
			return s.broken(RuleOrder, "%s while the phone has asked for nothing", shown(name))
		}
	}
}

// send writes one message.
func (s *session) send(name, path string, args ...any) error {
	if err := s.step(name, path); err != nil {
		return err
	}
	if err := mb2.WriteMessage(s.w, name, args...); err != nil {
		return err
	}
	return s.w.Flush()
}

// read reads one message, pings apart.
func (s *session) read() (name string, args []any, err error) {
	for {
		name, args, err = s.readAny()
		if err != nil || name != msgPing {
			return name, args, err
		}
	}
}

// readAny reads one message. A goodbye is an error.
func (s *session) readAny() (name string, args []any, err error) {
	name, args, err = mb2.ReadMessage(s.r)
	switch {
	case errors.Is(err, mb2.ErrDesync):
		return "", nil, s.broken(RuleUnit, "%v", err)
	case err != nil:
		return "", nil, err
	case name == msgDisconnect:
		return "", nil, ErrGone
	}
	return name, args, nil
}

// answer is the host's to an order.
type answer struct {
	code   mb2.Status
	value  any
	failed map[string]mb2.Status // of a multi status
}

// status reads the host's answer to an order.
func (s *session) status(order string) (answer, error) {
	if err := s.step(msgStatus, ""); err != nil {
		return answer{}, err
	}
	name, args, err := s.read()
	if err != nil {
		return answer{}, fmt.Errorf("read the answer to %s: %w", order, err)
	}
	if name != msgStatus {
		return answer{}, s.broken(RuleOrder, "%s in place of the answer to %s", shown(name), order)
	}
	return s.parseStatus(order, args)
}

func (s *session) parseStatus(order string, args []any) (answer, error) {
	bad := func(what string) (answer, error) {
		_ = s.broken(RuleStatus, "%s in the answer to %s", what, order)
		return answer{}, &Refusal{Code: codeIO, Text: "Invalid response"}
	}
	var a answer
	if len(args) == 0 {
		return bad("no code")
	}
	code, ok := mb2.Integer(args[0])
	if !ok {
		return bad("a code that is no integer")
	}
	a.code = mb2.Status(code)
	if a.code > 0 {
		return bad("a positive code")
	}
	if len(args) > 1 {
		if _, ok := args[1].(string); !ok {
			return bad("a text that is none")
		}
	}
	if len(args) > 2 && args[2] != mb2.Text {
		a.value = args[2]
	}
	if a.code != mb2.StatusMulti {
		return a, nil
	}
	details, ok := a.value.(map[string]any)
	if !ok {
		return bad("no details")
	}
	a.failed = make(map[string]mb2.Status)
	for path, v := range details {
		d, _ := v.(map[string]any)
		code, ok := mb2.Integer(d["DLFileErrorCode"])
		if _, text := d["DLFileErrorString"].(string); !ok || !text || code >= 0 {
			return bad("details of other types")
		}
		a.failed[path] = mb2.Status(code)
	}
	return a, nil
}

// order sends one order and reads its answer.
func (s *session) order(name, path string, args ...any) (answer, error) {
	if err := s.refusal(); err != nil {
		return answer{}, err
	}
	if err := s.send(name, path, args...); err != nil {
		return answer{}, err
	}
	return s.status(name)
}

// respond gives the final answer to a request.
func (s *session) respond(code int, text string, content any) error {
	s.report.Code, s.report.Answered = code, true
	m := map[string]any{"MessageName": "Response", "ErrorCode": code}
	if text != "" {
		m["ErrorDescription"] = fmt.Sprintf("%s (MBErrorDomain/%d).", text, code)
	}
	if content != nil {
		m["Content"] = content
	}
	return s.send(msgProcess, "", m)
}

// shown is a host's word, made fit for a message.
func shown(text string) string {
	const longest = 64
	b := make([]byte, 0, longest)
	for i := 0; i < len(text) && len(b) < longest; i++ {
		if c := text[i]; c > ' ' && c < 0x7f {
			b = append(b, c)
		}
	}
	return string(b)
}
