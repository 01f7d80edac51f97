package backend

import (
	"os/exec"
	"slices"
	"strings"
)

// ownSecrets begin the names of variables that hold passwords of repositories and logins of ours, or say where they are.
// What rclone and ssh want to know has other names.
var ownSecrets = []string{"RUSSET_", "RESTIC_PASSWORD", "RESTIC_FROM_PASSWORD", "RESTIC_REST_"}

// withoutOwnSecrets gives a program that is about to be started our environment without what is not its business.
func withoutOwnSecrets(c *exec.Cmd) {
	c.Env = slices.DeleteFunc(c.Environ(), func(variable string) bool {
		return slices.ContainsFunc(ownSecrets, func(name string) bool { return strings.HasPrefix(variable, name) })
	})
}
