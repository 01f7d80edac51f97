package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"russet/backend"
	"russet/backend/backendtest"
	"russet/chunk"
)

// Whatever stands in a snapshot stands there after its tags were changed, as it
// was spelled.
func TestEditTags(t *testing.T) {
	t.Parallel()
	id := chunk.Sum([]byte("old"))
	tree := chunk.Sum([]byte("tree")).String()
	first := chunk.Sum([]byte("first")).String()
	original := `,"original":"` + id.String() + `"`
	for _, c := range []struct {
		was  string
		tags []string
		want string
	}{
		{
			`{"time":"2026-01-02T03:04:05.600+01:00","tree":"T","paths":["/x"],"excludes":["*.o"],"uid":1000,"tags":["b"],"program_version":"restic 0.17.3","summary":{"backup_end":"2026-01-02T03:04:06Z","new_field":1.50}}`,
			[]string{"a", "b"},
			`{"time":"2026-01-02T03:04:05.600+01:00","tree":"T","paths":["/x"],"excludes":["*.o"],"uid":1000,"tags":["a","b"]O,"program_version":"restic 0.17.3","summary":{"backup_end":"2026-01-02T03:04:06Z","new_field":1.50}}`,
		},
		{
			`{"time":"2026-01-02T03:04:05Z","tree":"T","paths":null,"label":"rustic\u003c","original":"` + first + `","summary":{}}`,
			[]string{"<&>"},
			`{"time":"2026-01-02T03:04:05Z","tree":"T","paths":null,"label":"rustic\u003c","tags":["\u003c\u0026\u003e"],"original":"` + first + `","summary":{}}`,
		},
		{`{ "tags": ["a"], "tree": "T" }`, nil, `{"tree":"T"O}`},
		{`{"tree":"T","delete":"never"}`, []string{"a"}, `{"tree":"T","delete":"never","tags":["a"]O}`},
	} {
		was := strings.ReplaceAll(c.was, `"T"`, `"`+tree+`"`)
		want := strings.NewReplacer(`"T"`, `"`+tree+`"`, "O", original).Replace(c.want)
		got, _, err := editTags([]byte(was), id, c.tags)
		if err != nil || string(got) != want {
			t.Errorf("%s\ngot  %s, %v\nwant %s", was, got, err, want)
		}
	}
	for _, was := range []string{`{"tree":"` + tree + `","tags":["a"],"Tags":["b"]}`, `[]`, `null`, `{"tree":1}`, `{"tree":`} {
		if got, _, err := editTags([]byte(was), id, []string{"x"}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %s, %v, want an ErrDamaged", was, got, err)
		}
	}
}

func FuzzEditTags(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05+01:00","tree":null,"paths":["/x"],"tags":["b"],"summary":{"a":[{}]},"label":"\ud800"}`), "a,b")
	f.Add([]byte(`{"Original":null,"TAGS":[""],"tags":null}`), "")
	f.Fuzz(func(t *testing.T, plain []byte, list string) {
		var tags []string
		if list != "" {
			tags = strings.Split(list, ",")
		}
		id := chunk.Sum([]byte("old"))
		edited, original, err := editTags(plain, id, tags)
		if err != nil {
			return
		}
		var was, got Snapshot
		if err := errors.Join(json.Unmarshal(plain, &was), json.Unmarshal(edited, &got)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Tags, tags) || got.Original == nil || *got.Original != original {
			t.Errorf("got %q, original %v, want %q, %v", got.Tags, got.Original, tags, original)
		}
		was.Tags, was.Original = got.Tags, got.Original
		if !reflect.DeepEqual(was, got) {
			t.Errorf("%s became %s", plain, edited)
		}
		again, _, err := editTags(edited, chunk.ID{}, tags)
		if err != nil || !bytes.Equal(again, edited) {
			t.Errorf("%s became %s, %v", edited, again, err)
		}
	})
}

