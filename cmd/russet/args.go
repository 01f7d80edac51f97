package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// commandLine is what arrange makes of the arguments.
type commandLine struct {
	arranged []string // global flags, verb, its flags, "--", the other arguments: the only order that urfave/cli understands
	json     bool     // --json; known even when the rest is wrong, as the error is printed in that form
	quiet    bool     // --quiet
	verb     string   // that is meant, also when the rest is wrong; "" if there is none, or it is unknown
}

// arranger holds the state of one arrange.
type arranger struct {
	app     *cli.App
	known   map[string]cli.Flag // of all verbs, by every name
	given   []givenFlag
	words   []string // what is no flag; the first is the verb
	help    bool
	version bool
}

// givenFlag is one flag of the command line.
type givenFlag struct {
	flag  cli.Flag
	typed string // its name with dashes
	value string // "true" for a flag alone
}

// text is the flag in the form that urfave/cli always takes for one.
func (g givenFlag) text() string { return "--" + g.flag.Names()[0] + "=" + g.value }

// on tells whether a flag without value is switched on.
func (g givenFlag) on() bool {
	on, _ := strconv.ParseBool(g.value) // flag has looked at it
	return on
}

// arrange sorts the arguments so that flags may stand anywhere: before or
// after the verb and its arguments, up to a "--". Flags that the verb does not
// have are errors. -h and --help anywhere ask for help, --version for that.
func arrange(app *cli.App, args []string) (commandLine, error) {
	var line commandLine
	ar := arranger{app: app, known: map[string]cli.Flag{}}
	for _, f := range allFlags(app) {
		for _, n := range f.Names() {
			ar.known[n] = f
		}
	}
	err := ar.read(args)
	for _, g := range ar.given {
		switch g.flag.Names()[0] {
		case "json":
			line.json = g.on()
		case "quiet":
			line.quiet = g.on()
		}
	}
	if len(ar.words) > 0 && app.Command(ar.words[0]) != nil {
		line.verb = ar.words[0]
	}
	if err != nil {
		return line, err
	}
	verb, rest := "help", []string(nil)
	switch {
	case ar.version:
		verb = "version"
	case ar.help:
		rest = ar.words[:min(len(ar.words), 1)]
	case len(ar.words) > 0:
		verb, rest = ar.words[0], ar.words[1:]
	}
	line.arranged, err = ar.order(verb, rest)
	return line, err
}

// read takes the arguments apart. After an error it goes on looking for
// --json alone, as the error will be printed in that form.
func (ar *arranger) read(args []string) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			ar.words = append(ar.words, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			ar.words = append(ar.words, arg)
			continue
		}
		used, err := ar.flag(arg, args[i+1:])
		if err != nil {
			if f := ar.known["json"]; f != nil && slices.Contains(args[i+1:], "--json") {
				ar.given = append(ar.given, givenFlag{f, "--json", "true"})
			}
			return err
		}
		i += used
	}
	return nil
}

// flag reads one flag, and says how many of the following arguments belong to
// it.
func (ar *arranger) flag(arg string, following []string) (used int, err error) {
	typed, value, hasValue := strings.Cut(arg, "=")
	name := strings.TrimPrefix(strings.TrimPrefix(typed, "-"), "-")
	switch typed {
	case "-h", "--help":
		ar.help = true
		return 0, nil
	case "--version":
		ar.version = true
		return 0, nil
	}
	f, ok := ar.known[name]
	if !ok {
		if used, ok := ar.bundle(arg, following); ok {
			return used, nil
		}
	}
	if !ok || typed != dashed(name) {
		return 0, ar.unknown(typed, following)
	}
	switch {
	case takesValue(f) && !hasValue:
		if len(following) == 0 {
			return 0, usageError{fmt.Sprintf("flag %s needs a value", typed)}
		}
		value, used = following[0], 1
	case !takesValue(f) && !hasValue:
		value = "true"
	case !takesValue(f):
		if _, err := strconv.ParseBool(value); err != nil {
			return 0, usageError{fmt.Sprintf("flag %s is true or false, not %q", typed, value)}
		}
	}
	ar.given = append(ar.given, givenFlag{f, typed, value})
	return used, nil
}

