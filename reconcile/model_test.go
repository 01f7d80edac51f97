package reconcile

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"russet/merge"
	"russet/records"
)

// step is a step of a history: somebody's edit, a person's decision, or a run.
type step struct{ kind, key, field, fault, at int }

// history is a setting and what happens in it.
type history struct {
	mode   merge.Mode
	choice merge.Choice
	target quirks
	source quirks // of two ways
	steps  []step
}

const (
	modelKeys = 3
	maxSteps  = 14
)

// histories generates them.
func histories() *rapid.Generator[history] {
	small := func(n int) *rapid.Generator[int] {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return rapid.SampledFrom(all)
	}
	kind, key, field, faulty, at, bits := small(16), small(modelKeys), small(5), small(int(faults)), small(6), small(32)
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{kind.Draw(t, ""), key.Draw(t, ""), field.Draw(t, ""), faulty.Draw(t, ""), at.Draw(t, "")}
	}), 3, maxSteps)
	mode := rapid.SampledFrom([]merge.Mode{merge.Safe, merge.TwoWay, merge.Mirror, merge.Safe, merge.TwoWay})
	choice := rapid.SampledFrom([]merge.Choice{merge.Ask, merge.SourceWins, merge.TargetWins, merge.KeepBoth, merge.Ask})
	quirky := func(b int) quirks {
		return quirks{tokens: b&1 != 0, silent: b&2 != 0, reorders: b&4 != 0, drops: b&8 != 0, shouts: b&16 != 0}
	}
	return rapid.Custom(func(t *rapid.T) history {
		h := history{mode: mode.Draw(t, "mode"), choice: choice.Draw(t, "choice"), target: quirky(bits.Draw(t, "target"))}
		if h.mode == merge.TwoWay {
			h.source = quirky(bits.Draw(t, "source") & 7)
		}
		h.steps = steps.Draw(t, "steps")
		return h
	})
}

// model is a history that is under way, and what it knows to be right.
type model struct {
	h      history
	flaws  flaws
	w      *world
	store  *memoryStore
	sides  [2]*faultySide // the source's only in two ways; else it holds what the phone has
	made   int            // values that people made so far
	values map[string]bool
	// touched and removed are keys that people changed, and removed, on a side;
	// decided those of which they undid or resolved something.
	touched, removed [2]map[string]bool
	decided          map[string]bool
	runs             int
}

func newModel(t testing.TB, h history, f flaws, side quirks) *model {
	m := &model{h: h, flaws: f, w: new(world), values: map[string]bool{}, decided: map[string]bool{}}
	m.store = &memoryStore{w: m.w}
	h.target.noMatch, h.target.noNone, h.target.anyDelete = side.noMatch, side.noNone, side.anyDelete
	m.sides = [2]*faultySide{newFaultySide(m.w, "source", h.source), newFaultySide(m.w, "target", h.target)}
	for w := range m.touched {
		m.touched[w], m.removed[w] = map[string]bool{}, map[string]bool{}
	}
	m.w.edited = func(side *faultySide, href string) {
		w := slices.Index(m.sides[:], side)
		m.editAt(w, href, strings.TrimSuffix(href[strings.LastIndex(href, "/")+1:], ".vcf"), 0)
	}
	m.w.begin(faultNone, 0)
	c := Config{Name: "model", Kind: records.Contacts, Device: "phone", Target: "carddav:https://dav.example/book/", Mode: h.mode, Choice: h.choice}
	if h.mode == merge.TwoWay {
		c.Device, c.Source = "", "/folder"
	}
	if err := Add(t.Context(), m.store, c); err != nil {
		t.Fatal(err)
	}
	return m
}

// fields are the lines that people write values into; two EMAILs may stand together.
var fields = []string{"NOTE:", "TITLE:", "X-LOSS:", "EMAIL:", "EMAIL:"}

// valuesOf are the values in a body.
func valuesOf(body []byte) []string {
	var found []string
	for l := range strings.SplitSeq(string(body), "\r\n") {
		if i := strings.IndexByte(l, ':'); i > 0 && slices.Contains(fields, l[:i+1]) {
			found = append(found, strings.ToLower(l[i+1:]))
		}
	}
	return found
}

