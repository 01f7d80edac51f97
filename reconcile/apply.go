package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"russet/chunk"
	"russet/merge"
)

// Result is what a run did.
type Result struct {
	Run       int       `json:"run"` // its number; 0 where nothing was kept of it
	Done      []Op      `json:"done"`
	Failed    []Failure `json:"failed,omitempty"`
	Conflicts int       `json:"conflicts"` // that wait now, of all runs
}

// Failure is a write that was not done, or of which nobody knows.
type Failure struct {
	Op   Op     `json:"op"`
	Err  error  `json:"-"`
	Text string `json:"error"` // of Err
}

// maxFailures is after how many failures in a row a run gives up: the server is
// gone, and the next run finds what was done.
const maxFailures = 5

// Apply does what the plan says. What fails for one record does not keep the
// others, and is in Result. The error says that the run itself could not go on; what
// it did by then is in Result, and kept where that was possible. Whatever happened,
// the next run observes, and goes on from what it finds.
func (p *Plan) Apply(ctx context.Context, a Approval) (*Result, error) {
	s := p.s
	if err := p.Allowed(a); err != nil {
		return nil, err
	}
	if s.spent {
		return nil, fmt.Errorf("apply plan %s: %w", p.ID, ErrOutdated)
	}
	s.spent = true
	if err := s.free(ctx); err != nil {
		return nil, err
	}
	r := &run{p: p, s: s, number: s.state.number(), res: &Result{Done: []Op{}}, failed: map[string]bool{}, wrote: map[string][2]*Op{}, undone: map[int]bool{}}
	p.noteCut(ctx)
	r.older = s.state.Intents
	r.noteMatches()
	if len(p.Ops) > 0 {
		if err := r.begin(ctx); err != nil {
			return nil, fmt.Errorf("sync %s: %w", p.Name, err)
		}
	}
	stopped := r.writes(ctx)
	r.stopped = stopped != nil
	if err := r.end(ctx); err != nil && stopped == nil {
		stopped = err
	}
	if stopped != nil {
		return r.res, fmt.Errorf("sync %s: %w", p.Name, stopped)
	}
	return r.res, nil
}

// free makes sure that no other run of this sync is under way.
func (s *Sync) free(ctx context.Context) error {
	if s.state.Running == nil {
		return nil
	}
	runs, err := s.store.Runs(ctx, *s.state.Running)
	if err != nil {
		return fmt.Errorf("sync %s: %w", s.state.Config.Name, err)
	}
	if runs {
		return fmt.Errorf("sync %s: %w: process %d on %s", s.state.Config.Name, ErrBusy, s.state.Running.PID, s.state.Running.Host)
	}
	return nil
}

// noteCut puts a run that was cut off into the journal.
func (p *Plan) noteCut(ctx context.Context) {
	if run, ok := p.cutOff(ctx); ok {
		p.s.state.Runs = append(p.s.state.Runs, run)
		p.s.state.Running = nil
	}
}

// cutOff is the run that began and did not end, as the journal has it: with what it did,
// as far as the sides tell. ok is false where there is none.
func (p *Plan) cutOff(ctx context.Context) (run Run, ok bool) {
	r := p.s.state.Running
	if r == nil {
		return Run{}, false
	}
	run = Run{Number: r.Number, Time: r.Time, Plan: r.Plan, Kind: r.Kind, Cut: true}
	for i := range p.s.state.Intents {
		if in := &p.s.state.Intents[i]; in.Run == r.Number && p.mayBeDone(ctx, in) {
			run.Done = append(run.Done, in.Done)
		}
	}
	return run, true
}

// mayBeDone tells whether an intent was done, or nobody can tell that it was not: what
// it would have replaced, removed or made is not as it was.
func (p *Plan) mayBeDone(ctx context.Context, in *Intent) bool {
	now := p.views[in.Where].items[in.Key]
	switch {
	case p.unknown(in.Key):
		return true
	case in.Action == merge.Delete || now == nil:
		return now == nil && in.Action != merge.Create
	case in.Before.IsZero() || chunk.ID(now.hash) == in.Hash:
		return true
	}
	data, err := p.s.Body(ctx, in.Before)
	if err != nil {
		return true
	}
	before, err := p.s.decodeItem(merge.Item{Body: data})
	return err != nil || before.hash != now.hash
}

