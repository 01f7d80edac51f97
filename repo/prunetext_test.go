package repo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"russet/backend/backendtest"
	"russet/chunk"
	"russet/index"
)

// What a plan says to people, line by line.
func TestPlanText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		plan interface{ String() string }
		want string
	}{
		{&PrunePlan{}, "there is nothing to do\n"},
		{&PrunePlan{Keep: PackCount{2, 4096}, Unused: 10}, "keep         2 packs    4.0 KiB, of which 10 B are not needed\nthere is nothing to do\n"},
		{
			&PrunePlan{
				Keep: PackCount{120, 5 << 30}, Repack: PackCount{3, 3 << 20}, Copied: 1 << 20, Delete: PackCount{4, 4 << 20},
				Unreferenced: PackCount{1, 100}, Gone: 2, Unused: 5 << 20, IndexFiles: 17, mergeIndex: true,
			},
			"keep       120 packs    5.0 GiB, of which 5.0 MiB are not needed\n" +
				"repack       3 packs    3.0 MiB, of which 1.0 MiB are needed and copied\n" +
				"delete       4 packs    4.0 MiB: nothing in them is needed\n" +
				"delete       1 packs      100 B: no index names them\n" +
				"forget       2 packs: they are gone, and nothing of them is needed\n" +
				"merge       17 index files\n" +
				"6.0 MiB will be free\n",
		},
		{&RepairIndexPlan{Damaged: PackCount{1, 100}}, "leave        1 packs 100 B: what they hold does not say what it is\nthere is nothing to do\n"},
		{
			&RepairIndexPlan{Added: PackCount{1, 100}, Changed: PackCount{2, 2048}, Gone: 3, Unreadable: 4, Twice: 5},
			"remove       4 index files: they cannot be read\n" +
				"add          1 packs 100 B: no index names them\n" +
				"mend         2 packs 2.0 KiB: the index describes them wrongly\n" +
				"forget       3 packs: they are gone\n" +
				"merge        5 packs: several index files describe them\n",
		},
	} {
		if got := test.plan.String(); got != test.want {
			t.Errorf("got\n%swant\n%s", got, test.want)
		}
	}
}

func TestSizeText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1048570: "1.0 MiB", 1536: "1.5 KiB", -2048: "-2.0 KiB", -5: "-5 B", 1 << 62: "4.0 EiB",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// Ctrl-C at any operation ends a prune with a repository that is whole.
func TestPruneCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, snaps, files := pruneStore(t, 20_000)
		for n := 1; ; n += 2 * faultStep() {
			broken, err := backendtest.Copy(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			fired := false
			faulty := backendtest.NewFaulty(broken, backendtest.Faults{
				FailAt: n, FailCount: -1, Err: context.Canceled,
				Only: func(backendtest.Op) bool { return ctx.Err() == nil },
			})
			watched := backendtest.NewFaulty(faulty, backendtest.Faults{Before: func(context.Context, backendtest.Op) error {
				if faulty.Fired() && !fired {
					fired = true
					cancel()
				}
				return nil
			}})
			_, err = pruneRun(ctx, watched, everything())
			cancel()
			if !faulty.Fired() {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatalf("operation %d: no error", n)
			}
			r := wantWhole(t, broken, snaps, files)
			if _, err := r.Unlock(t.Context(), UnlockOptions{All: true, Now: testTime()}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// An index that promises a blob of 4 GiB, or one twice in a pack, is no reason to
// ask for memory or to lose the other.
func TestPruneOfOddIndexes(t *testing.T) {
	t.Parallel()
	store, snaps, files := pruneStore(t, 5000)
	r := wantWhole(t, store, snaps, files)
	s := &sealedReader{r: r}
	loc, _ := r.index.Lookup(index.Handle{ID: chunk.Sum(payload(1, 5000)), Type: index.Data})
	huge := loc.Blob
	huge.Length = 1<<32 - 1 - huge.Offset
	var got []error
	err := s.read(t.Context(), loc.Pack, []numbered{{huge, 0}, {loc.Blob, 1}, {loc.Blob, 2}}, func(_ numbered, _ []byte, err error) error {
		got = append(got, err)
		return nil
	})
	if err != nil || len(got) != 3 || !errors.Is(got[0], ErrDamaged) || got[1] != nil || got[2] != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if cap(s.buf) > 1<<20 {
		t.Errorf("%d bytes of memory were asked for", cap(s.buf))
	}
}
