package mb2

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

// ErrDisconnected says that the connection ended before the phone gave its
// answer: a cable was pulled, or the backup service died.
var ErrDisconnected = errors.New("the phone left without an answer")

const (
	// defaultVersion is the version of DeviceLink below which phones do not ask
	// for free space, and at which they do not ask to purge.
	defaultVersion = 300
	// readAhead is the size of the buffer between the connection and the units.
	readAhead = 64 << 10
)

// Options are what a session may be told. The zero value is useful. The
// callbacks come from the goroutine that made the call on the session, one at
// a time, and hold up the phone while they run.
type Options struct {
	// Version is the version of DeviceLink to announce, 300 where it is 0. From
	// 400 on a phone asks to purge where there is too little space.
	Version int
	// Purge is asked to make room for so many bytes and returns how many it
	// freed. Without it nothing is freed; its error refuses.
	Purge func(bytes int64) (int64, error)
	// Progress is told how far a call is.
	Progress func(Progress)
	// FileError is told of a file that the phone could not read, at once. The
	// run goes on.
	FileError func(FileError)
	// Violation is told of an order that breaks the rules, and was refused.
	Violation func(Violation)
	// Record takes a transcript without contents, see docs/protocol-mobilebackup2.md.
	Record io.Writer
}

// Session is a conversation with a phone's backup service. It serves one call
// to Backup, Restore or ChangePassword, and is closed afterwards. It is for one
// goroutine.
type Session struct {
	conn io.ReadWriteCloser
	r    *bufio.Reader
	o    Options
	rec  *recorder

	turn chan struct{} // holds a token while something is written; guards left
	left bool          // DLMessageDisconnect was written: nothing may follow
	out  []byte        // whole units that are not written yet
	unit []byte        // memory of the last unit read
	// content is memory for what is sent.
	content []byte

	closing sync.Once

	folder   Folder
	roots    roots
	used     bool
	progress Progress
	result   Result
	// hostErr is the first thing that went wrong on our side and was reported
	// to the phone as a failure.
	hostErr error
}

// Start agrees on versions with the backup service behind conn and says Hello.
// It waits as long as the phone does; cancelling ctx ends that. On an error
// conn is closed. Otherwise it belongs to the session until Close.
func Start(ctx context.Context, conn io.ReadWriteCloser, o Options) (*Session, error) {
	if o.Version == 0 {
		o.Version = defaultVersion
	}
	s := &Session{
		conn: conn, r: bufio.NewReaderSize(conn, readAhead), o: o, rec: newRecorder(o.Record),
		turn: make(chan struct{}, 1),
	}
	unwatch := s.watch(ctx)
	err := s.shake()
	err = s.ended(ctx, err)
	unwatch()
	if err != nil {
		s.hangUp()
		return nil, fmt.Errorf("greet the backup service: %w", err)
	}
	return s, nil
}

// shake does the version exchange and the Hello.
func (s *Session) shake() error {
	args, err := s.expect("DLMessageVersionExchange")
	if err != nil {
		return err
	}
	major, ok := args.integer(0)
	if !ok || major <= 0 || major > math.MaxInt32 {
		return fmt.Errorf("%w: a version exchange without a version", ErrDesync)
	}
	// The phone goes on with the smaller number. Old ones were only ever seen
	// with hosts that answer no more than their own.
	version := min(int64(s.o.Version), major)
	if err := s.send("DLMessageVersionExchange", "DLVersionsOk", version); err != nil {
		return err
	}
	if _, err := s.expect("DLMessageDeviceReady"); err != nil {
		return err
	}
	hello := map[string]any{"MessageName": "Hello", "SupportedProtocolVersions": []any{2.0, 2.1}}
	if err := s.send(processMessage, hello); err != nil {
		return err
	}
	if args, err = s.expect(processMessage); err != nil {
		return err
	}
	return answer(args)
}