// bundle reads -lR as -l -R, and -rREPO, -r=REPO and -qrREPO as restic does: the
// first flag that takes a value takes the rest, or else the next argument.
func (ar *arranger) bundle(arg string, following []string) (used int, ok bool) {
	var given []givenFlag
	for i, letter := range arg[1:] {
		f, ok := ar.known[string(letter)]
		if !ok {
			return 0, false
		}
		g := givenFlag{f, dashed(string(letter)), "true"}
		if takesValue(f) {
			g.value = strings.TrimPrefix(arg[1+i+utf8.RuneLen(letter):], "=")
			if g.value == "" {
				if len(following) == 0 {
					return 0, false
				}
				g.value, used = following[0], 1
			}
			ar.given = append(ar.given, append(given, g)...)
			return used, true
		}
		given = append(given, g)
	}
	ar.given = append(ar.given, given...)
	return 0, true
}

// unknown is the error for a flag that no verb has. Which verb is meant may
// stand behind it.
func (ar *arranger) unknown(typed string, following []string) error {
	flags := allFlags(ar.app)
	for _, w := range slices.Concat(ar.words, following) {
		if c := ar.app.Command(w); c != nil {
			flags = slices.Concat(ar.app.Flags, c.Flags)
			break
		}
	}
	var names []string
	for _, f := range flags {
		for _, n := range f.Names() {
			names = append(names, dashed(n))
		}
	}
	return usageError{fmt.Sprintf("unknown flag %s%s", typed, didYouMean(typed, append(names, "--help", "--version")))}
}

// order puts the parts into the order that urfave/cli wants.
func (ar *arranger) order(verb string, rest []string) ([]string, error) {
	c := ar.app.Command(verb)
	if c == nil {
		var names []string
		for _, v := range ar.app.Commands {
			names = append(names, v.Name)
		}
		return nil, usageError{fmt.Sprintf("unknown verb %q%s", verb, didYouMean(verb, names))}
	}
	var global, local []string
	for _, g := range ar.given {
		switch {
		case slices.Contains(ar.app.Flags, g.flag):
			global = append(global, g.text())
		case slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == g.flag.Names()[0] }):
			local = append(local, g.text())
		case !ar.help && !ar.version:
			return nil, usageError{fmt.Sprintf("%s has no flag %s; it is one of %s", verb, g.typed,
				strings.Join(ownersOf(ar.app, g.flag), ", "))}
		}
	}
	return slices.Concat(global, []string{verb}, local, []string{"--"}, rest), nil
}

// allFlags lists the global flags and those of every verb.
func allFlags(app *cli.App) []cli.Flag {
	flags := slices.Clone(app.Flags)
	for _, c := range app.Commands {
		flags = append(flags, c.Flags...)
	}
	return flags
}

// ownersOf lists the verbs that have a flag of that name.
func ownersOf(app *cli.App, flag cli.Flag) []string {
	var owners []string
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			if f.Names()[0] == flag.Names()[0] {
				owners = append(owners, c.Name)
			}
		}
	}
	return owners
}

// dashed writes a flag's name as people type it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// didYouMean is "; did you mean X?" for the name nearest to what was typed,
// and nothing where none is near.
func didYouMean(typed string, names []string) string {
	best, nearest := "", 1+max(1, len(strings.Trim(typed, "-"))/3)
	for _, n := range names {
		if d := distance(typed, n); d < nearest {
			best, nearest = n, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance counts the insertions, removals, changes and swaps of neighbours
// that make b of a (optimal string alignment).
func distance(a, b string) int {
	older, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j+1]+1, row[j]+1, prev[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, prev, row = prev, row, older
	}
	return prev[len(b)]
}