// pinAll pins every snapshot, and returns how many it changed.
func pinAll(ctx context.Context, r *Repository) (int, error) {
	snaps, err := r.AllSnapshots(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	plan := PlanTags(snaps, func(tags []string) []string {
		return append([]string{TagPinned}, tagsWithout(tags, []string{TagPinned})...)
	})
	err = plan.Apply(ctx, r, func(c TagChange, id chunk.ID) error {
		if id == c.Snapshot.ID() {
			return errors.New("the id is the old one")
		}
		n++
		return nil
	})
	return n, err
}

// However far a change of tags comes, each snapshot is there once or, cut off in
// the middle, twice; the next run leaves it once.
func TestTagsCut(t *testing.T) {
	t.Parallel()
	source := backend.NewMemory()
	r := forgetRepo(t, source)
	for s, err := range r.Snapshots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Paths[0] != "/one" {
			if err := r.RemoveSnapshot(t.Context(), s.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := days(t, r)
	for n := 1; ; n++ {
		for _, faults := range []backendtest.Faults{{FailAt: n}, {DieAt: n}} {
			memory, err := backendtest.Copy(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Open(t.Context(), memory, testPassword)
			if err != nil {
				t.Fatal(err)
			}
			faulty := backendtest.NewFaulty(memory, faults)
			r.be = faulty
			changed, err := pinAll(t.Context(), r)
			r.be = memory
			if !faulty.Fired() && faults.DieAt == 0 {
				if err != nil || changed != len(before)-1 {
					t.Errorf("got %d changed, %v", changed, err)
				}
				return
			}
			if faulty.Fired() && err == nil && faults.DieAt > 0 {
				t.Errorf("died at write %d, and nobody heard of it", n)
			}
			left := days(t, r)
			if once := slices.Compact(slices.Clone(left)); !slices.Equal(once, before) || len(left) > len(before)+1 {
				t.Errorf("cut at operation %d: got %q, want %q", n, left, before)
			}
			if _, err := pinAll(t.Context(), r); err != nil {
				t.Errorf("cut at operation %d, again: %v", n, err)
			}
			if got := days(t, r); !slices.Equal(got, before) {
				t.Errorf("cut at operation %d, again: got %q, want %q", n, got, before)
			}
			for s, err := range r.Snapshots(t.Context()) {
				if err != nil || !s.HasTag(TagPinned) {
					t.Errorf("cut at operation %d: %v, %v is not pinned", n, err, s)
				}
			}
			checkClean(t, memory)
		}
	}
}

// A new file that cannot be read back takes nobody's place.
func TestTagsReadBack(t *testing.T) {
	t.Parallel()
	r := forgetRepo(t, backend.NewMemory())
	before := days(t, r)
	memory := r.be
	saved := map[string]bool{}
	r.be = backendtest.NewFaulty(memory, backendtest.Faults{
		Before: func(_ context.Context, op backendtest.Op) error {
			if op.Verb == backendtest.Save {
				saved[op.File.Name] = true
			}
			return nil
		},
		Corrupt: func(f backend.File, _ int64, data []byte) []byte {
			if saved[f.Name] && len(data) > 0 {
				data[len(data)-1] ^= 1
			}
			return data
		},
	})
	if n, err := pinAll(t.Context(), r); n != 0 || !errors.Is(err, ErrDamaged) {
		t.Errorf("got %d, %v, want an ErrDamaged", n, err)
	}
	r.be = memory
	if got := days(t, r); !slices.Equal(slices.Compact(got), before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for note, want := range map[string]string{
		"before the repair": "note=before the repair", "50 %, then": "note=50 %25%2C then",
		"two\nlines\x7f\u0085": "note=two%0Alines%7F%C2%85", "\xff\ufffd\u00e9": "note=%FF\ufffd\u00e9",
	} {
		tags := WithNote([]string{"a", "note=old", "note=older"}, note)
		if !slices.Equal(tags, []string{"a", want}) {
			t.Errorf("%q: got %q, want %q", note, tags, want)
		}
		if got := (&Snapshot{Tags: tags}).Note(); got != note {
			t.Errorf("got %q, want %q", got, note)
		}
	}
	if got := WithNote([]string{"note=x", "a"}, ""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %q, want only a", got)
	}
	for tag, want := range map[string]string{"note=100%": "100%", "note=%zz%4": "%zz%4", "note=%2c": ",", "note=": "", "notes=x": ""} {
		if got := (&Snapshot{Tags: []string{tag}}).Note(); got != want {
			t.Errorf("%q: got %q, want %q", tag, got, want)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add("50 %, then\n\xff")
	f.Add("%2C")
	f.Fuzz(func(t *testing.T, note string) {
		tags := WithNote(nil, note)
		text, err := json.Marshal(tags)
		if err != nil || strings.Contains(strings.Join(tags, ""), ",") {
			t.Fatalf("%q: got %q, %v", note, tags, err)
		}
		var read []string
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if got := (&Snapshot{Tags: read}).Note(); got != note {
			t.Errorf("got %q, want %q", got, note)
		}
		if decoded := decodeNote(note); len(decoded) > len(note) {
			t.Errorf("%q: %q is longer", note, decoded)
		}
	})
}
