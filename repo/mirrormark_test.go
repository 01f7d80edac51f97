package repo

import (
	"strings"
	"testing"

	"russet/backend"
	"russet/chunk"
)

// FuzzMirrorMark decodes any bytes.
func FuzzMirrorMark(f *testing.F) {
	id := chunk.Sum(nil).String()
	f.Add([]byte(`{"version":1,"config":"` + id + `","updated":"2026-03-01T12:00:00Z","keys":["` + id + `"],"snapshots":null,"index":[],"data":["` + id + `","` + id + `"]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"data":["00"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMark(data)
		if err != nil {
			return
		}
		to := backend.NewMemory()
		if err := saveMark(t.Context(), to, m); err != nil {
			return // a year of five digits
		}
		again, err := loadMark(t.Context(), to)
		if err != nil || again.Config != m.Config {
			t.Fatalf("%q: %v", data, err)
		}
		for kind, ids := range m.Names {
			for _, id := range ids {
				if !again.has(backend.File{Kind: kind, Name: id.String()}) {
					t.Fatalf("%q: %v is lost", data, id)
				}
			}
		}
	})
}

// TestMirrorOfWrongClock sets files aside, and comes again, by clocks of which
// some are wrong: nothing is dropped before the clock has gone as it should for
// as long as files are kept.
func TestMirrorOfWrongClock(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	before, after := twoGenerations(t)
	past, future := -50*365, 20*365 // days
	for _, c := range []struct {
		aside []int // the days of the runs after the one that copies: the first sets aside
		after []int // in these nothing is dropped
		drops int   // on this day all is
	}{
		{[]int{0}, []int{1, 30}, 31},
		{[]int{past}, []int{0, 1, 30}, 31},
		{[]int{0, past, past}, []int{1, 2, 30}, 31},
		{[]int{0}, []int{future, future + 1, 2, 3, 31}, 32},
		{[]int{0}, []int{2000, 2001, 2029}, 2030},
		{[]int{10}, []int{9, 10, 40}, 41}, // clocks of two computers
	} {
		to := newMirror(t, before)
		run := func(source backend.Backend, day int) MirrorResult {
			t.Helper()
			res, err := mirrorAll(ctx, source, to, MirrorOptions{Now: testTime().AddDate(0, 0, day)})
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		run(before, 0)
		aside, dropped := 0, 0
		for _, day := range append(c.aside, c.after...) {
			res := run(after, day)
			aside += res.Aside.Files
			dropped += res.Dropped
		}
		if res := run(after, c.drops); aside == 0 || dropped != 0 || res.Dropped != aside {
			t.Errorf("%v: set aside %d, dropped %d before day %d and %d on it", c, aside, dropped, c.drops, res.Dropped)
		}
	}
}

// TestMirrorMissesFiles counts what others have removed from a mirror, but neither
// what a run that was cut off never brought there, nor what was set aside.
func TestMirrorMissesFiles(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	opt := MirrorOptions{Now: testTime()}
	before, after := twoGenerations(t)
	to := newMirror(t, before)
	if _, err := mirrorAll(ctx, before, &faultyPlace{Memory: to, at: 5, die: true}, opt); err == nil {
		t.Fatal("not cut off")
	}
	missing := func(what string, source backend.Backend, want int) {
		t.Helper()
		plan, err := PlanMirror(ctx, source, to, opt)
		if err != nil || plan.Missing.Files != want {
			t.Fatalf("%s: got %+v, %v, want %d missing", what, plan, err, want)
		}
		if told := strings.Contains(plan.String(), "somebody has removed"); told != (want > 0) {
			t.Errorf("%s: got %s", what, plan)
		}
		if _, err := plan.Apply(ctx, nil); err != nil {
			t.Fatal(err)
		}
		mirrored(t, source, to)
	}
	missing("cut off", before, 0)
	missing("whole", before, 0)
	all, err := listFiles(ctx, to, backend.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for f := range all {
		if err := to.Remove(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	missing("snapshots removed", before, len(all))
	missing("again", before, 0)
	missing("set aside", after, 0)
	missing("back at the source", before, 0)
}
