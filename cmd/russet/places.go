package main

import (
	"path/filepath"
)

// usualPlaces lists the folders in which programs on this system keep phone
// backups: Finder and older iTunes on macOS; iTunes, and Apple Devices or the
// iTunes of the Microsoft Store, on Windows. Elsewhere no program has one.
func usualPlaces(system string, env environ) []string {
	var places []string
	add := func(variable string, below ...string) {
		if base := env(variable); base != "" {
			places = append(places, filepath.Join(append([]string{base}, below...)...))
		}
	}
	switch system {
	case "darwin":
		add("HOME", "Library", "Application Support", "MobileSync", "Backup")
	case "windows":
		add("APPDATA", "Apple Computer", "MobileSync", "Backup")
		add("USERPROFILE", "Apple", "MobileSync", "Backup")
	}
	return places
}
