// Package house holds the rules of this repository as tests.
//
// It has no code of its own: its tests read every source file of the module and
// say, with a sentence of advice, where one departs from what docs/testing.md
// and docs/architecture.md promise. The rules parse files in this process
// instead of asking the go command, because go test caches by the files that
// the test itself opened: what a child process read is not part of that.
package house
