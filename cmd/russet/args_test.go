package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// testApp has flags of all kinds, whatever the real verbs have.
func testApp() *cli.App {
	return &cli.App{
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "repo", Aliases: []string{"r"}},
			&cli.BoolFlag{Name: "json"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}},
		},
		Commands: []*cli.Command{
			{Name: "restore", Flags: []cli.Flag{
				&cli.StringFlag{Name: "target", Aliases: []string{"t"}, Usage: "`DIR`"},
				&cli.StringFlag{Name: "as", Usage: "write `folder|files`"},
				&cli.StringSliceFlag{Name: "include"},
			}},
			{Name: "check", Usage: "check it", Flags: []cli.Flag{&cli.BoolFlag{Name: "read-data", Aliases: []string{"d"}}}},
			{Name: "help"},
			{Name: "version"},
		},
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"", "help --"},
		{"check", "check --"},
		{"-r R check --read-data", "--repo=R check --read-data=true --"},
		{"restore latest --target D -r R", "--repo=R restore --target=D -- latest"},
		{"restore --target D latest a --include x b --include=y", "restore --target=D --include=x --include=y -- latest a b"},
		{"--target D restore latest", "restore --target=D -- latest"},
		{"restore -t -D latest", "restore --target=-D -- latest"},
		{"restore --target= latest", "restore --target= -- latest"},
		{"restore latest -- --target D", "restore -- latest --target D"},
		{"-- restore --json", "restore -- --json"},
		{"restore - latest", "restore -- - latest"},
		{"check --read-data=0", "check --read-data=0 --"},
		{"check --read-data=false", "check --read-data=false --"},
		{"check -dq", "--quiet=true check --read-data=true --"},
		{"check -dr R", "--repo=R check --read-data=true --"},
		{"check -rR", "--repo=R check --"},
		{"-qrR=x/-d check", "--quiet=true --repo=R=x/-d check --"},
		{"-qr=R check", "--quiet=true --repo=R check --"},
		{"restore restore", "restore -- restore"},
		{"restore latest -h --target D", "help -- restore"},
		{"-q --version", "--quiet=true version --"},
		{"check --version --read-data", "version --"},
	} {
		line, err := arrange(testApp(), strings.Fields(c.args))
		if got := strings.Join(line.arranged, " "); err != nil || got != c.want {
			t.Errorf("arrange %q: got %q, %v, want %q", c.args, got, err, c.want)
		}
	}
}

func TestArrangeMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, want string
		json       bool
	}{
		{"chekc", `unknown verb "chekc"; did you mean check?`, false},
		{"check --read-dat", "unknown flag --read-dat; did you mean --read-data?", false},
		{"--targt D restore", "unknown flag --targt; did you mean --target?", false},
		{"--targt D check", "unknown flag --targt", false},
		{"check -json", "unknown flag -json; did you mean --json?", false},
		{"check --r R", "unknown flag --r; did you mean -r?", false},
		{"check --target D --json", "check has no flag --target; it is one of restore", true},
		{"check --zzz --json", "unknown flag --zzz", true},
		{"check -dzR", "unknown flag -dzR", false},
		{"check -dr", "unknown flag -dr; did you mean -r?", false},
		{"check --read-data=x --json", `flag --read-data is true or false, not "x"`, true},
		{"check --read-dta --json=true", "unknown flag --read-dta; did you mean --read-data?", false},
		{"check -r", "flag -r needs a value", false},
		{"check --json -r", "flag -r needs a value", true},
		{"check --zzz --json=false", "unknown flag --zzz", false},
	} {
		line, err := arrange(testApp(), strings.Fields(c.args))
		if err == nil || err.Error() != c.want || line.json != c.json {
			t.Errorf("arrange %q: got %v, json %t, want %s, json %t", c.args, err, line.json, c.want, c.json)
		}
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ words, word, want string }{
		{"", "", "restore check help version"},
		{"-r R", "", "restore check help version"},
		{"-r", "", ""},
		{"", "--", "--repo --json --quiet --help"},
		{"check", "--", "--read-data --repo --json --quiet --help"},
		{"restore --as", "", "folder files"},
		{"restore --as =", "f", "folder files"},
		{"restore", "--as=", "--as=folder --as=files"},
		{"restore --as=files", "", ""},
		{"restore --target", "-", ""},
		{"restore --", "--", ""},
		{"nonsense", "", ""},
	} {
		var got []string
		for _, cand := range candidates(testApp(), request{strings.Fields(c.words), c.word}) {
			got = append(got, cand.text)
		}
		if !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("candidates after %q for %q: got %q, want %s", c.words, c.word, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"check", "chekc", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
