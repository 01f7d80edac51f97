package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"russet/backend"
)

// verdict is how a trial of a storage ended.
type verdict string

// The verdicts. What is missing makes something slower or unsafe against
// others; what has failed makes the storage unfit.
const (
	verdictOK      verdict = "ok"
	verdictMissing verdict = "missing"
	verdictFailed  verdict = "FAILED"
)

// trialResult is one row of the table.
type trialResult struct {
	what    string
	verdict verdict
	detail  string // measured, or what it means that it is not there
}

// The sizes of what a trial saves: a pack as most are, and what is small beside
// the time that an answer takes.
const (
	trialPack  = 16 << 20
	trialSmall = 4 << 10
	trialCount = 16 // small files saved at once
)

// trial tries what a repository relies on, in a place of its own.
type trial struct {
	be    backend.Backend
	show  func(trialResult) error
	saved []backend.File
	bad   int
}

// errNotAsPromised is what a storage does that no error of its own tells.
var errNotAsPromised = errors.New("it does not do what it should")

// run makes all trials. The error is that of showing, or of a storage that is full,
// which says nothing of what it does when there is space; what else fails is counted
// in bad.
func (t *trial) run(ctx context.Context) error {
	for _, one := range []struct {
		what, means string // what it means when it fails
		try         func(context.Context) (detail string, err error)
	}{
		{"a file is saved and read back", "nothing can be kept there", t.roundTrip},
		{"a part of a file is read", "reading anything would bring whole packs", t.ranges},
		{"a list shows at once what was saved", "locks of others would not be seen", t.lists},
		{"a file that is not there is told as absent", "a repository could not be told from a lost one", t.absent},
		{"the same file may be saved again", "a backup that was cut off could not go on", t.again},
		{"the config is never replaced", "two that make a repository at once would lose one of them", t.configOnce},
		{"names as a repository has them", "", t.kinds},
		{fmt.Sprintf("%d files at once", trialCount), "backups would be slow, or fail", t.together},
		{"a pack of 16 MiB", "packs could not be kept there", t.pack},
	} {
		detail, err := one.try(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r := trialResult{one.what, verdictOK, detail}
		if err != nil {
			r.verdict, r.detail = verdictFailed, err.Error()
			if one.means != "" {
				r.detail += "; " + one.means
			}
			t.bad++
		}
		if err := cmp.Or(t.show(r), full(err)); err != nil {
			return err
		}
	}
	if err := t.features(ctx); err != nil {
		return err
	}
	return t.clock(ctx)
}

// full is an error that is about space, or nil.
func full(err error) error {
	if backend.IsFull(err) {
		return err
	}
	return nil
}

// save saves a new file of random bytes.
func (t *trial) save(ctx context.Context, k backend.Kind, size int) (f backend.File, data []byte, err error) {
	data = make([]byte, size)
	_, _ = rand.Read(data) // never fails
	f.Kind = k
	if k != backend.Config {
		sum := sha256.Sum256(data)
		f.Name = hex.EncodeToString(sum[:])
	}
	return f, data, t.be.Save(ctx, f, data)
}

// keep is save for one file after the other, which are removed in the end.
func (t *trial) keep(ctx context.Context, k backend.Kind, size int) (backend.File, []byte, error) {
	f, data, err := t.save(ctx, k, size)
	t.saved = append(t.saved, f) // it may be there all the same
	return f, data, err
}

// same reads a file back and compares it.
func (t *trial) same(ctx context.Context, f backend.File, want []byte) error {
	got := make([]byte, len(want)+1)
	n, err := t.be.Load(ctx, f, 0, got)
	if err == nil && !bytes.Equal(got[:n], want) {
		err = fmt.Errorf("read %s back: other bytes came than were saved: %w", f.Kind, errNotAsPromised)
	}
	return err
}

// roundTrip measures the time of an answer, too.
func (t *trial) roundTrip(ctx context.Context) (string, error) {
	config, data, err := t.keep(ctx, backend.Config, trialSmall) // without which some places list nothing
	if err == nil {
		err = t.same(ctx, config, data)
	}
	f, data := backend.File{}, []byte(nil)
	if err == nil {
		f, data, err = t.keep(ctx, backend.Snapshot, trialSmall)
	}
	start := time.Now()
	if err == nil {
		err = t.same(ctx, f, data)
	}
	return "an answer takes " + milliseconds(time.Since(start)), err
}

func (t *trial) ranges(ctx context.Context) (string, error) {
	f, data, err := t.keep(ctx, backend.Data, trialSmall)
	for _, part := range [][2]int{{0, 32}, {1000, 100}, {trialSmall - 10, 100}, {trialSmall, 1}} {
		if err != nil {
			break
		}
		got := make([]byte, part[1])
		var n int
		n, err = t.be.Load(ctx, f, int64(part[0]), got)
		if want := data[part[0]:min(part[0]+part[1], len(data))]; err == nil && !bytes.Equal(got[:n], want) {
			err = fmt.Errorf("read %d bytes from %d on: other bytes came: %w", part[1], part[0], errNotAsPromised)
		}
	}
	return "", err
}

func (t *trial) lists(ctx context.Context) (string, error) {
	f, _, err := t.keep(ctx, backend.Lock, trialSmall)
	if err != nil {
		return "", err
	}
	info, err := t.find(ctx, f)
	if err == nil && info.Size != trialSmall {
		err = fmt.Errorf("list locks: a file of %d bytes is said to have %d: %w", trialSmall, info.Size, errNotAsPromised)
	}
	return "", err
}

// find looks for a file in the list of its kind.
func (t *trial) find(ctx context.Context, f backend.File) (backend.Info, error) {
	for info, err := range t.be.List(ctx, f.Kind) {
		if err != nil || info.Name == f.Name {
			return info, err
		}
	}
	return backend.Info{}, fmt.Errorf("list %s: a file that was saved is not shown: %w", f.Kind, errNotAsPromised)
}

func (t *trial) absent(ctx context.Context) (string, error) {
	sum := sha256.Sum256([]byte(rand.Text()))
	for k := backend.Key; k <= backend.Data; k++ {
		_, err := t.be.Load(ctx, backend.File{Kind: k, Name: hex.EncodeToString(sum[:])}, 0, make([]byte, 1))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err == nil:
			return "", fmt.Errorf("read a file of %s that is not there: it is read all the same: %w", k, errNotAsPromised)
		default:
			return "", err
		}
	}
	return "", nil
}