// editAt is a person's edit on a side: a new value in place of an old one, which that
// person saw, or a new record.
func (m *model) editAt(w int, href, uid string, field int) {
	m.made++
	value := fmt.Sprintf("v%d", m.made)
	line := fields[field] + value
	s := m.sides[w]
	it, ok := s.items[href]
	lines := []string{"BEGIN:VCARD", "VERSION:3.0", "UID:" + uid, "FN:Name of " + uid, line, "END:VCARD"}
	if ok {
		lines = strings.Split(strings.TrimSuffix(string(it.Body), "\r\n"), "\r\n")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fields[field]) })
		if field == len(fields)-1 || at < 0 { // one more
			lines = slices.Insert(lines, len(lines)-1, line)
		} else {
			delete(m.values, strings.ToLower(lines[at][len(fields[field]):]))
			lines[at] = line
		}
	}
	s.put(href, []byte(strings.Join(lines, "\r\n")+"\r\n"))
	m.touched[w][uid] = true
	if !s.q.drops || fields[field] != "X-LOSS:" {
		m.values[value] = true
	}
}

// removeAt is a person's removal on a side.
func (m *model) removeAt(w int, uid string) {
	s := m.sides[w]
	it, ok := s.items[s.href(uid)]
	if !ok {
		return
	}
	for _, v := range valuesOf(it.Body) {
		delete(m.values, v)
	}
	other := m.sides[1-w]
	for l := range strings.SplitSeq(string(other.items[other.href(uid)].Body), "\r\n") {
		if v, ok := strings.CutPrefix(l, "X-LOSS:"); ok && m.h.target.drops {
			delete(m.values, v) // the server never showed it
		}
	}
	s.drop(s.href(uid))
	m.removed[w][uid], m.touched[w][uid] = true, true
}

// open opens the sync as a new process does.
func (m *model) open(t testing.TB) (*Sync, error) {
	m.runs++
	opt := Options{Host: "here", PID: m.runs, Time: time.Unix(int64(m.runs)*3600, 0), flaws: m.flaws}
	if m.h.mode == merge.TwoWay {
		return Open(t.Context(), m.store, "model", Source{Side: m.sides[0]}, m.sides[1], opt)
	}
	set := &records.Set{Kind: records.Contacts, Complete: true, Containers: []records.Container{{ID: "c", Synced: true}}}
	print := sha256.New()
	for n := range modelKeys {
		it, ok := m.sides[0].items[m.sides[0].href(fmt.Sprintf("k%d", n))]
		if !ok {
			continue
		}
		fmt.Fprintf(print, "%d %q ", n, it.Body)
		if m.w.fault == faultPartial && n%2 == m.w.at%2 {
			set.Complete = false
			continue
		}
		c, uid, err := decode(it.Body)
		if err != nil {
			return nil, err
		}
		set.Records = append(set.Records, records.Record{UID: uid, Container: "c", Object: c})
	}
	origin := Origin{UDID: "phone", Time: time.Unix(int64(m.runs)*3600, 0)}
	read := func(context.Context) (*records.Set, error) { return set, nil }
	return Open(t.Context(), m.store, "model", Source{Read: read, Print: string(print.Sum(nil)), Origin: origin}, m.sides[1], opt)
}

// apply runs a plan, of which a person approves, and checks what can be said at any
// time.
func (m *model) apply(t testing.TB, make func(*Sync) (*Plan, error)) (*Result, error) {
	s, err := m.open(t)
	if err != nil {
		return nil, err
	}
	p, err := make(s)
	if err != nil || p == nil {
		return nil, errors.Join(err, m.lost())
	}
	if p.Refused() {
		return nil, fmt.Errorf("wrong: a guard refuses: %v", p.Guards)
	}
	if err := m.asked(p); err != nil {
		return nil, err
	}
	res, err := p.Apply(t.Context(), Approval{Plan: p.ID, Deletions: p.Deletions()})
	return res, errors.Join(err, m.lost(), m.doubled())
}

// asked says what of a plan nobody asked for.
func (m *model) asked(p *Plan) error {
	if p.Kind != KindSync {
		return nil
	}
	for i := range p.Ops {
		o := &p.Ops[i]
		other := m.sides[o.Where.Other()]
		if _, there := other.items[other.href(o.Key)]; o.Action == merge.Delete && there {
			return fmt.Errorf("wrong: a record is deleted at the %v that the other side has", o.Where)
		}
	}
	for _, c := range p.Conflicts {
		if c.Cause == merge.Edited && !m.touched[1][c.Key] && !m.decided[c.Key] {
			return errors.New("wrong: a record that nobody touched is said to be edited")
		}
	}
	return nil
}

