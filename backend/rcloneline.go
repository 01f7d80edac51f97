package backend

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// maxLine is how much is kept of a line that rclone says, in bytes.
const maxLine = 200

// lastLine keeps the last line of what is written to it, or its beginning. It may be used concurrently.
type lastLine struct {
	mu   sync.Mutex
	line []byte
	full bool // the line has ended: what follows is another one
}

// Write never fails.
func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for part := range bytes.Lines(p) {
		text := bytes.TrimSpace(part)
		if l.full && len(text) > 0 {
			l.line, l.full = l.line[:0], false
		}
		l.line = append(l.line, text[:min(len(text), maxLine-len(l.line))]...)
		l.full = l.full || part[len(part)-1] == '\n'
	}
	return len(p), nil
}

var (
	rcloneTime   = regexp.MustCompile(`^[0-9/]+ [0-9:.]+ `)
	rclonePlace  = regexp.MustCompile(`"(?:\\.|[^"\\])*"?|[^ ]*[/\\@][^ ]*`) // quoted, a path, an address, a user
	rcloneSecret = regexp.MustCompile(`(?i)pass|token|secret|key|auth`)
)

// text is the line behind a colon, without what may be the name of a place, or nothing if there is none or it seems to
// hold a secret.
func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := rclonePlace.ReplaceAllString(rcloneTime.ReplaceAllString(string(l.line), ""), "...")
	line = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, line)
	if line == "" || rcloneSecret.MatchString(line) {
		return ""
	}
	return ": " + line
}
