package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"russet/chunk"
	"russet/merge"
)

var (
	errDied = errors.New("the process died")
	errLost = errors.New("the reply was lost")
)

// fault is what goes wrong in a run, at the n-th write to a side or to the store.
type fault int

const (
	faultNone fault = iota
	faultDieBefore
	faultDieAfter
	faultLostReply
	faultLostRequest
	faultEdit      // another client changes the item, or makes one of its name, just before
	faultEditAfter // another client changes the item just after, before it is read back
	faultHalf      // a listing leaves out every other item
	faultEmpty     // a listing is empty
	faultNoise     // etags change though nothing else did
	faultSave      // the store fails
	faultReadBack  // what was written cannot be read back
	faultPartial   // the phone's database could not be read to its end
	faultGarbled   // items cannot be read before the first write
	faults
)

// world is what the sides and the store of a history share.
type world struct {
	fault  fault
	at     int // the write at which it strikes
	writes int
	wrote  int // writes that were done
	dead   bool
	edited func(side *faultySide, href string) // another client's edit
}

// begin starts a run.
func (w *world) begin(f fault, at int) { *w = world{fault: f, at: at, edited: w.edited} }

// write decides what becomes of a write: done tells whether it takes place.
func (w *world) write(side *faultySide, href string) (done bool, err error) {
	if w.dead {
		return false, errDied
	}
	strikes := w.writes == w.at
	w.writes++
	if !strikes {
		return true, nil
	}
	switch w.fault {
	case faultDieBefore:
		w.dead = true
		return false, errDied
	case faultDieAfter:
		w.dead = true
		return true, errDied
	case faultLostReply:
		return true, errLost
	case faultLostRequest:
		return false, errLost
	case faultEdit:
		if side != nil {
			w.edited(side, href)
		}
	}
	return true, nil
}

// quirks are what a server does all the time.
type quirks struct {
	tokens    bool // it has sync tokens
	silent    bool // its replies to writes have no etag
	reorders  bool // it puts lines in another order, differently at each read
	drops     bool // it keeps no X-LOSS
	shouts    bool // it keeps TITLE in upper case
	noMatch   bool // flaw of the caller: If-Match is not sent
	noNone    bool // flaw of the caller: If-None-Match is not sent
	anyDelete bool // flaw of the caller: it deletes without If-Match
}

// faultySide is a collection in memory.
type faultySide struct {
	w     *world
	q     quirks
	name  string
	items map[string]merge.Item
	clock int
	log   map[string]int // when what was last changed
	gets  map[string]int // how often what was read
}

func newFaultySide(w *world, name string, q quirks) *faultySide {
	return &faultySide{w: w, q: q, name: name, items: map[string]merge.Item{}, log: map[string]int{}, gets: map[string]int{}}
}

func (s *faultySide) href(uid string) string { return "/" + s.name + "/" + uid + ".vcf" }

// put stores a body as the side stores it, whoever wrote it.
func (s *faultySide) put(href string, body []byte) merge.Ref {
	s.clock++
	var kept []string
	for l := range strings.SplitSeq(strings.TrimSuffix(string(body), "\r\n"), "\r\n") {
		switch {
		case s.q.drops && strings.HasPrefix(l, "X-LOSS:"):
		case s.q.shouts && strings.HasPrefix(l, "TITLE:"):
			kept = append(kept, strings.ToUpper(l))
		default:
			kept = append(kept, l)
		}
	}
	ref := merge.Ref{Href: href, ETag: strconv.Itoa(s.clock)}
	s.items[href] = merge.Item{Ref: ref, Body: []byte(strings.Join(kept, "\r\n") + "\r\n")}
	s.log[href] = s.clock
	return ref
}

func (s *faultySide) drop(href string) {
	s.clock++
	delete(s.items, href)
	s.log[href] = s.clock
}

func (s *faultySide) Identity(context.Context) (string, error) { return s.name, nil }

func (s *faultySide) List(_ context.Context, token string) (merge.Listing, error) {
	if s.w.dead {
		return merge.Listing{}, errDied
	}
	var l merge.Listing
	since := 0
	if s.q.tokens {
		if token != "" {
			var err error
			if since, err = strconv.Atoi(token); err != nil || since > s.clock {
				return l, fmt.Errorf("list: %w", merge.ErrToken)
			}
			l.Changes = true
		}
		l.Token = strconv.Itoa(s.clock)
	}
	if l.Changes {
		for href, at := range s.log {
			if it, ok := s.items[href]; at > since && ok {
				l.Refs = append(l.Refs, it.Ref)
			} else if at > since {
				l.Removed = append(l.Removed, href)
			}
		}
		return l, nil
	}
	if s.w.fault == faultHalf || s.w.fault == faultEmpty {
		l.Token = "" // else nobody could ever know of what it leaves out
	}
	hrefs := make([]string, 0, len(s.items))
	for href := range s.items {
		hrefs = append(hrefs, href)
	}
	sort.Strings(hrefs)
	for i, href := range hrefs {
		if s.w.fault == faultEmpty || s.w.fault == faultHalf && i%2 == s.w.at%2 {
			continue
		}
		if it := s.items[href]; s.w.fault == faultNoise {
			s.clock++
			it.ETag = strconv.Itoa(s.clock)
			s.items[href] = it
		}
		l.Refs = append(l.Refs, s.items[href].Ref)
	}
	return l, nil
}

