// Command russet keeps every version of an iPhone or iPad in a restic
// repository, and gives any of them back byte for byte.
//
//	russet init -r REPO
//	russet backup -r REPO FOLDER...
//	russet snapshots -r REPO
//	russet restore -r REPO latest --target DIR
//
// The package turns arguments, the environment and a terminal into calls of
// the packages below it, and their results into text, JSON lines and exit
// codes. It alone knows that there is a process. Each verb has a file of its
// own; docs/cli.md is the manual, made from the commands.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// The heap is mostly buffers that hold no pointers, so collecting it often is
// cheap: these settings keep the peak of a backup of 60,000 files in a folder
// and of a phone's 300,000 files below 300 MB (docs/benchmark.md). Past the limit
// memory still grows, with more work.
const (
	gcPercent   = 50
	memoryLimit = 235 << 20
	phoneLimit  = 205 << 20
	// While an index is loaded, nearly all that lives is the index: it holds no
	// pointers, and to collect what is not takes next to no time.
	indexGCPercent = 10
	// A phone of software should cost the computer as little as a real one: it
	// makes many short-lived records.
	simulateGCPercent = 400
)

func main() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(context.Background(), os.Args, os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it takes all that a process has, and returns its exit
// code.
func run(ctx context.Context, args []string, env environ, stdin io.Reader, stdout, stderr io.Writer) int {
	p := newProgram(env, stdin, stdout, stderr)
	return p.report(p.dispatch(ctx, args))
}

// watchSignals returns a context that the first Ctrl-C cancels; the second one
// ends the process at once. SIGHUP is swallowed: restic, wanting to know
// whether the holder of a lock is alive, sends it to that process. So is
// SIGPIPE, which would end us with the lock held when the reader of our output
// goes away; the write fails instead. Both are caught rather than ignored,
// because an ignored signal stays ignored in the programs that we start. stop
// ends the watch.
func (p *program) watchSignals(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	swallowed := make(chan os.Signal, 1)
	signal.Notify(swallowed, syscall.SIGHUP, syscall.SIGPIPE)
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-swallowed:
			case <-interrupts:
				if ctx.Err() != nil {
					p.console.clear()
					os.Exit(codeCancelled)
				}
				cancel(errInterrupted)
				p.warn("stopping; press Ctrl-C again to quit at once")
			}
		}
	}()
	return ctx, func() {
		signal.Stop(swallowed)
		signal.Stop(interrupts)
		close(done)
		cancel(nil)
	}
}
