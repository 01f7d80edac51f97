//go:build !linux && !darwin

package repo

// bootName is empty: this system does not name its boots.
func bootName() string { return "" }
