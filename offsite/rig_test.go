package offsite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
	"russet/crypto"
	"russet/index"
	"russet/repo"
)

func testTime() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// hours is a while after testTime.
func hours(n int) time.Time { return testTime().Add(time.Duration(n) * time.Hour) }

var weak = crypto.Cost{N: 2, R: 1, P: 1}

func newPlace(t testing.TB, password string) *backend.Memory {
	t.Helper()
	be := backend.NewMemory()
	if _, err := repo.Init(t.Context(), be, password, repo.InitOptions{Cost: weak}); err != nil {
		t.Fatal(err)
	}
	return be
}

func openPlace(ctx context.Context, be backend.Backend, password string) (*repo.Repository, error) {
	r, err := repo.Open(ctx, be, password)
	if err == nil {
		err = r.LoadIndex(ctx)
	}
	return r, err
}

// pair is a source and its copy. Locks are tried elsewhere.
type pair struct {
	source backend.Backend
	copy   backend.Backend
	config Config
}

const (
	sourcePassword = "source"
	copyPassword   = "copy"
)

// newPair makes a source and an empty twin.
func newPair(t testing.TB) pair {
	t.Helper()
	p := pair{source: newPlace(t, sourcePassword), copy: newPlace(t, copyPassword)}
	to, err := openPlace(t.Context(), p.copy, copyPassword)
	if err != nil {
		t.Fatal(err)
	}
	p.config = Config{Name: "cloud", Kind: Twin, Address: "mem:", Repository: to.ID()}
	store := p.open(t)
	if err := store.Free(t.Context(), "cloud"); err != nil {
		t.Fatal(err)
	}
	st, err := store.Create(t.Context(), p.config, to)
	if err == nil {
		err = store.Save(t.Context(), st)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func options(now time.Time) repo.StateOptions {
	return repo.StateOptions{Owner: repo.Owner{Hostname: "here", Username: "ada", Time: now}, Version: "russet test"}
}

// open opens the store of the source.
func (p pair) open(t testing.TB) *Store {
	t.Helper()
	r, err := openPlace(t.Context(), p.source, sourcePassword)
	if err != nil {
		t.Fatal(err)
	}
	return NewStore(r, options(testTime()))
}

// attach opens the copy beside its source.
func (p pair) attach(ctx context.Context) (*Store, *Copy, error) {
	r, err := openPlace(ctx, p.source, sourcePassword)
	if err != nil {
		return nil, nil, err
	}
	store := NewStore(r, options(testTime()))
	st, err := store.Load(ctx, "cloud")
	if err != nil {
		return nil, nil, err
	}
	to, err := openPlace(ctx, p.copy, copyPassword)
	if err != nil {
		return nil, nil, err
	}
	c, err := store.Attach(st, to)
	return store, c, err
}

// run copies what the twin lacks, and notes it.
func (p pair) run(ctx context.Context, now time.Time) error {
	store, c, err := p.attach(ctx)
	if err != nil {
		return err
	}
	all, err := c.from.AllSnapshots(ctx)
	if err != nil {
		return err
	}
	plan, err := repo.PlanCopy(ctx, c.from, c.to, c.State.Config.Choose(all))
	if err != nil {
		return err
	}
	res, err := plan.Apply(ctx, nil)
	if err != nil {
		return err
	}
	problems, changed, err := c.Record(ctx, Run{Time: now, Snapshots: res.Snapshots})
	if len(problems) > 0 {
		err = errors.Join(err, fmt.Errorf("problems: %v", problems))
	}
	if err == nil && changed {
		err = store.Save(ctx, c.State)
	}
	return err
}

// verify verifies the copy, and saves that.
func (p pair) verify(ctx context.Context, now time.Time, share float64) (VerifyResult, error) {
	store, c, err := p.attach(ctx)
	if err != nil {
		return VerifyResult{}, err
	}
	res, err := c.Verify(ctx, VerifyOptions{Now: now, Share: share})
	return res, errors.Join(err, store.Save(ctx, c.State))
}

// status loads the state and tells where the copy stands.
func (p pair) status(t testing.TB) (*State, Status) {
	t.Helper()
	store := p.open(t)
	st, err := store.Load(t.Context(), "cloud")
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st, st.Status(all)
}

// save saves a version of a device in the source: a folder of so many files, each in a
// pack of its own.
func (p pair) save(t testing.TB, device string, when time.Time, seeds ...byte) *repo.Snapshot {
	t.Helper()
	r, err := openPlace(t.Context(), p.source, sourcePassword)
	if err != nil {
		t.Fatal(err)
	}
	return saveVersion(t, r, device, when, seeds...)
}

func saveVersion(t testing.TB, r *repo.Repository, device string, when time.Time, seeds ...byte) *repo.Snapshot {
	t.Helper()
	ctx := t.Context()
	w := r.NewWriter(ctx)
	defer w.Close()
	tree := new(repo.Tree)
	for _, seed := range seeds {
		saved, err := w.Save(ctx, index.Data, backendtest.Bytes(2000+int(seed), seed))
		if err == nil {
			err = w.Checkpoint()
		}
		if err != nil {
			t.Fatal(err)
		}
		tree.Nodes = append(tree.Nodes, &repo.Node{
			Name: fmt.Sprintf("file-%03d", seed), Type: repo.TypeFile, Mode: 0o600, Size: uint64(2000 + int(seed)), Content: []chunk.ID{saved.ID},
		})
	}
	tree.Sort()
	sub, err := w.SaveTree(ctx, tree)
	if err != nil {
		t.Fatal(err)
	}
	top, err := w.SaveTree(ctx, &repo.Tree{Nodes: []*repo.Node{{Name: device, Type: repo.TypeDir, Mode: uint32(os.ModeDir | 0o700), Subtree: &sub.ID}}})
	if err == nil {
		err = w.Flush(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &repo.Snapshot{Time: when, Tree: &top.ID, Paths: []string{"/" + device}, Hostname: "phone"}
	if _, err := r.SaveSnapshot(ctx, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// packs lists the packs of a place.
func packs(t testing.TB, be backend.Backend) []backend.Info {
	t.Helper()
	var all []backend.Info
	for info, err := range be.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info)
	}
	return all
}

// teller is a place that tells the SHA-256 of its files, of all but those named in mute.
type teller struct {
	backend.Backend
	how  backend.Proof
	mute func(backend.File) bool
}

func (b teller) Sum(ctx context.Context, f backend.File) (sum [32]byte, how backend.Proof, err error) {
	if b.mute != nil && b.mute(f) {
		return sum, "", fmt.Errorf("tell: %w", errors.ErrUnsupported)
	}
	data, err := backendtest.Read(ctx, b.Backend, f)
	return sha256.Sum256(data), b.how, err
}