// run is a plan that is being applied.
type run struct {
	p       *Plan
	s       *Sync
	number  int
	res     *Result
	done    []Done
	intents []Intent // one for each op
	older   []Intent // of earlier runs
	pending []int    // ops that were done and not read back
	refs    map[int]merge.Ref
	failed  map[string]bool   // keys of which an op was not done, or is not known
	wrote   map[string][2]*Op // by key, the ops that were done
	unsure  []Intent
	undone  map[int]bool // ops that are known not to have been done
	unseen  [2]bool      // sides that had something else than they listed
	hidden  bool         // something lay where a record was to be created
	stopped bool         // before the last op
}

// begin keeps what the run will replace, and what it means to do.
func (r *run) begin(ctx context.Context) error {
	st := r.s.state
	writes := map[string]int{} // of each key
	for i := range r.p.Ops {
		writes[r.p.Ops[i].Key]++
	}
	for i := range r.p.Ops {
		o := &r.p.Ops[i]
		d := Done{Where: o.Where, Action: o.Action, Key: o.Key, Hash: chunk.ID(o.hash)}
		if o.item != nil && !r.s.opt.flaws.noAttic {
			old, err := r.s.dataOf(ctx, r.p.views[o.Where], o.item)
			if err != nil {
				return fmt.Errorf("keep what will be replaced: %w", err)
			}
			d.Before = r.s.keep(old)
			st.Attic = append(st.Attic, Kept{Body: d.Before, Where: o.Where, Key: o.Key, Run: r.number, Time: r.s.opt.Time})
		}
		in := Intent{Done: d, Run: r.number}
		if from := r.p.views[o.Where.Other()].items[o.Key]; from != nil && writes[o.Key] == 1 && r.p.Kind == KindSync {
			// One write of two says nothing of what is agreed.
			in.From = chunk.ID(from.hash)
			if from.hash != o.hash {
				data, err := r.s.dataOf(ctx, r.p.views[o.Where.Other()], from)
				if err != nil {
					return fmt.Errorf("keep what will be written: %w", err)
				}
				in.FromBody = r.s.keep(data)
			}
		}
		r.intents = append(r.intents, in)
	}
	st.Intents = slices.Concat(st.Intents, r.intents)
	st.Running = &Running{Host: r.s.opt.Host, PID: r.s.opt.PID, Number: r.number, Time: r.s.opt.Time, Plan: r.p.ID, Kind: r.p.Kind}
	if r.s.opt.flaws.baseFirst {
		r.pretend()
	}
	return r.s.save(ctx)
}

// pretend settles the base as if all were done: a flaw.
func (r *run) pretend() {
	settled := map[string]bool{}
	for i := range r.p.Ops {
		o := &r.p.Ops[i]
		if o.Action == merge.Delete {
			delete(r.p.views[o.Where].items, o.Key)
		} else {
			r.p.views[o.Where].items[o.Key] = r.written(o, merge.Ref{})
		}
		settled[o.Key] = true
	}
	r.index(settled)
}

// writes does the ops in their order. The error says why it stopped before the last.
func (r *run) writes(ctx context.Context) error {
	inARow := 0
	var stopped error
	for i := range r.p.Ops {
		o := &r.p.Ops[i]
		if r.failed[o.Key] || o.needs != "" && r.failed[o.needs] {
			r.fail(i, fmt.Errorf("%w: another write that it needs was not done", merge.ErrChanged), false)
			continue
		}
		ref, err := r.do(ctx, o)
		if err == nil {
			inARow = 0
			if err := r.note(ctx, i, ref); err != nil {
				r.leave(i + 1)
				return err
			}
			continue
		}
		known := errors.Is(err, merge.ErrChanged) || errors.Is(err, merge.ErrRefused)
		r.fail(i, err, !known)
		r.hidden = r.hidden || o.Action == merge.Create && errors.Is(err, merge.ErrChanged)
		if known {
			inARow = 0
			continue
		}
		if inARow++; inARow == maxFailures || ctx.Err() != nil || errors.Is(err, merge.ErrDenied) || errors.Is(err, merge.ErrMissing) {
			stopped = fmt.Errorf("%s a record at the %v: %w", o.Action, o.Where, err)
			r.leave(i + 1)
			break
		}
	}
	return errors.Join(stopped, r.readBack(ctx))
}

// do makes one conditional request.
func (r *run) do(ctx context.Context, o *Op) (merge.Ref, error) {
	side := r.s.sides[o.Where]
	switch o.Action {
	case merge.Create:
		return side.Create(ctx, o.Key, o.body)
	case merge.Update:
		return side.Update(ctx, o.item.ref, o.body)
	}
	return merge.Ref{}, side.Delete(ctx, o.item.ref)
}

