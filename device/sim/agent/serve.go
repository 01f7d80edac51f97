package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"russet/device/mb2"
)

// Serve speaks to one host until it says goodbye or the connection ends, which
// Serve closes. The error is nil where all requests were answered by 0 and no
// rule was broken; otherwise it wraps what happened: a [*Violation] for each
// rule that was broken, a [*Refusal] for an answer other than 0, [ErrCut],
// [ErrGone], or an error of the connection.
func (p *Phone) Serve(ctx context.Context, conn io.ReadWriteCloser) (Report, error) {
	defer conn.Close()
	select {
	case p.session <- struct{}{}:
	case <-ctx.Done():
		return Report{}, context.Cause(ctx)
	}
	defer func() { <-p.session }()
	p.mu.Lock()
	s := newSession(p, conn, p.script.filled())
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err := s.serve(ctx)
	_ = conn.Close()
	s.r.settle()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	errs := []error{err}
	if v, ok := errors.AsType[*Violation](err); ok && slices.Contains(s.report.Violations, v) {
		errs = nil // it follows
	}
	for _, v := range s.report.Violations {
		errs = append(errs, v)
	}
	return s.report, errors.Join(errs...)
}

func (s *session) serve(ctx context.Context) error {
	if err := s.handshake(); err != nil {
		return err
	}
	var refused error
	for {
		name, args, err := s.read()
		switch {
		case errors.Is(err, ErrGone):
			return refused
		case err != nil && !errors.Is(err, ErrViolation) && s.report.Answered:
			_ = s.broken(RuleGoodbye, "the connection ends without %s", msgDisconnect)
			return refused
		case err != nil:
			return fmt.Errorf("read a request: %w", err)
		}
		if name != msgProcess || len(args) == 0 {
			return s.broken(RuleOrder, "%s in place of a request", shown(name))
		}
		request, ok := args[0].(map[string]any)
		if !ok {
			return s.broken(RuleRequest, "a request that is no dictionary")
		}
		r, err := s.request(ctx, request)
		if err != nil {
			return errors.Join(refused, err)
		}
		if r != nil {
			refused = errors.Join(refused, r)
		}
	}
}

// handshake is the version exchange and Hello.
func (s *session) handshake() error {
	if err := s.send(msgVersion, "", s.script.DeviceLink, 0); err != nil {
		return err
	}
	name, args, err := s.read()
	if err != nil {
		return fmt.Errorf("exchange versions: %w", err)
	}
	if name != msgVersion || len(args) == 0 || args[0] != "DLVersionsOk" {
		return s.broken(RuleVersion, "%s without DLVersionsOk", shown(name))
	}
	s.report.DeviceLink = s.script.DeviceLink
	if len(args) > 1 {
		major, ok := mb2.Integer(args[1])
		if !ok || major < 100 {
			return s.broken(RuleVersion, "a version that is none")
		}
		s.report.DeviceLink = int(min(major, int64(s.script.DeviceLink)))
	}
	if err := s.send(msgReady, ""); err != nil {
		return err
	}
	return s.greet()
}

func (s *session) greet() error {
	name, args, err := s.read()
	if err != nil {
		return fmt.Errorf("wait for Hello: %w", err)
	}
	m := map[string]any{}
	if len(args) > 0 {
		m, _ = args[0].(map[string]any)
	}
	if name != msgProcess || m["MessageName"] != "Hello" {
		return s.broken(RuleHello, "%s in place of Hello", shown(name))
	}
	versions, ok := m["SupportedProtocolVersions"].([]any)
	if !ok {
		return s.broken(RuleHello, "Hello without SupportedProtocolVersions")
	}
	best := 0.0
	for _, v := range versions {
		f, isReal := v.(float64)
		n, isInteger := mb2.Integer(v)
		if isInteger {
			f = float64(n)
		}
		if (isReal || isInteger) && f >= 2 && f < 2.2 {
			best = max(best, f)
		}
	}
	if best == 0 {
		_ = s.respond(codeGeneric, "No common supported protocol version", nil)
		s.report.Answered = false
		return s.broken(RuleHello, "no version of the protocol that the phone knows")
	}
	return s.send(msgProcess, "", map[string]any{"MessageName": "Response", "ErrorCode": 0, "ProtocolVersion": best})
}

// request serves one request. A refusal has been sent to the host.
func (s *session) request(ctx context.Context, m map[string]any) (refused, err error) {
	s.report.Request, _ = m["MessageName"].(string)
	var content any
	switch s.report.Request {
	case "Backup":
		err = s.backup(ctx, m)
	case "Restore":
		err = s.restore(ctx, m)
	case "ChangePassword":
		err = s.changePassword(ctx, m)
	case "Info", "List":
		content, err = s.describe(m)
	case "EnableCloudBackup":
		err = s.enableCloud(m)
	case "Remove", "EraseDevice", "Extract", "Unback":
		err = &Refusal{Code: codeGeneric, Text: "Operation is no longer supported"}
	default:
		return nil, s.broken(RuleRequest, "the request %s, which does not exist", shown(s.report.Request))
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return err, s.respond(r.Code, r.Text, nil)
	}
	if err != nil {
		return nil, err
	}
	return nil, s.respond(0, "", content)
}

// enableCloud is the switch of backups in the cloud.
func (s *session) enableCloud(m map[string]any) error {
	on, ok := m["CloudBackupState"].(bool)
	if !ok {
		return s.broken(RuleRequest, "EnableCloudBackup without CloudBackupState")
	}
	return s.p.remember(func(st *state) { st.CloudBackup = on })
}

// describe answers Info and List, which look for the manifest of iOS 9 and say
// that a newer backup is damaged.
func (s *session) describe(m map[string]any) (any, error) {
	target, err := s.source(m)
	if err != nil {
		return nil, err
	}
	props, err := s.properties(target, false)
	if err != nil {
		return nil, err
	}
	if props == nil {
		return nil, &Refusal{Code: codeNothing, Text: "No backup"}
	}
	if props.encrypted {
		return nil, &Refusal{Code: codePassword, Text: "Backup is encrypted"}
	}
	if _, code, err := s.downloadBytes(target + "/Manifest.mbdb"); err != nil {
		return nil, err
	} else if code != mb2.StatusOK {
		return nil, &Refusal{Code: codeCorrupt, Text: "Error reading manifest"}
	}
	return "A backup of iOS 9 or older\n", nil
}

// source returns the folder that a request reads.
func (s *session) source(m map[string]any) (string, error) {
	for _, key := range []string{"SourceIdentifier", "TargetIdentifier"} {
		if id, ok := m[key].(string); ok && id != "" {
			return id, nil
		}
	}
	return "", s.broken(RuleTarget, "a request without TargetIdentifier")
}
