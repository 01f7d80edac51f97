//go:build unix

package backend

import (
	"os/exec"
	"syscall"
)

// apart keeps the terminal's Ctrl-C from a program, which must live until we have removed our lock.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
