//go:build !race

package mb2_test

// raced says that tests run under the race detector, many times slower.
const raced = false