// lost says what a person made and is nowhere any more. What was replaced because a
// person, or the policy, said so, must be in the attic; all else at one of the sides
// or in the queue.
func (m *model) lost() error {
	here, attic := map[string]bool{}, map[string]bool{}
	for _, s := range m.sides {
		for _, it := range s.items {
			for _, v := range valuesOf(it.Body) {
				here[v] = true
			}
		}
	}
	for _, c := range m.store.state.Conflicts {
		for _, v := range append(valuesOf(m.store.bodies[c.Source]), valuesOf(m.store.bodies[c.Target])...) {
			here[v] = true
		}
	}
	for _, k := range m.store.state.Attic {
		for _, v := range valuesOf(m.store.bodies[k.Body]) {
			attic[v] = true
		}
	}
	lossy := m.h.mode == merge.Mirror || m.h.choice == merge.SourceWins || m.h.choice == merge.TargetWins || len(m.decided) > 0
	for v := range m.values {
		if !here[v] && !(lossy && attic[v]) {
			return fmt.Errorf("wrong: %s is lost", v)
		}
	}
	return nil
}

// doubled says whether a collection has two items of a UID.
func (m *model) doubled() error {
	for _, s := range m.sides {
		seen := map[string]bool{}
		for _, it := range s.items {
			_, uid, err := decode(it.Body)
			if err != nil {
				return fmt.Errorf("wrong: an item cannot be read: %w", err)
			}
			if seen[uid] {
				return errors.New("wrong: two items of one UID")
			}
			seen[uid] = true
		}
	}
	return nil
}

// do does a step. The error says what is wrong; that a run failed is not.
func (m *model) do(t testing.TB, s step) error {
	uid := fmt.Sprintf("k%d", s.key)
	var err error
	switch s.kind {
	case 0, 1, 2:
		m.editAt(0, m.sides[0].href(uid), uid, s.field)
	case 3:
		m.removeAt(0, uid)
	case 4, 5, 6:
		m.editAt(1, m.sides[1].href(uid), uid, s.field)
	case 7:
		m.removeAt(1, uid)
	case 8:
		m.w.begin(faultNone, 0)
		_, err = m.apply(t, m.undo(t))
	case 9:
		m.w.begin(faultNone, 0)
		_, err = m.apply(t, m.resolve(t, []Resolution{TakeSource, TakeTarget, TakeBoth}[s.at%3]))
	default:
		m.w.begin(fault(s.fault), s.at)
		_, err = m.apply(t, func(s *Sync) (*Plan, error) { return s.Plan(t.Context()) })
	}
	if err != nil && strings.Contains(err.Error(), "wrong: ") {
		return err
	}
	return nil
}

// undo undoes the last run.
func (m *model) undo(t testing.TB) func(*Sync) (*Plan, error) {
	return func(s *Sync) (*Plan, error) {
		runs := s.State().Runs
		if len(runs) == 0 {
			return nil, nil
		}
		last := runs[len(runs)-1]
		for _, d := range last.Done {
			m.decided[d.Key] = true
		}
		return s.PlanUndo(t.Context(), last.Number)
	}
}

// resolve resolves the first conflict.
func (m *model) resolve(t testing.TB, take Resolution) func(*Sync) (*Plan, error) {
	return func(s *Sync) (*Plan, error) {
		if len(s.State().Conflicts) == 0 {
			return nil, nil
		}
		key := s.State().Conflicts[0].Key
		m.decided[key] = true
		return s.PlanResolve(t.Context(), key, take, nil)
	}
}

// check runs the history, and then until nothing changes any more.
func (m *model) check(t testing.TB) error {
	for _, s := range m.h.steps {
		if err := m.do(t, s); err != nil {
			return err
		}
	}
	const patience = 6
	for n := 0; ; n++ {
		m.w.begin(faultNone, 0)
		saves := m.store.saves
		res, err := m.apply(t, func(s *Sync) (*Plan, error) { return s.Plan(t.Context()) })
		if err != nil {
			return fmt.Errorf("wrong: a run without faults fails: %w", err)
		}
		if m.w.wrote == 0 && len(res.Failed) == 0 && m.store.saves == saves {
			return m.alike()
		}
		if n == patience {
			return errors.New("wrong: it does not come to rest")
		}
	}
}

