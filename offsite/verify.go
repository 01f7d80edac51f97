package offsite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"russet/backend"
	"russet/chunk"
	"russet/repo"
)

const (
	// provers is how many packs are asked for or read at once: requests over a network
	// wait for it most of their time.
	provers = 8
	// readAtOnce is how much of a pack is read at a time, in bytes.
	readAtOnce = 4 << 20
	// saveEvery is how often what was proven is saved: so much of a run that is killed
	// is done again. Each time stores some megabytes anew where the ledger is large.
	saveEvery = 30 * time.Minute
)

// VerifyOptions say how far a verification goes.
type VerifyOptions struct {
	Now time.Time // when the run begins: proofs are as of then
	// Share is how much of the copy's bytes may be read, by the storage or from there,
	// up to 1; at least one pack is. What the storage tells without reading is asked
	// for whatever Share is.
	Share float64
	// ReadData has everything read, small files too, whatever Share is, and also where the
	// storage tells a SHA-256 that it has kept: bytes may have changed since.
	ReadData bool
	Progress *repo.Progress
	// Save, if not nil, is called now and then to save the state, never concurrently with
	// anything that changes it. The caller saves it at the end, whatever that was.
	Save func() error
	// Report, if not nil, is called for each problem as it is found, never concurrently.
	Report func(Problem)
}

// VerifyResult is what a verification did. Sizes are bytes.
type VerifyResult struct {
	Small                int // files beside packs that are right: keys, snapshots, index
	Told, Read           int // packs that are right: as the storage has kept it, or as they were read
	ReadBytes            int64
	There                int // of those read, by the storage itself: they were not downloaded
	ThereBytes           int64
	Left                 int // packs that were neither told nor read this time
	Problems             []Problem
	Packs, NeverProven   int // of the copy, after this run; those that are bad not among the latter
	Snapshots, AllProven int // that stand there, and that are proven
}

// Verify proves the copy: all keys, snapshots and index files, which are small, and packs,
// those first whose proofs are oldest. It asks the storage for their SHA-256, and reads
// them where it cannot tell. It writes nothing to the copy. What looks damaged is read a
// second time before it is believed, and what was found damaged is read until it is
// right, whatever the storage tells. A run that was cut off is gone on with by the next
// one.
//
// The error wraps ErrBad when anything is damaged or gone.
func (c *Copy) Verify(ctx context.Context, opt VerifyOptions) (res VerifyResult, err error) {
	fail := func(err error) (VerifyResult, error) {
		return res, fmt.Errorf("verify copy: %w", err)
	}
	if opt.ReadData {
		opt.Share = 1
	}
	opt.Progress.SetPhase("proving small files")
	v := &verifier{c: c, now: opt.Now, all: opt.ReadData, progress: opt.Progress, report: opt.Report, save: opt.Save, saved: time.Now()}
	if err := v.small(ctx); err != nil {
		return fail(err)
	}
	opt.Progress.SetPhase("listing packs")
	if _, err := c.takeStock(ctx, seconds(opt.Now)); err != nil {
		res.Problems = v.problems
		return fail(errors.Join(damaged(len(v.problems)), err))
	}
	small := len(v.problems)
	due := c.State.Packs.due(opt.Now)
	total := int64(0)
	for _, id := range due {
		total += c.State.Packs[id].Size
	}
	opt.Progress.SetTotal(0, 0)
	if opt.Share >= 1 {
		opt.Progress.SetTotal(int64(len(due)), total)
	}
	opt.Progress.SetPhase("proving")
	failed := v.prove(ctx, due, max(1, int64(min(opt.Share, 1)*float64(total))))
	res = v.res
	res.Problems, res.Left = v.problems, len(due)-res.Told-res.Read-(len(v.problems)-small)
	if failed == nil {
		opt.Progress.SetPhase("looking at snapshots")
		failed = c.measure(ctx)
	}
	c.State.note(Run{
		Time: opt.Now, Action: Verify, Packs: res.Told + res.Read, Bytes: res.ReadBytes, Bad: len(res.Problems), Cut: failed != nil,
	})
	for _, e := range c.State.Packs {
		if res.Packs++; e.Proven == 0 && !e.bad() {
			res.NeverProven++
		}
	}
	for _, s := range c.State.Snapshots {
		if res.Snapshots++; !s.Proven.IsZero() {
			res.AllProven++
		}
	}
	if failed != nil {
		return fail(failed)
	}
	return res, damaged(len(res.Problems))
}

