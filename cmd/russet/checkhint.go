package main

import (
	"slices"
	"strings"

	"russet/repo"
)

// remedy is what helps against some kinds of damage.
type remedy struct {
	kinds []repo.ProblemKind
	text  string
	// last: the rest may look otherwise when this is done, and its remedies are
	// not told.
	last bool
}

// recoverHint says what to do about a damaged snapshot.
const recoverHint = "russet recover finds what a damaged snapshot held, until a prune; then russet repair snapshots --forget removes its file"

// remedies are in the order in which they are to be done.
var remedies = []remedy{
	{
		[]repo.ProblemKind{
			repo.BadConfig, repo.BadKey, repo.BadSnapshot, repo.SnapshotsMissing, repo.BadIndex,
			repo.PackMissing, repo.PackSize, repo.PackDamaged, repo.BlobDamaged,
		},
		"where a mirror has the files named above, put them back from there, under the same names, and check again before anything is repaired", false,
	},
	{[]repo.ProblemKind{repo.BadConfig}, "the config cannot be made anew: put it back from a copy of the repository, if there is one", false},
	{[]repo.ProblemKind{repo.BadLock}, "when you know that nobody uses the repository, remove its locks with russet unlock --remove-all", false},
	{[]repo.ProblemKind{repo.BadKey}, "russet key remove takes a damaged key away: its password opens nothing", false},
	{[]repo.ProblemKind{repo.BadSnapshot}, recoverHint, false},
	{[]repo.ProblemKind{repo.SnapshotsMissing}, "russet recover finds what the lost snapshots held, as long as nothing prunes", false},
	{
		[]repo.ProblemKind{repo.BadIndex, repo.IndexConflict, repo.PackUnnamed},
		"russet repair index makes the index anew from what is there; then check again", true,
	},
	{
		[]repo.ProblemKind{repo.PackMissing, repo.PackSize, repo.PackDamaged, repo.BlobDamaged, repo.BadTree},
		"what is not named above is whole; russet repair packs saves what can be read of damaged packs, then russet backup " +
			"stores again what the computer still has, russet copy what a second repository has, russet repair snapshots leaves out what is lost, and russet prune removes what was damaged", true,
	},
	{
		[]repo.ProblemKind{repo.BlobMissing},
		"what is not named above is whole; russet backup stores again what the computer still has, russet copy what a second " +
			"repository has, russet repair files what was restored once, and russet repair snapshots leaves out what is lost", true,
	},
}

// hintFor says what to do about the kinds of damage that a check found, a line
// for each remedy.
func hintFor(found map[repo.ProblemKind]bool, mirror bool) string {
	if mirror {
		return "it is a mirror, in which nothing is repaired: check and use the original; where that is whole, remove the files named above here, " +
			"and russet mirror copies them again\n" +
			"if the original is lost, russet mirror --promote --to FOLDER makes an ordinary repository of this one, which can be repaired"
	}
	var lines []string
	for _, r := range remedies {
		if slices.ContainsFunc(r.kinds, func(k repo.ProblemKind) bool { return found[k] }) {
			lines = append(lines, r.text)
			if r.last {
				break
			}
		}
	}
	return strings.Join(lines, "\n")
}

// remedied is an error with what can be done about it, where that depends on
// what was found.
type remedied struct {
	error
	hint string
}

func (r remedied) Unwrap() error { return r.error }

// hintsOf is what can be done about each of the errors that err holds.
func hintsOf(err error) (hints []string) {
	switch e := err.(type) {
	case remedied:
		return []string{e.hint}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			hints = append(hints, hintsOf(one)...)
		}
	case interface{ Unwrap() error }:
		return hintsOf(e.Unwrap())
	}
	return hints
}
