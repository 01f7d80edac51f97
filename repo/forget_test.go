package repo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/backend/backendtest"
)

func testGroup(s *Snapshot) ForgetGroup {
	return ForgetGroup{Name: s.Paths[0], State: strings.HasPrefix(s.Paths[0], "/russet-")}
}

// forgetRepo is a repository with snapshots of two phones and of a state.
func forgetRepo(t *testing.T, be backend.Backend) *Repository {
	t.Helper()
	r := initRepo(t, be, 2)
	first := saveFiles(t, r, map[string][]byte{"small": []byte("hello")})
	if err := r.RemoveSnapshot(t.Context(), first.ID()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/one", "/two\nkeep", "/russet-sync/x", "/russet-sync/y"} {
		for day := range 4 {
			s := &Snapshot{Time: testTime().AddDate(0, 0, -day), Tree: first.Tree, Paths: []string{path}, Hostname: "h"}
			if path == "/one" && day == 3 {
				s.Tags = []string{TagPinned}
			}
			if path == "/russet-sync/y" && day == 0 {
				s.Time = s.Time.AddDate(80, 0, 0)
			}
			if _, err := r.SaveSnapshot(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

func planTest(t *testing.T, r *Repository, p Policy) *ForgetPlan {
	t.Helper()
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := PlanForget(snaps, ForgetOptions{Policy: p, Now: testTime().Add(time.Hour), Group: testGroup})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// days lists what is there, by path and day.
func days(t *testing.T, r *Repository) []string {
	t.Helper()
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range snaps {
		list = append(list, s.Paths[0]+" "+s.Time.Format(time.DateOnly))
	}
	slices.Sort(list)
	return list
}

var leftByForget = []string{
	"/one 2026-02-26", "/one 2026-02-28", "/one 2026-03-01",
	"/russet-sync/x 2026-03-01", "/russet-sync/y 2026-02-28", "/russet-sync/y 2106-03-01",
	"/two\nkeep 2026-02-28", "/two\nkeep 2026-03-01",
}

// What the plan says is what is done, group by group; states keep their newest.
func TestForget(t *testing.T) {
	t.Parallel()
	r := forgetRepo(t, backend.NewMemory())
	plan := planTest(t, r, Policy{Last: 2})
	text := plan.String()
	if keep, forget := plan.Count(); keep != 8 || forget != 8 || !strings.HasSuffix(text, "\nkeep 8, forget 8\n") {
		t.Errorf("got keep %d, forget %d in\n%s", keep, forget, text)
	}
	if want := "/two keep\n  keep    "; !strings.Contains(text, want) {
		t.Errorf("want %q in\n%s", want, text)
	}
	var counted Progress
	n, err := plan.Apply(t.Context(), r, &counted)
	if err != nil || n != 8 || counted.State().Files != 8 {
		t.Errorf("got %d, %v, counted %d, want 8", n, err, counted.State().Files)
	}
	if got := days(t, r); !slices.Equal(got, leftByForget) {
		t.Errorf("got %q, want %q", got, leftByForget)
	}
	if n, err := plan.Apply(t.Context(), r, &counted); err != nil || n != 8 {
		t.Errorf("applied again: got %d, %v", n, err)
	}
}

// Who may add snapshots may give them any tags.
func TestForgetPlanLines(t *testing.T) {
	t.Parallel()
	snaps := dated(t, "2026-01-01", "2026-01-02")
	snaps[0].Tags = []string{"os=1\n  forget  12345678"}
	p, err := PlanForget(snaps, ForgetOptions{Now: testTime(), Policy: Policy{Last: 1, EachTag: []string{"os="}}})
	if err != nil {
		t.Fatal(err)
	}
	if text := p.String(); strings.Count(text, "\n") != 3 {
		t.Errorf("a tag looks like a line:\n%s", text)
	}
}

func TestForgetRefuses(t *testing.T) {
	t.Parallel()
	snaps := dated(t, "2026-01-01", "2026-01-02")
	if _, err := PlanForget(dated(t, "2026-01-01 pinned", "2026-01-02"), ForgetOptions{Now: testTime()}); err == nil {
		t.Error("an empty policy was planned beside a pin")
	}
	now := testTime()
	if _, err := PlanForget(snaps, ForgetOptions{Now: now}); err == nil {
		t.Error("an empty policy was planned")
	}
	if p, err := PlanForget(snaps, ForgetOptions{Now: now, Policy: Policy{Tags: [][]string{{"none"}}}}); err == nil {
		t.Errorf("a policy that keeps nothing was planned:\n%s", p)
	}
	for _, future := range []string{"2106-03-01", "2106-03-01 pinned"} {
		beside := append(dated(t, future), snaps...)
		if p, err := PlanForget(beside, ForgetOptions{Now: now, Policy: Policy{Tags: [][]string{{"none"}}}}); err == nil {
			t.Errorf("a policy that keeps nothing but the future was planned:\n%s", p)
		}
		if _, err := PlanForget(dated(t, future), ForgetOptions{Now: now, Policy: Policy{Last: 1}}); err != nil {
			t.Errorf("the future alone, of which nothing is forgotten: %v", err)
		}
	}
	if p, err := PlanForget(nil, ForgetOptions{Now: now, Policy: Policy{Last: 1}}); err != nil || p.String() != "keep 0, forget 0\n" {
		t.Errorf("nothing: got %v, %v", p, err)
	}
}

// However many removals fail or come to pass before the end, what is to be kept
// stays, and the next run does the rest.
func TestForgetCut(t *testing.T) {
	t.Parallel()
	source := backend.NewMemory()
	forgetRepo(t, source)
	for n := 1; ; n++ {
		for _, die := range []bool{false, true} {
			memory, err := backendtest.Copy(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			faults := backendtest.Faults{FailAt: n}
			if die {
				faults = backendtest.Faults{DieAt: n}
			}
			r, err := Open(t.Context(), memory, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			plan := planTest(t, r, Policy{Last: 2})
			faulty := backendtest.NewFaulty(memory, faults)
			r.be = faulty
			_, err = plan.Apply(t.Context(), r, new(Progress))
			if !faulty.Fired() {
				if err != nil || n < 9 {
					t.Errorf("no operation %d: %v", n, err)
				}
				return
			}
			r.be = memory
			if err == nil {
				t.Errorf("operation %d failed, and nobody heard of it", n)
			}
			left := days(t, r)
			for _, want := range leftByForget {
				if !slices.Contains(left, want) {
					t.Errorf("cut at operation %d: %q is gone", n, want)
				}
			}
			if _, err := planTest(t, r, Policy{Last: 2}).Apply(t.Context(), r, nil); err != nil {
				t.Errorf("cut at operation %d, again: %v", n, err)
			}
			if got := days(t, r); !slices.Equal(got, leftByForget) {
				t.Errorf("cut at operation %d, again: got %q, want %q", n, got, leftByForget)
			}
			checkClean(t, memory)
		}
	}
}

// Nothing is removed when the lock is lost, or the work is cancelled.
func TestForgetStops(t *testing.T) {
	t.Parallel()
	r := forgetRepo(t, backend.NewMemory())
	before := days(t, r)
	plan := planTest(t, r, Policy{Last: 1})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := plan.Apply(cancelled, r, new(Progress)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %d, %v", n, err)
	}
	lock, err := r.Lock(t.Context(), true, LockOptions{Owner: Owner{Hostname: "h"}, PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Unlock(t.Context(), UnlockOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if n, err := plan.Apply(lock.Context(), r, new(Progress)); n != 0 || !errors.Is(err, ErrLockLost) {
		t.Errorf("without its lock: got %d, %v", n, err)
	}
	if got := days(t, r); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
	_ = lock.Unlock(t.Context())
}
