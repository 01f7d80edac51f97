package repo

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"russet/backend"
	"russet/chunk"
)

// manySnapshots saves snapshots of one small tree, at random times of the years
// before now, in different zones, in bursts and after long pauses.
func manySnapshots(t *testing.T, r *Repository, rng *rand.Rand, n int, now time.Time) {
	t.Helper()
	tree := *saveFiles(t, r, map[string][]byte{"small": []byte("hello")}).Tree
	for s, err := range r.Snapshots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := r.RemoveSnapshot(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
	}
	zones := []*time.Location{time.UTC, time.FixedZone("", 9*3600), time.FixedZone("", -5*3600)}
	when := now.Add(-time.Minute)
	for range n {
		s := &Snapshot{Time: when.In(zones[rng.IntN(len(zones))]), Tree: &tree, Paths: []string{"/phone"}, Hostname: "h"}
		for _, tag := range []string{"a", "b", "ios-18.1"} {
			if rng.IntN(4) == 0 {
				s.Tags = append(s.Tags, tag)
			}
		}
		if _, err := r.SaveSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		longest := []time.Duration{time.Hour, 24 * time.Hour, 15 * 24 * time.Hour, 150 * 24 * time.Hour}[rng.IntN(4)]
		when = when.Add(-time.Second - time.Duration(rng.Int64N(int64(longest))))
	}
}

// randomPolicy gives a policy, and restic's flags for it.
func randomPolicy(rng *rand.Rand) (p Policy, flags []string) {
	for _, c := range []struct {
		flag string
		n    *int
	}{
		{"last", &p.Last},
		{"hourly", &p.Hourly},
		{"daily", &p.Daily},
		{"weekly", &p.Weekly},
		{"monthly", &p.Monthly},
		{"yearly", &p.Yearly},
	} {
		if rng.IntN(3) == 0 {
			*c.n = 1 + rng.IntN(12)
			flags = append(flags, fmt.Sprintf("--keep-%s=%d", c.flag, *c.n))
		}
	}
	for _, c := range []struct {
		flag string
		span *Span
	}{
		{"within", &p.Within},
		{"within-hourly", &p.WithinHourly},
		{"within-daily", &p.WithinDaily},
		{"within-weekly", &p.WithinWeekly},
		{"within-monthly", &p.WithinMonthly},
		{"within-yearly", &p.WithinYearly},
	} {
		if rng.IntN(4) == 0 {
			*c.span = Span{rng.IntN(3), rng.IntN(14), rng.IntN(40), rng.IntN(30)}
			flags = append(flags, fmt.Sprintf("--keep-%s=%s", c.flag, c.span))
		}
	}
	for _, tags := range [][]string{{"a", "b"}, {"ios-18.1"}, {""}} {
		if rng.IntN(6) == 0 {
			p.Tags = append(p.Tags, tags)
			flags = append(flags, "--keep-tag="+strings.Join(tags, ","))
		}
	}
	if p.IsZero() {
		return Policy{Last: 3}, []string{"--keep-last=3"}
	}
	return p, flags
}

// restic's forget is the judge of what a policy keeps, and of the reasons.
func TestPolicyJudged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: restic is asked many times")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	j := judge{dir: filepath.Join(t.TempDir(), "repo")}
	be, err := backend.Create(t.Context(), j.dir, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := initRepo(t, be, 2)
	now := time.Now()
	manySnapshots(t, r, rng, 60, now)
	snaps, err := r.AllSnapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for range 6 {
		p, flags := randomPolicy(rng)
		var groups []struct {
			Keep, Remove []struct{ ID chunk.ID }
			Reasons      []struct{ Matches []string }
		}
		out, err := j.command(t, append([]string{"forget", "--dry-run", "--json"}, flags...)...).Output()
		if err == nil {
			err = json.Unmarshal(out, &groups)
		}
		if err != nil || len(groups) != 1 {
			t.Fatalf("restic forget %q: %v, %d groups", flags, err, len(groups))
		}
		g := groups[0]
		if len(g.Keep) != len(g.Reasons) || len(g.Keep)+len(g.Remove) != len(snaps) {
			t.Fatalf("restic keeps %d with %d reasons and removes %d", len(g.Keep), len(g.Reasons), len(g.Remove))
		}
		for _, d := range p.Decide(snaps, now) {
			if !d.Keep {
				continue
			}
			kept++
			if len(g.Keep) == 0 || g.Keep[0].ID != d.Snapshot.ID() || !slices.Equal(g.Reasons[0].Matches, d.Reasons) {
				t.Fatalf("%q: got %s kept for %q; restic keeps %d more %+v", flags, d.Snapshot.Time, d.Reasons, len(g.Keep), g)
			}
			g.Keep, g.Reasons = g.Keep[1:], g.Reasons[1:]
		}
		if len(g.Keep) > 0 {
			t.Fatalf("%q: restic keeps %d more", flags, len(g.Keep))
		}
	}
	t.Logf("%d snapshots kept by 6 policies", kept)
}
