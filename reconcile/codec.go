package reconcile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"russet/chunk"
	"russet/internal/vobject"
)

// Files of a state (docs/sync.md, "The state").
const (
	fileConfig    = "config.json"
	fileBase      = "base.jsonl"
	fileSeen      = "seen.jsonl"
	fileConflicts = "conflicts.jsonl"
	fileAttic     = "attic.jsonl"
	fileRuns      = "runs.jsonl"
	fileIntents   = "intents.jsonl"
	fileBodies    = "bodies.jsonl" // small bodies
	dirBodies     = "bodies"       // large ones, by their SHA-256
)

// stateFiles are those that are read.
var stateFiles = []string{fileConfig, fileBase, fileSeen, fileConflicts, fileAttic, fileRuns, fileIntents, fileBodies}

const (
	// stateVersion is that of the files. Unknown fields are ignored; another version
	// is not read.
	stateVersion = 1
	// largeBody is from which length in bytes a body is a file of its own: one with a
	// photo, that is, which the next state then has without storing it again.
	largeBody = 16 << 10

	maxStateFile = 512 << 20 // bytes
	maxStateRows = 2_000_000 // lines of a file
	maxBodies    = 1_000_000 // large ones
)

// header is config.json.
type header struct {
	Version   int       `json:"version"`
	Config    Config    `json:"config"`
	Canonical int       `json:"canonical"`
	Identity  [2]string `json:"identity"`
	Token     [2]string `json:"token"`
	Origin    Origin    `json:"origin,omitzero"`
	Print     string    `json:"print,omitempty"`
	Unread    int       `json:"unread,omitempty"`
	Matched   bool      `json:"matched"`
	Running   *Running  `json:"running,omitempty"`
	// Unreadable stands here and not among what was seen: a program that does not know
	// of it would take it for an item that it knows.
	Unreadable []Unreadable `json:"unreadable,omitempty"`
}

// smallBody is a line of bodies.jsonl; its name is the SHA-256 of what it holds.
type smallBody struct {
	Text *string `json:"text,omitempty"`
	Data []byte  `json:"data,omitempty"` // of what is not UTF-8
}

// encodeState makes the files of a state but those of bodies.
func encodeState(st *State) (map[string][]byte, error) {
	config, err := json.MarshalIndent(header{
		stateVersion, st.Config, st.Canonical, st.Identity, st.Token, st.Origin, st.Print, st.Unread, st.Matched, st.Running, st.Unreadable,
	}, "", " ")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{fileConfig: append(config, '\n')}
	for _, f := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{fileBase, func() ([]byte, error) { return encodeLines(st.Rows) }},
		{fileSeen, func() ([]byte, error) { return encodeLines(st.Seen) }},
		{fileConflicts, func() ([]byte, error) { return encodeLines(st.Conflicts) }},
		{fileAttic, func() ([]byte, error) { return encodeLines(st.Attic) }},
		{fileRuns, func() ([]byte, error) { return encodeLines(st.Runs) }},
		{fileIntents, func() ([]byte, error) { return encodeLines(st.Intents) }},
	} {
		if files[f.name], err = f.make(); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// readable makes sure that files are not longer than what is read.
func readable(files map[string][]byte) error {
	for name, data := range files {
		if len(data) > maxStateFile {
			return fmt.Errorf("the state is too large: %s has more than %d bytes", name, maxStateFile)
		}
	}
	return nil
}

func encodeLines[T any](list []T) ([]byte, error) {
	if len(list) > maxStateRows {
		return nil, fmt.Errorf("the state is too large: more than %d lines", maxStateRows)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// decodeState reads the files of a state, which a stranger may have written. Errors
// are ErrState and name the file, not what stands in it.
func decodeState(name string, files map[string][]byte) (*State, error) {
	var h header
	if err := json.Unmarshal(files[fileConfig], &h); err != nil {
		return nil, fmt.Errorf("%w: %s is no JSON of a state", ErrState, fileConfig)
	}
	switch {
	case h.Version != stateVersion:
		return nil, fmt.Errorf("%w: it is of version %d, and this program knows version %d", ErrState, h.Version, stateVersion)
	case h.Canonical > vobject.CanonicalVersion:
		return nil, fmt.Errorf("%w: a newer program wrote it", ErrState)
	case h.Config.Name != name:
		return nil, fmt.Errorf("%w: it is of another sync", ErrState)
	}
	if err := h.Config.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	st := &State{Config: h.Config, Canonical: h.Canonical, Identity: h.Identity, Token: h.Token, Origin: h.Origin, Print: h.Print, Unread: h.Unread, Matched: h.Matched, Running: h.Running, Unreadable: h.Unreadable}
	for _, f := range []struct {
		name string
		read func([]byte) error
	}{
		{fileBase, func(b []byte) (err error) { st.Rows, err = decodeLines[Row](b); return err }},
		{fileSeen, func(b []byte) (err error) { st.Seen, err = decodeLines[Seen](b); return err }},
		{fileConflicts, func(b []byte) (err error) { st.Conflicts, err = decodeLines[Conflict](b); return err }},
		{fileAttic, func(b []byte) (err error) { st.Attic, err = decodeLines[Kept](b); return err }},
		{fileRuns, func(b []byte) (err error) { st.Runs, err = decodeLines[Run](b); return err }},
		{fileIntents, func(b []byte) (err error) { st.Intents, err = decodeLines[Intent](b); return err }},
	} {
		if err := f.read(files[f.name]); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrState, f.name, err)
		}
	}
	slices.SortFunc(st.Rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(st.Rows); i++ {
		if st.Rows[i].Key == st.Rows[i-1].Key {
			return nil, fmt.Errorf("%w: %s: a key stands there twice", ErrState, fileBase)
		}
	}
	return st, nil
}

func decodeLines[T any](data []byte) ([]T, error) {
	var list []T
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if len(line) == 0 {
			continue
		}
		if len(list) == maxStateRows {
			return nil, fmt.Errorf("more than %d lines", maxStateRows)
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("line %d cannot be read", n)
		}
		list = append(list, v)
	}
	return list, nil
}

// encodeBodies makes bodies.jsonl, sorted by name.
func encodeBodies(bodies map[chunk.ID][]byte) ([]byte, error) {
	ids := make([]chunk.ID, 0, len(bodies))
	for id := range bodies {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, chunk.ID.Compare)
	lines := make([]smallBody, 0, len(ids))
	for _, id := range ids {
		if data := bodies[id]; utf8.Valid(data) {
			text := string(data)
			lines = append(lines, smallBody{Text: &text})
		} else {
			lines = append(lines, smallBody{Data: data})
		}
	}
	return encodeLines(lines)
}

// decodeBodies reads bodies.jsonl.
func decodeBodies(data []byte) (map[chunk.ID][]byte, error) {
	lines, err := decodeLines[smallBody](data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrState, fileBodies, err)
	}
	bodies := make(map[chunk.ID][]byte, len(lines))
	for _, l := range lines {
		data := l.Data
		if l.Text != nil {
			data = []byte(*l.Text)
		}
		bodies[chunk.Sum(data)] = data
	}
	return bodies, nil
}

// stateKind is the kind of state that a sync's is: its snapshots have the path
// /russet-sync/NAME.
const stateKind = "sync"
