//go:build !race

package reconcile

// raced says that tests run under the race detector, many times slower.
const raced = false
