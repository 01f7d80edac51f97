package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"russet/reconcile"
	"russet/repo"
)

// syncActions are all of them, in the order in which help lists them.
var syncActions = []action{
	{"add", "NAME", 1, 1, "say what is synced where", []string{"kind", "from", "to", "user", "in", "direction", "on-conflict", "same-server", "save-password"}, (*program).syncAdd},
	{"plan", "NAME", 1, 1, "show what a run would do", []string{"snapshot", "no-lock"}, (*program).syncPlan},
	{"run", "NAME", 1, 1, "plan, show the plan and do it", []string{"snapshot", "deletions", "plan", "no-lock", "save-password"}, (*program).syncRun},
	{"apply", "PLAN-ID", 1, 1, "do a plan that was shown, if it still is what would be done", []string{"snapshot", "deletions"}, (*program).syncApply},
	{"status", "[NAME]", 0, 1, "where syncs stand, and what the last runs did", []string{"no-lock"}, (*program).syncStatus},
	{"conflicts", "NAME [show|resolve UID]", 1, 3, "records that wait for a decision", []string{"take", "file", "plan", "approve", "no-lock"}, (*program).syncConflicts},
	{"push", "NAME UID...", 2, -1, "bring single records of any snapshot to the target", []string{"snapshot", "plan", "approve", "no-lock"}, (*program).syncPush},
	{"undo", "NAME RUN", 2, 2, "bring back what a run replaced and removed", []string{"plan", "approve", "deletions", "no-lock"}, (*program).syncUndo},
	{"remove", "NAME", 1, 1, "forget a sync, and undo with it; its target stays as it is", nil, (*program).syncRemove},
}

func (p *program) syncVerb() *cli.Command {
	usage, description := describeActions(syncActions)
	return &cli.Command{
		Name:      "sync",
		Category:  groupSync,
		Usage:     "push what changed on a phone to servers and folders",
		ArgsUsage: usage + " ...",
		UsageText: "russet sync add family --kind contacts --to carddav:https://dav.example.org --user ada\n" +
			"russet sync add paper --kind calendar --from 00008030 --to folder:$HOME/calendar\n" +
			"russet sync plan family\n" +
			"russet sync run family\n" +
			"russet sync undo family 3",
		Description: "A sync compares the records in the newest snapshot of a phone with what it left at the\n" +
			"target, a CardDAV or CalDAV collection or a folder of .vcf or .ics files, and writes only\n" +
			"what changed. It remembers that in the repository, encrypted, and whatever it replaces or\n" +
			"removes, for a year.\n" +
			"\n" +
			description +
			"\n" +
			"Directions: safe (the default) pushes what changed on the phone, and leaves alone what was\n" +
			"edited or removed at the target: edits wait as conflicts. mirror makes the records what they\n" +
			"are on the phone, whatever was done to them at the target: on a terminal add asks whether\n" +
			"that is meant, in a script --direction mirror is enough. two-way carries changes both ways,\n" +
			"between a folder (--from folder:DIR) and a server.\n" +
			"\n" +
			"A run that would remove or change unusually much, or finds a side empty, stops and shows its\n" +
			"plan: look at it, and apply that very plan (exit code 24). What push, undo and conflicts\n" +
			"resolve would do is shown with --plan. Nothing is taken for deleted\n" +
			"unless the target itself says so, or the phone's database was read to its last row.\n" +
			"\n" +
			"The server's password is asked for, or comes from a file, a command, the environment or the\n" +
			"computer's keyring; it is never kept in the repository. App passwords are advised.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "kind", Usage: "add: what is synced: `contacts|calendar|reminders`"},
			&cli.StringFlag{Name: "from", Usage: "add: the phone whose `UDID` begins so (the only one in the repository), or folder:DIR"},
			&cli.StringFlag{Name: "to", Usage: "add: carddav:`ADDRESS`, caldav:ADDRESS (of a collection, a server or an account) or folder:DIR"},
			&cli.StringFlag{Name: "user", Usage: "add: the `NAME` by which the server knows you"},
			&cli.StringSliceFlag{Name: "in", Usage: "add: the account, calendar or list `NAME` alone"},
			&cli.StringFlag{Name: "direction", Value: "safe", Usage: "add: `safe|mirror|two-way`"},
			&cli.StringFlag{Name: "on-conflict", Value: "ask", Usage: "add: `ask|source-wins|target-wins|keep-both`"},
			&cli.BoolFlag{Name: "same-server", Usage: "add: push also what the phone itself syncs with that server"},
			&cli.BoolFlag{Name: "save-password", Usage: "add, run: keep the server's password in this computer's keyring"},
			&cli.StringFlag{Name: "snapshot", Usage: "the `SNAPSHOT` that records are taken from (the phone's newest)"},
			&cli.StringFlag{Name: "approve", Usage: "the `ID` of a plan that was shown, to do it though a guard holds it back"},
			&cli.IntFlag{Name: "deletions", Usage: "the `NUMBER` of deletions that is meant, where it is above what one run makes"},
			&cli.StringFlag{Name: "take", Usage: "conflicts resolve: `source|target|merged|keep-both`"},
			&cli.StringFlag{Name: "file", Usage: "conflicts resolve --take merged: the `FILE` with the record as it shall be"},
			&cli.BoolFlag{Name: "plan", Aliases: []string{"dry-run", "n"}, Usage: "run, push, undo, conflicts resolve: only show what would be done"},
			&cli.BoolFlag{Name: "no-lock", Usage: "plan, status, conflicts, and with --plan: take no lock, for a repository that cannot be written"},
			&cli.StringFlag{Name: "server-password-file", Usage: "read the server's password from `FILE`"},
			&cli.StringFlag{Name: "server-password-command", Usage: "take the server's password from what `COMMAND` prints"},
		},
		BashComplete: completeActions(syncActions),
		Action:       func(c *cli.Context) error { return p.dispatchAction(c, syncActions) },
	}
}

// withSyncs opens the repository under a lock, with its index, and the
// states of all syncs in it.
func (p *program) withSyncs(c *cli.Context, kind locking, work func(ctx context.Context, r *repo.Repository, store *reconcile.RepoStore) error) error {
	return p.withRepository(c, kind, func(ctx context.Context, r *repo.Repository) error {
		if err := loadIndex(ctx, r); err != nil {
			return err
		}
		return work(ctx, r, reconcile.NewRepoStore(r, reconcile.StoreOptions{
			Owner: owner(time.Now()), PID: os.Getpid(), Boot: repo.ThisBoot(), Version: "russet " + thisVersion().Version,
		}))
	})
}
