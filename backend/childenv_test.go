package backend

import (
	"os/exec"
	"slices"
	"testing"
)

// TestChildEnvironment: a program that is started for a storage learns no password of a repository.
func TestChildEnvironment(t *testing.T) {
	t.Setenv("RUSSET_PASSWORD", "x")
	t.Setenv("RESTIC_PASSWORD_COMMAND", "x")
	t.Setenv("RESTIC_FROM_PASSWORD", "x")
	t.Setenv("RESTIC_REST_PASSWORD", "x")
	t.Setenv("RCLONE_CONFIG", "mine")
	c := exec.Command("true")
	withoutOwnSecrets(c)
	if !slices.Contains(c.Env, "RCLONE_CONFIG=mine") || slices.ContainsFunc(c.Env, func(v string) bool { return v[len(v)-1] == 'x' && (v[:2] == "RE" || v[:2] == "RU") }) {
		t.Errorf("got %q", c.Env)
	}
}
