package mb2

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"russet/internal/plist"
)

const (
	// maxLine bounds a line of a transcript, in bytes. The longest name a batch
	// of moves.
	maxLine = 16 << 20
	// maxReplayed bounds the content of one file that a replay makes up, in bytes.
	maxReplayed = 1 << 40
	// maxDifferences bounds what a replay returns.
	maxDifferences = 100
)

// Difference is an answer of the host that is not the recorded one.
type Difference struct {
	Line      int // of the transcript, from 1
	Got, Want string
}

// String is a sentence.
func (d Difference) String() string {
	return fmt.Sprintf("line %d: the host sent %s, and %s when it was recorded", d.Line, d.Got, d.Want)
}

// ReplayPhone plays the phone of a transcript on conn: it gives the recorded
// orders, with made-up content of the recorded lengths, and reads what the host
// answers. Names begin with udid, or with source where a restore read a backup
// of another name.
//
// It returns where the host answered otherwise, at most 100 of these places. It
// ends with the transcript, and leaves conn open.
func ReplayPhone(conn io.ReadWriter, transcript io.Reader, udid, source string) ([]Difference, error) {
	p := &player{conn: conn, r: bufio.NewReaderSize(conn, readAhead), udid: udid, source: source}
	lines := bufio.NewScanner(transcript)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		p.number++
		var l line
		err := json.Unmarshal(lines.Bytes(), &l)
		if err == nil {
			err = p.play(&l)
		}
		if err != nil {
			return p.found, fmt.Errorf("replay line %d: %w", p.number, err)
		}
		if l.File != nil && l.File.Cut {
			break
		}
	}
	if err := lines.Err(); err != nil {
		return p.found, fmt.Errorf("replay: %w", err)
	}
	return p.found, nil
}

// player is a phone that follows a transcript.
type player struct {
	conn         io.ReadWriter
	r            *bufio.Reader
	udid, source string
	number       int
	found        []Difference
	out          []byte
}

// play does what one line says.
func (p *player) play(l *line) error {
	switch {
	case l.From == fromHost && l.File != nil:
		return p.hear(l.File)
	case l.From == fromHost && l.End:
		unit, err := ReadUnit(p.r, nil, MaxName)
		if err == nil && len(unit) > 0 {
			err = errors.New("the host sent more files than when it was recorded")
		}
		return err
	case l.From == fromHost:
		return p.listen(l)
	case l.From != fromPhone:
		return errors.New("neither the phone nor the host speaks")
	case l.File != nil:
		return p.upload(l.File)
	case l.End:
		_, err := p.conn.Write(AppendUnit(nil))
		return err
	}
	return p.speak(l)
}

// differ notes a difference.
func (p *player) differ(got, want string) {
	if got != want && len(p.found) < maxDifferences {
		p.found = append(p.found, Difference{Line: p.number, Got: got, Want: want})
	}
}

// listen reads a message of the host.
func (p *player) listen(l *line) error {
	name, args, err := ReadMessage(p.r)
	if err != nil {
		return err
	}
	got, want := name, l.Message
	if l.Code != nil {
		code, _ := arguments(args).integer(0)
		got, want = fmt.Sprintf("%s %d", got, code), fmt.Sprintf("%s %d", want, *l.Code)
	}
	p.differ(got, want)
	return nil
}

// hear reads a file of the host.
func (p *player) hear(f *fileLine) error {
	name, err := ReadUnit(p.r, nil, MaxName)
	if err != nil {
		return err
	}
	if string(name) != p.name(f.Name) {
		p.differ("a file of another name", "the one that was asked for")
	}
	if f.Cut {
		return nil
	}
	var buf []byte
	for {
		if buf, err = ReadUnit(p.r, buf, MaxData); err != nil {
			return err
		}
		if len(buf) == 0 {
			return fmt.Errorf("%w: a file without an end", ErrDesync)
		}
		if code := Code(buf[0]); code != CodeData {
			p.differ(fmt.Sprintf("a file with code %d", code), fmt.Sprintf("a file with code %d", f.Code))
			return nil
		}
	}
}

// name returns the name that stands in a transcript as the phone says it.
func (p *player) name(name string) string {
	first, rest, more := strings.Cut(name, "/")
	for _, w := range [][2]string{{udidWord, p.udid}, {sourceTag, p.source}} {
		if tail, ok := strings.CutPrefix(first, w[0]); ok && (tail == "" || setAside.MatchString(tail)) {
			first = w[1] + tail
		}
	}
	if more {
		return first + "/" + rest
	}
	return first
}

// speak sends a message of the phone.
func (p *player) speak(l *line) error {
	names := make([]any, len(l.Names))
	pairs := make(map[string]any, len(l.Names))
	for i, n := range l.Names {
		names[i] = p.name(n)
		if i < len(l.To) {
			pairs[p.name(n)] = p.name(l.To[i])
		}
	}
	first, second := "", ""
	if len(l.Names) > 0 {
		first = p.name(l.Names[0])
	}
	if len(l.To) > 0 {
		second = p.name(l.To[0])
	}
	options := map[string]any{}
	var args []any
	switch l.Message {
	case "DLMessageVersionExchange":
		args = []any{l.Version, int64(0)}
	case processMessage:
		answer := map[string]any{"MessageName": l.Request}
		if l.Code != nil {
			answer["ErrorCode"] = *l.Code
		}
		args = []any{answer}
	case "DLMessageUploadFiles":
		args = []any{options, l.Percent, l.Size}
	case "DLMessageDownloadFiles":
		args = []any{names, options, l.Percent, l.Size}
	case "DLMessageRemoveFiles", "DLMessageRemoveItems":
		args = []any{names, options, l.Percent}
	case "DLMessageMoveFiles", "DLMessageMoveItems":
		args = []any{pairs, options, l.Percent}
	case "DLMessageCopyItem":
		args = []any{first, second, options, l.Percent, l.Size}
	case "DLMessagePurgeDiskSpace":
		args = []any{l.Size, int64(4)}
	case "DLMessageCreateDirectory", "DLContentsOfDirectory", "DLMessageRemoveDirectory":
		args = []any{first, options, l.Percent}
	}
	return WriteMessage(p.conn, l.Message, args...)
}

// upload sends a file with made-up content.
func (p *player) upload(f *fileLine) error {
	if f.Bytes < 0 || f.Bytes > maxReplayed || f.Unit < 0 || f.Unit >= MaxData || f.Unit == 0 && f.Bytes > 0 {
		return errors.New("a file of impossible size")
	}
	out := AppendUnit(p.out[:0], []byte("/replayed"))
	out = AppendUnit(out, []byte(p.name(f.Name)))
	if f.Status != nil {
		data, err := plist.Marshal(f.Status, plist.Binary)
		if err != nil {
			return err
		}
		out = AppendUnit(out, []byte{byte(CodeData)}, data)
		f.Bytes = 0
	}
	content := madeUp(f.Name, min(f.Unit, f.Bytes))
	for left := f.Bytes; left > 0; left -= f.Unit {
		out = AppendUnit(out, []byte{byte(CodeData)}, content[:min(left, f.Unit)])
		if _, err := p.conn.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	if !f.Cut {
		out = AppendUnit(out, []byte{byte(f.Code)})
	}
	p.out = out
	_, err := p.conn.Write(out)
	return err
}

// madeUp returns so many bytes that depend on the name.
func madeUp(name string, size int64) []byte {
	content := make([]byte, size)
	if len(name) == 0 {
		return content
	}
	for i := 0; i < len(content); {
		i += copy(content[i:], name)
	}
	return content
}
