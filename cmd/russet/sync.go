package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"russet/reconcile"
	"russet/repo"
)

// syncAction is one of the things that sync does.
type syncAction struct {
	name, takes string
	min, max    int // arguments behind the name; max -1 is any number
	what        string
	flags       []string // of those that not all have
	run         func(p *program, c *cli.Context, args []string) error
}

// syncActions are all of them, in the order in which help lists them.
var syncActions = []syncAction{
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
	var description strings.Builder
	for _, a := range syncActions {
		fmt.Fprintf(&description, "  %-34s %s\n", a.name+" "+a.takes, a.what)
	}
	return &cli.Command{
		Name:      "sync",
		Category:  groupSync,
		Usage:     "push what changed on a phone to servers and folders",
		ArgsUsage: strings.Join(actionNames(), "|") + " ...",
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
			description.String() +
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
		BashComplete: func(c *cli.Context) {
			for _, a := range syncActions {
				fmt.Fprintf(c.App.Writer, "%s\t%s\n", a.name, a.what)
			}
		},
		Action: p.syncAction,
	}
}

func actionNames() []string {
	var names []string
	for _, a := range syncActions {
		names = append(names, a.name)
	}
	return names
}

func (p *program) syncAction(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return usageError{"sync wants to know what to do: " + enumerate(actionNames(), "or")}
	}
	for _, a := range syncActions {
		if a.name != name {
			continue
		}
		args := c.Args().Tail()
		if len(args) < a.min || a.max >= 0 && len(args) > a.max {
			return usageError{fmt.Sprintf("sync %s takes %s", a.name, a.takes)}
		}
		if err := syncFlags(c, a); err != nil {
			return err
		}
		return a.run(p, c, args)
	}
	return usageError{fmt.Sprintf("sync does not know %q; it knows %s", name, enumerate(actionNames(), "and"))}
}

// syncFlags finds flags that belong to something else than is done.
func syncFlags(c *cli.Context, action syncAction) error {
	for _, flag := range c.Command.Flags {
		name := flag.Names()[0]
		var owners []string // none: of all
		for _, a := range syncActions {
			if slices.Contains(a.flags, name) {
				owners = append(owners, a.name)
			}
		}
		if len(owners) > 0 && c.IsSet(name) && !slices.Contains(owners, action.name) {
			return usageError{fmt.Sprintf("--%s is not for sync %s, but for sync %s", name, action.name, enumerate(owners, "and"))}
		}
	}
	return nil
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
