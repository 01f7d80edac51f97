package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"russet/chunk"
	"russet/internal/vobject"
	"russet/merge"
	"russet/records"
)

// Source is what a sync takes records from: those of a snapshot, or a collection.
type Source struct {
	Set *records.Set
	// Read, instead of Set, reads it when it is wanted. Print names what it would read
	// and by what: where that is what the last run read, and the target is as it was,
	// it is not called.
	Read   func(ctx context.Context) (*records.Set, error)
	Print  string
	Origin Origin // of Set
	Side   Side
}

// Options say who runs, and when.
type Options struct {
	Host string
	PID  int
	Time time.Time // of the run, as it is noted
	// Progress, if not nil, is called after each write.
	Progress func(done, total int)

	flaws flaws
}

// flaws are mistakes that tests make on purpose, to see that the model finds them.
type flaws struct {
	believeListings bool                               // an item that is not listed is gone
	noAttic         bool                               // nothing is kept of what is replaced
	baseFirst       bool                               // the base is saved before the write
	hash            func([]byte) vobject.Hash          // what bodies are compared by
	plan            func(merge.Policy, *merge.Changes) // done to what was planned
}

// Sync is a sync that is open: its state is loaded, nothing is observed yet. It is
// for one goroutine, and for one Apply.
type Sync struct {
	store  Store
	state  *State
	source Source
	sides  [2]Side // by merge.Where; that of a phone is nil
	opt    Options
	fresh  map[chunk.ID][]byte // bodies that the store does not have yet
	saved  [32]byte            // digest of the state as it was loaded
	spent  bool
}

// Add keeps the configuration of a new sync. It is an error if the name is taken.
func Add(ctx context.Context, store Store, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	_, err := store.Load(ctx, c.Name)
	if err == nil {
		return fmt.Errorf("add sync %s: there is one of that name", c.Name)
	}
	if !errors.Is(err, ErrNoSync) {
		return fmt.Errorf("add sync %s: %w", c.Name, err)
	}
	return store.Save(ctx, &State{Config: c, Canonical: vobject.CanonicalVersion}, nil)
}

// Open loads the state of a sync. The source's device must be that of the
// configuration, and a Set's kind, too.
func Open(ctx context.Context, store Store, name string, source Source, target Side, opt Options) (*Sync, error) {
	st, err := store.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open sync %s: %w", name, err)
	}
	s := &Sync{
		store: store, state: st, source: source, sides: [2]Side{source.Side, target}, opt: opt,
		fresh: map[chunk.ID][]byte{}, saved: digest(st),
	}
	c := &st.Config
	switch {
	case (source.Set == nil && source.Read == nil) == (source.Side == nil):
		panic("reconcile: a source is a set or a side")
	case (c.Device == "") != (source.Side != nil):
		return nil, fmt.Errorf("open sync %s: its source is of another sort than it was added with", name)
	case source.Set != nil && source.Set.Kind != c.Kind:
		return nil, fmt.Errorf("open sync %s: its records are %s, not %s", name, c.Kind, source.Set.Kind)
	}
	if st.Canonical != vobject.CanonicalVersion {
		if err := s.refresh(ctx); err != nil {
			return nil, fmt.Errorf("open sync %s: %w", name, err)
		}
	}
	return s, nil
}

// State is what the sync remembers: for looking at.
func (s *Sync) State() *State { return s.state }

// Body returns a body that the state names, of the queue of conflicts or of the
// attic.
func (s *Sync) Body(ctx context.Context, id chunk.ID) ([]byte, error) {
	if b, ok := s.fresh[id]; ok {
		return b, nil
	}
	b, err := s.store.Body(ctx, s.state.Config.Name, id)
	if err != nil {
		return nil, fmt.Errorf("read a body of sync %s: %w", s.state.Config.Name, err)
	}
	return b, nil
}

// keep remembers a body for the next save.
func (s *Sync) keep(data []byte) chunk.ID {
	id := chunk.Sum(data)
	s.fresh[id] = data
	return id
}

// object returns the object of a body.
func (s *Sync) object(ctx context.Context, id chunk.ID) (*vobject.Component, error) {
	data, err := s.Body(ctx, id)
	if err != nil {
		return nil, err
	}
	c, _, err := decode(data)
	return c, err
}

// decode reads an item's body: one object with a key.
func decode(data []byte) (c *vobject.Component, uid string, err error) {
	all, err := vobject.Parse(data)
	if err != nil {
		return nil, "", err
	}
	if len(all) != 1 {
		return nil, "", fmt.Errorf("read an item: it holds %d objects", len(all))
	}
	uid, ok := vobject.Key(all[0])
	if !ok {
		return nil, "", errors.New("read an item: it has no UID of its own")
	}
	return all[0], uid, nil
}

// decodeKind is decode for an object of the sync's kind: a vCard, or a calendar object.
func (s *Sync) decodeKind(data []byte) (c *vobject.Component, uid string, err error) {
	c, uid, err = decode(data)
	if err == nil && (c.Name == "VCARD") != (s.state.Config.Kind == records.Contacts) {
		return nil, "", errors.New("read an item: it is of another kind of records")
	}
	return c, uid, err
}

// refresh makes the hashes anew from the bodies that were kept: a new program that
// reads objects better must not take that for edits.
func (s *Sync) refresh(ctx context.Context) error {
	for i := range s.state.Rows {
		row := &s.state.Rows[i]
		same := row.Source.Hash == row.Target.Hash
		for _, w := range []merge.Where{merge.Target, merge.Source} {
			p := row.place(w)
			if p.Body.IsZero() {
				if same {
					p.Hash = row.Target.Hash
				}
				continue
			}
			data, err := s.Body(ctx, p.Body)
			if err != nil && !errors.Is(err, ErrState) {
				return fmt.Errorf("make hashes anew: %w", err)
			}
			c, _, unread := decode(data)
			if err != nil || unread != nil {
				*p = Place{Href: p.Href, UID: p.UID} // it is as if nothing had been agreed on
				continue
			}
			p.Hash = chunk.ID(hashOf(c))
		}
	}
	// What else the old hashes are in is looked at anew.
	s.state.Canonical, s.state.Seen, s.state.Intents, s.state.Token = vobject.CanonicalVersion, nil, nil, [2]string{}
	return nil
}
