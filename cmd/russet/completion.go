package main

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// scripts are the shells' halves of completion. Each calls russet with the
// words before the cursor and --generate-bash-completion=WORD for the one at
// it, and offers the first columns of what is printed, or else file names.
//
//go:embed scripts
var scripts embed.FS

// scriptNames are the shells and their files below scripts.
var scriptNames = [][2]string{
	{"bash", "scripts/russet.bash"},
	{"zsh", "scripts/russet.zsh"},
	{"fish", "scripts/russet.fish"},
	{"powershell", "scripts/russet.ps1"},
}

func (p *program) completionVerb() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Category:  groupSelf,
		Usage:     "print what teaches a shell to complete russet's verbs and flags",
		ArgsUsage: "bash|zsh|fish|powershell",
		UsageText: "source <(russet completion bash)                             # in ~/.bashrc\n" +
			"russet completion zsh > \"${fpath[1]}/_russet\"\n" +
			"russet completion fish > ~/.config/fish/completions/russet.fish\n" +
			"russet completion powershell | Out-String | Invoke-Expression   # in $PROFILE",
		Description: "Prints a script for the shell to read when it starts. It completes verbs, flags, the\n" +
			"values of flags that have few, and file names. The bash that comes with macOS (3.2)\n" +
			"cannot source a pipe: write the script to a file, and source that.",
		Action: func(c *cli.Context) error {
			if c.NArg() == 1 {
				for _, s := range scriptNames {
					if s[0] == c.Args().First() {
						return printFile(p.stdout, scripts, s[1])
					}
				}
			}
			return usageError{"completion wants the name of a shell: bash, zsh, fish or powershell"}
		},
		BashComplete: func(c *cli.Context) {
			for _, s := range scriptNames {
				fmt.Fprintln(c.App.Writer, s[0])
			}
		},
	}
}

func printFile(w io.Writer, files embed.FS, name string) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// completionFlag is the name that urfave/cli gives it, with the word at the
// cursor as its value. urfave's own completion is not used: it looks at the
// process, wants flags first, and knows no values.
const completionFlag = "--generate-bash-completion="

// request is a command line that is being typed.
type request struct {
	words []string // before the cursor, without the program
	word  string   // at the cursor
}

// completionRequest finds out whether a shell is asking.
func completionRequest(args []string) (r request, ok bool) {
	if len(args) < 2 {
		return r, false
	}
	last := len(args) - 1
	r.word, ok = strings.CutPrefix(args[last], completionFlag)
	r.words = args[1:last]
	if r.word == "=" { // bash takes --as=x for three words
		r.word = ""
	}
	return r, ok
}

// candidate is one completion.
type candidate struct{ text, about string }

// complete prints what may stand at the cursor: a candidate a line, a tab, and
// what it is. Nothing printed means a file name.
func (p *program) complete(app *cli.App, r request) error {
	for _, c := range candidates(app, r) {
		if !strings.HasPrefix(c.text, r.word) {
			continue
		}
		if _, err := fmt.Fprintf(p.stdout, "%s\t%s\n", c.text, c.about); err != nil {
			return err
		}
	}
	return nil
}

func candidates(app *cli.App, r request) []candidate {
	known := map[string]cli.Flag{}
	for _, f := range allFlags(app) {
		for _, n := range f.Names() {
			known[dashed(n)] = f
		}
	}
	var verb *cli.Command
	var waiting cli.Flag // for its value
	arguments, ended := 0, false
	for _, w := range r.words {
		name, _, hasValue := strings.Cut(w, "=")
		switch f := known[name]; {
		case w == "=":
		case waiting != nil:
			waiting = nil
		case w == "--":
			ended = true
		case !ended && strings.HasPrefix(w, "-"):
			if f != nil && takesValue(f) && !hasValue {
				waiting = f
			}
		case verb == nil:
			if verb = app.Command(w); verb == nil {
				return nil
			}
		default:
			arguments++
		}
	}
	name, _, hasValue := strings.Cut(r.word, "=")
	switch {
	case waiting != nil:
		return valuesOf(waiting, "")
	case !ended && hasValue && known[name] != nil:
		return valuesOf(known[name], name+"=")
	case !ended && strings.HasPrefix(r.word, "-"):
		return flagCandidates(app, verb)
	case verb == nil:
		return verbCandidates(app)
	case verb.BashComplete != nil && arguments == 0:
		return argumentCandidates(app, verb)
	}
	return nil
}

// valuesOf lists the values of a flag whose placeholder names them all.
func valuesOf(f cli.Flag, prefix string) []candidate {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return nil
	}
	if f.Names()[0] == "option" {
		var list []candidate
		for _, o := range storageOptions {
			list = append(list, candidate{prefix + o.key + "=", o.about})
		}
		return list
	}
	placeholder, _ := unquote(d.GetUsage())
	values := strings.Split(placeholder, "|")
	if len(values) < 2 {
		return nil
	}
	var list []candidate
	for _, v := range values {
		list = append(list, candidate{prefix + v, ""})
	}
	return list
}

// flagCandidates lists the long flags that a verb understands; without a verb,
// the global ones.
func flagCandidates(app *cli.App, verb *cli.Command) []candidate {
	flags := app.Flags
	if verb != nil {
		flags = slices.Concat(verb.Flags, flags)
	}
	var list []candidate
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		_, about := unquote(d.GetUsage())
		list = append(list, candidate{dashed(f.Names()[0]), about})
	}
	return append(list, candidate{"--help", "say what the verb does"})
}

func verbCandidates(app *cli.App) []candidate {
	var list []candidate
	for _, v := range app.Commands {
		list = append(list, candidate{v.Name, v.Usage})
	}
	return list
}

// argumentCandidates asks the verb what its argument may be.
func argumentCandidates(app *cli.App, verb *cli.Command) []candidate {
	var b strings.Builder
	out := app.Writer
	app.Writer = &b
	verb.BashComplete(cli.NewContext(app, nil, nil))
	app.Writer = out
	var list []candidate
	for line := range strings.Lines(b.String()) {
		text, about, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, candidate{text, about})
	}
	return list
}
