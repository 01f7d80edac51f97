package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"russet/backend"
)

// Run checks everything that backend.Backend promises, faults included, short of pulling the plug. Each part calls open for a backend of
// its own, which must be empty and is left with files in it.
func Run(t *testing.T, open func(t *testing.T) backend.Backend) {
	t.Helper()
	for _, part := range []struct {
		name  string
		check func(t *testing.T, b backend.Backend)
	}{
		{"Empty", checkEmpty},
		{"RoundTrip", checkRoundTrip},
		{"Ranges", checkRanges},
		{"Absent", checkAbsent},
		{"SaveAgain", checkSaveAgain},
		{"ConfigOnce", checkConfigOnce},
		{"Memory", checkMemory},
		{"List", checkList},
		{"ListStops", checkListStops},
		{"Remove", checkRemove},
		{"Names", checkNames},
		{"Cancelled", checkCancelled},
		{"SameName", checkSameName},
		{"Together", checkTogether},
		{"Faults", checkFaults},
		{"Recorded", checkRecorded},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && (part.name == "Faults" || part.name == "Recorded") {
				t.Skip("short: one operation after the other fails")
			}
			part.check(t, open(t))
		})
	}
}

// kinds are those with names.
var kinds = [...]backend.Kind{backend.Key, backend.Lock, backend.Snapshot, backend.Index, backend.Data}

// Bytes returns n bytes that look random and depend on n and seed alone.
func Bytes(n int, seed byte) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed, byte(n), byte(n >> 8), byte(n >> 16)}).Read(data) // never fails
	return data
}

// Named returns the file that holds data, as a repository names it.
func Named(k backend.Kind, data []byte) backend.File {
	if k == backend.Config {
		return backend.File{}
	}
	sum := sha256.Sum256(data)
	return backend.File{Kind: k, Name: hex.EncodeToString(sum[:])}
}

func save(t *testing.T, b backend.Backend, k backend.Kind, data []byte) backend.File {
	t.Helper()
	f := Named(k, data)
	if err := b.Save(t.Context(), f, data); err != nil {
		t.Fatalf("Save: %v", err)
	}
	return f
}

// wantData fails unless the file holds exactly data.
func wantData(t *testing.T, b backend.Backend, f backend.File, data []byte) {
	t.Helper()
	got, err := Read(t.Context(), b, f)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("Load %s: got %d bytes, want %d other ones", f, len(got), len(data))
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func sizes(t *testing.T, b backend.Backend, k backend.Kind) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for info, err := range b.List(t.Context(), k) {
		if err != nil {
			t.Fatalf("List %s: %v", k, err)
		}
		if _, twice := all[info.Name]; twice {
			t.Errorf("List %s: %s comes twice", k, info.Name)
		}
		all[info.Name] = info.Size
	}
	return all
}

func wantSizes(t *testing.T, b backend.Backend, k backend.Kind, want map[string]int64) {
	t.Helper()
	if got := sizes(t, b, k); !maps.Equal(got, want) {
		t.Errorf("List %s: got %v, want %v", k, got, want)
	}
}

func checkEmpty(t *testing.T, b backend.Backend) {
	for k := backend.Config; k <= backend.Data; k++ {
		wantSizes(t, b, k, nil)
	}
}

func checkRoundTrip(t *testing.T, b backend.Backend) {
	for _, k := range append(kinds[:], backend.Config) {
		for _, n := range []int{0, 1, 4096, 1<<20 + 3} {
			if k == backend.Config && n != 4096 {
				continue
			}
			data := Bytes(n, byte(k))
			wantData(t, b, save(t, b, k, data), data)
		}
	}
	wantSizes(t, b, backend.Config, map[string]int64{"": 4096})
}

