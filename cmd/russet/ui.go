package main

// What goes where:
//
//   - stdout: results and nothing else, so that it can be piped. With --json
//     each result is a line, and so are the summary and the status of a long
//     run, under restic's names and on restic's stream.
//   - stderr: progress, notes and errors; the two latter begin with
//     "russet: ". With --json an error is a line of JSON here.
//   - the terminal: questions, even where stderr is a log.
//
// Names that come from phones, backups and repositories go through visible
// before a person sees them: a file name may hold what a terminal obeys.
// JSON holds them as they are.

import (
	"encoding/json"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console is stderr: lines, and on a terminal below them one line of status
// that is drawn over and over. It is safe for concurrent use.
type console struct {
	terminal bool
	width    func() int // columns

	mu    sync.Mutex
	w     io.Writer
	drawn int  // columns that the status takes at the moment
	held  bool // a question stands on the screen: no status over it
}

// noWidth is the width of a terminal that does not say its own.
const noWidth = 80

func newConsole(w io.Writer) *console {
	c := &console{w: w, width: func() int { return noWidth }}
	fd, ok := terminalOf(w)
	if !ok {
		return c
	}
	c.terminal = true
	c.width = func() int {
		if columns, _, err := term.GetSize(fd); err == nil && columns > 0 {
			return columns
		}
		return noWidth
	}
	return c
}

// print writes one line. The status makes room, and is back when it is shown
// next.
func (c *console) print(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	_, _ = io.WriteString(c.w, line+"\n") // nobody is left to be told
}

// Write makes the console a stream, for what other programs complain about.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	return c.w.Write(b)
}

// show draws the status, cut to the width of the terminal. The last column
// stays free: some terminals wrap as soon as it is written.
func (c *console) show(status string) {
	status = elide(status, max(c.width()-1, 1))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return
	}
	n := columns(status)
	_, _ = io.WriteString(c.w, "\r"+status+strings.Repeat(" ", max(c.drawn-n, 0))+"\r")
	c.drawn = n
}

// hold keeps the status away while a question is asked.
func (c *console) hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	c.held = on
}

// clear takes the status away.
func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
}

// erase is clear for those who hold mu. It writes spaces, as not every Windows
// console knows the sequence that erases a line.
func (c *console) erase() {
	if c.drawn > 0 {
		_, _ = io.WriteString(c.w, "\r"+strings.Repeat(" ", c.drawn)+"\r")
		c.drawn = 0
	}
}

// emit prints one JSON line of the results.
func (p *program) emit(message any) error { return emitTo(p.stdout, message) }

func emitTo(w io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