func (s *faultySide) Get(_ context.Context, hrefs []string) ([]merge.Item, error) {
	if s.w.dead {
		return nil, errDied
	}
	if s.w.writes > 1 && s.w.fault == faultReadBack { // the first is the store's
		return nil, errLost
	}
	var items []merge.Item
	for _, href := range hrefs {
		it, ok := s.items[href]
		if it.Gone = !ok; it.Gone {
			it.Href = href
		}
		if ok && s.w.fault == faultGarbled && s.w.writes == 0 && int(href[len(href)-5])%2 == s.w.at%2 {
			it.Body = []byte("nonsense")
		} else if ok && s.q.reorders {
			s.gets[href]++
			it.Body = reordered(it.Body, s.gets[href])
		}
		items = append(items, it)
	}
	return items, nil
}

// reordered turns the lines between BEGIN and END around by n.
func reordered(body []byte, n int) []byte {
	lines := strings.Split(strings.TrimSuffix(string(body), "\r\n"), "\r\n")
	inner := lines[1 : len(lines)-1]
	n %= len(inner)
	inner = slices.Concat(inner[n:], inner[:n])
	return []byte(lines[0] + "\r\n" + strings.Join(inner, "\r\n") + "\r\n" + lines[len(lines)-1] + "\r\n")
}

func (s *faultySide) reply(ref merge.Ref, err error) (merge.Ref, error) {
	// Where replies have no etag nobody can tell.
	if s.w.fault == faultEditAfter && s.w.writes-1 == s.w.at && !s.q.silent {
		s.w.edited(s, ref.Href)
	}
	if err != nil {
		return merge.Ref{}, err
	}
	if s.q.silent {
		ref.ETag = ""
	}
	return ref, nil
}

func (s *faultySide) Create(_ context.Context, uid string, body []byte) (merge.Ref, error) {
	href := s.href(uid)
	done, err := s.w.write(s, href)
	if !done {
		return merge.Ref{}, err
	}
	if _, ok := s.items[href]; ok && !s.q.noNone {
		return merge.Ref{}, fmt.Errorf("create: %w", merge.ErrChanged)
	}
	s.w.wrote++
	return s.reply(s.put(href, body), err)
}

func (s *faultySide) Update(_ context.Context, ref merge.Ref, body []byte) (merge.Ref, error) {
	done, err := s.w.write(s, ref.Href)
	if !done {
		return merge.Ref{}, err
	}
	if it, ok := s.items[ref.Href]; (!ok || it.ETag != ref.ETag) && !s.q.noMatch {
		return merge.Ref{}, fmt.Errorf("update: %w", merge.ErrChanged)
	}
	s.w.wrote++
	return s.reply(s.put(ref.Href, body), err)
}

func (s *faultySide) Delete(_ context.Context, ref merge.Ref) error {
	done, err := s.w.write(s, ref.Href)
	if !done {
		return err
	}
	it, ok := s.items[ref.Href]
	if !ok {
		return err
	}
	if it.ETag != ref.ETag && !s.q.anyDelete {
		return fmt.Errorf("delete: %w", merge.ErrChanged)
	}
	s.w.wrote++
	s.drop(ref.Href)
	return err
}

// memoryStore keeps one state in memory.
type memoryStore struct {
	w      *world
	state  *State
	bodies map[chunk.ID][]byte
	saves  int
}

// copyState returns a state that shares nothing that changes.
func copyState(st *State) *State {
	c := *st
	c.Rows, c.Seen, c.Conflicts = slices.Clone(st.Rows), slices.Clone(st.Seen), slices.Clone(st.Conflicts)
	c.Unreadable = slices.Clone(st.Unreadable)
	c.Attic, c.Runs, c.Intents = slices.Clone(st.Attic), slices.Clone(st.Runs), slices.Clone(st.Intents)
	return &c
}

func (m *memoryStore) Load(context.Context, string) (*State, error) {
	if m.state == nil {
		return nil, ErrNoSync
	}
	return copyState(m.state), nil
}

func (m *memoryStore) Body(_ context.Context, _ string, id chunk.ID) ([]byte, error) {
	if b, ok := m.bodies[id]; ok {
		return b, nil
	}
	return nil, ErrState
}

func (m *memoryStore) Save(_ context.Context, st *State, fresh map[chunk.ID][]byte) error {
	done, err := m.w.write(nil, "")
	if m.w.fault == faultSave && m.w.writes-1 == m.w.at {
		done, err = false, errLost
	}
	if !done {
		return err
	}
	m.saves++
	next := map[chunk.ID][]byte{}
	st.bodies(func(id chunk.ID) {
		if b, ok := fresh[id]; ok {
			next[id] = b
		} else if b, ok := m.bodies[id]; ok {
			next[id] = b
		} else if err == nil {
			err = fmt.Errorf("a state names a body that nobody has")
		}
	})
	m.state, m.bodies = copyState(st), next
	return err
}

func (m *memoryStore) Runs(context.Context, Running) (bool, error) { return false, nil }
