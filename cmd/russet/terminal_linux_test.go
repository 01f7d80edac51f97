package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rawTTY is the program's end of a pseudo terminal. It is never closed: a
// question that was cancelled leaves a reader, which must not meet another
// file under the same number.
type rawTTY int

func (r rawTTY) Fd() uintptr                 { return uintptr(r) }
func (r rawTTY) Read(b []byte) (int, error)  { return unix.Read(int(r), b) }
func (r rawTTY) Write(b []byte) (int, error) { return unix.Write(int(r), b) }

// openPTY returns both ends of a new pseudo terminal.
func openPTY(t *testing.T) (person *os.File, program rawTTY) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("not here: pseudo terminals: ", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("not here: pseudo terminals: ", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("not here: pseudo terminals: ", err)
	}
	return person, rawTTY(tty)
}

// echoes reports whether the terminal shows what is typed.
func echoes(t *testing.T, tty rawTTY) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// waitFor waits until a terminal echoes, or does not.
func waitFor(t *testing.T, tty rawTTY, echo bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); echoes(t, tty) != echo; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("echo is not %t after 10 s", echo)
		}
	}
}

// watchedTTY notes whether a question is shown while what is typed would be.
type watchedTTY struct {
	rawTTY
	t     *testing.T
	early *atomic.Bool
}

func (w watchedTTY) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("password")) && echoes(w.t, w.rawTTY) {
		w.early.Store(true)
	}
	return w.rawTTY.Write(b)
}

// TestAskHidesTheAnswer types a password and looks at what the screen shows.
func TestAskHidesTheAnswer(t *testing.T) {
	t.Parallel()
	person, tty := openPTY(t)
	var early atomic.Bool
	p := newProgram(noEnv, tty, io.Discard, watchedTTY{tty, t, &early})
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := p.ask(t.Context(), "password of the test")
		answers <- answer{text, err}
	}()
	const question = "password of the test: "
	screen := bufio.NewReader(person)
	if got, err := screen.Peek(len(question)); err != nil || string(got) != question || early.Load() {
		t.Fatalf("the screen shows %q, %v, before what is typed is hidden: %t", got, err, early.Load())
	}
	if _, err := person.WriteString("secret \n"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.text != "secret " || a.err != nil {
		t.Errorf("got %q, %v", a.text, a.err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal stays silent afterwards")
	}
	if shown, err := screen.ReadString('\n'); err != nil || strings.TrimSpace(shown) != strings.TrimSpace(question) {
		t.Errorf("the screen shows %q, %v", shown, err)
	}
}

// TestAskIsCancelled interrupts the question: the shell that comes back must
// show what is typed.
func TestAskIsCancelled(t *testing.T) {
	t.Parallel()
	_, tty := openPTY(t)
	p := newProgram(noEnv, tty, io.Discard, &bytes.Buffer{})
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := p.ask(ctx, "password of the test")
		errs <- err
	}()
	waitFor(t, tty, false)
	cancel(errInterrupted)
	if err := <-errs; !errors.Is(err, errInterrupted) {
		t.Errorf("got %v, want %v", err, errInterrupted)
	}
	if !echoes(t, tty) {
		t.Error("the terminal stays silent afterwards")
	}
}