func checkRanges(t *testing.T, b backend.Backend) {
	const size = 10_000
	data := Bytes(size, 1)
	for _, k := range []backend.Kind{backend.Index, backend.Data} {
		f := save(t, b, k, data)
		for _, r := range []struct{ offset, length, want int }{
			{0, 0, 0},
			{0, 1, 1},
			{0, size, size},
			{0, size + 1, size},
			{17, 100, 100},
			{size - 100, 100, 100},
			{size - 100, 101, 100},
			{size - 1, 1, 1},
			{size, 1, 0},
			{size + 1, 1, 0},
			{size + 1<<40, 1, 0},
			{size, 0, 0},
		} {
			dst := make([]byte, r.length)
			n, err := b.Load(t.Context(), f, int64(r.offset), dst)
			if n != r.want || err != nil {
				t.Errorf("Load %d bytes at %d of %d: got %d, %v, want %d", r.length, r.offset, size, n, err, r.want)
				continue
			}
			if n > 0 && !bytes.Equal(dst[:n], data[r.offset:r.offset+n]) {
				t.Errorf("Load %d bytes at %d of %d: other bytes", r.length, r.offset, size)
			}
		}
		_, err := b.Load(t.Context(), f, -1, make([]byte, 1))
		wantError(t, "Load at -1", err, fs.ErrInvalid)
	}
}

func checkAbsent(t *testing.T, b backend.Backend) {
	for _, k := range append(kinds[:], backend.Config) {
		f := Named(k, []byte("absent"))
		_, err := b.Load(t.Context(), f, 0, make([]byte, 1))
		wantError(t, "Load "+f.String(), err, fs.ErrNotExist)
		_, err = b.Load(t.Context(), f, 0, nil)
		wantError(t, "Load nothing of "+f.String(), err, fs.ErrNotExist)
		wantError(t, "Remove "+f.String(), b.Remove(t.Context(), f), fs.ErrNotExist)
	}
	save(t, b, backend.Data, []byte("there"))
	_, err := b.Load(t.Context(), Named(backend.Index, []byte("there")), 0, nil)
	wantError(t, "Load of a name that another kind has", err, fs.ErrNotExist)
}

func checkSaveAgain(t *testing.T, b backend.Backend) {
	for _, k := range kinds {
		data := Bytes(5000, byte(k))
		f := save(t, b, k, data)
		wantData(t, b, f, data)
		save(t, b, k, data)
		wantData(t, b, f, data)
		wantSizes(t, b, k, map[string]int64{f.Name: 5000})
	}
}

func checkConfigOnce(t *testing.T, b backend.Backend) {
	data := []byte("the first")
	f := save(t, b, backend.Config, data)
	wantError(t, "Save config again", b.Save(t.Context(), f, []byte("the other")), fs.ErrExist)
	wantError(t, "Save config again", b.Save(t.Context(), f, data), fs.ErrExist)
	wantData(t, b, f, data)
}

// checkMemory makes sure that no memory is shared with the caller.
func checkMemory(t *testing.T, b backend.Backend) {
	data := Bytes(1000, 0)
	saved := bytes.Clone(data)
	f := Named(backend.Data, data)
	if err := b.Save(t.Context(), f, saved); err != nil {
		t.Fatal(err)
	}
	clear(saved)
	wantData(t, b, f, data)
	got, err := Read(t.Context(), b, f)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	wantData(t, b, f, data)
}

func checkList(t *testing.T, b backend.Backend) {
	want := make(map[backend.Kind]map[string]int64)
	for _, k := range kinds {
		want[k] = make(map[string]int64)
		for n := range 40 {
			want[k][save(t, b, k, Bytes(n, byte(k))).Name] = int64(n)
		}
	}
	for _, k := range kinds {
		wantSizes(t, b, k, want[k])
	}
	gone := slices.Sorted(maps.Keys(want[backend.Data]))[7]
	if err := b.Remove(t.Context(), backend.File{Kind: backend.Data, Name: gone}); err != nil {
		t.Fatal(err)
	}
	delete(want[backend.Data], gone)
	for _, k := range kinds {
		wantSizes(t, b, k, want[k])
	}
	for _, err := range b.List(t.Context(), backend.Data+1) {
		wantError(t, "List of an unknown kind", err, fs.ErrInvalid)
	}
}

