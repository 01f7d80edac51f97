package offsite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/repo"
)

// Copy is a copy that is open beside its source. It is for one goroutine. Its
// methods change State and save nothing: Store.Save does, in the context of the
// source's lock, while theirs is that of the copy's.
type Copy struct {
	State *State

	from, to *repo.Repository
	there    []*repo.Snapshot // on the copy, but for the state of copies; as of takeStock
}

// Attach returns the copy that st tells of, which is open in to. The error wraps
// ErrOther where to is not that copy. The source is the repository of the store.
func (s *Store) Attach(st *State, to *repo.Repository) (*Copy, error) {
	if to.ID() != st.Config.Repository {
		return nil, fmt.Errorf("open copy: %w", ErrOther)
	}
	return &Copy{State: st, from: s.r, to: to}, nil
}

// Create makes the state of a new copy, which is to be saved, and which must not be
// there. to is the copy: what lies there already is noted, and unproven. It is nil
// where that is a mirror that nothing was put into yet.
func (s *Store) Create(ctx context.Context, config Config, to *repo.Repository) (*State, error) {
	st := &State{Config: config, Packs: Ledger{}}
	if err := config.Validate(); err != nil || to == nil {
		return st, err
	}
	c, err := s.Attach(st, to)
	if err == nil {
		_, err = c.takeStock(ctx, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("look at the copy: %w", err)
	}
	return st, nil
}

// Problem is a file of a copy that is not as it should be.
type Problem struct {
	File   backend.File
	Size   int64 // bytes that it should have
	Result Result
}

// String says it in a line, for people.
func (p Problem) String() string { return fmt.Sprintf("%v: %v", p.Result, p.File) }

// takeStock loads the copy's index and lists its packs and snapshots: the ledger then
// has the packs that its index names, new ones as put there at a time, and says which
// are gone or have another length. It returns the new ones.
func (c *Copy) takeStock(ctx context.Context, now uint32) (fresh []chunk.ID, err error) {
	// Snapshots first: what they need is in the index that is loaded after them.
	c.there, err = c.to.AllSnapshots(ctx)
	if err != nil && !errors.Is(err, repo.ErrDamaged) { // a verification names damaged ones
		return nil, err
	}
	c.there = slices.DeleteFunc(c.there, OfCopy)
	if err := c.to.LoadIndex(ctx); err != nil {
		return nil, err
	}
	sizes := map[chunk.ID]int64{}
	for info, err := range c.to.Backend().List(ctx, backend.Data) {
		if err != nil {
			return nil, err
		}
		if id, err := chunk.ParseID(info.Name); err == nil {
			sizes[id] = info.Size
		}
	}
	old := c.State.Packs
	c.State.Packs = Ledger{}
	for id, size := range c.to.Index().Packs() {
		e, known := old[id]
		if !known {
			e.Put = now
			fresh = append(fresh, id)
		}
		e.Size = size
		switch there, ok := sizes[id]; {
		case !ok:
			e.Result = Missing
		case there != size:
			e.Result = Damaged
		case e.Result == Missing: // it is back
			e.Result = Unknown
		}
		c.State.Packs[id] = e
	}
	return fresh, nil
}

// Record notes what a run that began at run.Time has put there, and asks the storage
// to prove that, where it can. Problems are packs that are not as they were put there.
// Where nothing has changed, and a run was noted in the last hour, this one is not:
// then there is nothing to save. All of the run but its time is filled in.
func (c *Copy) Record(ctx context.Context, run Run) (problems []Problem, changed bool, err error) {
	problems, changed, err = c.record(ctx, run)
	if err != nil {
		err = fmt.Errorf("note what was put there: %w", err)
	}
	return problems, changed, err
}

// noteEvery is how often a run is noted that had nothing to do: each note is a file
// more in the source, which a mirror has to copy.
const noteEvery = time.Hour

func (c *Copy) record(ctx context.Context, run Run) ([]Problem, bool, error) {
	fresh, err := c.takeStock(ctx, seconds(run.Time))
	if err != nil {
		return nil, false, err
	}
	run.Snapshots = c.unnoted()
	quiet := run.Snapshots == 0
	if c.State.Config.Kind == Twin {
		quiet = quiet && len(fresh) == 0 // of a mirror these are the notes of the last run
	}
	if quiet && c.State.Noted(run.Time) {
		return nil, false, nil
	}
	v := &verifier{c: c, now: run.Time, fresh: true}
	if err := v.prove(ctx, fresh, 0); err != nil {
		return v.problems, true, err
	}
	if err := c.measure(ctx); err != nil {
		return v.problems, true, err
	}
	run.Action, run.Packs, run.Bad = Put, len(fresh), len(v.problems)
	for _, id := range fresh {
		run.Bytes += c.State.Packs[id].Size
	}
	c.State.note(run)
	return v.problems, true, nil
}

// Noted tells whether a run was noted in the last hour, so that one that had nothing to
// do is not.
func (st *State) Noted(now time.Time) bool {
	last := st.last(Put)
	return now.Sub(last) < noteEvery && !now.Before(last)
}

// unnoted is how many snapshots stand there that no run has noted yet.
func (c *Copy) unnoted() (n int) {
	for _, s := range c.there {
		if _, ok := slices.BinarySearchFunc(c.State.Snapshots, standing(s), Standing.compare); !ok {
			n++
		}
	}
	return n
}

// Cut notes a run that was cut off when it may have written: what it has put there is
// found by the next one.
func (st *State) Cut(at time.Time) { st.note(Run{Time: at, Action: Put, Cut: true}) }

// damaged is the error of a copy with so many problems.
func damaged(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("verify copy: %w (files damaged or missing: %d)", ErrBad, n)
}
