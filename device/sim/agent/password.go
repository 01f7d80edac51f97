package agent

import (
	"context"
	"errors"

	"russet/internal/plist"
	"russet/ios"
)

// changePassword serves the request ChangePassword. Where the host has an
// encrypted backup, its keybag is made anew under the new password: the keys in
// it stay, and with them every file.
func (s *session) changePassword(ctx context.Context, m map[string]any) error {
	target, _ := m["TargetIdentifier"].(string)
	if target != s.p.contents.Config().UDID {
		return s.broken(RuleTarget, "a change of another phone's password")
	}
	old, okOld := text(m, "OldPassword")
	password, okNew := text(m, "NewPassword")
	if !okOld || !okNew {
		return s.broken(RuleRequest, "a password that is no text")
	}
	if err := s.phase(PhaseStart); err != nil {
		return err
	}
	if err := s.passcode(ctx); err != nil {
		return err
	}
	if old != s.p.remembered().Password {
		return &Refusal{Code: codePassword, Text: "Invalid password"}
	}
	if old == "" && password == "" {
		return &Refusal{Code: codeGeneric, Text: "No password"}
	}
	if err := s.p.remember(func(st *state) { st.Password, st.Run = password, nil }); err != nil {
		return err
	}
	s.notify("com.apple.mobile.backup.domain_changed")
	for _, folder := range []string{target + "/" + snapshotName, target} {
		props, err := s.properties(folder, false)
		if err != nil {
			return err
		}
		if props == nil || !props.encrypted || password == "" || s.script.Behaviour.NoRewrap {
			continue
		}
		if err := s.rewrap(ctx, folder, props, old, password); err != nil {
			return err
		}
	}
	return nil
}

// text returns an optional text of a request.
func text(m map[string]any, key string) (string, bool) {
	v, there := m[key]
	s, ok := v.(string)
	return s, ok || !there
}

// rewrap sends a Manifest.plist whose keybag another password opens. A keybag
// that the old one does not open is left alone.
func (s *session) rewrap(ctx context.Context, folder string, props *properties, old, password string) error {
	keys, err := unlock(ctx, props.bag, old)
	if errors.Is(err, ios.ErrWrongPassword) {
		return nil
	}
	if err != nil {
		return &Refusal{Code: codeGeneric, Text: "Error reading keybag"}
	}
	if props.all["BackupKeyBag"], err = ios.RewrapKeybag(s.p.o.Random, keys, password, s.p.o.Iterations); err != nil {
		return err
	}
	data, err := plist.Marshal(props.all, plist.Binary)
	if err != nil {
		return err
	}
	if err := s.uploadBytes(manifestName, folder+"/"+manifestName, data, 0); err != nil {
		return err
	}
	return s.p.remember(func(st *state) {
		if st.Last != nil {
			delete(st.Last.Sums, manifestName)
		}
	})
}
