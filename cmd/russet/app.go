package main

import (
	"context"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"russet/crypto"
)

// The groups in which help shows the verbs, in this order.
const (
	groupKeep  = "Keep backups"
	groupPhone = "Phones at hand"
	groupLook  = "Look inside and get back"
	groupSync  = "Bring records elsewhere"
	groupCopy  = "Keep a second copy"
	groupCare  = "Look after the repository"
	groupSelf  = "This program"
)

// program is one run of russet: the outside world, and what the global flags
// say about it. Its fields are set before a verb's action starts and then only
// read; console guards itself.
type program struct {
	env     environ
	stdin   io.Reader
	stdout  io.Writer
	console *console           // stderr
	cost    func() crypto.Cost // of new keys; tests want it cheap
	rounds  int                // of a simulated phone's backup password, and 0 a real one's; the same
	json    bool               // --json
	quiet   bool               // --quiet
	verb    string             // that was called, for advice; "" where it is not known
	storage storage            // how repositories elsewhere are reached

	patience patience      // with people at phones
	retry    time.Duration // how long what a network fails in is tried again; 0 is as usual
}

func newProgram(env environ, stdin io.Reader, stdout, stderr io.Writer) *program {
	p := &program{env: env, stdin: stdin, stdout: stdout, console: newConsole(stderr), cost: keyCost, patience: usualPatience}
	if env("TERM") == "dumb" {
		p.console.terminal = false // it cannot go back to the beginning of a line
	}
	return p
}

// app makes the commands. It is made anew for each run, as urfave/cli writes
// into what it is given.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "russet",
		Usage: "every version of an iPhone or iPad, kept in a restic repository",
		Description: "Russet backs iPhones and iPads up into a repository that holds every version of them,\n" +
			"takes in the backup folders that Finder, iTunes, Apple Devices, iMazing and idevicebackup2\n" +
			"left on a computer, plain or encrypted, and gives any version back byte for byte. The\n" +
			"repository is restic's: stock restic can open, check, mount, restore and prune it.",
		UsageText: "russet init -r /media/drive/repo        # make a repository\n" +
			"russet init -r sftp:ada@nas:/phones     # or on a server: sftp:, s3:, rest:, rclone:\n" +
			"russet pair                             # once: have the phone trust this computer\n" +
			"russet backup -r /media/drive/repo      # keep the phone that is connected\n" +
			"russet snapshots -r /media/drive/repo   # list what is kept\n" +
			"russet restore -r /media/drive/repo latest --target DIR",
		Flags:                     append(p.globalFlags(), storageFlags()...), // in this order: see globalRows
		Before:                    p.readStorage,
		Commands:                  p.verbs(),
		Reader:                    p.stdin,
		Writer:                    p.stdout,
		ErrWriter:                 p.console,
		HideHelp:                  true, // ours: help.go
		HideVersion:               true, // ours: version.go
		DisableSliceFlagSeparator: true, // a file name may hold a comma
		ExitErrHandler:            func(*cli.Context, error) {},
		InvalidFlagAccessHandler: func(_ *cli.Context, name string) {
			if name != "help" && name != "h" { // urfave asks for these itself
				panic("russet: action asks for the undefined flag " + name)
			}
		},
	}
	onUsageError := func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} }
	app.OnUsageError = onUsageError
	for _, c := range app.Commands {
		c.HideHelp, c.OnUsageError = true, onUsageError
	}
	return app
}

// verbs lists the commands in the order in which help shows them.
func (p *program) verbs() []*cli.Command {
	return []*cli.Command{
		p.initVerb(),
		p.backupVerb(),
		p.validateStorageVerb(),
		p.devicesVerb(),
		p.pairVerb(),
		p.unpairVerb(),
		p.infoVerb(),
		p.snapshotsVerb(),
		p.lsVerb(),
		p.catVerb(),
		p.findVerb(),
		p.historyVerb(),
		p.diffVerb(),
		p.showVerb(),
		p.statsVerb(),
		p.restoreVerb(),
		p.exportVerb(),
		p.syncVerb(),
		p.copyVerb(),
		p.mirrorVerb(),
		p.offsiteVerb(),
		p.checkVerb(),
		p.forgetVerb(),
		p.pinVerb(),
		p.unpinVerb(),
		p.noteVerb(),
		p.tagVerb(),
		p.pruneVerb(),
		p.repairVerb(),
		p.recoverVerb(),
		p.keyVerb(),
		p.unlockVerb(),
		p.demoVerb(),
		p.simulateVerb(),
		p.versionVerb(),
		p.completionVerb(),
		p.helpVerb(),
	}
}

// dispatch runs the verb that the arguments name; without one, that is help.
func (p *program) dispatch(ctx context.Context, args []string) error {
	app := p.app()
	if words, ok := completionRequest(args); ok {
		return p.complete(app, words)
	}
	line, err := arrange(app, args[1:])
	p.json, p.quiet, p.verb = line.json, line.quiet, line.verb
	if err != nil {
		return err
	}
	ctx, stop := p.watchSignals(ctx)
	defer stop()
	return app.RunContext(ctx, append([]string{app.Name}, line.arranged...))
}