// alike says what the sync left different though nobody said it should.
func (m *model) alike() error {
	st := m.store.state
	waits := map[string]bool{}
	for _, c := range st.Conflicts {
		waits[c.Key] = true
	}
	state := map[string]merge.State{}
	for _, r := range st.Rows {
		state[r.Key] = r.State
	}
	for n := range modelKeys {
		key := fmt.Sprintf("k%d", n)
		s, hasS := m.sides[0].items[m.sides[0].href(key)]
		t, hasT := m.sides[1].items[m.sides[1].href(key)]
		switch {
		case waits[key] || m.decided[key] || !hasS && !hasT:
		case hasS && !hasT:
			if m.h.mode != merge.Safe || state[key] != merge.Removed || !m.removed[1][key] {
				return fmt.Errorf("wrong: a record stayed at the source alone, %q", state[key])
			}
		case hasT && !hasS:
			if m.h.mode == merge.TwoWay || !m.touched[1][key] && !m.h.target.drops && !m.h.target.shouts {
				return fmt.Errorf("wrong: a record stayed at the target alone, %q", state[key])
			}
		default:
			if err := m.same(s.Body, t.Body); err != nil {
				return err
			}
		}
	}
	return nil
}

// same says whether what is alive of a record's values is on both sides.
func (m *model) same(s, t []byte) error {
	in := func(list []string, v string) bool { return slices.Contains(list, v) }
	vs, vt := valuesOf(s), valuesOf(t)
	for _, v := range vs {
		dropped := m.h.target.drops && strings.Contains(string(s), "X-LOSS:"+v)
		if m.values[v] && !in(vt, v) && !dropped && m.h.choice != merge.TargetWins {
			return fmt.Errorf("wrong: %s did not reach the target", v)
		}
	}
	for _, v := range vt {
		if m.h.mode == merge.TwoWay && m.values[v] && !in(vs, v) {
			return fmt.Errorf("wrong: %s did not reach the source", v)
		}
	}
	return nil
}

// run says what is wrong with a history.
func (h history) run(t testing.TB, f flaws, side quirks) error {
	return newModel(t, h, f, side).check(t)
}

// TestFound: histories that the model found once.
func TestFound(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]history{
		"gone, there again, and not listed": {mode: merge.TwoWay, choice: merge.Ask, steps: []step{
			{kind: 4, key: 1}, {kind: 10}, {kind: 3, key: 1}, {kind: 8}, {kind: 0, key: 1}, {kind: 10, fault: int(faultHalf)},
		}},
		"cut off, and an edit of what the server spells otherwise": {mode: merge.TwoWay, choice: merge.SourceWins, target: quirks{shouts: true}, steps: []step{
			{field: 1}, {kind: 10}, {kind: 4}, {kind: 10, fault: int(faultDieBefore), at: 2}, {kind: 4, field: 1},
		}},
		"an edit between the write and the reading back": {mode: merge.TwoWay, choice: merge.Ask, steps: []step{
			{}, {kind: 10, fault: int(faultEditAfter), at: 1},
		}},
		"created, cut off, and deleted": {mode: merge.Safe, choice: merge.Ask, steps: []step{
			{}, {kind: 10, fault: int(faultDieBefore), at: 2}, {kind: 3}, {kind: 10, fault: int(faultDieBefore), at: 1},
		}},
	} {
		if err := h.run(t, flaws{}, quirks{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestModel runs random histories on faulty sides: nothing is lost, everything comes
// to rest, and a second run writes nothing. RUSSET_SOAK=1 runs a million; a failure
// says with which -rapid.seed it comes again.
func TestModel(t *testing.T) {
	t.Parallel()
	all := 20_000
	switch {
	case raced || testing.Short():
		all = 2_000
	case os.Getenv("RUSSET_SOAK") == "1":
		all = 1_000_000
	}
	const parts = 4
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(all / parts), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	gen := histories()
	for part := range parts {
		t.Run(strconv.Itoa(part), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(r *rapid.T) {
				h := gen.Draw(r, "history")
				if err := h.run(t, flaws{}, quirks{}); err != nil {
					r.Fatal(err)
				}
			})
		})
	}
}
