package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) helpVerb() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Category:  groupSelf,
		Usage:     "say what a verb does",
		ArgsUsage: "[VERB]",
		UsageText: "russet help backup\n" +
			"russet backup --help   # the same",
		Description: "Without a verb, all verbs are listed.",
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return printHelp(p.stdout, c.App)
			}
			name := c.Args().First()
			v := c.App.Command(name)
			if v == nil {
				return usageError{fmt.Sprintf("unknown verb %q%s", name, didYouMean(name, verbNames(c.App)))}
			}
			return printVerbHelp(p.stdout, c.App, v)
		},
		BashComplete: func(c *cli.Context) {
			for _, v := range c.App.Commands {
				fmt.Fprintf(c.App.Writer, "%s\t%s\n", v.Name, v.Usage)
			}
		},
	}
}

func verbNames(app *cli.App) []string {
	var names []string
	for _, v := range app.Commands {
		names = append(names, v.Name)
	}
	return names
}

// group is a heading of the list of verbs.
type group struct {
	name  string
	verbs []*cli.Command
}

// groups sorts the verbs under their headings, and keeps their order.
func groups(app *cli.App) []group {
	var list []group
	for _, name := range []string{groupKeep, groupPhone, groupLook, groupSync, groupCopy, groupCare, groupSelf} {
		g := group{name: name}
		for _, v := range app.Commands {
			if v.Category == name {
				g.verbs = append(g.verbs, v)
			}
		}
		if len(g.verbs) > 0 {
			list = append(list, g)
		}
	}
	return list
}

// printHelp is `russet help`.
func printHelp(w io.Writer, app *cli.App) error {
	var b strings.Builder
	fmt.Fprintf(&b, "russet: %s\n\n%s\n\n", app.Usage, app.Description)
	fmt.Fprintf(&b, "Usage: russet VERB [FLAGS] [ARGUMENTS]\n\n%s\n", indent(app.UsageText))
	for _, g := range groups(app) {
		var rows [][2]string
		for _, v := range g.verbs {
			rows = append(rows, [2]string{v.Name, v.Usage})
		}
		fmt.Fprintf(&b, "\n%s:\n%s", g.name, twoColumns(rows))
	}
	every, storage := globalRows(app)
	fmt.Fprintf(&b, "\nFlags of every verb:\n%s\nFor repositories elsewhere (sftp:, s3:, rest:, rclone:):\n%s", twoColumns(every), twoColumns(storage))
	b.WriteString("\nFlags may stand before or after the arguments; -- ends them.\n" +
		"`russet help VERB` says more about a verb.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// printVerbHelp is `russet help VERB`.
func printVerbHelp(w io.Writer, app *cli.App, v *cli.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "russet %s: %s\n\nUsage: %s\n\n%s\n", v.Name, v.Usage, usageLine(v), v.Description)
	if v.UsageText != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", indent(v.UsageText))
	}
	if len(v.Flags) > 0 {
		fmt.Fprintf(&b, "\nFlags:\n%s", twoColumns(flagRows(v.Name, v.Flags)))
	}
	every, _ := globalRows(app)
	fmt.Fprintf(&b, "\nFlags of every verb (russet help lists more, for repositories elsewhere):\n%s", twoColumns(every))
	_, err := io.WriteString(w, b.String())
	return err
}

// globalRows describes the flags of every verb, and apart from them those that say
// how a repository elsewhere is reached.
func globalRows(app *cli.App) (every, storage [][2]string) {
	n := len(app.Flags) - len(storageFlags())
	return flagRows("", app.Flags[:n]), flagRows("", app.Flags[n:])
}

// usageLine is how a verb is called.
func usageLine(v *cli.Command) string {
	line := "russet " + v.Name
	if len(v.Flags) > 0 {
		line += " [FLAGS]"
	}
	if v.ArgsUsage != "" {
		line += " " + v.ArgsUsage
	}
	return line
}

// flagRows describes a verb's flags: how each is written, and what it says.
func flagRows(verb string, flags []cli.Flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		placeholder, usage := unquote(d.GetUsage())
		var names []string
		for _, n := range f.Names() {
			names = append([]string{dashed(n)}, names...) // the short one first
		}
		written := strings.Join(names, ", ")
		if d.TakesValue() {
			written += " " + placeholder
		}
		if s, ok := f.(cli.DocGenerationSliceFlag); ok && s.IsSliceFlag() {
			usage += "; may be given more than once"
		}
		if vars := variablesOf(verb, f.Names()[0]); len(vars) > 0 {
			usage += " [" + strings.Join(vars, ", ") + "]"
		}
		rows = append(rows, [2]string{written, usage})
	}
	return rows
}

// unquote takes the placeholder, which stands in backquotes, out of a flag's
// usage.
func unquote(usage string) (placeholder, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	name, after, closed := strings.Cut(rest, "`")
	if !ok || !closed {
		return "VALUE", usage
	}
	return name, before + name + after
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// helpWidth is the width of help's text in columns.
const helpWidth = 100

// twoColumns aligns terms and their explanations, and wraps the latter.
func twoColumns(rows [][2]string) string {
	left := 0
	for _, r := range rows {
		left = max(left, len(r[0]))
	}
	var b strings.Builder
	for _, r := range rows {
		term := r[0]
		for line := range strings.Lines(wrap(r[1], helpWidth-left-4)) {
			fmt.Fprintf(&b, "  %-*s  %s\n", left, term, strings.TrimSuffix(line, "\n"))
			term = ""
		}
	}
	return b.String()
}

// wrap breaks a text at its spaces into lines of at most width columns.
func wrap(text string, width int) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch n := columns(word); {
		case used == 0:
			used = n
		case used+1+n > width:
			b.WriteByte('\n')
			used = n
		default:
			b.WriteByte(' ')
			used += 1 + n
		}
		b.WriteString(word)
	}
	return b.String()
}