// checkListStops leaves loops early, cancels in them, and removes in them.
func checkListStops(t *testing.T, b backend.Backend) {
	for n := range 30 {
		save(t, b, backend.Data, Bytes(n, 0))
	}
	seen := 0
	for _, err := range b.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 5 {
			break
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, errs := 0, 0
	for _, err := range b.List(ctx, backend.Data) {
		if err != nil {
			wantError(t, "List", err, context.Canceled)
			errs++
			continue
		}
		if seen++; seen == 5 {
			cancel()
		}
	}
	if seen == 30 || errs != 1 {
		t.Errorf("List, cancelled after 5 of 30 files: got %d files and %d errors, want fewer and 1", seen, errs)
	}

	for info, err := range b.List(t.Context(), backend.Data) {
		if err != nil {
			t.Fatalf("List with removals: %v", err)
		}
		if err := b.Remove(t.Context(), backend.File{Kind: backend.Data, Name: info.Name}); err != nil {
			t.Fatal(err)
		}
	}
	wantSizes(t, b, backend.Data, nil)
}

func checkRemove(t *testing.T, b backend.Backend) {
	for _, k := range append(kinds[:], backend.Config) {
		data := Bytes(100, byte(k))
		f := save(t, b, k, data)
		wantData(t, b, f, data)
		if err := b.Remove(t.Context(), f); err != nil {
			t.Fatalf("Remove: %v", err)
		}
		_, err := b.Load(t.Context(), f, 0, make([]byte, 1))
		wantError(t, "Load of what is removed", err, fs.ErrNotExist)
		wantError(t, "Remove of what is removed", b.Remove(t.Context(), f), fs.ErrNotExist)
		wantSizes(t, b, k, nil)
		wantData(t, b, save(t, b, k, data), data)
	}
}

// HostileNames are names of files that no backend may accept.
func HostileNames() []string {
	good := strings.Repeat("ab", 32)
	return []string{
		"",
		"config",
		".",
		"..",
		"/",
		good[:63],
		good + "a",
		good + "-tmp-1",
		strings.ToUpper(good),
		good[:63] + "g",
		good[:63] + "\x00",
		good[:63] + "/",
		good[:62] + "é",
		" " + good[1:],
		good[:60] + "/../",
		"../" + good[3:],
		"/etc/passwd",
		`..\` + good[3:],
		"C:" + good[2:],
		strings.Repeat("../", 21) + "a",
		strings.Repeat("a", 1<<16),
	}
}

func checkNames(t *testing.T, b backend.Backend) {
	var files []backend.File
	for _, name := range HostileNames() {
		for _, k := range kinds {
			files = append(files, backend.File{Kind: k, Name: name})
		}
	}
	good := Named(backend.Data, nil).Name
	files = append(files, backend.File{Kind: backend.Config, Name: good}, backend.File{Kind: backend.Config, Name: ".."},
		backend.File{Kind: backend.Data + 1, Name: good}, backend.File{Kind: 255})
	for _, f := range files {
		err := b.Save(t.Context(), f, []byte("hostile"))
		wantError(t, "Save "+f.String(), err, fs.ErrInvalid)
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("Save %s: the error has %d bytes", f, len(err.Error()))
		}
		_, err = b.Load(t.Context(), f, 0, make([]byte, 1))
		wantError(t, "Load "+f.String(), err, fs.ErrInvalid)
		wantError(t, "Remove "+f.String(), b.Remove(t.Context(), f), fs.ErrInvalid)
	}
	checkEmpty(t, b)
}

func checkCancelled(t *testing.T, b backend.Backend) {
	data := Bytes(100, 0)
	f := save(t, b, backend.Data, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := Named(backend.Data, []byte("other"))
	wantError(t, "Save", b.Save(ctx, other, []byte("other")), context.Canceled)
	_, err := b.Load(ctx, f, 0, make([]byte, 1))
	wantError(t, "Load", err, context.Canceled)
	wantError(t, "Remove", b.Remove(ctx, f), context.Canceled)
	for _, k := range []backend.Kind{backend.Data, backend.Key, backend.Config} {
		count := 0
		for _, err := range b.List(ctx, k) {
			wantError(t, fmt.Sprintf("List %s", k), err, context.Canceled)
			count++
		}
		if count != 1 {
			t.Errorf("List %s, cancelled: got %d turns of the loop, want 1 with the error", k, count)
		}
	}
	wantSizes(t, b, backend.Data, map[string]int64{f.Name: 100})
	wantData(t, b, f, data)
}
