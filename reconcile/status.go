package reconcile

import (
	"context"
	"fmt"

	"russet/merge"
)

// Status is where a sync stands.
type Status struct {
	Config    Config
	Records   int    // that both sides have
	Removed   int    // that the target removed, and the source has
	Orphans   int    // that the source removed, and the target has
	Conflicts int    // that wait for a person
	Edited    int    // of these, edits at a one-way target
	Last      *Run   // nil before the first
	Origin    Origin // the snapshot of the last run that changed something
	// Unfinished is the number of a run that was cut off, or is under way; 0 is none.
	Unfinished int
}

// ReadStatus says where a sync stands by its state alone.
func ReadStatus(ctx context.Context, store Store, name string) (*Status, error) {
	st, err := store.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look at sync %s: %w", name, err)
	}
	s := &Status{Config: st.Config, Conflicts: len(st.Conflicts), Origin: st.Origin}
	if st.Running != nil {
		s.Unfinished = st.Running.Number
	}
	for i := range st.Rows {
		switch st.Rows[i].State {
		case merge.Removed:
			s.Removed++
		case merge.Orphan:
			s.Orphans++
		default:
			s.Records++
		}
	}
	for _, c := range st.Conflicts {
		if c.Cause == merge.Edited {
			s.Edited++
		}
	}
	if n := len(st.Runs); n > 0 {
		last := st.Runs[n-1]
		s.Last = &last
	}
	return s, nil
}
