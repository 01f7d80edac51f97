package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"time"

	"golang.org/x/term"
)

// terminalOf returns the descriptor behind a stream that is a terminal.
func terminalOf(stream any) (fd int, ok bool) {
	f, isFile := stream.(interface{ Fd() uintptr })
	if !isFile {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// hasTerminal reports whether there is a person to ask.
func (p *program) hasTerminal() bool {
	_, ok := terminalOf(p.stdin)
	return ok
}

// ask puts a question to the terminal and reads the answer unseen. When ctx
// ends first, the terminal shows again what is typed, and the reader that
// still waits goes with the process.
func (p *program) ask(ctx context.Context, label string) (string, error) {
	fd, ok := terminalOf(p.stdin)
	if !ok {
		return "", errNoPassword
	}
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the terminal's state: %w", err)
	}
	p.console.hold(true)
	defer p.console.hold(false)
	screen, done := p.screen()
	defer done()
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	untilSilent(ctx, fd, state)
	fmt.Fprintf(screen, "%s: ", label)
	select {
	case <-ctx.Done():
		fmt.Fprintln(screen)
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, state))
	case a := <-answers:
		fmt.Fprintln(screen)
		if errors.Is(a.err, io.EOF) {
			return "", errNoPassword // Ctrl-D
		}
		return string(a.text), a.err
	}
}

// untilSilent waits until the terminal is no longer in the state that it was in
// before somebody began to read from it unseen: a password that is typed as
// soon as the question is there must not be shown. One that does not change, as
// it was silent before, is waited for a tenth of a second only.
func untilSilent(ctx context.Context, fd int, before *term.State) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 100 {
		now, err := term.GetState(fd)
		if err != nil || !reflect.DeepEqual(now, before) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// screen is where questions are shown: stderr where that is a terminal, else
// the terminal itself, as stderr may be a log. The caller calls done.
func (p *program) screen() (_ io.Writer, done func()) {
	if p.console.terminal {
		return p.console, func() {}
	}
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONOUT$"
	}
	tty, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return p.console, func() {}
	}
	return tty, func() { tty.Close() }
}
