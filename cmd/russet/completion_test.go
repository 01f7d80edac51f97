package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// lintPowerShell reads a script as PowerShell's own tokenizer does as far as
// strings, comments and brackets go, and returns its first mistake.
func lintPowerShell(script string) error {
	var open []byte
	pairs := map[byte]byte{')': '(', ']': '[', '}': '{'}
	for i := 0; i < len(script); i++ {
		switch c := script[i]; c {
		case '#':
			end := strings.IndexByte(script[i:], '\n')
			if end < 0 {
				end = len(script)
			}
			i += end
		case '`':
			i++
		case '\'', '"':
			start := i
			for i++; i < len(script) && script[i] != c; i++ {
				if script[i] == '`' && c == '"' {
					i++
				}
			}
			if i >= len(script) {
				return fmt.Errorf("the string at byte %d is not closed", start)
			}
		case '(', '[', '{':
			open = append(open, c)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != pairs[c] {
				return fmt.Errorf("%c at byte %d closes nothing", c, i)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%q are not closed", open)
	}
	return nil
}

func TestLintPowerShell(t *testing.T) {
	t.Parallel()
	for script, right := range map[string]bool{
		"": true, "# it's {": true, "{ ( [ ] ) }": true, `"a}" 'b{' "` + "`" + `""`: true,
		"{": false, ")": false, "( ]": false, `"a`: false, "'a": false, `"` + "`" + `"`: false,
	} {
		if err := lintPowerShell(script); (err == nil) != right {
			t.Errorf("%q: got %v", script, err)
		}
	}
}

// TestPowerShellScript reads the script, as pwsh is seldom installed.
func TestPowerShellScript(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"russet", "completion", "powershell"}, noEnv, strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("got %d, %s", code, &stderr)
	}
	script := stdout.String()
	if err := lintPowerShell(script); err != nil {
		t.Error(err)
	}
	for i, r := range script {
		if r > '~' || r < ' ' && r != '\n' {
			// Windows PowerShell takes a file without a byte order mark for the code page.
			t.Errorf("byte %d is %q, which not every PowerShell reads alike", i, r)
		}
	}
	for _, part := range []string{
		"Register-ArgumentCompleter -Native -CommandName russet -ScriptBlock {",
		"param($word, $ast, $cursor)",
		`"` + completionFlag + `$word"`,
		"-split \"`t\", 2",
		"[System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $about)",
	} {
		if !strings.Contains(script, part) {
			t.Errorf("the script lacks %s", part)
		}
	}
}

// TestScriptsCallTheProgram: each shell asks under the name that complete knows.
func TestScriptsCallTheProgram(t *testing.T) {
	t.Parallel()
	for _, s := range scriptNames {
		text, err := fs.ReadFile(scripts, s[1])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(completionFlag)) || bytes.ContainsRune(text, '\r') {
			t.Errorf("%s: it does not ask with %s, or has Windows' line ends", s[1], completionFlag)
		}
	}
}

// TestCandidatesAreLines: a candidate is one line with one tab and a text, or
// PowerShell and fish throw it out.
func TestCandidatesAreLines(t *testing.T) {
	t.Parallel()
	requests := [][]string{{""}, {"-"}, {"completion", ""}, {"help", ""}, {"show", ""}, {"export", ""}, {"sync", ""}, {"restore", "--as", ""}, {"restore", "--as=f"}}
	for _, v := range newProgram(noEnv, nil, nil, &bytes.Buffer{}).verbs() {
		requests = append(requests, []string{v.Name, "-"}, []string{v.Name, "--"})
	}
	for _, words := range requests {
		var stdout, stderr bytes.Buffer
		last := len(words) - 1
		args := append([]string{"russet"}, words[:last]...)
		args = append(args, completionFlag+words[last])
		if code := run(t.Context(), args, noEnv, strings.NewReader(""), &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Fatalf("%q: got %d, %s", words, code, &stderr)
		}
		if stdout.Len() == 0 {
			t.Errorf("%q: nothing is offered", words)
		}
		for line := range strings.Lines(stdout.String()) {
			text, about, found := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if !found || text == "" || strings.ContainsAny(text, " \r") || strings.ContainsAny(about, "\t\r") {
				t.Errorf("%q: got %q", words, line)
			}
			if !strings.HasPrefix(text, words[last]) {
				t.Errorf("%q: %q does not begin so", words, text)
			}
		}
	}
}
