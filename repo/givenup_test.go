package repo

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/index"
)

// unanswered is the error of a place that nobody answers for.
func unanswered(t *testing.T) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o := backend.Options{Network: backend.NetworkOptions{Retry: -1}}
	be, err := backend.Open(t.Context(), "rest:http://"+l.Addr().String()+"/", o)
	if err == nil {
		_, err = be.Load(t.Context(), backend.File{Kind: backend.Config}, 0, make([]byte, 1))
	}
	if !backend.IsTemporary(err) {
		t.Fatalf("nobody answers, and the error is %v", err)
	}
	return err
}

// givenUpStore has damage to look into: a pack that is damaged, one that no index names,
// and an index file less than there were.
func givenUpStore(t *testing.T) *backend.Memory {
	t.Helper()
	r, be := smallRepo(t)
	for n := range 6 {
		saveFiles(t, r, map[string][]byte{"one": payload(uint64(n+20), 300), "two": payload(uint64(n+40), 3000)})
	}
	var data, last []backend.File
	for _, f := range files(t, be) {
		switch f.Kind {
		case backend.Data:
			data = append(data, f)
		case backend.Index:
			last = append(last, f)
		}
	}
	if err := backendtest.Damage(t.Context(), be, data[0], func(b []byte) []byte { b[9] ^= 1; return b }); err != nil {
		t.Fatal(err)
	}
	if err := be.Remove(t.Context(), last[len(last)-1]); err != nil {
		t.Fatal(err)
	}
	return be
}

// TestGivenUp: whatever is being read when a place was waited for in vain ends check,
// the plans of repairs and a copy's: none is as patient with each file that follows, nor
// calls it damaged.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	away := unanswered(t)
	store := givenUpStore(t)
	other := initRepo(t, backend.NewMemory(), 2)
	for name, work := range map[string]func(ctx context.Context, r *Repository, report func(Problem)) error{
		"check": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.Check(ctx, CheckOptions{Read: AllPacks(), Report: report})
			return err
		},
		"repair packs": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.PlanRepairPacks(ctx, RepairPacksOptions{Report: report})
			return err
		},
		"repair index": func(ctx context.Context, r *Repository, _ func(Problem)) error {
			_, err := r.PlanRepairIndex(ctx, RepairIndexOptions{ReadAllPacks: true})
			return err
		},
		"repair snapshots": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.PlanRepairSnapshots(ctx, RepairSnapshotsOptions{Report: report})
			return err
		},
		"recover": func(ctx context.Context, r *Repository, report func(Problem)) error {
			_, err := r.PlanRecover(ctx, RecoverOptions{Report: report})
			return err
		},
		"copy": func(ctx context.Context, r *Repository, _ func(Problem)) error {
			all, err := r.AllSnapshots(ctx)
			if err == nil {
				_, err = PlanCopy(ctx, r, other, all)
			}
			return err
		},
		"copy to there": func(ctx context.Context, r *Repository, _ func(Problem)) error {
			_, err := PlanCopy(ctx, other, r, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Open(t.Context(), store, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; endsGivenUp(t, r, store, n, backendtest.Faults{FailCount: -1, Err: away}, work); n++ {
				endsGivenUp(t, r, store, n, backendtest.Faults{Err: away}, work) // back at once
			}
		})
	}
}

// endsGivenUp wants work to end when its n-th operation is given up, and returns false
// where there is none.
func endsGivenUp(t *testing.T, r *Repository, store backend.Backend, n int, faults backendtest.Faults,
	work func(ctx context.Context, r *Repository, report func(Problem)) error,
) bool {
	t.Helper()
	var asked atomic.Int64 // not what a context that has ended refuses
	faults.FailAt = n
	faults.Before = func(ctx context.Context, _ backendtest.Op) error {
		if ctx.Err() == nil {
			asked.Add(1)
		}
		return ctx.Err()
	}
	faulty := backendtest.NewFaulty(store, faults)
	broken := on(r, faulty)
	broken.place = faulty
	err := work(t.Context(), broken, func(p Problem) {
		if backend.IsTemporary(p.Err) {
			t.Errorf("operation %d: reported %v", n, p)
		}
	})
	if !faulty.Fired() {
		if n < 4 {
			t.Errorf("only %d operations", n-1)
		}
		return false
	}
	if !backend.IsTemporary(err) {
		t.Errorf("operation %d: %v, want that nobody answered", n, err)
	}
	// Each reader is refused once at most. Where the place is back, others may go on until they hear of it.
	if more := int(asked.Load()) - n; faults.FailCount < 0 && more > r.readers() {
		t.Errorf("operation %d: %d more were asked for", n, more)
	}
	return true
}

// TestLoadGivenUp: a blob that lies in several packs is not looked for in all of them
// while nobody answers, and not once more; others that come with it neither.
func TestLoadGivenUp(t *testing.T) {
	t.Parallel()
	be := backend.NewMemory()
	r := initRepo(t, be, 2)
	plain := []byte(strings.Repeat("twice ", 99))
	packs := []index.Pack{savePackOf(t, r, plain), savePackOf(t, r, payload(3, 99)), savePackOf(t, r, plain)}
	saveIndex(t, r, packs...)
	blobs := []index.Handle{packs[0].Blobs[0].Handle, packs[1].Blobs[0].Handle}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	away := unanswered(t)
	for name, load := range map[string]func(r *Repository) error{
		"one": func(r *Repository) error { _, err := r.Load(t.Context(), blobs[0], nil); return err },
		"many": func(r *Repository) error {
			return r.NewLoader().Load(t.Context(), blobs, func(_ int, _ []byte, err error) error {
				t.Errorf("passed on %v", err)
				return nil
			})
		},
	} {
		faulty := backendtest.NewFaulty(be, backendtest.Faults{FailAt: 1, FailCount: -1, Err: away})
		if err := load(on(r, faulty)); !backend.IsTemporary(err) || len(faulty.Ops()) != 1 {
			t.Errorf("%s: %v after %v, want one operation", name, err, faulty.Ops())
		}
	}
}
