package offsite

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"russet/chunk"
	"russet/repo"
)

// State is what is remembered of a copy.
type State struct {
	Config    Config
	Runs      []Run // oldest first
	Packs     Ledger
	Snapshots []Standing // sorted by path, time and tree
}

// Action is what a run did.
type Action string

// The actions.
const (
	Put    Action = "run"    // snapshots were put there
	Verify Action = "verify" // packs were proven
)

// Run is what a run did. Sizes are bytes.
type Run struct {
	Time      time.Time `json:"time"` // when it began
	Action    Action    `json:"action"`
	Snapshots int       `json:"snapshots,omitempty"` // that were put there
	Packs     int       `json:"packs,omitempty"`     // that were put there, or proven
	Bytes     int64     `json:"bytes,omitempty"`     // of those
	Bad       int       `json:"bad,omitempty"`       // packs that are not right
	Cut       bool      `json:"cut,omitempty"`       // it did not come to its end
}

// Standing is a snapshot that stands on a copy. Its id there is another one, so it is
// named by path, time and tree.
type Standing struct {
	Path string    `json:"path"`
	Time time.Time `json:"time"`
	Tree chunk.ID  `json:"tree"`
	// Proven is as of when every pack that it needs there was; zero where some never
	// was. Broken says that something it needs is damaged there, or gone.
	Proven time.Time `json:"proven,omitzero"`
	Broken bool      `json:"broken,omitempty"`
}

// standing is that of a snapshot, of which no more is known than that it is there.
func standing(s *repo.Snapshot) Standing {
	return Standing{Path: pathOf(s), Time: s.Time.UTC(), Tree: *s.Tree}
}

// pathOf is the path by which a snapshot is told from those of others.
func pathOf(s *repo.Snapshot) string {
	if len(s.Paths) == 0 {
		return ""
	}
	return s.Paths[0]
}

func (s Standing) compare(o Standing) int {
	return cmp.Or(cmp.Compare(s.Path, o.Path), s.Time.Compare(o.Time), s.Tree.Compare(o.Tree))
}

// Files of a state (docs/format.md, "Offsite copies").
const (
	fileState     = "state.json"
	fileLedger    = "ledger"
	fileSnapshots = "snapshots.jsonl"

	stateKind    = "offsite"
	stateVersion = 1
	maxRuns      = 50
	maxSnapshots = 1 << 18
)

// header is state.json.
type header struct {
	Version int    `json:"version"`
	Config  Config `json:"config"`
	Runs    []Run  `json:"runs,omitempty"`
}

// encode makes the files of a state.
func (st *State) encode() (map[string][]byte, error) {
	if len(st.Snapshots) > maxSnapshots {
		return nil, fmt.Errorf("write state: %d snapshots are more than %d", len(st.Snapshots), maxSnapshots)
	}
	top, err := json.MarshalIndent(header{stateVersion, st.Config, st.Runs}, "", "  ")
	if err != nil {
		return nil, err
	}
	ledger, err := st.Packs.encode()
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for i := range st.Snapshots {
		if err := enc.Encode(&st.Snapshots[i]); err != nil {
			return nil, err
		}
	}
	if len(top) > maxFile || lines.Len() > maxFile {
		return nil, fmt.Errorf("write state: a file has more than %d bytes", maxFile)
	}
	return map[string][]byte{fileState: append(top, '\n'), fileLedger: ledger, fileSnapshots: lines.Bytes()}, nil
}

// decodeState reads the files of a state, which a stranger may have written. Errors
// are ErrState, and say nothing of what stands in them.
func decodeState(name string, files map[string][]byte) (*State, error) {
	bad := func(err error) (*State, error) { return nil, fmt.Errorf("%w: %w", ErrState, err) }
	var h header
	if err := json.Unmarshal(files[fileState], &h); err != nil {
		return bad(fmt.Errorf("%s is no JSON of a state", fileState))
	}
	switch {
	case h.Version != stateVersion:
		return bad(fmt.Errorf("it is of version %d, and this program knows version %d", h.Version, stateVersion))
	case h.Config.Name != name:
		return bad(errors.New("it is of another copy"))
	}
	if err := h.Config.Validate(); err != nil {
		return bad(err)
	}
	st := &State{Config: h.Config, Runs: h.Runs[max(0, len(h.Runs)-maxRuns):]}
	var err error
	if st.Packs, err = decodeLedger(files[fileLedger]); err != nil {
		return bad(fmt.Errorf("%s: %w", fileLedger, err))
	}
	if st.Snapshots, err = decodeSnapshots(files[fileSnapshots]); err != nil {
		return bad(fmt.Errorf("%s: %w", fileSnapshots, err))
	}
	return st, nil
}

func decodeSnapshots(data []byte) ([]Standing, error) {
	var list []Standing
	for line := range bytes.Lines(data) {
		if len(list) == maxSnapshots {
			return nil, fmt.Errorf("more than %d snapshots", maxSnapshots)
		}
		var s Standing
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, fmt.Errorf("line %d cannot be read", len(list)+1)
		}
		list = append(list, s)
	}
	slices.SortFunc(list, Standing.compare)
	return list, nil
}

// note adds a run, and drops the oldest ones.
func (st *State) note(r Run) {
	st.Runs = append(st.Runs, r)
	st.Runs = st.Runs[max(0, len(st.Runs)-maxRuns):]
}

// last is when the last run of an action began that came to its end; zero for never.
func (st *State) last(a Action) time.Time {
	for _, r := range slices.Backward(st.Runs) {
		if r.Action == a && !r.Cut {
			return r.Time
		}
	}
	return time.Time{}
}
