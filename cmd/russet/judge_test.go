package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

// judgePatience is how long a program by others may take. idevicebackup2 goes
// on for ever when the phone leaves it at the wrong moment.
const judgePatience = 60 * time.Second

// judgeMain is the command of scripts that runs a program by others, and ends
// it when it takes too long or the script ends:
//
//	judge PROGRAM ARGS...
func judgeMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, judgePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end: %w", ctx.Err())
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "judge: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// findPymobiledevice3 finds the program on the path, or where
// scripts/judges.sh puts it. It is empty where PyPI was not reached.
func findPymobiledevice3() string {
	if name, err := exec.LookPath("pymobiledevice3"); err == nil {
		return name
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	name := filepath.Join(cache, "russet-judges/pymobiledevice3/bin/pymobiledevice3")
	if _, err := os.Stat(name); err != nil {
		return ""
	}
	return name
}
