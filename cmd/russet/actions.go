package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// action is one of the things that a verb does which does several: its first
// argument names it.
type action struct {
	name, takes string
	min, max    int // arguments behind the name; max -1 is any number
	what        string
	flags       []string // of those that not all have
	run         func(p *program, c *cli.Context, args []string) error
}

// describeActions gives the names of a verb's actions for its usage, and a line on
// each for its description.
func describeActions(all []action) (usage, description string) {
	var lines strings.Builder
	for _, a := range all {
		fmt.Fprintf(&lines, "  %-34s %s\n", a.name+" "+a.takes, a.what)
	}
	return strings.Join(actionNames(all), "|"), lines.String()
}

func actionNames(all []action) []string {
	var names []string
	for _, a := range all {
		names = append(names, a.name)
	}
	return names
}

// completeActions offers the names of a verb's actions.
func completeActions(all []action) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		for _, a := range all {
			fmt.Fprintf(c.App.Writer, "%s\t%s\n", a.name, a.what)
		}
	}
}

// dispatchAction runs the action that the verb's first argument names.
func (p *program) dispatchAction(c *cli.Context, all []action) error {
	verb, name := c.Command.Name, c.Args().First()
	if name == "" {
		return usageError{fmt.Sprintf("%s wants to know what to do: %s", verb, enumerate(actionNames(all), "or"))}
	}
	for _, a := range all {
		if a.name != name {
			continue
		}
		args := c.Args().Tail()
		if len(args) < a.min || a.max >= 0 && len(args) > a.max {
			return usageError{fmt.Sprintf("%s %s takes %s", verb, a.name, a.takes)}
		}
		if err := actionFlags(c, all, a); err != nil {
			return err
		}
		return a.run(p, c, args)
	}
	return usageError{fmt.Sprintf("%s does not know %q; it knows %s", verb, name, enumerate(actionNames(all), "and"))}
}

// actionFlags finds flags that belong to something else than is done.
func actionFlags(c *cli.Context, all []action, done action) error {
	verb := c.Command.Name
	for _, flag := range c.Command.Flags {
		name := flag.Names()[0]
		var owners []string // none: of all
		for _, a := range all {
			if slices.Contains(a.flags, name) {
				owners = append(owners, a.name)
			}
		}
		if len(owners) > 0 && c.IsSet(name) && !slices.Contains(owners, done.name) {
			return usageError{fmt.Sprintf("--%s is not for %s %s, but for %s %s", name, verb, done.name, verb, enumerate(owners, "and"))}
		}
	}
	return nil
}
