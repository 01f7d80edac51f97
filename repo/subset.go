package repo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"russet/chunk"
)

// Subset says which packs a check reads. The zero value is none of them.
type Subset struct {
	part, parts uint    // the part-th of so many parts, by the first byte of the id
	percent     float64 // of the packs, drawn at random
	size        int64   // at least so many bytes, drawn at random
}

// AllPacks is every pack.
func AllPacks() Subset { return Subset{percent: 100} }

// maxParts: the first byte of an id has so many values.
const maxParts = 256

// ParseSubset reads a subset as restic's --read-data-subset spells it: "n/t" is
// the n-th of t parts of about the same size, always the same packs; "x%" a
// share and "nK", "nM", "nG", "nT" a number of bytes, drawn anew each time.
func ParseSubset(s string) (Subset, error) {
	bad := func(why string) (Subset, error) { return Subset{}, fmt.Errorf("parse subset %q: %s", s, why) }
	if n, t, ok := strings.Cut(s, "/"); ok {
		part, err1 := strconv.ParseUint(n, 10, 16)
		parts, err2 := strconv.ParseUint(t, 10, 16)
		if errors.Join(err1, err2) != nil || part == 0 || part > parts || parts > maxParts {
			return bad("want n/t with 1 <= n <= t <= 256")
		}
		return Subset{part: uint(part), parts: uint(parts)}, nil
	}
	if share, ok := strings.CutSuffix(s, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if legal := percent > 0 && percent <= 100; err != nil || !legal { // which NaN is not
			return bad("want a percentage above 0 and up to 100")
		}
		return Subset{percent: percent}, nil
	}
	size, ok := parseBytes(s)
	if !ok || size == 0 {
		return bad("want n/t, a percentage or a size such as 500M")
	}
	return Subset{size: size}, nil
}

// String gives the subset in the form that ParseSubset reads, "none" for the
// zero value.
func (s Subset) String() string {
	switch {
	case s.parts > 0:
		return fmt.Sprintf("%d/%d", s.part, s.parts)
	case s.percent > 0:
		return strconv.FormatFloat(s.percent, 'g', -1, 64) + "%"
	case s.size > 0:
		return strconv.FormatInt(s.size, 10)
	}
	return "none"
}

// packFile is a pack that is there, and its length in bytes.
type packFile struct {
	id   chunk.ID
	size int64
}

// choose returns the packs of the subset. It changes the order of all. A share
// or a size that is not zero gives at least one pack.
func (s Subset) choose(all []packFile) []packFile {
	if s.parts > 0 {
		var some []packFile
		for _, p := range all {
			if uint(p.id[0])%s.parts == s.part-1 {
				some = append(some, p)
			}
		}
		return some
	}
	if s.percent >= 100 {
		return all
	}
	if s.percent <= 0 && s.size <= 0 || len(all) == 0 {
		return nil
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if s.percent > 0 {
		return all[:max(1, int(float64(len(all))*s.percent/100))]
	}
	n, size := 0, int64(0)
	for n < len(all) && size < s.size {
		size += all[n].size
		n++
	}
	return all[:n]
}
