package reconcile

import (
	"time"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
)

// State is what a sync remembers. Bodies are named by their SHA-256; the store
// has them.
type State struct {
	Config Config
	// Canonical is the version of the canonical form that the hashes are of.
	Canonical int
	// Identity and Token are those of the sides, by merge.Where.
	Identity, Token [2]string
	Origin          Origin // the snapshot of the last run that changed something
	// Print names the databases that the base has all records of, as Source.Print; ""
	// where it lacks some.
	Print string
	// Unread is how many things were missing in the last run because a part of the phone's
	// databases could not be read: they are no news.
	Unread int
	// Matched says that the first run is over: from then on records are matched by
	// their keys alone.
	Matched bool
	Rows    []Row  // the base, sorted by key
	Seen    []Seen // what lies in the collections otherwise than the base says
	// Unreadable are the items that could not be read: each run asks for them again.
	Unreadable []Unreadable
	Conflicts  []Conflict
	Attic      []Kept
	Runs       []Run // oldest first
	// Intents are the writes of which it is not known whether they were done: of a
	// run under way, of one that was cut off, or of replies that were lost.
	Intents []Intent
	Running *Running // nil between runs
}

// Origin names a snapshot of a device.
type Origin struct {
	UDID string    `json:"udid,omitempty"`
	Time time.Time `json:"time,omitzero"`
	Tree chunk.ID  `json:"tree,omitzero"`
}

// Row is a record of the base.
type Row struct {
	Key    string      `json:"key"`
	Source Place       `json:"source,omitzero"`
	Target Place       `json:"target,omitzero"`
	State  merge.State `json:"state,omitempty"`
	Leads  merge.Lead  `json:"leads,omitempty"`
	// Doubtful says that the phone has it otherwise than here, or not at all, since a run
	// that found more unread than the one before, and did not bring that to the target.
	Doubtful bool `json:"doubtful,omitempty"`
}

// place is that of one side.
func (r *Row) place(w merge.Where) *Place {
	if w == merge.Source {
		return &r.Source
	}
	return &r.Target
}

// Place is a record as one side had it when both agreed.
type Place struct {
	Href string `json:"href,omitempty"` // "" where the side is a phone
	ETag string `json:"etag,omitempty"`
	UID  string `json:"uid,omitempty"` // where it is not the row's key: matched in a first run
	// Hash is of the canonical form, under the row's key.
	Hash chunk.ID `json:"hash,omitzero"`
	// Body is the content; zero where the side is a phone and the target's form means
	// the same.
	Body chunk.ID `json:"body,omitzero"`
}

// Seen is an item of a collection that is no record of the base, or is not as the
// base says: what a listing of changes does not name again.
type Seen struct {
	Where merge.Where `json:"where"`
	Href  string      `json:"href"`
	ETag  string      `json:"etag,omitempty"`
	Key   string      `json:"key,omitempty"`
	UID   string      `json:"uid,omitempty"` // as in a Place
	Hash  chunk.ID    `json:"hash,omitzero"`
	Body  chunk.ID    `json:"body,omitzero"` // of a record of the base
	Gone  bool        `json:"gone,omitempty"`
}

// Unreadable is an item of a collection that is not one object of the sync's kind.
type Unreadable struct {
	Where merge.Where `json:"where"`
	Href  string      `json:"href"`
	Key   string      `json:"key,omitempty"` // of what was there before; "" where that is not known
}

// Conflict is a record that waits for a person.
type Conflict struct {
	Key        string      `json:"key"`
	Cause      merge.Cause `json:"cause"`
	Properties []string    `json:"properties,omitempty"`
	Source     chunk.ID    `json:"source,omitzero"` // bodies
	Target     chunk.ID    `json:"target,omitzero"`
	Run        int         `json:"run"` // that found it
	Time       time.Time   `json:"time"`
}

// Kept is a body of the attic: what a run overwrote or removed.
type Kept struct {
	Body  chunk.ID    `json:"body"`
	Where merge.Where `json:"where"`
	Key   string      `json:"key"`
	Run   int         `json:"run"`
	Time  time.Time   `json:"time"`
}

// Run is what a run did.
type Run struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Plan   string    `json:"plan"`          // its ID
	Kind   string    `json:"kind"`          // sync, push, resolve or undo
	Cut    bool      `json:"cut,omitempty"` // it was cut off: Done is what the sides told of it later
	Done   []Done    `json:"done,omitempty"`
	Failed int       `json:"failed,omitempty"`
}

// Done is one write of a run.
type Done struct {
	Where  merge.Where  `json:"where"`
	Action merge.Action `json:"action"`
	Key    string       `json:"key"`
	// ETag and Hash tell what the write left; of a run that was cut off, Hash is what
	// it would have left.
	ETag   string   `json:"etag,omitempty"`
	Hash   chunk.ID `json:"hash,omitzero"`
	Before chunk.ID `json:"before,omitzero"` // the body that was there
}

// Intent is a write that may have been done.
type Intent struct {
	Done
	Run int `json:"run"`
	// From is the hash of the other side's record, which it brings here; zero where a
	// person chose what is written.
	From chunk.ID `json:"from,omitzero"`
	// FromBody is its body, where what is written does not mean the same.
	FromBody chunk.ID `json:"from_body,omitzero"`
}

// Running says who runs.
type Running struct {
	Host   string    `json:"host"`
	PID    int       `json:"pid"`
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Plan   string    `json:"plan"`
	Kind   string    `json:"kind"`
}

const (
	atticAge    = 366 * 24 * time.Hour // of bodies; a run that is older can still be in the journal, and not be undone
	maxAttic    = 200_000              // bodies, of which the newest are kept
	maxRuns     = 50
	maxRunsDone = 100_000 // writes that the journal holds
)

// bodies yields the names of all bodies that the state needs.
func (s *State) bodies(yield func(chunk.ID)) {
	see := func(id chunk.ID) {
		if !id.IsZero() {
			yield(id)
		}
	}
	for i := range s.Rows {
		see(s.Rows[i].Source.Body)
		see(s.Rows[i].Target.Body)
	}
	for _, c := range s.Conflicts {
		see(c.Source)
		see(c.Target)
	}
	for _, k := range s.Attic {
		see(k.Body)
	}
	for _, f := range s.Seen {
		see(f.Body)
	}
	for _, in := range s.Intents {
		see(in.FromBody)
	}
}

// number is that of the next run.
func (s *State) number() int {
	n := 0
	if len(s.Runs) > 0 {
		n = s.Runs[len(s.Runs)-1].Number
	}
	if s.Running != nil {
		n = max(n, s.Running.Number)
	}
	return n + 1
}

// trim drops what has grown old.
func (s *State) trim(now time.Time) {
	writes := 0
	for i := len(s.Runs) - 1; i >= 0; i-- {
		if writes += len(s.Runs[i].Done); len(s.Runs)-i > maxRuns || writes > maxRunsDone && i < len(s.Runs)-1 {
			s.Runs = s.Runs[i+1:]
			break
		}
	}
	attic := s.Attic[:0:0]
	for _, k := range s.Attic {
		if now.Sub(k.Time) < atticAge {
			attic = append(attic, k)
		}
	}
	s.Attic = attic[max(0, len(attic)-maxAttic):]
}

// hashOf is the hash of what an object says.
func hashOf(c *vobject.Component) vobject.Hash { return vobject.HashOf(vobject.Canonical(c)) }