func (t *trial) again(ctx context.Context) (string, error) {
	f, data, err := t.keep(ctx, backend.Index, trialSmall)
	if err == nil {
		err = t.be.Save(ctx, f, data)
	}
	if err == nil {
		err = t.same(ctx, f, data)
	}
	return "", err
}

func (t *trial) configOnce(ctx context.Context) (string, error) {
	_, _, err := t.save(ctx, backend.Config, trialSmall)
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", nil
	case err == nil:
		err = fmt.Errorf("save a second config: it replaces the first: %w", errNotAsPromised)
	}
	return "", err
}

func (t *trial) kinds(ctx context.Context) (string, error) {
	for k := backend.Key; k <= backend.Data; k++ {
		f, data, err := t.keep(ctx, k, 100)
		if err == nil {
			err = t.same(ctx, f, data)
		}
		if err == nil {
			_, err = t.find(ctx, f)
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// together saves and reads many files at once, as backups do.
func (t *trial) together(ctx context.Context) (string, error) {
	files, errs := make([]backend.File, trialCount), make([]error, trialCount)
	start := time.Now()
	var all sync.WaitGroup
	for i := range files {
		all.Go(func() {
			f, data, err := t.save(ctx, backend.Data, trialSmall)
			if err == nil {
				err = t.same(ctx, f, data)
			}
			files[i], errs[i] = f, err
		})
	}
	all.Wait()
	t.saved = append(t.saved, files...)
	return "saved and read in " + milliseconds(time.Since(start)), cmp.Or(errs...)
}

func (t *trial) pack(ctx context.Context) (string, error) {
	start := time.Now()
	f, data, err := t.keep(ctx, backend.Data, trialPack)
	up := time.Since(start)
	if err != nil {
		return "", err
	}
	start = time.Now()
	err = t.same(ctx, f, data)
	return fmt.Sprintf("%s/s there, %s/s back", rate(trialPack, up), rate(trialPack, time.Since(start))), err
}

func rate(n int64, took time.Duration) string {
	return size(int64(float64(n) / max(took.Seconds(), 0.001)))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1)) }
