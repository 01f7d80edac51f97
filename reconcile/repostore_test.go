package reconcile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
	"russet/crypto"
	"russet/internal/vobject"
	"russet/merge"
	"russet/records"
	"russet/repo"
)

func testTime() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func testConfig() Config {
	return Config{Name: "home", Kind: records.Contacts, Device: "phone", Target: "carddav:https://dav.example/book/", Mode: merge.Safe, Choice: merge.Ask}
}

// newRepo returns a repository in memory and a context under a lock of it.
func newRepo(t testing.TB) (context.Context, *repo.Repository, backend.Backend) {
	t.Helper()
	be := backend.NewMemory()
	if _, err := repo.Init(t.Context(), be, "secret", repo.InitOptions{Cost: crypto.Cost{N: 2, R: 1, P: 1}}); err != nil {
		t.Fatal(err)
	}
	r := openRepo(t, be)
	lock, err := r.Lock(t.Context(), false, repo.LockOptions{Owner: repo.Owner{Hostname: "here"}, PID: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lock.Unlock(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return lock.Context(), r, be
}

func openRepo(t testing.TB, be backend.Backend) *repo.Repository {
	t.Helper()
	r, err := repo.Open(t.Context(), be, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func store(r *repo.Repository, pid int) *RepoStore {
	return NewRepoStore(r, StoreOptions{Owner: repo.Owner{Hostname: "here", Username: "ada", Time: testTime()}, PID: pid, Version: "russet test"})
}

// fullState is a state in which every field says something, and its bodies.
func fullState() (*State, map[chunk.ID][]byte) {
	small, large, odd := []byte("small"), bytes.Repeat([]byte("large "), 5000), []byte("\xff\xfe")
	bodies := map[chunk.ID][]byte{}
	for _, b := range [][]byte{small, large, odd} {
		bodies[chunk.Sum(b)] = b
	}
	now := testTime()
	done := Done{Where: merge.Target, Action: merge.Update, Key: "a", ETag: "2", Hash: chunk.Sum(small), Before: chunk.Sum(odd)}
	return &State{
		Config: testConfig(), Canonical: vobject.CanonicalVersion, Identity: [2]string{"", "id"}, Token: [2]string{"", "token"},
		Origin: Origin{UDID: "phone", Time: now, Tree: chunk.Sum(small)}, Print: "print", Unread: 3, Matched: true,
		Rows: []Row{
			{Key: "a", Source: Place{Hash: chunk.Sum(odd), Body: chunk.Sum(odd)}, Target: Place{Href: "/a", ETag: "1", UID: "z", Hash: chunk.Sum(small), Body: chunk.Sum(large)}, Leads: merge.SourceLeads},
			{Key: "b", Source: Place{Hash: chunk.Sum(small), Body: chunk.Sum(small)}, State: merge.Removed, Doubtful: true},
		},
		Seen:       []Seen{{Where: merge.Target, Href: "/f", ETag: "9", Key: "f", UID: "u", Hash: chunk.Sum(odd), Body: chunk.Sum(small), Gone: true}},
		Unreadable: []Unreadable{{Where: merge.Target, Href: "/u", Key: "u"}},
		Conflicts:  []Conflict{{Key: "a", Cause: merge.Edited, Properties: []string{"NOTE"}, Source: chunk.Sum(small), Target: chunk.Sum(large), Run: 1, Time: now}},
		Attic:      []Kept{{Body: chunk.Sum(odd), Where: merge.Target, Key: "a", Run: 1, Time: now}},
		Runs:       []Run{{Number: 1, Time: now, Plan: "p", Kind: KindSync, Done: []Done{done}, Failed: 1}},
		Intents:    []Intent{{Done: done, Run: 2, From: chunk.Sum(small), FromBody: chunk.Sum(small)}},
		Running:    &Running{Host: "there", PID: 8, Number: 2, Time: now, Plan: "q", Kind: KindUndo},
	}, bodies
}

func TestRepoStore(t *testing.T) {
	t.Parallel()
	ctx, r, be := newRepo(t)
	s := store(r, 7)
	if _, err := s.Load(ctx, "home"); !errors.Is(err, ErrNoSync) {
		t.Fatalf("of a name that is not there: %v", err)
	}
	want, bodies := fullState()
	for i, v := 0, reflect.ValueOf(want).Elem(); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s says nothing", v.Type().Field(i).Name)
		}
	}
	if err := s.Save(ctx, want, bodies); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		// Another process, which has the bodies from the repository alone.
		s = store(openRepo(t, be), 7)
		got, err := s.Load(ctx, "home")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("round %d: got %+v, want %+v", round, got, want)
		}
		for id, b := range bodies {
			if got, err := s.Body(ctx, "home", id); err != nil || !bytes.Equal(got, b) {
				t.Errorf("round %d: body of %d bytes: got %d, %v", round, len(b), len(got), err)
			}
		}
		if err := s.Save(ctx, got, nil); err != nil {
			t.Fatal(err)
		}
		all, err := r.AllSnapshots(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("round %d: %d snapshots, %v, want the newest alone", round, len(all), err)
		}
		sn := all[0]
		if sn.Hostname != "russet-sync" || fmt.Sprint(sn.Tags, sn.Paths) != "[russet-sync] [/russet-sync/home]" || sn.Username != "ada" {
			t.Errorf("the snapshot is %+v", sn)
		}
	}
	if names, err := s.Names(ctx); err != nil || fmt.Sprint(names) != "[home]" {
		t.Errorf("names are %v, %v", names, err)
	}
	if err := s.Remove(ctx, "home"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Names(ctx); err != nil || len(names) != 0 {
		t.Errorf("names after removal are %v, %v", names, err)
	}
}

// TestRepoStoreBusy: of two processes that have one state, the second one fails, and
// leaves nothing.
func TestRepoStoreBusy(t *testing.T) {
	t.Parallel()
	ctx, r, be := newRepo(t)
	st, bodies := fullState()
	a, b := store(r, 7), store(openRepo(t, be), 8)
	if _, err := a.Load(ctx, "home"); !errors.Is(err, ErrNoSync) {
		t.Fatal(err)
	}
	if err := a.Save(ctx, st, bodies); err != nil {
		t.Fatal(err)
	}
	if err := b.r.LoadIndex(ctx); err != nil {
		t.Fatal(err)
	}
	theirs, err := b.Load(ctx, "home")
	if err != nil {
		t.Fatal(err)
	}
	st.Matched = false
	if err := a.Save(ctx, st, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Save(ctx, theirs, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("the second one's save: %v, want ErrBusy", err)
	}
	if all, err := r.AllSnapshots(ctx); err != nil || len(all) != 1 {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
	if got, err := store(openRepo(t, be), 9).Load(ctx, "home"); err != nil || got.Matched {
		t.Errorf("the state is the second one's, %v", err)
	}
	for _, row := range []struct {
		mark Running
		want bool
	}{
		{Running{Host: "here", PID: 7}, true}, // it holds the lock
		{Running{Host: "here", PID: 9}, false},
		{Running{Host: "there", PID: 7}, false},
		{Running{Host: "here", PID: 8}, false}, // b itself
	} {
		if got, err := b.Runs(ctx, row.mark); err != nil || got != row.want {
			t.Errorf("process %d on %s runs: got %v, %v, want %v", row.mark.PID, row.mark.Host, got, err, row.want)
		}
	}
}

// removing removes the sync before it creates anything.
type removing struct {
	Side
	remove func() error
}

func (r removing) Create(ctx context.Context, uid string, body []byte) (merge.Ref, error) {
	if err := r.remove(); err != nil {
		return merge.Ref{}, err
	}
	return r.Side.Create(ctx, uid, body)
}

// TestRemovedMeanwhile: a run whose sync is removed while it writes says so, and does not
// bring the sync back.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	_, repository, be := newRepo(t)
	r := newRig(t, quirks{})
	r.store = store(repository, 7)
	other := store(openRepo(t, be), 8)
	if err := other.r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.side = removing{r.server, func() error { return other.Remove(t.Context(), "home") }}
	r.add()
	r.phone["a"] = body("a")
	p := r.plan()
	res, err := p.Apply(t.Context(), Approval{})
	if !errors.Is(err, ErrNoSync) || !strings.Contains(err.Error(), "meanwhile") || len(res.Done) != 1 {
		t.Errorf("the run did %+v, %v", res, err)
	}
	if names, err := other.Names(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("names are %v, %v", names, err)
	}
}

// TestHostileState: what is not a state of ours is an error that says so, and never
// one that quotes it.
func TestHostileState(t *testing.T) {
	t.Parallel()
	st, bodies := fullState()
	files, err := encodeState(st)
	if err != nil {
		t.Fatal(err)
	}
	if files[fileBodies], err = encodeBodies(bodies); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ file, old, new string }{
		{fileConfig, `"version": 1`, `"version": 2`},
		{fileConfig, `"canonical": `, `"canonical": 99`},
		{fileConfig, `"name": "home"`, `"name": "other"`},
		{fileConfig, `"mode": "safe"`, `"mode": "personal"`},
		{fileConfig, `{`, `personal`},
		{fileConfig, "https://dav.example", "https://ada:personal@dav.example"},
		{fileBase, `"key":"b"`, `"key":"a"`},
		{fileBase, `"key":"a"`, `"key":["personal"]`},
		{fileRuns, `"where":"target"`, `"where":"personal"`},
		{fileAttic, `"body":"`, `"body":"personal`},
	} {
		changed := map[string][]byte{}
		maps.Copy(changed, files)
		changed[row.file] = bytes.Replace(files[row.file], []byte(row.old), []byte(row.new), 1)
		if bytes.Equal(changed[row.file], files[row.file]) {
			t.Fatalf("%s does not hold %s", row.file, row.old)
		}
		_, err := decodeState("home", changed)
		if !errors.Is(err, ErrState) || strings.Contains(err.Error(), "personal") {
			t.Errorf("%s with %s: got %v", row.file, row.new, err)
		}
	}
}

// TestDamagedState: a body that is lost is one record's, not the sync's.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	ctx, r, _ := newRepo(t)
	s := store(r, 7)
	if _, err := s.Load(ctx, "home"); !errors.Is(err, ErrNoSync) {
		t.Fatal(err)
	}
	st, bodies := fullState()
	lost := st.Rows[1].Source.Body
	delete(bodies, lost)
	if err := s.Save(ctx, st, bodies); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "home"); err != nil {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Body(ctx, "home", lost); !errors.Is(err, ErrState) {
		t.Errorf("the lost body: %v, want ErrState", err)
	}
}

func FuzzState(f *testing.F) {
	st, bodies := fullState()
	files, err := encodeState(st)
	if err != nil {
		f.Fatal(err)
	}
	small, err := encodeBodies(bodies)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[fileConfig], files[fileBase], files[fileRuns], small)
	f.Add([]byte(`{"version":1}`), []byte("{}\n{}"), []byte("null"), []byte(`{"text":"a"}`))
	f.Fuzz(func(t *testing.T, config, base, runs, small []byte) {
		got, err := decodeState("home", map[string][]byte{fileConfig: config, fileBase: base, fileRuns: runs, fileIntents: runs})
		if err != nil && !errors.Is(err, ErrState) {
			t.Errorf("got %v, want ErrState", err)
		}
		if err == nil {
			if _, err := encodeState(got); err != nil {
				t.Errorf("it cannot be written again: %v", err)
			}
		}
		if _, err := decodeBodies(small); err != nil && !errors.Is(err, ErrState) {
			t.Errorf("bodies: got %v, want ErrState", err)
		}
	})
}

// TestUnknownFile: a file that a newer program added to a state is not read.
func TestUnknownFile(t *testing.T) {
	t.Parallel()
	ctx, r, _ := newRepo(t)
	s := store(r, 7)
	if err := Add(ctx, s, testConfig()); err != nil {
		t.Fatal(err)
	}
	tree, err := s.states.Load(ctx, "home")
	if err != nil {
		t.Fatal(err)
	}
	tree.Nodes = append(tree.Nodes, &repo.Node{Name: "more", Type: repo.TypeFile, Content: []chunk.ID{chunk.Sum([]byte("nowhere"))}})
	if err := s.states.Save(ctx, "home", func(*repo.StateWriter) (*repo.Tree, error) { return tree, nil }); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Load(ctx, "home"); err != nil || st.Config.Name != "home" {
		t.Errorf("load: %v", err)
	}
}
