package main

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestUsualPlaces(t *testing.T) {
	t.Parallel()
	env := func(name string) string {
		return map[string]string{"HOME": "home", "APPDATA": "roaming", "USERPROFILE": "profile"}[name]
	}
	for system, want := range map[string][]string{
		"darwin":  {"home/Library/Application Support/MobileSync/Backup"},
		"windows": {"roaming/Apple Computer/MobileSync/Backup", "profile/Apple/MobileSync/Backup"},
		"linux":   nil,
	} {
		got := usualPlaces(system, env)
		for i := range got {
			got[i] = filepath.ToSlash(got[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", system, got, want)
		}
	}
	if got := usualPlaces("windows", noEnv); len(got) != 0 {
		t.Errorf("without variables: got %q, want nothing", got)
	}
}