// fail notes that an op was not done; unsure: that nobody knows.
func (r *run) fail(i int, err error, unsure bool) {
	o := &r.p.Ops[i]
	r.failed[o.Key], r.undone[i] = true, !unsure
	r.unseen[o.Where] = r.unseen[o.Where] || errors.Is(err, merge.ErrChanged)
	if unsure {
		r.unsure = append(r.unsure, r.intents[i])
	}
	r.res.Failed = append(r.res.Failed, Failure{*o, err, err.Error()})
}

// leave notes that the ops from i on are left to another run.
func (r *run) leave(i int) {
	for ; i < len(r.p.Ops); i++ {
		r.failed[r.p.Ops[i].Key], r.undone[i] = true, true
	}
}

// note takes an op that was done, and reads back when enough have come together.
func (r *run) note(ctx context.Context, i int, ref merge.Ref) error {
	o := &r.p.Ops[i]
	wrote := r.wrote[o.Key]
	wrote[o.Where] = o
	r.wrote[o.Key] = wrote
	r.res.Done = append(r.res.Done, o.told())
	if r.s.opt.Progress != nil {
		r.s.opt.Progress(len(r.res.Done)+len(r.res.Failed), len(r.p.Ops))
	}
	if o.Action == merge.Delete {
		delete(r.p.views[o.Where].items, o.Key)
		r.done = append(r.done, r.intents[i].Done)
		*o = o.told()
		return nil
	}
	if r.refs == nil {
		r.refs = map[int]merge.Ref{}
	}
	r.refs[i], r.pending = ref, append(r.pending, i)
	if len(r.pending) < batch {
		return nil
	}
	return r.readBack(ctx)
}

// readBack reads what was written: a server may have stored something else. Where
// that fails it is not known what is there, and the next run will see.
func (r *run) readBack(ctx context.Context) error {
	var errs []error
	for _, w := range []merge.Where{merge.Source, merge.Target} {
		var of []int
		var hrefs []string
		for _, i := range r.pending {
			if r.p.Ops[i].Where == w {
				of, hrefs = append(of, i), append(hrefs, r.refs[i].Href)
			}
		}
		if len(of) == 0 {
			continue
		}
		items, err := r.s.sides[w].Get(ctx, hrefs)
		if err == nil && len(items) != len(hrefs) {
			err = errors.New("it answered for others than it was asked for")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read back from the %v: %w", w, err))
			for _, i := range of {
				r.failed[r.p.Ops[i].Key] = true
				r.unsure = append(r.unsure, r.intents[i])
				r.done = append(r.done, r.intents[i].Done)
			}
			continue
		}
		for n, i := range of {
			items[n].Href = hrefs[n]
			r.take(i, items[n])
		}
	}
	r.pending = r.pending[:0]
	return errors.Join(errs...)
}

// take makes what was read back what the side has. What was changed again since our
// write is somebody's edit: then the base is what we wrote, but for what the server
// has dropped of it, and the next run sees the edit.
func (r *run) take(i int, got merge.Item) {
	o := &r.p.Ops[i]
	now := r.written(o, merge.Ref{Href: got.Href})
	ours := r.refs[i].ETag == "" || r.refs[i].ETag == got.ETag
	it, err := r.s.decodeItem(got)
	if !got.Gone && err == nil && !ours && it.hash != o.hash {
		it, err = r.s.decodeItem(merge.Item{Ref: now.ref, Body: merge.Without(now.object, it.object).Bytes()})
	}
	if !got.Gone && err == nil {
		now = it.under(o.Key)
	}
	now.remember(now.object)
	*o = o.told()
	r.p.views[o.Where].items[o.Key] = now
	d := r.intents[i].Done
	d.ETag, d.Hash = now.ref.ETag, chunk.ID(now.hash)
	r.done = append(r.done, d)
}

// written is what was written, as an item.
func (r *run) written(o *Op, ref merge.Ref) *item {
	it, err := r.s.decodeItem(merge.Item{Ref: ref, Body: o.body})
	if err != nil {
		panic("reconcile: what was written cannot be read: " + err.Error())
	}
	return it.under(o.Key)
}

// under returns it as the record of a key, which need not be its own.
func (it *item) under(key string) *item {
	if it.key != key {
		it.key, it.uid = key, it.key
	}
	return it
}
