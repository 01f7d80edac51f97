package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"russet/capture"
	"russet/ios"
)

// phonePasswords answers for the passwords of phones' backups: each keybag's
// is asked for once, and what opened one is tried on the next before anybody
// is asked, as most people have one password for all their phones.
type phonePasswords struct {
	p      *program
	source secret
	opened []string // passwords that were typed and right
	last   string   // the answer given last
	queue  []string // of opened, for the keybag at hand
	asked  int      // for the keybag at hand
	wrong  bool     // no answer opened the keybag at hand
	nobody bool     // no answer can be had
}

func (p *program) newPhonePasswords(c *cli.Context) (*phonePasswords, error) {
	s, err := p.phonePassword(c)
	return &phonePasswords{p: p, source: s}, err
}

// answerer returns the function that capture asks for the next folder, or nil
// where no answer can be had.
func (w *phonePasswords) answerer() func(context.Context, capture.Ask) (string, bool, error) {
	w.wrong, w.nobody = false, !w.source.given() && !w.p.hasTerminal()
	if w.nobody {
		return nil
	}
	return w.answer
}

// outcome is the error of a backup that is kept sealed for want of its
// password. Who pressed Enter when asked for it knows, and wants it so.
func (w *phonePasswords) outcome(res *capture.Result) error {
	switch {
	case !res.Sealed:
		return nil
	case w.wrong:
		return fmt.Errorf("kept sealed: %w", ios.ErrWrongPassword)
	case w.nobody:
		return fmt.Errorf("kept sealed: %w", errNoPhonePassword)
	}
	return nil
}

func (w *phonePasswords) answer(ctx context.Context, a capture.Ask) (string, bool, error) {
	tries := 1
	if !w.source.given() {
		tries = passwordTries
	}
	if !a.Wrong {
		if w.last != "" && !w.source.given() && !w.wrong && !slices.Contains(w.opened, w.last) {
			w.opened = append(w.opened, w.last)
		}
		w.queue, w.asked = slices.Clone(w.opened), 0
	}
	if len(w.queue) > 0 {
		w.last, w.queue = w.queue[0], w.queue[1:]
		return w.last, true, nil
	}
	w.last = ""
	if w.asked == tries {
		w.wrong = true
		return "", false, nil
	}
	if w.asked > 0 {
		w.p.warn("wrong password, try again; Enter alone keeps the backup sealed")
	}
	w.asked++
	password, err := w.source.read(ctx, w.p, fmt.Sprintf("backup password of %s (%s)", visible(a.DeviceName), visible(a.UDID)))
	if !w.source.given() && (errors.Is(err, errEmptyPassword) || errors.Is(err, errNoPassword)) {
		return "", false, nil // Enter, or Ctrl-D
	}
	w.last = password
	return password, err == nil, err
}
