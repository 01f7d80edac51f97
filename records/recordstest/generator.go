package recordstest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
)

// record is what a generator makes: a pointer to a person, an event or a reminder.
type record interface {
	// key returns the row in the database, and the UID that package records gives it.
	key() (row int64, uid string)
}

// generator makes records of one kind, and knows which of them are not written yet.
type generator[T record] struct {
	rng     *rand.Rand
	now     int64 // Cocoa seconds
	lastRow int64
	count   int         // makes values differ
	dirty   map[int64]T // by row; nil of one that was removed
}

// newGenerator returns one whose numbers are others than those of another stream
// from the same seed.
func newGenerator[T record](seed, stream uint64) generator[T] {
	return generator[T]{rng: rand.New(rand.NewPCG(seed, stream)), now: 700_000_000, dirty: map[int64]T{}}
}

func (g *generator[T]) pick(from []string) string { return from[g.rng.IntN(len(from))] }

// tick returns a time later than all before.
func (g *generator[T]) tick() int64 {
	g.now += 1 + g.rng.Int64N(5000)
	return g.now
}

// number returns a number that was never returned.
func (g *generator[T]) number() int {
	g.count++
	return g.count
}

// text returns a text that was never returned.
func (g *generator[T]) text() string {
	return fmt.Sprintf("%s %d of %s", g.pick(words), g.number(), Secret)
}

// put has the next Write write a record.
func (g *generator[T]) put(r T) {
	row, _ := r.key()
	g.dirty[row] = r
}

// remove takes one of all out.
func (g *generator[T]) remove(all *[]T, r T) Change {
	row, uid := r.key()
	*all = slices.DeleteFunc(*all, func(o T) bool { other, _ := o.key(); return other == row })
	var none T
	g.dirty[row] = none
	return Change{What: Removed, UID: uid}
}

// ways are how the records of a kind become others.
type ways[T record] struct {
	add    func() T // which appends it to all
	change func(T) Change
	touch  func(T)      // changes the time of modification only; may be nil
	stays  func(T) bool // it cannot be removed; may be nil
}

// generation makes the next generation of all: n of them are removed, changed in one
// property, or have another one added, and some others are touched. It returns what
// it did, sorted by UID.
func (g *generator[T]) generation(all *[]T, n int, w ways[T]) []Change {
	var changes []Change
	before := slices.Clone(*all)
	g.rng.Shuffle(len(before), func(i, j int) { before[i], before[j] = before[j], before[i] })
	n = min(n, len(before))
	for _, r := range before[:n] {
		switch c := g.rng.IntN(6); {
		case c == 0 && (w.stays == nil || !w.stays(r)):
			changes = append(changes, g.remove(all, r))
		case c == 1:
			_, uid := w.add().key()
			changes = append(changes, Change{What: Added, UID: uid})
		default:
			changes = append(changes, w.change(r))
		}
	}
	if w.touch != nil {
		for _, r := range before[n:min(n+3, len(before))] {
			w.touch(r)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.UID, b.UID) })
	return changes
}

// pending returns the rows that a Write into the database at name has to write, in
// order: those of all records where it is not there yet.
func (g *generator[T]) pending(name string, all []T) []int64 {
	if _, err := os.Lstat(name); os.IsNotExist(err) {
		for _, r := range all {
			g.put(r)
		}
	}
	rows := make([]int64, 0, len(g.dirty))
	for row := range g.dirty {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows
}