// verifier is one round of proofs.
type verifier struct {
	c        *Copy
	now      time.Time
	fresh    bool // the packs have just been put there, and none is read
	all      bool // everything is read, whatever the storage has kept
	progress *repo.Progress
	report   func(Problem)
	save     func() error

	mu       sync.Mutex // guards what follows, and the ledger
	due      []chunk.ID
	left     int64 // bytes that may still be read
	reads    bool  // the storage reads what it is asked for
	res      VerifyResult
	problems []Problem
	saved    time.Time
}

// prove proves packs in their order until no more may be read, and notes in the
// ledger what came of it.
func (v *verifier) prove(ctx context.Context, due []chunk.ID, budget int64) error {
	v.due, v.left = due, budget
	group, within := errgroup.WithContext(ctx)
	for range min(provers, len(due)) {
		group.Go(func() error {
			var buf []byte
			for {
				p, ok := v.next()
				if !ok {
					return nil
				}
				if p.read && buf == nil {
					buf = make([]byte, readAtOnce)
				}
				got, err := v.one(within, p, buf)
				if err != nil {
					return err
				}
				if err := v.done(p, got); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	slices.SortFunc(v.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File.Kind, b.File.Kind), cmp.Compare(a.File.Name, b.File.Name))
	})
	return err
}

// small proves the files without which packs are of no use: there are few, and each is
// proven every time.
func (v *verifier) small(ctx context.Context) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(provers)
	for _, kind := range []backend.Kind{backend.Key, backend.Snapshot, backend.Index} {
		for info, err := range v.c.to.Backend().List(within, kind) {
			if err != nil {
				return errors.Join(group.Wait(), err)
			}
			id, err := chunk.ParseID(info.Name)
			if err != nil {
				continue
			}
			group.Go(func() error {
				p := fileDue{file: backend.File{Kind: kind, Name: info.Name}, id: id, size: info.Size, read: true, doubted: v.all}
				got, err := v.one(within, p, make([]byte, min(readAtOnce, info.Size+1)))
				if err != nil || got.result == Missing { // removed since it was listed
					return err
				}
				v.mu.Lock()
				defer v.mu.Unlock()
				if got.result == Right {
					v.res.Small++
				} else {
					v.problem(Problem{p.file, p.size, got.result})
				}
				return nil
			})
		}
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// problem notes a problem. v.mu is held.
func (v *verifier) problem(p Problem) {
	v.problems = append(v.problems, p)
	if v.report != nil {
		v.report(p)
	}
}

// fileDue is a file whose turn has come.
type fileDue struct {
	file backend.File
	id   chunk.ID // its name
	size int64
	gone Result // what the list says of it: Missing, or Unknown
	read bool   // it may be read
	// doubted is what has to be read: what the storage has kept of it does not count.
	doubted bool
}

// next takes the next pack, and what may be read off for it.
func (v *verifier) next() (fileDue, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.due) == 0 || v.left <= 0 && v.reads && !v.fresh {
		return fileDue{}, false
	}
	p := fileDue{file: fileOf(v.due[0]), id: v.due[0]}
	e := v.c.State.Packs[p.id]
	p.size, p.read, p.doubted = e.Size, v.left > 0, v.all || e.Result == Damaged
	if e.Result == Missing {
		p.gone = Missing
	}
	if v.due = v.due[1:]; p.read {
		v.left -= p.size
	}
	return p, true
}

// proof is what came of a look at a file. It is none where result is Unknown.
type proof struct {
	method Method
	result Result
}

// one looks at one file.
func (v *verifier) one(ctx context.Context, p fileDue, buf []byte) (proof, error) {
	if p.gone == Missing {
		return proof{result: Missing}, nil
	}
	sum, how, err := backend.Sum(ctx, v.c.to.Backend(), p.file)
	method := HeadSHA256
	switch {
	case how == backend.ProofRead:
		method = RemoteSHA256
	case v.fresh:
		method = PutVerified
	}
	switch {
	case err == nil && chunk.ID(sum) == p.id && (how == backend.ProofRead || !p.doubted):
		return proof{method, Right}, nil
	case errors.Is(err, fs.ErrNotExist):
		return proof{result: Missing}, nil
	case errors.Is(err, errors.ErrUnsupported) && !p.read:
		return proof{}, nil
	case err != nil && !errors.Is(err, errors.ErrUnsupported) && !v.onlyThis(ctx, err):
		return proof{}, err
	}
	if buf == nil { // another sum than the name, none of this file, and doubt are looked into whatever may be read
		buf = make([]byte, readAtOnce)
	}
	return v.read(ctx, p, buf)
}

func fileOf(id chunk.ID) backend.File { return backend.File{Kind: backend.Data, Name: id.String()} }

// read reads a file to its end; a second time where it looks damaged, or where the
// place does not give it and gives others: so servers tell of a bad sector.
func (v *verifier) read(ctx context.Context, p fileDue, buf []byte) (proof, error) {
	for range 2 {
		id, err := v.hash(ctx, p, buf)
		switch {
		case err == nil && id == p.id:
			return proof{Downloaded, Right}, nil
		case errors.Is(err, fs.ErrNotExist):
			return proof{result: Missing}, nil
		case err != nil && !v.onlyThis(ctx, err):
			return proof{}, err
		}
	}
	return proof{result: Damaged}, nil
}

// onlyThis tells whether an error is one of the file that was read, and of no other.
func (v *verifier) onlyThis(ctx context.Context, err error) bool {
	if backend.IsTemporary(err) || errors.Is(err, fs.ErrPermission) {
		return false
	}
	_, none := v.c.to.Backend().Load(ctx, backend.File{Kind: backend.Config}, 0, make([]byte, 1))
	return none == nil
}

func (v *verifier) hash(ctx context.Context, p fileDue, buf []byte) (id chunk.ID, err error) {
	h := sha256.New()
	for at := int64(0); at <= p.size; { // and a byte more: it may have grown
		want := buf[:min(int64(len(buf)), p.size+1-at)]
		n, err := v.c.to.Backend().Load(ctx, p.file, at, want)
		if err != nil {
			return id, err
		}
		h.Write(want[:n])
		at += int64(n)
		v.progress.Add(0, int64(n))
		if n < len(want) {
			break
		}
	}
	h.Sum(id[:0])
	return id, nil
}

// count counts a pack that is right. v.mu is held.
func (v *verifier) count(size int64, how Method) {
	switch how {
	case HeadSHA256, PutVerified:
		v.res.Told++
		return
	case RemoteSHA256:
		v.res.There++
		v.res.ThereBytes += size
	}
	v.res.Read++
	v.res.ReadBytes += size
}

// done notes what came of a look, and saves now and then.
func (v *verifier) done(p fileDue, got proof) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress.Add(1, 0)
	told := got.method == HeadSHA256 || got.method == PutVerified
	if p.read && (told || got.result == Unknown || got.result == Missing) {
		v.left += p.size
	}
	v.reads = v.reads || got.method == RemoteSHA256
	e := v.c.State.Packs[p.id]
	switch got.result {
	case Unknown:
		return nil
	case Right:
		e.Proven, e.Method, e.Result = seconds(v.now), got.method, Right
		v.count(p.size, got.method)
	default:
		e.Proven, e.Method, e.Result = 0, Unproven, got.result
		v.problem(Problem{p.file, p.size, got.result})
	}
	v.c.State.Packs[p.id] = e
	if v.save == nil || time.Since(v.saved) < saveEvery {
		return nil
	}
	v.saved = time.Now()
	return v.save()
}
