package house

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// private matches what belongs to one machine or to the way the text was made,
// and tells the reader nothing. The pieces are joined here so that this file
// keeps its own rule.
var private = regexp.MustCompile(`(?:^|[^\w.$})~-])/(?:wor` + `k|roo` + `t)/` +
	`|\.\./sha` + `red(/sam` + `ples)?` +
	`|(?i:\b(?:cla` + `ude|anthr` + `opic|chat` + `gpt|copi` + `lot|(?:ai|llm)[ -](?:assis` + `tant|gener` + `ated))\b)`)

// mayLookForSamples reports whether a file may name the folder of sample
// backups beside the checkout.
func mayLookForSamples(name string) bool {
	return strings.HasSuffix(name, "_test.go") || name == "Makefile"
}

func privateWords(t *tree) []string {
	var found []string
	for _, name := range t.names {
		data, err := fs.ReadFile(t.fsys, name)
		if err != nil || bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 {
			continue // gone, or not text
		}
		n := 0
		for line := range bytes.Lines(data) {
			n++
			for _, m := range private.FindAllSubmatch(line, -1) {
				if m[1] == nil || !mayLookForSamples(name) {
					found = append(found, fmt.Sprintf("%s:%d: %q", name, n, m[0]))
				}
			}
		}
	}
	return found
}

func TestPrivateWords(t *testing.T) {
	t.Parallel()
	keep(t, privateWords, "The repository speaks about itself to strangers: leave out paths of one machine and how the text came about.")
}

func TestPrivateWordsCatch(t *testing.T) {
	catch(t, privateWords, map[string]string{
		"README.md":   "fine\nsee /wor" + "k/main\n",
		"Makefile":    "SAMPLES = ../sha" + "red/samples\nX = ../sha" + "red/notes\n",
		"a/a_test.go": "package a\n\nconst dir = \"../../sha" + "red/samples/backups\"\n",
		"a/a.go":      "package a\n\n// ../sha" + "red/samples\n",
		"docs/b.md":   "Written by Cla" + "ude.\nan AI assis" + "tant\n",
		"docs/ok.md":  "$WORK/work/x and net/work/y, ~/work/ and ${HOME}/root/\n",
		"data.bin":    "\x00 /wor" + "k/",
	}, "README.md:2", "Makefile:2", "a/a.go:3", "docs/b.md:1", "docs/b.md:2")
}