// expect waits for one message and nothing else but pings.
func (s *Session) expect(want string) (arguments, error) {
	for {
		name, args, err := s.receive()
		switch {
		case err != nil:
			return nil, err
		case name == want:
			return args, nil
		case name == disconnect:
			return nil, fmt.Errorf("%w: it refused to talk", ErrDisconnected)
		case name != "DLMessagePing":
			return nil, fmt.Errorf("%w: another message in place of %s", ErrDesync, want)
		}
	}
}

// run sends a request and serves the phone until it answers.
func (s *Session) run(ctx context.Context, folder Folder, r roots, request map[string]any) error {
	if s.used {
		return errors.New("this session has served its call")
	}
	s.used = true
	if err := r.check(); err != nil {
		return err
	}
	s.folder, s.roots = folder, r
	s.rec.names(r)
	unwatch := s.watch(ctx)
	defer unwatch()
	s.enter(PhaseWaiting)
	err := s.send(processMessage, request)
	if err == nil {
		err = s.serve(ctx)
	}
	return s.ended(ctx, err)
}

// Backup asks for a backup of the phone with this UDID into folder and serves
// the phone until it answers. It has no timeouts: a phone is silent while its
// passcode is awaited and while it scans its files. With full the option
// ForceFullBackup is sent, which some versions of iOS heed; what is sure to make
// a full one is a folder that shows nothing.
//
// When ctx is done the session ends, within a second unless folder takes
// longer. An error that the phone gave is a [*PhoneError]; where something of
// folder's was the cause, it is in the error, too.
func (s *Session) Backup(ctx context.Context, folder Folder, udid string, full bool) error {
	request := map[string]any{"MessageName": "Backup", "TargetIdentifier": udid}
	if full {
		request["Options"] = map[string]any{"ForceFullBackup": true}
	}
	if err := s.run(ctx, folder, roots{target: udid}, request); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// RestoreOptions are the choices at a restore. All are sent, because what a
// phone does without them differs between versions. That the phone does not
// copy the backup first is not a choice.
type RestoreOptions struct {
	NoReboot           bool   // do not restart the phone when it is done
	PreserveSettings   bool   // keep the phone's settings
	SystemFiles        bool   // restore system files, too
	RemoveOthers       bool   // remove what the backup does not have
	PreserveCameraRoll bool   // keep the phone's photos
	Password           string // of an encrypted backup
}

// Restore asks the phone with this UDID to restore the backup that folder holds
// under the name source, and serves it as Backup does.
func (s *Session) Restore(ctx context.Context, folder Folder, udid, source string, o RestoreOptions) error {
	options := map[string]any{
		"RestoreDontCopyBackup": true, "RestoreShouldReboot": !o.NoReboot,
		"RestorePreserveSettings": o.PreserveSettings, "RestoreSystemFiles": o.SystemFiles,
		"RemoveItemsNotRestored": o.RemoveOthers, "RestorePreserveCameraRoll": o.PreserveCameraRoll,
	}
	if o.Password != "" {
		options["Password"] = o.Password
	}
	request := map[string]any{
		"MessageName": "Restore", "TargetIdentifier": udid, "SourceIdentifier": source, "Options": options,
	}
	if err := s.run(ctx, folder, roots{target: udid, source: source}, request); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// ChangePassword sets the phone's backup password: old is empty to switch
// encryption on, password to switch it off. The phone asks for its passcode,
// reads the manifest of the backup in folder and may write it again.
func (s *Session) ChangePassword(ctx context.Context, folder Folder, udid, old, password string) error {
	request := map[string]any{"MessageName": "ChangePassword", "TargetIdentifier": udid}
	if old != "" {
		request["OldPassword"] = old
	}
	if password != "" {
		request["NewPassword"] = password
	}
	if err := s.run(ctx, folder, roots{target: udid}, request); err != nil {
		return fmt.Errorf("change the backup password: %w", err)
	}
	return nil
}

// Result returns what became of the call beside its error.
func (s *Session) Result() Result { return s.result }
