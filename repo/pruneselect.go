package repo

import (
	"cmp"
	"slices"

	"russet/chunk"
)

// packUse is what a prune knows of a pack that an index names. Sizes are bytes
// as stored, with the entries of the header.
type packUse struct {
	id                     chunk.ID
	size                   int64 // by the index
	state                  packPresence
	used, unused           int64
	usedBlobs, unusedBlobs int
	data, trees            bool // what it holds, used or not
	damaged                bool // a copy in it cannot be read, and another is used instead
}

// packPresence is how the file of a pack was found.
type packPresence uint8

const (
	packHere packPresence = iota
	packGone
	packResized // not as long as the index says
)

// fate is what a prune does with a pack.
type fate uint8

const (
	fateKeep   fate = iota
	fateRepack      // copy what is used into new packs, then delete it
	fateDelete      // nothing in it is used
	fateForget      // it is gone, and nothing of it is used: the index says so no longer
)

const (
	// smallPack is a quarter of what packs are meant to have. Checkpoints of long
	// runs leave many that are smaller, and each costs a request.
	smallPack = packTarget / 4
	// manySmall is how many small ones are put together: fewer cost nobody
	// anything, and would be copied by each prune anew.
	manySmall = 10
	// spareSpace is what copies leave free, in bytes: for the new index and what else
	// comes up.
	spareSpace = packTarget
	// defaultMaxUnused is restic's: to free the last 5 % costs more copying than
	// it is worth.
	defaultMaxUnused = 5
)

// selectPacks decides over packs. What of them is worth copying is taken in this order,
// as restic does: packs with trees, which every program reads, and those with
// unreadable copies, as long as anything in them is unused; small ones, if there
// are many; then packs of content, those with the largest unused share first,
// until no more than maxUnused stays. Together they have no more than maxRepack,
// and what is copied no more than space bytes; what that leaves out is late.
func selectPacks(packs []packUse, maxUnused, maxRepack Limit, space int64) (fates []fate, late PackCount) {
	if maxUnused.kind == limitDefault {
		maxUnused = LimitPercent(defaultMaxUnused)
	}
	fates = make([]fate, len(packs))
	var used, unused int64
	var candidates []int
	small := manySmallKinds(packs)
	for i, p := range packs {
		switch {
		case p.usedBlobs == 0 && p.state == packGone:
			fates[i] = fateForget
		case p.usedBlobs == 0:
			fates[i] = fateDelete
		default:
			used += p.used
			unused += p.unused
			if p.unusedBlobs > 0 || small[kindOf(p)] && p.size < smallPack {
				candidates = append(candidates, i)
			}
		}
	}
	slices.SortFunc(candidates, func(a, b int) int { return compareCandidates(packs[a], packs[b], small) })
	allowed, room := maxUnused.beside(used), maxRepack.beside(0)
	for _, i := range candidates {
		p := packs[i]
		must := rank(p, small) < rankContent
		if !must && unused <= allowed || p.size > room {
			continue
		}
		if p.used > space {
			late.add(p.size)
			continue
		}
		fates[i] = fateRepack
		unused -= p.unused
		room -= p.size
		space -= p.used
	}
	return fates, late
}

// packKind tells packs apart whose blobs do not go into one new pack.
type packKind uint8

const (
	kindData packKind = iota
	kindTrees
	kindMixed
	kinds
)

func kindOf(p packUse) packKind {
	switch {
	case p.data && p.trees:
		return kindMixed
	case p.trees:
		return kindTrees
	}
	return kindData
}

// manySmallKinds tells of which kinds there are many small packs.
func manySmallKinds(packs []packUse) (many [kinds]bool) {
	var n [kinds]int
	for _, p := range packs {
		if p.usedBlobs > 0 && p.size < smallPack {
			n[kindOf(p)]++
		}
	}
	for k := range n {
		many[k] = n[k] >= manySmall
	}
	return many
}

// The order in which candidates are taken.
const (
	rankFirst   = iota // trees and damage
	rankSmall          // many small ones
	rankContent        // for the space alone
)

func rank(p packUse, small [kinds]bool) int {
	switch {
	case p.unusedBlobs > 0 && (p.trees || p.damaged):
		return rankFirst
	case small[kindOf(p)] && p.size < smallPack:
		return rankSmall
	}
	return rankContent
}

func compareCandidates(a, b packUse, small [kinds]bool) int {
	return cmp.Or(
		cmp.Compare(rank(a, small), rank(b, small)),
		cmp.Compare(share(b), share(a)),
		a.id.Compare(b.id),
	)
}

// share is how much of a pack is unused, of 1.
func share(p packUse) float64 {
	return float64(p.unused) / float64(max(p.used+p.unused, 1))
}
